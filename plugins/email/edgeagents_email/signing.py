"""Signed headers: how an agent knows that a mail is an answer to its own.

What an agent sends carries its class, its name, the time and an HMAC-SHA256 of the three. A reply that quotes these
headers reaches the same agent; one that makes them up does not.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

__all__ = ["DEFAULT_MAX_AGE_SECONDS", "SignatureFault", "sign_agent_headers", "verify_agent_headers"]

DEFAULT_MAX_AGE_SECONDS = 30 * 24 * 60 * 60
MAX_CLOCK_SKEW_SECONDS = 5 * 60

SignatureFault = Literal["missing_headers", "expired", "invalid", "malformed_timestamp"]

_LEADING_NUMBER = re.compile(r"\s*([+-]?\d{1,18})")


def sign_agent_headers(secret: str, agent_name: str, agent_id: str, *, now: datetime) -> dict[str, str]:
    """Return the headers that bring a reply back to the agent ``agent_id`` of the class ``agent_name``.

    Raises ``ValueError`` when one of them is empty or has a colon, which the signed text uses between its parts.
    """
    for label, value in (("secret", secret), ("agent_name", agent_name), ("agent_id", agent_id)):
        if not value:
            raise ValueError(f"{label} is required for signing agent headers")
        if ":" in value and label != "secret":
            raise ValueError(f"{label} cannot contain colons")
    timestamp = str(int(now.timestamp()))
    return {
        "X-Agent-Name": agent_name,
        "X-Agent-ID": agent_id,
        "X-Agent-Sig": _signature(secret, agent_name, agent_id, timestamp),
        "X-Agent-Sig-Ts": timestamp,
    }


def verify_agent_headers(
    headers: Mapping[str, str], secret: str, *, now: datetime, max_age_seconds: float = DEFAULT_MAX_AGE_SECONDS
) -> tuple[str, str] | SignatureFault:
    """Return the class and the name that these headers prove, or what is wrong with them. Names are in lower case."""
    found = [headers.get(name) for name in ("x-agent-name", "x-agent-id", "x-agent-sig", "x-agent-sig-ts")]
    if not all(found):
        return "missing_headers"
    agent_name, agent_id, signature, timestamp = (str(value) for value in found)
    number = _LEADING_NUMBER.match(timestamp)
    if number is None:
        return "malformed_timestamp"
    age = int(now.timestamp()) - int(number[1])
    if age < -MAX_CLOCK_SKEW_SECONDS:
        return "invalid"
    if age > max_age_seconds:
        return "expired"
    expected = _signature(secret, agent_name, agent_id, timestamp)
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        return "invalid"
    return agent_name, agent_id


def _signature(secret: str, agent_name: str, agent_id: str, timestamp: str) -> str:
    signed = f"{agent_name}:{agent_id}:{timestamp}".encode("utf-8", "surrogateescape")
    return base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
