from __future__ import annotations

import logging

import pytest

from edgeagents.agents.chat.client_tools import create_tools_from_client_schemas
from edgeagents.models import FinishStep, ModelHandle, ToolDefinition, stream_text, tool_call
from tests.models.fakes import ScriptedProvider

WHERE = {
    "name": "where",
    "description": "Where the person is.",
    "parameters": {"type": "object", "properties": {"precise": {"type": "boolean"}}, "required": ["precise"]},
}


def test_a_schema_becomes_a_tool_that_nobody_here_runs() -> None:
    tool = create_tools_from_client_schemas([WHERE])["where"]
    assert tool.definition == ToolDefinition("where", "Where the person is.", WHERE["parameters"])
    assert tool.execute is None


@pytest.mark.parametrize("schema", [{"name": "t"}, {"name": "t", "parameters": {}, "description": None}])
def test_a_tool_without_parameters_takes_any_object(schema: dict[str, object]) -> None:
    tool = create_tools_from_client_schemas([schema])["t"]
    assert tool.definition == ToolDefinition("t", "", {"type": "object"})
    assert tool.read({"x": 1}) == {"x": 1}


def test_no_schemas_are_no_tools() -> None:
    assert create_tools_from_client_schemas(None) == {}
    assert create_tools_from_client_schemas([]) == {}


def test_of_two_tools_with_one_name_the_later_counts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "edgeagents.agents"):
        found = create_tools_from_client_schemas([WHERE, {"name": "where", "description": "Second."}])
    assert found["where"].description == "Second."
    assert "two tools called 'where'" in caplog.text


def test_a_name_of_the_server_s_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "edgeagents.agents"):
        assert create_tools_from_client_schemas([WHERE], without={"where": 1}) == {}
    assert "a tool called 'where'" in caplog.text


async def test_a_call_of_one_ends_the_turn_without_an_answer() -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    provider = ScriptedProvider([tool_call("c", "where", '{"precise":true}'), FinishStep("tool-calls")])
    tools = {**create_tools_from_client_schemas([WHERE]), "add": add}
    result = stream_text(model=ModelHandle(provider, "m"), prompt="hi", tools=tools, max_steps=5)
    [step] = await result.steps
    assert [call.tool_name for call in step.tool_calls] == ["where"]
    assert step.tool_results == []
    assert [tool.name for tool in provider.requests[0].tools] == ["where", "add"]
