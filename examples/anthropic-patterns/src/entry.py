"""Five patterns of agents: a chain, a route, a fork, an orchestrator with workers, an evaluator with an optimiser.

A port of ``guides/anthropic-patterns`` of the Agents SDK, after Anthropic's "Building effective agents". Each pattern
is an agent, and its ``work`` is plain code around what models say: texts, and objects where code must understand them.
How a run is started, stopped, shown and taken up again stands in ``pattern``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypedDict

from pattern import Pattern, Run, together

from edgeagents import Env, Request, Response, WorkerEntrypoint, route_agent_request

MODEL = "openai:gpt-4o"
SMALL_MODEL = "openai:gpt-4o-mini"
THINKING_MODEL = "openai:o1"
SMALL_THINKING_MODEL = "openai:o1-mini"

MOST_IMPROVEMENTS = 1


@dataclass(frozen=True)
class Between:
    """A limit of a number. Whatever has ``ge`` and ``le`` is one: ``annotated_types.Interval`` too."""

    ge: float
    le: float


Score = Annotated[float, Between(1, 10)]
Level = Literal["low", "medium", "high"]


class QualityMetrics(TypedDict):
    hasCallToAction: Annotated[bool, "Whether it says what to do next"]
    emotionalAppeal: Annotated[Score, "How much it moves, from 1 to 10"]
    clarity: Annotated[Score, "How clear it is, from 1 to 10"]


class Sequential(Pattern):
    """A chain: each step works on what the one before has made, and a check stands between them."""

    async def work(self, run: Run) -> dict[str, Any]:
        copy = await run.text(
            "copy",
            model=MODEL,
            prompt=f"Write copy that sells this, by its benefits and with feeling: {run.input('input')}",
        )
        run.toast("Copy generated")
        metrics: QualityMetrics = await run.object(
            QualityMetrics, model=MODEL, prompt=f"Rate this marketing copy:\n\n{copy}"
        )
        run.toast("Quality check complete")
        lacks = [
            wish
            for is_lacking, wish in (
                (not metrics["hasCallToAction"], "a call to action that nobody can miss"),
                (metrics["emotionalAppeal"] < 7, "more feeling"),
                (metrics["clarity"] < 7, "plainer words and a straighter line"),
            )
            if is_lacking
        ]
        if lacks:
            wishes = "\n".join(f"- {wish}" for wish in lacks)
            prompt = f"Write this marketing copy anew, with\n{wishes}\n\nThe copy:\n{copy}"
            copy = await run.text("better copy", model=MODEL, prompt=prompt)
            run.toast("Copy improved")
        return {"copy": copy, "qualityMetrics": metrics}


class Classification(TypedDict):
    type: Annotated[Literal["general", "refund", "technical"], "What it is about"]
    complexity: Annotated[Literal["simple", "complex"], "Whether it needs thought"]
    reasoning: Annotated[str, "Why, in a sentence"]


CLERKS = {
    "general": "You answer customers' questions of every kind, kindly and to the point.",
    "refund": "You handle refunds. Keep to the rules of the house, and ask for what you need to know.",
    "technical": "You solve technical problems, and explain them step by step.",
}


class Routing(Pattern):
    """A fork in the road: what it is about decides who answers, and how hard it is with which model."""

    async def work(self, run: Run) -> dict[str, Any]:
        query = run.input("query")
        classification: Classification = await run.object(
            Classification,
            model=MODEL,
            prompt=f"Of what type is this question of a customer, and how complex?\n\n{query}",
        )
        run.toast("Query classified")
        response = await run.text(
            "response",
            model=SMALL_MODEL if classification["complexity"] == "simple" else SMALL_THINKING_MODEL,
            system=CLERKS[classification["type"]],
            prompt=query,
        )
        run.toast("Response generated")
        return {"classification": classification, "response": response}


class SecurityReview(TypedDict):
    vulnerabilities: list[str]
    riskLevel: Level
    suggestions: list[str]


class PerformanceReview(TypedDict):
    issues: list[str]
    impact: Level
    optimizations: list[str]


class MaintainabilityReview(TypedDict):
    concerns: list[str]
    qualityScore: Score
    recommendations: list[str]


REVIEWS: dict[str, tuple[type[Any], str]] = {
    "security": (SecurityReview, "You look at code as an attacker does: holes, injections, who may do what."),
    "performance": (PerformanceReview, "You find what makes code slow or large: hot paths, leaks, needless work."),
    "maintainability": (MaintainabilityReview, "You care for code that others can read, change and trust."),
}


class Parallel(Pattern):
    """Several at once: three reviewers look at the same code, and one more sums up what they say."""

    async def work(self, run: Run) -> dict[str, Any]:
        code = run.input("code")
        found = await together(
            run.object(schema, model=MODEL, system=system, prompt=f"Review this code:\n\n{code}")
            for schema, system in REVIEWS.values()
        )
        run.toast("Code reviews complete")
        reviews = [{**review, "type": kind} for kind, review in zip(REVIEWS, found, strict=True)]
        summary = await run.text(
            "summary",
            model=MODEL,
            system="You lead a team, and turn reviews of code into what is to be done.",
            prompt=f"Sum up these reviews, and say what to do first:\n\n{json.dumps(reviews, indent=2)}",
        )
        run.toast("Code review summary complete")
        return {"reviews": reviews, "summary": summary}


class PlannedFile(TypedDict):
    filePath: str
    purpose: str
    changeType: Literal["create", "modify", "delete"]


class Plan(TypedDict):
    files: Annotated[list[PlannedFile], "Each file that changes"]
    estimatedComplexity: Level


class Implementation(TypedDict):
    explanation: str
    code: str


WORKERS = {
    "create": "You write new files that look as if they had always been there.",
    "modify": "You change code and break nothing that worked.",
    "delete": "You take code out, and everything that hung on it.",
}


class Orchestrator(Pattern):
    """A plan that nobody wrote before: one model makes it, and others carry it out, a file each."""

    async def work(self, run: Run) -> dict[str, Any]:
        request = run.input("featureRequest")
        plan: Plan = await run.object(
            Plan,
            model=THINKING_MODEL,
            system="You are an architect of software who plans how features are built.",
            prompt=f"Plan which files to change for this feature:\n\n{request}",
        )
        run.toast("Implementation plan created")

        async def change(file: PlannedFile) -> dict[str, Any]:
            implementation = await run.object(
                Implementation,
                model=MODEL,
                system=WORKERS[file["changeType"]],
                prompt=f"Change {file['filePath']}: {file['purpose']}\n\nIt is a part of this feature:\n{request}",
            )
            run.toast("File change implemented")
            return {"file": file, "implementation": implementation}

        changes = await together(map(change, plan["files"]))
        run.toast("File changes implemented")
        return {"plan": plan, "changes": changes}


class Evaluation(TypedDict):
    qualityScore: Score
    preservesTone: bool
    preservesNuance: bool
    culturallyAccurate: bool
    specificIssues: list[str]
    improvementSuggestions: list[str]


class Evaluator(Pattern):
    """Two in a loop: one translates, the other judges, until it is good enough or has been bettered often enough."""

    async def work(self, run: Run) -> dict[str, Any]:
        text, language = run.input("text"), run.input("targetLanguage")
        translator = "You translate literature."
        translation = await run.text(
            "translation",
            # The first try is a small model's.
            model=SMALL_MODEL,
            system=translator,
            prompt=f"Translate into {language}, with its tone and what stands between the lines:\n\n{text}",
        )
        run.toast("Initial translation complete")
        improvements = 0
        while improvements < MOST_IMPROVEMENTS:
            evaluation: Evaluation = await run.object(
                Evaluation,
                model=MODEL,
                system="You judge translations of literature.",
                prompt=f"Judge this translation.\n\nThe original:\n{text}\n\nThe translation:\n{translation}",
            )
            run.toast(f"Evaluation complete: {evaluation['qualityScore']:g}")
            kept = evaluation["preservesTone"] and evaluation["preservesNuance"] and evaluation["culturallyAccurate"]
            if kept and evaluation["qualityScore"] >= 8:
                break
            improvements += 1
            remarks = "\n".join([*evaluation["specificIssues"], *evaluation["improvementSuggestions"]])
            translation = await run.text(
                f"improvement {improvements}",
                model=MODEL,
                system=translator,
                prompt=f"Better this translation.\n\nRemarks:\n{remarks}\n\nThe original:\n{text}\n\n"
                f"The translation so far:\n{translation}",
            )
            run.toast("Improved translation complete")
        run.toast("Final translation complete")
        return {"finalTranslation": translation, "iterationsRequired": improvements}


class Default(WorkerEntrypoint[Env]):
    async def fetch(self, request: Request) -> Response:
        """Answer ``/agents/sequential/<session>``, and so on."""
        return await route_agent_request(request, self.env) or Response("Not found", status=404)
