"""``edgeagents dev``: a port, and processes that serve it, one after the other.

What takes long to import is imported where it is needed: by the process that serves, while this one finds out what.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeagents_emulator.needed import what_is_missing
from edgeagents_emulator.options import Options, configs_in, hosts_in, limits_in, plugins_in
from edgeagents_emulator.serving_process import ServingProcess
from edgeagents_emulator.starting import Started
from edgeagents_emulator.wrangler_flags import with_cwd, with_idle_flags

if TYPE_CHECKING:
    from wrangler_compat.config import Config

__all__ = ["dev"]

DEFAULT_PORT = 8787
CERTIFICATE_FOLDER = Path(".edgeagents") / "https"


def _date(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else date.fromisoformat(value).isoformat()
    except ValueError:
        raise click.BadParameter(f"{value!r} is no date such as 2026-01-31.") from None


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
@click.option("--local-protocol", type=click.Choice(["http", "https"]), help="Default: http.")
@click.option("--https-cert-path", metavar="PATH", help="A certificate for https; default: one that is made here.")
@click.option("--https-key-path", metavar="PATH", help="The key of that certificate.")
@click.option("--name", help="The worker's name, in place of the configuration's.")
@click.option(
    "--compatibility-date", callback=_date, metavar="DATE", help="In place of the configuration's: yyyy-mm-dd."
)
@click.option("--compatibility-flag", "--compatibility-flags", multiple=True, metavar="FLAG", help="Repeatable.")
@click.option("--assets", metavar="DIR", help="A folder of static files, in place of the configuration's.")
@with_cwd
@click.option("--env-file", multiple=True, metavar="PATH", help="A file of secrets in place of .env. Repeatable.")
@click.option("--var", multiple=True, metavar="KEY:VALUE", help="A variable that replaces all others. Repeatable.")
@click.option("--persist-to", metavar="DIR", help="The state folder; default: .edgeagents/state beside the config.")
@click.option("--limit", multiple=True, metavar="NAME=VALUE", help="A field of edgeagents.Limits. Repeatable.")
@click.option("--history", metavar="DAYS", help="How long each object's past is kept; default: 30. 0 keeps none.")
@click.option("--plugin", multiple=True, metavar="MODULE:NAME", help="A plugin out of this folder. Repeatable.")
@click.option("--model-fallback", metavar="NAME", help="The model provider that answers where a key is missing.")
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
@with_idle_flags
@click.pass_obj
def dev(
    started: Started | None,
    script: str | None,
    config: tuple[str, ...],
    env: str | None,
    port: int | None,
    ip: str | None,
    local_protocol: str | None,
    https_cert_path: str | None,
    https_key_path: str | None,
    name: str | None,
    compatibility_date: str | None,
    compatibility_flag: tuple[str, ...],
    assets: str | None,
    env_file: tuple[str, ...],
    var: tuple[str, ...],
    persist_to: str | None,
    limit: tuple[str, ...],
    history: str | None,
    plugin: tuple[str, ...],
    model_fallback: str | None,
    allow_host: tuple[str, ...],
    log_level: str,
    test_scheduled: bool,
    local: bool,
    remote: bool,
) -> None:
    """Serve the project of this folder, and start it anew when a file changes."""
    if remote:
        raise click.UsageError("Everything runs on this machine: there is no --remote.")
    if (https_cert_path is None) != (https_key_path is None):
        raise click.UsageError("--https-cert-path and --https-key-path belong together.")
    if missing := what_is_missing():
        raise click.ClickException(missing)
    options = Options(
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
        given=_given(name, compatibility_date, compatibility_flag, assets),
        certificate=_certificate(https_cert_path, https_key_path),
        limits={**limits_in(os.environ), **limits_in({"EDGEAGENTS_LIMITS": ",".join(limit)})},
        history=history or os.environ.get("EDGEAGENTS_HISTORY") or None,
        plugins=(*plugins_in(os.environ), *plugin),
        model_fallback=model_fallback or os.environ.get("EDGEAGENTS_MODEL_FALLBACK") or "offline",
    )
    with contextlib.closing(ServingProcess(started)) as process:
        sys.exit(_serve(process, options, ip, port, local_protocol))


def _configs(given: Sequence[str]) -> dict[str, Any]:
    first, *others = given or configs_in(os.environ) or [None]
    return {"config": first, "others": tuple(others)}


def _given(name: str | None, day: str | None, flags: Sequence[str], assets: str | None) -> dict[str, Any]:
    """Return the keys that stand in place of the configuration's."""
    keys = {
        "name": name,
        "compatibility_date": day,
        "compatibility_flags": list(flags) or None,
        "assets": None if assets is None else {"directory": str(Path(assets).resolve())},
    }
    return {key: value for key, value in keys.items() if value is not None}


