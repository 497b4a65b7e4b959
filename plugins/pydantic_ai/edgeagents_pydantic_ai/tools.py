"""Tools of ``stream_text`` as an agent sees them: it may call them, and the call ends its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.settings import ModelSettings
from pydantic_ai.settings import ToolChoice as AgentToolChoice
from pydantic_ai.tools import RunContext, ToolDefinition
from pydantic_ai.toolsets import ExternalToolset, ToolsetTool

from edgeagents.models import ToolChoice
from edgeagents.models import ToolDefinition as OurTool

__all__ = ["FirstChoice", "outer_tools"]


def outer_tools(tools: Sequence[OurTool]) -> ExternalToolset[Any]:
    """Return a toolset of ``tools``, which are run outside of the agent."""
    found = [
        ToolDefinition(name=each.name, parameters_json_schema=dict(each.input_schema), description=each.description)
        for each in tools
    ]
    return _OuterTools(found)


class _OuterTools(ExternalToolset[Any]):
    """An input that is no JSON is told to the model within the run, which then may call again."""

    async def get_tools(self, ctx: RunContext[Any]) -> dict[str, ToolsetTool[Any]]:
        return {name: replace(tool, max_retries=2) for name, tool in (await super().get_tools(ctx)).items()}


@dataclass
class FirstChoice(AbstractCapability[Any]):
    """Lets ``choice`` hold for the first response of a run: in every one, the run could not come to an end."""

    choice: ToolChoice = "auto"

    def get_model_settings(self) -> Any:
        given = self.choice
        choice: AgentToolChoice = given if isinstance(given, str) else [given["tool_name"]]

        def settings(ctx: RunContext[Any]) -> ModelSettings:
            return ModelSettings(tool_choice=choice) if ctx.run_step <= 1 else ModelSettings()

        return settings
