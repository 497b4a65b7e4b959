"""Values as V8 serialises them are read: the bytes are what ``v8.serialize`` of Node.js 20 and workerd write."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest

from wrangler_compat.cloned import BoxedData, BufferData, DateData, ErrorData, MapData, RegExpData, SetData, ViewData
from wrangler_compat.v8_values import NotReadable, read_v8_value


@pytest.mark.parametrize(
    ("digits", "value"),
    [
        ("5f", None),
        ("30", None),
        ("54", True),
        ("46", False),
        ("490d", -7),
        ("4e000000000000f83f", 1.5),
        ("4e000000000000f041", 2**32),
        ("4e000000000000f07f", math.inf),
        ("5a2100000000000000004000000000000000", -(2**70)),
        ("2202f3e9", "óé"),
        ("630e7c01f3004201070120003cd889df", "żółć 🎉"),
        ("630200d8", "\ud800"),
        ("440000000070999441", datetime(1970, 1, 2, tzinfo=UTC)),
        ("6103490049024904220161400203", [1, None, "a"]),
        ("410349022d220161240003", [1, None, "a"]),
        ("61044906220178220565787472614902400204", [None, None, None, "x"]),
        ("410241012201732400015e01240002", [["s"], ["s"]]),
        ("3b22016b490249046f22017849027b013a04", MapData({"k": 1, 2: {"x": 1}})),
        ("2749022201612c02", SetData({1, "a"})),
        (
            "41046e000000000000004073220162797a100300000000000000240004",
            [BoxedData(2), BoxedData("b"), BoxedData(True), BoxedData(3)],
        ),
        ("6f49022201612201625f7b02", {"1": "a", "b": None}),
        ("420200ff5642000200", ViewData("Uint8Array", b"\x00\xff")),
        ("420200ff", BufferData(b"\x00\xff")),
        ("72546d22026e6f2e", ErrorData(name="TypeError", message="no")),
        ("522202612b03", RegExpData("a+", "gi")),
        ("73220173", BoxedData("s")),
        ("79", BoxedData(True)),
        ("44000000000000f07f", DateData(math.inf)),
    ],
)
def test_values_are_read_as_plain_data(digits: str, value: Any) -> None:
    read = read_v8_value(bytes.fromhex(f"ff0f{digits}"))
    assert read == value
    assert type(read) is type(value)


def test_what_stands_in_itself_does_so_when_it_is_read() -> None:
    value = read_v8_value(bytes.fromhex("ff0f6f2201614902220473656c665e007b02"))
    assert value["self"] is value
    assert value["a"] == 1


def test_views_of_one_buffer_share_it_and_know_what_they_are() -> None:
    digits = "6f22017642040102030456420102002201775e0156570004002201625e012201645e01563f0202007b04"
    value = read_v8_value(bytes.fromhex(f"ff0f{digits}"))
    assert value["v"].buffer is value["w"].buffer is value["d"].buffer is value["b"] == b"\x01\x02\x03\x04"
    assert [(value[key].name, value[key].offset, bytes(value[key])) for key in "vwd"] == [
        ("Uint8Array", 1, b"\x02\x03"),
        ("Uint16Array", 0, b"\x01\x02\x03\x04"),
        ("DataView", 2, b"\x03\x04"),
    ]


def test_a_map_is_read_whose_key_is_an_object() -> None:
    assert list(read_v8_value(bytes.fromhex("ff0f3b6f22016149027b0149043a02")).pairs()) == [({"a": 1}, 2)]


def test_a_negative_zero_stays_one() -> None:
    assert math.copysign(1, read_v8_value(bytes.fromhex("ff0f4e0000000000000080"))) == -1


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        ("", "does not begin"),
        ("ff1049", "newer V8"),
        ("ff0f5c01", "no data"),
        ("ff0f2205", "ends too early"),
        ("ff0f6f", "not a value"),
        ("ff0f5e05", "not a value"),
        ("ff0f" + "4101" * 300 + "30", "nested too deeply"),
        ("ff0f61ffffffff0f400080808008", "most of them empty"),
    ],
)
def test_other_bytes_are_refused(digits: str, text: str) -> None:
    with pytest.raises(NotReadable, match=text):
        read_v8_value(bytes.fromhex(digits))
