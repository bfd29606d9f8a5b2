"""Networks without convolutions: the linear classifier and the multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from bench.archs import register


@register(
    "linear",
    family="mlp",
    input_size=32,
    num_classes=10,
    parameters=32 * 32 * 3 * 10 + 10,
    note="multinomial logistic regression on the pixels",
)
def _linear(*, num_classes: int, in_channels: int, input_size: int) -> nn.Module:
    """Return one fully connected layer over all pixels."""
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * input_size**2, num_classes))


@register(
    "mlp",
    family="mlp",
    input_size=32,
    num_classes=10,
    parameters=(32 * 32 * 3 + 1) * 512 + (512 + 1) * 512 + (512 + 1) * 10,
    note="rectifiers instead of the paper's sigmoids",
)
def _mlp(
    *, num_classes: int, in_channels: int, input_size: int, width: int = 512, depth: int = 2
) -> nn.Module:
    """Return `depth` hidden layers of `width` rectified units, and the classes."""
    widths = [in_channels * input_size**2, *[width] * depth]
    hidden: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        hidden += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], num_classes))
