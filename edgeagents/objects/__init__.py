"""Durable Objects: user code with one live instance per id, storage of its own, an alarm and sockets.

| to | look in |
|---|---|
| see what user code gets | `durable_object.py`, `context.py` |
| follow an event from a stub to a handler and back | `namespace.py`, `hibernation.py`, `activation.py`, `events.py` |
| learn when events wait and when answers leave | `gates.py` |
| see what may cross between objects | `rpc.py`, `values.py`, `records.py`, `kinds.py` |
| keep something | `storage.py`, `sql.py`, `kv.py`, `sqlite.py`, `sqlite_session.py`, `backend.py` |
| have it survive | `unsynced.py`, `disk.py`, `log_moving.py`, `ownership.py` |
| bring back what was kept before | `past.py`, `timeline.py`, `bookmarks.py`, `history_files.py` |
| wake later | `alarms.py` |
| have children | `facets.py`, `facet_slot.py` |
| talk over a WebSocket | `websocket.py` |

An object does not know where it lives (``edgeagents.placement``), nor what its messages mean (``edgeagents.agents``).
"""

from edgeagents.objects.activation import Activation
from edgeagents.objects.alarms import AlarmScheduler
from edgeagents.objects.backend import FolderStorage, MemoryStorage, StorageBackend
from edgeagents.objects.budget import Budget, Price
from edgeagents.objects.clock import Clock, SystemClock, TimerHandle
from edgeagents.objects.context import ObjectContext
from edgeagents.objects.durable_object import DurableObject
from edgeagents.objects.events import (
    AlarmEvent,
    AlarmInfo,
    CallEvent,
    CloseEvent,
    Event,
    FetchEvent,
    MessageEvent,
    SocketErrorEvent,
    StartEvent,
)
from edgeagents.objects.gates import Durability, writes_kept
from edgeagents.objects.history import DEFAULT_HISTORY, History
from edgeagents.objects.ids import SHARDS, Address, ObjectId, nanoid, uuid4
from edgeagents.objects.lease import Lease
from edgeagents.objects.limits import Limits
from edgeagents.objects.namespace import (
    Deliver,
    Directory,
    Namespace,
    Namespaces,
    Stub,
    World,
    call_part,
    current_namespaces,
    wake,
)
from edgeagents.objects.observer import Observer
from edgeagents.objects.records import record
from edgeagents.objects.storage import Storage
from edgeagents.objects.websocket import (
    WebSocket,
    WebSocketRequestResponsePair,
    WebSocketSink,
    check_close,
    web_socket_pair,
)

__all__ = [
    "DEFAULT_HISTORY",
    "SHARDS",
    "Activation",
    "Address",
    "AlarmEvent",
    "AlarmInfo",
    "AlarmScheduler",
    "Budget",
    "CallEvent",
    "Clock",
    "CloseEvent",
    "Deliver",
    "Directory",
    "Durability",
    "DurableObject",
    "Event",
    "FetchEvent",
    "FolderStorage",
    "History",
    "Lease",
    "Limits",
    "MemoryStorage",
    "MessageEvent",
    "Namespace",
    "Namespaces",
    "ObjectContext",
    "ObjectId",
    "Observer",
    "Price",
    "SocketErrorEvent",
    "StartEvent",
    "Storage",
    "StorageBackend",
    "Stub",
    "SystemClock",
    "TimerHandle",
    "WebSocket",
    "WebSocketRequestResponsePair",
    "WebSocketSink",
    "World",
    "call_part",
    "check_close",
    "current_namespaces",
    "nanoid",
    "record",
    "uuid4",
    "wake",
    "web_socket_pair",
    "writes_kept",
]
