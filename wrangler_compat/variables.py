"""Variables and secrets: what ``env`` holds besides bindings to other things, and where each value comes from.

``vars`` of the configuration first, then one set of secrets over them, from ``.dev.vars`` or from ``.env`` files beside
the configuration, then what the command line says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wrangler_compat.diagnostics import Diagnostics
from wrangler_compat.dotenv import expand, parse_dotenv
from wrangler_compat.encoding import decode

__all__ = ["Variable", "VariableSources", "read_variables"]

VariableKind = Literal["plain_text", "json", "secret_text"]


@dataclass(frozen=True)
class Variable:
    """One variable: a string, any JSON value, or a secret string that no log shows."""

    kind: VariableKind
    value: Any


@dataclass(frozen=True)
class VariableSources:
    """What besides the configuration decides the variables. ``process`` is the process's environment."""

    env_files: Sequence[str] = ()
    overrides: Mapping[str, str] | None = None
    process: Mapping[str, str] | None = None


def read_variables(
    values: Mapping[str, Any],
    directory: Path,
    environment: str | None,
    sources: VariableSources,
    diagnostics: Diagnostics,
) -> tuple[dict[str, Variable], list[Path]]:
    """Return the variables of the active environment, and the files that secrets were read from."""
    declared: Mapping[str, Any] = values.get("vars", {})
    variables = {
        name: Variable("plain_text" if isinstance(value, str) else "json", value) for name, value in declared.items()
    }
    secrets, files, is_dev_vars = _secrets(directory, environment, sources)
    process = sources.process or {}
    required: list[str] | None = None
    if values.get("secrets") is not None:
        required = values["secrets"].get("required", [])
    includes_process = not is_dev_vars and _loads_dot_env(process)
    if includes_process and (required is not None or process.get("CLOUDFLARE_INCLUDE_PROCESS_ENV") == "true"):
        secrets = {**process, **secrets}
    if required is not None:
        secrets = {name: value for name, value in secrets.items() if name in declared or name in required}
        _warn_of_missing(required, secrets, declared, diagnostics)
    variables.update({name: Variable("secret_text", value) for name, value in secrets.items()})
    variables.update({name: Variable("plain_text", value) for name, value in (sources.overrides or {}).items()})
    return variables, files


def _secrets(
    directory: Path, environment: str | None, sources: VariableSources
) -> tuple[dict[str, str], list[Path], bool]:
    if not sources.env_files:
        candidates = [f".dev.vars.{environment}"] if environment else []
        for name in (*candidates, ".dev.vars"):
            if (directory / name).is_file():
                return parse_dotenv(decode((directory / name).read_bytes())), [directory / name], True
    if not _loads_dot_env(sources.process or {}):
        return {}, [], False
    names = sources.env_files or _dot_env_names(environment)
    files = [directory / name for name in names if (directory / name).is_file()]
    merged: dict[str, str] = {}
    for file in files:
        merged.update(parse_dotenv(decode(file.read_bytes())))
    return expand(merged), files, False


def _dot_env_names(environment: str | None) -> list[str]:
    if environment is None:
        return [".env", ".env.local"]
    return [".env", ".env.local", f".env.{environment}", f".env.{environment}.local"]


def _loads_dot_env(process: Mapping[str, str]) -> bool:
    return process.get("CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV", "").lower() != "false"


def _warn_of_missing(
    required: Iterable[str], secrets: Mapping[str, str], declared: Mapping[str, Any], diagnostics: Diagnostics
) -> None:
    missing = [name for name in required if name not in secrets and name not in declared]
    if missing:
        diagnostics.at("secrets", "required").warning(
            "missing-secret", f"Missing required secrets: {', '.join(missing)}"
        )
