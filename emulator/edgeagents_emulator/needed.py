"""What a session needs that a plain ``pip install edgeagents`` lacks: told in one line, before anything begins.

The other commands do without: whoever has agents in an app of their own backs them up with what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

__all__ = ["NEEDED", "what_is_missing"]

NEEDED: Final[Mapping[str, str]] = {
    "ada_url": "ada-url",
    "cryptography": "cryptography",
    "greenlet": "greenlet",
    "httpx2": "httpx2",
    "hypercorn": "hypercorn",
    "tomlrt": "tomlrt",
    "turbohtml": "turbohtml",
    "watchfiles": "watchfiles",
}
"""Each module that the emulator and its host import, and its package."""


def what_is_missing() -> str:
    """Return a sentence with what to type for the packages that are not installed, or nothing when all are."""
    missing = [package for module, package in NEEDED.items() if find_spec(module) is None]
    if not missing:
        return ""
    return f"The emulator needs {', '.join(missing)}. Install what it needs: pip install 'edgeagents[emulator]'"
