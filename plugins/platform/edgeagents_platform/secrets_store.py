"""Secrets of a store that several workers share.

A value comes from the worker's variables (``.dev.vars``), by the name of the secret, else from a file of the state
folder: ``<state>/secrets_store/<store id>.json``, an object of names and values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from edgeagents.errors import EdgeAgentsError
from edgeagents.redaction import hide_named

if TYPE_CHECKING:
    from edgeagents.stores import Stores

__all__ = ["SecretNotFound", "StoreSecret"]


class SecretNotFound(EdgeAgentsError):
    """The store has no such secret. The message says where to set it."""


class StoreSecret:
    """One secret. It is looked up each time, so a new value is seen without a restart."""

    js_name: ClassVar[str] = "StoreSecret"

    def __init__(self, stores: Stores, store_id: str, name: str, env: Mapping[str, Any]) -> None:
        self._stores, self._store, self._name, self._env = stores, store_id, name, env

    async def get(self) -> str:
        """Return the value. Raises ``SecretNotFound``."""
        value = self._env.get(self._name)
        if not isinstance(value, str):
            value = self._kept()
        if not isinstance(value, str):
            path = self._stores.path("secrets_store", self._store, ".json")
            place = "" if path is None else f', or in {path} as {{"{self._name}": "..."}}'
            raise SecretNotFound(f'Secret "{self._name}" not found. Set {self._name} in .dev.vars{place}.')
        hide_named({self._name: value})
        return value

    def _kept(self) -> Any:
        path = self._stores.path("secrets_store", self._store, ".json")
        if path is None or not path.exists():
            return None
        try:
            values = json.loads(path.read_text())
        except ValueError as error:
            raise SecretNotFound(f"The secrets in {path} are not JSON: {error}") from error
        return values.get(self._name) if isinstance(values, dict) else None

    def __repr__(self) -> str:
        return f"<StoreSecret {self._name}>"
