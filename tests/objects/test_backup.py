"""A state folder from outside: agents listed, forked, exported, backed up and set back, beside a server or without."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import time
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from edgeagents.errors import ConfigError, StorageError
from edgeagents.objects import DurableObject
from edgeagents.objects.backend import FolderStorage
from edgeagents.objects.ids import ObjectId
from edgeagents.placement import FolderClaim
from edgeagents.state_folder import StateFolder
from edgeagents.testing import ManualClock, agent_runtime


class Page(DurableObject):
    async def write(self, text):
        self.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS lines (text TEXT)")
        self.ctx.storage.sql.exec("INSERT INTO lines VALUES (?)", text)

    async def lines(self):
        if not self.ctx.storage.sql.exec("SELECT 1 FROM sqlite_schema WHERE name = 'lines'").to_array():
            return []
        return [row["text"] for row in self.ctx.storage.sql.exec("SELECT text FROM lines ORDER BY rowid")]

    async def wake_in(self, seconds):
        self.ctx.storage.alarm.set(self.ctx.clock.now() + timedelta(seconds=seconds))

    async def alarm(self):
        await self.write("woken")

    async def who(self):
        return self.ctx.id.name


class Book(Page):
    async def write_page(self, name, text):
        await self.ctx.facets.get(name, Page).write(text)

    async def page(self, name):
        return await self.ctx.facets.get(name, Page).lines()

    async def page_wakes_in(self, name, seconds):
        await self.ctx.facets.get(name, Page).wake_in(seconds)

    def _edgeagents_open_facet(self, name):
        async def opened():
            return self.ctx.facets.get(name, Page)

        return opened()


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


def serving(state, clock=None):
    return agent_runtime(Book, Page, storage=state, durability="full", clock=clock)


def book(runtime, name="ann"):
    return runtime.namespaces["Book"].get_by_name(name)


async def write_a_book(runtime, name="ann"):
    await book(runtime, name).write("title")
    await book(runtime, name).write_page("one", "first page")
    await book(runtime, name).write_page("two", "second page")


async def is_the_book(runtime, name):
    assert await book(runtime, name).lines() == ["title"]
    assert await book(runtime, name).page("one") == ["first page"]
    assert await book(runtime, name).page("two") == ["second page"]


def find(state, name="ann"):
    return StateFolder(state).find("Book", name)


async def outside(function, *args, **kwargs):
    """Call what another process would call."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def test_agents_are_listed_with_what_there_is_of_them(state):
    async with serving(state, ManualClock()) as runtime:
        await write_a_book(runtime)
        await runtime.namespaces["Page"].get_by_name("loose").write("x")
        await runtime.namespaces["Page"].get(runtime.namespaces["Page"].new_unique_id()).write("x")
        await book(runtime).wake_in(3_600)
        folder = StateFolder(state)
        found = await outside(lambda: list(folder.agents()))
        assert (found[0].class_name, found[0].id.name) == ("Book", "ann")
        assert sorted(str(agent.id.name) for agent in found) == ["None", "ann", "loose"]
        ann = found[0]
        assert (len(list(ann.databases)), ann.size > 10_000) == (3, True)
        assert folder.alarm(ann) == runtime.clock.now() + timedelta(hours=1)
        assert [agent.id.name for agent in folder.agents("Book")] == ["ann"]


async def test_a_fork_is_another_agent_with_everything_that_the_first_one_had(state):
    async with serving(state) as runtime:
        await write_a_book(runtime)
        await outside(StateFolder(state).fork, find(state), "bob")
        await is_the_book(runtime, "bob")
        await book(runtime, "bob").write_page("one", "bob's")
        assert await book(runtime, "bob").who() == "bob"
        await is_the_book(runtime, "ann")
    async with serving(state) as runtime:
        assert await book(runtime, "bob").page("one") == ["first page", "bob's"]
        assert find(state, "bob").id.name == "bob"


async def test_a_fork_of_an_agent_that_is_writing_is_as_of_one_commit(state):
    async with serving(state) as runtime:
        ann = book(runtime)
        await ann.write("0")

        async def go_on():
            for number in range(1, 200):
                await ann.write(str(number))

        writing = asyncio.ensure_future(go_on())
        for number in range(5):
            await outside(StateFolder(state).fork, find(state), f"fork {number}")
        await writing
        for number in range(5):
            lines = await book(runtime, f"fork {number}").lines()
            assert lines == [str(n) for n in range(len(lines))]
            assert lines


