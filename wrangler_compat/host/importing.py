"""The host comes into the process with the first import of what only it, or Cloudflare's SDK on it, has.

A worker that is written for ``edgeagents`` alone never loads any of it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, cast

from edgeagents.errors import ConfigError

__all__ = ["HostFinder", "sdk"]

_HOST = frozenset({"js", "pyodide", "_cloudflare_compat_flags", "_pyodide_entrypoint_helper", "_cloudflare"})
_SDK = frozenset({"workers", "asgi"})


class HostFinder:
    """A finder of modules that installs the host when it is asked for. ``folders`` are the worker's own."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        top = name.partition(".")[0]
        if top in _HOST:
            _install()
            module = sys.modules.get(name)
            return None if module is None else ModuleSpec(name, cast("Any", _Ready(module)))
        if name in _SDK:
            # The SDK's, whatever the worker calls its own files.
            return _find_outside(name, self._folders)
        if name == "agents" and not self._is_there(name):
            from wrangler_compat.host.agents_module import agents_module

            return ModuleSpec(name, cast("Any", _Ready(agents_module())))
        return None

    def _is_there(self, name: str) -> bool:
        finders = [finder for finder in sys.meta_path if not isinstance(finder, HostFinder)]
        return any(finder.find_spec(name, None) is not None for finder in finders)


class _Ready:
    """A loader of a module that is there already."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: it was run."""


def _find_outside(name: str, folders: Sequence[str]) -> ModuleSpec | None:
    _install()
    before = list(sys.path)
    sys.path[:] = [folder for folder in before if folder not in folders]
    try:
        finders = [finder for finder in sys.meta_path if not isinstance(finder, HostFinder)]
        for finder in finders:
            spec = finder.find_spec(name, None)
            if spec is not None:
                return spec
    finally:
        sys.path[:] = before
    raise ConfigError(
        f"The worker imports {name!r}, which is in Cloudflare's SDK for Python Workers. "
        "Install it: pip install 'edgeagents[emulator]'"
    )


def _install() -> None:
    from wrangler_compat.host.platform import install_platform

    install_platform()


def sdk() -> ModuleType | None:
    """Return Cloudflare's SDK if a worker has loaded it."""
    module = sys.modules.get("workers")
    return module if module is not None and hasattr(module, "python_from_rpc") else None
