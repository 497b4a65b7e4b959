"""Header fields: what their names and values may hold, and the names as a server wants them.

Not every server looks at what it writes. A line break within a field begins another one there, or a second response.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["FIELD_NAMES", "check_cookie", "check_value"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NOT_IN_A_DOMAIN: Final = re.compile(r"[\x00-\x20;,\x7f]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# Names that a program makes up as it goes are looked at each time.
_REMEMBERED: Final = 1000


class _FieldNames(dict[str, bytes]):
    def __missing__(self, name: str) -> bytes:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a header: it has letters, digits and hyphens alone.")
        encoded = name.lower().encode("ascii")
        if len(self) < _REMEMBERED:
            self[name] = encoded
        return encoded


FIELD_NAMES: Final = _FieldNames()
"""By the name of a header, its lower case in ASCII. Any that is none raises ValueError."""


def check_value(name: str, value: str) -> None:
    """Raise ValueError when the header ``name`` cannot have this value. One that ``isprintable()`` it can."""
    if _CONTROL.search(value):
        raise ValueError(f"The value of the header {name!r} holds a control character: {value!r}.")


def check_cookie(name: str, domain: str | None) -> None:
    """Raise ValueError for what would not end where it should in the header of a cookie."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a cookie: it has letters, digits and hyphens alone.")
    if domain is not None and _NOT_IN_A_DOMAIN.search(domain):
        raise ValueError(f"{domain!r} is not the domain of a cookie.")
