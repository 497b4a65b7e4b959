"""``edgeagents queues``: what waits in the state that a worker has."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from edgeagents_emulator.cli import main
from edgeagents_queues.producer import Queue
from edgeagents_queues.store import QueueStore

from edgeagents.stores import Stores
from edgeagents.testing import ManualClock

Run = Callable[..., Result]
QUEUES = {
    "producers": [{"binding": "JOBS", "queue": "jobs"}, {"binding": "MORE", "queue": "jobs"}],
    "consumers": [{"queue": "jobs"}, {"queue": "dead"}],
}


@pytest.fixture
def queues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "wrangler.json").write_text(json.dumps({"name": "w", "queues": QUEUES}))
    monkeypatch.chdir(tmp_path)
    stores = Stores(tmp_path / ".edgeagents" / "state")
    queue = Queue(QueueStore(stores), "jobs", ManualClock(), random.Random(1))
    asyncio.run(queue.send_batch([{"body": 1}, {"body": "two"}]))
    stores.close()
    return lambda *arguments, **options: CliRunner().invoke(main, ["queues", *arguments], **options)


def test_queues_are_listed_with_who_uses_them(queues: Run) -> None:
    assert queues("list").output == (
        "queue   producers    consumers   messages\n"
        "jobs    JOBS, MORE   w           2\n"
        "dead                 w           0\n"
    )


def test_a_queue_is_shown(queues: Run) -> None:
    about = json.loads(queues("info", "jobs", "--json").output)
    assert (about["messages"], about["bytes"]) == (2, len('1"two"'))
    assert about["oldest"] == ManualClock().now().isoformat()
    assert "messages:    2" in queues("info", "jobs").output


def test_a_queue_is_emptied_when_that_is_confirmed(queues: Run) -> None:
    assert queues("purge", "jobs", input="n\n").exit_code == 1
    assert queues("purge", "jobs", "--force").output == "Forgot 2 messages of jobs.\n"
    assert json.loads(queues("info", "jobs", "--json").output)["messages"] == 0


def test_a_queue_that_is_not_there_is_named(queues: Run) -> None:
    result = queues("purge", "jbs", "--force")
    assert result.exit_code == 1
    assert "There is no queue 'jbs'. There is: jobs, dead." in result.stderr
