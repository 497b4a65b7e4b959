"""What the host's modules are installed with: the network, cryptography, caches and the rest of the platform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wrangler_compat.host.email_message import EmailMessage
from wrangler_compat.host.model.proxy import JsClass
from wrangler_compat.host.modules import install
from wrangler_compat.host.process import Process
from wrangler_compat.host.rpc_stub import JsRpcStub, RpcTarget
from wrangler_compat.host.web.event_source import EventSource
from wrangler_compat.host.web.fetching import fetch
from wrangler_compat.host.web.sockets import connect

__all__ = ["install_platform"]


_ES_MODULES: Mapping[str, Mapping[str, Any]] = {
    "cloudflare:workers": {"RpcTarget": JsClass.of(RpcTarget), "RpcStub": JsClass.of(JsRpcStub)},
    "cloudflare:sockets": {"connect": connect},
    "cloudflare:email": {"EmailMessage": JsClass.of(EmailMessage)},
}


def install_platform() -> None:
    """Put the host's modules in place, once."""
    names = {"fetch": fetch, "EventSource": JsClass.of(EventSource), "process": Process()}
    install(names, {name: dict(content) for name, content in _ES_MODULES.items()})
