"""Networks timed in turn: of each baseline and quantity a ratio, its interval, and a verdict in one word.

The networks ran in turn within each of several processes. A process gives one number a pair and quantity, the median
of the ratios of its rounds; the processes are what is tested. Memory is that of tensors, which is counted: what a
process takes beside it is the library's, and stands in the reason alone. Accuracies are those of
`bench.analysis.trainings`. What was measured of another definition of the network, or with other settings, is left out.
"""

from __future__ import annotations

import math
import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, permutations
from typing import TYPE_CHECKING, Literal

from bench.analysis._series import Series, conditions_of, series_of
from bench.analysis.entry import Entry
from bench.analysis.keys import VARIANT
from bench.analysis.trainings import SeriesComparison
from bench.io import JsonObject, finite_json
from bench.plan.job import unnumbered
from bench.plan.task import INPUT
from bench.records.current import current
from bench.records.flags import doubts, joined_flags, spoken
from bench.records.record import Measurement, Record
from bench.records.store import Run, latest
from bench.stats.effects import Effect
from bench.stats.samples import mean, median, median_ratio
from bench.stats.verdicts import BAND, direction, of_ratios, with_corrected
from bench.units import Better, show

if TYPE_CHECKING:
    import pandas as pd

_TIMES = ("latency", "throughput")
QUANTITIES: Mapping[str, str] = {
    "latency": "latency",
    "throughput": "throughput",
    "tensor_memory": "memory of tensors",
    "parameters": "parameters",
    "macs": "MACs",
    "accuracy": "accuracy",
}
"""All that two networks are compared in, with their names."""

_TRAIN_ON = "fashion_mnist"  # for a network whose accuracy was never measured

RATIOS = (
    Entry("network", about="the network in question"),
    Entry("baseline", about="the network that it is compared with"),
    Entry("quantity", about="what they are compared in"),
    Entry("value", "float64", "1", "ratio of the network's to the baseline's"),
    Entry("low", "float64", "1", "lower end of the 95 % interval of the ratio"),
    Entry("high", "float64", "1", "upper end of the 95 % interval of the ratio"),
    Entry(
        "p",
        "float64",
        "1",
        "two-sided, that there is no difference; corrected for the number of tests (Holm)",
    ),
    Entry("n", "Int64", "1", "processes, trainings or counts of the side that has fewer"),
    Entry("verdict", about="what is certain, see `bench explain verdicts`"),
    Entry("reason", about="how it was tested, or why it was not"),
    Entry("flags", about="doubts and remarks on what was measured: codes with ; between, or empty"),
    Entry("band", "float64", "1", "times that differ by this share at most are the same"),
)

_Overall = Literal["dominates", "dominated", "same", "traded", "undecided"]


