"""A small S3-compatible service on loopback: one bucket in memory, every request's signature checked."""

from __future__ import annotations

import hashlib
import re
import threading
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from xml.sax.saxutils import escape

from edgeagents_r2.s3_signing import Keys, signed

KEYS = Keys("key-of-the-test", "secret-of-the-test")
_PAIR = re.compile(r"(\w+)=([^,]+)")
_KEPT = ("content-type", "content-language", "content-disposition", "content-encoding", "cache-control", "expires")


class StandIn:
    """The service. ``requests`` are the methods and paths that were asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, dict[str, str]]] = {}
        self.uploads: dict[str, tuple[str, dict[str, str], dict[int, bytes]]] = {}
        self.requests: list[str] = []
        stand_in = self

        class Handler(_Handler):
            service = stand_in

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    service: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def answer(self) -> None:
        """Answer a request of any method."""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        _, bucket, *rest = unquote(parts.path).split("/", 2)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.service.requests.append(f"{self.command} {parts.path}")
        if not self._is_signed(parts.path, query):
            self._refuse(403, "SignatureDoesNotMatch", "The signature is another one.")
        elif bucket != "files":
            self._refuse(404, "NoSuchBucket", "The specified bucket does not exist.")
        elif not rest:
            self._list(query)
        elif "uploads" in query or "uploadId" in query:
            self._upload(rest[0], query, body)
        else:
            self._object(rest[0], body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

    def _is_signed(self, path: str, query: dict[str, str]) -> bool:
        given = dict(_PAIR.findall(self.headers.get("authorization", "")))
        names = given["SignedHeaders"].split(";")
        headers = {name: self.headers[name] for name in names if name not in ("host", "x-amz-date")}
        digest = headers.pop("x-amz-content-sha256")
        when = datetime.strptime(self.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        again = signed(self.command, self.headers["host"], path, query, headers, digest, KEYS, when)
        return again["authorization"] == self.headers["authorization"]

    def _object(self, key: str, body: bytes) -> None:
        objects = self.service.objects
        found = objects.get(key)
        wanted, unwanted = self.headers.get("if-match"), self.headers.get("if-none-match")
        if (wanted and (found is None or wanted != _etag(found))) or (unwanted == "*" and found is not None):
            self._refuse(412, "PreconditionFailed", "A condition does not hold.")
        elif self.command == "PUT":
            kept = {name.lower(): value for name, value in self.headers.items()}
            kept = {name: value for name, value in kept.items() if name in _KEPT or name.startswith("x-amz-")}
            objects[key] = (body, kept)
            self._send(200, b"", {"etag": _etag(objects[key])})
        elif self.command == "DELETE":
            objects.pop(key, None)
            self._send(204, b"")
        elif found is None:
            self._refuse(404, "NoSuchKey", "The specified key does not exist.")
        else:
            data, status = found[0], 200
            part = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range") or "")
            if part is not None:
                data, status = data[int(part[1]) : int(part[2]) + 1], 206
            told = {name: value for name, value in found[1].items() if name not in ("x-amz-date",)}
            self._send(status, data, {**told, "etag": _etag(found), "last-modified": formatdate(1e9, usegmt=True)})

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("continuation-token") or query.get("start-after") or ""
        entries: dict[str, str] = {}
        for key in sorted(self.service.objects):
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            name = key if end < 0 else key[: end + 1]
            if key.startswith(prefix) and name > after:
                entries[name] = _listed(key, self.service.objects[key]) if end < 0 else _common(name)
        count = int(query["max-keys"])
        shown = list(entries)[:count]
        more = len(entries) > count
        token = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        text = "".join(entries[name] for name in shown)
        self._xml("ListBucketResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{text}")

    def _upload(self, key: str, query: dict[str, str], body: bytes) -> None:
        uploads = self.service.uploads
        if "uploads" in query:
            kept = {
                n.lower(): v for n, v in self.headers.items() if n.lower() in _KEPT or n.lower().startswith("x-amz-m")
            }
            uploads["u-1"] = (key, kept, {})
            self._xml("InitiateMultipartUploadResult", "<UploadId>u-1</UploadId>")
            return
        upload = uploads.get(query["uploadId"])
        if upload is None:
            self._refuse(404, "NoSuchUpload", "The specified multipart upload does not exist.")
        elif self.command == "PUT":
            upload[2][int(query["partNumber"])] = body
            self._send(200, b"", {"etag": f'"{hashlib.md5(body).hexdigest()}"'})
        elif self.command == "DELETE":
            del uploads[query["uploadId"]]
            self._send(204, b"")
        else:
            named = re.findall(r"<PartNumber>(\d+)</PartNumber><ETag>(\w+)</ETag>", body.decode())
            parts = [upload[2].get(int(number), b"") for number, _ in named]
            if [hashlib.md5(part).hexdigest() for part in parts] != [etag for _, etag in named]:
                self._refuse(400, "InvalidPart", "One or more of the specified parts could not be found.")
                return
            self.service.objects[key] = (b"".join(parts), {**upload[1], "x-parts": str(len(parts))})
            del uploads[query["uploadId"]]
            self._xml("CompleteMultipartUploadResult", "")

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._xml("Error", f"<Code>{code}</Code><Message>{message}</Message>", status)

    def _xml(self, name: str, content: str, status: int = 200) -> None:
        text = f'<?xml version="1.0"?><{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{content}</{name}>'
        self._send(status, text.encode(), {"content-type": "application/xml"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(found: tuple[bytes, dict[str, str]]) -> str:
    end = f"-{found[1]['x-parts']}" if "x-parts" in found[1] else ""
    return f'"{hashlib.md5(found[0]).hexdigest()}{end}"'


def _listed(key: str, found: tuple[bytes, dict[str, str]]) -> str:
    return (
        f"<Contents><Key>{escape(key)}</Key><ETag>{escape(_etag(found))}</ETag><Size>{len(found[0])}</Size>"
        "<LastModified>2001-09-09T01:46:40.000Z</LastModified></Contents>"
    )


def _common(prefix: str) -> str:
    return f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>"
