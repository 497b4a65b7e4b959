"""What ``wrangler dev`` has kept is copied into the state folder, and found there by the bindings of the same ids."""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from edgeagents_emulator.cli import main
from edgeagents_emulator.host import EmulatorApp
from edgeagents_emulator.options import Options

from edgeagents.objects.ids import HALF, id_from_name
from edgeagents.placement import FolderClaim
from tests.asgi.client import Exchange, http_scope
from tests.packages import WRANGLER, install

pytestmark = pytest.mark.cloudflare(
    "Workers",
    "State of `wrangler dev`",
    "different: it is copied by `edgeagents import-wrangler-state` (KV, R2, D1, Durable Objects), not used in place",
)

ENTRY = """
from urllib.parse import unquote

from edgeagents import DurableObject, WorkerEntrypoint


class Sql(DurableObject):
    async def all(self):
        storage = self.ctx.storage
        rows = [dict(row) for row in storage.sql.exec("SELECT text, hex(data) AS data FROM notes")]
        alarm = await storage.get_alarm()
        values = {k: v.hex() if isinstance(v, bytes) else v for k, v in (await storage.list()).items()}
        values["object"]["map"] = {key: sorted(items) for key, items in values["object"]["map"].items()}
        return {"rows": rows, "values": values, "alarm": alarm and alarm.year, "name": self.ctx.id.name}

    async def alarm(self):
        raise AssertionError("not due in this century")


class Plain(DurableObject):
    async def all(self):
        return await self.ctx.storage.list()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        what, _, name = unquote(request.path[1:]).partition("/")
        env = self.env
        match what:
            case "kv":
                found = await env.KV.get_with_metadata(name, "arrayBuffer")
                return [found["value"].hex(), found["metadata"]]
            case "keys":
                return await env.KV.list()
            case "r2":
                found = await env.BUCKET.get(name)
                data = await found.bytes()
                return {
                    "data": data.hex() if len(data) < 100 else len(data), "etag": found.etag, "version": found.version,
                    "http": found.http_metadata, "custom": found.custom_metadata, "sums": found.checksums.to_json(),
                }
            case "d1":
                return (await env.DB.prepare("SELECT * FROM people").all())["results"]
            case "named":
                return await env.SQL.get_by_name(name).all()
            case "id":
                return await env.SQL.get(env.SQL.id_from_string(name)).all()
            case "plain":
                return await env.PLAIN.get_by_name(name).all()
"""
CONFIG: dict[str, Any] = {
    "name": "w",
    "main": "entry.py",
    "compatibility_date": "2026-01-01",
    "compatibility_flags": ["python_workers"],
    "kv_namespaces": [{"binding": "KV", "id": "abc123"}],
    "r2_buckets": [{"binding": "BUCKET", "bucket_name": "files"}],
    "d1_databases": [{"binding": "DB", "database_id": "db-id", "database_name": "people"}],
    "durable_objects": {"bindings": [{"name": "SQL", "class_name": "Sql"}, {"name": "PLAIN", "class_name": "Plain"}]},
    "migrations": [{"tag": "v1", "new_sqlite_classes": ["Sql"], "new_classes": ["Plain"]}],
}
MAKER = Path(__file__).with_name("make_wrangler_state.mjs")
VALUES = {
    "plain": b'\xff\x0f"\x04text',
    "number": b"\xff\x0fN\x00\x00\x00\x00\x00@E@",
    "int": b"\xff\x0fI\x0e",
    "object": b'\xff\x0fo"\x01aA\x03I\x020T$\x00\x03"\x04whenD\x00\x00\x00\x00p\x99\x94A'
    b'"\x03map;"\x01k\'I\x02,\x01:\x02{\x03',
    "undef": b'\xff\x0fo"\x01u_{\x01',
    "bytes": b"\xff\x0fB\x02\x00\xffVB\x00\x02\x00",
    "big": b"\xff\x0fZ\x10\xd2\n\x1f\xeb\x8c\xa9T\xab",
    "unicode": b"\xff\x0fc\x0e|\x01\xf3\x00B\x01\x07\x01 \x00<\xd8\x89\xdf",
}
KV_TABLE = "CREATE TABLE _mf_entries (key TEXT PRIMARY KEY, blob_id TEXT NOT NULL, expiration INTEGER, metadata TEXT)"
R2_TABLES = """
    CREATE TABLE _mf_objects (key TEXT PRIMARY KEY, blob_id TEXT, version TEXT NOT NULL, size INTEGER NOT NULL,
        etag TEXT NOT NULL, uploaded INTEGER NOT NULL, checksums TEXT NOT NULL, http_metadata TEXT NOT NULL,
        custom_metadata TEXT NOT NULL);
    CREATE TABLE _mf_multipart_uploads (upload_id TEXT PRIMARY KEY, key TEXT NOT NULL, http_metadata TEXT NOT NULL,
        custom_metadata TEXT NOT NULL, state TINYINT DEFAULT 0 NOT NULL);
    CREATE TABLE _mf_multipart_parts (upload_id TEXT NOT NULL, part_number INTEGER NOT NULL, blob_id TEXT NOT NULL,
        size INTEGER NOT NULL, etag TEXT NOT NULL, checksum_md5 TEXT NOT NULL, object_key TEXT,
        PRIMARY KEY (upload_id, part_number));
"""
OBJECT_TABLES = """
    CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
    CREATE TABLE _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB);
"""


