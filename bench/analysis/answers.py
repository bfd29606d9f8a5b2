"""Answers: which network is the fastest at an input size, what accuracy costs there, and which to take for a budget.

A number is sure, and a network ahead, by the rule of the marks in the tables (`bench.analysis.flags`); budgets are held
and accuracies told apart as `bench choose` has it (`bench.analysis.choosing`). Nothing is compared across input sizes,
machines, channels or classes, nor are accuracies across the ways in which they were tested.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bench.analysis.accuracy import accuracy_table
from bench.analysis.choosing import Budget, Choice, choose, pareto_front, told_apart
from bench.analysis.comparison import setting_words
from bench.analysis.evaluations import Evaluation, Evaluations
from bench.analysis.flags import Leaders, Row, unsure
from bench.analysis.keys import grouped
from bench.analysis.layers import LayerTable
from bench.analysis.shapes import as_published, as_trained
from bench.plan.task import INPUT, TAUGHT
from bench.records.flags import doubts, spoken
from bench.units import Better, Scale, percent, ranged, show, significant

_ALIKE = ("device_name", "device", *INPUT)
_PUBLISHED_IMAGES = (
    50_000  # of ImageNet's validation, of which accuracies in a thousand classes are published
)
_MOST_TRAININGS = 3  # conditions of trainings that have a sentence
_MOST_NAMES = 3
_MOST_BUDGETS = 5
_ROUND = (1, 2, 3, 5, 7)


@dataclass(frozen=True, slots=True)
class Pick:
    """The network to take for a budget.

    Attributes:
        budget: seconds an image.
        network: its label; of those that do not hold the budget the nearest, where none does for certain.
        accuracy: a share.
        time: seconds an image, with its interval from `low` to `high`; NaN where there is none.
        way: how the accuracy was tested; empty where that is the same for all.
        doubt: why another may be the one, in words; empty where this one is certain.
    """

    budget: float
    network: str
    accuracy: float
    time: float
    low: float
    high: float
    way: str
    doubt: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What can be said of one input size on one machine.

    Attributes:
        sentences: which is the fastest, and what the others gain for how much more time.
        title: input size, machine and precision.
        columns: of the comparison, that have the times and the accuracies.
        accuracy: what the accuracies of the picks are, such as ``top-1, published``.
        time: what their times are of, such as ``one image alone``.
        picks: one a budget, the least first.
        left_out: networks that were timed and have no accuracy.
    """

    sentences: tuple[str, ...]
    title: str = ""
    columns: tuple[str, str] | None = None
    accuracy: str = ""
    time: str = ""
    picks: tuple[Pick, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Speed:
    """A column of the comparison that says how fast a network is."""

    column: str
    better: Better
    within: str | None  # a further column in which rows agree that are compared
    of: str

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return those that have a number; of several batches those at the one that most rows have, but for batch 1."""
        timed: pd.DataFrame = rows[rows[self.column].notna()]
        if self.within is None or timed.empty:
            return timed
        counts = Counter(timed[self.within].tolist())
        batch = max(counts, key=lambda size: (counts[size], size))
        same: pd.DataFrame = timed[(timed[self.within] == batch) & (self is _TRAINING or batch > 1)]
        return same

    def words(self, row: Row) -> str:
        """Return ``one image at a time`` or ``in batches of 256``, as a sentence has it."""
        if self.within is None:
            return self.of
        steps = "training steps" if self is _TRAINING else "batches"
        return f"in {steps} of {row[self.within]:.0f}"

    def text(self, row: Row) -> str:
        """Return the number with its interval."""
        value, low, high = (float(row[f"{self.column}{end}"]) for end in ("", "_low", "_high"))
        return ranged(value, low, high, Scale.of(value, "s" if self.column == "latency" else "1/s"))

    def ahead(self, rows: Sequence[Row]) -> Leaders:
        """Return who is ahead of rows that may all be compared."""
        texts = [self.text(row).partition(" (")[0] for row in rows]
        return next(Leaders.among(rows, self.column, self.better, texts=texts))

    def seconds(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the seconds an image of each row, with their interval."""
        value, low, high = (rows[f"{self.column}{end}"].astype(float) for end in ("", "_low", "_high"))
        if self.column != "latency":
            value, low, high = 1 / value, 1 / high, 1 / low
        return pd.DataFrame({"latency": value, "latency_low": low, "latency_high": high})


_ALONE = _Speed("latency", "lower", None, "one image at a time")
_IN_BATCHES = _Speed("throughput", "higher", "batch_size", "an image in a batch")
_TRAINING = _Speed("train_throughput", "higher", "train_batch_size", "an image in a training step")
_SPEEDS = (_ALONE, _IN_BATCHES, _TRAINING)


def answers(table: pd.DataFrame, frame: pd.DataFrame) -> list[Answer]:
    """Return what a report opens with, of each input size and machine, the most networks first; then of trainings.

    Args:
        table: of `bench.analysis.comparison.compare_table`.
        frame: that it was made of.
    """
    timed = table[table[[speed.column for speed in _SPEEDS]].notna().any(axis=1)]
    groups = [rows for _, rows in timed.groupby(list(_ALIKE), sort=False, dropna=False)]
    groups.sort(key=lambda rows: -rows["network"].nunique())  # stable: else in the order of the table
    several = [rows for rows in groups if len(rows) > 1]
    said = [_of_size(rows) for rows in several]
    said += _alone([rows.iloc[0].to_dict() for rows in groups if len(rows) == 1], bool(several))
    said += [Answer((sentence,)) for sentence in _trainings(accuracy_table(frame))]
    said += [Answer((sentence,)) for sentence in _evaluated(Evaluations.of(frame))]
    said += [Answer((_by_layer(layers),)) for layers in LayerTable.in_frame(frame)]
    return said or [Answer((_nothing(table),))]


def _nothing(table: pd.DataFrame) -> str:
    counted = table[table["macs"].notna()].sort_values("macs", kind="stable")
    if counted.empty:
        return "There is no record yet." if table.empty else "Nothing has been measured yet."
    if len(counted) == 1:
        return f"Nothing was timed or trained; {counted['label'].iloc[0]} was counted."
    least, most = (
        f"{row['label']} ({show(row['macs'], 'MAC')})" for _, row in counted.iloc[[0, -1]].iterrows()
    )
    return f"Nothing was timed or trained; {len(counted)} networks were counted, from {least} to {most}."


def _by_layer(table: LayerTable) -> str:
    """Return the sentence on a network that was timed layer by layer: how long it takes, and where most of it goes."""
    what = "a training step" if table.training else "a forward pass"
    how = f"batch {table.how['batch_size']:.0f} at {table.input_size} px in {table.how['precision']}"
    single = (layer for layer in table.layers if layer.kind == "layer")
    longest = sorted(single, key=lambda layer: -layer.time.estimate)[:_MOST_NAMES]
    of_it = [f"{layer.name} ({percent(layer.time.estimate / table.network.estimate)})" for layer in longest]
    most = f"; the longest of its layers: {_joined(of_it)}" if of_it else ""
    return f"{table.arch}, {what}, {how}: {table.time}{most}."


# --- weights on images ---


def _evaluated(every: Evaluations) -> Iterator[str]:
    """Yield a sentence on each data set that weights were evaluated on: who tells the most images right, how surely."""
    by_images = grouped((one for one in every.plain if one.top1.images), lambda one: one.images_key)
    tested = {_together(p.data, p.network, p.baseline): p.effect.verdict for p in every.pairs()}
    for group in by_images.values():
        best, *others = sorted(group, key=lambda one: -one.top1.value)
        verdicts = [tested.get(_together(best.data, best.label, one.label), "undecided") for one in others]
        near = [one for one, word in zip(others, verdicts, strict=True) if word == "undecided"]
        yield _most_right(best, others, near)


def _together(data: str, one: str, other: str) -> tuple[str, frozenset[str]]:
    """Return what tells two networks on some images: what was decided on others says nothing of these."""
    return data, frozenset((one, other))


def _most_right(best: Evaluation, others: Sequence[Evaluation], near: Sequence[Evaluation]) -> str:
    what = f"{_right(best)} of {best.top1.images:,} images right"
    doubted = spoken(*doubts(best.flags))
    if not others:
        return f"On {best.data}, {best.label} tells {what}{f', in doubt ({doubted})' if doubted else ''}."
    if doubted:
        ahead = f"{best.label} is ahead, {what}, which is in doubt ({doubted})"
        return f"On {best.data}, no network tells the most for certain: {ahead}."
    head = f"On {best.data}, {best.label} tells the most, {what}"
    if not near:
        return f"{head}, certainly more than the other {len(others) if len(others) > 1 else 'one'}."
    return f"{head}; that is not certainly more than {_joined([f'{one.label} ({_right(one)})' for one in near])}."


def _right(one: Evaluation) -> str:
    low, high = one.top1.interval
    return f"{percent(one.top1.value)} ({percent(low)} to {percent(high)})"


def _alone(rows: Sequence[Row], others: bool) -> list[Answer]:
    """Return the sentence on networks that are compared with nothing."""
    if not rows:
        return []
    speeds = [next(speed for speed in _SPEEDS if not math.isnan(row[speed.column])) for row in rows]
    texts = [
        f"{row['label']} at {_shape(row, rows)}, {speed.text(row)}{_beside(row, speed)}"
        for row, speed in zip(rows, speeds, strict=True)
    ]
    apart = others or len(rows) > 1
    what = "Not ranked, as no other has the same input, classes and machine" if apart else "Timed alone"
    return [Answer((f"{what}: {'; '.join(texts)}.",))]


def _shape(row: Row, rows: Sequence[Row]) -> str:
    """Return a network's input size, with channels and classes where they set it apart from another of that size."""
    alike = [one for one in rows if one["input_size"] == row["input_size"]]
    words = [f"{row['input_size']:.0f} px"]
    for key, one, several in (("in_channels", "channel", "channels"), ("num_classes", "class", "classes")):
        if len({other[key] for other in alike}) > 1 and not math.isnan(row[key]):
            words.append(f"{row[key]:.0f} {one if row[key] == 1 else several}")
    return ", ".join(words)


def _beside(row: Row, speed: _Speed) -> str:
    doubts = unsure(row, speed.column, exact=False)
    return f", {spoken(*doubts)}" if doubts else ""


def _joined(names: Sequence[str], most: int = _MOST_NAMES, word: str = "and") -> str:
    """Return ``a, b and c``, and of more than `most` names ``a, b, c and 4 more``."""
    if len(names) > most + 1:
        names = [*names[:most], f"{len(names) - most} more"]
        word = "and"
    return f" {word} ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


# --- one input size on one machine ---


def _of_size(rows: pd.DataFrame) -> Answer:
    """Return the answer on rows of one machine, input size, channels and classes."""
    first = rows.iloc[0].to_dict()
    machine = first["device_name"] if isinstance(first["device_name"], str) else first["device"]
    settings = setting_words(first, ["precision"]) if rows["precision"].nunique() == 1 else []
    where = " in ".join([f"At {first['input_size']:.0f} px on {machine}", *settings])
    timed = [(speed, some) for speed in _SPEEDS if len(some := speed.rows(rows))]
    records = {speed: some.to_dict("records") for speed, some in timed}
    sure = [speed for speed, some in records.items() if speed.ahead(some).sure]
    # What is in doubt altogether decides nothing, and another speed may.
    deciding = next((speed for speed in sure if speed is not _TRAINING), timed[0][0])
    told = [s for s in records if s is not _IN_BATCHES or deciding is s or s is timed[0][0]]
    sentences = [_fastest(where if s is told[0] else "There", s, records[s]) for s in told]
    answer = Answer(tuple(sentences), where.removeprefix("At "))
    return answer if deciding is _TRAINING else _with_accuracies(answer, deciding, deciding.rows(rows))


def _fastest(where: str, speed: _Speed, rows: Sequence[Row]) -> str:
    """Return the sentence on who is the fastest."""
    told = [(row["label"], text := speed.text(row), f"{row['label']} ({text})") for row in rows]
    ahead = speed.ahead(rows)
    what = f"{where}, {speed.words(rows[0])}"
    return _foremost(what, "fastest", "times", told, ahead=ahead, why=_why(rows, ahead, speed.column))


def _foremost(
    what: str, most: str, numbers: str, told: Sequence[tuple[str, str, str]], *, ahead: Leaders, why: str
) -> str:
    """Return the sentence on who is the fastest, or the most accurate.

    Args:
        what: where, as the sentence begins.
        most: ``fastest``.
        numbers: what is compared, such as ``times``.
        told: of each row its name, its number, and both together.
        ahead: who is.
        why: the doubts of those that are ahead and not sure.
    """
    count, sure = len(ahead.rows), len(ahead.sure)
    if 2 * len(ahead.unsure) > count:  # the first that is sure, if any, comes too late to say who is ahead
        doubted = f"{count - sure} of {count}" if sure else f"all {count}"
        leader = f"{told[ahead.rows[0]][2]} is ahead, and {doubted} {numbers} are in doubt ({why})"
        return f"{what}, no network is the {most} for certain: {leader}."
    first, number, both = told[ahead.sure[0]]
    of = f"{what}, the {most} of {len(told)} is undecided"
    if ahead.unsure:
        names = [told[i][0] for i in ahead.unsure]
        doubt = f"{_joined(names)} {'is' if len(names) == 1 else 'are'} ahead and in doubt ({why})"
        return f"{of}: {doubt}; without a doubt the first is {both}."
    if ahead.near:
        return f"{of} between {_joined([both, *(told[i][2] for i in ahead.near)])}."
    if sure == 1:
        return f"{what}, the only one of {len(told)} without a doubt is {both}."
    return f"{what}, {first} is the {most} of {len(told)} at {number}."


def _why(rows: Sequence[Row], ahead: Leaders, column: str) -> str:
    """Return the doubts of those that are ahead and not sure."""
    return spoken(*dict.fromkeys(flag for i in ahead.unsure for flag in unsure(rows[i], column, exact=False)))


# --- with accuracies ---


@dataclass(frozen=True, slots=True)
class _Accuracies:
    """Accuracies of one kind: candidates for `bench.analysis.choosing.choose`, with `way` and `doubts` as well."""

    column: str  # of the comparison
    words: str
    images: int | None  # that they are of; None where they have intervals over seeds
    candidates: pd.DataFrame


def _with_accuracies(answer: Answer, speed: _Speed, rows: pd.DataFrame) -> Answer:
    """Return the answer with what the accuracies of its networks come to, where two have any."""
    known = _accuracies(speed, rows)
    if known is None or len(known.candidates) < 2:
        missing = "No two of them have an accuracy: they were not trained at this size, and none is published for it."
        return replace(answer, sentences=(*answer.sentences, missing))
    times = known.candidates["latency"]
    return replace(
        answer,
        sentences=(*answer.sentences, *_gains(known)),
        columns=(speed.column, known.column),
        accuracy=known.words,
        time=speed.of if speed is _ALONE else f"{speed.of} of {rows['batch_size'].iloc[0]:.0f}",
        picks=tuple(_pick(known, budget) for budget in _budgets_of(times.min(), times.max())),
        left_out=tuple(sorted(_without(rows, known))),
    )


def _accuracies(speed: _Speed, rows: pd.DataFrame) -> _Accuracies | None:
    """Return what was trained under the same conditions in the shape that was timed, else what is published for it."""
    own = rows[as_trained(rows) & rows["accuracy"].notna()]
    groups = _of_several(own, TAUGHT)
    if groups:
        trained = max(groups, key=len)
        words = ", ".join(setting_words(trained.iloc[0].to_dict(), TAUGHT))
        found = _candidates(speed, trained.assign(way=""), "accuracy")
        return _Accuracies("accuracy", f"top-1 on {words}", None, found)
    published = rows[rows["published_top1"].notna() & as_published(rows)]
    if published.empty or published["num_classes"].iloc[0] != 1000:
        return None
    found = _candidates(speed, published.assign(way=_ways(published)), "published_top1")
    return _Accuracies("published_top1", "top-1, published", _PUBLISHED_IMAGES, found)


def _of_several(rows: pd.DataFrame, keys: Sequence[str]) -> list[pd.DataFrame]:
    """Return the groups of rows that agree in some columns and are of several networks."""
    groups = (some for _, some in rows.groupby(list(keys), sort=False, dropna=False))
    return [some for some in groups if some["network"].nunique() > 1]


def _without(rows: pd.DataFrame, known: _Accuracies) -> set[str]:
    """Return the networks of some rows that have no accuracy, by their labels."""
    named = rows.loc[rows["label"].isin(known.candidates["network"]), "network"]
    return set(rows.loc[~rows["network"].isin(named), "label"])


def _ways(published: pd.DataFrame) -> list[str]:
    """Return how each published accuracy was tested; empty texts where all were tested alike."""
    ways = [way if isinstance(way, str) and way else "untold" for way in published["published_protocol"]]
    return ways if len(set(ways)) > 1 else [""] * len(ways)


def _candidates(speed: _Speed, rows: pd.DataFrame, accuracy: str) -> pd.DataFrame:
    """Return the networks of some rows, each as it ran fastest.

    An accuracy is the network's: it tells nothing of the ways in which that ran, such as engines.
    """
    doubtful = [speed.column, *(["accuracy"] if accuracy == "accuracy" else [])]
    doubts = [
        spoken(*(doubt for column in doubtful for doubt in unsure(row, column, exact=False)))
        for row in rows.to_dict("records")
    ]
    ends = {f"accuracy_{end}": rows.get(f"{accuracy}_{end}", math.nan) for end in ("low", "high")}
    known = {
        "network": rows["label"],
        "accuracy": rows[accuracy],
        **ends,
        "doubts": doubts,
        "way": rows["way"],
    }
    found = pd.DataFrame(known).join(speed.seconds(rows))
    fastest_first = found.sort_values("latency", kind="stable").index
    kept = rows.loc[fastest_first].drop_duplicates(["run", "network"]).index
    return found[found.index.isin(kept)].reset_index(drop=True)


def _gains(known: _Accuracies) -> Iterator[str]:
    """Yield what more accurate networks gain on the fastest, and for how many times its time, of those without a doubt.

    Of accuracies that were tested in several ways, within the way that most have; the others are named. Named are the
    network that gains most for a doubling of the time, and the most accurate one.
    """
    sure = known.candidates[known.candidates["doubts"] == ""]
    if len(sure) < 2:
        return
    way = str(sure["way"].value_counts(sort=False).idxmax())  # of equal counts the first
    same = sure[sure["way"] == way]
    if len(same) < 2:
        yield (
            f"Their accuracies ({known.words}) were each tested in a way of its own, and do not compare: "
            f"{_by_way(sure)}."
        )
        return
    yield from _gained(known, same, way)
    otherwise = known.candidates[known.candidates["way"] != way]
    if len(otherwise):
        yield f"Tested in other ways, and so not compared with these: {_by_way(otherwise)}."


def _by_way(rows: pd.DataFrame, most: int = _MOST_NAMES) -> str:
    """Return ``vgg16 and vgg19 (dense) and resnet18 (1 crop)``, candidates with how their accuracy was tested."""
    names = {str(way): some["network"].tolist() for way, some in rows.groupby("way", sort=False)}
    return _joined([f"{_joined(some, most)} ({way})" for way, some in names.items()], 4)


def _gained(known: _Accuracies, same: pd.DataFrame, way: str) -> Iterator[str]:
    """Yield the gains among candidates without a doubt whose accuracies were tested in one way."""
    base = same.iloc[int(same["latency"].to_numpy().argmin())]
    better = same[
        told_apart(same, base, known.images)
        & (same["accuracy"] > base["accuracy"])
        & (same["latency_low"] > base["latency_high"])
    ]
    tested = f"of those tested on {way}, " if way else ""
    if better.empty:
        yield f"By {known.words}, {tested}none is more accurate than {base['network']} for certain."
        return
    front = better[pareto_front(better, "latency", "accuracy")].to_dict("records")
    most = max(
        front,
        key=lambda one: (one["accuracy"] - base["accuracy"]) / math.log(one["latency"] / base["latency"]),
    )
    best = max(front, key=lambda one: one["accuracy"])
    gain = f"gains {_points(most, base)} points on {base['network']} for {_times(most, base)} times the time"
    doubted = known.candidates[(known.candidates["doubts"] != "") & (known.candidates["way"] == way)]
    ahead = doubted[doubted["accuracy"] > best["accuracy"]].to_dict("records")
    first = "the most accurate of those without a doubt" if ahead else "the most accurate"
    further = f", and {best['network']}, {first}, {_points(best, base)} points for {_times(best, base)} times the time"
    yield f"By {known.words}, {tested}{most['network']} {gain}{further if best is not most else ''}."
    if ahead:
        names = _joined([f"{one['network']} ({percent(one['accuracy'])}, {one['doubts']})" for one in ahead])
        yield f"More accurate still, with a time in doubt: {names}."


def _points(one: Row, base: pd.Series) -> str:
    return f"{100 * (one['accuracy'] - base['accuracy']):.1f}"


def _times(one: Row, base: pd.Series) -> str:
    return significant(one["latency"] / base["latency"], 2)


# --- budgets ---


def _budgets_of(least: float, most: float) -> list[float]:
    """Return 1, 2, 3, 5 and 7 times powers of ten from the least time on, at most five, evenly thinned.

    The last is the first that the largest time is within: each network holds one of them.
    """
    powers = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 2)
    steps = [float(f"{k}e{power}") for power in powers for k in _ROUND]
    last = next(step for step in steps if step >= most)
    held = [step for step in steps if least <= step <= last]
    kept = np.linspace(0, len(held) - 1, min(len(held), _MOST_BUDGETS)).round().astype(int)
    return [held[i] for i in kept]


