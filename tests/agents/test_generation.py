from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeagents.agents.generation import DurableTextStream, Generation
from edgeagents.agents.streams import DurableStreams
from edgeagents.errors import ModelError, StreamClosedError, StreamError
from edgeagents.http import AbortController, EventStreamParser, Request, Response
from edgeagents.models import (
    AbortPart,
    ErrorPart,
    FinishStep,
    Message,
    ModelHandle,
    ModelRegistry,
    TextDelta,
    ToolInputDelta,
    ToolInputStart,
    tool,
    tool_call,
)
from edgeagents.models.messages import TextContent, ToolCallContent
from edgeagents.objects.sqlite import Database
from tests.agents.durable_fakes import PlainContext
from tests.models.fakes import HandClock, ScriptedProvider, said, settle

pytestmark = pytest.mark.cloudflare(
    "Models", "a stream belongs to the agent and is resumed by cursor", "different: more than the SDK offers"
)


class Server:
    """One life of an agent. Make another with the same database to see it come back."""

    def __init__(self, database: Database, *providers: Any, find_tool: Callable[[str], Any] = lambda name: None):
        self.ctx = PlainContext(database, HandClock())
        self.streams = DurableStreams(self.ctx)
        self.models = ModelRegistry(providers, clock=self.ctx.clock)
        self.generation = Generation(self.ctx, {}, self.streams, self.models, find_tool=find_tool)

    async def start(self) -> Server:
        await self.streams.start()
        await self.generation.start()
        return self

    def ask(self, **more: Any) -> DurableTextStream:
        return self.generation.stream_text(**{"model": "scripted:m", "prompt": "hi", "stream_id": "s", **more})

    def again(self) -> DurableTextStream:
        stream = self.generation.get_stream("s")
        assert stream is not None
        return stream

    def resume(self, path: str = "/", stream_id: str | None = None, **headers: str) -> Response:
        request = Request(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return self.generation.resume_stream(request, stream_id)


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database.open(None)
    yield database
    database.close()


def pending() -> asyncio.Future[None]:
    return asyncio.get_running_loop().create_future()


async def parts_of(stream: DurableTextStream) -> list[Any]:
    return [part async for part in stream.full_stream]


async def test_an_answer_is_read_from_its_stream(database: Database) -> None:
    server = await Server(database, ScriptedProvider(said("Hel", "lo"))).start()
    stream = server.ask()
    assert await stream.text == "Hello"
    assert await stream.finish_reason == "stop"
    response = stream.to_text_stream_response(headers={"content-type": "text/x-unknown"})
    assert dict(response.headers.items()) == {"content-type": "text/x-unknown", "x-stream-id": "s"}
    assert await response.text() == "Hello"
    assert "[DONE]" in await stream.to_ui_message_stream_response().text()
    assert [status.state for status in server.streams.list(tag="turn")] == ["completed"]


async def test_a_client_that_leaves_does_not_end_the_turn(database: Database) -> None:
    gate = pending()
    server = await Server(database, ScriptedProvider([TextDelta("t", "Hel"), gate, *said("lo")])).start()
    chunks = server.ask().to_text_stream_response().stream()
    assert await anext(chunks) == b"Hel"
    await chunks.aclose()  # type: ignore[attr-defined]
    gate.set_result(None)
    await server.ctx.idle()
    assert await server.resume("/?cursor=3").text() == "lo"


async def test_a_turn_runs_though_nobody_reads(database: Database) -> None:
    server = await Server(database, ScriptedProvider(said("x"))).start()
    finished: list[str] = []
    server.ask(on_finish=lambda event: finished.append(event.text))
    await server.ctx.idle()
    assert finished == ["x"]


async def test_a_second_reader_gets_all_of_it_while_it_is_made(database: Database) -> None:
    gate = pending()
    server = await Server(database, ScriptedProvider([TextDelta("t", "Hel"), gate, *said("lo")])).start()
    server.ask()
    texts = [asyncio.create_task(server.again().to_text_stream_response().text()) for _ in range(3)]
    await settle()
    gate.set_result(None)
    assert await asyncio.gather(*texts) == ["Hello"] * 3


async def test_events_resume_after_the_last_one_seen(database: Database) -> None:
    server = await Server(database, ScriptedProvider(said("Hel", "lo"))).start()
    await server.ask().consume_stream()
    whole = await server.resume(accept="text/event-stream").bytes()
    seen = EventStreamParser().feed(whole)
    rest = EventStreamParser().feed(await server.resume(last_event_id=seen[3].id or "").bytes())
    assert [event.data for event in rest] == [event.data for event in seen[4:]]
    assert (await server.resume("/?cursor=4", accept="text/event-stream").bytes()) in whole


async def test_an_event_source_that_has_all_is_told_to_stop(database: Database) -> None:
    server = await Server(database, ScriptedProvider(said("x"))).start()
    await server.ask().consume_stream()
    last = len(await parts_of(server.again())) - 1
    assert server.resume(last_event_id=str(last)).status == 204


@pytest.mark.parametrize(
    ("path", "stream_id", "headers", "status"),
    [
        ("/", "other", {}, 404),
        ("/?cursor=x", None, {}, 400),
        ("/?cursor=x", None, {"accept": "text/event-stream"}, 400),
        ("/", None, {"last_event_id": "99"}, 400),
    ],
    ids=["unknown", "bad bytes", "bad cursor", "beyond the end"],
)
async def test_a_wrong_question_is_answered_with_what_is_wrong(
    database: Database, path: str, stream_id: str | None, headers: dict[str, str], status: int
) -> None:
    server = await Server(database, ScriptedProvider(said("x"))).start()
    await server.ask().consume_stream()
    response = server.resume(path, stream_id, **headers)
    assert response.status == status
    assert await response.text()


async def test_without_a_turn_there_is_nothing_to_resume(database: Database) -> None:
    assert (await Server(database).start()).resume().status == 204


async def test_the_latest_turn_is_resumed(database: Database) -> None:
    server = await Server(database, ScriptedProvider(said("one"), said("two"))).start()
    await server.ask(stream_id="a").consume_stream()
    await server.ask(stream_id=None).consume_stream()
    assert await server.resume().text() == "two"
    assert await server.resume(stream_id="a").text() == "one"


async def test_a_stop_is_explicit_and_keeps_what_was_said(database: Database) -> None:
    provider = ScriptedProvider([TextDelta("t", "Hel"), pending()])
    server = await Server(database, provider).start()
    stream = server.ask()
    await settle()
    assert stream.abort("enough") is True
    assert (await parts_of(stream))[-1] == AbortPart("enough")
    assert await stream.text == "Hel"
    assert provider.closed == 1
    await server.ctx.idle()
    assert stream.abort() is False


async def test_the_programs_own_signal_stops_a_turn(database: Database) -> None:
    server = await Server(database, ScriptedProvider([pending()])).start()
    controller = AbortController()
    stream = server.ask(abort_signal=controller.signal)
    await settle()
    controller.abort("mine")
    assert (await parts_of(stream))[-1] == AbortPart("mine")


async def test_an_error_ends_the_stream_for_every_reader(database: Database) -> None:
    provider = ScriptedProvider([TextDelta("t", "Hel"), ModelError("down", status=503)])
    server = await Server(database, provider).start()
    stream = server.ask(on_error=lambda part: None)
    assert (await parts_of(stream))[-1] == ErrorPart("down", 503)
    with pytest.raises(ModelError, match="down"):
        await stream.text
    with pytest.raises(ModelError):
        await stream.to_text_stream_response().bytes()
    assert "down" not in await stream.to_ui_message_stream_response().text()
    assert server.streams.list()[0].state == "errored"


async def test_one_turn_writes_a_stream(database: Database) -> None:
    server = await Server(database, ScriptedProvider([pending()])).start()
    stream = server.ask()
    with pytest.raises(StreamError, match="A turn is writing the stream 's' already"):
        server.ask()
    await settle()
    stream.abort()
    await stream.consume_stream()
    await server.ctx.idle()
    with pytest.raises(StreamClosedError):
        server.ask()


async def test_what_cannot_be_kept_ends_the_turn(database: Database) -> None:
    server = await Server(database, ScriptedProvider([TextDelta("t", "x" * 2_000_000)])).start()
    assert isinstance((await parts_of(server.ask()))[-1], ErrorPart)


async def test_a_stream_that_is_deleted_ends_its_turn_and_its_readers(database: Database) -> None:
    gate = pending()
    server = await Server(database, ScriptedProvider([TextDelta("t", "Hel"), gate, *said("lo")])).start()
    reading = asyncio.create_task(parts_of(server.ask()))
    await settle()
    server.streams.delete("s")
    gate.set_result(None)
    assert isinstance((await reading)[-1], ErrorPart)
    await server.ctx.idle()


async def test_old_turns_are_forgotten(database: Database) -> None:
    server = await Server(database, ScriptedProvider(*[said("x")] * 105)).start()
    server.streams.open("mine").close()
    for number in range(105):
        await server.ask(stream_id=f"s{number}").consume_stream()
        await server.ctx.idle()
    assert len(server.streams.list(tag="turn", limit=1000)) == 100
    assert server.streams.status("mine") is not None
    assert server.streams.status("s104") is not None


# The server's end, and what comes after


async def cut(server: Server) -> None:
    """End the server as SIGKILL does: tasks vanish, what was written stays."""
    await settle()
    await server.ctx.stop()


@pytest.fixture
async def offline_text() -> str:
    database = Database.open(None)
    server = await Server(database).start()
    text = await server.ask(model="offline:m", provider_options={"offline": {"pause_ms": 0, "words": 30}}).text
    database.close()
    return text


@pytest.mark.parametrize("seconds", [0, 0.1, 0.15, 1.5, 2.9])
async def test_the_offline_model_goes_on_where_it_was_cut(
    database: Database, offline_text: str, seconds: float
) -> None:
    first = await Server(database).start()
    first.ask(model="offline:m", provider_options={"offline": {"pause_ms": 100, "words": 30}})
    await first.ctx.clock.advance(seconds)
    await cut(first)
    second = await Server(database).start()
    reading = asyncio.create_task(parts_of(second.again()))
    await second.ctx.clock.advance(4)
    parts = await reading
    assert "".join(part.text for part in parts if isinstance(part, TextDelta)) == offline_text
    assert [type(part).__name__ for part in parts if not isinstance(part, TextDelta)] == [
        "Start",
        "StartStep",
        "TextStart",
        "TextEnd",
        "FinishStep",
        "Finish",
    ]


async def test_a_reader_that_comes_back_after_a_restart_misses_nothing(database: Database, offline_text: str) -> None:
    first = await Server(database).start()
    chunks = (
        first.ask(model="offline:m", provider_options={"offline": {"pause_ms": 100, "words": 30}})
        .to_text_stream_response()
        .stream()
    )
    got = b""
    for _ in range(10):
        await first.ctx.clock.advance(0.1)
        got += await anext(chunks)
    await cut(first)
    second = await Server(database).start()
    rest = asyncio.create_task(second.resume(f"/?cursor={len(got)}").bytes())
    await second.ctx.clock.advance(4)
    assert (got + await rest).decode() == offline_text


async def test_a_provider_that_can_is_asked_to_go_on(database: Database) -> None:
    first = await Server(database, ScriptedProvider([TextDelta("t", "Hel"), pending()])).start()
    first.ask(temperature=0.5, system="be brief")
    await cut(first)
    provider = ScriptedProvider(said("lo"), continues=True)
    second = await Server(database, provider).start()
    assert await second.again().text == "Hello"
    (request,) = provider.requests
    assert (request.prefix, request.temperature) == ("Hel", 0.5)
    assert [message.text for message in request.messages] == ["be brief", "hi"]


async def test_a_provider_that_cannot_ends_the_stream_with_an_error(database: Database) -> None:
    first = await Server(database, ScriptedProvider([TextDelta("t", "Hel"), pending()])).start()
    first.ask()
    await cut(first)
    second = await Server(database, ScriptedProvider()).start()
    parts = await parts_of(second.again())
    assert isinstance(parts[-1], ErrorPart)
    assert "cannot go on in the middle" in parts[-1].message
    assert await second.resume(accept="text/event-stream").bytes()


async def test_a_provider_that_had_said_nothing_is_simply_asked_again(database: Database) -> None:
    first = await Server(database, ScriptedProvider([pending()])).start()
    first.ask()
    await cut(first)
    second = await Server(database, ScriptedProvider(said("Hello"))).start()
    assert await second.again().text == "Hello"


class Shop:
    def __init__(self) -> None:
        self.sold = 0
        self.gate: asyncio.Future[None] | None = None

    async def sell(self) -> int:
        """Sell one."""
        self.sold += 1
        if self.gate is not None:
            await self.gate
        return self.sold

    def find(self, name: str) -> Any:
        return getattr(self, name, None)


SELL = [tool_call("c", "sell", "{}"), FinishStep("tool-calls")]


async def test_a_finished_step_is_not_made_again(database: Database) -> None:
    shop = Shop()
    first = await Server(database, ScriptedProvider(SELL, [pending()]), find_tool=shop.find).start()
    first.ask(tools=[shop.sell], max_steps=3)
    await cut(first)
    provider = ScriptedProvider(said("Sold."))
    second = await Server(database, provider, find_tool=shop.find).start()
    assert await second.again().text == "Sold."
    assert shop.sold == 1
    assert [message.role for message in provider.requests[0].messages] == ["user", "assistant", "tool"]
    assert [definition.name for definition in provider.requests[0].tools] == ["sell"]


async def test_a_tool_that_may_have_run_is_not_run_again(database: Database) -> None:
    shop = Shop()
    shop.gate = pending()
    first = await Server(database, ScriptedProvider(SELL), find_tool=shop.find).start()
    first.ask(tools={"sell": shop.sell}, max_steps=3)
    await cut(first)
    assert first.ctx.flushes == 1
    provider = ScriptedProvider(said("I do not know."))
    second = await Server(database, provider, find_tool=shop.find).start()
    assert await second.again().text == "I do not know."
    assert shop.sold == 1
    (answer,) = provider.requests[0].messages[-1].content
    assert answer.is_error  # type: ignore[union-attr]
    assert "not known" in answer.output  # type: ignore[union-attr]


async def test_half_a_call_is_not_made(database: Database) -> None:
    shop = Shop()
    script = [ToolInputStart("c", "sell"), ToolInputDelta("c", '{"a'), pending()]
    first = await Server(database, ScriptedProvider(script), find_tool=shop.find).start()
    first.ask(tools=[shop.sell], max_steps=3)
    await cut(first)
    second = await Server(database, ScriptedProvider(said("Again?")), find_tool=shop.find).start()
    assert await second.again().text == "Again?"
    assert shop.sold == 0


async def test_a_tool_that_is_not_found_again_is_left_out(database: Database) -> None:
    shop = Shop()
    first = await Server(database, ScriptedProvider(SELL, [pending()])).start()
    first.ask(tools=[shop.sell], max_steps=3)
    await cut(first)
    provider = ScriptedProvider(said("Sold."))
    second = await Server(database, provider).start()
    assert await second.again().text == "Sold."
    assert provider.requests[0].tools == ()


async def test_a_tool_is_not_found_again_without_its_question(database: Database) -> None:
    shop = Shop()
    guarded = tool(shop.sell, needs_approval=True)
    first = await Server(database, ScriptedProvider([pending()]), find_tool=shop.find).start()
    first.ask(tools={"sell": guarded}, max_steps=3)
    await cut(first)
    provider = ScriptedProvider(said("Sold out."))
    second = await Server(database, provider, find_tool=shop.find).start()
    assert await second.again().text == "Sold out."
    assert provider.requests[0].tools == ()


async def test_a_call_that_was_allowed_and_may_have_been_made_is_not_made_again(database: Database) -> None:
    shop = Shop()
    shop.gate = pending()
    call = Message("assistant", (ToolCallContent("c", "sell", {}),))
    messages = [Message("user", (TextContent("Sell it"),)), call]
    first = await Server(database, ScriptedProvider(), find_tool=shop.find).start()
    first.ask(prompt=None, messages=messages, tools=[shop.sell])
    await cut(first)
    assert (shop.sold, first.ctx.flushes) == (1, 1)
    provider = ScriptedProvider(said("I do not know."))
    second = await Server(database, provider, find_tool=shop.find).start()
    assert await second.again().text == "I do not know."
    assert shop.sold == 1
    (answer,) = provider.requests[0].messages[-1].content
    assert "not known" in answer.output  # type: ignore[union-attr]


async def test_a_model_that_only_the_program_has_cannot_go_on(database: Database) -> None:
    provider = ScriptedProvider([TextDelta("t", "Hel"), pending()], continues=True)
    first = await Server(database, provider).start()
    first.ask(model=ModelHandle(provider, "m", is_reopenable=False))
    await cut(first)
    second = await Server(database, provider).start()
    last = (await parts_of(second.again()))[-1]
    assert isinstance(last, ErrorPart)
    assert "could not be kept" in last.message


async def test_a_provider_that_is_gone_ends_the_stream_with_an_error(database: Database) -> None:
    first = await Server(database, ScriptedProvider([TextDelta("t", "Hel"), pending()])).start()
    first.ask()
    await cut(first)
    last = (await parts_of((await Server(database).start()).again()))[-1]
    assert isinstance(last, ErrorPart)
    assert "No installed plugin provides the models of 'scripted'" in last.message


async def test_a_turn_that_ends_the_server_each_time_is_given_up(database: Database) -> None:
    for _ in range(4):
        server = await Server(database, ScriptedProvider([pending()])).start()
        if not server.streams.list():
            server.ask()
        await cut(server)
    last = (await parts_of((await Server(database, ScriptedProvider()).start()).again()))[-1]
    assert isinstance(last, ErrorPart)
    assert "at the same place" in last.message


async def test_secrets_are_not_kept(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "agent.sqlite")
    server = await Server(database, ScriptedProvider(said("x"))).start()
    await server.ask(headers={"authorization": "Bearer sk-secret"}).consume_stream()
    database.commit()
    database.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())  # noqa: ASYNC240
    assert b"scripted:m" in kept
    assert b"sk-secret" not in kept


