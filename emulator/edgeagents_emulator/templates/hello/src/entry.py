"""A worker that says hello."""

from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(f"Hello from {self.env.NAME}!")
