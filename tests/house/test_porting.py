"""The porting guide names nothing that there is not."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest
from edgeagents_email import EmailPlugin
from edgeagents_mcp import plugin as mcp_plugin
from edgeagents_workflows import plugin as workflows

from edgeagents import AIChatAgent
from edgeagents.testing import agent_runtime

GUIDE = (Path(__file__).parents[2] / "examples" / "PORTING.md").read_text()
ROWS = re.findall(r"^\| (.+?) \| (.+) \|$", GUIDE, re.MULTILINE)
NAMES = sorted({name for _, python in ROWS for name in re.findall(r"`((?:edgeagents\w*|self)(?:\.\w+)+)`", python)})


# What the packages export for programs, and what Cloudflare's examples import from ``ai``.
EXPORTS = {
    "agents": (
        "Agent DEFAULT_AGENT_STATIC_OPTIONS DurableObjectOAuthClientProvider MCP_SERVER_ID_MAX_LENGTH MessageType "
        "AGENT_TOOL_MILESTONE_PART AGENT_TOOL_PROGRESS_PART SUB_PREFIX SqlError StreamingResponse buildAgentPath "
        "buildAgentUrl callable camelCaseToKebabCase createHeaderBasedEmailResolver getAgentByName getCurrentAgent "
        "getSubAgentByName isDurableObjectCodeUpdateReset isDurableObjectMemoryLimitReset "
        "isDurableObjectStorageReset isPlatformTransientError normalizeServerId parseSubAgentPath routeAgentEmail "
        "routeAgentRequest routeSubAgentRequest unstable_callable"
    ),
    "agents/mcp": (
        "DurableObjectEventStore McpAgent RPCClientTransport RPCServerTransport RPC_DO_PREFIX WorkerTransport "
        "createLegacyMcpHandler createMcpHandler experimental_createMcpHandler getMcpAuthContext MCPClientManager"
    ),
    "agents/email": (
        "DEFAULT_MAX_AGE_SECONDS createAddressBasedEmailResolver createCatchAllEmailResolver "
        "createSecureReplyEmailResolver isAutoReplyEmail signAgentHeaders"
    ),
    "agents/workflows": "AgentWorkflow WorkflowRejectedError",
    "agents/observability": "channels experimental_registerOpenTelemetry genericObservability subscribe",
    "the others of agents": "agentTool Lifecycle LifecycleCapability Scheduler scheduleSchema getSchedulePrompt "
    "AgentClient agentFetch useAgent",
    "@cloudflare/ai-chat": "AIChatAgent createToolsFromClientSchemas useAgentChat",
    "ai": (
        "isToolUIPart getToolName streamText tool convertToModelMessages generateText isStepCount stepCountIs "
        "UIMessage generateObject pruneMessages jsonSchema isReasoningUIPart getToolOrDynamicToolName ToolSet "
        "createUIMessageStreamResponse ModelMessage LanguageModel generateId toModelOutput"
    ),
    "workers-ai-provider": "createWorkersAI sessionAffinity",
    "cloudflare:workers": "DurableObject WorkerEntrypoint RpcTarget WorkflowEntrypoint",
}


class Everything(AIChatAgent):
    missing: list[str] = []

    async def look(self, names: list[str]) -> list[str]:
        return [name for name in names if not _has(self, name)]


def _has(value: object, path: str) -> bool:
    try:
        reduce(getattr, path.split(".")[1:], value)
    except AttributeError:
        return False
    return True


async def test_each_name_of_an_agent_is_there():
    names = [name for name in NAMES if name.startswith("self.")]
    assert len(names) > 100
    async with agent_runtime(Everything, plugins=[EmailPlugin(), mcp_plugin, workflows]) as runtime:
        assert await runtime.namespaces["Everything"].get_by_name("x").look(names) == []


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("self.")])
def test_each_name_of_a_package_is_there(name):
    parts = name.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            continue
        assert _has(module, ".".join(["", *parts[depth:]]))
        return
    pytest.fail(f"There is no module for {name}.")


@pytest.mark.parametrize("package", EXPORTS)
def test_each_export_of_theirs_has_a_row(package):
    told = set(re.findall(r"\w+", " ".join(theirs for theirs, _ in ROWS)))
    assert [name for name in EXPORTS[package].split() if name not in told] == []


def test_each_example_of_theirs_is_told_of_once():
    ((table),) = re.findall(r"^\| \| examples \|\n\|---\|---\|\n((?:\|.*\n){3})", GUIDE, re.MULTILINE)
    texts = [re.sub(r"\([^()]*\)", "", row.split(" | ", 1)[1]) for row in table.splitlines()]
    names = [name.strip(" *|") for text in texts for name in text.split(",")]
    assert len(names) == len(set(names)) == 56
    ours = {name for text in texts for name in re.findall(r"\*\*([\w-]+)\*\*", text)}
    assert {folder for folder in ours if not (Path(__file__).parents[2] / "examples" / folder).is_dir()} == set()


def test_the_python_of_the_guide_is_python():
    for code in re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL):
        compile(code, "PORTING.md", "exec")