def _pick(known: _Accuracies, budget: float) -> Pick:
    choice = choose(known.candidates.assign(throughput=math.nan), [Budget("latency", budget)], known.images)
    one = choice.best if choice.best is not None else choice.nearest
    assert one is not None
    doubt = "none holds it for certain" if choice.best is None else _doubt(choice, one)
    keys = ("accuracy", "latency", "latency_low", "latency_high")
    accuracy, time, low, high = (float(one[key]) for key in keys)
    return Pick(budget, str(one["network"]), accuracy, time, low, high, str(one["way"]), doubt)


def _doubt(choice: Choice, one: pd.Series) -> str:
    """Return why another may be the most accurate within the budget."""
    holding = choice.candidates[choice.candidates["holds"] != "no"]
    otherwise = holding[holding["way"] != one["way"]]
    others = [name for name in choice.rivals["network"] if name not in set(otherwise["network"])]
    near = [name for name in choice.open["network"] if name not in set(otherwise["network"])]
    doubts = [
        one["doubts"],
        f"as accurate may be {_joined(others, word='or')}" if others else "",
        f"{_joined(near, word='or')} may hold it, too" if near else "",
        f"not compared, tested otherwise: {_by_way(otherwise, 2)}" if len(otherwise) else "",
    ]
    return "; ".join(filter(None, doubts))


