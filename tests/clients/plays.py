"""Plays: what connections do, step by step, and what they saw, as text that is compared with a kept transcript.

A row of a test module is a list of steps (the functions below; ``scenarios/play.mjs`` acts them out). Its transcript
stands in ``transcripts/<module>/<row>.txt`` as the TypeScript SDK on workerd played it:

    A → {"type": "cf_agent_chat_clear"}
    B ← {"type": "cf_agent_chat_clear"}
    A ∎                                      nothing more came before the answer to a call made now
    A.history() = []

Where we differ on purpose, ``<row>.here.txt`` says how, and the README says why. Names that a server makes up are
replaced by ``new-1``, ``new-2``, in the order in which they appear.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.clients.conftest import Driver
from tests.servers import Server

TRANSCRIPTS = Path(__file__).parent / "transcripts"
Step = list[Any]

# In what is sent, the id of the turn that the sender heard of last.
LAST = "LAST-ID"

# The keys under which a server may put a name that it made up.
NAMING = {"id", "messageId", "requestId", "messageIds", "approvalId", "toolCallId", "connection", "connections"}


def opens(who: str, path: str = "/agents/chat/NAME") -> list[Step]:
    """Connect, and keep what is sent on connecting."""
    return [["open", who, path]]


def connects(who: str, path: str = "/agents/chat/NAME") -> list[Step]:
    """Connect, and pass over what is sent on connecting."""
    return [["open", who, path], ["skip", who, {"type": "cf_agent_mcp_servers"}]]


def sends(who: str, frame: object) -> list[Step]:
    return [["send", who, frame if isinstance(frame, str) else json.dumps(frame)]]


def takes(who: str, count: int) -> list[Step]:
    return [["take", who, count]]


def until(who: str, **pattern: object) -> list[Step]:
    """Take the frames of ``who`` up to the first that has all of ``pattern``."""
    return [["until", who, pattern]]


def until_type(who: str, type: str) -> list[Step]:
    return until(who, type=type)


def hears(who: str, *texts: str) -> list[Step]:
    """Take the frames up to the first that is one of ``texts``, and write down only that."""
    return [["hear", who, list(texts)]]


def until_done(who: str, id: str | None = None) -> list[Step]:
    """Take the frames up to the last of a turn."""
    return until(who, type="cf_agent_use_chat_response", done=True, **({"id": id} if id else {}))


def until_chunk(who: str, **chunk: object) -> list[Step]:
    """Take the frames up to the one that carries a chunk like this."""
    return until(who, body=chunk)


def skips(who: str, **pattern: object) -> list[Step]:
    return [["skip", who, pattern]]


def skips_done(who: str, id: str | None = None) -> list[Step]:
    return skips(who, type="cf_agent_use_chat_response", done=True, **({"id": id} if id else {}))


def quiet(*everyone: str) -> list[Step]:
    """Nothing more has come to them; if something has, the transcript shows it."""
    return [["quiet", who] for who in everyone]


def calls(who: str, method: str, *args: object) -> list[Step]:
    return [["call", who, method, list(args)]]


def starts(who: str, method: str, *args: object) -> list[Step]:
    return [["start", who, method, list(args)]]


def answered(who: str) -> list[Step]:
    return [["answered", who]]


def closes(who: str, code: int = 1000) -> list[Step]:
    return [["close", who, code]]


def closed(who: str) -> list[Step]:
    return [["closed", who]]


def gets(path: str, method: str = "GET") -> list[Step]:
    return [["http", method, path]]


def meets(point: str) -> list[Step]:
    return [["meet", point]]


def user(id: str, text: str = "hi") -> dict[str, Any]:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}


def assistant(id: str, *parts: object) -> dict[str, Any]:
    return {
        "id": id,
        "role": "assistant",
        "parts": [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts],
    }


def asks(who: str, id: str, *messages: Any, trigger: str = "submit-message", **body: object) -> list[Step]:
    """Ask for a turn, as the hook does. ``body`` is what the scripted agent goes by."""
    inner = json.dumps({"messages": list(messages), "trigger": trigger, **body})
    return sends(who, {"id": id, "type": "cf_agent_use_chat_request", "init": {"method": "POST", "body": inner}})


def gate(name: str) -> dict[str, Any]:
    return {"gate": name}


def text(*pieces: Any, id: str = "t") -> list[dict[str, Any]]:
    """The chunks of a text; a piece that is no string stands between them as it is."""
    deltas = [{"type": "text-delta", "id": id, "delta": p} if isinstance(p, str) else p for p in pieces]
    return [{"type": "text-start", "id": id}, *deltas, {"type": "text-end", "id": id}]


def reply(*steps: Any) -> list[dict[str, Any]]:
    """A whole answer of one step; strings become texts, lists of chunks stand as they are."""
    chunks: list[dict[str, Any]] = []
    for step in steps:
        chunks += text(step) if isinstance(step, str) else step if isinstance(step, list) else [step]
    return [
        {"type": "start"},
        {"type": "start-step"},
        *chunks,
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop"},
    ]


def tool_call(id: str = "call-1", name: str = "locate", **input: object) -> list[dict[str, Any]]:
    return [
        {"type": "tool-input-start", "toolCallId": id, "toolName": name},
        {"type": "tool-input-available", "toolCallId": id, "toolName": name, "input": input},
    ]


def tool_result(who: str, id: str = "call-1", name: str = "locate", **fields: object) -> list[Step]:
    return sends(who, {"type": "cf_agent_tool_result", "toolCallId": id, "toolName": name, **fields})


def approval(who: str, id: str = "call-1", **fields: object) -> list[Step]:
    return sends(who, {"type": "cf_agent_tool_approval", "toolCallId": id, **fields})


def resumes(who: str, probe: str = "p1") -> list[Step]:
    return sends(who, {"type": "cf_agent_stream_resume_request", "probeId": probe})


def acks(who: str, id: str) -> list[Step]:
    return sends(who, {"type": "cf_agent_stream_resume_ack", "id": id})


# what was seen


def read(words: str) -> Any:
    try:
        return json.loads(words)
    except ValueError:
        return words


def _strings(value: Any) -> set[str]:
    if isinstance(value, str):
        inner = read(value)
        return {value} | (_strings(inner) if isinstance(inner, dict | list) else set())
    if isinstance(value, dict):
        return set().union(*map(_strings, value.values()))
    if isinstance(value, list):
        return set().union(*map(_strings, value))
    return set()


class Transcript:
    """Turns what a play reports into text that is the same each time."""

    def __init__(self, steps: list[Step], name: str) -> None:
        self._given = _strings(steps)
        self._name = name
        self._made_up: dict[str, str] = {}

    def text(self, seen: list[Any]) -> str:
        return "".join(f"{line}\n" for who, what, value in seen for line in self._lines(who, what, value))

    def _lines(self, who: str, what: str, value: Any) -> list[str]:
        if what == "frames":
            return [f"{who} ← {self._plain(frame)}" for frame in value]
        if what == "quiet":
            return [*(f"{who} ← {self._plain(frame)}" for frame in value), f"{who} ∎"]
        if what == "sends":
            return [f"{who} → {self._plain(value)}"]
        if what == "opens":
            return [f"{who} opens {self._hide(value)}"]
        if what in ("closes", "closed", "refused"):
            return [f"{who} {what} {self._plain(value)}"]
        if who == "http":
            status, kind, body = value
            return [f"{self._hide(what)} = {status} {kind} {self._plain(body)}"]
        outcome = self._plain(value["result"], what) if "result" in value else f"raises {self._plain(value['error'])}"
        return [f"{who}.{what}() = {outcome}"]

    def _plain(self, value: Any, key: str = "") -> str:
        if isinstance(value, str):
            return self._hide(value)
        return self._hide(json.dumps(self._named(value, key), sort_keys=True, ensure_ascii=False))

    def _named(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: self._named(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [self._named(item, key) for item in value]
        if not isinstance(value, str):
            return value
        if key == "body" and isinstance(inner := read(value), dict):
            return self._named(inner)
        made_up = key in NAMING and value not in self._given
        return self._made_up.setdefault(value, f"new-{len(self._made_up) + 1}") if made_up else value

    def _hide(self, words: str) -> str:
        words = re.sub(r"(.)\1{99,}", lambda run: f"{run[1]}×{len(run[0])}", words)
        return re.sub(rf"{self._name}|\b[0-9a-f]{{64}}\b", "NAME", words)


def perform(
    steps: list[Step], row: str, folder: str, driver: Driver, server: Server, **options: Any
) -> tuple[str, str]:
    """Act ``steps`` out and return what was seen, and what ought to have been."""
    slug = re.sub(r"[^a-z0-9]+", "-", row.lower()).strip("-")
    name = f"{slug}-{uuid4().hex[:8]}"
    path = TRANSCRIPTS / folder / f"{slug}.txt"
    there = server.server in ("elsewhere", "workerd")
    ours = path.with_suffix(".here.txt")
    if not there and ours.exists():
        path = ours
    steps = json.loads(json.dumps(steps).replace("NAME", name))
    seen = Transcript(steps, name).text(driver.run("play", server.url, steps=steps, **options))
    if there and "EDGEAGENTS_RECORD" in os.environ:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(seen)
    return seen, path.read_text()
