"""A disk that is full, read-only or failing, and too few descriptors: requests fail with 503, and all is well after."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import httpx
import pytest

from edgeagents import AgentsMiddleware
from edgeagents.errors import ConfigError, ObjectReset, StorageUnavailable
from edgeagents.objects import DurableObject
from edgeagents.objects.durable_object import DurableObject as Base
from edgeagents.testing import ManualClock, agent_runtime

MIB = 1024 * 1024


class Ledger(DurableObject):
    """Keeps numbers, each in two places: they agree whatever happens."""

    async def add(self, number, size=1):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS ledger (number INTEGER, text BLOB)")
        sql.exec("INSERT INTO ledger VALUES (?, ?)", number, bytes(size))
        await self.ctx.storage.put("last", number)

    async def numbers(self):
        return [row["number"] for row in self.ctx.storage.sql.exec("SELECT number FROM ledger ORDER BY rowid")]

    async def last(self):
        return await self.ctx.storage.get("last")

    async def check(self):
        return self.ctx.storage.sql.exec("PRAGMA quick_check").to_array()

    async def wake_in(self, milliseconds):
        await self.ctx.storage.set_alarm(self.ctx.clock.now().timestamp() * 1_000 + milliseconds)

    async def alarm(self):
        await self.add(-1)

    async def fetch(self, request):
        if request.method == "POST":
            await self.add(int((await request.body()).decode()))
        return f"{await self.last()}"


class World:
    """A runtime on a disk, and what was acknowledged."""

    def __init__(self, runtime) -> None:
        self.runtime = runtime
        self.acknowledged: list[int] = []
        self.next = 0

    @property
    def ledger(self):
        return self.runtime.namespaces["Ledger"].get_by_name("l")

    async def add(self, size=1) -> None:
        self.next += 1
        await self.ledger.add(self.next, size)
        self.acknowledged.append(self.next)

    async def add_until_it_fails(self, size) -> BaseException:
        for _ in range(10_000):
            try:
                await self.add(size)
            except StorageUnavailable as error:
                return error
        raise AssertionError("It never failed.")

    async def fails(self) -> None:
        with pytest.raises(StorageUnavailable):
            await self.add()

    async def is_consistent(self) -> None:
        """Everything acknowledged is there, in order, and what was refused at most in whole."""
        numbers = await self.ledger.numbers()
        assert numbers == sorted(set(numbers))
        assert set(self.acknowledged) <= set(numbers)
        assert await self.ledger.last() == numbers[-1]
        assert await self.ledger.check() == [{"quick_check": "ok"}]


@contextmanager
def disk(folder: Path, size: int = 3 * MIB) -> Iterator[Path]:
    """A disk of this size of its own, where that may be made."""
    folder.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("needs a disk of its own: only root may mount one")
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False)
    if made.returncode:
        pytest.skip("a disk of its own cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def small_disk(tmp_path):
    with disk(tmp_path / "disk") as folder:
        yield folder


@pytest.fixture(params=["full", "normal"])
async def world(request, small_disk):
    async with agent_runtime(Ledger, storage=small_disk / "state", durability=request.param) as runtime:
        world = World(runtime)
        await world.add()
        yield world


def fill(folder: Path) -> Path:
    """Leave no byte of the disk."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(64 * 1024))
    assert shutil.disk_usage(folder).free == 0
    return ballast


async def test_a_full_disk_refuses_and_recovers(world, small_disk):
    ballast = fill(small_disk)
    error = await world.add_until_it_fails(30_000)
    assert isinstance(error, StorageUnavailable)
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            await world.add(200_000)
    await world.is_consistent()
    ballast.unlink()
    await world.add(100_000)
    await world.is_consistent()


async def test_an_object_that_grows_until_the_disk_is_full_keeps_what_was_acknowledged(world):
    await world.add_until_it_fails(40_000)
    assert len(world.acknowledged) > 5
    await world.is_consistent()


async def test_a_new_object_on_a_full_disk_is_refused_and_is_there_later(world, small_disk):
    ballast = fill(small_disk)
    other = world.runtime.namespaces["Ledger"].get_by_name("other")
    with pytest.raises(StorageUnavailable):
        await other.add(1)
    other = world.runtime.namespaces["Ledger"].get_by_name("other")
    assert await other.last() is None
    ballast.unlink()
    await other.add(1)
    assert await other.numbers() == [1]