async def test_a_turn_that_ended_as_the_server_did_is_settled(database: Database) -> None:
    server = await Server(database, ScriptedProvider(said("x"))).start()
    await server.ask().consume_stream()
    await server.ctx.idle()
    database.fetch("update cf_agents_streams set state = 'streaming'")
    again = await Server(database, ScriptedProvider()).start()
    assert again.streams.list()[0].state == "completed"
    assert await again.again().text == "x"


class Interrupting:
    """Aborts its own turn from within, as a program might that has seen enough."""

    name = "interrupting"

    def __init__(self, stop: Callable[[], object]) -> None:
        self.stop = stop

    async def stream(self, request: Any, *, env: Any, signal: Any) -> AsyncIterator[Any]:
        yield TextDelta("t", "one ")
        self.stop()
        yield TextDelta("t", "two ")
        await asyncio.Event().wait()


async def test_a_turn_may_be_stopped_from_within(database: Database) -> None:
    server = await Server(database).start()
    server.models.add(Interrupting(lambda: server.generation.stop("s")))
    stream = server.ask(model="interrupting:m")
    assert isinstance((await parts_of(stream))[-1], AbortPart)


async def test_how_often_a_model_is_asked_again_is_the_program_s_to_say(database: Database) -> None:
    provider = ScriptedProvider([ModelError("busy", retryable=True)], said("never"))
    server = await Server(database, provider).start()
    stream = server.ask(max_retries=0, on_error=lambda part: None)
    assert (await parts_of(stream))[-1] == ErrorPart("busy", retryable=True)
    assert len(provider.requests) == 1
