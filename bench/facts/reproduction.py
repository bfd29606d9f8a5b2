"""Is a published accuracy reproduced, and if not, of what does it come? Only what was tested is said.

On all images that the published number is of, the same weights should give the same number: it is reproduced where the
interval of the one measured here holds it, and whether it is so to the digit is told. A part of the images cannot
reproduce it: whether it is compatible is tested (a score test, corrected for all networks of the run by Holm), and
the weaker word is used. A part of the classes cannot be compared at all.

Where it is not reproduced, the tries are told: the same evaluation with one thing changed; where none of these explains
it, with two and with three, each step beside what came nearest for certain. A cause is named where a try comes to the
published number and is certainly nearer to it than the plain evaluation (McNemar on the same images, corrected for all
tries by Holm). Another order of labels is tried on the answers alone: found on half of the images, and tested on the
other half, see `bench.stats.answers.LabelOrder`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pandas as pd

from bench.analysis.evaluations import Evaluation, Evaluations
from bench.analysis.variations import SEVERAL, Variation
from bench.errors import BenchError
from bench.facts import SETS, accuracies
from bench.io import JsonObject, finite_json
from bench.stats.answers import Share, paired
from bench.stats.effects import Effect, Verdict
from bench.stats.verdicts import corrected, show_p, with_corrected
from bench.units import percent

_Verdict = Literal["reproduced", "compatible", "not reproduced", "not comparable", "nothing published"]

_IMAGENET = 1000
_ASSUMED = "assumed_transform"  # a flag
_TESTED = ("test", "val")  # splits that are the images which a training was tested on
_OF_ALL = {1000: ("val", "v2", "sketch")}  # sets that have images of all classes, by the count of classes
_EXACT = 5e-5  # half of the last digit that is published, of percents with two decimals


@dataclass(frozen=True, slots=True)
class _Published:
    """An accuracy that somebody has published of weights.

    Attributes:
        top1: share.
        source: whose it is.
        images: of how many; 0 where that is not known.
        what: which images those are.
        told: `input_size` (px), `crop` (share) and `interpolation` with which it was got, as far as known.
    """

    top1: float
    source: str
    images: int = 0
    what: str = ""
    told: JsonObject | None = None


@dataclass(frozen=True, slots=True)
class Try:
    """The same evaluation with something changed."""

    cause: str  # such as `crop`; of several things, `crop and interpolation`
    words: str  # to what
    share: Share  # of right answers
    effect: Effect  # of the change, on the same images; p is corrected for all tries (Holm)
    reaches: bool  # whether its interval holds the published number

    @property
    def images(self) -> int:
        """Images that it was tested on."""
        return self.share.images


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What an evaluation says of the published accuracy of its weights."""

    evaluation: Evaluation
    published: _Published | None
    word: _Verdict
    why: str  # what was tested, or why nothing was
    # of a part of the images: measured less published, p corrected for the networks of the run (Holm)
    effect: Effect = field(default_factory=lambda: Effect.none("not tested"))
    tries: tuple[Try, ...] = ()
    causes: tuple[str, ...] = ()  # that are certain; several where they cannot be told apart
    remark: str = ""  # of an order of labels that suits the answers better
    unread: bool = False  # whether published accuracies could not be read

    @property
    def sentence(self) -> str:
        """Return the verdict in a sentence, with what explains it."""
        text = f"{self.evaluation.label} on {self.evaluation.data}: {self.word}: {self.why}"
        return ". ".join(filter(None, [text, self.cause_text, self.remark])) + "."

    @property
    def cause_text(self) -> str:
        """Return which change explains the difference, or that none does; nothing where that is no question."""
        if self.word != "not reproduced":
            return ""
        if self.causes:
            nearest = [min(self._reaching(cause), key=self.gap) for cause in self.causes]
            how = "; ".join(map(_said, nearest))
            only = "Explained by" if len(self.causes) == 1 else "Explained by any of these, which is open:"
            return f"{only} {', '.join(self.causes)} ({how})"
        if not self.tries:
            return "What explains it was not tried"
        if len(self.tries) == 1:
            return f"The only try, {self.tries[0].cause}, does not explain it with certainty"
        none = f"None of {len(self.tries)} tries, {_how_many(self.tries)}, explains it with certainty"
        nearer = [one for one in self.tries if one.effect.verdict == self.toward]
        if not nearer:
            return f"{none}, and none comes certainly nearer"
        best = min(nearer, key=self.gap)
        return f"{none}; nearer for certain, and the nearest of these, is {best.cause} ({_said(best)})"

    def _reaching(self, cause: str) -> list[Try]:
        return [t for t in self.tries if t.cause == cause and t.reaches]

    @property
    def toward(self) -> Verdict:
        """How an accuracy differs that is nearer to the published one: higher, where nothing is published."""
        above = self.published is not None and self.evaluation.top1.value > self.published.top1
        return "lower" if above else "higher"

    def gap(self, one: Try) -> float:
        """Return how far a try is from the published accuracy; where there is none, from no error."""
        return abs(one.share.value - (self.published.top1 if self.published else 1.0))

    def to_json(self) -> JsonObject:
        """Return plain values; what is not a number is None."""
        one, published = self.evaluation, self.published
        return finite_json(
            {
                "network": one.label,
                "data": one.data,
                "images": one.top1.images,
                **one.top1.named("top1"),
                "published_top1": published.top1 if published else math.nan,
                "published_source": published.source if published else "",
                "verdict": self.word,
                "why": self.why,
                "p": self.effect.p,
                "causes": list(self.causes),
                "remark": self.remark,
                "tries": [_try_json(one) for one in self.tries],
            }
        )

    @classmethod
    def of_each(cls, every: Evaluations) -> list[Reproduction]:
        """Return what each plain evaluation says of the published accuracy of its weights."""
        facts = _facts() if every else None
        made = [_alone(one, facts) for one in every.plain]
        tested = corrected([one.effect for one in made])
        return [
            _explained(_decided(one, effect), every.tries.get(one.evaluation.id, ()))
            for one, effect in zip(made, tested, strict=True)
        ]

    @classmethod
    def to_try(cls, every: Evaluations, *, assumed: bool = False) -> list[tuple[Evaluation, Variation]]:
        """Return what is to be tried of the evaluations whose published accuracy is not reproduced.

        That is one thing at a time; where that was tried and explains nothing, further things together with what comes
        certainly nearer. Where it is `assumed`, also of those whose transform is, and of which nothing is published.
        """
        wanted = []
        for one in cls.of_each(every):
            base = one.evaluation
            if one.word == "not reproduced" and one.published is not None:
                told = one.published.told
            elif assumed and one.published is None and _ASSUMED in base.flags:
                told = None
            else:
                continue
            wanted += [(base, variation) for variation in _course(one, every.tries.get(base.id, ()), told)[0]]
        return wanted


