"""JSONC: what is lenient, what is not, and where a fault is said to be."""

from __future__ import annotations

import math

import pytest

from wrangler_compat.encoding import SyntaxFault, decode
from wrangler_compat.jsonc import parse_jsonc


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("// first\n{} // last", {}),
        ('{/* a */"a"/* b */:/* c */1/* d */}', {"a": 1}),
        ('{"a": "// no comment /* nor this */"}', {"a": "// no comment /* nor this */"}),
        (r'{"a": "\"// still in the string"}', {"a": '"// still in the string'}),
        ('{"a": 1,}', {"a": 1}),
        ("[1, 2, /* last */ \n ]", [1, 2]),
        ('{"a": [ {}, ], }', {"a": [{}]}),
        ("/**/ 1", 1),
        ('{"a": 1, "a": {"c": 2}}', {"a": {"c": 2}}),
        ('{"": 1}', {"": 1}),
        ("9007199254740993", 9007199254740992),
        ("1e400", math.inf),
        ("9" * 5000, math.inf),
        ('"\\ud83d\\ude00"', "😀"),
        (' \t\r\n{"a"\r:\n1}', {"a": 1}),
        ("[true, false, null, -0.5, 1E3]", [True, False, None, -0.5, 1000.0]),
    ],
)
def test_what_wrangler_takes_is_taken(text: str, value: object) -> None:
    assert parse_jsonc(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n ",
        "// only a comment",
        "{,}",
        "[,]",
        "[1,,]",
        "[,1]",
        '{"a":,}',
        '{"a": 1,,}',
        "{}{}",
        "{} x",
        "{} /* not closed",
        "/* a /* b */ */ {}",
        "# hash",
        "{'a': 1}",
        "{a: 1}",
        "+1",
        ".5",
        "1.",
        "01",
        "0x10",
        "NaN",
        "-Infinity",
        '"a\tb"',
        '"a\nb"',
        r'"\x41"',
        r'"\v"',
        "\u00a0{}",
        "\x0c{}",
        "{}\ufeff",
        "1/**/2",
        "tr/**/ue",
        '"not closed',
        "1 ,",
        "[" * 200_000,
        "\u0661",  # a digit, but not one of JSON's
    ],
)
def test_what_wrangler_refuses_is_refused(text: str) -> None:
    with pytest.raises(SyntaxFault):
        parse_jsonc(text)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{\n  // a comment\n  /* of two\n lines */ "a": ?\n}', 4, 16),
        ('{\n  "a": NaN\n}', 2, 8),
        ('{\n  "a": 1,\n  ,\n}', 3, 3),
        ('{"a": 1}\n\n /* open', 3, 2),
        ("{\n", 2, 1),
    ],
)
def test_a_fault_names_its_line_and_column_in_the_file(text: str, line: int, column: int) -> None:
    with pytest.raises(SyntaxFault) as caught:
        parse_jsonc(text)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_a_fault_says_what_was_expected_and_found() -> None:
    with pytest.raises(SyntaxFault, match="found 'x'"):
        parse_jsonc('{"a": x}')
    with pytest.raises(SyntaxFault, match="found the end of the file"):
        parse_jsonc('{"a":')


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbf{}", "{}"),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", "\ufeff{}"),
        (b"a\xffb", "a\ufffdb"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\xe2\x82", "\ufffd"),
    ],
)
def test_bytes_are_read_as_a_browser_reads_them(data: bytes, text: str) -> None:
    assert decode(data) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_other_encodings_are_refused_by_their_mark(encoding: str) -> None:
    with pytest.raises(SyntaxFault, match="save it as UTF-8"):
        decode("\ufeff{}".encode(encoding))
