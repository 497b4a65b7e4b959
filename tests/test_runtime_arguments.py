"""What cannot be told a runtime is refused when it is made, by the name of the argument."""

from __future__ import annotations

from typing import Any

import pytest

from edgeagents import Agent, AgentsMiddleware, DurableObject, Runtime
from edgeagents.errors import ConfigError


class Counter(Agent):
    pass


class Plain:
    pass


async def inner(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("Nothing is asked of it.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # Once taken for "not full": nothing waited for the disk any more.
        ({"durability": "Full"}, r"^durability='Full': it is 'full', 'normal' or 'memory'\.$"),
        ({"durability": None}, r"^durability=None"),
        ({"storage": 5}, r"^storage=5: it is the path of the state folder, or None for memory\.$"),
        ({"storage": b"state"}, r"^storage=b'state'"),
        ({"limits": {}}, r"^limits=\{\}: it is a Limits"),
        ({"history": 30}, r"^history=30: it is a History, or None"),
        ({"env": ["KEY"]}, r"^env=\['KEY'\]: it is a mapping"),
        ({"prefix": None}, r"^prefix=None"),
        ({"plugins": "edgeagents_openai"}, r"^plugins='edgeagents_openai': it is a list"),
        ({"on_before_connect": "check"}, r"^on_before_connect='check': it is a function"),
        ({"on_before_request": True}, r"^on_before_request=True: it is a function"),
        ({"agents": Counter}, r"^agents is a list of classes: agents=\[Counter\]\.$"),
        ({"agents": "Counter"}, r"^agents='Counter': it is a list of classes"),
        ({"agents": ["Counter"]}, r"^agents=\['Counter'\]: it is a list of classes, not of names"),
        ({"agents": [Plain]}, r"^agents=\[Plain\]: Plain is no agent\. Derive it from edgeagents\.Agent"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_value_that_cannot_be_is_refused_at_once(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AgentsMiddleware(inner, **{"agents": [Counter], **arguments})


def test_agents_may_be_any_collection_of_classes() -> None:
    class Store(DurableObject):
        pass

    runtime = Runtime(agents={"a": Counter, "b": Store}.values(), storage=None)  # type: ignore[arg-type]

    assert list(runtime.worker.classes) == ["Counter", "Store"]
