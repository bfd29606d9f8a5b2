"""AlexNet, in one tower and, as it was trained on two GPUs, in two."""

from __future__ import annotations

from functools import partial

from torch import nn

from bench.archs import register
from bench.archs._layers import fully_connected, response_norm, sequential, side_after


def _alexnet(
    *, num_classes: int, in_channels: int, input_size: int, dropout: float = 0.5, towers: int = 1
) -> nn.Module:
    """Return five convolutions and three fully connected layers.

    Convolutions 2, 4 and 5 are grouped by `towers`; the normalisation sums across the towers all the same.
    """
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 96, 11, stride=4),
        "relu1": nn.ReLU(inplace=True),
        "norm1": response_norm(),
        "maxpool1": nn.MaxPool2d(3, 2),
        "conv2": nn.Conv2d(96, 256, 5, padding=2, groups=towers),
        "relu2": nn.ReLU(inplace=True),
        "norm2": response_norm(),
        "maxpool2": nn.MaxPool2d(3, 2),
        "conv3": nn.Conv2d(256, 384, 3, padding=1),
        "relu3": nn.ReLU(inplace=True),
        "conv4": nn.Conv2d(384, 384, 3, padding=1, groups=towers),
        "relu4": nn.ReLU(inplace=True),
        "conv5": nn.Conv2d(384, 256, 3, padding=1, groups=towers),
        "relu5": nn.ReLU(inplace=True),
        "maxpool5": nn.MaxPool2d(3, 2),
    }
    side = side_after(layers.values(), input_size)
    return sequential(layers | fully_connected(256 * side**2, num_classes, dropout))


for _name, _towers, _parameters, _note in (
    ("alexnet", 1, 62_378_344, "one tower; the accuracy was published for two towers"),
    ("alexnet_2tower", 2, 60_965_224, "conv2, conv4 and conv5 in two groups, as on the paper's two GPUs"),
):
    register(_name, family="alexnet", input_size=227, min_input=67, parameters=_parameters, note=_note)(
        partial(_alexnet, towers=_towers)
    )
