"""``Intl.NumberFormat``: numbers, money, percentages and measures."""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any, Final

from babel.numbers import get_currency_name, get_currency_precision, get_currency_symbol

from wrangler_compat.host.intl.locales import Formatter
from wrangler_compat.host.model.array import JsArray
from wrangler_compat.host.model.convert import to_text
from wrangler_compat.host.model.date import to_number
from wrangler_compat.host.model.errors import JsRangeError, JsTypeError
from wrangler_compat.host.model.proxy import JsObject

__all__ = ["NumberFormat", "parts_array"]

Part = tuple[str, str]

_ROUNDING: Final = {
    "ceil": ROUND_CEILING,
    "floor": ROUND_FLOOR,
    "expand": ROUND_UP,
    "trunc": ROUND_DOWN,
    "halfExpand": ROUND_HALF_UP,
    "halfEven": ROUND_HALF_EVEN,
}
# Languages that write 1234 without a separator, and 12 345 with one.
_LATE_GROUPS: Final = frozenset({"es", "es-ES", "pl", "pl-PL", "pt-PT", "bg", "bg-BG"})
_LARGEST: Final = 100


def parts_array(parts: list[Part]) -> JsArray:
    """Return parts as JavaScript has them."""
    return JsArray(JsObject({"type": kind, "value": value}) for kind, value in parts)


