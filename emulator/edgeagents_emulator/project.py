"""A project: from a folder and what a person said to a worker that a runtime can run.

Everything wrong with it is found before anything runs, and told together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError, UnknownBinding
from edgeagents.worker import Worker
from edgeagents_emulator.options import Options
from wrangler_compat.config import Config, read_config
from wrangler_compat.declarations import declare_variables
from wrangler_compat.finding import find_config
from wrangler_compat.migrations import CannotMigrate, moves_of_data, storage_kinds
from wrangler_compat.variables import VariableSources, read_variables
from wrangler_compat.worker_loader import WorkerModule, import_main, make_worker

__all__ = ["Project", "load_project"]

STATE_FOLDER = Path(".edgeagents") / "state"


@dataclass(frozen=True)
class Project:
    """A worker that was loaded. After use you must call ``code.unload()``."""

    config: Config
    code: WorkerModule
    worker: Worker
    state_folder: Path
    secret_files: Sequence[Path]


def load_project(options: Options, process: Mapping[str, str], known_kinds: Iterable[str]) -> Project:
    """Return the project that ``options`` name. Raises ``InvalidConfig`` with everything that is wrong.

    ``known_kinds`` are the kinds of binding that plugins provide. What the worker's own code raises passes through.
    """
    directory = Path(options.directory)
    script = (directory / options.script).resolve() if options.script else None
    path = directory / options.config if options.config else find_config(script.parent if script else directory)
    if path is None and script is None:
        raise ConfigError(
            f"There is no wrangler.json, wrangler.jsonc or wrangler.toml in {directory} or above it. "
            "Go to your project's folder, or name the file with --config or EDGEAGENTS_CONFIG."
        )
    config = read_config(path, environment=options.chosen_environment(process), directory=directory)
    variables, secret_files = read_variables(
        config.values,
        config.directory,
        config.environment,
        VariableSources(options.env_files, options.variables, process),
        config.diagnostics,
    )
    if not any(d.code == "parse" for d in config.diagnostics.errors):
        _look_closer(config, frozenset(known_kinds))
    # Bindings cannot share a name, but secrets and the command line replace variables.
    taken = {declaration.name for _, declaration in config.bindings}
    declared = [d for d in declare_variables(variables) if d.name not in taken]
    bindings = [*(declaration for _, declaration in config.bindings), *declared]
    return _with_code(config, script, bindings, options, secret_files)


def _with_code(
    config: Config,
    script: Path | None,
    bindings: Sequence[BindingDeclaration],
    options: Options,
    secret_files: Sequence[Path],
) -> Project:
    title = config.title
    if any(d.code == "parse" for d in config.diagnostics.errors):
        config.diagnostics.raise_errors(title)
    code = import_main(config, script, {d.name: d.options["value"] for d in bindings if "value" in d.options})
    if code is None:
        config.diagnostics.raise_errors(title)
        raise AssertionError("a worker without code has a diagnostic")
    worker = make_worker(config, code, bindings)
    try:
        config.diagnostics.raise_errors(title)
    except ConfigError:
        code.unload()
        raise
    if options.persist_to:
        state = (Path(options.directory) / options.persist_to).resolve()
    else:
        state = config.directory / STATE_FOLDER
    return Project(config, code, worker, state, secret_files)


def _look_closer(config: Config, known_kinds: frozenset[str]) -> None:
    """Check what only matters to one who runs the worker here."""
    # Cloudflare needs the flag to deploy Python; here nothing else could be meant.
    config.diagnostics.demote("python-flag")
    for place, declaration in config.bindings:
        if declaration.kind not in known_kinds:
            fault = UnknownBinding(declaration.kind, declaration.name, known_kinds)
            config.at(*place).error("unknown-binding", str(fault))
    try:
        storage_kinds(config.values["migrations"], config.values["exports"])
    except CannotMigrate as fault:
        config.at("migrations", fault.step).error("invalid", str(fault))
    if moves := moves_of_data(config.values["migrations"]):
        config.at("migrations").warning(
            "not-migrated", f"stored data stays as it is: {', '.join(moves)} when deployed, but not in the state folder"
        )
    if config.path is not None and "compatibility_date" not in config.values:
        config.diagnostics.at("compatibility_date").warning("missing", "is not set; Cloudflare wants one to deploy")
