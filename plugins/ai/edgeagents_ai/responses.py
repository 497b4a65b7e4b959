"""The models that answer in the form of OpenAI's Responses API: those named ``gpt-oss``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from edgeagents.models import Part, TextDelta
from edgeagents_ai.asking import Answer, answer_of, parts_of, usage_of
from edgeagents_ai.chat import DONE, event

if TYPE_CHECKING:
    from edgeagents.models import ResolvedModel
    from edgeagents.objects import Clock

__all__ = ["run_responses"]


async def run_responses(
    model: ResolvedModel, name: str, inputs: Mapping[str, Any], env: Mapping[str, Any], clock: Clock, answer_id: str
) -> dict[str, Any] | AsyncIterator[bytes]:
    """Answer in that form: ``output`` is a list of what the model said and which functions it calls."""
    base = {
        "id": f"resp_{answer_id}",
        "object": "response",
        "created_at": int(clock.now().timestamp()),
        "model": name,
        "instructions": inputs.get("instructions"),
        "error": None,
        "parallel_tool_calls": True,
        "tool_choice": inputs.get("tool_choice") or "auto",
        "tools": inputs.get("tools") or [],
    }
    if inputs.get("stream"):
        return _events(base, answer_id, await parts_of(model, inputs, env))
    return _whole(base, answer_id, await answer_of(model, inputs, env))


def _whole(base: dict[str, Any], answer_id: str, answer: Answer) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    if answer.reasoning:
        content = [{"type": "reasoning_text", "text": answer.reasoning}]
        output.append({"id": f"rs_{answer_id}", "type": "reasoning", "summary": [], "content": content})
    if answer.text or not answer.tool_calls:
        output.append(_message(answer_id, answer.text))
    for call in answer.tool_calls:
        arguments = call.input if isinstance(call.input, str) else json.dumps(call.input, ensure_ascii=False)
        output.append(
            {
                "type": "function_call",
                "id": f"fc_{call.tool_call_id}",
                "call_id": call.tool_call_id,
                "name": call.tool_name,
                "arguments": arguments,
                "status": "completed",
            }
        )
    used = usage_of(answer.usage)
    is_cut = answer.finish_reason == "length"
    return {
        **base,
        "status": "incomplete" if is_cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
        "output": output,
        "usage": {
            "input_tokens": used["prompt_tokens"],
            "output_tokens": used["completion_tokens"],
            "total_tokens": used["total_tokens"],
        },
    }


def _message(answer_id: str, text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"id": f"msg_{answer_id}", "type": "message", "role": "assistant", "status": "completed", "content": content}


async def _events(base: dict[str, Any], answer_id: str, parts: AsyncIterator[Part]) -> AsyncIterator[bytes]:
    answer, number = Answer(), 0

    def numbered(kind: str, **data: Any) -> bytes:
        nonlocal number
        made = event({"type": kind, "sequence_number": number, **data}, kind)
        number += 1
        return made

    yield numbered("response.created", response={**base, "status": "in_progress", "output": []})
    where = {"item_id": f"msg_{answer_id}", "output_index": 0, "content_index": 0}
    async for part in parts:
        answer.take(part)
        if isinstance(part, TextDelta):
            yield numbered("response.output_text.delta", **where, delta=part.text)
    if answer.text:
        yield numbered("response.output_text.done", **where, text=answer.text)
    whole = _whole(base, answer_id, answer)
    yield numbered("response.completed" if whole["status"] == "completed" else "response.incomplete", response=whole)
    yield DONE
