from __future__ import annotations

import pytest

from edgeagents.agents.kebab import kebab_case, snake_case


@pytest.mark.parametrize(
    ("name", "segment"),
    [
        ("Counter", "counter"),
        ("MyAgent", "my-agent"),
        ("AIAssistant", "a-i-assistant"),
        ("XMLParser", "x-m-l-parser"),
        ("MyAgent2", "my-agent2"),
        ("GPT4", "gpt4"),  # All in capitals: only lowered.
        ("LOUD_AGENT", "loud-agent"),
        ("user_Agent", "user--agent"),
        ("_Private", "--private"),  # The underscore becomes a dash after the leading dash was taken.
        ("Agent__", "agent-"),  # One dash is taken from the end, not two.
        ("my-agent", "my-agent"),
        ("", ""),
        ("42", "42"),
    ],
)
def test_class_name_becomes_url_segment(name: str, segment: str) -> None:
    assert kebab_case(name) == segment


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("addNumbers", "add_numbers"),
        ("add_numbers", "add_numbers"),
        ("getURL", "get_url"),
        ("parseJSONText", "parse_json_text"),
        ("onStart", "on_start"),
        ("add", "add"),
        ("step2Go", "step2_go"),
    ],
)
def test_javascript_name_becomes_python_name(asked: str, name: str) -> None:
    assert snake_case(asked) == name
