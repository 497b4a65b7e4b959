"""The command ``edgeagents``: its own commands, and those that plugins bring."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import Commands, main


def test_help_lists_the_commands_of_plugins_too() -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    for name in ("config", "dev", "init", "deploy-check", "kv", "d1", "r2", "queues", "workflows"):
        assert f"\n  {name} " in told


def test_a_command_that_nobody_has_is_told() -> None:
    result = CliRunner().invoke(main, ["keyvalue"])
    assert result.exit_code == 2
    assert "No such command 'keyvalue'" in result.output


def test_a_command_that_is_nearly_one_is_told_which() -> None:
    assert "Did you mean 'dev'?" in CliRunner().invoke(main, ["dve"]).output


@pytest.mark.parametrize("flag", ["-v", "--version"])
def test_the_version_is_told(flag: str) -> None:
    assert CliRunner().invoke(main, [flag]).output == f"edgeagents {version('edgeagents')}\n"


def test_help_says_what_each_command_does_to_the_end() -> None:
    told = CliRunner().invoke(main, ["--help"]).output
    assert "..." not in told.partition("Commands:")[2]


@pytest.mark.parametrize("group", [["d1"], ["d1", "migrations"], ["r2"], ["queues"], ["kv", "key"], ["agent"]])
def test_help_of_groups_says_what_each_command_does_to_the_end(group: list[str]) -> None:
    listed = CliRunner().invoke(main, [*group, "--help"], terminal_width=60).output.partition("Commands:")[2]
    assert listed.strip()
    assert "..." not in listed


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("kv namespace", "There are no KV namespaces."),
        ("d1", "There are no D1 databases."),
        ("r2 bucket", "There are no R2 buckets."),
        ("queues", "There are no queues."),
        ("workflows", "There are no workflows."),
    ],
)
def test_a_list_of_nothing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, told: str) -> None:
    (tmp_path / "wrangler.json").write_text('{"name": "w"}')
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, [*command.split(), "list"]).output == f"{told}\n"
    assert CliRunner().invoke(main, [*command.split(), "list", "--json"]).output == "[]\n"


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("d1 execute nope --command x", "wrangler.json has no D1 Database 'nope'. It has: none."),
        ("kv key list --binding nope", "wrangler.json has no KV Namespace 'nope'. It has: none."),
        ("workflows describe nope", "wrangler.json has no Workflow 'nope'. It has: none."),
    ],
)
def test_what_is_not_declared_is_called_what_people_call_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, told: str
) -> None:
    (tmp_path / "wrangler.json").write_text('{"name": "w"}')
    monkeypatch.chdir(tmp_path)
    assert told in CliRunner().invoke(main, command.split()).output


def test_our_own_commands_load_no_plugin() -> None:
    check = "import sys; from edgeagents_emulator.cli import main; main(['config', '--help'], standalone_mode=False)"
    check += "; print([name for name in sys.modules if name.startswith('edgeagents_kv')])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {check}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_broken_plugin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "broken_dist-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-dist\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[edgeagents]\nbroken = not_there_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = CliRunner().invoke(Commands("edgeagents"), ["kv"])
    assert result.exit_code == 1
    assert "The plugin 'broken' of broken-dist cannot be imported" in result.output
    assert "Traceback" not in result.output