_THINGS = 3  # that are changed together, at most: each further one costs up to a dozen passes over the images


def _course(
    one: Reproduction, tried: Sequence[Evaluation], told: JsonObject | None
) -> tuple[list[Variation], Evaluation]:
    """Return what is to be tried of one evaluation, in the light of what was tried by now, and how far that has led.

    Where no single change explains it, the one that comes certainly nearer, and of several the nearest, is kept, and
    each other thing is changed together with it, but for what led certainly away; and so on. What was kept last is what
    it has led to: the evaluation itself where nothing comes nearer.
    """
    base, declared = one.evaluation, one.evaluation.detail.get("declared_transform")
    level = Variation.to_try(base.transform, told, declared if isinstance(declared, Mapping) else None)
    wanted, done, at, away = list[Variation](), list[Evaluation](), base, list[JsonObject]()
    for _ in range(_THINGS):
        level = [v for v in level if not any(_has(base, v, {**base.transform, **w.changes}) for w in wanted)]
        wanted += level
        made = [(v, e) for v in level for e in tried if _has(base, v, e.transform)]
        done += [e for _, e in made]
        steps = with_corrected([_try(at, e, one.published) for _, e in made])
        nearer = [i for i, step in enumerate(steps) if step.effect.verdict == one.toward]
        if not nearer or (one.published is not None and _explained(one, done).causes):
            break
        verdicts = (step.effect.verdict for step in steps)
        led = zip(made, verdicts, strict=True)
        away += [v.changes for (v, _), verdict in led if verdict not in (one.toward, "undecided")]
        at = made[min(nearer, key=lambda i: one.gap(steps[i]))][1]
        further = Variation.further(base.transform, at.transform, told)
        level = [v for v in further if not any(changes.items() <= v.changes.items() for changes in away)]
    return wanted, at


