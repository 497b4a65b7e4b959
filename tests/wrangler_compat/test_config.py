"""Configuration: what a file says for one environment, and everything that is wrong with it at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wrangler_compat.config import Config, read_config
from wrangler_compat.finding import find_config

pytestmark = pytest.mark.cloudflare(
    "Workers",
    "`wrangler.toml`, `.json`, `.jsonc`: `main`, `vars`, `durable_objects`, `migrations`, environments, `.dev.vars`, "
    "`.env`",
    "same",
)


def config_of(tmp_path: Path, value: object, *, environment: str | None = None, name: str = "wrangler.jsonc") -> Config:
    path = tmp_path / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return read_config(path, environment=environment)


def faults(config: Config, *, is_error: bool = True) -> list[tuple[str, str]]:
    return [(d.code, d.path) for d in config.diagnostics if d.is_error == is_error]


# Finding


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_nearest_file_of_a_name_is_found_upward(tmp_path: Path) -> None:
    touch(tmp_path / "wrangler.jsonc", tmp_path / "a" / "wrangler.jsonc", tmp_path / "a" / "b" / "x.py")
    assert find_config(tmp_path / "a" / "b") == tmp_path / "a" / "wrangler.jsonc"


def test_the_name_outranks_the_nearness(tmp_path: Path) -> None:
    touch(tmp_path / "wrangler.json", tmp_path / "a" / "wrangler.jsonc", tmp_path / "a" / "wrangler.toml")
    assert find_config(tmp_path / "a") == tmp_path / "wrangler.json"


def test_a_folder_of_that_name_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "wrangler.json").mkdir()
    touch(tmp_path / "wrangler.toml")
    assert find_config(tmp_path) == tmp_path / "wrangler.toml"


# Formats


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("wrangler.json", '{"name": "w", "vars": {"A": "1"},} // json too'),
        ("wrangler.jsonc", '/* c */ {"name": "w", "vars": {"A": "1"}}'),
        ("wrangler.toml", 'name = "w"\nvars = {\n  A = "1",\n}\n'),
    ],
)
def test_three_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    config = config_of(tmp_path, text, name=name)
    assert not list(config.diagnostics)
    assert (config.name, config.values["vars"]) == ("w", {"A": "1"})


def test_a_syntax_fault_is_told_with_its_place(tmp_path: Path) -> None:
    config = config_of(tmp_path, '{\n  "name": w\n}')
    assert config.diagnostics.render("wrangler.jsonc") == (
        "wrangler.jsonc has 1 error:\n  line 2, column 11: expected value, found 'w'"
    )


@pytest.mark.parametrize("text", ["1", '"x"', "null", "true"])
def test_a_root_that_is_no_object_is_refused(tmp_path: Path, text: str) -> None:
    assert faults(config_of(tmp_path, text)) == [("parse", "")]


def test_a_file_that_cannot_be_read_is_a_fault_not_a_traceback(tmp_path: Path) -> None:
    assert faults(read_config(tmp_path / "nowhere.jsonc")) == [("parse", "")]


def test_without_a_file_all_is_default(tmp_path: Path) -> None:
    config = read_config(None, directory=tmp_path)
    assert not list(config.diagnostics)
    assert (config.name, config.main, config.bindings) == ("worker", None, [])


# Types and unknown keys


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"name": "Upper"}, "name"),
        ({"name": "{{name}}"}, "name"),
        ({"name": None}, "name"),
        ({"main": 1}, "main"),
        ({"compatibility_date": "<COMPATIBILITY_DATE>"}, "compatibility_date"),
        ({"compatibility_date": "20260101"}, "compatibility_date"),
        ({"compatibility_date": "2026-13-01"}, "compatibility_date"),
        ({"compatibility_date": "2026\u201301\u201301"}, "compatibility_date"),
        ({"compatibility_date": ""}, "compatibility_date"),
        ({"compatibility_flags": "python_workers"}, "compatibility_flags"),
        ({"compatibility_flags": ["a", 1]}, "compatibility_flags[1]"),
        ({"vars": []}, "vars"),
        ({"durable_objects": []}, "durable_objects"),
        ({"durable_objects": {"bindings": {}}}, "durable_objects.bindings"),
        ({"durable_objects": {"bindings": [1]}}, "durable_objects.bindings[0]"),
        ({"durable_objects": {"bindings": [{"name": "A"}]}}, "durable_objects.bindings[0].class_name"),
        ({"durable_objects": {"bindings": [{"class_name": "A"}]}}, "durable_objects.bindings[0].name"),
        ({"migrations": [{"new_sqlite_classes": ["A"]}]}, "migrations[0].tag"),
        ({"migrations": [{"tag": "v1", "new_classes": "A"}]}, "migrations[0].new_classes"),
        ({"migrations": [{"tag": "v1", "renamed_classes": [{"from": "A"}]}]}, "migrations[0].renamed_classes[0].to"),
        ({"dev": {"port": "8787"}}, "dev.port"),
        ({"dev": {"port": True}}, "dev.port"),
        ({"dev": {"local_protocol": "ftp"}}, "dev.local_protocol"),
        ({"kv_namespaces": [{"id": "x"}]}, "kv_namespaces[0].binding"),
        ({"kv_namespaces": [{"binding": "KV", "id": ""}]}, "kv_namespaces[0].id"),
        ({"r2_buckets": [{"binding": "B", "bucket_name": "No_Good"}]}, "r2_buckets[0].bucket_name"),
        ({"ratelimits": [{"name": "R", "namespace_id": "1", "simple": {"limit": 1, "period": 11}}]},
         "ratelimits[0].simple.period"),
        ({"ai": []}, "ai"),
        ({"triggers": {"crons": "* * * * *"}}, "triggers.crons"),
        ({"assets": {"html_handling": "auto"}}, "assets.html_handling"),
        ({"route": {"pattern": "x"}}, "route"),
        ({"routes": ["", "a.com"]}, "routes[0]"),
        ({"placement": {"mode": "smart", "region": "x"}}, "placement.mode"),
        ({"observability": {"logs": {}}}, "observability"),
        ({"exports": {"A": {"type": "durable-object"}}}, "exports.A.storage"),
        ({"exports": {"A": {"type": "durable-object", "storage": "sqlite", "x": 1}}}, "exports.A.x"),
        ({"env": []}, "env"),
    ],
    ids=json.dumps,
)  # fmt: skip
def test_a_wrong_value_is_an_error_at_its_path(tmp_path: Path, value: object, path: str) -> None:
    assert faults(config_of(tmp_path, value)) == [("invalid", path)]


@pytest.mark.parametrize(
    "value",
    [
        {"compatibility_date": "2026"},
        {"compatibility_date": "2026-02-31"},
        {"compatibility_date": "2026-1-5"},
        {"compatibility_date": "2026/01/05"},
        {"compatibility_date": "2026-01-05T10:00:00Z"},
        {"name": ""},
        {"dev": {"port": 8787.0}},
        {"dev": None},
        {"migrations": None, "triggers": None, "exports": None},
        {"route": {"pattern": "x/*", "zone_name": "x"}},
        {"vars": {"A": None, "B": [1, {"c": True}]}},
        {"ratelimits": [{"name": "R", "namespace_id": "1", "simple": {"limit": 1, "period": 60.0}}]},
        {"triggers": {"crons": ["nonsense"]}},
    ],
    ids=json.dumps,
)
def test_what_wrangler_lets_pass_passes(tmp_path: Path, value: object) -> None:
    assert not list(config_of(tmp_path, value).diagnostics)


def test_a_toml_date_is_no_string_and_no_variable(tmp_path: Path) -> None:
    text = "compatibility_date = 2026-01-01\n[vars]\nSINCE = 2026-01-01\n[vars.DEEP]\nSINCE = 2026-01-01\n"
    config = config_of(tmp_path, text, name="wrangler.toml")
    assert faults(config) == [("invalid", "compatibility_date"), ("invalid", "vars.SINCE")]
    assert "put it in quotes" in config.diagnostics.render("wrangler.toml")


@pytest.mark.parametrize(
    ("value", "path", "hint"),
    [
        ({"compatability_date": "2026-01-01"}, "compatability_date", "Did you mean 'compatibility_date'?"),
        ({"dev": {"prot": 1}}, "dev.prot", "Did you mean 'port'?"),
        ({"durable_objects": {"binding": []}}, "durable_objects.binding", "Did you mean 'bindings'?"),
        ({"kv-namespaces": []}, "kv-namespaces", "Did you mean 'kv_namespaces'?"),
        ({"zz": 1}, "zz", ""),
        ({"kv_namespaces": [{"binding": "KV", "zz": 1}]}, "kv_namespaces[0].zz", ""),
    ],
    ids=json.dumps,
)
def test_an_unknown_key_warns_and_suggests(tmp_path: Path, value: object, path: str, hint: str) -> None:
    config = config_of(tmp_path, value)
    assert faults(config) == []
    assert faults(config, is_error=False) == [("unexpected-field", path)]
    assert hint in config.diagnostics.render("wrangler.jsonc")


def test_all_faults_are_shown_at_once_errors_first(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        {"zz": 1, "name": 5, "vars": [], "durable_objects": {"bindings": [{"name": "A", "class_name": None}]}},
    )
    assert config.diagnostics.render("wrangler.jsonc") == (
        "wrangler.jsonc has 3 errors and 1 warning:\n"
        "  name: expected lower case letters, digits, _ and -, the first one no dash, found 5\n"
        "  vars: expected an object, found a list\n"
        "  durable_objects.bindings[0].class_name: expected a string, found null\n"
        "  (warning) zz: is not known here."
    )


def test_removed_keys_are_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"legacy_env": True, "env": {"a": {"node_compat": True}}}, environment="a")
    assert faults(config) == [("removed-field", "legacy_env"), ("removed-field", "env.a.node_compat")]


# Environments

TOP: dict[str, Any] = {
    "name": "w",
    "compatibility_date": "2026-01-01",
    "vars": {"A": "top", "B": "top"},
    "dev": {"port": 1},
    "env": {"staging": {"vars": {"A": "staging"}}, "named": {"name": "other", "compatibility_date": "2026-02-02"}},
}


def test_an_environment_inherits_some_keys_and_not_others(tmp_path: Path) -> None:
    config = config_of(tmp_path, TOP, environment="staging")
    assert config.name == "w-staging"
    assert config.values["compatibility_date"] == "2026-01-01"
    assert config.values["vars"] == {"A": "staging"}
    assert config.values["dev"]["port"] == 1
    assert faults(config, is_error=False) == [("not-inherited", "env.staging.vars")]
    assert config.defined_environments == ["staging", "named"]


def test_an_environment_has_a_name_and_values_of_its_own(tmp_path: Path) -> None:
    config = config_of(tmp_path, TOP, environment="named")
    assert (config.name, config.values["compatibility_date"], config.values["vars"]) == ("other", "2026-02-02", {})


def test_other_environments_are_not_looked_at(tmp_path: Path) -> None:
    value = {"env": {"bad": {"main": 1}, "good": {}}}
    assert faults(config_of(tmp_path, value, environment="good")) == []
    assert faults(config_of(tmp_path, value)) == []
    assert faults(config_of(tmp_path, value, environment="bad")) == [("invalid", "env.bad.main")]


def test_the_top_level_is_checked_whatever_is_asked_for(tmp_path: Path) -> None:
    assert faults(config_of(tmp_path, {"main": 1, "env": {"a": {}}}, environment="a")) == [("invalid", "main")]


def test_a_top_level_key_in_an_environment_is_unexpected(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"env": {"a": {"dev": {}}}}, environment="a")
    assert faults(config, is_error=False) == [("unexpected-field", "env.a.dev")]


def test_an_unknown_environment_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    config = config_of(tmp_path, TOP, environment="stagin")
    assert faults(config) == [("unknown-environment", "")]
    assert "Did you mean 'staging'? Defined: staging, named." in config.diagnostics.render("f")


def test_without_any_environment_an_unknown_one_is_the_top_level_with_a_suffix(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"name": "w", "vars": {"A": "1"}}, environment="nope")
    assert faults(config, is_error=False) == [("unknown-environment", "")]
    assert (config.name, config.values["vars"]) == ("w-nope", {"A": "1"})


def test_no_environment_is_named_by_an_empty_one(tmp_path: Path) -> None:
    assert config_of(tmp_path, TOP, environment="").name == "w"


def test_bindings_of_the_top_level_that_an_environment_lacks_are_named(tmp_path: Path) -> None:
    binding = {"name": "A", "class_name": "A"}
    migrations = [{"tag": "v1", "new_sqlite_classes": ["A"]}]
    value = {
        "migrations": migrations,
        "durable_objects": {"bindings": [binding]},
        "kv_namespaces": [{"binding": "KV"}],
        "env": {"a": {"durable_objects": {"bindings": []}}},
    }
    config = config_of(tmp_path, value, environment="a")
    assert faults(config, is_error=False) == [
        ("not-inherited", "env.a.durable_objects"),
        ("not-inherited", "env.a.kv_namespaces"),
    ]


# Across keys


def test_two_bindings_of_one_name_are_refused_once(tmp_path: Path) -> None:
    value = {"vars": {"A": "1"}, "kv_namespaces": [{"binding": "A"}, {"binding": "A"}], "ai": {"binding": "B"}}
    assert faults(config_of(tmp_path, value)) == [("duplicate-binding", "A")]


def test_a_python_main_wants_the_flag(tmp_path: Path) -> None:
    assert faults(config_of(tmp_path, {"main": "a.py"})) == [("python-flag", "")]
    assert faults(config_of(tmp_path, {"main": "a.PY"})) == []
    assert faults(config_of(tmp_path, {"main": "a.py", "compatibility_flags": ["python_workers"]})) == []


def test_a_class_without_migration_is_warned_of(tmp_path: Path) -> None:
    bindings = [{"name": "A", "class_name": "A"}, {"name": "B", "class_name": "B", "script_name": "other"}]
    config = config_of(tmp_path, {"durable_objects": {"bindings": bindings}})
    assert faults(config, is_error=False) == [("durable-objects-lifecycle", "durable_objects")]
    assert '"new_sqlite_classes": ["A"]' in config.diagnostics.render("f")


def test_migrations_and_exports_of_objects_exclude_each_other(tmp_path: Path) -> None:
    value = {
        "migrations": [{"tag": "v1"}],
        "exports": {"A": {"type": "durable-object", "storage": "sqlite"}},
    }
    assert faults(config_of(tmp_path, value)) == [("invalid", "exports")]


# Declarations


def test_bindings_are_declared_with_their_kind_place_and_store(tmp_path: Path) -> None:
    value = {
        "durable_objects": {"bindings": [{"name": "A", "class_name": "A"}, {"name": "B", "class_name": "B"}]},
        "migrations": [{"tag": "v1", "new_sqlite_classes": ["A"]}, {"tag": "v2", "new_classes": ["B"]}],
        "queues": {"producers": [{"binding": "Q", "queue": "jobs"}]},
        "ai": {"binding": "AI"},
        "unsafe": {"bindings": [{"name": "U", "type": "odd"}]},
    }
    config = config_of(tmp_path, value)
    assert [(place, d.name, d.kind, dict(d.options)) for place, d in config.bindings] == [
        (("durable_objects", "bindings", 0), "A", "durable_object_namespace", {"class_name": "A", "storage": "sqlite"}),
        (("durable_objects", "bindings", 1), "B", "durable_object_namespace",
         {"class_name": "B", "storage": "legacy-kv"}),
        (("queues", "producers", 0), "Q", "queue", {"queue": "jobs"}),
        (("ai",), "AI", "ai", {}),
        (("unsafe", "bindings", 0), "U", "unsafe_odd", {"type": "odd"}),
    ]  # fmt: skip
