"""A model asks with forms, and a browser answers them."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from edgeagents.models.messages import ToolResultContent
from edgeagents.testing.vendor import Answer, Calls, VendorServer, says
from tests.examples import Tab, commands_of, http_client, run_command
from tests.servers import Server

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare("Workers", "Cloudflare's example `structured-input`", "same"),
]

CHAT = "/agents/structured-input-agent/default"
CHOICE = {"question": "Where to?", "options": ["Sea", "Hills"], "allowMultiple": True}


def asks(tool: str, id: str, form: dict[str, Any]) -> Answer:
    return Answer(blocks=(Calls(id, tool, (json.dumps(form),)),), reason="tool-calls")


async def say(tab: Tab, text: str) -> list[dict[str, Any]]:
    """Send a message as ``useAgentChat`` does, and return the chunks of the answer."""
    message = {"id": f"m-{text}", "role": "user", "parts": [{"type": "text", "text": text}]}
    body = json.dumps({"messages": [message], "trigger": "submit-message"})
    await tab.send({"type": "cf_agent_use_chat_request", "id": "r1", "init": {"method": "POST", "body": body}})
    return await answer_of(tab)


async def answer(tab: Tab, tool: str, id: str, output: Any) -> None:
    """Send what a form was filled in with, and wait for the end of the turn that goes on with it."""
    frame = {"type": "cf_agent_tool_result", "toolCallId": id, "toolName": tool, "output": output}
    await tab.send({**frame, "autoContinue": True})
    offer = await tab.until_type("cf_agent_stream_resuming")
    await tab.send({"type": "cf_agent_stream_resume_ack", "id": offer["id"]})
    # A turn that was over before this arrived is told with the conversation, and not again in chunks.
    await answer_of(tab)


async def answer_of(tab: Tab) -> list[dict[str, Any]]:
    chunks: list[dict[str, Any]] = []
    while True:
        frame = await tab.until_type("cf_agent_use_chat_response")
        assert not frame.get("error"), frame
        if frame["body"]:
            chunks.append(json.loads(frame["body"]))
        if frame["done"]:
            return chunks


async def parts_of(server: Server) -> list[dict[str, Any]]:
    async with http_client(server) as http:
        messages = (await http.get(f"{CHAT}/get-messages")).json()
    return [part for message in messages if message["role"] == "assistant" for part in message["parts"]]


async def test_a_question_comes_as_a_form_and_its_answer_goes_to_the_model(
    emulator: Server, model: VendorServer
) -> None:
    model.answers = [asks("askMultipleChoice", "c1", CHOICE), says("The ", "sea it is.")]
    async with Tab(emulator, CHAT) as tab:
        asked = await say(tab, "Help me plan a vacation")
        await answer(tab, "askMultipleChoice", "c1", ["Sea"])

    (form,) = [chunk for chunk in asked if chunk["type"] == "tool-input-available"]
    assert (form["toolCallId"], form["toolName"], form["input"]) == ("c1", "askMultipleChoice", CHOICE)
    assert (await parts_of(emulator))[-1]["text"] == "The sea it is."
    result = model.asked[1].messages[-1].content[0]
    assert isinstance(result, ToolResultContent)
    assert (result.tool_name, json.loads(result.output)) == ("askMultipleChoice", ["Sea"])


async def test_the_model_knows_the_four_forms(emulator: Server, model: VendorServer) -> None:
    model.answers = [says("Hello.")]
    async with Tab(emulator, CHAT) as tab:
        await say(tab, "Hi")

    tools = {tool.name: tool.input_schema for tool in model.asked[0].tools}
    fields = {name: (list(schema["properties"]), schema["required"]) for name, schema in tools.items()}
    assert fields == {
        "askMultipleChoice": (["question", "options", "allowMultiple"], ["question", "options"]),
        "askYesNo": (["question"], ["question"]),
        "askFreeText": (["question", "placeholder", "multiline"], ["question"]),
        "askRating": (["question", "min", "max", "labels"], ["question"]),
    }


async def test_questions_follow_each_other(emulator: Server, model: VendorServer) -> None:
    rating = {"question": "How was it?", "min": 1, "max": 10, "labels": {"low": "bad"}}
    model.answers = [
        asks("askYesNo", "c1", {"question": "Have you been there?"}),
        asks("askRating", "c2", rating),
        asks("askFreeText", "c3", {"question": "Why?", "multiline": True}),
        says("Thank you."),
    ]
    async with Tab(emulator, CHAT) as tab:
        await say(tab, "A survey")
        await answer(tab, "askYesNo", "c1", True)
        await answer(tab, "askRating", "c2", 9)
        await answer(tab, "askFreeText", "c3", "Quiet.")

    parts = await parts_of(emulator)
    assert parts[-1]["text"] == "Thank you."
    forms = [part for part in parts if part["type"].startswith("tool-")]
    assert [(form["type"], form["state"], form["output"]) for form in forms] == [
        ("tool-askYesNo", "output-available", True),
        ("tool-askRating", "output-available", 9),
        ("tool-askFreeText", "output-available", "Quiet."),
    ]


async def test_a_question_waits_for_its_answer_over_a_kill(emulator: Server, model: VendorServer) -> None:
    model.answers = [asks("askYesNo", "c1", {"question": "Still there?"})]
    async with Tab(emulator, CHAT) as tab:
        await say(tab, "Hi")
    emulator.kill()
    emulator.start()
    forms = [part for part in await parts_of(emulator) if part["type"] == "tool-askYesNo"]
    assert [(form["state"], form["input"]) for form in forms] == [("input-available", {"question": "Still there?"})]

    model.answers = [says("Good.")]
    async with Tab(emulator, CHAT) as again:
        await answer(again, "askYesNo", "c1", True)
    assert (await parts_of(emulator))[-1]["text"] == "Good."


async def test_a_form_that_the_model_got_wrong_is_not_shown(emulator: Server, model: VendorServer) -> None:
    model.answers = [asks("askMultipleChoice", "c1", {"question": "Where to?"})]
    async with Tab(emulator, CHAT) as tab:
        asked = await say(tab, "Hi")

    assert [chunk["type"] for chunk in asked if chunk["type"].startswith("tool-input-")][-1] == "tool-input-error"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_commands_do_what_it_says(offline_emulator: Server) -> None:
    said, kept = [run_command(command, offline_emulator) for command in commands_of("structured-input")]

    assert said.startswith('id: 0\ndata: {"type":"start"')
    assert said.rstrip().endswith("data: [DONE]")
    assert [message["role"] for message in json.loads(kept)] == ["user", "assistant"]
