"""Tools that a client answers, as a model is told of them."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Mapping
from typing import Any

from edgeagents.models.tools import Tool, tool

__all__ = ["create_tools_from_client_schemas"]

_log = logging.getLogger("edgeagents.agents")


def create_tools_from_client_schemas(
    client_tools: Iterable[Mapping[str, Any]] | None, *, without: Container[str] = ()
) -> dict[str, Tool]:
    """Return tools for the schemas that a client sent: ``name``, ``description`` and ``parameters``, a JSON schema.

    Give them to ``stream_text`` before your own, ``tools={**create_tools_from_client_schemas(given), **mine}``, so that
    a name that both have is yours: a client that declares your ``refund`` would answer it itself. Names in ``without``
    are left out, with a word in the log. When the model calls one the turn ends, the client runs it, and the
    conversation goes on with its answer. Where two of the client's have one name the later one counts.
    """
    found: dict[str, Tool] = {}
    for schema in client_tools or ():
        name, description, parameters = schema["name"], schema.get("description"), schema.get("parameters")
        if name in without:
            _log.warning("A client sent a tool called %r, as one of the server's is; the server's is used.", name)
            continue
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
