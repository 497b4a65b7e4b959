"""Counters, each an object of its own with a database of its own: /visits counts visits, /likes counts likes."""

from urllib.parse import urlparse

from workers import DurableObject, Response, WorkerEntrypoint


class Counter(DurableObject):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        ctx.storage.sql.exec(
            "CREATE TABLE IF NOT EXISTS hits (id INTEGER PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP)"
        )

    async def increment(self):
        self.ctx.storage.sql.exec("INSERT INTO hits DEFAULT VALUES")
        return self.ctx.storage.sql.exec("SELECT count(*) AS n FROM hits").one().n


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = urlparse(request.url).path.strip("/") or "visits"
        count = await self.env.COUNTER.getByName(name).increment()
        return Response(f"{name}: {count}")
