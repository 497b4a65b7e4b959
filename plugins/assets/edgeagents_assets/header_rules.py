"""The file ``_headers``: what assets carry along, by path."""

from __future__ import annotations

import logging
from typing import NamedTuple
from urllib.parse import urlsplit

from edgeagents.http import Headers
from edgeagents_assets.patterns import Pattern, fill

__all__ = ["HeaderRules"]

MOST_RULES, LONGEST_LINE = 100, 2000

_log = logging.getLogger("edgeagents.assets")


class _Rule(NamedTuple):
    host: str | None
    pattern: Pattern
    adds: dict[str, str]
    removes: list[str]


class HeaderRules:
    """The rules of one file. All that match apply, in their order. What cannot be one is left out with a warning."""

    def __init__(self, text: str = "") -> None:
        self._rules: list[_Rule] = []
        rule: _Rule | None = None
        for number, raw in enumerate(text.splitlines(), 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if len(raw) > LONGEST_LINE:
                _log.warning("_headers, line %d is longer than %d characters and is ignored.", number, LONGEST_LINE)
            elif line.startswith(("/", "https://", "http://")):
                rule = self._open(line, number)
            elif rule is None:
                _log.warning("_headers, line %d: a header comes after the path that it is for.", number)
            elif line.startswith("!"):
                rule.removes.append(line[1:].strip())
            elif ":" in line:
                name, value = (part.strip() for part in line.split(":", 1))
                earlier = rule.adds.get(name.lower())
                rule.adds[name.lower()] = value if earlier is None else f"{earlier}, {value}"
            else:
                _log.warning("_headers, line %d is neither a path nor a header: %s", number, line)

    def __len__(self) -> int:
        return len(self._rules)

    def _open(self, line: str, number: int) -> _Rule | None:
        url = urlsplit(line)
        if len(self._rules) >= MOST_RULES:
            _log.warning("_headers, line %d: there are at most %d rules.", number, MOST_RULES)
            return None
        if line.count("*") > 1:
            _log.warning("_headers, line %d: a path has at most one *.", number)
            return None
        rule = _Rule(url.netloc or None, Pattern(url.path or "/"), {}, [])
        self._rules.append(rule)
        return rule

    def apply(self, headers: Headers, host: str, path: str) -> None:
        """Change the headers of an answer to ``path``.

        The first rule that sets a header replaces what the answer had; what further ones say is joined to it.
        """
        given = set[str]()
        for rule in self._rules:
            values = rule.pattern.match(path) if rule.host in (None, host) else None
            if values is None:
                continue
            for name in rule.removes:
                headers.remove(name)
            for name, value in rule.adds.items():
                filled = fill(value, values)
                if name in given and name in headers and name != "set-cookie":
                    headers[name] = f"{headers[name]}, {filled}"
                elif name in given:
                    headers.add(name, filled)
                else:
                    headers[name] = filled
                given.add(name)
