"""What plays of small services need on our side, as it stands in record.mjs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from edgeagents import Runtime
from edgeagents.bindings import BindingDeclaration
from edgeagents.http import Request
from wrangler_compat.host.email_message import EmailMessage
from wrangler_compat.host.entry_events import ForwardableEmailMessage
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.proxy import JsObject, jsnull
from wrangler_compat.host.web.headers import Headers
from wrangler_compat.host.web.response import Response

__all__ = ["SERVICE_BINDINGS", "Mailbox", "services_of"]

SERVICE_BINDINGS: Final = (
    BindingDeclaration("MAIL", "send_email", {}),
    BindingDeclaration("ONE", "send_email", {"destination_address": "b@x.com"}),
    BindingDeclaration("SOME", "send_email", {"allowed_destination_addresses": ["b@x.com", "c@x.com"]}),
    BindingDeclaration("BY", "send_email", {"allowed_sender_addresses": ["a@x.com"]}),
    BindingDeclaration("IMAGES", "images", {}),
    BindingDeclaration("POINTS", "analytics_engine", {"dataset": "points"}),
    BindingDeclaration("PIPE", "pipeline", {"pipeline": "records"}),
    BindingDeclaration(
        "MY", "hyperdrive", {"localConnectionString": "mysql://me:p%40ss%2Fword@db.example.com/shop%20one"}
    ),
    BindingDeclaration("PG", "hyperdrive", {"localConnectionString": "postgres://user:password@localhost:5433/name"}),
    BindingDeclaration("known", "secret_text", {"value": "what nobody knows"}),
    BindingDeclaration("SECRET", "secrets_store_secret", {"store_id": "s", "secret_name": "known"}),
    BindingDeclaration("NOWHERE", "secrets_store_secret", {"store_id": "s", "secret_name": "nowhere"}),
    BindingDeclaration("VERSION", "version_metadata", {}),
    BindingDeclaration("LOADER", "worker_loader", {}),
)
_KINDS: Final = {str: "string", int: "number", float: "number"}


def services_of(named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the functions that steps call."""

    async def pictured(result: Any) -> JsObject:
        info = await named["IMAGES"].info(result.image())
        return JsObject(
            {
                "contentType": result.contentType(),
                "width": info.width,
                "height": info.height,
                "format": info.format,
            }
        )

    async def made(transforms: Any, output: Any, content: Any) -> JsObject:
        image = named["IMAGES"].input(content)
        for transform in transforms:
            image = image.transform(transform)
        return await pictured(await image.output(output))

    async def sent(binding: Any, from_: Any, to: Any, raw: Any) -> Any:
        return await binding.send(EmailMessage(from_, to, raw))

    async def loaded(id: Any, code: Any) -> Any:
        def source() -> Any:
            if _told(code, "fails") == "callback":
                raise JsException("no code")
            return None if _told(code, "fails") == "undefined" else _code_of(code)

        props = _told(code, "props")
        options = None if props is None else JsObject({"props": props})
        entrypoint = named["LOADER"].get(id, source).getEntrypoint(_told(code, "entrypoint"), options)
        return await (await entrypoint.fetch("http://below/")).json()

    return {
        "keys": lambda value: JsArray(value.object_keys()),
        "kind": lambda value: _KINDS[type(value)],
        "loaded": loaded,
        "made": made,
        "pictured": pictured,
        "sent": sent,
    }


def _told(code: Any, name: str) -> Any:
    return getattr(code, name, None)


def _code_of(code: Any) -> JsObject:
    answer = f"Response.json({{'says': {_told(code, 'says')!r}, 'env': sorted(self.env), 'who': _who(self)}})"
    body = "raise ValueError('no')" if _told(code, "fails") == "fetch" else f"return {answer}"
    if _told(code, "alone"):
        body = "await js.fetch('http://elsewhere.example/')"
    handler = "scheduled" if _told(code, "fails") == "handler" else "fetch"
    lines = [
        "import js",
        "from edgeagents import Response, WorkerEntrypoint",
        "def _who(entrypoint): return (entrypoint.ctx.props or {}).get('who')",
        {"top": "raise ValueError('no')", "syntax": "class {"}.get(_told(code, "fails"), ""),
        f"class Named(WorkerEntrypoint):\n    async def fetch(self, request):\n        {body}",
        f"class Default(WorkerEntrypoint):\n    async def {handler}(self, request):\n        {body}",
    ]
    made: dict[str, Any] = {"compatibilityDate": code.date, "compatibilityFlags": _told(code, "flags")}
    if code.main is not jsnull:
        made["mainModule"] = f"{code.main}.py"
    modules = _told(code, "modules")
    made["modules"] = JsObject({"entry.py": "\n".join(lines)}) if modules is None else modules
    if _told(code, "alone"):
        made["globalOutbound"] = jsnull
    return JsObject({**made, "env": _told(code, "env")})


class Mailbox:
    """Handles emails with a program, and keeps what came of each step."""

    program: ClassVar[list[dict[str, Any]]] = []
    seen: ClassVar[list[Any]] = []
    shown: ClassVar[Callable[[Any], Any]]

    async def email(self, native: Any) -> None:
        message = ForwardableEmailMessage(native)
        for op in self.program:
            try:
                self.seen.append(type(self).shown(await _do(message, op)))
            except JsException as error:
                self.seen.append({"$": "error", "name": error.name, "message": error.message})
                if op["op"] == "throw":
                    raise

    @classmethod
    async def arrive(cls, runtime: Runtime, query: str, message: str, program: list[dict[str, Any]]) -> dict[str, Any]:
        """Let an email arrive, and return what its sender is told and what the worker has seen."""
        cls.program[:], cls.seen[:] = program, []
        request = Request(f"http://play/cdn-cgi/handler/email?{query}", method="POST", body=message.encode())
        try:
            response = await runtime.fetch(request)
            status, text = response.status, (await response.text()).split("\n")[0]
        except Exception:
            status, text = 500, ""
        return {"status": status, "text": text, "seen": json.loads(json.dumps(cls.seen))}


async def _do(message: ForwardableEmailMessage, op: dict[str, Any]) -> Any:
    match op["op"]:
        case "see":
            raw = await Response(message.raw).text()
            told = {name: getattr(message, name) for name in ("from", "to", "rawSize")}
            headers = message.headers
            return JsObject(
                {**told, "length": len(raw), "subject": headers.get("subject"), "two": headers.get("X-Two")}
            )
        case "reject":
            return message.setReject(op["reason"])
        case "forward":
            headers = Headers(JsObject(op["headers"])) if "headers" in op else None
            return await message.forward(op["to"], headers)
        case "reply":
            return await message.reply(EmailMessage(op["from"], op["to"], op["raw"]))
        case _:
            raise JsException(op["message"])
