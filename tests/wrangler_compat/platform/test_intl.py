"""``Intl`` where its data is not installed, and what it has none for."""

from __future__ import annotations

import sys

import pytest


def test_without_babel_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import js
    from pyodide.ffi import JsException

    for name in ("numbers", "dates", "words", "locales"):
        monkeypatch.delitem(sys.modules, f"wrangler_compat.host.intl.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "babel", None)
    monkeypatch.delitem(vars(js.Intl), "NumberFormat", raising=False)
    with pytest.raises(JsException, match=r"Intl.NumberFormat .* not installed: pip install 'edgeagents\[intl\]'"):
        js.Intl.NumberFormat.new("de")
    with pytest.raises(JsException, match=r"pip install 'edgeagents\[intl\]'"):
        js.Date.new(0).toLocaleString("de")
    # What is written in the United States needs no data.
    assert js.Date.new(0).toLocaleString() == "1/1/1970, 12:00:00 AM"


@pytest.mark.parametrize("name", ["Collator", "DurationFormat", "Segmenter", "supportedValuesOf"])
def test_what_is_not_there_yet_says_so(name: str) -> None:
    import js

    with pytest.raises(AttributeError, match=f"Intl.{name} is not there yet"):
        getattr(js.Intl, name)


def test_options_arrive_as_keywords_and_as_objects() -> None:
    pytest.importorskip("babel")
    import js
    from pyodide.ffi import to_js

    assert js.Intl.NumberFormat.new("de", style="percent").format(0.5) == "50\u00a0%"
    assert js.Intl.NumberFormat("en", to_js({"minimumFractionDigits": 1})).format(1) == "1.0"
    assert [part.type for part in js.Intl.NumberFormat.new("en").formatToParts(1.5)] == [
        "integer",
        "decimal",
        "fraction",
    ]
    assert js.Intl.DateTimeFormat.new("en", timeZone="UTC").resolvedOptions().timeZone == "UTC"
