"""Queues over HTTP: pulled and acknowledged as in the REST API of Cloudflare; and a handler is given a batch."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from edgeagents_queues import plugin

from edgeagents import Runtime, WorkerEntrypoint
from edgeagents.bindings import BindingDeclaration
from edgeagents.http import Request
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker

pytestmark = pytest.mark.cloudflare(
    "Workers",
    "Queues: pull consumers",
    "different: every queue without a consumer can be pulled; batches for handlers over `/cdn-cgi/handler/queue`",
)
HOST = "http://localhost:8787"
PATHS = ("/cdn-cgi/local/queues", "/cdn-cgi/handler/queues", "/cdn-cgi/local/client/v4/accounts/a/queues")


class Default(WorkerEntrypoint):
    async def queue(self, batch: Any) -> None:
        if batch.queue == "bad":
            batch.messages[0].ack()
            raise ValueError("no")
        for message in batch.messages:
            if message.body == "again":
                message.retry(delay_seconds=7)
            elif message.body == "done":
                message.ack()
        if batch.queue == "later":
            batch.retry_all(delay_seconds=3)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def runtime(clock):
    bindings = [
        BindingDeclaration("JOBS", "queue", {"queue": "jobs"}),
        BindingDeclaration("LOST", "queue", {"queue": "lost"}),
        BindingDeclaration("OPEN", "queue", {"queue": "open"}),
        BindingDeclaration(
            "", "queue_consumer", {"queue": "jobs", "type": "http_pull", "max_retries": 1, "dead_letter_queue": "lost"}
        ),
        BindingDeclaration("", "queue_consumer", {"queue": "pushed"}),
    ]
    worker = Worker("w", bindings=bindings, entrypoint=Default)
    async with Runtime(worker, storage=None, clock=clock, plugins=[plugin], discover_plugins=False) as runtime:
        yield runtime


async def post(runtime: Runtime, path: str, body: object = None, status: int = 200) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    answer = await runtime.fetch(Request(HOST + path, method="POST", body="" if body is None else text))
    told = await answer.text()
    assert answer.status == status, told
    return json.loads(told) if told.startswith("{") else told


async def pull(runtime: Runtime, queue: str = "jobs", **wanted: Any) -> list[dict[str, Any]]:
    return (await post(runtime, f"{PATHS[0]}/{queue}/messages/pull", wanted))["result"]["messages"]


async def ack(runtime: Runtime, queue: str = "jobs", **wanted: Any) -> dict[str, Any]:
    return (await post(runtime, f"{PATHS[0]}/{queue}/messages/ack", wanted))["result"]


def lease(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"lease_id": message["lease_id"], **more}


@pytest.mark.parametrize("path", PATHS)
async def test_messages_are_pulled_with_what_is_known_of_them(runtime, clock, path):
    await runtime.env.JOBS.send({"n": 1})
    await runtime.env.JOBS.send("text", content_type="text")
    await runtime.env.JOBS.send(b"\x00\xff", content_type="bytes")
    answer = await post(runtime, f"{path}/jobs/messages/pull", {"batch_size": 2})
    assert {key: answer[key] for key in ("success", "errors", "messages")} == {
        "success": True,
        "errors": [],
        "messages": [],
    }
    first, second = answer["result"]["messages"]
    assert answer["result"]["message_backlog_count"] == 3
    assert json.loads(base64.b64decode(first["body"])) == {"n": 1}
    assert first["metadata"]["CF-Content-Type"] == "json"
    assert (first["attempts"], first["timestamp_ms"]) == (1, int(clock.now().timestamp() * 1000))
    assert second["body"] == "text"
    (third,) = await pull(runtime)
    assert base64.b64decode(third["body"]) == b"\x00\xff"
    assert await pull(runtime) == []


async def test_what_is_acknowledged_is_gone_and_what_is_retried_comes_again(runtime, clock):
    await runtime.env.JOBS.send_batch([{"body": n} for n in range(3)])
    one, two, three = await pull(runtime)
    told = await ack(runtime, acks=[lease(one)], retries=[lease(two), lease(three, delay_seconds=60)])
    assert told == {"ackCount": 1, "retryCount": 2, "warnings": {}}
    (again,) = await pull(runtime)
    assert (again["id"], again["attempts"]) == (two["id"], 2)
    await clock.advance(61)
    assert three["id"] in [message["id"] for message in await pull(runtime)]


async def test_a_lease_ends_and_is_worth_nothing_then(runtime, clock):
    await runtime.env.JOBS.send(1)
    (first,) = await pull(runtime, visibility_timeout_ms=2000)
    assert await pull(runtime) == []
    await clock.advance(2.1)
    (second,) = await pull(runtime)
    assert second["attempts"] == 2
    told = await ack(runtime, acks=[lease(first), {"lease_id": "nonsense"}])
    assert (told["ackCount"], set(told["warnings"])) == (0, {first["lease_id"], "nonsense"})
    assert (await ack(runtime, acks=[lease(second)]))["ackCount"] == 1
    assert (await runtime.env.JOBS.metrics())["backlogCount"] == 0


async def test_what_fails_too_often_goes_to_the_dead_letter_queue(runtime, clock):
    await runtime.env.JOBS.send("told")
    await runtime.env.JOBS.send("untold")
    await pull(runtime, visibility_timeout_ms=1000)
    await clock.advance(1.1)
    messages = await pull(runtime, visibility_timeout_ms=1000)
    await ack(runtime, retries=[lease(messages[0])])
    assert (await runtime.env.LOST.metrics())["backlogCount"] == 1
    await clock.advance(1.1)
    assert await pull(runtime) == []
    assert (await runtime.env.LOST.metrics())["backlogCount"] == 2
    assert [message["attempts"] for message in await pull(runtime, "lost")] == [1, 1]


async def test_messages_are_sent_over_http(runtime):
    await post(runtime, f"{PATHS[0]}/open/messages", {"body": {"n": 1}})
    await post(runtime, f"{PATHS[0]}/open/messages/batch", {"messages": [{"body": "x", "content_type": "text"}]})
    assert len(await pull(runtime, "open")) == 2
    refused = await post(runtime, f"{PATHS[0]}/open/messages", {"no": "body"}, status=400)
    assert refused["success"] is False
    assert (await post(runtime, f"{PATHS[0]}/open/messages/batch", {"messages": []}, status=400))["errors"] == [
        {"code": 400, "message": "sendBatch() requires at least one message"}
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("pushed/messages/pull", {}, 400, "has a worker as its consumer"),
        ("jobs/messages/pull", {"batch_size": 101}, 400, "batch_size is a whole number from 1 to 100, not 101."),
        ("jobs/messages/pull", {"batch_size": "1"}, 400, "batch_size is a whole number"),
        ("jobs/messages/pull", {"visibility_timeout_ms": 43_200_001}, 400, "visibility_timeout_ms"),
        ("jobs/messages/pull", [], 400, "The body is an object"),
        ("jobs/messages/pull", "{", 400, ""),
        ("jobs/messages/ack", {"acks": ["x"]}, 400, "acks is a list of objects with a lease_id."),
        ("jobs/messages/ack", {"retries": [{"lease_id": "x", "delay_seconds": 86_401}]}, 400, "delay_seconds"),
        ("jobs/messages/nope", {}, 404, "There is nothing here"),
    ],
)
async def test_what_cannot_be_is_refused_in_the_same_shape(runtime, path, body, status, text):
    answer = await post(runtime, f"{PATHS[0]}/{path}", body, status=status)
    assert (answer["success"], answer["result"]) == (False, None)
    assert text in answer["errors"][0]["message"]


@pytest.mark.parametrize("path", ["/cdn-cgi/handler/queue", "/cdn-cgi/local/queue"])
async def test_a_handler_is_given_a_batch_and_tells_what_it_decided(runtime, path):
    messages = [{"id": "a", "body": "done"}, {"id": "b", "body": "again", "attempts": 3}, {"id": "c", "body": {}}]
    assert await post(runtime, path, {"queue": "any", "messages": messages}) == {
        "outcome": "ok",
        "ackAll": False,
        "retryBatch": {"retry": False},
        "explicitAcks": ["a"],
        "retryMessages": [{"msgId": "b", "delaySeconds": 7}],
    }
    told = await post(runtime, f"{path}?queue=later", [{"body": 1}])
    assert told["retryBatch"] == {"retry": True, "delaySeconds": 3}


async def test_a_handler_that_fails_is_told_of(runtime, caplog):
    told = await post(runtime, "/cdn-cgi/handler/queue", {"queue": "bad", "messages": [{"body": 1}]}, status=500)
    assert (told["outcome"], len(told["explicitAcks"]), told["retryBatch"]["retry"]) == ("exception", 1, True)
    assert "ValueError: no" in caplog.text


@pytest.mark.parametrize("body", [{}, {"queue": "x"}, {"queue": "x", "messages": [1]}, {"messages": [{"body": 1}]}])
async def test_what_is_no_batch_is_refused(runtime, body):
    await post(runtime, "/cdn-cgi/handler/queue", body, status=400)
