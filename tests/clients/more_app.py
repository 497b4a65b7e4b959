"""Agents that do something later, and agents within agents. ``workerd/more.mjs`` has the same in the TypeScript SDK.

Part of ``agents_app``, whose app serves them.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edgeagents import Agent, Connection, Request, Response, callable, get_current_agent
from edgeagents.objects.alarm_index import to_ms


class Gates:
    """Points where work waits until a client lets it go on. A gate stays open."""

    def __init__(self) -> None:
        self._gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def wait(self, name: str) -> None:
        await self._gates[name].wait()

    def open(self, name: str) -> None:
        self._gates[name].set()


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def in_snake(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options as a TypeScript program writes them, as our arguments."""
    return {snake(name): in_snake(value) if name == "retry" else value for name, value in (options or {}).items()}


class Timer(Agent):
    """Schedules, queues and fibers, as its clients ask for."""

    def on_start(self, props: Any = None) -> None:
        self.gates = Gates()
        self.log: list[Any] = []
        self.last = ""
        self.asked = self.ctx.clock.now()
        self.queued: list[str] = []
        self.fibers: list[str] = []

    # what is done later

    async def note(self, payload: Any, job: Any) -> None:
        self.log.append(["note", payload, job.callback])
        self.broadcast(f"ran {compact(payload)}")

    async def slow(self, payload: Any) -> None:
        self.log.append(["slow", payload])
        self.broadcast(f"slow {compact(payload)}")
        await self.gates.wait(payload)
        self.broadcast(f"slow is over {compact(payload)}")

    async def failing(self, payload: Any) -> None:
        self.log.append(["failing", payload])
        raise RuntimeError("a job that fails")

    async def on_error(self, error: Exception, connection: Connection | None = None) -> None:
        self.broadcast(f"error {error}")

    @callable()
    async def logged(self) -> list[Any]:
        return self.log

    @callable()
    async def open(self, gate: str) -> None:
        self.gates.open(gate)

    @callable()
    async def ping(self) -> str:
        return "pong"

    # schedules

    def shape(self, schedule: Any) -> dict[str, Any]:
        """What of a schedule does not depend on when it was made, as the TypeScript SDK shows it."""
        shown = {
            "id": "string" if isinstance(schedule.id, str) else "something else",
            "callback": schedule.callback,
            "payload": schedule.payload,
            "type": schedule.type,
            "retry": schedule.retry and schedule.retry.to_json(),
            "delayInSeconds": schedule.delay_in_seconds,
            "cron": schedule.cron,
            "intervalSeconds": schedule.interval_seconds,
            "inSeconds": self.distance(schedule),
        }
        return {name: value for name, value in shown.items() if value is not None}

    def distance(self, schedule: Any) -> int:
        """The seconds until a schedule. A second that ended while it was made counts for neither side."""
        wanted = schedule.delay_in_seconds or schedule.interval_seconds
        # By whole milliseconds, rounded up as those of schedules are: the last one of a second may be of the next.
        longest = schedule.time - to_ms(self.asked) // 1000
        shortest = schedule.time - to_ms(self.ctx.clock.now()) // 1000
        return wanted if wanted is not None and shortest <= wanted <= longest else longest

    @callable()
    async def in_seconds(
        self, seconds: Any, callback: Any, payload: Any = None, options: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        self.asked = self.ctx.clock.now()
        schedule = await self.schedule(seconds, callback, payload, **in_snake(options))
        self.last = schedule.id
        return self.shape(schedule)

    @callable()
    async def at(self, milliseconds: int, callback: str, payload: Any) -> dict[str, Any]:
        self.asked = self.ctx.clock.now()
        when = self.asked + timedelta(milliseconds=milliseconds)
        return self.shape(await self.schedule(when, callback, payload))

    @callable()
    async def cron(
        self, expression: str, callback: str, payload: Any = None, options: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        self.asked = self.ctx.clock.now()
        shown = self.shape(await self.schedule(expression, callback, payload, **in_snake(options)))
        later = shown.pop("inSeconds") > 0
        return {**shown, "later": later}

    @callable()
    async def every(self, seconds: Any, callback: str, payload: Any = None) -> dict[str, Any]:
        self.asked = self.ctx.clock.now()
        schedule = await self.schedule_every(seconds, callback, payload)
        self.last = schedule.id
        return self.shape(schedule)

    @callable()
    async def same(self, *asked: list[Any]) -> list[int]:
        ids = [
            (await self.schedule(seconds, "note", payload, **(options[0] if options else {}))).id
            for seconds, payload, *options in asked
        ]
        return [ids.index(id) for id in ids]

    @callable()
    async def same_every(self, *asked: list[Any]) -> list[int]:
        ids = [(await self.schedule_every(seconds, "note", payload)).id for seconds, payload in asked]
        return [ids.index(id) for id in ids]

    @callable()
    async def same_cron(self, *asked: list[Any]) -> list[int]:
        ids = [(await self.schedule(cron, "note", payload)).id for cron, payload in asked]
        return [ids.index(id) for id in ids]

    @callable()
    async def find(self, criteria: dict[str, Any] | None = None) -> list[Any]:
        wanted: Any = dict(criteria or {})
        now = self.ctx.clock.now()
        between = {
            side: now + timedelta(seconds=wanted.pop(given))
            for given, side in (("from", "start"), ("to", "end"))
            if given in wanted
        }
        if between:
            wanted["time_range"] = between
        payloads = [schedule.payload for schedule in await self.list_schedules(wanted)]
        return sorted(payloads, key=str)

    @callable()
    async def find_last(self) -> dict[str, Any] | None:
        schedule = await self.get_schedule_by_id(self.last)
        return schedule and self.shape(schedule)

    @callable()
    async def cancel_last(self) -> bool:
        return await self.cancel_schedule(self.last)

    @callable()
    async def cancel(self, id: str) -> bool:
        return await self.cancel_schedule(id)

    # the queue

    @callable()
    async def enqueue(self, callback: Any, payloads: list[Any], options: dict[str, Any] | None = None) -> list[Any]:
        self.queued = [await self.queue(callback, payload, **in_snake(options)) for payload in payloads]
        return [["string" if isinstance(id, str) else "something else", self.queued.index(id)] for id in self.queued]

    @callable()
    async def enqueue_as(self, id: str, callback: str, payload: Any) -> str:
        return await self.queue(callback, payload, id=id)

    @callable()
    async def waiting(self, key: str, value: Any) -> list[Any]:
        return [[item.callback, item.payload] for item in await self.get_queues(key, value)]

    @callable()
    async def queued_item(self, index: int) -> dict[str, Any] | None:
        item = await self.get_queue(self.queued[index])
        return item and {"callback": item.callback, "payload": item.payload, "id": "string"}

    @callable()
    async def drop(self, index: int) -> None:
        await self.dequeue(self.queued[index])

    @callable()
    async def drop_all(self) -> None:
        await self.dequeue_all()

    @callable()
    async def drop_all_of(self, callback: str) -> None:
        await self.dequeue_all_by_callback(callback)

    # retries

    @callable()
    async def tries(self, failures: int, options: dict[str, Any] | None = None) -> dict[str, Any]:
        attempts: list[int] = []

        async def attempt(number: int) -> None:
            attempts.append(number)
            if number <= failures:
                raise RuntimeError(f"attempt {number}")

        try:
            await self.retry(attempt, in_snake(options))
        except Exception as error:
            return {"attempts": attempts, "error": str(error)}
        return {"attempts": attempts, "error": None}

    # fibers

    @callable()
    async def fiber(self, name: str, gate: str | None = None) -> str:
        async def work(fiber: Any) -> str:
            fiber.stash({"step": 1})
            has_id = compact(isinstance(fiber.id, str))
            self.broadcast(f"fiber {name} has an id: {has_id}, snapshot {compact(fiber.snapshot)}")
            if gate:
                await self.gates.wait(gate)
            return f"result of {name}"

        return await self.run_fiber(name, work)

    @callable()
    async def failing_fiber(self) -> None:
        async def work() -> None:
            raise RuntimeError("a fiber that fails")

        await self.run_fiber("failing", work)

    @callable()
    async def start(self, name: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
        """Start a managed fiber that waits at the gate of its name."""

        async def work() -> None:
            self.broadcast(f"started {name}")
            await self.gates.wait(name)
            if name == "broken":
                raise RuntimeError("a fiber that fails")
            self.broadcast(f"ended {name}")

        receipt = await self.start_fiber(name, work, **in_snake(options))
        if receipt.fiber_id not in self.fibers:
            self.fibers.append(receipt.fiber_id)
        number = self.fibers.index(receipt.fiber_id)
        return {"accepted": receipt.accepted, "status": receipt.status, "number": number}

    def told(self, fiber: Any) -> dict[str, Any] | None:
        return fiber and {
            "name": fiber.name,
            "status": fiber.status,
            "snapshot": fiber.snapshot,
            "metadata": fiber.metadata,
            "key": fiber.idempotency_key,
            "error": fiber.error,
        }

    @callable()
    async def inspect(self, number: int) -> dict[str, Any] | None:
        return self.told(await self.inspect_fiber(self.fibers[number]))

    @callable()
    async def inspect_key(self, key: str) -> dict[str, Any] | None:
        return self.told(await self.inspect_fiber_by_key(key))

    @callable()
    async def list_fibers(self, criteria: dict[str, Any] | None = None) -> Any:
        return sorted(fiber.name for fiber in await super().list_fibers(**(criteria or {})))

    @callable()
    async def cancel_fiber(self, number: int) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return await super().cancel_fiber(self.fibers[number])

    @callable()
    async def forget_fibers(self) -> int:
        return await self.delete_fibers()

    # the end

    @callable()
    async def end(self) -> None:
        await self.destroy()

    async def on_request(self, request: Request) -> Any:
        if request.path.endswith("/destroy"):
            self.ctx.wait_until(self.destroy())
            return "gone"
        return {"log": self.log}


class Child(Agent):
    """A sub-agent with state of its own."""

    initial_state = {"n": 0}

    def on_start(self, props: Any = None) -> None:
        self.notes: list[Any] = []

    async def on_connect(self, connection: Connection, ctx: Any) -> None:
        connection.send(f"hello from {self.name}")

    async def on_message(self, connection: Connection, message: str | bytes) -> None:
        connection.send(message if isinstance(message, bytes) else f"child:{message}")

    async def on_close(self, connection: Connection, code: int, reason: str, was_clean: bool) -> None:
        self.notes.append(["closed", code])

    async def on_request(self, request: Request) -> dict[str, Any]:
        return {
            "name": self.name,
            "path": request.path,
            "query": urlsplit(request.url).query,
            "header": request.headers.get("x-parent"),
        }

    @callable()
    async def add(self, by: int) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    @callable()
    async def ping(self) -> str:
        return "pong"

    @callable()
    async def family(self) -> dict[str, Any]:
        def steps(path: Any) -> list[Any]:
            return [{"className": step.class_name, "name": step.name} for step in path]

        return {"parent": steps(self.parent_path), "self": steps(self.self_path)}

    @callable()
    async def who(self) -> dict[str, Any]:
        connection = get_current_agent().connection
        assert connection is not None
        return {"id": connection.id, "uri": urlsplit(connection.uri or "").path}

    @callable()
    async def shout(self, text: str) -> None:
        self.broadcast(text)

    @callable()
    async def later(self, seconds: int, payload: str) -> None:
        await self.schedule(seconds, "note", payload)

    async def note(self, payload: str) -> None:
        self.broadcast(f"child ran {payload}")

    @callable()
    async def noted(self) -> list[Any]:
        return self.notes

    @callable()
    async def close_me(self, code: int) -> None:
        connection = get_current_agent().connection
        assert connection is not None
        connection.close(code, "because")

    @callable()
    async def call_parent(self, by: int) -> int:
        return await (await self.parent_agent(Parent)).add(by)


# Children have children of their own kind.
Child.sub_agents = [Child]


class Parent(Agent):
    """Has children, and decides who may come to them."""

    initial_state = {"n": 100}
    sub_agents = [Child]

    async def on_before_sub_agent(self, request: Request, child: Any) -> Response | Request | None:
        asked = parse_qs(urlsplit(request.url).query)
        if "status" in asked:
            return Response("no", status=int(asked["status"][0]))
        if "mark" in asked:
            return request.copy(headers={**dict(request.headers), "x-parent": f"{child.class_name} {child.name}"})
        return None

    async def on_connect(self, connection: Connection, ctx: Any) -> None:
        connection.send("hello from the parent")

    @callable()
    async def add(self, by: int) -> int:
        self.set_state({"n": self.state["n"] + by})
        return self.state["n"]

    @callable()
    async def ping(self) -> str:
        return "pong"

    @callable()
    async def shout(self, text: str) -> None:
        self.broadcast(text)

    @callable()
    async def connections(self) -> list[str]:
        return [connection.id for connection in self.get_connections()]

    @callable()
    async def tell_child(self, name: str, by: int) -> int:
        return await (await self.sub_agent(Child, name)).add(by)

    @callable()
    async def has(self, name: str) -> bool:
        return self.has_sub_agent(Child, name)

    @callable()
    async def list(self) -> Any:
        return [[child.class_name, child.name] for child in self.list_sub_agents(Child)]

    @callable()
    async def forget(self, name: str) -> None:
        await self.delete_sub_agent(Child, name)

    @callable()
    async def restart(self, name: str) -> None:
        self.abort_sub_agent(Child, name, RuntimeError("restart"))
