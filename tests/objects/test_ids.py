"""Ids."""

from __future__ import annotations

import random
import re

import pytest

from edgeagents.objects.ids import HALF, id_from_name, id_from_string, nanoid, unique_id, uuid4

pytestmark = pytest.mark.cloudflare(
    "Durable Objects", "`idFromName`, `newUniqueId`, `idFromString`, `get`, `getByName`", "same; in snake_case"
)


def test_a_name_always_has_the_same_id():
    assert id_from_name("W-Counter", "x") == id_from_name("W-Counter", "x")
    assert id_from_name("W-Counter", "x").name == "x"


def test_an_id_is_64_hex_digits():
    assert re.fullmatch(r"[0-9a-f]{64}", str(id_from_name("W-Counter", "x")))


@pytest.mark.parametrize("other", ["X", "x ", "", "é", "x\0"])
def test_other_names_have_other_ids(other):
    assert not id_from_name("W-Counter", "x").equals(id_from_name("W-Counter", other))


def test_the_same_name_is_another_object_in_another_namespace():
    assert id_from_name("W-Counter", "x") != id_from_name("W-Chat", "x")


def test_any_string_is_a_name():
    assert str(id_from_name("W-Counter", "\ud800"))


def test_unique_ids_differ():
    rng = random.Random(1)
    assert unique_id("W-Counter", rng) != unique_id("W-Counter", rng)


def test_an_id_comes_back_from_its_digits_without_its_name():
    original = id_from_name("W-Counter", "x")
    found = id_from_string("W-Counter", str(original).upper())
    assert (found, found.name) == (original, None)


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "0" * 63, "0" * 65, "../" * 8])
def test_what_is_no_id_is_refused(text):
    with pytest.raises(TypeError, match="Invalid Durable Object ID: must be 64 hex digits"):
        id_from_string("W-Counter", text)


def test_an_id_of_another_namespace_is_refused():
    foreign = str(id_from_name("W-Chat", "x"))
    with pytest.raises(TypeError, match="Durable Object ID is not valid for this namespace"):
        id_from_string("W-Counter", foreign)


def test_random_texts_have_their_shapes():
    rng = random.Random(1)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", uuid4(rng))
    assert re.fullmatch(r"[A-Za-z0-9_-]{21}", nanoid(rng))


def test_objects_of_another_runtime_have_ids_in_its_form():
    namespace = HALF + "w-Sql"
    # As workerd makes it.
    digits = "88c35f37274f4b130750fb4aeaa347216dd53d507f896edef52ac70ce4e7e7fa"
    assert str(id_from_name(namespace, "ann")) == digits
    assert id_from_string(namespace, digits).equals(id_from_name(namespace, "ann"))
    made = unique_id(namespace, random.Random(1))
    assert id_from_string(namespace, str(made)) == made
    with pytest.raises(TypeError, match="not valid for this namespace"):
        id_from_string(namespace, str(id_from_name("w-Sql", "ann")))
