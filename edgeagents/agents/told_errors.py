"""Told errors: what a client reads of an error that an agent's code let out.

The message, as with Cloudflare's SDK: it is the program's own. But a message that the system or the storage made up
names files of this machine, and that is nobody's business.
"""

from __future__ import annotations

from edgeagents.errors import SqlError, StorageError, StorageLimitError

__all__ = ["told"]

_STORAGE_FAILED = "The storage of this agent failed"


def told(error: BaseException) -> str:
    """Return what a client may know of ``error``."""
    if isinstance(error, StorageError) and not isinstance(error, SqlError | StorageLimitError):
        return _STORAGE_FAILED
    # The argument itself: str(KeyError("x")) has quotes that were not in the message.
    text = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], str) else str(error)
    if isinstance(error, OSError) and text.startswith("[Errno "):
        # "[Errno 2] No such file or directory: '/...'": of another object's error only the text is left.
        return text.partition(": ")[0]
    return text