def _has(base: Evaluation, variation: Variation, transform: JsonObject) -> bool:
    """Return whether a transform is that of an evaluation with a variation."""
    return not Variation.between({**base.transform, **variation.changes}, transform)[0]


def _try_json(one: Try) -> dict[str, object]:
    return {
        "cause": one.cause,
        "change": one.words,
        "images": one.images,
        **one.share.named("top1"),
        "reaches_published": one.reaches,
        **one.effect.to_json("difference"),
    }


def _how_many(tries: Sequence[Try]) -> str:
    """Return how many things were changed in tries: ``with up to 3 things changed``."""
    most = max(one.cause.count(SEVERAL) + 1 for one in tries)
    return "with one thing changed" if most == 1 else f"with up to {most} things changed"


def _said(one: Try) -> str:
    low, high = one.share.interval
    return f"{one.words}, {percent(one.share.value, 2)} ({percent(low, 2)} to {percent(high, 2)})"


# --- what is published ---


def _facts() -> pd.DataFrame | BenchError:
    """Return published accuracies, or why they cannot be read: a report is made of what there is, and says so."""
    try:
        return accuracies()
    except BenchError as error:
        return error


def _published_of(one: Evaluation, facts: pd.DataFrame | BenchError | None) -> _Published | None:
    """Return the published accuracy of the weights of an evaluation: of these images, as far as they can be told.

    What a stored training came to comes first, then published facts, then what the network's card says.
    """
    if trained := _of_training(one):
        return trained
    if one.detail.get("network_outputs") != _IMAGENET:
        return None
    rows = facts[facts["weights"] == one.weights_name] if isinstance(facts, pd.DataFrame) else None
    if rows is not None and len(rows):
        return _of_facts(one, rows)
    top1 = one.card.get("top1")
    if isinstance(top1, int | float) and math.isfinite(top1) and one.settings.get("weights"):
        return _Published(float(top1), str(one.card.get("source") or "the network's card"), *SETS["val"])
    return None


def _of_training(one: Evaluation) -> _Published | None:
    """Return what a stored training came to on its test images, where those are the images of the evaluation."""
    told = one.detail.get("trained_top1")
    if not isinstance(told, Mapping) or not isinstance(told.get("top1"), int | float):
        return None
    if told.get("dataset") != one.settings.get("data") or one.settings.get("split", "val") not in _TESTED:
        return None
    images = told.get("images")
    source = f"its own training, {told.get('source')}"
    of = images if isinstance(images, int) else 0
    return _Published(float(told["top1"]), source, of, "its test images")


def _of_facts(one: Evaluation, rows: pd.DataFrame) -> _Published | None:
    """Return the fact of the set that the images are of, and of the size that they had, where there are several."""
    which = _set_of(one)
    rows = rows[rows["set"] == which] if (rows["set"] == which).any() else rows[rows["set"] == "val"]
    if rows.empty:  # published of other images alone
        return None
    crop = one.transform.get("crop")
    same = rows[rows["input_size"] == (crop[0] if crop else None)]
    row = (same if len(same) else rows).iloc[0]
    told = {key: row[key] for key in ("input_size", "crop", "interpolation") if not pd.isna(row[key])}
    told |= {key: told[key].item() for key in ("input_size", "crop") if hasattr(told.get(key), "item")}
    return _Published(float(row["top1"]), str(row["source"]), *SETS[row["set"]], told)


