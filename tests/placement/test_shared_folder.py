"""The folder of the owners: what a process does when it cannot be written, and what it leaves there."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeagents import Agent, Runtime
from edgeagents.errors import StorageUnavailable
from edgeagents.hookspecs import hookimpl
from edgeagents.local_objects import LocalObjects
from edgeagents.objects import Lease, Namespaces
from edgeagents.placement import FolderClaim, members
from edgeagents.placement.members import Member, Peer
from edgeagents.placement.registry import Registry
from edgeagents.placement.shared_folder import SharedFolder
from edgeagents.testing import agent_runtime


class Desk(Agent):
    async def greet(self) -> str:
        return "hello"


class Placing:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @hookimpl
    def placement(self) -> SharedFolder:
        return SharedFolder(self._folder, lease_seconds=0.5)


@pytest.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with agent_runtime(Desk, storage=tmp_path, durability="normal", plugins=[Placing(tmp_path)]) as made:
        yield made


def desk(runtime: Runtime) -> Any:
    return runtime.namespaces["Desk"].get_by_name("d")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def locked(folder: Path) -> sqlite3.Connection:
    holder = sqlite3.connect(folder / "owners" / "registry.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    return holder


async def test_leases_that_once_could_not_be_renewed_are_renewed_the_next_time(runtime, monkeypatch, caplog):
    failures = 2
    write = os.pwrite

    def full(*args: Any) -> int:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(28, "No space left on device")
        return write(*args)

    member = runtime.placement._member
    before = member.holds_until
    monkeypatch.setattr(members.os, "pwrite", full)
    await until(lambda: not failures)
    await until(lambda: runtime.placement._member.holds_until > before)
    assert await desk(runtime).greet() == "hello"
    assert "could not be renewed: [Errno 28] No space left on device" in caplog.text


async def test_a_process_that_cannot_join_again_tries_until_it_can(runtime, tmp_path, caplog):
    placement = runtime.placement
    member = placement._member
    placement._registry._database.execute("PRAGMA busy_timeout = 1")
    with closing(locked(tmp_path)):
        member.holds_until = 0.0
        await until(lambda: "owns nothing until it can join again" in caplog.text)
        assert placement._member is member
    await until(lambda: placement._member is not member)
    assert await desk(runtime).greet() == "hello"


async def test_what_cannot_be_given_up_is_kept(runtime, tmp_path):
    placement = runtime.placement
    placement._registry._database.execute("PRAGMA busy_timeout = 1")
    with closing(locked(tmp_path)), pytest.raises(StorageUnavailable, match=r"registry\.db cannot be used: .*locked"):
        placement._give_up(1000)
    assert all(lease is not None for lease in placement._leases)


async def test_a_call_waits_while_the_owners_cannot_be_told(runtime, tmp_path):
    async with agent_runtime(Desk, storage=tmp_path, durability="normal", plugins=[Placing(tmp_path)]) as other:
        other.placement._registry._database.execute("PRAGMA busy_timeout = 1")
        claims = 0
        claim = other.placement._registry.claim

        def counted(*args: Any) -> Any:
            nonlocal claims
            claims += 1
            return claim(*args)

        other.placement._registry.claim = counted
        other.placement._owners.clear()
        with closing(locked(tmp_path)):
            call = asyncio.ensure_future(desk(other).greet())
            await until(lambda: claims > 2 or call.done())
        assert await call == "hello"


def test_a_process_that_stopped_while_it_changed_the_owners_is_ended(tmp_path):
    code = (
        "import os, signal; from pathlib import Path; from edgeagents.placement.registry import Registry\n"
        f"r = Registry(Path({str(tmp_path)!r})); m = r.join(lambda n: '/none', 0.0); r.claim(m, 3)\n"
        "r._database.execute('BEGIN IMMEDIATE'); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    registry = Registry(tmp_path)
    registry._database.execute("PRAGMA busy_timeout = 1")
    member = registry.join(lambda number: "/here", 60)
    stopped = subprocess.Popen([sys.executable, "-c", code])
    os.waitpid(stopped.pid, os.WUNTRACED)
    with pytest.raises(StorageUnavailable):
        registry.claim(member, 3)
    registry.end_lapsed()
    assert stopped.wait(timeout=10) == -signal.SIGKILL
    assert isinstance(registry.claim(member, 3), Lease)
    member.leave()
    registry.close()


def test_the_folder_that_was_made_for_a_socket_goes_with_a_dead_process(tmp_path):
    made = tempfile.mkdtemp(prefix="edgeagents-", dir=tmp_path)
    Path(made, "1.sock").touch()
    folder = tmp_path / "owners"
    folder.mkdir()
    member = Member(folder, 1, f"{made}/1.sock", 5.0)
    peer = members.find(folder, 1)
    assert isinstance(peer, Peer)
    member.drop()
    assert peer.standing == "dead"
    peer.bury()
    assert not Path(made).exists()
    assert list(folder.iterdir()) == []


def test_joining_that_is_not_kept_leaves_nobody(tmp_path, monkeypatch):
    registry = Registry(tmp_path)
    registry._database.execute("CREATE TABLE of (n INTEGER REFERENCES shards (shard) DEFERRABLE INITIALLY DEFERRED)")
    registry._database.execute("PRAGMA foreign_keys = ON")

    def socket(number: int) -> str:
        registry._database.execute("INSERT INTO of VALUES (9)")
        return "/here"

    with pytest.raises(sqlite3.IntegrityError):
        registry.join(socket, 60)
    assert registry.count_members() == 0
    registry.close()


async def test_a_start_that_fails_half_way_leaves_nothing_behind(tmp_path, monkeypatch):
    folder = tmp_path / ("a name that is too long for a socket beside the registry" * 2)
    made: list[str] = []
    make = tempfile.mkdtemp

    def noted(**options: Any) -> str:
        made.append(make(**options))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", noted)
    in_the_way = folder / "owners" / "registry.db"
    in_the_way.mkdir(parents=True)
    local, placement = LocalObjects(None, Namespaces()), SharedFolder(folder)
    with pytest.raises(StorageUnavailable, match="registry"):
        await placement.start(local)
    assert list((folder / "owners").iterdir()) == [in_the_way]
    assert there(made) == [False]
    whole = FolderClaim(folder)
    whole.take_whole()
    whole.release()
    in_the_way.rmdir()
    await placement.start(local)
    await placement.stop()
    assert there(made) == [False, False]


def there(folders: list[str]) -> list[bool]:
    return [Path(folder).exists() for folder in folders]


def test_only_a_process_that_has_the_lock_is_killed(tmp_path):
    """The process that had the pid may have ended, and another one have it."""
    member = Member(tmp_path, 1, "/nowhere.sock", 0.0)
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with stranger:
        peer = members.find(tmp_path, 1)
        assert isinstance(peer, Peer)
        member.drop()
        replace(peer, pid=stranger.pid).end()
        assert stranger.poll() is None
