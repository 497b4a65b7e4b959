from __future__ import annotations

import random
from typing import Any

import pytest

from edgeagents.models.example_values import example_of
from edgeagents.models.json_schema import problems_of

LIST = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                "others": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
            "required": ["next"],
        }
    },
}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "string", "minLength": 40, "maxLength": 41},
        {"type": "string", "maxLength": 2},
        {"type": "string", "format": "date-time"},
        {"type": "integer"},
        {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
        {"type": "number", "minimum": 1, "maximum": 10},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
        {"type": "number", "maximum": -3},
        {"type": "boolean"},
        {"type": ["null", "string"]},
        {"enum": ["a", 1, None]},
        {"const": 7},
        {"type": "array", "items": {"type": "integer"}, "minItems": 3},
        {"type": "array", "maxItems": 1},
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False},
        {"allOf": [{"type": "integer"}, {"minimum": 5}]},
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        LIST,
    ],
    ids=str,
)
def test_an_example_is_as_its_schema_asks(schema: dict[str, Any]) -> None:
    for seed in range(20):
        assert problems_of(schema, example_of(schema, random.Random(seed))) == []


def test_the_same_chance_gives_the_same_example() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}
    one, same, other = (example_of(schema, random.Random(seed)) for seed in (1, 1, 2))
    assert one == same != other
