"""Names of agents in URLs: what a browser makes of a name that a program gave its client.

The official client puts a name into a path as it is, and the URL parser encodes what cannot stand there: ``a b`` is
asked for as ``a%20b``, ``Köln`` as ``K%C3%B6ln``. The router takes the segment as it comes, as Cloudflare's does.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

__all__ = ["in_url"]

# What the URL parser of browsers leaves in a path as it is: all of ASCII that can be seen, but for these.
_ENCODED: Final = frozenset(' "#<>?^`{}')
_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in _ENCODED)


def in_url(name: str) -> str:
    """Return ``name`` as a segment of a path. What is a segment already stays as it is, so twice is once."""
    return quote(name, safe=_SAFE, errors="surrogatepass")
