"""The messages that somebody sends against those that are kept.

Whoever sends a whole conversation may be behind: a tool has answered meanwhile, or a client made up an id where the
server has another. ``plan`` says what to keep of it, what to tell other clients and what to forget. What a client may
say at all is ``client_copy``'s business, and comes first. Nothing here stores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from edgeagents.agents.chat.ui import TERMINAL, Part, UIMessage, is_settled, tool_calls

__all__ = [
    "Plan",
    "Sanitize",
    "match_rows",
    "merge_partial",
    "plan",
    "reconcile",
    "stale_ids",
    "trailing_user_ids",
]

Sanitize = Callable[[UIMessage], UIMessage]


class Plan(NamedTuple):
    """What to do with the messages that came.

    ``messages`` is what the request carried, brought up to date: other clients are told this. ``changed`` is what of
    it must be written, in order, each as it is to be kept. ``stale`` are the ids to delete.
    """

    messages: list[UIMessage]
    changed: list[UIMessage]
    stale: list[str]


def plan(
    incoming: Sequence[UIMessage],
    stored: Sequence[UIMessage],
    sanitize: Sanitize = lambda message: message,
    *,
    forget_missing: bool = False,
) -> Plan:
    """Return what to do with ``incoming``. ``sanitize`` gives a message the form in which it is kept.

    Messages that are stored and did not come are kept, but with ``forget_missing``, as a request for a turn has it,
    they go when nothing new came: the client left them out to have them made again.
    """
    messages = reconcile(incoming, stored, sanitize)
    known = {message["id"]: message for message in stored}
    changed: list[UIMessage] = []
    for message in messages:
        kept = sanitize(message)
        if known.get(kept["id"]) != kept:
            changed.append(kept)
    return Plan(messages, changed, stale_ids(messages, stored) if forget_missing else [])


def stale_ids(messages: Iterable[UIMessage], stored: Iterable[UIMessage]) -> list[str]:
    """Return the ids of stored messages that are not among ``messages``; none when there is a new one among these."""
    kept = {message["id"] for message in messages}
    known = [message["id"] for message in stored]
    return [id for id in known if id not in kept] if kept.issubset(known) else []


def trailing_user_ids(messages: Sequence[Any]) -> list[str] | None:
    """Return the ids of the user's messages that end ``messages``: those that a request asks about.

    The frames that end the request name them. None when there are none.
    """
    ids: list[str] = []
    for message in reversed(messages):
        if not isinstance(message, Mapping) or message.get("role") != "user":
            break
        if isinstance(message.get("id"), str) and message["id"]:
            ids.append(message["id"])
    return ids[::-1] or None


def reconcile(
    incoming: Sequence[UIMessage], stored: Sequence[UIMessage], sanitize: Sanitize = lambda message: message
) -> list[UIMessage]:
    """Return ``incoming`` with the ids and the tools' answers that the server knows.

    Each stored message is matched once at most: by its id; else by the calls it makes, which must be the same calls
    of the same tools, since providers use ids again; else, without calls, by what it says. A tool part that is
    further along on the server wins. An old copy of a message that came under its right id too is left out.
    """
    rows = {message["id"]: message for message in stored}
    known, resolved = _match(incoming, stored, rows, sanitize)
    merged = [_merge_tools(message, rows.get(message["id"])) for message in resolved]
    return _without_old_copies(merged, known, rows, sanitize)


def match_rows(
    incoming: Sequence[UIMessage], stored: Sequence[UIMessage], sanitize: Sanitize = lambda message: message
) -> list[UIMessage]:
    """Return ``incoming``, the assistant's messages with the ids under which the server has them."""
    return _match(incoming, stored, {message["id"]: message for message in stored}, sanitize)[1]


def _match(
    incoming: Sequence[UIMessage], stored: Sequence[UIMessage], rows: Mapping[str, UIMessage], sanitize: Sanitize
) -> tuple[set[str], list[UIMessage]]:
    claimed = {message["id"] for message in incoming if message["id"] in rows}
    resolved: list[UIMessage] = []
    for message in incoming:
        if message["role"] == "assistant" and message["id"] not in claimed:
            # In the order of the conversation: that is what pairs equal messages turn by turn.
            free = (each for each in stored if each["role"] == "assistant" and each["id"] not in claimed)
            match = _find_same(sanitize(message), free, sanitize)
            if match is not None:
                claimed.add(match["id"])
                message = {**message, "id": match["id"]}
        resolved.append(message)
    return claimed, resolved


