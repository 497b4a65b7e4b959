"""The HTTP client of agents: it looks at an address before it connects to it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2

from edgeagents_mcp.addresses import is_blocked, resolve
from edgeagents_mcp.errors import BlockedUrl

if TYPE_CHECKING:
    import ssl

__all__ = ["http_client"]

_SECONDS = 30.0
_STREAM_SECONDS = 300.0


def http_client(
    *,
    headers: dict[str, str] | None = None,
    timeout: httpx2.Timeout | None = None,
    auth: httpx2.Auth | None = None,
    allow_private: bool = False,
) -> httpx2.AsyncClient:
    """Return a client that connects to no private network, and through no proxy, with the official timeouts."""
    timeout = timeout or httpx2.Timeout(_SECONDS, read=_STREAM_SECONDS)
    transport = None if allow_private else _GuardedTransport()
    return httpx2.AsyncClient(headers=headers, timeout=timeout, auth=auth, transport=transport)


@lru_cache(1)
def _ssl_context() -> ssl.SSLContext:
    # Reading the certificates takes longer than connecting does.
    return httpx2.create_ssl_context()


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    def __init__(self) -> None:
        self._pool = httpcore2.AsyncConnectionPool(ssl_context=_ssl_context(), network_backend=_GuardedBackend())


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    def __init__(self) -> None:
        self._backend: Any = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            addresses = await resolve(host, port)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        if any(map(is_blocked, addresses)):
            raise httpcore2.ConnectError(str(BlockedUrl(host)))
        failure: Exception | None = None
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError(f"{host} has no address.")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)
