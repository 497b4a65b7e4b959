"""Small bindings of the platform from a Python Worker on Cloudflare's SDK."""

from __future__ import annotations

import asyncio
import json

import pytest
from edgeagents_platform import query

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: rate limits, Analytics Engine and others", "same")

SOURCE = """
    from workers import Response, WorkerEntrypoint

    async def failure(made):
        try:
            await made()
        except Exception as error:
            return str(error)

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            env = self.env
            limited = [(await env.LIMIT.limit({"key": "a"})).success for _ in range(2)]
            named = (await env.LIMIT.limit(key="b"))["success"]
            env.VISITS.writeDataPoint({"indexes": ["i"], "blobs": ["/", b"x"], "doubles": [1.0, 2.5]})
            nothing = env.VISITS.writeDataPoint({})
            return Response.json({
                "limited": limited, "named": named, "nothing": nothing,
                "refused": [
                    await failure(lambda: env.LIMIT.limit({"key": "a", "x": 1})),
                    await failure(lambda: env.LIMIT.limit("a")),
                    await failure(lambda: env.LIMIT.limit({"key": "a", "period": 5})),
                ],
                "version": [env.VERSION.id, env.VERSION.tag, env.VERSION.timestamp],
                "db": [
                    env.DB.connectionString, env.DB.host, env.DB.port, env.DB.user, env.DB.password, env.DB.database
                ],
                "secret": await env.SECRET.get(),
                "missing": await failure(env.MISSING.get),
                "sent": await env.PIPE.send([{"a": 1}]),
                "certificate": callable(env.CERT.fetch),
                "vpc": await failure(lambda: env.VPC.fetch("http://inside/")),
            })
"""


async def test_a_worker_finds_them(run: RunWorker) -> None:
    url = "postgres://me:pw@127.0.0.1:5432/db"
    worker = await run(
        SOURCE,
        runtime={"env": {"api_key": "s3cret"}},
        ratelimits=[{"name": "LIMIT", "namespace_id": "1", "simple": {"limit": 1, "period": 60}}],
        analytics_engine_datasets=[{"binding": "VISITS", "dataset": "visits"}],
        version_metadata={"binding": "VERSION"},
        hyperdrive=[{"binding": "DB", "id": "1", "localConnectionString": url}],
        secrets_store_secrets=[
            {"binding": "SECRET", "store_id": "s", "secret_name": "api_key"},
            {"binding": "MISSING", "store_id": "s", "secret_name": "other"},
        ],
        pipelines=[{"binding": "PIPE", "pipeline": "p"}],
        mtls_certificates=[{"binding": "CERT", "certificate_id": "0f-1"}],
        vpc_services=[{"binding": "VPC", "service_id": "s"}],
    )
    answer = json.loads(await worker.text())
    assert (answer["limited"], answer["named"], answer["nothing"]) == ([True, False], True, None)
    assert answer["refused"] == [
        "Error: bad rate limit options: [x]",
        "Error: invalid rate limit options",
        "Error: unsupported period: 5",
    ]
    assert len(answer["version"][0]) == 36
    assert answer["version"][1] == ""
    assert answer["db"] == [url, "127.0.0.1", 5432, "me", "pw", "db"]
    assert (answer["secret"], answer["certificate"]) == ("s3cret", True)
    assert 'Secret "other" not found' in answer["missing"]
    assert answer["sent"] is None
    assert "VPC is a private network" in answer["vpc"]
    rows = query(worker.runtime.stores, "SELECT blob1, blob2, double2 FROM visits WHERE index1 = 'i'")
    assert rows == [{"blob1": "/", "blob2": "x", "double2": 2.5}]
    counted = await worker.text(
        "/cdn-cgi/analytics_engine/sql", method="POST", body=b"SELECT count(*) AS n FROM visits"
    )
    assert json.loads(counted)["data"] == [{"n": 2}]


async def test_a_database_is_reached_by_a_socket(run: RunWorker) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    source = """
        from workers import Response, WorkerEntrypoint

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                socket = self.env.DB.connect()
                return Response("".join([chunk.to_string() async for chunk in socket.readable]))
    """
    database = await asyncio.start_server(greet, "127.0.0.1", 0)
    url = f"postgres://me:pw@127.0.0.1:{database.sockets[0].getsockname()[1]}/db"
    worker = await run(source, hyperdrive=[{"binding": "DB", "id": "1", "localConnectionString": url}])
    assert await worker.text() == "hello"
    database.close()


async def test_a_process_has_the_variables_that_are_text(run: RunWorker) -> None:
    source = """
        import asyncio
        import js
        from workers import Response, WorkerEntrypoint

        class Default(WorkerEntrypoint):
            async def fetch(self, request):
                ticked = asyncio.Event()
                js.process.nextTick(ticked.set)
                await ticked.wait()
                return Response.json([js.process.env.to_py(), js.process.platform, js.process.argv.to_py()])
    """
    worker = await run(source, vars={"NAME": "x", "LIST": [1]})
    assert json.loads(await worker.text()) == [{"NAME": "x"}, "linux", ["workerd"]]
