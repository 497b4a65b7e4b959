from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal, NotRequired, Optional

import annotated_types
import pydantic
import pytest
from typing_extensions import TypedDict

from edgeagents.models.json_types import InvalidValue, read_value, schema_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: float = 0.0
    tags: list[str] = field(default_factory=list)


class Named(TypedDict):
    name: str
    age: NotRequired[int]


class Model(pydantic.BaseModel):
    n: int


@dataclass
class Node:
    next: Optional[Node]  # noqa: UP045


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (int | None, {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        (Literal["a", 1], {"enum": ["a", 1]}),
        (Colour, {"enum": ["red", "blue"]}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (set[str], {"type": "array", "items": {"type": "string"}, "uniqueItems": True}),
        (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
        (datetime, {"type": "string", "format": "date-time"}),
        (Annotated[float, "in degrees"], {"type": "number", "description": "in degrees"}),
        (Any, {}),
        (
            Point,
            {
                "type": "object",
                "properties": {
                    "x": {"type": "integer"},
                    "y": {"type": "number", "default": 0.0},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["x"],
                "additionalProperties": False,
            },
        ),
        (
            Named,
            {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["name"],
                "additionalProperties": False,
            },
        ),
    ],
    ids=str,
)
def test_a_type_has_a_schema(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of(hint) == schema


def test_a_pydantic_model_describes_and_checks_itself() -> None:
    assert schema_of(Model)["properties"]["n"]["type"] == "integer"
    assert read_value(Model, {"n": 3}) == Model(n=3)
    with pytest.raises(InvalidValue, match="valid integer"):
        read_value(Model, {"n": "x"})


@pytest.mark.parametrize(
    ("hint", "value", "found"),
    [
        (int, 3.0, 3),
        (float, 3, 3.0),
        (int | str, "x", "x"),
        (Colour, "red", Colour.RED),
        (Sequence[int], [1, 2], [1, 2]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (frozenset[int], [1, 1], frozenset({1})),
        (Point, {"x": 1}, Point(1)),
        (Named, {"name": "a"}, {"name": "a"}),
        (datetime, "2026-01-01T00:00:00", datetime(2026, 1, 1)),
    ],
    ids=str,
)
def test_a_value_is_read_as_its_type_asks(hint: Any, value: Any, found: Any) -> None:
    assert read_value(hint, value) == found


@pytest.mark.parametrize(
    ("hint", "value", "problem"),
    [
        (int, "3", "input must be a whole number, not '3'"),
        (int, True, "input must be a whole number, not True"),  # bool is an int to Python, not to JSON
        (list[int], [1, "x"], r"input\[1\] must be a whole number"),
        (Literal["a", "b"], "c", "must be one of 'a', 'b'"),
        (Colour, "green", "must be one of 'red', 'blue'"),
        (dict[str, int], [1], "must be an object"),
        (int | None, "x", "whole number, not 'x', or input must be null"),
        (Point, {"y": "q", "z": 1}, "input.x is missing; input.z is not known; input.y must be a number"),
        (datetime, 5, "ISO 8601"),
    ],
    ids=str,
)
def test_a_wrong_value_is_told_all_its_faults(hint: Any, value: Any, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        read_value(hint, value)


@pytest.mark.parametrize("hint", [complex, bytes, dict[int, str], Node, tuple[int, str]], ids=str)
def test_a_type_that_json_has_not_is_refused_when_the_schema_is_made(hint: Any) -> None:
    with pytest.raises(TypeError):
        schema_of(hint)


Score = Annotated[float, annotated_types.Interval(ge=1, le=10), "the more the better"]
Even = Annotated[list[int], annotated_types.Len(1, 2)]
Code = Annotated[str, pydantic.Field(min_length=2)]


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (Score, {"type": "number", "minimum": 1, "maximum": 10, "description": "the more the better"}),
        (Annotated[int, annotated_types.Gt(0)], {"type": "integer", "exclusiveMinimum": 0}),
        (Even, {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}),
        (Code, {"type": "string", "minLength": 2}),
        (Annotated[datetime, annotated_types.Ge(datetime(2026, 1, 1))], {"type": "string", "format": "date-time"}),
    ],
    ids=str,
)
def test_limits_are_a_part_of_the_schema(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of(hint) == schema


@pytest.mark.parametrize(
    ("hint", "value", "problem"),
    [
        (Score, 0, "input must be at least 1, not 0"),
        (Score, 11, "input must be at most 10, not 11"),
        (list[Score], [5, float("nan")], r"input\[1\] must be at least 1"),
        (Even, [], r"input must have a length of at least 1, not \[\]"),
        (Even, [1, 2, 3], "at most 2"),
        (Code, "x", "length of at least 2, not 'x'"),
        (Annotated[date, annotated_types.Lt(date(2026, 1, 1))], "2026-01-01", "less than datetime.date"),
    ],
    ids=str,
)
def test_a_value_keeps_to_its_limits(hint: Any, value: Any, problem: str) -> None:
    with pytest.raises(InvalidValue, match=problem):
        read_value(hint, value)


def test_a_value_at_its_limit_is_read() -> None:
    assert [read_value(Score, value) for value in (1, 10)] == [1, 10]
    assert read_value(Even, [1, 2]) == [1, 2]


class Tree(pydantic.BaseModel):
    leaves: list[Model]
    left: Tree | None = None


def test_the_definitions_of_a_pydantic_model_are_where_its_references_look() -> None:
    schema = schema_of(list[Annotated[Tree, "a tree"]])
    assert set(schema["$defs"]) == {"Model", "Tree"}
    assert schema["items"] == {"$ref": "#/$defs/Tree", "description": "a tree"}
    assert schema["$defs"]["Tree"]["properties"]["leaves"]["items"] == {"$ref": "#/$defs/Model"}


def test_a_pydantic_model_that_contains_itself_is_an_object() -> None:
    schema = schema_of(Tree)
    assert schema["type"] == "object"
    assert list(schema["properties"]) == ["leaves", "left"]


def test_two_types_of_one_name_are_refused() -> None:
    other = pydantic.create_model("Tree", leaves=(str, ...), left=("Tree | None", None))
    other.model_rebuild(_types_namespace={"Tree": other})
    with pytest.raises(TypeError, match="Two types are called 'Tree'"):
        schema_of(Tree | other)
