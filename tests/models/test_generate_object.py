from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import annotated_types
import pydantic
import pytest
from typing_extensions import TypedDict

from edgeagents.errors import ModelError, NoObjectGeneratedError
from edgeagents.http import AbortController
from edgeagents.models import (
    FinishStep,
    GenerateObjectResult,
    ModelHandle,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    Usage,
    generate_object,
    tool_call,
)
from tests.models.fakes import ScriptedProvider, said

pytestmark = pytest.mark.cloudflare(
    "Models",
    "`generateObject`",
    "different: asked for as the call of a tool, so every provider can be asked; `schema` is a Python type or a JSON "
    'schema, and `list[...]` and `Literal[...]` stand for `output: "array"` and `"enum"`',
)


@dataclass
class Recipe:
    name: str
    minutes: int


class Verdict(TypedDict):
    is_good: bool
    score: Annotated[float, annotated_types.Interval(ge=1, le=10)]


class Review(pydantic.BaseModel):
    risk: Literal["low", "high"]
    verdicts: list[Verdict] = []


def answers(input_text: str, name: str = "json", *, reason: Any = "tool-calls") -> list[Any]:
    return [tool_call("c1", name, input_text), FinishStep(reason, Usage(3, 4, 7))]


async def ask(provider: ScriptedProvider, **more: Any) -> GenerateObjectResult[Any]:
    return await generate_object(**{"model": ModelHandle(provider, "m"), "schema": Recipe, "prompt": "hi", **more})


@pytest.mark.parametrize(
    ("schema", "text", "found"),
    [
        (Recipe, '{"name": "Soup", "minutes": 5}', Recipe("Soup", 5)),
        (Verdict, '{"is_good": true, "score": 9}', {"is_good": True, "score": 9.0}),
        (Review, '{"risk": "low"}', Review(risk="low")),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": 1, "b": 2}', {"a": 1, "b": 2}),
        # What is no object is asked for as a field of one.
        (list[Recipe], '{"value": [{"name": "Soup", "minutes": 5}]}', [Recipe("Soup", 5)]),
        (Literal["yes", "no"], '{"value": "no"}', "no"),
        (Recipe | None, '{"value": null}', None),
    ],
    ids=["dataclass", "TypedDict", "pydantic", "dict", "JSON schema", "list", "Literal", "union"],
)
async def test_the_answer_is_of_the_type_that_was_asked_for(schema: Any, text: str, found: Any) -> None:
    result = await ask(ScriptedProvider(answers(text)), schema=schema)
    assert result.object == found
    assert (result.finish_reason, result.usage) == ("stop", Usage(3, 4, 7))


async def test_the_model_is_shown_one_tool_and_must_call_it() -> None:
    provider = ScriptedProvider(answers('{"name": "Soup", "minutes": 5}', "recipe"))
    await ask(provider, schema_name="recipe", schema_description="What to cook.", system="Cook.", temperature=0.2)
    (request,) = provider.requests
    (tool,) = request.tools
    assert (tool.name, tool.description) == ("recipe", "What to cook.")
    assert tool.input_schema["properties"] == {"name": {"type": "string"}, "minutes": {"type": "integer"}}
    assert request.tool_choice == {"type": "tool", "tool_name": "recipe"}
    assert [(message.role, message.text) for message in request.messages] == [("system", "Cook."), ("user", "hi")]
    assert request.temperature == 0.2


async def test_reasoning_is_told_beside_the_object() -> None:
    result = await ask(ScriptedProvider([ReasoningDelta("r", "hm"), *answers('{"name": "Soup", "minutes": 5}')]))
    assert result.reasoning == "hm"


async def test_a_server_that_knows_no_tools_may_answer_with_text() -> None:
    result = await ask(ScriptedProvider(said('{"name": "Soup",', ' "minutes": 5}')))
    assert result.object == Recipe("Soup", 5)


