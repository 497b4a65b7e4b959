"""The five patterns, as their page in the browser runs them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from edgeagents.testing.vendor import Answer, Calls, Refusal, VendorServer, says
from tests.examples import Tab, commands_of, run_command
from tests.servers import Server, until

pytestmark = [
    pytest.mark.server,
    pytest.mark.cloudflare(
        "Workers",
        "Cloudflare's guide `anthropic-patterns`",
        "different: `stop` ends the run, where theirs only says so; the status is kept, and a run that the end of the "
        "server has cut goes on; `Copy improved` is said when it was",
    ),
]

GOOD = {"hasCallToAction": True, "emotionalAppeal": 8, "clarity": 7}
EVALUATION = {
    "qualityScore": 8,
    "preservesTone": True,
    "preservesNuance": True,
    "culturallyAccurate": True,
    "specificIssues": ["Too long."],
    "improvementSuggestions": ["Say less."],
}


def open_page(server: Server, agent: str, session: str = "s1") -> Tab:
    return Tab(server, f"/agents/{agent}/{session}")


def answers(value: Any, *, ending: Any = "whole") -> Answer:
    """Return an answer that is an object."""
    return Answer(blocks=(Calls("c1", "json", (json.dumps(value),)),), reason="tool-calls", ending=ending)


async def status_of(page: Tab, *, running: bool) -> dict[str, Any]:
    frame = await page.until(lambda frame: frame["type"] == "status" and frame["status"]["isRunning"] == running)
    return frame["status"]


async def run(page: Tab, **given: Any) -> tuple[Any, list[str]]:
    """Run a pattern to its end. Return what it has made, and the toasts on the way."""
    await page.send({"type": "run", "input": given})
    await status_of(page, running=True)
    began = len(page.frames)
    status = await status_of(page, running=False)
    toasts = [frame["toast"] for frame in page.frames[began:] if frame["type"] == "toast"]
    assert {toast["type"] for toast in toasts} <= {"info"}
    return json.loads(status["output"]), [toast["message"] for toast in toasts]


async def test_copy_that_is_good_is_left_as_it_is(emulator: Server, model: VendorServer) -> None:
    model.answers = [says("Buy ", "tea."), answers(GOOD)]
    async with open_page(emulator, "sequential") as page:
        made, toasts = await run(page, input="tea")

    assert made == {"copy": "Buy tea.", "qualityMetrics": GOOD}
    assert toasts == ["Copy generated", "Quality check complete"]
    first, second = model.asked
    assert first.messages[-1].text.endswith("tea")
    assert second.messages[-1].text.endswith("Buy tea.")
    assert second.tools[0].input_schema["properties"]["clarity"]["maximum"] == 10


@pytest.mark.parametrize(
    ("fault", "wish"),
    [
        ({"hasCallToAction": False}, "- a call to action"),
        ({"emotionalAppeal": 6}, "- more feeling"),
        ({"clarity": 6.5}, "- plainer words"),
    ],
    ids=["no call to action", "no feeling", "not clear"],
)
async def test_copy_that_is_not_good_is_written_anew(
    emulator: Server, model: VendorServer, fault: dict[str, Any], wish: str
) -> None:
    model.answers = [says("Tea."), answers({**GOOD, **fault}), says("Buy tea now!")]
    async with open_page(emulator, "sequential") as page:
        made, toasts = await run(page, input="tea")

    assert made == {"copy": "Buy tea now!", "qualityMetrics": {**GOOD, **fault}}
    assert toasts[-1] == "Copy improved"
    (only,) = [line for line in model.asked[2].messages[-1].text.splitlines() if line.startswith("- ")]
    assert only.startswith(wish)


@pytest.mark.parametrize(("complexity", "asked"), [("simple", "gpt-4o-mini"), ("complex", "o1-mini")])
async def test_a_question_goes_to_who_can_answer_it(
    emulator: Server, model: VendorServer, complexity: str, asked: str
) -> None:
    classification = {"type": "refund", "complexity": complexity, "reasoning": "Money."}
    model.answers = [answers(classification), says("You get it back.")]
    async with open_page(emulator, "routing") as page:
        made, toasts = await run(page, query="Where is my money?")

    assert made == {"classification": classification, "response": "You get it back."}
    assert toasts == ["Query classified", "Response generated"]
    assert [each.model for each in model.asked] == ["gpt-4o", asked]
    assert "refunds" in model.asked[1].system
    assert model.asked[1].messages[-1].text == "Where is my money?"


async def test_three_reviewers_say_something_and_one_sums_up(offline_emulator: Server) -> None:
    async with open_page(offline_emulator, "parallel") as page:
        made, toasts = await run(page, code="eval(input())")

    security, performance, maintainability = made["reviews"]
    assert set(security) == {"type", "vulnerabilities", "riskLevel", "suggestions"}
    assert [review["type"] for review in made["reviews"]] == ["security", "performance", "maintainability"]
    assert performance["impact"] in ("low", "medium", "high")
    assert 1 <= maintainability["qualityScore"] <= 10
    assert made["summary"].startswith("(This is the built-in offline model, in place of openai:gpt-4o")
    assert toasts == ["Code reviews complete", "Code review summary complete"]


async def test_no_reviewer_waits_for_another(emulator: Server, model: VendorServer) -> None:
    model.answers = [says("", ending="open") for _ in range(3)]
    async with open_page(emulator, "parallel") as page:
        await page.send({"type": "run", "input": {"code": "eval(input())"}})
        await asyncio.to_thread(until, lambda: len(model.received) == 3, "three reviewers to be asked")
        await status_of(page, running=True)
        await page.send({"type": "stop"})
        await status_of(page, running=False)
        await asyncio.wait_for(model.left.wait(), 10)

    assert len({each.system for each in model.asked}) == 3
    assert {each.messages[-1].text for each in model.asked} == {"Review this code:\n\neval(input())"}


async def test_a_plan_is_carried_out_file_by_file(emulator: Server, model: VendorServer) -> None:
    files = [
        {"filePath": "a.py", "purpose": "dark colours", "changeType": "create"},
        {"filePath": "b.py", "purpose": "no light", "changeType": "delete"},
    ]
    plan, done = {"files": files, "estimatedComplexity": "low"}, {"explanation": "Dark.", "code": "x = 1"}
    model.answers = [answers(plan), answers(done), answers(done)]
    async with open_page(emulator, "orchestrator") as page:
        made, toasts = await run(page, featureRequest="Dark mode")

    assert made == {"plan": plan, "changes": [{"file": file, "implementation": done} for file in files]}
    assert toasts == [
        "Implementation plan created",
        "File change implemented",
        "File change implemented",
        "File changes implemented",
    ]
    planner, *workers = model.asked
    assert (planner.model, {worker.model for worker in workers}) == ("o1", {"gpt-4o"})
    assert len({worker.system for worker in workers}) == 2


async def test_a_good_translation_is_not_bettered(emulator: Server, model: VendorServer) -> None:
    model.answers = [says("Guten Tag"), answers(EVALUATION)]
    async with open_page(emulator, "evaluator") as page:
        made, toasts = await run(page, text="Good day", targetLanguage="german")

    assert made == {"finalTranslation": "Guten Tag", "iterationsRequired": 0}
    assert toasts == ["Initial translation complete", "Evaluation complete: 8", "Final translation complete"]
    assert [each.model for each in model.asked] == ["gpt-4o-mini", "gpt-4o"]


@pytest.mark.parametrize(
    "fault",
    [{"qualityScore": 7.5}, {"preservesTone": False}, {"preservesNuance": False}, {"culturallyAccurate": False}],
    ids=str,
)
async def test_another_is_bettered_once_by_what_was_said_of_it(
    emulator: Server, model: VendorServer, fault: dict[str, Any]
) -> None:
    model.answers = [says("Guten Tag, guten Tag"), answers({**EVALUATION, **fault}), says("Guten Tag")]
    async with open_page(emulator, "evaluator") as page:
        made, toasts = await run(page, text="Good day", targetLanguage="german")

    assert made == {"finalTranslation": "Guten Tag", "iterationsRequired": 1}
    assert toasts[-2:] == ["Improved translation complete", "Final translation complete"]
    assert "Too long.\nSay less." in model.asked[2].messages[-1].text


async def test_an_answer_that_does_not_fit_is_told(emulator: Server, model: VendorServer) -> None:
    model.answers = [answers({"type": "weather", "complexity": "simple", "reasoning": "Rain."})]
    async with open_page(emulator, "routing") as page:
        made, toasts = await run(page, query="Will it rain?")

    what = "No object generated: response did not match schema. answer.type must be one of 'general', 'refund'"
    assert made["name"] == "NoObjectGeneratedError"
    assert made["message"].startswith(what)
    assert toasts == [f"An error occurred: NoObjectGeneratedError: {made['message']}"]


async def test_a_model_that_fails_is_told_and_the_next_run_works(emulator: Server, model: VendorServer) -> None:
    async with open_page(emulator, "sequential") as page:
        model.answers = [Refusal(400)]
        made, toasts = await run(page, input="tea")
        assert (made["name"], toasts) == ("ModelError", [f"An error occurred: ModelError: {made['message']}"])
        assert "no such luck" in made["message"]
        model.answers = [says("Tea."), answers(GOOD)]
        assert (await run(page, input="tea"))[0]["copy"] == "Tea."


async def test_an_input_that_is_missing_is_told(offline_emulator: Server) -> None:
    async with open_page(offline_emulator, "evaluator") as page:
        made, toasts = await run(page, text="Good day")

    assert made == {"name": "ValueError", "message": "input.targetLanguage is missing"}
    assert toasts == ["An error occurred: ValueError: input.targetLanguage is missing"]


async def test_what_is_neither_run_nor_stop_changes_nothing(offline_emulator: Server) -> None:
    async with open_page(offline_emulator, "routing") as page:
        for frame in ({"type": "jump"}, {"type": ["run"]}, {"no": "type"}):
            await page.send(frame)
        await page.send({"type": "stop"})
        statuses = [await page.until_type("status") for _ in range(2)]

    assert [frame["status"] for frame in statuses] == [{"isRunning": False}] * 2
    assert [frame["type"] for frame in page.frames if not frame["type"].startswith("cf_")] == ["status", "status"]


async def test_every_client_sees_a_run_and_a_second_is_not_begun_beside_it(
    emulator: Server, model: VendorServer
) -> None:
    model.answers = [says("Tea", ending="open")]
    async with open_page(emulator, "sequential") as page, open_page(emulator, "sequential") as other:
        await page.send({"type": "run", "input": {"input": "tea"}})
        await status_of(other, running=True)
        await asyncio.to_thread(until, lambda: model.received, "the model to be asked")
        await other.send({"type": "run", "input": {"input": "coffee"}})
        async with open_page(emulator, "sequential") as late:
            assert (await late.until_type("status"))["status"] == {"isRunning": True}
        async with open_page(emulator, "sequential", "another") as stranger:
            assert (await stranger.until_type("status"))["status"] == {"isRunning": False}
        await other.send({"type": "stop"})
        assert await status_of(other, running=False) == {"isRunning": False}
        await asyncio.wait_for(model.left.wait(), 10)
        model.answers = [says("Coffee."), answers(GOOD)]
        assert (await run(other, input="coffee"))[0]["copy"] == "Coffee."

    assert [each.messages[-1].text.rpartition(" ")[2] for each in model.asked][:2] == ["tea", "coffee"]


async def test_an_output_is_there_after_a_kill(emulator: Server, model: VendorServer) -> None:
    model.answers = [says("Tea."), answers(GOOD)]
    async with open_page(emulator, "sequential") as page:
        made, _ = await run(page, input="tea")
    emulator.kill()
    emulator.start()

    async with open_page(emulator, "sequential") as again:
        status = (await again.until_type("status"))["status"]
    assert (status["isRunning"], json.loads(status["output"])) == (False, made)


async def test_a_run_that_a_kill_has_cut_goes_on_and_asks_for_no_text_twice(
    emulator: Server, model: VendorServer
) -> None:
    model.answers = [says("Buy tea."), answers(GOOD, ending="open")]
    async with open_page(emulator, "sequential") as page:
        await page.send({"type": "run", "input": {"input": "tea"}})
        await page.until_type("toast")
        await asyncio.to_thread(until, lambda: len(model.received) == 2, "the quality to be asked for")
        emulator.kill()
    model.answers = [answers(GOOD)]
    emulator.start()

    async with open_page(emulator, "sequential") as again:
        status = await again.until(lambda frame: frame["type"] == "status" and "output" in frame["status"])
    assert json.loads(status["status"]["output"]) == {"copy": "Buy tea.", "qualityMetrics": GOOD}
    assert [bool(each.tools) for each in model.asked] == [False, True, True]


def test_the_readmes_commands_do_what_it_says(offline_emulator: Server) -> None:
    ran, again = [run_command(command, offline_emulator) for command in commands_of("anthropic-patterns")]

    assert ran == "Query classified\nResponse generated\nclassification response\n"
    assert again == "False classification response\n{'isRunning': True}\n{'isRunning': False}\n"