def _certificate(certificate: str | None, key: str | None) -> tuple[str, str] | None:
    if certificate is None or key is None:
        return None
    files = str(Path(certificate).resolve()), str(Path(key).resolve())
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*files)
    except (OSError, ssl.SSLError) as error:
        raise click.ClickException(f"The certificate {certificate} with the key {key} is of no use: {error}") from error
    return files


def _serve(process: ServingProcess, options: Options, ip: str | None, port: int | None, protocol: str | None) -> int:
    from edgeagents_emulator.log import configure_logging
    from edgeagents_emulator.reload import serve_and_reload

    configure_logging(options.log_level)
    wishes = _wishes(options)
    protocol = protocol or ("https" if options.certificate else wishes.protocol)
    if protocol == "http":
        options = replace(options, certificate=None)
    elif options.certificate is None:
        from edgeagents_emulator.local_certificate import local_certificate

        options = replace(options, certificate=local_certificate(wishes.folders[0] / CERTIFICATE_FOLDER))
    # An explicit port must be free; one that nobody asked for may be the next.
    listener = _listen(ip or wishes.ip, port if port is not None else wishes.port)
    with contextlib.closing(listener):
        host, bound_port = listener.getsockname()[:2]
        shown = "localhost" if host in ("127.0.0.1", "::1") else f"[{host}]" if ":" in host else host
        says = f"Listening on {protocol}://{shown}:{bound_port}"
        return asyncio.run(serve_and_reload(process, options, listener, says, wishes.folders, wishes.built))


def _variable(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise click.BadParameter(f"{text!r} is not of the form KEY:VALUE.", param_hint="--var")
    return name, value


@dataclass(frozen=True)
class _Wishes:
    """What the configurations ask for: where to listen, and which folders are theirs. The first is the project's.

    ``built`` are those of which a build makes something, whatever is in them.
    """

    folders: list[Path]
    built: list[Path]
    port: int | None
    ip: str
    protocol: str


def _wishes(options: Options) -> _Wishes:
    from edgeagents.errors import ConfigError
    from edgeagents_emulator.chosen_config import config_of
    from wrangler_compat.config import read_config

    directory = Path(options.directory)
    script = (directory / options.script).resolve() if options.script else None
    try:
        config = config_of(options, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    folders, built = _folders(config, script), _built(config)
    for other in options.others:
        others_config = read_config(directory / other, environment=options.chosen_environment(os.environ))
        folders += [folder for folder in _folders(others_config) if folder not in folders]
        built += _built(others_config)
    wishes = config.values["dev"]
    port = wishes.get("port")
    return _Wishes(
        [folder for folder in folders if folder.is_dir()],
        [folder for folder in built if folder.is_dir()],
        None if port is None else int(port),
        wishes["ip"],
        wishes["local_protocol"],
    )


def _folders(config: Config, script: Path | None = None) -> list[Path]:
    folders = [config.directory]
    main_file = script or config.main
    if main_file is not None and not main_file.is_relative_to(config.directory) and main_file.parent.is_dir():
        folders.append(main_file.parent)
    return folders


def _built(config: Config) -> list[Path]:
    build = config.values.get("build") or {}
    if not build.get("command"):
        return []
    watched = build.get("watch_dir") or "./src"
    return [(config.directory / folder).resolve() for folder in ([watched] if isinstance(watched, str) else watched)]


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
