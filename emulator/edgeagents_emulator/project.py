"""A project: from a folder and what a person said to a worker that a runtime can run.

Everything wrong with it is found before anything runs, and told together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError, UnknownBinding
from edgeagents.worker import Worker
from edgeagents_emulator.building import run_build
from edgeagents_emulator.chosen_config import config_of, script_of
from edgeagents_emulator.options import Options
from edgeagents_emulator.state_place import state_folder_of
from wrangler_compat.config import Config
from wrangler_compat.declarations import declare_variables
from wrangler_compat.deployable import warn_of_deployment
from wrangler_compat.migrations import CannotMigrate, storage_kinds
from wrangler_compat.own_environment import OwnEnvironment
from wrangler_compat.variables import VariableSources, read_variables
from wrangler_compat.worker_loader import WorkerModule, import_main, make_worker

__all__ = ["Project", "load_project", "load_projects", "open_environments"]


@dataclass(frozen=True)
class Project:
    """A worker that was loaded. After use you must call ``code.unload()``."""

    config: Config
    code: WorkerModule
    worker: Worker
    state_folder: Path
    secret_files: Sequence[Path]


def load_projects(
    options: Options,
    process: Mapping[str, str],
    known_kinds: Iterable[str],
    *,
    on_built: Callable[[], object] | None = None,
) -> list[Project]:
    """Return the projects that ``options`` name: the first has the traffic, and its folder holds the state of all.

    ``on_built`` is called when everything is built and no code has been read. Raises as ``load_project`` does, with
    what is wrong in all of them.
    """
    if not options.others:
        config = _built(options, process)
        if on_built is not None:
            on_built()
        return [load_project(options, process, known_kinds, config=config)]
    faults: list[str] = []
    configs: list[tuple[Options, Config]] = []
    for number, path in enumerate((options.config, *options.others)):
        alone = replace(options, config=path, others=())
        if number:
            alone = replace(alone, script=None, given={})
        try:
            configs.append((alone, _built(alone, process)))
        except ConfigError as fault:
            faults.append(str(fault))
    if on_built is not None:
        on_built()
    projects: list[Project] = []
    try:
        for alone, config in configs:
            names = [project.worker.name for project in projects]
            try:
                projects.append(load_project(alone, process, known_kinds, beside=names, config=config))
            except ConfigError as fault:
                faults.append(str(fault))
        if faults:
            raise ConfigError("\n".join(faults))
        return _reachable([replace(project, state_folder=projects[0].state_folder) for project in projects])
    except BaseException:
        for project in projects:
            project.code.unload()
        raise


def _built(options: Options, process: Mapping[str, str]) -> Config:
    config = config_of(options, process)
    if not _is_unreadable(config):
        run_build(config)
    return config


def _is_unreadable(config: Config) -> bool:
    return any(fault.code == "parse" for fault in config.diagnostics.errors)


def _reachable(projects: Sequence[Project]) -> list[Project]:
    """Let each worker have the object classes that bindings of the others name, also where it does not bind them."""
    named = {
        (d.kind, d.options["script_name"], d.options["class_name"]): d
        for project in projects
        for d in project.worker.bindings
        if d.options.get("script_name") and "class_name" in d.options
    }
    return [replace(project, worker=_with_unbound(project, named)) for project in projects]


def _with_unbound(project: Project, named: Mapping[tuple[str, str, str], BindingDeclaration]) -> Worker:
    worker = project.worker
    bound = {(d.kind, d.options.get("class_name")) for d in worker.bindings if not d.options.get("script_name")}
    storage = project.config.storage or {}
    unbound = [
        # Without a name: not in the worker's own env.
        BindingDeclaration("", kind, {"class_name": name, "storage": storage.get(name, "legacy-kv")})
        for kind, script, name in named
        if kind == "durable_object_namespace" and script == worker.name
        if (kind, name) not in bound and name in worker.classes
    ]
    return replace(worker, bindings=(*worker.bindings, *unbound)) if unbound else worker


def open_environments(options: Options, process: Mapping[str, str]) -> list[OwnEnvironment]:
    """Let the packages be found that the projects have for themselves. You must close what this returns."""
    directories: list[Path] = []
    for config in (options.config, *options.others):
        directory = config_of(replace(options, config=config), process).directory
        if directory not in directories:
            directories.append(directory)
    # The last one that is opened is the first that is found.
    return [OwnEnvironment(directory) for directory in reversed(directories)]


def load_project(
    options: Options,
    process: Mapping[str, str],
    known_kinds: Iterable[str],
    *,
    beside: Sequence[str] | None = None,
    config: Config | None = None,
) -> Project:
    """Return the project that ``options`` name. Raises ``InvalidConfig`` with everything that is wrong.

    ``known_kinds`` are the kinds of binding that plugins provide, ``beside`` the names of the workers that it runs
    beside, if it does not run alone. ``config`` is its configuration, if it was read and built already. What the
    worker's own code raises passes through.
    """
    script = script_of(options)
    config = config or _built(options, process)
    variables, secret_files = read_variables(
        config.values,
        config.directory,
        config.environment,
        VariableSources(options.env_files, options.variables, process),
        config.diagnostics,
    )
    if not _is_unreadable(config):
        _look_closer(config, frozenset(known_kinds))
    # Bindings cannot share a name, but secrets and the command line replace variables.
    taken = {declaration.name for _, declaration in config.bindings}
    declared = [d for d in declare_variables(variables) if d.name not in taken]
    bindings = [*(declaration for _, declaration in config.bindings), *declared]
    if beside is not None and config.name in beside:
        config.at("name").error("invalid", f"{config.name!r} is the name of another worker of this session")
        config.diagnostics.raise_errors(config.title)
    return _with_code(config, script, bindings, options, secret_files, is_alone=beside is None)


def _with_code(
    config: Config,
    script: Path | None,
    bindings: Sequence[BindingDeclaration],
    options: Options,
    secret_files: Sequence[Path],
    *,
    is_alone: bool,
) -> Project:
    title = config.title
    if _is_unreadable(config):
        config.diagnostics.raise_errors(title)
    variables = {d.name: d.options["value"] for d in bindings if "value" in d.options}
    code = import_main(config, script, variables, is_alone=is_alone)
    if code is None:
        config.diagnostics.raise_errors(title)
        raise AssertionError("a worker without code has a diagnostic")
    worker = make_worker(config, code, bindings)
    try:
        config.diagnostics.raise_errors(title)
    except ConfigError:
        code.unload()
        raise
    warn_of_deployment(config, worker.classes)
    if is_alone:
        _warn_of_silence(config, worker)
    return Project(config, code, worker, state_folder_of(options, config), secret_files)


def _warn_of_silence(config: Config, worker: Worker) -> None:
    """Warn of a worker that answers nothing: most often its class has another name."""
    if worker.entrypoint is None and not worker.classes and not config.values.get("assets"):
        named = f", and {' and '.join(worker.entrypoints)} is not asked" if worker.entrypoints else ""
        config.at("main").warning(
            "class", f"has neither a class Default(WorkerEntrypoint) nor an agent{named}: all requests are answered 404"
        )


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
    told = config.diagnostics
    # One that was wrong is not there either.
    if config.path and "compatibility_date" not in config.values and not told.tells_of("compatibility_date"):
        told.at("compatibility_date").warning("missing", "is not set; Cloudflare wants one to deploy")
