"""Configurations that people write, each with what is wrong with it and what they must read.

Each has a name, the text of a file (or what a ``.jsonc`` file holds), and what is told: path and words of the message.
``environment`` is what is asked for. ``is_error`` says whether wrangler refuses it too, or only warns.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["BROKEN", "Broken"]


@dataclass(frozen=True)
class Broken:
    """One of them. ``words`` must all be in the message at ``path``."""

    name: str
    content: str | dict[str, Any]
    path: str
    words: tuple[str, ...]
    environment: str | None = None
    is_error: bool = True
    ending: str = "jsonc"
    since: tuple[int, int] = (4, 0)
    """The wrangler that says so."""

    @property
    def text(self) -> str:
        """What the file holds."""
        return self.content if isinstance(self.content, str) else json.dumps(self.content, indent=2)


def python(**keys: Any) -> dict[str, Any]:
    """Return a configuration that is whole but for ``keys``."""
    return {
        "name": "w",
        "main": "src/entry.py",
        "compatibility_date": "2026-01-01",
        "compatibility_flags": ["python_workers"],
        **keys,
    }


def objects(**binding: Any) -> dict[str, Any]:
    return python(durable_objects={"bindings": [binding]}, migrations=[{"tag": "v1", "new_sqlite_classes": ["Room"]}])


BROKEN = [
    # The text
    Broken("a file without its last brace", '{"name": "w"', "", ("line 1",)),
    Broken("a comma too many", '{"name": "w",,}', "", ("line 1",)),
    Broken("single quotes", "{'name': 'w'}", "", ("line 1",)),
    Broken("a comment that does not end", '{"name": "w"} /* so', "", ("comment",)),
    Broken("an empty file", "", "", ("empty",)),
    Broken("a key without quotes", '{name: "w"}', "", ("line 1",)),
    Broken("a number at the root", "5", "", ("object",)),
    Broken("a value that is missing in TOML", "name = ", "", ("line 1",), ending="toml"),
    Broken("a key that is there twice in TOML", 'name = "a"\nname = "b"', "", ("line 2",), ending="toml"),
    Broken("a table that is there twice in TOML", "[vars]\na = 1\n[vars]\nb = 1", "", ("line 3",), ending="toml"),
    Broken("a string without its quotes in TOML", "name = shop", "", ("line 1", '"shop"'), ending="toml"),
    # Single keys
    Broken("a name with capitals", python(name="MyWorker"), "name", ("MyWorker", "lower")),
    Broken("a name that a template left", python(name="{{name}}"), "name", ("{{name}}",)),
    Broken("a number for a name", python(name=7), "name", ("7",)),
    Broken("a null for main", python(main=None), "main", ("null",)),
    Broken("a date that a template left", python(compatibility_date="<DATE>"), "compatibility_date", ("<DATE>",)),
    Broken(
        "a date with a typographic dash", python(compatibility_date="2026–01–01"), "compatibility_date", ("2026–01–01",)
    ),
    Broken("a date without dashes", python(compatibility_date="20260101"), "compatibility_date", ("20260101",)),
    Broken(
        "a date that is no string in TOML",
        'name = "w"\ncompatibility_date = 2026-01-01',
        "compatibility_date",
        ("string",),
        ending="toml",
    ),
    Broken(
        "flags as one string",
        python(compatibility_flags="python_workers"),
        "compatibility_flags",
        ('["python_workers"]',),
    ),
    Broken("Python without its flag", python(compatibility_flags=[]), "", ("python_workers", "compatibility_flags")),
    Broken("a flag of a time that is gone", python(node_compat=True), "node_compat", ("nodejs_compat",)),
    Broken("environments that are no environments", python(legacy_env=True), "legacy_env", ("gone",), since=(4, 164)),
    Broken("yes for true", python(workers_dev="yes"), "workers_dev", ("yes", "true")),
    # Bindings
    Broken("a binding without a name", python(kv_namespaces=[{"id": "x"}]), "kv_namespaces[0].binding", ("required",)),
    Broken("an empty id", python(kv_namespaces=[{"binding": "KV", "id": ""}]), "kv_namespaces[0].id", ("empty",)),
    Broken("a binding that is no list", python(kv_namespaces={"binding": "KV"}), "kv_namespaces", ("list",)),
    Broken("a list for what there is once", python(ai=[{"binding": "AI"}]), "ai", ("object",)),
    Broken("a string for a binding", python(r2_buckets=["FILES"]), "r2_buckets[0]", ("object", "FILES")),
    Broken(
        "a bucket with capitals",
        python(r2_buckets=[{"binding": "R2", "bucket_name": "My_Bucket"}]),
        "r2_buckets[0].bucket_name",
        ("My_Bucket",),
    ),
    Broken(
        "two bindings of one name",
        python(kv_namespaces=[{"binding": "DATA", "id": "x"}], d1_databases=[{"binding": "DATA"}]),
        "DATA",
        ("kv_namespaces", "d1_databases", "unique"),
    ),
    Broken(
        "a variable with the name of a binding",
        python(vars={"KV": "x"}, kv_namespaces=[{"binding": "KV", "id": "x"}]),
        "KV",
        ("vars", "kv_namespaces"),
    ),
    Broken("a secret as a list of objects", python(secrets={"required": [{"name": "A"}]}), "secrets.required[0]", ()),
    Broken("variables as a text", python(vars="A=1"), "vars", ("object",)),
    Broken("a queue without a name", python(queues={"consumers": [{}]}), "queues.consumers[0].queue", ("required",)),
    Broken(
        "a number as a string",
        python(queues={"consumers": [{"queue": "q", "max_batch_size": "10"}]}),
        "queues.consumers[0].max_batch_size",
        ("number", "10"),
    ),
    Broken(
        "a limit by no period that there is",
        python(ratelimits=[{"name": "L", "namespace_id": "1", "simple": {"limit": 5, "period": 30}}]),
        "ratelimits[0].simple.period",
        ("10", "60", "30"),
    ),
    Broken("a service without its worker", python(services=[{"binding": "B"}]), "services[0].service", ("required",)),
    Broken("a hyperdrive without an id", python(hyperdrive=[{"binding": "PG"}]), "hyperdrive[0].id", ("required",)),
    Broken("a version without a binding", python(version_metadata={}), "version_metadata.binding", ("required",)),
    Broken(
        "a network by both of its ids",
        python(vpc_networks=[{"binding": "NET", "tunnel_id": "a", "network_id": "b"}]),
        "vpc_networks[0]",
        ("either", "tunnel_id", "network_id"),
    ),
    # Durable Objects and workflows
    Broken(
        "an object's binding called binding",
        objects(binding="ROOM", class_name="Room"),
        "durable_objects.bindings[0].name",
        ("required", "'binding'"),
    ),
    Broken("an object without a class", objects(name="ROOM"), "durable_objects.bindings[0].class_name", ("required",)),
    Broken(
        "the environment of no script",
        objects(name="ROOM", class_name="Room", environment="x"),
        "durable_objects.bindings[0].environment",
        ("script_name",),
    ),
    Broken(
        "objects as a list",
        python(durable_objects=[{"name": "ROOM", "class_name": "Room"}]),
        "durable_objects",
        ("object", "list"),
    ),
    Broken(
        "a migration without a tag", python(migrations=[{"new_classes": ["A"]}]), "migrations[0].tag", ("required",)
    ),
    Broken(
        "classes that are no list",
        python(migrations=[{"tag": "v1", "new_sqlite_classes": "Room"}]),
        "migrations[0].new_sqlite_classes",
        ("list", "Room"),
    ),
    Broken(
        "migrations beside exports",
        python(
            migrations=[{"tag": "v1", "new_sqlite_classes": ["A"]}],
            exports={"B": {"type": "durable-object", "storage": "sqlite"}},
        ),
        "exports",
        ("migrations", "exclude"),
        since=(4, 164),
    ),
    Broken(
        "two workflows of one name",
        python(workflows=[{"binding": name, "name": "w", "class_name": name} for name in ("A", "B")]),
        "workflows",
        ("2 workflows", "unique"),
    ),
    # Routes, assets, environments
    Broken("a route and routes", python(route="a.example/*", routes=["b.example/*"]), "routes", ("exclude",)),
    Broken(
        "a way to answer that there is not",
        python(assets={"directory": "a", "not_found_handling": "spa"}),
        "assets.not_found_handling",
        ("spa", "single-page-application"),
    ),
    Broken("crons that are no list", python(triggers={"crons": "* * * * *"}), "triggers.crons", ("list",)),
    Broken("a port as a string", python(dev={"port": "8787"}), "dev.port", ("number", "8787")),
    Broken("an environment that is misspelt", python(env={"staging": {}}), "", ("stagin", "staging"), "stagin"),
    Broken(
        "a fault in the environment that is asked for",
        python(env={"staging": {"kv_namespaces": [{"id": "x"}]}}),
        "env.staging.kv_namespaces[0].binding",
        ("required",),
        "staging",
    ),
    # What wrangler warns of
    Broken("a key that is misspelt", python(kv_namespace=[]), "kv_namespace", ("kv_namespaces",), is_error=False),
    Broken(
        "a field that is misspelt",
        python(d1_databases=[{"binding": "DB", "databse_id": "x"}]),
        "d1_databases[0].databse_id",
        ("database_id",),
        is_error=False,
    ),
    Broken(
        "variables that an environment has not",
        python(vars={"A": "1"}, env={"staging": {}}),
        "env.staging.vars",
        ("inherited",),
        "staging",
        is_error=False,
    ),
    Broken(
        "an object without a migration",
        python(durable_objects={"bindings": [{"name": "ROOM", "class_name": "Room"}]}),
        "durable_objects",
        ("Room", "new_sqlite_classes"),
        is_error=False,
    ),
]
