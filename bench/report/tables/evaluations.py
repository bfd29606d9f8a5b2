"""Tables of evaluations: accuracies beside what is published, tries, pairs, agreement, corruption, and by class.

One set of views for the page, the Markdown and the terminal, and the same as CSV and plain values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import pandas as pd

from bench.analysis.evaluations import Agreement, ClassShare, Evaluation, Evaluations, Pair, Robustness
from bench.facts.reproduction import Reproduction, Try
from bench.plan.corruption import KINDS
from bench.report.tables._csv import csv_text
from bench.report.tables.cells import EMPTY, Cell, Fields, Head, View, view_of
from bench.report.tables.formats import Terminal
from bench.report.text import plain
from bench.stats.answers import Share
from bench.stats.effects import Effect
from bench.stats.verdicts import show_p
from bench.units import DASH

_MOST_CLASSES = 20  # rows of the table by class
_MOST_LEFT_OUT = 20  # rows of the table of images that were left out
_MOST_NETWORKS = 6  # columns of it

_NOTES: Mapping[str, str] = {
    "accuracy": "Shares of right answers in per cent, with Wilson's 95 % interval over images. Calibration error is "
    "the expected one over 15 bins of confidence; of a network without fault it would not be 0, but what stands beside "
    "it as by chance, and p says whether it is more. Without chance is the root mean square gap.",
    "left_out": f"Images that could not be decoded, and are in no share; of very many the first {_MOST_LEFT_OUT}, and "
    "up to 1,000 in the table's CSV. Replace them, or take them away.",
    "tries": "The same evaluation with one or more things changed, on the same images. The difference is to the plain "
    "one, with a paired bootstrap's interval; p is McNemar's exact one, corrected for all tries of an evaluation by "
    "Holm.",
    "pairs": "Networks on the images that both have answered. p is McNemar's exact one, corrected for all pairs by "
    "Holm; the interval is a paired bootstrap's over images. It holds for these weights, on images of the same kind.",
    "agreement": "The share of equal first answers under two conditions, right or wrong, with Wilson's interval, and "
    "the difference in accuracy, tested as pairs of networks are.",
    "corruption": "Errors on corrupted images, means over severities and then over corruptions, in per cent. The mean "
    "corruption error is relative to the baseline named. Corruptions are those of Hendrycks and Dietterich, made here, "
    "with frost that is drawn: close to their files, and not the same to the digit.",
    "classes": "Shares of right answers by class, in per cent; of many classes, those that the first network tells "
    "worst. Chance makes some classes of few images look hard: see the interval.",
}


@dataclass(frozen=True, eq=False)
class EvaluationTables:
    """All tables of the evaluations of some runs; none where there are no evaluations."""

    every: Evaluations
    judged: Sequence[Reproduction]
    pairs: Sequence[Pair]
    agreement: Sequence[Agreement]
    corruption: Sequence[Robustness]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> EvaluationTables:
        """Return the tables of all evaluations of a frame."""
        every = Evaluations.of(frame)
        return cls(every, Reproduction.of_each(every), every.pairs(), every.agreements(), every.robustness())

    @property
    def verdicts(self) -> list[str]:
        """Return the verdicts on published accuracies and on orders of labels, in sentences."""
        told = [one for one in self.judged if one.published is not None or one.remark or one.unread]
        return [plain(one.sentence, 2000) for one in told]

    @cached_property
    def titled(self) -> list[tuple[str, str, View, str]]:
        """(key, title, view, note) of each table that has rows."""
        tries = [(one, each) for one in self.judged for each in one.tries]
        corruption = view_of(self.corruption, _corruption_fields(self.corruption))
        views = {
            "accuracy": ("Accuracy", view_of(self.judged, _accuracy_fields(self.judged))),
            "left_out": ("Left out", view_of(self.every.undecoded()[:_MOST_LEFT_OUT], _LEFT_OUT)),
            "tries": ("What was tried", view_of(tries, _TRIES)),
            "pairs": ("Networks against each other", view_of(self.pairs, _PAIRS)),
            "agreement": ("Agreement", view_of(self.agreement, _AGREEMENT)),
            "corruption": ("Corrupted images", corruption),
            "classes": ("By class", _classes_view(self.every)),
        }
        filled = [(key, title, view) for key, (title, view) in views.items() if view.rows]
        return [(key, title, view.told_once("Data"), _NOTES[key]) for key, title, view in filled]

    @property
    def files(self) -> list[tuple[str, str]]:
        """(name, CSV with unrounded numbers) of each table that has rows."""
        filled = ((name, rows) for name, rows in self.values.items() if rows)
        return [(f"evaluation_{name}.csv", csv_text(pd.DataFrame(rows))) for name, rows in filled]

    @property
    def values(self) -> dict[str, list[Mapping[str, object]]]:
        """All that the tables show as plain values, lists by the names of the tables, with every class."""
        told = [(one, one.to_json()) for one in self.judged]
        undecoded = self.every.undecoded()
        return {
            "accuracy": [
                {**values, **one.evaluation.to_json(), "tries": len(one.tries)} for one, values in told
            ],
            "left_out": [{"data": data, "image": image, "reason": why} for data, image, why in undecoded],
            "tries": [
                {"network": one.evaluation.label, "data": one.evaluation.data, **each}
                for one, values in told
                for each in values["tries"]
            ],
            "pairs": [one.to_json() for one in self.pairs],
            "agreement": [one.to_json() for one in self.agreement],
            "corruption": [row for one in self.corruption for row in _corruption_rows(one)],
            "classes": [_class_row(one, each) for one in self.every.plain for each in one.by_class()],
        }

    def terminals(self) -> Iterable[Terminal]:
        """Yield each table for a terminal, the verdicts below the first."""
        for key, title, view, note in self.titled:
            yield Terminal(view, title, [*(self.verdicts if key == "accuracy" else ()), note])


def _corruption_rows(one: Robustness) -> list[Mapping[str, object]]:
    who = {"network": one.network, "data": one.data}
    return [
        {**who, "corruption": name, "severity": severity, **_top1(share)}
        for name, by in one.shares.items()
        for severity, share in by.items()
    ]


def _top1(share: Share) -> dict[str, object]:
    low, high = share.interval
    return {"images": share.images, "top1": share.value, "top1_low": low, "top1_high": high}


def _class_row(one: Evaluation, each: ClassShare) -> Mapping[str, object]:
    who = {"network": one.label, "data": one.data, "class": each.name}
    return {**who, **_top1(each.right), "taken_for": each.taken_for, "taken": each.taken}


# --- cells ---


def _percents(share: Share, flags: tuple[str, ...] = ()) -> Cell:
    """Show a share in per cent with its interval, with as many decimals as the count of images bears."""
    if not share.images:
        return EMPTY
    decimals = 2 if share.images >= 5000 else 1
    low, high = (f"{100 * end:.{decimals}f}" for end in share.interval)
    return Cell(f"{100 * share.value:.{decimals}f}", f"{low} – {high}", share.value, flags=flags)


def _points(effect: Effect) -> Cell:
    """Show a difference of shares in percentage points, with its interval."""
    if not math.isfinite(effect.estimate):
        return EMPTY
    ends = f"{100 * effect.low:+.2f} – {100 * effect.high:+.2f}".replace("-", "−")
    return Cell(f"{100 * effect.estimate:+.2f}".replace("-", "−"), ends, effect.estimate)


def _p(effect: Effect) -> Cell:
    return Cell(show_p(effect.p, effect.p_floor), sort=None if math.isnan(effect.p) else effect.p)


def _count(number: int) -> Cell:
    return Cell(f"{number:,}", sort=float(number))


def _calibration(one: Evaluation) -> Cell:
    made = one.reliability
    if not made.bins:
        return EMPTY
    note = f"{100 * made.perfect:.2f} by chance, p = {show_p(made.p)}"
    return Cell(f"{100 * made.error:.2f}", note, made.error)


def _gap(one: Evaluation) -> Cell:
    made = one.reliability
    if not made.bins or math.isnan(made.square):
        return EMPTY
    lean = "too sure" if made.lean < 0 else "not sure enough"
    note = lean if made.p <= 0.05 else ""
    return Cell(f"{100 * made.debiased:.2f}", note, made.debiased)


def _published(one: Reproduction) -> Cell:
    if one.published is None:
        return EMPTY
    return Cell(f"{100 * one.published.top1:.2f}", plain(one.published.source), one.published.top1)


def _among(one: Reproduction) -> Cell:
    return EMPTY if one.evaluation.among is None else _percents(one.evaluation.among)


_ACCURACY: Fields[Reproduction] = (
    (Head("Network"), lambda one: plain(one.evaluation.label)),
    (Head("Data"), lambda one: plain(one.evaluation.data)),
    (Head("Images", numeric=True, keep=0), lambda one: _images(one.evaluation)),
    (
        Head("Top-1", "%", numeric=True, keep=2),
        lambda one: _percents(one.evaluation.top1, one.evaluation.flags),
    ),
    (Head("Top-5", "%", numeric=True), lambda one: _percents(one.evaluation.top5)),
    (Head("Published", "%", numeric=True, keep=2), _published),
    (Head("Verdict", keep=3), lambda one: one.word),
    (Head("Explained by"), lambda one: ", or ".join(one.causes) or DASH),
    (Head("Calibration error", "%", numeric=True), lambda one: _calibration(one.evaluation)),
    (Head("Without chance", "%", numeric=True, note="root mean square"), lambda one: _gap(one.evaluation)),
)


_RUN: Fields[Reproduction] = ((Head("Run", keep=2), lambda one: plain(one.evaluation.run)),)
_AMONG: Fields[Reproduction] = ((Head("Among its classes", "%", numeric=True, note="top-1"), _among),)


def _accuracy_fields(rows: Sequence[Reproduction]) -> Fields[Reproduction]:
    """Return the columns of accuracies: of several runs which, of a part of a network's classes that among these."""
    run = _RUN if len({one.evaluation.run for one in rows}) > 1 else ()
    among = _AMONG if any(one.evaluation.among is not None for one in rows) else ()
    return (*_ACCURACY[:1], *run, *_ACCURACY[1:5], *among, *_ACCURACY[5:])


