"""Own modules: several workers in one process, each with its own view of its own folders.

A worker that runs alone has its folders in ``sys.path``, as any program has. Beside others that will not do: two files
``helper.py`` would be one module, and the first that was imported would be both. So a worker beside others has its
modules under a name of its own (``worker-shop.helper``), and what it writes as ``import helper`` is looked for there
first. That holds for as long as the code runs, also for an import in a handler or a thread: it hangs on the module that
the import stands in, not on what is imported when.

The modules stay in ``sys.modules`` under those names, where ``pickle``, ``typing.get_type_hints`` and the like look for
the module of a class.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

__all__ = ["OwnModules"]

# What is one for the process, whatever the worker calls its own files.
_SHARED = frozenset({"workers", "asgi", "js", "pyodide", "_cloudflare", "_cloudflare_compat_flags"})
_plain_import_module = importlib.import_module
_open: dict[int, OwnModules] = {}


class OwnModules:
    """The modules in the ``folders`` of the worker ``name``. After use you must call ``close()``.

    They are the worker's own even where Python has modules of those names, as they are for a program that stands in
    the first folder of its path; but ``main``, which nobody imports, may have the name of one that Python brings.
    """

    def __init__(self, name: str, folders: Sequence[str], main: Path) -> None:
        self.prefix = f"worker-{name}"  # No module that can be written in an import has a dash.
        self._folders, self._main = list(folders), main
        self._is_own: dict[str, bool] = {}
        self._builtins = {**vars(builtins), "__import__": self._import}
        package = ModuleType(self.prefix)
        package.__path__ = self._folders
        sys.modules[self.prefix] = package
        sys.meta_path.insert(0, self)
        _open[id(self._builtins)] = self
        importlib.import_module = _import_module

    def load_main(self) -> ModuleType:
        """Import ``main``."""
        name = f"{self.prefix}.{self._main.stem}"
        loader = _Loader(name, str(self._main), self._builtins)
        spec = importlib.util.spec_from_file_location(name, self._main, loader=loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        loader.exec_module(module)
        return module

    def close(self) -> None:
        """Forget the modules."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        _open.pop(id(self._builtins), None)
        if not _open:
            importlib.import_module = _plain_import_module
        for name in [name for name in sys.modules if name == self.prefix or name.startswith(f"{self.prefix}.")]:
            del sys.modules[name]

    def plain(self, name: str) -> str:
        """Return the name by which the worker's code knows the module ``name``."""
        return name.removeprefix(f"{self.prefix}.")

    def owns(self, name: str) -> bool:
        """Return whether an import of ``name`` in the worker's code is of one of its own modules."""
        top = name.partition(".")[0]
        known = self._is_own.get(top)
        if known is None:
            known = self._is_own[top] = self._look_for(top)
        return known

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        if not name.startswith(f"{self.prefix}."):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path, self._builtins)
        return spec

    def _look_for(self, top: str) -> bool:
        if top in _SHARED or not top or (top == self._main.stem and top in sys.stdlib_module_names):
            return False
        spec = PathFinder.find_spec(f"{self.prefix}.{top}", self._folders)
        if spec is None:
            return False
        # A folder without __init__.py is a package only where nothing else has its name.
        return spec.origin is not None or importlib.util.find_spec(top) is None

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """Do what an ``import`` in the worker's code says."""
        if level:
            above = str((globals or {}).get("__package__", "")).count(".") - level
            if above < 0:
                # The folders themselves are no package, here as little as when deployed.
                fault = "with no known parent package" if level == 1 else "beyond top-level package"
                raise ImportError(f"attempted relative import {fault}")
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if not self.owns(name):
            return builtins.__import__(name, globals, locals, fromlist or (), 0)
        module = builtins.__import__(f"{self.prefix}.{name}", globals, locals, fromlist or (), 0)
        return module if fromlist else sys.modules[f"{self.prefix}.{name.partition('.')[0]}"]


class _Loader(SourceFileLoader):
    """Makes modules with builtins of their own, which their functions keep."""

    def __init__(self, name: str, path: str, names: dict[str, Any]) -> None:
        super().__init__(name, path)
        self._builtins = names

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = ModuleType(spec.name)
        vars(module)["__builtins__"] = self._builtins
        return module


def _import_module(name: str, package: str | None = None) -> ModuleType:
    """``importlib.import_module`` for whoever names a module in a text: the worker's own, when its code asks.

    Also when a library asks that the worker's code has called.
    """
    if not name.startswith("."):
        own = _calling(sys._getframe(1))
        if own is not None and own.owns(name):
            name = f"{own.prefix}.{name}"
    return _plain_import_module(name, package)


def _calling(frame: FrameType | None) -> OwnModules | None:
    while frame is not None:
        own = _open.get(id(frame.f_builtins))
        if own is not None:
            return own
        frame = frame.f_back
    return None
