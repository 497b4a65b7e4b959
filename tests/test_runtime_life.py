"""The life of a runtime: a start that fails undoes what it had begun, and a stop ends everything, whatever fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeagents import Agent, DurableObject, Request, WorkerEntrypoint, get_agent_by_name, running
from edgeagents.hookspecs import hookimpl
from edgeagents.placement import FolderClaim
from edgeagents.runtime import Runtime
from edgeagents.runtime_arguments import worker_of
from edgeagents.testing import agent_runtime, connect, settle


class Note(Agent):
    async def write(self, text: str) -> str:
        self.ctx.storage.kv.put("text", text)
        return text

    async def read(self) -> str | None:
        return self.ctx.storage.kv.get("text")


class Part:
    """A plugin that tells when it starts and ends, and may fail at that."""

    def __init__(self, name: str, told: list[str], fails: tuple[str, ...] = ()) -> None:
        self.__name__ = name
        self._told, self.fails = told, fails

    def _tell(self, what: str) -> None:
        if what in self.fails:
            raise OSError(f"{self.__name__} cannot {what}")
        self._told.append(f"{self.__name__} {what}")

    @hookimpl
    async def startup(self) -> None:
        self._tell("start")

    @hookimpl
    async def shutdown(self) -> None:
        self._tell("end")

    @hookimpl
    def register_triggers(self) -> list[Any]:
        return [_Trigger(self.__name__, self._tell)]


class _Trigger:
    def __init__(self, name: str, tell: Callable[[str], None]) -> None:
        self.name, self._tell = name, tell

    async def start(self) -> None:
        self._tell("triggers")

    async def stop(self) -> None:
        self._tell("triggers no more")


def parts(*fails: str) -> tuple[list[str], Part, Part]:
    told: list[str] = []
    return told, Part("one", told), Part("two", told, fails)


def note(runtime: Runtime, name: str = "a") -> Any:
    return runtime.namespaces["Note"].get_by_name(name)


def is_free(folder: Path) -> bool:
    claim = FolderClaim(folder)
    claim.take_whole()
    claim.release()
    return True


# The start


async def test_a_start_that_failed_can_be_tried_again(tmp_path):
    told, one, two = parts("triggers")
    runtime = agent_runtime(Note, storage=tmp_path, plugins=[one, two])
    with pytest.raises(OSError, match="two cannot triggers"):
        await runtime.start()
    assert told == ["two start", "one start", "one triggers", "one triggers no more", "one end", "two end"]
    assert (runtime.state, is_free(tmp_path)) == ("new", True)

    two.fails = ()
    await runtime.start()
    assert await note(runtime).write("x") == "x"
    await runtime.stop()
    assert (runtime.state, is_free(tmp_path)) == ("stopped", True)


async def test_who_asks_for_a_start_that_failed_asks_for_another():
    told, one, two = parts("start")
    runtime = agent_runtime(Note, plugins=[one, two])
    with pytest.raises(OSError, match="two cannot start"):
        await runtime.ensure_started()
    assert told == []
    two.fails = ()
    await runtime.ensure_started()
    assert await note(runtime).write("x") == "x"
    await runtime.stop()


async def test_what_does_not_end_well_after_a_start_that_failed_is_logged(caplog):
    _, one, two = parts("triggers", "end")
    with pytest.raises(OSError, match="two cannot triggers"):
        await agent_runtime(Note, plugins=[one, two]).start()
    assert "two cannot end" in caplog.text


async def test_a_runtime_that_starts_is_not_started_once_more():
    going_on = asyncio.Event()

    class Slow:
        @hookimpl
        async def startup(self) -> None:
            await going_on.wait()

    runtime = agent_runtime(Note, plugins=[Slow()])
    starting = asyncio.ensure_future(runtime.start())
    await settle()
    assert runtime.state == "new"
    with pytest.raises(RuntimeError, match="running already"):
        await runtime.start()
    going_on.set()
    await starting
    await runtime.stop()


async def test_a_plugin_may_call_agents_when_it_starts_where_processes_share_a_folder(tmp_path):
    class Calling:
        @hookimpl
        async def startup(self, runtime: Runtime) -> None:
            await note(runtime).write("early")

        @hookimpl
        async def shutdown(self, runtime: Runtime) -> None:
            await note(runtime, "b").write("late")

    async with agent_runtime(Note, storage=tmp_path, plugins=[Calling()]) as runtime:
        assert await note(runtime).read() == "early"
    async with agent_runtime(Note, storage=tmp_path) as runtime:
        assert await note(runtime, "b").read() == "late"


# The stop


async def test_a_plugin_that_fails_at_its_end_keeps_nothing_from_ending(tmp_path):
    told, one, two = parts("end")
    runtime = agent_runtime(Note, storage=tmp_path, plugins=[one, two])
    await runtime.start()
    socket = await connect(runtime, "/agents/note/a")
    with pytest.raises(OSError, match="two cannot end"):
        await runtime.stop()
    await settle()
    assert told[-3:] == ["two triggers no more", "one triggers no more", "one end"]
    assert socket.closed is not None
    assert socket.closed.code == 1012
    assert (runtime.state, is_free(tmp_path)) == ("stopped", True)
    await runtime.stop()  # Nothing is left to be done.


async def test_all_that_fails_at_the_end_is_told_at_once():
    told, one, two = parts("end", "triggers no more")
    runtime = agent_runtime(Note, plugins=[one, two])
    await runtime.start()
    with pytest.raises(ExceptionGroup) as raised:
        await runtime.stop()
    assert [str(error) for error in raised.value.exceptions] == ["two cannot triggers no more", "two cannot end"]
    assert told[-2:] == ["one triggers no more", "one end"]


async def test_an_object_that_cannot_be_kept_keeps_no_other_one_in_memory(tmp_path, monkeypatch):
    async def fail() -> None:
        raise OSError("the disk is gone")

    runtime = agent_runtime(Note, storage=tmp_path)
    await runtime.start()
    for name in "abc":
        await note(runtime, name).write(name)
    (slots,) = (directory.slots() for directory in runtime._running.objects.directories.values())
    monkeypatch.setattr(slots[0].activation.output, "flushed", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        await runtime.stop()
    assert [slot.activation for slot in slots] == [None] * 3
    assert is_free(tmp_path)


class Leaving(DurableObject):
    """It calls another one when it ends, which does the same."""

    async def begin(self) -> None:
        self.ctx.wait_until(self._run())

    async def _run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            number = int(self.ctx.id.name or "") + 1
            await self.env.Leaving.jurisdiction("eu").get_by_name(str(number)).begin()


async def test_objects_that_wake_others_when_they_end_come_to_an_end():
    runtime = agent_runtime(Leaving)
    await runtime.start()
    await runtime.namespaces["Leaving"].get_by_name("0").begin()
    await asyncio.wait_for(runtime.stop(), 10)
    directories = runtime._running.objects.directories
    assert sorted(directories) == ["Leaving", "Leaving:eu"]
    assert [slot for directory in directories.values() for slot in directory.slots() if slot.activation] == []


# What a worker's events leave to be done


class Later(WorkerEntrypoint):
    async def fetch(self, request: Request) -> str:
        self.ctx.wait_until(self._write() if request.path == "/short" else self._wait())
        return "done"

    async def _write(self) -> None:
        await settle()
        await (await get_agent_by_name(Note, "a")).write("after the answer")

    async def _wait(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await settle()
            self.env.kept.append("cleaned up")


async def after_a_stop(path: str, folder: Path, kept: list[str]) -> Any:
    """Answer a request and stop at once. Return what the agent has after the next start."""
    worker = replace(worker_of([Note]), entrypoint=Later)
    async with Runtime(worker, storage=folder, env={"kept": kept}, discover_plugins=False) as runtime:
        assert await (await runtime.fetch(Request(path))).text() == "done"
    assert runtime._running.tasks == set()
    async with agent_runtime(Note, storage=folder) as again:
        return await note(again).read()


async def test_what_a_worker_left_for_after_its_answer_is_done_before_the_stop(tmp_path):
    assert await after_a_stop("/short", tmp_path, []) == "after the answer"


async def test_what_takes_too_long_then_is_cancelled_and_cleans_up_before_the_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_GRACE", 0.2)
    kept: list[str] = []
    assert await after_a_stop("/long", tmp_path, kept) is None
    assert kept == ["cleaned up"]
