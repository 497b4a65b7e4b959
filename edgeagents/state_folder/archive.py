"""Archives: one agent in one file, a zip of its databases and of what it is.

An archive may be a stranger's. Nothing in it is trusted: its paths are those that we write, and what it says of the
agent is what an agent can be.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, Final, NamedTuple

from edgeagents.errors import ConfigError
from edgeagents.objects.ids import ObjectId, id_from_name, id_from_string
from edgeagents.state_folder.stored_agent import StoredAgent, tree_of

__all__ = ["DATABASE", "Described", "pack", "unpack"]

DATABASE: Final = "agent.sqlite"
"""The agent's database in an archive, and in the folder that it is made of or unpacked into."""

_IN_ARCHIVE: Final = re.compile(r"agent(\.facets/[0-9a-f]{64})*\.sqlite")
_MANIFEST: Final = "agent.json"
_FORMAT: Final = 1


class Described(NamedTuple):
    """What an archive says of its agent."""

    namespace: str
    id: ObjectId


def pack(agent: StoredAgent, folder: Path, file: str | os.PathLike[str]) -> None:
    """Write the databases in ``folder``, which are those of ``agent``, into ``file``, in place of one that is there."""
    made = Path(f"{os.fspath(file)}.new")
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        about = {"format": _FORMAT, "namespace": agent.namespace, "id": agent.id.digits, "name": agent.id.name}
        archive.writestr(_MANIFEST, json.dumps(about, indent=2))
        for path in tree_of(folder / DATABASE):
            archive.write(path, path.relative_to(folder).as_posix())
    made.chmod(0o600)
    os.replace(made, file)


def unpack(file: Path, folder: Path) -> Described:
    """Write the databases in ``file`` into ``folder``. Raises ``ConfigError`` for what ``pack`` has not written."""
    try:
        with zipfile.ZipFile(file) as archive:
            about = json.loads(archive.read(_MANIFEST))
            if not isinstance(about, dict) or about.get("format") != _FORMAT:
                raise ConfigError(f"{file} was written by a newer edgeagents. Update edgeagents.")
            names = [name for name in archive.namelist() if name != _MANIFEST]
            if DATABASE not in names or not all(map(_IN_ARCHIVE.fullmatch, names)):
                raise KeyError(DATABASE)
            described = _described(about)
            for name in names:
                (folder / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with archive.open(name) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            return described
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file} is not an agent that was exported.") from error


def _described(about: dict[str, Any]) -> Described:
    namespace, name = about["namespace"], about["name"]
    if not namespace:
        raise ValueError("a namespace has a name")
    # Of what is no text, and of an id that is none and so could be a path, these raise.
    return Described(
        namespace, id_from_string(namespace, about["id"]) if name is None else id_from_name(namespace, name)
    )
