"""Resolvers: which agent an email is for.

A resolver is a function of the email and of ``env`` that returns an ``EmailRoute`` or None; it may be async. Write one
that asks two others after each other to combine them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from edgeagents_email.incoming import IncomingEmail
from edgeagents_email.signing import DEFAULT_MAX_AGE_SECONDS, SignatureFault, verify_agent_headers

__all__ = [
    "EmailResolver",
    "EmailRoute",
    "create_address_based_email_resolver",
    "create_catch_all_email_resolver",
    "create_secure_reply_email_resolver",
]

# The longest local part and domain of RFC 5321.
_ADDRESS = re.compile(r"([^+@]{1,64})(?:\+([^@]{1,64}))?@(.{1,253})")


@dataclass(frozen=True, slots=True)
class EmailRoute:
    """The agent ``agent_id`` of the class whose binding is ``agent_name``, in any of its spellings.

    ``is_secure``: it was found by a signature, so what it answers must be signed again.
    """

    agent_name: str
    agent_id: str
    is_secure: bool = False


EmailResolver: TypeAlias = Callable[[IncomingEmail, Any], EmailRoute | Awaitable[EmailRoute | None] | None]


def create_address_based_email_resolver(default_agent: str) -> EmailResolver:
    """Return a resolver by the recipient: ``agent+id@domain``, or ``id@domain`` for the class ``default_agent``."""

    def resolve(email: IncomingEmail, env: Any) -> EmailRoute | None:
        found = _ADDRESS.fullmatch(email.to)
        if found is None:
            return None
        local, sub_address, _ = found.groups()
        return EmailRoute(local, sub_address) if sub_address else EmailRoute(default_agent, local)

    return resolve


def create_catch_all_email_resolver(agent_name: str, agent_id: str) -> EmailResolver:
    """Return a resolver that sends every email to one agent."""
    return lambda email, env: EmailRoute(agent_name, agent_id)


def create_secure_reply_email_resolver(
    secret: str,
    *,
    max_age: float = DEFAULT_MAX_AGE_SECONDS,
    on_invalid_signature: Callable[[IncomingEmail, SignatureFault], object] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> EmailResolver:
    """Return a resolver by the headers that an agent has signed with ``secret``, at most ``max_age`` seconds ago.

    Others are None, after ``on_invalid_signature`` was told why: ``missing_headers``, ``expired``, ``invalid`` or
    ``malformed_timestamp``.
    """
    if not secret:
        raise ValueError("secret is required for create_secure_reply_email_resolver")

    def resolve(email: IncomingEmail, env: Any) -> EmailRoute | None:
        found = verify_agent_headers(email.headers, secret, now=now(), max_age_seconds=max_age)
        if isinstance(found, tuple):
            return EmailRoute(*found, is_secure=True)
        if on_invalid_signature is not None:
            on_invalid_signature(email, found)
        return None

    return resolve
