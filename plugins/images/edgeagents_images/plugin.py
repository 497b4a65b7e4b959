"""What the entry point names: the binding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.hookspecs import hookimpl
from edgeagents_images.binding import Images
from edgeagents_images.delivery import DeliveryRoute
from edgeagents_images.hosted import HostedImages, ImageStore

if TYPE_CHECKING:
    from edgeagents.extensions import DeveloperRoute
    from edgeagents.runtime import Runtime


class ImagesType:
    """``images``. It has no options."""

    kind = "images"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        return Images(HostedImages(ImageStore(runtime.stores), runtime.clock, runtime.rng))


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``images``."""
    return [ImagesType()]


@hookimpl
def register_developer_routes(runtime: Runtime) -> Iterable[DeveloperRoute]:
    """Serve hosted images in the emulator."""
    return [DeliveryRoute(ImageStore(runtime.stores))]
