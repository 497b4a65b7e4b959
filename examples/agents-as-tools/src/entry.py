"""An assistant whose tools are agents: researchers and planners, each with a chat that can be watched and opened.

A port of ``examples/agents-as-tools`` of the Agents SDK. A tool makes a sub-agent, gives it a turn of its own and
follows the turn's stream, so that the page sees the helper at work below the call that asked for it. A researcher may
also work in the background: the assistant's turn ends, and the result comes as a message later.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cached_property
from secrets import token_urlsafe
from typing import Annotated, Any
from urllib.parse import quote

from runs import Ended, HelperRun, HelperRuns, chunks_of

from edgeagents import (
    AIChatAgent,
    ChatOptions,
    Connection,
    Env,
    Request,
    Response,
    WorkerEntrypoint,
    callable,
    convert_to_model_messages,
    route_agent_request,
)
from edgeagents.agents import FiberRecovery
from edgeagents.models import ErrorPart, ToolContext

MODEL = "openai:gpt-4o"
MOST_AT_ONCE = 4
BACKGROUND = "agents-as-tools-background"

INSTRUCTIONS = """\
You are friendly and brief. You have helpers: `research` looks into one topic, `compare` into two at the same time,
`plan` says how software is to be changed. When somebody does not want to wait, use `research_background`: say that it
is on its way and that you will come back to it; what was found comes as a message later. Build your answers on what
the helpers say, and when one has failed, say so."""


@dataclass(frozen=True)
class AtLeast:
    """The least length of a text that a model gives. Whatever has ``min_length`` says so: ``annotated_types`` too."""

    min_length: int


class Helper(AIChatAgent[Env]):
    """Works on one thing, in a run of its own. Its last words are what the assistant is told.

    Its chat stays: a page can open it, read how the work was done, and go on talking.
    """

    instructions = ""
    tool = ""

    async def on_chat_message(self, on_finish: Any = None, options: ChatOptions | None = None) -> Response:
        answer = self.stream_text(
            model=MODEL,
            system=self.instructions,
            messages=convert_to_model_messages(self.messages),
            tools={self.tool: getattr(self, self.tool)},
            max_steps=10,
            abort_signal=options.abort_signal if options else None,
        )
        # The assistant, and who opens this chat, shall know why it failed.
        return answer.to_ui_message_stream_response(
            on_error=lambda part: part.message if isinstance(part, ErrorPart) else part.error or "The tool failed."
        )

    async def report(self, progress: dict[str, Any]) -> None:
        """Tell the assistant how far this is. It listens while it waits."""
        await (await self.parent_agent(Assistant)).hear(self.name, progress)


class Researcher(Helper):
    instructions = (
        "You research a topic for somebody who will not ask back. Search with `web_search` before you say anything, "
        "and end with what you found, in two or three paragraphs."
    )
    tool = "web_search"

    async def web_search(self, query: Annotated[str, AtLeast(2)]) -> dict[str, Any]:
        """Search the web. In this example what is found is made up.

        Args:
            query: What to search for.
        """
        await self.report({"phase": "searching", "fraction": 0.2, "message": f"Searching for “{query}” …"})
        await self.ctx.clock.sleep(0.4)
        await self.report({"phase": "reading", "fraction": 0.6, "message": "Reading 2 pages …"})
        await self.ctx.clock.sleep(0.4)
        await self.report({"phase": "synthesizing", "fraction": 0.9, "message": "Putting it together …"})
        await self.report({"milestone": "sources-gathered", "data": {"query": query, "sources": 2}})
        found = [
            ("An introduction to", "What it is, what it costs, and for whom it is too much.", "search?q="),
            ("What is new about", "What people learned who run it every day.", "research?topic="),
        ]
        return {
            "query": query,
            "results": [
                {"title": f"{title} {query}", "snippet": snippet, "url": f"https://example.com/{path}{quote(query)}"}
                for title, snippet, path in found
            ],
        }


class Planner(Helper):
    instructions = (
        "You plan how software is changed. Look at one to three files with `inspect_file`, then write the plan: an "
        "overview, the files, the steps in their order, and what is open."
    )
    tool = "inspect_file"

    async def inspect_file(self, path: Annotated[str, AtLeast(1)]) -> dict[str, Any]:
        """Say what a file of the project holds. In this example it is made up.

        Args:
            path: The file, from the root of the project.
        """
        ending = path.rpartition(".")[2]
        return {
            "path": path,
            "language": ending if ending in ("ts", "tsx") else "text",
            "summary": f"{path} has one thing to offer, and functions that help with it. Its tests are beside it.",
            "outline": ["what it offers", "its helpers", "its tests"],
        }


HELPERS: dict[str, type[Helper]] = {"Researcher": Researcher, "Planner": Planner}


class Assistant(AIChatAgent[Env]):
    @cached_property
    def runs(self) -> HelperRuns:
        return HelperRuns(self.sql)

    @cached_property
    def told(self) -> dict[str, int]:
        """The number of the last chunk that was told of each run that goes on."""
        return {}

    async def on_start(self, props: Any = None) -> None:
        for run in self.runs:
            if run.status == "running" and not run.is_background:
                # The call that waited for it has been answered: that nobody knows what came of it.
                self.runs.end(run.run_id, "interrupted", error="The server stopped while this helper worked.")

    async def on_chat_message(self, on_finish: Any = None, options: ChatOptions | None = None) -> Response:
        answer = self.stream_text(
            model=MODEL,
            system=INSTRUCTIONS,
            messages=convert_to_model_messages(self.messages),
            tools=[self.research, self.plan, self.compare, self.research_background],
            max_steps=10,
            abort_signal=options.abort_signal if options else None,
        )
        return answer.to_ui_message_stream_response()

    # Tools. Their docstrings are what the model is told.

    async def research(self, query: Annotated[str, AtLeast(3)], call: ToolContext) -> Any:
        """Have a researcher look into a topic.

        Args:
            query: The topic, or a question.
        """
        return result_of(await self.put_to_work(Researcher, query, call, run_id=f"agent-tool:{call.tool_call_id}"))

    async def plan(self, description: Annotated[str, AtLeast(5)], call: ToolContext) -> Any:
        """Have a planner say how something is to be built or changed.

        Args:
            description: What is wanted.
        """
        return result_of(await self.put_to_work(Planner, description, call, run_id=f"agent-tool:{call.tool_call_id}"))

    async def compare(
        self, a: Annotated[str, AtLeast(3)], b: Annotated[str, AtLeast(3)], call: ToolContext
    ) -> dict[str, Any]:
        """Have two researchers look into two topics at the same time."""
        first, second = await asyncio.gather(
            self.put_to_work(Researcher, a, call, order=0), self.put_to_work(Researcher, b, call, order=1)
        )
        return {"a": branch_of(a, first), "b": branch_of(b, second)}

    async def research_background(self, query: Annotated[str, AtLeast(3)]) -> dict[str, Any]:
        """Have a researcher look into a topic in the background. What was found comes as a message later.

        Args:
            query: The topic, or a question.
        """
        run = self.begin(Researcher, query, None, is_background=True)
        await self.in_background(run)
        return {"status": "dispatched", "runId": run.run_id, "note": "It works in the background and will report back."}

    # How a helper is put to work

    def begin(
        self,
        helper: type[Helper],
        text: str,
        call: ToolContext | None,
        *,
        order: int = 0,
        run_id: str | None = None,
        is_background: bool = False,
    ) -> HelperRun:
        running = sum(run.status == "running" for run in self.runs)
        run = HelperRun(
            run_id=run_id or token_urlsafe(9),
            tool_call_id=None if call is None else call.tool_call_id,
            helper=helper.__name__,
            preview=text,
            display_order=order,
            is_background=is_background,
            started_at=int(self.ctx.clock.now().timestamp() * 1000),
        )
        self.runs.add(run)
        self.broadcast(run.start_frame())
        if running >= MOST_AT_ONCE:
            return self.end(run, "error", error=f"{MOST_AT_ONCE} helpers work already; wait for one of them.")
        return run

    def end(self, run: HelperRun, status: Ended, *, said: int = 0, **result: str | None) -> HelperRun:
        """Note how a run ended, and tell the clients. ``said`` is how many chunks came before."""
        ended = self.runs.end(run.run_id, status, **result)
        self.told.pop(run.run_id, None)
        if ended is not None:
            self.broadcast(ended.end_frame(said + 1))
            return ended
        # Cancelled in the meantime, or cleared: then nobody wants to hear of it any more.
        return self.runs.get(run.run_id) or replace(run, status="aborted", error="cleared")

    async def put_to_work(
        self, helper: type[Helper], text: str, call: ToolContext, *, order: int = 0, run_id: str | None = None
    ) -> HelperRun:
        """Start a run for a call, and return how it ended."""
        run = self.runs.get(run_id or "") or self.begin(helper, text, call, order=order, run_id=run_id)
        try:
            return await self.follow(run) if run.status == "running" else run
        except asyncio.CancelledError:
            if call.abort_signal is not None and call.abort_signal.aborted:
                # Stopped by a client. When it is the server that stops, nobody here may say how it ended.
                await self.stop(run, "The turn was stopped.")
            raise

    async def follow(self, run: HelperRun) -> HelperRun:
        """Give the helper its turn, or find it at work, and tell the clients what it says until it ends."""
        text, number = "", -1
        try:
            async for at, chunk in chunks_of(await self.turn_of(run)):
                match chunk:
                    case {"type": "error", "errorText": error}:
                        return self.end(run, "error", said=number + 1, error=error)
                    case {"type": "abort"}:
                        return self.end(run, "aborted", said=number + 1, error="The helper was stopped.")
                    case {"type": "start-step"}:
                        text = ""
                    case {"type": "text-delta", "delta": delta}:
                        text += delta
                    case _:
                        pass
                if at is not None:
                    number = self.told[run.run_id] = at
                    self.broadcast(run.chunk_frame(at, chunk))
        except Exception as error:
            return self.end(run, "error", said=number + 1, error=f"{type(error).__name__}: {error}")
        return self.end(run, "completed", said=number + 1, summary=text)

    async def turn_of(self, run: HelperRun) -> Response:
        helper: Any = await self.sub_agent(HELPERS[run.helper], run.run_id)
        begun = await helper.fetch(f"/chat-stream/{run.request_id or 'latest'}")
        if begun.status == 200:
            return begun
        message = {"id": f"input-{run.run_id}", "role": "user", "parts": [{"type": "text", "text": run.preview}]}
        response = await helper.fetch("/chat", method="POST", json={"messages": [message]})
        self.runs.note_request(run.run_id, response.headers["x-chat-request-id"])
        now = self.runs.get(run.run_id)
        if now is not None and now.status != "running":
            # Stopped before there was a turn to stop.
            await helper.abort_all_requests(now.error)
        return response

    async def stop(self, run: HelperRun, why: str) -> None:
        self.end(run, "aborted", error=why)
        helper: Any = await self.sub_agent(HELPERS[run.helper], run.run_id)
        await helper.abort_all_requests(why)

    # In the background

    async def in_background(self, run: HelperRun) -> None:
        """Follow a run in a fiber, which keeps the agent awake and is heard of again after a restart."""

        async def see_through() -> None:
            ended = await self.follow(run) if run.status == "running" else run
            if self.runs.get(run.run_id) is not None:
                id = f"finish:{run.run_id}:{ended.status}"
                await self.bring_up(ended, "user", id, report_of(ended), status=ended.status)

        await self.start_fiber("background", see_through, metadata={"run": run.run_id})

    async def on_fiber_recovered(self, fiber: FiberRecovery) -> None:
        """Go on with a run in the background: the helper's own turn has gone on by itself."""
        run = self.runs.get((fiber.metadata or {}).get("run", ""))
        if run is not None:
            await self.in_background(run)

    async def bring_up(self, run: HelperRun, role: str, id: str, text: str, **more: str) -> None:
        """Say something in the chat that nobody asked for now, once. A user's message is answered by the model."""
        if any(message["id"] == id for message in self.messages):
            return
        metadata = {"source": BACKGROUND, "runId": run.run_id, "agentType": run.helper, **more}
        message = {"id": id, "role": role, "metadata": metadata, "parts": [{"type": "text", "text": text}]}
        if role == "user":
            await self.save_messages(lambda messages: [*messages, message])
        else:
            await self.persist_messages([message])

    async def hear(self, run_id: str, progress: dict[str, Any]) -> None:
        """Take a helper's word on how far it is. A milestone is kept; the rest is for who looks on."""
        run = self.runs.get(run_id)
        if run is None or run.status != "running":
            return
        name = progress.get("milestone")
        if name is None:
            chunk = {"type": "data-agent-progress", "id": token_urlsafe(9), "transient": True, "data": progress}
            self.broadcast(run.chunk_frame(0, chunk))
            return
        now = int(self.ctx.clock.now().timestamp() * 1000)
        milestone = self.runs.add_milestone(run_id, name, progress.get("data"), now)
        self.broadcast(run.chunk_frame(0, milestone.chunk))
        if run.is_background:
            text = f"{about(run)} has reached “{name}”.\n\n{json.dumps(milestone.data, indent=2)}"
            await self.bring_up(run, "assistant", f"milestone:{run_id}:{name}", text, milestone=name)

    # What pages use

    async def on_connect(self, connection: Connection[Any], ctx: Any = None) -> None:
        """Tell a client of all runs so far."""
        for run in self.runs:
            connection.send(run.start_frame(is_replay=True))
            number = -1
            for number, chunk in enumerate(await self.said_by(run)):
                connection.send(run.chunk_frame(number, chunk, is_replay=True))
            for milestone in self.runs.milestones(run.run_id):
                connection.send(run.chunk_frame(number + 1, milestone.chunk, is_replay=True))
            if run.status != "running":
                connection.send(run.end_frame(number + 2, is_replay=True))

    async def said_by(self, run: HelperRun) -> list[dict[str, Any]]:
        """Return what all clients have been told of a helper's words."""
        told = self.told.get(run.run_id, -1) if run.status == "running" else None
        if run.request_id is None or told == -1:
            return []
        helper: Any = await self.sub_agent(HELPERS[run.helper], run.run_id)
        said: list[dict[str, Any]] = []
        # Of the turns of a chat that was gone on with for long only the last are known: then there is nothing here.
        async with aclosing(chunks_of(await helper.fetch(f"/chat-stream/{run.request_id}"))) as chunks:
            async for number, chunk in chunks:
                if number is None:
                    break
                said.append(chunk)
                if number == told:
                    break
        return said

    def on_before_sub_agent(self, request: Request, child: Any) -> Response | None:
        """Let nobody make a helper by asking for it: only those that were put to work are there."""
        if child.class_name not in HELPERS:
            return Response(f"Unknown agent tool class: {child.class_name}", status=404)
        run = self.runs.get(child.name)
        if run is None or run.helper != child.class_name:
            return Response(f"Agent tool {child.class_name}/{child.name} not found", status=404)
        return None

    @callable()
    async def clear_helper_runs(self) -> None:
        """Forget all runs, and delete the helpers with what was said in their chats."""
        runs = list(self.runs)
        self.runs.clear()
        for run in runs:
            if run.status == "running":
                await self.stop(run, "cleared")
            await self.delete_sub_agent(run.helper, run.run_id)
        await self.delete_fibers()

    @callable()
    async def cancel_background(self, run_id: str) -> None:
        """Stop a run in the background. One that has ended is left as it is."""
        run = self.runs.get(run_id)
        if run is not None and run.status == "running":
            await self.stop(run, "cancelled")


def result_of(run: HelperRun) -> Any:
    """Return what a model is told of a run: the helper's last words, or that it failed."""
    if run.status == "completed":
        return run.summary
    return {"ok": False, "status": run.status, "error": run.error, "retryable": run.status == "interrupted"}


def branch_of(query: str, run: HelperRun) -> dict[str, Any]:
    if run.status == "completed":
        return {"query": query, "summary": run.summary or ""}
    return {"query": query, "error": run.error or run.status}


def about(run: HelperRun) -> str:
    return f"The {run.helper.lower()} in the background (run {run.run_id})"


def report_of(run: HelperRun) -> str:
    match run.status:
        case "completed":
            return f"{about(run)} has finished:\n\n{run.summary}"
        case "aborted":
            return f"{about(run)} was cancelled."
        case _:
            return f"{about(run)} has failed: {run.error}"


class Default(WorkerEntrypoint[Env]):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/assistant/<user>`` and ``/agents/assistant/<user>/sub/researcher/<run>``."""
        return await route_agent_request(request, self.env) or Response("Not found", status=404)
