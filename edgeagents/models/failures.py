"""Failures of providers: from what a vendor's server answered to a ``ModelError``.

Every provider that speaks HTTP has the same three questions: may it help to ask again, when, and what of the
message may be shown. Keys must not: some vendors repeat the key that they refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from edgeagents.errors import ModelError

__all__ = ["http_failure", "is_retryable", "retry_after", "without_secret"]

_HIDDEN = "***"


def http_failure(
    status: int, message: str, *, headers: Mapping[str, str] | None = None, secret: str = ""
) -> ModelError:
    """Return the error for an answer with this status. ``secret`` is taken out of the message."""
    return ModelError(
        without_secret(message, secret),
        status=status,
        retryable=is_retryable(status),
        retry_after=None if headers is None else retry_after(headers),
    )


def is_retryable(status: int) -> bool:
    """Return whether the same request may succeed later: timeouts, conflicts, limits and the server's own faults."""
    return status in (408, 409, 429) or status >= 500


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return in how many seconds a server wants to be asked again, or None when it does not say.

    Read are ``retry-after-ms`` and ``retry-after``, whose date counts from the answer's own ``date``.
    """
    found = {name.lower(): value.strip() for name, value in headers.items()}
    milliseconds = _number(found.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = found.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    until, now = _date(value), _date(found.get("date", ""))
    return None if until is None or now is None else max((until - now).total_seconds(), 0.0)


def without_secret(text: str, secret: str) -> str:
    """Return ``text`` without ``secret``."""
    return text.replace(secret, _HIDDEN) if secret else text


def _number(value: str | None) -> float | None:
    try:
        found = float(value or "")
    except ValueError:
        return None
    return found if 0 <= found < float("inf") else None


def _date(value: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(value)
    except ValueError:
        return None
    # "-0000" is what some servers write for a time that is UTC.
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
