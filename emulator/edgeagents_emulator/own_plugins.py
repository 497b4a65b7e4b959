"""Plugins of a project's own, which no distribution brings: named on the command line, out of the project's folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from functools import reduce
from pathlib import Path

from edgeagents.errors import PluginError

__all__ = ["own_plugins"]


def own_plugins(names: Iterable[str], folder: Path) -> list[object]:
    """Return the plugins that ``names`` name, each ``module:name`` of a module in ``folder`` or an installed one.

    Raises ``PluginError`` for what is not there. What a module raises while it is imported passes through.
    """
    return [_plugin(name, folder) for name in names]


def _plugin(name: str, folder: Path) -> object:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise PluginError(f"A plugin of the project's own is named 'module:name', not {name!r}: --plugin.")
    sys.path.insert(0, str(folder))
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0] and error.name != module:
            raise
        raise PluginError(f"There is no module {module!r} for the plugin {name!r}, in {folder} or installed.") from None
    finally:
        sys.path.remove(str(folder))
    try:
        return reduce(getattr, attribute.split("."), found)
    except AttributeError:
        raise PluginError(f"The module {module!r} has no {attribute!r}, for the plugin {name!r}.") from None