async def test_an_alarm_can_be_set_again_once_the_disk_has_room(small_disk):
    clock = ManualClock()
    async with agent_runtime(Ledger, storage=small_disk / "state", durability="full", clock=clock) as runtime:
        world = World(runtime)
        await world.add()
        await world.ledger.wake_in(1_000_000)
        ballast = fill(small_disk)
        await world.add_until_it_fails(30_000)
        for number in range(50):
            try:
                await runtime.namespaces["Ledger"].get_by_name(f"other {number}").wake_in(1_000)
            except StorageUnavailable:
                break
        ballast.unlink()
        await world.ledger.wake_in(1_000)
        await clock.advance(2)
        assert await world.ledger.last() == -1


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write in ``folder``, for which this must not be root either."""
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(user)
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)


async def test_a_folder_that_has_become_read_only_refuses_and_recovers():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        state = Path(folder) / "state"
        async with agent_runtime(Ledger, storage=state, durability="full") as runtime:
            world = World(runtime)
            await world.add()
            evict_all(runtime)
            with read_only(state):
                await world.fails()
                await world.fails()
                with pytest.raises(StorageUnavailable):
                    await runtime.namespaces["Ledger"].get_by_name("new").add(1)
            await world.add()
            await world.is_consistent()
            await runtime.namespaces["Ledger"].get_by_name("new").add(1)


def evict_all(runtime) -> None:
    for directory in runtime._running.objects.directories.values():
        for slot in directory.slots():
            assert slot.activation.evict()


async def test_a_server_does_not_start_on_a_folder_that_it_cannot_use(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="state folder"):
        async with agent_runtime(Ledger, storage=tmp_path / "file" / "state"):
            """It must not get here."""


# An I/O error


_BASE = apsw.vfs_names()[0]


class FaultyDisk(apsw.VFS):
    """SQLite's own way to the disk, with errors on demand."""

    def __init__(self) -> None:
        self.fails: set[str] = set()
        self.failed = 0
        self.name = "faulty"
        super().__init__(self.name, _BASE, makedefault=True)

    def xOpen(self, name, flags):
        return _FaultyFile(self, name, flags)

    def fault(self, what: str, error: type[Exception]) -> None:
        if what in self.fails:
            self.failed += 1
            raise error(f"{what} failed")


class _FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name, flags) -> None:
        self._disk = disk
        super().__init__(_BASE, name, flags)

    def xWrite(self, data, offset):
        self._disk.fault("write", apsw.IOError)
        super().xWrite(data, offset)

    def xSync(self, flags):
        self._disk.fault("sync", apsw.IOError)
        super().xSync(flags)

    def xRead(self, amount, offset):
        self._disk.fault("read", apsw.IOError)
        return super().xRead(amount, offset)


@pytest.fixture
def faulty_disk():
    disk = FaultyDisk()
    yield disk
    disk.unregister()


@pytest.mark.parametrize("what", ["write", "read"])
async def test_an_io_error_refuses_and_the_object_recovers(tmp_path, faulty_disk, what):
    async with agent_runtime(Ledger, storage=tmp_path, durability="full") as runtime:
        world = World(runtime)
        for _ in range(3):
            await world.add(20_000)
        evict_all(runtime)
        faulty_disk.fails.add(what)
        for _ in range(3):
            await world.fails()
        assert faulty_disk.failed
        faulty_disk.fails.clear()
        await world.add()
        await world.is_consistent()


async def test_a_checkpoint_that_fails_is_tried_again_and_refuses_nothing(tmp_path, faulty_disk, caplog):
    async with agent_runtime(Ledger, storage=tmp_path, durability="full") as runtime:
        world = World(runtime)
        await world.add()
        faulty_disk.fails.add("sync")
        for _ in range(40):
            await world.add(400_000)
        assert faulty_disk.failed
        assert "could not be moved into the database" in caplog.text
        faulty_disk.fails.clear()
        for _ in range(15):
            await world.add(400_000)
        await world.is_consistent()
        (database,) = tmp_path.rglob("objects/*/*.sqlite")
        assert database.stat().st_size > 6 * MIB


