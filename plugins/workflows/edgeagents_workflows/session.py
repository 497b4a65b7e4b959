"""What a command asks of the session that runs: ``edgeagents dev`` on a port of this machine."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote

from edgeagents.errors import ConfigError
from edgeagents_workflows.control_route import CONTROL_PATHS

__all__ = ["ask_session"]


def ask_session(port: int, method: str, *place: str, body: Any = None) -> Any:
    """Return what the session on ``port`` answers. Raises ``ConfigError`` when it refuses, or when there is none."""
    path = "/".join(quote(part, safe="") for part in place)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{CONTROL_PATHS[0]}/workflows/{path}",
        data=None if body is None else json.dumps(body).encode(),
        method=method,
        headers={"content-type": "application/json"},
    )
    # A proxy of the machine must not come between two ends of it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read())["result"]
    except urllib.error.HTTPError as error:
        with error:
            raise ConfigError(_message(error.read()) or f"Port {port} answers {error.code}.") from error
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"No session answers on port {port}: instances are changed by the worker itself. Start edgeagents dev, or "
            "name its port with --port."
        ) from error


def _message(answer: bytes) -> str | None:
    try:
        return str(json.loads(answer)["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return None
