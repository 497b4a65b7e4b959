"""``Intl.PluralRules``, ``ListFormat``, ``RelativeTimeFormat`` and ``DisplayNames``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

from babel.numbers import get_currency_name

from wrangler_compat.host.intl.locales import Formatter, canonical
from wrangler_compat.host.intl.numbers import NumberFormat, parts_array
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.date import to_number
from wrangler_compat.host.model.errors import JsRangeError, JsTypeError
from wrangler_compat.host.model.proxy import JsObject

__all__ = ["DisplayNames", "ListFormat", "PluralRules", "RelativeTimeFormat"]

_WIDTHS: Final = ("long", "short", "narrow")


class PluralRules(Formatter):
    """``Intl.PluralRules``: which form of a word goes with a number."""

    _callable_without_new = False

    def __init__(self, locales: Any = None, options: Any = None) -> None:
        super().__init__(locales, options)
        self._is_ordinal = self._choice("type", ("cardinal", "ordinal"), "cardinal") == "ordinal"
        self._numbers = NumberFormat(locales, options)

    def select(self, value: Any = None) -> str:
        """Return ``one``, ``few``, ``other`` and the like."""
        shown = self._numbers._rounded(abs(Decimal(repr(to_number(value)))))
        return (self._locale.ordinal_form if self._is_ordinal else self._locale.plural_form)(shown)

    def resolvedOptions(self) -> JsObject:
        """Return what it was made with."""
        return JsObject({"locale": self._tag, "type": "ordinal" if self._is_ordinal else "cardinal"})


class ListFormat(Formatter):
    """``Intl.ListFormat``: several things in a row."""

    _callable_without_new = False

    def __init__(self, locales: Any = None, options: Any = None) -> None:
        super().__init__(locales, options)
        kind = self._choice("type", ("conjunction", "disjunction", "unit"), "conjunction")
        width = self._choice("style", _WIDTHS, "long")
        name = {"conjunction": "standard", "disjunction": "or", "unit": "unit"}[kind]
        patterns: Any = self._locale.list_patterns
        self._patterns = patterns.get(name if width == "long" else f"{name}-{width}") or patterns[name]

    def format(self, items: Any = None) -> str:
        """Return the items as text."""
        return "".join(text for _, text in self._parts(items))

    def formatToParts(self, items: Any = None) -> JsArray:
        """Return the same in parts."""
        return parts_array(self._parts(items))

    def _parts(self, items: Any) -> list[tuple[str, str]]:
        texts: list[Any] = list(items or ())
        if any(not isinstance(text, str) for text in texts):
            raise JsTypeError("Iterable yielded a non-String value")
        if not texts:
            return []
        made: list[tuple[str, str]] = [("element", texts[-1])]
        last = len(texts) - 1
        for n in range(last - 1, -1, -1):
            kind = "2" if last == 1 else "end" if n == last - 1 else "start" if n == 0 else "middle"
            before, between, after = re.split(r"\{[01]\}", self._patterns[kind])
            made = [*_literal(before), ("element", texts[n]), *_literal(between), *made, *_literal(after)]
        return made


def _literal(text: str) -> list[tuple[str, str]]:
    return [("literal", text)] if text else []


class RelativeTimeFormat(Formatter):
    """``Intl.RelativeTimeFormat``: how long ago, or from now. ``numeric: "auto"`` says it in numbers too."""

    _callable_without_new = False

    def __init__(self, locales: Any = None, options: Any = None) -> None:
        super().__init__(locales, options)
        self._width = self._choice("style", _WIDTHS, "long")
        self._choice("numeric", ("always", "auto"), "always")
        self._numbers = NumberFormat(locales)

    def format(self, value: Any, unit: Any) -> str:
        """Return what ``value`` units from now are."""
        fields: Any = self._locale._data["date_fields"]
        name = to_text(unit).removesuffix("s")
        if name not in fields:
            raise JsRangeError(
                f"Invalid unit argument for Intl.RelativeTimeFormat.prototype.format() '{to_text(unit)}'"
            )
        number = to_number(value)
        field = fields.get(name if self._width == "long" else f"{name}-{self._width}") or fields[name]
        is_past = number < 0 or repr(number) == "-0.0"
        forms = field["past" if is_past else "future"]
        form = self._locale.plural_form(abs(Decimal(repr(number))))
        return (forms.get(form) or forms["other"]).replace("{0}", self._numbers.format(abs(number)))


class DisplayNames(Formatter):
    """``Intl.DisplayNames``: what languages, regions, scripts and currencies are called."""

    _callable_without_new = False

    def __init__(self, locales: Any = None, options: Any = None) -> None:
        super().__init__(locales, options)
        self._type = self._choice("type", ("language", "region", "script", "currency"), None)
        if self._type is None:
            raise JsTypeError("invalid_argument")
        self._falls_back = self._choice("fallback", ("code", "none"), "code") == "code"

    def of(self, code: Any) -> Any:
        """Return the name of what ``code`` stands for; the code itself, or undefined, where there is none."""
        text = to_text(code)
        found = getattr(self, f"_{self._type}")(text)
        return (text if self._falls_back else None) if found is None else found

    def _language(self, code: str) -> str | None:
        tag = canonical(code).replace("-", "_")
        known: Any = self._locale.languages
        if tag in known:
            return known[tag]
        language, *rest = tag.split("_")
        if language not in known:
            return None
        names = [self._locale.territories.get(part) or self._locale.scripts.get(part) or part for part in rest]
        return f"{known[language]} ({', '.join(names)})" if names else known[language]

    def _region(self, code: str) -> str | None:
        if not re.fullmatch(r"[A-Za-z]{2}|\d{3}", code):
            raise JsRangeError("invalid_argument")
        return self._locale.territories.get(code.upper())

    def _script(self, code: str) -> str | None:
        if not re.fullmatch("[A-Za-z]{4}", code):
            raise JsRangeError("invalid_argument")
        return self._locale.scripts.get(code.title())

    def _currency(self, code: str) -> str | None:
        if not re.fullmatch("[A-Za-z]{3}", code):
            raise JsRangeError("invalid_argument")
        name = get_currency_name(code.upper(), locale=self._locale)
        return None if name == code.upper() else name
