"""Evaluations: networks with their weights on the same images; who is better, what agrees, what corruption does.

An evaluation is plain, or of corrupted images, or a try: the same again with another transform. Where a job gives no
transform, it is the plain one, and those that give one are tries; where all give one, the first is the plain one.

Two networks are paired over the images that both have answered, whatever the others have. What is the same network
under other conditions, such as another precision, is held against the first of them: how many answers are equal.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.flags import Row
from bench.analysis.keys import apart, grouped
from bench.errors import StoreError
from bench.io import JsonObject, finite_json
from bench.plan.corruption import ALEXNET, NAMES, SEVERITIES, read_corruption
from bench.records.outputs import Answers
from bench.stats.answers import CorruptionError, LabelOrder, Share, paired
from bench.stats.effects import Effect
from bench.stats.reliability import Reliability
from bench.stats.verdicts import with_corrected

_CONDITIONS = ("precision", "backend", "memory_format", "device")
_OTHERWISE = (
    "transform",
    "corruption",
    "batch_size",
    "workers",
    *_CONDITIONS,
)  # of settings, not of the images
_OF_IMAGES = ("data", "split", "limit", "data_sha256", "corruption")
_WAYS = (*_CONDITIONS, "calibration", "threads")
_IMAGENET = 1000  # classes
_MOST_PAIRS = 300  # beyond, the best network alone is held against each other one
_Places = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
_USUAL = ("fp32", "eager", "contiguous", "cpu")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One network with its weights on the images of a data set.

    Attributes:
        run, network, job: whose it is.
        settings: of the job, see `bench.tasks.evaluate`.
        conditions: how it was run: precision, backend, memory format and device.
        top1, top5: shares of right answers.
        among: right answers among the images' classes alone; None where the network has no other classes.
        detail: of the measurement: what it was computed from.
        flags: of it.
        left_out: how many images could not be decoded.
        undecoded: the names of these, each with the reason; of very many the first.
        card: `weights`, and the published accuracy of the network's card.
        outputs: the file with the answers, and its SHA-256; None without one.
        digest: the beginning of the fingerprint of its images, where others of the same name had another; else empty.
    """

    run: str
    network: str
    job: str
    settings: JsonObject
    conditions: Mapping[str, str]
    top1: Share
    top5: Share
    among: Share | None
    detail: JsonObject
    flags: tuple[str, ...]
    left_out: int
    card: JsonObject
    outputs: tuple[str, str] | None
    digest: str = ""
    undecoded: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> tuple[str, str]:
        """Its run and its job: two runs may have asked the same."""
        return self.run, self.job

    @property
    def data(self) -> str:
        """What it was evaluated on, in words: ``imagefolder:x val``."""
        split = self.settings.get("split", "val")
        limit = self.settings.get("limit")
        which = f" ({self.digest})" if self.digest else ""
        corrupted = f", {self.settings['corruption']}" if self.corruption else ""
        part = f", {limit:,} images" if limit else ""
        return f"{self.settings.get('data')} {split}{which}{corrupted}{part}"

    @property
    def corruption(self) -> tuple[str, int] | None:
        """Name and severity of what corrupts its images; None where nothing does."""
        text = self.settings.get("corruption")
        return read_corruption(text) if isinstance(text, str) else None

    @property
    def transform(self) -> JsonObject:
        """What was done to its images, whole; see `bench.datasets.transforms`."""
        whole = self.detail.get("transform")
        return whole if isinstance(whole, Mapping) else {}

    @property
    def images_key(self) -> tuple[object, ...]:
        """What tells its images from others', whoever looks at them and how."""
        return tuple(self.settings.get(key) for key in _OF_IMAGES)

    @property
    def key(self) -> str:
        """What it has in common with its tries and its corrupted images."""
        kept = {k: v for k, v in self.settings.items() if k not in _OTHERWISE}
        return json.dumps([self.run, self.network, kept, dict(self.conditions)], sort_keys=True)

    @property
    def is_part(self) -> bool:
        """Whether the network has outputs for other classes than the images'."""
        classes, outputs = self.detail.get("classes"), self.detail.get("network_outputs")
        return isinstance(classes, int) and isinstance(outputs, int) and classes < outputs

    @property
    def label(self) -> str:
        """The network and its weights, with the conditions that are not the usual ones."""
        words = [word for word in self.conditions.values() if word not in _USUAL]
        return " · ".join([_short(self.network), *words])

    @cached_property
    def answers(self) -> Answers | None:
        """What it said of each image; None where nothing is stored, or it cannot be read."""
        if self.outputs is None:
            return None
        path, digest = self.outputs
        try:
            return Answers.load(Path(path), digest)
        except StoreError:  # a report is made of what there is; `missing` says so
            return None

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each of the images that have answers was told right; none where nothing is stored."""
        answers = self.answers
        return np.zeros(0, np.bool_) if answers is None else np.asarray(answers.top5[:, 0] == answers.labels)

    @cached_property
    def reliability(self) -> Reliability:
        """How far its confidence is from being right so often."""
        answers = self.answers
        confidence = np.zeros(0) if answers is None else answers.confidence.astype(np.float64)
        return Reliability.of(confidence, self.correct)

    @cached_property
    def order(self) -> LabelOrder | None:
        """Whether another order of labels suits its answers better; None where that cannot be told."""
        answers = self.answers
        if answers is None or len(answers.labels) < 2:
            return None
        given = answers.top5[:, 0] if answers.among is None else answers.among[:, 0]
        known = given >= 0
        return LabelOrder.of(answers.labels[known], given[known], len(answers.class_names))

    def to_json(self) -> dict[str, object]:
        """Return plain values in one level; what is not a number is None."""
        reliable = self.reliability
        return finite_json(
            {
                "run": self.run,
                "network": self.network,
                "label": self.label,
                "data": self.data,
                **self.conditions,
                "images": self.top1.images,
                "left_out": self.left_out,
                **self.top1.named("top1"),
                **self.top5.named("top5"),
                "top1_among_its_classes": math.nan if self.among is None else self.among.value,
                "calibration_error": reliable.error,
                "calibration_error_by_chance": reliable.perfect,
                "calibration_error_p": reliable.p,
                "calibration_rms_debiased": reliable.debiased if reliable.bins else math.nan,
                "flags": list(self.flags),
            }
        )

    def same_images(self, other: Evaluation) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return whether each told the images right that both have answered, in the same order."""
        places = _shared(self, other)
        return self.correct[places[0]], other.correct[places[1]]

    def by_class(self) -> list[ClassShare]:
        """Return each class of an evaluation that has images, in the order of the labels."""
        answers = self.answers
        if answers is None:
            return []
        said, names = answers.top5[:, 0], answers.class_names
        rows = []
        for label in np.unique(answers.labels).tolist():
            own = said[answers.labels == label]
            wrong = Counter(sorted(own[own != label].tolist()))  # of two as often, the first
            other, times = wrong.most_common(1)[0] if wrong else (None, 0)
            name = "" if other is None else names[other] if other >= 0 else "a class of none of the images"
            rows.append(ClassShare(names[label], Share.of(own == label), name, times))
        return rows

    @property
    def weights_name(self) -> str:
        """By what name facts have the weights: ``resnet50.a1_in1k``, or ``torchvision:resnet50.IMAGENET1K_V2``."""
        bare, weights = self.network.partition("(")[0], str(self.settings.get("weights") or "")
        if not bare.startswith(("timm:", "torchvision:")):
            return ""
        name = bare.removeprefix("timm:")
        known = weights and not name.endswith(f".{weights}")
        return f"{name.partition('.')[0] if bare.startswith('timm:') else name}.{weights}" if known else name


