"""``edgeagents init``: a small project that runs at once, from a template."""

from __future__ import annotations

import re
from datetime import date
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from edgeagents.errors import ConfigError
from wrangler_compat.finding import CONFIG_NAMES

__all__ = ["TEMPLATES", "make_project"]

TEMPLATES = {
    "hello": "a Python Worker that answers, in Cloudflare's words",
    "durable-object": "a Python Worker with objects that count, in Cloudflare's words",
    "agent": "an agent with state, methods for clients, and schedules",
    "chat": "a chat with a page, answered by a model",
}


def make_project(template: str, folder: Path, name: str | None = None, today: date | None = None) -> list[Path]:
    """Write the files of ``template`` into ``folder``, and return them. Its name is the folder's unless one is given.

    Raises ``ConfigError`` rather than write over a file.
    """
    if template not in TEMPLATES:
        raise ConfigError(f"There is no template {template!r}. There is: {', '.join(TEMPLATES)}.")
    words = {"name": name or _name_of(folder), "date": (today or date.today()).isoformat()}
    if not re.fullmatch(r"[a-z0-9_][a-z0-9_-]*", words["name"]):
        raise ConfigError(f"{words['name']!r} is no name of a worker: it has lower case letters, digits, _ and -.")
    content = dict(_texts(files("edgeagents_emulator") / "templates" / template))
    taken = [path for path in (*content, *CONFIG_NAMES) if (folder / path).exists()]
    if taken:
        raise ConfigError(f"{folder} has {', '.join(dict.fromkeys(taken))} already, and nothing is written over.")
    for path, text in content.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(re.sub(r"\{\{(name|date)\}\}", lambda found: words[found[1]], text), encoding="utf-8")
    return [folder / path for path in content]


def _name_of(folder: Path) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", folder.resolve().name.lower()).strip("-") or "worker"


def _texts(folder: Traversable, under: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        # A file called .gitignore would hide files of ours.
        name = ".gitignore" if item.name == "gitignore" else item.name
        if item.is_dir():
            found += [] if name == "__pycache__" else _texts(item, f"{under}{name}/")
        else:
            found.append((f"{under}{name}", item.read_text(encoding="utf-8")))
    return found