def _images(one: Evaluation) -> Cell:
    note = f"{one.left_out:,} left out" if one.left_out else ""
    return Cell(f"{one.top1.images:,}", note, float(one.top1.images))


def _reaches(one: Reproduction, tried: Try) -> str:
    return DASH if one.published is None else "yes" if tried.reaches else "no"


_TRIES: Fields[tuple[Reproduction, Try]] = (
    (Head("Network"), lambda row: plain(row[0].evaluation.label)),
    (Head("Changed", keep=2), lambda row: row[1].cause),
    (Head("To", keep=2), lambda row: plain(row[1].words)),
    (Head("Images", numeric=True, keep=0), lambda row: _count(row[1].images)),
    (Head("Top-1", "%", numeric=True, keep=2), lambda row: _percents(row[1].share)),
    (Head("Difference", "points", numeric=True, keep=2), lambda row: _points(row[1].effect)),
    (Head("p", numeric=True), lambda row: _p(row[1].effect)),
    (Head("Published", "%", numeric=True, keep=2), lambda row: replace(_published(row[0]), note="")),
    (Head("Holds the published"), lambda row: _reaches(*row)),
)

_LEFT_OUT: Fields[tuple[str, str, str]] = (
    (Head("Data"), lambda row: plain(row[0])),
    (Head("Image", keep=2), lambda row: plain(row[1])),
    (Head("Reason", keep=2), lambda row: plain(row[2])),
)

