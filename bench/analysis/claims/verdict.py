"""The verdict: a claimed number against ours, by our convention first and by others after it.

    confirmed                   ours is exactly what is claimed
    rounding                    ours is the claimed number once it is written with as many digits
    confirmed_other_convention  it agrees in one of these ways if it is counted otherwise; the finding says how
    erratum                     no way to count it that we know gives it; the finding shows the arithmetic
    needs_run                   nothing that can be counted decides it, a training does
    supported, refuted          tests of the runs at hand, of the claim's own data set, networks, relation and scale
    indicated_for, _against     tests of the runs at hand under other conditions: see `bench.analysis.claims.studied`
    undecided                   such tests leave it open, or disagree
    undecidable                 nothing here decides it: a matter of history or of custom

Written with as many digits means: to the nearest, half a unit of the last printed digit apart; cut off, less than
one unit; or, where the source itself says "about", two units. The latter two hold only where they are no more than
5 % of the claim, so that "5 million" is not confirmed by 5.99 million.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Literal, get_args

from bench.analysis.claims.book import NUMBERS, Claim
from bench.analysis.studies import StudyVerdict
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

Agreement = Literal["exact", "rounded", "cut off", "about"]
_EXACTLY = Context(prec=99)
_LENIENT = {"cut off": ", cut off after the printed digits", "about": ", about what the source calls so"}
WIDEST = Decimal("0.05")  # of the claim, for what is cut off or said to be about right

Value = Decimal | str


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to count: its value, the arithmetic behind it, and, unless it is ours, the convention.

    `counting` is the part of the convention that a source keeps from network to network; see `consistent`.
    """

    value: Value
    how: str
    convention: str = ""
    counting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of a claim.

    Attributes:
        claim: as read.
        verdict: one of `VERDICTS`.
        ours: the value by our own convention; None where only a training gives one.
        arithmetic: one line that shows why.
        convention: by which the claim holds, where it is not ours.
        agreement: how a number agrees.
        tolerance: by how much it might have differed, in the claim's unit; None where it is no number.
        measured: what the runs at hand have of it.
        studies: their studies that bear on it.
    """

    claim: Claim
    verdict: Verdict
    ours: Value | None
    arithmetic: str
    convention: str = ""
    agreement: Agreement | None = None
    tolerance: Decimal | None = None
    measured: str = ""
    studies: tuple[StudyVerdict, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; numbers are numbers."""
        claim = self.claim
        return {
            "id": claim.id,
            "source": claim.source,
            "subject": claim.subject,
            "quantity": claim.quantity,
            "claimed": plain_number(claim.number) if claim.unit in NUMBERS else claim.claimed,
            "ours": plain_number(self.ours) if isinstance(self.ours, Decimal) else self.ours,
            "unit": claim.unit,
            "verdict": self.verdict,
            "arithmetic": self.arithmetic,
            "convention": self.convention or None,
            "agreement": self.agreement,
            "tolerance": None if self.tolerance is None else plain_number(self.tolerance),
            "measured": self.measured or None,
            "studies": [study.to_json() for study in self.studies],
            "printed": claim.printed or None,
            "claimed_convention": claim.convention or None,
            "conditions": {**claim.conditions, "relation": claim.relation} if claim.relation else None,
        }


def plain_number(value: Decimal) -> int | float:
    """Return an int where the value is whole, else a float."""
    return int(value) if value == value.to_integral_value() else float(value)


def agreement(claim: Claim, value: Decimal) -> Agreement | None:
    """Return how a number agrees with the digits that are printed; None where it does not."""
    claimed, unit = claim.number, claim.last_digit
    if value == claimed:
        return "exact"
    if value.quantize(unit, ROUND_HALF_EVEN, _EXACTLY) == claimed or abs(value - claimed) * 2 == unit:
        return "rounded"
    if unit <= WIDEST * abs(claimed) and 0 <= (abs(value) - abs(claimed)) < unit:
        return "cut off"
    if claim.hedged and 2 * unit <= WIDEST * abs(claimed) and abs(value - claimed) <= 2 * unit:
        return "about"
    return None


def allowed(claim: Claim, how: Agreement | None) -> Decimal:
    """Return by how much a number may differ to agree in this way; by default, to the nearest."""
    units = {"exact": Decimal(0), "rounded": Decimal("0.5"), "cut off": Decimal(1), "about": Decimal(2)}
    return claim.last_digit * units[how or "rounded"]


