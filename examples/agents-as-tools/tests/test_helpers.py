"""An assistant and its helpers, as their page in the browser uses them."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from edgeagents.testing.vendor import Answer, Calls, Refusal, says
from tests.examples import Tab, commands_of, http_client, run_command
from tests.servers import Server, until

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Workers",
        "Cloudflare's example `agents-as-tools`",
        "different: tools call `sub_agent` and follow the helper's chat, for there is no `runAgentTool`; frames, "
        "callables and `/sub/...` are the same. A run that a call waits for does not outlive the server",
    ),
]

ASSISTANT = "/agents/assistant/demo"
DONE = ("finished", "error", "aborted", "interrupted")


def helper(run_id: str, kind: str = "researcher") -> str:
    return f"{ASSISTANT}/sub/{kind}/{quote(run_id, safe='')}"


def calls(*named: tuple[str, dict[str, Any]]) -> Answer:
    """Return an answer that calls tools; their calls are ``c1``, ``c2`` and so on."""
    blocks = [Calls(f"c{n}", tool, (json.dumps(given),)) for n, (tool, given) in enumerate(named, 1)]
    return Answer(blocks=tuple(blocks), reason="tool-calls")


async def ask(tab: Tab, text: str) -> None:
    message = {"id": f"m-{text}", "role": "user", "parts": [{"type": "text", "text": text}]}
    body = json.dumps({"messages": [message], "trigger": "submit-message"})
    await tab.send({"type": "cf_agent_use_chat_request", "id": f"r-{text}", "init": {"method": "POST", "body": body}})


async def answer_to(tab: Tab, text: str) -> list[dict[str, Any]]:
    """Return the chunks of an answer when it is complete."""
    chunks: list[dict[str, Any]] = []
    while True:
        frame = await tab.until(
            lambda frame: frame["type"] == "cf_agent_use_chat_response" and frame["id"] == f"r-{text}"
        )
        assert not frame.get("error"), frame
        if frame["body"]:
            chunks.append(json.loads(frame["body"]))
        if frame["done"]:
            return chunks


async def say(tab: Tab, text: str) -> list[dict[str, Any]]:
    await ask(tab, text)
    return await answer_to(tab, text)


def outputs(chunks: list[dict[str, Any]]) -> list[Any]:
    return [chunk["output"] for chunk in chunks if chunk["type"] == "tool-output-available"]


def events(tab: Tab, kind: str | None = None) -> list[dict[str, Any]]:
    """Return what was told of runs: each event together with its frame's fields."""
    told = [{**frame, **frame["event"]} for frame in tab.frames if frame["type"] == "agent-tool-event"]
    return [event for event in told if kind in (None, event["kind"])]


def bodies(tab: Tab) -> list[dict[str, Any]]:
    return [json.loads(event["body"]) for event in events(tab, "chunk")]


def told_of(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda frame: frame["type"] == "agent-tool-event" and frame["event"]["kind"] == kind


async def messages_of(server: Server, path: str = ASSISTANT) -> list[dict[str, Any]]:
    async with http_client(server) as http:
        response = await http.get(f"{path}/get-messages")
        assert response.status_code == 200, response.text
        return response.json()


async def until_messages(tab: Tab, is_wanted: Callable[[list[dict[str, Any]]], object]) -> list[dict[str, Any]]:
    frame = await tab.until(lambda f: f["type"] == "cf_agent_chat_messages" and is_wanted(f["messages"]))
    return frame["messages"]


def text_of(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


async def test_a_researcher_is_seen_at_work_and_its_last_words_are_the_answer(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("research", {"query": "TLS"})), says("In short: TLS.")],
        researcher=[calls(("web_search", {"query": "history of TLS"})), says("TLS is ", "old.")],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        chunks = await say(tab, "Research TLS")

    assert outputs(chunks) == ["TLS is old."]
    started, *rest = events(tab)
    assert {name: started[name] for name in ("kind", "agentType", "inputPreview", "order", "display")} == {
        "kind": "started",
        "agentType": "Researcher",
        "inputPreview": "TLS",
        "order": 0,
        "display": {"name": "Researcher"},
    }
    assert {(event["runId"], event["parentToolCallId"]) for event in rest} == {("agent-tool:c1", "c1")}
    assert (rest[-1]["kind"], rest[-1]["summary"]) == ("finished", "TLS is old.")
    told = bodies(tab)
    progress = [body["data"]["fraction"] for body in told if body["type"] == "data-agent-progress"]
    assert progress == [0.2, 0.6, 0.9]
    (milestone,) = [body["data"] for body in told if body["type"] == "data-agent-milestone"]
    assert (milestone["name"], milestone["data"]) == ("sources-gathered", {"query": "history of TLS", "sources": 2})
    kinds = [body["type"] for body in told if not body["type"].startswith("data-")]
    assert (kinds[0], kinds[-1]) == ("start", "finish")
    assert "tool-output-available" in kinds
    said = [body["delta"] for body in told if body["type"] == "text-delta"]
    assert said == ["TLS is ", "old."]
    numbers = [e["sequence"] for e in events(tab, "chunk") if "data-agent-" not in e["body"]]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_the_chat_of_a_helper_can_be_opened_and_gone_on_with(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("plan", {"description": "Add rate limits"})), says("Here is the plan.")],
        planner=[calls(("inspect_file", {"path": "src/server.ts"})), says("1. Count."), says("2. Refuse.")],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        chunks = await say(tab, "Plan it")
    path = helper("agent-tool:c1", "planner")
    async with Tab(emulator, path) as opened:
        await say(opened, "And then?")

    assert outputs(chunks) == ["1. Count."]
    asked, planned, again, more = await messages_of(emulator, path)
    assert [text_of(each) for each in (asked, again, more)] == ["Add rate limits", "And then?", "2. Refuse."]
    (call,) = [part for part in planned["parts"] if part["type"] == "tool-inspect_file"]
    assert (call["output"]["path"], call["output"]["language"]) == ("src/server.ts", "ts")
    assert [message["role"] for message in await messages_of(emulator)] == ["user", "assistant"]


