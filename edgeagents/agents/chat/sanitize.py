"""The form in which messages are kept.

``sanitize`` takes out what is of no use later: ids that a provider forgets, thoughts that were not told, and the long
payloads of tools that a provider ran itself. ``fit`` makes a message small enough for one row of a table that cannot
hold more; an agent's own chat keeps a large message whole, in several rows, and does not need it.
"""

from __future__ import annotations

from typing import Any, cast

from edgeagents.agents.chat.ui import Part, UIMessage, tool_name
from edgeagents.agents.protocol import encode

__all__ = ["ROW_LIMIT", "fit", "sanitize", "shorten"]

ROW_LIMIT = 1_800_000
"""Bytes that fit into a row with room to spare, where a row may have two megabytes."""

LONGEST_PROVIDER_STRING = 500
LONGEST_OUTPUT = 1000

# What the tools of a provider read again in a later turn.
_REPLAYED_TOOLS = ("web_search", "web_fetch")
_METADATA = ("providerMetadata", "callProviderMetadata")
_EPHEMERAL = ("itemId", "reasoningEncryptedContent")


def sanitize(message: UIMessage) -> UIMessage:
    """Return ``message`` as it is to be kept: itself when there is nothing to take out. Doing it twice is no harm."""
    parts: list[Part] = message["parts"]
    kept = [each for part in parts if (each := _sanitize_part(part)) is not None]
    if len(kept) == len(parts) and all(new is old for new, old in zip(kept, parts, strict=True)):
        return message
    return {**message, "parts": kept}


def _sanitize_part(part: Part) -> Part | None:
    for key in _METADATA:
        if key in part:
            part = _without_ephemeral(part, key)
    if part.get("type") == "reasoning":
        text = part.get("text")
        if not (isinstance(text, str) and text.strip()) and not part.get("providerMetadata"):
            return None
    if part.get("providerExecuted") and tool_name(part) not in _REPLAYED_TOOLS:
        short = {name: _truncate(part[name]) for name in ("input", "output") if name in part}
        if any(short[name] != part[name] for name in short):
            return {**part, **short}
    return part


def _without_ephemeral(part: Part, key: str) -> Part:
    metadata = part[key]
    openai = metadata.get("openai") if isinstance(metadata, dict) else None
    if not isinstance(openai, dict):
        return part
    found = cast("dict[str, Any]", openai)
    if not any(name in found for name in _EPHEMERAL):
        return part
    lasting = {name: value for name, value in found.items() if name not in _EPHEMERAL}
    rest = {name: value for name, value in cast("dict[str, Any]", metadata).items() if name != "openai"}
    if lasting:
        rest["openai"] = lasting
    others = {name: value for name, value in part.items() if name != key}
    return {**others, key: rest} if rest else others


def _truncate(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) <= LONGEST_PROVIDER_STRING:
            return value
        # Not longer with its mark than what needs none, so that it is left alone the next time.
        mark = f"… [truncated, original length: {len(value)}]"
        return value[: LONGEST_PROVIDER_STRING - len(mark)] + mark
    if isinstance(value, list):
        return [_truncate(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        # Encrypted text is for the provider alone, and useless when it is cut.
        return {name: item if name.startswith("encrypted") else _truncate(item) for name, item in items}
    return value


def fit(message: UIMessage, limit: int = ROW_LIMIT) -> UIMessage:
    """Return ``message`` so that its JSON has ``limit`` bytes at most, as far as shortening can bring it there.

    Outputs of tools go first: what is left of them keeps its shape and says that it was cut, and
    ``metadata.compactedToolOutputs`` names the calls. If that is not enough texts are cut, the oldest first, and
    ``metadata.compactedTextParts`` has their indexes. A message that is small enough is returned as it is.
    """
    if _size(message) <= limit:
        return message
    if message["role"] == "assistant":
        message = _fit_outputs(message)
        if _size(message) <= limit:
            return message
    return _fit_texts(message, limit)


def _size(message: UIMessage) -> int:
    return len(encode(message).encode())


def _fit_outputs(message: UIMessage) -> UIMessage:
    parts: list[Part] = []
    calls: list[str] = []
    for part in message["parts"]:
        if part.get("state") == "output-available" and "output" in part and "toolCallId" in part:
            short = shorten(part["output"], LONGEST_OUTPUT)
            if short is not part["output"]:
                calls.append(part["toolCallId"])
                part = {**part, "output": short}
        parts.append(part)
    return _noted({**message, "parts": parts}, "compactedToolOutputs", calls)


def _fit_texts(message: UIMessage, limit: int) -> UIMessage:
    parts: list[Part] = [*message["parts"]]
    size = _size(message)
    indexes: list[int] = []
    for index, part in enumerate(parts):
        text = part.get("text")
        if size <= limit:
            break
        if part.get("type") != "text" or not isinstance(text, str) or len(text) <= LONGEST_OUTPUT:
            continue
        notice = f"[Text truncated for storage ({len(text)} chars). First 500 chars: {text[:500]}...]"
        parts[index] = {**part, "text": notice}
        indexes.append(index)
        size -= len(encode(text).encode()) - len(encode(notice).encode())
    return _noted({**message, "parts": parts}, "compactedTextParts", indexes)


def _noted(message: UIMessage, name: str, found: list[Any]) -> UIMessage:
    return {**message, "metadata": {**(message.get("metadata") or {}), name: found}} if found else message


def shorten(value: Any, limit: int) -> Any:
    """Return ``value`` so that its JSON has about ``limit`` characters at most; itself when it does already.

    Text stays text, a list a list and an object an object, so that code which reads it finds what it looks for or
    sees that it is gone.
    """
    return value if _length(value) <= limit else _shorten(value, limit, depth=0)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(encode(value))


def _shorten(value: Any, limit: int, depth: int) -> Any:
    length = _length(value)
    if length <= limit or not isinstance(value, str | list | dict):
        return value
    mark = f"... [truncated {length} chars]"
    if isinstance(value, str):
        return value[: max(limit - len(mark), 0)] + mark
    if depth == 8:
        return f"[Nested output omitted {mark}]"
    if isinstance(value, list):
        items = cast("list[Any]", value)
        kept: list[Any] = []
        room = limit
        for item in items:
            short = _shorten(item, _share(limit, len(items)), depth + 1)
            room -= _length(short) + 3
            if kept and room < 0:
                break
            kept.append(short)
        return kept if len(kept) == len(items) else [*kept, f"Array output truncated {mark}"]
    entries = cast("dict[str, Any]", value)
    share = _share(limit, len(entries))
    found = {name: _shorten(item, share, depth + 1) for name, item in entries.items()}
    if _length(found) <= limit:
        return found
    note = "Tool output omitted because it was too large to preserve structurally."
    return {"__truncated": True, "__truncatedChars": length, "note": note}


def _share(limit: int, count: int) -> int:
    return limit if count < 2 else max(80, limit // min(count, 10))
