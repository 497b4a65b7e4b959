"""A backup of a bucket that is written to meanwhile."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from edgeagents_r2 import R2Bucket
from edgeagents_r2.store import BucketStore

from edgeagents.state_folder import StateFolder
from edgeagents.stores import Stores
from edgeagents.testing import ManualClock

SIZE = 50_000
KEYS = [f"key {number}" for number in range(20)]


def bucket_in(stores: Stores) -> R2Bucket:
    return R2Bucket(BucketStore(stores, "b"), ManualClock(), random.Random(0))


async def test_objects_in_a_backup_have_their_bytes_however_many_write(tmp_path: Path) -> None:
    (tmp_path / "state" / "objects").mkdir(parents=True)
    stores = Stores(tmp_path / "state")
    bucket = bucket_in(stores)
    for key in KEYS:
        await bucket.put(key, b"a" * SIZE)
    upload = await bucket.create_multipart_upload("large")
    part = await upload.upload_part(1, b"p" * SIZE)
    is_done = asyncio.Event()

    async def go_on() -> None:
        while not is_done.is_set():
            for key in KEYS:
                await bucket.put(key, b"b" * SIZE)
                await bucket.delete("gone")
                await bucket.put("gone", b"c" * SIZE)

    writing = asyncio.create_task(go_on())
    for _ in range(3):
        await asyncio.to_thread(StateFolder(tmp_path / "state").backup, tmp_path / "backup")
        copied = Stores(tmp_path / "backup")
        found = bucket_in(copied)
        for key in KEYS:
            content = await (await found.get(key)).bytes()
            assert content in (b"a" * SIZE, b"b" * SIZE)
        gone = await found.get("gone")
        assert gone is None or await gone.bytes() == b"c" * SIZE
        copied.close()
    is_done.set()
    await writing
    stores.close()
    copied = Stores(tmp_path / "backup")
    resumed = bucket_in(copied).resume_multipart_upload("large", upload.upload_id)
    await resumed.complete([part])
    large = await bucket_in(copied).get("large")
    assert await large.bytes() == b"p" * SIZE
    copied.close()
