"""``edgeagents agent``, ``edgeagents backup`` and ``edgeagents restore``: what a state folder holds, and copies of it.

The work is done by ``edgeagents.state_folder``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from edgeagents.agents.spending import SPENDING_KEY
from edgeagents.errors import EdgeAgentsError
from edgeagents.state_folder import StateFolder, StoredAgent
from edgeagents_emulator.command_group import CommandGroup
from edgeagents_emulator.counted import counted
from edgeagents_emulator.state_place import STATE_FOLDER
from wrangler_compat.finding import find_config

__all__ = ["agent", "backup", "restore"]

_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _with_state(command: Callable[..., Any]) -> Callable[..., Any]:
    text = "The state folder; default: EDGEAGENTS_PERSIST_TO, .edgeagents/state beside the configuration, or state."
    return click.option("--state", metavar="DIR", help=text)(command)


@click.group(cls=CommandGroup)
def agent() -> None:
    """List, copy, carry and set back the agents of a state folder."""


@agent.command("list")
@click.argument("class_name", metavar="[CLASS]", required=False)
@click.option("--json", "is_json", is_flag=True, help="Print a JSON object a line.")
@_with_state
def list_agents(class_name: str | None, is_json: bool, state: str | None) -> None:
    """Show which agents there are, how large they are, when they were changed and when they wake."""
    with _faults():
        folder = StateFolder(_folder(state))
        if class_name is not None:
            folder.check_class(class_name)
        for found in folder.agents(class_name):
            alarm = folder.alarm(found)
            facets = sum(1 for _ in found.databases) - 1
            if is_json:
                about = {
                    "class": found.class_name,
                    "name": found.id.name,
                    "id": found.id.digits,
                    "namespace": found.namespace,
                    "bytes": found.size,
                    "facets": facets,
                    "changed": found.changed.isoformat(),
                    "alarm": None if alarm is None else alarm.isoformat(),
                }
                click.echo(json.dumps(about))
            else:
                more = f"  {counted(facets, 'facet', 'facets')}" if facets else ""
                wakes = "" if alarm is None else f"  wakes {_short(alarm)}"
                size = f"{found.size / 1024:,.0f} KiB"
                click.echo(f"{found.class_name:<20} {found.title:<32} {size:>12}  {_short(found.changed)}{more}{wakes}")


@agent.command()
@click.argument("class_name", metavar="CLASS")
@click.argument("name")
@click.argument("new_name")
@_with_state
def fork(class_name: str, name: str, new_name: str, state: str | None) -> None:
    """Make NEW_NAME, another agent with all that NAME holds. Works while servers use the folder."""
    with _faults():
        folder = StateFolder(_folder(state))
        folder.fork(folder.find(class_name, name), new_name)
        click.echo(f"{class_name} {new_name} has all that {name} has.")


@agent.command()
@click.argument("class_name", metavar="CLASS")
@click.argument("name")
@click.argument("to", metavar="TIME|BOOKMARK")
@_with_state
def rewind(class_name: str, name: str, to: str, state: str | None) -> None:
    """Set an agent back to a time: 2026-01-31T12:00, or 10m, 2h, 3d ago. No server may use the folder.

    A bookmark sets its own database back, a time those of its facets too.
    """
    with _faults():
        folder = StateFolder(_folder(state))
        before = folder.rewind(folder.find(class_name, name), _time_or_bookmark(to))
        click.echo(
            f"{class_name} {name} is as it was. To undo that: edgeagents agent rewind {class_name} {name} ", nl=False
        )
        click.echo(before.isoformat())


@agent.command()
@click.argument("class_name", metavar="CLASS")
@click.argument("name")
@_with_state
def resume(class_name: str, name: str, state: str | None) -> None:
    """Let an agent go on that has used up its budget, or was frozen. No server may use the folder.

    Where one does, a program calls the agent: edgeagents.call_part(stub, "spending", "resume").
    """
    with _faults():
        folder = StateFolder(_folder(state))
        kept = folder.forget(folder.find(class_name, name), SPENDING_KEY)
        frozen = None if kept is None else kept.get("frozen")
        click.echo(
            f"{class_name} {name} was not frozen." if frozen is None else f"{class_name} {name} goes on: {frozen}"
        )


@agent.command()
@click.argument("class_name", metavar="CLASS")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False))
@_with_state
def export(class_name: str, name: str, file: str, state: str | None) -> None:
    """Write an agent into one FILE. Works while servers use the folder."""
    with _faults():
        folder = StateFolder(_folder(state))
        folder.export(folder.find(class_name, name), file)
        click.echo(f"{class_name} {name} is in {file}.")


@agent.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--class", "class_name", metavar="CLASS", help="The class it gets; default: the one it had.")
@click.option("--name", help="The name it gets; default: the one it had.")
@click.option(
    "--replace",
    is_flag=True,
    help="Replace the agent that is there, which can be undone. No server may use the folder.",
)
@_with_state
def import_agent(file: str, class_name: str | None, name: str | None, replace: bool, state: str | None) -> None:
    """Make an agent of a FILE that was exported."""
    with _faults():
        folder = StateFolder(_folder(state), may_be_made=True)
        there, before = _files(folder), _now()
        made = folder.load(file, class_name=class_name, name=name, replace=replace)
        click.echo(f"{made.class_name} {made.title} is in {folder.path}.")
        if made.path in there:
            _tell_undo([made], before)


@click.command()
@click.argument("target", type=click.Path(file_okay=False))
@click.argument("class_name", metavar="[CLASS]", required=False)
@click.argument("name", required=False)
@_with_state
def backup(target: str, class_name: str | None, name: str | None, state: str | None) -> None:
    """Copy all agents, those of CLASS, or one into the folder TARGET. Works while servers use the state folder."""
    with _faults():
        folder = StateFolder(_folder(state))
        count = folder.backup(target, None if class_name is None else _chosen(folder, class_name, name))
        click.echo(f"{counted(count, 'agent is', 'agents are')} in {target}.")


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False))
@click.argument("class_name", metavar="[CLASS]", required=False)
@click.argument("name", required=False)
@click.option("--replace", is_flag=True, help="Replace agents that are there, which can be undone for each.")
@_with_state
def restore(source: str, class_name: str | None, name: str | None, replace: bool, state: str | None) -> None:
    """Copy all agents, those of CLASS, or one back from the folder SOURCE. No server may use the state folder."""
    with _faults():
        folder = StateFolder(_folder(state), may_be_made=True)
        chosen = list(_chosen(StateFolder(source), class_name, name))
        there, before = _files(folder), _now()
        count = folder.restore(source, chosen if class_name is not None else None, replace=replace)
        click.echo(f"{counted(count, 'agent is', 'agents are')} in {folder.path}.")
        if there:
            restored = [folder.find(agent.namespace, agent.id.digits) for agent in chosen]
            _tell_undo([agent for agent in restored if agent.path in there], before)


def _files(folder: StateFolder) -> set[Path]:
    return set(folder.path.glob("objects/*/*.sqlite"))


def _now() -> datetime:
    # The moment before what is done next.
    return datetime.now(UTC) - timedelta(milliseconds=1)


def _tell_undo(replaced: list[StoredAgent], before: datetime) -> None:
    """Say how to have again what these agents held that were replaced, and of which that is lost."""
    undone = [agent for agent in replaced if agent.has_past]
    if undone:
        which = f"{undone[0].class_name} {undone[0].title}" if len(undone) == 1 else "CLASS NAME"
        click.echo(f"To undo that: edgeagents agent rewind {which} {before.isoformat()}")
    for agent in replaced:
        if not agent.has_past:
            click.echo(f"{agent.class_name} {agent.title} had no past: what it held before is gone.")


def _chosen(folder: StateFolder, class_name: str | None, name: str | None) -> Iterable[StoredAgent]:
    if class_name is not None and name is not None:
        return [folder.find(class_name, name)]
    return folder.agents(class_name)


def _folder(state: str | None) -> Path:
    chosen = state or os.environ.get("EDGEAGENTS_PERSIST_TO")
    if chosen:
        return Path(chosen)
    config = find_config(Path.cwd())
    if config is not None:
        return config.parent / STATE_FOLDER
    return Path("state")


def _time_or_bookmark(text: str) -> datetime | str:
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        return text


def _short(when: datetime) -> str:
    return when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


@contextmanager
def _faults() -> Generator[None]:
    try:
        yield
    except (EdgeAgentsError, OSError) as error:
        raise click.ClickException(str(error)) from error
