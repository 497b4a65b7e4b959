"""An inbox with several chats, as its page in the browser uses it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from typing import Any

import pytest

from edgeagents.testing.vendor import Answer, Calls, VendorServer, says
from tests.examples import Tab, commands_of, http_client, run_command
from tests.servers import Server, until

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare("Workers", "Cloudflare's example `multi-ai-chat`", "same"),
]

INBOX = "/agents/inbox/demo-user"


def chat(id: str) -> str:
    return f"{INBOX}/sub/chat/{id}"


def calls(tool: str, **given: str) -> Answer:
    return Answer(blocks=(Calls("c1", tool, (json.dumps(given),)),), reason="tool-calls")


async def say(server: Server, id: str, text: str) -> list[dict[str, Any]]:
    """Say something in a chat, and return the chunks of the answer when it is complete."""
    message = {"id": f"m-{text}", "role": "user", "parts": [{"type": "text", "text": text}]}
    body = json.dumps({"messages": [message], "trigger": "submit-message"})
    chunks: list[dict[str, Any]] = []
    async with Tab(server, chat(id)) as tab:
        await tab.send({"type": "cf_agent_use_chat_request", "id": "r1", "init": {"method": "POST", "body": body}})
        while True:
            frame = await tab.until_type("cf_agent_use_chat_response")
            assert not frame.get("error"), frame
            if frame["body"]:
                chunks.append(json.loads(frame["body"]))
            if frame["done"]:
                return chunks


def outputs(chunks: list[dict[str, Any]]) -> list[Any]:
    return [chunk["output"] for chunk in chunks if chunk["type"] == "tool-output-available"]


async def test_chats_are_made_renamed_and_deleted_and_the_sidebar_shows_it(offline_emulator: Server) -> None:
    async with Tab(offline_emulator, INBOX) as tab, Tab(offline_emulator, INBOX) as other:
        assert await other.until_state(lambda _: True) == {"chats": []}
        first = await tab.call("createChat", {"title": "Holidays"})
        second = await tab.call("createChat")
        await tab.call("renameChat", first["id"], "Sea")
        state = await other.until_state(lambda state: [c["title"] for c in state["chats"]][:1] == ["Sea"])
        assert {c["id"] for c in state["chats"]} == {first["id"], second["id"]}
        await tab.call("deleteChat", first["id"])
        state = await other.until_state(lambda state: len(state["chats"]) == 1)
        await tab.call("deleteChat", first["id"])

    assert first == {
        "id": first["id"],
        "title": "Holidays",
        "createdAt": first["createdAt"],
        "updatedAt": first["createdAt"],
    }
    assert re.fullmatch(r"Chat — \d{4}-\d\d-\d\d", second["title"])
    assert [c["id"] for c in state["chats"]] == [second["id"]]


async def test_only_chats_of_the_sidebar_are_there(offline_emulator: Server) -> None:
    async with Tab(offline_emulator, INBOX) as tab, http_client(offline_emulator) as http:
        made = await tab.call("createChat")
        before = await http.get(f"{chat(made['id'])}/get-messages")
        await tab.call("deleteChat", made["id"])
        after = await http.get(f"{chat(made['id'])}/get-messages")
        unknown = await http.get(f"{chat('made-up')}/get-messages")
        assert tab.state == {"chats": []}

    assert (before.status_code, before.json()) == (200, [])
    assert (after.status_code, after.text) == (404, f'Chat "{made["id"]}" not found')
    assert (unknown.status_code, unknown.text) == (404, 'Chat "made-up" not found')


async def test_what_one_chat_learns_another_knows(emulator: Server, model: VendorServer) -> None:
    async with Tab(emulator, INBOX) as tab:
        one, two = [(await tab.call("createChat"))["id"] for _ in range(2)]
        model.answers = [calls("rememberFact", fact="The user is Ann."), says("Hello Ann.")]
        learned = await say(emulator, one, "I am Ann")
        model.answers = [calls("recallMemory"), says("You are Ann.")]
        recalled = await say(emulator, two, "Who am I?")
        assert await tab.call("getSharedMemory", "memory") == "- The user is Ann."

    assert outputs(learned) == [{"saved": True, "totalFacts": 1}]
    assert outputs(recalled) == [{"memory": "- The user is Ann.", "facts": 1}]
    first, _, third, _ = model.asked
    assert "The user is Ann." not in first.system
    assert third.system.endswith("What you know of the user:\n- The user is Ann.")
    assert [message.text for message in third.messages] == ["Who am I?"]


async def test_a_turn_is_shown_in_the_sidebar(emulator: Server, model: VendorServer) -> None:
    async with Tab(emulator, INBOX) as tab:
        made = [(await tab.call("createChat", {"title": title}))["id"] for title in ("one", "two")]
        model.answers = [says("x" * 121)]
        await say(emulator, made[0], "Hi")
        state = await tab.until_state(lambda state: any("lastMessagePreview" in c for c in state["chats"]))

    assert [(c["title"], c.get("lastMessagePreview")) for c in state["chats"]] == [("one", "x" * 120), ("two", None)]


async def test_a_researcher_reads_the_conversation_that_it_is_asked_in(emulator: Server, model: VendorServer) -> None:
    async with Tab(emulator, INBOX) as tab:
        id = (await tab.call("createChat"))["id"]
    model.answers = [calls("askResearcher", topic="Sea or hills?"), says("The sea."), says("She says the sea.")]
    chunks = await say(emulator, id, "I like water")

    assert outputs(chunks) == [{"chatId": id, "finding": "The sea.", "messageCount": 1}]
    assert model.asked[1].messages[-1].text.endswith("user: I like water")


async def test_two_chats_answer_at_the_same_time(emulator: Server, model: VendorServer) -> None:
    async with Tab(emulator, INBOX) as tab:
        one, two = [(await tab.call("createChat"))["id"] for _ in range(2)]
        model.answers = [says("I am not", ending="open")]
        waiting = asyncio.create_task(say(emulator, one, "Never answered"))
        await asyncio.to_thread(until, lambda: model.received, "the model to be asked")
        model.answers = [says("I am quick.")]
        chunks = await say(emulator, two, "Hi")
        assert not waiting.done()
        waiting.cancel()

    assert "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta") == "I am quick."
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_chats_and_memory_are_there_after_a_kill(offline_emulator: Server) -> None:
    async with Tab(offline_emulator, INBOX) as tab:
        id = (await tab.call("createChat", {"title": "Kept"}))["id"]
        await tab.call("setSharedMemory", "memory", "- The user is Ann.")
        await say(offline_emulator, id, "Hi")
    offline_emulator.kill()
    offline_emulator.start()

    async with Tab(offline_emulator, INBOX) as again, http_client(offline_emulator) as http:
        state = await again.until_state(lambda _: True)
        assert await again.call("getSharedMemory", "memory") == "- The user is Ann."
        messages = (await http.get(f"{chat(id)}/get-messages")).json()

    assert [c["title"] for c in state["chats"]] == ["Kept"]
    assert [message["role"] for message in messages] == ["user", "assistant"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_commands_do_what_it_says(offline_emulator: Server) -> None:
    _, sidebar, unknown = [run_command(command, offline_emulator) for command in commands_of("multi-ai-chat")]

    assert sidebar == "Holidays | (This is the built-in offline model, in \n"
    assert unknown == 'Chat "made-up" not found'
