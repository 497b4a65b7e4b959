"""A Python Worker on Cloudflare's SDK: a variable, a KV namespace, a D1 database and an R2 bucket."""

from urllib.parse import unquote, urlsplit

from workers import Response, WorkerEntrypoint

TABLE = "CREATE TABLE IF NOT EXISTS guests (name TEXT PRIMARY KEY, visits INTEGER NOT NULL)"
VISIT = """
    INSERT INTO guests VALUES (?, 1)
    ON CONFLICT (name) DO UPDATE SET visits = visits + 1
    RETURNING visits
"""


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        kind, _, name = unquote(urlsplit(request.url).path).strip("/").partition("/")
        match (request.method, kind):
            case ("GET", "hello"):
                return await self.greet(name or "world")
            case ("PUT", "words"):
                await self.env.WORDS.put(name, await request.text())
                return Response(None, status=204)
            case ("PUT", "files"):
                made = await self.env.FILES.put(name, await request.bytes())
                return Response.json({"size": made.size, "etag": made.etag})
            case ("GET", "files"):
                return await self.read(name)
        return Response("Not found", status=404)

    async def greet(self, name):
        await self.env.DB.prepare(TABLE).run()
        row = await self.env.DB.prepare(VISIT).bind(name).first()
        word = await self.env.WORDS.get("greeting") or self.env.GREETING
        return Response.json({"greeting": f"{word}, {name}!", "visits": row["visits"]})

    async def read(self, name):
        found = await self.env.FILES.get(name)
        if found is None:
            return Response("Not found", status=404)
        return Response(found.body, headers={"etag": found.httpEtag})
