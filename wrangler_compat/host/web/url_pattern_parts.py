"""Patterns of URLs: one part of one, such as ``/books/:id`` of the path, read and written.

A text is cut into tokens, these make pieces, and the pieces make the expression that is matched and the text that the
pattern shows, which is the shortest that means the same. The steps are those of https://urlpattern.spec.whatwg.org.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from wrangler_compat.host.model.errors import JsTypeError

__all__ = ["Part", "Rules", "Token", "compiled", "escaped", "refuse", "tokens_of"]

_MODIFIERS: Final = ("?", "*", "+")
_ANYTHING: Final = ".*"


def refuse() -> JsTypeError:
    """Return the error for what is no pattern."""
    return JsTypeError("Failed to construct URLPattern")


class Token(NamedTuple):
    """What stands somewhere in a pattern."""

    kind: str
    """``open``, ``close``, ``regexp``, ``name``, ``char``, ``escaped``, ``modifier``, ``*``, ``wrong`` or ``end``."""
    place: int
    value: str


def tokens_of(text: str, *, is_strict: bool) -> list[Token]:
    """Cut ``text`` into tokens. What has no meaning is an error, unless the reading is not strict."""
    made: list[Token] = []
    at = 0
    while at < len(text):
        kind, value, end = _token(text, at)
        if kind == "wrong" and is_strict:
            raise refuse()
        made.append(Token(kind, at, value))
        at = end
    return [*made, Token("end", at, "")]


_KINDS: Final = {"*": "*", "+": "modifier", "?": "modifier", "{": "open", "}": "close"}


def _token(text: str, at: int) -> tuple[str, str, int]:
    """Return the kind, the value and the end of the token that begins at ``at``."""
    letter = text[at]
    if letter in _KINDS:
        return _KINDS[letter], letter, at + 1
    if letter == "\\":
        return ("escaped", text[at + 1], at + 2) if at + 1 < len(text) else ("wrong", letter, at + 1)
    if letter == ":":
        end = at + 1
        while end < len(text) and _may_name(text[end], is_first=end == at + 1):
            end += 1
        return ("name", text[at + 1 : end], end) if end > at + 1 else ("wrong", letter, end)
    if letter == "(":
        end = _end_of_expression(text, at + 1)
        return ("wrong", letter, at + 1) if end is None else ("regexp", text[at + 1 : end], end + 1)
    return "char", letter, at + 1


def _may_name(letter: str, *, is_first: bool) -> bool:
    if letter in "$_":
        return True
    return letter.isidentifier() if is_first else f"a{letter}".isidentifier() or letter in "\u200c\u200d"


def _end_of_expression(text: str, start: int) -> int | None:
    """Return where the bracket stands that closes an expression, or None where it is none."""
    depth, at = 1, start
    while at < len(text):
        letter = text[at]
        if not letter.isascii() or (at == start and letter == "?"):
            return None
        if letter == "\\":
            at += 1
            if at == len(text) or not text[at].isascii():
                return None
        elif letter == ")":
            depth -= 1
            if depth == 0:
                return at if at > start else None
        elif letter == "(":
            depth += 1
            # Groups that give something have names of the pattern's own.
            if text[at + 1 : at + 2] != "?":
                return None
        at += 1
    return None


class Rules(NamedTuple):
    """How a part of a URL is read: what ends a segment of it, and what a group takes along that stands before it."""

    delimiter: str = ""
    prefix: str = ""
    ignores_case: bool = False

    @property
    def segment(self) -> str:
        """The expression for one segment, as JavaScript writes it."""
        return f"[^{_for_expression(self.delimiter)}]+?"


@dataclass
class _Piece:
    kind: str
    """One of ``fixed``, ``regexp``, ``segment``, ``anything``."""
    value: str
    modifier: str = ""
    name: str = ""
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class Part:
    """One part of a pattern, ready to be matched."""

    pattern: str
    expression: re.Pattern[str]
    names: tuple[str, ...]
    has_expressions: bool

    def matches(self, text: str) -> bool:
        """Whether ``text`` has this shape."""
        return self.expression.fullmatch(text) is not None


def compiled(pattern: str, rules: Rules, normal: Callable[[str], str]) -> Part:
    """Return the part that ``pattern`` says. ``normal`` writes what is fixed as it stands in URLs."""
    pieces = _Reading(pattern, rules, normal).pieces()
    flags = re.DOTALL | re.ASCII | (re.IGNORECASE if rules.ignores_case else 0)
    try:
        expression = re.compile("".join(_expression(piece, rules) for piece in pieces), flags)
    except re.error as error:
        raise refuse() from error
    return Part(
        _written(pieces, rules),
        expression,
        tuple(piece.name for piece in pieces if piece.kind != "fixed"),
        any(piece.kind == "regexp" for piece in pieces),
    )


class _Reading:
    """Makes pieces of tokens."""

    def __init__(self, pattern: str, rules: Rules, normal: Callable[[str], str]) -> None:
        self._tokens = tokens_of(pattern, is_strict=True)
        self._rules, self._normal = rules, normal
        self._at = 0
        self._fixed = ""
        """What is fixed and makes no piece yet."""
        self._pieces: list[_Piece] = []
        self._count = 0

    def _take(self, *kinds: str) -> Token | None:
        token = self._tokens[self._at]
        if token.kind not in kinds:
            return None
        self._at += 1
        return token

    def _take_text(self) -> str:
        text = ""
        while (token := self._take("char", "escaped")) is not None:
            text += token.value
        return text

    def _take_place(self) -> tuple[Token | None, Token | None]:
        """Take a name, and what is to stand there."""
        name = self._take("name")
        matched = self._take("regexp") or (self._take("*") if name is None else None)
        return name, matched

    def _take_modifier(self) -> str:
        token = self._take("modifier", "*")
        return "" if token is None else token.value

    def pieces(self) -> list[_Piece]:
        """Return the pieces of the whole pattern."""
        while self._at < len(self._tokens):
            letter = self._take("char")
            name, matched = self._take_place()
            if name is not None or matched is not None:
                prefix = "" if letter is None else letter.value
                if prefix and prefix != self._rules.prefix:
                    self._fixed, prefix = self._fixed + prefix, ""
                self._end_fixed()
                self._add(prefix, name, matched, "", self._take_modifier())
            elif (fixed := letter or self._take("escaped")) is not None:
                self._fixed += fixed.value
            elif self._take("open") is not None:
                prefix = self._take_text()
                name, matched = self._take_place()
                suffix = self._take_text()
                if self._take("close") is None:
                    raise refuse()
                self._add(prefix, name, matched, suffix, self._take_modifier())
            else:
                self._end_fixed()
                if self._take("end") is None:
                    raise refuse()
        return self._pieces

    def _end_fixed(self) -> None:
        if self._fixed:
            self._pieces.append(_Piece("fixed", self._normal(self._fixed)))
            self._fixed = ""

    def _add(self, prefix: str, name: Token | None, matched: Token | None, suffix: str, modifier: str) -> None:
        if name is None and matched is None:
            if not modifier:
                self._fixed += prefix
                return
            self._end_fixed()
            if prefix:
                self._pieces.append(_Piece("fixed", self._normal(prefix), modifier))
            return
        self._end_fixed()
        value = self._rules.segment if matched is None else _ANYTHING if matched.kind == "*" else matched.value
        kind = {self._rules.segment: "segment", _ANYTHING: "anything"}.get(value, "regexp")
        called = name.value if name is not None else str(self._count)
        self._count += name is None
        if any(piece.name == called for piece in self._pieces):
            raise refuse()
        before, after = self._normal(prefix), self._normal(suffix)
        self._pieces.append(_Piece(kind, value, modifier, called, before, after))


def _expression(piece: _Piece, rules: Rules) -> str:
    """Return a piece as Python's expressions write it."""
    if piece.kind == "fixed":
        fixed = re.escape(piece.value)
        return f"(?:{fixed}){piece.modifier}" if piece.modifier else fixed
    value = _as_python(piece.value)
    if piece.kind == "segment":
        value = f"[^{re.escape(rules.delimiter)}]+?" if rules.delimiter else ".+?"
    before, after = re.escape(piece.prefix), re.escape(piece.suffix)
    if piece.modifier in ("", "?"):
        return f"(?:{before}({value}){after}){piece.modifier}" if before or after else f"({value}){piece.modifier}"
    if not before and not after:
        return f"((?:{value}){piece.modifier})"
    many = f"(?:{before}((?:{value})(?:{after}{before}(?:{value}))*){after})"
    return f"{many}?" if piece.modifier == "*" else many


