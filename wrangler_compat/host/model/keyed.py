"""What has ``get``, ``has``, ``set`` and ``delete`` in JavaScript is a mapping in Python: ``headers["accept"]``."""

from __future__ import annotations

from typing import Any

from wrangler_compat.host.model.proxy import JsProxy

__all__ = ["Keyed"]


class Keyed(JsProxy):
    """An object whose values are found by a key. One that is not there is null, and cannot be deleted."""

    def __contains__(self, key: object) -> bool:
        return bool(self.has(key))

    def __getitem__(self, key: Any) -> Any:
        return self.get(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.set(key, value)

    def __delitem__(self, key: Any) -> None:
        if not self.has(key):
            raise KeyError(key)
        self.delete(key)
