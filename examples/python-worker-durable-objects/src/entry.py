"""A chat in Durable Objects of Cloudflare's Python SDK: SQL, methods, an alarm and sockets that outlive the memory."""

import time
from urllib.parse import urlsplit

from js import WebSocketPair
from workers import DurableObject, Response, WorkerEntrypoint

KEPT_SECONDS = 60 * 60


class Room(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.sql = ctx.storage.sql
        self.sql.exec("CREATE TABLE IF NOT EXISTS said (id INTEGER PRIMARY KEY, text TEXT, time REAL)")

    async def say(self, text):
        self.sql.exec("INSERT INTO said (text, time) VALUES (?, ?)", text, time.time())
        for socket in self.ctx.getWebSockets():
            socket.send(text)
        if await self.ctx.storage.getAlarm() is None:
            await self.ctx.storage.setAlarm(int((time.time() + KEPT_SECONDS) * 1000))
        return self.sql.exec("SELECT count(*) AS number FROM said").one().number

    async def said(self):
        return [row.text for row in self.sql.exec("SELECT text FROM said ORDER BY id")]

    async def alarm(self, info=None):
        self.sql.exec("DELETE FROM said WHERE time <= ?", time.time() - KEPT_SECONDS)

    async def fetch(self, request):
        client, server = WebSocketPair.new().object_values()
        self.ctx.acceptWebSocket(server)
        return Response(None, status=101, web_socket=client)

    async def webSocketMessage(self, socket, message):
        await self.say(message)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name, _, rest = urlsplit(request.url).path.strip("/").partition("/")
        if not name or rest:
            return Response("Not found", status=404)
        room = self.env.ROOM.getByName(name)
        if request.headers.get("upgrade") == "websocket":
            return await room.fetch(request)
        if request.method == "POST":
            return Response.json({"number": await room.say(await request.text())})
        return Response.json(await room.said())
