"""Loading plugins: entry points of the group ``edgeagents``, and those handed in.

The plugin manager is a value that a ``Runtime`` holds, so two runtimes share nothing. What is broken, misspelt or there
twice is an error that names its distribution, never a hook that is silently not called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import Any, cast

import pluggy

from edgeagents import core_bindings, crons, hookspecs
from edgeagents.errors import PluginError
from edgeagents.objects.spellings import did_you_mean

__all__ = ["GROUP", "direct", "load_plugins", "unique"]

GROUP = "edgeagents"


def load_plugins(plugins: Sequence[object] = (), *, discover: bool = True) -> pluggy.PluginManager:
    """Return a manager with our own plugins, the installed ones if ``discover``, and ``plugins``.

    Raises ``PluginError``.
    """
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    _register(manager, core_bindings, "core_bindings", "edgeagents")
    _register(manager, crons, "crons", "edgeagents")
    if discover:
        for entry_point in metadata.entry_points(group=GROUP):
            distribution = entry_point.dist.name if entry_point.dist is not None else "an unknown distribution"
            try:
                plugin = entry_point.load()
            except Exception as error:
                raise PluginError(
                    f"The plugin {entry_point.name!r} of {distribution} cannot be imported from {entry_point.value!r}: "
                    f"{type(error).__name__}: {error}. Repair or uninstall {distribution}."
                ) from error
            _register(manager, plugin, entry_point.name, distribution)
    for plugin in plugins:
        name = getattr(plugin, "__name__", None) or type(plugin).__name__
        _register(manager, plugin, name, f"the given plugin {name}")
    return manager


def _register(manager: pluggy.PluginManager, plugin: object, name: str, distribution: str) -> None:
    if manager.has_plugin(name) or manager.is_registered(plugin):
        raise PluginError(f"The plugin {name!r} of {distribution} is installed twice. Uninstall one of them.")
    if inspect.isclass(plugin):
        raise PluginError(f"The plugin {name!r} of {distribution} is a class. Name an instance of it, or a module.")
    try:
        manager.register(plugin, name)
        # After each plugin, and not after all, so that the message can name whose hook it is.
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        fault = _explain(manager, plugin, error)
        raise PluginError(f"The plugin {name!r} of {distribution} is wrong: {fault}") from error
    if not manager.get_hookcallers(plugin):
        raise PluginError(
            f"The plugin {name!r} of {distribution} implements no hook. Mark its functions with @edgeagents.hookimpl."
        )


def _explain(manager: pluggy.PluginManager, plugin: object, error: pluggy.PluginValidationError) -> str:
    known = [name for name in vars(hookspecs) if hasattr(getattr(hookspecs, name), f"{GROUP}_spec")]
    for name in dir(plugin):
        if manager.parse_hookimpl_opts(plugin, name) is not None and name not in known:
            return f"there is no hook {name!r}.{did_you_mean(name, known)}"
    return " ".join(str(error).split())


def unique(groups: Iterable[Iterable[Any]], attribute: str, what: str) -> dict[str, Any]:
    """Return what plugins registered, by ``attribute``. Raises ``PluginError`` for two of one name."""
    found: dict[str, Any] = {}
    # pluggy asks the plugin that was registered last first; users think in the order of registration.
    for item in (item for group in reversed(list(groups)) for item in group):
        name = getattr(item, attribute)
        if name in found:
            raise PluginError(
                f"Two plugins provide the {what} {name!r}: {type(found[name]).__module__} and {type(item).__module__}. "
                "Uninstall one of them."
            )
        found[name] = item
    return found


def direct(caller: Any, names: Sequence[str]) -> Callable[..., None]:
    """Return a function that calls a hook, whose results nobody wants, with the arguments ``names`` in that order.

    It costs what the implementations cost: what each of them takes is looked up here, and not at each call.
    """
    calls: list[Callable[..., object]] = []
    # pluggy calls the last one first.
    for impl in reversed(caller.get_hookimpls()):
        if impl.wrapper or impl.hookwrapper:
            return lambda *given: caller(**dict(zip(names, given, strict=True)))
        calls.append(impl.function if tuple(impl.argnames) == tuple(names) else _taking(impl, names))
    if len(calls) == 1:
        return cast("Callable[..., None]", calls[0])

    def call_all(*given: Any) -> None:
        for call in calls:
            call(*given)

    return call_all


def _taking(impl: Any, names: Sequence[str]) -> Callable[..., object]:
    function, places = impl.function, [names.index(name) for name in impl.argnames]
    return lambda *given: function(*[given[place] for place in places])
