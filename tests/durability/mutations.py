"""Bugs to plant: each undoes one thing that keeps a promise. The simulation has to find every one of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

from edgeagents.agents.job_runner import JobRunner
from edgeagents.objects import alarms, disk, gates
from edgeagents.objects.activation import Activation
from edgeagents.objects.sqlite import Database

__all__ = ["MUTATIONS", "POWER_MUTATIONS"]

MUTATIONS: dict[str, Callable[[], None]] = {}


POWER_MUTATIONS: dict[str, Callable[[], None]] = {}


def power_mutation(plant: Callable[[], None]) -> Callable[[], None]:
    POWER_MUTATIONS[plant.__name__] = plant
    return plant


def mutation(plant: Callable[[], None]) -> Callable[[], None]:
    MUTATIONS[plant.__name__] = plant
    return plant


@mutation
def answers_leave_before_the_commit() -> None:
    async def flushed(self: Any) -> None:
        return None

    gates.OutputGate.flushed = flushed  # type: ignore[method-assign]


@mutation
def frames_leave_before_the_commit() -> None:
    def release(self: Any, send: Callable[..., object], *args: Any) -> None:
        if self._failure is None:
            self._loop.call_soon_threadsafe(send, *args)

    gates.OutputGate.release = release  # type: ignore[method-assign]


@mutation
def chunks_leave_before_the_commit() -> None:
    async def guarded(self: Any, body: Any) -> Any:
        with self.keep_awake():
            async for chunk in body:
                yield chunk

    Activation._guarded = guarded  # type: ignore[method-assign]


@mutation
def every_statement_is_committed_by_itself() -> None:
    note_write = Database.note_write

    def commit_at_once(self: Any) -> None:
        note_write(self)
        self.commit()

    Database.note_write = commit_at_once  # type: ignore[method-assign]


@mutation
def writes_of_sync_handlers_are_torn_apart() -> None:
    gates.OutputGate.begin_handler = lambda self, turn: None  # type: ignore[method-assign]


@mutation
def the_input_gate_is_always_open() -> None:
    gates.InputGate.is_open = property(lambda self: True)  # type: ignore[assignment, method-assign]
    gates.InputGate.is_closed_here = lambda self: False  # type: ignore[method-assign]


@mutation
def events_enter_during_the_start() -> None:
    close_at_once = gates.InputGate.close_at_once

    def close_and_open(self: Any) -> Any:
        section = close_at_once(self)
        self.sections.clear()
        return section

    gates.InputGate.close_at_once = close_and_open  # type: ignore[method-assign]
    gates.InputGate.reopen = _tolerant(gates.InputGate.reopen)  # type: ignore[method-assign]


def _tolerant(reopen: Any) -> Any:
    def tolerant(self: Any, section: Any) -> None:
        if section in self.sections:
            reopen(self, section)

    return tolerant


@mutation
def the_index_of_alarms_is_not_written() -> None:
    alarms._Entry._bring_forward = lambda self, due: False  # type: ignore[method-assign]


@mutation
def an_alarm_is_forgotten_before_its_handler_ends() -> None:
    take_due = alarms.AlarmSlot.take_due

    def take_and_forget(self: Any, now: Any) -> Any:
        info = take_due(self, now)
        if info is not None:
            self._write(None)
        return info

    alarms.AlarmSlot.take_due = take_and_forget  # type: ignore[method-assign]


@mutation
def a_job_is_forgotten_before_it_runs() -> None:
    run = JobRunner._run

    async def forget_and_run(self: Any, job: Any) -> bool:
        self._ctx.storage.database.fetch("delete from cf_agents_jobs where id = ?", (job.id,))
        return await run(self, job)

    JobRunner._run = forget_and_run  # type: ignore[method-assign]


@mutation
def a_reset_keeps_what_was_not_committed() -> None:
    rollback = Database.rollback

    def keep(self: Any) -> None:
        if self.is_writing and not self._levels and self._lost is None:
            Database.commit(self)
        rollback(self)

    Database.rollback = keep  # type: ignore[method-assign]


@mutation
def a_failed_commit_is_taken_for_one() -> None:
    make = gates.OutputGate.__init__

    def make_deaf(self: Any, *args: Any) -> None:
        make(self, *args)
        self._on_failure = lambda error: None

    gates.OutputGate.__init__ = make_deaf  # type: ignore[method-assign]


# Bugs that only a loss of power shows.


@power_mutation
def the_log_is_not_synced() -> None:
    disk.sync_if_there = lambda path: None


@power_mutation
def new_files_are_not_synced() -> None:
    def sync_path(path: str) -> None:
        with contextlib.suppress(FileNotFoundError), open(path, "rb+") as file:
            os.fsync(file)

    disk.sync_if_there = sync_path
    disk.sync_descriptor = lambda descriptor: None


@power_mutation
def folders_are_not_synced() -> None:
    disk.sync_folder = lambda folder: None


@power_mutation
def what_others_left_is_not_synced() -> None:
    gates.OutputGate.inherit = lambda self: None  # type: ignore[method-assign]


@power_mutation
def entries_of_alarms_are_not_synced() -> None:
    alarms._Entry.sync = lambda self: None  # type: ignore[method-assign]
    alarms._Entry.sync_anew = lambda self: None  # type: ignore[method-assign]
