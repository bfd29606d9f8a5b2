"""The finding: a claimed number against ours, by our convention first and by others after it.

    confirmed                   ours is exactly what is claimed
    rounding                    ours is the claimed number once it is written with as many digits
    confirmed_other_convention  it agrees in one of these ways if it is counted otherwise; the finding says how
    erratum                     no way to count it that we know gives it; the finding shows the arithmetic
    needs_run                   nothing that can be counted decides it, a training does
    supported, refuted          tests of the runs at hand, of the claim's own data set, networks, relation and scale
    indicated_for, _against     tests of the runs at hand under other conditions: see `bench.claims._studied`
    undecided                   such tests leave it open, or disagree
    undecidable                 nothing here decides it: a matter of history or of custom

Written with as many digits means: to the nearest, half a unit of the last printed digit apart; cut off, less than
one unit; or, where the source itself says "about", two units. The latter two hold only where they are no more than
5 % of the claim, so that "5 million" is not confirmed by 5.99 million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Literal, get_args

from bench.analysis.studies import StudyVerdict
from bench.claims._claim import NUMBERS, Claim
from bench.units import show

Verdict = Literal[
    "confirmed",
    "rounding",
    "confirmed_other_convention",
    "erratum",
    "supported",
    "refuted",
    "indicated_for",
    "indicated_against",
    "undecided",
    "needs_run",
    "undecidable",
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

PUBLISHED_ACCURACIES = ("published_top5", "published_top5_error")
"""Quantities of claims that papers' accuracies decide, and no count."""

