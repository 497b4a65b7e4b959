"""What the entry point names: the binding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.hookspecs import hookimpl
from edgeagents_r2.bucket import R2Bucket
from edgeagents_r2.store import BucketStore


class R2BucketType:
    """``r2_bucket``. Option: ``bucket_name``; without one the binding's name stands for it."""

    kind = "r2_bucket"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        name = declaration.options.get("bucket_name") or declaration.name
        return R2Bucket(BucketStore(runtime.stores, name), runtime.clock, runtime.rng)


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``r2_bucket``."""
    return [R2BucketType()]
