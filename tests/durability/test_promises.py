"""Every promise on the page has a test that is there, and every test of durability is on the page."""

from __future__ import annotations

import re

from tests.servers import ROOT

PAGE = ROOT / "docs" / "promises.md"
LINK = re.compile(r"\[(\w+)\]\(\.\./([\w/]+\.py)\)")


def links() -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in LINK.finditer(PAGE.read_text())]


def test_each_promise_is_linked_to_a_test_that_is_there() -> None:
    assert len(links()) >= 30
    missing = [
        f"{path}: {name}"
        for name, path in links()
        if not re.search(rf"(def {name}\(|^{name} = )", (ROOT / path).read_text(), re.MULTILINE)
    ]
    assert missing == []


def test_each_row_names_a_test_and_no_figure_is_left_open() -> None:
    rows = [
        line for line in PAGE.read_text().splitlines() if line.startswith("| ") and not line.startswith("| promise")
    ]
    assert [row for row in rows if not LINK.search(row)] == []
    assert re.findall(r"\b[A-Z]{5,}_?\d?\b(?= \|)", PAGE.read_text()) == []


def test_each_test_with_figures_is_on_the_page() -> None:
    linked = {path for _, path in links()}
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests/durability").glob("test_*.py")}
    assert files - linked == {"tests/durability/test_promises.py"}
