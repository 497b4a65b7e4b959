"""``edgeagents config``: the normalised form, for tools and for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import main

MakeProject = Callable[..., Path]


def run(*arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(main, ["config", "--json", *arguments])
    return result.exit_code, json.loads(result.stdout)


def test_the_form_has_what_holds_and_what_is_in_env(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project(main="./src/../src/entry.py") / "src")
    status, form = run()
    assert status == 0
    assert (form["configPath"], form["name"], form["topLevelName"]) == ("../wrangler.jsonc", "counting", "counting")
    assert form["main"] == "src/entry.py"
    assert form["bindings"] == {"Counter": "durable_object_namespace", "GREETING": "plain_text"}
    assert form["durable_object_storage"] == {"Counter": "sqlite"}
    assert form["dev"]["ip"] == "localhost"
    assert (form["definedEnvironments"], form["errors"], form["warnings"]) == ([], [], [])
    assert "targetEnvironment" not in form


def test_variables_are_shown_with_their_kinds(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project())
    _, form = run("--vars")
    assert form["vars"] == {
        "GREETING": {"type": "plain_text", "value": "hi"},
        "KEY": {"type": "secret_text", "value": "sesame"},
    }


def test_faults_have_code_path_and_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrangler.toml").write_text("name = \n")
    status, form = run()
    assert status == 1
    (fault,) = form["errors"]
    assert (fault["code"], fault["path"], fault["line"], fault["column"]) == ("parse", "", 1, 8)


def test_migrations_that_contradict_each_other_have_no_stores(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project(migrations=[{"tag": "v1", "deleted_classes": ["A"]}]))
    assert run()[1]["durable_object_storage"] is None


def test_no_file_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    status, form = run()
    assert (status, form["configPath"]) == (0, None)


TABLE = """\
counting from wrangler.jsonc

Settings
  compatibility_flags   python_workers
  dev.port              9000
  main                  src/entry.py
  compatibility_date    2026-01-01

Bindings
  env.Counter (Counter)        Durable Object
  env.LOBBY (Lobby, of other)  Durable Object
  env.KV (abc)                 KV Namespace
  env.GREETING ("(hidden)")    Environment Variable
  env.LIMITS ({"a": 1})        Environment Variable
  env.KEY                      Secret

Durable Object classes
  Counter   with SQL

Started by
  the clock   */5 * * * *
  a queue     jobs (max_batch_size 5)

Assets
  directory   public

Environments: staging (--env NAME shows one)
"""


def test_people_are_shown_what_is_set_in_tables(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    bindings = [
        {"name": "Counter", "class_name": "Counter"},
        {"name": "LOBBY", "class_name": "Lobby", "script_name": "other"},
    ]
    folder = project(
        durable_objects={"bindings": bindings},
        vars={"GREETING": "hi", "LIMITS": {"a": 1}},
        kv_namespaces=[{"binding": "KV", "id": "abc"}],
        triggers={"crons": ["*/5 * * * *"]},
        queues={"consumers": [{"queue": "jobs", "max_batch_size": 5}]},
        secrets={"required": ["KEY"]},
        assets={"directory": "public"},
        dev={"port": 9000},
        env={"staging": {"vars": {}}},
    )
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, ["config"])
    assert result.exit_code == 0
    assert result.stdout.split() == TABLE.split()
    assert result.stdout.count("\n\n") == TABLE.count("\n\n")


def test_people_are_shown_the_environment_that_they_ask_for(
    project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project(env={"staging": {"vars": {"ONLY": "here"}}}))
    result = CliRunner().invoke(main, ["config", "--env", "staging"])
    assert result.stdout.startswith("counting-staging (staging) from wrangler.jsonc\n")
    assert "env.ONLY" in result.stdout
    assert "env.GREETING" not in result.stdout


def test_people_are_shown_variables_with_their_values(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project())
    result = CliRunner().invoke(main, ["config", "--vars"])
    assert result.stdout.split() == ["Name", "Kind", "Value", "GREETING", "text", "hi", "KEY", "secret", "sesame"]


def test_people_are_told_what_cloudflare_would_refuse(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project(migrations=[{"tag": "v1", "new_sqlite_classes": ["Counter", "Countr"]}]))
    result = CliRunner().invoke(main, ["config"])
    assert result.exit_code == 0
    assert '(warning) migrations: they make the class "Countr"' in result.stderr
    assert run()[1]["warnings"] == []


def test_what_is_wrong_is_told_in_place_of_a_table(project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project(name="No Name", main=5))
    result = CliRunner().invoke(main, ["config"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("wrangler.jsonc has 2 errors:\n")
