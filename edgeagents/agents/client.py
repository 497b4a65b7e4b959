"""AgentClient: the other end of an agent's connection, for Python programs.

It speaks the protocol of the npm package's ``AgentClient``: identity, synced state, calls and streams over one
WebSocket that comes back by itself. Plain HTTP needs no client of ours: ``client.http_url`` works with any.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import quote, urlencode

from edgeagents.agents import protocol
from edgeagents.agents.kebab import kebab_case
from edgeagents.errors import (
    AgentConnectionError,
    CallFailed,
    CallTimedOut,
    HandshakeRefused,
    WebSocketClosed,
    WebSocketError,
)
from edgeagents.objects.clock import Clock, SystemClock, TimerHandle
from edgeagents.objects.ids import uuid4

__all__ = ["AgentClient", "ClientSocket", "OpenSocket", "Reconnect"]

logger = logging.getLogger("edgeagents.client")

_SCHEMES = {"http": False, "ws": False, "https": True, "wss": True}
_LOCAL_HOSTS = ("localhost:", "127.0.0.1:", "192.168.", "10.", "[::ffff:7f00:1]:")
# What a URL's path may hold as it is, and the percent sign: a name that is encoded already stays what it is.
_SAFE_IN_PATH = "%!$&'()*+,;=:@-._~"
# Of the answers that blame the client, those that another attempt may change.
_PASSING = frozenset({408, 425, 429})
_TOLD_OF_A_BODY = 200
_END = object()


class ClientSocket(Protocol):
    """An open WebSocket. Any method raises ``WebSocketClosed`` when it is closed."""

    async def send(self, message: str | bytes) -> None:
        """Send a text or binary frame."""
        ...

    async def receive(self) -> str | bytes:
        """Return the next frame."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close it."""
        ...


OpenSocket = Callable[[str], Awaitable[ClientSocket]]
"""Connects to a ``ws://`` or ``wss://`` URL.

Raises OSError, TimeoutError or ``WebSocketError`` when that fails; ``HandshakeRefused`` when the server said no.
"""

Query = Mapping[str, str | None]


class Reconnect(NamedTuple):
    """How to come back after a lost connection. Seconds."""

    min_delay: float = 3.0
    max_delay: float = 10.0
    factor: float = 1.3
    jitter: float = 0.25
    """The part of a delay that is left to chance, so that clients do not all come back at once."""
    min_uptime: float = 5.0
    """A connection that lasted this long makes the next delay the first one again."""
    max_retries: int | None = None

    def delay(self, retry: int, rng: random.Random) -> float:
        """Return how long to wait before the ``retry``-th attempt after a connection was lost."""
        longest = min(self.max_delay, self.min_delay * self.factor ** (retry - 1))
        return longest * (1 - self.jitter * rng.random())


@dataclass(slots=True, eq=False)
class _Pending:
    method: str
    answer: asyncio.Future[Any]
    on_chunk: Callable[[Any], object] | None
    timer: TimerHandle | None = None
    is_transmitted: bool = False


