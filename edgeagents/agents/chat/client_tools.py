"""Tools that a client answers, as a model is told of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from edgeagents.models.tools import Tool, tool

__all__ = ["create_tools_from_client_schemas"]

_log = logging.getLogger("edgeagents.agents")


def create_tools_from_client_schemas(client_tools: Iterable[Mapping[str, Any]] | None) -> dict[str, Tool]:
    """Return tools for the schemas that a client sent: ``name``, ``description`` and ``parameters``, a JSON schema.

    Give them to ``stream_text`` beside your own: ``tools={**mine, **create_tools_from_client_schemas(given)}``. When
    the model calls one the turn ends, the client runs it, and the conversation goes on with its answer. Where two
    have one name the later one counts.
    """
    found: dict[str, Tool] = {}
    for schema in client_tools or ():
        name, description, parameters = schema["name"], schema.get("description"), schema.get("parameters")
        if name in found:
            _log.warning("A client sent two tools called %r; the later one is used.", name)
        input_schema = parameters if isinstance(parameters, Mapping) and parameters else {"type": "object"}
        found[name] = tool(
            None,
            name=name,
            description=description if isinstance(description, str) else None,
            input_schema=input_schema,
        )
    return found
