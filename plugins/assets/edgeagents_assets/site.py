"""A folder as a site: which file a path means, and at which path a file stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["HtmlHandling", "Leads", "NotFoundHandling", "Serves", "Site"]

HtmlHandling = Literal["auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none"]
NotFoundHandling = Literal["none", "404-page", "single-page-application"]

CONFIGURATION = ("/_headers", "/_redirects", "/.assetsignore")


class Serves(NamedTuple):
    """A path that stands for a file."""

    file: Path
    status: int = 200


class Leads(NamedTuple):
    """A path that leads to another one, under which its file stands."""

    to: str


class Site:
    """The files under ``root``. Paths here are decoded, begin with a slash and have no empty parts but the last."""

    def __init__(self, root: Path, html: HtmlHandling = "auto-trailing-slash") -> None:
        self.root = root.resolve()
        self._html: HtmlHandling = html
        self._is_ignored = _ignoring(self.root / ".assetsignore")

    def text(self, name: str) -> str:
        """Return the text of a file of the configuration, empty when it is not there."""
        path = self.root / name
        return path.read_text() if path.is_file() else ""

    def find(self, path: str) -> Serves | Leads | None:
        """Return what ``path`` means, or None when nothing is there."""
        for file in self._meanings(path):
            found = self._file(file)
            if found is None:
                continue
            place = self._place(file)
            if place == path or (file == path and self._served_at(place) != file):
                return Serves(found)
            if self._served_at(place) == file:
                return Leads(place)
        return None

    def missing(self, path: str, handling: NotFoundHandling) -> Serves | None:
        """Return what is served where nothing is."""
        if handling == "single-page-application":
            file = self._file("/index.html")
            return None if file is None else Serves(file)
        if handling == "404-page":
            folder = path
            while True:
                folder = folder.rpartition("/")[0]
                file = self._file(f"{folder}/404.html")
                if file is not None:
                    return Serves(file, 404)
                if not folder:
                    break
        return None

    def _meanings(self, path: str) -> Iterator[str]:
        """Yield the files that ``path`` may stand for, the likeliest first."""
        if not path.endswith("/"):
            yield path
        if self._html == "none":
            return
        if path.endswith("/"):
            yield f"{path}index.html"
            if path != "/":
                yield f"{path[:-1]}.html"
        else:
            yield f"{path}.html"
            yield f"{path}/index.html"

    def _place(self, file: str) -> str:
        """Return the path at which ``file`` should stand."""
        if self._html == "none" or not file.endswith(".html"):
            return file
        if file.endswith("/index.html"):
            folder = file.removesuffix("index.html")
            return folder if self._html != "drop-trailing-slash" or folder == "/" else folder[:-1]
        return file.removesuffix(".html") + ("/" if self._html == "force-trailing-slash" else "")

    def _served_at(self, path: str) -> str | None:
        return next((f for f in self._meanings(path) if self._place(f) == path and self._file(f) is not None), None)

    def _file(self, path: str) -> Path | None:
        parts = path.split("/")[1:]
        if path in CONFIGURATION or "\0" in path or any(part in ("", ".", "..") for part in parts):
            return None
        if self._is_ignored("/".join(parts)):
            return None
        try:
            file = self.root.joinpath(*parts).resolve()
            # A link may lead out of the folder; what is there was not meant to be public.
            return file if file.is_relative_to(self.root) and file.is_file() else None
        except (OSError, ValueError):
            return None


def _ignoring(file: Path) -> Callable[[str], bool]:
    if not file.is_file():
        return lambda path: False
    # Takes long to import, and few sites have something to ignore.
    import pathspec

    return pathspec.GitIgnoreSpec.from_lines(file.read_text().splitlines()).match_file
