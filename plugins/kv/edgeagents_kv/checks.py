"""What a namespace refuses. The limits and the texts are Workers KV's."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from edgeagents.errors import EdgeAgentsError

__all__ = [
    "BULK_KEYS",
    "LIST_LIMIT",
    "VALUE_BYTES",
    "KvError",
    "check_cache_ttl",
    "check_key",
    "expiry_of",
    "pack_metadata",
]

KEY_BYTES: Final = 512
VALUE_BYTES: Final = 25 * 1024 * 1024
METADATA_BYTES: Final = 1024
LIST_LIMIT: Final = 1000
BULK_KEYS: Final = 100
_SHORTEST_TTL: Final = 60
_SHORTEST_CACHE_TTL: Final = 30


class KvError(EdgeAgentsError):
    """A namespace refused an operation. ``status`` is the one of Workers KV's own interface."""

    def __init__(self, operation: str, status: int, message: str) -> None:
        self.status = status
        super().__init__(f"KV {operation} failed: {status} {message}")


def check_key(key: str, operation: str) -> None:
    """Raise for a key that is none."""
    if not isinstance(key, str):
        raise TypeError(f"A key is text, not {type(key).__name__}.")
    if not key:
        raise TypeError("Key name cannot be empty.")
    if key in (".", ".."):
        raise TypeError(f'"{key}" is not allowed as a key name.')
    size = len(key.encode("utf-8", "surrogatepass"))
    if size > KEY_BYTES:
        text = f"UTF-8 encoded length of {size} exceeds key length limit of {KEY_BYTES}."
        raise KvError(operation, 414, text)


def check_cache_ttl(cache_ttl: float | None, operation: str) -> None:
    """Raise for a time that nothing could be cached for."""
    if cache_ttl is not None and cache_ttl < _SHORTEST_CACHE_TTL:
        text = f"Invalid cache_ttl of {cache_ttl}. Cache TTL must be at least {_SHORTEST_CACHE_TTL}."
        raise KvError(operation, 400, text)


def expiry_of(expiration: float | None, expiration_ttl: float | None, now: int) -> int | None:
    """Return when a value expires, in seconds since 1970; None for never."""
    if expiration_ttl is not None:
        ttl = _whole(expiration_ttl, "expiration_ttl")
        if ttl < _SHORTEST_TTL:
            text = f"Invalid expiration_ttl of {ttl}. Expiration TTL must be at least {_SHORTEST_TTL}."
            raise KvError("PUT", 400, text)
        return now + ttl
    if expiration is not None:
        at = _whole(expiration, "expiration")
        if at < now + _SHORTEST_TTL:
            text = (
                f"Invalid expiration of {at}. Expiration times must be at least {_SHORTEST_TTL} seconds in the future."
            )
            raise KvError("PUT", 400, text)
        return at
    return None


def _whole(value: float, name: str) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number <= 0:
        raise KvError("PUT", 400, f"Invalid {name} of {value}. Please specify integer greater than 0.")
    return int(number)


def pack_metadata(metadata: Any) -> str | None:
    """Return ``metadata`` as it is kept."""
    if metadata is None:
        return None
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > METADATA_BYTES:
        raise KvError("PUT", 413, f"Metadata length of {size} exceeds limit of {METADATA_BYTES}.")
    return text
