"""Callables: the methods that clients may call over their connections.

Only what is marked with ``@edgeagents.callable()`` can be reached. A call is answered with one frame, or with a frame
for each part when the method streams. Calls are not put in line: a slow one does not hold up those behind it.
"""

from __future__ import annotations

import asyncio
import builtins
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from edgeagents.agents import protocol
from edgeagents.agents.capability import Capability, CapabilityHost
from edgeagents.agents.kebab import snake_case
from edgeagents.agents.told_errors import told
from edgeagents.errors import WebSocketError
from edgeagents.http.closing import close
from edgeagents.objects.records import record
from edgeagents.own_errors import as_raised

if TYPE_CHECKING:
    from edgeagents.agents.connections import Connection

__all__ = ["CallableMetadata", "Callables", "StreamingResponse", "callable", "find_callables"]

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_MARK = "__edgeagents_callable__"
_NOT_GIVEN: Any = object()
_END = object()


@record("callable")
@dataclass(frozen=True, slots=True)
class CallableMetadata:
    """What ``@callable`` was told about a method."""

    description: str | None = None
    streaming: bool = False


@overload
def callable(description: FunctionT, /) -> FunctionT: ...
@overload
def callable(description: str = ..., *, streaming: bool = False) -> Callable[[FunctionT], FunctionT]: ...
def callable(description: Any = _NOT_GIVEN, *, streaming: bool = False) -> Any:
    """Let clients call this method over their connection.

    The arguments and the result are JSON. An async generator streams what it yields. With ``streaming=True`` any other
    method gets a ``StreamingResponse`` as its first argument, before those of the caller, and ends it when it is done.
    A client that asks for ``addNumbers`` gets ``add_numbers``, unless there is a method of exactly that name.
    """
    if inspect.isfunction(description):
        return callable()(description)
    if description is not _NOT_GIVEN and not isinstance(description, str):
        raise TypeError(
            f"@callable marks a method, or takes its description; it was given {description!r:.100}. Whether something "
            "can be called is what Python's own callable() says, which this one hides where it is imported by its "
            "name: write @edgeagents.callable() or builtins.callable(...)."
        )

    def mark(function: Any) -> Any:
        if not (builtins.callable(function) or isinstance(function, classmethod)):
            raise TypeError(f"@callable() marks a method, not {function!r:.100}.")
        said = None if description is _NOT_GIVEN else description
        setattr(function, _MARK, CallableMetadata(said, streaming))
        return function

    return mark


def find_callables(cls: type) -> dict[str, CallableMetadata]:
    """Return the callables of a class by name. A method that overrides one is callable only if it is marked too."""
    found: dict[str, CallableMetadata] = {}
    for name in dir(cls):
        if not name.startswith("_"):
            metadata = getattr(inspect.getattr_static(cls, name), _MARK, None)
            if isinstance(metadata, CallableMetadata):
                found[name] = metadata
    return found


class StreamingResponse:
    """The answer to one call, part by part. May be used from any thread."""

    def __init__(self, connection: Connection[Any], call_id: str, logger: logging.Logger) -> None:
        self._connection, self._call_id, self._logger = connection, call_id, logger
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """Whether the answer is complete, by ``end`` or by ``error``."""
        return self._is_closed

    def send(self, chunk: Any) -> bool:
        """Send one part. False when it did not go out: the answer is complete, or the client gone."""
        if self._is_closed:
            self._logger.warning("StreamingResponse.send() was called after the end: nothing was sent.")
            return False
        return self._send(protocol.result_frame(self._call_id, chunk, done=False))

    def end(self, final: Any = None) -> bool:
        """Complete the answer, with ``final`` as its result. False when it was complete already."""
        if self._is_closed:
            return False
        frame = protocol.result_frame(self._call_id, final)
        self._is_closed = True
        return self._send(frame)

    def error(self, message: str) -> bool:
        """Complete the answer with an error. False when it was complete already."""
        if self._is_closed:
            return False
        self._is_closed = True
        return self._send(protocol.error_frame(self._call_id, message))

    def _send(self, frame: str) -> bool:
        if not self._connection.is_open:
            return False
        try:
            self._connection.send(frame)
        except WebSocketError:
            return False
        return True


class Callables(Capability):
    """Answers calls. ``find`` gets a method by its name, ``has`` says whether there is one, callable or not."""

    def __init__(
        self,
        host: CapabilityHost,
        *,
        metadata: Mapping[str, CallableMetadata],
        find: Callable[[str], Callable[..., Any]],
        has: Callable[[str], bool],
    ) -> None:
        super().__init__(host)
        self._metadata, self._find, self._has = metadata, find, has
        self._ctx = host.ctx
        self._logger: logging.Logger = host.ctx.logger

    async def frame(self, connection: Connection[Any], frame: Mapping[str, Any]) -> bool:
        """Take a client's call and answer it."""
        call = protocol.read_call(frame)
        if call is None:
            return False
        answer = StreamingResponse(connection, call.id, self._logger)
        name = self._resolve(call.method)
        if name is None:
            known = any(self._has(spelling) for spelling in _spellings(call.method))
            answer.error(f"Method {call.method} {'is not callable' if known else 'does not exist'}")
            return True
        is_streaming = self._metadata[name].streaming
        self.host.emit("rpc", method=name, **({"streaming": True} if is_streaming else {}))
        try:
            await self._answer(name, call.args, answer)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._logger.error("%s: the callable %s failed", self.host.title, name, exc_info=as_raised(error))
            self.host.emit("rpc:error", method=name, error=told(error))
            answer.error(told(error))
        except BaseException:
            # Such as SystemExit: no error in the sense of the method, and no message for a client.
            answer.error("Unknown error occurred")
            raise
        return True

    def _resolve(self, asked: str) -> str | None:
        if asked in self._metadata:
            return asked
        if self._has(asked):
            return None
        name = snake_case(asked)
        return name if name in self._metadata else None

    async def _answer(self, name: str, args: list[Any], answer: StreamingResponse) -> None:
        method = self._find(name)
        if self._metadata[name].streaming and not (
            inspect.isasyncgenfunction(method) or inspect.isgeneratorfunction(method)
        ):
            await self._ctx.invoke(method, answer, *args)
            return
        result = await self._ctx.invoke(method, *args)
        if isinstance(result, AsyncIterator):
            await self._stream(result, answer)
        elif inspect.isgenerator(result):
            await self._stream(self._items(result), answer)
        else:
            answer.end(result)

    async def _stream(self, items: AsyncIterator[Any], answer: StreamingResponse) -> None:
        try:
            async for item in items:
                if not answer.send(item):
                    # Nobody listens any more, and a generator may go on for ever.
                    return
        finally:
            await close(items)
        answer.end()

    async def _items(self, generator: Iterator[Any]) -> AsyncIterator[Any]:
        while (item := await self._ctx.invoke(next, generator, _END)) is not _END:
            yield item


def _spellings(asked: str) -> set[str]:
    return {name for name in (asked, snake_case(asked)) if not name.startswith("_")}
