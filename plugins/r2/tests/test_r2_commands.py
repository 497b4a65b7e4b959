"""``edgeagents r2``: objects of the state that a worker has."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from edgeagents_emulator.cli import main
from edgeagents_r2.store import BucketStore

from edgeagents.stores import Stores

Run = Callable[..., Result]


@pytest.fixture
def r2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    bucket = {"binding": "FILES", "bucket_name": "my-files"}
    (tmp_path / "wrangler.json").write_text(json.dumps({"name": "w", "r2_buckets": [bucket]}))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments, **options: CliRunner().invoke(main, ["r2", *arguments], **options)


def test_a_file_becomes_an_object_and_a_file_again(r2: Run, tmp_path: Path) -> None:
    (tmp_path / "in.html").write_bytes(b"\x00" * 300_000)
    put = r2("object", "put", "my-files/a/page.html", "--file", "in.html", "--local", "--cc", "no-store")
    assert put.output == "my-files/a/page.html is kept: 300000 bytes.\n"
    assert r2("object", "get", "my-files/a/page.html").output == "my-files/a/page.html is in page.html.\n"
    assert (tmp_path / "page.html").read_bytes() == b"\x00" * 300_000
    stores = Stores(tmp_path / ".edgeagents" / "state")
    stored = BucketStore(stores, "my-files").get("a/page.html")
    stores.close()
    assert stored is not None
    assert stored.http == {"contentType": "text/html", "cacheControl": "no-store"}


def test_bytes_go_through_pipes(r2: Run) -> None:
    r2("object", "put", "FILES/key", "--pipe", input=b"\xff\x00")
    assert r2("object", "get", "my-files/key", "--pipe").stdout_bytes == b"\xff\x00"


def test_an_object_has_an_end_of_its_caching_and_a_class(r2: Run, tmp_path: Path) -> None:
    more = ("--expires", "2026-03-01T10:00:00Z", "--storage-class", "InfrequentAccess")
    assert r2("object", "put", "my-files/key", "--pipe", *more, input=b"x").exit_code == 0
    stores = Stores(tmp_path / ".edgeagents" / "state")
    stored = BucketStore(stores, "my-files").get("key")
    stores.close()
    assert stored is not None
    assert stored.http == {"cacheExpiry": 1_772_359_200.0}
    assert stored.storage_class == "InfrequentAccess"


def test_an_object_is_deleted(r2: Run) -> None:
    r2("object", "put", "my-files/key", "--pipe", input=b"x")
    assert r2("object", "delete", "my-files/key").exit_code == 0
    gone = r2("object", "get", "my-files/key", "--pipe")
    assert (gone.exit_code, gone.stdout, gone.stderr) == (1, "", "The specified key does not exist.\n")


def test_buckets_are_listed(r2: Run) -> None:
    assert json.loads(r2("bucket", "list", "--json").output) == [{"name": "my-files", "binding": "FILES"}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["put", "my-files", "--pipe"], "is not of the form BUCKET/KEY"),
        (["put", "my-files/"], "is not of the form BUCKET/KEY"),
        (["put", "my-files/a"], "Say what to keep"),
    ],
    ids=["no key", "empty key", "no bytes"],
)
def test_what_is_wrong_is_told_in_a_line(r2: Run, arguments: list[str], message: str) -> None:
    result = r2("object", *arguments)
    assert result.exit_code == 1
    assert message in result.stderr