def judge(claim: Claim, readings: Sequence[Reading], hint: str = "") -> Finding:
    """Return the finding for a number.

    Args:
        claim: a number.
        readings: ours first, then by other conventions; the first that agrees decides.
        hint: what explains the difference, should it be an erratum.
    """
    ours = readings[0]
    for reading in readings:
        how = agreement(claim, _number(reading))
        if how is not None:
            return _agreed(claim, ours, reading, how)
    near = hint or (_nearest(claim, readings[1:]) if readings[1:] else "")
    parts = [ours.how, near]
    return Finding(
        claim=claim,
        verdict="erratum",
        ours=ours.value,
        arithmetic="; ".join(p for p in parts if p),
        tolerance=allowed(claim, None),
    )


def consistent(
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
        hint: as of `judge`.
    """
    column = column or [(claim, readings)]
    ways = list(dict.fromkeys(r.counting for _, some in column for r in some))
    fitting = {way: [c for c, some in column if _agree(c, some, way)] for way in ways}
    best = max(ways, key=lambda way: len(fitting[way]))
    own = next((r for r in readings if agreement(claim, _number(r))), None)
    if own is None or not fitting[best] or _agree(claim, readings, best):
        others = [r for r in readings[1:] if own is None or r.counting == best]
        return judge(claim, [readings[0], *others], hint)
    said = abs(claim.number)
    near = dict.fromkeys(r.how for r in readings if r.counting == best and said < 3 * _number(r) < 9 * said)
    close = [
        f"; {r.how} rounds to {_rounded(claim, _number(r))}"
        for r in readings
        if r.counting not in (best, own.counting) and abs(_number(r) - claim.number) < WIDEST * said
    ]
    fit = ", ".join(c.network for c in fitting[best])
    why = (
        f"only {own.how} gives it ({own.convention}){''.join(close[:1])}; the count that fits {fit} of the same source "
        f"({best}) gives {' or '.join(near)}"
    )
    return Finding(
        claim=claim, verdict="erratum", ours=readings[0].value, arithmetic=why, tolerance=allowed(claim, None)
    )


def _rounded(claim: Claim, value: Decimal) -> str:
    """Return a number with as many digits as are printed: ``1.4 Gop``."""
    rounded = value.quantize(claim.last_digit, ROUND_HALF_EVEN, _EXACTLY)
    return show(float(rounded), claim.unit, len(claim.number.as_tuple().digits))


def _agree(claim: Claim, readings: Sequence[Reading], counting: str) -> bool:
    return any(agreement(claim, _number(r)) is not None for r in readings if r.counting == counting)


def _agreed(claim: Claim, ours: Reading, reading: Reading, how: Agreement) -> Finding:
    verdict: Verdict = "confirmed" if how == "exact" else "rounding"
    arithmetic = reading.how + _LENIENT.get(how, "")
    if reading is not ours:
        verdict = "confirmed_other_convention"
        arithmetic = f"{arithmetic} ({reading.convention}); ours: {ours.how}"
    return Finding(
        claim=claim,
        verdict=verdict,
        ours=ours.value,
        arithmetic=arithmetic,
        convention=reading.convention,
        agreement=how,
        tolerance=allowed(claim, how),
    )


def _number(reading: Reading) -> Decimal:
    assert isinstance(reading.value, Decimal)  # readings of a number
    return reading.value


def _nearest(claim: Claim, others: Sequence[Reading]) -> str:
    near = min(others, key=lambda r: abs(_number(r) - claim.number))
    return f"nearest: {near.how} ({near.convention})"


def match(claim: Claim, ours: str, how: str, others: Sequence[Reading] = ()) -> Finding:
    """Return the finding for words, shapes and formulas: equal or not, by our convention or another."""
    if ours == claim.claimed:
        return Finding(claim=claim, verdict="confirmed", ours=ours, arithmetic=how, agreement="exact")
    for other in others:
        if other.value == claim.claimed:
            return Finding(
                claim=claim,
                verdict="confirmed_other_convention",
                ours=ours,
                arithmetic=f"{other.how} ({other.convention}); ours: {how}",
                convention=other.convention,
                agreement="exact",
            )
    return Finding(claim=claim, verdict="erratum", ours=ours, arithmetic=how)


def undecided(claim: Claim, why: str, measured: str = "") -> Finding:
    """Return the finding for what only a training decides."""
    return Finding(claim=claim, verdict="needs_run", ours=None, arithmetic=why, measured=measured)


def undecidable(claim: Claim, why: str) -> Finding:
    """Return the finding for what nothing here decides."""
    return Finding(claim=claim, verdict="undecidable", ours=None, arithmetic=why)
