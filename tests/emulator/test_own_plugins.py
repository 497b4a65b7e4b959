"""Plugins out of a project's folder: a scripted model answers under ``edgeagents dev``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import main
from edgeagents_emulator.host import BootFailed, EmulatorApp
from edgeagents_emulator.options import Options

from tests.emulator.test_host import ask

MakeProject = Callable[..., Path]

PLAY = """
from edgeagents.testing import ScriptedModel, call_tool

model = ScriptedModel([call_tool("weather", city="Rome"), "It rains in Rome."])
"""

WORKER = """
from edgeagents import Agent, Response, WorkerEntrypoint, get_agent_by_name


class Counter(Agent):
    async def on_request(self, request):
        result = self.stream_text(model=self.env.MODEL, prompt="Rome?", tools=[self.weather], max_steps=2)
        return f"{await result.text} {[part.output for step in await result.steps for part in step.tool_results]}"

    async def weather(self, city: str) -> str:
        return f"rain in {city}"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await (await get_agent_by_name(self.env.Counter, "a")).fetch(request)
"""


@pytest.fixture
def folder(project: MakeProject) -> Iterator[Path]:
    made = project(WORKER, vars={"MODEL": "scripted:m"})
    (made / "rome_play.py").write_text(PLAY)
    before = list(sys.path)
    yield made
    sys.modules.pop("rome_play", None)
    assert sys.path == before


async def test_a_scripted_model_of_the_project_calls_a_tool(folder: Path) -> None:
    app = EmulatorApp(Options(directory=str(folder), plugins=("rome_play:model",)))
    assert await ask(app) == (200, b"It rains in Rome. ['rain in Rome']")
    await app.stop()


async def test_it_answers_for_a_model_whose_key_is_missing(
    project: MakeProject, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    project(WORKER, vars={"MODEL": "openai:gpt-4o"})
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EDGEAGENTS_PLUGINS", "rome_play:model")
    monkeypatch.setenv("EDGEAGENTS_MODEL_FALLBACK", "scripted")
    app = EmulatorApp()
    assert (await ask(app))[1].startswith(b"It rains in Rome.")
    await app.stop()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("rome_play", "is named 'module:name', not 'rome_play'"),
        ("nowhere:model", "There is no module 'nowhere'"),
        ("rome_play:nobody", "The module 'rome_play' has no 'nobody'"),
    ],
)
async def test_a_plugin_that_is_not_there_is_named(folder: Path, name: str, told: str) -> None:
    with pytest.raises(BootFailed, match=told):
        await EmulatorApp(Options(directory=str(folder), plugins=(name,)))._ready()


def test_the_options_reach_the_process_that_serves() -> None:
    options = Options(plugins=("rome_play:model",), model_fallback="scripted")
    assert Options.from_json(options.to_json()) == options
    told = CliRunner().invoke(main, ["dev", "--help"]).output
    assert "--plugin MODULE:NAME" in told
    assert "--model-fallback NAME" in told
