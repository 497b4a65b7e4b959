"""Everything edgeagents raises on purpose.

* EdgeAgentsError
  + ConfigError              the project's configuration: fix the file or the argument
    - UnknownBinding
  + PluginError              an installed plugin: fix it or remove it
  + ObjectError              raised to the caller of a stub; has .retryable, .overloaded and .remote
    - RemoteError            the object's own code raised; also an instance of the builtin type that was raised
    - ObjectReset            the object was reset: its memory is gone, a new call starts it afresh
      * StorageReset         what it wrote could not be kept (also a StorageUnavailable)
      * OwnershipLost        another process owns the object now; what was not committed is gone
    - ObjectOverloaded       too many events wait for the object
  + StorageError             the object's storage refused or failed
    - StorageUnavailable     the disk refuses or fails, or too many files are open: it may go well later
    - StorageLimitError      a key or value that Cloudflare would refuse too
    - SqlError               a statement failed; has .query
      * SqlUnavailable       a statement failed because of the disk (also a StorageUnavailable)
      * SqlLimitError        a statement took too long, or gave too many rows; has .setting and .limit
  + DataCloneError           a value that cannot be stored or sent (also a TypeError)
  + WebSocketError           use of a socket that is not open
    - WebSocketClosed        the peer closed; has .code, .reason, .was_clean
    - HandshakeRefused       the server has not opened a WebSocket; has .status
  + HttpError                answers a request with a status and a text that the client may see
    - BadRequest             400
      * JsonTooDeep          JSON of a client nests too deeply; has .setting and .limit
    - BodyTooLarge           413; has .setting and .limit
    - HeadTooLarge           414 or 431; has .setting and .limit
    - BudgetExceeded         429; the agent has used up its budget, or was frozen
    - TooManySockets         429 or 503; has .setting and .limit
    - WorkerNotFound         503; a binding names a worker that does not run here
  + ClientDisconnected       the client of a request has gone (also a ConnectionError)
  + ModelError               a model provider failed; has .status, .retryable and .retry_after
    - NoObjectGeneratedError its answer is not the object that was asked for; has .text, .finish_reason and .usage
  + StreamError              a durable stream ended with an error, or is not there; has .stream_id
    - StreamClosedError      the stream is complete: nothing can be added to it
  + AgentError               an agent was used in a way that it does not allow: fix the code that does
    - ReadonlyConnection     the client behind this event may not change the agent's state
  + AgentClientError         what an AgentClient tells the program that uses it
    - CallFailed             the agent answered a call with an error
    - CallTimedOut           no answer came in time (also a TimeoutError)
    - AgentConnectionError   the connection is closed; has .code, .reason and .was_clean
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = [
    "AgentClientError",
    "AgentConnectionError",
    "AgentError",
    "BadRequest",
    "BodyTooLarge",
    "BudgetExceeded",
    "CallFailed",
    "CallTimedOut",
    "ClientDisconnected",
    "ConfigError",
    "DataCloneError",
    "EdgeAgentsError",
    "HandshakeRefused",
    "HeadTooLarge",
    "HttpError",
    "JsonTooDeep",
    "ModelError",
    "NoObjectGeneratedError",
    "ObjectError",
    "ObjectOverloaded",
    "ObjectReset",
    "OwnershipLost",
    "PluginError",
    "ReadonlyConnection",
    "RemoteError",
    "SqlError",
    "SqlLimitError",
    "SqlUnavailable",
    "StorageError",
    "StorageLimitError",
    "StorageReset",
    "StorageUnavailable",
    "StreamClosedError",
    "StreamError",
    "TooManySockets",
    "UnknownBinding",
    "WebSocketClosed",
    "WebSocketError",
    "WorkerNotFound",
]


_LONGEST_NOTE: Final = 1_000


class EdgeAgentsError(Exception):
    """The root of everything that edgeagents raises on purpose."""


class ConfigError(EdgeAgentsError):
    """The project's configuration cannot be used as it stands."""


