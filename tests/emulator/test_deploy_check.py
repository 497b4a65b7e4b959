"""``edgeagents deploy-check``: what would not deploy, or not run, on Cloudflare."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from edgeagents_emulator.cli import main
from edgeagents_emulator.new_project import make_project
from edgeagents_emulator.pyodide_packages import names_in

from edgeagents.class_changes import ClassChange, WorkersChanges, make_class_changes

HELLO = """from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("hello")
"""
WHOLE: dict[str, Any] = {
    "name": "w",
    "main": "src/entry.py",
    "compatibility_date": "2026-01-01",
    "compatibility_flags": ["python_workers"],
}
Check = Callable[..., Result]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check a project: ``check(source, {file: text}, **changes_to_the_configuration)``."""
    monkeypatch.chdir(tmp_path)

    def check(source: str = HELLO, files: dict[str, str] | None = None, *options: str, **changes: Any) -> Result:
        config = {key: value for key, value in {**WHOLE, **changes}.items() if value is not None}
        (tmp_path / "wrangler.json").write_text(json.dumps(config))
        for name, text in {"src/entry.py": source, **(files or {})}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return CliRunner().invoke(main, ["deploy-check", *options])

    return check


def test_a_worker_that_would_deploy_is_told_so(check: Check) -> None:
    result = check()
    assert (result.exit_code, result.output) == (0, "Nothing is in the way.\n")


@pytest.mark.parametrize("template", ["hello", "durable-object"])
def test_projects_in_cloudflare_s_words_would_deploy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    make_project(template, tmp_path, "w")
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["deploy-check"]).output == "Nothing is in the way.\n"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import subprocess", "src/entry.py:1: imports subprocess, which starts no process"),
        ("def f():\n    from multiprocessing import Pool", "src/entry.py:2: imports multiprocessing"),
        ("import os\nos.system('ls')", "src/entry.py:2: starts a process"),
        ("import threading\nthreading.Thread(target=print).start()", "src/entry.py:2: starts a thread"),
        ("from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor()", "src/entry.py:2: starts threads"),
        ("import fcntl", "imports fcntl, which is not in Pyodide"),
        ("import edgeagents", "imports edgeagents, which runs here and not on Cloudflare"),
        ("import greenlet", "needs greenlet, which has compiled code and is not among Pyodide's packages"),
        ("def f(:", "src/entry.py:1: cannot be read"),
    ],
    ids=["subprocess", "late", "system", "thread", "executor", "fcntl", "edgeagents", "compiled", "syntax"],
)
def test_code_that_cannot_run_there_is_named_with_its_line(check: Check, source: str, told: str) -> None:
    result = check(source)
    assert result.exit_code == 1
    assert told in result.output


@pytest.mark.parametrize(
    "source",
    [
        "import numpy, pandas\nfrom PIL import Image\nimport yaml",  # Pyodide has them.
        "import click, pluggy",  # Pure Python.
        "import threading\nlock = threading.Lock()",  # Locks lock nothing, and do no harm.
        "import js\nfrom pyodide.ffi import to_js\nfrom agents import Agent",
        "import json, asyncio, sqlite3, os\nos.environ.get('x')",
        "import helper\nfrom package import part\nfrom .package import other",
    ],
    ids=["Pyodide's", "pure", "locks", "the host's", "Python's", "own"],
)
def test_code_that_can_run_there_is_let_be(check: Check, source: str) -> None:
    result = check(source, {"src/helper.py": "", "src/package/part.py": "", "src/tests/test_x.py": "import subprocess"})
    assert result.output == "Nothing is in the way.\n"


def test_modules_beside_the_configuration_are_own_too(check: Check) -> None:
    result = check("import vendored", {"python_modules/vendored/__init__.py": "import subprocess"})
    assert result.output == "Nothing is in the way.\n"


def test_a_package_of_which_nothing_is_known_is_a_warning(check: Check) -> None:
    result = check("import nunpy")
    assert result.exit_code == 0
    assert "(warning) src/entry.py:1: needs nunpy, which is not installed here" in result.output
    assert "Did you mean 'numpy'?" in result.output


@pytest.mark.parametrize(
    ("flags", "is_told"),
    [(["python_workers"], True), (["python_workers", "experimental", "python_workers_20260610"], False)],
    ids=["3.13", "3.14"],
)
def test_what_is_there_depends_on_the_python_that_the_worker_asks_for(
    check: Check, flags: list[str], is_told: bool
) -> None:
    assert ("needs pyroaring" in check("import pyroaring", compatibility_flags=flags).output) is is_told


