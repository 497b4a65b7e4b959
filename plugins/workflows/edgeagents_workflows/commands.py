"""``edgeagents workflows``: what the local state holds of workflows, with wrangler's words.

It reads the instances' own databases, also while a session runs them. What changes an instance is done by the session
that runs, which has the worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from edgeagents_emulator.command_group import CommandGroup
from edgeagents_emulator.counted import counted
from edgeagents_emulator.local_state import LocalState, as_table, print_json, print_rows, with_local_state
from edgeagents_emulator.wrangler_flags import accepted

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.objects.values import decode
from edgeagents.objects.whole_files import WholeFiles
from edgeagents.state_folder import StateFolder, StoredAgent
from edgeagents_workflows.session import ask_session

__all__ = ["workflows"]

_JSON = click.option("--json", "is_json", is_flag=True, help="Print JSON, and nothing else.")
_DEFAULT_PORT = 8787
_PORT = click.option("--port", type=int, metavar="PORT", help="That of the session; default: dev.port, or 8787.")
# What only reads asks no session, and shows all there is.
_ANY_PORT = accepted("--port", type=int)


def _paged(command: Callable[..., Any]) -> Callable[..., Any]:
    return accepted("--page", type=int)(accepted("--per-page", type=int)(_ANY_PORT(command)))


_INSTANCE = "SELECT status, params, created_at, is_asleep, ended_at, output, error_name, error_message FROM cf_workflow"
_STEPS = (
    "SELECT kind, name, count, state, attempt, due, started_at, ended_at, result, error_name, error_message "
    "FROM cf_workflow_steps ORDER BY started_at, rowid"
)
_HAS_TABLE = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'cf_workflow'"


@click.group(cls=CommandGroup)
def workflows() -> None:
    """Look into workflows and their instances, and change them. NAME is a workflow's name or its binding."""


@workflows.group("instances")
def instances() -> None:
    """Show and change instances of a workflow."""


@workflows.command("list")
@_paged
@_JSON
@with_local_state
def list_workflows(state: LocalState, is_json: bool) -> None:
    """Show the workflows of the configuration."""
    rows = [
        {
            "name": one.options["name"],
            "script_name": one.options.get("script_name") or state.config.name,
            "class_name": one.options["class_name"],
            "binding": one.name,
        }
        for one in state.declared("workflow")
    ]
    print_rows(
        rows, ["name", "script_name", "class_name", "binding"], is_json=is_json, nothing="There are no workflows."
    )


@workflows.command("describe")
@click.argument("name")
@_ANY_PORT
@_JSON
@with_local_state
def describe_workflow(state: LocalState, name: str, is_json: bool) -> None:
    """Show a workflow, and how many of its instances stand where."""
    declaration = _find(state, name)
    counts: dict[str, int] = {}
    for about in map(_about, _stored(state, declaration)):
        if about is not None:
            counts[about["status"]] = counts.get(about["status"], 0) + 1
    told = {
        "name": declaration.options["name"],
        "script_name": declaration.options.get("script_name") or state.config.name,
        "class_name": declaration.options["class_name"],
        "instances": counts,
    }
    if is_json:
        print_json(told)
        return
    told["instances"] = ", ".join(f"{number} {status}" for status, number in counts.items()) or "none"
    click.echo("\n".join(f"{key + ':':<12} {value}" for key, value in told.items()))


@instances.command("list")
@click.argument("name")
@click.option("--status", help="Only those that stand so, such as running, errored or complete.")
@click.option("--reverse", is_flag=True, help="The oldest first.")
@_paged
@_JSON
@with_local_state
def list_instances(state: LocalState, name: str, status: str | None, reverse: bool, is_json: bool) -> None:
    """Show the instances of a workflow, the youngest first."""
    found = [about for about in map(_about, _stored(state, _find(state, name))) if about is not None]
    chosen = [about for about in found if status in (None, about["status"])]
    rows = [
        {key: about[key] for key in ("id", "status", "created", "ended")}
        for about in sorted(chosen, key=lambda about: about["created"], reverse=not reverse)
    ]
    print_rows(rows, ["id", "status", "created", "ended"], is_json=is_json, nothing="There are no instances.")


@instances.command()
@click.argument("name")
@click.argument("instance_id", metavar="ID")
@_ANY_PORT
@accepted("--step-output/--no-step-output")
@accepted("--truncate-output-limit", type=int)
@_JSON
@with_local_state
def describe(state: LocalState, name: str, instance_id: str, is_json: bool) -> None:
    """Show an instance with its steps. The id ``latest`` is the youngest one."""
    chosen, about = _chosen(state, name, instance_id)
    about["steps"] = list(_steps(chosen))
    if is_json:
        print_json(about)
        return
    for key, value in about.items():
        if key != "steps" and value is not None:
            click.echo(f"{key + ':':<9} {value}")
    if about["steps"]:
        click.echo(as_table(about["steps"], ["step", "kind", "state", "attempts", "started", "ended", "error"]))


@workflows.command("trigger")
@click.argument("name")
@click.argument("params", required=False)
@click.option("--id", "instance_id", metavar="ID", help="The id of the instance; default: a random one.")
@_PORT
@with_local_state
def trigger(state: LocalState, name: str, params: str | None, instance_id: str | None, port: int | None) -> None:
    """Create an instance, with PARAMS in JSON, in the session that runs."""
    given = {"id": instance_id, "params": None if params is None else _json(params, "PARAMS")}
    made = ask_session(_port(state, port), "POST", _name(state, name), "instances", body=given)
    click.echo(f"The instance {made['id']} of {name} was created.")


