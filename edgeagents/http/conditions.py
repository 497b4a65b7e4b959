"""Conditions of requests: whether a client has what it asks for already, and which part of it is wanted.

As RFC 9110 has it, sections 13.2 and 14.2, for a resource that is there: these are plain functions of header fields.
"""

from __future__ import annotations

from datetime import datetime

from werkzeug.datastructures import Headers
from werkzeug.http import parse_date, parse_etags, parse_range_header, unquote_etag

__all__ = ["NO_SUCH_PART", "failed_condition", "wanted_part"]

NO_SUCH_PART = slice(0, 0)
"""The part that is wanted lies beyond the end."""


def failed_condition(asked: Headers, held: Headers) -> int | None:
    """Return the status for a request with the fields ``asked``, 304 or 412, when a condition does not hold.

    ``held`` are those of the answer, whose ``etag`` and ``last-modified`` say which version there is.
    """
    tag, is_weak = unquote_etag(held.get("etag"))
    modified = parse_date(held.get("last-modified"))
    if "if-match" in asked:
        wanted = parse_etags(asked["if-match"])
        if not wanted.star_tag and (is_weak or tag is None or not wanted.is_strong(tag)):
            return 412
    elif modified is not None and _is_before(asked.get("if-unmodified-since"), modified):
        return 412
    if "if-none-match" in asked:
        known = parse_etags(asked["if-none-match"])
        return 304 if known.star_tag or (tag is not None and known.contains_weak(tag)) else None
    since = parse_date(asked.get("if-modified-since"))
    return 304 if modified is not None and since is not None and modified <= since else None


def wanted_part(asked: Headers, held: Headers, length: int) -> slice | None:
    """Return which of ``length`` bytes are wanted; None for all of them, in one piece."""
    wanted = parse_range_header(asked.get("range"))
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1 or not _is_of_version(asked, held):
        return None
    first, end = wanted.ranges[0]
    if end is None:
        # The last bytes, of which there may be less than are wanted.
        first, end = max(first + length, 0) if first < 0 else first, length
    return slice(first, min(end, length)) if first < length else NO_SUCH_PART


def _is_of_version(asked: Headers, held: Headers) -> bool:
    version = asked.get("if-range")
    if version is None:
        return True
    when = parse_date(version)
    if when is not None:
        return when == parse_date(held.get("last-modified"))
    # Parts of two versions that are only alike do not fit together.
    return not version.startswith("W/") and version == held.get("etag")


def _is_before(date: str | None, modified: datetime) -> bool:
    when = parse_date(date)
    return when is not None and when < modified
