"""The plugin in a runtime, as an agent sees it."""

from __future__ import annotations

import logging

import pytest
from edgeagents_openai import create_openai, plugin

from edgeagents.agents import Agent
from edgeagents.errors import ModelError
from edgeagents.http import Request, Response
from edgeagents.runtime import Runtime


class MyAgent(Agent):
    async def on_request(self, request: Request) -> Response:
        quick = {"offline": {"pause_ms": 0}}
        by_name = self.stream_text(model="openai:gpt-4o", prompt="hi", provider_options=quick)
        openai = create_openai(api_key=self.env.get("OPENAI_API_KEY"))
        by_handle = self.stream_text(model=openai("gpt-4o"), prompt="hi", provider_options=quick)
        assert await by_name.text == await by_handle.text
        return by_name.to_text_stream_response()

    async def on_error(self, error: Exception, connection: object = None) -> None:
        assert isinstance(error, ModelError)
        self.ctx.logger.info("told: %s", error)


def runtime(**options: object) -> Runtime:
    return Runtime(agents=[MyAgent], storage=None, plugins=[plugin], discover_plugins=False, **options)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_key_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


async def test_without_a_key_the_offline_model_answers_where_the_runtime_says_so() -> None:
    async with runtime(model_fallback="offline") as running:
        response = await running.route(Request("/agents/my-agent/a"))
        assert response is not None
        assert "in place of openai:gpt-4o" in await response.text()


async def test_without_a_key_an_agent_is_told_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with runtime() as running:
        response = await running.route(Request("/agents/my-agent/a"))
        assert response is not None
        assert response.status == 500
    assert "OPENAI_API_KEY is not set" in caplog.text
