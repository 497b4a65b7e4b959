"""A bucket at an S3-compatible service has the methods, results and errors of one that is kept here."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from edgeagents_r2 import R2Error, plugin
from edgeagents_r2.s3_signing import EMPTY, Keys, signed

from edgeagents import Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.errors import ConfigError
from edgeagents.worker import Worker
from tests.s3_stand_in import KEYS, StandIn

pytestmark = pytest.mark.cloudflare(
    "Workers",
    "R2 at an S3-compatible service",
    "different: ours; `list` has metadata only when `include` asks for them",
)


@pytest.fixture
def service() -> Iterator[StandIn]:
    service = StandIn()
    yield service
    service.stop()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret)
    monkeypatch.delenv("AWS_REGION", raising=False)


def runtime_of(**options: Any) -> Runtime:
    worker = Worker("w", bindings=[BindingDeclaration("BUCKET", "r2_bucket", {"bucket_name": "files", **options})])
    return Runtime(worker, storage=None, plugins=[plugin], discover_plugins=False)


@pytest.fixture
async def bucket(service: StandIn, keys: None) -> AsyncIterator[Any]:
    async with runtime_of(endpoint=service.endpoint) as runtime:
        yield runtime.env.BUCKET


async def stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def test_a_request_is_signed_as_the_service_s_own_example_is():
    # The example in AWS's documentation of Signature Version 4: a GET with a range.
    keys = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
    now = datetime(2013, 5, 24, tzinfo=UTC)
    headers = signed("GET", "examplebucket.s3.amazonaws.com", "/test.txt", {}, {"range": "bytes=0-9"}, EMPTY, keys, now)
    signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert keys.secret not in repr(keys)


async def test_an_object_comes_back_with_what_is_told_of_it(bucket):
    made = await bucket.put(
        "dir/ä b+c.txt",
        "content",
        http_metadata={"contentType": "text/plain", "cacheExpiry": datetime(2030, 1, 1, tzinfo=UTC)},
        custom_metadata={"who": "me", "city": "Łódź"},
        storage_class="InfrequentAccess",
    )
    found = await bucket.get("dir/ä b+c.txt")
    assert await found.text() == "content"
    for told in (made, found, await bucket.head("dir/ä b+c.txt")):
        assert (told.key, told.size, told.etag) == ("dir/ä b+c.txt", 7, hashlib.md5(b"content").hexdigest())
        assert told.http_metadata == {"contentType": "text/plain", "cacheExpiry": datetime(2030, 1, 1, tzinfo=UTC)}
        assert told.custom_metadata == {"who": "me", "city": "Łódź"}
        assert (told.storage_class, told.checksums.md5) == ("InfrequentAccess", hashlib.md5(b"content").digest())
    assert found.uploaded == datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)
    with pytest.raises(TypeError, match="already been used"):
        await found.text()


async def test_what_is_not_there_is_none_and_deleting_it_is_no_error(bucket):
    assert await bucket.get("no") is None
    assert await bucket.head("no") is None
    await bucket.put("a", b"1")
    await bucket.put("b", stream(b"2", b"3"))
    assert await (await bucket.get("b")).bytes() == b"23"
    await bucket.delete(["a", "b", "no"])
    assert (await bucket.list())["objects"] == []


async def test_a_part_of_an_object_is_fetched(bucket):
    await bucket.put("a", b"0123456789")
    found = await bucket.get("a", range={"offset": 2, "length": 3})
    assert (await found.bytes(), found.range) == (b"234", {"offset": 2, "length": 3})
    assert await (await bucket.get("a", range={"suffix": 2})).text() == "89"
    with pytest.raises(R2Error, match="10039"):
        await bucket.get("a", range={"offset": 10})
    await bucket.put("empty", b"")
    assert await (await bucket.get("empty")).bytes() == b""


async def test_conditions_hold_or_not(bucket, service):
    first = await bucket.put("a", b"1", only_if={"etagDoesNotMatch": "*"})
    assert first is not None
    assert await bucket.put("a", b"2", only_if={"etagDoesNotMatch": "*"}) is None
    assert await bucket.put("a", b"2", only_if={"etagMatches": "other"}) is None
    assert await bucket.put("a", b"2", only_if={"etagMatches": first.etag}) is not None
    refused = await bucket.get("a", only_if={"etagMatches": first.etag})
    assert not hasattr(refused, "body")

    async def changed_meanwhile() -> AsyncIterator[bytes]:
        service.objects["a"] = (b"theirs", {})
        yield b"ours"

    now = await bucket.head("a")
    assert await bucket.put("a", changed_meanwhile(), only_if={"etagMatches": now.etag}) is None
    assert service.objects["a"][0] == b"theirs"


async def test_hashes_are_checked_and_kept(bucket, service):
    digest = hashlib.sha256(b"abc").hexdigest()
    await bucket.put("a", b"abc", sha256=digest)
    assert (await bucket.head("a")).checksums.to_json() == {"md5": hashlib.md5(b"abc").hexdigest(), "sha256": digest}
    with pytest.raises(R2Error, match="10037"):
        await bucket.put("b", b"abd", sha256=digest)
    assert "b" not in service.objects


async def test_keys_are_listed_page_by_page(bucket):
    for key in ("a", "b/1", "b/2", "c&d"):
        await bucket.put(key, key, custom_metadata={"k": "v"})
    first = await bucket.list(limit=2)
    assert ([each.key for each in first["objects"]], first["truncated"]) == (["a", "b/1"], True)
    second = await bucket.list(limit=2, cursor=first["cursor"], include=["customMetadata"])
    assert [(each.key, each.custom_metadata) for each in second["objects"]] == [
        ("b/2", {"k": "v"}),
        ("c&d", {"k": "v"}),
    ]
    assert "cursor" not in second
    grouped = await bucket.list(delimiter="/")
    assert ([each.key for each in grouped["objects"]], grouped["delimitedPrefixes"]) == (["a", "c&d"], ["b/"])
    assert [each.key for each in (await bucket.list(prefix="b/", start_after="b/1"))["objects"]] == ["b/2"]
    with pytest.raises(R2Error, match="10022"):
        await bucket.list(limit=1001)


async def test_an_object_comes_in_parts(bucket):
    upload = await bucket.create_multipart_upload(
        "big", custom_metadata={"k": "v"}, http_metadata={"contentType": "x/y"}
    )
    again = bucket.resume_multipart_upload("big", upload.upload_id)
    two, one = await again.upload_part(2, b"tail"), await upload.upload_part(1, stream(b"head ", b"and "))
    with pytest.raises(R2Error, match="10025"):
        await upload.complete([{"partNumber": 1, "etag": "0" * 32}])
    made = await upload.complete([two, one])
    assert made.etag.endswith("-2")
    assert (made.custom_metadata, made.http_metadata) == ({"k": "v"}, {"contentType": "x/y"})
    assert await (await bucket.get("big")).text() == "head and tail"
    with pytest.raises(R2Error, match="10024"):
        await again.upload_part(1, b"x")
    given_up = await bucket.create_multipart_upload("other")
    await given_up.abort()
    await given_up.abort()


async def test_what_the_service_refuses_is_told(service, keys, monkeypatch):
    async with runtime_of(endpoint=service.endpoint, bucket_name="others") as runtime:
        with pytest.raises(R2Error, match=r"list: The specified bucket does not exist. \(10006\)"):
            await runtime.env.BUCKET.list()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    async with runtime_of(endpoint=service.endpoint) as runtime:
        with pytest.raises(R2Error, match="10035"):
            await runtime.env.BUCKET.put("a", b"x")
    async with runtime_of(endpoint="http://127.0.0.1:9") as runtime:
        with pytest.raises(R2Error, match=r"http://127\.0\.0\.1:9 cannot be reached"):
            await runtime.env.BUCKET.head("a")


@pytest.mark.parametrize("name", ["EDGEAGENTS_R2_ENDPOINT", "EDGEAGENTS_R2_ENDPOINT_BUCKET"])
async def test_the_environment_can_name_the_service(service, keys, monkeypatch, name):
    monkeypatch.setenv(name, service.endpoint)
    async with runtime_of() as runtime:
        await runtime.env.BUCKET.put("a", b"x")
    assert service.requests == ["PUT /files/a"]


async def test_without_keys_or_a_url_it_does_not_start(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    with pytest.raises(ConfigError, match="needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        await runtime_of(endpoint="https://s3.example").start()
    with pytest.raises(ConfigError, match="is a URL such as"):
        await runtime_of(endpoint="s3.example").start()
