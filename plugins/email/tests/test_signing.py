"""Signed headers prove who sent what, and nothing else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from edgeagents_email.signing import sign_agent_headers, verify_agent_headers

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def signed(**changes: str) -> dict[str, str]:
    headers = sign_agent_headers("secret", "support", "ann", now=NOW)
    return {name.lower(): value for name, value in {**headers, **changes}.items()}


def test_what_was_signed_is_proved() -> None:
    assert verify_agent_headers(signed(), "secret", now=NOW) == ("support", "ann")


def test_the_signature_is_the_one_of_the_typescript_sdk() -> None:
    # Made with WebCrypto in Node.js.
    assert signed()["x-agent-sig"] == "W2NJ84G6b+pH0IrDAPeI/XgrIu/Km4/CeGaMcTd4S8M="


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"X-Agent-ID": "bob"}, "invalid"),
        ({"X-Agent-Name": "admin"}, "invalid"),
        ({"X-Agent-Sig": "AAAA"}, "invalid"),
        ({"X-Agent-Sig": "ä"}, "invalid"),
        ({"X-Agent-Sig": ""}, "missing_headers"),
        ({"X-Agent-Sig-Ts": "yesterday"}, "malformed_timestamp"),
        ({"X-Agent-Sig-Ts": "9999999999"}, "invalid"),  # the future
    ],
)
def test_what_was_changed_is_not(changes: dict[str, str], fault: str) -> None:
    assert verify_agent_headers(signed(**changes), "secret", now=NOW) == fault


def test_another_secret_proves_nothing() -> None:
    assert verify_agent_headers(signed(), "another", now=NOW) == "invalid"


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(days=30), ("support", "ann")),
        (timedelta(days=30, seconds=1), "expired"),
        (-timedelta(minutes=5), ("support", "ann")),  # clocks differ
        (-timedelta(minutes=5, seconds=1), "invalid"),
    ],
)
def test_a_signature_holds_for_thirty_days(age: timedelta, expected: object) -> None:
    assert verify_agent_headers(signed(), "secret", now=NOW + age) == expected


@pytest.mark.parametrize(("name", "id"), [("", "x"), ("a", ""), ("a:b", "x"), ("a", "x:y")])
def test_what_could_be_taken_for_another_agent_is_not_signed(name: str, id: str) -> None:
    with pytest.raises(ValueError, match=r"is required|cannot contain colons"):
        sign_agent_headers("secret", name, id, now=NOW)
