"""The page about limits has them all, as they are."""

from __future__ import annotations

import re
from dataclasses import fields

from edgeagents.objects import Limits
from tests.limits import PAGE, ROOT, page


def test_the_table_is_that_of_the_fields():
    assert PAGE.read_text() == page(), "Run: python -m tests.limits"
    assert set(re.findall(r"^\| `(\w+)` \|", page(), re.MULTILINE)) == {field.name for field in fields(Limits)}


def test_every_limit_is_held_to_somewhere():
    sources = [path.read_text() for path in (ROOT / "edgeagents").rglob("*.py") if path.name != "limits.py"]
    unused = [name.name for name in fields(Limits) if not any(f".{name.name}" in source for source in sources)]
    assert unused == ["strict"]


def test_the_tests_that_the_page_names_are_there():
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE.read_text())
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
