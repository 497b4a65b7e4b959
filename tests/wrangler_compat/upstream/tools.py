"""Cloudflare's repositories, at hand: found, copied, and their command line answered by ours.

Their tests start workers with ``uv run pywrangler dev``. ``path_with_pywrangler`` makes a ``uv`` that does so with
``edgeagents dev``, so the tests run as they are.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.servers import ROOT

__all__ = ["EXAMPLES", "WORKERS_PY", "copy_of", "environment", "path_with_pywrangler"]

EXAMPLES = os.environ.get("EDGEAGENTS_PYTHON_WORKERS_EXAMPLES", "")
WORKERS_PY = os.environ.get("EDGEAGENTS_WORKERS_PY", "")

_UV = """#!{python}
import os
import sys

command = sys.argv[sys.argv.index("pywrangler") + 1 :]
os.environ.pop("WORKERS_CI", None)  # No worker in workerd sees what pywrangler is told.
if command[0] != "sync":  # What that brings is installed here.
    arguments = [sys.executable, "-u", "-c", "from edgeagents_emulator.cli import main; main()", *command]
    os.execv(sys.executable, arguments)
"""


def copy_of(place: str, folder: str, into: Path) -> Path:
    """Copy ``folder`` of the repository at ``place``, a checkout or a git directory, and return where it is."""
    source, made = Path(place), into / folder
    if (source / folder).is_dir():
        shutil.copytree(source / folder, made)
    else:
        found = subprocess.run(
            ["git", f"--git-dir={source}", "archive", "HEAD", folder], capture_output=True, check=True
        ).stdout
        with tarfile.open(fileobj=io.BytesIO(found)) as archive:
            archive.extractall(into, filter="data")
    return made


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that finds this checkout and its plugins, as installed."""
    inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    paths = [more.pop("PYTHONPATH", ""), str(ROOT), str(ROOT / "emulator")]
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1", **more}


def path_with_pywrangler(folder: Path) -> str:
    """Return a PATH on which ``uv run pywrangler`` is ours. ``folder`` keeps it."""
    folder.mkdir(exist_ok=True)
    uv = folder / "uv"
    uv.write_text(_UV.format(python=sys.executable))
    uv.chmod(0o700)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])
