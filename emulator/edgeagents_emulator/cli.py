"""The ``edgeagents`` command."""

from __future__ import annotations

import importlib
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
_WITH_WRANGLER: Final = "use wrangler, as in uv run pywrangler"
_ELSEWHERE: Final = {
    "deploy": f"{_WITH_WRANGLER} deploy. edgeagents deploy-check tells what would not deploy.",
    "tail": "what a worker logs is written where edgeagents dev runs.",
    "secret": "secrets stand in .dev.vars beside the configuration; for those that are deployed use wrangler.",
    "types": "bindings have the types that their plugins give them.",
    "vectorize": "an index is made when it is first used; its binding has all that can be done with it.",
    "versions": f"{_WITH_WRANGLER} versions.",
    "login": f"nothing runs elsewhere. To deploy {_WITH_WRANGLER} login.",
    "delete": f"{_WITH_WRANGLER} delete. What is kept here is the folder .edgeagents/state.",
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


@click.group(cls=Commands, elsewhere=_ELSEWHERE, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "-v", "--version", package_name="edgeagents", message="edgeagents %(version)s")
def main() -> None:
    """Run Python Workers and agents on plain CPython."""
