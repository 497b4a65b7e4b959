"""The litellm package itself, which takes seconds to import: it is imported when a model is first asked."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
from typing import Any

__all__ = ["load"]

_importing = threading.Lock()


async def load() -> Any:
    """Return the package. The first time it is imported in a thread, so that the event loop goes on."""
    return await asyncio.to_thread(_import)


def _import() -> Any:
    with _importing:
        # Else the import asks a server on the internet for the prices of models, and waits for it.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        package: Any = importlib.import_module("litellm")
        # Else each error prints an advertisement.
        package.suppress_debug_info = True
        return package
