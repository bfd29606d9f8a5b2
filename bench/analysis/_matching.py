"""Which jobs of two runs measure the same, and whether their numbers may be set side by side."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.analysis.keys import grouped
from bench.analysis.machine import device_name, dig, torch_version
from bench.errors import ConfigError, listed
from bench.io import JsonObject
from bench.plan.job import Job, unnumbered
from bench.plan.task import TASKS
from bench.records.current import current
from bench.records.record import Measurement, Record
from bench.records.store import Run, latest
from bench.tasks.accuracy import RecipeContent

# Settings that do not change what is measured: how long it is sampled, and in which of several processes.
_SAMPLING = ("timing", "energy_s", "replicate")
# Settings that change it, but are refused with both values rather than left without a partner.
_CONDITIONS = ("device", "precision", "threads", "recipe")
# What of a measurement's detail says what the number is.
_MEANING = ("of", "clock", "meter", "counter", "excluded", "split", "dataset", "definition")


@dataclass(frozen=True, slots=True)
class Repeats:
    """The records of one job in one run: its processes, or the seeds of a training."""

    job: Job  # the last one
    records: Sequence[Record]  # those that ended well, of the same source of the network
    status: str  # of the last record

    @property
    def label(self) -> str:
        """Return the job in one line, without the number of the process or seed."""
        return unnumbered(self.job.label())

    def measurements(self, only: Collection[str] = ()) -> dict[str, list[Measurement]]:
        """Return the measurements of all records by name: those in `only`, or all that have samples of their own."""
        by_name: defaultdict[str, list[Measurement]] = defaultdict(list)
        for record in self.records:
            for m in record.measurements:
                if m.name in only or (not only and "samples_of" not in m.detail):
                    by_name[m.name].append(m)
        return by_name


_Pair = tuple[Repeats, Repeats]


@dataclass(frozen=True, slots=True)
class Matching:
    """What two runs have in common."""

    pairs: Sequence[_Pair]  # the records of a job in both runs, that ended well in both
    # (job, run, why) of those that are in one run alone, or failed in one; the run is empty where both have
    # it but their largest batches differ
    only: Sequence[tuple[str, str, str]] = ()
    # (what, value in A, value in B) of the surroundings that differ
    changes: Sequence[tuple[str, str, str]] = field(default=())


def match(a: Run, b: Run, *, across: bool = False, quantities: Collection[str] = ()) -> Matching:
    """Match the jobs of two runs by what they measure; see `bench.analysis.diff.Diff.of` for the arguments.

    Raises:
        ConfigError: if the runs have nothing in common; and, but for `across`, if they differ in what makes their
            numbers incomparable: it names the field and both values.
    """
    ones, others = _repeats(a), _repeats(b)
    pairs = [(ones[k], others[k]) for k in ones if k in others]
    pairs += _across(ones, others, pairs, across)
    if not pairs:
        raise _nothing(a, b, ones.values(), others.values())
    measured = [(x, y) for x, y in pairs if x.records and y.records and _batches(x) == _batches(y)]
    conditions = [c for pair in measured for c in _differing(pair, _conditions(quantities))]
    if conditions and not across:
        raise _refused(*conditions[0])
    changes = dict.fromkeys([*conditions, *(c for pair in measured for c in _differing(pair, _versions))])
    return Matching(measured, tuple(_only(a, b, ones, others, pairs)), tuple(changes))


def names_of(a: Run, b: Run) -> tuple[str, str]:
    """Return what two runs are called side by side, also where they have the same name."""
    return (a.name, b.name) if a.name != b.name else (f"{a.name} (first)", f"{b.name} (second)")


def _repeats(run: Run) -> dict[str, Repeats]:
    """Return the records of a run by what they measure, in the order of the first of each."""
    last_of_each = latest(current(run).records).values()
    known = (r for r in last_of_each if r.job.task in TASKS and TASKS.get(r.job.task).matched)
    repeats = {}
    for key, records in grouped(known, lambda record: _key(record.job)).items():
        last = records[-1]
        same = [r for r in records if r.status == "ok" and r.job.source_sha256 == last.job.source_sha256]
        repeats[key] = Repeats(last.job, same, last.status)
    return repeats


def _key(job: Job, without: Collection[str] = ()) -> str:
    """Return what a job measures, as one string: not how long, in which process, of which source or training seed."""
    left_out = {*_SAMPLING, *without}
    content = {
        **job.content(),
        "source_sha256": None,
        "seed": None if TASKS.get(job.task).trained else job.seed,
        "settings": {k: v for k, v in job.settings.content.items() if k not in left_out},
    }
    return json.dumps(content, sort_keys=True)


def _across(
    ones: Mapping[str, Repeats], others: Mapping[str, Repeats], pairs: Sequence[_Pair], across: bool
) -> Iterator[_Pair]:
    """Yield pairs that differ in nothing but a condition, where none of that network matches as it is.

    Raises:
        ConfigError: for the first of them, but for `across`.
    """
    paired = {_key(x.job, _CONDITIONS) for x, _ in pairs}
    sides: defaultdict[str, tuple[list[Repeats], list[Repeats]]] = defaultdict(lambda: ([], []))
    for side, by_key in enumerate((ones, others)):
        for repeats in by_key.values():
            sides[_key(repeats.job, _CONDITIONS)][side].append(repeats)
    for key, (xs, ys) in sides.items():
        if key in paired or not xs or not ys:
            continue
        if not across:
            raise _refused(*next(_differing((xs[0], ys[0]), _settings)))
        if len(xs) == len(ys) == 1:
            yield xs[0], ys[0]


_Properties = Callable[[Record], Iterable[tuple[str, object]]]
"""What a record is like, by name; None is not known."""


def _differing(pair: _Pair, of: _Properties) -> Iterator[tuple[str, str, str]]:
    """Yield (what, value in A, value in B) of what differs; what one of them does not know does not differ."""
    a, b = ({what: values for what, values in _values(side, of).items() if values} for side in pair)
    for what in a:
        if what in b and a[what] != b[what]:
            yield what, ", ".join(sorted(a[what])), ", ".join(sorted(b[what]))


def _values(repeats: Repeats, of: _Properties) -> dict[str, set[str]]:
    """Return the values of each property among some records; of none the settings of their job."""
    pairs = [pair for record in repeats.records for pair in of(record)]
    values: defaultdict[str, set[str]] = defaultdict(set)
    for what, value in pairs if repeats.records else _settings_of(repeats.job):
        if value is not None or not repeats.records:
            values[what].add(str(value))
    return values


def _settings(record: Record) -> Iterator[tuple[str, object]]:
    yield from _settings_of(record.job)


def _settings_of(job: Job) -> Iterator[tuple[str, object]]:
    for name in _CONDITIONS:
        value = job.settings.given.get(name)
        yield name, _recipe(job.settings.content[name]) if isinstance(value, RecipeContent) else value


def _recipe(content: JsonObject) -> str:
    """Return ``std v2, content 1a2b3c``."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:6]
    return f"{content.get('name', 'unnamed')} v{content.get('version', '?')}, content {digest}"


