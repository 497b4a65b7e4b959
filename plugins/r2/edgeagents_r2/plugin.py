"""What the entry point names: the binding."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.errors import ConfigError
from edgeagents.hookspecs import hookimpl
from edgeagents.redaction import hide_named
from edgeagents_r2.bucket import R2Bucket
from edgeagents_r2.s3_signing import Keys
from edgeagents_r2.store import BucketStore

if TYPE_CHECKING:
    from edgeagents.runtime import Runtime
    from edgeagents_r2.s3_client import S3Client


_clients: WeakKeyDictionary[Any, list[S3Client]] = WeakKeyDictionary()


class R2BucketType:
    """``r2_bucket``. Option: ``bucket_name``; without one the binding's name stands for it.

    With an ``endpoint``, as an option or in the environment, the bucket is one of an S3-compatible service.
    """

    kind = "r2_bucket"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        endpoint = endpoint_of(declaration, os.environ)
        if endpoint is not None:
            try:
                from edgeagents_r2.s3_bucket import S3Bucket
                from edgeagents_r2.s3_client import S3Client
            except ModuleNotFoundError as error:
                raise ConfigError(
                    f"A bucket at an S3 endpoint needs {error.name}: pip install 'edgeagents-r2[s3]'."
                ) from error

            client = S3Client(endpoint, bucket_name(declaration), keys_of(os.environ), runtime.clock)
            _clients.setdefault(runtime, []).append(client)
            return S3Bucket(client)
        return R2Bucket(BucketStore(runtime.stores, bucket_name(declaration)), runtime.clock, runtime.rng)


def bucket_name(declaration: BindingDeclaration) -> str:
    """Return what a bucket is kept under."""
    return declaration.options.get("bucket_name") or declaration.name


def endpoint_of(declaration: BindingDeclaration, environment: Mapping[str, str]) -> str | None:
    """Return the address of the service that keeps a bucket. Raises ``ConfigError`` for one that is none."""
    own = f"EDGEAGENTS_R2_ENDPOINT_{declaration.name}"
    given = declaration.options.get("endpoint") or environment.get(own) or environment.get("EDGEAGENTS_R2_ENDPOINT")
    if given and not given.startswith(("http://", "https://")):
        raise ConfigError(
            f"The endpoint of the bucket {declaration.name!r} is a URL such as https://..., not {given!r}."
        )
    return given or None


def keys_of(environment: Mapping[str, str]) -> Keys:
    """Return who asks the service. Raises ``ConfigError`` when the environment does not tell."""
    key_id, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret:
        raise ConfigError(
            "A bucket at an S3 endpoint needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment."
        )
    hide_named({"AWS_SECRET_ACCESS_KEY": secret})
    return Keys(key_id, secret, environment.get("AWS_REGION") or "auto")


@hookimpl
async def shutdown(runtime: Runtime) -> None:
    """Close the connections to services."""
    for client in _clients.pop(runtime, []):
        await client.close()


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
