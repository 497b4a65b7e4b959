"""What the pages link to and name is there, and each page with Python has a test that runs it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import ROOT, Page

DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def is_there(page: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = ROOT / page if not path else (ROOT / page).parent / path
    return target.exists() and (not anchor or anchor in anchors(target))


@pytest.mark.parametrize("page", ["README.md", "examples/README.md", "examples/PORTING.md", *DOCS])
def test_links_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", Page(page).text)
    assert [link for link in links if not re.match(r"https?:", link) and not is_there(page, link)] == []


@pytest.mark.parametrize("page", DOCS)
def test_the_tests_that_a_page_names_are_there(page: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)`", Page(page).text)
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", [page for page in DOCS if Page(page).blocks("python")])
def test_a_test_runs_the_code_of_a_page(page: str) -> None:
    test = ROOT / "tests" / "docs" / f"test_{Path(page).stem}_page.py"
    assert f'Page("{page}")' in test.read_text()
