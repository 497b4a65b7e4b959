"""``ctx.container`` of a class that the configuration has a container for: there, and saying that none runs here."""

from __future__ import annotations

from typing import Any, NoReturn

from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.proxy import JsProxy

__all__ = ["Container"]


class Container(JsProxy):
    """A container, which is not running. Whatever would need it to run is refused, and says so."""

    running = False

    def __init__(self, class_name: str) -> None:
        self._class_name = class_name

    def start(self, options: Any = None) -> NoReturn:
        """Refuse."""
        raise self._refusal("start")

    async def monitor(self) -> NoReturn:
        """Refuse."""
        raise self._refusal("monitor")

    async def destroy(self, error: Any = None) -> None:
        """Do nothing: it does not run."""

    def signal(self, number: Any) -> NoReturn:
        """Refuse."""
        raise self._refusal("signal")

    def getTcpPort(self, port: Any) -> NoReturn:
        """Refuse."""
        raise self._refusal("getTcpPort")

    async def setInactivityTimeout(self, milliseconds: Any) -> NoReturn:
        """Refuse."""
        raise self._refusal("setInactivityTimeout")

    def _refusal(self, method: str) -> JsException:
        return JsException(
            f"ctx.container.{method}() of {self._class_name} needs a container, and no containers are run here. "
            "Start what is in it by yourself and reach it by fetch() or a socket, and ask ctx.container.running first."
        )

    def _keys(self) -> list[str]:
        return ["running"]
