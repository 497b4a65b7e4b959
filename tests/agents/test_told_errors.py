"""What a client reads when an agent's code fails: what the code says, and nothing of the machine that it runs on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgeagents import Agent, callable, get_agent_by_name
from edgeagents.agents.told_errors import told
from edgeagents.errors import RemoteError, SqlError, StorageError, StorageLimitError
from edgeagents.testing import agent_runtime, connect
from tests.agents.frames import answer

PATH = "/nowhere/at/all"


class Failing(Agent):
    @callable()
    async def read(self) -> None:
        open(PATH)  # noqa: ASYNC230, SIM115

    @callable()
    async def read_elsewhere(self) -> None:
        other: Any = await get_agent_by_name(Failing, "other")
        await other.read()

    @callable()
    async def storage(self) -> None:
        raise StorageError(f"{PATH} could not be synced: [Errno 5] Input/output error")

    @callable()
    async def sql(self) -> None:
        self.sql("select * from missing")

    @callable()
    async def own(self) -> None:
        raise ValueError("that is too much")

    def get_connection_tags(self, connection: Any, ctx: Any) -> list[str]:
        if "fail" in ctx.request.query:
            open(PATH)  # noqa: SIM115
        return []


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("read", "[Errno 2] No such file or directory"),
        ("read_elsewhere", "[Errno 2] No such file or directory"),
        ("storage", "The storage of this agent failed"),
        ("own", "that is too much"),
    ],
)
async def test_an_answer_to_a_call_names_no_file(method: str, text: str):
    async with agent_runtime(Failing) as runtime:
        socket = await connect(runtime, "/agents/failing/a")
        assert (await answer(socket, method))["error"] == text


async def test_a_refused_session_names_no_file():
    async with agent_runtime(Failing) as runtime:
        socket = await connect(runtime, "/agents/failing/a?fail")
        assert json.loads(await socket.receive()) == {"error": "[Errno 2] No such file or directory"}


async def test_in_debug_a_refused_session_tells_where():
    async with agent_runtime(Failing, debug=True) as runtime:
        socket = await connect(runtime, "/agents/failing/a?fail")
        assert "Traceback" in json.loads(await socket.receive())["error"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SqlError("no such table: t: SQLITE_ERROR", "select secret from t"), "no such table: t: SQLITE_ERROR"),
        (StorageLimitError("too large"), "too large"),
        (KeyError("name"), "name"),
        (PermissionError("not for you"), "not for you"),
        (TimeoutError(), ""),
        (RemoteError("of the other's own", "Fault"), "of the other's own"),
    ],
)
def test_what_the_program_says_is_told(error: Exception, text: str):
    assert told(error) == text
