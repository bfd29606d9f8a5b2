"""Variations of a transform: what an accuracy that is not the published one may come of, and how each is tried.

A transform is as `bench.datasets.transforms.Transform` stores it, in plain values. A variation changes one thing alone,
so that what it does to the accuracy has one cause; or one together with what other variations have changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from bench.io import JsonObject

_Cause = Literal["size", "crop", "interpolation", "normalisation", "colour order", "label order"]

SEVERAL = " and "  # between causes

_FIELDS: Mapping[_Cause, tuple[str, ...]] = {
    "interpolation": ("interpolation", "antialias", "library"),
    "normalisation": ("mean", "std", "scale"),
    "colour order": ("colour",),
}
_OF_SIDES = ("resize", "crop", "crop_mode")
# px, that are in use
_SIZES = (28, 32, 48, 64, 96, 128, 160, 192, 224, 240, 256, 288, 299, 320, 384, 448, 512)
_NEAR = 2  # sizes tried to either side
_SHARES = (0.875, 0.9, 0.95, 1.0)  # of the resized side that a crop keeps, that are in use
_INTERPOLATIONS = ("bilinear", "bicubic", "nearest")
# Means and deviations that are in use: ImageNet's, halves, none, bytes, CLIP's, CIFAR-10's.
_NORMS = (
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
)


@dataclass(frozen=True, slots=True)
class Variation:
    """One change of a transform: its cause, what it sets, and that in words."""

    cause: str  # such as `crop`; of several things, `crop and interpolation`
    changes: JsonObject
    words: str

    @staticmethod
    def to_try(
        transform: JsonObject,
        published: JsonObject | None = None,
        declared: JsonObject | None = None,
    ) -> list[Variation]:
        """Return what is tried where an accuracy is not the published one, each change alone.

        All that the weights declare otherwise is also tried together.

        Args:
            transform: whole, as it was.
            published: of the published accuracy `input_size` (px), `crop` (share) and `interpolation`, as far as known.
            declared: the transform that the weights declare, whole, where another one was used.
        """
        told = published or {}
        made = [
            *_declared(transform, declared or {}),
            *_sizes(transform, told),
            *_crops(transform, told),
            *_interpolations(transform),
            *_normalisations(transform),
            *_colours(transform),
        ]
        tried, kept = [dict(transform)], []
        for one in made:
            whole = {**transform, **one.changes}
            if not any(Variation.between(other, whole)[0] == "" for other in tried):
                tried.append(whole)
                kept.append(one)
        return kept

    @staticmethod
    def further(
        transform: JsonObject, changed: JsonObject, published: JsonObject | None = None
    ) -> list[Variation]:
        """Return what is tried together with what is changed already: each other thing.

        Args:
            transform: whole, as it was.
            changed: whole, with some things changed.
            published: as of `to_try`.
        """
        causes = Variation.between(transform, changed)[0].split(SEVERAL)
        made = []
        for one in Variation.to_try(changed, published):
            if one.cause not in causes:
                whole = {**changed, **one.changes}
                cause, words = Variation.between(transform, whole)
                made.append(Variation(cause, _differing(transform, whole), words))
        return made

    @staticmethod
    def between(transform: JsonObject, other: JsonObject) -> tuple[str, str]:
        """Return in which causes another transform differs, such as ``crop and interpolation``; and how, in words."""
        changed = _differing(transform, other)
        causes: list[str] = [cause for cause, keys in _FIELDS.items() if any(key in keys for key in changed)]
        words = [_words(cause, other) for cause in causes]
        if {*_OF_SIDES} & {*changed} and _other_part(transform, other):
            causes, words = ["crop", *causes], [_crop_words(other), *words]
        if _side(transform) != _side(other):
            causes, words = ["size", *causes], [f"{_side(other)} px", *words]
        return SEVERAL.join(causes), ", ".join(words)


def _declared(transform: JsonObject, declared: JsonObject) -> Iterator[Variation]:
    """Yield what the weights declare otherwise, cause by cause, and all of it together."""
    sides: _Cause = "crop" if _side(transform) == _side(declared) else "size"
    words, made = "as the weights declare it", list[Variation]()
    for cause, keys in {sides: _OF_SIDES, **_FIELDS}.items():
        changes = {key: declared[key] for key in keys if key in declared}
        if any(_plain(transform.get(key)) != _plain(value) for key, value in changes.items()):
            made.append(Variation(cause, changes, words))
    yield from made
    if len(made) > 1:
        together = {key: value for one in made for key, value in one.changes.items()}
        yield Variation(SEVERAL.join(one.cause for one in made), together, words)


def _side(transform: JsonObject) -> int | None:
    """Return the side of the square that the network gets, in px; None where it is no square, or not known."""
    sides = transform.get("crop") or transform.get("resize")
    sides = [sides] if isinstance(sides, int) else list(sides or ())
    return int(sides[0]) if sides and len(set(sides)) == 1 else None


def _share(transform: JsonObject) -> float:
    """Return which share of the resized side the crop keeps; 1 where nothing is cropped or resized."""
    side, resize = _side(transform), transform.get("resize")
    if side is None or resize is None or transform.get("crop") is None:
        return 1.0
    shorter = resize if isinstance(resize, int) else min(resize)
    return side / shorter


def _other_part(transform: JsonObject, other: JsonObject) -> bool:
    """Return whether a transform of other sides looks at another part of the image; their size alone changes none."""
    before, side, resize = _side(transform), _side(other), other.get("resize")
    if before == side or before is None or side is None:
        return before == side
    shorter = side if resize is None else resize if isinstance(resize, int) else min(resize)
    moved = abs(shorter - side / _share(transform)) > 1  # px, by which it is rounded
    return moved or transform.get("crop_mode") != other.get("crop_mode")


def _resized(transform: JsonObject, side: int) -> int | list[int]:
    """Return a size to resize to in the form that the transform has."""
    return side if isinstance(transform.get("resize"), int) else [side, side]


def _sizes(transform: JsonObject, told: JsonObject) -> Iterator[Variation]:
    side = _side(transform)
    if side is None:
        return
    below = [size for size in _SIZES if size < side][-_NEAR:]
    above = [size for size in _SIZES if size > side][:_NEAR]
    own = [told["input_size"]] if isinstance(told.get("input_size"), int | float) else []
    for size in dict.fromkeys(map(int, [*own, *above, *reversed(below)])):
        if size == side:
            continue
        changes: JsonObject = {"resize": _resized(transform, round(size / _share(transform)))}
        if transform.get("crop") is not None:
            changes = {**changes, "crop": [size, size]}
        yield Variation("size", changes, f"{size} px")


def _crops(transform: JsonObject, told: JsonObject) -> Iterator[Variation]:
    side = _side(transform)
    if side is None or transform.get("crop") is None:
        return
    own = [float(told["crop"])] if isinstance(told.get("crop"), int | float) else []
    before = round(side / _share(transform))
    for share in dict.fromkeys([*own, *_SHARES]):
        resize = round(side / share)
        if resize != before:
            changes: JsonObject = {"resize": _resized(transform, resize)}
            yield Variation("crop", changes, f"crop of {100 * share:.3g} % of the side")
    if transform.get("crop_mode") != "squash":
        squashed: JsonObject = {"resize": [side, side], "crop_mode": "squash"}
        yield Variation("crop", squashed, "the whole image, squashed")


def _interpolations(transform: JsonObject) -> Iterator[Variation]:
    if transform.get("resize") is None:
        return
    for name in _INTERPOLATIONS:
        if name != transform.get("interpolation"):
            yield Variation("interpolation", {"interpolation": name}, name)


def _normalisations(transform: JsonObject) -> Iterator[Variation]:
    mean, std = _norm(transform)
    for own_mean, own_std in _NORMS:
        # Of grey images, the mean of the three channels.
        means, stds = (list(v) if len(mean) != 1 else [sum(v) / len(v)] for v in (own_mean, own_std))
        if not (_near(mean, means) and _near(std, stds)):
            yield Variation("normalisation", {"mean": means, "std": stds}, _norm_words(means, stds))


def _near(one: list[float], other: list[float]) -> bool:
    return len(one) == len(other) and all(
        abs(a - b) < 2e-3 * max(abs(b), 1e-3) for a, b in zip(one, other, strict=True)
    )


def _norm(transform: JsonObject) -> tuple[list[float], list[float]]:
    mean, std = ([float(v) for v in transform.get(key) or ()] for key in ("mean", "std"))
    return mean, std


def _norm_words(mean: list[float], std: list[float]) -> str:
    return f"mean {_numbers(mean)}, deviation {_numbers(std)}"


def _numbers(values: list[float]) -> str:
    texts = [f"{value:.3g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else ", ".join(texts)


def _colours(transform: JsonObject) -> Iterator[Variation]:
    if transform.get("channels", 3) == 3:
        other = "bgr" if transform.get("colour", "rgb") == "rgb" else "rgb"
        yield Variation("colour order", {"colour": other}, other.upper())


def _differing(transform: JsonObject, other: JsonObject) -> JsonObject:
    """Return the fields of another transform that have other values."""
    return {key: value for key, value in other.items() if _plain(transform.get(key)) != _plain(value)}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _crop_words(transform: JsonObject) -> str:
    if transform.get("crop_mode", "center") != "center":
        return f"crop mode {transform['crop_mode']}"
    return f"crop of {100 * _share(transform):.3g} % of the side"


def _words(cause: str, transform: JsonObject) -> str:
    if cause == "colour order":
        return str(transform.get("colour")).upper()
    if cause == "normalisation":
        return _norm_words(*_norm(transform))
    how = "" if transform.get("antialias", True) else ", not antialiased"
    return f"{transform.get('interpolation')} by {transform.get('library', 'pil')}{how}"
