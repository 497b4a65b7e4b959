"""Bookmarks: an object's database as it was after any commit, at a time, and before it was restored."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgeagents.errors import ConfigError, ObjectReset, OwnershipLost, StorageError
from edgeagents.objects import DurableObject, History, Lease
from edgeagents.objects.sqlite import Database
from edgeagents.testing import ManualClock, agent_runtime, settle

pytestmark = [
    pytest.mark.cloudflare(
        "Durable Objects",
        "point-in-time recovery: `getCurrentBookmark`, `getBookmarkForTime`, `onNextSessionRestoreBookmark`",
        "same; 30 days and 256 MiB of history an object unless `history=` says otherwise",
    ),
    pytest.mark.cloudflare(
        "Durable Objects",
        "point-in-time recovery of objects in memory, or kept by Python's own `sqlite3`",
        "different: an error says what it takes",
    ),
]


class Diary(DurableObject):
    async def write(self, text):
        sql = self.ctx.storage.sql
        sql.exec("CREATE TABLE IF NOT EXISTS pages (id INTEGER PRIMARY KEY, text TEXT)")
        sql.exec("INSERT INTO pages (text) VALUES (?)", text)
        await self.ctx.storage.put("last", text)

    async def write_much(self, count, size=3_000):
        for number in range(count):
            self.ctx.storage.sql.exec("INSERT INTO pages (text) VALUES (?)", f"{number}" * size)
            await self.ctx.storage.sync()

    async def read(self):
        try:
            rows = self.ctx.storage.sql.exec("SELECT count(*) AS n, max(id) AS last FROM pages").one()
        except StorageError:
            return None
        return rows["n"], await self.ctx.storage.get("last")

    async def wake_in(self, seconds):
        await self.ctx.storage.set_alarm(timedelta(seconds=seconds))

    async def alarm_time(self):
        return await self.ctx.storage.get_alarm()

    async def alarm(self):
        await self.ctx.storage.put("last", "woken")

    async def forget(self):
        await self.ctx.storage.delete_all()

    async def bookmark(self):
        return await self.ctx.storage.get_current_bookmark()

    async def bookmark_at(self, when):
        return await self.ctx.storage.get_bookmark_for_time(when)

    async def go_back(self, bookmark):
        return await self.ctx.storage.on_next_session_restore_bookmark(bookmark)

    async def start_anew(self):
        self.ctx.abort("to be restored")

    async def child(self, name):
        return self.ctx.facets.get(name, Diary)


async def restored(runtime, bookmark, name="ann"):
    """Restore the diary to ``bookmark``; return it and what undoes that."""
    undo = await diary(runtime, name).go_back(bookmark)
    await restarted(runtime, name)
    return diary(runtime, name), undo


async def restarted(runtime, name="ann"):
    with pytest.raises(ObjectReset, match="to be restored"):
        await diary(runtime, name).start_anew()
    return diary(runtime, name)


def diary(runtime, name="ann"):
    return runtime.namespaces["Diary"].get_by_name(name)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["full", "normal"])
async def runtime(request, tmp_path, clock):
    async with agent_runtime(Diary, storage=tmp_path, durability=request.param, clock=clock) as runtime:
        yield runtime


def history(tmp_path) -> list[Path]:
    return sorted(path for path in tmp_path.rglob("*.history/*"))


async def test_everything_comes_back_as_it_was(runtime):
    ann = diary(runtime)
    await ann.write("one")
    first = await ann.bookmark()
    await ann.write("two")
    second = await ann.bookmark()
    await ann.write("three")
    ann, _ = await restored(runtime, first)
    assert await ann.read() == (1, "one")
    ann, _ = await restored(runtime, second)
    assert await ann.read() == (2, "two")


async def test_a_later_state_has_the_greater_bookmark_also_after_restoring(runtime):
    ann = diary(runtime)
    bookmarks = [await ann.bookmark()]
    for text in ("one", "two"):
        await ann.write(text)
        bookmarks.append(await ann.bookmark())
    await ann.write("three")
    ann, undo = await restored(runtime, bookmarks[1])
    bookmarks += [undo, await ann.bookmark()]
    await ann.write("four")
    bookmarks.append(await ann.bookmark())
    assert bookmarks == sorted(set(bookmarks))


async def test_a_state_that_did_not_change_has_one_bookmark(runtime):
    ann = diary(runtime)
    await ann.write("one")
    bookmark = await ann.bookmark()
    await ann.read()
    assert await ann.bookmark() == bookmark
    ann = await restarted(runtime)
    assert await ann.bookmark() == bookmark


async def test_nothing_happens_before_the_object_starts_anew(runtime):
    ann = diary(runtime)
    await ann.write("one")
    first = await ann.bookmark()
    await ann.write("two")
    await ann.go_back(first)
    assert await ann.read() == (2, "two")
    await ann.write("three")
    assert await ann.read() == (3, "three")
    ann = await restarted(runtime)
    assert await ann.read() == (1, "one")


async def test_the_bookmark_that_undoes_it_means_the_last_state_before(runtime):
    ann = diary(runtime)
    await ann.write("one")
    first = await ann.bookmark()
    undo = await ann.go_back(first)
    await ann.write("written after all that")
    ann = await restarted(runtime)
    assert await ann.read() == (1, "one")
    ann, again = await restored(runtime, undo)
    assert await ann.read() == (2, "written after all that")
    ann, _ = await restored(runtime, again)
    assert await ann.read() == (1, "one")


async def test_the_bookmark_that_undoes_it_calls_it_off_before_the_start(runtime):
    ann = diary(runtime)
    await ann.write("one")
    first = await ann.bookmark()
    await ann.write("two")
    undo = await ann.go_back(first)
    await ann.go_back(undo)
    ann = await restarted(runtime)
    assert await ann.read() == (2, "two")


async def test_an_object_can_go_back_to_before_its_first_write(runtime):
    ann = diary(runtime)
    nothing = await ann.bookmark()
    await ann.write("one")
    ann, _ = await restored(runtime, nothing)
    assert await ann.read() is None
    await ann.write("anew")
    assert await ann.read() == (1, "anew")


async def test_delete_all_can_be_undone(runtime):
    ann = diary(runtime)
    await ann.write("one")
    bookmark = await ann.bookmark()
    await ann.forget()
    assert await ann.read() is None
    ann, _ = await restored(runtime, bookmark)
    assert await ann.read() == (1, "one")


async def test_the_alarm_comes_back_and_runs(runtime, clock):
    ann = diary(runtime)
    await ann.write("one")
    await ann.wake_in(60)
    due = await ann.alarm_time()
    bookmark = await ann.bookmark()
    await ann.forget()
    await ann.go_back(bookmark)
    await restarted(runtime)
    # Nobody calls it: the alarm alone wakes the object.
    await clock.advance(61)
    await settle()
    ann = diary(runtime)
    assert await ann.read() == (1, "woken")
    ann, _ = await restored(runtime, bookmark)
    assert await ann.alarm_time() in (due, None)


async def test_a_state_is_found_by_its_time(runtime, clock):
    ann = diary(runtime)
    began = clock.now()
    times = {}
    for number in range(1, 6):
        await clock.advance(3_600)
        await ann.write(f"page {number}")
        times[number] = clock.now() + timedelta(seconds=1)
    await clock.advance(7_200)
    for number, when in times.items():
        bookmark = await ann.bookmark_at(when)
        ann, _ = await restored(runtime, bookmark)
        assert await ann.read() == (number, f"page {number}")
    ann, _ = await restored(runtime, await ann.bookmark_at(began))
    assert await ann.read() is None


async def test_times_are_what_cloudflare_takes(runtime, clock):
    ann = diary(runtime)
    await ann.write("one")
    first = await ann.bookmark()
    await clock.advance(100)
    await ann.write("two")
    when = clock.now() - timedelta(seconds=50)
    assert await ann.bookmark_at(when) == first
    assert await ann.bookmark_at(when.timestamp() * 1_000) == first
    assert await ann.bookmark_at(timedelta(seconds=-50)) == first
    assert await ann.bookmark_at(clock.now() + timedelta(days=1)) == await ann.bookmark()


async def test_times_are_found_after_the_object_left_memory_and_the_server_stopped(tmp_path, clock):
    times = {}
    for number in range(1, 5):
        async with agent_runtime(Diary, storage=tmp_path, durability="full", clock=clock) as runtime:
            await diary(runtime).write(f"page {number}")
            await clock.advance(0.5)
            times[number] = clock.now()
            await clock.advance(3_600)
    async with agent_runtime(Diary, storage=tmp_path, durability="full", clock=clock) as runtime:
        for number, when in reversed(times.items()):
            ann, _ = await restored(runtime, await diary(runtime).bookmark_at(when))
            assert await ann.read() == (number, f"page {number}")


async def test_a_burst_of_writes_is_found_by_its_end(runtime, clock):
    ann = diary(runtime)
    await ann.write("before")
    await clock.advance(100)
    for number in range(5):
        await ann.write(f"burst {number}")
        await clock.advance(0.1)
    await clock.advance(100)
    when = clock.now() - timedelta(seconds=50)
    await ann.write("after")
    ann, _ = await restored(runtime, await ann.bookmark_at(when))
    assert await ann.read() == (6, "burst 4")


async def test_states_of_before_and_after_the_log_was_moved_come_back(runtime):
    ann = diary(runtime)
    await ann.write("first")
    states = {await ann.bookmark(): await ann.read()}
    for number in range(8):
        await ann.write_much(250)
        await ann.write(f"page {number}")
        states[await ann.bookmark()] = await ann.read()
    logs = {bookmark.split("-")[1] for bookmark in states}
    assert len(logs) > 2, "too little was written to see more than one log"
    for bookmark, state in states.items():
        ann, _ = await restored(runtime, bookmark)
        assert await ann.read() == state


async def test_an_object_that_wrote_once_has_no_file_of_history(runtime, tmp_path):
    await diary(runtime).read()
    await diary(runtime).write("one")
    await diary(runtime, "bob").read()
    assert history(tmp_path) == []


async def test_restoring_survives_a_process_that_died_before_it_was_over(tmp_path, clock):
    async with agent_runtime(Diary, storage=tmp_path, durability="full", clock=clock) as runtime:
        ann = diary(runtime)
        await ann.write("one")
        first = await ann.bookmark()
        await ann.write("two")
        undo = await ann.go_back(first)
        (prepared,) = tmp_path.rglob("restore.sqlite")
        copy = prepared.read_bytes()
        ann = await restarted(runtime)
        assert await ann.read() == (1, "one")
    # As if it had died before it took away what was restored.
    prepared.write_bytes(copy)
    async with agent_runtime(Diary, storage=tmp_path, durability="full", clock=clock) as runtime:
        assert await diary(runtime).read() == (1, "one")
        await diary(runtime).write("three")
        assert not prepared.exists()
        ann, _ = await restored(runtime, undo)
        assert await ann.read() == (2, "two")


async def test_a_bookmark_of_another_object_or_of_nothing_is_refused(runtime):
    ann = diary(runtime)
    await ann.write("ann's")
    await diary(runtime, "bob").write("bob's")
    bobs = await diary(runtime, "bob").bookmark()
    log, salts = bobs.split("-")[1], bobs.split("-")[3]
    for bookmark in (bobs, "yesterday", "", f"00000000-{log}-00000001-{salts}", f"00000000-00000007-00000001-{salts}"):
        with pytest.raises(StorageError, match="bookmark"):
            await ann.go_back(bookmark)
    ann = await restarted(runtime)
    assert await ann.read() == (1, "ann's")


async def test_a_bookmark_in_the_midst_of_a_commit_is_refused(runtime):
    ann = diary(runtime)
    await ann.write("one")
    epoch, log, frames, salts = (await ann.bookmark()).split("-")
    for number in range(1, int(frames, 16)):
        with pytest.raises(StorageError, match="not one of this object's"):
            await ann.go_back(f"{epoch}-{log}-{number:08x}-{salts}")


async def test_facets_have_a_past_of_their_own(tmp_path, clock):
    class Parent(DurableObject):
        async def tell(self, text):
            await self.ctx.facets.get("child", Diary).write(text)
            return await self.ctx.facets.get("child", Diary).bookmark()

        async def restore(self, bookmark):
            await self.ctx.facets.get("child", Diary).go_back(bookmark)
            self.ctx.facets.abort("child")
            return await self.ctx.facets.get("child", Diary).read()

        async def remove(self):
            self.ctx.facets.delete("child")

    async with agent_runtime(Parent, storage=tmp_path, durability="full", clock=clock) as runtime:
        parent = runtime.namespaces["Parent"].get_by_name("p")
        one = await parent.tell("one")
        await parent.tell("two")
        assert await parent.restore(one) == (1, "one")
        assert history(tmp_path)
        await parent.remove()
        assert history(tmp_path) == []


async def test_in_memory_an_error_says_what_it_takes():
    async with agent_runtime(Diary) as runtime:
        await diary(runtime).write("one")
        with pytest.raises(StorageError, match="storage is a folder"):
            await diary(runtime).bookmark()


async def test_without_history_an_error_says_so(tmp_path):
    async with agent_runtime(Diary, storage=tmp_path, history=None) as runtime:
        await diary(runtime).write("one")
        with pytest.raises(StorageError, match="history=None"):
            await diary(runtime).bookmark()
        assert history(tmp_path) == []


def test_a_history_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="history=None"):
        History(days=0)


# The files


class Moment:
    """A database without an object around it."""

    def __init__(self, path: Path, settings: History | None = None) -> None:
        self.path, self.settings = path, settings or History()
        self.time = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
        self.open()

    def open(self) -> None:
        self.database = Database.open(self.path)
        self.database.past.keep(self.settings, lambda: self.time)

    def reopen(self) -> None:
        self.database.close()
        self.open()

    def write(self, number: int, size: int = 100) -> None:
        self.database.object_sql.run("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, n, text)", ())
        self.database.object_sql.run("INSERT INTO t (n, text) VALUES (?, ?)", (number, str(number) * size))
        self.database.commit()
        self.database.sync()
        self.database.tidy()

    def fill(self, pages: int) -> None:
        """Write so much that the log is moved."""
        for number in range(pages // 10):
            self.write(number, 36_000 // len(str(number)))

    def bookmark(self) -> str:
        bookmark = self.database.past.bookmark()
        assert bookmark is not None
        return bookmark

    def content(self):
        if not self.database.exists or not self.database.fetch("SELECT 1 FROM sqlite_schema WHERE name = 't'"):
            return []
        return self.database.fetch("SELECT id, n, length(text) FROM t ORDER BY id")

    def restore(self, bookmark: str) -> str:
        undo, _ = self.database.past.restore_at_next_start(bookmark)
        self.reopen()
        return undo

    def files(self, suffix: str) -> list[Path]:
        return sorted(self.path.with_suffix(".history").glob(f"*.{suffix}"))


@pytest.fixture
def moment(tmp_path):
    moment = Moment(tmp_path / "x.sqlite")
    yield moment
    moment.database.close()


@pytest.mark.parametrize("seed", range(3))
def test_any_bookmark_gives_what_stood_there(tmp_path, seed):
    """Writes, openings, restores and changed files in any order; every bookmark ever given still tells the truth."""
    rng = random.Random(seed)
    moment = Moment(tmp_path / "x.sqlite")
    states = {moment.bookmark(): moment.content()}
    for _ in range(60):
        match rng.randrange(10):
            case 0:
                moment.reopen()
            case 1:
                moment.fill(rng.choice((300, 1_100)))
            case 2:
                moment.database.object_sql.run("DELETE FROM t WHERE id % 3 = 0", ()) if moment.content() else None
                moment.database.commit()
            case 3:
                moment.restore(rng.choice(list(states)))
            case _:
                moment.write(rng.randrange(1_000), rng.randrange(1, 9_000))
        moment.time += rng.choice((0.1, 5, 5_000))
        bookmark = moment.bookmark()
        content = moment.content()
        assert states.setdefault(bookmark, content) == content
    assert list(states) == sorted(states)
    for bookmark in rng.sample(list(states), 10):
        moment.restore(bookmark)
        assert moment.content() == states[bookmark], bookmark
    moment.database.close()


def test_what_a_tool_did_to_the_file_breaks_the_past_off_and_not_the_present(moment):
    moment.write(1)
    moment.time += 10
    moment.write(2)
    before = moment.bookmark()
    moment.database.close()
    with sqlite3.connect(moment.path) as tool:
        tool.execute("UPDATE t SET n = 100 WHERE id = 1")
    tool.close()
    moment.open()
    assert moment.content()[0][1] == 100
    after = moment.bookmark()
    moment.write(3)
    assert after > before
    with pytest.raises(StorageError, match="not kept"):
        moment.database.past.restore_at_next_start(before)
    moment.restore(after)
    assert [n for _, n, _ in moment.content()] == [100, 2]


def test_a_database_of_before_there_was_a_history_has_one_from_now_on(tmp_path):
    old = Database.open(tmp_path / "x.sqlite")
    old.object_sql.run("CREATE TABLE t (id INTEGER PRIMARY KEY, n, text)", ())
    old.object_sql.run("INSERT INTO t VALUES (1, 1, 'x')", ())
    old.commit()
    old.close()
    with sqlite3.connect(tmp_path / "x.sqlite") as tool:
        tool.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    tool.close()
    moment = Moment(tmp_path / "x.sqlite")
    bookmark = moment.bookmark()
    for number in range(2, 5):
        moment.write(number)
    moment.fill(2_500)
    moment.restore(bookmark)
    assert moment.content() == [(1, 1, 1)]
    moment.database.close()


def test_what_is_too_old_is_given_up_and_the_rest_is_not(tmp_path):
    moment = Moment(tmp_path / "x.sqlite", History(days=4))
    states = {}
    for day in range(12):
        moment.fill(1_050)
        moment.write(day)
        states[day] = moment.bookmark(), moment.content(), moment.time
        moment.time += 86_400
    assert len(moment.files("base")) == 1
    oldest = min(path.stat().st_mtime for path in moment.files("log"))
    assert moment.time - 6.5 * 86_400 < oldest < moment.time - 3 * 86_400
    for day in range(9, 12):
        bookmark, content, _ = states[day]
        moment.restore(bookmark)
        assert moment.content() == content
    with pytest.raises(StorageError, match="not kept"):
        moment.database.past.restore_at_next_start(states[2][0])
    with pytest.raises(StorageError, match="kept for 4 days"):
        moment.database.past.bookmark_at(states[2][2])
    moment.database.close()


def test_the_history_takes_no_more_than_it_may(tmp_path):
    most = 10_000_000
    moment = Moment(tmp_path / "x.sqlite", History(bytes=most))
    rng = random.Random(0)
    moment.write(0)
    for _ in range(60):
        # What cannot be compressed, again and again in the same place.
        moment.database.object_sql.run("INSERT OR REPLACE INTO t VALUES (2, 0, ?)", (rng.randbytes(900_000),))
        moment.database.commit()
        moment.database.sync()
        moment.database.tidy()
        moment.time += 60
    bookmark = moment.bookmark()
    assert sum(path.stat().st_size for path in moment.path.with_suffix(".history").iterdir()) <= 1.5 * most
    content = moment.content()
    moment.write(7)
    moment.restore(bookmark)
    assert moment.content() == content
    moment.database.close()


def test_a_database_that_is_larger_than_its_history_may_be_goes_on_without_one(tmp_path, caplog):
    moment = Moment(tmp_path / "x.sqlite", History(bytes=100_000))
    for _ in range(5):
        moment.fill(1_200)
    with pytest.raises(StorageError, match="larger than History"):
        moment.bookmark()
    assert "larger than History" in caplog.text
    assert len(moment.content()) == 5 * 120
    moment.database.close()


def test_damage_is_found_before_anything_is_restored(moment):
    moment.write(1)
    moment.fill(2_500)
    bookmark = moment.bookmark()
    moment.fill(2_500)
    log = moment.files("log")[0]
    data = bytearray(log.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    log.write_bytes(data)
    content = moment.content()
    with pytest.raises(StorageError):
        moment.database.past.restore_at_next_start(bookmark)
    moment.reopen()
    assert moment.content() == content


def test_going_back_does_not_give_a_displaced_owner_its_right_again(moment):
    def claimed(token: int, displace=None) -> Database:
        moment.reopen()
        moment.database.claim(Lease(token, is_shared=True, displace=displace))
        return moment.database

    claimed(3)
    moment.write(1)
    bookmark = moment.bookmark()
    claimed(5, displace=lambda: None)
    moment.write(2)
    moment.database.past.restore_at_next_start(bookmark)
    claimed(5)
    assert len(moment.content()) == 1
    moment.write(3)
    claimed(3)
    with pytest.raises(OwnershipLost):
        moment.write(4)
    claimed(5)
    assert [n for _, n, _ in moment.content()] == [1, 3]


def test_a_log_that_lacks_its_end_is_found_out(moment):
    moment.write(1)
    moment.fill(1_500)
    moment.fill(1_500)
    bookmark = moment.bookmark()
    log = moment.files("log")[0]
    data = zlib.decompressobj().decompress(log.read_bytes())
    log.write_bytes(zlib.compress(data[: 32 + 4120 * 100]))
    with pytest.raises(StorageError, match="damaged"):
        moment.database.past.restore_at_next_start(bookmark)


_WRITER = """
import sys
from pathlib import Path
from tests.objects.test_bookmarks import Moment

