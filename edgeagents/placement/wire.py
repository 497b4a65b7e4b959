"""What crosses between two processes: events to an object, and what comes back, as CBOR.

Data only, by the rules of a stub call: values are copies, errors keep their kind, and a body or a WebSocket is not in
here but follows in frames of its own (``link``).
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any, Final

import cbor2

from edgeagents import errors
from edgeagents.errors import DataCloneError, EdgeAgentsError, ObjectReset, RemoteError
from edgeagents.http import AbortSignal, BodySource, Identity, Request, Response
from edgeagents.objects import Address, AlarmEvent, CallEvent, Event, FetchEvent, ObjectId, StartEvent
from edgeagents.objects.rpc import rebuilt, remote_error
from edgeagents.objects.values import decode, encode

__all__ = [
    "pack_error",
    "pack_event",
    "pack_request",
    "pack_response",
    "unpack_address",
    "unpack_error",
    "unpack_event",
    "unpack_request",
    "unpack_response",
]

_WHOLE: Final = 128 * 1024 * 1024
"""The most bytes of a request or response that is an argument of a call."""

# Marks of what stands in a call's arguments in place of a value.
_VALUE, _REQUEST, _RESPONSE = range(3)


async def pack_event(address: Address, event: Event, props: Mapping[str, Any] | None) -> list[Any]:
    """Return an event to the object at ``address``. The body of a request that is fetched follows on its own."""
    kind: str
    match event:
        case FetchEvent(request):
            kind, content = "fetch", pack_request(request)
        case CallEvent(method, args, kwargs):
            kind = "call"
            content = [
                method,
                [await _pack_argument(value) for value in args],
                {name: await _pack_argument(value) for name, value in kwargs.items()},
            ]
        case AlarmEvent(facets):
            kind, content = "alarm", [encode(list(facets))]
        case StartEvent():
            kind, content = "start", []
        case _:
            raise TypeError(f"A {type(event).__name__} stays with the process that has the socket.")
    name = None if address.id.name is None else encode(address.id.name)
    given = None if props is None else encode(dict(props))
    return [encode(address.namespace), address.id.digits, name, kind, content, given]


def unpack_address(packed: list[Any]) -> Address:
    """Return where an event goes."""
    namespace, digits, name = packed[:3]
    return Address(decode(namespace), ObjectId(digits, None if name is None else decode(name)))


def unpack_event(packed: list[Any], body: BodySource, signal: AbortSignal) -> tuple[Event, Mapping[str, Any] | None]:
    """Return the event and its props. A fetched request reads ``body`` and is aborted by ``signal``."""
    kind, content, props = packed[3:6]
    event: Event
    match kind:
        case "fetch":
            event = FetchEvent(unpack_request(content, body, signal))
        case "call":
            method, args, kwargs = content
            event = CallEvent(
                method,
                tuple(_unpack_argument(*packed) for packed in args),
                {name: _unpack_argument(*packed) for name, packed in kwargs.items()},
            )
        case "alarm":
            event = AlarmEvent(tuple(decode(content[0])))
        case _:
            event = StartEvent()
    return event, None if props is None else decode(props)


# Requests and responses


def pack_request(request: Request) -> list[Any]:
    """Return a request without its body."""
    headers = list(request.headers)
    if request.is_websocket_upgrade and request.subprotocols and "sec-websocket-protocol" not in request.headers:
        headers.append(("sec-websocket-protocol", ", ".join(request.subprotocols)))
    identity = request.identity
    return [
        encode(request.url), request.method, encode(headers), request.client, request.root_path,
        (request.buffer_limit, request.json_depth), None if identity is None else encode(identity.to_data()),
    ]  # fmt: skip


def unpack_request(packed: list[Any], body: BodySource, signal: AbortSignal | None = None) -> Request:
    """Return the request with a body."""
    url, method, headers, client, root_path, limits, identity = packed
    request = Request(
        decode(url),
        method=method,
        headers=decode(headers),
        body=body,
        client=None if client is None else (client[0], client[1]),
        root_path=root_path,
        signal=signal,
    )
    request.buffer_limit, request.json_depth = limits
    if identity is not None:
        request.identity = Identity.from_data(decode(identity))
    return request


def pack_response(response: Response) -> list[Any]:
    """Return a response. A body that is there already is in it, a streamed one follows."""
    body = None if response.is_streaming else response.body or b""
    return [response.status, encode(list(response.headers)), body, response.websocket is not None]


def unpack_response(packed: list[Any], body: BodySource) -> Response:
    """Return the response; ``body`` is the streamed one, if it is."""
    status, headers, whole, _ = packed
    return Response(body if whole is None else whole, status=status, headers=decode(headers))


async def _pack_argument(value: Any) -> list[Any]:
    if isinstance(value, Request):
        return [_REQUEST, pack_request(value), await value.bytes(limit=_WHOLE)]
    if isinstance(value, Response):
        if value.websocket is not None:
            raise DataCloneError("A response with a WebSocket cannot be an argument of a call.")
        body = await value.bytes()
        return [_RESPONSE, [value.status, encode(list(value.headers)), body, False]]
    return [_VALUE, encode(value)]


def _unpack_argument(mark: int, packed: Any, *body: bytes) -> Any:
    if mark == _REQUEST:
        return unpack_request(packed, body[0])
    if mark == _RESPONSE:
        return unpack_response(packed, None)
    return decode(packed)


# Errors


def pack_error(error: BaseException) -> list[Any]:
    """Return an error that leaves an object."""
    if isinstance(error, RemoteError):
        kinds = [kind.__name__ for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind]
        # All of them, since the other process may be of a Python that has not the first.
        return ["RemoteError", kinds[0], str(error), error.type_name, kinds[1:]]
    known = next((kind for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind), None)
    if known is None:
        return ["ObjectReset", "", str(error), ""]
    try:
        return [known.__name__, "", str(error), "", encode([list(error.args), vars(error)])]
    except DataCloneError:
        return [known.__name__, "", str(error), "", encode([[str(error)], {}])]


def unpack_error(packed: list[Any]) -> BaseException:
    """Return the error for the caller."""
    name, kind, text, type_name, *more = packed
    if name == "RemoteError":
        kinds = [kind, *(more[0] if more else ())]
        return remote_error(next(filter(None, map(_builtin_error, kinds)), Exception), text, type_name)
    cls = getattr(errors, name, None)
    if not (isinstance(cls, type) and issubclass(cls, EdgeAgentsError)) or not more:
        return ObjectReset(text)
    args, attributes = decode(more[0])
    return rebuilt(cls, tuple(args), attributes)


def _builtin_error(name: str) -> type[Exception] | None:
    kind = getattr(builtins, name, None)
    return kind if isinstance(kind, type) and issubclass(kind, Exception) else None


def dump(frame: list[Any]) -> bytes:
    """Return a frame as it is sent."""
    return cbor2.dumps(frame)


def load(data: bytes | bytearray) -> list[Any]:
    """Return a frame that was read."""
    return cbor2.loads(data)
