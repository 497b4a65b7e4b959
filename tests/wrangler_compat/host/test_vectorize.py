"""Vectorize from a Python Worker on Cloudflare's SDK."""

from __future__ import annotations

import json

import pytest

from .conftest import RunWorker

pytestmark = pytest.mark.cloudflare("Workers", "Python: Vectorize", "same")

SOURCE = """
    import js
    from workers import Response, WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            index = self.env.INDEX
            made = await index.insert([
                {"id": "a", "values": [1, 0], "metadata": {"n": 1}},
                {"id": "b", "values": js.Float32Array.new([0, 1]), "namespace": "x"},
                {"id": "c", "values": js.Float64Array.new([1, 1])},
            ])
            options = {"topK": 2, "returnValues": True, "returnMetadata": "all"}
            found = await index.query([1, 0], options)
            named = await index.queryById("b", topK=1, namespace="x")
            typed = await index.query(js.Float32Array.new([0, 1]), {"topK": 1, "filter": {"n": {"$gte": 1}}})
            try:
                await index.query([1])
            except Exception as error:
                refused = str(error)
            about = await index.describe()
            return Response.json({
                "mutation": len(made["mutationId"]), "found": found, "named": named["matches"][0]["id"],
                "typed": typed["matches"][0]["id"], "refused": refused, "count": about["vectorCount"],
            })
"""


async def test_an_index_is_searched_by_a_worker(run: RunWorker) -> None:
    worker = await run(SOURCE, vectorize=[{"binding": "INDEX", "index_name": "docs"}])
    answer = json.loads(await worker.text())
    assert answer["found"]["count"] == 2
    assert answer["found"]["matches"][0] == {"id": "a", "score": 1, "values": [1, 0], "metadata": {"n": 1}}
    assert (answer["mutation"], answer["named"], answer["typed"], answer["count"]) == (36, "b", "a", 3)
    assert answer["refused"].startswith("Error: VECTOR_QUERY_ERROR (code = 40006): invalid query vector")


async def test_what_an_index_is_may_stand_in_the_configuration(run: RunWorker) -> None:
    declared = {"binding": "INDEX", "index_name": "docs", "metric": "dot-product", "dimensions": 2}
    worker = await run(SOURCE, vectorize=[declared])
    answer = json.loads(await worker.text())
    assert [match["score"] for match in answer["found"]["matches"]] == [-1, -1]
