"""Where a turn finds its tools again after the end of the server.

A tool is a function, which cannot be kept; what is kept is where it came from. That is an attribute of the agent, or a
part of it (a capability) that says so with ``of_part``. A part may need a moment, such as for a connection to a server:
the turn waits for it, and then goes on without what is not there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from edgeagents.models.parts import Json
from edgeagents.models.tools import Tool

if TYPE_CHECKING:
    from edgeagents.agents.capability import Capability

__all__ = ["TurnTools", "of_part"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_ORIGIN = "__edgeagents_part__"


def of_part(function: FunctionT, part: str, name: str) -> FunctionT:
    """Mark ``function`` as what a tool of an agent's capability does, and return it.

    A turn that has such a tool asks ``capability.tools_again([name])`` for it after a restart.
    """
    setattr(function, _ORIGIN, (part, name))
    return function


class TurnTools:
    """The tools of one agent's turns. ``find_tool`` returns an attribute of the agent, ``find_part`` a capability."""

    def __init__(
        self,
        logger: logging.Logger,
        find_tool: Callable[[str], Any],
        find_part: Callable[[str], Capability | None],
    ) -> None:
        self._logger, self._find_tool, self._find_part = logger, find_tool, find_part

    def origin(self, name: str, tool: Tool) -> Json:
        """Return where the tool is found again, or None when it is found nowhere."""
        for attribute in (getattr(tool.execute, "__name__", ""), name):
            found = self._find_tool(attribute) if attribute else None
            if found is None or tool.execute not in (found, getattr(found, "execute", None)):
                continue
            # Found again without its question, it would be called without leave.
            if tool.needs_approval == getattr(found, "needs_approval", False):
                return attribute
        origin = getattr(tool.execute, _ORIGIN, None)
        if origin is None or not isinstance(tool.needs_approval, bool):
            return None
        return {"part": origin[0], "name": origin[1], "needs_approval": tool.needs_approval}

    def at_hand(self, origins: Mapping[str, Any]) -> dict[str, Any]:
        """Return those that are attributes of the agent, by name."""
        tools: dict[str, Any] = {}
        for name, origin in origins.items():
            found = self._find_tool(origin) if isinstance(origin, str) else None
            if found is not None:
                tools[name] = found
            elif not isinstance(origin, dict):
                self._warn(name)
        return tools

    async def of_parts(self, origins: Mapping[str, Any]) -> dict[str, Tool]:
        """Return those that are a capability's, once it has them, by name."""
        wanted = {name: origin for name, origin in origins.items() if isinstance(origin, dict)}
        by_part: dict[str, list[str]] = {}
        for origin in wanted.values():
            by_part.setdefault(origin["part"], []).append(origin["name"])
        answers = await asyncio.gather(*(self._ask(part, names) for part, names in by_part.items()))
        there = dict(zip(by_part, answers, strict=True))
        tools: dict[str, Tool] = {}
        for name, origin in wanted.items():
            found = there[origin["part"]].get(origin["name"])
            if found is None:
                self._warn(name)
            else:
                tools[name] = replace(found, name=name, needs_approval=origin["needs_approval"])
        return tools

    async def _ask(self, part: str, names: list[str]) -> Mapping[str, Tool]:
        capability = self._find_part(part)
        if capability is None:
            return {}
        try:
            return await capability.tools_again(names)
        except Exception:
            self._logger.exception("The tools of %r could not be found again", part)
            return {}

    def _warn(self, name: str) -> None:
        self._logger.warning("The tool %s is not found any more; the turn goes on without it.", name)
