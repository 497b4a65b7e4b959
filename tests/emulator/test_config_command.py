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
