from __future__ import annotations

import pytest

from edgeagents.models.failures import http_failure, retry_after

DATE = {"Date": "Wed, 25 Nov 2026 10:00:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        # The finer one goes first.
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 25 Nov 2026 10:00:30 GMT", **DATE}, 30.0),
        ({"retry-after": "Wed, 25 Nov 2026 09:00:00 GMT", **DATE}, 0.0),
        ({"retry-after": "Wed, 25 Nov 2026 10:00:30 -0000", **DATE}, 30.0),
        ({"retry-after": "Wed, 25 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_a_server_says_when_to_ask_again(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (401, False), (404, False), (408, True), (409, True), (429, True), (500, True), (529, True)],
)
def test_a_status_says_whether_to_ask_again(status: int, retryable: bool) -> None:
    error = http_failure(status, "no luck", headers={"retry-after": "3"})
    assert (str(error), error.status, error.retryable, error.retry_after) == ("no luck", status, retryable, 3)


def test_a_key_is_not_repeated() -> None:
    assert str(http_failure(401, "The key sk-1 is not known.", secret="sk-1")) == "The key *** is not known."
