"""WebSockets that an object of the SDK hibernates with: handlers, tags, attachments, answers by themselves."""

from __future__ import annotations

import pytest

from edgeagents.testing import ManualClock

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: hibernatable WebSockets of the SDK's objects", "same")

ROOM = """
    import json
    from js import WebSocketPair, WebSocketRequestResponsePair
    from workers import DurableObject, Response, WorkerEntrypoint

    class Room(DurableObject):
        def __init__(self, ctx, env):
            super().__init__(ctx, env)
            self.messages = 0
            self.ctx.setWebSocketAutoResponse(WebSocketRequestResponsePair.new("ping", "pong"))

        async def fetch(self, request):
            client, server = WebSocketPair.new().object_values()
            self.ctx.acceptWebSocket(server, ["red", request.url.rpartition("/")[2]])
            server.serializeAttachment({"url": request.url})
            server.send("welcome")
            return Response(None, status=101, web_socket=client)

        async def webSocketMessage(self, ws, message):
            self.messages += 1
            if message == "all":
                for each in self.ctx.getWebSockets():
                    each.send(json.dumps(list(self.ctx.getTags(each))))
            elif message == "who":
                ws.send(ws.deserializeAttachment().url)
            elif message == "close":
                ws.close(4001, "as you like")
            elif isinstance(message, str):
                ws.send(f"{message} {self.messages}")
            else:
                ws.send(message)

        def webSocketClose(self, ws, code, reason, was_clean):
            ws.close(code, reason)
            for each in self.ctx.getWebSockets("red"):
                each.send(f"left: {code} {reason} {was_clean}")

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            return await self.env.ROOM.getByName("a").fetch(request)
"""


async def test_a_message_sent_before_the_handshake_ends_comes_first(run: RunWorker) -> None:
    worker = await run(ROOM, objects=["Room"])
    socket = await worker.connect("/one")
    assert await socket.receive() == "welcome"
    socket.send("hello")
    assert await socket.receive() == "hello 1"


async def test_bytes_arrive_as_bytes_and_leave_as_bytes(run: RunWorker) -> None:
    worker = await run(ROOM, objects=["Room"])
    socket = await worker.connect("/one")
    assert await socket.receive() == "welcome"
    socket.send(b"\x00\xff")
    assert await socket.receive() == b"\x00\xff"


async def test_sockets_are_found_by_their_tags(run: RunWorker) -> None:
    worker = await run(ROOM, objects=["Room"])
    one, two = await worker.connect("/one"), await worker.connect("/two")
    assert [await one.receive(), await two.receive()] == ["welcome", "welcome"]
    one.send("all")
    assert [await one.receive(), await two.receive()] == ['["red", "one"]', '["red", "two"]']


async def test_the_object_leaves_memory_while_its_sockets_stay(run: RunWorker) -> None:
    clock = ManualClock()
    worker = await run(ROOM, objects=["Room"], runtime={"clock": clock})
    socket = await worker.connect("/one")
    socket.send("hello")
    assert [await socket.receive(), await socket.receive()] == ["welcome", "hello 1"]
    await clock.advance(60)
    socket.send("again")
    assert await socket.receive() == "again 1"
    socket.send("who")
    assert str(await socket.receive()).endswith("/one")


async def test_a_ping_is_answered_without_the_object(run: RunWorker) -> None:
    worker = await run(ROOM, objects=["Room"])
    socket = await worker.connect("/one")
    socket.send("ping")
    socket.send("hello")
    assert [await socket.receive() for _ in range(3)] == ["welcome", "pong", "hello 1"]


async def test_a_close_reaches_the_handler_with_its_code_and_reason(run: RunWorker) -> None:
    worker = await run(ROOM, objects=["Room"])
    one, two = await worker.connect("/one"), await worker.connect("/two")
    assert [await one.receive(), await two.receive()] == ["welcome", "welcome"]
    two.close(4002, "enough")
    assert await one.receive() == "left: 4002 enough True"


async def test_a_lost_connection_is_no_clean_close(run: RunWorker) -> None:
    worker = await run(ROOM, objects=["Room"])
    one, two = await worker.connect("/one"), await worker.connect("/two")
    assert [await one.receive(), await two.receive()] == ["welcome", "welcome"]
    two.lose()
    assert await one.receive() == "left: 1006  False"


async def test_code_of_the_worker_may_use_the_socket_itself(run: RunWorker) -> None:
    source = ROOM.replace(
        'return await self.env.ROOM.getByName("a").fetch(request)',
        """heard = asyncio.Queue()
            answer = await self.env.ROOM.getByName("a").fetch("http://x/one", headers={"Upgrade": "websocket"})
            ws = answer.js_object.webSocket
            try:
                ws.send("too early")
            except Exception as error:
                heard.put_nowait(str(error)[:32])
            ws.accept()
            ws.addEventListener("message", lambda event: heard.put_nowait(event.data))
            ws.addEventListener("close", lambda event: heard.put_nowait([event.code, event.reason]))
            ws.send("hello")
            ws.send("close")
            return Response(json.dumps([answer.status] + [await heard.get() for _ in range(4)]))""",
    ).replace("import json", "import asyncio, json")
    worker = await run(source, objects=["Room"])
    assert await worker.text() == (
        '[101, "TypeError: You must call one of ", "welcome", "hello 1", [4001, "as you like"]]'
    )


async def test_a_socket_that_was_accepted_is_not_hibernatable(run: RunWorker) -> None:
    source = ROOM.replace(
        "self.ctx.acceptWebSocket(server, [", "server.accept()\n            self.ctx.acceptWebSocket(server, ["
    )
    worker = await run(source, objects=["Room"])
    with pytest.raises(Exception, match="if the WebSocket was already accepted via `accept"):
        await worker.fetch("/one", headers={"upgrade": "websocket"})


async def test_tags_are_few_and_short(run: RunWorker) -> None:
    for tags, words in (
        ('["x"] * 11', "cannot have more than 10 tags"),
        ('["x" * 257]', "longer than the max tag length"),
    ):
        source = ROOM.replace(
            '["red", request.url.rpartition("/")[2]]', f"[str(n) + tag for n, tag in enumerate({tags})]"
        )
        worker = await run(source, objects=["Room"])
        with pytest.raises(Exception, match=words):
            await worker.fetch("/one", headers={"upgrade": "websocket"})
