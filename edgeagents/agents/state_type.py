"""The type of an agent's state: what JSON from a client or from the database must be to become the state.

An agent says it as ``Agent[Env, State]``, or by an ``initial_state`` that is a dataclass or a pydantic model. Known
are the types that tools know (``edgeagents.models.json_types``): dataclasses, ``TypedDict``, pydantic models, scalars,
lists, dicts with typed values. Without a type any JSON value is a state.
"""

from __future__ import annotations

import dataclasses
import sys
import typing
from functools import cached_property
from typing import Any

from edgeagents.http.json_values import is_model
from edgeagents.models.json_types import read_value

__all__ = ["StateType"]


class StateType:
    """Reads and checks the values of one state. ``hint`` may name a type that ``owner``'s module defines later."""

    def __init__(self, hint: Any, owner: type | None = None) -> None:
        self._given, self._owner = hint, owner

    @classmethod
    def of(cls, agent: type, base: type, initial: Any) -> StateType | None:
        """Return the type of the state of ``agent``, a subclass of the generic ``base``; None when it has none."""
        for owner in agent.__mro__:
            for generic in getattr(owner, "__orig_bases__", ()):
                args = typing.get_args(generic)
                if typing.get_origin(generic) is base and len(args) == 2:
                    return cls(args[1], owner) if _says_something(args[1]) else None
        return cls(type(initial)) if is_model(initial) or dataclasses.is_dataclass(initial) else None

    @cached_property
    def hint(self) -> Any:
        """The type."""
        if isinstance(self._given, typing.ForwardRef):
            return eval(self._given.__forward_arg__, vars(sys.modules[self._owner.__module__]))
        return self._given

    def read(self, value: Any) -> Any:
        """Return the state that ``value`` is, or that it is the JSON of.

        Raises ``InvalidValue`` (a ValueError) that says what is wrong with it.
        """
        hint = self.hint
        if (is_model(value) or dataclasses.is_dataclass(value)) and isinstance(hint, type) and isinstance(value, hint):
            return value
        return read_value(hint, value, "state")


def _says_something(hint: Any) -> bool:
    return hint not in (Any, object, dict, list) and not isinstance(hint, typing.TypeVar)
