from __future__ import annotations

import asyncio
import os
import signal

import pytest

from edgeagents.asgi.stop_notice import StopNotice


@pytest.fixture
def handled() -> object:
    """Stand in for a server that handles SIGTERM."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    yield received
    signal.signal(signal.SIGTERM, before)


async def test_a_signal_is_noticed_and_the_server_s_handler_runs(handled: list[int]):
    stopped = asyncio.Event()
    notice = StopNotice(stopped.set)
    notice.listen_for_signals()

    os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(5):
        await stopped.wait()
    assert handled == [signal.SIGTERM]
    notice.close()


async def test_handlers_of_an_event_loop_run_too():
    loop = asyncio.get_running_loop()
    by_loop, by_us = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, by_loop.set)
    notice = StopNotice(by_us.set)
    notice.listen_for_signals()

    os.kill(os.getpid(), signal.SIGTERM)

    async with asyncio.timeout(5):
        await by_loop.wait()
        await by_us.wait()
    notice.close()
    loop.remove_signal_handler(signal.SIGTERM)


async def test_everything_is_put_back(handled: list[int]):
    before = signal.getsignal(signal.SIGTERM)
    notice = StopNotice(lambda: None)
    notice.listen_for_signals()
    assert signal.getsignal(signal.SIGTERM) is not before

    notice.close()

    assert signal.getsignal(signal.SIGTERM) is before


async def test_a_signal_that_nobody_handles_is_left_alone():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    notice = StopNotice(lambda: None)
    notice.listen_for_signals()

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    notice.close()
    signal.signal(signal.SIGTERM, before)


async def test_outside_of_the_main_thread_signals_are_left_alone(handled: list[int]):
    before = signal.getsignal(signal.SIGTERM)

    async def listen() -> None:
        StopNotice(lambda: None).listen_for_signals()

    await asyncio.to_thread(asyncio.run, listen())

    assert signal.getsignal(signal.SIGTERM) is before


async def test_without_hypercorn_there_is_nothing_to_wait_for():
    notice = StopNotice(lambda: None)
    notice.listen_to_hypercorn()
    notice.close()

    assert [task for task in asyncio.all_tasks() if "Hypercorn" in task.get_name()] == []
