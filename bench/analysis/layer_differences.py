"""Which layers make the difference between the times of two networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench.analysis.frame import to_frame
from bench.analysis.layers import Layer, LayerTable, joined
from bench.records.store import Run, latest
from bench.stats.comparisons import two_groups
from bench.stats.effects import Effect
from bench.stats.samples import median
from bench.stats.verdicts import corrected


@dataclass(frozen=True, slots=True)
class Difference:
    """A layer of a network and the one of another that stands in its place; None where there is none.

    `effect` is the time of the first less that of the second, in s, with its p corrected for the number of layers.
    """

    of: Layer | None
    against: Layer | None
    effect: Effect

    @property
    def certain(self) -> bool:
        """Whether it is so for certain, see `is_certain`."""
        return is_certain(self.effect)

    @property
    def is_alike(self) -> bool:
        """Whether the two are of one class and shape, and do the same work."""
        if self.of is None or self.against is None:
            return False
        work = ("type", "output", "parameters", "macs", "bytes")
        return all(getattr(self.of, name) == getattr(self.against, name) for name in work)


def is_certain(effect: Effect) -> bool:
    """Return whether the whole interval lies on one side of nothing, and p is at most 0.05."""
    return effect.p <= 0.05 and (effect.low > 0 or effect.high < 0)


def whole_difference(of: LayerTable, against: LayerTable) -> Effect:
    """Return the time of a network less that of another, in s, over processes."""
    return two_groups(of.times, against.times, unit="processes")


@dataclass(frozen=True, slots=True)
class Place:
    """A module that nearly all of the difference of two networks is in, though none of its layers may stand out.

    `effect` is the time of its layers together in the first network less that in the other, in s.
    """

    module: str
    layers: int
    effect: Effect


def place_of_difference(of: LayerTable, against: LayerTable) -> Place | None:
    """Return the innermost module of several layers that nearly all of the difference is in; None where none is.

    It is looked for from the outside on, by medians; that it differs is tested for as many modules as there are layers.
    """
    tables, module = (of, against), ""
    while gap := _gap(*tables, module):
        inner = dict.fromkeys(
            name for table in tables for path in _paths(table, module) if (name := _next(path, module))
        )
        near = [name for name in inner if _NEARLY <= _gap(*tables, name) / gap <= 1 / _NEARLY]
        if len(near) != 1:
            break
        (module,) = near
    layers = max(len(list(_paths(table, module))) for table in tables)
    effect = two_groups(_together(of, module), _together(against, module), unit="processes")
    tested = replace(effect, p=min(1.0, effect.p * max(len(table.layers) for table in tables)))
    return Place(module, layers, tested) if module and layers > 1 and is_certain(tested) else None


_NEARLY = 0.8


def _paths(table: LayerTable, module: str) -> Iterator[tuple[str, ...]]:
    """Yield the paths of the layers within a module, itself among them; of all where it is empty."""
    yield from (layer.path for layer in table.layers if not module or module in layer.path)


def _next(path: Sequence[str], module: str) -> str:
    """Return what is inside a module on the way to a layer; empty where that is its own."""
    return next(iter(path[path.index(module) + 1 :] if module else path), "")


def _together(table: LayerTable, module: str) -> list[float]:
    """Return the time of all layers within a module, of each process."""
    inside = (layer.times for layer in table.layers if not module or module in layer.path)
    return [math.fsum(each) for each in zip([0.0] * len(table.times), *inside, strict=True)]


def _gap(of: LayerTable, against: LayerTable, module: str) -> float:
    return median(_together(of, module)) - median(_together(against, module))


def layer_differences(of: LayerTable, against: LayerTable) -> list[Difference]:
    """Return the layers of two networks side by side, those that differ most in time first.

    Layers are told to be each other's by aligning the two sequences of calls: by class, shape, work and name. Those of
    a module that has no counterpart are told as one, the module.
    """
    pairs = list(_modules_alone(list(_aligned(of.layers, against.layers))))
    effects = corrected([_effect(*pair, len(of.times), len(against.times)) for pair in pairs])
    differences = [Difference(*pair, effect) for pair, effect in zip(pairs, effects, strict=True)]
    return sorted(differences, key=lambda d: -abs(d.effect.estimate))


def foremost(differences: Sequence[Difference], most: int) -> list[Difference]:
    """Return up to so many differences, in their order: of more, those that are certain have the room."""
    kept = sorted(range(len(differences)), key=lambda i: not differences[i].certain)[:most]
    return [differences[i] for i in sorted(kept)]


def compared_layers(run: Run) -> list[tuple[LayerTable, LayerTable]]:
    """Return the first network of a comparison beside each of its baselines whose layers were timed alike."""
    timed = [r for r in latest(run.records).values() if r.job.task == "versus"]
    if not timed:
        return []
    settings = timed[-1].job.settings.content
    networks = {one["label"]: one["arch"] for one in settings["networks"]}
    tables = {table.arch: table for table in LayerTable.in_frame(to_frame([run]))}
    first, *others = (tables.get(networks[label]) for label in settings["labels"])
    return [] if first is None else [(first, other) for other in others if other is not None]


def _effect(a: Layer | None, b: Layer | None, n: int, m: int) -> Effect:
    """Return the difference of two layers' times over processes, or the whole time of one that has no partner."""
    times = a.times if a else (0.0,) * n, b.times if b else (0.0,) * m
    return two_groups(*times, unit="processes")