def _short(network: str) -> str:
    """Return ``torchvision:resnet50 IMAGENET1K_V2`` for a network whose weights are its only argument."""
    match = re.fullmatch(r"(.+)\(weights=(['\"])(.+)\2\)", network)
    if match is None:
        return network
    path, sign, key = match[3].partition("#")  # of a checkpoint, and of what is taken of it
    return f"{match[1]} {PurePath(path).stem if '/' in path else path}{sign}{key}"


@dataclass(frozen=True, slots=True)
class Evaluations:
    """The evaluations of some runs: the plain ones, and by the id of each its tries and its corrupted images."""

    plain: tuple[Evaluation, ...] = ()
    tries: Mapping[tuple[str, str], tuple[Evaluation, ...]] = field(default_factory=dict)
    corrupted: Mapping[tuple[str, str], tuple[Evaluation, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.plain)

    @property
    def _answering(self) -> Iterator[Evaluation]:
        return (one for one in self.plain if one.answers is not None)

    def pairs(self) -> list[Pair]:
        """Return each two networks that answered the same images; of very many, the best against each other."""
        by_images = grouped(self._answering, lambda one: one.images_key)
        return with_corrected([_pair(*two) for group in by_images.values() for two in _twos(group)])

    def agreements(self) -> list[Agreement]:
        """Return each network that ran in several ways, the first of them against each other one."""
        ways = grouped(self._answering, lambda one: (one.network, one.images_key))
        return with_corrected(
            [_agreement(first, other) for first, *others in ways.values() for other in others]
        )

    def undecoded(self) -> list[tuple[str, str, str]]:
        """Return each image that could not be decoded, once: its data, its name, and the reason."""
        made = [(one.data, *image) for one in self.plain for image in one.undecoded]
        return list(dict.fromkeys(made))

    def robustness(self) -> list[Robustness]:
        """Return each network that was evaluated on corrupted images.

        Of ImageNet's thousand classes and all corruptions, relative errors are of AlexNet's, as published; else of the
        first network on those images.
        """
        made = [_robustness(one, self.corrupted[one.id]) for one in self.plain if self.corrupted[one.id]]
        first = {one.data: one for one in reversed(made)}
        return [_relative(one, first[one.data]) for one in made]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Evaluations:
        """Return the evaluations of a frame that ended well, in its order."""
        rows = frame[(frame["task"] == "evaluate") & (frame["status"] == "ok")]
        jobs: defaultdict[object, dict[str, Row]] = defaultdict(dict)
        for row in rows.to_dict("records") if len(rows) else ():  # which takes a while even of none
            jobs[row["run"], row["job_id"]][row["measurement"]] = row
        made = [_evaluation(job) for job in jobs.values()]
        groups = grouped(_told_apart([one for one in made if one is not None]), lambda one: one.key)
        plain, tries, corrupted = [], {}, {}
        for group in groups.values():
            clean = [one for one in group if one.corruption is None]
            first = next((one for one in clean if not one.settings.get("transform")), None)
            first = first or next(iter(clean), group[0])
            own = first.settings.get("transform")
            plain.append(first)
            tries[first.id] = tuple(one for one in clean if one is not first)
            corrupted[first.id] = tuple(
                one for one in group if one.corruption is not None and one.settings.get("transform") == own
            )
        return cls(tuple(plain), tries, corrupted)


def _told_apart(made: Sequence[Evaluation]) -> list[Evaluation]:
    """Return evaluations with the digest of their images, where a folder held others another time."""
    digests = apart([one.data for one in made], [one.settings.get("data_sha256") for one in made])
    return [replace(one, digest=digest) for one, digest in zip(made, digests, strict=True)]


def _evaluation(by_name: Mapping[str, Row]) -> Evaluation | None:
    """Return the evaluation of the rows of one job; None where it has no accuracy."""
    top1, top5 = (by_name.get(name) for name in ("top1", "top5"))
    if top1 is None or not isinstance(top1["evaluation"], str):
        return None
    detail = top1["detail"] or {}
    left_out = by_name.get("left_out")
    digest = detail.get("outputs_sha256")
    published = {key: top1[f"published_{key}"] for key in ("top1", "top5", "source", "classes")}
    return Evaluation(
        run=top1["run"],
        network=top1["network"] if "network" in top1 else top1["arch"],
        job=top1["job_id"],
        settings=json.loads(top1["evaluation"]),
        conditions={key: str(top1[key]) for key in _CONDITIONS if isinstance(top1[key], str)},
        top1=_share(detail, top1),
        top5=_share(top5["detail"] or {}, top5) if top5 else Share(0, 0),
        among=_among(detail),
        detail=detail,
        flags=tuple(map(str, top1["flags"])),
        left_out=int(left_out["median"]) if left_out and math.isfinite(left_out["median"]) else 0,
        card=published,
        outputs=(top1["outputs"], digest) if isinstance(top1["outputs"], str) and digest else None,
        undecoded=_undecoded(left_out["detail"] or {}) if left_out else (),
    )


def _undecoded(detail: JsonObject) -> tuple[tuple[str, str], ...]:
    images = detail.get("images")
    told = [one for one in images if isinstance(one, Mapping)] if isinstance(images, list) else []
    return tuple((str(one.get("image")), str(one.get("reason"))) for one in told)


def _among(detail: JsonObject) -> Share | None:
    told = detail.get("among_its_classes")
    if not isinstance(told, Mapping):
        return None
    correct, images = told.get("correct"), told.get("images")
    return Share(correct, images) if isinstance(correct, int) and isinstance(images, int) else None


def _share(detail: JsonObject, row: Row) -> Share:
    """Return the counts of a measurement."""
    images = detail.get("images")
    if not isinstance(images, int) or not images:
        return Share(0, 0)
    correct = detail.get("correct")
    return Share(correct if isinstance(correct, int) else round(row["median"] * images), images)


# --- pairs ---


@dataclass(frozen=True, slots=True)
class Pair:
    """Two networks on the same images."""

    network: str
    baseline: str
    data: str
    images: int  # that both have answered
    effect: Effect  # accuracy of the network less that of the baseline; p is corrected for all pairs (Holm)

    def to_json(self) -> dict[str, object]:
        """Return plain values in one level; what is not a number is None."""
        own = {"network": self.network, "baseline": self.baseline, "data": self.data, "images": self.images}
        return finite_json({**own, **self.effect.to_json("difference")})


def _twos(group: Sequence[Evaluation]) -> Iterator[tuple[Evaluation, Evaluation]]:
    """Yield pairs of different networks, those that run in the same way."""
    several = [
        (one, other)
        for one, other in combinations(group, 2)
        if one.network != other.network and one.conditions == other.conditions
    ]
    if len(several) <= _MOST_PAIRS:
        yield from several
        return
    best = max(group, key=lambda one: one.top1.value)
    yield from ((best, other) for other in group if other.network != best.network)


def _pair(one: Evaluation, other: Evaluation) -> Pair:
    correct, others = one.same_images(other)
    return Pair(one.label, other.label, one.data, len(correct), paired(correct, others))


def _shared(one: Evaluation, other: Evaluation) -> _Places:
    none = np.zeros(0, dtype=np.int64)
    return one.answers.places_shared(other.answers) if one.answers and other.answers else (none, none)


# --- agreement of precisions and backends ---


@dataclass(frozen=True, slots=True)
class Agreement:
    """The same network under two conditions."""

    network: str
    data: str
    one: str  # the conditions, those that differ
    other: str
    equal: Share  # of equal first answers
    effect: Effect  # accuracy under the first less that under the other; p is corrected for all rows (Holm)

    def to_json(self) -> dict[str, object]:
        """Return plain values in one level; what is not a number is None."""
        low, high = self.equal.interval
        names = {"network": self.network, "data": self.data, "one": self.one, "other": self.other}
        equal = {"equal": self.equal.count, "images": self.equal.images, "equal_low": low, "equal_high": high}
        return finite_json({**names, **equal, **self.effect.to_json("difference")})


def _agreement(one: Evaluation, other: Evaluation) -> Agreement:
    ways = [{**each.settings, **each.conditions} for each in (one, other)]
    differing = [key for key in _WAYS if ways[0].get(key) != ways[1].get(key)]
    words = [
        " · ".join(_word(key, way.get(key)) for key in differing) or each.run
        for each, way in zip((one, other), ways, strict=True)
    ]
    places = _shared(one, other)
    a, b = one.answers, other.answers
    first = np.zeros(0, dtype=np.int32)
    said = [first if w is None else w.top5[at, 0] for w, at in zip((a, b), places, strict=True)]
    equal = Share.of(np.asarray(said[0] == said[1]))
    return Agreement(one.network, one.data, words[0], words[1], equal, paired(*one.same_images(other)))


def _word(key: str, value: object) -> str:
    """Return how a network was run in one respect, where others were run otherwise: ``bf16``, ``2 threads``."""
    if key == "threads":
        return "threads as usual" if value is None else f"{value} thread{'' if value == 1 else 's'}"
    if key == "calibration":
        return "not calibrated" if value is None else f"calibrated on {value}"
    return str(value or "")


# --- corruptions ---


@dataclass(frozen=True, slots=True)
class Robustness:
    """A network on corrupted images: accuracy by corruption and severity, and the mean error."""

    network: str
    data: str
    clean: Share
    shares: Mapping[str, Mapping[int, Share]]
    error: CorruptionError
    baseline: str  # whose errors the relative one is of; empty where there is none
    classes: int  # of the images

    @property
    def whole(self) -> bool:
        """Whether it is over all fifteen corruptions at all five severities."""
        return sum(map(len, self.shares.values())) == len(NAMES) * len(SEVERITIES)

    def to_json(self) -> dict[str, object]:
        """Return plain values; what is not a number is None."""
        shares = {name: {str(s): one.value for s, one in by.items()} for name, by in self.shares.items()}
        return finite_json(
            {
                "network": self.network,
                "data": self.data,
                "clean_error": 1 - self.clean.value,
                "accuracy": shares,
                "mean_error": self.error.mean,
                "mean_corruption_error": self.error.relative,
                "baseline": self.baseline,
                "corruptions": self.error.corruptions,
            }
        )


def _robustness(one: Evaluation, corrupted: Sequence[Evaluation]) -> Robustness:
    shares: dict[str, dict[int, Share]] = {}
    for other in corrupted:
        if (corruption := other.corruption) is not None:
            shares.setdefault(corruption[0], {})[corruption[1]] = other.top1
    ordered = {name: dict(sorted(shares[name].items())) for name in NAMES if name in shares}
    classes = one.detail.get("classes")
    return Robustness(
        one.label,
        one.data,
        one.top1,
        ordered,
        CorruptionError.of(_errors(ordered)),
        baseline="",
        classes=classes if isinstance(classes, int) else 0,
    )


def _errors(shares: Mapping[str, Mapping[int, Share]]) -> dict[str, dict[int, float]]:
    return {name: {s: 1 - one.value for s, one in by.items()} for name, by in shares.items()}


def _relative(one: Robustness, baseline: Robustness) -> Robustness:
    """Return the same with its errors over those of a baseline, where both are of the same corruptions."""
    if one.whole and one.classes == _IMAGENET:
        error = CorruptionError.of(_errors(one.shares), ALEXNET)
        return replace(one, error=error, baseline="AlexNet, published")
    of, against = ({name: [*by] for name, by in each.shares.items()} for each in (one, baseline))
    if one is baseline or of != against:
        return one
    means = {name: float(np.mean([*by.values()])) for name, by in _errors(baseline.shares).items()}
    return replace(one, error=CorruptionError.of(_errors(one.shares), means), baseline=baseline.network)


# --- by class ---


@dataclass(frozen=True, slots=True)
class ClassShare:
    """A class of the images, as one network told it."""

    name: str
    right: Share
    taken_for: str  # the class that it is most often taken for; empty where it never is for another
    taken: int  # how often