class AgentClient:
    """A connection to one agent.

    ``async with AgentClient("Counter", "room-1", host="localhost:8000") as client`` connects, and comes back whenever
    the connection is lost; what is sent meanwhile waits. A server that cannot be reached is told once to the log
    ``edgeagents.client``. What is not going to change is final, and ``connection_error`` says why: a close with 1008 or
    4000 to 4999, and an answer of 400 to 499 to the handshake (but 408, 425 and 429), as when there is no such agent.
    Callbacks are plain functions, called on the event loop.
    """

    def __init__(
        self,
        agent: str,
        name: str = "default",
        *,
        host: str,
        prefix: str = "agents",
        base_path: str | None = None,
        path: str | None = None,
        query: Query | Callable[[], Query | Awaitable[Query]] | None = None,
        id: str | None = None,
        protocols: Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
        on_state_update: Callable[[Any, Literal["server", "client"]], object] | None = None,
        on_state_update_error: Callable[[str], object] | None = None,
        on_identity: Callable[[str, str], object] | None = None,
        on_identity_change: Callable[[str, str, str, str], object] | None = None,
        on_message: Callable[[str | bytes], object] | None = None,
        on_mcp_update: Callable[[Any], object] | None = None,
        on_connection_error: Callable[[AgentConnectionError], object] | None = None,
        call_timeout: float = 30.0,
        connect_timeout: float = 4.0,
        reconnect: Reconnect | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        open_socket: OpenSocket | None = None,
    ) -> None:
        """``base_path`` replaces ``prefix``, ``agent`` and ``name`` in the URL. ``id`` is the connection's id there.

        A ``query`` that is a function is called for each attempt to connect. ``call_timeout`` is in seconds, for calls
        and for ``ready()``; 0 means that they wait for ever. ``connect_timeout`` is that of one attempt to connect.
        """
        self.agent = kebab_case(agent)
        self.name = name
        self.state: Any = None
        self.is_identified = False
        self.connection_error: AgentConnectionError | None = None
        self.stub = _Stub(self)
        self._clock: Clock = clock or SystemClock()
        self._rng = rng or random.SystemRandom()
        self.id = id or uuid4(self._rng)
        self._secure, self._host = _split_host(host)
        self._path = _path_of(self.agent, name, prefix, base_path, path)
        self._query = query
        self._reconnect = reconnect or Reconnect()
        self._call_timeout = call_timeout
        self._open_socket = open_socket or _Opener(tuple(protocols), dict(headers or {}), connect_timeout)
        self._on_state_update, self._on_state_update_error = on_state_update, on_state_update_error
        self._on_identity, self._on_identity_change = on_identity, on_identity_change
        self._on_message, self._on_mcp_update = on_message, on_mcp_update
        self._on_connection_error = on_connection_error
        self._socket: ClientSocket | None = None
        self._outbox: deque[tuple[str | bytes, _Pending | None]] = deque()
        self._pending: dict[str, _Pending] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self._failure: Exception | None = None
        self._previous: tuple[str, str] | None = None
        self._state_seen = False
        self._waiting_identity: tuple[str, str] | None = None

    # Life

    async def __aenter__(self) -> AgentClient:
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"AgentClient {self.agent}/{self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection for good. Calls that wait for an answer fail at once."""
        self._is_closed = True
        self._reject_all(AgentConnectionError(code=code, reason=reason, was_clean=True), only_transmitted=False)
        self._changed.set()
        if self._socket is not None:
            try:
                await self._socket.close(code, reason)
            except WebSocketError:
                pass  # It was closed already.
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self._socket is not None

    async def ready(self, *, timeout: float | None = None) -> None:
        """Return when the agent has told its identity, and its state if it has one. Again after each reconnect.

        Raises ``AgentConnectionError`` when the connection is closed for good, and when that took longer than
        ``timeout`` seconds, by default those of ``call_timeout``, 0 for no limit: the message says what was in the way.
        The client goes on trying. An agent that does not send its identity is never ready.
        """
        seconds = self._call_timeout if timeout is None else timeout
        is_late = False

        def late() -> None:
            nonlocal is_late
            is_late = True
            self._changed.set()

        timer = self._clock.call_later(seconds, late) if seconds else None
        try:
            while not self.is_identified:
                if self.connection_error is not None:
                    raise self.connection_error
                if self._is_closed:
                    raise AgentConnectionError(code=1000, was_clean=True)
                if is_late:
                    why = _words(self._failure) if self._failure else "it has not told its identity"
                    raise AgentConnectionError(
                        f"{self._title} is not ready after {seconds:g} s: {why}"
                    ) from self._failure
                self._changed.clear()
                await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    # What a program says

    async def send(self, message: str | bytes) -> None:
        """Send a message to the agent's ``on_message``, or keep it until there is a connection."""
        await self._transmit(message, None)

    async def set_state(self, state: Any) -> None:
        """Replace the agent's state. It is ours at once; ``on_state_update_error`` tells if the agent refused it."""
        await self._transmit(protocol.state_frame(protocol.encode(state)), None)
        self.state = state
        _tell(self._on_state_update, state, "client")

    async def call(
        self,
        method: str,
        args: Iterable[Any] = (),
        *,
        timeout: float | None = None,
        on_chunk: Callable[[Any], object] | None = None,
    ) -> Any:
        """Call a method of the agent that is marked with ``@callable`` and return its result.

        ``timeout`` is in seconds; 0 means none, which is also what calls with ``on_chunk`` get by default. ``on_chunk``
        is called with each part of a streamed answer. Raises ``CallFailed`` with the agent's words, ``CallTimedOut``,
        or ``AgentConnectionError`` when the connection was lost after the call was sent: it may have been carried out.
        """
        if self._is_closed or self.connection_error is not None:
            raise self.connection_error or AgentConnectionError()
        call_id = uuid4(self._rng)
        pending = _Pending(method, asyncio.get_running_loop().create_future(), on_chunk)
        frame = protocol.encode({"type": protocol.RPC, "id": call_id, "method": method, "args": list(args)})
        if timeout is None:
            timeout = self._call_timeout if on_chunk is None else 0
        if timeout:
            expired = CallTimedOut(method, round(timeout * 1000))
            pending.timer = self._clock.call_later(timeout, lambda: self._expire(pending, expired))
        self._pending[call_id] = pending
        try:
            await self._transmit(frame, pending)
            return await pending.answer
        finally:
            self._pending.pop(call_id, None)
            if pending.timer is not None:
                pending.timer.cancel()

    async def stream(self, method: str, args: Iterable[Any] = ()) -> AsyncIterator[Any]:
        """Call a method that streams, and yield the parts of its answer."""
        parts: asyncio.Queue[Any] = asyncio.Queue()
        call = asyncio.ensure_future(self.call(method, args, on_chunk=parts.put_nowait))

        def ended(done: asyncio.Future[Any]) -> None:
            parts.put_nowait(_END)
            if not done.cancelled():
                done.exception()  # Looked at, also when nobody takes the parts any more.

        call.add_done_callback(ended)
        try:
            while (part := await parts.get()) is not _END:
                yield part
            call.result()
        finally:
            call.cancel()

    # URLs

    @property
    def http_url(self) -> str:
        """The URL for plain HTTP requests to the agent's ``on_request``, without a query."""
        return f"{'https' if self._secure else 'http'}://{self._host}{self._path}"

    async def _web_socket_url(self) -> str:
        query = self._query() if callable(self._query) else self._query
        if inspect.isawaitable(query):
            query = await query
        parameters = {"_pk": self.id, **{key: value for key, value in (query or {}).items() if value is not None}}
        return f"{'wss' if self._secure else 'ws'}://{self._host}{self._path}?{urlencode(parameters)}"

    # The connection

    @property
    def _title(self) -> str:
        return f"{self.agent}/{self.name} at {self._host}"

    async def _run(self) -> None:
        retry = 0
        while True:
            if retry:
                await self._clock.sleep(self._reconnect.delay(retry, self._rng))
            closed = WebSocketClosed(1006, was_clean=False)
            failure: Exception | None = None
            opened_at: float | None = None
            try:
                socket = await self._open_socket(await self._web_socket_url())
                opened_at = self._clock.monotonic()
                await self._opened(socket)
                while True:
                    self._received(await socket.receive())
            except WebSocketClosed as error:
                closed = error
            except (OSError, WebSocketError) as error:
                failure = error
                self._log_failure(error)
            except Exception as error:
                failure = error
                logger.exception("%s cannot be connected to", self.http_url)
            self._socket = None
            self._failure = failure
            if opened_at is not None and self._clock.monotonic() - opened_at >= self._reconnect.min_uptime:
                retry = 0
            retry += 1
            if self._lost(closed, failure, retry):
                return

    def _log_failure(self, error: Exception) -> None:
        # Once for as long as it lasts: attempts follow each other every few seconds.
        level = logging.DEBUG if self._failure is not None else logging.WARNING
        logger.log(level, "%s cannot be reached: %s", self.http_url, _words(error))

    async def _opened(self, socket: ClientSocket) -> None:
        if self._failure is not None:
            self._failure = None
            logger.info("%s is reached now.", self.http_url)
        while self._outbox:
            message, pending = self._outbox[0]
            if pending is not None:
                if pending.answer.done():
                    self._outbox.popleft()
                    continue
                pending.is_transmitted = True
            await socket.send(message)
            self._outbox.popleft()
        self._socket = socket

    def _lost(self, closed: WebSocketClosed, failure: Exception | None, retry: int) -> bool:
        """Note that there is no connection now, or that none came about; return whether that is final."""
        self.is_identified = self._state_seen = False
        self._waiting_identity = None
        spent = self._reconnect.max_retries is not None and retry > self._reconnect.max_retries
        is_refused = isinstance(failure, HandshakeRefused) and _is_final(failure.status)
        is_final = closed.code == 1008 or 4000 <= closed.code <= 4999 or spent or is_refused
        message = f"{self._title} cannot be reached: {_words(failure)}" if failure else "Connection closed"
        error = AgentConnectionError(message, code=closed.code, reason=closed.reason, was_clean=closed.was_clean)
        error.__cause__ = failure
        self._reject_all(error, only_transmitted=not is_final)
        if is_final:
            self.connection_error = error
            self._changed.set()
            _tell(self._on_connection_error, error)
        return is_final

    async def _transmit(self, message: str | bytes, pending: _Pending | None) -> None:
        if self._socket is None:
            self._outbox.append((message, pending))
            return
        if pending is not None:
            pending.is_transmitted = True
        try:
            await self._socket.send(message)
        except WebSocketClosed:
            pass  # The end of the connection is told where frames are received.

    def _expire(self, pending: _Pending, expired: CallTimedOut) -> None:
        if not pending.is_transmitted:
            expired.__cause__ = self._failure
        _reject(pending, expired)

    def _reject_all(self, error: AgentConnectionError, *, only_transmitted: bool) -> None:
        for pending in list(self._pending.values()):
            if pending.is_transmitted or not only_transmitted:
                _reject(pending, error)

    # What the agent says

    def _received(self, message: str | bytes) -> None:
        frame = protocol.decode(message) if isinstance(message, str) else None
        match frame:
            case {"type": protocol.IDENTITY, "name": str(name), "agent": str(agent)}:
                # The state comes with the next frame, and who waits for ready() wants it.
                if frame.get("stateFollows") is True and not self._state_seen:
                    self._waiting_identity = name, agent
                else:
                    self._identify(name, agent)
            case {"type": protocol.STATE, "state": state}:
                self.state = state
                self._state_seen = True
                _tell(self._on_state_update, state, "server")
                if self._waiting_identity is not None:
                    identity, self._waiting_identity = self._waiting_identity, None
                    self._identify(*identity)
            case {"type": protocol.STATE_ERROR, "error": error}:
                _tell(self._on_state_update_error, error)
            case {"type": protocol.MCP_SERVERS, "mcp": mcp}:
                _tell(self._on_mcp_update, mcp)
            case {"type": protocol.RPC, "id": str(call_id), "success": bool(success)}:
                self._answered(call_id, success, frame)
            case _:
                _tell(self._on_message, message)

    def _answered(self, call_id: str, success: bool, frame: Mapping[str, Any]) -> None:
        pending = self._pending.get(call_id)
        if pending is None:
            logger.debug("An answer came to the call %s, for which nobody waits any more.", call_id)
        elif not success:
            _reject(pending, CallFailed(str(frame.get("error"))))
        elif frame.get("done", True):
            if not pending.answer.done():
                pending.answer.set_result(frame.get("result"))
        else:
            _tell(pending.on_chunk, frame.get("result"))

    def _identify(self, name: str, agent: str) -> None:
        previous, self._previous = self._previous, (name, agent)
        self.name, self.agent = name, agent
        self.is_identified = True
        self._changed.set()
        if previous is not None and previous != (name, agent):
            if self._on_identity_change is not None:
                _tell(self._on_identity_change, previous[0], name, previous[1], agent)
            else:
                logger.warning("After a reconnect %s/%s is %s/%s.", previous[1], previous[0], agent, name)
        _tell(self._on_identity, name, agent)


