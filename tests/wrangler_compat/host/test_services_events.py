"""Events that a service binding hands to an entrypoint: ``scheduled``, ``queue``, ``connect``. As on workerd."""

from __future__ import annotations

import json

import pytest

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare(
    "Workers", "Python: `scheduled()`, `queue()` and `connect()` of a service binding", "same"
)

WORKER = """
    import json
    import js
    from pyodide.ffi import JsException, jsnull, to_js
    from workers import Response, WorkerEntrypoint

    seen = []

    def message(id, body):
        return js.Object.fromEntries([["id", id], ["timestamp", js.Date.new(5)], ["attempts", 1], ["body", body]])

    class Bare(WorkerEntrypoint):
        pass

    class Other(WorkerEntrypoint):
        async def scheduled(self, controller, env, ctx):
            seen.append([controller.scheduledTime, controller.cron])
            if controller.cron == "fail":
                raise ValueError("no")
            controller.noRetry()

        async def queue(self, batch, env, ctx):
            batch = getattr(batch, "_binding", batch)
            messages = batch.messages
            seen.append([batch.constructor.name, batch.queue, batch.metadata.metrics.backlogCount, *(
                [m.constructor.name, m.id, m.timestamp.getTime(), m.attempts, str(m.body)] for m in messages)])
            if batch.queue == "acks":
                messages[0].ack()
                messages[1].retry()
                messages[2].retry(delaySeconds=7)
                messages[2].ack()
                messages[0].retry()
            if batch.queue == "ackall":
                messages[0].retry()
                batch.ackAll()
                batch.retryAll()
            if batch.queue == "retryall":
                messages[0].ack()
                batch.retryAll(delaySeconds=3)
                batch.ackAll()
            if batch.queue == "fail":
                messages[0].ack()
                raise ValueError("no")

        async def connect(self, socket):
            reader = socket.readable.getReader()
            asked = await reader.read()
            writer = socket.writable.getWriter()
            await writer.write(js.TextEncoder.new().encode("you said " + asked.value.to_string()))

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            raw = self.ctx.exports
            return Response(json.dumps(await getattr(self, request.url.rpartition("/")[2])(raw.Other, raw.Bare)))

        async def queues(self, other, bare):
            many = to_js([message(str(n), n) for n in range(1, 5)])
            results = [json.loads(js.JSON.stringify(await service.queue(name, many)))
                for service, name in ((other, "q"), (other, "acks"), (other, "ackall"), (other, "retryall"),
                    (other, "fail"), (bare, "q"))]
            return [results, seen[0]]

        async def wrong(self, other, bare):
            said = []
            for messages in (None, [js.Object.new()], [js.Object.fromEntries([["timestamp", js.Date.new(5)]])]):
                try:
                    await other.queue("q", to_js(messages))
                except JsException as error:
                    said.append(str(error))
            return said

        async def crons(self, other, bare):
            results = [json.loads(js.JSON.stringify(await service.scheduled(scheduledTime=js.Date.new(7), cron=cron)))
                for service, cron in ((other, "* * * * *"), (other, "fail"), (bare, "* * * * *"))]
            return [results, seen]

        async def sockets(self, other, bare):
            socket = other.connect("anywhere:80")
            await socket.writable.getWriter().write(js.TextEncoder.new().encode("hi"))
            answer = "".join([chunk.to_string() async for chunk in socket.readable])
            await socket.closed
            try:
                await bare.connect("anywhere:80").opened
            except JsException as error:
                return [answer, (await socket.opened).remoteAddress, str(error)]
"""


async def asked(run: RunWorker, what: str) -> object:
    return json.loads(await (await run(WORKER)).text(f"/{what}"))


async def test_a_batch_is_handled_and_what_was_decided_is_told(run: RunWorker) -> None:
    def result(outcome="ok", ack=False, retry=None, acks=(), retries=()) -> dict[str, object]:
        how = {"retry": False} if retry is None else {"retry": True, "delaySeconds": retry}
        return {
            "outcome": outcome,
            "ackAll": ack,
            "retryBatch": how,
            "explicitAcks": list(acks),
            "retryMessages": list(retries),
        }

    results, seen = await asked(run, "queues")
    assert results == [
        result(),
        result(acks=["1"], retries=[{"msgId": "2"}, {"msgId": "3", "delaySeconds": 7}]),
        result(ack=True, retries=[{"msgId": "1"}]),
        result(retry=3, acks=["1"]),
        result("exception", acks=["1"]),
        result("exception"),
    ]
    assert seen == ["QueueController", "q", 0, *(["QueueMessage", str(n), 5, 1, str(n)] for n in range(1, 5))]


async def test_messages_that_are_none_are_refused(run: RunWorker) -> None:
    assert await asked(run, "wrong") == [
        "TypeError: Failed to execute 'queue' on 'Fetcher': parameter 2 is not of type 'Array'.",
        "TypeError: Incorrect type for the 'timestamp' field on 'ServiceBindingQueueMessage': "
        "the provided value is not of type 'date'.",
        "TypeError: Expected one of body or serializedBody for each message",
    ]


async def test_a_time_is_handled_and_how_it_ended_is_told(run: RunWorker) -> None:
    results, seen = await asked(run, "crons")
    assert seen == [[7, "* * * * *"], [7, "fail"]]
    assert [each["outcome"] for each in results] == ["ok", "exception", "exception"]
    assert [each["noRetry"] for each in results[:2]] == [True, False]


async def test_a_socket_reaches_the_entrypoint(run: RunWorker) -> None:
    assert await asked(run, "sockets") == [
        *("you said hi", "anywhere:80", "TypeError: Incoming CONNECT on a worker not supported"),
    ]
