"""The frames that agents and their clients exchange: text frames that hold one JSON object each.

Pure functions from values to text and back. Nothing here sends, waits or knows a connection. What the frames mean
and when they are sent stands in ``lifecycle``, ``state`` and ``callables``. The wire is that of the npm package
``agents`` 0.32.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from edgeagents.errors import JsonTooDeep
from edgeagents.http.json_values import explained, is_too_deep, to_jsonable

__all__ = [
    "EMPTY_MCP_FRAME",
    "IDENTITY",
    "MCP_SERVERS",
    "RPC",
    "STATE",
    "STATE_ERROR",
    "Call",
    "StateChange",
    "decode",
    "encode",
    "encode_plain",
    "error_frame",
    "identity_frame",
    "mcp_frame",
    "read_call",
    "read_state_change",
    "result_frame",
    "state_error_frame",
    "state_frame",
]

IDENTITY = "cf_agent_identity"
STATE = "cf_agent_state"
STATE_ERROR = "cf_agent_state_error"
MCP_SERVERS = "cf_agent_mcp_servers"
RPC = "rpc"


class StateChange(NamedTuple):
    """A client wants the agent to have this state."""

    state: Any


class Call(NamedTuple):
    """A client calls a method. The answer carries the same ``id``, which the client made."""

    id: str
    method: str
    args: list[Any]


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_lenient = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=to_jsonable)
_strict = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_NOTHING: Any = object()
_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=to_jsonable)
_decoder = json.JSONDecoder(parse_constant=_no_constant)


def encode(value: Any, *, about: Any = _NOTHING) -> str:
    """Return ``value`` as JSON text. Raises TypeError or ValueError for what JSON cannot carry.

    Dataclasses and Pydantic models become objects, times and UUIDs text: ``http.json_values`` has the rule. NaN and
    infinities are refused: browsers could not read the frame. ``about`` is the part of ``value`` that is somebody
    else's: errors say where in it the fault is.
    """
    try:
        text = _lenient.encode(value)
    except (TypeError, ValueError) as error:
        raise explained(value if about is _NOTHING else about, error) from error
    return text if text.isascii() else _carried(text, value)


def _carried(text: str, value: Any) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # Half a surrogate pair, which a client can send as an escape and which UTF-8 cannot carry: keep the escape.
        return _ascii.encode(value)
    return text


def encode_plain(value: Any) -> tuple[Any, str]:
    """Return ``value`` as it is when it is read back, and as JSON text.

    They are the same but for what JSON has no form of its own for: a datetime comes back as text.
    """
    try:
        text = _strict.encode(value)
    except TypeError:
        text = encode(value)
        return json.loads(text), text
    except ValueError as error:
        raise explained(value, error) from error
    return value, text if text.isascii() else _carried(text, value)


def decode(text: str, depth: int | None = None) -> dict[str, Any] | None:
    """Return the JSON object that ``text`` holds, or None when it holds anything else.

    Raises ``JsonTooDeep`` when it nests deeper than ``depth`` levels.
    """
    if not text.lstrip(" \t\r\n").startswith("{"):
        return None
    try:
        frame = _decoder.decode(text)
    except ValueError:
        return None
    except RecursionError:
        if depth is not None:
            raise JsonTooDeep(depth) from None
        return None
    if depth is not None and is_too_deep(text, frame, depth):
        raise JsonTooDeep(depth)
    return frame if isinstance(frame, dict) else None


def read_state_change(frame: Mapping[str, Any]) -> StateChange | None:
    """Return the change that ``frame`` asks for, or None when it is no such frame. Any state is legal, also null."""
    if frame.get("type") == STATE and "state" in frame:
        return StateChange(frame["state"])
    return None


def read_call(frame: Mapping[str, Any]) -> Call | None:
    """Return the call that ``frame`` makes, or None when it is no complete call."""
    if frame.get("type") != RPC:
        return None
    id, method, args = frame.get("id"), frame.get("method"), frame.get("args")
    if isinstance(id, str) and isinstance(method, str) and isinstance(args, list):
        return Call(id, method, args)
    return None


def identity_frame(name: str, agent: str, *, state_follows: bool) -> str:
    """Return the frame that tells a client whom it reached. ``agent`` is the class name in kebab case.

    With ``state_follows`` the client is not ready before a state frame came.
    """
    frame: dict[str, Any] = {"type": IDENTITY, "name": name, "agent": agent}
    if state_follows:
        frame["stateFollows"] = True
    return encode(frame)


def state_frame(state_text: str) -> str:
    """Return the frame that carries a whole state, which is given as JSON text."""
    return f'{{"type":"{STATE}","state":{state_text}}}'


def state_error_frame(error: str) -> str:
    """Return the frame that refuses a client's change of state."""
    return encode({"type": STATE_ERROR, "error": error})


def mcp_frame(mcp: Mapping[str, Any]) -> str:
    """Return the frame that tells of MCP servers: ``servers``, ``tools``, ``prompts`` and ``resources``."""
    return encode({"type": MCP_SERVERS, "mcp": mcp})


EMPTY_MCP_FRAME = mcp_frame({"servers": {}, "tools": [], "prompts": [], "resources": []})


def result_frame(call_id: str, result: Any, *, done: bool = True) -> str:
    """Return the answer to a call, or with ``done=False`` one part of a streamed answer."""
    return encode({"type": RPC, "id": call_id, "success": True, "result": result, "done": done}, about=result)


def error_frame(call_id: str, error: str) -> str:
    """Return the answer to a call that failed: a message, never a traceback."""
    return encode({"type": RPC, "id": call_id, "success": False, "error": error})