_PAIRS: Fields[Pair] = (
    (Head("Network"), lambda one: plain(one.network)),
    (Head("Against", keep=2), lambda one: plain(one.baseline)),
    (Head("Data"), lambda one: plain(one.data)),
    (Head("Images", numeric=True, keep=0), lambda one: _count(one.images)),
    (Head("Difference", "points", numeric=True, keep=2), lambda one: _points(one.effect)),
    (Head("p", numeric=True), lambda one: _p(one.effect)),
    (Head("Verdict", keep=3), lambda one: one.effect.verdict),
    (Head("Why"), lambda one: plain(one.effect.reason)),
)

_AGREEMENT: Fields[Agreement] = (
    (Head("Network"), lambda one: plain(one.network)),
    (Head("Data"), lambda one: plain(one.data)),
    (Head("One"), lambda one: plain(one.one)),
    (Head("Other"), lambda one: plain(one.other)),
    (Head("Equal answers", "%", numeric=True, keep=2), lambda one: _percents(one.equal)),
    (Head("Images", numeric=True, keep=0), lambda one: _count(one.equal.images)),
    (Head("Difference", "points", numeric=True, keep=2), lambda one: _points(one.effect)),
    (Head("p", numeric=True), lambda one: _p(one.effect)),
    (Head("Verdict", keep=3), lambda one: one.effect.verdict),
)


