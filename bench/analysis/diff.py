"""What changed from one run to another, and how sure that is.

Each process gives one number, the median of its samples; records that differ only in the setting `replicate` are
processes of one job, and so are the seeds of a training. From four in each run Welch's t of the logarithms decides, on
the ratio of their geometric means, and Holm's correction holds the chance of any false alarm among all rows at 5 %
(`bench.stats.verdicts`). With fewer nothing is certain: what is beyond the noise floor is suspected, by the ratio of
medians, and the row says what to run to know. The floor is how much two processes of the same may differ: 5 %, and more
where the ratios of the runs scatter more than that, or a self-test of the machine says so. Counts are exact. Where
nearly all times moved together although nothing that is known differs, the machine is the likelier cause, and what
moved that way is not certain.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.analysis._counts import COUNTS
from bench.analysis._matching import Matching, Repeats, match, names_of
from bench.errors import StoreError, unknown_name
from bench.io import finite_json
from bench.records.flags import OF_OTHERS, OF_SAMPLES
from bench.records.outputs import Answers
from bench.records.record import Measurement
from bench.records.store import Run
from bench.stats.answers import paired
from bench.stats.effects import Effect
from bench.stats.intervals import binomial_interval
from bench.stats.samples import mean, median, process_spread, robust_sd
from bench.stats.verdicts import BAND, CHANGED, FLOOR, centres, differ, of_counts, of_means, with_corrected
from bench.units import Better

_SCATTERED = 6  # ratios, from which their scatter tells of the noise
_DOUBTED = {*OF_SAMPLES, *OF_OTHERS, "swapping", "throttled", "clock_varied"}
_HOST_METER = "process high-water mark"
_ACCURACY_BAND = 0.005  # of the accuracy; half a percent of it is the same to a user
_TIMES = ("s", "1/s")
_ALPHA = 0.05  # of all rows together
_WHAT_TO_RUN = {
    "accuracy": "to know, train both with more seeds: bench train ... --seeds {n}",
    "infer": 'to know, measure both in more processes: bench run ... --set "infer.replicate=[{numbers}]"',
    "train_step": 'to know, measure both in more processes: bench run ... --set "train_step.replicate=[{numbers}]"',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One quantity of one job in both runs."""

    arch: str  # the network
    task: str  # of the job
    label: str  # the job in one line
    quantity: str  # name of the measurement
    unit: str  # of `a` and `b`
    better: Better  # which direction is an improvement
    # in the first run: the geometric mean of its processes' medians, where processes are too few for a test
    # the median of their logarithms; the mean over seeds, or the count
    a: float
    b: float  # in the second; over `a` it is the effect's estimate
    n_a: int  # processes or seeds of the first
    n_b: int  # of the second
    # B / A, its p corrected for the number of rows. Where processes are too few for a test, p is NaN, and
    # `low` and `high` are the range of the processes' ratios; of one process a run there is none.
    effect: Effect

    def to_json(self) -> dict[str, object]:
        """Return plain values in one level."""
        fields = {k: getattr(self, k) for k in self.__slots__ if k != "effect"}
        return {**fields, **self.effect.to_json("ratio")}


class _Shift(NamedTuple):
    """How the times of jobs moved together: by which factor in the median, how many that way, and of how many."""

    factor: float
    moved: int
    of: int


