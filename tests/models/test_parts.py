from __future__ import annotations

import json

import pytest

from edgeagents.models import (
    AbortPart,
    ErrorPart,
    FilePart,
    Finish,
    FinishStep,
    Part,
    ReasoningDelta,
    SourcePart,
    Start,
    StartStep,
    TextDelta,
    ToolApprovalRequest,
    ToolCall,
    ToolError,
    ToolInputDelta,
    ToolInputStart,
    ToolResult,
    Usage,
    part_from_json,
    part_to_json,
)

PARTS: list[Part] = [
    Start(),
    StartStep(),
    TextDelta("t", "hé 😀", {"openai": {"itemId": "x"}}),
    ReasoningDelta("r", "hm"),
    ToolInputStart("c", "add", provider_executed=False),
    ToolInputDelta("c", '{"a":'),
    ToolCall("c", "add", {"a": 1}),
    ToolCall("c", "add", "{", error="no JSON"),
    ToolApprovalRequest("a", "c"),
    ToolResult("c", "add", {"a": 1}, None),
    ToolResult("c", "add", {"a": 1}, 0),
    ToolError("c", "add", None, "boom"),
    SourcePart("s", url="https://example.com/"),
    FilePart("data:text/plain,hi", "text/plain"),
    FinishStep("tool-calls", Usage(1, 2, 3, reasoning_tokens=0)),
    Finish("stop", Usage(1, 2, 3)),
    ErrorPart("broken", 500, retryable=True),
    AbortPart("enough"),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_a_part_comes_back_from_json_as_it_was(part: Part) -> None:
    assert part_from_json(json.loads(json.dumps(part_to_json(part)))) == part


def test_fields_at_their_default_take_no_room() -> None:
    assert part_to_json(TextDelta("t", "hi")) == {"type": "text-delta", "id": "t", "text": "hi"}


def test_usage_adds_what_is_known() -> None:
    assert Usage(1, None, 1) + Usage(2, 3, 5) == Usage(3, 3, 6)