async def test_a_sync_that_fails_is_not_acknowledged(tmp_path, monkeypatch):
    async with agent_runtime(Ledger, storage=tmp_path, durability="full") as runtime:
        world = World(runtime)
        await world.add()

        def fail(descriptor):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            await world.fails()
            await world.fails()
        await world.add()
        await world.is_consistent()


# Descriptors


@contextmanager
def few_descriptors(left: int) -> Iterator[None]:
    """Leave the process so many descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_without_descriptors_requests_are_refused_and_served_later(tmp_path):
    async with agent_runtime(Ledger, storage=tmp_path, durability="full") as runtime:
        world = World(runtime)
        await world.add()
        with few_descriptors(0):
            await world.fails()
            with pytest.raises(StorageUnavailable):
                await runtime.namespaces["Ledger"].get_by_name("new").add(1)
        await world.add()
        await world.is_consistent()
        await runtime.namespaces["Ledger"].get_by_name("new").add(1)


# What a client sees


class Server(Base):
    async def fetch(self, request):
        await self.ctx.storage.put("n", (await self.ctx.storage.get("n") or 0) + 1)
        return f"{await self.ctx.storage.get('n')}"


async def test_a_client_is_told_to_come_back(tmp_path, monkeypatch, caplog):
    async def app(scope, receive, send):
        raise AssertionError("no agent's path")

    agents = AgentsMiddleware(app, agents=[Server], storage=tmp_path, discover_plugins=False)
    transport = httpx.ASGITransport(agents)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/agents/server/a")).text == "1"

        def fail(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            answer = await client.get("/agents/server/a")
            fresh = await client.get("/agents/server/b")
        for refused in (answer, fresh):
            assert refused.status_code == 503
            assert refused.text == "The storage of this agent is unavailable. Try again later."
            assert refused.headers["retry-after"] == "5"
            assert str(tmp_path) not in refused.text
        assert "No space left on device" in caplog.text
        assert (await client.get("/agents/server/a")).status_code == 200
    await agents.runtime.stop()


class Strict(Base):
    """Writes what a deferred constraint forbids."""

    async def fetch(self, request):
        sql = self.ctx.storage.sql
        sql.exec("create table parents (id integer primary key)")
        sql.exec("create table children (parent integer references parents (id) deferrable initially deferred)")
        sql.exec("insert into children values (1)")


async def test_a_client_is_not_told_to_come_back_when_the_code_is_at_fault(tmp_path, caplog):
    async def app(scope, receive, send):
        raise AssertionError("no agent's path")

    agents = AgentsMiddleware(app, agents=[Strict], storage=tmp_path, discover_plugins=False)
    transport = httpx.ASGITransport(agents)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get("/agents/strict/a")
    await agents.runtime.stop()

    assert (answer.status_code, answer.text) == (500, "Internal Server Error")
    assert "retry-after" not in answer.headers
    assert "FOREIGN KEY constraint failed" in caplog.text
    assert "The object is reset, and nothing of it is kept." in caplog.text


async def test_whoever_waits_hears_that_the_object_was_reset(tmp_path, monkeypatch):
    async with agent_runtime(Ledger, storage=tmp_path, durability="full") as runtime:
        world = World(runtime)
        await world.add()

        def fail(descriptor):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            results = await asyncio.gather(*(world.ledger.add(number) for number in (7, 8)), return_exceptions=True)
        assert all(isinstance(error, ObjectReset) and error.retryable for error in results), results


_SMALL_FILES = """
import asyncio, resource, signal, sys
from edgeagents.errors import StorageUnavailable
from edgeagents.testing import agent_runtime
from tests.objects.test_faults import Ledger, World

async def main():
    async with agent_runtime(Ledger, storage=sys.argv[1], durability="full") as runtime:
        world = World(runtime)
        await world.add()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        await world.add_until_it_fails(20_000)
        await world.is_consistent()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await world.add(20_000)
        await world.is_consistent()
        print(len(world.acknowledged))

asyncio.run(main())
"""


def test_files_that_may_not_grow_refuse_and_recover(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _SMALL_FILES, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=os.getcwd(),
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 3
