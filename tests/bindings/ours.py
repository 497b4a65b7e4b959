"""Plays on our bindings, as JavaScript sees them."""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final

from edgeagents import DurableObject, Runtime, WorkerEntrypoint
from edgeagents.bindings import BindingDeclaration
from edgeagents.testing import ManualClock
from edgeagents.worker import Worker
from tests.bindings.flow import Flow, until
from tests.bindings.our_services import SERVICE_BINDINGS, Mailbox, services_of
from wrangler_compat import bindings
from wrangler_compat.host.durable_storage import DurableObjectStorage
from wrangler_compat.host.environment import binding_of
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.buffers import Buffer, JsArrayBuffer, Uint8Array
from wrangler_compat.host.model.collections import JsMap, JsSet
from wrangler_compat.host.model.date import JsDate
from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.proxy import JsObject, JsProxy, jsnull
from wrangler_compat.host.web.headers import Headers
from wrangler_compat.host.web.response import Response
from wrangler_compat.host.web.streams import ReadableStream

__all__ = ["answers_to"]

BINDINGS: Final = (
    BindingDeclaration("KV", "kv_namespace", {"id": "KV"}),
    BindingDeclaration("R2", "r2_bucket", {"bucket_name": "r2"}),
    BindingDeclaration("DB", "d1", {"database_id": "DB"}),
    BindingDeclaration("QUEUE", "queue", {"queue": "jobs"}),
    BindingDeclaration("WORK", "queue", {"queue": "work"}),
    BindingDeclaration(
        "",
        "queue_consumer",
        {"queue": "work", "max_batch_size": 10, "max_batch_timeout": 0, "max_retries": 2, "dead_letter_queue": "dead"},
    ),
    BindingDeclaration("", "queue_consumer", {"queue": "dead", "max_batch_timeout": 0}),
    BindingDeclaration("BOX", "durable_object_namespace", {"class_name": "Box"}),
    BindingDeclaration("FLOW", "workflow", {"name": "flow", "class": Flow}),
    BindingDeclaration("LIMIT", "ratelimit", {"namespace_id": "1", "simple": {"limit": 2, "period": 60}}),
    *SERVICE_BINDINGS,
)
# What is not the same twice, by the name of its field; see record.mjs.
VOLATILE: Final = frozenset(
    [
        *("version", "uploaded", "uploadId", "cursor", "expiration", "metrics", "oldestMessageTimestamp", "timestamp"),
        "messageId",
        "variants",
        *("duration", "served_by", "served_by_region", "served_by_primary", "size_after", "timings", "total_attempts"),
        # See test_counts_of_d1.py.
        *("rows_read", "rows_written"),
    ]
)
_NOT_FINITE: Final = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
_HEAD: Final = [
    *("key", "size", "etag", "httpEtag", "checksums", "httpMetadata", "customMetadata", "range", "storageClass"),
    *("version", "uploaded"),
]
_FIELDS: Final[Mapping[str, list[str]]] = {
    "HeadResult": _HEAD,
    "GetResult": [*_HEAD, "bodyUsed"],
    "R2MultipartUpload": ["key", "uploadId"],
    "WorkflowInstance": ["id"],
}


class _Handler(Mailbox, WorkerEntrypoint):
    """Does with each message what it says, as the one in record.mjs."""

    log: ClassVar[list[tuple[str, str, int]]] = []

    async def queue(self, batch: Any) -> None:
        fault: Exception | None = None
        for message in batch.messages:
            self.log.append((batch.queue, message.body["name"], message.attempts))
            for word in message.body["does"] if batch.queue == "work" else ():
                if word == "throw":
                    fault = ValueError("no")
                elif word.endswith("All"):
                    getattr(batch, word.replace("All", "_all"))()
                else:
                    getattr(message, word)()
        if fault is not None:
            raise fault


class _Box(DurableObject[Any]):
    """Makes the calls that begin with ``storage``."""

    async def play(self, steps: str) -> str:
        named = {"storage": DurableObjectStorage(self.ctx.storage, keeps_alarm=False)}
        return json.dumps([await _answer(step, named) for step in json.loads(steps)])

    async def alarm(self) -> None:
        """Do nothing."""


async def answers_to(steps: list[dict[str, Any]]) -> list[Any]:
    """Return what our bindings answer to ``steps``."""
    # Steps of workflows wait by themselves, messages until the clock is moved.
    clock = ManualClock() if any(step["do"] == "handled" for step in steps) else None

    async def handled() -> JsArray:
        assert clock is not None
        for _ in range(6):
            await clock.advance(1.1)
        seen = sorted(json.dumps(one, separators=(",", ":")) for one in _Handler.log)
        _Handler.log.clear()
        return JsArray(seen)

    async def counted(database: Any, sql: str, *values: Any) -> JsArray:
        meta = (await database.prepare(sql).bind(*values).run()).meta
        return JsArray([meta.rows_read, meta.rows_written])

    worker = Worker("play", classes={"Box": _Box}, bindings=list(BINDINGS), entrypoint=_Handler)
    # Mail that is sent is kept in a folder.
    with TemporaryDirectory() as folder:
        storage = folder if steps[0]["do"] in ("arrive", "sent") else None
        async with Runtime(worker, storage=storage, clock=clock, plugins=[bindings]) as runtime:
            return await _play(steps, runtime, {"counted": counted, "handled": handled, "until": until})


