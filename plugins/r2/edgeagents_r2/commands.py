"""``edgeagents r2``: buckets of the local state, with wrangler's words."""

from __future__ import annotations

import mimetypes
import sys
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import click
from edgeagents_emulator.command_group import CommandGroup
from edgeagents_emulator.counted import counted
from edgeagents_emulator.local_state import LocalState, print_rows, with_local_state
from edgeagents_emulator.wrangler_flags import accepted

from edgeagents.errors import ConfigError
from edgeagents_r2.bucket import R2Bucket
from edgeagents_r2.objects import R2ObjectBody
from edgeagents_r2.plugin import bucket_name
from edgeagents_r2.store import BucketStore

__all__ = ["r2"]

_PIECE = 256 * 1024
_TIMES = ("%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d")


_JURISDICTION = accepted("-J", "--jurisdiction")
_FORCE = accepted("-y", "--force", is_flag=True)
_BUCKET = "a bucket is made when it is first used; write its binding into the configuration."
_DEPLOYED = "that is for buckets that are deployed: use wrangler."


@click.group(cls=CommandGroup, elsewhere={"sql": _DEPLOYED})
def r2() -> None:
    """Look into and change the R2 buckets of the local state."""


@r2.group(
    "bucket",
    elsewhere={
        "create": _BUCKET,
        "update": _BUCKET,
        "delete": "delete its objects; a bucket without any is nothing but its name.",
        **dict.fromkeys(
            ("info", "sippy", "catalog", "notification", "domain", "dev-url", "lifecycle", "cors", "lock"), _DEPLOYED
        ),
    },
)
def buckets() -> None:
    """Show which buckets there are."""


@r2.group("object")
def objects() -> None:
    """Read and write objects, each named by its bucket and key: BUCKET/KEY."""


@buckets.command("list")
@_JURISDICTION
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@with_local_state
def list_buckets(state: LocalState, is_json: bool) -> None:
    """Show the buckets of the configuration."""
    rows = [{"name": bucket_name(one), "binding": one.name} for one in state.declared("r2_bucket")]
    print_rows(rows, ["name", "binding"], is_json=is_json, nothing="There are no R2 buckets.")


@objects.command("put")
@click.argument("place", metavar="BUCKET/KEY")
@click.option("-f", "--file", type=click.Path(exists=True, dir_okay=False), help="The file with the bytes.")
@click.option("-p", "--pipe", is_flag=True, help="Read the bytes from standard input.")
@click.option("--ct", "--content-type", "content_type", metavar="TYPE", help="Default: as the file's name says.")
@click.option("--cd", "--content-disposition", "content_disposition", metavar="TEXT")
@click.option("--ce", "--content-encoding", "content_encoding", metavar="TEXT")
@click.option("--cl", "--content-language", "content_language", metavar="TEXT")
@click.option("--cc", "--cache-control", "cache_control", metavar="TEXT")
@click.option("--expires", type=click.DateTime(_TIMES), metavar="TIME", help="Until when it may be cached.")
@click.option("-s", "--storage-class", metavar="CLASS", help="Standard or InfrequentAccess.")
@_JURISDICTION
@_FORCE
@with_local_state
async def put(
    state: LocalState,
    place: str,
    file: str | None,
    pipe: bool,
    content_type: str | None,
    content_disposition: str | None,
    content_encoding: str | None,
    content_language: str | None,
    cache_control: str | None,
    expires: datetime | None,
    storage_class: str | None,
) -> None:
    """Keep the bytes of a file as an object."""
    bucket, key = _split(state, place)
    if (file is None) == (not pipe):
        raise ConfigError("Say what to keep: --file FILE, or --pipe.")
    metadata = {
        "contentType": content_type or (mimetypes.guess_type(file)[0] if file else None),
        "contentDisposition": content_disposition,
        "contentEncoding": content_encoding,
        "contentLanguage": content_language,
        "cacheControl": cache_control,
        "cacheExpiry": expires and expires.astimezone(),
    }
    given = {name: value for name, value in metadata.items() if value is not None}
    with _opened(file) as source:
        made = await bucket.put(key, _pieces(source), http_metadata=given, storage_class=storage_class)
    assert made is not None
    click.echo(f"{place} is kept: {counted(made.size, 'byte', 'bytes')}.")


@objects.command("get")
@click.argument("place", metavar="BUCKET/KEY")
@click.option("-f", "--file", type=click.Path(dir_okay=False), help="Where to write it; default: the end of its key.")
@click.option("-p", "--pipe", is_flag=True, help="Write the bytes to standard output, and nothing else.")
@_JURISDICTION
@with_local_state
async def get(state: LocalState, place: str, file: str | None, pipe: bool) -> None:
    """Write an object into a file."""
    bucket, key = _split(state, place)
    found = await bucket.get(key)
    if not isinstance(found, R2ObjectBody):
        click.echo("The specified key does not exist.", err=True)
        sys.exit(1)
    if pipe:
        stream = sys.stdout.buffer
        async for piece in found.body:
            stream.write(piece)
        return
    target = Path(file or key.rpartition("/")[2] or "object")
    await _write(target, found.body)
    click.echo(f"{place} is in {target}.")


@objects.command("delete")
@click.argument("place", metavar="BUCKET/KEY")
@_JURISDICTION
@_FORCE
@with_local_state
async def delete(state: LocalState, place: str) -> None:
    """Remove an object. One that is not there is no error."""
    bucket, key = _split(state, place)
    await bucket.delete(key)
    click.echo(f"{place} is not there any more.")


def _split(state: LocalState, place: str) -> tuple[R2Bucket, str]:
    name, slash, key = place.partition("/")
    if not slash or not name or not key:
        raise ConfigError(f"{place!r} is not of the form BUCKET/KEY.")
    # A bucket that the configuration does not name may be there: it is only a name.
    declared = [one for one in state.declared("r2_bucket") if one.name == name]
    return R2Bucket(
        BucketStore(state.stores, bucket_name(declared[0]) if declared else name), state.clock, state.rng
    ), key


def _opened(file: str | None) -> BinaryIO:
    return sys.stdin.buffer if file is None else open(file, "rb")


async def _write(target: Path, body: AsyncIterator[bytes]) -> None:
    # One program, one file: nothing else waits for this loop.
    with open(target, "wb") as out:  # noqa: ASYNC230
        async for piece in body:
            out.write(piece)


async def _pieces(source: BinaryIO) -> AsyncIterator[bytes]:
    while piece := source.read(_PIECE):
        yield piece
