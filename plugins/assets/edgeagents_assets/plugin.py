"""What the entry point names: the binding, and what answers before the worker does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeagents.bindings import BindingDeclaration, BindingType
from edgeagents.errors import ConfigError
from edgeagents.hookspecs import hookimpl
from edgeagents_assets.serving import Assets
from edgeagents_assets.transport import AssetsFirst

if TYPE_CHECKING:
    from edgeagents.extensions import Transport
    from edgeagents.runtime import Runtime


class AssetsType:
    """``assets``: the section of the same name. Options are its fields; ``directory`` is a whole path by now."""

    kind = "assets"

    def make(self, declaration: BindingDeclaration, *, runtime: Any, worker: Any) -> object:
        # Those without a name are not in env: only what answers before the worker has them.
        return _assets(declaration.options) if declaration.name else None


def _assets(options: Mapping[str, Any]) -> Assets:
    directory = Path(options.get("directory") or "")
    if not options.get("directory") or not directory.is_dir():
        raise ConfigError(
            f"assets.directory: there is no folder {options.get('directory')!r}. Build the front end first, or name "
            "the folder that it is built into."
        )
    return Assets(
        directory,
        html_handling=options.get("html_handling", "auto-trailing-slash"),
        not_found_handling=options.get("not_found_handling", "none"),
    )


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide ``assets``."""
    return [AssetsType()]


# Called first is asked last: see edgeagents.plugins.unique.
@hookimpl(tryfirst=True)
def register_transports(runtime: Runtime) -> Iterable[Transport]:
    """Answer before the worker does, if it has assets.

    After all other transports, which know their requests: to this one all paths are the same.
    """
    return [
        AssetsFirst.of(_made(declaration, runtime), declaration.options, runtime.worker)
        for declaration in runtime.worker.bindings
        if declaration.kind == "assets"
    ]


def _made(declaration: BindingDeclaration, runtime: Runtime) -> Assets:
    # Once: to read `_redirects` and `_headers` again would tell of their faults twice.
    bound = runtime.env.get(declaration.name)
    return bound if isinstance(bound, Assets) else _assets(declaration.options)
