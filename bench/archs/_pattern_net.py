"""Layer patterns as networks of torch's own layers, and such networks as layer patterns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from bench.archs import Arch
from bench.archs._layers import kaiming, named, response_norm
from bench.archs.pattern import (
    IN_CHANNELS,
    INPUT_SIZE,
    KINDS,
    NUM_CLASSES,
    POOLING,
    Layer,
    Pattern,
    check,
    fit_warnings,
    layer,
    min_input,
    parse,
)
from bench.archs.spec import Spec
from bench.errors import UnsupportedError
from bench.plan.card import ArchCard

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "RELU": nn.ReLU,
    "LEAKYRELU": nn.LeakyReLU,
    "TANH": nn.Tanh,
    "SIGMOID": nn.Sigmoid,
    "GELU": nn.GELU,
    "ELU": nn.ELU,
    "SILU": nn.SiLU,
    "HARDSWISH": nn.Hardswish,
}
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


def resolve(spec: Spec) -> Arch:
    """Return the network of a pattern.

    Raises:
        ConfigError: if it is none.
        UnsupportedError: if it cannot be built for the images that it declares.
    """
    tree = parse(str(spec))
    size, channels = tree.input_size or INPUT_SIZE, tree.in_channels or IN_CHANNELS
    check(tree, in_channels=channels, input_size=size)
    misfits = fit_warnings(tree, size)
    card = ArchCard(
        name=str(spec),
        family="pattern",
        input_size=size,
        min_input=min_input(tree),
        in_channels=channels,
        num_classes=tree.num_classes or NUM_CLASSES,
        note=f"windows that do not fit at {size} px: {'; '.join(misfits)}" if misfits else None,
    )
    return Arch(card, partial(build, tree))


def build(tree: Pattern, *, num_classes: int, in_channels: int, input_size: int) -> nn.Sequential:
    """Return the network of a pattern, with random weights, in training mode.

    Subsampling starts as average pooling; convolutions are drawn as `kaiming` does, the rest as torch does.

    Raises:
        UnsupportedError: if the images are too small, or their channels do not part into groups.
    """
    check(tree, in_channels=in_channels, input_size=input_size)
    layers: dict[str, nn.Module] = {}
    inputs, side = in_channels, input_size
    for name, one in _named(tree.layers()):
        if one.word == "FC" and "flatten" not in layers:
            layers["flatten"] = nn.Flatten()
            inputs *= side**2
        dense = "flatten" in layers
        width = one.width or (num_classes if one.word == "FC" else inputs)
        layers[name] = _module(one, inputs, width, dense)
        inputs, side = width, one.side(side)
    model = named(layers)
    kaiming(model)
    for module in layers.values():
        if isinstance(module, nn.Sequential):
            nn.init.ones_(module.get_parameter("scale.weight"))
            nn.init.zeros_(module.get_parameter("scale.bias"))
    return model


def _named(layers: tuple[Layer, ...]) -> Iterator[tuple[str, Layer]]:
    """Name each layer by its stage, which pooling ends, and its number there: conv1_1, relu1_1, pool1, fc2."""
    stage, number, label = 1, 0, "0"
    taken: dict[str, int] = {}
    for one in layers:
        if one.word == "CONV":
            number += 1
            label = f"{stage}_{number}"
        elif one.word == "FC":
            stage += number > 0
            label, number = str(stage), 1
        elif KINDS[one.word] is POOLING:
            label, number = str(stage), 0
            stage += 1
        name = one.word.lower() + label
        taken[name] = taken.get(name, 0) + 1
        yield name if taken[name] == 1 else f"{name}x{taken[name]}", one


def _module(one: Layer, inputs: int, width: int, dense: bool) -> nn.Module:
    """Return one layer.

    Args:
        one: what it is.
        inputs: channels, or units, that it takes.
        width: those that it gives.
        dense: whether it stands behind the maps.
    """
    window = (one.window, one.stride, one.padding)
    module: nn.Module
    match one.word:
        case "CONV":
            module = nn.Conv2d(inputs, width, *window, one.dilation, one.groups, one.bias)
        case "POOL":
            module = nn.MaxPool2d(*window)
        case "AVGPOOL":
            module = nn.AvgPool2d(*window)
        case "SUBSAMPLE":
            scale = nn.Conv2d(inputs, inputs, 1, groups=inputs)
            module = named({"average": nn.AvgPool2d(*window), "scale": scale})
        case "GAP":
            module = nn.AdaptiveAvgPool2d(1)
        case "LRN":
            module = response_norm()
        case "BN":
            module = nn.BatchNorm1d(inputs) if dense else nn.BatchNorm2d(inputs)
        case "DROP":
            module = nn.Dropout(one.rate)
        case "FC":
            module = nn.Linear(inputs, width, one.bias)
        case activation:
            kind = _ACTIVATIONS[activation]
            module = kind(inplace=True) if "inplace" in _constants(kind) else kind()
    return module


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
        one = _layer(module)
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


def _layer(module: nn.Module) -> Layer | None:
    """Return what a module is by its type and main settings, if there is a word for it."""
    if isinstance(module, nn.Sequential):
        average = _layer(module[0])
        return average and replace(average, word="SUBSAMPLE")
    word = _WORDS.get(type(module))
    given = {field: _one(getattr(module, name)) for name, field in _FIELDS.items() if hasattr(module, name)}
    if word is None or not all(isinstance(v, int | float) for v in given.values()):
        return None  # such as a window that is not square
    return layer(word, **given, bias=word not in {"CONV", "FC"} or module.bias is not None)


def _says_all(one: Layer, module: nn.Module, dense: bool) -> bool:
    """Return whether the layer, built anew, is the module but for its weights."""
    inputs = next((getattr(m, k) for m in module.modules() for k in _INPUTS if hasattr(m, k)), 1)
    with torch.device("meta"):
        anew = _module(one, inputs, one.width or inputs, dense)
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