def test_names_come_from_a_lock_file_without_tests_and_libraries() -> None:
    kinds = {"numpy": "package", "numpy-tests": "package", "Ruamel.YAML": "package", "libgeos": "shared_library"}
    lock = {"packages": {name: {"name": name, "package_type": kind} for name, kind in kinds.items()}}
    assert names_in(lock) == ["numpy", "ruamel-yaml"]


HALL = """from workers import DurableObject, WorkerEntrypoint
from halls import Imported

class Hall(DurableObject):
    pass

if True:
    Other = Hall

class Default(WorkerEntrypoint):
    pass
"""
BOUND = {"durable_objects": {"bindings": [{"name": "HALL", "class_name": "Hall"}]}}


@pytest.mark.parametrize(
    ("steps", "bound", "told"),
    [
        ([], "Hall", 'durable_objects: no migration makes "Hall"'),
        (
            [{"tag": "v1", "new_sqlite_classes": ["Other"]}],
            "Hall",
            'durable_objects.bindings[0].class_name: no migration makes "Hall", so there is no SQL, and Cloudflare '
            'refuses the binding. Add {"tag": "v2", "new_sqlite_classes": ["Hall"]} to migrations',
        ),
        (
            [{"tag": "v1", "new_sqlite_classes": ["Hall"]}, {"tag": "v2", "deleted_classes": ["Hall"]}],
            "Hall",
            'durable_objects.bindings[0].class_name: no migration makes "Hall"',
        ),
        (
            [{"tag": "v1", "new_sqlite_classes": ["Hall", "Halls"]}],
            "Hall",
            'migrations: they make the class "Halls", which the worker\'s code does not have: '
            "Cloudflare refuses that. Did you mean 'Hall'?",
        ),
        (
            [{"tag": "v1", "transferred_classes": [{"from": "A", "from_script": "s", "to": "Room"}]}],
            "Room",
            'migrations: they make the class "Room"',
        ),
        (
            [{"tag": "v1", "new_sqlite_classes": ["Hall"]}, {"tag": "v2", "deleted_classes": ["Nope"]}],
            "Hall",
            "migrations[1]: 'Nope' is deleted, but no earlier step makes it",
        ),
        (
            [{"tag": "v1", "new_sqlite_classes": ["Hall"]}],
            "Hal",
            "durable_objects.bindings[0].class_name: 'Hal' is not exported by src/entry.py. Did you mean 'Hall'?",
        ),
    ],
    ids=["none", "unmade", "deleted", "not exported", "transferred", "contradiction", "not there"],
)
def test_classes_that_migrations_and_code_disagree_about_are_errors(
    check: Check, steps: list[dict[str, Any]], bound: str, told: str
) -> None:
    objects = {"bindings": [{"name": "HALL", "class_name": bound}]}
    result = check(HALL, {"src/halls.py": ""}, migrations=steps, durable_objects=objects)
    assert result.exit_code == 1
    assert told in result.output


@pytest.mark.parametrize(
    "steps",
    [
        [{"tag": "v1", "new_sqlite_classes": ["Hall", "Imported", "Other"]}],
        [{"tag": "v1", "new_classes": ["Room"]}, {"tag": "v2", "renamed_classes": [{"from": "Room", "to": "Hall"}]}],
        [{"tag": "v1", "transferred_classes": [{"from": "A", "from_script": "s", "to": "Hall"}]}],
        [{"tag": "v1", "new_sqlite_classes": ["Hall", "Old"]}, {"tag": "v2", "deleted_classes": ["Old"]}],
    ],
    ids=["made", "renamed", "transferred", "deleted"],
)
def test_classes_that_migrations_and_code_agree_about_are_let_be(check: Check, steps: list[dict[str, Any]]) -> None:
    assert check(HALL, {"src/halls.py": ""}, migrations=steps, **BOUND).output == "Nothing is in the way.\n"


def test_names_that_only_running_it_would_tell_are_not_missed(check: Check) -> None:
    steps = [{"tag": "v1", "new_sqlite_classes": ["Hall"]}]
    result = check("from halls import *", {"src/halls.py": "Hall = 1"}, migrations=steps, **BOUND)
    assert result.output == "Nothing is in the way.\n"


