"""What an index refuses. The limits, the numbers and most texts are Vectorize's."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgeagents.errors import EdgeAgentsError

__all__ = [
    "IDS_A_CALL",
    "VECTORS_A_CALL",
    "InvalidOption",
    "VectorizeError",
    "check_count",
    "check_dimensions",
    "check_namespace",
    "check_top_k",
    "check_vector",
    "level_of",
    "numbers_of",
]

DIMENSIONS: Final = 1536
ID_BYTES: Final = 64
NAMESPACE_BYTES: Final = 64
METADATA_BYTES: Final = 10 * 1024
VECTORS_A_CALL: Final = 1000
IDS_A_CALL: Final = 1000
TOP_K: Final = 100
TOP_K_WITH_ALL: Final = 50


class VectorizeError(EdgeAgentsError):
    """An index refused an operation. ``code`` is Vectorize's number for the reason."""

    def __init__(self, operation: str, code: int, message: str) -> None:
        self.code = code
        super().__init__(f"{operation}_ERROR (code = {code}): {message}")


class InvalidOption(EdgeAgentsError):
    """An option of a query has a value that means nothing."""


def numbers_of(values: Any) -> list[float]:
    """Return the numbers of a vector: a sequence of them, or the bytes of floats.

    Bytes are of 32-bit floats unless they say otherwise by an attribute ``format``, as a ``memoryview`` does.
    """
    if isinstance(values, bytes | bytearray | memoryview):
        content = bytes(values)
        numbers = array("d" if getattr(values, "format", "f") == "d" else "f")
        if len(content) % numbers.itemsize:
            raise TypeError("The bytes of a vector are those of whole 32-bit floats.")
        numbers.frombytes(content)
        return _finite(list(numbers))
    if isinstance(values, str) or not hasattr(values, "__iter__"):
        raise TypeError(f"A vector is a list of numbers, not {type(values).__name__}.")
    return _finite([float(value) for value in values])


def _finite(numbers: list[float]) -> list[float]:
    if not all(map(math.isfinite, numbers)):
        raise TypeError("A vector has numbers that are finite.")
    return numbers


def check_dimensions(operation: str, dimensions: int) -> None:
    """Raise for vectors that are too long, or empty."""
    if not 1 <= dimensions <= DIMENSIONS:
        text = f"vectors have 1 to {DIMENSIONS} dimensions, and got {dimensions} dimensions"
        raise VectorizeError(operation, 40012, text)


def check_vector(operation: str, vector: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Return id, namespace and packed metadata of a vector."""
    vector_id, namespace, metadata = vector.get("id"), vector.get("namespace"), vector.get("metadata")
    if not isinstance(vector_id, str) or not vector_id:
        raise VectorizeError(operation, 40026, "a vector needs an id, which is text")
    size = len(vector_id.encode("utf-8", "surrogatepass"))
    if size > ID_BYTES:
        raise VectorizeError(operation, 40008, f"id too long; max is {ID_BYTES} bytes, got {size} bytes")
    return vector_id, check_namespace(operation, namespace), _packed(operation, vector_id, metadata)


def check_namespace(operation: str, namespace: Any) -> str:
    """Return a namespace; that of vectors which name none is empty."""
    if namespace is None:
        return ""
    if not isinstance(namespace, str):
        raise VectorizeError(operation, 40026, "a namespace is text")
    size = len(namespace.encode("utf-8", "surrogatepass"))
    if size > NAMESPACE_BYTES:
        text = f"namespace too long; max is {NAMESPACE_BYTES} bytes, got {size} bytes"
        raise VectorizeError(operation, 40009, text)
    return namespace


def _packed(operation: str, vector_id: str, metadata: Any) -> str | None:
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        raise VectorizeError(operation, 40026, f'the metadata of the vector id="{vector_id}" is not an object')
    for key in metadata:
        if not key or key.startswith("$") or "." in key or '"' in key:
            text = f"invalid metadata key {key!r}: not empty, no '.', no '\"', and no '$' in front"
            raise VectorizeError(operation, 40018, text)
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > METADATA_BYTES:
        text = f'metadata too large for vector id="{vector_id}"; max is {METADATA_BYTES} bytes, got {size} bytes'
        raise VectorizeError(operation, 40016, text)
    return text


def check_count(operation: str, items: Sequence[Any], most: int, what: str) -> None:
    """Raise for too many at once."""
    if len(items) > most:
        raise VectorizeError(operation, 40007, f"too many {what}; max is {most}, got {len(items)}")


def level_of(return_metadata: Any) -> str:
    """Return ``none``, ``indexed`` or ``all``."""
    if return_metadata in (None, False):
        return "none"
    if return_metadata is True:
        return "all"
    if return_metadata not in ("none", "indexed", "all"):
        raise InvalidOption(
            f'Invalid returnMetadata option. Expected: true, false, "none", "indexed" or "all"; got: {return_metadata}'
        )
    return return_metadata


def check_top_k(top_k: Any, *, has_all: bool) -> int:
    """Return how many matches are wanted. With values or all metadata it is at most 50, else 100."""
    if isinstance(top_k, bool) or not isinstance(top_k, int | float) or top_k != int(top_k) or top_k < 1:
        raise VectorizeError("VECTOR_QUERY", 40025, f"top K must be a positive integer, but got {top_k}")
    if has_all and top_k > TOP_K_WITH_ALL:
        text = (
            f"with returnValues=true or returnMetadata=all, max top K is {TOP_K_WITH_ALL}, but got {int(top_k)}; "
            f"for a top K up to {TOP_K}, retry with returnValues=false and returnMetadata=indexed"
        )
        raise VectorizeError("VECTOR_QUERY", 40025, text)
    if top_k > TOP_K:
        raise VectorizeError("VECTOR_QUERY", 40025, f"max top K is {TOP_K}, but got {int(top_k)}")
    return int(top_k)
