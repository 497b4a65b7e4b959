"""Namespaces that ``wrangler dev`` has kept, copied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgeagents_kv.namespace import KvNamespace
from edgeagents_kv.plugin import namespace_id

if TYPE_CHECKING:
    from edgeagents_emulator.importing import Importing

    from wrangler_compat.wrangler_state import WranglerState

__all__ = ["import_namespaces"]

_Entry = tuple[str, bytes, str | None, int | None]


def import_namespaces(source: WranglerState, state: Importing) -> None:
    """Copy each namespace that is known by its folder or from the configuration."""
    for name, target in state.places(source, "kv", "kv_namespace", "id", namespace_id):
        with source.database("kv", name) as database:
            if database is None:
                continue
            rows = database.execute(
                "SELECT key, blob_id, expiration, metadata FROM _mf_entries ORDER BY key"
            ).fetchall()
        entries = list(_entries(source, name, rows))
        kept = KvNamespace(state.stores, target, state.clock).take_over(entries, replace=state.replaces)
        source.done.append(f"kv {name}: {kept} of {len(entries)} keys copied")


def _entries(source: WranglerState, name: str, rows: list[tuple[str, str, int | None, str | None]]) -> Iterator[_Entry]:
    for key, blob, expiration, metadata in rows:
        try:
            value = source.blob("kv", name, blob).read_bytes()
        except OSError as error:
            source.left.append(f"kv {name}, key {key!r}: {error}")
            continue
        yield key, value, metadata, None if expiration is None else expiration // 1000
