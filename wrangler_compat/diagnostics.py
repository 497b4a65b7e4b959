"""Diagnostics: everything that is wrong with a configuration, gathered and shown together.

A reader never stops at the first fault. It writes what it finds into a ``Diagnostics``, which knows the path it
stands at; ``at("bindings", 0)`` is the same collection one step further down. Nothing here knows a key by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from edgeagents.errors import ConfigError

__all__ = ["Diagnostic", "Diagnostics", "InvalidConfig", "did_you_mean"]


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning: a stable ``code``, the ``path`` of the field, a sentence, and where known its place."""

    code: str
    path: str
    message: str
    is_error: bool = True
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}, column {self.column}"
        where = ", ".join(part for part in (self.path, place) if part)
        text = f"{where}: {self.message}" if where else self.message
        return text if self.is_error else f"(warning) {text}"


class Diagnostics:
    """A place in a configuration, and the list of what was found there and everywhere else."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []
        self._path = ""

    @property
    def path(self) -> str:
        return self._path

    def at_top(self, *steps: str | int) -> Diagnostics:
        """Return the same collection at a field of the top level."""
        top = Diagnostics()
        top._found = self._found
        return top.at(*steps)

    def at(self, *steps: str | int) -> Diagnostics:
        """Return the same collection at a field below: names are joined with dots, numbers are indices."""
        below = Diagnostics()
        below._found = self._found
        below._path = self._path
        for step in steps:
            if isinstance(step, int):
                below._path += f"[{step}]"
            else:
                below._path += f".{step}" if below._path else step
        return below

    def error(self, code: str, message: str, *, line: int | None = None, column: int | None = None) -> None:
        self._add(Diagnostic(code, self._path, message, True, line, column))

    def warning(self, code: str, message: str) -> None:
        self._add(Diagnostic(code, self._path, message, False))

    def _add(self, diagnostic: Diagnostic) -> None:
        # The top level is read again for an environment that falls back to it; nobody wants to hear it twice.
        if diagnostic not in self._found:
            self._found.append(diagnostic)

    def demote(self, code: str) -> None:
        """Turn the errors of this code into warnings: the caller can do without what they ask for."""
        self._found[:] = [replace(d, is_error=False) if d.code == code else d for d in self._found]

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self._found)

    def tells_of(self, field: str) -> bool:
        """Whether something is wrong with the field of this name, at the top or in an environment."""
        return any(diagnostic.path.rpartition(".")[2] == field for diagnostic in self._found)

    @property
    def errors(self) -> Sequence[Diagnostic]:
        return [d for d in self._found if d.is_error]

    @property
    def warnings(self) -> Sequence[Diagnostic]:
        return [d for d in self._found if not d.is_error]

    def render(self, title: str) -> str:
        """Return the text for a person: a headline with the counts, then a line each, errors first."""
        counts = [_count(len(self.errors), "error"), _count(len(self.warnings), "warning")]
        headline = f"{title} has {' and '.join(count for count in counts if count) or 'no errors'}"
        lines = [f"  {diagnostic}" for diagnostic in (*self.errors, *self.warnings)]
        return "\n".join([f"{headline}:", *lines]) if lines else f"{headline}."

    def raise_errors(self, title: str) -> None:
        """Raise ``InvalidConfig`` when there is any error."""
        if self.errors:
            raise InvalidConfig(title, self)


class InvalidConfig(ConfigError):
    """The configuration has errors. ``diagnostics`` holds them all, with the warnings."""

    def __init__(self, title: str, diagnostics: Diagnostics) -> None:
        self.title, self.diagnostics = title, diagnostics
        super().__init__(diagnostics.render(title))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` with the nearest of ``known``, or nothing when none is near."""
    candidates = list(known)
    lowered = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.7)
    return f" Did you mean {lowered[near[0]]!r}?" if near else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}" if number else ""
