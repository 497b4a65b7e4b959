"""Budgets: an agent that has used up its own asks no model any more, and says so; no other agent is concerned."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from edgeagents import Agent, AIChatAgent, Budget, ChatOptions, Price, call_part, callable, hookimpl
from edgeagents.errors import AgentError, BudgetExceeded, ConfigError
from edgeagents.http import AbortSignal, Request, Response
from edgeagents.models import FinishStep, ModelRequest, Part, TextDelta, Usage, tool_call
from edgeagents.models.parts import part_to_json
from edgeagents.objects import Limits
from edgeagents.runtime import Runtime
from edgeagents.testing import ManualClock, TestSocket, agent_runtime, settle
from tests.agents.chat.talk import ask, chunks, hear_turn, tab, user

pytestmark = pytest.mark.cloudflare(
    "Models", "budgets of turns, tokens and money per agent", "different: more than the SDK offers"
)

DAY = timedelta(days=1)


class Meter:
    """A model that uses 100 tokens a step, 60 of them to read. ``calls`` are its steps before it answers."""

    name = "meter"

    def __init__(self) -> None:
        self.asked = 0
        self.calls = 0
        self.is_silent = False

    async def stream(
        self, request: ModelRequest, *, env: Mapping[str, Any], signal: AbortSignal | None
    ) -> AsyncIterator[Part]:
        self.asked += 1
        if self.is_silent:
            yield TextDelta("t", f"answer {self.asked}")
            yield FinishStep("stop")
        elif self.calls:
            self.calls -= 1
            yield tool_call(f"c{self.asked}", "look", "{}")
            yield FinishStep("tool-calls", Usage(60, 40, 100))
        else:
            yield TextDelta("t", f"answer {self.asked}")
            yield FinishStep("stop", Usage(60, 40, 100, cached_input_tokens=20))

    @hookimpl
    def register_model_providers(self):
        return [self]


class Writer(Agent):
    told: list[str]

    async def on_request(self, request: Request) -> Response:
        return self.answer().to_text_stream_response()

    def answer(self):
        return self.stream_text(model="meter:m", prompt="hi", tools={"look": self.look}, max_steps=10)

    async def write(self) -> str:
        return await self.answer().text

    async def parts(self) -> list[Any]:
        return [part_to_json(part) async for part in self.answer().full_stream]

    async def value(self) -> Any:
        return (await self.generate_object(model="meter:m", schema={"type": "object"}, prompt="hi")).object

    def look(self) -> str:
        """Look."""
        return "nothing"

    def on_budget_exceeded(self, reason: str) -> None:
        Writer.told.append(reason)

    @callable()
    def go_on(self) -> None:
        self.spending.resume()


class Bot(AIChatAgent):
    async def on_chat_message(self, on_finish: Any, options: ChatOptions) -> Any:
        return self.stream_text(model="meter:m", prompt="hi", tools={"look": self.look}, max_steps=10)

    async def look(self) -> str:
        """Look."""
        return "nothing"


@pytest.fixture(autouse=True)
def nobody_was_told():
    Writer.told = []


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def run(meter: Meter, budget: Budget | None, clock: ManualClock | None = None, **more: Any) -> Runtime:
    return agent_runtime(Writer, Bot, plugins=[meter], limits=Limits(budget=budget), clock=clock, **more)


def writer(runtime: Runtime, name: str = "a") -> Any:
    return runtime.namespaces["Writer"].get_by_name(name)


async def spent(stub: Any) -> Any:
    return await call_part(stub, "spending", "spent")


@pytest.mark.parametrize(
    ("budget", "what"),
    [
        (Budget(turns=2), "2 turns"),
        (Budget(tokens=200), "200 tokens"),
        # 40 to read for 0.00008, 20 known already for 0.00001, 40 said for 0.0004: 0.00049 a step.
        (Budget(money=0.00098, prices={"meter:m": Price(2, 10, cached_input=0.5)}), "0.00 of money"),
        (Budget(money=0.00104, prices={"*": Price(2, 10)}), "0.00 of money"),
    ],
    ids=["turns", "tokens", "money", "money without a price for the cache"],
)
async def test_an_agent_is_frozen_when_its_budget_is_used_up_and_no_other(meter, budget, what):
    async with run(meter, budget) as runtime:
        assert [await writer(runtime).write() for _ in range(2)] == ["answer 1", "answer 2"]

        with pytest.raises(BudgetExceeded) as raised:
            await writer(runtime).write()

        assert str(raised.value) == f"This agent has used up its budget of {what}. It goes on when it is resumed."
        assert raised.value.status == 429
        assert meter.asked == 2
        assert await writer(runtime, "b").write() == "answer 3"


async def test_what_was_used_is_told(meter, clock):
    budget = Budget(tokens=1000, money=1, per=DAY, prices={"meter:m": Price(1000, 2000)})
    async with run(meter, budget, clock) as runtime:
        began = clock.now()
        await writer(runtime).write()

        found = await spent(writer(runtime))

        assert (found.turns, found.tokens, found.money) == (1, 100, pytest.approx(0.14))
        assert (found.since, found.until) == (began, began + DAY)


async def test_it_is_counted_across_the_end_of_the_server(meter, tmp_path):
    for count in (1, 2):
        async with run(meter, Budget(tokens=200), storage=tmp_path, rng=random.Random(count)) as runtime:
            assert await writer(runtime).write() == f"answer {count}"
    async with run(meter, Budget(tokens=200), storage=tmp_path) as runtime:
        with pytest.raises(BudgetExceeded):
            await writer(runtime).write()


async def test_its_time_passes_and_the_budget_is_whole_again(meter, clock):
    async with run(meter, Budget(turns=1, per=DAY), clock) as runtime:
        await writer(runtime).write()
        with pytest.raises(BudgetExceeded, match=r"It goes on at 2026-01-02 00:00:00 UTC\."):
            await writer(runtime).write()

        await clock.advance(DAY.total_seconds() - 1)
        with pytest.raises(BudgetExceeded):
            await writer(runtime).write()
        await clock.advance(1)

        assert await writer(runtime).write() == "answer 2"
        assert (await spent(writer(runtime))).turns == 1


async def test_a_turn_in_its_midst_ends_before_its_next_step_and_says_why(meter):
    meter.calls = 5
    async with run(meter, Budget(tokens=250)) as runtime:
        parts = await writer(runtime).parts()

        assert meter.asked == 3
        reason = "This agent has used up its budget of 250 tokens. It goes on when it is resumed."
        assert parts[-1] == {"type": "error", "message": reason, "status": 429, "is_public": True}
        assert (await spent(writer(runtime))).tokens == 300


async def test_the_last_step_of_a_turn_may_use_it_up(meter):
    async with run(meter, Budget(tokens=100)) as runtime:
        assert await writer(runtime).write() == "answer 1"


async def test_a_client_is_told_the_reason_with_429(meter):
    async with run(meter, Budget(turns=0)) as runtime:
        with pytest.raises(BudgetExceeded, match="0 turns"):
            await runtime.route(Request("/agents/writer/a"))


async def test_a_chat_s_client_reads_the_reason(meter):
    async with run(meter, Budget(tokens=100)) as runtime:
        socket: TestSocket = await tab(runtime, "one")
        meter.calls = 3
        ask(socket, "r1", user("u1"))
        frames = await hear_turn(socket, "r1")
        reason = "This agent has used up its budget of 100 tokens. It goes on when it is resumed."
        assert chunks(frames)[-1] == {"type": "error", "errorText": reason} or reason in str(frames)

        # Before the turn begins, too.
        ask(socket, "r2", user("u1"), user("u2"))
        last = (await hear_turn(socket, "r2"))[-1]
        assert (last["error"], last["body"]) == (True, reason)


async def test_a_value_is_counted_too_also_one_that_is_not_as_asked(meter):
    async with run(meter, Budget(tokens=100)) as runtime:
        with pytest.raises(Exception, match="No object generated"):
            await writer(runtime).value()
        with pytest.raises(BudgetExceeded):
            await writer(runtime).value()


async def test_whoever_watches_is_told_once(meter):
    async with run(meter, Budget(tokens=100)) as runtime:
        events: list[Any] = []
        runtime.events.subscribe("agents:budget", events.append)
        await writer(runtime).write()
        for _ in range(2):
            with pytest.raises(BudgetExceeded):
                await writer(runtime).write()
        await settle()

        assert [(event.type, event.name, event.payload["tokens"]) for event in events] == [
            ("budget:exceeded", "a", 100)
        ]
        assert Writer.told == [events[0].payload["reason"]]


@pytest.mark.parametrize("way", ["stub", "method"])
async def test_it_can_be_resumed(meter, way):
    async with run(meter, Budget(turns=1)) as runtime:
        events: list[str] = []
        runtime.events.subscribe("agents:budget", lambda event: events.append(event.type))
        await writer(runtime).write()
        with pytest.raises(BudgetExceeded):
            await writer(runtime).write()

        if way == "stub":
            await call_part(writer(runtime), "spending", "resume")
        else:
            await writer(runtime).go_on()

        assert await writer(runtime).write() == "answer 2"
        assert events == ["budget:exceeded", "budget:resumed"]


@pytest.mark.parametrize("budget", [None, Budget(tokens=1000, per=DAY)])
async def test_an_agent_can_be_frozen_by_hand(meter, clock, budget):
    async with run(meter, budget, clock) as runtime:
        await call_part(writer(runtime), "spending", "freeze", "Closed for the night.")
        with pytest.raises(BudgetExceeded, match=r"^Closed for the night\.$"):
            await writer(runtime).write()
        # What somebody has closed does not open by itself.
        await clock.advance(2 * DAY.total_seconds())
        assert await call_part(writer(runtime), "spending", "why_frozen") == "Closed for the night."

        await call_part(writer(runtime), "spending", "resume")

        assert await writer(runtime).write() == "answer 1"


async def test_a_model_without_a_price_is_not_asked(meter):
    async with run(meter, Budget(money=1, prices={"openai:gpt-4o": Price(2.5, 10)})) as runtime:
        with pytest.raises(AgentError, match=r"no price for 'meter:m'. Give one"):
            await writer(runtime).write()
        assert meter.asked == 0


async def test_a_provider_that_does_not_say_what_it_used_is_counted_by_turns(meter, caplog):
    meter.is_silent = True
    async with run(meter, Budget(tokens=1, turns=3)) as runtime:
        for n in (1, 2, 3):
            assert await writer(runtime).write() == f"answer {n}"
        with pytest.raises(BudgetExceeded, match="3 turns"):
            await writer(runtime).write()
    assert caplog.text.count("does not say what it used") == 1


async def test_a_class_has_a_budget_of_its_own(meter):
    class Thrifty(Writer):
        options = {"budget": Budget(turns=0)}

    async with agent_runtime(Thrifty, Writer, plugins=[meter], limits=Limits(budget=Budget(turns=5))) as runtime:
        with pytest.raises(BudgetExceeded):
            await runtime.namespaces["Thrifty"].get_by_name("a").write()
        assert await writer(runtime).write() == "answer 1"


async def test_an_agent_that_asks_no_model_writes_nothing_of_it(meter, tmp_path):
    async with run(meter, Budget(tokens=1), storage=tmp_path) as runtime:
        assert (await spent(writer(runtime))).tokens == 0
        assert await call_part(writer(runtime), "spending", "why_frozen") is None
    assert not list((tmp_path / "objects").rglob("*.sqlite"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Budget(),
        lambda: Budget(tokens=-1),
        lambda: Budget(tokens=1, per=timedelta()),
        lambda: Budget(money=1),
    ],
    ids=["nothing", "negative", "no time", "no prices"],
)
def test_a_budget_that_cannot_be_is_refused(make):
    with pytest.raises(ConfigError):
        make()
