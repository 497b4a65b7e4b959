"""Conditions: when a ``get`` or ``put`` goes ahead. The order of precedence is that of RFC 7232."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from edgeagents_r2.store import Stored

__all__ = ["holds"]


def holds(condition: Mapping[str, Any] | None, stored: Stored | None) -> bool:
    """Whether ``condition`` lets an operation on ``stored`` go ahead; None is an object that is not there.

    Keys are ``etagMatches``, ``etagDoesNotMatch`` (text or several), ``uploadedBefore``, ``uploadedAfter``,
    ``secondsGranularity``; or the header fields of an HTTP request, in lower case.
    """
    if not condition:
        return True
    if any("-" in key for key in condition):
        given: Mapping[str, Any] = _of_headers(condition)
    else:
        given = condition
        _check_etags(given)
    matches, differs = _etags(given.get("etagMatches")), _etags(given.get("etagDoesNotMatch"))
    before, after = _time(given.get("uploadedBefore")), _time(given.get("uploadedAfter"))
    if stored is None:
        # Nothing matches what is not there, and nothing that is not there differs from what is asked for.
        return matches is None and after is None
    uploaded = stored.uploaded
    if given.get("secondsGranularity"):
        uploaded = float(int(uploaded))
    if matches is not None and not _has(matches, stored.etag, weak_counts=False):
        return False
    if before is not None and matches is None and not uploaded < before:
        return False
    if differs is not None and _has(differs, stored.etag, weak_counts=True):
        return False
    return not (after is not None and differs is None and not uploaded > after)


def _check_etags(given: Mapping[str, Any]) -> None:
    for name in ("etagMatches", "etagDoesNotMatch"):
        for etag in _etags(given.get(name)) or ():
            if etag.startswith('"') and etag.endswith('"'):
                raise TypeError(f"Conditional ETag should not be wrapped in quotes ({etag}).")


def _of_headers(fields: Mapping[str, Any]) -> dict[str, Any]:
    names = {
        "if-match": "etagMatches",
        "if-none-match": "etagDoesNotMatch",
        "if-modified-since": "uploadedAfter",
        "if-unmodified-since": "uploadedBefore",
    }
    made: dict[str, Any] = {names[key]: value for key, value in fields.items() if key in names}
    return {**made, "secondsGranularity": True}


def _etags(value: Any) -> list[str] | None:
    if value is None:
        return None
    values: Iterable[str] = value.split(",") if isinstance(value, str) else value
    return [one.strip() for one in values]


def _has(etags: list[str], etag: str, *, weak_counts: bool) -> bool:
    for one in etags:
        if one == "*":
            return True
        if one.startswith("W/"):
            if weak_counts and one[2:].strip('"') == etag:
                return True
        elif one.strip('"') == etag:
            return True
    return False


def _time(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.astimezone(UTC).timestamp()
    if isinstance(value, int | float):
        return value / 1000
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError):
        return None  # A date that is none is ignored, as in HTTP.
