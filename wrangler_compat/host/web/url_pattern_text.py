"""Patterns of URLs that are written as URLs are: where each part begins.

The steps are those of the "constructor string parser" of https://urlpattern.spec.whatwg.org.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from wrangler_compat.host.web.url_pattern_parts import tokens_of

__all__ = ["parts_of_text"]

_BEFORE_HOST: Final = ("protocol", "authority", "username", "password")
_BEFORE_PATH: Final = (*_BEFORE_HOST, "hostname", "port")


def parts_of_text(text: str, is_special: Callable[[str], bool]) -> dict[str, str]:
    """Return the parts that ``text`` has, by name. ``is_special`` says whether a protocol is one of the web's."""
    return _Splitting(text, is_special).parts()


class _Splitting:
    def __init__(self, text: str, is_special: Callable[[str], bool]) -> None:
        self._text, self._is_special_protocol = text, is_special
        self._tokens = tokens_of(text, is_strict=False)
        self._found: dict[str, str] = {}
        self._state = "init"
        self._at = self._start = 0
        self._step = 1
        self._depth = self._brackets = 0
        self._is_special = False

    def parts(self) -> dict[str, str]:
        while self._at < len(self._tokens):
            self._step = 1
            kind = self._tokens[self._at].kind
            if kind == "end":
                if not self._end():
                    break
            elif kind == "open":
                self._depth += 1
            elif self._depth and kind != "close":
                pass
            elif self._depth:
                self._depth -= 1
            else:
                getattr(self, f"_in_{self._state}")()
            self._at += self._step
        if "hostname" in self._found:
            self._found.setdefault("port", "")
        return self._found

    def _end(self) -> bool:
        """Say what the text was that has ended; return whether it is to be read again as that."""
        if self._state == "init":
            self._rewind("init")
            if self._is("#"):
                self._go("hash", 1)
            elif self._is_search():
                self._go("search", 1)
            else:
                self._go("pathname", 0)
            return True
        if self._state == "authority":
            self._rewind("hostname")
            return True
        self._go("done", 0)
        return False

    def _go(self, state: str, skip: int) -> None:
        """Go on with another part, ``skip`` tokens from here."""
        if self._state not in ("init", "authority", "done"):
            self._found[self._state] = self._read()
        if self._state != "init" and state != "done":
            if self._state in _BEFORE_HOST and state in ("port", "pathname", "search", "hash"):
                self._found.setdefault("hostname", "")
            if self._state in _BEFORE_PATH and state in ("search", "hash"):
                self._found.setdefault("pathname", "/" if self._is_special else "")
            if self._state in (*_BEFORE_PATH, "pathname") and state == "hash":
                self._found.setdefault("search", "")
        self._state = state
        self._at += skip
        self._start, self._step = self._at, 0

    def _rewind(self, state: str) -> None:
        """Read the part again, as what it is."""
        self._at, self._step, self._state = self._start, 0, state

    def _read(self) -> str:
        return self._text[self._tokens[self._start].place : self._tokens[self._at].place]

    def _is(self, letter: str, ahead: int = 0) -> bool:
        """Whether ``letter`` stands here, or so many tokens ahead, and means itself."""
        token = self._tokens[min(self._at + ahead, len(self._tokens) - 1)]
        return token.value == letter and token.kind in ("char", "escaped", "wrong")

    def _is_search(self) -> bool:
        """Whether the query begins here: a question mark that is no modifier of what stands before it."""
        if self._is("?"):
            return True
        if self._tokens[self._at].value != "?":
            return False
        return not self._at or self._tokens[self._at - 1].kind not in ("name", "regexp", "close", "*")

    def _in_init(self) -> None:
        if self._is(":"):
            self._rewind("protocol")

    def _in_protocol(self) -> None:
        if not self._is(":"):
            return
        self._is_special = self._is_special_protocol(self._read())
        if self._is("/", 1) and self._is("/", 2):
            self._go("authority", 3)
        else:
            self._go("authority" if self._is_special else "pathname", 1)

    def _in_authority(self) -> None:
        if self._is("@"):
            self._rewind("username")
        elif self._is("/") or self._is_search() or self._is("#"):
            self._rewind("hostname")

    def _in_username(self) -> None:
        if self._is(":"):
            self._go("password", 1)
        elif self._is("@"):
            self._go("hostname", 1)

    def _in_password(self) -> None:
        if self._is("@"):
            self._go("hostname", 1)

    def _in_hostname(self) -> None:
        if self._is("["):
            self._brackets += 1
        elif self._is("]"):
            self._brackets -= 1
        elif self._is(":") and not self._brackets:
            self._go("port", 1)
        else:
            self._in_port()

    def _in_port(self) -> None:
        if self._is("/"):
            self._go("pathname", 0)
        else:
            self._in_pathname()

    def _in_pathname(self) -> None:
        if self._is_search():
            self._go("search", 1)
        else:
            self._in_search()

    def _in_search(self) -> None:
        if self._is("#"):
            self._go("hash", 1)

    def _in_hash(self) -> None:
        """The hash goes on to the end."""
