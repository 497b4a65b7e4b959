"""From an email to the agent that it is for."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from edgeagents.agents import AgentNamespace, kebab_case
from edgeagents.errors import ConfigError
from edgeagents.objects import call_part, current_namespaces
from edgeagents_email.incoming import Action, IncomingEmail
from edgeagents_email.resolvers import EmailResolver

__all__ = ["route_agent_email"]

_log = logging.getLogger("edgeagents.email")


async def route_agent_email(
    email: IncomingEmail,
    env: Any = None,
    *,
    resolver: EmailResolver,
    on_no_route: Callable[[IncomingEmail], object] | None = None,
) -> None:
    """Give ``email`` to the agent that ``resolver`` names, and do what its ``on_email`` decides.

    ``env`` has the namespaces; without it they are those of the runtime around this code, by class name.
    When it names none, ``on_no_route`` is called; without that the email is dropped with a warning, not rejected.
    Raises ``ConfigError`` for an agent that ``env`` does not have, and what the agent's handler raises.
    """
    route = resolver(email, env)
    if inspect.isawaitable(route):
        route = await route
    if route is None:
        if on_no_route is None:
            _log.warning("No agent was found for an email to %s: it is dropped.", email.to)
            return
        answer = on_no_route(email)
        if inspect.isawaitable(answer):
            await answer
        return
    stub = _namespace(route.agent_name, env).get_by_name(route.agent_id)
    actions: list[Action] = await call_part(
        stub, "email", "receive", {"from": email.from_, "to": email.to, "raw": email.raw, "is_secure": route.is_secure}
    )
    for action in actions:
        await email.perform(action)


def _namespace(agent_name: str, env: Any) -> AgentNamespace[Any]:
    values: Mapping[str, Any]
    if env is None:
        values = {cls.__name__: namespace for cls, namespace in current_namespaces.get({}).items()}
    else:
        values = env if isinstance(env, Mapping) else vars(env)
    namespaces = {name: value for name, value in values.items() if isinstance(value, AgentNamespace)}
    for name, namespace in namespaces.items():
        if agent_name in (name, kebab_case(name), name.lower()):
            return namespace
    raise ConfigError(
        f"Agent namespace {agent_name!r} not found in environment. Available agents: {', '.join(namespaces) or 'none'}"
    )