class UnknownBinding(ConfigError):
    """The configuration asks for a kind of binding that no installed plugin provides."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name = kind, name
        super().__init__(
            f"No installed plugin provides {kind!r}, needed "
            f"{f'for the binding {name!r}' if name else 'by the worker'}. "
            f"Installed: {', '.join(sorted(known)) or 'none'}. "
            "The table in plugins/README.md says which plugin has what."
        )


class PluginError(EdgeAgentsError):
    """An installed plugin is broken, misspelt or there twice. The message names its distribution."""


class ObjectError(EdgeAgentsError):
    """A call to an object failed.

    ``retryable`` says that the same call may succeed if it is made again on a new stub, ``overloaded`` that
    it should not be made again at once, ``remote`` that the object's own code raised it.
    """

    retryable = False
    overloaded = False
    remote = False


class RemoteError(ObjectError):
    """The object's own code raised. ``type_name`` is the class of what it raised.

    When that was a builtin exception such as ``ValueError``, this is an instance of it too, so the caller may
    catch either. The traceback stays with the object, in its log.
    """

    remote = True

    def __init__(self, message: str, type_name: str = "Exception") -> None:
        self.type_name = type_name
        super().__init__(message)

    def __str__(self) -> str:
        # KeyError would show the repr of its argument.
        return str(self.args[0]) if self.args else ""


class ObjectReset(ObjectError):
    """The object was reset while the call ran: its memory and its unconfirmed writes are gone."""

    retryable = True


class OwnershipLost(ObjectReset):
    """Another process owns the object, or the one that did has ended. What was not committed is gone; try again."""

    def __init__(self, message: str = "Another process owns this object now. Try again.") -> None:
        super().__init__(message)


class ObjectOverloaded(ObjectError):
    """Too many events wait for this object already: ``limit``, which the field ``setting`` of ``Limits`` says."""

    overloaded = True
    setting = "events_per_object"

    def __init__(self, which: str, limit: int) -> None:
        self.limit = limit
        # The first two sentences are Cloudflare's.
        super().__init__(
            f"Durable Object is overloaded. Too many requests queued. {limit} events wait for {which}: "
            f"Limits({self.setting}={limit})."
        )


class StorageError(EdgeAgentsError):
    """The object's storage refused an operation, or failed."""


class StorageUnavailable(StorageError):
    """The disk is full, read-only or failing, or the process has too many files open.

    Nothing of what was to be written is kept. The same may go well later; a request is answered with 503.
    """


class StorageReset(ObjectReset, StorageUnavailable):
    """What the object wrote could not be kept, so it was reset: it begins with what was kept before."""


class StorageLimitError(StorageError, ValueError):
    """A key or value is larger than Cloudflare allows."""


class SqlError(StorageError):
    """A SQL statement failed. ``query`` is the statement, ``code`` is SQLite's, with which the message ends."""

    def __init__(self, message: str, query: str = "", code: str = "") -> None:
        self.query, self.code = query, code
        super().__init__(message)
        if query:
            # Whoever logs the error logs this with it.
            self.add_note(f"The statement: {query if len(query) <= _LONGEST_NOTE else query[:_LONGEST_NOTE] + '...'}")


class SqlUnavailable(SqlError, StorageUnavailable):
    """A SQL statement failed because the disk is full, read-only or failing."""


class SqlLimitError(SqlError):
    """A SQL statement needs more than the field ``setting`` of ``Limits``, which is ``limit``, allows."""

    def __init__(self, message: str, query: str, setting: str, limit: float) -> None:
        self.setting, self.limit = setting, limit
        super().__init__(f"{message} Limits({setting}={limit}) is what is allowed.", query)


class DataCloneError(EdgeAgentsError, TypeError):
    """A value cannot be stored, or sent to an object: only data can, not code or handles."""


class WebSocketError(EdgeAgentsError):
    """A WebSocket was used in a state that does not allow it."""


class WebSocketClosed(WebSocketError):
    """The peer closed the WebSocket."""

    def __init__(self, code: int, reason: str = "", was_clean: bool = True) -> None:
        self.code, self.reason, self.was_clean = code, reason, was_clean
        super().__init__(f"The WebSocket was closed with code {code}{f' ({reason})' if reason else ''}.")


class HandshakeRefused(WebSocketError):
    """The server answered the handshake of a WebSocket with this status, and ``text``, and did not open one."""

    def __init__(self, status: int, text: str = "") -> None:
        self.status, self.text = status, text
        super().__init__(f"the server answered {status}{f': {text}' if text else ''}")


class HttpError(EdgeAgentsError):
    """Answers the request with ``status`` and this text, which the client may see."""

    status = 500

    def __init__(self, message: str, status: int | None = None) -> None:
        if status is not None:
            self.status = status
        super().__init__(message)


class BadRequest(HttpError, ValueError):
    """The request cannot be read as what the handler asked for."""

    status = 400


class JsonTooDeep(BadRequest):
    """JSON from a client nests deeper than ``limit`` levels."""

    setting = "json_depth"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"JSON nests deeper than {limit} levels: Limits({self.setting}={limit}).")


