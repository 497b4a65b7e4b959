"""What has no local meaning: services of Cloudflare's that nothing here stands in for.

Some are refused when the worker starts. Those that a worker may have and seldom use raise when they are used.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, NoReturn

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError, EdgeAgentsError

__all__ = ["REFUSED", "CloudOnlyType", "DispatchNamespace", "NoLocalMeaning", "RefusedType", "VpcService"]


class NoLocalMeaning(EdgeAgentsError):
    """A service of Cloudflare's was used that has no local meaning."""

    def __init__(self, name: str, what: str, instead: str) -> None:
        super().__init__(f"{name} is {what} of Cloudflare's, which has no local meaning. {instead}")


class _CloudOnly:
    what: ClassVar[str]
    instead: ClassVar[str]

    def __init__(self, name: str) -> None:
        self._name = name

    def _refuse(self) -> NoReturn:
        raise NoLocalMeaning(self._name, self.what, self.instead)


class DispatchNamespace(_CloudOnly):
    """Workers for Platforms: the workers of one's customers."""

    js_name: ClassVar[str] = "DispatchNamespace"
    what = "a namespace of workers"
    instead = "Use a service binding to a worker that you start here, or a worker loader."

    def get(self, worker: str, args: Any = None, options: Any = None) -> NoReturn:
        """Raise ``NoLocalMeaning``."""
        self._refuse()


class VpcService(_CloudOnly):
    """A service, or a network, behind a tunnel."""

    js_name: ClassVar[str] = "Fetcher"
    what = "a private network"
    instead = "Reach the service by its own address with fetch(), and keep that address in a variable."

    async def fetch(self, request: Any, init: Any = None) -> NoReturn:
        """Raise ``NoLocalMeaning``."""
        self._refuse()

    def connect(self, address: Any = None, options: Any = None) -> NoReturn:
        """Raise ``NoLocalMeaning``."""
        self._refuse()


class CloudOnlyType:
    """A kind of binding whose objects raise when they are used."""

    def __init__(self, kind: str, made: type[_CloudOnly]) -> None:
        self.kind, self._made = kind, made

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        return self._made(declaration.name)


REFUSED: Final = {
    "logfwdr": "the forwarding of logs",
    "stream": "the storing of videos",
    "media": "the transforming of videos",
    "flagship": "a service of flags",
    "artifacts": "a store of repositories",
    "analytics": "a service of analytics",
    "ai_search": "a service of search",
    "ai_search_namespace": "a service of search",
    "agent_memory": "a service of memory",
    "k2": "a service of streams",
}
"""Kinds that are refused when the worker starts, and what they are."""


class RefusedType:
    """A kind of binding that a worker cannot be started with."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        raise ConfigError(
            f"The binding {declaration.name!r} is {REFUSED[self.kind]} of Cloudflare's, which has no local meaning. "
            "Leave it out of the environment that you start here: wrangler's environments (--env) may differ in it."
        )
