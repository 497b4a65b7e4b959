"""Broken configurations: each is told so that a person can mend it, and wrangler agrees on what is an error."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import main

from tests.packages import WRANGLER, install
from tests.wrangler_compat.broken_configurations import BROKEN, Broken
from wrangler_compat.config import read_config

HERE = Path(__file__).parent

pytestmark = pytest.mark.cloudflare("Workers", "Broken configurations: what is wrong, where, and what to write", "same")


def write(folder: Path, broken: Broken) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"wrangler.{broken.ending}"
    path.write_text(broken.text, encoding="utf-8")
    return path


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_what_is_wrong_is_told_with_its_place_and_its_remedy(tmp_path: Path, broken: Broken) -> None:
    config = read_config(write(tmp_path, broken), environment=broken.environment)
    (told,) = [str(d) for d in config.diagnostics if d.path == broken.path and d.is_error == broken.is_error]
    assert [word for word in broken.words if word not in told] == []
    assert broken.is_error == bool(config.diagnostics.errors)


def test_there_are_enough_of_them_and_no_two_are_the_same() -> None:
    assert len({broken.text for broken in BROKEN}) == len({broken.name for broken in BROKEN}) == len(BROKEN) >= 50


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_the_command_ends_with_status_1_and_no_traceback(tmp_path: Path, broken: Broken) -> None:
    environment = ["--env", broken.environment] if broken.environment else []
    result = CliRunner().invoke(main, ["config", "--config", str(write(tmp_path, broken)), *environment])
    assert result.exit_code == (1 if broken.is_error else 0)
    assert broken.path in result.stderr
    assert "Traceback" not in result.output


def wrangler() -> Path:
    """Return the folder of wrangler's package, or skip."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js and npm are not installed")
    if "EDGEAGENTS_TEST_WRANGLER" in os.environ:
        return Path(os.environ["EDGEAGENTS_TEST_WRANGLER"])
    install(WRANGLER)
    return WRANGLER / "node_modules" / "wrangler"


@pytest.mark.node
def test_wrangler_refuses_the_same(tmp_path: Path) -> None:
    folder = wrangler()
    version = tuple(int(part) for part in json.loads((folder / "package.json").read_text())["version"].split(".")[:2])
    compared = [broken for broken in BROKEN if version >= broken.since]
    files = [write(tmp_path / str(number), broken) for number, broken in enumerate(compared)]
    requests = [{"path": str(file), "env": b.environment} for file, b in zip(files, compared, strict=True)]
    done = subprocess.run(
        ["node", HERE / "read_with_wrangler.mjs", folder],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    answers = json.loads(done.stdout.splitlines()[-1])
    refused = {b.name: answer is not None for b, answer in zip(compared, answers, strict=True)}
    assert refused == {broken.name: broken.is_error for broken in compared}