class NumberFormat(Formatter):
    """``Intl.NumberFormat``."""

    def __init__(self, locales: Any = None, options: Any = None) -> None:
        super().__init__(locales, options)
        self._style = self._choice("style", ("decimal", "percent", "currency", "unit"), "decimal")
        self._notation = self._choice("notation", ("standard", "scientific", "engineering", "compact"), "standard")
        self._width = self._choice("compactDisplay", ("short", "long"), "short")
        self._sign = self._choice("signDisplay", ("auto", "never", "always", "exceptZero", "negative"), "auto")
        self._money = self._choice("currencyDisplay", ("symbol", "narrowSymbol", "code", "name"), "symbol")
        self._accounting = self._choice("currencySign", ("standard", "accounting"), "standard") == "accounting"
        self._unit_width = self._choice("unitDisplay", ("short", "narrow", "long"), "short")
        self._rounding = _ROUNDING[self._choice("roundingMode", tuple(_ROUNDING), "halfExpand")]
        self._currency, self._unit = self._named("currency", "Currency code is required with currency style."), ""
        if self._style == "unit":
            unit = self._options.get("unit")
            self._unit = self._unit_key("" if unit is None else to_text(unit))
        self._take_digits()
        symbols = self._locale.number_symbols
        self._symbols = symbols[self._numbering if self._numbering in symbols else "latn"]

    def _named(self, name: str, complaint: str) -> str:
        value = self._options.get(name)
        if value is None:
            if self._style == name:
                raise JsTypeError(complaint)
            return ""
        if not re.fullmatch("[A-Za-z]{3}", to_text(value)):
            raise JsRangeError(f"Invalid currency code : {to_text(value)}")
        return to_text(value).upper()

    def _unit_key(self, unit: str) -> str:
        known: Any = self._locale._data["unit_patterns"]
        key = next((key for key in known if key.partition("-")[2] == unit), None)
        if key is None:
            # A measure of two that has no form of its own: what it is of, and what for.
            if not unit:
                raise JsTypeError("Invalid unit argument for Intl.NumberFormat() ''")
            raise JsRangeError(f"Invalid unit argument for Intl.NumberFormat() '{unit}'")
        return key

    def _digits_of(self, name: str, least: int, otherwise: int | None) -> int | None:
        value = self._options.get(name)
        if value is None:
            return otherwise
        number = to_number(value)
        if math.isnan(number) or not least <= number <= _LARGEST:
            raise JsRangeError(f"{name} value is out of range.")
        return int(number)

    def _take_digits(self) -> None:
        usual = get_currency_precision(self._currency) if self._style == "currency" else 0
        most_usual = usual if self._style in ("currency", "percent") else 3
        self._integers = self._digits_of("minimumIntegerDigits", 1, 1) or 1
        least, most = (
            self._digits_of("minimumFractionDigits", 0, None),
            self._digits_of("maximumFractionDigits", 0, None),
        )
        least_significant = self._digits_of("minimumSignificantDigits", 1, None)
        most_significant = self._digits_of("maximumSignificantDigits", 1, None)
        self._significant: tuple[int, int] | None = None
        if least_significant is not None or most_significant is not None:
            self._significant = (least_significant or 1, most_significant or 21)
        self._is_short = self._notation == "compact" and least is None and most is None and self._significant is None
        if least is not None and most is not None and least > most:
            raise JsRangeError("maximumFractionDigits value is out of range.")
        first = min(usual, most) if least is None and most is not None else usual if least is None else least
        if self._notation == "compact" and least is None:
            first = 0
        self._fraction = (first, max(most_usual, first) if most is None else most)

    def format(self, value: Any = None) -> str:
        """Return ``value`` as text."""
        return "".join(text for _, text in self._parts(value))

    def formatToParts(self, value: Any = None) -> JsArray:
        """Return the same in parts, each with its type."""
        return parts_array(self._parts(value))

    def formatRange(self, start: Any, end: Any) -> str:
        """Return what goes from ``start`` to ``end``."""
        first, last = self.format(start), self.format(end)
        return f"~{first}" if first == last else f"{first}\u2013{last}"

    def resolvedOptions(self) -> JsObject:
        """Return what it was made with, and what that means."""
        made: dict[str, Any] = {"locale": self._tag, "numberingSystem": self._numbering, "style": self._style}
        if self._style == "currency":
            made |= {"currency": self._currency, "currencyDisplay": self._money}
        if self._style == "unit":
            made |= {"unit": self._options["unit"], "unitDisplay": self._unit_width}
        made |= {"minimumIntegerDigits": self._integers, "notation": self._notation, "signDisplay": self._sign}
        if self._significant is not None:
            made |= dict(zip(("minimumSignificantDigits", "maximumSignificantDigits"), self._significant, strict=True))
        else:
            made |= dict(zip(("minimumFractionDigits", "maximumFractionDigits"), self._fraction, strict=True))
        return JsObject(made)

    def _parts(self, value: Any) -> list[Part]:
        number = value if isinstance(value, float) else to_number(value)
        exact = Decimal(repr(number)) if isinstance(number, float) else Decimal(number)
        if self._style == "percent" and exact.is_finite():
            exact *= 100
        written, shown = self._written(abs(exact))
        is_negative = exact.is_signed() and not exact.is_nan()
        return self._around(written, shown, is_negative=is_negative, is_zero=not shown)

    def _written(self, exact: Decimal) -> tuple[list[Part], Decimal]:
        """Return the digits of a number that is not negative, and what they say."""
        if exact.is_nan():
            return [("nan", "NaN")], exact
        if exact.is_infinite():
            return [("infinity", "\u221e")], exact
        if self._notation == "standard":
            rounded = self._rounded(exact)
            return self._digits(rounded), rounded
        if self._notation == "compact":
            return self._compact(exact)
        power = exact.adjusted() if exact else 0
        power -= power % 3 if self._notation == "engineering" else 0
        rounded = self._rounded(exact.scaleb(-power))
        exponent = [("exponentSeparator", "E"), *([("exponentMinusSign", "-")] if power < 0 else [])]
        return [*self._digits(rounded), *exponent, ("exponentInteger", str(abs(power)))], rounded

    def _rounded(self, exact: Decimal) -> Decimal:
        if self._significant is None:
            return self._trimmed(exact, *self._fraction)
        least, most = self._significant
        before = exact.adjusted() + 1 if exact else 1
        return self._trimmed(exact, max(least - before, 0), most - before)

    def _trimmed(self, exact: Decimal, least: int, most: int) -> Decimal:
        """Return a number with as many digits after its point as it needs, within the limits."""
        rounded = exact.quantize(Decimal(1).scaleb(-most), self._rounding)
        fraction = f"{rounded:f}".partition(".")[2].rstrip("0")
        return rounded.quantize(Decimal(1).scaleb(-max(len(fraction), least)))

    def _digits(self, rounded: Decimal, *, is_grouped: bool = True) -> list[Part]:
        whole, _, fraction = f"{rounded:f}".partition(".")
        parts: list[Part] = []
        for n, group in enumerate(self._groups(whole.zfill(self._integers)) if is_grouped else [whole]):
            parts += [("group", self._symbols["group"])] if n else []
            parts.append(("integer", self._local(group)))
        if fraction:
            parts += [("decimal", self._symbols["decimal"]), ("fraction", self._local(fraction))]
        return parts

    def _groups(self, whole: str) -> list[str]:
        wanted = self._options.get("useGrouping")
        if wanted is False or wanted == "false":
            return [whole]
        is_late = self._tag in _LATE_GROUPS or wanted == "min2" or (self._notation == "compact" and wanted is None)
        first, later = self._locale.decimal_formats[None].grouping
        if len(whole) <= first + (is_late and wanted not in ("always", True)):
            return [whole]
        groups = [whole[-first:]]
        rest = whole[:-first]
        while rest:
            groups.insert(0, rest[-later:])
            rest = rest[:-later]
        return groups

    def _compact(self, exact: Decimal) -> tuple[list[Part], Decimal]:
        power = exact.adjusted() if exact else 0
        zeros, rounded = self._shortened(exact, power)
        if zeros and rounded.adjusted() + 1 > zeros:
            power += 1  # 999,999 is one million.
            zeros, rounded = self._shortened(exact, power)
        if not zeros:
            return self._digits(rounded), rounded
        pattern = self._compact_pattern(power, self._locale.plural_form(rounded))
        before, _, after = re.sub("0+", "0", pattern.replace("'", "")).partition("0")
        return [*_literal(before, "compact"), *self._digits(rounded), *_literal(after, "compact")], rounded

    def _compact_pattern(self, power: int, form: str) -> str:
        formats: Any = self._locale.compact_decimal_formats[self._width]
        found = (formats.get(form) or formats["other"]).get(str(10**power)) or formats["other"].get(str(10**power))
        return "0" if found is None else found.pattern

    def _shortened(self, exact: Decimal, power: int) -> tuple[int, Decimal]:
        """Return how many digits are left of a number of this size, none if it is not shortened, and what it is."""
        pattern = self._compact_pattern(power, "other") if power >= 3 else "0"
        # A pattern of zeros alone says that nothing is shortened.
        zeros = pattern.count("0") if pattern.strip("0") else 0
        return zeros, self._rounded_short(exact.scaleb(zeros - power - 1) if zeros else exact)

    def _rounded_short(self, exact: Decimal) -> Decimal:
        if not self._is_short:
            return self._rounded(exact)
        before = exact.adjusted() + 1 if exact else 1
        return self._trimmed(exact, 0, max(2 - before, 0))

    def _around(self, number: list[Part], shown: Decimal, *, is_negative: bool, is_zero: bool) -> list[Part]:
        """Put the sign around ``number``, and what it is of."""
        shows_minus = (
            is_negative and self._sign != "never" and not (is_zero and self._sign in ("exceptZero", "negative"))
        )
        shows_plus = not is_negative and (self._sign == "always" or (self._sign == "exceptZero" and not is_zero))
        sign: list[Part] = []
        if shows_minus:
            sign = [("minusSign", self._symbols["minusSign"])]
        elif shows_plus:
            sign = [("plusSign", self._symbols["plusSign"])]
        if self._style == "unit":
            return [*sign, *self._of_unit(number, shown)]
        if self._style == "currency" and self._money == "name":
            return [*sign, *number, ("literal", " "), ("currency", self._name_of_money(shown))]
        if self._style == "decimal":
            return [*sign, *number]
        pattern = self._pattern()
        before, after = pattern.prefix[0], pattern.suffix[0]
        if shows_minus:
            # The pattern says where the sign stands.
            before, after, sign = pattern.prefix[1], pattern.suffix[1], []
        return [*sign, *self._affix(before, is_before=True), *number, *self._affix(after, is_before=False)]

    def _pattern(self) -> Any:
        if self._style == "percent":
            return self._locale.percent_formats[None]
        return self._locale.currency_formats["accounting" if self._accounting else "standard"]

    def _affix(self, text: str, *, is_before: bool) -> list[Part]:
        parts: list[Part] = []
        for piece in re.split("(\xa4+|%|-)", text):
            if piece in ("%", "-"):
                name = "percentSign" if piece == "%" else "minusSign"
                parts.append((name, self._symbols[name]))
            elif piece.startswith("\xa4"):
                parts.append(("currency", self._money_symbol()))
            elif piece:
                parts.append(("literal", piece))
        # A name that ends in a letter does not touch the digits.
        if parts and parts[-1 if is_before else 0][0] == "currency":
            symbol = parts[-1 if is_before else 0][1]
            if (symbol[-1] if is_before else symbol[0]).isalpha():
                parts.insert(len(parts) if is_before else 0, ("literal", "\xa0"))
        return parts

    def _money_symbol(self) -> str:
        if self._money == "code":
            return self._currency
        symbol = get_currency_symbol(self._currency, locale=self._locale)
        return symbol.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ") or symbol if self._money == "narrowSymbol" else symbol

    def _name_of_money(self, shown: Decimal) -> str:
        # With digits after the point, it is never "one".
        count = shown if shown == shown.to_integral_value() and shown.as_tuple().exponent == 0 else Decimal("1.5")
        return get_currency_name(self._currency, count=count, locale=self._locale)

    def _of_unit(self, number: list[Part], shown: Decimal) -> list[Part]:
        widths: Any = self._locale._data["unit_patterns"][self._unit]
        forms = widths.get(self._unit_width) or widths["short"]
        pattern = forms.get(self._locale.plural_form(shown)) or forms["other"]
        before, _, after = pattern.partition("{0}")
        return [*_literal(before, "unit"), *number, *_literal(after, "unit")]


def _literal(text: str, kind: str) -> list[Part]:
    """Return what stands beside digits: spaces, and what is of the kind."""
    pieces = re.split(r"(\s+)", text)
    return [("literal" if piece.isspace() else kind, piece) for piece in pieces if piece]