@dataclass(frozen=True, slots=True)
class Ratio:
    """One quantity of a network over that of a baseline."""

    arch: str  # the network that is compared
    baseline: str  # with which
    quantity: str  # of `QUANTITIES`
    # of the ratio, the network's over the baseline's; its p is corrected for the number of tests (Holm)
    effect: Effect
    flags: tuple[str, ...] = ()  # of the measurements, see `bench.records.flags`
    band: float = BAND  # a ratio of times so near to one is the same

    @property
    def sign(self) -> int:
        """1 where the network is certainly better, -1 where it is certainly worse, else 0."""
        sign = {"faster": 1, "slower": -1, "lower": 1, "higher": -1}.get(self.effect.verdict, 0)
        return -sign if self.quantity == "accuracy" else sign

    @property
    def certain(self) -> bool:
        """Whether a test says that the network is better, worse or the same."""
        return self.sign != 0 or self.effect.verdict in ("same", "equal")

    @property
    def decided(self) -> bool:
        """Whether that is certain, and no flag puts it in doubt."""
        return self.certain and not doubts(self.flags)

    @staticmethod
    def table(ratios: Sequence[Ratio]) -> pd.DataFrame:
        """Return one row a baseline and quantity, as numbers, with the columns of `RATIOS`."""
        import pandas as pd

        return pd.DataFrame([one._row() for one in ratios], columns=[entry.column for entry in RATIOS])

    def _row(self) -> dict[str, object]:
        of_effect = ("low", "high", "p", "n", "verdict", "reason")
        return {
            **{name: getattr(self.effect, name) for name in of_effect},
            "network": self.arch,
            "baseline": self.baseline,
            "quantity": self.quantity,
            "value": self.effect.estimate,
            "flags": ";".join(self.flags),
            "band": self.band,
        }

    def to_json(self) -> dict[str, object]:
        """Return plain values; what is not a number is None."""
        names = {"arch": self.arch, "baseline": self.baseline, "quantity": self.quantity}
        numbers = finite_json(self.effect.to_json("ratio"))
        return {**names, **numbers, "n": self.effect.n, "flags": list(self.flags), "band": self.band}

    def is_slower(self, limit: float) -> bool:
        """Whether a time is certainly slower, without a doubt, and all of its interval is beyond the limit."""
        if self.quantity not in _TIMES or self.effect.verdict != "slower" or not self.decided:
            return False
        return (
            self.effect.low > 1 + limit if self.quantity == "latency" else self.effect.high < 1 / (1 + limit)
        )

    @classmethod
    def in_run(cls, run: Run) -> list[Ratio]:
        """Return the ratios of a run of `bench compare`, by baseline, decided by the band that is stored with it.

        Raises:
            StoreError: for test outputs of trainings that cannot be read.
        """
        records = [r for r in latest(current(run).records).values() if r.status in ("ok", "diverged")]
        timed = [r for r in records if r.job.task == "versus"]
        if not timed:
            return []
        planned = {job.id for job in run.planned}
        last = next((r for r in reversed(timed) if r.job.id in planned), timed[-1])
        settings = last.job.settings.content
        compared = _Compared(
            run=run,
            records=records,
            timed=[r for r in timed if _process_settings(r) == _process_settings(last)],
            settings=settings,
            networks={one["label"]: one for one in settings["networks"]},
            band=_stored_band(run),
        )
        first, *others = settings["labels"]
        ratios = [ratio for other in others for ratio in compared.ratios(first, other)]
        return [replace(ratio, band=compared.band) for ratio in with_corrected(ratios)]

    @staticmethod
    def standings(ratios: Sequence[Ratio]) -> list[_Standing]:
        """Return for each baseline of a run how the network stands to it."""
        return [_standing(list(part)) for _, part in groupby(ratios, key=lambda ratio: ratio.baseline)]

    @staticmethod
    def of_processes(
        versus: Sequence[Record], name: str, first: str, other: str
    ) -> tuple[list[float], tuple[str, ...]]:
        """Return of each process the median ratio of its rounds, the first's time over the other's, and the flags."""
        processes = [{m.detail["label"]: m for m in r.measurements if m.name == name} for r in versus]
        both = [(p[first], p[other]) for p in processes if first in p and other in p]
        ratios = [median_ratio(of.samples, against.samples) for of, against in both]
        flags = joined_flags([m.flags for pair in both for m in pair], several=len(both) > 1, wide=False)
        return ratios, tuple(sorted(flags))


@dataclass(frozen=True, slots=True)
class _Standing:
    """How a network stands to a baseline in all quantities together: `verdict` is the word, `sentence` says it whole.

    `dominates` and `dominated` are said only where every quantity is decided, accuracy among them.
    """

    arch: str
    baseline: str
    verdict: _Overall
    sentence: str

    def to_json(self) -> dict[str, object]:
        """Return plain values, as a line of the comparison of the quantity `all`."""
        names = {"arch": self.arch, "baseline": self.baseline, "quantity": "all"}
        return {**names, "verdict": self.verdict, "reason": self.sentence}


def _stored_band(run: Run) -> float:
    """Return by how much a ratio of times may be off one and is the same, as it is stored with the run; else `BAND`."""
    stored = run.info.get("band")
    return float(stored) if isinstance(stored, int | float) and 0 <= stored <= 1 else BAND


def _process_settings(record: Record) -> dict[str, object]:
    """Return the settings of a process but for its number, which chooses who is first."""
    settings = dict(record.job.settings.content)
    networks = sorted(settings.pop("networks"), key=lambda one: str(one["label"]))
    return {**settings, "replicate": None, "networks": networks}


