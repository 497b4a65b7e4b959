"""The page that says what is like Cloudflare is the one that the tests say."""

from __future__ import annotations

from tests.compatibility import PAGE, claims, render


def test_the_page_is_made_from_the_tests():
    assert PAGE.read_text() == render(), "Run: python -m tests.compatibility"


def test_nothing_is_claimed_to_be_both_the_same_and_different():
    answers: dict[tuple[str, str], set[str]] = {}
    for claim in claims():
        answers.setdefault((claim.area, claim.what), set()).add(claim.answer)
    assert [what for what, said in answers.items() if len(said) > 1] == []