async def test_alarms_go_with_a_fork(state):
    clock = ManualClock()
    async with serving(state, clock) as runtime:
        await write_a_book(runtime)
        await book(runtime).wake_in(3_600)
        await book(runtime).page_wakes_in("one", 7_200)
    StateFolder(state).fork(find(state), "bob")
    async with serving(state, clock) as runtime:
        await clock.advance(7_300)
        assert await book(runtime, "bob").lines() == ["title", "woken"]
        assert await book(runtime, "bob").page("one") == ["first page", "woken"]


async def test_a_fork_never_takes_the_place_of_an_agent(state):
    async with serving(state) as runtime:
        await write_a_book(runtime)
        await book(runtime, "bob").write("bob's own")
        with pytest.raises(ConfigError, match="already"):
            await outside(StateFolder(state).fork, find(state), "bob")
        assert await book(runtime, "bob").lines() == ["bob's own"]


async def test_an_agent_goes_through_one_file_into_another_folder(state, tmp_path):
    async with serving(state) as runtime:
        await write_a_book(runtime)
        await outside(StateFolder(state).export, find(state), tmp_path / "ann.agent")
    other = StateFolder(tmp_path / "other", may_be_made=True)
    assert other.load(tmp_path / "ann.agent").id.name == "ann"
    other.load(tmp_path / "ann.agent", name="copy")
    async with serving(other.path) as runtime:
        await is_the_book(runtime, "ann")
        await is_the_book(runtime, "copy")
        await book(runtime, "ann").write("more")
        assert await book(runtime, "ann").who() == "ann"


async def test_importing_replaces_only_when_asked_and_when_nobody_else_is_there(state, tmp_path):
    file = tmp_path / "ann.agent"
    async with serving(state) as runtime:
        await write_a_book(runtime)
        await outside(StateFolder(state).export, find(state), file)
        await book(runtime).write("later")
        await book(runtime).write_page("three", "later")
        with pytest.raises(ConfigError, match="already"):
            await outside(StateFolder(state).load, file)
        with pytest.raises(ConfigError, match="already uses the state folder"):
            await outside(StateFolder(state).load, file, replace=True)
        assert await book(runtime).lines() == ["title", "later"]
    StateFolder(state).load(file, replace=True)
    async with serving(state) as runtime:
        await is_the_book(runtime, "ann")
        assert await book(runtime).page("three") == []


async def test_an_agent_without_a_name_keeps_its_id(state, tmp_path):
    async with serving(state) as runtime:
        pages = runtime.namespaces["Page"]
        object_id = pages.new_unique_id()
        await pages.get(object_id).write("x")
    StateFolder(state).export(StateFolder(state).find("Page", object_id.digits), tmp_path / "page.agent")
    other = StateFolder(tmp_path / "other", may_be_made=True)
    assert other.load(tmp_path / "page.agent").id == object_id
    with pytest.raises(ConfigError, match="Give it a name"):
        other.load(tmp_path / "page.agent", class_name="Book")
    async with serving(other.path) as runtime:
        assert await runtime.namespaces["Page"].get(object_id).lines() == ["x"]


@pytest.mark.parametrize(
    "content", [{}, {"agent.json": "{}"}, {"agent.json": '{"format": 1, "namespace": "Book", "id": "", "name": "x"}'}]
)
def test_a_file_that_is_no_agent_is_refused(tmp_path, content):
    with zipfile.ZipFile(tmp_path / "x.agent", "w") as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    with pytest.raises(ConfigError):
        StateFolder(tmp_path / "state", may_be_made=True).load(tmp_path / "x.agent")