async def test_the_chat_of_a_helper_can_be_watched_while_it_works(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("research", {"query": "TLS"}))],
        researcher=[calls(("web_search", {"query": "TLS"})), says("TLS is", ending="open")],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        await ask(tab, "Research TLS")
        await tab.until(lambda frame: "TLS is" in frame.get("event", {}).get("body", ""))
        async with Tab(emulator, helper("agent-tool:c1")) as watching:
            offer = await watching.until_type("cf_agent_stream_resuming")
            await watching.send({"type": "cf_agent_stream_resume_ack", "id": offer["id"]})
            await watching.until(lambda frame: "TLS is" in frame.get("body", ""))
        await tab.send({"type": "cf_agent_chat_request_cancel", "id": "r-Research TLS"})
        await tab.until(told_of("aborted"))


async def test_two_researchers_compare_and_one_may_fail(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("compare", {"a": "HTTP/2", "b": "HTTP/3"})), says("One is known.")],
        researcher=[says("It is fast."), Refusal(400)],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        (result,) = outputs(await say(tab, "Compare"))

    assert (result["a"]["query"], result["b"]["query"]) == ("HTTP/2", "HTTP/3")
    (found,) = [branch["summary"] for branch in result.values() if "summary" in branch]
    (failed,) = [branch["error"] for branch in result.values() if "error" in branch]
    assert found == "It is fast."
    assert "no such luck" in failed
    assert [(each["inputPreview"], each["order"]) for each in events(tab, "started")] == [("HTTP/2", 0), ("HTTP/3", 1)]
    (error,) = events(tab, "error")
    assert error["error"] == failed
    assert {message.text for asked in model.asked_by("researcher") for message in asked.messages} == {
        "HTTP/2",
        "HTTP/3",
    }


async def test_a_turn_that_is_stopped_stops_the_helpers_that_it_waits_for(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("compare", {"a": "HTTP/2", "b": "HTTP/3"}))],
        researcher=[says("It", ending="open"), says("It", ending="open")],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        await ask(tab, "Compare")
        # Both at once: neither has an end.
        await asyncio.to_thread(until, lambda: len(model.received) == 3, "two researchers to be asked")
        await tab.send({"type": "cf_agent_chat_request_cancel", "id": "r-Compare"})
        for _ in range(2):
            await tab.until(told_of("aborted"))
        await asyncio.wait_for(model.left.wait(), 10)
        await answer_to(tab, "Compare")

    assert {event["reason"] for event in events(tab, "aborted")} == {"The turn was stopped."}


async def test_a_failure_is_told_to_the_assistant(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("research", {"query": "TLS"})), says("It failed.")],
        researcher=[Refusal(400)],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        (result,) = outputs(await say(tab, "Research TLS"))

    assert (result["ok"], result["status"], result["retryable"]) == (False, "error", False)
    assert "no such luck" in result["error"]


