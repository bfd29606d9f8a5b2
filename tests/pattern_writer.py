"""Networks written as layer patterns: the way back, by which the tests hold what is built against what was read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from bench.archs.pattern._language import Layer, Pattern, _Group, _layer, parse
from bench.archs.pattern._network import _ACTIVATIONS, _module_of
from bench.errors import UnsupportedError

_WORDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "CONV",
    nn.MaxPool2d: "POOL",
    nn.AvgPool2d: "AVGPOOL",
    nn.AdaptiveAvgPool2d: "GAP",
    nn.LocalResponseNorm: "LRN",
    nn.BatchNorm1d: "BN",
    nn.BatchNorm2d: "BN",
    nn.Dropout: "DROP",
    nn.Linear: "FC",
    **{kind: word for word, kind in _ACTIVATIONS.items()},
}
# What torch calls the fields of a layer.
_FIELDS = {"kernel_size": "window", "out_channels": "width", "out_features": "width", "p": "rate"}
_FIELDS |= {name: name for name in ("stride", "padding", "dilation", "groups")}
_INPUTS = ("in_channels", "in_features", "num_features")


def to_pattern(model: nn.Sequential) -> str:
    """Write a network of torch's own layers, one behind the other, as a pattern without groups.

    Built for the same images and classes, it gives equal layers. What the network does not say is left open:
    the images' shape, and the width of its last layer where that is fully connected. `fold` finds groups.

    Raises:
        UnsupportedError: for a layer, or a setting of one, that patterns have no word for.
    """
    layers: list[Layer] = []
    for name, module in _flat(model):
        if type(module) is nn.Flatten:
            continue
        one = _layer_of(module)
        if one is None or one.rate == 1 or not _says_all(one, module, any(m.word == "FC" for m in layers)):
            raise UnsupportedError(f"a pattern cannot say {name}, which is {module}")
        layers.append(one)
    if layers and layers[-1].word == "FC":
        layers[-1] = replace(layers[-1], width=None)
    return str(Pattern(tuple(layers)))


def _flat(model: nn.Sequential, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers, those of inner sequences too, under their full names; subsampling is one layer."""
    for name, module in model.named_children():
        if isinstance(module, nn.Sequential) and not _subsamples(module):
            yield from _flat(module, f"{prefix}{name}.")
        else:
            yield prefix + name, module


def _subsamples(module: nn.Sequential) -> bool:
    """Return whether it is an average that is scaled by channel."""
    match list(module):
        case [nn.AvgPool2d(), nn.Conv2d(in_channels=channels, groups=groups)]:
            return bool(channels == groups)
    return False


def _layer_of(module: nn.Module) -> Layer | None:
    """Return what a module is by its type and main settings, if there is a word for it."""
    if isinstance(module, nn.Sequential):
        average = _layer_of(module[0])
        return average and replace(average, word="SUBSAMPLE")
    word = _WORDS.get(type(module))
    given = {field: _one(getattr(module, name)) for name, field in _FIELDS.items() if hasattr(module, name)}
    if word is None or not all(isinstance(v, int | float) for v in given.values()):
        return None  # such as a window that is not square
    return _layer(word, **given, bias=word not in {"CONV", "FC"} or module.bias is not None)


def _says_all(one: Layer, module: nn.Module, dense: bool) -> bool:
    """Return whether the layer, built anew, is the module but for its weights."""
    inputs = next((getattr(m, k) for m in module.modules() for k in _INPUTS if hasattr(m, k)), 1)
    with torch.device("meta"):
        anew = _module_of(one, inputs, one.width or inputs, dense)
    return [_settings(m) for m in anew.modules()] == [_settings(m) for m in module.modules()]


def _settings(module: nn.Module) -> dict[str, Any]:
    """Return what makes two modules of torch's alike; in place or not gives the same."""
    constants = {n: _one(getattr(module, n)) for n in _constants(module) if n != "inplace"}
    return {"type": type(module), "bias": getattr(module, "bias", None) is not None, **constants}


def _constants(module: nn.Module | type[nn.Module]) -> tuple[str, ...]:
    return tuple(getattr(module, "__constants__", ()))


def _one(value: Any) -> Any:
    """Return 3 for (3, 3), and other values as they are."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def fold(tree: Pattern) -> Pattern:
    """Write the layers anew with repetitions as groups, the one that saves most first."""
    layers = tree.layers()
    items = _folded((*layers[:-1], replace(layers[-1], width=tree.num_classes)))
    return parse(str(replace(tree, items=items)))


def _folded(layers: Sequence[Layer]) -> tuple[Layer | _Group, ...]:
    saved, size, start, times = 0, 0, 0, 0
    for period in range(1, len(layers) // 2 + 1):
        run = 0  # how many layers from `at` on are those a period later
        for at in range(len(layers) - period - 1, -1, -1):
            run = run + 1 if layers[at] == layers[at + period] else 0
            if run // period * period > saved:
                saved, size, start, times = run // period * period, period, at, run // period + 1
    if not saved:
        return tuple(layers)
    group = _Group(_folded(layers[start : start + size]), times)
    return (*_folded(layers[:start]), group, *_folded(layers[start + size * times :]))