@workflows.command("delete")
@click.argument("name")
@_PORT
@with_local_state
def delete_workflow(state: LocalState, name: str, port: int | None) -> None:
    """Forget all instances of a workflow; those that run are ended."""
    ids = [one.title for one in _stored(state, _find(state, name)) if _about(one) is not None]
    for instance_id in ids:
        ask_session(_port(state, port), "DELETE", _name(state, name), "instances", instance_id)
    click.echo(f"{counted(len(ids), 'instance', 'instances')} of {name} removed.")


@instances.command("send-event")
@click.argument("name")
@click.argument("instance_id", metavar="ID")
@click.option("--type", "event_type", required=True, help="What the step that waits for it waits for.")
@click.option("--payload", metavar="JSON", default="{}", show_default=True, help="What it gets.")
@_PORT
@with_local_state
def send_event(state: LocalState, name: str, instance_id: str, event_type: str, payload: str, port: int | None) -> None:
    """Send an event to an instance. The id ``latest`` is the youngest one."""
    given, chosen = _json(payload, "--payload"), _id(state, name, instance_id)
    place = (_name(state, name), "instances", chosen, "events", event_type)
    ask_session(_port(state, port), "POST", *place, body=given)
    click.echo(f"The event {event_type} was sent to the instance {chosen} of {name}.")


def _action(action: str, done: str, text: str) -> Callable[..., Any]:
    @click.argument("name")
    @click.argument("instance_id", metavar="ID")
    @_PORT
    @with_local_state
    def act(state: LocalState, name: str, instance_id: str, port: int | None) -> None:
        chosen = _id(state, name, instance_id)
        place = (_name(state, name), "instances", chosen, "status")
        ask_session(_port(state, port), "PATCH", *place, body={"action": action})
        click.echo(f"The instance {chosen} of {name} was {done}.")

    return instances.command(action, help=f"{text} The id ``latest`` is the youngest one.")(act)


_action("pause", "paused", "Stop an instance when the steps that run now have ended.")
_action("resume", "resumed", "Let a paused instance go on.")
_action("restart", "restarted", "Run an instance from its beginning.")
_action("terminate", "terminated", "End an instance now.")


def _chosen(state: LocalState, name: str, instance_id: str) -> tuple[StoredAgent, dict[str, Any]]:
    stored = list(_stored(state, _find(state, name)))
    if instance_id == "latest":
        known = [(about["created"], one) for one in stored if (about := _about(one)) is not None]
        chosen = max(known, key=lambda pair: pair[0], default=(None, None))[1]
    else:
        chosen = next((one for one in stored if one.id.name == instance_id), None)
    about = None if chosen is None else _about(chosen)
    if chosen is None or about is None:
        raise ConfigError(f"The workflow {name!r} has no instance {instance_id!r}.")
    return chosen, about


def _id(state: LocalState, name: str, instance_id: str) -> str:
    return _chosen(state, name, instance_id)[1]["id"]


def _name(state: LocalState, name: str) -> str:
    return str(_find(state, name).options["name"])


def _port(state: LocalState, port: int | None) -> int:
    return port or int(state.config.values["dev"].get("port") or _DEFAULT_PORT)


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{what} is no JSON: {error}") from error


def _find(state: LocalState, name: str) -> BindingDeclaration:
    return state.find("workflow", name, "name")


def _stored(state: LocalState, declaration: BindingDeclaration) -> Iterator[StoredAgent]:
    worker = declaration.options.get("script_name") or state.config.name
    if (state.folder / "objects").is_dir():
        yield from StateFolder(state.folder).agents(f"{worker}-workflow-{declaration.options['name']}")


def _about(stored: StoredAgent) -> dict[str, Any] | None:
    with _reading(stored) as run:
        rows = run(_INSTANCE) if run(_HAS_TABLE) else []
    if not rows:
        return None
    status, params, created, is_asleep, ended, output, error_name, error_message = rows[0]
    return {
        "id": stored.title,
        "status": "waiting" if status == "running" and is_asleep else status,
        "created": _time(created),
        "ended": _time(ended),
        "params": decode(params),
        "output": None if output is None else decode(output),
        "error": None if error_name is None else f"{error_name}: {error_message}",
    }


def _steps(stored: StoredAgent) -> Iterator[dict[str, Any]]:
    with _reading(stored) as run:
        rows = run(_STEPS)
    for kind, name, count, state, attempt, due, started, ended, result, error_name, error_message in rows:
        yield {
            "step": f"{name}-{count}",
            "kind": kind,
            "state": state,
            "attempts": attempt,
            "due": _time(due),
            "started": _time(started),
            "ended": _time(ended),
            "output": None if result is None else decode(result),
            "error": None if error_name is None else f"{error_name}: {error_message}",
        }


@contextmanager
def _reading(stored: StoredAgent) -> Generator[Any]:
    with WholeFiles().beside_others(stored.path) as driver:
        yield lambda sql: driver.execute(sql, ()).fetchall()


def _time(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
