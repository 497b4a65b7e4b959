"""TOML 1.1: what it adds, what wrangler refuses beyond it, and where a fault is said to be."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from wrangler_compat.encoding import SyntaxFault
from wrangler_compat.toml import parse_toml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("a = {\n  b = 1, # why\n  c = 2,\n}\n", {"a": {"b": 1, "c": 2}}),
        (r'a = "\e[1m"', {"a": "\x1b[1m"}),
        (r'a = "\x41"', {"a": "A"}),
        ("a = 10:00", {"a": time(10)}),
        ("a = 2026-01-01T10:00", {"a": datetime(2026, 1, 1, 10)}),
        ("a = 2026-01-01 10:00Z", {"a": datetime(2026, 1, 1, 10, tzinfo=UTC)}),
        ("a = 2026-01-01", {"a": date(2026, 1, 1)}),
        ('a = """x\r\ny"""\r\nb = 1\r\n', {"a": "x\r\ny", "b": 1}),
        ("a = 9007199254740991", {"a": 9007199254740991}),
        ("[[a]]\nb = 1\n[[a]]\nb = 2", {"a": [{"b": 1}, {"b": 2}]}),
    ],
)
def test_what_wrangler_takes_is_taken(text: str, value: object) -> None:
    assert parse_toml(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\na = 2",
        "[a]\nb = 1\n[a]\nc = 1",
        "a = {b = 1}\n[a.c]\nd = 1",
        "a = [{b = 1}]\n[[a]]\nb = 2",
        "a = 1\rb = 2",
        'a = "\x01"',
        "# \x01\na = 1",
        "é = 1",
        "a = 9007199254740992",
        "a = [-9007199254740992]",
        "a = {b = 9007199254740993}",
        "a = 0x" + "f" * 5000,
        "a = " + "[" * 100_000,
        "a = ",
        "\ufeffa = 1",
    ],
)
def test_what_wrangler_refuses_is_refused(text: str) -> None:
    with pytest.raises(SyntaxFault):
        parse_toml(text)


def test_a_fault_names_its_line_and_column_once() -> None:
    with pytest.raises(SyntaxFault) as caught:
        parse_toml('name = "w"\nmain = \n')
    assert (caught.value.line, caught.value.column) == (2, 8)
    assert "line" not in str(caught.value)


def test_tables_come_back_as_plain_dicts_and_lists() -> None:
    table = parse_toml("[a]\nb = [{c = 1}]")
    assert type(table) is dict
    assert type(table["a"]) is dict
    assert type(table["a"]["b"]) is list
    assert type(table["a"]["b"][0]) is dict
