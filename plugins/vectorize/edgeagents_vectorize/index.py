"""An index: what is found in ``env``."""

from __future__ import annotations

import asyncio
import json
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

from edgeagents.objects import writes_kept
from edgeagents_vectorize.checks import (
    IDS_A_CALL,
    VECTORS_A_CALL,
    VectorizeError,
    check_count,
    check_dimensions,
    check_namespace,
    check_top_k,
    check_vector,
    level_of,
    numbers_of,
)
from edgeagents_vectorize.filters import filter_of
from edgeagents_vectorize.nearest import nearest
from edgeagents_vectorize.store import Held, IndexStore, Row

if TYPE_CHECKING:
    import random

    from edgeagents.objects import Clock

__all__ = ["VectorizeIndex"]

_AT_ONCE: Final = 500_000
"""So many numbers are compared where they are asked for, in less than a millisecond."""


class VectorizeIndex:
    """One index. What was written is found at once.

    Its first vector says how many dimensions it has, unless the binding does.
    """

    js_name: ClassVar[str] = "VectorizeIndexImpl"

    def __init__(self, store: IndexStore, clock: Clock, rng: random.Random) -> None:
        self._store, self._clock, self._rng = store, clock, rng

    async def describe(self) -> dict[str, Any]:
        """Return ``{"dimensions", "vectorCount", "processedUpToDatetime", "processedUpToMutation"}``.

        The time is in milliseconds since 1970; it and the mutation are None before the first.
        """
        mutated = self._store.fact("mutated")
        return {
            "dimensions": self._store.dimensions or 0,
            "vectorCount": self._store.count(),
            "processedUpToDatetime": None if mutated is None else int(mutated),
            "processedUpToMutation": self._store.fact("mutation"),
        }

    async def query(
        self,
        vector: Any,
        *,
        top_k: float | None = None,
        return_values: bool = False,
        return_metadata: bool | str | None = None,
        namespace: str | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the vectors nearest to ``vector``: ``{"count", "matches": [{"id", "score", ...}]}``.

        At most ``top_k`` (5) of them, of one ``namespace`` if it is given, and of those that pass the ``filter``.
        Matches have ``values`` and ``metadata`` when they are asked for, and a ``namespace`` when they are in one.
        """
        level = level_of(return_metadata)
        count = check_top_k(5 if top_k is None else top_k, has_all=return_values or level == "all")
        passes = filter_of(filter)
        wanted = None if namespace is None else check_namespace("VECTOR_QUERY", namespace)
        numbers, held = numbers_of(vector), await self._store.all()
        dimensions = self._store.dimensions
        if dimensions is not None and len(numbers) != dimensions:
            text = f"invalid query vector, expected {dimensions} dimensions, and got {len(numbers)} dimensions"
            raise VectorizeError("VECTOR_QUERY", 40006, text)
        if not held.ids:
            return {"count": 0, "matches": []}
        metric = self._store.metric

        def search() -> list[Any]:
            return nearest(held.matrix, numbers, metric, _chosen(held, wanted, passes), count)

        found = search() if held.matrix.size <= _AT_ONCE else await asyncio.to_thread(search)
        matches = [_match(held, row, score, level, has_values=return_values) for row, score in found]
        return {"count": len(matches), "matches": matches}

    async def query_by_id(
        self,
        vector_id: str,
        *,
        top_k: float | None = None,
        return_values: bool = False,
        return_metadata: bool | str | None = None,
        namespace: str | None = None,
        filter: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the vectors nearest to one that is in the index, itself among them. As ``query``."""
        found = self._store.get([vector_id])
        if not found:
            raise VectorizeError("VECTOR_QUERY", 40027, f'there is no vector with id="{vector_id}"')
        return await self.query(
            found[0][2],
            top_k=top_k,
            return_values=return_values,
            return_metadata=return_metadata,
            namespace=namespace,
            filter=filter,
        )

    async def insert(self, vectors: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Add ``{"id", "values", "metadata"?, "namespace"?}``, up to 1000, all or none; return ``{"mutationId"}``.

        A vector whose id is there already is left out.
        """
        return await self._write("VECTOR_INSERT", vectors, replaces=False)

    async def upsert(self, vectors: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Add vectors as ``insert`` does, in place of those with the same ids."""
        return await self._write("VECTOR_UPSERT", vectors, replaces=True)

    async def get_by_ids(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the vectors of these ids that are there."""
        check_count("VECTOR_GET", ids, IDS_A_CALL, "ids")
        return [_vector(row) for row in self._store.get(list(ids))]

    async def delete_by_ids(self, ids: Sequence[str]) -> dict[str, str]:
        """Remove vectors; return ``{"mutationId"}``. Those that are not there are no error."""
        check_count("VECTOR_DELETE", ids, IDS_A_CALL, "ids")
        await writes_kept()
        mutation = self._mutation()
        self._store.delete(list(ids), mutation=mutation, now=self._now())
        await self._store.kept()
        return {"mutationId": mutation}

    async def _write(self, operation: str, vectors: Sequence[Mapping[str, Any]], *, replaces: bool) -> dict[str, str]:
        if isinstance(vectors, Mapping) or not vectors:
            raise VectorizeError(operation, 40026, "vectors are a list that is not empty")
        check_count(operation, vectors, VECTORS_A_CALL, "vectors")
        dimensions = self._store.dimensions
        rows: list[Row] = []
        for vector in vectors:
            vector_id, namespace, metadata = check_vector(operation, vector)
            numbers = numbers_of(vector.get("values"))
            if dimensions is None:
                dimensions = len(numbers)
                check_dimensions(operation, dimensions)
            if len(numbers) != dimensions:
                text = (
                    f'invalid vector for id="{vector_id}", expected {dimensions} dimensions, '
                    f"and got {len(numbers)} dimensions"
                )
                raise VectorizeError(operation, 40012, text)
            rows.append((vector_id, namespace, _packed(numbers), metadata))
        await writes_kept()
        mutation = self._mutation()
        self._store.write(rows, replaces=replaces, mutation=mutation, now=self._now(), dimensions=dimensions or 0)
        await self._store.kept()
        return {"mutationId": mutation}

    def _mutation(self) -> str:
        return str(UUID(bytes=self._rng.randbytes(16), version=4))

    def _now(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _chosen(held: Held, namespace: str | None, passes: Callable[[dict[str, Any]], bool] | None) -> list[int] | None:
    """Return which vectors may be found; None for all."""
    if namespace is None and passes is None:
        return None
    return [
        row
        for row, (place, metadata) in enumerate(zip(held.namespaces, held.metadata, strict=True))
        if (namespace is None or place == namespace) and (passes is None or passes(metadata or {}))
    ]


def _packed(numbers: list[float]) -> bytes:
    return array("f", numbers).tobytes()


def _vector(row: Row) -> dict[str, Any]:
    vector_id, namespace, content, metadata = row
    made: dict[str, Any] = {"id": vector_id, "values": list(array("f", content))}
    if namespace:
        made["namespace"] = namespace
    if metadata is not None:
        made["metadata"] = json.loads(metadata)
    return made


def _match(held: Held, row: int, score: float, level: str, *, has_values: bool) -> dict[str, Any]:
    made: dict[str, Any] = {"id": held.ids[row], "score": score}
    if held.namespaces[row]:
        made["namespace"] = held.namespaces[row]
    if has_values:
        made["values"] = [float(value) for value in held.matrix[row]]
    metadata = held.metadata[row]
    if level != "none" and metadata is not None:
        made["metadata"] = metadata if level == "all" else _indexed(metadata)
    return made


def _indexed(metadata: dict[str, Any]) -> dict[str, Any]:
    # Of text only the first 64 bytes are in an index of metadata.
    return {key: _cut(value) for key, value in metadata.items() if isinstance(value, str | int | float)}


def _cut(value: Any) -> Any:
    return value.encode()[:64].decode("utf-8", "ignore") if isinstance(value, str) else value
