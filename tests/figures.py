"""What tests have measured, printed when all have run, whichever process each of them ran in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

FIGURES = "figures"


class Figures:
    """Keeps what a test has measured. It is printed whether the test passes or not."""

    def __init__(self, properties: list[tuple[str, object]]) -> None:
        self._properties = properties

    def __call__(self, text: str) -> None:
        self._properties.append((FIGURES, text))


def figures_of(reports: Iterable[object]) -> Iterator[str]:
    """Yield what tests have measured, a line each."""
    for report in reports:
        if isinstance(report, pytest.TestReport) and report.when == "call":
            yield from (str(text) for name, text in report.user_properties if name == FIGURES)
