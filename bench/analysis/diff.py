"""What changed from one run to another, and how sure that is.

Each process gives one number, the median of its samples; records that differ only in the setting `replicate` are
processes of one job, and so are the seeds of a training. Where there are enough of them, exact rank tests decide
(`bench.analysis.effects`). With fewer, the noise floor decides: how much two processes of the same may differ. It is
5 %, and more where the ratios of the runs scatter more than that, or a self-test found more. Counts are exact.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.analysis.comparison import COUNTS
from bench.analysis.effects import Effect, Verdict, direction, unpaired, welch
from bench.analysis.matching import Group, Matching, match, names_of
from bench.analysis.rank_tests import can_decide, holm
from bench.analysis.statistics import NONE, Interval, finite, mean, median, median_interval
from bench.errors import unknown_name
from bench.records.record import Better, Measurement
from bench.records.store import Run

FLOOR = 0.05
SCATTERED = 6  # ratios, from which their scatter tells of the noise
DOUBTED = {
    "noisy",
    "unsteady",
    "few_samples",
    "contended",
    "stolen",
    "swapping",
    "throttled",
    "clock_varied",
    "shared_device",
}
ACCURACY_BAND = 0.005  # of the accuracy; half a percent of it is the same to a user
_TIMES = ("s", "1/s")
_CHANGED = ("faster", "slower", "lower", "higher")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One quantity of one job in both runs.

    Attributes:
        arch: the network.
        task: of the job.
        label: the job in one line.
        quantity: name of the measurement.
        unit: of `a` and `b`.
        better: which direction is an improvement.
        a: in the first run: median of its processes' medians, mean over seeds, or the count.
        b: in the second.
        n_a: processes or seeds of the first.
        n_b: of the second.
        effect: B / A. Where processes are too few for a test, `low` and `high` are of the samples within the two
            processes, or the range of the processes' ratios; `reason` says so, and p is NaN.
    """

    arch: str
    task: str
    label: str
    quantity: str
    unit: str
    better: Better
    a: float
    b: float
    n_a: int
    n_b: int
    effect: Effect

    def to_json(self) -> dict[str, Any]:
        """Return plain values in one level."""
        fields = {k: v for k, v in asdict(self).items() if k != "effect"}
        effect = {k: v for k, v in asdict(self.effect).items() if k != "n"}
        return {**fields, **effect}


@dataclass(frozen=True, slots=True)
class Diff:
    """Two runs side by side: their names, a row a quantity, and see `bench.analysis.matching.Matching`."""

    a: str
    b: str
    rows: Sequence[Change]
    only: Sequence[tuple[str, str, str]]
    changes: Sequence[tuple[str, str, str]]
    floor: float

    def slowdowns(self, above: float) -> list[Change]:
        """Return the rows that are certainly slower by more than a share: all of the interval is beyond it."""
        return [r for r in self.rows if r.effect.verdict == "slower" and _least(r) > 1 + above]

    @property
    def tested(self) -> int:
        """Return how many rows were tested; of so many, one in twenty would be called different by chance."""
        return sum(not math.isnan(r.effect.p) for r in self.rows)

    @property
    def sure(self) -> int:
        """Return how many rows with a verdict of change keep it after Holm's correction for all that were tested."""
        corrected: list[float] = holm([r.effect.p for r in self.rows]).tolist()
        return sum(
            p <= 0.05 and r.effect.verdict in _CHANGED for p, r in zip(corrected, self.rows, strict=True)
        )


def _least(row: Change) -> float:
    """Return the least factor by which a time grew, or a rate fell."""
    return row.effect.low if row.better == "lower" else 1 / row.effect.high


def diff(
    a: Run,
    b: Run,
    *,
    across: bool = False,
    floor: float | None = None,
    noise: float = 0.0,
    quantities: Collection[str] = (),
) -> Diff:
    """Compare what two runs have in common.

    Args:
        a: the earlier run.
        b: the later one.
        across: compare also across devices, precisions, threads and definitions.
        floor: a ratio this near to one is noise where there are too few processes to test; by default see the module.
        noise: the least effect that a self-test on this machine could tell, see `bench.analysis.noise`; the default
            floor is not below it.
        quantities: names of measurements to look at; none means all.

    Raises:
        ConfigError: if the runs have nothing in common or may not be compared.
        UnknownNameError: for a quantity that neither run has.
    """
    _check(quantities, a, b)
    matching = match(a, b, across=across, quantities=quantities)
    floor = max(FLOOR, noise, _scatter(matching)) if floor is None else floor
    rows = [row for x, y in matching.pairs for row in _rows(x, y, floor, quantities)]
    return Diff(*names_of(a, b), rows, matching.only, matching.changes, floor)


def _check(quantities: Collection[str], *runs: Run) -> None:
    known = {m.name for run in runs for record in run.records for m in record.measurements}
    for name in quantities:
        if name not in known:
            raise unknown_name("quantity", name, known)


