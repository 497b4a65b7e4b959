"""What may be kept in a cache, and for how long: RFC 9111 for a cache that many share.

Plain functions of header fields, whose names are in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

__all__ = ["is_unchanged", "lifetime", "part_of", "without_private_cookie"]

# Of other statuses a cache does not know what they mean.
_KEPT: Final = frozenset({200, 203, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501})
_KEPT_WHEN_TOLD: Final = frozenset({302, 303, 307, 308})
_OF_AGE: Final = 0.1
"""Which part of its age a response is fresh for that says nothing but when it was changed."""
_PRIVATE_COOKIE: Final = re.compile(r"private\s*=\s*\"?set-cookie\"?\s*,?\s*", re.IGNORECASE)


def without_private_cookie(headers: Mapping[str, str]) -> dict[str, str]:
    """Return ``headers`` without the cookie that ``Cache-Control: private=set-cookie`` says to leave out."""
    control = headers.get("cache-control", "")
    if not _PRIVATE_COOKIE.search(control):
        return dict(headers)
    kept = {name: value for name, value in headers.items() if name != "set-cookie"}
    kept["cache-control"] = _PRIVATE_COOKIE.sub("", control).strip(" ,")
    return kept


def lifetime(status: int, request: Mapping[str, str], response: Mapping[str, str], now: datetime) -> float:
    """Return for how many seconds a response to a GET is fresh; 0 for one that must not be kept.

    ``response`` is what ``without_private_cookie`` left.
    """
    control = _directives(response.get("cache-control", ""))
    if status not in _KEPT or "set-cookie" in response or not control.keys().isdisjoint({"no-store", "private"}):
        return 0
    if "no-cache" in control:
        return 0
    if "authorization" in request and control.keys().isdisjoint({"public", "s-maxage", "must-revalidate"}):
        return 0
    for name in ("s-maxage", "max-age"):
        if name in control:
            age = _seconds(response.get("age"))
            return max(_seconds(control[name]) - age, 0)
    date = _date(response.get("date")) or now
    if "expires" in response:
        expires = _date(response["expires"])
        return 0 if expires is None else max((expires - date).total_seconds(), 0)
    changed = _date(response.get("last-modified"))
    if changed is None or status in _KEPT_WHEN_TOLD:
        return 0
    return max((date - changed).total_seconds() * _OF_AGE, 0)


def _directives(control: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in re.findall(r"([\w-]+)(?:\s*=\s*(\"[^\"]*\"|[^\s,]*))?", control):
        found.setdefault(name.lower(), value.strip('"'))
    return found


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.strip().isdecimal() else 0


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def is_unchanged(request: Mapping[str, str], response: Mapping[str, str]) -> bool:
    """Whether who asks has the response already, by ``If-None-Match``, or else ``If-Modified-Since``."""
    wanted = request.get("if-none-match")
    if wanted is not None:
        etag = response.get("etag")
        tags = re.findall(r'(?:W/)?("[^"]*")', wanted)
        return etag is not None and (wanted.strip() == "*" or etag.removeprefix("W/") in tags)
    since, changed = _date(request.get("if-modified-since")), _date(response.get("last-modified"))
    return since is not None and changed is not None and changed <= since


def part_of(wanted: str | None, size: int) -> tuple[int, int] | None:
    """Return start and end (not in it) of the range of bytes that ``wanted`` names; None for the whole.

    Several ranges, or one that cannot be read, mean the whole. Raises ValueError for one that is not there.
    """
    found = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", wanted or "")
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(size - int(found[2]), 0), size
        if int(found[2]) == 0:
            raise ValueError("The range is empty.")
    else:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < start:
            return None
    if start >= size:
        raise ValueError("The range begins after the end.")
    return start, end
