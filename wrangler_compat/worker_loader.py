"""Loading a worker: from its configuration to imported code with an entrypoint and object classes.

The code runs in this process, on this Python. What it imports is found beside ``main`` first, then in
``python_modules`` beside the configuration, then where Python finds everything else.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from edgeagents.bindings import BindingDeclaration
from edgeagents.crons import check_cron
from edgeagents.objects import DurableObject
from edgeagents.worker import FetchFunction, Worker, WorkerEntrypoint
from wrangler_compat.config import Config
from wrangler_compat.diagnostics import Diagnostics, did_you_mean
from wrangler_compat.host.context import JsEnv, WorkerContext, register, running_for, unregister
from wrangler_compat.host.flags import flags_that_are_on
from wrangler_compat.host.importing import HostFinder
from wrangler_compat.host.loading import hosted_names
from wrangler_compat.missing_packages import how_to_install, package_of
from wrangler_compat.own_modules import OwnModules

__all__ = ["WorkerModule", "entrypoints_in", "import_main", "make_worker", "object_classes_in"]

_JAVASCRIPT = frozenset({".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx"})
_OBJECTS = "durable_object_namespace"
_KINDS_WITH_CLASS = frozenset({_OBJECTS, "workflow"})


@dataclass
class WorkerModule:
    """A worker's imported code. After use you must call ``unload()``, or its modules stay in ``sys.modules``."""

    module: ModuleType
    file: Path
    context: WorkerContext
    """What the host's modules know of the worker."""
    _paths: list[str] = field(default_factory=list[str])
    _before: frozenset[str] = frozenset()
    _finder: HostFinder | None = None
    own: OwnModules | None = None
    """Where its modules are when it runs beside other workers."""

    def unload(self) -> None:
        """Forget the module and what it imported from its own folders, so that the next worker finds its own."""
        unregister(self.context)
        if self.own is not None:
            self.own.close()
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
        for path in self._paths:
            if path in sys.path:
                sys.path.remove(path)
        roots = tuple(Path(path) for path in self._paths)
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None)
            if name == "agents" and file is None:
                del sys.modules[name]  # Ours: the next project may have its own.
            elif name in self._before or not file or "site-packages" in file:
                continue  # Packages are for all workers, also those in an environment below the worker's folder.
            elif any(root in Path(file).parents for root in roots):
                del sys.modules[name]


def import_main(
    config: Config,
    script: Path | None = None,
    variables: Mapping[str, Any] | None = None,
    *,
    is_alone: bool = True,
) -> WorkerModule | None:
    """Import the worker's ``main``, or ``script`` in its place; None when it cannot be, which the diagnostics tell.

    ``variables`` are those that its code finds in ``workers.env`` while it is imported, before there are bindings.
    One that ``is_alone`` has its folders in ``sys.path``; see ``own_modules`` for the others.
    What the code itself raises passes through.
    """
    here = config.diagnostics.at("main")
    file = script or config.main
    if file is None and config.values.get("assets"):
        return _no_code(config)
    if file is None:
        here.error("invalid", 'is required: the path of the worker\'s Python file, such as "src/entry.py"')
        return None
    shown = _shown(file, config)
    if file.suffix in _JAVASCRIPT:
        here.error(
            "invalid",
            f"{shown} is JavaScript or TypeScript, which only Cloudflare's own tools run. "
            "Write the worker in Python and name its .py file here",
        )
        return None
    if not file.is_file():
        here.error("invalid", f"{shown} does not exist.{_did_you_mean_file(file)}")
        return None
    if file.suffix != ".py":
        here.error("invalid", f"{shown} is no Python file: its name must end in .py")
        return None
    folders = _folders(file, config)
    # Workers that it loads later are no less beside it.
    is_alone = is_alone and not config.values.get("worker_loaders")
    paths = folders if is_alone else []
    sys.path[:0] = paths
    finder = HostFinder(paths)
    context = _context(config, variables)
    worker = WorkerModule(ModuleType(file.stem), file, context, paths, frozenset(sys.modules), finder)
    sys.meta_path.insert(0, finder)
    register(context)
    try:
        with running_for(context):
            if is_alone:
                worker.module = _import_file(file)
            else:
                worker.own = OwnModules(config.name, folders, file)
                worker.module = worker.own.load_main()
    except ModuleNotFoundError as error:
        if not _explain_missing(error, worker, config, here):
            raise
        worker.unload()
        return None
    except BaseException:
        worker.unload()
        raise
    return worker