class BodyTooLarge(HttpError):
    """The request's body is larger than ``limit`` bytes.

    The field ``setting`` of ``Limits`` says so; it is None when the handler itself did, or when it cannot be set.
    """

    status = 413

    def __init__(self, limit: int, setting: str | None = None) -> None:
        self.limit, self.setting = limit, setting
        where = "." if setting is None else f": Limits({setting}={limit})."
        super().__init__(f"The body of this request is larger than the limit of {limit} bytes{where}")


class HeadTooLarge(HttpError):
    """The request's URL (414) or headers (431) exceed ``limit``, which the field ``setting`` of ``Limits`` says."""

    def __init__(self, setting: str, limit: int) -> None:
        self.setting, self.limit = setting, limit
        what = "The URL of this request is" if setting == "url_bytes" else "The headers of this request are"
        super().__init__(
            f"{what} more than the limit allows: Limits({setting}={limit}).", 414 if setting == "url_bytes" else 431
        )


class BudgetExceeded(HttpError):
    """The agent has used up its budget for models, or was frozen by hand. The message says so to its clients."""

    status = 429


class TooManySockets(HttpError):
    """One address (429) or object (503) has as many WebSockets as the field ``setting`` of ``Limits`` allows."""

    def __init__(self, setting: str, limit: int) -> None:
        self.setting, self.limit = setting, limit
        whose, status = ("This address", 429) if setting == "sockets_per_address" else ("This object", 503)
        super().__init__(f"{whose} has {limit} WebSockets open: Limits({setting}={limit}).", status)


class WorkerNotFound(HttpError):
    """A binding names another worker, and none of that name runs in this process."""

    status = 503

    def __init__(self, name: str) -> None:
        super().__init__(f'Worker "{name}" not found. Make sure it is running locally.')


class ClientDisconnected(EdgeAgentsError, ConnectionError):
    """The client of a request has gone: its body does not come to an end, and nobody waits for the answer."""

    def __init__(self, message: str = "The client of this request has disconnected.") -> None:
        super().__init__(message)


class ModelError(EdgeAgentsError):
    """A model provider failed.

    ``status`` is its HTTP status, if any; ``retryable`` says that trying again may help, and ``retry_after`` in how
    many seconds, if the provider was told.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retryable: bool = False, retry_after: float | None = None
    ) -> None:
        self.status, self.retryable, self.retry_after = status, retryable, retry_after
        super().__init__(message)


class NoObjectGeneratedError(ModelError):
    """A model answered, but not with the object that it was asked for.

    ``text`` is what it said, None when it said nothing; ``finish_reason`` and ``usage`` are those of the answer.
    """

    def __init__(
        self, message: str, *, text: str | None = None, finish_reason: str | None = None, usage: object = None
    ) -> None:
        self.text, self.finish_reason, self.usage = text, finish_reason, usage
        super().__init__(f"No object generated: {message}")


class AgentError(EdgeAgentsError):
    """An agent was used in a way that it does not allow."""


class ReadonlyConnection(AgentError):
    """The client behind this event may not change the agent's state."""

    def __init__(self) -> None:
        # Clients see this text; it is what Cloudflare's SDK says.
        super().__init__("Connection is readonly")


class AgentClientError(EdgeAgentsError):
    """An ``AgentClient`` could not do what it was asked."""


class CallFailed(AgentClientError):
    """The agent answered a call with this error."""


class CallTimedOut(AgentClientError, TimeoutError):
    """No answer to a call came in time. The agent may still be at it: a call is not cancelled by not waiting."""

    def __init__(self, method: str, timeout_ms: int) -> None:
        self.method, self.timeout_ms = method, timeout_ms
        super().__init__(f"RPC call to {method} timed out after {timeout_ms}ms")


class AgentConnectionError(AgentClientError):
    """The connection to an agent is closed. ``code`` is 1006 when there was no close frame."""

    def __init__(
        self, message: str = "Connection closed", *, code: int = 1006, reason: str = "", was_clean: bool = False
    ) -> None:
        self.code, self.reason, self.was_clean = code, reason, was_clean
        super().__init__(message)


class StreamError(EdgeAgentsError):
    """A durable stream cannot be read to an end or written to. ``stream_id`` says which."""

    def __init__(self, message: str, stream_id: str = "") -> None:
        self.stream_id = stream_id
        super().__init__(message)


class StreamClosedError(StreamError):
    """The durable stream is complete or failed: nothing can be added to it."""
