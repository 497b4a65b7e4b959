"""What is secret does not reach a log, an event or an error page."""

from __future__ import annotations

import logging
from io import StringIO
from typing import Any

import pytest

from edgeagents import Agent, callable, redaction
from edgeagents.agents import AgentEvent, log_events
from edgeagents.redaction import HIDDEN, RedactingFilter, has_secret_name, hide, hide_named, redact
from edgeagents.runtime import Runtime
from edgeagents.testing import agent_runtime, connect
from tests.agents.frames import answer


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_values", set())
    monkeypatch.setattr(redaction, "_known", None)
    monkeypatch.setattr(redaction, "_told", set())


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: [hidden]"),
        ("authorization: abc\r\nhost: a", "authorization: [hidden]\r\nhost: a"),
        ("{'authorization': 'Bearer abcdefgh', 'a': 'b'}", "{'authorization': '[hidden]', 'a': 'b'}"),
        ("[(b'cookie', b'session=1; x=2'), (b'host', b'a')]", "[(b'cookie', b'[hidden]'), (b'host', b'a')]"),
        ("Set-Cookie: session=1; HttpOnly", "Set-Cookie: [hidden]"),
        ("x-api-key=abcdef", "x-api-key=[hidden]"),
        ("said Bearer abcdefgh.ijk to it", "said Bearer [hidden] to it"),
        (
            "GET /agents/chat/a?_pk=1&ticket=eyJ.abc&x=2 HTTP/1.1",
            "GET /agents/chat/a?_pk=1&ticket=[hidden]&x=2 HTTP/1.1",
        ),
        ("https://a/cb?code=abc&state=d#f", "https://a/cb?code=[hidden]&state=[hidden]#f"),
        ("postgres://ann:pa55@db:5432/x", "postgres://[hidden]@db:5432/x"),
        ("a bearer of news, basic facts, a cookie jar", "a bearer of news, basic facts, a cookie jar"),
        ("?name=ann&colour=red", "?name=ann&colour=red"),
        ("http://a:80/x@y", "http://a:80/x@y"),
        ("", ""),
    ],
)
def test_what_stands_where_secrets_stand_is_hidden(text: str, left: str):
    assert redact(text) == left
    assert redact(left) == left


def test_values_that_are_known_to_be_secret_are_hidden_wherever_they_stand():
    hide(["s3cret-value", "s3cret", "short", None, 42])
    assert redact("failed with s3cret-value and s3cret; short 42") == f"failed with {HIDDEN} and {HIDDEN}; short 42"


WORDS = ["another", "localhost", "DEVELOPMENT", "Hunter"]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "text", ["is the name of {} worker", "Error: {} process has it", "http://{}:8000/a", "mis{}s", "the {}'s", "{}s"]
)
def test_a_secret_that_is_a_word_does_not_hide_that_word_in_sentences(word: str, text: str):
    hide([*WORDS, "s3cret-value"])
    assert redact(text.format(word)) == text.format(word)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize(
    "text",
    [
        "PIN={} is wrong",
        "pin: {}.",
        "pin: {}",
        "{{'pin': '{}', 'b': 1}}",
        '{{"pin":"{}"}}',
        "{{pin:{}}}",
        "{}",
        "a `{}` b",
        "GET /hook/{}/b 200 OK",
        "GET /{}?a=b",
        "the key is {}",
        "ValueError: the key is {}\nTraceback",
    ],
)
def test_a_secret_that_is_a_word_is_hidden_where_it_stands_as_a_value(word: str, text: str):
    hide([*WORDS, "s3cret-value"])
    assert redact(text.format(word)) == text.format(HIDDEN)


@pytest.mark.parametrize("value", ["s3cret", "pass-word", "aVerySecret", "correcthorsebattery", "123456", "two words"])
def test_a_secret_that_is_no_word_is_hidden_in_words_too(value: str):
    hide(["another", value])
    assert redact(f"x{value}s of another {value} kind") == f"x{HIDDEN}s of another {HIDDEN} kind"


def test_what_is_logged_as_an_argument_is_a_value():
    hide(["hunter"])
    assert logged("the hunter cannot log in with %s today", "hunter") == (
        f"the hunter cannot log in with {HIDDEN} today\n"
    )


def test_a_secret_that_is_too_weak_to_be_hidden_is_told_once(caplog: pytest.LogCaptureFixture):
    secrets = {"API_KEY": "another", "TOKEN": "abc", "PASSWORD": "s3cret-value", "SECRET": "", "A_KEY": None}
    hide_named(secrets)
    hide_named(secrets)
    assert [record.getMessage() for record in caplog.records] == [
        "The secret API_KEY is like an ordinary word: logs and error pages may show it. Give it a longer value.",
        "The secret TOKEN is shorter than 6 characters: logs and error pages may show it. Give it a longer value.",
    ]


@pytest.mark.parametrize("name", ["AN_API_KEY", "TOKEN", "db_password", "A_WEBHOOK_SECRET", "KEY", "A_DSN"])
def test_names_of_secrets(name: str):
    assert has_secret_name(name)


@pytest.mark.parametrize("name", ["MONKEY", "TURKEY_URL", "KEYBOARD", "PASSAGE", "GREETING", "BYPASS"])
def test_names_of_no_secrets(name: str):
    assert not has_secret_name(name)


def logged(message: str, *args: Any, error: Exception | None = None) -> str:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.error(message, *args, exc_info=error)
    return stream.getvalue()


def test_a_filter_redacts_messages_arguments_and_tracebacks():
    hide(["s3cret-value"])
    try:
        raise ValueError("s3cret-value is wrong")
    except ValueError as error:
        text = logged("%s %d of %s", "/a?token=abc", 1, error, error=error)
    assert f"/a?token={HIDDEN} 1 of {HIDDEN} is wrong" in text
    assert f"ValueError: {HIDDEN} is wrong" in text
    assert "s3cret" not in text
    assert f"q {HIDDEN} z" in logged("q %(value)s z", {"value": "s3cret-value"})


class Keeper(Agent):
    @callable()
    async def fail(self) -> None:
        raise ValueError(f"cannot use {self.env.API_KEY}")


async def test_a_runtime_knows_its_secrets_and_events_do_not_tell_them():
    seen: list[AgentEvent] = []
    async with agent_runtime(Keeper, env={"API_KEY": "s3cret-value", "GREETING": "good day"}) as runtime:
        runtime.events.subscribe(None, seen.append)
        socket = await connect(runtime, "/agents/keeper/a")
        await answer(socket, "fail")
    (failure,) = (event for event in seen if event.type == "rpc:error")
    assert failure.payload["error"] == f"cannot use {HIDDEN}"
    assert redact("good day") == "good day"


async def test_lines_of_events_are_redacted(caplog: pytest.LogCaptureFixture):
    runtime = Runtime(storage=None)
    runtime.events.subscribe(None, log_events())
    hide(["s3cret-value"])
    with caplog.at_level(logging.INFO, "edgeagents.events"):
        async with agent_runtime(Keeper) as other:
            event = AgentEvent("note", "Keeper", "s3cret-value", {"x": "s3cret-value"}, other.clock.now())
            runtime.events.publish(event)
    assert "s3cret" not in caplog.text
