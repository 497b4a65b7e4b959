"""Redaction: what nobody may read in a log, an event or an error page is taken out of it here, and only here.

Two things are known to be secret: what stands where secrets stand (credentials in headers, in a query, in a URL before
the host), and the values that a program has said are secret, as a runtime does with those in its ``env``. Text that has
neither is returned as it is.

A value that might be any word of a sentence is taken out only where it stands as a value: of ``TOKEN=another``, and
not of "is the name of another worker". ``hide_named`` tells whoever runs the program of such a secret.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any, Final

__all__ = ["HIDDEN", "RedactingFilter", "has_secret_name", "hide", "hide_named", "redact", "what_is_known"]

HIDDEN: Final = "[hidden]"
SHORTEST: Final = 6
"""Shorter values are left alone: they stand in other words too."""

# Between a header's name and its value stands a colon, or what a repr of a pair or a dict puts there.
_HEADER = re.compile(
    r"""\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|api-key|x-auth-token)\b
        (['"]?\s*[:=,]\s*(?:b?['"])?) ([^\r\n'"]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_PARAMETER = re.compile(
    r"""((?:^|[?&;])(?:ticket|token|access_token|refresh_token|id_token|api_?key|key|secret|client_secret|password|passwd
        |signature|sig|code|state)=)[^&;\s"'<>#]+""",
    re.IGNORECASE | re.VERBOSE,
)
_USER_INFO = re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s:@'\"]*:[^/\s@'\"]+@", re.IGNORECASE)
_SECRET_NAME = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASS|CREDENTIALS?|DSN)(?:_|\d|$)", re.IGNORECASE)

# A word: letters, none of them a capital but the first or all. Nobody generates keys that look so.
_LONGEST_WORD: Final = 14
_AS_VALUE: Final = (
    r"(?<==)(?:{})(?!\w)",
    r"""(?:(?<=:)|(?<=[:=]\ ))(?:{})(?=\.?(?:[,;&)\}}\]'"\r\n]|\Z))""",
    r"""(?<=['"`])(?:{})(?=['"`])""",
    # A whole segment of a path, which a host is not.
    r"(?<=[^/:]/)(?:{})(?=[/?#\s]|\Z)",
    # Where messages of errors have it: "cannot log in with ...".
    r"(?:(?<=\s)|\A)(?:{})(?=[\r\n]|\Z)",
)
_log: Final = logging.getLogger("edgeagents")
_told: set[str] = set()
_values: set[str] = set()
_known: re.Pattern[str] | None = None


def has_secret_name(name: str) -> bool:
    """Return whether the value of a variable of this name is most likely a secret: ``SERVICE_API_KEY``, ``TOKEN``."""
    return _SECRET_NAME.search(name) is not None


def hide(values: Iterable[object]) -> None:
    """Take these values out of everything that is redacted in this process from now on, if they are text.

    Those that are shorter than ``SHORTEST`` are left alone, and those that look like a word are taken out where they
    stand as a value: after ``=`` or ``:``, in quotes, as a segment of a path, at the end of a line,
    or alone.
    """
    global _known
    new = {value for value in values if isinstance(value, str) and len(value) >= SHORTEST} - _values
    if new:
        _values.update(new)
        longest_first = sorted(_values, key=len, reverse=True)
        patterns = [re.escape(value) for value in longest_first if not _is_word(value)]
        words = "|".join(filter(_is_word, longest_first))
        _known = re.compile("|".join([*patterns, *(form.format(words) for form in _AS_VALUE if words)]))


def hide_named(secrets: Mapping[str, object]) -> None:
    """Do so with the values of secrets by their names, and warn once of each that is too weak to be taken out."""
    hide(secrets.values())
    for name, value in secrets.items():
        if isinstance(value, str) and value and (len(value) < SHORTEST or _is_word(value)) and name not in _told:
            _told.add(name)
            what = f"shorter than {SHORTEST} characters" if len(value) < SHORTEST else "like an ordinary word"
            _log.warning("The secret %s is %s: logs and error pages may show it. Give it a longer value.", name, what)


def _is_word(value: str) -> bool:
    rest = value[1:]
    return len(value) <= _LONGEST_WORD and value.isalpha() and (rest.islower() or value.isupper())


def what_is_known() -> object:
    """Return what changes whenever there is more to hide: who keeps redacted text keeps it no longer than that."""
    return _known


def redact(text: str) -> str:
    """Return ``text`` without what is secret in it."""
    if _known is not None:
        text = _known.sub(HIDDEN, text)
    text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
    text = _SCHEME.sub(rf"\1 {HIDDEN}", text)
    if "=" in text:
        text = _PARAMETER.sub(rf"\1{HIDDEN}", text)
    if "@" in text:
        text = _USER_INFO.sub(rf"\1{HIDDEN}@", text)
    return text


class RedactingFilter(logging.Filter):
    """For a handler or a logger of your own: ``handler.addFilter(RedactingFilter())``."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message with its arguments, and the traceback."""
        if isinstance(record.msg, str):
            record.msg = redact(record.msg)
        if isinstance(record.args, Mapping):
            # A copy of its own kind, which may know what to say for a name that is not there.
            arguments: Any = copy(record.args)
            for name, value in record.args.items():
                arguments[name] = _redacted(value)
            record.args = arguments
        elif record.args:
            record.args = tuple(map(_redacted, record.args))
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return True


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, BaseException):
        return redact(str(value))
    return value
