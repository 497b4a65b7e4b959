"""What the official package makes of our frames: the state that ``useAgentToolEvents`` shows on a page."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from edgeagents.testing.vendor import Answer, Calls, says
from tests.examples import Tab
from tests.packages import CLIENTS, install
from tests.servers import Server

pytestmark = [
    pytest.mark.server,
    pytest.mark.node,
    pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="Node.js is not installed"),
]

ASSISTANT = "/agents/assistant/demo"
# The hook, on a page that is only in memory, whose socket says what the test has heard.
SHOW = """
import { readFileSync } from "node:fs";
import { createElement } from "react";
import { act, create } from "react-test-renderer";
import { useAgentToolEvents } from "agents/react";

globalThis.IS_REACT_ACT_ENVIRONMENT = true;
const agent = new EventTarget();
let shown;
const Page = () => ((shown = useAgentToolEvents({ agent })), null);
await act(() => create(createElement(Page)));
for (const frame of JSON.parse(readFileSync(0))) {
  await act(() => agent.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(frame) })));
}
console.log(JSON.stringify(shown));
process.exit();
"""


def calls(tool: str, **given: str) -> Answer:
    return Answer(blocks=(Calls("c1", tool, (json.dumps(given),)),), reason="tool-calls")


def show(frames: list[dict[str, Any]]) -> dict[str, Any]:
    told, command = json.dumps(frames), ["node", "--input-type=module", "-e", SHOW]
    done = subprocess.run(command, cwd=CLIENTS, input=told, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_a_page_shows_a_run_below_its_call_and_the_same_to_who_comes_later(emulator: Server, model: Any) -> None:
    install(CLIENTS)
    model.script(
        assistant=[calls("research", query="TLS"), says("Old.")],
        researcher=[calls("web_search", query="TLS"), says("TLS is ", "old.")],
    )
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Research TLS"}]}
    body = json.dumps({"messages": [message], "trigger": "submit-message"})
    async with Tab(emulator, ASSISTANT) as tab:
        await tab.send({"type": "cf_agent_use_chat_request", "id": "r1", "init": {"method": "POST", "body": body}})
        await tab.until(lambda frame: frame["type"] == "cf_agent_use_chat_response" and frame["done"])
        async with Tab(emulator, ASSISTANT) as late:
            await late.until(lambda frame: frame["type"] == "agent-tool-event" and frame["event"]["kind"] == "finished")

    (run,) = show(tab.frames)["runsByToolCallId"]["c1"]
    assert (run["runId"], run["status"], run["summary"]) == ("agent-tool:c1", "completed", "TLS is old.")
    assert run["subAgent"] == {"agent": "Researcher", "name": "agent-tool:c1"}
    parts = [part for part in run["parts"] if part["type"] != "step-start"]
    assert [part["type"] for part in parts] == ["tool-web_search", "data-agent-milestone", "text"]
    assert (parts[0]["state"], parts[-1]["text"]) == ("output-available", "TLS is old.")
    assert [milestone["name"] for milestone in run["milestones"]] == ["sources-gathered"]
    # A page that was away hears all of it again, and shows none of it twice.
    (again,) = show([*tab.frames, *late.frames])["runsByToolCallId"]["c1"]
    # The page notes by its own clock when it heard of progress.
    assert run.pop("progress")["fraction"] == again.pop("progress")["fraction"] == 0.9
    assert again == run
    (replayed,) = show(late.frames)["runsByToolCallId"]["c1"]
    assert {part["type"] for part in replayed["parts"]} == {part["type"] for part in run["parts"]}
    assert replayed["summary"] == run["summary"]