def make_worker(config: Config, code: WorkerModule, bindings: Sequence[BindingDeclaration]) -> Worker:
    """Return the worker that ``code`` makes with these ``bindings``.

    What the configuration asks for and the code lacks goes into the diagnostics.
    """
    date, flags = config.values.get("compatibility_date"), frozenset(config.values["compatibility_flags"])
    names = hosted_names(code.module, code.context)
    own = dict(object_classes_in(names))
    classes = dict(own)
    for place, declaration in config.bindings:
        is_own = declaration.options.get("script_name") in (None, config.name)
        if declaration.kind not in _KINDS_WITH_CLASS or not is_own:
            continue
        class_name: str = declaration.options["class_name"]
        found = names.get(class_name)
        if isinstance(found, type) and _fits(found, declaration.kind):
            classes[class_name] = found
        else:
            here = config.at(*place, "class_name")
            _refuse_class(class_name, declaration.kind, found, own, here, _shown(code.file, config))
    return Worker(
        name=config.name,
        classes=classes,
        bindings=tuple(bindings),
        entrypoint=_entrypoint(names, config.diagnostics.at("main"), _shown(code.file, config)),
        entrypoints=entrypoints_in(names),
        crons=_crons(config),
        compatibility_date=date,
        compatibility_flags=flags,
    )


def _no_code(config: Config) -> WorkerModule | None:
    """Return the worker of a site that is nothing but its assets."""
    assets = config.values["assets"]
    for key in ("binding", "run_worker_first"):
        if assets.get(key):
            config.at("assets", key).error(
                "invalid",
                "is for the worker's code, and there is none: name its Python file in main, or leave this out",
            )
            return None
    return WorkerModule(ModuleType("assets"), config.directory / assets.get("directory", ""), _context(config, None))


def _context(config: Config, variables: Mapping[str, Any] | None) -> WorkerContext:
    date, flags = config.values.get("compatibility_date"), config.values["compatibility_flags"]
    context = WorkerContext(config.name, flags_that_are_on(date, flags), JsEnv(variables))
    declared = config.values.get("containers") or ()
    context.containers = frozenset(str(one["class_name"]) for one in declared if "class_name" in one)
    return context


def _folders(file: Path, config: Config) -> list[str]:
    folders = [str(file.parent)]
    modules = config.directory / "python_modules"
    if modules.is_dir():
        folders.append(str(modules))
    return folders


def _import_file(file: Path) -> ModuleType:
    name = file.stem
    taken = sys.modules.get(name)
    if taken is not None and getattr(taken, "__file__", None) != str(file):
        # A worker may be called entry.py, as the one before it, or email.py, as a module that Python has loaded.
        name = f"{name}@{file.parent.name}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = _module(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _module(spec: ModuleSpec) -> ModuleType:
    return importlib.util.module_from_spec(spec)


def object_classes_in(names: Mapping[str, Any]) -> Iterator[tuple[str, type]]:
    """Return the object classes among the names of a worker's code."""
    for name, value in names.items():
        if (
            isinstance(value, type)
            and issubclass(value, DurableObject)
            and not value.__module__.startswith("edgeagents.")
        ):
            yield name, value


def _fits(cls: type, kind: str) -> bool:
    # What a workflow derives from is its plugin's business.
    return issubclass(cls, DurableObject) if kind == _OBJECTS else callable(getattr(cls, "run", None))


