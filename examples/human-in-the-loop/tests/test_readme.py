"""The requests of the README: a program asks, another one decides."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from edgeagents.testing.vendor import Answer, Calls, VendorServer, says
from tests.examples import commands_of, run_command
from tests.servers import Server

pytestmark = [pytest.mark.node, pytest.mark.server]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_readmes_commands_do_what_it_says(emulator: Server, model: VendorServer) -> None:
    call = Calls("call-1", "getWeatherInformation", ('{"city": "Paris"}',))
    model.answers = [Answer(blocks=(call,), reason="tool-calls"), says("Sunny it is.")]

    asked, decided = [await asyncio.to_thread(run_command, each, emulator) for each in commands_of("human-in-the-loop")]

    assert asked == "approval-requested\n"
    parts = [
        "What is the weather in Paris?",
        "step-start",
        "The weather in Paris is sunny.",
        "step-start",
        "Sunny it is.",
    ]
    assert decided.splitlines() == parts
