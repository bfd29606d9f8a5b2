"""Residual networks: torchvision's for large images, and the paper's small ones for 32 px."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from torch import nn

from bench.archs import register
from bench.archs._residual import CIFAR_DEPTHS, cifar, cifar_parameters
from bench.archs._torchvision import build

_V15 = "stride in the 3x3 convolutions (v1.5)"
_OPTION_B = "shortcuts of option B"

# name: parameters, note
_NETWORKS: dict[str, tuple[int, str]] = {
    "resnet18": (11_689_512, _OPTION_B),
    "resnet34": (21_797_672, _OPTION_B),
    "resnet50": (25_557_032, _V15),
    "resnet101": (44_549_160, _V15),
    "resnet152": (60_192_808, _V15),
}


def v1(name: str, *, num_classes: int, in_channels: int, input_size: int) -> nn.Module:
    """Return the paper's bottleneck network: as torchvision's, with the stride in each block's first 1x1."""
    model = build(name, num_classes=num_classes, in_channels=in_channels, input_size=input_size)
    for stage in ("layer2", "layer3", "layer4"):
        block: Any = model.get_submodule(f"{stage}.0")
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return model


@register(
    "resnet18_cifar",
    family="resnet",
    input_size=32,
    num_classes=10,
    # As ResNet-18, with 3x3 in place of 7x7 in its first convolution, and 10 classes in place of 1000.
    parameters=_NETWORKS["resnet18"][0] - (49 - 9) * 3 * 64 - 990 * (512 + 1),
    note="ResNet-18 for 32 px: first convolution 3x3 with stride 1, no pooling behind it",
)
def resnet18_cifar(*, num_classes: int, in_channels: int, input_size: int) -> nn.Module:
    """Return ResNet-18 with the stem that people give it for small images, as in kuangliu/pytorch-cifar."""
    model: Any = build("resnet18", num_classes=num_classes, in_channels=in_channels, input_size=input_size)
    model.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return cast("nn.Module", model)


for _name, (_parameters, _note) in _NETWORKS.items():
    register(_name, family="resnet", input_size=224, parameters=_parameters, note=_note)(
        partial(build, _name)
    )
    if _note == _V15:
        register(
            f"{_name}_v1",
            family="resnet",
            input_size=224,
            parameters=_parameters,
            note="stride in the first 1x1 convolution, as in the paper (v1)",
        )(partial(v1, _name))

for _depth in CIFAR_DEPTHS:
    register(
        f"resnet{_depth}",
        family="resnet",
        input_size=32,
        num_classes=10,
        parameters=cifar_parameters(_depth),
        note="for 32 px, shortcuts of option A",
    )(partial(cifar, _depth, shortcut=True))
