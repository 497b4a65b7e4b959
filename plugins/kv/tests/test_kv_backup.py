"""A backup of a namespace that is written to meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from edgeagents_kv import plugin

from edgeagents import Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.objects.whole_files import WholeFiles
from edgeagents.state_folder import StateFolder
from edgeagents.worker import Worker

LARGE = 200_000
KEYS = [f"key {number}" for number in range(20)]


def value(letter: str) -> str:
    return letter * LARGE


def serving(state: Path) -> Runtime:
    worker = Worker("w", bindings=(BindingDeclaration("KV", "kv_namespace"),))
    return Runtime(worker, storage=state, plugins=[plugin], discover_plugins=False)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    (tmp_path / "state" / "objects").mkdir(parents=True)
    async with serving(tmp_path / "state") as runtime:
        for key in KEYS:
            await runtime.env.KV.put(key, value("a"))
        yield runtime


async def back_up(tmp_path: Path) -> None:
    await asyncio.to_thread(StateFolder(tmp_path / "state").backup, tmp_path / "backup")


async def values_in_backup(tmp_path: Path) -> dict[str, str | None]:
    async with serving(tmp_path / "backup") as backup:
        return {key: await backup.env.KV.get(key) for key in [*KEYS, "another"]}


async def test_a_backup_names_nothing_that_it_lacks_when_values_are_replaced_and_removed_meanwhile(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kv, loop, copy = runtime.env.KV, asyncio.get_running_loop(), WholeFiles.copy

    async def change(before: str, after: str) -> None:
        await kv.put(KEYS[0], before)
        await kv.delete(KEYS[1])
        await kv.put("another", after)

    def copied(self, source, target, *rest):
        # Files were looked at before this, and are copied after it.
        asyncio.run_coroutine_threadsafe(change(value("b"), value("b")), loop).result()
        copy(self, source, target, *rest)
        asyncio.run_coroutine_threadsafe(change(value("c"), "small"), loop).result()

    with monkeypatch.context() as patch:
        patch.setattr(WholeFiles, "copy", copied)
        await back_up(tmp_path)
    found = await values_in_backup(tmp_path)
    assert (found[KEYS[0]], found[KEYS[1]], found["another"]) == (value("b"), None, value("b"))
    assert all(found[key] == value("a") for key in KEYS[2:])
    assert (await kv.get(KEYS[0]), await kv.get("another")) == (value("c"), "small")


async def test_a_backup_is_of_one_moment_however_many_write(runtime: Runtime, tmp_path: Path) -> None:
    kv, is_done = runtime.env.KV, asyncio.Event()

    async def go_on() -> None:
        letter = 0
        while not is_done.is_set():
            letter = (letter + 1) % 26
            for key in KEYS:
                await kv.put(key, value(chr(ord("a") + letter)))

    writing = asyncio.create_task(go_on())
    await back_up(tmp_path)
    await back_up(tmp_path)
    is_done.set()
    await writing
    found = await values_in_backup(tmp_path)
    letters = [(found[key] or "")[0] for key in KEYS]
    # They are written in turn: at one moment the first ones have the next letter, and the others the one before.
    assert sum(one != other for one, other in pairwise(letters)) <= 1
    assert all(len(found[key] or "") == LARGE for key in KEYS)


async def test_a_backup_that_is_brought_up_to_date_forgets_what_is_not_there_any_more(
    runtime: Runtime, tmp_path: Path
) -> None:
    def files(folder: str) -> int:
        return len(list((tmp_path / folder).rglob("*.values/*")))

    await back_up(tmp_path)
    kept = {file.stat().st_ino for file in (tmp_path / "backup").rglob("*.values/*")}
    for key in KEYS[1:]:
        await runtime.env.KV.delete(key)
    await back_up(tmp_path)
    assert (files("state"), files("backup")) == (1, 1)
    assert {file.stat().st_ino for file in (tmp_path / "backup").rglob("*.values/*")} <= kept
    assert (await values_in_backup(tmp_path))[KEYS[0]] == value("a")
    assert not [path for path in (tmp_path / "state").iterdir() if path.name.startswith(".making-")]


async def test_a_backup_holds_files_by_copies_where_a_disk_knows_no_links(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("edgeagents.held_files.os.link", refuse)
    await back_up(tmp_path)
    assert (await values_in_backup(tmp_path))[KEYS[7]] == value("a")


async def test_a_value_that_is_being_written_is_in_no_backup(runtime: Runtime, tmp_path: Path) -> None:
    new = runtime.env.KV._files.new("half")
    new.write_now(b"x" * LARGE)
    await back_up(tmp_path)
    new.drop()
    assert len(list((tmp_path / "backup").rglob("*.values/*"))) == len(KEYS)
    assert len(list((tmp_path / "state").rglob("*.values/*"))) == len(KEYS)
