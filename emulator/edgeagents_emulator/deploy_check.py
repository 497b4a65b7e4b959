"""``edgeagents deploy-check``: what would not deploy to Cloudflare, or would not run there, told before anybody tries.

It reads the configuration and the worker's files, and runs nothing. Here everything of CPython is at hand; there is
Pyodide, with its own packages, without threads and processes, and a worker has a size that it may not exceed.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

from edgeagents.crons import check_cron
from edgeagents_emulator.pyodide_packages import IS_WITHOUT, normal, packages_of, version_for
from wrangler_compat.config import Config
from wrangler_compat.deployable import NOT_DEPLOYABLE, exported_names, warn_of_deployment
from wrangler_compat.diagnostics import did_you_mean
from wrangler_compat.host.flags import flags_that_are_on
from wrangler_compat.missing_packages import package_of

__all__ = ["Finding", "check"]

_MIB: Final = 1024 * 1024
_FREE_BYTES, _PAID_BYTES, _PLAIN_BYTES = 3 * _MIB, 10 * _MIB, 64 * _MIB
_ASSET_BYTES, _ASSETS = 25 * _MIB, 20_000
# The host's own, and what a worker's SDK brings.
_THERE: Final = frozenset({"workers", "asgi", "js", "pyodide", "pyodide_js", "_pyodide", "micropip", "agents"})
_REQUIREMENT: Final = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_KINDS_WITH_CLASS: Final = frozenset({"durable_object_namespace", "workflow"})
_IDS: Final[Mapping[str, str]] = {"kv_namespaces": "id", "d1_databases": "database_id", "r2_buckets": "bucket_name"}


@dataclass(frozen=True)
class Finding:
    """One thing. An ``error`` is refused or fails there, a ``warning`` may."""

    level: Literal["error", "warning"]
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text

    def as_json(self) -> dict[str, str]:
        """Return it as data."""
        return asdict(self)


def check(config: Config) -> list[Finding]:
    """Return all that is found, errors first."""
    found = [*_configuration(config), *_bindings(config), *_code(config), *_sizes(config), *_assets(config)]
    return sorted(found, key=lambda finding: finding.level)


def _error(place: str, text: str) -> Finding:
    return Finding("error", place, text)


def _warning(place: str, text: str) -> Finding:
    return Finding("warning", place, text)


# The configuration


def _configuration(config: Config) -> Iterator[Finding]:
    exported = exported_names(config.main)
    warn_of_deployment(config, exported)
    for diagnostic in config.diagnostics:
        is_refused = diagnostic.is_error or diagnostic.code in NOT_DEPLOYABLE
        yield Finding("error" if is_refused else "warning", diagnostic.path, diagnostic.message)
    if exported is not None:
        yield from _classes(config, exported)
    values = config.values
    if not values.get("name"):
        yield _error("name", "is not set: a deployed worker needs one")
    if "compatibility_date" not in values and not config.diagnostics.tells_of("compatibility_date"):
        yield _error("compatibility_date", "is not set: a deployed worker needs one, such as the date of today")
    if config.main is None and not values.get("assets"):
        yield _error("main", "is not set, and there are no assets: there is nothing to deploy")
    elif config.main is not None and not config.main.is_file():
        yield _error("main", f"{values['main']} does not exist")
    for number, cron in enumerate((values.get("triggers") or {}).get("crons") or ()):
        try:
            check_cron(cron)
        except ValueError as error:
            yield _error(f"triggers.crons[{number}]", f"{cron!r} is not a cron expression: {error}")


def _classes(config: Config, exported: Collection[str]) -> Iterator[Finding]:
    for place, declaration in config.bindings:
        name = declaration.options.get("class_name")
        is_own = declaration.options.get("script_name") in (None, config.name)
        # A class that a migration makes and the code lacks is told of already.
        if declaration.kind in _KINDS_WITH_CLASS and is_own and name not in (*exported, *(config.storage or ())):
            near = did_you_mean(str(name), exported)
            text = f"{name!r} is not exported by {config.values['main']}.{near}"
            yield _error(config.at(*place, "class_name").path, text)


def _bindings(config: Config) -> Iterator[Finding]:
    values = config.values
    for key, field in _IDS.items():
        for number, entry in enumerate(values.get(key) or ()):
            if field not in entry:
                yield _warning(f"{key}[{number}]", f"has no {field}: wrangler makes a new, empty one when it deploys")
    others = {(d.options.get("script_name") or d.options.get("service")) for _, d in config.bindings}
    for name in sorted(other for other in others if other and other != config.name):
        yield _warning("", f"bindings name the worker {name!r}: it has to be deployed before this one")
    for _, declaration in config.bindings:
        if declaration.kind.startswith("unsafe_"):
            yield _warning(declaration.name, "is a binding under unsafe, which Cloudflare may refuse")
    for name in (values.get("secrets") or {}).get("required", ()):
        yield _warning(name, f"is a secret: set it with wrangler secret put {name}")


# The code


def _code(config: Config) -> Iterator[Finding]:
    if config.main is None or not config.main.is_file() or config.main.suffix != ".py":
        return
    folder = config.main.parent
    own = {path.stem for path in folder.glob("*.py")} | {path.name for path in folder.iterdir() if path.is_dir()}
    modules = config.directory / "python_modules"
    own |= {path.name.removesuffix(".py") for path in modules.iterdir()} if modules.is_dir() else set()
    packages = _pyodide_packages(config)
    told: set[str] = set()
    for file in _own_files(folder, config):
        place = _shown(file, config)
        try:
            tree = ast.parse(file.read_bytes(), str(file))
        except SyntaxError as error:
            yield _error(f"{place}:{error.lineno}", f"cannot be read: {error.msg}")
            continue
        for name, line in _imports(tree):
            top = name.partition(".")[0]
            if top in own:
                continue
            finding = _import(name, f"{place}:{line}", packages)
            if finding is not None and top not in told:
                told.add(top)
                yield finding
        yield from _threads(tree, place)
    yield from _dependencies(config, told, packages)


def _pyodide_packages(config: Config) -> frozenset[str]:
    values = config.values
    on = flags_that_are_on(values.get("compatibility_date"), values.get("compatibility_flags") or ())
    return packages_of(version_for(on))


def _own_files(folder: Path, config: Config) -> Iterator[Path]:
    for file in sorted(folder.rglob("*.py")):
        parts = file.relative_to(folder).parts
        if not any(part.startswith(".") or part in ("python_modules", "node_modules", "tests") for part in parts):
            yield file


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            yield node.module, node.lineno


def _import(name: str, place: str, packages: frozenset[str]) -> Finding | None:
    top = name.partition(".")[0]
    if top in ("edgeagents", "edgeagents_workflows") or top.startswith("edgeagents_"):
        return _error(
            place,
            f"imports {top}, which runs here and not on Cloudflare. Write that part with Cloudflare's SDK: "
            "from workers import ..., from agents import ...",
        )
    if top in IS_WITHOUT:
        return _error(place, f"imports {top}, which {IS_WITHOUT[top]}")
    if top in sys.stdlib_module_names or top in _THERE:
        return None
    return _package(package_of(name), place, packages)


def _package(package: str, place: str, packages: frozenset[str]) -> Finding | None:
    if normal(package) in packages:
        return None
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        near = did_you_mean(normal(package), packages)
        return _warning(place, f"needs {package}, which is not installed here, so nothing is known of it.{near}")
    wheel = distribution.read_text("WHEEL") or ""
    if "Root-Is-Purelib: false" in wheel:
        return _error(place, f"needs {package}, which has compiled code and is not among Pyodide's packages")
    return None


def _threads(tree: ast.Module, place: str) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        what = {"Thread": "a thread", "ProcessPoolExecutor": "processes", "ThreadPoolExecutor": "threads"}.get(name)
        if what is None and name in ("system", "popen", "fork") and _is_of(node.func, "os"):
            what = "a process"
        if what is not None:
            yield _error(f"{place}:{node.lineno}", f"starts {what}, and there are none on Cloudflare")


def _is_of(function: ast.expr, module: str) -> bool:
    return isinstance(function, ast.Attribute) and getattr(function.value, "id", None) == module


def _dependencies(config: Config, told: set[str], packages: frozenset[str]) -> Iterator[Finding]:
    file = config.directory / "pyproject.toml"
    try:
        project: Any = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except OSError:
        return
    except ValueError as error:
        yield _error(file.name, f"cannot be read: {error}")
        return
    names = {normal(package_of(top)) for top in told}
    for line in project.get("dependencies", ()):
        match = _REQUIREMENT.match(line)
        if match is None or normal(match[1]) in names or normal(match[1]) in ("edgeagents", "workers-runtime-sdk"):
            continue
        finding = _package(match[1], file.name, packages)
        if finding is not None:
            yield finding


# Sizes


def _sizes(config: Config) -> Iterator[Finding]:
    if config.main is None or not config.main.is_file():
        return
    plain = packed = 0
    excluded = (config.values.get("python_modules") or {}).get("exclude") or ["**/*.pyc"]
    modules = config.directory / "python_modules"
    files = [*_own_files(config.main.parent, config), *(path for path in modules.rglob("*") if path.is_file())]
    for file in files:
        name = file.relative_to(modules).as_posix() if file.is_relative_to(modules) else file.name
        if any(fnmatch(name, pattern) or fnmatch(name, pattern.removeprefix("**/")) for pattern in excluded):
            continue
        content = file.read_bytes()
        plain += len(content)
        packed += len(zlib.compress(content, 6))
    size = f"{packed / _MIB:.1f} MiB compressed"
    if packed > _PAID_BYTES:
        yield _error("", f"the worker has {size}; no more than {_PAID_BYTES // _MIB} are allowed")
    elif packed > _FREE_BYTES:
        yield _warning("", f"the worker has {size}; without a paid plan {_FREE_BYTES // _MIB} are allowed")
    if plain > _PLAIN_BYTES:
        yield _error("", f"the worker has {plain / _MIB:.1f} MiB; no more than {_PLAIN_BYTES // _MIB} are allowed")


def _assets(config: Config) -> Iterator[Finding]:
    directory = (config.values.get("assets") or {}).get("directory")
    if not directory:
        return
    folder = config.directory / directory
    if not folder.is_dir():
        yield _error("assets.directory", f"{directory} does not exist")
        return
    count = 0
    for file in folder.rglob("*"):
        if file.is_file():
            count += 1
            if file.stat().st_size > _ASSET_BYTES:
                yield _error(_shown(file, config), "is larger than 25 MiB, which no asset may be")
    if count > _ASSETS:
        yield _warning("assets.directory", f"has {count} files; without a paid plan {_ASSETS} are allowed")


def _shown(file: Path, config: Config) -> str:
    return str(file.relative_to(config.directory)) if file.is_relative_to(config.directory) else str(file)
