"""There is one way to wait for the disk: on some systems ``fsync`` alone leaves data in the drive's own cache."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.servers import ROOT


def syncs(path: Path) -> list[int]:
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"fsync", "fdatasync"}
    ]


def test_everything_that_waits_for_the_disk_does_so_by_one_module() -> None:
    rooms = [ROOT / "edgeagents", *(ROOT / "plugins").glob("*/edgeagents_*")]
    files = {path.relative_to(ROOT).as_posix(): syncs(path) for room in rooms for path in room.rglob("*.py")}
    assert [name for name, lines in sorted(files.items()) if lines] == ["edgeagents/objects/disk.py"]