async def test_a_topic_that_is_none_is_not_researched(emulator: Server, model: Any) -> None:
    model.script(assistant=[calls(("research", {"query": "?"})), says("What about?")])
    async with Tab(emulator, ASSISTANT) as tab:
        await say(tab, "Research")

    assert events(tab) == []
    answered = model.asked_by("assistant")[1].messages[-1].content[0]
    assert "input.query must have a length of at least 3, not '?'" in answered.output


async def test_a_run_in_the_background_reports_back(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("research_background", {"query": "TLS"})), says("On its way."), says("TLS is old, it says.")],
        researcher=[calls(("web_search", {"query": "TLS"})), says("TLS is old.")],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        (dispatched,) = outputs(await say(tab, "Research TLS, do not make me wait"))
        messages = await until_messages(tab, lambda messages: "it says" in text_of(messages[-1]))

    run = dispatched["runId"]
    assert dispatched["status"] == "dispatched"
    told = events(tab)
    assert {event["runId"] for event in told} == {run}
    assert not any("parentToolCallId" in event for event in told)
    injected = {
        message["metadata"].get("milestone") or message["metadata"]["status"]: message
        for message in messages
        if message.get("metadata", {}).get("source") == "agents-as-tools-background"
    }
    assert {name: message["role"] for name, message in injected.items()} == {
        "sources-gathered": "assistant",
        "completed": "user",
    }
    assert text_of(injected["completed"]).endswith("TLS is old.")
    assert {message["metadata"]["runId"] for message in injected.values()} == {run}


async def test_a_run_in_the_background_can_be_cancelled(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("research_background", {"query": "TLS"})), says("On its way."), says("It was cancelled.")],
        researcher=[says("TLS", ending="open")],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        (dispatched,) = outputs(await say(tab, "Research TLS, do not make me wait"))
        await asyncio.to_thread(until, lambda: model.asked_by("researcher"), "the researcher to be asked")
        await tab.call("cancelBackground", dispatched["runId"])
        messages = await until_messages(tab, lambda messages: text_of(messages[-1]) == "It was cancelled.")
        await asyncio.wait_for(model.left.wait(), 10)
        # What has ended stays as it is, and what never was is no error.
        await tab.call("cancelBackground", dispatched["runId"])
        await tab.call("cancelBackground", "made-up")

    assert [event["reason"] for event in events(tab) if event["kind"] in DONE] == ["cancelled"]
    assert [message["metadata"]["status"] for message in messages if message.get("metadata", {}).get("source")] == [
        "aborted"
    ]


async def test_no_more_than_four_work_at_once(emulator: Server, model: Any) -> None:
    topics = [("research_background", {"query": f"topic {n}"}) for n in range(5)]
    model.script(
        assistant=[calls(*topics), says("On their way."), says("One is too many.")],
        researcher=[says("", ending="open") for _ in range(4)],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        await say(tab, "Research it all")
        await until_messages(tab, lambda messages: text_of(messages[-1]) == "One is too many.")

    assert len(events(tab, "started")) == 5
    (error,) = events(tab, "error")
    assert error["error"] == "4 helpers work already; wait for one of them."


async def test_only_helpers_that_were_put_to_work_are_there(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("research", {"query": "TLS"})), says("Old.")],
        researcher=[says("TLS is old.")],
    )
    async with Tab(emulator, ASSISTANT) as tab, http_client(emulator) as http:
        await say(tab, "Research TLS")
        answers = [
            await http.get(f"{path}/get-messages")
            for path in (
                helper("agent-tool:c1"),
                helper("made-up"),
                helper("agent-tool:c1", "planner"),
                helper("me", "assistant"),
            )
        ]
        elsewhere = await http.get("/agents/assistant/other/sub/researcher/agent-tool%3Ac1/get-messages")

    there, *others = answers
    assert [text_of(message) for message in there.json()] == ["TLS", "TLS is old."]
    assert [(each.status_code, each.text) for each in (*others, elsewhere)] == [
        (404, "Agent tool Researcher/made-up not found"),
        (404, "Agent tool Planner/agent-tool:c1 not found"),
        (404, "Unknown agent tool class: Assistant"),
        (404, "Agent tool Researcher/agent-tool:c1 not found"),
    ]


async def test_runs_are_cleared_with_their_helpers_also_one_at_work(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[
            calls(("research", {"query": "TLS"}), ("research_background", {"query": "more of TLS"})),
            says("Old."),
        ],
        researcher=[says("TLS is old."), says("TLS is old.")],
    )
    async with Tab(emulator, ASSISTANT) as tab, http_client(emulator) as http:
        await say(tab, "Research TLS")
        runs = {event["runId"] for event in events(tab, "started")}
        await tab.call("clearHelperRuns")
        gone = [(await http.get(f"{helper(run)}/get-messages")).status_code for run in runs]
        async with Tab(emulator, ASSISTANT) as late:
            await late.call("cancelBackground", "made-up")

    assert gone == [404, 404]
    assert events(late) == []
    assert [message["role"] for message in await messages_of(emulator)][:2] == ["user", "assistant"]


