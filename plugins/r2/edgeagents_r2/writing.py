"""Writing: bytes that come in any form, hashed on their way to the disk, and the options that go with them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol, TypeVar

from edgeagents_r2.errors import R2Error
from edgeagents_r2.objects import HTTP_FIELDS

__all__ = ["Given", "Hashed", "check_key", "given_of", "in_thread", "included", "keys_to_delete", "list_count", "write"]

KEY_BYTES: Final = 1024
LIST_LIMIT: Final = 1000
DELETE_LIMIT: Final = 1000
METADATA_BYTES: Final = 2048
_AT_ONCE: Final = 128 * 1024
OBJECT_BYTES: Final = 5 * 1024**3 - 5 * 1024**2
_HASH_BYTES: Final = {"md5": 16, "sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
_WRITTEN: Final = {"md5": "MD5", "sha1": "SHA-1", "sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}

T = TypeVar("T")


class Sink(Protocol):
    """Where bytes are written to. They are kept or dropped at the end."""

    async def write(self, piece: bytes) -> None:
        """Add to the bytes."""
        ...

    async def keep(self) -> None:
        """The bytes are whole."""
        ...

    def drop(self) -> None:
        """Forget the bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Given:
    """What was given with the bytes of an object."""

    http: dict[str, Any]
    custom: dict[str, str]
    storage_class: str
    algorithm: str | None = None
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Hashed:
    """What is known of bytes that were written."""

    size: int
    md5: str
    checksums: dict[str, str]


def check_key(key: str, operation: str) -> None:
    """Raise for a key that is none."""
    if not isinstance(key, str):
        raise TypeError(f"A key is text, not {type(key).__name__}.")
    size = len(key.encode("utf-8", "surrogatepass"))
    if not key or size > KEY_BYTES:
        raise R2Error(operation, "The specified object name is not valid.", 10020)


def keys_to_delete(keys: str | Sequence[str]) -> list[str]:
    """Return the keys that a call of ``delete`` names. Raise `R2Error` for more than `DELETE_LIMIT`."""
    names = [keys] if isinstance(keys, str) else list(keys)
    if len(names) > DELETE_LIMIT:
        raise R2Error("delete", f"The list of keys to delete exceeds {DELETE_LIMIT}.", 10061)
    return names


def list_count(limit: int | None) -> int:
    """Return how many objects a call of ``list`` asks for. Raise `R2Error` unless it is 1 to `LIST_LIMIT`."""
    count = LIST_LIMIT if limit is None else int(limit)
    if not 1 <= count <= LIST_LIMIT:
        raise R2Error("list", f"MaxKeys params must be positive integer <= {LIST_LIMIT}.", 10022)
    return count


def included(include: Sequence[str] | None) -> frozenset[str]:
    """Return which metadata a list has. Raises ValueError for what is none."""
    for name in include or ():
        if name not in ("httpMetadata", "customMetadata"):
            raise ValueError(f"Unsupported include value {name}")
    return frozenset(include or ())