def _as_python(expression: str) -> str:
    return re.sub(r"\(\?<(?=[A-Za-z_])", "(?P<", expression)


def escaped(text: str) -> str:
    """Return the pattern for ``text`` itself."""
    return re.sub(r"([+*?:{}()\\])", r"\\\1", text)


def _for_expression(text: str) -> str:
    return re.sub(r"([.+*?^${}()\[\]|/\\])", r"\\\1", text)


def _written(pieces: list[_Piece], rules: Rules) -> str:
    """Return the pattern of ``pieces``."""
    written = ""
    for n, piece in enumerate(pieces):
        if piece.kind == "fixed":
            fixed = escaped(piece.value)
            written += f"{{{fixed}}}{piece.modifier}" if piece.modifier else fixed
            continue
        before = pieces[n - 1] if n else None
        after = pieces[n + 1] if n + 1 < len(pieces) else None
        is_named = not piece.name[0].isdecimal()
        is_grouped = _needs_braces(piece, before, after, rules, is_named=is_named)
        made = escaped(piece.prefix) + (f":{piece.name}" if is_named else "")
        if piece.kind == "regexp" or (piece.kind == "segment" and not is_named):
            made += f"({piece.value})"
        elif piece.kind == "anything":
            stands_alone = before is None or before.kind == "fixed" or before.modifier or is_grouped or piece.prefix
            made += "*" if not is_named and stands_alone else f"({_ANYTHING})"
        if piece.kind == "segment" and is_named and piece.suffix and _may_name(piece.suffix[0], is_first=False):
            made += "\\"
        made += escaped(piece.suffix)
        written += (f"{{{made}}}" if is_grouped else made) + piece.modifier
    return written


def _needs_braces(piece: _Piece, before: _Piece | None, after: _Piece | None, rules: Rules, *, is_named: bool) -> bool:
    """Whether a piece means something else where nothing holds it together."""
    if piece.suffix or (piece.prefix and piece.prefix != rules.prefix):
        return True
    if is_named and piece.kind == "segment" and not piece.modifier and after is not None and _goes_on_name(after):
        return True
    has_prefix_before = before is not None and before.kind == "fixed" and before.value.endswith(rules.prefix)
    return rules.prefix != "" and not piece.prefix and has_prefix_before


def _goes_on_name(piece: _Piece) -> bool:
    """Whether a name before ``piece`` would go on into it."""
    if piece.prefix or piece.suffix:
        return False
    return _may_name(piece.value[0], is_first=False) if piece.kind == "fixed" else piece.name[0].isdecimal()
