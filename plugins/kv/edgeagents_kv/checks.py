"""What a namespace refuses. The limits and the texts are Workers KV's."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from edgeagents.errors import EdgeAgentsError

__all__ = [
    "BULK_KEYS",
    "VALUE_BYTES",
    "KvError",
    "check_cache_ttl",
    "checked_key",
    "checked_key_of_many",
    "checked_prefix",
    "expiry_of",
    "list_count",
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


def checked_key(key: Any, operation: str) -> str:
    """Return the key that is meant by ``key``: a number stands for its text. Raise for one that is none."""
    name = _text(key)
    if not name:
        raise TypeError("Key name cannot be empty.")
    if name in (".", ".."):
        raise TypeError(f'"{name}" is not allowed as a key name.')
    _check_length(name, operation)
    return name


def checked_key_of_many(key: Any, operation: str) -> str:
    """Return the key that is meant by one of several. They are looked at later, and refused in other words."""
    name = _text(key)
    if not name:
        raise KvError(operation, 400, "Key names must not be empty")
    if name in (".", ".."):
        raise KvError(operation, 400, f'Illegal key name "{name}". Please use a different name.')
    _check_length(name, operation)
    return name


def checked_prefix(prefix: str) -> str:
    """Return ``prefix``. Raise for one that no key can begin with."""
    _check_length(prefix, "GET")
    return prefix


def check_cache_ttl(cache_ttl: float | None, operation: str) -> None:
    """Raise for a time that nothing could be cached for."""
    if cache_ttl is not None and (seconds := _whole(cache_ttl)) < _SHORTEST_CACHE_TTL:
        text = f"Invalid cache_ttl of {seconds}. Cache TTL must be at least {_SHORTEST_CACHE_TTL}."
        raise KvError(operation, 400, text)


def list_count(limit: float | None) -> int:
    """Return how many keys a list may have."""
    count = LIST_LIMIT if limit is None else _whole(limit)
    if count > LIST_LIMIT:
        text = f"Invalid key_count_limit of {count}. Please specify an integer less than {LIST_LIMIT}."
        raise KvError("GET", 400, text)
    return count if count > 0 else LIST_LIMIT


def expiry_of(expiration: float | None, expiration_ttl: float | None, now: int) -> int | None:
    """Return when a value expires, in seconds since 1970; None for never."""
    at = None if expiration is None else _whole(expiration)
    if expiration_ttl is not None:
        ttl = _whole(expiration_ttl)
        if ttl <= 0:
            raise KvError("PUT", 400, f"Invalid expiration_ttl of {ttl}. Please specify integer greater than 0.")
        if ttl < _SHORTEST_TTL:
            text = f"Invalid expiration_ttl of {ttl}. Expiration TTL must be at least {_SHORTEST_TTL}."
            raise KvError("PUT", 400, text)
        return now + ttl
    if at is None:
        return None
    if at <= now:
        text = "Please specify integer greater than the current number of seconds since the UNIX epoch."
        raise KvError("PUT", 400, f"Invalid expiration of {at}. {text}")
    if at < now + _SHORTEST_TTL:
        text = f"Invalid expiration of {at}. Expiration times must be at least {_SHORTEST_TTL} seconds in the future."
        raise KvError("PUT", 400, text)
    return at


def _text(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, int | float):
        return json.dumps(key)
    raise TypeError(f"A key is text, not {type(key).__name__}.")


def _check_length(key: str, operation: str) -> None:
    size = len(key.encode("utf-8", "surrogatepass"))
    if size > KEY_BYTES:
        text = f"UTF-8 encoded length of {size} exceeds key length limit of {KEY_BYTES}."
        raise KvError(operation, 414, text)


def _whole(value: float) -> int:
    """Return the 32-bit integer that JavaScript makes of ``value``: 0 for what is no number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0
    if not math.isfinite(number):
        return 0
    whole = int(number)
    if not -(2**31) <= whole < 2**31:
        raise TypeError(f"Value out of range. Must be between {-(2**31)} and {2**31 - 1} (inclusive).")
    return whole


def pack_metadata(metadata: Any) -> str | None:
    """Return ``metadata`` as it is kept."""
    if metadata is None:
        return None
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > METADATA_BYTES:
        raise KvError("PUT", 413, f"Metadata length of {size} exceeds limit of {METADATA_BYTES}.")
    return text
