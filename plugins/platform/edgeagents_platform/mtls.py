"""mTLS certificates: requests to a server that wants to know who asks.

``certificate_id`` may be the path of a PEM file with the certificate and its key; else such a file is looked for at
``<state>/mtls_certificates/<certificate_id>.pem``. Without one requests go out all the same, and say nothing of who
asks.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from edgeagents.errors import ConfigError, EdgeAgentsError
from edgeagents.http import Request, Response

if TYPE_CHECKING:
    from edgeagents.stores import Stores

__all__ = ["CertificateError", "MtlsCertificate", "certificate_of"]

_NOT_SENT: Final = frozenset({"host", "connection", "content-length", "transfer-encoding", "keep-alive", "upgrade"})
# httpx has decoded the body, and how long it was matters no more.
_NOT_TOLD: Final = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})

_log = logging.getLogger("edgeagents.mtls")


class CertificateError(EdgeAgentsError):
    """The server could not be reached, or does not want this certificate."""


class MtlsCertificate:
    """A certificate: ``fetch`` shows it to the server that is asked."""

    js_name: ClassVar[str] = "Fetcher"

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    async def fetch(
        self,
        request: Request | str,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: str | bytes | None = None,
    ) -> Response:
        """Send a request and return its response, after redirects. Raises ``CertificateError``."""
        import httpx2

        if not isinstance(request, Request):
            request = Request(request, method=method or "GET", headers=dict(headers or {}), body=body)
        fields = [(name, value) for name, value in request.headers if name.lower() not in _NOT_SENT]
        content = await request.bytes()
        try:
            async with httpx2.AsyncClient(verify=self._context, timeout=None, follow_redirects=True) as client:
                answer = await client.request(request.method, request.url, headers=fields, content=content)
        except httpx2.HTTPError as error:
            raise CertificateError(f"{request.url} could not be reached: {error or type(error).__name__}") from error
        told = [(name, value) for name, value in answer.headers.multi_items() if name not in _NOT_TOLD]
        return Response(answer.content, status=answer.status_code, headers=told)


def certificate_of(name: str, options: Mapping[str, Any], stores: Stores) -> MtlsCertificate:
    """Return what a binding declares. Option: ``certificate_id``. Raises ``ConfigError`` for a file that is none."""
    context = ssl.create_default_context()
    path = _file(str(options.get("certificate_id") or name), stores)
    if path is None:
        _log.info("The certificate of %s is at Cloudflare's: requests go out without one.", name)
    else:
        try:
            context.load_cert_chain(path)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"The certificate of {name!r}, {path}, cannot be used: {error}") from error
    return MtlsCertificate(context)


def _file(certificate_id: str, stores: Stores) -> Path | None:
    if certificate_id.endswith(".pem"):
        return Path(certificate_id)
    kept = stores.path("mtls_certificates", certificate_id, ".pem")
    return kept if kept is not None and kept.exists() else None
