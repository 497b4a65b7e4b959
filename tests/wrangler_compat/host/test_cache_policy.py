"""Which responses a cache keeps, for how long, and what it answers with."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from wrangler_compat.host.web.cache_policy import is_unchanged, lifetime, part_of, without_private_cookie

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("response", "seconds"),
    [
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": "public, max-age=60, s-maxage=10"}, 10),
        ({"cache-control": "max-age=60", "age": "20"}, 40),
        ({"cache-control": "max-age=x"}, 0),
        ({"cache-control": "No-Store, max-age=60"}, 0),
        ({"cache-control": "private, max-age=60"}, 0),
        ({"cache-control": "no-cache, max-age=60"}, 0),
        ({"cache-control": "max-age=60", "set-cookie": "a=b"}, 0),
        ({"expires": "Thu, 01 Jan 2026 12:00:30 GMT"}, 30),
        ({"expires": "Thu, 01 Jan 2026 12:00:30 GMT", "date": "Thu, 01 Jan 2026 12:00:20 GMT"}, 10),
        ({"expires": "0"}, 0),
        ({"expires": "Thu, 01 Jan 2026 12:00:30 GMT", "cache-control": "max-age=5"}, 5),
        ({"last-modified": "Thu, 01 Jan 2026 11:50:00 GMT"}, 60),
        ({}, 0),
    ],
    ids=str,
)
def test_a_response_is_fresh_for_what_its_headers_say(response, seconds):
    assert lifetime(200, {}, response, NOW) == seconds


@pytest.mark.parametrize(("status", "seconds"), [(200, 9), (301, 9), (302, 9), (404, 9), (500, 0), (304, 0), (206, 0)])
def test_some_statuses_are_never_kept(status, seconds):
    assert lifetime(status, {}, {"cache-control": "max-age=9"}, NOW) == seconds


def test_what_was_asked_for_with_credentials_is_kept_only_when_that_is_said():
    asked = {"authorization": "Basic x"}
    assert lifetime(200, asked, {"cache-control": "max-age=9"}, NOW) == 0
    assert lifetime(200, asked, {"cache-control": "max-age=9, public"}, NOW) == 9


@pytest.mark.parametrize(
    ("control", "left"),
    [
        ("private=set-cookie, max-age=9", {"cache-control": "max-age=9"}),
        ('max-age=9, Private="Set-Cookie"', {"cache-control": "max-age=9"}),
        ("max-age=9", {"cache-control": "max-age=9", "set-cookie": "a=b"}),
    ],
)
def test_a_private_cookie_is_left_out(control, left):
    assert without_private_cookie({"cache-control": control, "set-cookie": "a=b"}) == left


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"if-none-match": '"a"'}, True),
        ({"if-none-match": 'W/"a", "b"'}, True),
        ({"if-none-match": "*"}, True),
        ({"if-none-match": '"b"'}, False),
        ({"if-none-match": '"b"', "if-modified-since": "Fri, 02 Jan 2026 12:00:00 GMT"}, False),
        ({"if-modified-since": "Thu, 01 Jan 2026 12:00:00 GMT"}, True),
        ({"if-modified-since": "Thu, 01 Jan 2026 11:00:00 GMT"}, False),
        ({"if-modified-since": "yesterday"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_conditions(asked, expected):
    assert is_unchanged(asked, {"etag": '"a"', "last-modified": "Thu, 01 Jan 2026 12:00:00 GMT"}) is expected


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        (None, None),
        ("bytes=0-3", (0, 4)),
        ("bytes=2-", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes=5-2", None),
        ("bytes=0-1,3-4", None),
        ("lines=1-2", None),
        ("bytes=-", None),
    ],
)
def test_ranges(wanted, part):
    assert part_of(wanted, 10) == part


@pytest.mark.parametrize("wanted", ["bytes=10-", "bytes=-0", "bytes=99-100"])
def test_ranges_that_are_not_there(wanted):
    with pytest.raises(ValueError, match="The range"):
        part_of(wanted, 10)