@dataclass(frozen=True, slots=True)
class Diff:
    """Two runs side by side: their names, a row a quantity, and see `bench.analysis._matching.Matching`."""

    a: str
    b: str
    rows: Sequence[Change]
    only: Sequence[tuple[str, str, str]]
    changes: Sequence[tuple[str, str, str]]
    floor: float

    def slowdowns(self, above: float) -> list[Change]:
        """Return the rows that are certainly slower by more than a share: all of the interval is beyond it."""
        slower = [r for r in self.rows if r.effect.verdict == "slower"]
        return [r for r in slower if (r.effect.low if r.better == "lower" else 1 / r.effect.high) > 1 + above]

    def to_json(self) -> dict[str, object]:
        """Return plain values; what is not a number is None."""
        return finite_json(
            {
                "a": self.a,
                "b": self.b,
                "floor": self.floor,
                "changes": [dict(zip(("what", "a", "b"), c, strict=True)) for c in self.changes],
                "rows": [row.to_json() for row in self.rows],
                "only": [dict(zip(("job", "run", "why"), o, strict=True)) for o in self.only],
                "shift": self.shift._asdict() if self.shift else None,
                "tested": self.tested,
                "sure_after_holm": self.sure,
            }
        )

    @property
    def shift(self) -> _Shift | None:
        """Return how the times of jobs moved together; None where they are few, or move each their own way.

        They moved together where the 99 % interval of the share that went one way leaves a half out. A job counts once,
        by the median of its times: the phases of a training step are of the same processes.
        """
        by_job: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
        for row in self.rows:
            if row.task != "accuracy" and row.unit == "s" and row.effect.estimate > 0:
                by_job[row.arch, row.task, row.label].append(row.effect.estimate)
        if len(by_job) < _SCATTERED:
            return None
        ratios = [median(own) for own in by_job.values()]
        factor = median(ratios)
        moved = sum((ratio > 1) == (factor > 1) for ratio in ratios)
        together = binomial_interval(moved, len(ratios), 0.99)[0] > 1 / 2
        together = together and abs(math.log(factor)) > math.log1p(BAND)
        return _Shift(factor, moved, len(ratios)) if together else None

    @property
    def tested(self) -> int:
        """Return how many rows were tested; p is corrected for so many."""
        return sum(not math.isnan(r.effect.p) for r in self.rows)

    @property
    def sure(self) -> int:
        """Return how many of them changed for certain."""
        return sum(r.effect.verdict in CHANGED for r in self.rows)

    @classmethod
    def of(
        cls,
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
            floor: a ratio this near to one is noise where there are too few processes to test; by default see the
                module.
            noise: the least effect that a self-test on this machine could tell, see `bench.analysis.selftest`;
                the default floor is not below it.
            quantities: names of measurements to look at; none means all.

        Raises:
            ConfigError: if the runs have nothing in common or may not be compared.
            UnknownNameError: for a quantity that neither run has.
        """
        _check(quantities, a, b)
        matching = match(a, b, across=across, quantities=quantities)
        floor = max(FLOOR, noise, _scatter(matching)) if floor is None else floor
        noise_of = _Noise(floor, _spread(matching))
        rows = [
            _on_images(row, (a, x), (b, y))
            for x, y in matching.pairs
            for row in _rows(x, y, noise_of, quantities)
        ]
        rows = [_with_tip(row) for row in with_corrected(rows, "suspected")]
        differences = cls(*names_of(a, b), rows, matching.only, matching.changes, floor)
        if differences.changes or differences.shift is None:
            return differences
        factor = differences.shift.factor
        return replace(differences, rows=[_with_all(row, factor, len(rows)) for row in rows])


def _with_all(row: Change, factor: float, rows: int) -> Change:
    """Return a row that moved as nearly all times did although nothing that is known differs: it is not certain.

    What certainly moved by more or less than that `factor`, as one of so many rows, has moved by itself.
    """
    effect = row.effect
    if row.unit not in _TIMES or row.task == "accuracy" or effect.verdict not in CHANGED:
        return row
    common = factor if row.unit == "s" else 1 / factor
    alike = (effect.estimate > 1) == (common > 1) and not effect.p_at(common) * rows <= _ALPHA
    return replace(row, effect=replace(effect, verdict="suspected", reason=_TOGETHER)) if alike else row


def _with_tip(row: Change) -> Change:
    """Return the row with what to run to know, where it is suspected and more processes would tell."""
    effect, tip = row.effect, _WHAT_TO_RUN.get(row.task)
    told = effect.reason.startswith(_FLAGGED) or effect.reason.endswith(_HOST_MEMORY)
    if effect.verdict != "suspected" or tip is None or told:
        return row
    n = max(8, 2 * effect.n)
    tip = tip.format(n=n, numbers=",".join(map(str, range(n))))
    return replace(row, effect=replace(effect, reason=f"{effect.reason}; {tip}"))


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
    if len(logs) < _SCATTERED:
        return 0.0
    return math.expm1(3 * robust_sd(logs))


class _Noise(NamedTuple):
    """What times do by themselves: the floor of ratios of few processes, and how the logarithm of one varies."""

    floor: float
    spread: float


def _spread(matching: Matching) -> float:
    """Return how the logarithm of a time varies from process to process, by all times of both runs."""
    sides = (side.measurements() for pair in matching.pairs for side in pair)
    times = (of for side in sides for of in side.values() if of[0].unit == "s")
    medians = ([median(m.samples) for m in of] for of in times)
    return process_spread([[math.log(m) for m in own if m > 0] for own in medians])


def _rows(one: Repeats, other: Repeats, noise: _Noise, quantities: Collection[str]) -> Iterator[Change]:
    ours, theirs = one.measurements(quantities), other.measurements(quantities)
    yield from (_change(one, name, ours[name], theirs[name], noise) for name in ours if name in theirs)


def _change(
    repeats: Repeats, name: str, a: Sequence[Measurement], b: Sequence[Measurement], noise: _Noise
) -> Change:
    """Return the row of one quantity, each measurement of which is of one process."""
    task, unit, better = repeats.job.task, a[0].unit, a[0].better
    ones, others = ([median(m.samples) for m in side] for side in (a, b))
    if task == "cost" or name in (*COUNTS, "tensor_memory", "left_out"):
        effect = of_counts(others, ones)
        before, after = ones[-1], others[-1]
    elif task == "accuracy" and unit == "1":
        effect = of_means(others, ones, _ACCURACY_BAND, better=better, unit=unit)
        before, after = mean(ones), mean(others)
    else:
        noise = noise if unit in _TIMES else _Noise(min(noise.floor, FLOOR), 0.0)
        effect = _measured(a, b, noise)
        before, after = (
            (median(ones), median(others)) if _of_host(a, b) else centres(ones, others, noise.spread)
        )
    return Change(
        arch=repeats.job.arch, task=task, label=repeats.label, quantity=name, unit=unit, better=better,
        a=before, b=after, n_a=len(ones), n_b=len(others), effect=effect,
    )  # fmt: skip


_FIRST = {"top1": 1, "top5": 5}


def _on_images(row: Change, one: tuple[Run, Repeats], other: tuple[Run, Repeats]) -> Change:
    """Return a row of an accuracy of weights as it is on the images that both runs have answered, by McNemar."""
    if row.task != "evaluate" or row.quantity not in _FIRST:
        return row
    try:
        answers = [Answers.read(run.path, repeats.records[-1]) for run, repeats in (one, other)]
    except StoreError as error:
        return replace(row, effect=Effect.none(error.message))
    a, b = answers
    if a is None or b is None:
        return replace(row, effect=Effect.none("the answers to each image are not stored"))
    correct = [
        (w.top5[at, : _FIRST[row.quantity]] == w.labels[at, None]).any(axis=1)
        for w, at in zip((a, b), a.places_shared(b), strict=True)
    ]
    if not len(correct[0]) or not correct[0].any():
        return replace(row, effect=Effect.none("no image that both have answered and the first tells right"))
    before, after = (float(side.mean()) for side in correct)
    effect = paired(correct[1], correct[0]).share(before)
    if (correct[0] == correct[1]).all():
        effect = replace(effect, verdict="same", reason=f"the same {len(correct[0])} images are right")
    return replace(row, a=before, b=after, effect=effect)


def _measured(a: Sequence[Measurement], b: Sequence[Measurement], noise: _Noise) -> Effect:
    """Return the effect of what varies from process to process.

    Numbers in doubt make nothing certain, and those of one process a run raise no suspicion either.
    """
    ones, others = ([median(m.samples) for m in side] for side in (a, b))
    if of_host := _of_host(a, b):
        ones, others = [median(ones)], [median(others)]
    effect = differ(ones, others, floor=noise.floor, better=a[0].better, unit=a[0].unit, spread=noise.spread)
    if math.isnan(effect.estimate):
        return effect
    beyond = f"{'' if effect.verdict == 'suspected' else 'not '}beyond the noise floor of ±{100 * noise.floor:.3g} %"
    if of_host:
        same = ones == others
        reason = "equal in both runs" if same else f"{beyond}; {_HOST_MEMORY}"
        return replace(effect, verdict="same" if same else effect.verdict, reason=reason)
    doubts = sorted(_DOUBTED & {flag for m in (*a, *b) for flag in m.flags})
    if len(ones) > 1 or len(others) > 1:
        return _in_doubt(effect, [flag for flag in doubts if flag not in OF_SAMPLES])
    if ones == others and a[0].unit not in _TIMES:
        return replace(effect, verdict="same", reason="equal in one process a run")
    if doubts:
        return replace(effect, verdict="undecided", reason=f"{_ALONE}; flagged {', '.join(doubts)}")
    return replace(effect, reason=f"{_ALONE}; {beyond}")


def _in_doubt(effect: Effect, doubts: Sequence[str]) -> Effect:
    """Return the effect over several processes of which some have these doubts: nothing of it is certain."""
    if not doubts or effect.verdict not in (*CHANGED, "same"):
        return effect
    reason = f"{_FLAGGED} {', '.join(doubts)}: measure both again where nothing disturbs; {effect.reason}"
    return replace(effect, verdict="undecided" if effect.verdict == "same" else "suspected", reason=reason)


def _of_host(a: Sequence[Measurement], b: Sequence[Measurement]) -> bool:
    """Return whether a quantity of two runs is the high-water mark of processes: one number, however many these are.

    They are forked from one server, whose allocator decides where tensors come to lie: processes of a run differ by
    0.1 %, runs of the same by up to 6 %, and a test of the processes would call the runs different for certain.
    """
    return _HOST_METER in (a[0].detail.get("meter"), b[0].detail.get("meter"))


_TOGETHER = "nearly all times moved together, and nothing that is known differs: the machine may have"
_FLAGGED = "in doubt, flagged"
_ALONE = "one process a run: how processes differ is not known"
_HOST_MEMORY = "processes of a run share where memory lies, so a run is one number: tensor_memory is exact"
