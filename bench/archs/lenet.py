"""LeNet-5, in the form that is common today."""

from __future__ import annotations

from torch import nn

from bench.archs import register
from bench.archs._layers import sequential, side_after


@register(
    "lenet5",
    family="lenet",
    input_size=32,
    min_input=16,
    in_channels=1,
    num_classes=10,
    parameters=61_706,
    note="all maps of C3 see all maps of S2, pooling has no weights, and the end is linear: the paper "
    "connects C3 sparsely, trains its subsampling and ends in radial basis functions",
)
def _lenet5(*, num_classes: int, in_channels: int, input_size: int) -> nn.Module:
    """Return three convolutions and two fully connected layers with tanh and average pooling."""
    maps: dict[str, nn.Module] = {
        "c1": nn.Conv2d(in_channels, 6, 5),
        "tanh1": nn.Tanh(),
        "s2": nn.AvgPool2d(2),
        "c3": nn.Conv2d(6, 16, 5),
        "tanh3": nn.Tanh(),
        "s4": nn.AvgPool2d(2),
    }
    # C5 sees the whole map, 5x5 at 32 px, as in the paper.
    whole = side_after(maps.values(), input_size)
    return sequential(
        {
            **maps,
            "c5": nn.Conv2d(16, 120, whole),
            "tanh5": nn.Tanh(),
            "flatten": nn.Flatten(),
            "f6": nn.Linear(120, 84),
            "tanh6": nn.Tanh(),
            "output": nn.Linear(84, num_classes),
        }
    )