def as_text(value: Any) -> str:
    """Return ``value`` as JavaScript writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def given_of(
    operation: str,
    http_metadata: Mapping[str, Any] | None,
    custom_metadata: Mapping[str, Any] | None,
    storage_class: str | None,
    ssec_key: Any,
    hashes: Mapping[str, Any],
) -> Given:
    """Return the options in one form. Raises for those that mean nothing."""
    if ssec_key is not None:
        raise R2Error(operation, "Encryption with a key of the customer's is not offered here.", 10074)
    custom = {str(key): as_text(value) for key, value in (custom_metadata or {}).items()}
    if sum(len(key.encode()) + len(value.encode()) for key, value in custom.items()) > METADATA_BYTES:
        text = "Your metadata headers exceed the maximum allowed metadata size."
        raise R2Error(operation, text, 10012)
    if storage_class not in (None, "Standard", "InfrequentAccess"):
        raise R2Error(operation, "The storage class is not valid.", 10062)
    chosen = {name: value for name, value in hashes.items() if value is not None}
    if len(chosen) > 1:
        raise TypeError("You cannot specify multiple hashing algorithms.")
    for name, value in chosen.items():
        digest = _digest(name, value)
        return Given(_http(http_metadata), custom, storage_class or "Standard", name, digest)
    return Given(_http(http_metadata), custom, storage_class or "Standard")


def _digest(name: str, value: Any) -> bytes:
    written, size = _WRITTEN[name], _HASH_BYTES[name]
    if isinstance(value, str):
        if len(value) != 2 * size:
            raise TypeError(f"{written} is {2 * size} hex characters, not {len(value)}")
        try:
            return bytes.fromhex(value)
        except ValueError:
            raise TypeError(f"Provided {written} wasn't a valid hex string") from None
    digest = bytes(value)
    if len(digest) != size:
        raise TypeError(f"{written} is {size} bytes, not {len(digest)}")
    return digest


def _http(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the HTTP metadata by their names; a request's header fields give them too."""
    given = metadata or {}
    by_field = {field: name for name, field in HTTP_FIELDS.items()}
    made = {by_field.get(key, key): value for key, value in given.items() if value is not None}
    kept = {name: value for name, value in made.items() if name in HTTP_FIELDS}
    kept = {name: value if name == "cacheExpiry" else as_text(value) for name, value in kept.items()}
    expiry = kept.get("cacheExpiry")
    if isinstance(expiry, str):
        expiry = parsedate_to_datetime(expiry)
    if isinstance(expiry, datetime):
        kept["cacheExpiry"] = expiry.timestamp()
    return kept


async def write(operation: str, value: Any, content: Sink, given: Given | None = None) -> Hashed:
    """Write ``value`` to ``content``, checking its hash; the content is kept, or dropped when something fails."""
    md5 = hashlib.md5(usedforsecurity=False)
    other = None if given is None or given.algorithm in (None, "md5") else hashlib.new(given.algorithm or "")
    size = 0
    try:
        async for piece in _pieces(value):
            size += len(piece)
            if size > OBJECT_BYTES:
                raise R2Error(operation, "Your proposed upload exceeds the maximum allowed object size.", 100100)
            for each in (md5, other):
                if each is not None:
                    await in_thread(len(piece), each.update, piece)
            await content.write(piece)
        checksums = {"md5": md5.hexdigest()}
        if given is not None and given.algorithm is not None:
            found = md5.digest() if other is None else other.digest()
            if found != given.digest:
                name = _WRITTEN[given.algorithm]
                text = (
                    f"The {name} checksum you specified did not match what we received.\n"
                    f"You provided a {name} checksum with value: {given.digest.hex()}\n"
                    f"Actual {name} was: {found.hex()}"
                )
                raise R2Error(operation, text, 10037)
            checksums[given.algorithm] = found.hex()
        await content.keep()
    except BaseException:
        content.drop()
        raise
    return Hashed(size, md5.hexdigest(), checksums)


async def in_thread(size: int, function: Callable[..., T], *args: Any) -> T:
    """Call ``function``, in a thread if it has so many bytes to deal with that others would notice."""
    return function(*args) if size <= _AT_ONCE else await asyncio.to_thread(function, *args)


async def _pieces(value: Any) -> AsyncIterator[bytes]:
    if value is None:
        return
    if isinstance(value, str):
        yield value.encode("utf-8", "replace")
    elif isinstance(value, bytes | bytearray | memoryview):
        yield bytes(value)
    elif isinstance(value, AsyncIterator):
        async for piece in value:
            yield piece
    else:
        kinds = "ReadableStream or ArrayBuffer or ArrayBufferView or string or Blob"
        raise TypeError(
            f"Failed to execute 'put' on 'R2Bucket': parameter 2 is not of type '{kinds}'. "
            f"In Python: text, bytes, an async iterator of bytes or None, and not an object of {type(value).__name__}."
        )
