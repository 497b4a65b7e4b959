"""A disk that takes its time: for tests of what waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edgeagents.objects.sqlite import Database

__all__ = ["disk"]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Set when what objects have written may come to the disk. Databases of bindings do not wait."""
    goes_on = threading.Event()
    sync = Database.sync

    def slow(self: Database) -> None:
        if self.path is not None and "objects" in self.path.parts:
            goes_on.wait()
        sync(self)

    monkeypatch.setattr(Database, "sync", slow)
    yield goes_on
    goes_on.set()
