"""VGG, with and without batch norm: torchvision's, which is the paper's network."""

from __future__ import annotations

from functools import partial

from torch import nn

from bench.archs import register
from bench.archs._layers import kaiming, sequential
from bench.archs._torchvision import build

_PARAMETERS = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
}

for _name, _parameters in _PARAMETERS.items():
    register(
        _name,
        family="vgg",
        input_size=224,
        min_input=32,
        parameters=_parameters,
        note="with batch norm, which the paper has not" if _name.endswith("_bn") else None,
    )(partial(build, _name))


@register(
    "vgg16_cifar",
    family="vgg",
    input_size=32,
    min_input=32,
    num_classes=10,
    # As VGG-16 with batch norm, its end of 25088 > 4096 > 4096 > 1000 replaced by 512 > 10.
    parameters=_PARAMETERS["vgg16_bn"]
    - sum((inputs + 1) * outputs for inputs, outputs in ((25_088, 4096), (4096, 4096), (4096, 1000)))
    + (512 + 1) * 10,
    note="VGG-16's convolutions with batch norm and one fully connected layer, for 32 px",
)
def _vgg16_cifar(
    *,
    num_classes: int,
    in_channels: int,
    input_size: int,  # noqa: ARG001 (pooled to one pixel: any size)
) -> nn.Module:
    """Return VGG-16 as people use it for small images, as in kuangliu/pytorch-cifar."""
    layers: dict[str, nn.Module] = {}
    for stage, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), 1):
        for place in range(1, count + 1):
            name = f"{stage}_{place}"
            layers[f"conv{name}"] = nn.Conv2d(in_channels, width, 3, padding=1)
            layers[f"bn{name}"] = nn.BatchNorm2d(width)
            layers[f"relu{name}"] = nn.ReLU(inplace=True)
            in_channels = width
        layers[f"pool{stage}"] = nn.MaxPool2d(2)
    end = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "fc": nn.Linear(512, num_classes)}
    return kaiming(sequential({**layers, **end}))