class _Stub:
    """Calls as methods: ``await client.stub.add(2)``."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args: self._client.call(method, args)


def _tell(callback: Callable[..., object] | None, *args: object) -> None:
    if callback is not None:
        try:
            callback(*args)
        except Exception:
            # The program's own fault, which must not cost it the connection.
            logger.exception("A callback of an AgentClient failed")


def _reject(pending: _Pending, error: Exception) -> None:
    if not pending.answer.done():
        pending.answer.set_exception(error)


def _is_final(status: int) -> bool:
    return 400 <= status <= 499 and status not in _PASSING


def _words(error: Exception) -> str:
    # A timeout has no words of its own.
    return str(error) or type(error).__name__


def _split_host(host: str) -> tuple[bool, str]:
    """Return whether to use TLS, and the host alone. A scheme decides; without one, hosts of a local net have none."""
    scheme, separator, rest = host.partition("://")
    if separator and scheme in _SCHEMES:
        return _SCHEMES[scheme], rest.removesuffix("/")
    host = host.removesuffix("/")
    is_local = host.startswith(_LOCAL_HOSTS) or any(host.startswith(f"172.{part}.") for part in range(16, 32))
    return not is_local, host


def _path_of(agent: str, name: str, prefix: str, base_path: str | None, path: str | None) -> str:
    base = base_path.strip("/") if base_path else f"{prefix.strip('/')}/{agent}/{quote(name, safe=_SAFE_IN_PATH)}"
    return f"/{base}/{path.lstrip('/')}" if path else f"/{base}"


class _Opener:
    """Opens sockets with the ``websockets`` library."""

    def __init__(self, protocols: tuple[str, ...], headers: Mapping[str, str], timeout: float) -> None:
        self._protocols, self._headers, self._timeout = protocols, headers, timeout

    async def __call__(self, url: str) -> ClientSocket:
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus, WebSocketException
        from websockets.typing import Subprotocol

        try:
            socket = await connect(
                url,
                additional_headers=self._headers,
                subprotocols=[Subprotocol(name) for name in self._protocols] or None,
                open_timeout=self._timeout,
                compression=None,
                max_size=None,
            )
        except InvalidStatus as error:
            text = bytes(error.response.body or b"")[:_TOLD_OF_A_BODY].decode("utf-8", "replace").strip()
            raise HandshakeRefused(error.response.status_code, text) from error
        except WebSocketException as error:
            raise WebSocketError(str(error)) from error
        return _WebsocketsSocket(socket)


class _WebsocketsSocket:
    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def send(self, message: str | bytes) -> None:
        await self._guarded(self._socket.send(message))

    async def receive(self) -> str | bytes:
        return await self._guarded(self._socket.recv())

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code, reason)

    async def _guarded(self, doing: Awaitable[Any]) -> Any:
        from websockets.exceptions import ConnectionClosed

        try:
            return await doing
        except ConnectionClosed as error:
            got = error.rcvd
            if got is None:
                raise WebSocketClosed(1006, was_clean=False) from error
            raise WebSocketClosed(got.code, got.reason) from error
