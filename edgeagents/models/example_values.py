"""Values as a JSON schema asks for them, made up: what the offline model says when it must answer in a form."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any, cast

from edgeagents.models.json_schema import resolve
from edgeagents.models.parts import Json

__all__ = ["example_of"]

DEEPEST = 6
_WORDS = ("small", "quick", "patient", "careful", "quiet", "round", "early", "bright", "plain", "steady")
_FORMATS = {"date-time": "2026-01-01T00:00:00+00:00", "date": "2026-01-01"}


def example_of(schema: Json, rng: random.Random) -> Json:
    """Return a value that is as ``schema`` asks, drawn with ``rng``.

    A type that contains itself comes to an end where it may. Of ``pattern`` and ``not`` nothing is understood.
    """
    return _Example(schema, rng).of(schema, 0)


class _Example:
    def __init__(self, root: Json, rng: random.Random) -> None:
        self._root: Mapping[str, Json] = root if isinstance(root, Mapping) else {}
        self._rng = rng

    def of(self, schema: Json, depth: int) -> Json:
        if not isinstance(schema, Mapping):
            return self._text({})
        schema = resolve(schema, self._root)
        for each in schema.get("allOf", ()):
            schema = {**schema, **resolve(each, self._root)}
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._rng.choice(schema["enum"])
        choices = schema.get("anyOf") or schema.get("oneOf")
        if choices:
            # What may be null is null where it gets deep, and null is written last.
            return self.of(choices[-1 if depth > DEEPEST else 0], depth)
        kinds = schema.get("type") or ("object" if "properties" in schema else "string")
        match kinds if isinstance(kinds, str) else kinds[0]:
            case "object":
                return self._object(schema, depth)
            case "array":
                least = schema.get("minItems", 0)
                count = least if depth > DEEPEST else max(least, min(2, schema.get("maxItems", 2)))
                return [self.of(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "integer" | "number" as kind:
                return self._number(schema, is_whole=kind == "integer")
            case "boolean":
                return self._rng.random() < 0.5
            case "null":
                return None
            case _:
                return self._text(schema)

    def _object(self, schema: Mapping[str, Json], depth: int) -> Json:
        fields = cast("Mapping[str, Any]", schema.get("properties", {}))
        required = schema.get("required", ())
        wanted = {name: each for name, each in fields.items() if name in required or depth <= DEEPEST}
        return {name: self.of(each, depth + 1) for name, each in wanted.items()}

    def _number(self, schema: Mapping[str, Json], *, is_whole: bool) -> Json:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        most = schema.get("maximum", schema.get("exclusiveMaximum"))
        if least is None:
            least = 0 if most is None or most > 0 else most - 10
        if most is None:
            most = least + 10
        lowest, highest = math.ceil(least), math.floor(most)
        lowest += "exclusiveMinimum" in schema and lowest == schema["exclusiveMinimum"]
        highest -= "exclusiveMaximum" in schema and highest == schema["exclusiveMaximum"]
        # Whole numbers read better; between two of them there may be none.
        return self._rng.randint(lowest, highest) if is_whole or lowest <= highest else (least + most) / 2

    def _text(self, schema: Mapping[str, Json]) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = " ".join(self._rng.choice(_WORDS) for _ in range(3))
        while len(text) < schema.get("minLength", 0):
            text += f" {self._rng.choice(_WORDS)}"
        return text[: schema.get("maxLength")]
