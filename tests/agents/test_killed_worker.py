"""SIGKILL in a running job and a running fiber: afterwards each job fires again, one after another."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgeagents.testing import ManualClock, settle
from tests.agents.killed_worker import Laborer, runtime

pytestmark = pytest.mark.cloudflare("Background work", "jobs and fibers after a SIGKILL", "same")

EXPECTED = {
    "second: fiber recovered with {'found': 42}",
    "second: first in the queue runs, 1 at a time",
    "second: second in the queue runs, 1 at a time",
    "second: a schedule runs, 1 at a time",
    "second: an interval runs, 1 at a time",
}


def work_until_killed(folder: Path) -> None:
    command = [sys.executable, "-m", "tests.agents.killed_worker", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGKILL)


async def test_after_a_kill_each_job_fires_again_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asyncio.to_thread(work_until_killed, tmp_path)
    monkeypatch.setattr(Laborer, "is_second", True)
    log = tmp_path / "log"
    first_life = log.read_text().splitlines()
    assert "first: first in the queue runs, 1 at a time" in first_life
    assert not any("second in the queue" in line for line in first_life)

    clock = ManualClock(datetime.now(UTC) + timedelta(minutes=1))
    async with runtime(tmp_path, clock=clock):
        await clock.advance(1)
        while not set(log.read_text().splitlines()) >= EXPECTED:
            await settle()
        second_life = [line for line in log.read_text().splitlines() if line.startswith("second")]

    assert second_life.index("second: first in the queue runs, 1 at a time") < second_life.index(
        "second: second in the queue runs, 1 at a time"
    )
    assert set(second_life) == EXPECTED