async def test_runs_are_told_again_after_a_kill(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("research", {"query": "TLS"})), says("Old.")],
        researcher=[calls(("web_search", {"query": "TLS"})), says("TLS is old.")],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        await say(tab, "Research TLS")
    emulator.kill()
    emulator.start()

    async with Tab(emulator, ASSISTANT) as again:
        await again.until(told_of("finished"))
    assert all(event["replay"] for event in events(again))
    told = {
        (event["sequence"], event["body"]) for event in events(tab, "chunk") if "agent-progress" not in event["body"]
    }
    replayed = {(event["sequence"], event["body"]) for event in events(again, "chunk")}
    assert {body for _, body in told} == {body for _, body in replayed}
    assert {each for each in told if "data-agent-" not in each[1]} <= replayed
    assert events(again, "finished")[0]["summary"] == "TLS is old."


async def test_all_of_a_long_answer_is_told_to_who_comes_later(emulator: Server, model: Any) -> None:
    words = [f"{n} " for n in range(1500)]
    model.script(assistant=[calls(("research", {"query": "TLS"})), says("Long.")], researcher=[says(*words)])
    async with Tab(emulator, ASSISTANT) as tab:
        await say(tab, "Research TLS")
        async with Tab(emulator, ASSISTANT) as late:
            await late.until(told_of("finished"))

    assert "".join(body["delta"] for body in bodies(late) if body["type"] == "text-delta") == "".join(words)


async def test_a_run_in_the_background_goes_on_after_a_kill(emulator: Server, model: Any) -> None:
    model.script(
        assistant=[calls(("research_background", {"query": "TLS"})), says("On its way.")],
        researcher=[calls(("web_search", {"query": "TLS"})), says("", ending="open")],
    )
    async with Tab(emulator, ASSISTANT) as tab:
        (dispatched,) = outputs(await say(tab, "Research TLS, do not make me wait"))
        await asyncio.to_thread(until, lambda: len(model.asked_by("researcher")) == 2, "the researcher to go on")
    emulator.kill()
    model.script(assistant=[says("TLS is old, it says.")], researcher=[says("TLS is old.")])
    emulator.start()

    async with Tab(emulator, ASSISTANT) as again:
        finished = await again.until(told_of("finished"))
        await asyncio.to_thread(until, lambda: len(model.asked_by("assistant")) == 3, "the assistant to be told")
        messages = await messages_of(emulator)
    assert (finished["event"]["runId"], finished["event"]["summary"]) == (dispatched["runId"], "TLS is old.")
    statuses = [message["metadata"].get("status") for message in messages if message.get("metadata", {}).get("source")]
    assert statuses.count("completed") == 1
    # The search is not made again: the helper goes on after it.
    assert len(model.asked_by("researcher")) == 3


async def test_a_run_that_a_call_waits_for_is_interrupted_by_a_kill_and_the_model_is_told(
    emulator: Server, model: Any
) -> None:
    model.script(assistant=[calls(("research", {"query": "TLS"}))], researcher=[says("", ending="open")])
    async with Tab(emulator, ASSISTANT) as tab:
        await ask(tab, "Research TLS")
        await asyncio.to_thread(until, lambda: model.asked_by("researcher"), "the researcher to be asked")
    emulator.kill()
    model.script(assistant=[says("I do not know.")], researcher=[says("TLS is old.")])
    emulator.start()

    async with Tab(emulator, ASSISTANT) as again:
        interrupted = await again.until(told_of("interrupted"))
        await asyncio.to_thread(until, lambda: len(model.asked_by("assistant")) == 2, "the assistant to go on")
    assert interrupted["event"]["error"] == "The server stopped while this helper worked."
    answered = model.asked_by("assistant")[1].messages[-1].content[0]
    assert "The server stopped while this tool ran." in answered.output


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_commands_do_what_it_says(offline_emulator: Server) -> None:
    said, unknown = [run_command(command, offline_emulator) for command in commands_of("agents-as-tools")]

    assert said.startswith('id: 0\ndata: {"type":"start"')
    assert said.rstrip().endswith("data: [DONE]")
    assert unknown == "Agent tool Researcher/made-up not found"