def database(root: Path, folder: str, name: str, script: str) -> sqlite3.Connection:
    path = root / "v3" / folder / f"{name}.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(script)
    return connection


def hashed(cls: str, name: str) -> str:
    return id_from_name(HALF + cls, name).digits


def made_by_hand(root: Path) -> None:
    def blob(folder: str, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = root / "v3" / folder / "blobs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    cls = "miniflare-KVNamespaceObject"
    with closing(database(root, f"kv/{cls}", hashed(cls, "abc123"), KV_TABLE)) as kv, kv:
        for key, value, expiration, metadata in [
            ("text", b"hello", None, None),
            ("meta", b"v", None, '{"a":1}'),
            ("expires", b"soon", 2_426_322_148_000, None),
            ("binary/ü", b"\x00\x01\xff", None, None),
            ("empty", b"", None, None),
        ]:
            kv.execute(
                "INSERT INTO _mf_entries VALUES (?, ?, ?, ?)", (key, blob("kv/abc123", value), expiration, metadata)
            )
    cls = "miniflare-R2BucketObject"
    with closing(database(root, f"r2/{cls}", hashed(cls, "files"), R2_TABLES)) as r2, r2:
        http, sha = '{"contentType":"text/plain","cacheExpiry":1000000}', hashlib.sha256(b"abc").hexdigest()
        for key, data, sums, headers, custom in [
            ("dir/file.txt", b"content", "{}", http, '{"who":"me"}'),
            ("sha", b"abc", json.dumps({"sha256": sha}), "{}", "{}"),
            ("empty", b"", "{}", "{}", "{}"),
        ]:
            md5, version = hashlib.md5(data).hexdigest(), hashlib.md5(key.encode()).hexdigest()
            row = (key, blob("r2/files", data), version, len(data), md5, 1_795_602_148_162, sums, headers, custom)
            r2.execute("INSERT INTO _mf_objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        big, tail, version = b"A" * 5_242_880, b"tail", hashlib.md5(b"multi").hexdigest()
        etag = "03ea87a5790ef586173426797c8028a3-2"
        row = ("multi", None, version, 5_242_884, etag, 1, "{}", '{"contentType":"x/y"}', '{"m":"1"}')
        r2.execute("INSERT INTO _mf_objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        r2.execute("INSERT INTO _mf_multipart_uploads VALUES ('u', 'multi', '{}', '{}', 1), ('v', 'x', '{}', '{}', 0)")
        for number, data in ((2, tail), (1, big)):
            part = ("u", number, blob("r2/files", data), len(data), "e", "m", "multi")
            r2.execute("INSERT INTO _mf_multipart_parts VALUES (?, ?, ?, ?, ?, ?, ?)", part)
    cls = "miniflare-D1DatabaseObject"
    people = "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);" + OBJECT_TABLES
    with closing(database(root, f"d1/{cls}", hashed(cls, "db-id"), people)) as d1, d1:
        d1.execute("INSERT INTO people VALUES (1, 'Ann')")
    for digits, text in ((hashed("w-Sql", "ann"), "ann"), (unique("w-Sql"), "nobody")):
        notes = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT, data BLOB);"
        with closing(database(root, "do/w-Sql", digits, OBJECT_TABLES + notes)) as sql, sql:
            sql.execute("INSERT INTO notes VALUES (1, ?, x'010203')", (text,))
            sql.executemany("INSERT INTO _cf_KV VALUES (?, ?)", VALUES.items())
            sql.execute("INSERT INTO _cf_METADATA VALUES (1, 4000000000000000000)")
    with closing(database(root, "do/w-Plain", hashed("w-Plain", "bob"), OBJECT_TABLES)) as plain, plain:
        plain.execute(
            "INSERT INTO _cf_KV VALUES ('n', ?), ('deep', ?)", (b"\xff\x0fI\x02", b'\xff\x0fo"\x01x"\x01y{\x01')
        )
    database(root, "do/w-Plain", "metadata", "CREATE TABLE _cf_ALARM (actor_id TEXT PRIMARY KEY)").close()
    database(root, "cache/miniflare-CacheObject", "metadata", "CREATE TABLE x (y)").close()


def unique(cls: str) -> str:
    base = bytes(range(16))
    return (base + hmac.digest(hashlib.sha256(cls.encode()).digest(), base, "sha256")[:16]).hex()


def made_by_miniflare(root: Path) -> None:
    install(WRANGLER)
    subprocess.run(["node", MAKER, root], check=True, timeout=120, stdout=subprocess.DEVNULL)


@pytest.fixture(
    params=[
        made_by_hand,
        pytest.param(
            made_by_miniflare,
            marks=[
                pytest.mark.node,
                pytest.mark.skipif(not shutil.which("npm"), reason="Node.js and npm are not installed"),
            ],
        ),
    ]
)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with state of wrangler."""
    request.param(tmp_path / ".wrangler" / "state")
    return in_project(tmp_path, monkeypatch)


def in_project(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> Path:
    (folder / "entry.py").write_text(ENTRY)
    (folder / "wrangler.json").write_text(json.dumps({**CONFIG, **changes}))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with state that was made by hand."""
    made_by_hand(tmp_path / ".wrangler" / "state")
    return in_project(tmp_path, monkeypatch)


def run(*arguments: str, status: int = 0) -> list[str]:
    result = CliRunner().invoke(main, ["import-wrangler-state", *arguments])
    assert result.exit_code == status, result.output
    return result.output.splitlines()


async def ask(folder: Path, *paths: str) -> list[Any]:
    app = EmulatorApp(Options(directory=str(folder)))
    answers: list[Any] = []
    try:
        for path in paths:
            exchange = Exchange(app, http_scope(path, server=("localhost", 80)))
            await exchange.send()
            status, _ = await exchange.start()
            body = (await exchange.rest()).decode()
            assert status == 200, body
            answers.append(json.loads(body))
    finally:
        await app.stop()
    return answers


async def test_everything_is_found_under_the_same_ids(folder: Path) -> None:
    lines = run()
    assert lines == [
        "d1 db-id: 1 of 1 databases copied",
        "kv abc123: 5 of 5 keys copied",
        "r2 files: 4 of 4 objects copied",
        "do w-Plain: 1 of 1 objects copied",
        "do w-Sql: 2 of 2 objects copied",
        "Not read: r2 files: 1 uploads in parts that did not end",
        "Not read: cache: not a kind that is read",
    ]
    text, meta, empty, binary, keys = await ask(folder, "/kv/text", "/kv/meta", "/kv/empty", "/kv/binary/ü", "/keys")
    assert (text, meta, empty, binary) == ([b"hello".hex(), None], [b"v".hex(), {"a": 1}], ["", None], ["0001ff", None])
    listed = {key["name"]: key.get("expiration") for key in keys["keys"]}
    assert list(listed) == ["binary/ü", "empty", "expires", "meta", "text"]
    assert listed["expires"] // 10**6 == 2426
    file, sha, nothing, multi = await ask(folder, "/r2/dir/file.txt", "/r2/sha", "/r2/empty", "/r2/multi")
    assert (file["data"], file["custom"]) == (b"content".hex(), {"who": "me"})
    assert (file["http"]["contentType"], file["http"]["cacheExpiry"][:16]) == ("text/plain", "1970-01-01T00:16")
    assert file["etag"] == file["sums"]["md5"] == hashlib.md5(b"content").hexdigest()
    assert sha["sums"]["sha256"] == hashlib.sha256(b"abc").hexdigest()
    assert (nothing["data"], multi["data"], multi["sums"]) == ("", 5_242_884, {})
    assert multi["etag"].endswith("-2")
    assert await ask(folder, "/d1") == [[{"id": 1, "name": "Ann"}]]


async def test_objects_are_found_by_name_and_by_id_with_what_they_hold(folder: Path) -> None:
    digits = [path.stem for path in (folder / ".wrangler/state/v3/do/w-Sql").glob("?" * 64 + ".sqlite")]
    (other,) = set(digits) - {hashed("w-Sql", "ann")}
    run()
    ann, nobody, plain = await ask(folder, "/named/ann", f"/id/{other}", "/plain/bob")
    assert ann["rows"] == [{"text": "ann", "data": "010203"}]
    assert (ann["name"], nobody["name"], ann["alarm"]) == ("ann", None, 2096)
    assert nobody["rows"][0]["text"] == "nobody"
    values = ann["values"]
    assert [values[key] for key in ("plain", "number", "int", "unicode", "undef", "bytes")] == [
        "text",
        42.5,
        7,
        "żółć 🎉",
        {"u": None},
        "00ff",
    ]
    assert values["big"] == 12345678901234567890
    assert (values["object"]["a"], values["object"]["map"]) == ([1, None, True], {"k": [1]})
    assert values["object"]["when"].startswith("1970-01-02T00:00:00")
    assert plain == {"n": 1, "deep": {"x": "y"}}


async def test_a_second_time_changes_nothing_unless_it_is_to_replace(small: Path) -> None:
    run()
    state = small / ".edgeagents" / "state"
    with closing(sqlite3.connect(state / "kv" / "abc123.sqlite")) as kv, kv:
        kv.execute("UPDATE entries SET value = x'6f757273' WHERE key = CAST('text' AS BLOB)")
    assert [line.split(": ")[1].split()[0] for line in run() if not line.startswith("Not")] == ["0"] * 5
    assert await ask(small, "/kv/text") == [[b"ours".hex(), None]]
    replaced = [line.split(": ")[1].split()[0] for line in run("--replace") if not line.startswith("Not")]
    assert replaced == ["1", "5", "0", "1", "2"]  # The objects of a bucket are the same versions.
    (text, ann) = await ask(small, "/kv/text", "/named/ann")
    assert text == [b"hello".hex(), None]
    assert ann["rows"] == [{"text": "ann", "data": "010203"}]


def test_the_resource_for_previews_is_the_one_that_is_used(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_project(small, monkeypatch, d1_databases=[{"binding": "DB", "database_id": "x", "preview_database_id": "db-id"}])
    assert "d1 db-id: 1 of 1 databases copied" in run()


def test_what_cannot_be_read_is_told_and_the_rest_is_copied(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    v3 = small / ".wrangler" / "state" / "v3"
    hello = hashlib.sha256(b"hello").hexdigest()
    (v3 / "kv/abc123/blobs" / hello).unlink()
    (v3 / "r2/files/blobs" / hashlib.sha256(b"content").hexdigest()).write_bytes(b"cut")
    (v3 / "do/w-Sql" / f"{'1' * 64}.sqlite").write_bytes(b"")
    with closing(sqlite3.connect(v3 / "do/w-Plain" / f"{hashed('w-Plain', 'bob')}.sqlite")) as plain, plain:
        plain.execute("INSERT INTO _cf_KV VALUES ('stub', ?)", (b"\xff\x0f\\\x01",))
    in_project(small, monkeypatch, d1_databases=[])
    lines = run()
    assert "kv abc123: 4 of 4 keys copied" in lines
    assert "r2 files: 3 of 4 objects copied" in lines
    assert "do w-Sql: 2 of 3 objects copied" in lines
    assert [line.removeprefix("Not read: ") for line in lines if line.startswith("Not")] == [
        f"kv abc123, key 'text': its bytes are not there ({hello})",
        "r2 files, key 'dir/file.txt': it has 3 bytes and should have 7",
        "r2 files: 1 uploads in parts that did not end",
        f"do w-Plain {hashed('w-Plain', 'bob')}, key 'stub': it holds something that is no data ('\\\\')",
        f"do w-Sql {'1' * 64}: Durable Object ID is not valid for this namespace.",
        f"d1 {hashed('miniflare-D1DatabaseObject', 'db-id')}: the configuration has no resource with this hash",
        "cache: not a kind that is read",
    ]


async def test_a_class_that_has_objects_here_keeps_them(small: Path) -> None:
    shutil.move(small / ".wrangler", small / "away")
    await ask(small, "/plain/bob")
    state = small / ".edgeagents" / "state"
    made = state / "objects" / "w-Plain" / f"{id_from_name('w-Plain', 'bob').digits}.sqlite"
    made.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(next((small / "away/state/v3/do/w-Plain").glob("?" * 64 + ".sqlite")), made)
    lines = run("--from", str(small / "away" / "state" / "v3"))
    assert f"Not read: do w-Plain: Plain has objects in {state} already, with ids of another form" in lines
    assert not (state / "objects" / "half%2fw-Plain").exists()


def test_it_needs_the_folder_for_itself(small: Path) -> None:
    claim = FolderClaim(small / ".edgeagents" / "state")
    claim.share()
    try:
        assert "already uses the state folder" in "".join(run(status=1))
    finally:
        claim.release()


def test_another_folder_is_refused(small: Path) -> None:
    assert "is not a state folder of wrangler" in "".join(run("--from", str(small), status=1))
