"""``edgeagents kv``: as a person uses it, on the state that a worker has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from edgeagents_emulator.cli import main
from edgeagents_kv.namespace import KvNamespace

from edgeagents.objects import SystemClock
from edgeagents.stores import Stores

Run = Callable[..., Result]
CONFIG = {
    "name": "w",
    "kv_namespaces": [{"binding": "KV", "id": "one"}, {"binding": "BARE"}],
    "env": {"staging": {"kv_namespaces": [{"binding": "KV", "id": "staged"}]}},
}


@pytest.fixture
def kv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "wrangler.json").write_text(json.dumps(CONFIG))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **options: CliRunner().invoke(main, ["kv", *arguments], **options)


def kept(folder: Path, namespace: str, key: str) -> Any:
    stores = Stores(folder / ".edgeagents" / "state")
    try:
        return asyncio.run(KvNamespace(stores, namespace, SystemClock()).get_with_metadata(key))
    finally:
        stores.close()


def test_what_is_put_is_what_a_worker_finds(kv: Run, tmp_path: Path) -> None:
    result = kv("key", "put", "a", "eins", "--binding", "KV", "--local", "--metadata", '{"n": 1}')
    assert (result.exit_code, result.output) == (0, "a is kept.\n")
    assert kept(tmp_path, "one", "a") == {"value": "eins", "metadata": {"n": 1}, "cacheStatus": None}


def test_a_value_comes_out_as_it_was_put(kv: Run, tmp_path: Path) -> None:
    (tmp_path / "value").write_bytes(b"\x00\xff")
    kv("key", "put", "bytes", "--path", "value", "--namespace-id", "one")
    assert kv("key", "get", "bytes", "--binding", "KV").stdout_bytes == b"\x00\xff"


def test_a_key_that_is_not_there_ends_with_status_1(kv: Run) -> None:
    result = kv("key", "get", "none", "--binding", "KV")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Value not found\n")


def test_keys_are_listed_in_order_and_deleted(kv: Run) -> None:
    for key in ("b/2", "a", "b/1"):
        kv("key", "put", key, "x", "--binding", "BARE")
    assert json.loads(kv("key", "list", "--binding", "BARE", "--prefix", "b/").output) == [
        {"name": "b/1"},
        {"name": "b/2"},
    ]
    kv("key", "delete", "b/1", "--binding", "BARE")
    assert [key["name"] for key in json.loads(kv("key", "list", "--binding", "BARE").output)] == ["a", "b/2"]


def test_a_list_is_longer_than_a_page(kv: Run, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps([{"key": f"{n:04}", "value": ""} for n in range(1001)]))
    assert kv("bulk", "put", "keys.json", "--binding", "KV").output == "1001 keys are kept.\n"
    assert len(json.loads(kv("key", "list", "--binding", "KV").output)) == 1001


def test_many_keys_are_put_and_deleted_at_once(kv: Run, tmp_path: Path) -> None:
    entries = [{"key": "a", "value": "eA==", "base64": True}, {"key": "b", "value": "y", "metadata": [1]}]
    (tmp_path / "keys.json").write_text(json.dumps(entries))
    kv("bulk", "put", "keys.json", "--binding", "KV")
    assert kept(tmp_path, "one", "a")["value"] == "x"
    assert kept(tmp_path, "one", "b")["metadata"] == [1]
    (tmp_path / "gone.json").write_text('["a", {"name": "b"}]')
    (tmp_path / "asked.json").write_text('["a", {"name": "b"}, "c"]')
    told = json.loads(kv("bulk", "get", "asked.json", "--local", "--binding", "KV").output)
    assert told == {"a": {"value": "x"}, "b": {"value": "y"}, "c": {"value": None}}
    assert kv("bulk", "delete", "gone.json", "--binding", "KV").output == "2 keys are not there any more.\n"
    assert json.loads(kv("key", "list", "--binding", "KV").output) == []


def test_an_environment_and_another_state_folder_can_be_named(kv: Run, tmp_path: Path) -> None:
    kv("key", "put", "a", "x", "--binding", "KV", "--env", "staging", "--persist-to", "elsewhere")
    assert (tmp_path / "elsewhere" / "kv" / "staged.sqlite").is_file()
    assert not (tmp_path / ".edgeagents").exists()


def test_what_entries_do_not_say_is_said_for_all_of_them(kv: Run, tmp_path: Path) -> None:
    entries = [{"key": "a", "value": "x"}, {"key": "b", "value": "y", "metadata": "own", "expiration": 2_100_000_000}]
    (tmp_path / "keys.json").write_text(json.dumps(entries))
    kv("bulk", "put", "keys.json", "--binding", "KV", "--metadata", '"all"', "--expiration", "2000000000")
    listed = json.loads(kv("key", "list", "--binding", "KV").output)
    assert [(one["metadata"], one["expiration"]) for one in listed] == [("all", 2_000_000_000), ("own", 2_100_000_000)]


def test_a_file_that_lists_no_names_is_told(kv: Run, tmp_path: Path) -> None:
    for text in ('{"name": "a"}', '[{"key": "a"}]', "[1]", "7"):
        (tmp_path / "asked.json").write_text(text)
        assert "asked.json does not hold a list of names." in kv("bulk", "get", "asked.json", "--binding", "KV").output


def test_namespaces_are_listed(kv: Run) -> None:
    assert json.loads(kv("namespace", "list", "--json").output) == [
        {"id": "one", "title": "KV"},
        {"id": "BARE", "title": "BARE"},
    ]
    assert kv("namespace", "list").output == "title   id\nKV      one\nBARE    BARE\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["key", "get", "a"], "Say which namespace"),
        (["key", "get", "a", "--binding", "KW"], "has no KV Namespace 'KW'. It has: KV, BARE."),
        (["key", "get", "a", "--binding", "KV", "--remote"], "Only local state is known here"),
        (["key", "put", "a", "--binding", "KV"], "Say what to keep"),
        (["key", "put", "a", "x", "--binding", "KV", "--ttl", "5"], "Expiration TTL must be at least 60"),
        (["key", "put", "a", "x", "--binding", "KV", "--metadata", "{"], "--metadata is no JSON"),
        (["key", "put", "", "x", "--binding", "KV"], "Key name cannot be empty"),
    ],
    ids=["no namespace", "unknown binding", "remote", "no value", "short ttl", "no json", "empty key"],
)
def test_what_is_wrong_is_told_in_a_line(kv: Run, arguments: list[str], message: str) -> None:
    result = kv(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_without_a_configuration_it_says_so(kv: Run, tmp_path: Path) -> None:
    (tmp_path / "wrangler.json").unlink()
    assert "There is no wrangler.json" in kv("namespace", "list").stderr


def test_a_broken_configuration_is_told_whole(kv: Run, tmp_path: Path) -> None:
    (tmp_path / "wrangler.json").write_text('{"kv_namespaces": [{"id": 1}], "main": 2}')
    told = kv("namespace", "list").stderr
    assert "kv_namespaces[0]" in told
    assert "main" in told