def _set_of(one: Evaluation) -> str:
    """Return the set of images whose count these are; `val` where none has so many."""
    count = one.top1.images + one.left_out
    if one.settings.get("limit"):
        return "val"
    return next((name for name in _OF_ALL[_IMAGENET] if SETS[name][0] == count), "val")


# --- the verdict ---


def _alone(one: Evaluation, facts: pd.DataFrame | BenchError | None) -> Reproduction:
    """Return the verdict on one evaluation, as if it were the only one."""
    published = _published_of(one, facts)
    remark = _order_remark(one)
    if published is None:
        unread = f": {facts.message}" if isinstance(facts, BenchError) else ""
        why = f"no published accuracy of these weights is known{unread}"
        return Reproduction(one, None, "nothing published", why, remark=remark, unread=bool(unread))
    classes, outputs = one.detail.get("classes"), one.detail.get("network_outputs")
    if one.is_part:
        why = (
            f"the images are of {classes} of the network's {outputs} classes, and the published "
            f"{percent(published.top1, 2)} is of all: fewer classes are easier or harder, and no test bridges that"
        )
        return Reproduction(one, published, "not comparable", why, remark=remark)
    if not one.top1.images:
        return Reproduction(one, published, "not comparable", "no image was evaluated", remark=remark)
    made = _of_all(one, published) if _is_whole(one, published) else _of_part(one, published)
    return replace(made, remark=remark)


def _is_whole(one: Evaluation, published: _Published) -> bool:
    """Return whether the images are all that a number is of, but for some that change no verdict, right or wrong."""
    every = one.top1.images + one.left_out
    if published.images != every or one.settings.get("limit"):
        return False
    wrong, right = Share(one.top1.count, every), Share(one.top1.count + one.left_out, every)
    return wrong.holds(published.top1) == right.holds(published.top1) == one.top1.holds(published.top1)


def _numbers(one: Evaluation, published: _Published) -> str:
    low, high = (percent(end, 2) for end in one.top1.interval)
    own = f"{percent(one.top1.value, 2)} ({low} to {high})"
    return f"{own}, published {percent(published.top1, 2)} ({published.source})"


def _of_all(one: Evaluation, published: _Published) -> Reproduction:
    """Return the verdict on all images that the published number is of."""
    gap = one.top1.value - published.top1
    images = f"all {one.top1.images:,} images"
    if one.left_out:
        images += f" but {one.left_out:,} that could not be decoded"
    how = f"{_numbers(one, published)}, on {images}"
    if not one.top1.holds(published.top1):
        return Reproduction(one, published, "not reproduced", how)
    off = round(abs(gap) * one.top1.images)
    exact = "to the digit" if abs(gap) <= _EXACT or not off else f"not to the digit: {off:,} images apart"
    return Reproduction(one, published, "reproduced", f"{how}, {exact}")


def _of_part(one: Evaluation, published: _Published) -> Reproduction:
    """Return the verdict on a part of the images, or on as many as cannot be told to be all: a score test."""
    n = one.top1.images
    of = f"of {published.images:,}" if published.images else "of an unknown number"
    why = (
        f"{_numbers(one, published)}, on {n:,} images {of}, which cannot reproduce it to the digit: "
        "differences within the interval are not seen"
    )
    return Reproduction(one, published, "compatible", why, one.top1.against(published.top1))


def _decided(one: Reproduction, effect: Effect) -> Reproduction:
    """Return the verdict on a part of the images by a test that is corrected for the number of networks."""
    if math.isnan(effect.p):
        return one
    word: _Verdict = "compatible" if effect.verdict == "undecided" else "not reproduced"
    return replace(one, effect=effect, word=word)


# --- what explains it ---