@dataclass(frozen=True, slots=True)
class _Compared:
    """What was measured of some networks: the processes that timed them in turn, and the records of each alone."""

    run: Run
    records: Sequence[Record]
    timed: Sequence[Record]
    settings: JsonObject
    networks: Mapping[str, JsonObject]
    band: float

    def ratios(self, first: str, other: str) -> Iterator[Ratio]:
        yield self._timed("latency", "latency", first, other)
        yield self._timed("step_time", "throughput", first, other)
        for task, name in (("infer", "tensor_memory"), ("cost", "parameters"), ("cost", "macs")):
            yield from self._counted(task, name, first, other)
        yield from self._accuracy(first, other)

    def _timed(self, name: str, quantity: str, first: str, other: str) -> Ratio:
        """Return the ratio of a time, or of the throughput that it comes to."""
        ratios, flags = Ratio.of_processes(self.timed, name, first, other)
        better: Better = "lower" if quantity == "latency" else "higher"
        unit = "s" if quantity == "latency" else "1/s"
        ratios = ratios if quantity == "latency" else [1 / r for r in ratios]
        effect = of_ratios(ratios, self.band, better=better, unit=unit)
        return Ratio(first, other, quantity, effect, flags + self._unequal(first, other))

    def _unequal(self, first: str, other: str) -> tuple[str, ...]:
        """Return the doubt of two networks that were timed on images of different sizes."""
        sizes = {self.networks[label].get("input_size") for label in (first, other)}
        return ("other_input",) if len(sizes) > 1 else ()

    def _of(self, label: str, task: str) -> list[Record]:
        """Return the records of a network alone, as it was defined and, where it ran, set when it was timed."""
        network = self.networks[label]
        ran = ("batch_size", *VARIANT) if task == "infer" else ()
        return [
            r
            for r in self.records
            if r.job.task == task
            and all(getattr(r.job, key) == network.get(key) for key in (*_DEFINITION, *INPUT))
            and all(r.job.settings.content.get(key) == self.settings.get(key) for key in ran)
        ]

    def _value(self, label: str, task: str, name: str) -> Measurement | None:
        """Return what was measured last, where it is a number above zero."""
        measured = [m for r in self._of(label, task) if (m := r.measurement(name)) and m.samples]
        return measured[-1] if measured and measured[-1].samples[0] > 0 else None

    def _counted(self, task: str, name: str, first: str, other: str) -> Iterator[Ratio]:
        """Yield the ratio of a count."""
        of, against = (self._value(label, task, name) for label in (first, other))
        if not (of and against):
            return
        ratio = of.samples[0] / against.samples[0]
        word = "equal" if ratio == 1 else direction(ratio, "lower", "1")
        reason = self._peaks(first, other) if name == "tensor_memory" else "counted"
        flags = tuple(dict.fromkeys((*of.flags, *against.flags, *self._unequal(first, other))))
        yield Ratio(first, other, name, Effect(ratio, n=1, reason=reason, verdict=word, counted=True), flags)

    def _peaks(self, first: str, other: str) -> str:
        """Return how memory was counted, with the high-water marks of the processes, which decide nothing."""
        how = f"counted, of tensors alive at once at batch {self.settings.get('batch_size')}"
        peaks = [m for label in (first, other) if (m := self._value(label, "infer", "peak_memory"))]
        if len(peaks) == 2:
            marks = " and ".join(show(median(m.samples), "B") for m in peaks)
            how += f"; the peaks of their processes, {marks}, are the library's as well"
        return how

    def _accuracy(self, first: str, other: str) -> Iterator[Ratio]:
        """Yield the ratio of the last trainings that both had under the same conditions."""
        sides = [self._trained(label) for label in (first, other)]
        shared = [condition for condition in sides[0] if condition in sides[1]]
        if shared:
            of, against = (side[shared[-1]] for side in sides)
            yield Ratio(first, other, "accuracy", _ratio_of(self.run, of, against))

    def _trained(self, label: str) -> dict[str, Series]:
        """Return the trainings of a network, as it was defined when it was timed, by their conditions."""
        network, trained = self.networks[label], {}
        for series in series_of(self.run):
            job = series.jobs[0]
            if series.accuracies and all(getattr(job, key) == network.get(key) for key in _DEFINITION):
                trained[conditions_of(job)] = series
        return trained


_DEFINITION = ("arch", "source_sha256")


def _ratio_of(run: Run, of: Series, against: Series) -> Effect:
    """Return the difference of two accuracies as the ratio to the second, and what other test images would do to it."""
    compared = SeriesComparison.of(run, of, against)
    effect, base = compared.effect, mean(against.accuracies)
    if not base > 0:
        return Effect.none(f"{effect.reason}; a ratio needs a mean above zero", n=effect.n)
    if not math.isnan(compared.image_low):
        ends = f"{100 * compared.image_low:+.2f} to {100 * compared.image_high:+.2f} points"
        effect = replace(effect, reason=f"{effect.reason}; over test images {ends}")
    return effect.share(base)


def _standing(ratios: Sequence[Ratio]) -> _Standing:
    arch, baseline = ratios[0].arch, ratios[0].baseline
    decided = [ratio for ratio in ratios if ratio.decided]
    signs = {ratio.sign for ratio in decided}
    complete = {ratio.quantity for ratio in decided} == QUANTITIES.keys()
    word: _Overall = "undecided"
    if signs >= {1, -1}:
        word = "traded"
    elif complete:
        word = "dominates" if 1 in signs else "dominated" if -1 in signs else "same"
    heads = {"dominates": f"{arch} dominates {baseline}", "dominated": f"{arch} is dominated by {baseline}"}
    head = heads.get(word, f"{arch} against {baseline}")
    return _Standing(arch, baseline, word, f"{head}: {'; '.join([*_certain(ratios), *_open(ratios)])}")


