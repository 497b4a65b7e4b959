"""What the entry point names: the bindings, and the emulator's route for queries."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.hookspecs import hookimpl
from edgeagents_platform.analytics import AnalyticsEngine
from edgeagents_platform.analytics_query import AnalyticsRoute
from edgeagents_platform.cloud_only import (
    REFUSED,
    CloudOnlyType,
    DispatchNamespace,
    RefusedType,
    VpcService,
)
from edgeagents_platform.hyperdrive import hyperdrive_of
from edgeagents_platform.mtls import certificate_of
from edgeagents_platform.pipelines import pipeline_of
from edgeagents_platform.ratelimit import rate_limit_of
from edgeagents_platform.secrets_store import StoreSecret
from edgeagents_platform.version import version_of

if TYPE_CHECKING:
    from edgeagents.extensions import DeveloperRoute
    from edgeagents.runtime import Runtime


class _Kind:
    """A kind of binding, and the function that makes one of a declaration and a runtime."""

    def __init__(self, kind: str, make: Callable[[BindingDeclaration, Any], object]) -> None:
        self.kind, self._make = kind, make

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        return self._make(declaration, runtime)


def _dataset(declaration: BindingDeclaration, runtime: Any) -> object:
    return AnalyticsEngine(runtime.stores, declaration.options.get("dataset") or declaration.name, runtime.clock)


def _secret(declaration: BindingDeclaration, runtime: Any) -> object:
    options = declaration.options
    return StoreSecret(runtime.stores, options["store_id"], options["secret_name"], runtime.env)


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide what this distribution has."""
    return [
        _Kind("ratelimit", lambda declared, runtime: rate_limit_of(declared.name, declared.options, runtime)),
        _Kind("unsafe_ratelimit", lambda declared, runtime: rate_limit_of(declared.name, declared.options, runtime)),
        _Kind("analytics_engine", _dataset),
        _Kind("version_metadata", lambda declared, runtime: version_of(runtime)),
        _Kind("hyperdrive", lambda declared, runtime: hyperdrive_of(declared.name, declared.options)),
        _Kind("secrets_store_secret", _secret),
        _Kind(
            "mtls_certificate",
            lambda declared, runtime: certificate_of(declared.name, declared.options, runtime.stores),
        ),
        _Kind("pipeline", lambda declared, runtime: pipeline_of(declared, runtime.stores)),
        CloudOnlyType("dispatch_namespace", DispatchNamespace),
        CloudOnlyType("vpc_service", VpcService),
        CloudOnlyType("vpc_network", VpcService),
        *map(RefusedType, REFUSED),
    ]


@hookimpl
def register_developer_routes(runtime: Runtime) -> Iterable[DeveloperRoute]:
    """Answer queries about datasets in the emulator."""
    return [AnalyticsRoute(runtime.stores)]
