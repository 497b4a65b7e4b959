"""The ``edgeagents`` command."""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Final

import click

from edgeagents_emulator.command_group import CommandGroup

__all__ = ["Commands", "main"]

# Imported when they are asked for: the most of it is not needed by any one of them.
_OURS: Final = {
    "dev": "dev:dev",
    "init": "commands:init",
    "config": "commands:show_config",
    "deploy-check": "commands:deploy_check",
    "agent": "stored:agent",
    "backup": "stored:backup",
    "restore": "stored:restore",
    "import-wrangler-state": "importing:import_wrangler_state",
}


class Commands(CommandGroup):
    """Our commands, and those of plugins, which are loaded when a command is asked for that is none of ours."""

    _has_plugins = False

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _OURS.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name) or super().get_command(self._load(ctx), cmd_name)
        module, _, name = place.partition(":")
        return getattr(importlib.import_module(f"edgeagents_emulator.{module}"), name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_OURS, *super().list_commands(self._load(ctx))})

    def _load(self, ctx: click.Context) -> click.Context:
        from edgeagents.errors import PluginError
        from edgeagents.plugins import load_plugins

        if not self._has_plugins:
            self._has_plugins = True
            try:
                load_plugins().hook.register_commands(cli=self)
            except PluginError as error:
                raise click.ClickException(str(error)) from error
        return ctx


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "-v", "--version", package_name="edgeagents", message="edgeagents %(version)s")
def main() -> None:
    """Run Python Workers and agents on plain CPython."""
