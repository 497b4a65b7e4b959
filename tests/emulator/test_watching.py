"""What a project's folders tell of changes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from edgeagents_emulator.watching import changes_in


async def test_a_file_that_changed_before_anybody_watched_is_told_first(tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    since, stop = time.time(), asyncio.Event()
    for name in ("entry.py", "notes.txt", "node_modules/tool.py"):
        (tmp_path / name).write_text("changed")
    changes = changes_in([tmp_path], stop, since=since)
    assert await anext(changes) == [str(tmp_path / "entry.py")]
    (tmp_path / "other.py").write_text("new")
    assert str(tmp_path / "other.py") in await anext(changes)
    stop.set()
    assert [files async for files in changes] == []
