from __future__ import annotations

import asyncio

import pytest

from edgeagents.http import AbortController


def test_listeners_are_told_once_and_the_first_reason_stays():
    controller = AbortController()
    told: list[str] = []
    controller.signal.add_listener(lambda: told.append("a"))

    controller.abort("gone")
    controller.abort("again")

    assert told == ["a"]
    assert controller.signal.aborted
    assert controller.signal.reason == "gone"


def test_a_listener_that_comes_late_is_told_at_once():
    controller = AbortController()
    controller.abort()
    told: list[str] = []

    remove = controller.signal.add_listener(lambda: told.append("late"))
    remove()

    assert told == ["late"]


def test_a_removed_listener_is_not_told():
    controller = AbortController()
    told: list[str] = []
    remove = controller.signal.add_listener(lambda: told.append("a"))

    remove()
    remove()
    controller.abort()

    assert told == []


def test_every_listener_is_told_although_one_fails():
    controller = AbortController()
    told: list[str] = []
    controller.signal.add_listener(lambda: 1 / 0)
    controller.signal.add_listener(lambda: told.append("b"))

    with pytest.raises(ZeroDivisionError):
        controller.abort()

    assert told == ["b"]


async def test_wait_returns_when_a_thread_aborts():
    controller = AbortController()
    waiting = asyncio.create_task(controller.signal.wait())

    await asyncio.to_thread(controller.abort)
    await waiting
    await controller.signal.wait()

    assert controller.signal.aborted
