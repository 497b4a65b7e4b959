"""Folders of namespaces: how a namespace's key becomes the name of the folder of its objects, and is found again.

A key is made of a worker's and a class's name, and so of letters of any script. Letters of English, digits, ``-`` and
``_`` stand for themselves; all else is percent-encoded, byte by byte of UTF-8.

Earlier what is not ASCII was written by the numbers of its characters (``%3a9`` for ``Ω``), which cannot be read with
certainty. Such folders are used where they are, for a server of that time may still be using them; what they stand for
is seen by the check in the ids of the objects in them. A copy of the state has the new names.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from edgeagents.objects.ids import id_from_string

__all__ = ["folder_of_namespace", "namespace_of_folder"]

_ENCODED: Final = re.compile(rb"[^A-Za-z0-9_-]")
_ENCODED_BEFORE: Final = re.compile(r"[^A-Za-z0-9_-]")
_MAY_BE_OLD: Final = re.compile("%(?:[89a-f]|[0-9a-f]{3})")
_FILE: Final = re.compile(r"([0-9a-f]{64})\.sqlite")
_READINGS: Final = 10_000


def folder_of_namespace(objects: Path, namespace: str) -> Path:
    """Return the folder in ``objects`` for the objects of ``namespace``, whether it is there or not."""
    folder = objects / _ENCODED.sub(_percent, namespace.encode("utf-8", "surrogatepass")).decode("ascii")
    if not namespace.isascii():
        before = objects / _ENCODED_BEFORE.sub(lambda found: f"%{ord(found[0]):02x}", namespace)
        if before.is_dir() and not folder.exists():
            return before
    return folder


def namespace_of_folder(folder: Path) -> str:
    """Return the key of the namespace whose objects are in ``folder``."""
    name = folder.name
    raw = unquote_to_bytes(name)
    try:
        namespace = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        namespace = raw.decode("latin-1")
    if _MAY_BE_OLD.search(name) and (digits := _id_in(folder)) is not None and not _has(namespace, digits):
        readings = itertools.islice(_readings_before(name), _READINGS)
        return next((each for each in readings if _has(each, digits)), namespace)
    return namespace


def _id_in(folder: Path) -> str | None:
    try:
        with os.scandir(folder) as entries:
            return next((found[1] for entry in entries if (found := _FILE.fullmatch(entry.name))), None)
    except OSError:
        return None


def _percent(found: re.Match[bytes]) -> bytes:
    return b"%%%02x" % found[0][0]


def _has(namespace: str, digits: str) -> bool:
    try:
        id_from_string(namespace, digits)
    except TypeError:
        return False
    return True


def _readings_before(name: str) -> Iterator[str]:
    """Yield what ``name`` may stand for as it was written earlier: nothing says how many digits a number has."""
    first, *others = name.split("%")
    return (first + "".join(chosen) for chosen in itertools.product(*map(_characters, others)))


def _characters(text: str) -> list[str]:
    found: list[str] = []
    for end in range(6, 1, -1):
        digits = text[:end]
        if re.fullmatch("[0-9a-f]{2,6}", digits) and len(digits) == end and (code := int(digits, 16)) <= 0x10FFFF:
            found.append(chr(code) + text[end:])
    return found
