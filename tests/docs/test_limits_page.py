"""The code of ``docs/limits.md`` sets what it says."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette

from edgeagents import AIChatAgent, Limits
from edgeagents.runtime import Runtime
from tests.documents import Page

PAGE = Page("docs/limits.md")


def test_limits_are_set_in_one_place() -> None:
    class Chat(AIChatAgent):
        pass

    app = Starlette()
    with PAGE.module(app=app, Chat=Chat):
        (middleware,) = app.user_middleware
    limits = middleware.kwargs["limits"]
    assert isinstance(limits, Limits)
    assert (limits.frame_bytes, limits.sockets_per_address) == (1024 * 1024, 100)
    assert limits.budget is not None
    with pytest.raises(TypeError):
        Runtime(limits=Limits(no_such_limit=1))  # type: ignore[call-arg]