_Agreement = Literal["exact", "rounded", "cut off", "about"]
_EXACTLY = Context(prec=99)
_LENIENT = {"cut off": ", cut off after the printed digits", "about": ", about what the source calls so"}
_WIDEST = Decimal("0.05")  # of the claim, for what is cut off or said to be about right


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to count: its value, the arithmetic behind it, and, unless it is ours, the convention.

    `counting` is the part of the convention that a source keeps from network to network; see `decide_in_column`.
    """

    value: Decimal | int
    how: str
    convention: str = ""
    counting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of a claim."""

    claim: Claim  # as read
    verdict: Verdict  # one of `VERDICTS`
    ours: Decimal | str | None  # the value by our own convention; None where only a training gives one
    arithmetic: str  # one line that shows why
    convention: str = ""  # by which the claim holds, where it is not ours
    agreement: _Agreement | None = None  # how a number agrees
    # by how much it might have differed, in the claim's unit; None where it is no number
    tolerance: Decimal | None = None
    measured: str = ""  # what the runs at hand have of it
    studies: tuple[StudyVerdict, ...] = ()  # their studies that bear on it

    @property
    def may_hold(self) -> bool:
        """Whether a claim that no count of the records gives may hold by a convention of counts by layers."""
        return self.verdict == "erratum" and self.claim.quantity not in PUBLISHED_ACCURACIES

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values; numbers are numbers."""
        claim = self.claim
        return {
            "id": claim.id,
            "source": claim.source,
            "subject": claim.subject,
            "quantity": claim.quantity,
            "claimed": _plain_number(claim.number) if claim.unit in NUMBERS else claim.claimed,
            "ours": _plain_number(self.ours) if isinstance(self.ours, Decimal) else self.ours,
            "unit": claim.unit,
            "verdict": self.verdict,
            "arithmetic": self.arithmetic,
            "convention": self.convention or None,
            "agreement": self.agreement,
            "tolerance": None if self.tolerance is None else _plain_number(self.tolerance),
            "measured": self.measured or None,
            "studies": [study.to_json() for study in self.studies],
            "printed": claim.printed or None,
            "claimed_convention": claim.convention or None,
            "conditions": {**claim.conditions, "relation": claim.relation} if claim.relation else None,
        }


def _plain_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def agreement(claim: Claim, number: Decimal | int) -> _Agreement | None:
    """Return how a number agrees with the digits that are printed; None where it does not."""
    value, claimed, unit = Decimal(number), claim.number, claim.last_digit
    if how := agreement_in_print(value, claimed, unit):
        return how
    if claim.hedged and 2 * unit <= _WIDEST * abs(claimed) and abs(value - claimed) <= 2 * unit:
        return "about"
    return None


def agreement_in_print(value: Decimal, printed: Decimal, unit: Decimal) -> _Agreement | None:
    """Return how a number agrees with one in print whose last digit is worth `unit`; None where it does not."""
    if value == printed:
        return "exact"
    if value.quantize(unit, ROUND_HALF_EVEN, _EXACTLY) == printed or abs(value - printed) * 2 == unit:
        return "rounded"
    if unit <= _WIDEST * abs(printed) and 0 <= (abs(value) - abs(printed)) < unit:
        return "cut off"
    return None


_UNITS: Mapping[_Agreement, Decimal] = {
    "exact": Decimal(0), "rounded": Decimal("0.5"), "cut off": Decimal(1), "about": Decimal(2)
}  # fmt: skip
"""By how many units of the last printed digit a number may differ that agrees in this way."""


def decide_number(claim: Claim, readings: Sequence[Reading], hint: str = "") -> Finding:
    """Return the finding for a number.

    `readings` are ours first, then by other conventions: the first that agrees decides. `hint` explains an
    erratum.
    """
    ours, *others = readings
    for reading in readings:
        how = agreement(claim, reading.value)
        if how is not None:
            return _agreed(claim, ours, reading, how)
    if not hint and others:
        near = min(others, key=lambda r: abs(r.value - claim.number))
        hint = f"nearest: {near.how} ({near.convention})"
    return _erratum(claim, ours, "; ".join(text for text in (ours.how, hint) if text))


def decide_in_column(
    claim: Claim,
    readings: Sequence[Reading],
    column: Sequence[tuple[Claim, Sequence[Reading]]],
    hint: str = "",
) -> Finding:
    """Return the finding for a number in a column of a source, which counts in one way throughout.

    That is the way by which most numbers of the column agree, the first where as many agree by several; a number
    that agrees by another alone is an erratum.

    Args:
        claim: a number.
        readings: ours first.
        column: the source's claims of the quantity, this one among them, each with its readings.
        hint: as of `decide_number`.
    """
    column = column or [(claim, readings)]
    ways = list(dict.fromkeys(r.counting for _, some in column for r in some))
    fitting = {way: [c for c, some in column if _agree(c, some, way)] for way in ways}
    best = max(ways, key=lambda way: len(fitting[way]))
    own = next((r for r in readings if agreement(claim, r.value)), None)
    if own is None or not fitting[best] or _agree(claim, readings, best):
        others = [r for r in readings[1:] if own is None or r.counting == best]
        return decide_number(claim, [readings[0], *others], hint)
    claimed = abs(claim.number)
    near = dict.fromkeys(
        r.how for r in readings if r.counting == best and claimed < 3 * r.value < 9 * claimed
    )
    close = [
        f"; {r.how} rounds to {_rounded(claim, r.value)}"
        for r in readings
        if r.counting not in (best, own.counting) and abs(r.value - claim.number) < _WIDEST * claimed
    ]
    fit = ", ".join(c.network for c in fitting[best])
    why = (
        f"only {own.how} gives it ({own.convention}){''.join(close[:1])}; the count that fits {fit} of the same source "
        f"({best}) gives {' or '.join(near)}"
    )
    return _erratum(claim, readings[0], why)


def _rounded(claim: Claim, value: Decimal | int) -> str:
    """Return a number with as many digits as are printed: ``1.4 Gop``."""
    rounded = Decimal(value).quantize(claim.last_digit, ROUND_HALF_EVEN, _EXACTLY)
    return show(float(rounded), claim.unit, len(claim.number.as_tuple().digits))


def _agree(claim: Claim, readings: Sequence[Reading], counting: str) -> bool:
    return any(agreement(claim, r.value) is not None for r in readings if r.counting == counting)


def _agreed(claim: Claim, ours: Reading, reading: Reading, how: _Agreement) -> Finding:
    verdict: Verdict = "confirmed" if how == "exact" else "rounding"
    arithmetic = reading.how + _LENIENT.get(how, "")
    if reading is not ours:
        verdict = "confirmed_other_convention"
        arithmetic = f"{arithmetic} ({reading.convention}); ours: {ours.how}"
    return Finding(
        claim=claim,
        verdict=verdict,
        ours=Decimal(ours.value),
        arithmetic=arithmetic,
        convention=reading.convention,
        agreement=how,
        tolerance=claim.last_digit * _UNITS[how],
    )


def _erratum(claim: Claim, ours: Reading, why: str) -> Finding:
    tolerance = claim.last_digit * _UNITS["rounded"]
    return Finding(
        claim=claim, verdict="erratum", ours=Decimal(ours.value), arithmetic=why, tolerance=tolerance
    )


def decide_text(claim: Claim, ours: str, how: str, others: Mapping[str, str] | None = None) -> Finding:
    """Return the finding for words, shapes and formulas: equal or not.

    `how` says why it is ours; `others` are what it is by other conventions, by their names.
    """
    if ours == claim.claimed:
        return Finding(claim=claim, verdict="confirmed", ours=ours, arithmetic=how, agreement="exact")
    for convention, text in (others or {}).items():
        if text == claim.claimed:
            return Finding(
                claim=claim,
                verdict="confirmed_other_convention",
                ours=ours,
                arithmetic=f"{text} ({convention}); ours: {how}",
                convention=convention,
                agreement="exact",
            )
    return Finding(claim=claim, verdict="erratum", ours=ours, arithmetic=how)


def decide_rule(claim: Claim, holds: bool, how: str) -> Finding:
    """Return the finding for a rule, such as a formula, that holds of what it was tried on or does not."""
    return decide_text(claim, claim.claimed if holds else "does not hold", how)


def needs_run(claim: Claim, why: str, measured: str = "") -> Finding:
    """Return the finding for what only a training decides."""
    return Finding(claim=claim, verdict="needs_run", ours=None, arithmetic=why, measured=measured)


def undecidable(claim: Claim, why: str) -> Finding:
    """Return the finding for what nothing here decides."""
    return Finding(claim=claim, verdict="undecidable", ours=None, arithmetic=why)
