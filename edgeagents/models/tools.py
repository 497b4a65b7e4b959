"""Tools: functions that a model may call, described by their own signature and docstring.

A tool is a plain function, sync or async, or what ``tool(...)`` makes of one. Its parameters are the tool's input:
their type hints become the JSON schema that the model is shown, and what the model sends is checked against them
before the function is called. The first paragraphs of the docstring describe the tool, its ``Args:`` section (or
``:param name:`` lines) the parameters.

When tools are run, and in what order, is ``stream_text``'s business.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, cast, overload

from edgeagents.http import AbortSignal
from edgeagents.http.json_values import write_json
from edgeagents.models.json_types import (
    InvalidValue,
    member,
    object_schema,
    read_object,
    read_value,
    schema_of,
)
from edgeagents.models.messages import Message
from edgeagents.models.parts import Json, ToolCall
from edgeagents.models.provider import ToolDefinition

__all__ = ["Tool", "ToolContext", "ToolLike", "ToolSet", "json_output", "read_tools", "tool", "tool_call"]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the call: a parameter with this type is given it, and the model does not see it."""

    tool_call_id: str
    messages: tuple[Message, ...]
    abort_signal: AbortSignal | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call.

    ``read`` turns the model's input into the function's keyword arguments and raises ``InvalidValue`` when it is
    not what the schema asks for. Without ``execute`` nobody answers here: the call ends the turn, and whoever reads
    the stream answers it in a next one. With ``needs_approval`` the call ends the turn too, and is made at the start
    of a next one that has leave for it.
    """

    name: str
    description: str
    input_schema: Mapping[str, Json]
    read: Callable[[Json], dict[str, Any]]
    execute: Callable[..., Any] | None = None
    context_parameter: str | None = None
    needs_approval: bool | Callable[..., Any] = False

    @property
    def definition(self) -> ToolDefinition:
        """What the model is told."""
        return ToolDefinition(self.name, self.description, self.input_schema)

    def arguments(self, call: ToolCall, context: ToolContext) -> dict[str, Any]:
        """Return the keyword arguments for ``execute``. Raises ``InvalidValue``."""
        found = self.read(call.input)
        if self.context_parameter is not None:
            found[self.context_parameter] = context
        return found


ToolLike: TypeAlias = Tool | Callable[..., Any]
ToolSet: TypeAlias = Mapping[str, ToolLike] | Iterable[ToolLike]


@overload
def tool(
    execute: Callable[..., Any] | None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    input_schema: Any = None,
    needs_approval: bool | Callable[..., Any] = False,
) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    input_schema: Any = None,
    needs_approval: bool | Callable[..., Any] = False,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    *given: Callable[..., Any] | None,
    name: str | None = None,
    description: str | None = None,
    input_schema: Any = None,
    needs_approval: bool | Callable[..., Any] = False,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function: ``tool(fn)``, ``@tool`` or ``@tool(name="look_up")``.

    ``input_schema`` replaces the one made from the signature. It is a JSON schema, and the function is called with
    the fields of the input as keyword arguments; or a dataclass, ``TypedDict`` or pydantic model, and the function
    is called with one such value. ``tool(None, name=..., input_schema=...)`` is a tool that the client answers.

    A tool with ``needs_approval=True`` is not called before somebody has allowed it. A function there, sync or async,
    is called with what the tool would be called with and says whether that is so.
    """

    def make(execute: Callable[..., Any] | None) -> Tool:
        return replace(_make(execute, name, description, input_schema), needs_approval=needs_approval)

    return make(given[0]) if given else make


def read_tools(tools: ToolSet | None) -> dict[str, Tool]:
    """Return the tools by name. A mapping's keys are names; otherwise each tool has its own."""
    if tools is None:
        return {}
    found: dict[str, Tool] = {}
    if isinstance(tools, Mapping):
        for name, each in cast("Mapping[str, ToolLike]", tools).items():
            made = each if isinstance(each, Tool) else _make(each, name, None, None)
            found[name] = replace(made, name=name)
        return found
    for each in tools:
        made = each if isinstance(each, Tool) else _make(each, None, None, None)
        if made.name in found:
            raise ValueError(f"Two tools are called {made.name!r}; give them as a dict with a name each.")
        found[made.name] = made
    return found


def tool_call(tool_call_id: str, tool_name: str, input_text: str, **more: Any) -> ToolCall:
    """Return the call that a model wrote as ``input_text``; one that is not JSON has an ``error``."""
    try:
        return ToolCall(tool_call_id, tool_name, json.loads(input_text or "{}"), **more)
    except ValueError as error:
        return ToolCall(tool_call_id, tool_name, input_text, f"The input is not JSON: {error}.", **more)


