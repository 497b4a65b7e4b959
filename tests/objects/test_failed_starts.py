"""An error of a start is told with the program's own lines, also where it is one of edgeagents' own."""

from __future__ import annotations

import asyncio
import gc
import traceback
import weakref

import pytest

from edgeagents import Agent, DurableObject, Runtime, get_agent_by_name
from edgeagents.errors import SqlError
from edgeagents.testing import agent_runtime, settle


class Shelf(Agent):
    async def on_start(self) -> None:
        self.make_tables()

    def make_tables(self) -> None:
        self.sql("creat table books (title)")


class Box(DurableObject):
    def __init__(self, ctx, env) -> None:
        super().__init__(ctx, env)
        self.ctx.storage.sql.exec("creat table things (a)")

    async def look(self) -> None:
        return None


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


async def test_a_failed_statement_in_on_start_is_told_with_its_lines_and_its_text() -> None:
    async with agent_runtime(Shelf):
        with pytest.raises(SqlError) as raised:
            await get_agent_by_name(Shelf, "x")
    text = told(raised.value)
    assert "in on_start" in text
    assert "self.make_tables()" in text
    assert "The statement: creat table books (title)" in text
    assert raised.value.__cause__ is not raised.value


async def test_so_is_one_in_a_constructor() -> None:
    async with Runtime(agents=[Box], storage=None, discover_plugins=False) as runtime:
        with pytest.raises(SqlError) as raised:
            await runtime.namespaces["Box"].get_by_name("x").look()
    assert 'exec("creat table things (a)")' in told(raised.value)


async def test_all_who_wait_for_the_start_get_the_lines_once() -> None:
    async with agent_runtime(Shelf):
        errors = await asyncio.gather(*(get_agent_by_name(Shelf, "x") for _ in range(20)), return_exceptions=True)
    assert {type(error) for error in errors} == {SqlError}
    assert all(told(error).count("in on_start") == 1 for error in errors)
    assert all(told(error).count("in handle") <= 1 for error in errors)


async def test_an_object_whose_start_failed_leaves_memory() -> None:
    made: list[weakref.ref[object]] = []

    class Short(Agent):
        async def on_start(self) -> None:
            made.append(weakref.ref(self))
            self.sql("nonsense")

    async with agent_runtime(Short):
        for _ in range(5):
            with pytest.raises(SqlError):
                await get_agent_by_name(Short, "x")
        await settle()
        gc.collect()
        # The context of this task may still name the last.
        assert [each() for each in made[:4]] == [None] * 4
