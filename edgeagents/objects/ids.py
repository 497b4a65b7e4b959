"""Ids: 64 hexadecimal digits that name one object of one namespace.

The first 48 digits come from the object's name, or from chance; the last 16 are a check that ties them to the
namespace, so an id of another namespace is refused and not mistaken for a new object.

A namespace whose key begins with ``HALF`` has objects that were made by another runtime, and ids in its form: 32 digits
from the name, and as many for the check.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

__all__ = [
    "HALF",
    "SHARDS",
    "Address",
    "ObjectId",
    "Place",
    "id_from_name",
    "id_from_string",
    "nanoid",
    "unique_id",
    "uuid4",
]

SHARDS: Final = 256
"""In how many parts all objects are divided. Those of one part have one owner."""

HALF: Final = "half/"
"""Begins the key of a namespace whose ids have the other form."""

_HEX = re.compile(r"[0-9a-f]{64}")
_NANOID_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-"


@dataclass(frozen=True, slots=True)
class ObjectId:
    """The id of one object. Two ids are equal when their digits are; ``name`` is only remembered."""

    digits: str
    name: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return self.digits

    @property
    def shard(self) -> int:
        """The part of all objects that this one belongs to."""
        return int(self.digits[:2], 16)

    def equals(self, other: ObjectId) -> bool:
        """Return whether ``other`` names the same object."""
        return self.digits == other.digits


@dataclass(frozen=True, slots=True)
class Address:
    """Where to find one object: its namespace's key and its id. Says nothing of the process that has it."""

    namespace: str
    id: ObjectId


class Place(NamedTuple):
    """Where storage has an object: its namespace and id, then the names that lead from it to a facet, if it is one."""

    namespace: str
    id: ObjectId
    facets: tuple[str, ...] = ()


@lru_cache(maxsize=8192)
def id_from_name(namespace: str, name: str) -> ObjectId:
    """Return the id that ``name`` has in ``namespace``: always the same one."""
    if not isinstance(name, str):
        raise TypeError(f"The name of an object is a str, not {type(name).__name__}: {name!r}.")
    # A name is data: surrogates that no encoder takes still make an id.
    text = name.encode("utf-8", "surrogatepass")
    if namespace.startswith(HALF):
        return ObjectId(_half_checked(namespace, hmac.digest(_half_key(namespace), text, hashlib.sha256)[:16]), name)
    digest = hmac.digest(_key(namespace), b"name\0" + text, hashlib.sha256)
    return ObjectId(_checked(namespace, digest[:24].hex()), name)


def unique_id(namespace: str, rng: random.Random) -> ObjectId:
    """Return an id that no name makes and that nobody has had before."""
    if namespace.startswith(HALF):
        return ObjectId(_half_checked(namespace, rng.randbytes(16)))
    return ObjectId(_checked(namespace, rng.randbytes(24).hex()))


def id_from_string(namespace: str, digits: str) -> ObjectId:
    """Return the id written as ``digits``. Raises TypeError for one that is not of ``namespace``."""
    digits = digits.lower()
    if not _HEX.fullmatch(digits):
        raise TypeError("Invalid Durable Object ID: must be 64 hex digits")
    if namespace.startswith(HALF):
        wanted = _half_checked(namespace, bytes.fromhex(digits[:32]))
    else:
        wanted = _checked(namespace, digits[:48])
    if not hmac.compare_digest(wanted, digits):
        raise TypeError("Durable Object ID is not valid for this namespace.")
    return ObjectId(digits)


def uuid4(rng: random.Random) -> str:
    """Return a random UUID (version 4) as text."""
    digits = list(rng.randbytes(16).hex())
    digits[12] = "4"
    digits[16] = "89ab"[int(digits[16], 16) & 3]
    text = "".join(digits)
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def nanoid(rng: random.Random, length: int = 21) -> str:
    """Return ``length`` random characters that are safe in a URL."""
    return "".join(_NANOID_ALPHABET[byte & 63] for byte in rng.randbytes(length))


def _key(namespace: str) -> bytes:
    return hashlib.sha256(b"edgeagents namespace\0" + namespace.encode("utf-8", "surrogatepass")).digest()


def _checked(namespace: str, base: str) -> str:
    return base + hmac.digest(_key(namespace), b"id\0" + base.encode(), hashlib.sha256)[:8].hex()


def _half_key(namespace: str) -> bytes:
    return hashlib.sha256(namespace.removeprefix(HALF).encode("utf-8", "surrogatepass")).digest()


def _half_checked(namespace: str, base: bytes) -> str:
    return (base + hmac.digest(_half_key(namespace), base, hashlib.sha256)[:16]).hex()
