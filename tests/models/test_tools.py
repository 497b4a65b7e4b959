from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from edgeagents.models import ToolContext, tool, tool_call
from edgeagents.models.json_types import InvalidValue
from edgeagents.models.tools import json_output, read_tools


def get_weather(city: str, *, unit: str = "C") -> str:
    """Return the weather of a city.

    It may rain.

    Args:
        city: The name of the city,
            in English.
        unit (str): C or F.

    Returns:
        A sentence.
    """
    return f"{city}: 20 {unit}"


def test_a_function_describes_itself() -> None:
    made = tool(get_weather)
    assert made.name == "get_weather"
    assert made.description == "Return the weather of a city.\n\nIt may rain."
    assert made.input_schema == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The name of the city, in English."},
            "unit": {"type": "string", "description": "C or F.", "default": "C"},
        },
        "required": ["city"],
        "additionalProperties": False,
    }


def test_parameters_may_be_described_as_sphinx_does() -> None:
    def add(a: int, b: int) -> int:
        """Add.

        :param a: one
        :param int b: another
        """
        return a + b

    properties = tool(add).input_schema["properties"]
    assert tool(add).description == "Add."
    assert [each["description"] for each in properties.values()] == ["one", "another"]


def test_a_method_is_a_tool_without_self() -> None:
    class Shop:
        def price(self, item: str) -> int:
            return len(item)

    assert list(tool(Shop().price).input_schema["properties"]) == ["item"]


def test_a_decorator_makes_a_tool() -> None:
    @tool(name="look_up", description="Looks it up.")
    def find(key: str) -> str:
        return key

    assert (find.name, find.description) == ("look_up", "Looks it up.")


def test_a_tool_is_told_of_its_call_where_it_asks() -> None:
    def find(key: str, call: ToolContext) -> str:
        return key

    made = tool(find)
    context = ToolContext("c1", ())
    assert list(made.input_schema["properties"]) == ["key"]
    assert made.arguments(tool_call("c1", "find", '{"key": "k"}'), context) == {"key": "k", "call": context}


@dataclass
class Query:
    text: str


def test_one_type_may_be_the_whole_input() -> None:
    def search(query: Query) -> str:
        return query.text

    made = tool(search, input_schema=Query)
    assert made.read({"text": "x"}) == {"query": Query("x")}


def test_a_json_schema_may_be_given() -> None:
    schema = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
    made = tool(None, name="ask", description="Asks the user.", input_schema=schema)
    assert made.input_schema is schema
    assert made.execute is None
    with pytest.raises(InvalidValue, match="q is missing"):
        made.read({})


def test_tools_have_the_names_that_a_dict_gives_them() -> None:
    assert list(read_tools({"w": get_weather, "x": tool(get_weather)})) == ["w", "x"]
    assert read_tools({"w": get_weather})["w"].name == "w"


def _any(*args: int) -> None: ...
def _bytes(data: bytes) -> None: ...


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: tool(lambda x: x), "needs a name"),
        (lambda: tool(None, name="ask"), "needs input_schema"),
        (lambda: tool(_any), "named parameters only"),
        (lambda: tool(_bytes), "'_bytes' cannot be described: JSON has no type for bytes"),
    ],
    ids=["lambda", "no function", "varargs", "bytes"],
)
def test_what_cannot_be_a_tool_says_why(make: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        make()


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="Two tools are called 'get_weather'"):
        read_tools([get_weather, get_weather])


def test_input_that_is_not_json_is_an_error_of_the_call() -> None:
    call = tool_call("c", "add", '{"a": ')
    assert call.input == '{"a": '
    assert call.error is not None
    assert tool_call("c", "now", "").input == {}


def test_output_is_json() -> None:
    assert json_output([Query("x"), {"a": (1, 2)}]) == [{"text": "x"}, {"a": [1, 2]}]
    with pytest.raises(TypeError):
        json_output(object())