async def _play(steps: list[dict[str, Any]], runtime: Runtime, helpers: dict[str, Any]) -> list[Any]:
    if steps[0]["do"] == "arrive":
        return [await Mailbox.arrive(runtime, *step["with"]) for step in steps]
    if steps[0]["do"].startswith("storage"):
        return json.loads(await runtime.env.BOX.get_by_name("box").play(json.dumps(steps)))
    named: dict[str, Any] = {name: binding_of(value) for name, value in runtime.env.items()}
    named |= {**helpers, **services_of(named)}
    return [await _answer(step, named) for step in steps]


async def _answer(step: dict[str, Any], named: dict[str, Any]) -> Any:
    try:
        name, *path = step["do"].split(".")
        target: Any = named[name]
        for part in path:
            target = getattr(target, part)
        if step["with"] is None:
            value = target
        else:
            value = target(*[_meant(item, named) for item in step["with"]])
            if inspect.isawaitable(value):
                value = await value
        if step["as"]:
            named[step["as"]] = value
        return {"$": "kept"} if step["as"] and step["quiet"] else _shown(value)
    except JsException as error:
        return {"$": "error", "name": error.name, "message": error.message}
    except Exception as error:
        return {"$": "error", "name": f"python: {type(error).__name__}", "message": str(error)}


def _meant(value: Any, named: Mapping[str, Any]) -> Any:
    if value is None:
        return jsnull
    if isinstance(value, list):
        return JsArray(_meant(item, named) for item in value)
    if not isinstance(value, dict):
        return value
    match value.get("$"):
        case None:
            return JsObject({key: _meant(item, named) for key, item in value.items()})
        case "undefined":
            return None
        case "bytes":
            return JsArrayBuffer(bytes(value["bytes"]))
        case "view":
            return Uint8Array(JsArrayBuffer(bytes(value["bytes"])))
        case "zeros":
            return JsArrayBuffer(bytes(value["length"]))
        case "text":
            return value["of"] * value["times"]
        case "date":
            return JsDate(value["at"])
        case "now":
            return JsDate(int(datetime.now(UTC).timestamp() * 1000) + value["ms"])
        case "unix":
            return int(datetime.now(UTC).timestamp()) + value["seconds"]
        case "number":
            return float(value["of"])
        case "stream":
            return Response(value["of"]).body
        case "file":
            return Response(Uint8Array(JsArrayBuffer(base64.b64decode(value["of"])))).body
        case "headers":
            return Headers(JsObject(value["of"]))
        case "ref":
            found: Any = named
            for part in value["of"].split("."):
                found = found[part] if isinstance(found, Mapping) else getattr(found, part)
            return found
        case "set":
            return JsSet(value["of"])
        case "map":
            return JsMap(map(tuple, value["of"]))
        case "function":
            return lambda: 1
        case kind:
            raise LookupError(kind)


def _shown(value: Any, key: str = "") -> Any:
    if value is None:
        return {"$": "undefined"}
    if key in VOLATILE and value is not jsnull:
        kinds = {JsDate: "date", str: "string", int: "number", float: "number"}
        return {"$": kinds.get(type(value), "object")}
    if value is jsnull:
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if value == value and abs(value) != float("inf") else {"$": _NOT_FINITE[str(value)]}
    if isinstance(value, str):
        return {"$": "text", "length": len(value), "start": value[:40]} if len(value) > 300 else value
    if isinstance(value, JsDate):
        return {"$": "date", "at": value.getTime()}
    if isinstance(value, Buffer):
        content = value.to_bytes()
        return {"$": "bytes", "length": len(content), "hex": content[:40].hex()}
    if isinstance(value, ReadableStream):
        return {"$": "stream"}
    if isinstance(value, Headers):
        return {"$": "headers", "entries": [list(pair) for pair in value._combined()]}
    if isinstance(value, JsSet):
        return {"$": "set", "items": [_shown(item) for item in value]}
    if isinstance(value, JsMap):
        return {"$": "map", "entries": [[name, _shown(item)] for name, item in value.items()]}
    if isinstance(value, JsArray):
        items = list(value)
        if len(items) > 20:
            return {"$": "list", "length": len(items), "start": _shown(items[0])}
        return [_shown(item) for item in items]
    assert isinstance(value, JsProxy), value
    name = value.constructor.name
    if callable(getattr(value, "toJSON", None)):
        return _shown(value.toJSON())
    fields = _FIELDS.get(name) or list(value.object_keys())
    made = {field: _shown(found, field) for field in fields if (found := getattr(value, field)) is not None}
    return {**made, "etag": {"$": "string"}} if "partNumber" in made else made


Mailbox.shown = staticmethod(_shown)
