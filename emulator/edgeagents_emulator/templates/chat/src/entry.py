"""A chat whose answers survive a reload, another tab and a restart of the server."""

from pathlib import Path

from edgeagents import AIChatAgent, Response, WorkerEntrypoint, convert_to_model_messages, route_agent_request

PAGE = Path(__file__).with_name("page.html").read_text()


class Assistant(AIChatAgent):
    async def on_chat_message(self):
        # Without a key an offline model answers: put OPENAI_API_KEY=... into .dev.vars for a real one.
        return self.stream_text(
            model="openai:gpt-4o",
            system="You are a helpful assistant.",
            messages=convert_to_model_messages(self.messages),
        )


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.path == "/":
            return Response(PAGE, headers={"content-type": "text/html;charset=utf-8"})
        return await route_agent_request(request, self.env) or Response("Not found", status=404)
