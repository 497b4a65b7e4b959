"""The local state of a project, for commands that show it and change it while a session runs, or without one.

A plugin adds its commands in the hook ``register_commands``, and marks them with ``with_local_state``::

    @hookimpl
    def register_commands(cli):
        cli.add_command(kv)

    @kv.command("list")
    @with_local_state
    async def list_keys(state: LocalState) -> None: ...
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError, EdgeAgentsError
from edgeagents.objects import Clock, SystemClock
from edgeagents.stores import Stores
from edgeagents_emulator.binding_rows import resource
from edgeagents_emulator.chosen_config import config_of
from edgeagents_emulator.options import Options
from edgeagents_emulator.state_place import state_folder_of
from edgeagents_emulator.table import table
from edgeagents_emulator.wrangler_flags import accepted, with_cwd
from wrangler_compat.config import Config

__all__ = ["LocalState", "as_table", "print_json", "print_rows", "with_local_state"]


class LocalState:
    """What a project has declared, and where it is kept. ``stores`` are closed when the command ends."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config, self.folder = config, folder
        self.stores = Stores(folder)
        self.clock: Clock = SystemClock()
        self.rng: random.Random = random.SystemRandom()

    def declared(self, kind: str) -> list[BindingDeclaration]:
        """Return the bindings of this kind."""
        return [declaration for _, declaration in self.config.bindings if declaration.kind == kind]

    def find(self, kind: str, name: str, *fields: str) -> BindingDeclaration:
        """Return the binding with this name, or with this value in one of ``fields``.

        Raises ``ConfigError`` with those that there are.
        """
        declared = self.declared(kind)
        for keys in ((), fields):
            for one in declared:
                if name in ([one.options.get(key) for key in keys] if keys else [one.name]):
                    return one
        known = ", ".join(one.name for one in declared if one.name) or "none"
        raise ConfigError(f"{self.config.title} has no {resource(kind)} {name!r}. It has: {known}.")


def with_local_state(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``command`` with the options that find a project; it is given the ``LocalState`` first.

    It may be ``async def``. What edgeagents or the disk refuses is told in a line, with exit status 1.
    """

    @click.option("--local", is_flag=True, help="As with wrangler. There is no other state here: it changes nothing.")
    @click.option("--remote", is_flag=True, hidden=True)
    @accepted("--preview", is_flag=True)
    @click.option("-c", "--config", "path", metavar="PATH", help="The configuration file; default: as for dev.")
    @click.option("-e", "--env", metavar="NAME", help="The environment of the configuration.")
    @click.option("--persist-to", metavar="DIR", help="The state folder; default: as for dev.")
    @accepted("--env-file", multiple=True)
    @with_cwd
    @functools.wraps(command)
    def run(
        *,
        local: bool,
        remote: bool,
        path: str | None,
        env: str | None,
        persist_to: str | None,
        **given: Any,
    ) -> None:
        if remote:
            raise click.ClickException("Only local state is known here. For what is deployed use wrangler.")
        given_options = Options.from_environment(os.environ, Path.cwd())
        options = Options(
            directory=str(Path.cwd()),
            config=path or given_options.config,
            environment=env,
            persist_to=persist_to or given_options.persist_to,
        )
        try:
            config = config_of(options, os.environ)
            config.diagnostics.demote("python-flag")
            config.diagnostics.raise_errors(config.title)
            state = LocalState(config, state_folder_of(options, config))
            try:
                result = command(state, **given)
                if inspect.iscoroutine(result):
                    asyncio.run(result)
            finally:
                state.stores.close()
        except (EdgeAgentsError, OSError, TypeError, ValueError) as error:
            raise click.ClickException(str(error)) from error

    return run


def print_json(value: Any) -> None:
    """Print ``value`` and nothing else."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, is_json: bool, nothing: str) -> None:
    """Print ``rows`` as JSON, or with these ``columns`` for people, who read ``nothing`` where there are none."""
    if is_json:
        print_json(rows)
    else:
        click.echo(as_table(rows, columns) if rows else nothing)


def as_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> str:
    """Return ``rows`` under the names of their columns."""
    names = list(columns) if columns is not None else list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_shown(row.get(name)) for name in names] for row in rows]
    return "\n".join(table([names, *cells]))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, default=str)
