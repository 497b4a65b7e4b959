"""The configuration of a worker: from a file, or none, to what holds for one environment.

Everything wrong with it is in ``Config.diagnostics``; reading never raises for what a person wrote. What the values
mean for a running worker is decided by ``worker_loader`` and by the plugins that provide the bindings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeagents.bindings import BindingDeclaration
from wrangler_compat.declarations import Place, binding_declarations, refuse_duplicates
from wrangler_compat.diagnostics import Diagnostics
from wrangler_compat.encoding import SyntaxFault, decode
from wrangler_compat.environments import Resolved, resolve
from wrangler_compat.jsonc import parse_jsonc
from wrangler_compat.migrations import CannotMigrate, StorageKind, storage_kinds
from wrangler_compat.shapes import describe, is_table
from wrangler_compat.toml import parse_toml

__all__ = ["Config", "parse_config", "read_config"]


@dataclass(frozen=True)
class Config:
    """What a configuration says, for its active environment.

    ``values`` are all keys that are set or have a default, under wrangler's names. ``bindings`` are those of ``env``
    but the variables, each with its place in its section; ``section`` leads to the active environment's. ``storage``
    is the store of each Durable Object class, or None when the migrations contradict each other. Values that were
    refused are absent.
    """

    path: Path | None
    directory: Path
    values: Mapping[str, Any]
    environment: str | None
    defined_environments: list[str]
    top_level_name: str | None
    bindings: list[tuple[Place, BindingDeclaration]]
    section: tuple[str, ...]
    storage: Mapping[str, StorageKind] | None
    diagnostics: Diagnostics

    def at(self, *place: str | int) -> Diagnostics:
        """Return the diagnostics at a place in the active environment's section."""
        return self.diagnostics.at(*self.section, *place)

    @property
    def name(self) -> str:
        return self.values.get("name") or "worker"

    @property
    def main(self) -> Path | None:
        """The file of the worker, as an absolute path; None when the configuration names none."""
        main = self.values.get("main")
        return None if main is None else (self.directory / main).resolve()

    @property
    def title(self) -> str:
        """What a headline calls this configuration."""
        return self.path.name if self.path else "the configuration"


def read_config(
    path: Path | None,
    *,
    environment: str | None = None,
    directory: Path | None = None,
    given: Mapping[str, Any] | None = None,
) -> Config:
    """Return what the file at ``path`` says for ``environment``. Without a file all is default.

    ``directory`` is what relative paths start from when there is no file. ``given`` are values of keys that stand in
    place of the file's, whatever the environment.
    """
    diagnostics = Diagnostics()
    directory = path.resolve().parent if path else (directory or Path()).resolve()
    raw: Mapping[str, Any] = {}
    if path is not None:
        try:
            raw = parse_config(path.read_bytes(), path.suffix, diagnostics)
        except OSError as error:
            diagnostics.error("parse", f"cannot be read: {error.strerror or error}")
        except SyntaxFault as fault:
            diagnostics.error("parse", str(fault), line=fault.line, column=fault.column)
    resolved = resolve(raw, environment, diagnostics)
    if given:
        resolved = replace(resolved, values={**resolved.values, **given})
    here = diagnostics.at(*resolved.own_path)
    storage = _storage(resolved.values)
    _check_across(raw, resolved, here)
    return Config(
        path=path,
        directory=directory,
        values=resolved.values,
        environment=resolved.environment,
        defined_environments=resolved.defined,
        top_level_name=resolved.top_level_name,
        bindings=binding_declarations(resolved.values, storage, directory),
        section=resolved.own_path,
        storage=storage,
        diagnostics=diagnostics,
    )


def parse_config(data: bytes, suffix: str, diagnostics: Diagnostics) -> Mapping[str, Any]:
    """Return the keys in ``data``, in the language that the file's ending names. Raises ``SyntaxFault``.

    An ending that wrangler does not know reads as an empty configuration, with a warning that wrangler does not give.
    """
    if suffix == ".toml":
        return parse_toml(decode(data))
    if suffix not in (".json", ".jsonc"):
        diagnostics.warning(
            "unknown-ending", f"a file that ends in {suffix!r} is not read; name it .jsonc, .json or .toml"
        )
        return {}
    value = parse_jsonc(decode(data))
    if is_table(value):
        return value
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}  # pyright: ignore[reportUnknownVariableType]
    raise SyntaxFault(f"expected an object, found {describe(value)}")


def _storage(values: Mapping[str, Any]) -> Mapping[str, StorageKind] | None:
    try:
        return storage_kinds(values["migrations"], values["exports"])
    except CannotMigrate:
        return None


def _check_across(raw: Mapping[str, Any], resolved: Resolved, here: Diagnostics) -> None:
    values = resolved.values
    section: Mapping[str, Any] = raw
    for step in resolved.own_path:
        section = section[step]
    if "route" in section and "routes" in section:
        here.at("routes").error("invalid", "route and routes exclude each other")
    refuse_duplicates(values, here)
    _check_names(values["workflows"], here.at("workflows"))
    objects = [name for name, export in values["exports"].items() if export["type"] == "durable-object"]
    if values["migrations"] and objects:
        here.at("exports").error("invalid", "migrations and exports of Durable Objects exclude each other")
    if not values["migrations"]:
        _check_lifecycle(values, objects, here)
    main = values.get("main")
    if main is not None and main.endswith(".py") and "python_workers" not in values["compatibility_flags"]:
        here.at_top().error(
            "python-flag", f'{main} is Python: Cloudflare wants "python_workers" in compatibility_flags'
        )


def _check_names(workflows: list[Mapping[str, Any]], here: Diagnostics) -> None:
    names = [workflow["name"] for workflow in workflows]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            here.error("invalid", f"{names.count(name)} workflows are named {name!r}; names are unique")


def _check_lifecycle(values: Mapping[str, Any], objects: list[str], here: Diagnostics) -> None:
    bound = [b["class_name"] for b in values["durable_objects"]["bindings"] if "script_name" not in b]
    unmade = [name for name in dict.fromkeys(bound) if name not in objects]
    if unmade:
        names = ", ".join(f'"{name}"' for name in unmade)
        here.at("durable_objects").warning(
            "durable-objects-lifecycle",
            f'no migration makes {names}, so there is no SQL. Add {{"tag": "v1", "new_sqlite_classes": [{names}]}} '
            "to migrations",
        )
