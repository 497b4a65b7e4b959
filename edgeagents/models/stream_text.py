"""``stream_text``: ask a model and read its answer while it is made.

The arguments and results are those of the AI SDK's ``streamText`` in snake_case. Inside an agent use the agent's own
``stream_text``: that one survives its client and its server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from edgeagents.errors import ModelError
from edgeagents.http import AbortSignal
from edgeagents.models.messages import MessageLike, read_messages
from edgeagents.models.parts import ErrorPart, Json, Part
from edgeagents.models.provider import ModelHandle, ToolChoice
from edgeagents.models.registry import ModelLike, ModelRegistry
from edgeagents.models.result import Callbacks, FinishEvent, StreamTextResult
from edgeagents.models.steps import StepResult, StopCondition, step_count_is
from edgeagents.models.tools import ToolSet, read_tools
from edgeagents.models.turn import CallSettings, RunTool, Turn, run_tool_in_thread, run_turn

__all__ = ["make_turn", "stream_text"]


def stream_text(
    *,
    model: ModelLike,
    prompt: str | Sequence[MessageLike] | None = None,
    messages: Iterable[MessageLike] | None = None,
    system: str | None = None,
    tools: ToolSet | None = None,
    tool_choice: ToolChoice = "auto",
    stop_when: StopCondition | Sequence[StopCondition] | None = None,
    max_steps: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_output_tokens: int | None = None,
    stop_sequences: Sequence[str] = (),
    seed: int | None = None,
    max_retries: int = 2,
    abort_signal: AbortSignal | None = None,
    headers: Mapping[str, str] | None = None,
    provider_options: Mapping[str, Mapping[str, Json]] | None = None,
    on_chunk: Callable[[Part], Any] | None = None,
    on_step_finish: Callable[[StepResult], Any] | None = None,
    on_finish: Callable[[FinishEvent], Any] | None = None,
    on_error: Callable[[ErrorPart], Any] | None = None,
    on_abort: Callable[[Sequence[StepResult]], Any] | None = None,
    models: ModelRegistry | None = None,
    env: Mapping[str, Any] | None = None,
    run_tool: RunTool = run_tool_in_thread,
) -> StreamTextResult:
    """Ask ``model`` and return its answer, which begins to be made when it is first read.

    ``model`` is a name such as ``"openai:gpt-4o"``, found in ``models``, or a ``ModelHandle`` that a provider's
    package made. ``env`` is the worker's; providers read their keys from it. By default the model speaks once:
    ``stop_when=step_count_is(5)``, or ``max_steps=5`` for short, lets it see what its tools answered. A call that
    fails before the model has said anything, with an error that may pass, is made again ``max_retries`` times.

    Raises ``ModelError`` when nobody can answer for ``model``, ``ValueError`` or ``TypeError`` when an argument
    cannot be used. What fails later is a part of the stream.
    """
    turn = make_turn(
        model=model,
        prompt=prompt,
        messages=messages,
        system=system,
        tools=tools,
        tool_choice=tool_choice,
        stop_when=stop_when,
        max_steps=max_steps,
        temperature=temperature,
        top_p=top_p,
        max_output_tokens=max_output_tokens,
        stop_sequences=stop_sequences,
        seed=seed,
        max_retries=max_retries,
        headers=headers,
        provider_options=provider_options,
        models=models,
        env=env,
    )
    callbacks = Callbacks(
        on_chunk=on_chunk, on_step_finish=on_step_finish, on_finish=on_finish, on_error=on_error, on_abort=on_abort
    )
    return StreamTextResult(lambda: run_turn(turn, env=env or {}, signal=abort_signal, run_tool=run_tool), callbacks)


def make_turn(
    *,
    model: ModelLike,
    prompt: str | Sequence[MessageLike] | None = None,
    messages: Iterable[MessageLike] | None = None,
    system: str | None = None,
    tools: ToolSet | None = None,
    tool_choice: ToolChoice = "auto",
    stop_when: StopCondition | Sequence[StopCondition] | None = None,
    max_steps: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_output_tokens: int | None = None,
    stop_sequences: Sequence[str] = (),
    seed: int | None = None,
    max_retries: int = 2,
    headers: Mapping[str, str] | None = None,
    provider_options: Mapping[str, Mapping[str, Json]] | None = None,
    models: ModelRegistry | None = None,
    env: Mapping[str, Any] | None = None,
) -> Turn:
    """Return the turn that these arguments of ``stream_text`` mean."""
    if stop_when is not None and max_steps is not None:
        raise ValueError("stream_text takes either stop_when=... or max_steps=..., not both.")
    if models is None:
        if not isinstance(model, ModelHandle):
            raise ModelError(
                f"Nobody says who answers for {model!r}: pass models=ModelRegistry([...]), or a model that a "
                "provider's package made."
            )
        models = ModelRegistry()
    stop = stop_when if stop_when is not None else step_count_is(1 if max_steps is None else max_steps)
    return Turn(
        model=models.resolve(model, env),
        messages=read_messages(prompt, messages, system),
        tools=read_tools(tools),
        settings=CallSettings(
            tool_choice=tool_choice,
            temperature=temperature,
            top_p=top_p,
            max_output_tokens=max_output_tokens,
            stop_sequences=tuple(stop_sequences),
            seed=seed,
            max_retries=max_retries,
            headers=dict(headers or {}),
            provider_options=dict(provider_options or {}),
        ),
        stop_when=(stop,) if callable(stop) else tuple(stop),
    )
