"""What a runtime is told, looked at when it is made: a wrong value is refused by name, not when it is first used."""

from __future__ import annotations

import inspect
import os
import re
import typing
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from edgeagents.agents.kebab import kebab_case
from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.objects import Durability, DurableObject, History, Limits
from edgeagents.worker import Worker

__all__ = ["check_arguments", "worker_of"]


def check_arguments(
    *,
    storage: object,
    env: object,
    plugins: object,
    prefix: object,
    on_before_connect: object,
    on_before_request: object,
    limits: object,
    durability: object,
    history: object,
) -> None:
    """Raise ``ConfigError`` for the first that cannot be what ``Runtime`` asks for."""
    if storage is not None and not isinstance(storage, str | os.PathLike):
        raise _refusal("storage", storage, "the path of the state folder, or None for memory")
    if durability not in typing.get_args(Durability):
        raise _refusal("durability", durability, "'full', 'normal' or 'memory'")
    if limits is not None and not isinstance(limits, Limits):
        raise _refusal("limits", limits, "a Limits: limits=Limits(frame_bytes=65536)")
    if history is not None and not isinstance(history, History):
        raise _refusal("history", history, "a History, or None to keep none: history=History(days=7)")
    if env is not None and not isinstance(env, Mapping):
        raise _refusal("env", env, "a mapping of names to values")
    if not isinstance(prefix, str):
        raise _refusal("prefix", prefix, "the first part of the path of agents, such as 'agents'")
    if isinstance(plugins, str) or not isinstance(plugins, Collection):
        raise _refusal("plugins", plugins, "a list of plugins: plugins=[plugin]")
    for name, hook in (("on_before_connect", on_before_connect), ("on_before_request", on_before_request)):
        if hook is not None and not callable(hook):
            raise _refusal(name, hook, "a function that gets the request and where it goes")


def worker_of(agents: Sequence[type]) -> Worker:
    """Return the worker that has these classes and nothing else. Raises ``ConfigError`` for what cannot be one."""
    if isinstance(agents, type):
        raise ConfigError(f"agents is a list of classes: agents=[{agents.__name__}].")
    if isinstance(agents, str | Mapping) or not isinstance(agents, Collection):
        raise _refusal("agents", agents, "a list of classes: agents=[Counter]")
    classes: dict[str, type] = {}
    segments: dict[str, str] = {}
    for cls in agents:
        _check_class(cls)
        if cls.__name__ in classes:
            raise ConfigError(f"Two agent classes are called {cls.__name__!r}. Rename one: its name is in the URL.")
        other = segments.setdefault(kebab_case(cls.__name__), cls.__name__)
        if other != cls.__name__:
            raise ConfigError(
                f"The agent classes {other!r} and {cls.__name__!r} are both {kebab_case(other)!r} in a URL, so one "
                "could not be reached. Rename one."
            )
        classes[cls.__name__] = cls
    bindings = [BindingDeclaration(name, "durable_object_namespace", {"class_name": name}) for name in classes]
    return Worker(name="", classes=classes, bindings=bindings)


def _check_class(cls: Any) -> None:
    if not inspect.isclass(cls):
        raise ConfigError(f"agents=[{cls!r}]: it is a list of classes, not of names or instances.")
    if not issubclass(cls, DurableObject):
        raise ConfigError(
            f"agents=[{cls.__name__}]: {cls.__name__} is no agent. Derive it from edgeagents.Agent, or from "
            "edgeagents.DurableObject."
        )
    if not re.fullmatch(r"\w+", cls.__name__):
        raise ConfigError(f"{cls.__name__!r} cannot be the name of an agent class.")


def _refusal(name: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(f"{name}={value!r}: it is {wanted}.")
