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
        return R2Bucket(BucketStore(runtime.stores, bucket_name(declaration)), runtime.clock, runtime.rng)


def bucket_name(declaration: BindingDeclaration) -> str:
    """Return what a bucket is kept under."""
    return declaration.options.get("bucket_name") or declaration.name


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``r2_bucket``."""
    return [R2BucketType()]


@hookimpl
def import_state(source: Any, state: Any) -> None:
    """Copy buckets that ``wrangler dev`` has kept."""
    from edgeagents_r2.importing import import_buckets

    import_buckets(source, state)


@hookimpl
def register_commands(cli: Any) -> None:
    """Add ``edgeagents r2``."""
    from edgeagents_r2.commands import r2

    cli.add_command(r2)
