"""Layer patterns as networks of torch's own layers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import nn

from bench.archs import Arch
from bench.archs._layers import kaiming, response_norm, sequential
from bench.archs.naming._ways import NetworkName
from bench.archs.pattern._language import (
    IN_CHANNELS,
    INPUT_SIZE,
    KINDS,
    NUM_CLASSES,
    POOLING,
    Layer,
    Pattern,
    check,
    fit_warnings,
    min_input,
    parse,
)
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


def resolve(name: NetworkName) -> Arch:
    """Return the network of a pattern.

    Raises:
        ConfigError: if it is none.
        UnsupportedError: if it cannot be built for the images that it declares.
    """
    tree = parse(str(name))
    size, channels = tree.input_size or INPUT_SIZE, tree.in_channels or IN_CHANNELS
    check(tree, in_channels=channels, input_size=size)
    misfits = fit_warnings(tree, size)
    card = ArchCard(
        name=str(name),
        family="pattern",
        input_size=size,
        min_input=min_input(tree),
        in_channels=channels,
        num_classes=tree.num_classes or NUM_CLASSES,
        note=f"windows that do not fit at {size} px: {'; '.join(misfits)}" if misfits else None,
    )
    return Arch(card, partial(_build, tree))


def _build(tree: Pattern, *, num_classes: int, in_channels: int, input_size: int) -> nn.Sequential:
    """Return the network of a pattern, with random weights, in training mode.

    Subsampling starts as average pooling; convolutions are drawn as `kaiming` does, the rest as torch does.

    Raises:
        UnsupportedError: if the images are too small, or their channels do not part into groups.
    """
    check(tree, in_channels=in_channels, input_size=input_size)
    layers: dict[str, nn.Module] = {}
    inputs, side = in_channels, input_size
    for name, one in _with_names(tree.layers()):
        if one.word == "FC" and "flatten" not in layers:
            layers["flatten"] = nn.Flatten()
            inputs *= side**2
        dense = "flatten" in layers
        width = one.width or (num_classes if one.word == "FC" else inputs)
        layers[name] = _module_of(one, inputs, width, dense)
        inputs, side = width, one.side(side)
    model = sequential(layers)
    kaiming(model)
    for module in layers.values():
        if isinstance(module, nn.Sequential):
            nn.init.ones_(module.get_parameter("scale.weight"))
            nn.init.zeros_(module.get_parameter("scale.bias"))
    return model


def _with_names(layers: tuple[Layer, ...]) -> Iterator[tuple[str, Layer]]:
    """Name each layer by its stage, which pooling ends, and its number there: conv1_1, relu1_1, pool1, fc2."""
    stage, number, label = 1, 0, "0"
    uses: dict[str, int] = {}
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
        uses[name] = uses.get(name, 0) + 1
        yield name if uses[name] == 1 else f"{name}x{uses[name]}", one


def _module_of(one: Layer, inputs: int, width: int, dense: bool) -> nn.Module:
    """Return one layer of so many channels or units in and out, before or behind (`dense`) the maps' end."""
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
            module = sequential({"average": nn.AvgPool2d(*window), "scale": scale})
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
            module = kind(inplace=True) if "inplace" in getattr(kind, "__constants__", ()) else kind()
    return module
