"""An agent: state that every client sees, methods that clients call, and schedules that survive a restart."""

from edgeagents import Agent, Response, WorkerEntrypoint, callable, route_agent_request


class Timer(Agent):
    initial_state = {"done": [], "waiting": 0}

    @callable()
    async def remind(self, seconds: float, text: str) -> str:
        """Note ``text`` in a while. Clients see it in the state."""
        await self.schedule(seconds, "note", text)
        self.set_state({**self.state, "waiting": self.state["waiting"] + 1})
        return f"in {seconds:g} s: {text}"

    async def note(self, text: str) -> None:
        self.set_state({"done": [*self.state["done"], text], "waiting": self.state["waiting"] - 1})

    async def on_request(self, request):
        return self.state


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await route_agent_request(request, self.env) or Response("Ask /agents/timer/<name>.", status=404)
