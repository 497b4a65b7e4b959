"""A namespace keeps, lists and refuses as Workers KV does."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from edgeagents_kv import KvError, KvNamespace

from edgeagents.stores import Stores
from edgeagents.testing import ManualClock

pytestmark = pytest.mark.cloudflare("Workers", "KV namespaces", "same")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def kv(tmp_path: Path, clock: ManualClock):
    stores = Stores(tmp_path)
    yield KvNamespace(stores, "namespace", clock)
    stores.close()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_values_come_back_as_what_is_asked_for(kv):
    await kv.put("text", "é")
    await kv.put("bytes", b"\x00\xff")
    await kv.put("json", '{"a": [1]}')
    await kv.put("stream", pieces(b"one ", b"two"))
    assert await kv.get("text") == "é"
    assert await kv.get("bytes", "arrayBuffer") == b"\x00\xff"
    assert await kv.get("json", "json") == {"a": [1]}
    assert [piece async for piece in await kv.get("stream", "stream")] == [b"one two"]
    assert await kv.get("nowhere") is None
    with pytest.raises(TypeError, match="Unknown response type"):
        await kv.get("text", "xml")


async def test_an_empty_value_is_one(kv):
    await kv.put("empty", "")
    assert await kv.get("empty") == ""


async def test_metadata_stays_with_its_value(kv):
    await kv.put("a", "1", metadata={"n": 7})
    assert await kv.get_with_metadata("a") == {"value": "1", "metadata": {"n": 7}, "cacheStatus": None}
    await kv.put("a", "2")
    assert (await kv.get_with_metadata("a"))["metadata"] is None
    assert await kv.get_with_metadata("b") == {"value": None, "metadata": None, "cacheStatus": None}


async def test_several_are_read_at_once(kv):
    await kv.put("a", "1")
    await kv.put("b", "2", metadata="m")
    assert await kv.get(["a", "b", "c"]) == {"a": "1", "b": "2", "c": None}
    assert await kv.get_with_metadata(["b", "c"], "json") == {"b": {"value": 2, "metadata": "m"}, "c": None}
    with pytest.raises(KvError, match="maximum of 100 keys"):
        await kv.get([str(n) for n in range(101)])
    with pytest.raises(KvError, match="not a valid type"):
        await kv.get(["a"], "stream")


async def test_what_has_expired_is_not_there(kv, clock):
    await kv.put("soon", "x", expiration_ttl=60)
    await kv.put("later", "x", expiration=clock.now().timestamp() + 120)
    listed = await kv.list()
    assert listed["keys"][1]["expiration"] - int(clock.now().timestamp()) == 60
    await clock.advance(60)
    assert await kv.get("soon") is None
    assert [key["name"] for key in (await kv.list())["keys"]] == ["later"]


async def test_a_list_is_in_order_and_goes_on_where_it_stopped(kv):
    for key in ("b/2", "a", "b/10", "b/é", "b/Z", "c"):
        await kv.put(key, "x", metadata={"k": key})
    first = await kv.list(prefix="b/", limit=3)
    assert [key["name"] for key in first["keys"]] == ["b/10", "b/2", "b/Z"]
    assert not first["list_complete"]
    rest = await kv.list(prefix="b/", limit=3, cursor=first["cursor"])
    assert rest == {"keys": [{"name": "b/é", "metadata": {"k": "b/é"}}], "list_complete": True, "cacheStatus": None}


@pytest.mark.parametrize(
    ("key", "error", "text"),
    [
        ("", TypeError, "cannot be empty"),
        ("..", TypeError, "not allowed as a key name"),
        ("é" * 257, KvError, "414 UTF-8 encoded length of 514 exceeds key length limit of 512"),
    ],
)
async def test_keys_that_are_none_are_refused(kv, key, error, text):
    for operation in (kv.get(key), kv.put(key, "x"), kv.delete(key)):
        with pytest.raises(error, match=text):
            await operation


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"expiration_ttl": 59}, "400 Invalid expiration_ttl of 59. Expiration TTL must be at least 60"),
        ({"expiration_ttl": "soon"}, "Please specify integer greater than 0"),
        ({"expiration": 1}, "greater than the current number of seconds since the UNIX epoch"),
        ({"metadata": "x" * 1023}, "413 Metadata length of 1025 exceeds limit of 1024"),
    ],
)
async def test_options_that_mean_nothing_are_refused(kv, options, text):
    with pytest.raises(KvError, match=text):
        await kv.put("a", "x", **options)
    assert await kv.get("a") is None


async def test_a_value_has_a_limit(kv):
    size = 25 * 1024 * 1024
    await kv.put("a", b"x" * size)
    with pytest.raises(KvError, match=f"413 Value length of {size + 1} exceeds limit of {size}"):
        await kv.put("a", b"x" * (size + 1))
    with pytest.raises(TypeError, match="accepts only strings"):
        await kv.put("a", {"b": 1})


@pytest.mark.parametrize("on_disk", [True, False])
async def test_large_values_are_in_files_that_go_with_them(tmp_path, clock, on_disk):
    stores = Stores(tmp_path if on_disk else None)
    kv = KvNamespace(stores, "n", clock)
    text = "é1" * 200_000
    await kv.put("text", text, metadata="m")
    await kv.put("json", f'{{"a": "{text}"}}', expiration_ttl=60)
    await kv.put("gone", text)

    def files() -> int:
        return len(list(tmp_path.rglob("*.values/*"))) if on_disk else len(kv._files._memory)

    assert files() == 3
    assert await kv.get_with_metadata("text") == {"value": text, "metadata": "m", "cacheStatus": None}
    assert await kv.get("text", "arrayBuffer") == text.encode()
    assert await kv.get("json", "json") == {"a": text}
    assert (await kv.get(["text", "nowhere"]))["text"] == text
    stream = await kv.get("gone", "stream")
    await kv.delete("gone")
    # Who has begun to read it reads it to its end.
    assert b"".join([piece async for piece in stream]).decode() == text
    assert await kv.get("gone") is None
    await clock.advance(61)
    await kv.put("text", "small")
    assert (await kv.get("text"), files()) == ("small", 0)
    stores.close()


async def test_a_large_value_that_cannot_be_kept_leaves_no_file(kv, tmp_path):
    await kv.put("a", "1")
    (tmp_path / "kv" / "namespace.values").mkdir()
    with sqlite3.connect(tmp_path / "kv" / "namespace.sqlite") as other:
        other.execute("CREATE TRIGGER no BEFORE INSERT ON files BEGIN SELECT raise(ABORT, 'no'); END")
    with pytest.raises(sqlite3.IntegrityError, match="no"):
        await kv.put("a", "x" * 200_000)
    assert (await kv.get("a"), list(tmp_path.rglob("*.values/*"))) == ("1", [])
    other.close()


async def test_lists_and_caches_have_limits(kv):
    with pytest.raises(KvError, match="Please specify an integer less than 1000"):
        await kv.list(limit=1001)
    with pytest.raises(KvError, match="Cache TTL must be at least 30"):
        await kv.get("a", cache_ttl=29)


async def test_what_is_put_survives_and_is_shared_by_id(tmp_path, clock):
    first = Stores(tmp_path)
    await KvNamespace(first, "one/../two", clock).put("a", "1")
    second = Stores(tmp_path)
    assert await KvNamespace(second, "one/../two", clock).get("a") == "1"
    assert await KvNamespace(second, "other", clock).get("a") is None
    first.close()
    second.close()
    assert {path.parent for path in tmp_path.rglob("*.sqlite")} == {tmp_path / "kv"}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.rglob("*.sqlite"))


async def test_a_list_looks_at_no_more_keys_than_have_the_prefix(tmp_path):
    stores = Stores(tmp_path)
    namespace = KvNamespace(stores, "n", ManualClock())
    namespace.take_over(((f"{letter}{n:05}", b"", None, None) for letter in "abc" for n in range(3000)), replace=True)
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    stores.open("kv", "n", ()).set_progress_handler(count, 100)
    listed = await namespace.list(prefix="a0000")
    assert (len(listed["keys"]), listed["list_complete"]) == (10, True)
    assert steps < 20
    stores.close()
