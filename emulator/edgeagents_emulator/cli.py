"""The ``edgeagents`` command."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from edgeagents.errors import ConfigError, PluginError
from edgeagents.plugins import load_plugins
from edgeagents_emulator.config_table import config_table, variables_table
from edgeagents_emulator.deploy_check import Finding, check
from edgeagents_emulator.importing import import_wrangler_state
from edgeagents_emulator.log import configure_logging
from edgeagents_emulator.new_project import TEMPLATES, make_project
from edgeagents_emulator.options import Options, configs_in, hosts_in, limits_in
from edgeagents_emulator.project import config_of
from edgeagents_emulator.stored import agent, backup, restore
from wrangler_compat.config import Config, read_config
from wrangler_compat.finding import find_config
from wrangler_compat.normal_form import normal_form, variables_as_json
from wrangler_compat.variables import VariableSources, read_variables

__all__ = ["main"]

DEFAULT_PORT = 8787


class Commands(click.Group):
    """Our commands, and those of plugins, which are loaded when a command is asked for that is none of ours."""

    _has_plugins = False

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or super().get_command(self._load(ctx), cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return super().list_commands(self._load(ctx))

    def _load(self, ctx: click.Context) -> click.Context:
        if not self._has_plugins:
            self._has_plugins = True
            try:
                load_plugins().hook.register_commands(cli=self)
            except PluginError as error:
                raise click.ClickException(str(error)) from error
        return ctx


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run Python Workers and agents on plain CPython."""


for command in (agent, backup, restore, import_wrangler_state):
    main.add_command(command)


@main.command()
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
def dev(
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
) -> None:
    """Serve the project of this folder, and start it anew when a file changes."""
    configs = config or configs_in(os.environ)
    options = Options(
        directory=str(Path.cwd()),
        config=configs[0] if configs else None,
        others=tuple(configs[1:]),
        script=script,
        environment=env,
        persist_to=persist_to or os.environ.get("EDGEAGENTS_PERSIST_TO") or None,
        env_files=env_file,
        variables=dict(_variable(text) for text in var),
        log_level=log_level,
        allowed_hosts=(*allow_host, *hosts_in(os.environ)),
        limits={**limits_in(os.environ), **limits_in({"EDGEAGENTS_LIMITS": ",".join(limit)})},
        history=history or os.environ.get("EDGEAGENTS_HISTORY") or None,
    )
    configure_logging(log_level)
    folders, wished_port, wished_ip = _wishes(options)
    # An explicit port must be free; one that nobody asked for may be the next.
    listener = _listen(ip or wished_ip, port if port is not None else wished_port)
    with contextlib.closing(listener):
        host, bound_port = listener.getsockname()[:2]
        shown = "localhost" if host in ("127.0.0.1", "::1") else f"[{host}]" if ":" in host else host
        click.echo(f"Listening on http://{shown}:{bound_port}", err=True)
        from edgeagents_emulator.reload import serve_and_reload

        sys.exit(asyncio.run(serve_and_reload(options, listener, folders)))


@main.command("config")
@click.option("-c", "--config", "path", metavar="PATH", help="The configuration file; default: as for dev.")
@click.option("-e", "--env", metavar="NAME", help="The environment of the configuration; default: CLOUDFLARE_ENV.")
@click.option("--env-file", multiple=True, metavar="PATH", help="A file of secrets in place of .env. Repeatable.")
@click.option("--vars", "shows_variables", is_flag=True, help="Show variables and secrets instead, with their values.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object and nothing else.")
def show_config(
    path: str | None, env: str | None, env_file: tuple[str, ...], shows_variables: bool, is_json: bool
) -> None:
    """Show what the configuration says, with everything that is wrong with it."""
    options = Options(directory=str(Path.cwd()), config=path, environment=env, env_files=env_file)
    requested = options.chosen_environment(os.environ)
    file = Path(path) if path else find_config(Path.cwd())
    config = read_config(file, environment=requested, directory=Path.cwd())
    if shows_variables:
        sources = VariableSources(env_file, {}, os.environ)
        variables, _ = read_variables(config.values, config.directory, requested, sources, config.diagnostics)
        form, text = variables_as_json(variables, config.diagnostics), variables_table(variables)
    else:
        form = normal_form(config, requested, Path.cwd())
        text = "" if is_json or config.diagnostics.errors else config_table(config)
    if is_json:
        click.echo(json.dumps(form, indent=2))
    else:
        if text:
            click.echo(text)
        if list(config.diagnostics):
            click.echo(config.diagnostics.render(config.title), err=True)
    sys.exit(1 if config.diagnostics.errors else 0)


@main.command()
@click.argument("template", default="hello", type=click.Choice(list(TEMPLATES)))
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", help="The worker's name; default: the folder's.")
def init(template: str, folder: Path, name: str | None) -> None:
    """Make a small project in FOLDER that runs at once."""
    try:
        made = make_project(template, folder, name)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    for path in made:
        click.echo(f"  {path}")
    there = "" if folder == Path() else f"cd {folder}; "
    click.echo(f"It is {TEMPLATES[template]}. Run it: {there}edgeagents dev")


@main.command("deploy-check")
@click.option("-c", "--config", "path", metavar="PATH", help="The configuration file; default: as for dev.")
@click.option("-e", "--env", metavar="NAME", help="The environment of the configuration; default: CLOUDFLARE_ENV.")
@click.option("--json", "is_json", is_flag=True, help="Print a JSON list and nothing else.")
def deploy_check(path: str | None, env: str | None, is_json: bool) -> None:
    """Tell what would not deploy to Cloudflare, or not run there. Nothing is deployed, and nothing is run."""
    options = Options(directory=str(Path.cwd()), config=path, environment=env)
    try:
        config = config_of(options, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    found = check(config)
    if is_json:
        click.echo(json.dumps([finding.as_json() for finding in found], indent=2))
    else:
        for finding in found:
            click.echo(f"{'' if finding.level == 'error' else '(warning) '}{finding}")
        click.echo(f"{config.title}: {_counted(found)}." if found else "Nothing is in the way.")
    sys.exit(1 if any(finding.level == "error" for finding in found) else 0)


def _counted(found: Sequence[Finding]) -> str:
    counts = [(sum(one.level == level for one in found), level) for level in ("error", "warning")]
    return ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for count, level in counts if count)


def _variable(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise click.BadParameter(f"{text!r} is not of the form KEY:VALUE.", param_hint="--var")
    return name, value


def _wishes(options: Options) -> tuple[list[Path], int | None, str]:
    """Return the folders to watch, and the port and address that the configuration asks for."""
    directory = Path(options.directory)
    script = (directory / options.script).resolve() if options.script else None
    path = directory / options.config if options.config else find_config(script.parent if script else directory)
    config = read_config(path, environment=options.chosen_environment(os.environ), directory=directory)
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
            fault = error
            continue
        return listener
    what = f"Port {port}" if port is not None else f"Every port from {DEFAULT_PORT} on"
    raise click.ClickException(f"{what} is taken ({fault}). Choose another with --port.")