def _conditions(quantities: Collection[str]) -> _Properties:
    """Return what makes numbers comparable: the machine, precision, threads, and what each number is."""

    def properties(record: Record) -> Iterator[tuple[str, object]]:
        yield "schema", record.schema
        if "device" in record.job.settings.content:
            kind = "GPU" if record.job.device.startswith("cuda") else "CPU"
            yield "device", record.job.device
            yield f"{kind} model", device_name(record.environment, record.job.device)
            yield from _settings(record)
            yield "torch threads", dig(record.environment, "flags", "threads")
        for m in record.measurements:
            if not quantities or m.name in quantities:
                meaning = [f"{k} {m.detail[k]}" for k in _MEANING if m.detail.get(k) is not None]
                yield f"definition of {m.name}", "; ".join([f"unit {m.unit}", *meaning])

    return properties


_SURROUNDINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("bench", ("bench", "version")),
    ("bench revision", ("bench", "git_revision")),
    ("CUDA", ("torch", "cuda")),
    ("cuDNN", ("torch", "cudnn")),
    ("Python", ("python", "version")),
    ("torchvision", ("packages", "torchvision")),
    ("operating system", ("host", "os")),
    ("kernel", ("host", "kernel")),
    ("machine", ("host", "name_sha256")),
    ("cores", ("cpu", "affinity")),
    ("governor", ("cpu", "governor")),
)


def _versions(record: Record) -> Iterator[tuple[str, object]]:
    """Yield what may differ, and is told above a table."""
    yield "torch", torch_version(record.environment)
    for what, path in _SURROUNDINGS:
        yield what, dig(record.environment, *path)
    if record.job.device.startswith("cuda"):
        index = record.job.device.partition(":")[2]
        gpu = ("gpu", int(index) if index.isdigit() else 0)
        yield "driver", dig(record.environment, *gpu, "driver")
        yield "power limit (W)", dig(record.environment, *gpu, "power_limit_W")
    yield f"changed network {record.job.arch}", (record.job.source_sha256 or "")[:12] or None


def _refused(what: str, a: str, b: str) -> ConfigError:
    tip = "give --across to compare them all the same"
    if what.startswith("definition"):
        tip += ", or --quantity to look at others"
    return ConfigError(f"the runs differ in {what}: {a!r} against {b!r}", tip)


def _nothing(a: Run, b: Run, ones: Iterable[Repeats], others: Iterable[Repeats]) -> ConfigError:
    has, there = (listed(repeats.label for repeats in every) or "no record" for every in (ones, others))
    message = f"the runs {a.name} and {b.name} have no job in common"
    return ConfigError(message, f"{a.name} has {has}; {b.name} has {there}")


def _batches(repeats: Repeats) -> set[float]:
    """Return the largest batches that fit, where these were looked for; times of different ones say nothing."""
    return {v for m in repeats.measurements(["max_batch"])["max_batch"] for v in m.samples}


def _only(
    a: Run, b: Run, ones: Mapping[str, Repeats], others: Mapping[str, Repeats], pairs: Sequence[_Pair]
) -> Iterator[tuple[str, str, str]]:
    """Yield what has no partner, and what failed in one run."""
    paired = {id(repeats) for pair in pairs for repeats in pair}
    names = names_of(a, b)
    for x, y in pairs:
        for here, other, name, there in ((x, y, names[0], names[1]), (y, x, names[1], names[0])):
            if here.records and not other.records:
                yield here.label, name, f"{other.status} in {there}"
        batches = [_batches(side) for side in (x, y)]
        if x.records and y.records and batches[0] != batches[1]:
            both = " and ".join(", ".join(f"{v:g}" for v in sorted(side)) or "none" for side in batches)
            yield x.label, "", f"the largest batches differ: {both}"
    for by_key, name, there in ((ones, names[0], names[1]), (others, names[1], names[0])):
        for repeats in by_key.values():
            if id(repeats) not in paired and repeats.records:
                yield repeats.label, name, f"not in {there}"
