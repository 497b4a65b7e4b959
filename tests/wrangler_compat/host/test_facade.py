"""A plugin's object is called as JavaScript calls: with options at the end, which may name what was left out."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import metadata
from typing import Any, ClassVar

import pytest

from edgeagents.plugins import GROUP
from wrangler_compat.host.facade import camel_case, facade_of
from wrangler_compat.host.model.errors import JsTypeError
from wrangler_compat.host.model.proxy import JsObject


class Shelf:
    js_name: ClassVar[str] = "Shelf"

    async def get(self, key: str, type: str = "text", *, cache_ttl: int | None = None) -> Any:
        return [key, type, cache_ttl or 0]

    async def send(self, body: Any, *, delay_seconds: int | None = None) -> Any:
        return [body, delay_seconds]


@pytest.mark.parametrize(
    ("args", "keywords", "taken"),
    [
        (("k",), {}, ["k", "text", 0]),
        (("k", "json"), {}, ["k", "json", 0]),
        (("k", "json", JsObject({"cacheTtl": 60})), {}, ["k", "json", 60]),
        (("k", JsObject({"cacheTtl": 60})), {}, ["k", "text", 60]),
        (("k", JsObject({"type": "json"})), {}, ["k", "json", 0]),
        (("k", {"type": "json", "cacheTtl": 60}), {}, ["k", "json", 60]),
        (("k",), {"type": "json", "cacheTtl": 60}, ["k", "json", 60]),
    ],
)
async def test_options_may_stand_where_an_argument_was_left_out(args, keywords, taken):
    given = await facade_of(Shelf()).get(*args, **keywords)
    assert given.to_py() == taken


async def test_what_must_be_given_is_no_options_whatever_its_fields_are_called():
    given = await facade_of(Shelf()).send(JsObject({"delaySeconds": 3}))
    assert given[0].to_py() == {"delaySeconds": 3}
    given = await facade_of(Shelf()).send(JsObject({"delaySeconds": 3}), JsObject({"delaySeconds": 5}))
    assert (given[0].to_py(), given[1]) == ({"delaySeconds": 3}, 5)


def _bindings() -> Iterator[type]:
    """Iterate over the classes of all plugins that JavaScript sees."""
    for package in sorted({entry_point.value.partition(".")[0] for entry_point in metadata.entry_points(group=GROUP)}):
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
            module = importlib.import_module(f"{package}.{found.name}")
            for value in vars(module).values():
                if inspect.isclass(value) and value.__module__ == module.__name__ and hasattr(value, "js_name"):
                    yield value


def _methods(binding: type) -> list[str]:
    if issubclass(binding, Exception):
        return []
    return [name for name, _ in inspect.getmembers(binding, inspect.isfunction) if not name.startswith("_")]


def _stand_in(method: Any) -> Any:
    """Return an object with one method, that takes what ``method`` takes and returns it."""

    @functools.wraps(method)
    def call(self: Any, /, *args: Any, **keywords: Any) -> Any:
        inspect.signature(method).bind(self, *args, **keywords)
        return JsObject({"args": list(args), "keywords": keywords})

    call.__annotations__ = {}
    return type("Binding", (), {"js_name": "Binding", "call": call})()


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(getattr(binding, name), id=f"{binding.__name__}.{name}")
        for binding in _bindings()
        for name in _methods(binding)
    ],
)
def test_keywords_are_the_last_argument_of_each_method_of_each_binding(method):
    parameters = list(inspect.signature(method).parameters.values())[1:]
    needed = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty]
    options = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    binding = facade_of(_stand_in(method))
    for names in (["prompt"], options or ["prompt"]):
        named = {camel_case(name): [1, {"a": "b"}] for name in names}
        # Where one argument is still wanted, they are that one.
        for count in {len(needed), max(0, len(needed) - 1)}:
            before = ["x"] * count
            assert _told(binding, *before, **named) == _told(binding, *before, JsObject(named))


def _told(binding: Any, *args: Any, **keywords: Any) -> Any:
    try:
        return binding.call(*args, **keywords).to_py()
    except JsTypeError as error:
        return error.message
