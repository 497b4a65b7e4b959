"""The npm packages that tests need, installed once by whoever needs them first.

Needs no package of Python, so that it may run while those are installed: ``python3 -m tests.packages``.
"""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CLIENTS = ROOT / "tests" / "clients"
WRANGLER = ROOT / "tests" / "wrangler"
PAGES = [ROOT / "examples" / name for name in ("resumable-stream-chat", "human-in-the-loop")]


def install(folder: Path) -> None:
    """Install the packages of the folder's lock file into its ``node_modules``, unless they are there already.

    Of several processes that want the same, one installs and the others wait for it.
    """
    lock = folder / "package-lock.json"
    with lock.open() as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        mark = folder / "node_modules" / ".package-lock.json"
        if mark.exists() and mark.stat().st_mtime >= lock.stat().st_mtime:
            return
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"npm ci failed in {folder}:\n{done.stderr[-2000:]}")


if __name__ == "__main__":
    for each in (CLIENTS, *PAGES, WRANGLER):
        install(each)
