"""``edgeagents d1``: databases of the local state, with wrangler's words."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from edgeagents_emulator.command_group import CommandGroup
from edgeagents_emulator.counted import counted
from edgeagents_emulator.local_state import LocalState, as_table, print_json, print_rows, with_local_state

from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents_d1.engine import D1Error, Engine
from edgeagents_d1.exporting import statements
from edgeagents_d1.migrations import Migrations, run_script
from edgeagents_d1.plugin import database_id
from edgeagents_d1.statement import result_of

__all__ = ["d1"]

_TABLES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' "
    "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'"
)
_JSON = click.option("--json", "is_json", is_flag=True, help="Print JSON, and nothing else.")


@click.group(
    cls=CommandGroup,
    elsewhere={
        "create": "a database is made when it is first used; write its binding into the configuration.",
        "delete": "delete the file that `d1 info` names, while nothing runs.",
        "insights": "that is known of databases that are deployed: use wrangler.",
        "time-travel": "the past of a database here is that of its file; copy it before you change much.",
    },
)
def d1() -> None:
    """Look into and change the D1 databases of the local state. DATABASE is a binding, or a database's name or id."""


@d1.group("migrations")
def migrations() -> None:
    """Bring a database from one version to the next, a file of SQL a step."""


@d1.command("list")
@_JSON
@with_local_state
def list_databases(state: LocalState, is_json: bool) -> None:
    """Show the databases of the configuration."""
    rows = [
        {"name": one.options.get("database_name") or one.name, "uuid": database_id(one), "binding": one.name}
        for one in state.declared("d1")
    ]
    print_rows(rows, ["name", "uuid", "binding"], is_json=is_json, nothing="There are no D1 databases.")


@d1.command()
@click.argument("database")
@_JSON
@with_local_state
def info(state: LocalState, database: str, is_json: bool) -> None:
    """Show what is known of DATABASE."""
    declaration = _find(state, database)
    path = state.stores.path("d1", database_id(declaration))
    about: dict[str, Any] = {
        "name": declaration.options.get("database_name") or declaration.name,
        "uuid": database_id(declaration),
        "binding": declaration.name,
        "file": str(path),
        "database_size": path.stat().st_size if path is not None and path.exists() else 0,
        "num_tables": 0,
    }
    if about["database_size"]:
        with _open(state, declaration) as engine:
            about["num_tables"] = len(engine.run(_TABLES).rows)
    if is_json:
        print_json(about)
        return
    click.echo("\n".join(f"{key + ':':<15} {value}" for key, value in about.items()))


@d1.command()
@click.argument("database")
@click.option("--command", "sql", metavar="SQL", help="The statements to run.")
@click.option("--file", type=click.Path(exists=True, dir_okay=False), help="A file with the statements to run.")
@click.option("-y", "--yes", is_flag=True, help="Accepted: nothing is asked.")
@_JSON
@with_local_state
def execute(state: LocalState, database: str, sql: str | None, file: str | None, yes: bool, is_json: bool) -> None:
    """Run statements on DATABASE, all or none of them, and print what they give."""
    if (sql is None) == (file is None):
        raise ConfigError("Say what to run: --command SQL, or --file FILE.")
    with _open(state, _find(state, database)) as engine:
        outcomes = run_script(engine, Path(file).read_text(encoding="utf-8-sig") if file is not None else sql or "")
    results = [result_of(outcome) for outcome in outcomes]
    if is_json:
        print_json(results)
        return
    for outcome, result in zip(outcomes, results, strict=True):
        if outcome.columns:
            click.echo(as_table(result["results"], outcome.columns))
    changed = sum(outcome.meta["changes"] for outcome in outcomes)
    run, rows = counted(len(outcomes), "statement was", "statements were"), counted(changed, "row", "rows")
    click.echo(f"{run} run, and changed {rows}.", err=True)


@d1.command("export")
@click.argument("database")
@click.option("--output", type=click.Path(dir_okay=False), metavar="FILE", required=True, help="The file to write.")
@click.option("--table", "tables", multiple=True, metavar="NAME", help="Only these tables. Repeatable.")
@click.option("--no-schema", is_flag=True, help="Only what is in the tables.")
@click.option("--no-data", is_flag=True, help="Only the tables themselves.")
@with_local_state
def export_database(
    state: LocalState, database: str, output: str, tables: tuple[str, ...], no_schema: bool, no_data: bool
) -> None:
    """Write DATABASE as SQL, which makes it anew where it is executed."""
    if no_schema and no_data:
        raise ConfigError("--no-schema and --no-data leave nothing.")
    with _open(state, _find(state, database)) as engine:
        script = "\n".join(statements(engine, tables, schema=not no_schema, data=not no_data))
    Path(output).write_text(f"{script}\n", encoding="utf-8")
    click.echo(f"{database} is in {output}.")


@migrations.command()
@click.argument("database")
@click.argument("message")
@with_local_state
def create(state: LocalState, database: str, message: str) -> None:
    """Make a file for the next migration of DATABASE; MESSAGE says what it is for."""
    file = _migrations(state, _find(state, database)).create(message, state.clock.now())
    click.echo(f"Write the migration into {_shown(file)}.")


@migrations.command("list")
@click.argument("database")
@_JSON
@with_local_state
def list_migrations(state: LocalState, database: str, is_json: bool) -> None:
    """Show the migrations of DATABASE that are still to be applied."""
    declaration = _find(state, database)
    path = state.stores.path("d1", database_id(declaration))
    known = _migrations(state, declaration)
    if path is not None and path.exists():
        with _open(state, declaration) as engine:
            waiting = known.waiting(engine)
    else:
        waiting = known.files()
    names = [file.name for file in waiting]
    if is_json:
        print_json([{"Name": name} for name in names])
        return
    click.echo("\n".join(["Migrations to be applied:", *names]) if names else "No migrations to apply!")


@migrations.command()
@click.argument("database")
@_JSON
@with_local_state
def apply(state: LocalState, database: str, is_json: bool) -> None:
    """Apply what migrations of DATABASE are not applied yet, in the order of their names.

    The first that fails ends it, and leaves nothing of itself behind.
    """
    declaration = _find(state, database)
    known = _migrations(state, declaration)
    applied: list[str] = []
    fault: D1Error | None = None
    with _open(state, declaration) as engine:
        for file in known.waiting(engine):
            try:
                known.apply(engine, file)
            except D1Error as error:
                fault = D1Error(f"{file.name} could not be applied, and nothing of it was. {error}")
                break
            applied.append(file.name)
    if is_json:
        print_json([{"Name": name, "Status": "✅"} for name in applied])
    elif applied:
        click.echo("\n".join(f"{name} is applied." for name in applied))
    elif fault is None:
        click.echo("No migrations to apply!")
    if fault is not None:
        raise fault


def _find(state: LocalState, database: str) -> BindingDeclaration:
    return state.find("d1", database, "database_name", "database_id")


@contextmanager
def _open(state: LocalState, declaration: BindingDeclaration) -> Generator[Engine]:
    engine = Engine(state.stores.path("d1", database_id(declaration)), state.clock)
    try:
        yield engine
    finally:
        engine.close()


def _migrations(state: LocalState, declaration: BindingDeclaration) -> Migrations:
    options = declaration.options
    folder = options.get("migrations_dir") or "migrations"
    pattern = options.get("migrations_pattern") or f"{folder}/*.sql"
    table = options.get("migrations_table") or "d1_migrations"
    return Migrations(state.config.directory, folder, pattern, table)


def _shown(file: Path) -> str:
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
