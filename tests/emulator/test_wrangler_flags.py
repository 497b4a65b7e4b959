"""Command lines that are written for wrangler: its flags are taken, and what it has beyond us is told."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import main

GLOBAL = "-c --config --cwd -e --env --env-file -h --help"
LOCAL = "--local --remote --persist-to"
NAMESPACE = f"{LOCAL} --binding --namespace-id --preview"
# Of wrangler 4.80.
FLAGS = {
    "dev": "--name --compatibility-date --compatibility-flags --compatibility-flag --latest --assets --no-bundle --ip "
    "--port --inspector-port --inspector-ip --routes --route --host --local-protocol --https-key-path "
    "--https-cert-path --local-upstream --upstream-protocol --var --define --alias --jsx-factory --jsx-fragment "
    "--tsconfig -r --remote -l --local --minify --persist-to --live-reload --test-scheduled --log-level "
    "--show-interactive-dev-session --types",
    "d1 execute": f"{LOCAL} --command --file -y --yes --json --preview",
    "d1 export": "--local --remote --output --table --no-schema --no-data",
    "d1 info": "--json",
    "d1 list": "--json",
    "d1 migrations apply": f"{LOCAL} --preview",
    "d1 migrations list": f"{LOCAL} --preview",
    "kv bulk delete": f"{NAMESPACE} -f --force",
    "kv bulk get": NAMESPACE,
    "kv bulk put": f"{NAMESPACE} --ttl --expiration --metadata",
    "kv key delete": NAMESPACE,
    "kv key get": f"{NAMESPACE} --text",
    "kv key list": f"{NAMESPACE} --prefix",
    "kv key put": f"{NAMESPACE} --path --ttl --expiration --metadata",
    "queues list": "--page",
    "r2 bucket list": "-J --jurisdiction",
    "r2 object delete": f"{LOCAL} -J --jurisdiction -y --force",
    "r2 object get": f"{LOCAL} -f --file -p --pipe -J --jurisdiction",
    "r2 object put": f"{LOCAL} --content-type --ct --content-disposition --cd --content-encoding --ce "
    "--content-language --cl --cache-control --cc --expires -J --jurisdiction -s --storage-class -y --force -f --file "
    "-p --pipe",
    "workflows delete": "--local --port",
    "workflows describe": "--local --port",
    "workflows instances describe": "--local --port --step-output --truncate-output-limit",
    "workflows instances list": "--local --port --reverse --status --page --per-page",
    "workflows instances pause": "--local --port",
    "workflows instances restart": "--local --port",
    "workflows instances resume": "--local --port",
    "workflows instances send-event": "--local --port --type --payload",
    "workflows instances terminate": "--local --port",
    "workflows list": "--local --port --page --per-page",
    "workflows trigger": "--local --port --id",
}
ELSEWHERE = [
    "deploy --dry-run",
    "tail",
    "secret put KEY",
    "d1 create shop",
    "kv namespace create KV",
    "queues create jobs",
    "queues consumer add jobs worker",
    "r2 bucket create pictures",
    "r2 bucket lifecycle list pictures",
]


@pytest.mark.parametrize("command", FLAGS)
def test_each_flag_of_wranglers_is_taken(command: str) -> None:
    found: click.Command = main
    with click.Context(main) as ctx:
        for word in command.split():
            assert isinstance(found, click.Group)
            inner = found.get_command(ctx, word)
            assert inner is not None
            found = inner
        taken = {name for one in found.get_params(ctx) for name in (*one.opts, *one.secondary_opts)}
    assert set(f"{GLOBAL} {FLAGS[command]}".split()) - {"-h"} <= taken


@pytest.mark.parametrize("words", ELSEWHERE)
def test_what_is_done_elsewhere_is_told_with_what_to_do(words: str) -> None:
    told = CliRunner().invoke(main, words.split())
    assert told.exit_code == 2
    assert any(f"There is no {word!r} here: " in told.stderr for word in words.split())


def test_a_command_runs_in_the_folder_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "wrangler.json").write_text(
        json.dumps({"name": "w", "kv_namespaces": [{"binding": "KV", "id": "one"}]})
    )
    monkeypatch.chdir(tmp_path)
    put = ["kv", "key", "put", "--binding", "KV", "a", "x", "--cwd", "project"]
    assert CliRunner().invoke(main, put).output == "a is kept.\n"
    assert (tmp_path / "project" / ".edgeagents").is_dir()
