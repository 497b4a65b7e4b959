"""Kinds come back as what they are, from storage and from other objects, and are plain types to who knows nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cbor2
import pytest

from edgeagents.errors import StorageError
from edgeagents.objects import record
from edgeagents.objects.kinds import kind
from edgeagents.objects.values import clone, decode, encode


@kind("test-bag")
class Bag(list[Any]):
    """A list with a label."""

    label = ""

    def parts(self) -> list[Any]:
        return [self.label, *self]

    def fill(self, parts: Iterable[Any]) -> None:
        self.label, *items = parts
        self.extend(items)


@kind("test-ink")
class Ink(bytes):
    """Bytes with a colour."""

    colour: str

    @classmethod
    def of(cls, parts: Iterable[Any]) -> Ink:
        content, colour = parts
        made = cls(content)
        made.colour = colour
        return made

    def parts(self) -> list[Any]:
        return [bytes(self), self.colour]


@record("test-pair")
@dataclass(frozen=True)
class Pair:
    """A record that holds what it is given."""

    left: Any
    right: Any


def bag(*items: Any) -> Bag:
    made = Bag(items)
    made.label = "b"
    return made


def test_one_comes_back_as_what_it_is_and_as_a_copy() -> None:
    value = bag(1, [2], Ink.of([b"x", "red"]))
    copy = clone(value)
    assert (type(copy), copy.label, copy[:2], type(copy[2]), copy[2].colour) == (Bag, "b", [1, [2]], Ink, "red")
    copy[1].append(3)
    assert value[1] == [2]


def test_one_that_stands_in_a_value_twice_or_in_itself_does_so_in_the_copy() -> None:
    value = bag()
    value.append(value)
    ink = Ink.of([b"x", "red"])
    copy = decode(encode({"one": value, "other": [value], "ink": ink, "too": (ink,)}))
    assert copy["one"] is copy["other"][0] is copy["one"][0]
    assert copy["ink"] is copy["too"][0]


def test_one_is_found_in_records_sets_tuples_and_keys() -> None:
    ink = Ink.of([b"x", "red"])
    copy = decode(encode([Pair(ink, bag(1)), {ink}, frozenset({ink}), {ink: 1}]))
    assert copy[0].left.colour == next(iter(copy[1])).colour == next(iter(copy[2])).colour == "red"
    assert next(iter(copy[3])).colour == "red"
    assert (type(copy[0].right), copy[0].right) == (Bag, [1])


def test_one_that_nothing_knows_any_more_is_refused_by_its_name() -> None:
    data = encode(bag(1)).replace(b"test-bag", b"test-gab")
    with pytest.raises(StorageError, match="a 'test-gab', which nothing here knows"):
        decode(data)


def test_a_name_stands_for_one_class() -> None:
    class Other(list[Any]):
        pass

    with pytest.raises(TypeError, match="Two classes are the kind 'test-bag'"):
        kind("test-bag")(Other)


def test_values_without_any_are_written_as_ever() -> None:
    assert encode({"a": [1, (2,)]}) == cbor2.dumps(
        cbor2.CBORTag(28, {"a": cbor2.CBORTag(28, [1, cbor2.CBORTag(60_832, (2,))])})
    )
