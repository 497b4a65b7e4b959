"""Language tags, and what Babel knows of their languages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from babel import Locale as BabelLocale
from babel import UnknownLocaleError
from babel.core import get_global

from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.errors import JsRangeError, JsTypeError
from wrangler_compat.host.model.proxy import JsProxy, properties

__all__ = ["Formatter", "Locale", "canonical_tags", "chosen", "found_locale"]

_TAG: Final = re.compile(
    r"(?P<language>[a-z]{2,3}|[a-z]{5,8})(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|\d{3}))?"
    r"(?P<rest>(?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*(?:-[a-z\d]-[a-z\d]{2,8}(?:-[a-z\d]{2,8})*)*)",
    re.IGNORECASE,
)
_DEFAULT: Final = "en-US"
_ZEROS: Final = {"arab": 0x660, "arabext": 0x6F0, "beng": 0x9E6, "deva": 0x966, "mymr": 0x1040}


def canonical(tag: str) -> str:
    """Return a tag as it is written. Raises ``RangeError`` for what is none."""
    found = _TAG.fullmatch(tag)
    if found is None:
        raise JsRangeError(f"Invalid language tag: {tag}")
    parts = (found["language"].lower(), (found["script"] or "").title(), (found["region"] or "").upper())
    return "-".join(filter(None, parts)) + found["rest"].lower()


def canonical_tags(tags: Any) -> list[str]:
    """Return the tags of an argument that may be one tag or several, each once."""
    if tags is None:
        return []
    given = [tags] if isinstance(tags, str | Locale) else tags
    if not hasattr(given, "__iter__"):
        raise JsTypeError("Incorrect locale information provided")
    return list(dict.fromkeys(canonical(to_text(tag)) for tag in given))


def _babel(tag: str) -> BabelLocale | None:
    """Return Babel's locale for a tag, or for its language."""
    bare = re.sub(r"-[a-z\d]-.*", "", tag)
    while bare:
        try:
            return BabelLocale.parse(bare, sep="-")
        except (UnknownLocaleError, ValueError):
            bare = bare.rpartition("-")[0]
    return None


def found_locale(tags: Any) -> tuple[str, str, BabelLocale]:
    """Return the first of ``tags`` that is known, what it adds, and its locale; of the United States if none is."""
    for tag in canonical_tags(tags):
        locale = _babel(tag)
        if locale is not None:
            bare = re.sub(r"-[a-z\d]-.*", "", tag)
            return bare, tag[len(bare) :], locale
    return _DEFAULT, "", BabelLocale.parse(_DEFAULT, sep="-")


def chosen(owner: str, options: Mapping[str, Any], name: str, allowed: tuple[str, ...], otherwise: Any) -> Any:
    """Return an option that is one of ``allowed``. Raises ``RangeError`` for any other."""
    value = options.get(name)
    if value is None:
        return otherwise
    if value not in allowed:
        raise JsRangeError(f"Value {to_text(value)} out of range for Intl.{owner} options property {name}")
    return value


class Formatter(JsProxy):
    """What the classes of ``Intl`` have in common: a language, and options."""

    _callable_without_new = True

    class Statics(JsProxy.Statics):
        """supportedLocalesOf."""

        def supportedLocalesOf(tags: Any = None, options: Any = None) -> JsArray:
            """Return those of ``tags`` that are known."""
            return JsArray(tag for tag in canonical_tags(tags) if _babel(tag) is not None)

    def __init__(self, locales: Any = None, options: Any = None) -> None:
        self._tag, self._extensions, self._locale = found_locale(locales)
        self._options: Mapping[str, Any] = properties(options)

    @property
    def _numbering(self) -> str:
        """The digits that are written."""
        named = re.search("-u-.*nu-([a-z]+)", self._extensions)
        wanted = self._options.get("numberingSystem") or (named[1] if named else self._locale.default_numbering_system)
        return to_text(wanted)

    def _local(self, text: str) -> str:
        """Return ``text`` with the digits of the language."""
        zero = _ZEROS.get(self._numbering)
        return text if zero is None else text.translate({ord("0") + n: zero + n for n in range(10)})

    def _choice(self, name: str, allowed: tuple[str, ...], otherwise: Any) -> Any:
        return chosen(type(self)._js_name, self._options, name, allowed, otherwise)

    def _keys(self) -> list[str]:
        return []


class Locale(JsProxy):
    """``Intl.Locale``: a language tag, in parts."""

    def __init__(self, tag: Any = None, options: Any = None) -> None:
        if not isinstance(tag, str | Locale):
            raise JsTypeError("First argument to Intl.Locale constructor can't be empty or missing")
        found = _TAG.fullmatch(canonical(to_text(tag)))
        assert found is not None
        given = properties(options)
        parts = {name: given.get(name, found[name]) for name in ("language", "script", "region")}
        self._tag = canonical("-".join(to_text(part) for part in parts.values() if part is not None) + found["rest"])
        again = _TAG.fullmatch(self._tag)
        assert again is not None
        self.language, self.script, self.region = again["language"], again["script"], again["region"]

    @property
    def baseName(self) -> str:
        """The tag without what it says of calendars and the like."""
        return re.sub(r"-[a-z\d]-.*", "", self._tag)

    def maximize(self) -> Locale:
        """Return the tag with the script and region that are most likely."""
        likely = get_global("likely_subtags")
        for parts in ((self.language, self.script, self.region), (self.language, self.region), (self.language,)):
            most = likely.get("_".join(part for part in parts if part))
            if most is not None:
                language, script, region = (*most.split("_"), None, None)[:3]
                found = (self.language or language, self.script or script, self.region or region)
                return Locale("-".join(part for part in found if part))
        return Locale(self._tag)

    def minimize(self) -> Locale:
        """Return the shortest tag that means the same."""
        most = self.maximize()
        for parts in ((most.language,), (most.language, most.region), (most.language, most.script)):
            tag = Locale("-".join(part for part in parts if part))
            if tag.maximize()._tag == most._tag:
                return tag
        return most

    def toString(self) -> str:
        """The tag."""
        return self._tag

    def _keys(self) -> list[str]:
        return []
