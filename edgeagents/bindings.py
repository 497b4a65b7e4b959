"""Bindings: a name in ``env``, and what makes the object behind it.

A configuration *declares* bindings; a plugin brings the *types* of binding that it knows, through the
``register_bindings`` hook. Our own types come the same way (``core_bindings``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["BindingDeclaration", "BindingType"]


@dataclass(frozen=True)
class BindingDeclaration:
    """One binding that a worker asks for: ``name`` in ``env``, of the type ``kind``. One without a name is not in it.

    ``kind`` is wrangler's word for it (``durable_object_namespace``, ``kv_namespace``, ``plain_text``, ...);
    ``options`` are the other fields of the declaration, by their names in the configuration.
    """

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


class BindingType(Protocol):
    """Makes the objects that a worker finds in ``env`` for one kind of binding."""

    kind: str

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        """Return the object for ``env``. Called once a worker, before it starts.

        ``runtime`` is the ``Runtime``, ``worker`` the ``Worker`` that declares the binding. Raise ``ConfigError``
        when the declaration cannot be met.
        """
        ...