_Pair = tuple[Layer | None, Layer | None]


def _modules_alone(pairs: Sequence[_Pair]) -> Iterator[_Pair]:
    """Yield the pairs, with all layers of the outermost module in which none has a partner as one."""
    partners = {module for a, b in pairs if a and b for layer in (a, b) for module in layer.path}
    modules: dict[tuple[bool, str], list[Layer]] = {}
    for a, b in pairs:
        layer = (a or b) if partners and not (a and b) else None
        module = next((name for name in layer.path if name not in partners), "") if layer else ""
        if layer and module:
            modules.setdefault((layer is a, module), []).append(layer)
        else:
            yield a, b
    for (is_first, module), layers in modules.items():
        one = layers[0] if len(layers) == 1 else _as_one(module, layers)
        yield (one, None) if is_first else (None, one)


def _as_one(module: str, layers: Sequence[Layer]) -> Layer:
    """Return the layers of a module as one, with the shape that its own functions put out, or else its last layer."""
    path = layers[0].path[: layers[0].path.index(module) + 1]
    last = layers[0] if layers[0].path == path else layers[-1]
    depth = layers[0].depth - (len(layers[0].path) - len(path))
    one = joined(layers, module, "module", f"{len(layers)} layers", depth)
    return replace(one, path=path, output=last.output)


_OF_ALL = ("group", "inner")  # of which a network has one at most
_GAP = -1.0
_ALIKE = 4.0


def _likeness(a: Layer, b: Layer) -> float:
    """Return how much two layers seem to be the same one of two networks; below two gaps where they are not."""
    if a.kind == b.kind and (a.kind in _OF_ALL or a.depth == b.depth == 0):
        return _ALIKE  # the networks themselves, whatever they are called, or all that is short
    same = (a.type == b.type, a.name == b.name, a.output[1:] == b.output[1:], a.macs == b.macs)
    # Of another class, only what stands in the same place.
    if a.kind != b.kind or not (same[0] or all(same[1:])):
        return -math.inf
    return _ALIKE * sum(same) / len(same)


def _aligned(first: Sequence[Layer], second: Sequence[Layer]) -> Iterator[_Pair]:
    """Yield the layers of two sequences in pairs, in order, by the alignment with the highest sum of likenesses.

    Source: Needleman and Wunsch, Journal of Molecular Biology 48, 1970.
    """
    scores = [[_GAP * (i + j) for j in range(len(second) + 1)] for i in range(len(first) + 1)]
    for i, a in enumerate(first, start=1):
        for j, b in enumerate(second, start=1):
            pair = scores[i - 1][j - 1] + _likeness(a, b)
            scores[i][j] = max(pair, scores[i - 1][j] + _GAP, scores[i][j - 1] + _GAP)
    i, j = len(first), len(second)
    pairs: list[_Pair] = []
    while i or j:
        if i and j and scores[i][j] == scores[i - 1][j - 1] + _likeness(first[i - 1], second[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((first[i], second[j]))
        elif i and scores[i][j] == scores[i - 1][j] + _GAP:
            i -= 1
            pairs.append((first[i], None))
        else:
            j -= 1
            pairs.append((None, second[j]))
    yield from reversed(pairs)
