"""A queue keeps, delivers, retries and gives up as Cloudflare's does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from edgeagents_queues import MessageBatch, QueueError, plugin

from edgeagents import Runtime, WorkerEntrypoint
from edgeagents.bindings import BindingDeclaration
from edgeagents.hookspecs import hookimpl
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker

pytestmark = pytest.mark.cloudflare("Workers", "Queues", "different: they are handled in process")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def runtime_of(
    handle: Callable[[MessageBatch], Any], clock: ManualClock, storage: Path | None = None, **settings: Any
) -> Runtime:
    class Default(WorkerEntrypoint):
        async def queue(self, batch: MessageBatch) -> None:
            result = handle(batch)
            if asyncio.iscoroutine(result):
                await result

    bindings = [
        BindingDeclaration("JOBS", "queue", {"queue": "jobs"}),
        BindingDeclaration("LOST", "queue", {"queue": "lost", "delivery_delay": 5}),
        BindingDeclaration("", "queue_consumer", {"queue": "jobs", "max_batch_timeout": 1, **settings}),
    ]
    worker = Worker("w", bindings=bindings, entrypoint=Default)
    return Runtime(worker, storage=storage, clock=clock, plugins=[plugin], discover_plugins=False)


async def test_a_batch_goes_out_when_it_is_full_or_has_waited(clock):
    batches: list[list[Any]] = []
    async with runtime_of(lambda batch: batches.append([m.body for m in batch.messages]), clock) as runtime:
        jobs = runtime.env.JOBS
        sent = await jobs.send({"n": 0})
        assert sent["metadata"]["metrics"]["backlogCount"] == 1
        await clock.advance(0.9)
        assert batches == []
        await clock.advance(0.2)
        assert batches == [[{"n": 0}]]
        await jobs.send_batch([{"body": n} for n in range(7)])
        await clock.advance(0.01)
        assert batches[1] == [0, 1, 2, 3, 4]
        await clock.advance(1.1)
        assert batches[2] == [5, 6]
        assert (await jobs.metrics())["backlogCount"] == 0


async def test_a_queue_is_taken_from_once_after_a_start_that_failed(clock):
    class Broker:
        faults: ClassVar = [OSError("cannot reach the broker")]

        @hookimpl
        async def startup(self) -> None:
            if self.faults:
                raise self.faults.pop()

    batches: list[list[Any]] = []
    worker = runtime_of(lambda batch: batches.append([m.body for m in batch.messages]), clock).worker
    runtime = Runtime(worker, storage=None, clock=clock, plugins=[plugin, Broker()], discover_plugins=False)
    with pytest.raises(OSError, match="broker"):
        await runtime.start()
    async with runtime:
        await runtime.env.JOBS.send("x")
        await clock.advance(1.1)
    assert batches == [["x"]]


async def test_bodies_keep_their_kind_and_messages_tell_of_themselves(clock):
    seen: list[Any] = []
    async with runtime_of(lambda batch: seen.extend(batch.messages), clock) as runtime:
        jobs = runtime.env.JOBS
        for body, kind in (("text", "text"), (b"\x00", "bytes"), ({"a": [1, None]}, "json"), ({1, 2}, "v8")):
            await jobs.send(body, content_type=kind)
        sent_at = clock.now()
        await clock.advance(1.1)
    assert [m.body for m in seen] == ["text", b"\x00", {"a": [1, None]}, {1, 2}]
    assert {(m.attempts, m.timestamp) for m in seen} == {(1, sent_at)}
    assert len({m.id for m in seen}) == 4


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text", {"a": 1}, 'Content Type "text" requires a value of type string, but received: object'),
        ("bytes", "x", "requires a value of type ArrayBufferView"),
        ("xml", "x", "Unsupported queue message content type: xml"),
    ],
)
async def test_bodies_of_another_kind_are_refused(clock, kind, body, text):
    async with runtime_of(lambda batch: None, clock) as runtime:
        with pytest.raises(TypeError, match=text):
            await runtime.env.JOBS.send(body, content_type=kind)


async def test_what_is_sent_has_limits(clock):
    async with runtime_of(lambda batch: None, clock) as runtime:
        jobs = runtime.env.JOBS
        await jobs.send("x" * 127_998)
        with pytest.raises(QueueError, match="message length of 128001 bytes exceeds limit of 128000"):
            await jobs.send("x" * 127_999)
        with pytest.raises(QueueError, match="batch message count of 101 exceeds limit of 100"):
            await jobs.send_batch([{"body": 1}] * 101)
        with pytest.raises(QueueError, match="exceeds limit of 288000"):
            await jobs.send_batch([{"body": "x" * 100_000}] * 3)
        with pytest.raises(TypeError, match="at least one message"):
            await jobs.send_batch([])
        with pytest.raises(QueueError, match="between 0 and 86400"):
            await jobs.send(1, delay_seconds=86_401)
        with pytest.raises(QueueError, match="delaySeconds is a number of seconds, not 'soon'"):
            await jobs.send(1, delay_seconds="soon")


@pytest.mark.parametrize(
    ("messages", "told"),
    [("x", "not of type 'Sequence'"), ([5], "not of type 'MessageSendRequest'"), ([{}], "body cannot be undefined")],
    ids=["text", "a number", "no body"],
)
async def test_a_batch_is_a_list_of_messages(clock, messages, told):
    async with runtime_of(lambda batch: None, clock) as runtime:
        with pytest.raises(TypeError, match=told):
            await runtime.env.JOBS.send_batch(messages)


async def test_a_delay_is_kept(clock):
    seen: list[Any] = []
    async with runtime_of(
        lambda batch: seen.extend(m.body for m in batch.messages), clock, max_batch_timeout=0
    ) as runtime:
        await runtime.env.JOBS.send("later", delay_seconds=10)
        await clock.advance(9.9)
        assert seen == []
        await clock.advance(0.2)
        assert seen == ["later"]


async def test_each_message_is_marked_by_itself(clock):
    seen: list[tuple[Any, int]] = []

    def handle(batch: MessageBatch) -> None:
        for message in batch.messages:
            seen.append((message.body, message.attempts))
            if message.body == "again" and message.attempts == 1:
                message.retry(delay_seconds=5)
                message.ack()  # Too late.

    async with runtime_of(handle, clock) as runtime:
        await runtime.env.JOBS.send_batch([{"body": "done"}, {"body": "again"}])
        await clock.advance(1.1)
        assert seen == [("done", 1), ("again", 1)]
        await clock.advance(6.2)
        assert seen[2:] == [("again", 2)]


async def test_a_handler_that_raises_has_the_rest_again_and_then_the_dead_letter_queue_has_it(clock, caplog):
    seen: list[tuple[Any, int]] = []

    def handle(batch: MessageBatch) -> None:
        for message in batch.messages:
            seen.append((message.body, message.attempts))
            if message.body == "good":
                message.ack()
        raise ValueError("no")

    async with runtime_of(handle, clock, max_retries=1, retry_delay=2, dead_letter_queue="lost") as runtime:
        await runtime.env.JOBS.send_batch([{"body": "good"}, {"body": "bad"}])
        for _ in range(10):
            await clock.advance(1.1)
        assert seen == [("good", 1), ("bad", 1), ("bad", 2)]
        assert (await runtime.env.LOST.metrics())["backlogCount"] == 1
        assert (await runtime.env.JOBS.metrics())["backlogCount"] == 0
    assert "The queue() handler failed" in caplog.text


async def test_the_whole_batch_can_be_retried(clock):
    attempts: list[int] = []

    def handle(batch: MessageBatch) -> None:
        attempts.extend(message.attempts for message in batch.messages)
        batch.messages[0].ack()
        batch.retry_all()
        batch.ack_all()  # Too late.

    async with runtime_of(handle, clock, max_retries=1) as runtime:
        await runtime.env.JOBS.send_batch([{"body": 1}, {"body": 2}])
        for _ in range(5):
            await clock.advance(1.1)
    assert attempts == [1, 1, 2]


async def test_messages_survive_a_restart_and_those_that_were_out_come_again(tmp_path, clock):
    stuck = asyncio.Event()

    async def hang(batch: MessageBatch) -> None:
        await stuck.wait()

    seen: list[tuple[Any, int]] = []
    first = runtime_of(hang, clock, tmp_path)
    await first.start()
    await first.env.JOBS.send("out")
    await clock.advance(1.1)
    await first.env.JOBS.send("waiting", delay_seconds=3)
    # The process ends here: the handler never does, and nobody settles its batch.
    second = runtime_of(lambda batch: seen.extend((m.body, m.attempts) for m in batch.messages), clock, tmp_path)
    first._running.triggers[0]._is_open = False
    for task in first._running.triggers[0]._running:
        task.cancel()
    async with second:
        await clock.advance(5)
        assert seen == [("waiting", 1)]
        await clock.advance(40)
        assert seen[1:] == [("out", 2)]
    await first.stop()


async def test_a_handler_that_never_returns_is_ended_and_the_queue_goes_on(clock, caplog):
    seen: list[Any] = []

    async def handle(batch: MessageBatch) -> None:
        seen.append([(m.body, m.attempts) for m in batch.messages])
        if len(seen) == 1:
            await asyncio.Event().wait()

    async with runtime_of(handle, clock) as runtime:
        await runtime.env.JOBS.send("a")
        await clock.advance(1.1)
        await runtime.env.JOBS.send("b")
        for _ in range(14):
            await clock.advance(60)
        assert seen == [[("a", 1)]]
        await clock.advance(70)
        await clock.advance(1.1)
    assert sorted(message for batch in seen[1:] for message in batch) == [("a", 2), ("b", 1)]
    assert "longer than 15 minutes" in caplog.text


async def test_a_disk_that_fails_for_a_while_stops_no_consumer(clock, tmp_path, caplog):
    seen: list[Any] = []
    async with runtime_of(lambda batch: seen.extend(m.body for m in batch.messages), clock, tmp_path) as runtime:
        await runtime.env.JOBS.send(1)
        database = runtime.stores.open("queues", "queues", ())
        database.execute("PRAGMA busy_timeout = 1")
        other = sqlite3.connect(tmp_path / "queues" / "queues.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await clock.advance(2.5)
        assert seen == []
        assert "The queue jobs could not be looked at" in caplog.text
        other.close()
        await clock.advance(1.1)
        assert seen == [1]


async def test_one_message_that_cannot_be_settled_does_not_bring_the_others_back(clock, caplog):
    seen: list[Any] = []

    def handle(batch: MessageBatch) -> None:
        seen.extend((m.body, m.attempts) for m in batch.messages)
        if batch.messages[0].body == 0 and batch.messages[0].attempts == 1:
            batch.messages[0].retry(delay_seconds=float("nan"))

    async with runtime_of(handle, clock) as runtime:
        await runtime.env.JOBS.send_batch([{"body": 0}, {"body": 1}])
        await clock.advance(1.1)
        await clock.advance(40)
        assert seen == [(0, 1), (1, 1), (0, 2)]
    assert "could not be kept" in caplog.text


async def test_dates_and_bytes_in_json_are_as_javascript_writes_them(clock):
    seen: list[Any] = []
    when = datetime(2024, 1, 2, 3, 4, 5, 6000, tzinfo=UTC)
    async with runtime_of(lambda batch: seen.extend(m.body for m in batch.messages), clock) as runtime:
        await runtime.env.JOBS.send({"when": when, "bytes": b"\x01\xff"})
        with pytest.raises(TypeError, match='A set has no form in JSON: send it with the content type "v8"'):
            await runtime.env.JOBS.send({1, 2})
        await clock.advance(1.1)
    assert seen == [{"when": "2024-01-02T03:04:05.006Z", "bytes": {"0": 1, "1": 255}}]
