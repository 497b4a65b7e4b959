"""``edgeagents dev``: a port, and processes that serve it, one after the other.

What takes long to import is imported where it is needed: by the process that serves, while this one finds out what.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeagents_emulator.needed import what_is_missing
from edgeagents_emulator.options import Options, configs_in, hosts_in, limits_in
from edgeagents_emulator.serving_process import ServingProcess
from edgeagents_emulator.starting import Started

if TYPE_CHECKING:
    from wrangler_compat.config import Config

__all__ = ["dev"]

DEFAULT_PORT = 8787


@click.command()
@click.argument("script", required=False)
@click.option(
    "-c",
    "--config",
    multiple=True,
    metavar="PATH",
    help="The configuration file; default: the nearest wrangler.json(c). Repeatable: the first worker has the traffic.",
)
@click.option("-e", "--env", metavar="NAME", help="The environment of the configuration; default: CLOUDFLARE_ENV.")
@click.option("--port", type=click.IntRange(0, 65535), help="Default: 8787, or the next one that is free.")
@click.option("--ip", metavar="ADDRESS", help="The address to listen on; default: localhost. '*' is all.")
@click.option("--env-file", multiple=True, metavar="PATH", help="A file of secrets in place of .env. Repeatable.")
@click.option("--var", multiple=True, metavar="KEY:VALUE", help="A variable that replaces all others. Repeatable.")
@click.option("--persist-to", metavar="DIR", help="The state folder; default: .edgeagents/state beside the config.")
@click.option("--limit", multiple=True, metavar="NAME=VALUE", help="A field of edgeagents.Limits. Repeatable.")
@click.option("--history", metavar="DAYS", help="How long each object's past is kept; default: 30. 0 keeps none.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="A host name beside this machine's own. Repeatable.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "log", "warn", "error", "none"]),
    default="info",
    show_default=True,
)
@click.option("--test-scheduled", is_flag=True, help="Nothing to ask for: GET /__scheduled runs scheduled() anyway.")
@click.option("-l", "--local", is_flag=True, hidden=True)
@click.option("-r", "--remote", is_flag=True, hidden=True)
@click.pass_obj
def dev(
    started: Started | None,
    script: str | None,
    config: tuple[str, ...],
    env: str | None,
    port: int | None,
    ip: str | None,
    env_file: tuple[str, ...],
    var: tuple[str, ...],
    persist_to: str | None,
    limit: tuple[str, ...],
    history: str | None,
    allow_host: tuple[str, ...],
    log_level: str,
    test_scheduled: bool,
    local: bool,
    remote: bool,
) -> None:
    """Serve the project of this folder, and start it anew when a file changes."""
    if remote:
        raise click.UsageError("Everything runs on this machine: there is no --remote.")
    if missing := what_is_missing():
        raise click.ClickException(missing)
    process = ServingProcess(started)
    try:
        sys.exit(
            _serve(
                process,
                Options(
                    directory=str(Path.cwd()),
                    **_configs(config),
                    script=script,
                    environment=env,
                    persist_to=persist_to or os.environ.get("EDGEAGENTS_PERSIST_TO") or None,
                    env_files=env_file,
                    variables=dict(_variable(text) for text in var),
                    log_level=log_level,
                    shows_errors=True,
                    allowed_hosts=(*allow_host, *hosts_in(os.environ)),
                    limits={**limits_in(os.environ), **limits_in({"EDGEAGENTS_LIMITS": ",".join(limit)})},
                    history=history or os.environ.get("EDGEAGENTS_HISTORY") or None,
                ),
                ip,
                port,
            )
        )
    finally:
        process.close()


def _configs(given: Sequence[str]) -> dict[str, Any]:
    first, *others = given or configs_in(os.environ) or [None]
    return {"config": first, "others": tuple(others)}


def _serve(process: ServingProcess, options: Options, ip: str | None, port: int | None) -> int:
    from edgeagents_emulator.log import configure_logging
    from edgeagents_emulator.reload import serve_and_reload

    configure_logging(options.log_level)
    folders, wished_port, wished_ip = _wishes(options)
    # An explicit port must be free; one that nobody asked for may be the next.
    listener = _listen(ip or wished_ip, port if port is not None else wished_port)
    with contextlib.closing(listener):
        host, bound_port = listener.getsockname()[:2]
        shown = "localhost" if host in ("127.0.0.1", "::1") else f"[{host}]" if ":" in host else host
        click.echo(f"Listening on http://{shown}:{bound_port}", err=True)
        return asyncio.run(serve_and_reload(process, options, listener, folders))


def _variable(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise click.BadParameter(f"{text!r} is not of the form KEY:VALUE.", param_hint="--var")
    return name, value


def _wishes(options: Options) -> tuple[list[Path], int | None, str]:
    """Return the folders to watch, and the port and address that the configuration asks for."""
    from edgeagents.errors import ConfigError
    from edgeagents_emulator.chosen_config import config_of
    from wrangler_compat.config import read_config

    directory = Path(options.directory)
    script = (directory / options.script).resolve() if options.script else None
    try:
        config = config_of(options, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    folders = _folders(config, script)
    for other in options.others:
        others_config = read_config(directory / other, environment=options.chosen_environment(os.environ))
        folders += [folder for folder in _folders(others_config) if folder not in folders]
    wishes = config.values["dev"]
    port = wishes.get("port")
    return [folder for folder in folders if folder.is_dir()], None if port is None else int(port), wishes["ip"]


def _folders(config: Config, script: Path | None = None) -> list[Path]:
    folders = [config.directory]
    main_file = script or config.main
    if main_file is not None and not main_file.is_relative_to(config.directory) and main_file.parent.is_dir():
        folders.append(main_file.parent)
    return folders


def _listen(ip: str, port: int | None) -> socket.socket:
    # The name may mean ::1 as well, and half of all clients would then be refused.
    ip = {"*": "0.0.0.0", "localhost": "127.0.0.1"}.get(ip, ip)
    candidates = range(DEFAULT_PORT, DEFAULT_PORT + 100) if port is None else (port,)
    fault: OSError | None = None
    for candidate in candidates:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                ip, candidate, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            raise click.ClickException(f"Cannot listen on {ip!r}: {error}") from error
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(100)
        except OSError as error:
            listener.close()
            if error.errno != errno.EADDRINUSE:
                where = f"port {candidate} of {ip!r}"
                raise click.ClickException(f"Cannot listen on {where}: {error.strerror}") from error
            fault = error
            continue
        return listener
    what = f"Port {port}" if port is not None else f"Every port from {DEFAULT_PORT} on"
    raise click.ClickException(f"{what} is taken. Choose another with --port.") from fault
