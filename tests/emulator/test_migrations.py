"""Migrations act on what is stored: classes renamed, deleted and transferred, each step once."""

from __future__ import annotations

import json
import multiprocessing
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from edgeagents_emulator.host import EmulatorApp
from edgeagents_emulator.options import Options

from edgeagents import class_changes
from edgeagents.class_changes import ClassChange, Transfer, WorkersChanges, make_class_changes
from edgeagents.objects.alarms import AlarmIndex
from edgeagents.placement import FolderClaim
from edgeagents.state_folder import StateFolder
from tests.asgi.client import Exchange, http_scope

pytestmark = pytest.mark.cloudflare(
    "Durable Objects", "Migrations: renamed, deleted and transferred classes keep or lose what is stored", "same"
)

Run = Callable[..., Awaitable[list[str]]]

COUNTER = """
class {name}(DurableObject):
    async def alarm(self):
        raise AssertionError("not due in this century")

    async def count(self, wake=False):
        n = (await self.ctx.storage.get("n") or 0) + 1
        await self.ctx.storage.put("n", n)
        if wake:
            await self.ctx.storage.set_alarm(4_000_000_000_000)
        return [n, str(self.ctx.id)]

    async def due(self):
        return (await self.ctx.storage.get_alarm()).year
"""
ENTRY = """
from edgeagents import DurableObject, WorkerEntrypoint
{classes}

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        binding, how, name = request.path[1:].split("/")
        objects = self.env[binding]
        if how == "id":
            return await objects.get(objects.id_from_string(name)).count()
        if how == "due":
            return await objects.get_by_name(name).due()
        return await objects.get_by_name(name).count(how == "wake")
"""
NEW = {"tag": "v1", "new_sqlite_classes": ["Old"]}
RENAMED = {"tag": "v2", "renamed_classes": [{"from": "Old", "to": "New"}]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a worker of these classes and migrations, ask it for paths such as ``/Class/name/ann``, and stop it."""

    async def run(
        classes: list[str], migrations: list[dict[str, Any]], *paths: str, others: tuple[str, ...] = (), **more: Any
    ) -> list[Any]:
        first = write(tmp_path, "w", classes, migrations, **more)
        async with AsyncExitStack() as stack:
            app = EmulatorApp(Options(directory=str(tmp_path), config=str(first), others=others))
            stack.push_async_callback(app.stop)
            answers: list[Any] = []
            for path in paths or ("/none",):
                exchange = Exchange(app, http_scope(path, server=("localhost", 80)))
                await exchange.send()
                status, _ = await exchange.start()
                body = (await exchange.rest()).decode()
                answers.append(json.loads(body) if status == 200 else status)
            return answers

    return run


def write(folder: Path, name: str, classes: list[str], migrations: list[dict[str, Any]], **more: Any) -> Path:
    config = folder / name / "wrangler.json"
    config.parent.mkdir(exist_ok=True)
    (config.parent / "entry.py").write_text(
        ENTRY.format(classes="".join(COUNTER.format(name=each) for each in classes))
    )
    settings = {
        "name": name,
        "main": "entry.py",
        "compatibility_date": "2026-01-01",
        "compatibility_flags": ["python_workers"],
        "durable_objects": {"bindings": [{"name": each, "class_name": each} for each in classes]},
        "migrations": migrations,
    }
    config.write_text(json.dumps({**settings, **more}))
    return config


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "w" / ".edgeagents" / "state"


def folders(state: Path) -> list[str]:
    return sorted(each.name for each in (state / "objects").iterdir())


async def test_objects_of_a_renamed_class_are_reached_by_name_and_by_id(run: Run, state: Path) -> None:
    ((_, digits),) = await run(["Old"], [NEW], "/Old/wake/ann")
    answers = await run(["New"], [NEW, RENAMED], "/New/name/ann", f"/New/id/{digits}", "/New/due/ann")
    assert answers == [[2, digits], [3, digits], 2096]
    assert folders(state) == ["w-Old"]
    assert [(agent.class_name, agent.title) for agent in StateFolder(state).agents("New")] == [("New", "ann")]
    assert StateFolder(state).find("New", "ann").id.digits == digits


async def test_a_step_that_is_edited_after_it_was_made_is_told_of(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    await run(["Old"], [NEW], "/Old/name/ann")
    assert "made before" not in caplog.text
    await run(["Other"], [{"tag": "v1", "new_sqlite_classes": ["Other"]}], "/Other/name/ann")
    assert "migrations[0]: 'v1' was made before, when it said: Old new. A step is made once" in caplog.text


async def test_a_class_that_comes_later_under_the_old_name_has_objects_of_its_own(run: Run, state: Path) -> None:
    ((_, old),) = await run(["Old"], [NEW], "/Old/name/ann")
    again = {"tag": "v3", "new_sqlite_classes": ["Old"]}
    (was, new) = await run(["New", "Old"], [NEW, RENAMED, again], "/New/name/ann", "/Old/name/ann")
    assert (was, new[0]) == ([2, old], 1)
    assert new[1] != old
    gone = {"tag": "v4", "deleted_classes": ["New"]}
    assert await run(["Old"], [NEW, RENAMED, again, gone], "/Old/name/ann") == [[2, new[1]]]
    assert folders(state) == ["w-Old%2e2"]


async def test_two_classes_may_change_their_names_for_each_other_s(run: Run) -> None:
    new = {"tag": "v1", "new_sqlite_classes": ["A", "B"]}
    await run(["A", "B"], [new], "/A/name/x", "/A/name/x", "/B/name/x")
    swap = {"tag": "v2", "renamed_classes": [{"from": "A", "to": "B"}, {"from": "B", "to": "A"}]}
    a, b = await run(["A", "B"], [new, swap], "/A/name/x", "/B/name/x")
    assert (a[0], b[0]) == (2, 3)


async def test_a_deleted_class_loses_its_objects_and_alarms_once(run: Run, state: Path) -> None:
    steps = [{"tag": "v1", "new_sqlite_classes": ["Old", "Stays"]}]
    await run(["Old", "Stays"], steps, "/Old/wake/ann", "/Stays/wake/ann")
    steps += [{"tag": "v2", "deleted_classes": ["Old"]}]
    await run(["Stays"], steps)
    assert folders(state) == ["w-Stays"]
    index = AlarmIndex.open(state / "alarms.sqlite")
    assert [hint.namespace for hint in index.earliest(9)] == ["w-Stays"]
    index.close()
    steps += [{"tag": "v3", "new_sqlite_classes": ["Old"]}]
    for expected in (1, 2):
        ((n, _),) = await run(["Old", "Stays"], steps, "/Old/name/ann")
        assert n == expected


async def test_a_class_moves_to_another_worker(run: Run, tmp_path: Path) -> None:
    other = write(tmp_path, "other", ["Theirs"], [{"tag": "v1", "new_sqlite_classes": ["Theirs"]}])
    theirs = {"durable_objects": {"bindings": [{"name": "T", "class_name": "Theirs", "script_name": "other"}]}}
    ((_, digits),) = await run([], [], "/T/name/ann", others=(str(other),), **theirs)
    move = {"tag": "v1", "transferred_classes": [{"from": "Theirs", "from_script": "other", "to": "Ours"}]}
    write(tmp_path, "other", [], [{"tag": "v1", "new_sqlite_classes": ["Theirs"]}])
    assert await run(["Ours"], [move], "/Ours/name/ann", others=(str(other),)) == [[2, digits]]


async def test_workers_reach_a_class_of_another_one_that_was_renamed(run: Run, tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [NEW]
    other = write(tmp_path, "other", ["Old"], steps)
    binding = {"durable_objects": {"bindings": [{"name": "T", "class_name": "Old", "script_name": "other"}]}}
    ((_, digits),) = await run([], [], "/T/name/ann", others=(str(other),), **binding)
    write(tmp_path, "other", ["New"], [NEW, RENAMED])
    binding["durable_objects"]["bindings"][0]["class_name"] = "New"
    assert await run([], [], "/T/name/ann", others=(str(other),), **binding) == [[2, digits]]


async def test_what_is_declared_in_exports_is_done_too(run: Run) -> None:
    live = {"type": "durable-object", "storage": "sqlite"}
    await run(["Old"], [], "/Old/name/ann", exports={"Old": live})
    renamed = {"Old": {"type": "durable-object", "state": "renamed", "renamed_to": "New"}, "New": live}
    ((n, _),) = await run(["New"], [], "/New/name/ann", exports=renamed)
    assert n == 2


async def test_a_rename_that_would_hide_objects_is_refused(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    new = {"tag": "v1", "new_sqlite_classes": ["Old", "New"]}
    await run(["Old", "New"], [new], "/Old/name/ann", "/New/name/ann")
    assert await run(["New"], [new, RENAMED]) == [500]
    assert re.search(r"'Old' cannot become 'New' \(v2\): both have objects in .*w-New", caplog.text)
    # Once the developer has decided, it goes on.
    decided = {"tag": "v2", "deleted_classes": ["New"], **{k: v for k, v in RENAMED.items() if k != "tag"}}
    ((n, _),) = await run(["New"], [new, decided], "/New/name/ann")
    assert n == 2


async def test_a_folder_from_before_any_record_keeps_what_is_in_use(run: Run, state: Path) -> None:
    steps = [NEW, {"tag": "v2", "deleted_classes": ["Old"]}, {"tag": "v3", "new_sqlite_classes": ["Old"]}]
    await run(["Old"], [], "/Old/name/ann")
    assert not (state / "namespaces.json").exists()
    ((n, _),) = await run(["Old"], steps, "/Old/name/ann")
    assert n == 2


def changes(*steps: ClassChange, worker: str = "w", classes: tuple[str, ...] = ()) -> list[WorkersChanges]:
    return [WorkersChanges(worker, steps, classes)]


ONE, TWO = ClassChange("v1", new=["Old"]), ClassChange("v2", deleted=["Old"], new=["Old"])


async def test_deleting_that_was_cut_off_goes_on(run: Run, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await run(["Old"], [NEW], *(f"/Old/wake/{name}" for name in "abc"))

    def fail_half_way(folder: Path) -> None:
        next(folder.glob("*.sqlite")).unlink()
        raise OSError("the power is gone")

    with monkeypatch.context() as patched:
        patched.setattr(class_changes.shutil, "rmtree", fail_half_way)
        with pytest.raises(OSError, match="the power"):
            make_class_changes(state, changes(ONE, TWO))
    assert make_class_changes(state, changes(ONE, TWO)) == ["w, v2: Old was deleted with 2 objects"]
    assert make_class_changes(state, changes(ONE, TWO)) == []
    ((n, _),) = await run(["Old"], [NEW, {"tag": "v2"}], "/Old/name/a")
    assert n == 1


def test_a_folder_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    make_class_changes(tmp_path, changes(ONE))
    claim = FolderClaim(tmp_path)
    claim.share()
    try:
        with pytest.raises(Exception, match="Another process already uses"):
            make_class_changes(tmp_path, changes(ONE, TWO))
        # New classes disturb nobody.
        assert make_class_changes(tmp_path, changes(ONE, ClassChange("v1b", new=["Other"]))) == []
    finally:
        claim.release()


def _change(folder: str, answers: Any) -> None:
    answers.put(make_class_changes(Path(folder), changes(ONE, TWO)))
    FolderClaim(Path(folder)).share()


def test_processes_that_begin_together_wait_for_the_one_that_changes(tmp_path: Path) -> None:
    make_class_changes(tmp_path, changes(ONE))
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    processes = [context.Process(target=_change, args=(str(tmp_path), answers)) for _ in range(3)]
    for process in processes:
        process.start()
    done = [answers.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert sorted(done) == [[], [], ["w, v2: Old was deleted with 0 objects"]]
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_a_class_that_another_worker_never_had_comes_without_objects(tmp_path: Path) -> None:
    step = ClassChange("v1", transferred=[Transfer("Theirs", "other", "Ours")])
    assert make_class_changes(tmp_path, changes(step)) == []
    assert json.loads((tmp_path / "namespaces.json").read_text())["made"] == {"w": ["v1"]}
