"""What all tests have: a place for what they measure."""

from __future__ import annotations

import itertools

import pytest

from tests.figures import Figures, figures_of


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Keeps a line that the test has to say. A test beside it cannot be told from it in what is printed meanwhile."""
    return Figures(request.node.user_properties)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = list(figures_of(itertools.chain(*terminalreporter.stats.values())))
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)