def test_a_step_that_was_edited_after_it_was_made_is_a_warning(check: Check, tmp_path: Path) -> None:
    made = WorkersChanges("w", [ClassChange("v1", new=["Room"])])
    make_class_changes(tmp_path / ".edgeagents" / "state", [made])
    result = check(HALL, {"src/halls.py": ""}, migrations=[{"tag": "v1", "new_sqlite_classes": ["Hall"]}], **BOUND)
    assert result.exit_code == 0
    assert "(warning) migrations[0]: 'v1' was made before, when it said: Room new." in result.output
    same = check(HALL + "class Room: pass", migrations=[{"tag": "v1", "new_sqlite_classes": ["Room"]}])
    assert "v1" not in same.output


def test_dependencies_of_the_project_are_looked_at(check: Check) -> None:
    result = check(HELLO, {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["greenlet>=3", "numpy", "click"]'})
    assert result.exit_code == 1
    assert "pyproject.toml: needs greenlet, which has compiled code" in result.output
    assert result.output.endswith("wrangler.json: 1 error.\n")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"compatibility_date": None}, "compatibility_date: is not set"),
        ({"compatibility_date": "2999-01-01"}, "compatibility_date: 2999-01-01 is in the future"),
        ({"compatibility_flags": []}, 'Cloudflare wants "python_workers" in compatibility_flags'),
        ({"name": None}, "name: is not set"),
        ({"main": None}, "main: is not set, and there are no assets"),
        ({"main": "src/nope.py"}, "main: src/nope.py does not exist"),
        ({"kv_namespaces": [{"id": "x"}]}, "kv_namespaces[0].binding: is required here"),
        ({"triggers": {"crons": ["61 * * * *"]}}, "triggers.crons[0]: '61 * * * *' is not a cron expression"),
        ({"assets": {"directory": "public"}}, "assets.directory: public does not exist"),
    ],
    ids=["date", "future", "flag", "name", "nothing", "main", "invalid", "cron", "assets"],
)
def test_a_configuration_that_is_refused_is_an_error(check: Check, changes: dict[str, Any], told: str) -> None:
    result = check(**changes)
    assert result.exit_code == 1
    assert told in result.output


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kv_namespaces": [{"binding": "KV"}]}, "kv_namespaces[0]: has no id"),
        ({"services": [{"binding": "B", "service": "back"}]}, "bindings name the worker 'back'"),
        ({"secrets": {"required": ["KEY"]}}, "KEY: is a secret: set it with wrangler secret put KEY"),
        ({"kv_namespace": []}, "kv_namespace: is not known here. Did you mean 'kv_namespaces'?"),
    ],
    ids=["id", "other worker", "secret", "unknown key"],
)
def test_what_may_go_wrong_is_a_warning(check: Check, changes: dict[str, Any], told: str) -> None:
    result = check(**changes)
    assert result.exit_code == 0
    assert f"(warning) {told}" in result.output


@pytest.mark.parametrize(
    ("size", "told", "status"),
    [(4, "(warning) the worker has 4.0 MiB compressed", 0), (11, "the worker has 11.0 MiB compressed; no more", 1)],
)
def test_a_worker_may_not_be_too_large(check: Check, tmp_path: Path, size: int, told: str, status: int) -> None:
    (tmp_path / "python_modules").mkdir()
    (tmp_path / "python_modules" / "data.bin").write_bytes(os.urandom(size * 1024 * 1024))
    result = check()
    assert result.exit_code == status
    assert told in result.output
    excluded = check(python_modules={"exclude": ["**/*.bin"]})
    assert excluded.output == "Nothing is in the way.\n"


def test_an_asset_may_not_be_too_large(check: Check, tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    with (tmp_path / "public" / "film.mp4").open("wb") as file:
        file.truncate(26 * 1024 * 1024)
    result = check(assets={"directory": "public"})
    assert "public/film.mp4: is larger than 25 MiB" in result.output


def test_tools_are_given_json(check: Check) -> None:
    result = check("import subprocess", None, "--json")
    assert json.loads(result.output) == [
        {
            "level": "error",
            "place": "src/entry.py:1",
            "text": "imports subprocess, which starts no process: a worker cannot have one",
        }
    ]


def test_an_environment_is_checked_as_it_would_be_deployed(check: Check) -> None:
    result = check(HELLO, None, "--env", "staging", env={"staging": {"kv_namespaces": [{"binding": "KV"}]}})
    assert "kv_namespaces[0]: has no id" in result.output