_WORDS = {"lower": "smaller", "higher": "larger", "same": "the same", "equal": "the same"}


def _certain(ratios: Sequence[Ratio]) -> Iterator[str]:
    """Yield what is certain, such as ``faster in latency, throughput``, the better things first."""
    quantities: defaultdict[str, list[str]] = defaultdict(list)
    for ratio in sorted(ratios, key=lambda ratio: -ratio.sign or 2):
        word = _WORDS.get(ratio.effect.verdict, ratio.effect.verdict)
        if ratio.sign and ratio.quantity == "accuracy":
            word = "better" if ratio.sign > 0 else "worse"
        if ratio.certain:
            flags = spoken(*doubts(ratio.flags))
            quantities[word].append(QUANTITIES[ratio.quantity] + (f" (in doubt: {flags})" if flags else ""))
    for word, names in quantities.items():
        yield f"{word} in {', '.join(names)}"


def _open(ratios: Sequence[Ratio]) -> Iterator[str]:
    """Yield what is undecided and what was never measured, with the command that would tell."""
    names = [name.split(" #")[0] for name in (ratios[0].arch, ratios[0].baseline)]
    pair = " ".join(map(shlex.quote, names))
    undecided = {ratio.quantity: ratio for ratio in ratios if ratio.effect.verdict == "undecided"}
    if undecided:
        timed = [undecided[q].effect.n for q in ("latency", "throughput") if q in undecided]
        more = f" (to know: bench compare {pair} --processes {2 * max(8, *timed)})" if timed else ""
        yield f"undecided in {', '.join(QUANTITIES[q] for q in undecided)}{more}"
    missing = [q for q in QUANTITIES if q not in {ratio.quantity for ratio in ratios}]
    if missing:
        how = f" (to know: bench compare {pair} --train {_TRAIN_ON})" if "accuracy" in missing else ""
        yield f"never measured: {', '.join(QUANTITIES[q] for q in missing)}{how}"


# --- all pairs of networks ---

_SPEEDUP_COLUMNS = (
    *("run", "quantity", "batch_size", "network", "baseline"),
    *("speedup", "low", "high", "processes", "decided"),
)


def speedups(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a run of `bench compare`, quantity and ordered pair of its networks, as it was set last.

    Columns: run, `quantity` (`latency` or `step_time`), `batch_size`, `network`, `baseline`, `speedup` (time of the
        baseline over that of the network: 2 is twice as fast), `low` and `high` of its 95 % interval (NaN where there
        are too few processes), `processes`, and `decided`, whether the interval leaves 1 out. A process gives one
        number, the median ratio of its rounds; the intervals are each for one pair, not corrected for their number.
    """
    import pandas as pd

    timed = frame["measurement"].isin(["latency", "step_time"])
    rows = frame[(frame["task"] == "versus") & (frame["status"] == "ok") & timed]
    rows = rows.assign(
        network=[_text(detail.get("label")) for detail in rows["detail"]],
        asked=list(map(unnumbered, rows["label"])),
    )
    groups = (_last_set(part) for _, part in rows.groupby(["run", "measurement"], sort=False))
    pairs = [pair for part in groups for pair in _pairs(part)]
    return pd.DataFrame(pairs, columns=list(_SPEEDUP_COLUMNS))


def _text(label: object) -> str:
    """Return a name without lone surrogates: no table can hold them."""
    return str(label or "").encode("utf-8", "replace").decode("utf-8")


def _last_set(rows: pd.DataFrame) -> pd.DataFrame:
    """Return those rows of a run that were measured with the settings of the last one."""
    settings = rows[["asked", "input_size", "threads"]]
    last = settings.iloc[-1]
    same: pd.DataFrame = rows[((settings == last) | (settings.isna() & last.isna())).all(axis=1)]
    return same


def _pairs(rows: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    """Yield the rows of one run and quantity; networks in the order of the first process."""
    first = rows.iloc[0]
    batch = 1.0 if first["measurement"] == "latency" else first["batch_size"]
    processes = [
        dict(zip(one["network"], one["samples"], strict=True))
        for _, one in rows.groupby("job_id", sort=False)
    ]
    for network, baseline in permutations(dict.fromkeys(rows["network"]), 2):
        both = [(p[baseline], p[network]) for p in processes if network in p and baseline in p]
        if both:
            effect = of_ratios([median_ratio(*pair) for pair in both], better="higher", unit="1/s")
            decided = effect.low > 1 or effect.high < 1
            speedup = (effect.estimate, effect.low, effect.high, effect.n, decided)
            yield first["run"], first["measurement"], batch, network, baseline, *speedup
