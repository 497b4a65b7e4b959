"""A bucket keeps, gives, lists and refuses as R2 does."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from edgeagents_r2 import R2Bucket, R2Error, R2Object, R2ObjectBody
from edgeagents_r2.store import BucketStore

from edgeagents.stores import Stores
from edgeagents.testing import ManualClock

pytestmark = pytest.mark.cloudflare("Workers", "R2 buckets", "same")
FIVE_MIB = 5 * 1024 * 1024


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["disk", "memory"])
def bucket(request: Any, tmp_path: Path, clock: ManualClock):
    stores = Stores(tmp_path if request.param == "disk" else None)
    yield R2Bucket(BucketStore(stores, "b"), clock, random.Random(0))
    stores.close()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_an_object_comes_back_with_what_is_told_of_it(bucket, clock):
    put = await bucket.put("a/é", "text", http_metadata={"contentType": "text/plain"}, custom_metadata={"k": "v"})
    md5 = hashlib.md5(b"text").hexdigest()
    assert (put.size, put.etag, put.http_etag, put.uploaded) == (4, md5, f'"{md5}"', clock.now())
    found = await bucket.get("a/é")
    assert isinstance(found, R2ObjectBody)
    assert (await found.text(), found.http_metadata, found.custom_metadata) == (
        "text",
        {"contentType": "text/plain"},
        {"k": "v"},
    )
    assert found.body_used
    with pytest.raises(TypeError, match="already been used"):
        await found.bytes()
    head = await bucket.head("a/é")
    assert (head.version, head.checksums.to_json()) == (put.version, {"md5": md5})
    assert await bucket.head("nope") is None
    assert await bucket.get("nope") is None


@pytest.mark.parametrize("value", ["x" * 9, b"x" * 9, "stream"])
async def test_bytes_come_in_any_form(bucket, value):
    await bucket.put("k", pieces(b"xxx", b"xxxxxx") if value == "stream" else value)
    assert await (await bucket.get("k")).bytes() == b"x" * 9


async def test_none_is_an_empty_object_and_other_things_are_refused(bucket):
    assert (await bucket.put("k", None)).size == 0
    with pytest.raises(TypeError, match="not an object of dict"):
        await bucket.put("k", {"a": 1})
    assert (await bucket.head("k")).size == 0


@pytest.mark.parametrize(
    ("wanted", "expected", "range_"),
    [
        ({"offset": 2}, b"cdef", {"offset": 2, "length": 4}),
        ({"offset": 1, "length": 2}, b"bc", {"offset": 1, "length": 2}),
        ({"length": 3}, b"abc", {"offset": 0, "length": 3}),
        ({"suffix": 2}, b"ef", {"offset": 4, "length": 2}),
        ({"suffix": 99}, b"abcdef", {"offset": 0, "length": 6}),
        ({"range": "bytes=1-3"}, b"bcd", {"offset": 1, "length": 3}),
        ({"range": "bytes=-1"}, b"f", {"offset": 5, "length": 1}),
        ({"range": "bytes=0-1,3-4"}, b"abcdef", {"offset": 0, "length": 6}),
    ],
)
async def test_a_range_gives_a_part(bucket, wanted, expected, range_):
    await bucket.put("k", "abcdef")
    found = await bucket.get("k", range=wanted)
    assert (await found.bytes(), found.range, found.size) == (expected, range_, 6)


async def test_ranges_that_mean_nothing_are_refused(bucket):
    await bucket.put("k", "abcdef")
    await bucket.put("empty", None)
    with pytest.raises(R2Error, match=r"not satisfiable \(10039\)"):
        await bucket.get("k", range={"offset": 6})
    with pytest.raises(R2Error, match=r"not satisfiable"):
        await bucket.get("empty", range={"suffix": 1})
    with pytest.raises(ValueError, match=r"Starting offset \(-1\) must be greater than or equal to 0"):
        await bucket.get("k", range={"offset": -1})
    with pytest.raises(TypeError, match="incompatible"):
        await bucket.get("k", range={"suffix": 1, "length": 1})


async def test_conditions_decide(bucket, clock):
    put = await bucket.put("k", "one")
    later, before = clock.now() + timedelta(seconds=1), clock.now() - timedelta(seconds=1)
    holding = (
        *(
            {"etagMatches": put.etag},
            {"etagMatches": [put.etag, "x"]},
            {"if-match": f'"{put.etag}", "x"'},
            {"etagMatches": "*"},
        ),
        *({"etagDoesNotMatch": "x"}, {"uploadedBefore": later}, {"uploadedAfter": before}),
        *({"etagMatches": put.etag, "uploadedBefore": before}, {"if-none-match": '"x"'}),
    )
    for condition in holding:
        assert isinstance(await bucket.get("k", only_if=condition), R2ObjectBody), condition
    with pytest.raises(TypeError, match="should not be wrapped in quotes"):
        await bucket.get("k", only_if={"etagMatches": put.http_etag})
    failing = (
        *({"etagMatches": "x"}, {"etagMatches": f"W/{put.etag}"}, {"etagDoesNotMatch": put.etag}),
        *({"if-none-match": f'W/"{put.etag}"'}, {"uploadedBefore": before}, {"uploadedAfter": later}),
        {"if-match": '"x"'},
    )
    for condition in failing:
        found = await bucket.get("k", only_if=condition)
        assert type(found) is R2Object, condition
        assert await bucket.put("k", "two", only_if=condition) is None
    assert await bucket.put("new", "x", only_if={"etagMatches": "*"}) is None
    assert await bucket.put("new", "x", only_if={"etagDoesNotMatch": "*"}) is not None
    assert await bucket.put("new", "y", only_if={"etagDoesNotMatch": "*"}) is None


async def test_a_hash_that_was_given_is_checked(bucket):
    sha = hashlib.sha256(b"x").hexdigest()
    put = await bucket.put("k", "x", sha256=sha)
    assert put.checksums.sha256 == bytes.fromhex(sha)
    with pytest.raises(R2Error, match=r"(?s)SHA-256 checksum you specified did not match.*\(10037\)"):
        await bucket.put("k", "y", sha256=sha)
    assert await (await bucket.get("k")).text() == "x"
    with pytest.raises(TypeError, match="multiple hashing algorithms"):
        await bucket.put("k", "x", sha256=sha, md5="00" * 16)
    for digest, told in ((b"0", "is 16 bytes, not 1"), ("00", "is 32 hex characters, not 2"), ("x" * 32, "valid hex")):
        with pytest.raises(TypeError, match=f"MD5.*{told}"):
            await bucket.put("k", "x", md5=digest)


async def test_objects_are_listed_in_order_with_what_they_have_in_common(bucket):
    for key in ("a", "b/1", "b/2", "b/c/3", "d"):
        await bucket.put(key, key)
    listed = await bucket.list(delimiter="/")
    assert ([one.key for one in listed["objects"]], listed["delimitedPrefixes"]) == (["a", "d"], ["b/"])
    below = await bucket.list(prefix="b/", delimiter="/")
    assert ([one.key for one in below["objects"]], below["delimitedPrefixes"]) == (["b/1", "b/2"], ["b/c/"])
    await bucket.put("e", "x", custom_metadata={"k": "v"}, http_metadata={"contentType": "a/b"})
    for include, told in (([], ({}, {})), (["customMetadata"], ({"k": "v"}, {}))):
        (one,) = (await bucket.list(prefix="e", include=include))["objects"]
        assert (one.custom_metadata, one.http_metadata) == told
    with pytest.raises(ValueError, match="Unsupported include value nope"):
        await bucket.list(include=["nope"])
    await bucket.delete("e")
    assert [one.key for one in (await bucket.list(start_after="b/1"))["objects"]] == ["b/2", "b/c/3", "d"]


@pytest.mark.parametrize("delimiter", [None, "/"])
async def test_a_list_goes_on_where_it_stopped(bucket, delimiter):
    for n in range(7):
        await bucket.put(f"k{n}/x" if n % 2 else f"k{n}", "x")
    seen: list[str] = []
    cursor = None
    while True:
        listed = await bucket.list(limit=2, cursor=cursor, delimiter=delimiter)
        seen += [*(one.key for one in listed["objects"]), *listed["delimitedPrefixes"]]
        if not listed["truncated"]:
            break
        cursor = listed["cursor"]
    ending = "/" if delimiter else "/x"
    assert sorted(seen) == [f"k{n}{ending}" if n % 2 else f"k{n}" for n in range(7)]


async def test_what_is_removed_is_gone_with_its_bytes(bucket, tmp_path):
    for key in ("a", "b", "c"):
        await bucket.put(key, "x")
    await bucket.put("a", "again")
    await bucket.delete("a")
    await bucket.delete(["b", "c", "nope"])
    assert (await bucket.list())["objects"] == []
    assert list(tmp_path.glob("r2/*.objects/*")) == []


async def test_an_upload_in_parts_makes_one_object(bucket, tmp_path):
    upload = await bucket.create_multipart_upload("big", custom_metadata={"k": "v"})
    resumed = bucket.resume_multipart_upload("big", upload.upload_id)
    last = await resumed.upload_part(2, "end")
    first = await upload.upload_part(1, b"a" * FIVE_MIB)
    first = await upload.upload_part(1, b"b" * FIVE_MIB)
    made = await upload.complete([first, last])
    digests = hashlib.md5(b"b" * FIVE_MIB).digest() + hashlib.md5(b"end").digest()
    assert (made.etag, made.size) == (f"{hashlib.md5(digests).hexdigest()}-2", FIVE_MIB + 3)
    found = await bucket.get("big", range={"suffix": 4})
    assert (await found.bytes(), found.custom_metadata) == (b"bend", {"k": "v"})
    assert len(list(tmp_path.glob("r2/*.objects/*"))) in (0, 1)
    with pytest.raises(R2Error, match="10024"):
        await upload.upload_part(3, "x")


async def test_parts_that_do_not_fit_are_refused(bucket):
    upload = await bucket.create_multipart_upload("k")
    small, last = await upload.upload_part(1, "small"), await upload.upload_part(2, "x")
    with pytest.raises(R2Error, match="10011"):
        await upload.complete([small, last])
    upload = await bucket.create_multipart_upload("k")
    first = await upload.upload_part(1, b"a" * FIVE_MIB)
    larger = await upload.upload_part(2, b"a" * (FIVE_MIB + 1))
    with pytest.raises(R2Error, match="10048"):
        await upload.complete([first, larger])
    with pytest.raises(R2Error, match="10025"):
        await upload.complete([{"partNumber": 1, "etag": "x"}])
    with pytest.raises(TypeError, match="between 1 and 10000"):
        await upload.upload_part(0, "x")
    await upload.abort()
    await upload.abort()
    assert await bucket.head("k") is None


@pytest.mark.parametrize(
    ("options", "text"), [({"custom_metadata": {"k": "x" * 2048}}, "10012"), ({"ssec_key": "k"}, "10074")]
)
async def test_options_that_mean_nothing_are_refused(bucket, options, text):
    with pytest.raises(R2Error, match=text):
        await bucket.put("k", "x", **options)
    with pytest.raises(R2Error, match="10020"):
        await bucket.put("é" * 513, "x")
    with pytest.raises(R2Error, match="10022"):
        await bucket.list(limit=1001)


@pytest.mark.parametrize("end", ["put", "delete"])
async def test_an_object_that_was_got_is_read_as_it_was(bucket, end):
    await bucket.put("a", "old")
    found = await bucket.get("a")
    await (bucket.put("a", "new") if end == "put" else bucket.delete("a"))
    assert await found.text() == "old"


async def test_of_two_processes_that_put_on_a_condition_one_does(tmp_path, clock):
    stores = [Stores(tmp_path), Stores(tmp_path)]
    here, there = (R2Bucket(BucketStore(each, "b"), clock, random.Random(n)) for n, each in enumerate(stores))

    async def slow() -> AsyncIterator[bytes]:
        yield b"he"
        assert await there.put("a", "there", only_if={"etagDoesNotMatch": "*"}) is not None
        yield b"re"

    assert await here.put("a", slow(), only_if={"etagDoesNotMatch": "*"}) is None
    assert await (await here.get("a")).text() == "there"
    assert len(list((tmp_path / "r2" / "b.objects").iterdir())) == 1
    for each in stores:
        each.close()


async def test_an_object_that_another_process_replaces_is_got_as_it_is_now(tmp_path, clock, monkeypatch):
    stores = [Stores(tmp_path), Stores(tmp_path)]
    kept = [BucketStore(each, "b") for each in stores]
    here, there = (R2Bucket(each, clock, random.Random(n)) for n, each in enumerate(kept))
    await there.put("a", "old")
    get = kept[0].get
    answers = [get("a")]  # What this one read just before the other put.
    await there.put("a", "new")
    monkeypatch.setattr(kept[0], "get", lambda key: answers.pop() if answers else get(key))
    assert await (await here.get("a")).text() == "new"
    for each in stores:
        each.close()