# --- trainings ---


def _trainings(table: pd.DataFrame) -> Iterator[str]:
    """Yield which of the networks that were trained under the same conditions is the most accurate."""
    trained = table[table["accuracy"].notna()]
    if trained.empty:
        return
    groups = _of_several(trained, (*TAUGHT, *INPUT))
    for rows in groups[:_MOST_TRAININGS]:
        yield _most_accurate(rows.to_dict("records"))
    if len(groups) > _MOST_TRAININGS:
        yield f"The table of trainings has {len(groups) - _MOST_TRAININGS} more conditions."
    if not groups:
        yield (
            f"{len(trained)} trainings, none under the conditions of another, so that they are not ranked: the best "
            f"came to {percent(trained['accuracy'].max())}."
            if len(trained) > 1
            else f"Trained alone: {trained['network'].iloc[0]}, {_accuracy(trained.iloc[0].to_dict())}."
        )


def _accuracy(row: Row) -> str:
    ends = [row[f"accuracy_{end}"] for end in ("low", "high")]
    around = "" if any(map(math.isnan, ends)) else " ({:.1f} – {:.1f})".format(*(100 * end for end in ends))
    return percent(row["accuracy"]) + around


def _most_accurate(rows: Sequence[Row]) -> str:
    texts = [percent(row["accuracy"]) for row in rows]
    ahead = next(Leaders.among(rows, "accuracy", "higher", texts=texts))
    words = setting_words(rows[0], [*TAUGHT[1:], "input_size"])
    where = f"Trained on {rows[0]['dataset']} ({', '.join(words)})"
    told = [(row["network"], text := _accuracy(row), f"{row['network']}, {text}") for row in rows]
    if ahead.near and not ahead.unsure:  # those that are near each other are told without their intervals
        told = [(name, text, f"{name} ({text.partition(' (')[0]})") for name, text, _ in told]
    why = _why(rows, ahead, "accuracy")
    return _foremost(where, "most accurate", "accuracies", told, ahead=ahead, why=why)
