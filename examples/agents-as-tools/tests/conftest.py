"""The example, served by the real emulator, with a model that says what a test wrote down, and without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from edgeagents_openai.testing import ChatVendor

from edgeagents.testing.vendor import VendorServer


class ModelServer(VendorServer):
    """Answers each of the agents in its own order: who asks is told by the instructions."""

    def __init__(self) -> None:
        super().__init__(ChatVendor())
        self.answers = _Script(self)

    def script(self, **answers: list[Any]) -> None:
        """Say what an ``assistant``, a ``researcher`` and a ``planner`` are answered next."""
        self.answers = _Script(self, answers)

    def asked_by(self, who: str) -> list[Any]:
        return [each for each in self.asked if _who(each.system) == who]


class _Script(list[Any]):
    def __init__(self, server: VendorServer, answers: dict[str, list[Any]] | None = None) -> None:
        super().__init__()
        self._server, self._answers = server, answers or {}

    def __bool__(self) -> bool:
        return bool(self._answers.get(_who(self._server.asked[-1].system)))

    def pop(self, index: Any = -1) -> Any:
        return self._answers[_who(self._server.asked[-1].system)].pop(index)


def _who(instructions: str) -> str:
    starts = {"You research": "researcher", "You plan": "planner", "You are friendly": "assistant"}
    return next(who for start, who in starts.items() if instructions.startswith(start))


@pytest.fixture
async def model() -> AsyncIterator[ModelServer]:
    async with ModelServer() as server:
        yield server
