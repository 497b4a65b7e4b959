"""The file ``_redirects``: where else a path leads."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from edgeagents_assets.patterns import Pattern, fill

__all__ = ["Redirect", "Redirects"]

STATUSES = (200, 301, 302, 303, 307, 308)
MOST_STATIC, MOST_DYNAMIC = 2000, 100

_log = logging.getLogger("edgeagents.assets")


class Redirect(NamedTuple):
    """Where a path leads: to another URL, or with the status 200 to another asset under the same path."""

    to: str
    status: int


class _Rule(NamedTuple):
    pattern: Pattern
    to: str
    status: int


class Redirects:
    """The rules of one file, in its order. What cannot be a rule is left out with a warning that names its line."""

    def __init__(self, text: str = "") -> None:
        self._exact: dict[str, _Rule] = {}
        self._dynamic: list[_Rule] = []
        for number, line in enumerate(text.splitlines(), 1):
            words = re.split(r"\s+#", line.strip())[0].split()
            if not words or words[0].startswith("#"):
                continue
            fault = self._add(words)
            if fault is not None:
                _log.warning("_redirects, line %d: %s The line is ignored.", number, fault)

    def __len__(self) -> int:
        return len(self._exact) + len(self._dynamic)

    def _add(self, words: Sequence[str]) -> str | None:
        if len(words) not in (2, 3):
            return "A rule is: from, to, and perhaps a status."
        source, to, status = words[0], words[1], words[2] if len(words) == 3 else "302"
        if not status.isdigit() or int(status) not in STATUSES:
            return f"The status is one of {', '.join(map(str, STATUSES))}, not {status!r}."
        if not source.startswith("/"):
            return f"What a rule is for begins with a slash: {source!r} does not."
        if not to.startswith(("/", "https://", "http://")):
            return f"A rule leads to a path or a URL, not to {to!r}."
        if status == "200" and not to.startswith("/"):
            return f"A rule with the status 200 leads to a path of this site, not to {to!r}."
        pattern = Pattern(source)
        if not pattern.is_exact and to in ("/", "/index", "/index.html") and pattern.match(to) is not None:
            return f"{source} also matches {to}: this would never end."
        rule = _Rule(pattern, to, int(status))
        if pattern.is_exact and not self._dynamic:
            if source in self._exact:
                return f"There is a rule for {source} already."
            if len(self._exact) >= MOST_STATIC:
                return f"There are at most {MOST_STATIC} rules without placeholders."
            self._exact[source] = rule
            return None
        if any(each.pattern.text == source for each in self._dynamic):
            return f"There is a rule for {source} already."
        if len(self._dynamic) >= MOST_DYNAMIC:
            return f"There are at most {MOST_DYNAMIC} rules from the first with a placeholder on."
        self._dynamic.append(rule)
        return None

    def find(self, path: str, query: str) -> Redirect | None:
        """Return where ``path`` leads, or None. The query goes along unless the rule has one."""
        rule = self._exact.get(path)
        values: dict[str, str] | None = {}
        if rule is None:
            for each in self._dynamic:
                values = each.pattern.match(path)
                if values is not None:
                    rule = each
                    break
        if rule is None:
            return None
        to = fill(rule.to, values or {})
        if to.startswith("//"):
            # What a splat brought along must not lead to another host.
            to = "/" + to.lstrip("/")
        if query and not urlsplit(to).query:
            before, mark, fragment = to.partition("#")
            to = f"{before}?{query}{mark}{fragment}"
        return Redirect(to, rule.status)
