"""``env`` tells what it has to code that asks for something else."""

from __future__ import annotations

from .conftest import RunWorker

WORKER = """
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if "default" in request.url:
            return Response(getattr(self.env, "OTHER", "no other"))
        try:
            return Response(self.env.OTHER)
        except AttributeError as error:
            return Response(str(error))
"""


async def test_a_binding_that_is_not_there_is_told_with_those_that_are(run: RunWorker):
    worker = await run(WORKER, vars={"GREETING": "hi", "KIND": "x"})
    assert await worker.text() == "env has no 'OTHER'. It has: GREETING, KIND."
    assert await worker.text("/default") == "no other"