def _scatter(matching: Matching) -> float:
    """Return three standard deviations of the log ratios about their median, by the median deviation, as a share.

    What is alike in all networks, such as a newer torch, moves the median; where each moves its own way, one process
    a run cannot tell noise from change.
    """
    logs = []
    for one, other in matching.pairs:
        ours, theirs = one.measurements(), other.measurements()
        for name in ("latency", "step_time"):
            medians = [[median(m.samples) for m in side.get(name, ())] for side in (ours, theirs)]
            if all(len(m) == 1 and m[0] > 0 for m in medians):
                logs.append(math.log(medians[1][0] / medians[0][0]))
                break
    if len(logs) < SCATTERED:
        return 0.0
    middle = median(logs)
    return math.expm1(3 * 1.4826 * median([abs(v - middle) for v in logs]))


def _rows(one: Group, other: Group, floor: float, quantities: Collection[str]) -> Iterator[Change]:
    ours, theirs = one.measurements(quantities), other.measurements(quantities)
    for name in ours:
        if name in theirs:
            yield _change(one, name, ours[name], theirs[name], floor)


def _change(
    group: Group, name: str, a: Sequence[Measurement], b: Sequence[Measurement], floor: float
) -> Change:
    """Return the row of one quantity, each measurement of which is of one process."""
    task, unit, better = group.job.task, a[0].unit, a[0].better
    ones, others = ([median(m.samples) for m in side] for side in (a, b))
    middle = median
    if task == "cost" or name in COUNTS:
        effect = _counted(ones, others)
    elif task == "accuracy" and unit == "1":
        middle = mean
        effect = welch(ones, others, band=ACCURACY_BAND, better=better, unit=unit)
    else:
        effect = _timed(a, b, floor if unit in _TIMES else min(floor, FLOOR))
    return Change(
        arch=group.job.arch, task=task, label=group.label, quantity=name, unit=unit, better=better,
        a=middle(ones), b=middle(others), n_a=len(ones), n_b=len(others), effect=effect,
    )  # fmt: skip


def _counted(a: Sequence[float], b: Sequence[float]) -> Effect:
    """Return whether counts are equal; a count that is no number is equal to another such."""
    equal = {_exact(v) for v in a} == {_exact(v) for v in b}
    ratio = 1.0 if equal else b[-1] / a[-1] if a[-1] else math.nan
    word: Verdict = "equal" if equal else "different"
    return Effect(ratio, *NONE, math.nan, min(len(a), len(b)), word, "counted")


def _exact(value: float) -> float | None:
    return None if math.isnan(value) else value


def _timed(a: Sequence[Measurement], b: Sequence[Measurement], floor: float) -> Effect:
    """Return the effect of what varies from process to process."""
    ones, others = (finite([median(m.samples) for m in side]) for side in (a, b))
    asked: dict[str, Any] = {"better": a[0].better, "unit": a[0].unit}
    tested = unpaired(ones, others, **asked)
    if can_decide(len(ones), len(others)) or math.isnan(tested.ratio):
        return tested
    if len(ones) == len(others) == 1:
        within = _of_medians(a[0].samples, b[0].samples)
        doubts = sorted(DOUBTED & {*a[0].flags, *b[0].flags})
        return _by_floor(tested.ratio, within, doubts, floor, **asked)
    return _by_range(ones, others, tested, floor, **asked)


def _of_medians(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Return an interval of the ratio of two medians: the ends of theirs at 97.5 %, so that both hold at 95 %."""
    (low_a, high_a), (low_b, high_b) = (median_interval(s, 0.975) for s in (a, b))
    return (low_b / high_a, high_b / low_a) if min(low_a, low_b) > 0 else NONE


def _by_floor(
    ratio: float, within: Interval, doubts: Sequence[str], floor: float, *, better: Better, unit: str
) -> Effect:
    """Return a verdict on one process a run: all of a time's interval, or a single value, beyond the noise floor."""
    low, high = within if unit in _TIMES or not math.isnan(within[0]) else (ratio, ratio)
    word: Verdict = "undecided"
    if ratio == 1 and unit not in _TIMES:
        word, why = "same", "equal in one process a run"
    elif doubts:
        why = f"{_ALONE}; flagged {', '.join(doubts)}"
    elif low > 1 + floor or high < 1 / (1 + floor):
        word, why = direction(ratio, better, unit), f"{_ALONE}; beyond the noise floor of {_share(floor)}"
    elif math.isnan(low):
        why = f"{_ALONE}, and too few samples for an interval"
    else:
        why = f"{_ALONE}; not beyond the noise floor of {_share(floor)}"
    return Effect(ratio, *within, math.nan, 1, word, why)


_ALONE = "one process a run: how processes differ is not known"


def _share(floor: float) -> str:
    return f"±{100 * floor:.3g} %"


def _by_range(
    a: Sequence[float], b: Sequence[float], tested: Effect, floor: float, *, better: Better, unit: str
) -> Effect:
    """Return a verdict where every process of one run is beyond the floor of every one of the other."""
    low, high = min(b) / max(a), max(b) / min(a)
    edge = f"the noise floor of {_share(floor)}"
    if low > 1 + floor or high < 1 / (1 + floor):
        why = f"{tested.reason}; all beyond {edge}"
        return Effect(tested.ratio, low, high, math.nan, tested.n, direction(low, better, unit), why)
    why = f"{tested.reason}; not all beyond {edge}"
    return Effect(tested.ratio, low, high, math.nan, tested.n, "undecided", why)
