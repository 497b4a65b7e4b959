"""Which addresses an agent may connect to: the internet and this machine, but no private network.

Users tell agents the URLs of MCP servers, and must not reach with them what only this machine can reach: neighbours in
its network, and the metadata of its cloud. Names are resolved and all their addresses looked at, when a server is added
and again whenever a connection is made, which then goes to the very address that was looked at.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from edgeagents_mcp.errors import BlockedUrl

__all__ = ["check_url", "is_blocked", "resolve"]

_BLOCKED_NAMES: Final = frozenset({"metadata.google.internal", "metadata"})
_NAT64: Final = IPv6Address("64:ff9b::")


def is_blocked(address: str) -> bool:
    """Return whether an IP address is one of a private or special network other than this machine's loopback."""
    ip: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if int(ip) >> 32 == int(_NAT64) >> 32:
            inner = IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            ip = inner
    if ip.is_loopback:
        return False
    return ip.is_multicast or not ip.is_global


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of ``host``. Raises OSError when it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def check_url(url: str) -> None:
    """Raise ``BlockedUrl`` unless an agent may connect to ``url``. A name that has no address passes."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise BlockedUrl(url) from None
    if parts.scheme not in ("http", "https") or not host or host in _BLOCKED_NAMES:
        raise BlockedUrl(url)
    try:
        addresses = await resolve(host, port)
    except (OSError, UnicodeError):
        return
    if any(map(is_blocked, addresses)):
        raise BlockedUrl(url)
