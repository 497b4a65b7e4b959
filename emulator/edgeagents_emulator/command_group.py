"""A group of commands that says what it has: in its help to the end, and to whom it does not understand."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import click

__all__ = ["CommandGroup"]


class CommandGroup(click.Group):
    """``@click.group(cls=CommandGroup)``; groups in it are of its kind too.

    ``elsewhere`` are commands of wrangler's that this group does not have, each with what to do instead.
    """

    group_class = type

    def __init__(self, *args: Any, elsewhere: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._elsewhere = elsewhere or {}

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called. Raises ``UsageError`` with the one that was meant, or why it is not here."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if instead := self._elsewhere.get(args[0]):
                raise click.UsageError(f"There is no {args[0]!r} here: {instead}", ctx) from error
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {near[0]!r}?", ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with the whole first sentence of its help, over several lines if need be."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, each.get_short_help_str(200)) for name, each in found if each is not None and not each.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
