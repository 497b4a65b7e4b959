"""Every hook is documented, and tested by a test that bears its name."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from edgeagents import hookspecs

ROOT = Path(__file__).parents[2]
HOOKS = [name for name, fn in vars(hookspecs).items() if hasattr(fn, "edgeagents_spec")]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_documented_with_its_signature(hook):
    parameters = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"### `{hook}({parameters})`" in (ROOT / "plugins" / "README.md").read_text()


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_says_in_a_sentence_what_it_is(hook):
    assert inspect.getdoc(getattr(hookspecs, hook))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_test(hook):
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert re.search(rf"def test_hook_{hook}\b", tests), f"write test_hook_{hook}"
