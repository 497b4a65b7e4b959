"""``generate_object``: ask a model for a value of a type, and not for text.

The arguments and results are those of the AI SDK's ``generateObject`` in snake_case. Every provider can be asked: the
model is shown one tool, whose input is the value, and must call it. What it wrote is checked before anybody sees it.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypedDict, TypeVar, Unpack, cast, overload

from edgeagents.errors import ModelError, NoObjectGeneratedError
from edgeagents.http import AbortSignal, Headers, HeadersInit, Response
from edgeagents.http.json_values import write_json
from edgeagents.models.json_schema import problems_of, resolve
from edgeagents.models.json_types import InvalidValue, member, object_schema, read_object, read_value, schema_of
from edgeagents.models.messages import MessageLike
from edgeagents.models.parts import AbortPart, ErrorPart, FinishReason, Json, Usage
from edgeagents.models.registry import ModelLike, ModelRegistry
from edgeagents.models.result import merge_headers
from edgeagents.models.steps import Collector, StepResult
from edgeagents.models.stream_text import make_turn
from edgeagents.models.tools import Tool
from edgeagents.models.turn import Turn, run_turn

__all__ = ["GenerateObjectResult", "ObjectSettings", "RepairText", "generate_object"]

T = TypeVar("T")

RepairText: TypeAlias = Callable[[str, NoObjectGeneratedError], "Awaitable[str | None] | str | None"]
"""Called with what a model said and what is wrong with it. Returns a better text, or None."""

_VALUE = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateObjectResult(Generic[T]):
    """What ``generate_object`` returns: ``object`` is the value, as its schema asks for it."""

    object: T
    finish_reason: FinishReason
    usage: Usage
    reasoning: str = ""

    def to_json_response(self, *, headers: HeadersInit = None, status: int = 200) -> Response:
        """Answer with the object. ``headers`` go before the usual ones."""
        usual = {"content-type": "application/json; charset=utf-8"}
        return Response(write_json(self.object), status=status, headers=merge_headers(usual, Headers(headers)))


class ObjectSettings(TypedDict, total=False):
    """The arguments of ``generate_object`` that may be left out."""

    schema_name: str
    schema_description: str | None
    prompt: str | Sequence[MessageLike] | None
    messages: Iterable[MessageLike] | None
    system: str | None
    temperature: float | None
    top_p: float | None
    max_output_tokens: int | None
    seed: int | None
    max_retries: int
    abort_signal: AbortSignal | None
    headers: Mapping[str, str] | None
    provider_options: Mapping[str, Mapping[str, Json]] | None
    experimental_repair_text: RepairText | None


@overload
async def generate_object(
    *,
    model: ModelLike,
    schema: type[T],
    models: ModelRegistry | None = None,
    env: Mapping[str, Any] | None = None,
    **settings: Unpack[ObjectSettings],
) -> GenerateObjectResult[T]: ...


@overload
async def generate_object(
    *,
    model: ModelLike,
    schema: Any,
    models: ModelRegistry | None = None,
    env: Mapping[str, Any] | None = None,
    **settings: Unpack[ObjectSettings],
) -> GenerateObjectResult[Any]: ...


async def generate_object(
    *,
    model: ModelLike,
    schema: Any,
    schema_name: str = "json",
    schema_description: str | None = None,
    prompt: str | Sequence[MessageLike] | None = None,
    messages: Iterable[MessageLike] | None = None,
    system: str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_output_tokens: int | None = None,
    seed: int | None = None,
    max_retries: int = 2,
    abort_signal: AbortSignal | None = None,
    headers: Mapping[str, str] | None = None,
    provider_options: Mapping[str, Mapping[str, Json]] | None = None,
    experimental_repair_text: RepairText | None = None,
    models: ModelRegistry | None = None,
    env: Mapping[str, Any] | None = None,
) -> GenerateObjectResult[Any]:
    """Ask ``model`` for a value and return it, when it is as ``schema`` asks.

    ``schema`` is a dataclass, a ``TypedDict``, a pydantic model, or another type that JSON can hold, such as
    ``list[Recipe]`` or ``Literal["yes", "no"]``, and the value is of that type; or it is the JSON schema of an object,
    and the value is a ``dict``. ``schema_name`` and ``schema_description`` are told to the model. The other arguments
    are those of ``stream_text``.

    Raises ``NoObjectGeneratedError`` when the model says something else, after ``experimental_repair_text`` had one
    try to make it right; ``ModelError`` when the model fails or ``abort_signal`` stops it; ``TypeError`` or
    ``ValueError`` when an argument cannot be used.
    """
    wanted = _Wanted(schema)
    turn = make_turn(
        model=model,
        prompt=prompt,
        messages=messages,
        system=system,
        tools=[wanted.tool(schema_name, schema_description)],
        tool_choice={"type": "tool", "tool_name": schema_name},
        temperature=temperature,
        top_p=top_p,
        max_output_tokens=max_output_tokens,
        seed=seed,
        max_retries=max_retries,
        headers=headers,
        provider_options=provider_options,
        models=models,
        env=env,
    )
    answer = _Answer(await _ask(turn, env or {}, abort_signal), schema_name)
    try:
        found = answer.read(wanted, answer.text)
    except NoObjectGeneratedError as error:
        if experimental_repair_text is None or answer.text is None:
            raise
        repaired = experimental_repair_text(answer.text, error)
        if inspect.isawaitable(repaired):
            repaired = await repaired
        if repaired is None:
            raise
        found = answer.read(wanted, repaired)
    return GenerateObjectResult(
        object=found, finish_reason=answer.finish_reason, usage=answer.usage, reasoning=answer.reasoning
    )


async def _ask(turn: Turn, env: Mapping[str, Any], signal: AbortSignal | None) -> StepResult:
    collector = Collector()
    async for part in run_turn(turn, env=env, signal=signal):
        collector.add(part)
    if isinstance(collector.end, ErrorPart):
        end = collector.end
        raise ModelError(end.message, status=end.status, retryable=end.retryable, retry_after=end.retry_after)
    if isinstance(collector.end, AbortPart):
        raise ModelError(f"The model was stopped before it had answered: {collector.end.reason or 'no reason given'}.")
    return collector.last_step


class _Wanted:
    """What is asked for, as a model is told and as its answer is read."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._is_wrapped = False
        if isinstance(schema, Mapping):
            self._json_schema = cast("Mapping[str, Json]", schema)
            kind = resolve(self._json_schema, self._json_schema).get("type", "object")
            if kind != "object":
                raise ValueError(f"A model answers with an object, not with {kind!r}: make it a property of one.")
            return
        self._json_schema = schema_of(schema)
        if self._json_schema.get("type") != "object":
            # A tool's input is an object, so any other value is a field of one.
            self._is_wrapped = True
            self._json_schema = object_schema({_VALUE: member(schema)})

    def tool(self, name: str, description: str | None) -> Tool:
        """Return the tool whose input is the value. Nobody calls it; what it was given is read here."""
        return Tool(name, description or "Answer with this object.", self._json_schema, lambda value: {_VALUE: value})

    def read(self, value: Json) -> Any:
        """Return what is wanted. Raises ``InvalidValue``."""
        if isinstance(self._schema, Mapping):
            problems = problems_of(self._json_schema, value)
            if problems:
                raise InvalidValue("; ".join(problems))
            return value
        if self._is_wrapped:
            return read_object({_VALUE: member(self._schema)}, value, "answer")[_VALUE]
        return read_value(self._schema, value, "answer")


