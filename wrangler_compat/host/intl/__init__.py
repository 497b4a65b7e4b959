"""``Intl``: numbers, dates and words as languages write them. The data is Babel's, loaded when it is first needed."""

from __future__ import annotations

import importlib
from typing import Any, Final

from wrangler_compat.host.model.errors import JsException
from wrangler_compat.host.model.proxy import JsClass, JsProxy

__all__ = ["Intl", "intl_class"]

_MODULES: Final = {
    "NumberFormat": "numbers",
    "DateTimeFormat": "dates",
    "PluralRules": "words",
    "ListFormat": "words",
    "RelativeTimeFormat": "words",
    "DisplayNames": "words",
    "Locale": "locales",
}
_NOT_YET: Final = ("Collator", "DurationFormat", "Segmenter", "v8BreakIterator", "supportedValuesOf")


def intl_class(name: str) -> Any:
    """Return a class of ``Intl``. Raises ``Error`` when what it stands on is not installed."""
    try:
        module = importlib.import_module(f"wrangler_compat.host.intl.{_MODULES[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "babel":
            raise
        raise JsException(
            f"Intl.{name} takes its data from Babel, which is not installed: pip install 'edgeagents[intl]'"
        ) from error
    return getattr(module, name)


class Intl(JsProxy):
    """``Intl``."""

    def __getattr__(self, name: str) -> Any:
        if name in _MODULES:
            made = vars(self)[name] = JsClass.of(intl_class(name))
            return made
        if name in _NOT_YET:
            raise AttributeError(f"Intl.{name} is not there yet: nothing here has the data or the rules for it.")
        return super().__getattr__(name)

    def getCanonicalLocales(self, tags: Any = None) -> Any:
        """Return language tags as they are written: ``en-US``. Raises ``RangeError`` for what is none."""
        intl_class("Locale")
        from wrangler_compat.host.intl.locales import canonical_tags
        from wrangler_compat.host.model.array import JsArray

        return JsArray(canonical_tags(tags))

    def _keys(self) -> list[str]:
        return []
