"""What the entry point names: the binding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.hookspecs import hookimpl
from edgeagents_images.binding import Images


class ImagesType:
    """``images``. It has no options."""

    kind = "images"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        return Images()


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``images``."""
    return [ImagesType()]
