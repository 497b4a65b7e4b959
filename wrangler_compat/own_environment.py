"""A project's own environment: the packages in ``.venv`` beside its configuration.

edgeagents may be installed elsewhere, once for all projects. What a project has installed for itself is found all the
same, before what edgeagents brings; but only in an environment of this Python, since packages are made for one.
"""

from __future__ import annotations

import re
import site
import sys
from pathlib import Path

__all__ = ["OwnEnvironment"]


class OwnEnvironment:
    """The environment of the project in ``directory``, in ``sys.path`` until ``close()``; none is no error.

    ``fault`` says why one that is there is not used, or is None.
    """

    def __init__(self, directory: Path) -> None:
        self.fault: str | None = None
        self._added: list[str] = []
        folder = directory / ".venv"
        if not (folder / "pyvenv.cfg").is_file() or Path(sys.prefix).resolve() == folder.resolve():
            return
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        version = _version(folder)
        packages = _site_packages(folder, here)
        if version not in (None, here) or packages is None:
            self.fault = (
                f"The packages in {folder.name} are for Python {version or 'of another version'}, and this is {here}: "
                "they are not used. Make that environment anew, or run edgeagents with its Python."
            )
            return
        before = list(sys.path)
        # With what its .pth files say: packages that are worked on are installed so.
        site.addsitedir(str(packages))
        self._added = [path for path in sys.path if path not in before]
        kept = [path for path in sys.path if path in before]
        place = next((i for i, path in enumerate(kept) if "site-packages" in path), len(kept))
        sys.path[:] = [*kept[:place], *self._added, *kept[place:]]

    def close(self) -> None:
        """Take it out of ``sys.path``. What was imported stays."""
        sys.path[:] = [path for path in sys.path if path not in self._added]


def _version(folder: Path) -> str | None:
    text = (folder / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+)", text, re.MULTILINE)
    return None if found is None else found[1]


def _site_packages(folder: Path, version: str) -> Path | None:
    for place in (folder / "lib" / f"python{version}" / "site-packages", folder / "Lib" / "site-packages"):
        if place.is_dir():
            return place
    return None
