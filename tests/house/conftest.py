"""The types are checked beside the other tests: that takes a minute, and most tests leave a processor free."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]
_running: list[tuple[subprocess.Popen[str], IO[str]]] = []


def pytest_collection_finish(session: pytest.Session) -> None:
    pyright = shutil.which("pyright", path=f"{Path(sys.executable).parent}") or shutil.which("pyright")
    wanted = any("checked_types" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and pyright is not None and not session.config.option.collectonly:
        # A file, because nobody reads a pipe meanwhile. Open until the session ends.
        output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        command = [pyright, "--pythonpath", sys.executable]
        _running.append(
            (subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, text=True), output)
        )


@pytest.fixture
def checked_types() -> tuple[int, str]:
    """The status and the output of the checker, once it has ended."""
    if not _running:
        pytest.skip("pyright is not installed")
    process, output = _running[0]
    status = process.wait()
    output.seek(0)
    return status, output.read()


def pytest_unconfigure() -> None:
    for process, output in _running:
        process.kill()
        process.wait()
        output.close()
    _running.clear()
