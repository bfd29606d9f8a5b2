"""Units: SI base units are stored; this is the only place that scales them for people.

Stored units are `s`, `B`, `MAC`, `op`, `J`, `px`, `1` (a count or a fraction), `1/s`, `MAC/s` and `B/s`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

DASH = "–"

Better = Literal["lower", "higher", "neither"]  # which direction of a quantity is an improvement


@dataclass(frozen=True, slots=True)
class Scale:
    """How a stored number is shown: divide by `factor`, then write `symbol` behind it."""

    factor: float
    symbol: str

    @classmethod
    def of(cls, value: float, unit: str) -> Scale:
        """Return the largest scale that leaves `abs(value)` at least one; unknown units stay as they are."""
        steps = _STEPS.get(unit, (cls(1.0, unit),))
        fitting = [s for s in steps if abs(value) >= s.factor]
        if value == 0:
            return next(s for s in steps if s.factor == 1.0)
        return fitting[-1] if fitting else steps[0]


_STEPS: dict[str, tuple[Scale, ...]] = {
    "s": (Scale(1e-9, "ns"), Scale(1e-6, "µs"), Scale(1e-3, "ms"), Scale(1.0, "s")),
    "B": (Scale(1.0, "B"), Scale(1e3, "kB"), Scale(1e6, "MB"), Scale(1e9, "GB")),
    "MAC": (
        Scale(1.0, "MAC"),
        Scale(1e3, "kMAC"),
        Scale(1e6, "MMAC"),
        Scale(1e9, "GMAC"),
        Scale(1e12, "TMAC"),
    ),
    "op": (Scale(1.0, "op"), Scale(1e6, "Mop"), Scale(1e9, "Gop")),
    "1": (Scale(1.0, ""), Scale(1e3, "k"), Scale(1e6, "M"), Scale(1e9, "G")),
    "MAC/s": (Scale(1.0, "MAC/s"), Scale(1e6, "MMAC/s"), Scale(1e9, "GMAC/s"), Scale(1e12, "TMAC/s")),
    "B/s": (Scale(1.0, "B/s"), Scale(1e6, "MB/s"), Scale(1e9, "GB/s"), Scale(1e12, "TB/s")),
    "MAC/B": (Scale(1.0, "MAC/B"),),
    "1/s": (Scale(1.0, "images/s"),),
    "J": (Scale(1e-6, "µJ"), Scale(1e-3, "mJ"), Scale(1.0, "J"), Scale(1e3, "kJ")),
    "px": (Scale(1.0, "px"),),
}

UNITS = tuple(_STEPS)

_SYMBOLS = {step.symbol for steps in _STEPS.values() for step in steps if step.symbol} | {"%"}
_WITH_NUMBER = re.compile(
    rf"(?<=\d) (?=(?:{'|'.join(sorted(_SYMBOLS, key=len, reverse=True))})(?!\w))|(?<=[≤≥<>=±]) (?=\d)"
    r"|(?<=\b[np]) (?=[≤=])"
)


def bound(text: str) -> str:
    """Return a text in which no line ends between a number and its unit, or within p ≤ 0.03."""
    return _WITH_NUMBER.sub("\N{NO-BREAK SPACE}", text)


_LEAST, _MOST = 1e-9, 1e15  # what is nearer to 0, or from there on, nobody reads without an exponent


def _beyond(value: float) -> bool:
    """Return whether a number is so small or so large that it is written with an exponent."""
    return value != 0 and not _LEAST <= abs(value) < _MOST


def significant(value: float, digits: int = 3) -> str:
    """Format `value` with `digits` significant digits: 0.01234 -> 0.0123.

    Below a billionth, and from 1e15 on, it has an exponent: 1e300 -> 1.00e+300.
    """
    if not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    if _beyond(value):
        return f"{value:.{digits - 1}e}"
    decimals = digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2])  # 9.996 is 10.0, not 10.00
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"


def show(value: float | None, unit: str, digits: int = 3) -> str:
    """Format a stored number for people: ``show(0.0123, "s") == "12.3 ms"``; None and NaN become a dash."""
    if value is None or not math.isfinite(value):
        return DASH
    scale = Scale.of(value, unit)
    text = significant(value / scale.factor, digits)
    return f"{text} {scale.symbol}".rstrip()


def exactly(value: float, unit: str) -> str:
    """Format a stored number that was given and not measured, with all digits: ``exactly(0.02, "s") == "20 ms"``."""
    scale = Scale.of(value, unit)
    return f"{value / scale.factor:,.12g} {scale.symbol}".rstrip()


def percent(fraction: float | None, decimals: int = 1) -> str:
    """Format a fraction as a percentage: ``percent(0.918) == "91.8 %"``."""
    if fraction is None or not math.isfinite(fraction):
        return DASH
    if abs(100 * fraction) >= _MOST:
        return f"{significant(100 * fraction)} %"
    return f"{100 * fraction:.{decimals}f} %"


def digits_for(value: float, low: float, high: float, usual: int = 3) -> int:
    """Return how many significant digits an interval allows: down to the first of its half width, from 2 to 3."""
    half = (high - low) / 2
    if value == 0 or not math.isfinite(value) or not half > 0:
        return usual
    return min(usual, max(2, math.floor(math.log10(abs(value))) - math.floor(math.log10(half)) + 1))


_FAR = 1e4  # times a number, or a part of it, at which an end of its interval says nothing


def fixed(value: float, model: float, digits: int) -> str:
    """Format an end of an interval with the decimals that `model` has when it is shown with so many significant digits.

    An end of another order of magnitude, which these decimals would make 0 or too long, has so many digits of its own.
    One that is further off than by a factor of 10,000, such as of two processes that have little in common, is told by
    that.
    """
    if min(value, model) > 0 and not 1 / _FAR <= value / model <= _FAR:
        beyond, sign = (_FAR * model, ">") if value > model else (model / _FAR, "<")
        return f"{sign} {significant(beyond, digits)}"
    if _beyond(value) or _beyond(model) or (value and model and not 0.1 < abs(value / model) < 10):
        return significant(value, digits)
    decimals = digits - 1 - (math.floor(math.log10(abs(model))) if model else 0)
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"


def with_ends(value: float, low: float, high: float, factor: float = 1.0) -> tuple[str, str]:
    """Return a number over a factor with the digits that its interval allows, and that interval: ``47``, ``46 – 48``.

    An interval of which an end is not known is an empty text.
    """
    digits, shown = digits_for(value, low, high), value / factor
    known = math.isfinite(low) and math.isfinite(high)
    ends = " – ".join(fixed(end / factor, shown, digits) for end in (low, high)) if known else ""
    return significant(shown, digits), ends


def ranged(value: float, low: float, high: float, scale: Scale) -> str:
    """Return a number with its interval in one text: ``47 ms (46 – 48)``."""
    text, ends = with_ends(value, low, high, scale.factor)
    return f"{text} {scale.symbol}".rstrip() + (f" ({ends})" if ends else "")


def duration(seconds: float | None) -> str:
    """Format a waiting time: ``duration(75) == "1 min 15 s"``."""
    if seconds is None or not math.isfinite(seconds):
        return DASH
    if seconds >= _MOST:
        return show(seconds, "s")
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


# A comma parts thousands: where it stands for a point the text is refused, as 2,5 ms would be 25 ms otherwise.
_QUANTITY = re.compile(
    r"\s*((?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9][0-9_]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"\s*([^\s0-9,.]\S*)?\s*"
)
# As they are typed; the second µ is the Greek letter.
_SPELLINGS = {"us": "µs", "μs": "µs", "KB": "kB"} | dict.fromkeys(("/s", "image/s", "img/s"), "images/s")
_READ = {  # and never written
    "B": {"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    "1/s": {"k/s": 1e3, "M/s": 1e6},
}


def quantity_in(text: str, unit: str) -> float:
    """Return a number that people write, in its stored unit: ``quantity_in("20ms", "s") == 0.02``.

    Raises:
        ValueError: where there is no number, or no unit of that kind behind it; a count needs none.
    """
    match = _QUANTITY.fullmatch(text)
    symbols = {scale.symbol: scale.factor for scale in _STEPS[unit]}
    known = ", ".join(symbol for symbol in symbols if symbol)
    if match is None:
        raise ValueError(f"expected a number with a unit ({known})")
    number, written = match[1].replace("_", "").replace(",", ""), match[2] or ""
    symbol = _SPELLINGS.get(written, written.removesuffix("s") if unit == "MAC" else written)
    symbols |= _READ.get(unit, {})
    if symbol not in symbols:
        problem = f"{written} is no unit of it" if written else "it has no unit"
        raise ValueError(f"{problem}: write {'one of ' * (',' in known)}{known} behind the number")
    return float(number) * symbols[symbol]
