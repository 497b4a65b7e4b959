"""Which agent an email is for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from edgeagents_email import (
    EmailRoute,
    IncomingEmail,
    create_address_based_email_resolver,
    create_catch_all_email_resolver,
    create_secure_reply_email_resolver,
    is_auto_reply_email,
    sign_agent_headers,
)

pytestmark = pytest.mark.cloudflare("Email", "resolvers by address, by signature, for all; `isAutoReplyEmail`", "same")

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def email(to: str = "ann@example.com", raw: bytes = b"Subject: hi\r\n\r\nhello") -> IncomingEmail:
    return IncomingEmail("someone@example.org", to, raw)


@pytest.mark.parametrize(
    ("to", "route"),
    [
        ("ann@example.com", EmailRoute("Support", "ann")),
        ("sales+ann@example.com", EmailRoute("sales", "ann")),
        ("sales+a+b@example.com", EmailRoute("sales", "a+b")),
        ("+ann@example.com", None),
        ("ann", None),
        (f"{'a' * 64}@example.com", EmailRoute("Support", "a" * 64)),
        (f"{'a' * 65}@example.com", None),
        (f"ann@{'d' * 253}", EmailRoute("Support", "ann")),
        (f"ann@{'d' * 254}", None),
    ],
)
def test_an_address_names_its_agent(to: str, route: EmailRoute | None) -> None:
    assert create_address_based_email_resolver("Support")(email(to), {}) == route


def test_a_catch_all_names_one_agent() -> None:
    assert create_catch_all_email_resolver("Support", "inbox")(email("x@y"), {}) == EmailRoute("Support", "inbox")


def test_a_signed_reply_names_the_agent_that_signed() -> None:
    headers = sign_agent_headers("secret", "support", "ann", now=NOW)
    raw = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\nhello"
    resolve = create_secure_reply_email_resolver("secret", now=lambda: NOW)
    assert resolve(email(raw=raw), {}) == EmailRoute("support", "ann", is_secure=True)


def test_why_a_reply_proves_nothing_is_told() -> None:
    faults: list[str] = []
    resolve = create_secure_reply_email_resolver(
        "secret", on_invalid_signature=lambda email, fault: faults.append(fault), now=lambda: NOW
    )
    assert resolve(email(), {}) is None
    assert faults == ["missing_headers"]


def test_a_resolver_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="secret is required"):
        create_secure_reply_email_resolver("")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"Auto-Submitted": "no"}, False),
        ({"auto-submitted": "auto-replied"}, True),
        ({"X-Auto-Response-Suppress": ""}, True),
        ({"Precedence": "Bulk"}, True),
        ({"Precedence": "first-class"}, False),
    ],
)
def test_a_machines_answer_is_known_by_its_headers(headers: dict[str, str], expected: bool) -> None:
    assert is_auto_reply_email(headers) is expected
    assert is_auto_reply_email(list(headers.items())) is expected
