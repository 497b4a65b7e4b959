"""Flags that every command of wrangler's takes, or that ``wrangler dev`` does and that change nothing here.

They are taken, so that a command line that was written for wrangler works; what somebody might count on is told.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import click

__all__ = ["accepted", "with_cwd", "with_idle_flags"]

_PDB: Final = "breakpoint() in the worker stops in this terminal, with pdb"
_ANY_HOST: Final = "the worker gets all requests, with the address that they were sent to"
_FOR_JAVASCRIPT: Final = "it is for JavaScript"

_WITH_A_VALUE: Final = {
    ("--inspector-port", "--inspector-ip"): _PDB,
    ("--route", "--routes", "--host", "--local-upstream", "--upstream-protocol"): _ANY_HOST,
    ("--define", "--alias", "--jsx-factory", "--jsx-fragment", "--tsconfig"): _FOR_JAVASCRIPT,
}
_ALONE: Final = {
    ("--bundle/--no-bundle", "--latest/--no-latest", "--minify/--no-minify"): "",
    ("--show-interactive-dev-session/--no-show-interactive-dev-session",): "",
    ("--live-reload/--no-live-reload",): "the code is reloaded, a page in the browser is not",
    ("--types/--no-types",): "the bindings have the types that their plugins give them",
}


def with_idle_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``command`` with the flags of ``wrangler dev`` that change nothing here, out of sight of its help."""
    for names, why in _WITH_A_VALUE.items():
        for name in names:
            command = _idle(name, why, multiple=True)(command)
    for names, why in _ALONE.items():
        for name in names:
            command = _idle(name, why, default=None)(command)
    return command


def accepted(*names: str, **how: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return what gives a command an option that changes nothing, out of sight of its help."""
    return click.option(*names, hidden=True, expose_value=False, **how)


def _idle(name: str, why: str, **how: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def tell(ctx: click.Context, option: click.Parameter, value: Any) -> None:
        if value and why:
            click.echo(f"{option.opts[0]} changes nothing here: {why}.", err=True)

    return accepted(name, callback=tell, **how)


def with_cwd(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``command`` with ``--cwd``, which is the folder that it runs in."""

    def go(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
        if value is not None:
            os.chdir(value)

    return click.option(
        "--cwd",
        type=click.Path(exists=True, file_okay=False),
        metavar="DIR",
        is_eager=True,
        expose_value=False,
        callback=go,
        help="The folder to run in; default: this one.",
    )(command)