def json_output(value: Any) -> Json:
    """Return what a tool returned as a JSON value. Raises TypeError when JSON cannot hold it."""
    return value if value is None or type(value) in (str, int, bool) else json.loads(write_json(value))


def _make(execute: Callable[..., Any] | None, name: str | None, description: str | None, input_schema: Any) -> Tool:
    name = name or getattr(execute, "__name__", None)
    if not name or name == "<lambda>":
        raise TypeError("A tool needs a name: give tools as a dict, or use tool(fn, name=...).")
    about, parameters = _read_docstring(inspect.getdoc(execute) if execute is not None else None)
    description = description or about
    if execute is None and input_schema is None:
        raise TypeError(f"The tool {name!r} has no function, so it needs input_schema=...")
    context = None
    if isinstance(input_schema, Mapping):
        schema = cast("Mapping[str, Json]", input_schema)
        return Tool(name, description, schema, lambda value: _read_loosely(schema, value), execute)
    if input_schema is not None:
        only = _only_parameter(execute, name) if execute is not None else "input"
        return Tool(
            name,
            description,
            schema_of(input_schema),
            lambda value: {only: read_value(input_schema, value)},
            execute,
        )
    assert execute is not None
    members = {}
    hints = _hints(execute, name)
    for parameter in inspect.signature(execute).parameters.values():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"The tool {name!r} has the parameter {parameter}; a tool takes named parameters only.")
        hint = hints.get(parameter.name, Any)
        if hint is ToolContext:
            context = parameter.name
            continue
        if parameter.name in parameters and typing.get_origin(hint) is not typing.Annotated:
            hint = typing.Annotated[hint, parameters[parameter.name]]
        has_default = parameter.default is not parameter.empty
        members[parameter.name] = member(hint, parameter.default) if has_default else member(hint)
    try:
        schema = object_schema(members)
    except TypeError as error:
        raise TypeError(f"The input of the tool {name!r} cannot be described: {error}") from None
    return Tool(name, description, schema, lambda value: read_object(members, value, "input"), execute, context)


def _hints(execute: Callable[..., Any], name: str) -> dict[str, Any]:
    function = execute if inspect.isroutine(execute) else getattr(execute, "__call__", execute)  # noqa: B004
    try:
        return typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except NameError as error:
        raise TypeError(
            f"The type hints of the tool {name!r} cannot be read: {error}. Its types must be known in its module."
        ) from None


def _only_parameter(execute: Callable[..., Any], name: str) -> str:
    parameters = list(inspect.signature(execute).parameters)
    if len(parameters) != 1:
        raise TypeError(f"The tool {name!r} has an input_schema that is one type, so its function takes one parameter.")
    return parameters[0]


def _read_loosely(schema: Mapping[str, Json], value: Json) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValue(f"input must be an object, not {value!r}")
    entries = cast("dict[str, Any]", value)
    missing = [str(name) for name in schema.get("required", ()) if name not in entries]
    if missing:
        raise InvalidValue("; ".join(f"input.{name} is missing" for name in missing))
    return dict(entries)


_ARGS_SECTION = re.compile(r"^(?:Args|Arguments|Parameters):\s*$", re.MULTILINE)
_NEXT_SECTION = re.compile(r"^\S", re.MULTILINE)
_GOOGLE_PARAMETER = re.compile(r"^ {1,8}(\w+)(?: \([^)]*\))?: *(.*(?:\n {6,}.*)*)", re.MULTILINE)
_SPHINX_PARAMETER = re.compile(r"^:param (?:[^:\n]* )?(\w+): *(.*)", re.MULTILINE)


def _read_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    if not text:
        return "", {}
    parameters = {name: about.strip() for name, about in _SPHINX_PARAMETER.findall(text)}
    section = _ARGS_SECTION.search(text)
    about = text
    if section is not None:
        about = text[: section.start()]
        rest = text[section.end() + 1 :]
        end = _NEXT_SECTION.search(rest)
        for name, description in _GOOGLE_PARAMETER.findall(rest[: end.start()] if end else rest):
            parameters[name] = " ".join(description.split())
    about = re.split(r"^(?::\w+|Returns:|Raises:|Yields:|Examples?:)", about, maxsplit=1, flags=re.MULTILINE)[0]
    return about.strip(), parameters