@pytest.mark.parametrize(
    ("script", "problem", "text", "reason"),
    [
        (
            answers('{"name": 1, "price": 2}'),
            "response did not match schema. answer.minutes is missing; answer.price is not known; "
            "answer.name must be a string, not 1",
            '{"name": 1, "price": 2}',
            "stop",
        ),
        (answers('{"name": "So', reason="length"), "could not parse the response. ", '{"name": "So', "length"),
        (said("I would rather not."), "could not parse the response. ", "I would rather not.", "stop"),
        ([FinishStep("content-filter")], "the model did not return a response.", None, "content-filter"),
        (answers("{}", "other"), "the model did not return a response.", None, "tool-calls"),
    ],
    ids=["wrong fields", "cut off", "text", "nothing", "another tool"],
)
async def test_an_answer_that_is_something_else_is_an_error(
    script: Any, problem: str, text: str | None, reason: str
) -> None:
    provider = ScriptedProvider(script)
    with pytest.raises(NoObjectGeneratedError) as raised:
        await ask(provider)
    error = raised.value
    assert str(error).startswith(f"No object generated: {problem}")
    assert (error.text, error.finish_reason) == (text, reason)
    assert isinstance(error.usage, Usage)
    assert not error.retryable
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("schema", "text", "problem"),
    [
        (Verdict, '{"is_good": true, "score": 11}', "answer.score must be at most 10, not 11"),
        (Review, '{"risk": "none"}', "Input should be 'low' or 'high'"),
        ({"type": "object", "required": ["a"]}, "{}", "answer.a is missing"),
        (Literal["yes"], '{"value": "no"}', "answer.value must be one of 'yes', not 'no'"),
        (list[int], "[1]", r"answer must be an object, not \[1\]"),
    ],
    ids=["limit", "pydantic", "JSON schema", "Literal", "not in its field"],
)
async def test_an_error_says_what_is_wrong_with_the_answer(schema: Any, text: str, problem: str) -> None:
    with pytest.raises(NoObjectGeneratedError, match=problem):
        await ask(ScriptedProvider(answers(text)), schema=schema)


async def test_an_answer_may_be_repaired_once() -> None:
    asked: list[tuple[str, str]] = []

    async def repair(text: str, error: NoObjectGeneratedError) -> str:
        asked.append((text, str(error.__cause__)))
        return text.replace("five", "5")

    broken = answers('{"name": "Soup", "minutes": five}')
    result = await ask(ScriptedProvider(broken), experimental_repair_text=repair)
    assert result.object == Recipe("Soup", 5)
    assert asked == [('{"name": "Soup", "minutes": five}', "Expecting value: line 1 column 29 (char 28)")]


@pytest.mark.parametrize(("repaired", "problem"), [(None, "minutes is missing"), ("[]", "must be an object")])
async def test_a_repair_that_fails_is_the_end(repaired: str | None, problem: str) -> None:
    provider = ScriptedProvider(answers('{"name": "Soup"}'))
    with pytest.raises(NoObjectGeneratedError, match=problem):
        await ask(provider, experimental_repair_text=lambda text, error: repaired)
    assert len(provider.requests) == 1


async def test_an_object_can_answer_a_request() -> None:
    response = (await ask(ScriptedProvider(answers('{"name": "Süp", "minutes": 5}')))).to_json_response(
        headers={"x-a": "b"}
    )
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert (response.status, response.headers["x-a"]) == (200, "b")
    assert await response.json() == {"name": "Süp", "minutes": 5}


async def test_a_model_that_fails_is_asked_again_and_then_told() -> None:
    failing = [ModelError("busy", status=503, retryable=True, retry_after=0)]
    provider = ScriptedProvider(failing, answers('{"name": "Soup", "minutes": 5}'))
    assert (await ask(provider)).object == Recipe("Soup", 5)
    assert len(provider.requests) == 2
    with pytest.raises(ModelError, match="busy") as raised:
        await ask(ScriptedProvider(failing), max_retries=0)
    assert not isinstance(raised.value, NoObjectGeneratedError)
    assert raised.value.status == 503


async def test_a_stop_is_an_error() -> None:
    controller = AbortController()
    controller.abort("enough")
    with pytest.raises(ModelError, match="stopped before it had answered: enough"):
        await ask(ScriptedProvider([TextDelta("t", "x")]), abort_signal=controller.signal)


@pytest.mark.parametrize(
    ("schema", "error"),
    [(complex, TypeError), ({"type": "array"}, ValueError), ({"$ref": "#/gone"}, ValueError)],
    ids=["no type of JSON", "no object", "a reference to nothing"],
)
async def test_a_schema_that_cannot_be_asked_for_is_refused_at_once(schema: Any, error: type[Exception]) -> None:
    provider = ScriptedProvider()
    with pytest.raises(error):
        await ask(provider, schema=schema)
    assert provider.requests == []


async def test_the_first_of_several_calls_counts() -> None:
    calls = [ToolCall(f"c{n}", "json", {"name": "Soup", "minutes": n}) for n in (1, 2)]
    assert (await ask(ScriptedProvider([*calls, FinishStep("tool-calls")]))).object == Recipe("Soup", 1)