def _corruption_fields(rows: Sequence[Robustness]) -> Fields[Robustness]:
    """Return the columns of the table of corrupted images: means over all, and of each kind that any row has."""
    made = {name for one in rows for name in one.shares}
    kinds = [kind for kind, names in KINDS.items() if made & {*names}]
    return (
        (Head("Network"), lambda one: plain(one.network)),
        (Head("Data"), lambda one: plain(one.data)),
        (Head("Clean error", "%", numeric=True), lambda one: _error(1 - one.clean.value)),
        (Head("Mean error", "%", numeric=True, keep=2), lambda one: _error(one.error.mean)),
        *((Head(kind.capitalize(), "%", numeric=True), partial(_of_kind, kind)) for kind in kinds),
        (Head("Mean corruption error", "%", numeric=True), _relative),
        (Head("Corruptions", numeric=True), _corruptions),
    )


def _of_kind(kind: str, one: Robustness) -> Cell:
    known = [shares for name in KINDS[kind] if (shares := one.shares.get(name))]
    means = [sum(1 - share.value for share in shares.values()) / len(shares) for shares in known]
    return _error(sum(means) / len(means) if means else math.nan)


def _error(value: float) -> Cell:
    return Cell(f"{100 * value:.1f}", sort=value) if math.isfinite(value) else EMPTY


def _relative(one: Robustness) -> Cell:
    if math.isnan(one.error.relative):
        return EMPTY
    return Cell(f"{100 * one.error.relative:.1f}", f"of {plain(one.baseline)}", one.error.relative)


def _corruptions(one: Robustness) -> Cell:
    severities = sum(map(len, one.shares.values()))
    note = "" if one.whole else f"{severities} of 75 severities"
    return Cell(str(len(one.shares)), note, float(len(one.shares)))


# --- by class ---


def _classes_view(every: Evaluations) -> View:
    """Return the accuracies by class of the networks on the images of the first, those it tells worst on top."""
    first = next((one for one in every.plain if one.answers is not None), None)
    if first is None:
        return View([], [])
    alike = [one for one in every.plain if one.images_key == first.images_key and one.answers is not None]
    shown = alike[:_MOST_NETWORKS]
    columns = [{each.name: each for each in one.by_class()} for one in shown]
    names = list(columns[0])
    if len(names) > _MOST_CLASSES:
        names = sorted(names, key=lambda name: columns[0][name].right.value)[:_MOST_CLASSES]
    heads = [Head("Class"), Head("Images", numeric=True, keep=0)]
    heads += [Head(plain(one.label), "%", numeric=True) for one in shown]
    rows = []
    for name in names:
        of = columns[0][name]
        cells = [_percents(by[name].right) if name in by else EMPTY for by in columns]
        often = f"{of.taken:,} of {of.right.images:,}" if of.taken else ""
        taken = Cell(plain(of.taken_for) or DASH, often, float(of.taken))
        rows.append([Cell(plain(name), sort=plain(name)), _count(of.right.images), *cells, taken])
    return View([*heads, Head("Taken for, most often", note=plain(first.label))], rows)
