"""Studies: what a run says of the hypothesis that it was made for.

A test is decided by the effect that suits its quantity (`bench.stats.comparisons`): counts are exact; accuracies,
errors and gradient norms are means over trainings, by Welch's t, of logarithms for a ratio; times of processes, and
what may never be reached, go by ranks; a trend over networks by Spearman's rho, of families where there are some; the
gain of an ensemble by the test images. The p of each is that the effect lies at the margin, corrected for the number of
tests of the study (Holm).

    supported   all of the interval lies beyond the margin on the expected side, and the corrected p is at most 0.05
    refuted     all of it lies on the other side of the margin, likewise
    undecided   else

The verdict of a study is that of all tests of its hypothesis together; a side question has a verdict of its own alone.
Of `same`, the sides are within the band and beyond it. A training that diverged is worse than any that ended, and stays
in n; what failed or is not measured yet does not, and the note says so.

A number of a record is what was measured, or derived of it; an infinity what was never reached, or the worst that there
is, of a training that diverged.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from bench.analysis._counts import COUNTS
from bench.analysis._series import differing_keys, read_trainings, series_of, settings_of
from bench.analysis.comparison import STATUS_WORDS
from bench.analysis.ensembles import Ensemble
from bench.analysis.keys import grouped
from bench.io import ToJson
from bench.plan.card import ArchCard
from bench.plan.job import Job
from bench.plan.study import Selector, Study, StudyTest, matches
from bench.plan.task import tasks
from bench.records.current import current
from bench.records.record import Measurement, Record
from bench.records.store import Run, latest
from bench.stats.comparisons import Kind, correlation, two_groups
from bench.stats.effects import Effect
from bench.stats.samples import mean_with_misses, median
from bench.stats.verdicts import Expectation, corrected, decide_expectation, show_p
from bench.units import DASH, Better, show

Decision = Literal["supported", "refuted", "undecided"]

_NO_FAMILY = (ArchCard(name="").family, "pattern", "")  # of networks in files, and of layers in a row
_SHARES = ("top1", "top5", "val_top1", "train_error", "ensemble_gain")  # whose differences are told in points


@dataclass(frozen=True, slots=True)
class TestVerdict(ToJson):
    """What became of one test of a study."""

    __test__ = False  # no test of pytest

    says: str  # the expectation in words
    quantity: str  # as the study has it
    # of `effect`, `low` and `high`: the quantity's; `ratio` of a ratio; `rho` of a rank correlation
    unit: str
    of: str  # which jobs, such as ``arch plain56``
    against: str  # which others; of a trend the quantity that orders the networks
    expect: Expectation  # `higher`, `lower` or `same`
    verdict: Decision  # `supported`, `refuted` or `undecided`
    effect: float  # the difference, ratio or correlation; NaN where there is none
    low: float  # lower end of its 95 % interval, uncorrected; NaN where there is none
    high: float  # upper end; NaN likewise
    p: float  # two-sided, that the effect lies at the margin, corrected for the study's tests (Holm); NaN untested
    n_of: int  # numbers on this side (trainings, processes; networks or families of a trend)
    n_against: int  # on the other side; 0 of a trend
    note: str  # how it was tested, why it is undecided, what is missing or diverged
    margin: float = 0.0  # least difference, or ratio less one, that counts; of `same` the band
    # of the hypothesis, or a side question, which the study's verdict leaves out
    role: Literal["hypothesis", "side"] = "hypothesis"
    # ids of claims that it bears on, together with the other tests that name them
    claims: tuple[str, ...] = ()
    # the least p that an exact test of so many numbers gives; a smaller one is shown as a bound
    p_floor: float = 0.0
    # the networks, data set and scale of its jobs, see `_conditions`
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        """Return the quantity and what is expected of it: ``top1 lower by 0.05``, ``step_time lower by × 2``."""
        least = f"× {1 + self.margin:g}" if self.unit == "ratio" else f"{self.margin:g}"
        words = [self.quantity, self.expect, *(["by", least] if self.margin else [])]
        return " ".join([*words, *(["with", self.against] if self.unit == "rho" else [])])

    @property
    def expected(self) -> str:
        """Return ``higher``, and with a margin ``below × 0.5``, ``above -5.00 points`` or ``-2.00 … +2.00 points``."""
        if not self.margin:
            return self.expect
        least, most = _margins(self.margin, as_ratio=self.unit == "ratio")
        words = {"higher": f"above {self.text(most)}", "lower": f"below {self.text(least)}"}
        return words.get(self.expect, self.between(least, most))

    def text(self, value: float) -> str:
        """Return an effect with its sign and unit; a difference of shares is in points, ``+17.53 points``."""
        share = self.unit == "1" and self.quantity.partition("(")[0] in _SHARES
        return _effect_text(value, "points" if share else self.unit)

    def between(self, low: float, high: float) -> str:
        """Return ``+15.20 … +19.81 points``."""
        return f"{self.text(low).removesuffix(' points')} … {self.text(high)}"

    @property
    def figure(self) -> str:
        """The effect with its interval, where it has one: ``+17.53 points (+15.20 … +19.81)``."""
        if not math.isfinite(self.p) or self.low == self.high:
            return self.text(self.effect)
        return f"{self.text(self.effect)} ({self.between(self.low, self.high).removesuffix(' points')})"

    def __str__(self) -> str:
        """Return ``supported: plain56 ends worse: +5.00 points (+3.00 … +7.00), p = 0.01, n = 5, 5``."""
        parts = [f"{self.says}: {self.figure}"]
        if math.isfinite(self.p):
            parts.append(show_p(self.p, self.p_floor, named=True))
        parts.append(f"n = {self.n_of}" + (f", {self.n_against}" if self.n_against else ""))
        return f"{self.verdict}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class StudyVerdict(ToJson):
    """What a run says of its study.

    Of the tests of its hypothesis: `supported` where all are, `refuted` where any is, else `undecided`. Side questions
    do not count.
    """

    name: str
    hypothesis: str
    source: str
    claims: tuple[str, ...]
    verdict: Decision
    tests: tuple[TestVerdict, ...]

    @property
    def all_claims(self) -> tuple[str, ...]:
        """All claims that the study or a test of it names, each once."""
        return tuple(dict.fromkeys((*self.claims, *(c for test in self.tests for c in test.claims))))

    def on(self, claim: str) -> StudyVerdict | None:
        """Return it with the tests that bear on a claim alone; None where none does.

        Those are the tests that name it or, where the study alone does, the tests of the hypothesis.
        """
        tests = tuple(test for test in self.tests if claim in test.claims)
        if not tests and claim in self.claims:
            tests = tuple(test for test in self.tests if test.role == "hypothesis")
        return replace(self, tests=tests) if tests else None

    @classmethod
    def of(cls, run: Run) -> StudyVerdict | None:
        """Return what the records of a run say of its study; None where its experiment has none.

        Only the jobs that the run last planned count.

        Raises:
            ConfigError: if `run.json` holds no sound study.
            StoreError: for test outputs that cannot be read.
        """
        experiment = run.info.get("experiment") or {}
        if not experiment.get("study"):
            return None
        study = Study.parse(experiment["study"], f"run {run.name}: study")
        run = current(run)
        evidence = [_gather(run, test) for test in study.tests]
        alone = [
            decide_expectation(e.effect, t.expect, *_margins(t.margin, as_ratio=t.measure == "ratio"))
            for t, e in zip(study.tests, evidence, strict=True)
        ]
        effects = corrected(alone)
        tests = tuple(_verdict(*each) for each in zip(study.tests, evidence, effects, strict=True))
        return cls(
            name=str(experiment.get("name") or run.name),
            hypothesis=study.hypothesis,
            source=study.source,
            claims=study.claims,
            verdict=cls.all_in_all([t.verdict for t in tests if t.role == "hypothesis"]),
            tests=tests,
        )

    @staticmethod
    def all_in_all(verdicts: Sequence[Decision]) -> Decision:
        """Return `refuted` where any is, `supported` where all are, else `undecided`."""
        if "refuted" in verdicts:
            return "refuted"
        return "undecided" if "undecided" in verdicts else "supported"


def _verdict(test: StudyTest, evidence: _Evidence, effect: Effect) -> TestVerdict:
    return TestVerdict(
        says=test.says,
        quantity=test.quantity,
        unit="ratio" if test.measure == "ratio" else evidence.unit,
        of=_selector_words(test.of),
        against=test.trend or _selector_words(test.against or {}),
        expect=test.expect,
        verdict=effect.verdict if effect.verdict in ("supported", "refuted") else "undecided",
        effect=effect.estimate,
        low=effect.low,
        high=effect.high,
        p=effect.p,
        n_of=evidence.n_of,
        n_against=evidence.n_against,
        note="; ".join([effect.reason, *evidence.notes]),
        margin=test.margin,
        role=test.role,
        claims=test.claims,
        p_floor=effect.p_floor,
        conditions=_conditions(evidence.sides),
    )


def _margins(margin: float, *, as_ratio: bool) -> tuple[float, float]:
    """Return between which effects nothing changes, as the test has it."""
    return (1 / (1 + margin), 1 + margin) if as_ratio else (-margin, margin)


def _effect_text(value: float, unit: str) -> str:
    """Return a difference with its sign and unit, a ratio as ``× 1.2``, infinities as ``∞``, NaN as a dash."""
    if math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if unit == "ratio":
        return f"× {value:.3g}"
    if unit == "points":
        return f"{100 * value:+.2f} points"
    if unit in ("1", "rho", "epochs"):
        return f"{value:+.4g}" + (f" {unit}" if unit == "epochs" else "")
    return show(value, unit) if value < 0 else f"+{show(value, unit)}"


# --- one number of a record ---


@dataclass(frozen=True, slots=True)
class _StudyQuantity:
    """What a study asks of records."""

    value: Callable[[Record], float | None]  # the number of a record; None where it has none
    source: str  # the measurement that it comes from
    unit: str = ""  # of the number; empty for the measurement's
    better: Better | None = None  # which direction is an improvement; None for the measurement's
    censored: bool = False  # whether it may never be reached, so that only ranks can tell


def _study_quantity(name: str, arguments: tuple[str, ...] = ()) -> _StudyQuantity:
    """Return the quantity of a name and its arguments, see `bench.plan.study`."""
    if derived := _DERIVED.get(name):
        return derived(*arguments)
    return _StudyQuantity(lambda r: _number(r.measurement(name)), name, censored=name == "time_to_accuracy")


def _number(measurement: Measurement | None) -> float | None:
    if measurement is None:
        return None
    if "missed" in measurement.flags:
        return -math.inf if measurement.better == "higher" else math.inf
    value = median(measurement.samples)
    return None if math.isnan(value) else value


def _epochs_to(name: str, goal: str) -> _StudyQuantity:
    """Return the number (from 1) of the first epoch at whose end a goal was reached; infinite where none was."""

    def value(record: Record) -> float | None:
        measurement = record.measurement(name)
        by_epoch = None if measurement is None else measurement.detail.get("by_epoch")
        if measurement is None or not by_epoch:
            return None
        sign = 1 if measurement.better == "higher" else -1
        numbered = enumerate((v is not None and sign * v >= sign * float(goal) for v in by_epoch), start=1)
        return float(next((i for i, reached in numbered if reached), math.inf))

    return _StudyQuantity(value, name, "epochs", "lower", censored=True)


def _gradient(of: Callable[[float, float], float], when: str = "start") -> _StudyQuantity:
    """Return a number of the norms of the gradient by the first layer's weights and by the last's."""
    name = f"gradient_norm_{when}"

    def value(record: Record) -> float | None:
        measurement = record.measurement(name)
        layers = [] if measurement is None else measurement.detail.get("by_layer") or []
        if not layers or layers[0][1] is None or layers[-1][1] is None:
            return None
        number = of(layers[0][1], layers[-1][1])
        return None if math.isnan(number) else number

    return _StudyQuantity(value, name, "1", "neither")


def _throughput() -> _StudyQuantity:
    def value(record: Record) -> float | None:
        step, largest = record.measurement("step_time"), record.measurement("max_batch")
        batch = largest.samples[-1] if largest else record.job.settings.given.get("batch_size")
        if step is None or not isinstance(batch, int | float):
            return None
        return batch / median(step.samples)

    return _StudyQuantity(value, "step_time", "1/s", "higher")


_DERIVED: Mapping[str, Callable[..., _StudyQuantity]] = {
    "epochs_to": _epochs_to,
    "gradient_first": partial(_gradient, lambda first, _last: first),
    "gradient_imbalance": partial(  # whichever is larger: at least 1
        _gradient, lambda first, last: max(first, last) / low if (low := min(first, last)) > 0 else math.inf
    ),
    "gradient_ratio": partial(_gradient, lambda first, last: first / last if last > 0 else math.nan),
    "throughput": _throughput,
}

# --- all numbers of a test ---


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The effect that a test is about, the unit of its difference, how many numbers there are, and what is to be said.

    `sides` are the jobs compared: two sides, or one of a trend and of an ensemble.
    """

    effect: Effect
    unit: str
    n_of: int
    n_against: int = 0
    notes: tuple[str, ...] = ()
    sides: tuple[tuple[Job, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class _Side:
    """The jobs that one side of a test is about: those planned, their last records, and what they came to."""

    jobs: tuple[Job, ...] = ()  # of one task
    records: tuple[Record, ...] = ()  # that have the quantity, or diverged; as many as `values`
    values: tuple[float, ...] = ()  # infinite where a goal was missed or a training diverged
    problem: str = ""  # why they cannot be taken together; empty where they can
    notes: tuple[str, ...] = ()  # what is missing, diverged or missed


def _gather(run: Run, test: StudyTest) -> _Evidence:
    """Return what a run has for a test.

    Raises:
        StoreError: for test outputs that cannot be read.
    """
    name, arguments = test.function
    if name == "ensemble_gain":
        return _ensemble(run, test.of)
    quantity = _study_quantity(name, arguments)
    if test.trend is not None:
        return _trend(run, test, quantity)
    sides = [_side(run, selector, quantity) for selector in (test.of, test.against or {})]
    labelled = zip(("of", "against"), sides, strict=True)
    notes = [f"{label}: {note}" for label, side in labelled for note in side.notes]
    if problem := next((side.problem for side in sides if side.problem), ""):
        effect = Effect.none(problem)
    else:
        effect = _effect(name, quantity, sides, as_ratio=test.measure == "ratio")
    measured = _measurement(quantity, [r for side in sides for r in side.records])
    unit = quantity.unit or (measured.unit if measured else "1")
    n_of, n_against = (len(side.values) for side in sides)
    return _Evidence(effect, unit, n_of, n_against, tuple(notes), tuple(side.jobs for side in sides))


def _conditions(sides: Sequence[Sequence[Job]]) -> dict[str, str]:
    """Return under what jobs were compared: their networks, and of trainings the data set and the scale.

    ``{"networks": "plain56 against plain20", "dataset": "cifar10", "train_images": "all", "input_size": "32",
    "epochs": "20"}``; several values of one key are joined by commas, and networks that are alike told once.
    """
    jobs = [job for side in sides for job in side]
    networks = dict.fromkeys(_joined([job.arch for job in side]) for side in sides)
    values = {"networks": " against ".join(networks)}
    if jobs and all(job.task == "accuracy" for job in jobs):
        values["dataset"] = _joined([job.settings.given.get("dataset") for job in jobs])
        values["train_images"] = _joined([job.settings.given.get("train_images") or "all" for job in jobs])
        values["input_size"] = _joined([job.input_size for job in jobs])
        values["epochs"] = _joined([job.settings.given.get("epochs") for job in jobs])
    return values


def _joined(values: Sequence[object]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None))


def _effect(name: str, quantity: _StudyQuantity, sides: Sequence[_Side], *, as_ratio: bool) -> Effect:
    task = next((r.job.task for side in sides for r in side.records), None)
    kind: Kind = "ranks" if quantity.censored or task != "accuracy" else "means"
    unit = "trainings" if task == "accuracy" else "processes"
    of, against = (side.values for side in sides)
    return two_groups(of, against, unit, by="counts" if name in COUNTS else kind, as_ratio=as_ratio)


def _side(run: Run, selector: Selector, quantity: _StudyQuantity) -> _Side:
    """Return the jobs of one task that match; the first task that has the quantity, unless one is named."""
    last = latest(run.records)
    jobs = [j for j in _planned(run) if matches(selector, j)]
    having = {j.task for j in jobs if j.id in last and last[j.id].measurement(quantity.source)}
    task = next((t for t in tasks() if t in having), None)
    if task is None:
        return _Side(problem=f"no {quantity.source} of {_selector_words(selector) or 'any job'} is stored")
    jobs = [j for j in jobs if j.task == task]
    records = [last[j.id] for j in jobs if j.id in last]
    measured = _measurement(quantity, records)
    better: Better = quantity.better or (measured.better if measured else "neither")
    pairs = [(r, v) for r in records if (v := _value(r, quantity, better)) is not None]
    return _Side(
        jobs=tuple(jobs),
        records=tuple(r for r, _ in pairs),
        values=tuple(v for _, v in pairs),
        problem=_differing(jobs),
        notes=_notes(jobs, records, [v for r, v in pairs if r.status == "ok"]),
    )


def _planned(run: Run) -> tuple[Job, ...]:
    """Return the jobs that the run last planned; where that is not known, all that have a record."""
    return run.planned or tuple(r.job for r in latest(run.records).values())


def _measurement(quantity: _StudyQuantity, records: Sequence[Record]) -> Measurement | None:
    """Return the first measurement that a quantity comes from."""
    return next((m for r in records if (m := r.measurement(quantity.source)) is not None), None)


def _value(record: Record, quantity: _StudyQuantity, better: Better) -> float | None:
    """Return the number of a record: of a training that diverged the worst that there is."""
    if record.status == "diverged" and better != "neither":
        return -math.inf if better == "higher" else math.inf
    return quantity.value(record) if record.status in ("ok", "diverged") else None


def _notes(jobs: Sequence[Job], records: Sequence[Record], values: Sequence[float]) -> tuple[str, ...]:
    states = Counter(r.status for r in records)
    pending = len(jobs) - len(records)
    notes = [f"{n} of {len(jobs)} {STATUS_WORDS[s]}" for s, n in states.items() if s != "ok"]
    missed = sum(map(math.isinf, values))
    notes += [f"reached by {len(values) - missed} of {len(values)}"] if missed else []
    return (*notes, *([f"{pending} of {len(jobs)} pending"] if pending else []))


def _differing(jobs: Sequence[Job]) -> str:
    """Return what the jobs differ in beside their seeds and replicates; empty where they are alike."""
    if len({job.series() for job in jobs}) < 2:
        return ""
    keys = differing_keys([{"arch": job.arch, **settings_of(job)} for job in jobs])
    keys = [k for k in keys if k != "replicate"] or ["network"]
    return f"the jobs differ in {', '.join(keys)}: name one in the study"


def _trend(run: Run, test: StudyTest, quantity: _StudyQuantity) -> _Evidence:
    """Return the rank correlation of two quantities over networks, with the mean over the trainings of each.

    Where networks are of several families, each of these is one point: the means of its networks, see `_by_family`.
    """
    side = _side(run, test.of, quantity)
    scale = _study_quantity(str(test.trend))
    numbers = zip(side.records, side.values, strict=True)
    networks = grouped(numbers, lambda number: number[0].job.series()).values()
    firsts = [own[0][0] for own in networks]
    values = [mean_with_misses([value for _, value in own]) for own in networks]
    points = zip([_of_network(run, record, scale) for record in firsts], values, strict=True)
    known = [
        (record, x, y)
        for record, (x, y) in zip(firsts, points, strict=True)
        if x is not None and not math.isnan(y)
    ]
    single, what, joined = _by_family(known)
    if len({record.job.arch for record in firsts}) < len(firsts):
        effect = Effect.none(f"one network has several points: {side.problem}")
    elif side.problem and not side.records:
        effect = Effect.none(side.problem)
    else:
        effect = correlation([x for x, _ in single], [y for _, y in single], what)
    lost = len(firsts) - len(known)
    notes = (*side.notes, *joined, *([f"{lost} networks without {test.trend}"] if lost else []))
    return _Evidence(effect, "rho", len(single), notes=notes, sides=(side.jobs,))


def _by_family(
    known: Sequence[tuple[Record, float, float]],
) -> tuple[list[tuple[float, float]], str, list[str]]:
    """Return the points that count of networks with two quantities, what one is, and a note where a family has several.

    Networks of one family have more in common than the two quantities of a trend. Counted one by one, four to six a
    family that has 80 % of the variance, a trend was found in 25 to 35 % of studies where there was none. So each
    family counts once. Layer patterns and networks without a family count alone; so do those of a single family, since
    what all have in common moves no rank: a trend is then of that family.
    """
    families: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for record, x, y in known:
        family = record.card.family
        families[("", record.job.arch) if family in _NO_FAMILY else (family, "")].append((x, y))
    if len(families) in (1, len(known)):
        note = ["all of one family"] if len(families) < len(known) else []
        return [(x, y) for _, x, y in known], "networks", note
    means = [
        (mean_with_misses([x for x, _ in own]), mean_with_misses([y for _, y in own]))
        for own in families.values()
    ]
    return means, "families", [f"of {len(known)} networks those of one family count once, by their means"]


def _of_network(run: Run, record: Record, scale: _StudyQuantity) -> float | None:
    """Return a quantity of the network of a record: its own, or that of another record of it at the same input size."""
    own = scale.value(record)
    if own is not None:
        return own
    shape = (record.job.arch, record.job.input_size)
    others = [r for r in latest(run.records).values() if (r.job.arch, r.job.input_size) == shape]
    values = (scale.value(r) for r in others if r.status == "ok")
    return next((v for v in values if v is not None), None)


def _ensemble(run: Run, selector: Selector) -> _Evidence:
    """Return the gain of the ensemble of the seeds of one network over its mean member."""
    planned = {job.id for job in _planned(run)}
    series = [s for s in series_of(run) if any(j.id in planned and matches(selector, j) for j in s.jobs)]
    if len(series) != 1:
        what = "no training is stored" if not series else f"{len(series)} kinds of trainings match: name one"
        return _Evidence(Effect.none(f"{_selector_words(selector) or 'any job'}: {what}"), "1", 0)
    [one] = series
    members = read_trainings(run, one)
    few = f"{len(members)} trainings have test outputs: an ensemble needs 2"
    effect = Ensemble.gain_of(members) if len(members) > 1 else Effect.none(few)
    return _Evidence(effect, "1", len(members), notes=_notes(one.jobs, one.records, ()), sides=(one.jobs,))


def _selector_words(selector: Selector) -> str:
    """Return ``arch plain56, epochs 20``."""
    return ", ".join(f"{key} {value}" for key, value in selector.items())
