"""Writes the lists of Pyodide's packages that ``edgeagents deploy-check`` reads, from the npm packages of Pyodide.

    python -m tests.emulator.pyodide_lists [--check]

The versions are those whose index ``pywrangler sync`` takes packages from, one for each Python of Cloudflare's. Needs
npm; with ``--check`` nothing is written, and the exit code tells whether the lists are what the npm packages say.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

from edgeagents_emulator.pyodide_packages import FILE, names_in, written

VERSIONS: Final = ("0.27.7", "0.28.3", "314.0.2")


def lock_of(version: str) -> Any:
    """Return the lock file of a version of Pyodide, as npm has it."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", f"pyodide@{version}", "--silent"], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(Path(folder) / packed.stdout.split()[-1]) as archive:
            file = archive.extractfile("package/pyodide-lock.json")
            assert file is not None
            return json.load(file)


def main() -> int:
    """Write the lists, or look at them."""
    made = written(
        {version: (lock["info"]["python"], names_in(lock)) for version in VERSIONS for lock in [lock_of(version)]}
    )
    if "--check" in sys.argv[1:]:
        return int(FILE.read_text(encoding="utf-8") != made)
    FILE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
