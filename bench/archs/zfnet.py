"""ZFNet: AlexNet with a finer first layer, and the variant with wider ones."""

from __future__ import annotations

from functools import partial

from torch import nn

from bench.archs import register
from bench.archs._layers import fully_connected, response_norm, sequential, side_after


def _zfnet(
    widths: tuple[int, int, int], *, num_classes: int, in_channels: int, input_size: int, dropout: float = 0.5
) -> nn.Module:
    """Return the network of Fig. 3 with `widths` filters in convolutions 3, 4 and 5."""
    third, fourth, fifth = widths
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(in_channels, 96, 7, stride=2, padding=1),
        "relu1": nn.ReLU(inplace=True),
        "maxpool1": nn.MaxPool2d(3, 2, padding=1),
        "norm1": response_norm(),
        "conv2": nn.Conv2d(96, 256, 5, stride=2),
        "relu2": nn.ReLU(inplace=True),
        "maxpool2": nn.MaxPool2d(3, 2, padding=1),
        "norm2": response_norm(),
        "conv3": nn.Conv2d(256, third, 3, padding=1),
        "relu3": nn.ReLU(inplace=True),
        "conv4": nn.Conv2d(third, fourth, 3, padding=1),
        "relu4": nn.ReLU(inplace=True),
        "conv5": nn.Conv2d(fourth, fifth, 3, padding=1),
        "relu5": nn.ReLU(inplace=True),
        "maxpool5": nn.MaxPool2d(3, 2),
    }
    side = side_after(layers.values(), input_size)
    return sequential(layers | fully_connected(fifth * side**2, num_classes, dropout))


for _name, _widths, _parameters, _note in (
    ("zfnet", (384, 384, 256), 62_357_608, "Fig. 3: 224 > 110 > 55 > 26 > 13 > 13 > 13 > 13 > 6"),
    ("zfnet_wide", (512, 1024, 512), 107_627_624, "512, 1024 and 512 filters in convolutions 3, 4 and 5"),
):
    register(_name, family="zfnet", input_size=224, min_input=53, parameters=_parameters, note=_note)(
        partial(_zfnet, _widths)
    )
