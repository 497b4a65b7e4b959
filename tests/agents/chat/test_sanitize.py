from __future__ import annotations

import json
from typing import Any

import pytest

from edgeagents.agents.chat.sanitize import fit, sanitize, shorten


def message(*parts: dict[str, Any], role: str = "assistant") -> dict[str, Any]:
    return {"id": "m", "role": role, "parts": list(parts)}


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": ""},
        {"type": "text", "text": "x", "providerMetadata": {"google": {"thoughtSignature": "s"}}},
        {"type": "reasoning", "text": "hm"},
        {"type": "reasoning", "text": "", "providerMetadata": {"anthropic": {"redactedData": "d"}}},
        {"type": "text", "text": "x", "providerMetadata": {"openai": {"annotations": []}}},
        {"type": "tool-add", "toolCallId": "c", "state": "output-available", "output": "x" * 600},
        {"type": "tool-web_search", "toolCallId": "c", "providerExecuted": True, "output": ["x" * 600]},
        {"type": "dynamic-tool", "toolName": "web_fetch", "providerExecuted": True, "output": ["x" * 600]},
        {"type": "tool-run", "toolCallId": "c", "providerExecuted": True, "output": {"encryptedText": ["x" * 600]}},
        {"type": "tool-run", "toolCallId": "c", "providerExecuted": True, "output": "x" * 500},
    ],
)
def test_a_message_with_nothing_to_take_out_is_kept_itself(part: dict[str, Any]) -> None:
    given = message(part)
    assert sanitize(given) is given


@pytest.mark.parametrize("key", ["providerMetadata", "callProviderMetadata"])
@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ({"openai": {"itemId": "i"}}, None),
        ({"openai": {"itemId": "i", "reasoningEncryptedContent": None}}, None),
        ({"openai": {"itemId": "i", "logprobs": 1}}, {"openai": {"logprobs": 1}}),
        ({"openai": {"itemId": "i"}, "other": {"x": 1}}, {"other": {"x": 1}}),
    ],
)
def test_ids_that_a_provider_forgets_are_taken_out(key: str, metadata: Any, kept: Any) -> None:
    [part] = sanitize(message({"type": "text", "text": "x", key: metadata}))["parts"]
    assert part == ({"type": "text", "text": "x"} | ({key: kept} if kept else {}))


@pytest.mark.parametrize("more", [{"text": ""}, {"text": " \n"}, {}, {"text": "", "providerMetadata": {}}])
def test_thoughts_that_were_not_told_are_taken_out(more: dict[str, Any]) -> None:
    assert sanitize(message({"type": "reasoning", **more}, {"type": "step-start"})) == message({"type": "step-start"})


def test_thoughts_of_which_only_a_forgotten_id_is_left_are_taken_out() -> None:
    thought = {"type": "reasoning", "text": "", "providerMetadata": {"openai": {"itemId": "i"}}}
    assert sanitize(message(thought)) == message()


def test_long_payloads_of_a_provider_s_tools_are_cut_and_stay_so() -> None:
    part = {
        "type": "tool-run",
        "toolCallId": "c",
        "providerExecuted": True,
        "input": {"code": "y" * 501, "n": 1},
        "output": [{"stdout": "x" * 5000, "encrypted_content": "e" * 5000}, None],
    }
    given = message(part)
    once = sanitize(given)
    [found] = once["parts"]
    assert found["input"]["n"] == 1
    assert len(found["input"]["code"]) == 500
    assert found["output"][0]["stdout"].endswith("… [truncated, original length: 5000]")
    assert len(found["output"][0]["stdout"]) == 500
    assert found["output"][0]["encrypted_content"] == "e" * 5000
    assert sanitize(once) is once
    assert part["input"] == {"code": "y" * 501, "n": 1}


def test_a_message_that_fits_is_left_alone() -> None:
    given = message({"type": "text", "text": "x"})
    assert fit(given) is given


def output(value: Any, id: str = "c") -> dict[str, Any]:
    return {"type": "tool-run", "toolCallId": id, "state": "output-available", "input": {}, "output": value}


def test_outputs_of_tools_are_shortened_first_and_named() -> None:
    given = {
        **message(output("x" * 5000), output("short", "d"), {"type": "text", "text": "t" * 2000}),
        "metadata": {"a": 1},
    }
    found = fit(given, 6000)
    assert size(found) <= 6000
    assert found["metadata"] == {"a": 1, "compactedToolOutputs": ["c"]}
    assert found["parts"][0]["output"].endswith("... [truncated 5000 chars]")
    assert found["parts"][1:] == given["parts"][1:]
    assert given["parts"][0]["output"] == "x" * 5000


def test_texts_are_cut_next_the_oldest_first() -> None:
    given = message(output("x" * 5000), *({"type": "text", "text": letter * 3000} for letter in "abc"))
    found = fit(given, 6000)
    assert size(found) <= 6000
    assert found["metadata"] == {"compactedToolOutputs": ["c"], "compactedTextParts": [1, 2]}
    notice = "[Text truncated for storage (3000 chars). First 500 chars: " + "a" * 500 + "...]"
    assert found["parts"][1] == {"type": "text", "text": notice}
    assert found["parts"][3]["text"] == "c" * 3000


def test_of_a_user_s_message_only_text_is_cut() -> None:
    given = message(output("x" * 3000), {"type": "text", "text": "ü" * 3000}, role="user")
    found = fit(given, 5000)
    assert found["parts"][0] == given["parts"][0]
    assert found["metadata"] == {"compactedTextParts": [1]}


@pytest.mark.parametrize(
    "value",
    [
        "x" * 5000,
        ["x" * 5000],
        [{"line": n, "text": "x" * 50} for n in range(200)],
        {"stdout": "x" * 5000, "code": 0},
        {str(n): "x" * 50 for n in range(500)},
        {"a": {"b": {"c": ["x" * 5000]}}},
        list(range(5000)),
    ],
)
def test_a_shortened_value_keeps_its_kind_and_says_so(value: Any) -> None:
    found = shorten(value, 1000)
    assert type(found) is type(value)
    assert len(json.dumps(found)) < 1300
    assert "truncated" in json.dumps(found)


def test_the_short_fields_of_a_long_output_stay() -> None:
    assert shorten({"stdout": "x" * 5000, "code": 0}, 1000)["code"] == 0


def test_a_short_value_is_itself() -> None:
    value = {"a": [1, 2]}
    assert shorten(value, 1000) is value
