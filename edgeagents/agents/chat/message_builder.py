"""An assistant's message while it is being made: chunks in, parts out.

``MessageBuilder`` takes the chunks of a UI message stream, one by one, and keeps the message that they amount to. It
also says what clients are to be sent of each chunk: mostly the chunk itself, nothing when it would take a finished
part back to an earlier state, which providers that repeat their earlier calls ask for.

Nothing here stores or sends. What a chunk looks like on the wire is ``reply``'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from edgeagents.agents.chat.ui import TERMINAL, Chunk, Part, UIMessage, normalize_tool_input
from edgeagents.agents.protocol import decode

__all__ = ["MessageBuilder", "build_message"]

_DECIDED = TERMINAL | {"approval-responded"}
_APPROVAL = frozenset({"approval-requested", "approval-responded"})


class _Block:
    """Text or reasoning that grows. What came is joined only when somebody looks: a long answer has many pieces."""

    __slots__ = ("part", "pieces")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pieces: list[str] = []

    def join(self) -> None:
        if self.pieces:
            text = self.part.get("text")
            self.part["text"] = (text if isinstance(text, str) else "") + "".join(self.pieces)
            self.pieces.clear()


class MessageBuilder:
    """Makes one assistant message from a stream's chunks.

    With ``continuation`` the chunks go on with ``message``: it keeps its id, and a text that was interrupted is
    continued rather than followed by another. ``message`` is changed in place; give a copy of one that is kept.
    """

    def __init__(self, message: UIMessage, *, continuation: bool = False) -> None:
        self._message = message
        self._parts: list[Part] = message["parts"]
        self._continuation = continuation
        self._unread: list[_Block] = []
        self._index()
        # A continuation goes on with what was interrupted, once.
        self._interrupted_text = self._interrupted("text") if continuation else None
        self._interrupted_reasoning = continuation and self._interrupted("text", "reasoning") is not None

    @property
    def message(self) -> UIMessage:
        """The message as it stands. It goes on changing: write it down or copy it before the next chunk."""
        for block in self._unread:
            block.join()
        self._unread.clear()
        return self._message

    def apply(self, chunk: Chunk) -> Sequence[Chunk]:
        """Take ``chunk`` in and return what clients are to be sent of it: itself, or nothing, or two chunks.

        Nothing means that the chunk changed no part and would do harm at a client. Two come when the input of a call
        arrives after the question whether it may be made: the input and the question again. A returned
        ``tool-approval-request`` is a reason to keep the message now, since the stream waits for a person.

        Chunks of a kind that is not known change nothing and are sent on.
        """
        kind = chunk["type"]
        method = _METHODS.get(kind)
        if method is None:
            if kind.startswith("data-"):
                self._data(chunk)
            return (chunk,)
        forwarded = method(self, chunk)
        return (chunk,) if forwarded is None else forwarded

    def is_foreign(self, chunk: Chunk) -> bool:
        """Whether ``chunk`` is the output of a call that another message made.

        ``ui.message_of_call`` finds that message and ``tool_state.apply_tool_output`` gives it the output.
        """
        if chunk["type"] not in ("tool-output-available", "tool-output-error"):
            return False
        return bool(chunk.get("toolCallId")) and chunk["toolCallId"] not in self._calls

    def has_call(self, tool_call_id: str) -> bool:
        """Whether this message makes this call."""
        return tool_call_id in self._calls

    def change(self, change: Callable[[UIMessage], UIMessage | None]) -> bool:
        """Change the message from outside the stream, as ``tool_state`` does. False when ``change`` returns None.

        A client may answer a call while the rest of the message is still being made. ``change`` may give parts
        another form, but neither add nor remove one.
        """
        changed = change(self.message)
        if changed is None:
            return False
        for part, new in zip(self._parts, changed["parts"], strict=True):
            # The part stays the same object: the stream may still have something to say to it.
            if new is not part:
                part.clear()
                part.update(new)
        self._message.update(changed)
        self._message["parts"] = self._parts
        return True

    def _index(self) -> None:
        self._calls: dict[str, Part] = {}
        self._raw_inputs: dict[str, list[str]] = {}
        # Calls whose input was pieced together from deltas: the call itself may still replace it.
        self._provisional: set[str] = set()
        self._open: dict[tuple[str, Any], _Block] = {}
        self._last: dict[str, _Block] = {}
        for part in self._parts:
            kind = part.get("type")
            if kind == "text" or kind == "reasoning":
                self._last[kind] = _Block(part)
            elif isinstance(part.get("toolCallId"), str):
                self._calls[part["toolCallId"]] = part

    def _interrupted(self, *kinds: str) -> Part | None:
        """Return the newest part of these kinds if it was not brought to its end."""
        newest = next((part for part in reversed(self._parts) if part.get("type") in kinds), None)
        return newest if newest is not None and newest.get("state") == "streaming" else None

    # Text and reasoning

    def _begin(self, kind: str, chunk: Chunk) -> _Block:
        part: Part = {"type": kind, "text": "", "state": "streaming"}
        _merge_metadata(part, chunk)
        self._parts.append(part)
        block = self._open[kind, chunk.get("id")] = self._last[kind] = _Block(part)
        return block

    def _block(self, kind: str, chunk: Chunk) -> _Block | None:
        # By id, as clients do, so that two texts may grow at once; an id that nobody began means the last one.
        return self._open.get((kind, chunk.get("id"))) or self._last.get(kind)

    def _grow(self, kind: str, chunk: Chunk) -> None:
        block = self._block(kind, chunk) or self._begin(kind, chunk)
        if "providerMetadata" in chunk:
            _merge_metadata(block.part, chunk)
        delta = chunk.get("delta")
        if isinstance(delta, str):
            if not block.pieces:
                self._unread.append(block)
            block.pieces.append(delta)

    def _end(self, kind: str, chunk: Chunk) -> None:
        block = self._block(kind, chunk)
        self._open.pop((kind, chunk.get("id")), None)
        if block is not None and "state" in block.part:
            block.part["state"] = "done"
            _merge_metadata(block.part, chunk)

    def _text_start(self, chunk: Chunk) -> Sequence[Chunk] | None:
        part, self._interrupted_text = self._interrupted_text, None
        if part is None:
            self._begin("text", chunk)
            return None
        # Clients have this part already and go on with it.
        self._open["text", chunk.get("id")] = self._last["text"]
        return ()

    def _reasoning_start(self, chunk: Chunk) -> None:
        resumes, self._interrupted_reasoning = self._interrupted_reasoning, False
        if not resumes:
            self._begin("reasoning", chunk)
        elif "reasoning" in self._last:
            # Sent on nevertheless: clients do not take deltas that no start came before.
            self._open["reasoning", chunk.get("id")] = self._last["reasoning"]

    # Other parts

    def _add(self, chunk: Chunk) -> None:
        names = _FIELDS[chunk["type"]]
        part: Part = {"type": chunk["type"]}
        part.update((name, chunk[name]) for name in names if chunk.get(name) is not None)
        self._parts.append(part)

    def _data(self, chunk: Chunk) -> None:
        if chunk.get("transient"):
            return
        kind, id = chunk["type"], chunk.get("id")
        if id is not None:
            for part in reversed(self._parts):
                if part.get("type") == kind and part.get("id") == id:
                    part["data"] = chunk.get("data")
                    return
        part = {"type": kind} if id is None else {"type": kind, "id": id}
        self._parts.append({**part, "data": chunk.get("data")})

    def _start_step(self, chunk: Chunk) -> None:
        self._parts.append({"type": "step-start"})

    def _reset_step(self, chunk: Chunk) -> None:
        while self._parts and self._parts[-1].get("type") != "step-start":
            self._parts.pop()
        for block in self._unread:
            block.join()
        self._unread.clear()
        self._index()

    # The message itself

    def _start(self, chunk: Chunk) -> None:
        if chunk.get("messageId") is not None and not self._continuation:
            self._message["id"] = chunk["messageId"]
        self._metadata(chunk)

    def _metadata(self, chunk: Chunk) -> None:
        metadata = chunk.get("messageMetadata")
        if metadata is None:
            return
        known = self._message.get("metadata")
        if isinstance(known, dict) and isinstance(metadata, dict):
            metadata = {**cast("dict[str, Any]", known), **cast("dict[str, Any]", metadata)}
        self._message["metadata"] = metadata

    # Calls of tools

    def _call(self, chunk: Chunk) -> Part | None:
        return self._calls.get(chunk.get("toolCallId") or "")

    def _add_call(self, chunk: Chunk, state: str, **more: Any) -> Part:
        name, id = chunk.get("toolName"), chunk.get("toolCallId")
        kind = "dynamic-tool" if chunk.get("dynamic") else f"tool-{name}"
        part: Part = {"type": kind, "toolCallId": id, "toolName": name, "state": state, **more}
        _note_call(part, chunk)
        self._parts.append(part)
        if isinstance(id, str):
            self._calls[id] = part
        return part

    def _input_start(self, chunk: Chunk) -> Sequence[Chunk] | None:
        if self._call(chunk) is not None:
            return ()
        self._add_call(chunk, "input-streaming")
        return None

    def _input_delta(self, chunk: Chunk) -> Sequence[Chunk] | None:
        part = self._call(chunk)
        if part is None:
            return None
        if part.get("state") != "input-streaming":
            return ()
        delta = chunk.get("inputTextDelta")
        if isinstance(delta, str):
            # Aside and not in the part: half a text is no input, and must not be kept as one.
            self._raw_inputs.setdefault(chunk["toolCallId"], []).append(delta)
        if "input" in chunk:
            part["input"] = chunk["input"]
            self._provisional.add(chunk["toolCallId"])
        return None

    def _input_available(self, chunk: Chunk) -> Sequence[Chunk] | None:
        part = self._call(chunk)
        if part is None:
            self._add_call(chunk, "input-available", input=normalize_tool_input(chunk.get("input")))
            return None
        state = part.get("state")
        if state == "input-streaming":
            part["state"] = "input-available"
            part["input"] = normalize_tool_input(chunk.get("input"))
            _note_call(part, chunk)
            self._raw_inputs.pop(chunk["toolCallId"], None)
            self._provisional.discard(chunk["toolCallId"])
            return None
        if state not in _APPROVAL:
            return ()
        return self._late_input(part, chunk)

    def _late_input(self, part: Part, chunk: Chunk) -> Sequence[Chunk]:
        id = chunk["toolCallId"]
        if "input" not in part or id in self._provisional:
            part["input"] = normalize_tool_input(chunk.get("input"))
            self._provisional.discard(id)
            _note_call(part, chunk)
        approval = part.get("approval")
        if part["state"] != "approval-requested" or not approval or not approval.get("id"):
            # The question was answered: asking it again would open it again.
            return ()
        question: Chunk = {"type": "tool-approval-request", "approvalId": approval["id"], "toolCallId": id}
        question.update((name, approval[key]) for name, key in _QUESTION.items() if key in approval)
        return {**chunk, "input": part.get("input")}, question

    def _input_error(self, chunk: Chunk) -> Sequence[Chunk] | None:
        part = self._call(chunk)
        found = normalize_tool_input(chunk.get("input"))
        if part is None:
            self._add_call(chunk, "output-error", input=found, errorText=chunk.get("errorText"))
            return None
        if part.get("state") in TERMINAL:
            return ()
        part["state"] = "output-error"
        part["errorText"] = chunk.get("errorText")
        part["input"] = found
        _note_call(part, chunk)
        return None

    def _approval_request(self, chunk: Chunk) -> Sequence[Chunk] | None:
        part = self._call(chunk)
        if part is None:
            return None
        if part.get("state") in _DECIDED:
            return ()
        id = chunk["toolCallId"]
        raw = self._raw_inputs.pop(id, None)
        if "input" not in part and raw is not None:
            part["input"] = decode("".join(raw)) or {}
            self._provisional.add(id)
        part["state"] = "approval-requested"
        approval = {"id": chunk.get("approvalId")}
        approval.update((key, chunk[name]) for name, key in _QUESTION.items() if name in chunk)
        part["approval"] = approval
        return None

    def _approval_response(self, chunk: Chunk) -> Sequence[Chunk] | None:
        id = chunk.get("approvalId")
        part = next((p for p in self._calls.values() if (p.get("approval") or {}).get("id") == id), None)
        if part is None:
            return None
        if part.get("state") in TERMINAL:
            return ()
        part["state"] = "approval-responded"
        part["approval"] = {**part["approval"], "approved": chunk.get("approved")}
        if chunk.get("reason") is not None:
            part["approval"]["reason"] = chunk["reason"]
        _note_call(part, chunk)
        return None

    def _output_available(self, chunk: Chunk) -> None:
        part = self._call(chunk)
        if part is not None:
            part["state"] = "output-available"
            part["output"] = chunk.get("output")
            part.pop("preliminary", None)
            if "preliminary" in chunk:
                part["preliminary"] = chunk["preliminary"]
            _note_result(part, chunk)

    def _output_error(self, chunk: Chunk) -> None:
        part = self._call(chunk)
        if part is not None:
            part["state"] = "output-error"
            part["errorText"] = chunk.get("errorText")
            _note_result(part, chunk)

    def _output_denied(self, chunk: Chunk) -> Sequence[Chunk] | None:
        part = self._call(chunk)
        if part is None:
            return None
        if part.get("state") in _DECIDED:
            return ()
        part["state"] = "output-denied"
        return None


def build_message(message_id: str, chunks: Sequence[Chunk]) -> UIMessage:
    """Return the message that ``chunks`` make: what there is of an answer whose maker is gone."""
    builder = MessageBuilder({"id": message_id, "role": "assistant", "parts": []})
    for chunk in chunks:
        builder.apply(chunk)
    return builder.message


def _merge_metadata(part: Part, chunk: Chunk) -> None:
    metadata = chunk.get("providerMetadata")
    if isinstance(metadata, dict):
        # Merged, not replaced: a signature comes with the last chunk, what it belongs to came before.
        part["providerMetadata"] = {**(part.get("providerMetadata") or {}), **metadata}


def _note_call(part: Part, chunk: Chunk) -> None:
    for name, key in _CALL_NOTES:
        if chunk.get(name) is not None:
            part[key] = chunk[name]


def _note_result(part: Part, chunk: Chunk) -> None:
    for name, key in _RESULT_NOTES:
        if chunk.get(name) is not None:
            part[key] = chunk[name]


_CALL_NOTES = (
    ("providerExecuted", "providerExecuted"),
    ("providerMetadata", "callProviderMetadata"),
    ("title", "title"),
    ("toolMetadata", "toolMetadata"),
)
_RESULT_NOTES = (
    ("providerExecuted", "providerExecuted"),
    ("providerMetadata", "resultProviderMetadata"),
    ("toolMetadata", "toolMetadata"),
)
_QUESTION = {
    "approvalDescriptor": "descriptor",
    "inputSchemaInput": "inputSchemaInput",
    "reason": "requestReason",
    "isAutomatic": "isAutomatic",
    "signature": "signature",
}
_FIELDS = {
    "file": ("mediaType", "url", "providerMetadata"),
    "reasoning-file": ("mediaType", "url", "providerMetadata"),
    "source-url": ("sourceId", "url", "title", "providerMetadata"),
    "source-document": ("sourceId", "mediaType", "title", "filename", "providerMetadata"),
    "custom": ("kind", "providerMetadata"),
    "steering-message": ("id", "parts"),
}
_METHODS: dict[str, Callable[[MessageBuilder, Chunk], Sequence[Chunk] | None]] = {
    "text-start": MessageBuilder._text_start,
    "text-delta": lambda builder, chunk: builder._grow("text", chunk),
    "text-end": lambda builder, chunk: builder._end("text", chunk),
    "reasoning-start": MessageBuilder._reasoning_start,
    "reasoning-delta": lambda builder, chunk: builder._grow("reasoning", chunk),
    "reasoning-end": lambda builder, chunk: builder._end("reasoning", chunk),
    **dict.fromkeys(_FIELDS, MessageBuilder._add),
    "start": MessageBuilder._start,
    "finish": MessageBuilder._metadata,
    "message-metadata": MessageBuilder._metadata,
    "finish-step": MessageBuilder._metadata,
    "abort": MessageBuilder._metadata,
    "start-step": MessageBuilder._start_step,
    "step-start": MessageBuilder._start_step,
    "reset-step": MessageBuilder._reset_step,
    "tool-input-start": MessageBuilder._input_start,
    "tool-input-delta": MessageBuilder._input_delta,
    "tool-input-available": MessageBuilder._input_available,
    "tool-input-error": MessageBuilder._input_error,
    "tool-approval-request": MessageBuilder._approval_request,
    "tool-approval-response": MessageBuilder._approval_response,
    "tool-output-available": MessageBuilder._output_available,
    "tool-output-error": MessageBuilder._output_error,
    "tool-output-denied": MessageBuilder._output_denied,
}
