"""Cron triggers: no tick is lost, or runs twice, when a clock is put right or a process starts again or takes over."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from edgeagents import Runtime, WorkerEntrypoint
from edgeagents.crons import ScheduledController
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def worker_of(ran: list[str], *expressions: str) -> Worker:
    class Default(WorkerEntrypoint):
        async def scheduled(self, controller: ScheduledController) -> None:
            ran.append(f"{controller.scheduled_time:%H:%M}")

    return Worker(name="w", entrypoint=Default, crons=expressions)


def runtime_of(ran: list[str], clock: ManualClock, folder: Path | None, expression: str = "0 * * * *") -> Runtime:
    return Runtime(worker_of(ran, expression), storage=folder, clock=clock, discover_plugins=False)


def at(clock: ManualClock, time: str) -> float:
    """Return how many seconds there are until ``time`` of the clock's first day."""
    return (datetime.fromisoformat(f"2026-01-01T{time}+00:00") - clock.now()).total_seconds()


def run_here(runtime: Runtime) -> None:
    """Make it the process that has the first shard."""
    runtime._running.objects.shards_changed([0])


def run_elsewhere(runtime: Runtime) -> None:
    runtime._running.objects.shards_changed([1])


async def test_a_clock_that_was_wrong_by_hours_is_followed_when_it_is_put_right(clock):
    ran: list[str] = []
    async with runtime_of(ran, clock, None):
        await clock.advance(at(clock, "08:00:10"))
        clock.set_now(clock.now() - timedelta(hours=5))
        ran.clear()
        await clock.advance(at(clock, "05:30"))
    assert ran == ["04:00", "05:00"]


async def test_nothing_runs_twice_for_a_clock_that_goes_back_by_less(clock):
    ran: list[str] = []
    async with runtime_of(ran, clock, None):
        await clock.advance(at(clock, "08:00:10"))
        clock.set_now(clock.now() - timedelta(hours=2))
        ran.clear()
        await clock.advance(at(clock, "09:30"))
    assert ran == ["09:00"]


async def test_a_tick_at_the_moment_of_a_hand_over_is_run_by_who_takes_over(clock, tmp_path):
    ran: list[str] = []
    async with runtime_of(ran, clock, tmp_path) as runtime:
        run_elsewhere(runtime)
        await clock.advance(at(clock, "01:00:05"))
        assert ran == []
        run_here(runtime)
        await clock.advance(60)
    assert ran == ["01:00"]


async def test_who_takes_over_does_not_run_what_another_process_has_run(clock, tmp_path):
    ran: list[str] = []
    async with runtime_of(ran, clock, tmp_path), runtime_of(ran, clock, tmp_path) as second:
        assert not second.is_first
        await clock.advance(at(clock, "01:30"))
        run_here(second)
        await clock.advance(at(clock, "01:59"))
    assert ran == ["01:00"]


async def test_a_tick_that_falls_in_a_restart_is_run_after_it(clock, tmp_path):
    ran: list[str] = []
    async with runtime_of(ran, clock, tmp_path):
        await clock.advance(at(clock, "01:59:50"))
    await clock.advance(20)
    async with runtime_of(ran, clock, tmp_path):
        await clock.advance(1)
        assert ran == ["01:00", "02:00"]
    async with runtime_of(ran, clock, tmp_path):
        await clock.advance(at(clock, "02:30"))
    assert ran == ["01:00", "02:00"]


async def test_what_was_due_before_the_first_start_or_in_a_long_pause_is_not_made_up_for(clock, tmp_path):
    ran: list[str] = []
    await clock.advance(at(clock, "00:00:10"))
    async with runtime_of(ran, clock, tmp_path):
        await clock.advance(at(clock, "01:30"))
    await clock.advance(at(clock, "04:30"))
    async with runtime_of(ran, clock, tmp_path):
        await clock.advance(at(clock, "05:30"))
    assert ran == ["01:00", "05:00"]


async def test_after_a_wrong_clock_and_a_restart_every_tick_is_run(clock, tmp_path):
    ran: list[str] = []
    clock.set_now(clock.now() + timedelta(hours=9))
    async with runtime_of(ran, clock, tmp_path):
        await clock.advance(at(clock, "10:30"))
    clock.set_now(clock.now() - timedelta(hours=9))
    async with runtime_of(ran, clock, tmp_path):
        await clock.advance(at(clock, "03:30"))
    assert ran == ["10:00", "02:00", "03:00"]


async def test_a_tick_that_cannot_be_noted_is_run_when_it_can(clock, tmp_path, caplog):
    ran: list[str] = []
    async with runtime_of(ran, clock, tmp_path) as runtime:
        (file,) = (tmp_path / "crons").glob("*.sqlite")
        runtime.stores.open("crons", "w", ()).execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await clock.advance(at(clock, "01:00:05"))
        assert ran == []
        assert "waits, since it cannot be noted that it runs" in caplog.text
        other.close()
        await clock.advance(60)
    assert ran == ["01:00"]
