"""``edgeagents queues``: queues of the local state, with wrangler's words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from edgeagents_emulator.command_group import CommandGroup
from edgeagents_emulator.counted import counted
from edgeagents_emulator.local_state import LocalState, print_json, print_rows, with_local_state
from edgeagents_emulator.wrangler_flags import accepted

from edgeagents.errors import ConfigError
from edgeagents_queues.store import QueueStore

__all__ = ["queues"]


_MADE = "a queue is made when it is first used; what it does stands in the configuration."
_DEPLOYED = "that is for queues that are deployed: use wrangler."


@click.group(
    cls=CommandGroup,
    elsewhere={
        **dict.fromkeys(("create", "update", "consumer"), _MADE),
        "delete": "`queues purge` forgets its messages.",
        **dict.fromkeys(("pause-delivery", "resume-delivery", "subscription"), _DEPLOYED),
    },
)
def queues() -> None:
    """Look into and empty the queues of the local state."""


@queues.command("list")
@accepted("--page", type=int)
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@with_local_state
def list_queues(state: LocalState, is_json: bool) -> None:
    """Show the queues of the configuration, and all that have messages."""
    store = QueueStore(state.stores)
    rows = [_about(state, store, name) for name in _known(state, store)]
    print_rows(rows, ["queue", "producers", "consumers", "messages"], is_json=is_json, nothing="There are no queues.")


@queues.command()
@click.argument("name")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@with_local_state
def info(state: LocalState, name: str, is_json: bool) -> None:
    """Show what waits in the queue NAME, and who sends to it and takes from it."""
    about = _about(state, *_there(state, name))
    if is_json:
        print_json(about)
        return
    click.echo("\n".join(f"{key + ':':<12} {value}" for key, value in about.items() if value is not None))


@queues.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Do not ask.")
@with_local_state
def purge(state: LocalState, name: str, force: bool) -> None:
    """Forget all messages of the queue NAME."""
    store, _ = _there(state, name)
    if not force:
        click.confirm(f"Forget all messages of the queue {name}?", abort=True)
    click.echo(f"Forgot {counted(store.purge(name), 'message', 'messages')} of {name}.")


def _known(state: LocalState, store: QueueStore) -> list[str]:
    producers = [one.options.get("queue") or one.name for one in state.declared("queue")]
    consumers = [one.options["queue"] for one in state.declared("queue_consumer")]
    return list(dict.fromkeys([*producers, *consumers, *store.names()]))


def _there(state: LocalState, name: str) -> tuple[QueueStore, str]:
    store = QueueStore(state.stores)
    known = _known(state, store)
    if name not in known:
        raise ConfigError(f"There is no queue {name!r}. There is: {', '.join(known) or 'none'}.")
    return store, name


def _about(state: LocalState, store: QueueStore, name: str) -> dict[str, Any]:
    count, size, oldest = store.backlog(name)
    producers = [one.name for one in state.declared("queue") if (one.options.get("queue") or one.name) == name]
    has_consumer = any(one.options["queue"] == name for one in state.declared("queue_consumer"))
    return {
        "queue": name,
        "producers": ", ".join(producers) or None,
        "consumers": state.config.name if has_consumer else None,
        "messages": count,
        "bytes": size,
        "oldest": None if oldest is None else datetime.fromtimestamp(oldest / 1000, UTC).isoformat(),
    }
