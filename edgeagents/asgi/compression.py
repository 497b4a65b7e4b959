"""Compression of WebSockets: declined, for a frame that is inflated before its size is known can fill the memory.

Which extensions a WebSocket has is between the server and the client, and ASGI has no word for it. Of the servers,
Hypercorn up to 0.18 agrees to ``permessage-deflate`` whenever a client offers it, and inflates without a bound: its
handshake is taught to ask whose WebSocket it accepts. Those of the application around us are left alone. uvicorn
inflates no more than its ``--ws-max-size``, granian does not compress.
"""

from __future__ import annotations

import functools
import sys
from contextvars import ContextVar
from typing import Any

__all__ = ["decline_compression"]

_declines: ContextVar[bool] = ContextVar("edgeagents_declines_compression", default=False)
_TAUGHT = "_edgeagents_asks"


def decline_compression() -> None:
    """Have the WebSocket that is accepted next in this task go without compression."""
    hypercorn: Any = sys.modules.get("hypercorn.protocol.ws_stream")
    if hypercorn is None:
        return
    _declines.set(True)
    handshake = getattr(hypercorn, "Handshake", None)
    accept = getattr(handshake, "accept", None)
    if accept is None or hasattr(handshake, _TAUGHT):
        return

    @functools.wraps(accept)
    def accept_ours_without(self: Any, *args: Any, **kwargs: Any) -> Any:
        if _declines.get():
            self.extensions = None
        return accept(self, *args, **kwargs)

    setattr(handshake, "accept", accept_ours_without)  # noqa: B010  (its type is not ours to know)
    setattr(handshake, _TAUGHT, True)