def _explained(one: Reproduction, tried: Sequence[Evaluation]) -> Reproduction:
    """Return the verdict with all tries, and the causes that they make certain."""
    if one.published is None:
        return _suited(one, tried)
    if one.word == "not comparable":
        return one
    base, published = one.evaluation, one.published
    tries = [_try(base, other, published) for other in tried]
    if one.word != "not reproduced":
        return replace(one, tries=tuple(with_corrected(tries)))
    tries += filter(None, [_label_order(base, base, published)])
    corrected_tries = with_corrected(tries)
    if not (causes := _causes(one, corrected_tries)):
        tries += filter(None, (_label_order(base, other, published) for other in tried))
        corrected_tries = with_corrected(tries)
        causes = _causes(one, corrected_tries)
    return replace(one, tries=tuple(corrected_tries), causes=causes)


def _suited(one: Reproduction, tried: Sequence[Evaluation]) -> Reproduction:
    """Return an evaluation of which nothing is published with all tries, and which of them suits the network best."""
    tries = with_corrected([_try(one.evaluation, other, None) for other in tried])
    if not tries or _ASSUMED not in one.evaluation.flags:
        return replace(one, tries=tuple(tries))
    better = sorted((t for t in tries if t.effect.verdict == "higher"), key=lambda t: -t.share.value)
    said = f"How images are brought to it is assumed; of {len(tries)} tries {_how_many(tries)} "
    if better:
        suits = "one suits" if len(better) == 1 else f"{len(better)} suit"
        led_to = Variation.between(one.evaluation.transform, _course(one, tried, None)[1].transform)
        most = next((t for t in better if (t.cause, t.words) == led_to), better[0])
        best = f"{most.cause}, {_said(most)}, instead of {percent(one.evaluation.top1.value, 2)}"
        said += (
            f"{suits} it better for certain, the most: {best}. That was chosen by these very images: "
            "declare what its training had"
        )
    else:
        said += "none suits it better for certain"
    return replace(one, tries=tuple(tries), remark=". ".join(filter(None, [said, one.remark])))


def _try(base: Evaluation, other: Evaluation, published: _Published | None) -> Try:
    cause, words = Variation.between(base.transform, other.transform)
    effect = paired(*other.same_images(base))
    reaches = published is not None and other.top1.holds(published.top1)
    return Try(cause or "nothing", words, other.top1, effect, reaches)


def _label_order(base: Evaluation, other: Evaluation, published: _Published) -> Try | None:
    """Return what another order of labels does to an evaluation, its own or together with another transform."""
    order, own, theirs = other.order, base.answers, other.answers
    if order is None or own is None or theirs is None or own.images != theirs.images:
        return None
    causes, changes = Variation.between(base.transform, other.transform)
    words = f"{order.moved:,} of {len(order.order):,} classes mean another one, on images that did not choose them"
    return Try(
        SEVERAL.join(filter(None, [causes, "label order"])),
        ", ".join(filter(None, [changes, words])),
        order.after,
        paired(order.right, base.correct[order.held]),
        reaches=order.tells and order.after.holds(published.top1),
    )


def _causes(one: Reproduction, tries: Sequence[Try]) -> tuple[str, ...]:
    """Return what certainly brings the accuracy to the published one, the nearest first; one thing before several."""
    certain = [t for t in tries if t.reaches and t.effect.verdict == one.toward]
    certain = [t for t in certain if SEVERAL not in t.cause] or certain
    certain.sort(key=one.gap)
    return tuple(dict.fromkeys(t.cause for t in certain))


def _order_remark(one: Evaluation) -> str:
    """Return what is to be known of the order of labels, published accuracy or not; nothing where it seems right."""
    order = one.order
    if order is None or not order.tells:
        return ""
    before, after = percent(order.before.value), percent(order.after.value)
    return (
        f"Its answers suit the labels better in another order: {after} instead of {before}, on {order.after.images:,} "
        f"images that did not choose it. There {order.moved:,} of {len(order.order):,} classes are called by one "
        f"another's names, {order.by_other:,} images against {order.against:,}, which is more than two to one for "
        f"certain (p = {show_p(order.p)}): look whether class folders and outputs are in the same order. A network "
        "that takes these classes for one another looks the same"
    )
