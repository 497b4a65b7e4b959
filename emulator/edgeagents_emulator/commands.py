"""Commands about a project that run nothing of it: ``config``, ``init`` and ``deploy-check``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from edgeagents.errors import ConfigError
from edgeagents_emulator.chosen_config import config_of
from edgeagents_emulator.config_table import config_table, variables_table
from edgeagents_emulator.counted import counted
from edgeagents_emulator.deploy_check import Finding, check
from edgeagents_emulator.new_project import TEMPLATES, make_project
from edgeagents_emulator.options import Options
from edgeagents_emulator.state_place import state_folder_of
from wrangler_compat.config import read_config
from wrangler_compat.deployable import exported_names, warn_of_deployment, warn_of_edited_steps
from wrangler_compat.finding import find_config
from wrangler_compat.normal_form import normal_form, variables_as_json
from wrangler_compat.variables import VariableSources, read_variables

__all__ = ["deploy_check", "init", "show_config"]


@click.command("config")
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
        if not is_json:
            warn_of_deployment(config, exported_names(config.main))
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


@click.command()
@click.argument("template", default="hello", type=click.Choice(list(TEMPLATES)))
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option("--name", help="The worker's name; default: the folder's.")
def init(template: str, folder: Path | None, name: str | None) -> None:
    """Make a small project in FOLDER that runs at once. Without one: here, if nothing is here yet."""
    if folder is None:
        if any(not path.name.startswith(".") for path in Path().iterdir()):
            where = f"edgeagents init {template} FOLDER, or . for here"
            raise click.UsageError(f"This folder is not empty. Say where to: {where}.")
        folder = Path()
    try:
        made = make_project(template, folder, name)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    for path in made:
        click.echo(f"  {path}")
    there = "" if folder == Path() else f"cd {folder}; "
    click.echo(f"It is {TEMPLATES[template]}. Run it: {there}edgeagents dev")


@click.command("deploy-check")
@click.option("-c", "--config", "path", metavar="PATH", help="The configuration file; default: as for dev.")
@click.option("-e", "--env", metavar="NAME", help="The environment of the configuration; default: CLOUDFLARE_ENV.")
@click.option("--json", "is_json", is_flag=True, help="Print a JSON list and nothing else.")
def deploy_check(path: str | None, env: str | None, is_json: bool) -> None:
    """Tell what would not deploy to Cloudflare, or not run there. Nothing is deployed, and nothing is run."""
    persist_to = os.environ.get("EDGEAGENTS_PERSIST_TO") or None
    options = Options(directory=str(Path.cwd()), config=path, environment=env, persist_to=persist_to)
    try:
        config = config_of(options, os.environ)
        warn_of_edited_steps(config, state_folder_of(options, config))
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
    return ", ".join(counted(count, level, f"{level}s") for count, level in counts if count)
