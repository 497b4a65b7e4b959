"""Durable Objects: user code with one live instance per id, storage of its own, an alarm and sockets.

| to | look in |
|---|---|
| see what user code gets | `durable_object.py`, `context.py` |
| follow an event from a stub to a handler and back | `namespace.py`, `hibernation.py`, `activation.py`, `events.py` |
| learn when events wait and when answers leave | `gates.py` |
| see what may cross between objects | `rpc.py`, `values.py` |
| keep something | `storage.py`, `sql.py`, `kv.py`, `sqlite.py`, `backend.py` |
| wake later | `alarms.py` |
| talk over a WebSocket | `websocket.py` |

An object does not know where it lives (``edgeagents.placement``), nor what its messages mean (``edgeagents.agents``).
"""

from edgeagents.objects.clock import Clock, SystemClock, TimerHandle
from edgeagents.objects.ids import Address, ObjectId, nanoid, uuid4
from edgeagents.objects.limits import Limits

__all__ = ["Address", "Clock", "Limits", "ObjectId", "SystemClock", "TimerHandle", "nanoid", "uuid4"]
