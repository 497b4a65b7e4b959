"""The tests of ``docs/testing.md`` pass as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import Page

PAGE = Page("docs/testing.md")


def test_the_tests_pass(tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    PAGE.write_to(tmp_path)
    (settings,) = PAGE.blocks("ini")
    (tmp_path / "pytest.ini").write_text(settings)
    # Whoever measures or divides this run does not mean that one.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    env["PYTHONPATH"] = os.pathsep.join(map(str, [tmp_path, *sys.path]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(code.count('def test_') for code in PAGE.files.values())} passed" in done.stdout
