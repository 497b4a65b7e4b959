"""Projects: what is loaded from a folder, and everything that is wrong told at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from edgeagents_emulator.options import Options
from edgeagents_emulator.project import Project, load_project

from edgeagents.errors import ConfigError
from wrangler_compat.diagnostics import InvalidConfig

pytestmark = pytest.mark.cloudflare(
    "Workers", "JavaScript and TypeScript workers", "different: an error says what to do; this is Python"
)

KINDS = ("durable_object_namespace", "plain_text", "json", "secret_text", "workflow")
AGENT = "from edgeagents import Agent\nclass Counter(Agent): pass\n"
MakeProject = Callable[..., Path]


@contextmanager
def loaded(
    folder: Path, process: dict[str, str] | None = None, kinds: Sequence[str] = KINDS, **options: Any
) -> Iterator[Project]:
    project = load_project(Options(directory=str(folder), **options), process or {}, kinds)
    try:
        yield project
    finally:
        project.code.unload()


def complaint(folder: Path, **options: Any) -> str:
    with pytest.raises(InvalidConfig) as caught, loaded(folder, **options):
        pass
    return str(caught.value)


def test_a_project_becomes_a_worker(project: MakeProject) -> None:
    with loaded(project()) as made:
        worker = made.worker
        assert (worker.name, worker.compatibility_date) == ("counting", "2026-01-01")
        assert list(worker.classes) == ["Counter"]
        assert getattr(worker.entrypoint, "__name__", "") == "Default"
        assert {(d.name, d.kind, d.options.get("value")) for d in worker.bindings} == {
            ("Counter", "durable_object_namespace", None),
            ("GREETING", "plain_text", "hi"),
            ("KEY", "secret_text", "sesame"),
        }
        assert made.worker.bindings[0].options["storage"] == "sqlite"
        assert made.state_folder == made.config.directory / ".edgeagents" / "state"
        assert [file.name for file in made.secret_files] == [".dev.vars"]


def test_a_module_level_fetch_is_an_entrypoint(project: MakeProject) -> None:
    with loaded(project(AGENT + "def fetch(request): return 'x'\n")) as made:
        assert getattr(made.worker.entrypoint, "__name__", "") == "fetch"


def test_a_workflow_s_class_is_the_worker_s(project: MakeProject) -> None:
    worker = AGENT + "class Orders:\n    async def run(self, event, step): pass\n"
    entry = {"binding": "ORDERS", "name": "orders", "class_name": "Orders", "limits": {"steps": 5}}
    with loaded(project(worker, workflows=[entry])) as made:
        assert list(made.worker.classes) == ["Counter", "Orders"]
        (declared,) = [d for d in made.worker.bindings if d.kind == "workflow"]
        assert (declared.name, dict(declared.options)) == (
            "ORDERS",
            {"name": "orders", "class_name": "Orders", "limits": {"steps": 5}},
        )


def test_a_session_works_on_the_resources_for_previews(project: MakeProject) -> None:
    changes = {
        "kv_namespaces": [{"binding": "KV", "id": "real", "preview_id": "p"}, {"binding": "OTHER", "id": "real"}],
        "r2_buckets": [{"binding": "R2", "bucket_name": "real", "preview_bucket_name": "preview"}],
        "d1_databases": [{"binding": "D1", "database_id": "real", "preview_database_id": "p"}],
    }
    with loaded(project(AGENT, **changes), kinds=(*KINDS, "kv_namespace", "r2_bucket", "d1")) as made:
        options = {d.name: d.options for d in made.worker.bindings}
    assert (options["KV"]["id"], options["OTHER"]["id"]) == ("p", "real")
    assert options["R2"]["bucket_name"] == "preview"
    assert options["D1"]["database_id"] == "p"


def test_a_worker_may_have_agents_alone(project: MakeProject) -> None:
    with loaded(project(AGENT)) as made:
        assert made.worker.entrypoint is None


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        ("x = 1\n", "main: has neither a class Default(WorkerEntrypoint) nor an agent: all requests are answered 404"),
        ("from edgeagents import WorkerEntrypoint\nclass Site(WorkerEntrypoint): pass\n", ", and Site is not asked: "),
    ],
)
def test_a_worker_that_answers_nothing_is_warned_of(project: MakeProject, worker: str, words: str) -> None:
    with loaded(project(worker, durable_objects=None, migrations=None)) as made:
        assert words in made.config.diagnostics.render("it")


def test_what_cloudflare_would_refuse_is_a_warning(project: MakeProject) -> None:
    steps = [{"tag": "v1", "new_sqlite_classes": ["Countr"]}]
    with loaded(project(AGENT, migrations=steps, compatibility_date="2999-01-01")) as made:
        told = made.config.diagnostics.render("it")
    assert '(warning) durable_objects.bindings[0].class_name: no migration makes "Counter"' in told
    assert '(warning) migrations: they make the class "Countr", which the worker\'s code does not have' in told
    assert "(warning) compatibility_date: 2999-01-01 is in the future, which Cloudflare refuses" in told


def test_the_config_is_found_upward_and_by_name(project: MakeProject, tmp_path: Path) -> None:
    folder = project()
    with loaded(folder / "src") as made:
        assert made.worker.name == "counting"
    with loaded(tmp_path, config="project/wrangler.jsonc") as made:
        assert made.worker.name == "counting"


def test_a_folder_without_a_config_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no wrangler\.json, .* Go to your project's folder"):
        load_project(Options(directory=str(tmp_path)), {}, KINDS)


def test_a_script_needs_no_config(tmp_path: Path) -> None:
    (tmp_path / "alone.py").write_text("def fetch(request): return 'x'\n")
    with loaded(tmp_path, script="alone.py") as made:
        assert made.worker.name == "worker"


def test_the_environment_is_chosen_by_option_before_variable(project: MakeProject) -> None:
    folder = project(env={"a": {"vars": {"GREETING": "a"}}, "b": {}})
    with loaded(folder, {"CLOUDFLARE_ENV": "a"}) as made:
        assert made.worker.name == "counting-a"
    with loaded(folder, {"CLOUDFLARE_ENV": "a"}, environment="b") as made:
        assert made.worker.name == "counting-b"
    with loaded(folder, {"CLOUDFLARE_ENV": "a"}, environment="") as made:
        assert made.worker.name == "counting"


def test_variables_of_the_command_line_win(project: MakeProject) -> None:
    with loaded(project(), variables={"KEY": "line"}) as made:
        assert ("KEY", "line") in {(d.name, d.options.get("value")) for d in made.worker.bindings}


def test_the_state_folder_can_be_elsewhere(project: MakeProject, tmp_path: Path) -> None:
    with loaded(project(), persist_to="../elsewhere") as made:
        assert made.state_folder == tmp_path / "elsewhere"


def test_modules_beside_main_come_before_python_modules(project: MakeProject) -> None:
    folder = project("import near\nimport far\nWORDS = near.WORD + far.WORD\n", durable_objects=None)
    (folder / "src" / "near.py").write_text("WORD = 'near '\n")
    (folder / "python_modules").mkdir()
    (folder / "python_modules" / "near.py").write_text("WORD = 'wrong '\n")
    (folder / "python_modules" / "far.py").write_text("WORD = 'far'\n")
    with loaded(folder) as made:
        assert made.code.module.WORDS == "near far"


def test_modules_of_one_worker_are_forgotten_before_the_next(project: MakeProject, tmp_path: Path) -> None:
    folder = project("import helper\nWORD = helper.WORD\n", durable_objects=None)
    (folder / "src" / "helper.py").write_text("WORD = 1\n")
    with loaded(folder) as made:
        assert made.code.module.WORD == 1
    second = folder.rename(tmp_path / "second")
    (second / "src" / "helper.py").write_text("WORD = 22\n")
    with loaded(second) as made:
        assert made.code.module.WORD == 22


def test_main_may_have_the_name_of_a_module_that_python_has(project: MakeProject) -> None:
    folder = project("def fetch(request): return 'x'\n", main="src/logging.py", durable_objects=None)
    (folder / "src" / "entry.py").rename(folder / "src" / "logging.py")
    with loaded(folder) as made:
        import logging

        assert made.code.module.__file__ == str(folder / "src" / "logging.py")
        assert hasattr(logging, "getLogger")


# What is wrong


def test_a_workflow_needs_a_run_method(project: MakeProject) -> None:
    entry = {"binding": "ORDERS", "name": "orders", "class_name": "Counter"}
    folder = project(AGENT, workflows=[entry])
    assert (
        "workflows[0].class_name: 'Counter' in src/entry.py is no workflow: "
        "it needs a method `async def run(self, event, step)`" in complaint(folder)
    )


def test_a_class_that_is_not_there_has_a_near_one_named(project: MakeProject) -> None:
    folder = project(durable_objects={"bindings": [{"name": "C", "class_name": "Conter"}]})
    assert (
        "\n  durable_objects.bindings[0].class_name: 'Conter' is not exported by src/entry.py. "
        "Did you mean 'Counter'?" in complaint(folder)
    )


@pytest.mark.parametrize(
    ("worker", "words"),
    [
        ("class Counter: pass", "is no agent and no Durable Object: derive it from workers.DurableObject, or from"),
        (AGENT + "class Default:\n    def fetch(self, request): pass", "derive it from edgeagents.WorkerEntrypoint"),
        ("import not_there_at_all", "Install it: pip install not-there-at-all"),
    ],
)
def test_a_worker_that_cannot_be_used_is_told_in_a_sentence(project: MakeProject, worker: str, words: str) -> None:
    assert words in complaint(project(worker))


@pytest.mark.parametrize(
    ("main", "words"),
    [
        (None, "main: is required"),
        ("src/entri.py", "main: src/entri.py does not exist. Did you mean 'entry.py'?"),
        ("src/index.ts", "main: src/index.ts is JavaScript or TypeScript"),
        ("wrangler.jsonc", "main: wrangler.jsonc is no Python file"),
    ],
)
def test_a_main_that_cannot_be_run_is_told(project: MakeProject, main: str | None, words: str) -> None:
    assert words in complaint(project(main=main))


def site(folder: Path, **assets: Any) -> Path:
    (folder / "public").mkdir()
    section = {"directory": "public", **assets}
    (folder / "wrangler.json").write_text(
        json.dumps({"name": "site", "compatibility_date": "2026-01-01", "assets": section})
    )
    return folder


@pytest.mark.cloudflare("Workers", "a worker that is nothing but its assets, without `main`", "same")
def test_a_worker_may_have_assets_alone(tmp_path: Path) -> None:
    with loaded(site(tmp_path), kinds=(*KINDS, "assets")) as made:
        assert (made.worker.name, made.worker.entrypoint, dict(made.worker.classes)) == ("site", None, {})
        (declared,) = made.worker.bindings
        assert (declared.name, declared.kind) == ("", "assets")


@pytest.mark.parametrize("more", [{"binding": "ASSETS"}, {"run_worker_first": ["/api/*"]}])
def test_assets_alone_have_nothing_that_is_for_code(tmp_path: Path, more: dict[str, Any]) -> None:
    told = complaint(site(tmp_path, **more), kinds=(*KINDS, "assets"))
    assert f"assets.{next(iter(more))}: is for the worker's code, and there is none" in told


def test_everything_is_told_at_once(project: MakeProject) -> None:
    folder = project(
        AGENT,
        compatibility_date="soon",
        kv_namespaces=[{"binding": "KV"}],
        durable_objects={"bindings": [{"name": "C", "class_name": "Cuonter"}]},
        migrations=[{"tag": "v1", "deleted_classes": ["Old"]}],
        tipo=1,
    )
    told = complaint(folder)
    assert told.startswith("wrangler.jsonc has 4 errors and ")
    assert "compatibility_date: is not set" not in told
    for words in (
        "compatibility_date: 'soon' is not a date",
        "kv_namespaces[0]: No installed plugin provides 'kv_namespace', needed for the binding 'KV'.",
        "durable_objects.bindings[0].class_name: 'Cuonter' is not exported",
        "migrations[0]: 'Old' is deleted, but no earlier step makes it",
        "(warning) tipo: is not known here",
    ):
        assert words in told


def test_a_binding_of_an_environment_is_told_at_its_own_path(project: MakeProject) -> None:
    folder = project(env={"a": {"durable_objects": {"bindings": [{"name": "C", "class_name": "Nope"}]}}})
    assert "env.a.durable_objects.bindings[0].class_name: 'Nope'" in complaint(folder, environment="a")


def test_code_that_raises_is_not_hidden(project: MakeProject) -> None:
    with pytest.raises(ZeroDivisionError), loaded(project("1 / 0")):
        pass


def test_the_flag_that_cloudflare_wants_is_a_warning_here(project: MakeProject) -> None:
    with loaded(project(compatibility_flags=[])) as made:
        assert [d.code for d in made.config.diagnostics.warnings] == ["python-flag"]
