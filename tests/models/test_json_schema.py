from __future__ import annotations

from typing import Any

import pytest

from edgeagents.models.json_schema import problems_of

POINT = {
    "type": "object",
    "properties": {"x": {"type": "integer"}, "y": {"type": "number"}},
    "required": ["x"],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/Tree",
    "$defs": {"Tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/Tree"}, "n": {"type": "integer"}}}},
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, {"anything": [1]}),
        (POINT, {"x": 1, "y": 2.5}),
        (POINT, {"x": 1.0}),  # a whole number, however it is written
        ({"type": ["string", "null"]}, None),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}),
        ({"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [1, 2]),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1]),
        ({"enum": ["a", 1]}, 1),
        ({"const": "a"}, "a"),
        ({"minimum": 1}, "not a number"),  # a limit asks for nothing of another kind
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, 1),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, 1),
        ({"type": "string", "pattern": "^a", "format": "email"}, "abc"),
        (TREE, {"left": {"left": {}, "n": 1}}),
        ({"type": "object", "properties": {"again": {"$ref": "#"}}}, {"again": {"again": {}}}),
        ({"not": {"type": "string"}}, 1),
    ],
    ids=str,
)
def test_a_value_that_is_as_its_schema_asks_has_no_problems(schema: dict[str, Any], value: Any) -> None:
    assert problems_of(schema, value) == []


@pytest.mark.parametrize(
    ("schema", "value", "problems"),
    [
        (POINT, [1], ["answer must be an object, not [1]"]),
        (
            POINT,
            {"y": "a", "z": 1},
            ["answer.x is missing", "answer.y must be a number, not 'a'", "answer.z is not known"],
        ),
        ({"type": "integer"}, True, ["answer must be a whole number, not True"]),
        ({"type": ["string", "null"]}, 1, ["answer must be a string or null, not 1"]),
        ({"items": {"type": "integer"}}, [1, "a"], ["answer[1] must be a whole number, not 'a'"]),
        ({"uniqueItems": True}, [1, 1], ["answer must hold nothing twice"]),
        ({"enum": ["a", "b"]}, "c", ["answer must be one of 'a', 'b', not 'c'"]),
        ({"enum": [1, 2]}, True, ["answer must be one of 1, 2, not True"]),
        ({"const": "a"}, "b", ["answer must be 'a', not 'b'"]),
        ({"minimum": 1, "maximum": 10}, 0, ["answer must be at least 1, not 0"]),
        ({"exclusiveMaximum": 10}, 10, ["answer must be less than 10, not 10"]),
        ({"minLength": 2}, "a", ["answer must have a length of at least 2, not 'a'"]),
        ({"maxItems": 1}, [1, 2], ["answer must have a length of at most 1, not [1, 2]"]),
        ({"pattern": "^a"}, "b", ["answer must match '^a', not 'b'"]),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            1,
            ["answer must be a string, not 1, or answer must be null, not 1"],
        ),
        ({"oneOf": [{"type": "string"}]}, 1, ["answer must be a string, not 1"]),
        (
            {"oneOf": [{"minimum": 1}, {"maximum": 9}]},
            5,
            ["answer must be one kind of value only, but 5 is of several"],
        ),
        ({"allOf": [{"minimum": 1}, {"maximum": 9}]}, 10, ["answer must be at most 9, not 10"]),
        ({"not": {"type": "string"}}, "a", ["answer must not be 'a'"]),
        (TREE, {"left": {"n": "a"}}, ["answer.left.n must be a whole number, not 'a'"]),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_with_its_place(schema: dict[str, Any], value: Any, problems: list[str]) -> None:
    assert problems_of(schema, value) == problems


def test_a_reference_to_nothing_is_the_schemas_fault() -> None:
    with pytest.raises(ValueError, match="has nothing at '#/\\$defs/Gone'"):
        problems_of({"$ref": "#/$defs/Gone"}, 1)
