"""Plays: calls of bindings, made to workerd once and kept with its answers, and made to ours by the tests.

A step calls what ``do`` names, from an environment on (``KV.put``), with the values of ``with_``; or, without any,
reads a property. What it gives can be kept under a name and used by later steps.

    python -m tests.bindings.plays          record the answers of workerd (needs Node.js and tests/clients/workerd)
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
RECORDED: Final = HERE / "recorded"
Step = dict[str, Any]


def call(do: str, *with_: Any, keep: str | None = None, quiet: bool = False) -> Step:
    """Call a method. With ``keep`` what it gives has that name; ``quiet`` does not look at it."""
    return {"do": do, "with": list(with_), "as": keep, "quiet": quiet}


def read(do: str, *, keep: str | None = None) -> Step:
    """Read a property."""
    return {"do": do, "with": None, "as": keep, "quiet": False}


def special(kind: str, **of: Any) -> dict[str, Any]:
    """Return what JSON has no form for."""
    return {"$": kind, **of}


UNDEFINED: Final = special("undefined")
NAN: Final = special("number", of="NaN")


def raw(*values: int) -> dict[str, Any]:
    """Return an ArrayBuffer."""
    return special("bytes", bytes=list(values))


def zeros(length: int) -> dict[str, Any]:
    """Return an ArrayBuffer of zeros."""
    return special("zeros", length=length)


def many(of: str, times: int) -> dict[str, Any]:
    """Return a text that is repeated."""
    return special("text", of=of, times=times)


def ref(of: str) -> dict[str, Any]:
    """Return what a step has kept."""
    return special("ref", of=of)


def stream(of: str) -> dict[str, Any]:
    """Return a ReadableStream of known length."""
    return special("stream", of=of)


def headers(**of: str) -> dict[str, Any]:
    """Return a Headers."""
    return special("headers", of={name.replace("_", "-"): value for name, value in of.items()})


MIB: Final = 1024 * 1024
KV: Final = [
    call("KV.put", "text", "é"),
    call("KV.get", "text"),
    call("KV.get", "nowhere"),
    call("KV.get", "text", "arrayBuffer"),
    call("KV.get", "text", "stream"),
    call("KV.get", "text", {"type": "text", "cacheTtl": 60}),
    call("KV.get", "text", "json"),
    call("KV.get", "text", "xml"),
    call("KV.get", "text", {"type": "xml"}),
    call("KV.get", "text", {"cacheTtl": 10}),
    call("KV.get", "text", {"cacheTtl": 29.5}),
    call("KV.get", "text", {"cacheTtl": 0}),
    call("KV.get", "text", {"cacheTtl": -1}),
    call("KV.get", ""),
    call("KV.get", "."),
    call("KV.get", ".."),
    call("KV.get", many("a", 513)),
    call("KV.get", many("é", 257)),
    call("KV.get"),
    call("KV.put", "", "x"),
    call("KV.put", "..", "x"),
    call("KV.put", many("a", 512), "x"),
    call("KV.put", many("a", 513), "x"),
    call("KV.put", "number", 5),
    call("KV.put", "bool", True),
    call("KV.put", "null", None),
    call("KV.put", "undefined", UNDEFINED),
    call("KV.put", "object", {"a": 1}),
    call("KV.put", "list", [1, 2]),
    call("KV.put", "date", special("date", at=0)),
    call("KV.put", "map", special("map", of=[])),
    call("KV.get", "null"),
    call("KV.get", "number"),
    call("KV.put", "view", special("view", bytes=[1, 2, 255])),
    call("KV.get", "view", "arrayBuffer"),
    call("KV.get", "view"),
    call("KV.put", "stream", stream("piece by piece")),
    call("KV.get", "stream"),
    call("KV.put", "empty", ""),
    call("KV.get", "empty"),
    call("KV.get", "empty", "json"),
    call("KV.put", "e1", "x", {"expirationTtl": 59}),
    call("KV.put", "e1", "x", {"expirationTtl": 0}),
    call("KV.put", "e1", "x", {"expirationTtl": -5}),
    call("KV.put", "e1", "x", {"expirationTtl": 60.5}),
    call("KV.put", "e1", "x", {"expirationTtl": "100"}),
    call("KV.put", "e1", "x", {"expirationTtl": "abc"}),
    call("KV.put", "e1", "x", {"expirationTtl": NAN}),
    call("KV.put", "e1", "x", {"expirationTtl": 60}),
    call("KV.put", "e2", "x", {"expiration": 1000}),
    call("KV.put", "e2", "x", {"expiration": 0}),
    call("KV.put", "e2", "x", {"expiration": "abc"}),
    call("KV.put", "e3", "x", {"expiration": 33333333333}),
    call("KV.put", "e4", "x", {"expiration": 33333333333, "expirationTtl": 60}),
    call("KV.put", "m1", "x", {"metadata": {"a": [1, None, "é"]}}),
    call("KV.put", "m2", "x", {"metadata": "text"}),
    call("KV.put", "m3", "x", {"metadata": 7}),
    call("KV.put", "m4", "x", {"metadata": None}),
    call("KV.put", "m5", "x", {"metadata": many("a", 1022)}),
    call("KV.put", "m6", "x", {"metadata": many("a", 1023)}),
    call("KV.put", "m7", "x", {"metadata": False}),
    call("KV.getWithMetadata", "m1"),
    call("KV.getWithMetadata", "m2"),
    call("KV.getWithMetadata", "m3"),
    call("KV.getWithMetadata", "m4"),
    call("KV.getWithMetadata", "m7"),
    call("KV.getWithMetadata", "nowhere"),
    call("KV.getWithMetadata", "m1", "arrayBuffer"),
    call("KV.getWithMetadata", "m1", {"type": "json"}),
    call("KV.getWithMetadata", "m1", {"type": "text", "cacheTtl": 5}),
    call("KV.getWithMetadata", ""),
    call("KV.list"),
    call("KV.list", {"prefix": "m"}),
    call("KV.list", {"prefix": "m", "limit": 2}, keep="page"),
    call("KV.list", {"prefix": "m", "limit": 2, "cursor": ref("page.cursor")}, keep="page"),
    call("KV.list", {"prefix": "m", "limit": 2, "cursor": ref("page.cursor")}, keep="page"),
    call("KV.list", {"prefix": "m", "limit": 4}, keep="page"),
    call("KV.list", {"prefix": "zzz"}),
    call("KV.list", {"prefix": ""}),
    call("KV.list", {"prefix": None, "limit": None, "cursor": None}),
    call("KV.list", None),
    call("KV.list", {"limit": 0}),
    call("KV.list", {"limit": -1}),
    call("KV.list", {"limit": 1001}),
    call("KV.list", {"limit": 1000}),
    call("KV.list", {"limit": 2.5}),
    call("KV.list", {"limit": "2"}),
    call("KV.list", {"cursor": "???"}),
    call("KV.list", {"cursor": ""}),
    call("KV.list", {"prefix": many("a", 513)}),
    call("KV.get", ["m1", "nowhere", "text"]),
    call("KV.get", ["m1", "m1"]),
    call("KV.get", ["text"], "json"),
    call("KV.get", ["text"], "arrayBuffer"),
    call("KV.get", ["text"], "stream"),
    call("KV.get", ["text"], {"type": "json"}),
    call("KV.get", []),
    call("KV.get", [f"k{n}" for n in range(101)]),
    call("KV.get", ["text", ""]),
    call("KV.get", ["text", "."]),
    call("KV.get", ["text", many("a", 513)]),
    call("KV.put", "j", '{"a": 1}'),
    call("KV.get", ["j", "nowhere"], "json"),
    call("KV.getWithMetadata", ["m1", "j", "nowhere"]),
    call("KV.getWithMetadata", ["j"], {"type": "json"}),
    call("KV.getWithMetadata", ["j"], "stream"),
    call("KV.getWithMetadata", []),
    call("KV.delete", "m1"),
    call("KV.delete", "m1"),
    call("KV.delete", ""),
    call("KV.delete", many("a", 513)),
    call("KV.delete", ["m2", "m3"]),
    call("KV.get", "m2"),
    call("KV.get", "m1"),
    call("KV.put", "large", zeros(25 * MIB)),
    call("KV.put", "large", zeros(25 * MIB + 1)),
    call("KV.get", ["large", "large", "j"]),
    call("KV.get", 5),
    call("KV.put", 5, "five"),
    call("KV.get", "5"),
    call("KV.put", "only key"),
    call("KV.put", "o", "x", None),
]
R2: Final = [
    call("R2.put", "a", "hello", keep="put"),
    call("R2.head", "a"),
    call("R2.head", "nowhere"),
    call("R2.get", "nowhere"),
    call("R2.get", "a", keep="got"),
    call("got.text"),
    read("got.bodyUsed"),
    call("got.text"),
    call("R2.get", "a", {"range": {"offset": 1, "length": 2}}, keep="got"),
    call("got.text"),
    call("R2.get", "a", {"range": {"offset": 2}}, keep="got"),
    call("got.text"),
    call("R2.get", "a", {"range": {"length": 2}}, keep="got"),
    call("got.text"),
    call("R2.get", "a", {"range": {"suffix": 2}}, keep="got"),
    call("got.text"),
    call("R2.get", "a", {"range": {"suffix": 99}}, keep="got"),
    call("got.text"),
    call("R2.get", "a", {"range": {"suffix": 0}}),
    call("R2.get", "a", {"range": {"offset": 5}}),
    call("R2.get", "a", {"range": {"offset": 9}}),
    call("R2.get", "a", {"range": {"offset": 4, "length": 99}}, keep="got"),
    call("R2.get", "a", {"range": {"offset": 1, "length": 0}}),
    call("R2.get", "a", {"range": {"offset": -1}}),
    call("R2.get", "a", {"range": {"length": -1}}),
    call("R2.get", "a", {"range": {"suffix": -1}}),
    call("R2.get", "a", {"range": {"offset": 1.5}}),
    call("R2.get", "a", {"range": {"suffix": 1, "offset": 1}}),
    call("R2.get", "a", {"range": {"suffix": 1, "length": 1}}),
    call("R2.get", "a", {"range": {}}),
    call("R2.get", "a", {"range": headers(range="bytes=1-3")}, keep="got"),
    call("got.text"),
    call("R2.get", "a", {"range": headers(range="bytes=3-")}),
    call("R2.get", "a", {"range": headers(range="bytes=-2")}),
    call("R2.get", "a", {"range": headers(range="bytes=0-1,3-4")}),
    call("R2.get", "a", {"range": headers(range="bytes=9-")}),
    call("R2.get", "a", {"range": headers(range="bytes=3-1")}),
    call("R2.get", "a", {"range": headers(range="lines=1-2")}),
    call("R2.get", "a", {"range": headers(accept="x")}),
    call("R2.put", "empty", None),
    call("R2.get", "empty", keep="got"),
    call("got.text"),
    call("R2.get", "empty", {"range": {"offset": 0}}),
    call("R2.get", "empty", {"range": {"suffix": 1}}),
    call("R2.put", "undefined", UNDEFINED),
    call("R2.put", "number", 5),
    call("R2.put", "object", {"a": 1}),
    call("R2.put", "stream", stream("piece by piece")),
    call("R2.get", "stream", keep="got"),
    call("got.arrayBuffer"),
    call("R2.put", "json", '{"a": 1}'),
    call("R2.get", "json", keep="got"),
    call("got.json"),
    call("R2.get", "a", keep="got"),
    call("got.json"),
    call("R2.get", "a", keep="got"),
    call("got.bytes"),
    call(
        "R2.put",
        "b",
        raw(1, 2, 3),
        {
            "httpMetadata": {
                "contentType": "text/x",
                "contentLanguage": "de",
                "contentDisposition": "inline",
                "contentEncoding": "gzip",
                "cacheControl": "no-store",
                "cacheExpiry": special("date", at=1_000_000_000_000),
            },
            "customMetadata": {"k": "v", "É": "ü"},
            "storageClass": "InfrequentAccess",
        },
    ),
    call("R2.head", "b", keep="head"),
    call("head.writeHttpMetadata", special("headers", of={})),
    call(
        "R2.put",
        "c",
        "x",
        {
            "httpMetadata": headers(
                content_type="text/plain",
                cache_control="max-age=1",
                expires="Wed, 21 Oct 2099 07:28:00 GMT",
                x_other="1",
            )
        },
    ),
    call("R2.put", "c", "x", {"storageClass": "Nope"}),
    call("R2.put", "c", "x", {"httpMetadata": {"contentType": 5, "other": "x"}}),
    call("R2.put", "c", "x", {"customMetadata": {"n": 5}}),
    call("R2.put", "c", "x", {"customMetadata": {"n": many("a", 2047)}}),
    call("R2.put", "c", "x", {"customMetadata": {"n": many("a", 2048)}}),
    call("R2.put", "c", "x", {"customMetadata": {"n": many("é", 1024)}}),
    call("R2.put", many("k", 1024), "x"),
    call("R2.put", many("k", 1025), "x"),
    call("R2.put", "sum", "hello", {"md5": "5d41402abc4b2a76b9719d911017c592"}),
    call("R2.put", "sum", "hello", {"md5": "5d41402abc4b2a76b9719d911017c593"}),
    call("R2.put", "sum", "hello", {"md5": "xyz"}),
    call("R2.put", "sum", "hello", {"md5": "5d41"}),
    call("R2.put", "sum", "hello", {"md5": raw(1, 2)}),
    call("R2.put", "sum", "hello", {"sha1": "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"}),
    call("R2.head", "sum"),
    call("R2.put", "sum", "hello", {"sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}),
    call("R2.put", "sum", "hello", {"sha256": "00f24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}),
    call("R2.put", "sum", "hello", {"sha512": "aa"}),
    call(
        "R2.put",
        "sum",
        "hello",
        {"sha384": "59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f"},
    ),
    call(
        "R2.put",
        "sum",
        "hello",
        {"md5": "5d41402abc4b2a76b9719d911017c592", "sha1": "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"},
    ),
    call("R2.put", "cond", "one", {"onlyIf": {"etagMatches": "nope"}}),
    call("R2.put", "cond", "one", {"onlyIf": {"etagDoesNotMatch": "*"}}),
    call("R2.put", "cond", "two", {"onlyIf": {"etagDoesNotMatch": "*"}}),
    call("R2.put", "cond", "two", {"onlyIf": headers(if_none_match="*")}),
    call("R2.head", "cond", keep="head"),
    call("R2.put", "cond", "one", {"onlyIf": {"etagMatches": ref("head.etag")}}),
    call("R2.put", "cond", "one", {"onlyIf": {"etagMatches": "*"}}),
    call("R2.put", "cond", "one", {"onlyIf": {"etagDoesNotMatch": ref("head.etag")}}),
    call("R2.put", "nowhere2", "one", {"onlyIf": {"etagDoesNotMatch": "abc"}}),
    call("R2.put", "nowhere3", "one", {"onlyIf": {"uploadedBefore": special("now", ms=100000)}}),
    call("R2.put", "nowhere4", "one", {"onlyIf": {"uploadedAfter": special("date", at=1000)}}),
    call("R2.get", "cond", {"onlyIf": {"etagMatches": "nope"}}),
    call("R2.get", "cond", {"onlyIf": {"etagMatches": ref("head.httpEtag")}}),
    call("R2.get", "cond", {"onlyIf": {"etagDoesNotMatch": ref("head.etag")}}),
    call("R2.get", "cond", {"onlyIf": {"etagDoesNotMatch": "other"}}),
    call("R2.get", "cond", {"onlyIf": {"uploadedBefore": special("date", at=1000)}}),
    call("R2.get", "cond", {"onlyIf": {"uploadedBefore": special("now", ms=100000)}}),
    call("R2.get", "cond", {"onlyIf": {"uploadedAfter": special("now", ms=100000)}}),
    call("R2.get", "cond", {"onlyIf": {"uploadedAfter": special("date", at=1000)}}),
    call("R2.get", "cond", {"onlyIf": {"etagMatches": ref("head.etag"), "uploadedBefore": special("date", at=1000)}}),
    call("R2.get", "cond", {"onlyIf": {"etagDoesNotMatch": "other", "uploadedAfter": special("now", ms=100000)}}),
    call(
        "R2.get", "cond", {"onlyIf": {"etagDoesNotMatch": ref("head.etag"), "uploadedAfter": special("date", at=1000)}}
    ),
    call("R2.get", "cond", {"onlyIf": headers(if_match='"nope"')}),
    call("R2.get", "cond", {"onlyIf": headers(if_none_match='W/"nope", "other"')}),
    call("R2.get", "cond", {"onlyIf": headers(if_modified_since="Wed, 21 Oct 2015 07:28:00 GMT")}),
    call("R2.get", "cond", {"onlyIf": headers(if_unmodified_since="Wed, 21 Oct 2015 07:28:00 GMT")}),
    call("R2.get", "cond", {"onlyIf": headers(if_modified_since="Wed, 21 Oct 2099 07:28:00 GMT")}),
    call("R2.get", "cond", {"onlyIf": headers(if_modified_since="nonsense")}),
    call("R2.get", "cond", {"onlyIf": {}}),
    call(
        "R2.delete",
        ["cond", "b", "nowhere", many("k", 1024), "nowhere2", "nowhere3", "c", "number", "object", "undefined"],
    ),
    call("R2.delete", "nowhere"),
    call("R2.delete", []),
    call("R2.delete", [f"k{n}" for n in range(1001)]),
    call("R2.list"),
    *[
        call(
            "R2.put",
            f"dir/{name}",
            "x",
            {"customMetadata": {"n": name}, "httpMetadata": {"contentType": "a/b"}},
            keep="p",
            quiet=True,
        )
        for name in ("a", "b/1", "b/2", "c", "d/3")
    ],
    call("R2.list", {"prefix": "dir/"}),
    call("R2.list", {"prefix": "dir/", "delimiter": "/"}),
    call("R2.list", {"delimiter": "/"}),
    call("R2.list", {"prefix": "dir", "delimiter": "/"}),
    call("R2.list", {"prefix": "dir/", "delimiter": "/", "limit": 2}, keep="page"),
    call("R2.list", {"prefix": "dir/", "delimiter": "/", "limit": 2, "cursor": ref("page.cursor")}),
    call("R2.list", {"prefix": "dir/", "limit": 3}, keep="page"),
    call("R2.list", {"prefix": "dir/", "limit": 3, "cursor": ref("page.cursor")}),
    call("R2.list", {"prefix": "dir/", "startAfter": "dir/b/1"}),
    call("R2.list", {"prefix": "dir/", "startAfter": "dir/b/1", "limit": 1}),
    call("R2.list", {"prefix": "dir/", "include": ["customMetadata"]}),
    call("R2.list", {"prefix": "dir/", "include": ["httpMetadata", "customMetadata"], "limit": 1}),
    call("R2.list", {"prefix": "dir/", "include": []}),
    call("R2.list", {"prefix": "dir/", "include": ["nope"]}),
    call("R2.list", {"limit": 0}),
    call("R2.list", {"limit": 1001}),
    call("R2.list", {"limit": -1}),
    call("R2.list", {"limit": 1.5}),
    call("R2.list", {"cursor": "???"}),
    call("R2.list", {"prefix": "dir/", "delimiter": "b/"}),
    call("R2.list", {"prefix": "dir/", "delimiter": ""}),
    call(
        "R2.createMultipartUpload",
        "multi",
        {"customMetadata": {"a": "b"}, "httpMetadata": {"contentType": "x/y"}},
        keep="up",
    ),
    call("up.uploadPart", 0, "x"),
    call("up.uploadPart", 10001, "x"),
    call("up.uploadPart", 1, zeros(5 * MIB), keep="p1"),
    call("up.uploadPart", 2, "end", keep="p2"),
    call("up.complete", [ref("p1"), ref("p2")]),
    call("up.complete", [ref("p1"), ref("p2")]),
    call("up.uploadPart", 3, "x"),
    call("up.abort"),
    call("R2.head", "multi"),
    call("R2.get", "multi", {"range": {"suffix": 4}}, keep="got"),
    call("got.text"),
    call("R2.createMultipartUpload", "multi2", keep="up"),
    call("up.uploadPart", 1, "small", keep="p1"),
    call("up.uploadPart", 2, "end", keep="p2"),
    call("up.complete", [ref("p1"), ref("p2")]),
    call("up.complete", [{"partNumber": 1, "etag": "nope"}]),
    call("up.complete", [{"partNumber": 7, "etag": "nope"}]),
    call("up.complete", []),
    call("up.complete", [ref("p2"), ref("p2")]),
    call("up.complete", [{"partNumber": 1}]),
    call("up.complete", [ref("p2")]),
    call("R2.createMultipartUpload", "multi3", keep="up"),
    call("R2.resumeMultipartUpload", "multi3", ref("up.uploadId"), keep="again"),
    call("again.uploadPart", 1, zeros(5 * MIB), keep="p1"),
    call("again.uploadPart", 2, zeros(6 * MIB), keep="p2"),
    call("again.uploadPart", 3, "end", keep="p3"),
    call("up.complete", [ref("p1"), ref("p2"), ref("p3")]),
    call("up.complete", [ref("p3"), ref("p1")]),
    call("up.abort"),
    call("up.abort"),
    call("R2.resumeMultipartUpload", "multi3", "unknown", keep="bad"),
    call("bad.uploadPart", 1, "x"),
    call("bad.complete", []),
    call("bad.abort"),
    call("R2.createMultipartUpload", "multi4", {"storageClass": "Nope"}),
    call("R2.createMultipartUpload", many("k", 1025)),
]
D1: Final = [
    call("DB.exec", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, data BLOB)"),
    call("DB.prepare", "INSERT INTO t (name, data) VALUES (?, ?)", keep="insert", quiet=True),
    call("insert.bind", "a", raw(1, 255), keep="bound", quiet=True),
    call("bound.run"),
    call("bound.run"),
    call("insert.bind", "b", None, keep="bound", quiet=True),
    call("bound.run"),
    call("DB.prepare", "SELECT * FROM t", keep="select", quiet=True),
    call("select.all"),
    call("select.run"),
    call("select.first"),
    call("select.first", "name"),
    call("select.first", "nope"),
    call("select.first", None),
    call("select.raw"),
    call("select.raw", {"columnNames": True}),
    call("select.raw", {"columnNames": False}),
    call("DB.prepare", "SELECT * FROM t WHERE id > 99", keep="none", quiet=True),
    call("none.all"),
    call("none.first"),
    call("none.first", "name"),
    call("none.raw"),
    call("none.raw", {"columnNames": True}),
    *[
        step
        for number, values in enumerate(
            [
                [True],
                [False],
                [1.5],
                [1e300],
                [9007199254740993],
                [-1],
                ["text"],
                [""],
                [None],
                [UNDEFINED],
                [{"a": 1}],
                [[1, 2, 300]],
                [["a"]],
                [[]],
                [special("view", bytes=[1, 2])],
                [raw()],
                [special("date", at=0)],
                [NAN],
                [many("a", 400)],
                [],
                [1, 2],
            ]
        )
        for step in (
            call("DB.prepare", "SELECT ? AS v, typeof(?1) AS t", keep="v", quiet=True),
            call("v.bind", *values, keep="bound", quiet=True),
            call("bound.first"),
        )
    ],
    *[
        step
        for sql, values in [
            ("SELECT ?, ?", [1]),
            ("SELECT ?2 AS a, ?1 AS b", [1, 2]),
            ("SELECT ?3 AS a", [1, 2, 3]),
            ("SELECT :a", [1]),
            ("SELECT 1", [1]),
            ("SELECT ?", [*range(100)]),
        ]
        for step in (
            call("DB.prepare", sql, keep="v", quiet=True),
            call("v.bind", *values, keep="bound", quiet=True),
            call("bound.all"),
        )
    ],
    *[
        step
        for sql in [
            "INVALID",
            "SELECT * FROM nowhere",
            "SELECT nope FROM t",
            "",
            "  ",
            "-- nothing",
            "/* nothing */",
            ";",
            "BEGIN",
            "BEGIN TRANSACTION",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT a",
            "ATTACH 'x' AS y",
            "VACUUM",
            "PRAGMA user_version",
            "PRAGMA table_info(t)",
            "PRAGMA foreign_keys",
            "PRAGMA journal_mode",
            "PRAGMA table_list",
            "PRAGMA index_list(t)",
            "PRAGMA optimize",
            "PRAGMA quick_check",
            "PRAGMA page_count",
            "PRAGMA compile_options",
            "PRAGMA function_list",
            "PRAGMA defer_foreign_keys = on",
            "PRAGMA recursive_triggers",
            "PRAGMA case_sensitive_like = 1",
            "SELECT 1; SELECT 2",
            "SELECT 1;",
            "SELECT 1; -- end",
            "SELECT 1 AS a, 2 AS a",
            "SELECT 1 AS a, NULL AS b, x'0102' AS c, 1.0 AS d, 'é' AS e",
            "SELECT 9223372036854775807 AS n",
            "SELECT 9007199254740993 AS n",
            "SELECT 1e999 AS n",
            "SELECT sqlite_version() IS NOT NULL AS v",
            "INSERT INTO t (name) VALUES ('a')",
            "INSERT INTO t (id) VALUES ('x')",
            'INSERT INTO t (name) VALUES ("quoted")',
            "INSERT INTO t (name) VALUES ('c') RETURNING id, name",
            "UPDATE t SET name = name || '!' WHERE id < 3",
            "DELETE FROM t WHERE id = 99",
            "DELETE FROM t WHERE id = 2",
            "CREATE TABLE u (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (id))",
            "CREATE TABLE u (id)",
            "CREATE TABLE IF NOT EXISTS u (id)",
            "INSERT INTO u (t) VALUES (99)",
            "CREATE INDEX i ON u (t)",
            "DROP TABLE nowhere",
            "CREATE TABLE _cf_x (id)",
            "SELECT * FROM _cf_KV",
            "SELECT * FROM sqlite_master WHERE name = 'u'",
            "ALTER TABLE u ADD COLUMN c TEXT NOT NULL DEFAULT 'x'",
            "SELECT json_extract('{\"a\": [1, 2]}', '$.a[1]') AS j",
            "SELECT load_extension('x')",
            "SELECT 'a' REGEXP 'b'",
            "SELECT abs(-9223372036854775808)",
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT sum(n) AS s FROM c",
            "EXPLAIN QUERY PLAN SELECT * FROM t",
            "CREATE VIRTUAL TABLE f USING fts5(body)",
            "INSERT INTO f VALUES ('hello world')",
            "SELECT body FROM f WHERE f MATCH 'hello'",
            "CREATE TRIGGER g AFTER INSERT ON u BEGIN DELETE FROM u WHERE id < 0; END",
            "INSERT INTO t (id, name) VALUES (50, 'x'), (51, 'y')",
            "REPLACE INTO t (id, name) VALUES (50, 'z')",
            "SELECT last_insert_rowid() AS l, changes() AS c",
            "CREATE TEMP TABLE tt (id)",
            "CREATE TABLE strict (a INTEGER NOT NULL CHECK (a > 0)) STRICT",
            "INSERT INTO strict VALUES ('x')",
            "INSERT INTO strict VALUES (-1)",
            "INSERT INTO strict VALUES (NULL)",
            "INSERT OR IGNORE INTO t (id, name) VALUES (50, 'z')",
            "SELECT name FROM t WHERE name LIKE '%' ORDER BY id LIMIT 2 OFFSET 1",
        ]
        for step in (call("DB.prepare", sql, keep="s", quiet=True), call("s.all"))
    ],
    call("DB.prepare", 5, keep="s", quiet=True),
    call("DB.exec", "INSERT INTO t (name) VALUES ('e1');\nINSERT INTO t (name) VALUES ('e2');"),
    call("DB.exec", "INSERT INTO t (name) VALUES ('e3'); INSERT INTO t (name) VALUES ('e4');"),
    call("DB.exec", "SELECT 1\nNOPE"),
    call("DB.exec", "SELECT 1\n\nSELECT 2\n"),
    call("DB.exec", "INSERT INTO t (name) VALUES ('kept')\nINSERT INTO t (name) VALUES ('a!')"),
    call("DB.exec", ""),
    call("DB.exec", "   "),
    call("DB.exec", "-- comment"),
    call("DB.exec", "SELECT 1;\n-- comment\nSELECT 2;"),
    call("DB.exec", "INSERT INTO t (name) VALUES (?)"),
    call("DB.prepare", "SELECT count(*) AS n FROM t", keep="count", quiet=True),
    call("count.first", "n"),
    call("insert.bind", "batch", None, keep="b1", quiet=True),
    call("insert.bind", "batch2", None, keep="b2", quiet=True),
    call("DB.batch", [ref("b1"), ref("b2"), ref("count")]),
    call("DB.batch", [ref("b1"), ref("count")]),
    call("insert.bind", "rolled back", None, keep="b3", quiet=True),
    call("DB.batch", [ref("b3"), ref("b1")]),
    call("count.first", "n"),
    call("DB.batch", []),
    call("DB.batch", [5]),
    call("DB.batch", "x"),
    call("DB.dump"),
    call("DB.withSession", keep="session", quiet=True),
    call("session.getBookmark"),
    call("DB.withSession", "first-primary", keep="session", quiet=True),
    call("session.getBookmark"),
    call("session.prepare", "SELECT 1 AS one", keep="s", quiet=True),
    call("s.all"),
    call("DB.withSession", "", keep="session", quiet=True),
    call("DB.withSession", "nonsense", keep="session", quiet=True),
    call("session.getBookmark"),
    call("DB.withSession", 5, keep="session", quiet=True),
]
QUEUES: Final = [
    call("QUEUE.send", {"a": 1}),
    call("QUEUE.send", None),
    call("QUEUE.send", UNDEFINED),
    call("QUEUE.send"),
    call("QUEUE.send", "text", {"contentType": "text"}),
    call("QUEUE.send", {"a": 1}, {"contentType": "text"}),
    call("QUEUE.send", 5, {"contentType": "text"}),
    call("QUEUE.send", None, {"contentType": "text"}),
    call("QUEUE.send", raw(1, 2), {"contentType": "bytes"}),
    call("QUEUE.send", special("view", bytes=[1]), {"contentType": "bytes"}),
    call("QUEUE.send", "text", {"contentType": "bytes"}),
    call("QUEUE.send", special("date", at=0), {"contentType": "v8"}),
    call("QUEUE.send", special("map", of=[["a", 1]]), {"contentType": "v8"}),
    call("QUEUE.send", special("function"), {"contentType": "v8"}),
    call("QUEUE.send", special("function")),
    call("QUEUE.send", "x", {"contentType": "xml"}),
    call("QUEUE.send", "x", {"contentType": None}),
    call("QUEUE.send", "x", {"delaySeconds": 5}),
    call("QUEUE.send", "x", {"delaySeconds": -1}),
    call("QUEUE.send", "x", {"delaySeconds": 86400}),
    call("QUEUE.send", "x", {"delaySeconds": 86401}),
    call("QUEUE.send", "x", {"delaySeconds": 1.5}),
    call("QUEUE.send", "x", {"delaySeconds": "5"}),
    call("QUEUE.send", many("a", 127_998)),
    call("QUEUE.send", many("a", 127_999)),
    call("QUEUE.send", many("a", 128_001), {"contentType": "text"}),
    call("QUEUE.send", zeros(128_001), {"contentType": "bytes"}),
    call("QUEUE.sendBatch", [{"body": 1}, {"body": "b", "contentType": "text", "delaySeconds": 3}]),
    call("QUEUE.sendBatch", [{"body": 1}], {"delaySeconds": 10}),
    call("QUEUE.sendBatch", [{"body": 1}], {"delaySeconds": -10}),
    call("QUEUE.sendBatch", [{"body": 1, "delaySeconds": 86401}]),
    call("QUEUE.sendBatch", []),
    call("QUEUE.sendBatch", [{"body": n} for n in range(100)]),
    call("QUEUE.sendBatch", [{"body": n} for n in range(101)]),
    call("QUEUE.sendBatch", [{"body": many("a", 100_000)} for _ in range(3)]),
    call("QUEUE.sendBatch", [{"body": many("a", 120_000)} for _ in range(2)]),
    call("QUEUE.sendBatch", [{}]),
    call("QUEUE.sendBatch", [{"body": UNDEFINED}]),
    call("QUEUE.sendBatch", [{"body": 1, "contentType": "text"}]),
    call("QUEUE.sendBatch", [5]),
    call("QUEUE.sendBatch", "x"),
    call("QUEUE.sendBatch", {"body": 1}),
]


def batch(**does: list[str]) -> list[Step]:
    """Send messages, each with what its handler does, and look at what came when."""
    messages = [{"body": {"name": name, "does": words}} for name, words in does.items()]
    return [call("WORK.sendBatch", messages, keep="sent", quiet=True), call("handled")]


CONSUMER: Final = [
    *batch(a=[], b=["ack"]),
    *batch(a=["retry"]),
    *batch(a=["ack"], b=["throw"]),
    *batch(a=["retry"], b=["throw"], c=[]),
    *batch(a=["ack", "retry"]),
    *batch(a=["retry", "ack"]),
    *batch(a=["ackAll"], b=[]),
    *batch(a=["retryAll"], b=[]),
    *batch(a=["retryAll"], b=["ack"]),
    *batch(a=["ackAll"], b=["retry"]),
    *batch(a=["ackAll", "retryAll"]),
    *batch(a=["retryAll", "ackAll"]),
    *batch(a=["ackAll"], b=["throw"]),
    *batch(a=["ack", "retryAll"]),
    *batch(a=["ack"], b=["retryAll", "throw"]),
]
LIMIT: Final = [
    call("LIMIT.limit", {"key": "a"}),
    call("LIMIT.limit", {"key": "a"}),
    call("LIMIT.limit", {"key": "a"}),
    call("LIMIT.limit", {"key": "b"}),
    call("LIMIT.limit", {"key": ""}),
    call("LIMIT.limit", {"key": 5}),
    call("LIMIT.limit", {}),
    call("LIMIT.limit", None),
    call("LIMIT.limit"),
    call("LIMIT.limit", "a"),
    call("LIMIT.limit", {"key": "c", "limit": 1}),
    call("LIMIT.limit", {"key": "c", "limit": 1}),
    call("LIMIT.limit", {"key": "d", "period": 10}),
    call("LIMIT.limit", {"key": "d", "period": 11}),
    call("LIMIT.limit", {"key": "d", "limit": -1}),
    call("LIMIT.limit", {"key": "d", "other": 1}),
]


def flow(instance: str, *program: dict[str, Any], ends: str = "complete") -> list[Step]:
    """Run a workflow with this program, and look at how it ends."""
    return [
        call("FLOW.create", {"id": instance, "params": {"program": list(program)}}, keep=instance, quiet=True),
        call("until", ref(instance), ends),
    ]


def do(name: str, **what: Any) -> dict[str, Any]:
    """Run a step."""
    return {"op": "do", "name": name, **what}


def op(op: str, **what: Any) -> dict[str, Any]:
    """Do something else."""
    return {"op": op, **what}


SOON: Final = {"retries": {"limit": 2, "delay": 1, "backoff": "constant"}}
FLOWS: Final = [
    *flow("nothing"),
    *flow(
        "values", *(do(f"v{n}", value=value) for n, value in enumerate([1, "é", None, True, [1, {"a": []}], 1.5, ""]))
    ),
    *flow("undefined", do("a")),
    *flow("event", op("event")),
    *flow("context", do("a", context=True, config=SOON), do("a", context=True, config=SOON), do("b", context=True)),
    *flow("again", do("a", fails=2, value="third", config=SOON)),
    *flow("fails", do("a", fails=3, message="no luck", config=SOON), ends="errored"),
    *flow("caught", do("a", fails=9, message="no luck", config=SOON, caught=True), do("b", value="after")),
    *flow("final", do("a", final="never", config=SOON), ends="errored"),
    *flow("final-caught", do("a", final="never", config=SOON, caught=True)),
    *flow("final-empty", do("a", final="", config=SOON, caught=True)),
    *flow("throws", op("throw", message="from run"), ends="errored"),
    *flow(
        "late", do("a", hangs=True, config={**SOON, "retries": {"limit": 0, "delay": 1}, "timeout": 50}, caught=True)
    ),
    *flow("code", do("a", code=True, config=SOON, caught=True), ends="errored"),
    *flow(
        "sleeps",
        op("sleep", name="s", **{"for": 10}),
        op("until", name="u", ms=30),
        op("sleep", name="s", **{"for": "1 ms"}),
        ends="complete",
    ),
    *flow("no-time", op("sleep", name="s", **{"for": 0})),
    *flow("past", op("until", name="u", ms=-1000, caught=True)),
    *flow("control", do("a\n", value=1, caught=True)),
    *flow("no-name", do("", value=1, caught=True)),
    *flow("bad-limit", do("a", value=1, config={"retries": {"limit": -1, "delay": 1}}, caught=True)),
    *flow(
        "bad-backoff", do("a", value=1, config={"retries": {"limit": 1, "delay": 1, "backoff": "square"}}, caught=True)
    ),
    *flow("bad-delay", do("a", value=1, config={"retries": {"limit": 1, "delay": "soon"}}, caught=True)),
    *flow("bad-key", do("a", value=1, config={"tries": 1}, caught=True)),
    *flow("empty-config", do("a", value=1, config={})),
    *flow("too-late", op("wait", name="w", type="go", timeout=30, caught=True)),
    *flow(
        "waits", op("wait", name="w", type="go", timeout="1 minute"), op("wait", name="w", type="go"), ends="waiting"
    ),
    call("waits.sendEvent", {"type": "other", "payload": 0}),
    call("waits.sendEvent", {"type": "go", "payload": {"n": 1}}),
    call("waits.sendEvent", {"type": "go"}),
    call("until", ref("waits"), "complete"),
    call("waits.sendEvent", {"type": "go"}),
    call("waits.sendEvent", {}),
    call("waits.sendEvent", {"payload": 1}),
    call("waits.pause"),
    call("waits.resume"),
    call("waits.terminate"),
    call("FLOW.create", {"id": "waits"}),
    call("FLOW.create", {"id": "-bad"}),
    call("FLOW.create", {"id": "bad id"}),
    call("FLOW.create", {"id": ""}),
    call("FLOW.create", {"id": many("a", 100)}, keep="long", quiet=True),
    call("FLOW.create", {"id": many("a", 101)}),
    call("FLOW.create", {"id": 5}),
    call("FLOW.create", keep="random", quiet=True),
    call("until", ref("random"), "complete"),
    call("FLOW.create", {"params": 5}, keep="five", quiet=True),
    call("until", ref("five"), "complete"),
    call("FLOW.get", "nowhere"),
    call("FLOW.get", "waits", keep="same", quiet=True),
    read("same.id"),
    call("FLOW.createBatch", []),
    call("FLOW.createBatch", [{"id": "b1"}, {"id": "b2", "params": {"program": []}}]),
    call("FLOW.createBatch", [{"id": "b2"}, {"id": "b3"}]),
    *flow("stopped", do("a", value=1), op("wait", name="w", type="go"), ends="waiting"),
    call("stopped.terminate"),
    call("until", ref("stopped"), "terminated"),
    call("stopped.terminate"),
    call("stopped.pause"),
    call("stopped.resume"),
    call("stopped.sendEvent", {"type": "go"}),
    call("stopped.restart"),
    call("until", ref("stopped"), "waiting"),
    call("stopped.sendEvent", {"type": "go", "payload": "again"}),
    call("until", ref("stopped"), "complete"),
    call("stopped.restart"),
    call("until", ref("stopped"), "waiting"),
    call("stopped.pause"),
    call("until", ref("stopped"), "paused"),
    call("stopped.pause"),
    call("stopped.sendEvent", {"type": "go", "payload": "while paused"}),
    call("stopped.resume"),
    call("until", ref("stopped"), "complete"),
]
PLAYS: Final[dict[str, list[Step]]] = {
    "kv": KV,
    "r2": R2,
    "d1": D1,
    "queues": QUEUES,
    "consumer": CONSUMER,
    "ratelimit": LIMIT,
    "workflows": FLOWS,
}


def main() -> None:
    """Record the answers."""
    done = subprocess.run(["node", HERE / "record.mjs"], input=json.dumps(PLAYS), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(done.returncode)
    for name, answers in json.loads(done.stdout).items():
        lines = [
            json.dumps({"do": step["do"], "with": step["with"], "answer": answer}, ensure_ascii=False)
            for step, answer in zip(PLAYS[name], answers, strict=True)
        ]
        (RECORDED / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
