"""The project's build command, which runs before its worker is loaded."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from edgeagents_emulator.options import Options
from edgeagents_emulator.project import load_project

from tests.emulator.test_dev import dev
from tests.servers import until
from wrangler_compat.diagnostics import InvalidConfig

KINDS = ("plain_text", "assets")
WORKER = "from made import NAME\ndef fetch(request, env, ctx):\n    return NAME\n"
BUILD = "echo building && python -m make"
MAKE = "from pathlib import Path\nPath('made.py').write_text('NAME = 1')\n"


def write(folder: Path, command: str, cwd: str = "src") -> Path:
    (folder / "src").mkdir()
    (folder / "src" / "entry.py").write_text(WORKER)
    config = (
        'name = "built"\nmain = "src/entry.py"\ncompatibility_date = "2026-01-01"\n'
        f"compatibility_flags = ['python_workers']\n[build]\ncommand = '''{command}'''\ncwd = '{cwd}'\n"
    )
    (folder / "wrangler.toml").write_text(config)
    return folder


def test_the_worker_has_what_the_build_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "edgeagents.emulator")
    folder = write(tmp_path, BUILD)
    (folder / "src" / "make.py").write_text(MAKE)
    project = load_project(Options(directory=str(folder)), {}, KINDS)
    project.code.unload()
    assert (tmp_path / "src" / "made.py").read_text() == "NAME = 1"
    assert "[custom build] building" in caplog.messages


def test_a_build_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"build\.command: .* ended with status 3\. no front end"):
        load_project(Options(directory=str(write(tmp_path, "echo no front end; exit 3"))), {}, KINDS)


@pytest.mark.server
def test_what_a_build_writes_is_no_change_and_what_it_reads_is(tmp_path: Path) -> None:
    folder = write(tmp_path, "python -m make")
    (folder / "src" / "entry.py").write_text(
        "from made import NAME\nfrom edgeagents import Response\ndef fetch(request, env, ctx): return Response(NAME)\n"
    )
    (folder / "src" / "name.txt").write_text("one")
    (folder / "src" / "make.py").write_text(
        "from pathlib import Path\nPath('made.py').write_text(f'NAME = {Path(\"name.txt\").read_text()!r}')\n"
    )
    with dev(folder) as running:
        assert running.get() == (200, "one")
        (folder / "src" / "name.txt").write_text("two")
        until(lambda: running.get() == (200, "two"), "the new name")
        # What came after it: the changes that the builds made are not among what is told.
        (folder / "src" / "entry.py").touch()
        until(lambda: running.log.count("updated and ready") == 2, "the last reload")
        assert re.findall("Reloading the local server: (.*)", running.log) == ["name.txt changed", "entry.py changed"]
