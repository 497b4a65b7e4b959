from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from edgeagents.agents.sql import bind


def test_values_by_position_pass_through() -> None:
    assert bind("select ?, ?", (1, "a"), {}) == ("select ?, ?", (1, "a"))


def test_values_by_name_become_bindings_in_the_order_of_their_markers() -> None:
    query = "select * from t where a = {a} and b = {b} or a > {a}"
    assert bind(query, (), {"b": 2, "a": "'; drop table t"}) == (
        "select * from t where a = ? and b = ? or a > ?",
        ("'; drop table t", 2, "'; drop table t"),
    )


@pytest.mark.parametrize(
    "text", ["'{a}'", "'it''s {a}'", '"{a}"', "`{a}`", "[{a}]", "-- {a}\n", "/* {a}\n{a} */", "'{\"a\": 1}'"]
)
def test_markers_in_text_and_comments_are_none(text: str) -> None:
    assert bind(f"select {text}, {{a}}", (), {"a": 1}) == (f"select {text}, ?", (1,))


def test_braces_mean_nothing_without_names() -> None:
    assert bind("select '{a}', {b}", (), {}) == ("select '{a}', {b}", ())


@pytest.mark.parametrize(
    ("query", "bindings", "named", "words"),
    [
        ("select {a}", (), {"b": 1}, "no value for {a}"),
        ("select {a}", (), {"a": 1, "b": 1}, "given b"),
        ("select {a}, ?", (1,), {"a": 1}, "not both"),
        (7, (), {}, "not int"),
    ],
)
def test_markers_and_values_must_fit(query: Any, bindings: tuple[Any, ...], named: dict[str, Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        bind(query, bindings, named)


@dataclass
class Interpolation:
    value: object
    expression: str = "x"
    conversion: str | None = None
    format_spec: str = ""


@dataclass
class Template:
    """What ``t"..."`` makes from Python 3.14 on."""

    strings: tuple[str, ...]
    interpolations: tuple[Interpolation, ...]


def test_template_string_gives_bindings() -> None:
    template = Template(("select * from t where a = ", " and b = ", ""), (Interpolation(1), Interpolation("x")))
    assert bind(template, (), {}) == ("select * from t where a = ? and b = ?", (1, "x"))


def test_template_string_takes_no_formats() -> None:
    with pytest.raises(TypeError, match="as they are"):
        bind(Template(("select ", ""), (Interpolation(1, format_spec=".2f"),)), (), {})


def test_template_string_takes_no_further_values() -> None:
    with pytest.raises(TypeError, match="no further values"):
        bind(Template(("select 1",), ()), (1,), {})