def _refuse_class(name: str, kind: str, found: object, own: dict[str, type], here: Diagnostics, file: str) -> None:
    if found is None:
        here.error("class", f"{name!r} is not exported by {file}.{did_you_mean(name, own)}")
    elif kind == _OBJECTS:
        here.error(
            "class",
            f"{name!r} in {file} is no agent and no Durable Object: derive it from workers.DurableObject, or from "
            "edgeagents.Agent",
        )
    else:
        here.error("class", f"{name!r} in {file} is no workflow: it needs a method `async def run(self, event, step)`")


def _entrypoint(
    names: Mapping[str, Any], here: Diagnostics, file: str
) -> type[WorkerEntrypoint[Any]] | FetchFunction | None:
    default = names.get("Default")
    if isinstance(default, type) and issubclass(default, WorkerEntrypoint):
        return default
    if default is not None:
        here.error("class", f"Default in {file} is no entrypoint: derive it from edgeagents.WorkerEntrypoint")
        return None
    if callable(names.get("on_fetch")):
        here.error("class", f"on_fetch() in {file} is no handler any more: write a class Default(WorkerEntrypoint)")
        return None
    function = names.get("fetch")
    return function if callable(function) else None


def entrypoints_in(names: Mapping[str, Any]) -> dict[str, type[WorkerEntrypoint[Any]]]:
    """Return the entrypoints among the names of a worker's code."""
    return {
        name: value
        for name, value in names.items()
        if isinstance(value, type)
        and issubclass(value, WorkerEntrypoint)
        and not value.__module__.startswith("edgeagents.")
    }


def _crons(config: Config) -> list[str]:
    expressions: list[str] = []
    for number, expression in enumerate((config.values["triggers"] or {}).get("crons") or ()):
        try:
            check_cron(expression)
        except ValueError as error:
            config.at("triggers", "crons", number).error("invalid", f"{expression!r} is not a cron expression: {error}")
        else:
            expressions.append(expression)
    return expressions


def _explain_missing(error: ModuleNotFoundError, worker: WorkerModule, config: Config, here: Diagnostics) -> bool:
    """Tell what to do about a module that is not there. False when a package is there, and lacks a part of itself."""
    name = error.name or ""
    top = name.partition(".")[0]
    is_own = worker.own is not None and worker.own.plain(name) != name
    if not name or is_own or (top in sys.modules and package_of(name) in (package_of(top), top)):
        return False
    place, is_direct = _place_in_own_code(error, config)
    what = f"imports {name!r}" if is_direct else f"imports a package that needs {name!r}"
    remedy = how_to_install(name, config.directory)
    # A file of one's own that was forgotten is no package to install, least of all one that a stranger has named so.
    is_asked_for = not is_direct or remedy.startswith("pyproject.toml")
    nor = "" if is_asked_for else f", nor is there a {top}.py beside {worker.file.name}"
    here.error("module", f"{place} {what}, which is not installed{nor}. {remedy}")
    return True


def _place_in_own_code(error: BaseException, config: Config) -> tuple[str, bool]:
    """Return where the worker's code imports something, and whether that is itself what failed."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen ")]
    own = [
        frame
        for frame in frames
        if config.directory in Path(frame.filename).parents and "site-packages" not in frame.filename
    ]
    if not own:
        return "the worker", False
    is_direct = all("site-packages" not in frame.filename for frame in frames[frames.index(own[-1]) :])
    return f"{_shown(Path(own[-1].filename), config)}:{own[-1].lineno}", is_direct


def _did_you_mean_file(file: Path) -> str:
    siblings = [path.name for path in file.parent.glob("*.py")] if file.parent.is_dir() else []
    return did_you_mean(file.name, siblings)


def _shown(file: Path, config: Config) -> str:
    return str(file.relative_to(config.directory)) if file.is_relative_to(config.directory) else str(file)
