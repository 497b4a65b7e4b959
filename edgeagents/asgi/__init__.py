"""ASGI: the only room that knows scope, receive and send.

| to | look in |
|---|---|
| put agents into an app | `middleware.py` |
| serve a worker as an app of its own | `worker_app.py` |
| follow a request in and its response out | `http.py`, `channel.py`, `request.py`, `response_head.py`, `failures.py` |
| follow a WebSocket | `websocket.py`, `connection.py`, `compression.py` |
| see what an agent's URL and path are made of | `addresses.py` |
| see when a runtime starts and stops | `serving.py`, `lifespan.py`, `stop_notice.py` |
| keep a silent event stream open | `keep_alive.py` |
| answer with an ASGI app | `app_response.py` |

Which path belongs to an agent is the business of ``edgeagents.agents.routing``; who may reach it is decided by the
hook ``authorise``, which the runtime asks for each request that comes through here.
"""

from __future__ import annotations

from edgeagents.asgi.app_response import respond
from edgeagents.asgi.middleware import AgentsMiddleware
from edgeagents.asgi.worker_app import WorkerApp

__all__ = ["AgentsMiddleware", "WorkerApp", "respond"]