async def test_a_file_with_paths_of_its_own_is_refused(state, tmp_path):
    async with serving(state) as runtime:
        await write_a_book(runtime)
    StateFolder(state).export(find(state), tmp_path / "ann.agent")
    with zipfile.ZipFile(tmp_path / "ann.agent", "a") as archive:
        archive.writestr("../../evil.sqlite", "x")
    with pytest.raises(ConfigError, match="not an agent"):
        StateFolder(state).load(tmp_path / "ann.agent", name="evil")
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    "about",
    [
        {"id": "../../../outside/evil", "name": None},
        {"id": "e" * 64, "name": None},
        {"id": None, "name": None},
        {"name": 1},
        {"namespace": ["Book"]},
        {"namespace": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("replace", [False, True])
async def test_a_file_that_says_what_no_agent_can_be_is_refused(state, tmp_path, about, replace):
    async with serving(state) as runtime:
        await write_a_book(runtime)
    StateFolder(state).export(find(state), tmp_path / "ann.agent")
    with zipfile.ZipFile(tmp_path / "ann.agent") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["agent.json"] = json.dumps(json.loads(parts["agent.json"]) | about).encode()
    with zipfile.ZipFile(tmp_path / "ann.agent", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    (tmp_path / "outside").mkdir()
    before = sorted(tmp_path.rglob("*.sqlite"))

    with pytest.raises(ConfigError, match="not an agent that was exported"):
        StateFolder(state).load(tmp_path / "ann.agent", replace=replace)

    assert sorted(tmp_path.rglob("*.sqlite")) == before


def test_an_id_that_is_none_is_never_a_part_of_a_path(tmp_path):
    with pytest.raises(ValueError, match="64 hex digits"):
        FolderStorage(tmp_path).path("Book", ObjectId("../evil"))


@pytest.mark.parametrize("name", ["Ω", "日本", "Zähler", "Fläche"])
@pytest.mark.parametrize("is_old", [False, True])
async def test_a_class_may_have_letters_of_any_script(state, tmp_path, name, is_old):
    cls = type(name, (Page,), {})
    async with agent_runtime(cls, storage=state) as runtime:
        await runtime.namespaces[name].get_by_name("ann").write("title")
    if is_old:
        (made,) = (state / "objects").iterdir()
        made.rename(made.with_name("".join(c if c.isascii() else f"%{ord(c):02x}" for c in name)))

    ann = StateFolder(state).find(name, "ann")
    assert (ann.class_name, ann.namespace) == (name, name)
    StateFolder(state).fork(ann, "bob")
    StateFolder(state).backup(tmp_path / "backup")
    for folder in (state, tmp_path / "backup"):
        assert {agent.id.name for agent in StateFolder(folder).agents(name)} == {"ann", "bob"}
        async with agent_runtime(cls, storage=folder) as runtime:
            assert await runtime.namespaces[name].get_by_name("bob").lines() == ["title"]
            await runtime.namespaces[name].get_by_name("bob").write("more")
        assert len(list((folder / "objects").iterdir())) == 1


async def test_a_file_that_was_damaged_is_refused(state, tmp_path):
    async with serving(state) as runtime:
        await write_a_book(runtime)
    StateFolder(state).export(find(state), tmp_path / "ann.agent")
    with zipfile.ZipFile(tmp_path / "ann.agent") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["agent.sqlite"] = parts["agent.sqlite"][:8_192] + b"\x55" * (len(parts["agent.sqlite"]) - 8_192)
    with zipfile.ZipFile(tmp_path / "ann.agent", "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    with pytest.raises(StorageError):
        StateFolder(state).load(tmp_path / "ann.agent", name="copy")
    with pytest.raises(ConfigError, match="no Book"):
        find(state, "copy")


async def test_a_backup_is_made_beside_a_server_and_is_a_state_folder(state, tmp_path):
    clock = ManualClock()
    async with serving(state, clock) as runtime:
        await write_a_book(runtime)
        await write_a_book(runtime, "bob")
        await book(runtime).wake_in(3_600)
        assert await outside(StateFolder(state).backup, tmp_path / "backup") == 2
        await book(runtime).write("after the backup")
    async with serving(tmp_path / "backup", clock) as runtime:
        await is_the_book(runtime, "ann")
        await is_the_book(runtime, "bob")
        await clock.advance(3_700)
        assert await book(runtime).lines() == ["title", "woken"]


async def test_what_bindings_keep_is_backed_up_too(state, tmp_path):
    async with serving(state) as runtime:
        await write_a_book(runtime)
    (state / "kv").mkdir()
    with contextlib.closing(sqlite3.connect(state / "kv" / "things.sqlite", isolation_level=None)) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("CREATE TABLE things (name)")
        store.execute("INSERT INTO things VALUES ('in the log')")
        (state / "kv" / "things.blob").write_bytes(b"bytes")
        StateFolder(state).backup(tmp_path / "backup")
        store.execute("DELETE FROM things")
    (state / "kv" / "things.blob").write_bytes(b"other bytes")
    assert StateFolder(state).restore(tmp_path / "backup", replace=True) == 1
    with contextlib.closing(sqlite3.connect(state / "kv" / "things.sqlite")) as store:
        assert store.execute("SELECT name FROM things").fetchall() == [("in the log",)]
    assert (state / "kv" / "things.blob").read_bytes() == b"bytes"
    assert not (tmp_path / "backup" / "owners").exists()


async def test_a_backup_can_be_brought_up_to_date(state, tmp_path):
    async with serving(state) as runtime:
        await write_a_book(runtime)
        await outside(StateFolder(state).backup, tmp_path / "backup")
        await book(runtime).write("more")
        await outside(StateFolder(state).backup, tmp_path / "backup")
    async with serving(tmp_path / "backup") as runtime:
        assert await book(runtime).lines() == ["title", "more"]


async def test_a_backup_is_restored_when_no_server_is_there(state, tmp_path):
    async with serving(state) as runtime:
        await write_a_book(runtime)
        await outside(StateFolder(state).backup, tmp_path / "backup")
        await book(runtime).write("a mistake")
        await book(runtime, "new").write("not in the backup")
        with pytest.raises(ConfigError, match="already uses the state folder"):
            await outside(StateFolder(state).restore, tmp_path / "backup", replace=True)
    with pytest.raises(ConfigError, match="already"):
        StateFolder(state).restore(tmp_path / "backup")
    assert StateFolder(state).restore(tmp_path / "backup", replace=True) == 1
    async with serving(state) as runtime:
        await is_the_book(runtime, "ann")
        assert await book(runtime, "new").lines() == ["not in the backup"]


async def test_all_is_restored_where_nothing_is_left(state, tmp_path):
    async with serving(state) as runtime:
        await write_a_book(runtime)
        await write_a_book(runtime, "bob")
        await outside(StateFolder(state).backup, tmp_path / "backup")
    shutil.rmtree(state)
    assert StateFolder(state, may_be_made=True).restore(tmp_path / "backup") == 2
    async with serving(state) as runtime:
        await is_the_book(runtime, "ann")
        await is_the_book(runtime, "bob")
        # It is written to by whoever owns it here, whatever it was owned by there.
        await book(runtime).write("more")


async def test_an_agent_is_set_back_in_time_with_its_facets(state):
    clock = ManualClock(datetime.now(UTC) - timedelta(days=2))
    async with serving(state, clock) as runtime:
        await write_a_book(runtime)
        await book(runtime).wake_in(86_400)
        await clock.advance(3_600)
        when = clock.now()
        await clock.advance(3_600)
        await book(runtime).write("a mistake")
        await book(runtime).write_page("one", "a mistake")
        await book(runtime).write_page("three", "a mistake")
    before = StateFolder(state).rewind(find(state), when)
    assert find(state).id.name == "ann"
    async with serving(state, clock) as runtime:
        await is_the_book(runtime, "ann")
        assert await book(runtime).page("three") == []
        await clock.advance(86_400)
        assert await book(runtime).lines() == ["title", "woken"]
    StateFolder(state).rewind(find(state), before)
    async with serving(state, ManualClock(datetime.now(UTC))) as runtime:
        assert await book(runtime).page("one") == ["first page", "a mistake"]
        assert await book(runtime).page("three") == ["a mistake"]


async def test_an_agent_is_set_back_to_a_bookmark(state):
    async with serving(state) as runtime:
        await write_a_book(runtime)
    bookmark = StateFolder(state).bookmark(find(state), datetime.now(UTC))
    async with serving(state) as runtime:
        await book(runtime).write("a mistake")
    StateFolder(state).rewind(find(state), bookmark)
    async with serving(state) as runtime:
        await is_the_book(runtime, "ann")


async def test_what_cannot_be_set_back_stays_as_it_is(state):
    async with serving(state) as runtime:
        await write_a_book(runtime)
        with pytest.raises(ConfigError, match="already uses the state folder"):
            await outside(StateFolder(state).rewind, find(state), datetime.now(UTC))
    with pytest.raises(StorageError, match="bookmark"):
        StateFolder(state).rewind(find(state), "yesterday")
    async with serving(state) as runtime:
        await is_the_book(runtime, "ann")
    assert not list(state.rglob("restore.sqlite"))


async def test_a_server_does_not_start_while_something_is_replaced(state):
    claim = FolderClaim(state)
    claim.take_whole()
    with pytest.raises(ConfigError, match="already uses the state folder"):
        async with serving(state):
            """It must not get here."""
    claim.release()
    async with serving(state) as runtime:
        await write_a_book(runtime)


def test_a_folder_without_agents_is_named(tmp_path):
    with pytest.raises(ConfigError, match="not a state folder"):
        StateFolder(tmp_path)
    (tmp_path / "objects" / "Book").mkdir(parents=True)
    with pytest.raises(ConfigError, match="no Book named 'ann'"):
        StateFolder(tmp_path).find("Book", "ann")


async def test_nothing_is_left_of_the_work(state):
    async with serving(state) as runtime:
        await write_a_book(runtime)
        await outside(StateFolder(state).fork, find(state), "bob")
    assert not list(state.glob(".making-*"))
    assert not list(state.rglob("*.new"))


@pytest.mark.parametrize(("age", "is_held", "stays"), [(120, False, False), (120, True, True), (5, False, True)])
async def test_what_a_killed_process_was_making_is_cleared(state, age, is_held, stays):
    async with serving(state) as runtime:
        await write_a_book(runtime)
    left = state / ".making-left"
    left.mkdir()
    (left / "half.sqlite").write_bytes(b"half")
    claim = FolderClaim(left)
    if is_held:
        claim.take_whole()
    os.utime(left, (time.time() - age,) * 2)
    await outside(StateFolder(state).fork, find(state), "bob")
    claim.release()
    assert left.exists() == stays


async def replace_a_book(state, tmp_path):
    """Change a book after a copy of it was made, and put the copy in its place. Return the time before that."""
    async with serving(state) as runtime:
        await write_a_book(runtime)
        await outside(StateFolder(state).backup, tmp_path / "backup")
        await outside(StateFolder(state).export, find(state), tmp_path / "ann.agent")
        await book(runtime).write("much work")
        await book(runtime).write_page("one", "much work")
        await book(runtime).write_page("three", "much work")
        await book(runtime).wake_in(86_400)
    return datetime.now(UTC)


@pytest.mark.parametrize("way", ["restore", "import"])
async def test_what_was_replaced_can_be_had_again(state, tmp_path, way):
    before = await replace_a_book(state, tmp_path)
    if way == "restore":
        StateFolder(state).restore(tmp_path / "backup", replace=True)
    else:
        StateFolder(state).load(tmp_path / "ann.agent", replace=True)
    async with serving(state) as runtime:
        await is_the_book(runtime, "ann")
        assert await book(runtime).page("three") == []
        assert await book(runtime).who() == "ann"
    assert StateFolder(state).alarm(find(state)) is None

    StateFolder(state).rewind(find(state), before)

    async with serving(state) as runtime:
        assert await book(runtime).lines() == ["title", "much work"]
        assert await book(runtime).page("one") == ["first page", "much work"]
        assert await book(runtime).page("two") == ["second page"]
        assert await book(runtime).page("three") == ["much work"]
    assert StateFolder(state).alarm(find(state)) is not None


async def test_a_facet_that_came_with_a_copy_goes_when_that_is_undone(state, tmp_path):
    async with serving(state) as runtime:
        await book(runtime, "bob").write("bob's")
        await book(runtime, "bob").write_page("four", "bob's page")
        await write_a_book(runtime)
        await outside(StateFolder(state).export, StateFolder(state).find("Book", "bob"), tmp_path / "bob.agent")
    before = datetime.now(UTC)
    StateFolder(state).load(tmp_path / "bob.agent", name="ann", replace=True)
    async with serving(state) as runtime:
        assert await book(runtime).lines() == ["bob's"]
        assert await book(runtime).page("four") == ["bob's page"]
        assert await book(runtime).page("one") == []

    StateFolder(state).rewind(find(state), before)

    async with serving(state) as runtime:
        await is_the_book(runtime, "ann")
        assert await book(runtime).page("four") == []


async def test_what_is_damaged_is_replaced_with_its_past(state, tmp_path):
    await replace_a_book(state, tmp_path)
    found = find(state)
    found.path.with_name(f"{found.path.name}-wal").unlink()
    found.path.write_bytes(b"\xff" * 12_288)
    StateFolder(state).restore(tmp_path / "backup", replace=True)
    assert not find(state).has_past
    async with serving(state) as runtime:
        await is_the_book(runtime, "ann")
        assert await book(runtime).page("three") == []
