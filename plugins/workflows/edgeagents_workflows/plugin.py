"""What the entry point names: the binding type, what goes on at a start, and the agents' part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgeagents.bindings import BindingDeclaration
from edgeagents.hookspecs import hookimpl
from edgeagents_workflows.agent_capability import Workflows
from edgeagents_workflows.binding_type import Resumption, WorkflowType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edgeagents.agents import Capability
    from edgeagents.bindings import BindingType
    from edgeagents.extensions import DeveloperRoute, Trigger
    from edgeagents.runtime import Runtime

__all__ = ["workflows_plugin"]


@hookimpl
def register_bindings() -> Iterable[BindingType]:
    """Provide the bindings of the kind ``workflow``."""
    return [WorkflowType()]


@hookimpl
def register_triggers(runtime: Runtime) -> Iterable[Trigger]:
    """Make instances go on that the last process left."""
    return [Resumption(runtime)]


@hookimpl
def register_developer_routes(runtime: Runtime) -> Iterable[DeveloperRoute]:
    """Let commands, also wrangler's, create and change instances of a session that runs."""
    from edgeagents_workflows.control_route import CONTROL_PATHS, ControlRoute

    return [ControlRoute(path, runtime) for path in CONTROL_PATHS]


@hookimpl
def register_capabilities() -> Iterable[type[Capability]]:
    """Give every agent its ``workflows``."""
    return [Workflows]


@hookimpl
def register_commands(cli: Any) -> None:
    """Add ``edgeagents workflows``."""
    from edgeagents_workflows.commands import workflows

    cli.add_command(workflows)


def workflows_plugin(*workflows: type, **named: type) -> object:
    """Return a plugin that puts workflows into ``env``: ``plugins=[workflows_plugin(Onboarding, ORDERS=Order)]``.

    Each is found there by the name of its class, or by the name that it is given. Its instances are kept under the
    name of its class.
    """
    return _Workflows({**{cls.__name__: cls for cls in workflows}, **named})


class _Workflows:
    """Declares bindings for classes of a program."""

    def __init__(self, classes: dict[str, type]) -> None:
        self._classes = classes
        self.__name__ = f"workflows {' '.join(classes)}"

    @hookimpl
    def declare_bindings(self) -> Iterable[BindingDeclaration]:
        """Return a declaration for each class."""
        return [self._declare(name, cls) for name, cls in self._classes.items()]

    def _declare(self, name: str, cls: type) -> BindingDeclaration:
        options: dict[str, Any] = {"class": cls}
        return BindingDeclaration(name, WorkflowType.kind, options)