def _find_same(message: UIMessage, rows: Iterable[UIMessage], sanitize: Sanitize) -> UIMessage | None:
    calls = {part["toolCallId"]: part for part in reversed(tool_calls(message))}
    for row in rows:
        if calls:
            shared = [part for part in tool_calls(row) if part["toolCallId"] in calls]
            if shared and all(_is_same_call(part, calls[part["toolCallId"]]) for part in shared):
                return row
        elif not tool_calls(row) and sanitize(row)["parts"] == message["parts"]:
            return row
    return None


def _is_same_call(a: Part, b: Part) -> bool:
    names = [name for name in (a.get("toolName"), b.get("toolName")) if name is not None]
    is_same_tool = a["type"] == b["type"] and names[:1] == names[-1:]
    return is_same_tool and _stable(a.get("input")) == _stable(b.get("input"))


def _stable(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


_PROGRESS = {"input-streaming": 0, "input-available": 1, "approval-requested": 2, "approval-responded": 3}
_ANSWERS = ("output", "errorText", "approval", "preliminary")


def _progress(part: Part) -> int:
    if part.get("state") in TERMINAL:
        return 5 if is_settled(part) else 4
    return _PROGRESS.get(part.get("state", ""), 5)


def _merge_tools(message: UIMessage, row: UIMessage | None) -> UIMessage:
    if row is None or message["role"] != "assistant" or all(_progress(part) == 5 for part in tool_calls(message)):
        return message
    # Where one message has a call twice, the copy that is further along is the true one.
    known = {part["toolCallId"]: part for part in sorted(tool_calls(row), key=_progress)}
    parts = [_further(part, known.get(part.get("toolCallId", ""))) for part in message["parts"]]
    return {**message, "parts": parts}


def _further(part: Part, known: Part | None) -> Part:
    if known is None or _progress(known) <= _progress(part):
        return part
    if part.get("state") == "input-streaming":
        return known
    # Only what belongs to the state of the server: an output beside an error would be taken for a result.
    rest = {name: value for name, value in part.items() if name not in _ANSWERS or name == "approval"}
    return {**rest, "state": known["state"], **{name: known[name] for name in _ANSWERS if name in known}}


def _without_old_copies(
    messages: list[UIMessage], known: set[str], rows: Mapping[str, UIMessage], sanitize: Sanitize
) -> list[UIMessage]:
    if all(message["id"] in known or message["role"] != "assistant" for message in messages[:-1]):
        return messages
    settled: dict[str, list[Part]] = {}
    for id in known:
        for part in tool_calls(rows[id]) if rows[id]["role"] == "assistant" else ():
            if part.get("state") in TERMINAL:
                settled.setdefault(part["toolCallId"], []).append(part)

    def is_old_copy(message: UIMessage) -> bool:
        if message["role"] != "assistant" or message["id"] in known:
            return False
        parts = [part for part in sanitize(message)["parts"] if part["type"] != "step-start"]
        return bool(parts) and all(
            part.get("state") in _PROGRESS
            and any(_is_same_call(part, each) for each in settled.get(part.get("toolCallId", ""), ()))
            for part in parts
        )

    # The last one stays in any case: a new call that waits for its answer stands there.
    return [message for message in messages[:-1] if not is_old_copy(message)] + messages[-1:]


def merge_partial(stored: UIMessage, partial: UIMessage) -> UIMessage:
    """Return ``partial``, rebuilt from a stream that broke off, upon the form in which it was kept meanwhile.

    What is stored stays, since a client may have answered a call there; of ``partial`` come the calls that it does
    not have, and everything that is no call.
    """
    known = {part["toolCallId"] for part in tool_calls(stored)}
    new = [part for part in partial["parts"] if part.get("toolCallId") not in known]
    merged = {**partial, "parts": [*stored["parts"], *new]}
    if stored.get("metadata"):
        merged["metadata"] = {**stored["metadata"], **(partial.get("metadata") or {})}
    return merged