moment = Moment(Path(sys.argv[1]))
print(moment.bookmark(), len(moment.content()), flush=True)
for number in range(100_000):
    moment.write(number, 9_000)
    if number % 7 == 0:
        print(moment.bookmark(), len(moment.content()), flush=True)
"""


def test_bookmarks_that_were_given_out_hold_after_a_kill(tmp_path):
    path = tmp_path / "x.sqlite"
    given: dict[str, int] = {}
    for count in (60, 35, 90):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
        ) as writer:
            assert writer.stdout is not None
            lines = [next(writer.stdout) for _ in range(count)]
            writer.kill()
        for line in lines:
            bookmark, rows = line.split()
            assert given.setdefault(bookmark, int(rows)) == int(rows)
    assert list(given) == sorted(given)
    moment = Moment(path)
    assert len(moment.files("log")) > 3
    for bookmark in random.Random(0).sample(list(given), 12):
        moment.restore(bookmark)
        assert len(moment.content()) == given[bookmark]
    moment.database.close()


def test_what_python_has_of_sqlite_keeps_no_history(tmp_path):
    database = Database.open(tmp_path / "x.sqlite", driver="sqlite3")
    database.past.keep(History(), lambda: 0.0)
    database.object_sql.run("CREATE TABLE t (id)", ())
    database.commit()
    with pytest.raises(StorageError, match="Install apsw"):
        database.past.bookmark()
    database.close()


async def test_a_bookmark_can_be_had_while_others_write(runtime):
    ann = diary(runtime)
    await ann.write("one")
    writing = asyncio.ensure_future(ann.write_much(600))
    bookmarks = [await ann.bookmark() for _ in range(20)]
    await writing
    assert bookmarks == sorted(bookmarks)
    ann, _ = await restored(runtime, bookmarks[-1])
    assert (await ann.read())[1] == "one"