class _Answer:
    """What the model said: as a call, or as text where a server knows nothing of tools."""

    def __init__(self, step: StepResult, name: str) -> None:
        self.usage, self.reasoning = step.usage, step.reasoning_text
        self.finish_reason: FinishReason = step.finish_reason
        call = next((call for call in step.tool_calls if call.tool_name == name), None)
        if call is None:
            self.text = step.text or None
            return
        if step.finish_reason == "tool-calls":
            # The call is how the answer was given; nobody waits for its result.
            self.finish_reason = "stop"
        # A call that is no JSON has its text for an input.
        is_text = call.error is not None and isinstance(call.input, str)
        self.text = call.input if is_text else json.dumps(call.input, ensure_ascii=False)

    def read(self, wanted: _Wanted, text: str | None) -> Any:
        """Return what ``text`` means. Raises ``NoObjectGeneratedError``."""
        if text is None:
            raise self._error("the model did not return a response.", None)
        try:
            value = json.loads(text)
        except ValueError as error:
            raise self._error(f"could not parse the response. {error}", text) from error
        try:
            return wanted.read(value)
        except InvalidValue as error:
            raise self._error(f"response did not match schema. {error}", text) from error

    def _error(self, message: str, text: str | None) -> NoObjectGeneratedError:
        return NoObjectGeneratedError(message, text=text, finish_reason=self.finish_reason, usage=self.usage)
