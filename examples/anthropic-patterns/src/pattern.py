"""What the five patterns share: a run that goes on without its clients, and clients that see how it goes.

A client sends ``{"type": "run", "input": {...}}`` or ``{"type": "stop"}``. All clients are told of the status, those
that come later too, and are shown toasts on the way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from edgeagents import Agent, Connection, Env
from edgeagents.agents import FiberContext, FiberRecovery

__all__ = ["Pattern", "Run", "together"]


class Status(TypedDict):
    """What the page shows. ``output`` is JSON, and not there before a run has ended."""

    isRunning: bool
    output: NotRequired[str]


class Pattern(Agent[Env]):
    """Runs its ``work``, once at a time. A run that the end of the server has cut is taken up again."""

    async def work(self, run: Run) -> dict[str, Any]:
        """Do what the pattern does; return what the page shows."""
        raise NotImplementedError(f"{type(self).__name__} says what to do in work().")

    @property
    def status(self) -> Status:
        return self.ctx.storage.kv.get("status") or {"isRunning": False}

    def set_status(self, status: Status) -> None:
        self.ctx.storage.kv.put("status", status)
        self.broadcast(json.dumps({"type": "status", "status": status}))

    def toast(self, message: str) -> None:
        self.broadcast(json.dumps({"type": "toast", "toast": {"message": message, "type": "info"}}))

    async def on_connect(self, connection: Connection[Any], ctx: Any = None) -> None:
        connection.send(json.dumps({"type": "status", "status": self.status}))

    async def on_message(self, connection: Connection[Any], message: str | bytes) -> None:
        match json.loads(message):
            case {"type": "run", **rest}:
                given = rest.get("input")
                if not self.status["isRunning"]:
                    await self.run(given if isinstance(given, dict) else {})
            case {"type": "stop"}:
                for fiber in await self.list_fibers(status=["pending", "running"]):
                    await self.cancel_fiber(fiber.fiber_id, "stopped by a client")
                self.set_status({**self.status, "isRunning": False})
            case other:
                self.ctx.logger.error("A client sent what is neither run nor stop: %.100r", other)

    async def run(self, given: dict[str, Any], id: str | None = None) -> None:
        self.set_status({"isRunning": True})
        await self.delete_fibers(status=["completed", "aborted", "error", "interrupted"])

        async def work(fiber: FiberContext) -> None:
            try:
                output = await self.work(Run(self, id or fiber.id, given, fiber))
            except Exception as error:
                self.toast(f"An error occurred: {type(error).__name__}: {error}")
                output = {"name": type(error).__name__, "message": str(error)}
            self.set_status({"isRunning": False, "output": json.dumps(output, ensure_ascii=False)})

        # Not awaited to its end: the message is answered by frames, and the run goes on without whoever sent it.
        await self.start_fiber("run", work, metadata={"id": id, "given": given})

    async def on_fiber_recovered(self, fiber: FiberRecovery) -> None:
        """Do it again. Texts that were written are not asked for again, and one that was begun is gone on with."""
        before = fiber.metadata or {}
        await self.run(before["given"], before["id"] or fiber.id)


@dataclass(frozen=True)
class Run:
    """One run of a pattern, and how it asks models."""

    agent: Pattern
    id: str
    given: dict[str, Any]
    fiber: FiberContext

    def input(self, name: str) -> Any:
        """Return a field of what the page sent."""
        if name not in self.given:
            raise ValueError(f"input.{name} is missing")
        return self.given[name]

    def toast(self, message: str) -> None:
        self.agent.toast(message)

    async def text(self, step: str, **asked: Any) -> str:
        """Return what a model writes. ``step`` tells the texts of a run apart, for they are kept."""
        stream_id = f"{self.id} {step}"
        stream = self.agent.get_stream(stream_id) or self.agent.stream_text(stream_id=stream_id, **asked)
        forget = self.fiber.signal.add_listener(stream.abort)
        try:
            return await stream.text
        finally:
            forget()

    async def object(self, schema: type[Any], **asked: Any) -> Any:
        """Return what a model answers, as ``schema`` asks."""
        return (await self.agent.generate_object(schema=schema, **asked)).object


async def together(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Return what they return. When one fails the others are stopped: nobody waits for them any more."""
    tasks = [asyncio.create_task(each) for each in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
