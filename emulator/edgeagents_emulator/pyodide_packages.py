"""What Pyodide has, which runs Python on Cloudflare: its packages, and what of Python it lacks.

The packages are those of the versions whose index ``pywrangler sync`` installs from, one for each Python that
Cloudflare runs. ``python -m tests.emulator.pyodide_lists`` writes them anew.
"""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["FILE", "IS_WITHOUT", "names_in", "normal", "packages_of", "version_for", "written"]

FILE: Final = Path(__file__).with_suffix(".txt")
"""The lists: a line that names Pyodide's version and that of Python, then the normalised names of packages."""

_VERSION: Final = re.compile(r"# Pyodide (\S+), Python (\S+)")
_OF_PYTHON: Final[Mapping[str, str]] = {"3.12": "0.27.7", "3.13": "0.28.3", "3.14": "314.0.2"}

IS_WITHOUT: Final[Mapping[str, str]] = {
    "curses": "is not in Pyodide",
    "dbm": "is not in Pyodide",
    "ensurepip": "is not in Pyodide",
    "fcntl": "is not in Pyodide",
    "grp": "is not in Pyodide",
    "idlelib": "is not in Pyodide",
    "multiprocessing": "starts no process: one worker is one process",
    "pty": "is not in Pyodide",
    "pwd": "is not in Pyodide",
    "readline": "is not in Pyodide",
    "resource": "is not in Pyodide",
    "subprocess": "starts no process: a worker cannot have one",
    "syslog": "is not in Pyodide",
    "termios": "is not in Pyodide",
    "tkinter": "is not in Pyodide",
    "tty": "is not in Pyodide",
    "turtle": "is not in Pyodide",
    "venv": "is not in Pyodide",
}
"""Modules of Python that a deployed worker cannot use, and why."""


def normal(name: str) -> str:
    """Return the normalised name of a package."""
    return re.sub(r"[-_.]+", "-", name).lower()


def version_for(flags: Iterable[str]) -> str:
    """Return the version of Pyodide for a worker of which these compatibility flags are on."""
    on = frozenset(flags)
    python = "3.14" if "python_workers_20260610" in on else "3.13" if "python_workers_20250116" in on else "3.12"
    return _OF_PYTHON[python]


def packages_of(version: str) -> frozenset[str]:
    """Return the normalised names of what a version of Pyodide brings."""
    return _lists()[version]


def names_in(lock: Mapping[str, Any]) -> list[str]:
    """Return the packages that a lock file of Pyodide names, without their tests and without libraries of C."""
    packages = lock["packages"].values()
    names = {normal(package["name"]) for package in packages if package["package_type"] == "package"}
    return sorted(name for name in names if not (name.endswith("-tests") and name.removesuffix("-tests") in names))


def written(lists: Mapping[str, tuple[str, Iterable[str]]]) -> str:
    """Return the text of ``FILE`` for versions of Pyodide, each with that of Python and the names of its packages."""
    parts = [
        f"# Pyodide {version}, Python {python}\n{textwrap.fill(' '.join(names), 118, break_on_hyphens=False)}\n"
        for version, (python, names) in lists.items()
    ]
    return "\n".join(parts)


@functools.cache
def _lists() -> dict[str, frozenset[str]]:
    found = _VERSION.split(FILE.read_text(encoding="utf-8"))[1:]
    return {version: frozenset(names.split()) for version, names in zip(found[::3], found[2::3], strict=True)}
