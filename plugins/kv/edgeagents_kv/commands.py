"""``edgeagents kv``: namespaces of the local state, with wrangler's words."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from edgeagents_emulator.command_group import CommandGroup
from edgeagents_emulator.counted import counted
from edgeagents_emulator.local_state import LocalState, print_json, print_rows, with_local_state

from edgeagents.errors import ConfigError
from edgeagents_kv.namespace import KvNamespace
from edgeagents_kv.plugin import namespace_id

__all__ = ["kv"]


@click.group(cls=CommandGroup)
def kv() -> None:
    """Look into and change the KV namespaces of the local state."""


_MADE = "a namespace is made when it is first used; write its binding into the configuration."


@kv.group("namespace", elsewhere={"create": _MADE, "rename": _MADE, "delete": "delete its keys with `kv bulk delete`."})
def namespaces() -> None:
    """Show which namespaces there are."""


@kv.group("key")
def key_group() -> None:
    """Read and write single keys."""


@kv.group("bulk")
def bulk() -> None:
    """Read and write many keys at once."""


def _of_a_namespace(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a namespace; ``command`` gets it in ``namespace``."""

    @click.option("--binding", metavar="NAME", help="The binding that the namespace has in the configuration.")
    @click.option("--namespace-id", metavar="ID", help="The id of the namespace.")
    @with_local_state
    async def run(state: LocalState, binding: str | None, namespace_id: str | None, **given: Any) -> None:
        await command(KvNamespace(state.stores, _chosen(state, binding, namespace_id), state.clock), **given)

    run.__doc__ = command.__doc__
    return run


def _chosen(state: LocalState, binding: str | None, chosen_id: str | None) -> str:
    if (binding is None) == (chosen_id is None):
        raise ConfigError("Say which namespace: --binding NAME, or --namespace-id ID.")
    return chosen_id if chosen_id is not None else namespace_id(state.find("kv_namespace", binding or ""))


@namespaces.command("list")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@with_local_state
def list_namespaces(state: LocalState, is_json: bool) -> None:
    """Show the namespaces of the configuration."""
    rows = [{"id": namespace_id(one), "title": one.name} for one in state.declared("kv_namespace")]
    print_rows(rows, ["title", "id"], is_json=is_json, nothing="There are no KV namespaces.")


@key_group.command("put")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--path", "file", type=click.Path(exists=True, dir_okay=False), help="Read the value from a file.")
@click.option("--expiration", type=float, metavar="SECONDS", help="When the key ends, in seconds since 1970.")
@click.option("--ttl", type=float, metavar="SECONDS", help="After how long the key ends; at least 60.")
@click.option("--metadata", metavar="JSON", help="What is kept beside the value.")
@_of_a_namespace
async def put(
    namespace: KvNamespace,
    key: str,
    value: str | None,
    file: str | None,
    expiration: float | None,
    ttl: float | None,
    metadata: str | None,
) -> None:
    """Keep VALUE, or what is in a file, under KEY."""
    if (value is None) == (file is None):
        raise ConfigError("Say what to keep: a VALUE, or --path FILE.")
    content = _bytes(file) if file is not None else value or ""
    about = None if metadata is None else _json(metadata, "--metadata")
    await namespace.put(key, content, expiration=expiration, expiration_ttl=ttl, metadata=about)
    click.echo(f"{key} is kept.")


@key_group.command("get")
@click.argument("key")
@click.option("--text", is_flag=True, help="Accepted: a value is printed as it is, in any case.")
@_of_a_namespace
async def get(namespace: KvNamespace, key: str, text: bool) -> None:
    """Print the value of KEY, and nothing else."""
    value = await namespace.get(key, "arrayBuffer")
    if value is None:
        click.echo("Value not found", err=True)
        sys.exit(1)
    sys.stdout.buffer.write(value)


@key_group.command("list")
@click.option("--prefix", help="Only keys that begin so.")
@_of_a_namespace
async def list_keys(namespace: KvNamespace, prefix: str | None) -> None:
    """Print the keys, as JSON."""
    keys: list[Any] = []
    cursor: str | None = None
    while True:
        page = await namespace.list(prefix=prefix, cursor=cursor)
        keys += page["keys"]
        cursor = page.get("cursor")
        if cursor is None:
            print_json(keys)
            return


@key_group.command("delete")
@click.argument("key")
@_of_a_namespace
async def delete(namespace: KvNamespace, key: str) -> None:
    """Remove KEY. One that is not there is no error."""
    await namespace.delete(key)
    click.echo(f"{key} is not there any more.")


@bulk.command("put")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--expiration", type=float, metavar="SECONDS", help="Where an entry says no other.")
@click.option("--ttl", type=float, metavar="SECONDS", help="Where an entry says no other.")
@click.option("--metadata", metavar="JSON", help="Where an entry says no other.")
@_of_a_namespace
async def put_many(
    namespace: KvNamespace, file: str, expiration: float | None, ttl: float | None, metadata: str | None
) -> None:
    """Keep what FILE lists: a JSON list of {"key", "value"} with "expiration", "expiration_ttl", "metadata", "base64".

    The last four may be absent; "base64": true says that the value is bytes in that form.
    """
    entries = _json(_bytes(file), file)
    if not isinstance(entries, list):
        raise ConfigError(f"{file} does not hold a list.")
    about = None if metadata is None else _json(metadata, "--metadata")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not {"key", "value"} <= entry.keys():
            raise ConfigError(f"{file}: entry {number} has no key or no value.")
        value = base64.b64decode(entry["value"]) if entry.get("base64") else entry["value"]
        await namespace.put(
            entry["key"],
            value,
            expiration=entry.get("expiration", expiration),
            expiration_ttl=entry.get("expiration_ttl", ttl),
            metadata=entry.get("metadata", about),
        )
    click.echo(f"{counted(len(entries), 'key is', 'keys are')} kept.")


@bulk.command("get")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@_of_a_namespace
async def get_many(namespace: KvNamespace, file: str) -> None:
    """Print the values of the keys that FILE lists, as JSON: a JSON list of names, or of objects with a "name"."""
    print_json({name: {"value": await namespace.get(name)} for name in _names(file)})


@bulk.command("delete")
@click.option("-f", "--force", is_flag=True, help="Accepted: nothing is asked.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@_of_a_namespace
async def delete_many(namespace: KvNamespace, file: str, force: bool) -> None:
    """Remove the keys that FILE lists: a JSON list of names, or of objects with a "name"."""
    names = _names(file)
    for name in names:
        await namespace.delete(name)
    click.echo(f"{counted(len(names), 'key is', 'keys are')} not there any more.")


def _names(file: str) -> list[str]:
    entries = _json(_bytes(file), file)
    listed: list[Any] = entries if isinstance(entries, list) else [None]
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in listed]
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{file} does not hold a list of names.")
    return [str(name) for name in names]


def _bytes(file: str) -> bytes:
    return Path(file).read_bytes()


def _json(text: str | bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where} is no JSON: {error}") from error
