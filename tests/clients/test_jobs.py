"""What an agent does later, as its clients see it: schedules, intervals, the queue, retries, fibers, and its end."""

from __future__ import annotations

import pytest

from tests.clients.conftest import Driver
from tests.clients.plays import (
    Step,
    answered,
    calls,
    closed,
    connects,
    gets,
    hears,
    perform,
    quiet,
    starts,
)
from tests.servers import Server

pytestmark = [
    pytest.mark.node,
    pytest.mark.server,
    pytest.mark.cloudflare("Background work", "Schedules, queue, retries and fibers, as clients see them", "same"),
]

TIMER = "/agents/timer/NAME"
HERE = connects("A", TIMER)


def asked(method: str, *args: object) -> list[Step]:
    return calls("A", method, *args)


ROWS: dict[str, list[Step]] = {
    # schedules
    "a delayed schedule": [*HERE, *asked("in_seconds", 60, "note", {"deep": [1, None]}), *asked("find")],
    "a schedule at a time": [*HERE, *asked("at", 60_000, "note", "x")],
    "a schedule in the past": [*HERE, *asked("at", -60_000, "note", "x"), *hears("A", 'ran "x"')],
    "a cron schedule": [*HERE, *asked("cron", "0 0 1 1 *", "note", "x")],
    "an interval": [*HERE, *asked("every", 3600, "note", "x"), *asked("find_last")],
    "a schedule runs": [
        *HERE,
        *asked("in_seconds", 1, "note", "x"),
        *hears("A", 'ran "x"'),
        *asked("logged"),
        *asked("find"),
        *asked("find_last"),
    ],
    "a schedule of no time runs at once": [*HERE, *asked("in_seconds", 0, "note", "x"), *hears("A", 'ran "x"')],
    "schedules run in order of their time": [
        *HERE,
        # Times are whole seconds: what is due in one may be due at once, and this is to wait for the other.
        *asked("in_seconds", 2, "note", "second"),
        *asked("in_seconds", 0, "note", "first"),
        *hears("A", 'ran "second"'),
        *asked("logged"),
    ],
    "an interval runs again": [*HERE, *asked("every", 1, "note", "x"), *hears("A", 'ran "x"'), *hears("A", 'ran "x"')],
    "an interval does not overlap itself": [
        *HERE,
        *asked("every", 1, "slow", "g"),
        *hears("A", 'slow "g"'),
        *asked("in_seconds", 0, "note", "waits its turn"),
        *asked("open", "g"),
        *hears("A", 'ran "waits its turn"'),
    ],
    "a schedule without a payload": [*HERE, *asked("in_seconds", 0, "note"), *hears("A", "ran undefined", "ran null")],
    # who is found
    "get schedules by criteria": [
        *HERE,
        *asked("in_seconds", 100, "note", "delayed"),
        *asked("in_seconds", 5000, "note", "late"),
        *asked("at", 60_000, "note", "at"),
        *asked("cron", "0 0 1 1 *", "note", "cron"),
        *asked("every", 3600, "note", "every"),
        *asked("find"),
        *asked("find", {"type": "delayed"}),
        *asked("find", {"type": "scheduled"}),
        *asked("find", {"type": "cron"}),
        *asked("find", {"type": "interval"}),
        *asked("find", {"type": "none"}),
        *asked("find", {"id": "none"}),
        *asked("find", {"from": 0, "to": 1000}),
        *asked("find", {"from": 90, "type": "delayed"}),
        *asked("find", {"to": 90}),
    ],
    "get a schedule that is not there": [*HERE, *asked("find_last")],
    "cancel": [
        *HERE,
        *asked("in_seconds", 60, "note", "x"),
        *asked("cancel_last"),
        *asked("cancel_last"),
        *asked("find_last"),
        *asked("find"),
    ],
    "cancel of nothing": [*HERE, *asked("cancel", "none")],
    "cancel of an interval that runs": [
        *HERE,
        *asked("every", 1, "slow", "g"),
        *hears("A", 'slow "g"'),
        *asked("cancel_last"),
        *asked("open", "g"),
        *hears("A", 'slow is over "g"'),
        *asked("find"),
    ],
    # doubles
    "one-shots are doubled": [*HERE, *asked("same", [60, "x"], [60, "x"])],
    "one-shots are not doubled when idempotent": [
        *HERE,
        *asked(
            "same", [60, "x", {"idempotent": True}], [90, "x", {"idempotent": True}], [60, "y", {"idempotent": True}]
        ),
    ],
    "intervals are not doubled": [*HERE, *asked("same_every", [60, "x"], [60, "x"], [90, "x"], [60, "y"])],
    "crons are not doubled": [*HERE, *asked("same_cron", ["0 0 1 1 *", "x"], ["0 0 1 1 *", "x"], ["0 0 2 1 *", "x"])],
    "crons are doubled when asked for": [
        *HERE,
        *asked("cron", "0 0 1 1 *", "note", "x", {"idempotent": False}),
        *asked("cron", "0 0 1 1 *", "note", "x", {"idempotent": False}),
        *asked("find"),
    ],
    # errors
    "schedule errors": [
        *HERE,
        *asked("in_seconds", 1, "nothing_of_that_name"),
        *asked("in_seconds", 1, 7),
        *asked("in_seconds", None, "note"),
        *asked("in_seconds", {"seconds": 1}, "note"),
        *asked("cron", "every day", "note"),
        *asked("cron", "61 * * * *", "note"),
        *asked("cron", "0 0 31 2 *", "note"),
        *asked("every", 0, "note"),
        *asked("every", -1, "note"),
        *asked("every", "1", "note"),
        *asked("every", 2_592_001, "note"),
        *asked("every", 60, "nothing_of_that_name"),
        *asked("in_seconds", 60, "note", "x", {"retry": {"maxAttempts": 0}}),
        *asked("in_seconds", 60, "note", "x", {"retry": {"maxAttempts": 1.5}}),
        *asked("in_seconds", 60, "note", "x", {"retry": {"baseDelayMs": 0}}),
        *asked("in_seconds", 60, "note", "x", {"retry": {"maxDelayMs": -1}}),
        *asked("in_seconds", 60, "note", "x", {"retry": {"baseDelayMs": 10, "maxDelayMs": 5}}),
        *asked("find"),
    ],
    "a schedule that fails": [
        *HERE,
        *asked("in_seconds", 0, "failing", "x", {"retry": {"maxAttempts": 2, "baseDelayMs": 1, "maxDelayMs": 1}}),
        *hears("A", "error a job that fails"),
        *asked("logged"),
        *asked("find"),
        *asked("ping"),
    ],
    # the queue
    "queue": [
        *HERE,
        *asked("enqueue", "note", ["a", "b", "c"]),
        *hears("A", 'ran "c"'),
        *asked("logged"),
        *asked("waiting", "x", 1),
    ],
    "queue is worked one by one": [
        *HERE,
        *asked("enqueue", "slow", ["g", "h"]),
        *hears("A", 'slow "g"'),
        *quiet("A"),
        *asked("queued_item", 1),
        *asked("open", "g"),
        *hears("A", 'slow "h"'),
        *asked("open", "h"),
        *hears("A", 'slow is over "h"'),
    ],
    "queue is searched": [
        *HERE,
        *asked("enqueue", "slow", ["g"]),
        *hears("A", 'slow "g"'),
        *asked("enqueue", "note", [{"to": "ann"}, {"to": "bob"}, {"to": "ann", "n": 1}]),
        *asked("waiting", "to", "ann"),
        *asked("waiting", "to", "nobody"),
        *asked("queued_item", 0),
        *asked("open", "g"),
        *hears("A", 'ran {"to":"ann","n":1}'),
    ],
    "dequeue": [
        *HERE,
        *asked("enqueue", "slow", ["g"]),
        *hears("A", 'slow "g"'),
        *asked("enqueue", "note", ["a", "b"]),
        *asked("drop", 0),
        *asked("queued_item", 0),
        *asked("open", "g"),
        *hears("A", 'ran "b"'),
        *asked("logged"),
    ],
    "dequeue all": [
        *HERE,
        *asked("enqueue", "slow", ["g"]),
        *hears("A", 'slow "g"'),
        *asked("enqueue", "note", ["a", "b"]),
        *asked("drop_all"),
        *asked("queued_item", 1),
        *asked("open", "g"),
        *asked("enqueue", "note", ["c"]),
        *hears("A", 'ran "c"'),
        *asked("logged"),
    ],
    "dequeue all of a callback": [
        *HERE,
        *asked("enqueue", "slow", ["g"]),
        *hears("A", 'slow "g"'),
        *asked("enqueue", "note", ["a"]),
        *asked("enqueue", "slow", ["h"]),
        *asked("drop_all_of", "note"),
        *asked("open", "g"),
        *hears("A", 'slow "h"'),
        *asked("open", "h"),
        *hears("A", 'slow is over "h"'),
        *asked("logged"),
    ],
    "an item with a name of its own is replaced": [
        *HERE,
        *asked("enqueue", "slow", ["g"]),
        *hears("A", 'slow "g"'),
        *asked("enqueue_as", "mine", "note", "old"),
        *asked("enqueue", "note", ["last"]),
        *asked("enqueue_as", "mine", "note", "new"),
        *asked("open", "g"),
        *hears("A", 'ran "last"'),
        *asked("logged"),
    ],
    "queue errors": [
        *HERE,
        *asked("enqueue", "nothing_of_that_name", [1]),
        *asked("enqueue", 7, [1]),
        *asked("enqueue", "note", [1], {"retry": {"maxAttempts": 0}}),
    ],
    "a queue item that fails": [
        *HERE,
        *asked("enqueue", "failing", ["x"], {"retry": {"maxAttempts": 2, "baseDelayMs": 1, "maxDelayMs": 1}}),
        *asked("enqueue", "note", ["after"]),
        *hears("A", 'ran "after"'),
        *asked("logged"),
    ],
    # retries
    "retries": [
        *HERE,
        *asked("tries", 0),
        *asked("tries", 1, {"maxAttempts": 3, "baseDelayMs": 1, "maxDelayMs": 2}),
        *asked("tries", 5, {"maxAttempts": 2, "baseDelayMs": 1, "maxDelayMs": 2}),
        *asked("tries", 0, {"maxAttempts": 0}),
        *asked("tries", 0, {"maxAttempts": 1.5}),
        *asked("tries", 0, {"baseDelayMs": 0}),
        *asked("tries", 0, {"maxDelayMs": 0}),
        *asked("tries", 0, {"baseDelayMs": 20, "maxDelayMs": 10}),
    ],
    # fibers
    "a fiber": [*HERE, *asked("fiber", "short"), *quiet("A")],
    "a fiber that fails": [*HERE, *asked("failing_fiber"), *asked("ping")],
    "a fiber that takes its time": [
        *HERE,
        *starts("A", "fiber", "long", "g"),
        *hears("A", "fiber long has an id: true, snapshot null"),
        *asked("open", "g"),
        *answered("A"),
    ],
    "a managed fiber": [
        *HERE,
        *asked("start", "job"),
        *hears("A", "started job"),
        *asked("inspect", 0),
        *asked("open", "job"),
        *hears("A", "ended job"),
        *asked("inspect", 0),
        *asked("list_fibers"),
        *asked("list_fibers", {"status": "completed"}),
        *asked("list_fibers", {"status": "running"}),
    ],
    "a managed fiber that is waited for": [
        *HERE,
        *asked("open", "job"),
        *asked("start", "job", {"waitForCompletion": True}),
        *asked("inspect", 0),
    ],
    "a managed fiber with a key": [
        *HERE,
        *asked("start", "job", {"idempotencyKey": "k1", "metadata": {"for": "ann"}}),
        *asked("start", "job", {"idempotencyKey": "k1"}),
        *asked("start", "job", {"idempotencyKey": "k2"}),
        *asked("inspect_key", "k1"),
        *asked("inspect_key", "none"),
        *asked("open", "job"),
    ],
    "a managed fiber that fails": [
        *HERE,
        *asked("open", "broken"),
        *asked("start", "broken", {"waitForCompletion": True}),
        *asked("inspect", 0),
    ],
    "a managed fiber that is cancelled": [
        *HERE,
        *asked("start", "job"),
        *hears("A", "started job"),
        *asked("cancel_fiber", 0),
        *asked("inspect", 0),
        *asked("open", "job"),
        *asked("cancel_fiber", 0),
    ],
    "managed fibers that are forgotten": [
        *HERE,
        *asked("open", "one"),
        *asked("start", "one", {"waitForCompletion": True}),
        *asked("start", "two"),
        *asked("forget_fibers"),
        *asked("list_fibers"),
        *asked("open", "two"),
    ],
}

ENDINGS: dict[str, list[Step]] = {
    "destroy closes connections": [
        *HERE,
        *connects("B", TIMER),
        *gets(f"{TIMER}/destroy", "POST"),
        *closed("A"),
        *closed("B"),
    ],
    "destroy forgets": [
        *HERE,
        *asked("in_seconds", 3600, "note", "x"),
        *asked("find"),
        *gets(f"{TIMER}/destroy", "POST"),
        *closed("A"),
        *connects("B", TIMER),
        *calls("B", "find"),
        *calls("B", "logged"),
    ],
    "destroy by a call": [*HERE, *connects("B", TIMER), *starts("A", "end"), *closed("B")],
}


@pytest.mark.parametrize("row", ROWS)
def test_job(row: str, driver: Driver, server: Server) -> None:
    seen, kept = perform(ROWS[row], row, "jobs", driver, server)

    assert seen == kept


@pytest.mark.parametrize("row", ENDINGS)
def test_destroy(row: str, driver: Driver, own_server: Server) -> None:
    # A server of its own: workerd falls over now and then when an object destroys itself.
    seen, kept = perform(ENDINGS[row], row, "jobs", driver, own_server)

    assert seen == kept
