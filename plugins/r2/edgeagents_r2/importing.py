"""Buckets that ``wrangler dev`` has kept, copied."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgeagents_r2.plugin import bucket_name
from edgeagents_r2.store import BucketStore, Stored

if TYPE_CHECKING:
    from edgeagents_emulator.importing import Importing

    from wrangler_compat.wrangler_state import WranglerState

__all__ = ["import_buckets"]

_VERSION: Final = re.compile("[0-9a-f]{32}")
_PIECE: Final = 1 << 20


def import_buckets(source: WranglerState, state: Importing) -> None:
    """Copy each bucket that is known by its folder or from the configuration. Uploads that did not end stay behind."""
    for name, target in state.places(source, "r2", "r2_bucket", "bucket_name", bucket_name):
        with source.database("r2", name) as database:
            if database is None:
                continue
            database.row_factory = sqlite3.Row
            objects = database.execute("SELECT * FROM _mf_objects ORDER BY key").fetchall()
            parts = database.execute(
                "SELECT object_key, blob_id FROM _mf_multipart_parts WHERE object_key IS NOT NULL ORDER BY part_number"
            ).fetchall()
            (unfinished,) = database.execute("SELECT count(*) FROM _mf_multipart_uploads WHERE state = 0").fetchone()
        store, kept = BucketStore(state.stores, target), 0
        for row in objects:
            blobs = (
                [row["blob_id"]] if row["blob_id"] else [p["blob_id"] for p in parts if p["object_key"] == row["key"]]
            )
            try:
                kept += _copy(row, [source.blob("r2", name, blob) for blob in blobs], store, state)
            except (OSError, ValueError) as error:
                source.left.append(f"r2 {name}, key {row['key']!r}: {error}")
        source.done.append(f"r2 {name}: {kept} of {len(objects)} objects copied")
        if unfinished:
            source.left.append(f"r2 {name}: {unfinished} uploads in parts that did not end")


def _copy(row: Any, files: list[Path], store: BucketStore, state: Importing) -> bool:
    before = store.get(row["key"])
    if before is not None and (not state.replaces or before.version == row["version"]):
        return False
    version = row["version"] if _VERSION.fullmatch(row["version"]) else state.rng.randbytes(16).hex()
    store.forget(version)  # What an import that was cut off has left.
    content = store.new_content(version)
    size = 0
    try:
        for path in files:
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    size += len(piece)
                    content.write_now(piece)
        if size != row["size"]:
            raise ValueError(f"it has {size} bytes and should have {row['size']}")
        content.keep_now()
    except BaseException:
        content.drop()
        raise
    http = json.loads(row["http_metadata"])
    if "cacheExpiry" in http:
        http["cacheExpiry"] /= 1000
    checksums = {**({} if "-" in row["etag"] else {"md5": row["etag"]}), **json.loads(row["checksums"])}
    custom = json.loads(row["custom_metadata"])
    store.set_now(Stored(row["key"], version, size, row["etag"], row["uploaded"] / 1000, http, custom, checksums))
    return True
