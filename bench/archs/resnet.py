"""Residual networks: torchvision's for large images, and the paper's small ones for 32 px."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from bench.archs import register
from bench.archs._residual import CIFAR_DEPTHS, PAPER, cifar, cifar_parameters
from bench.archs._torchvision import build

_TABLE = "He et al. 2015, Table {}, ILSVRC-2012 validation"
_TORCHVISION = "torchvision IMAGENET1K_V1, one crop"
_V15 = "stride in the 3x3 convolutions (v1.5)"

# name: parameters, top-1 and top-5 accuracy, source, note
_NETWORKS: dict[str, tuple[int, float, float, str, str]] = {
    "resnet18": (11_689_512, 0.69758, 0.89078, _TORCHVISION, "shortcuts of option B"),
    "resnet34": (
        21_797_672,
        1 - 0.2452,
        1 - 0.0746,
        _TABLE.format("3, ResNet-34 B, 10-crop"),
        "shortcuts of option B",
    ),
    "resnet50": (25_557_032, 1 - 0.2285, 1 - 0.0671, _TABLE.format("3, 10-crop, of v1"), _V15),
    "resnet101": (44_549_160, 0.77374, 0.93546, _TORCHVISION, _V15),
    "resnet152": (
        60_192_808,
        1 - 0.1938,
        1 - 0.0449,
        _TABLE.format("4, single model, multi-scale, of v1"),
        _V15,
    ),
}
# name: parameters, top-1 and top-5 accuracy, source
_V1_NETWORKS: dict[str, tuple[int, float, float, str]] = {
    "resnet50": (25_557_032, 1 - 0.2285, 1 - 0.0671, _TABLE.format("3, 10-crop")),
    "resnet101": (44_549_160, 1 - 0.2175, 1 - 0.0605, _TABLE.format("3, 10-crop")),
    "resnet152": (60_192_808, 1 - 0.1938, 1 - 0.0449, _TABLE.format("4, single model, multi-scale")),
}
_CIFAR_ERRORS = {20: 0.0875, 32: 0.0751, 44: 0.0717, 56: 0.0697, 110: 0.0643}


def v1(name: str, *, num_classes: int, in_channels: int, input_size: int) -> nn.Module:
    """Return the paper's bottleneck network: as torchvision's, with the stride in each block's first 1x1."""
    model = build(name, num_classes=num_classes, in_channels=in_channels, input_size=input_size)
    for stage in ("layer2", "layer3", "layer4"):
        block: Any = model.get_submodule(f"{stage}.0")
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    return model


for _name, (_parameters, _top1, _top5, _source, _note) in _NETWORKS.items():
    register(
        _name,
        family="resnet",
        year=2015,
        paper=PAPER,
        input_size=224,
        parameters=_parameters,
        published={"top1": _top1, "top5": _top5, "source": _source},
        note=_note,
    )(partial(build, _name))

for _name, (_parameters, _top1, _top5, _source) in _V1_NETWORKS.items():
    register(
        f"{_name}_v1",
        family="resnet",
        year=2015,
        paper=PAPER,
        input_size=224,
        parameters=_parameters,
        published={"top1": _top1, "top5": _top5, "source": _source},
        note="stride in the first 1x1 convolution, as in the paper (v1)",
    )(partial(v1, _name))

for _depth in CIFAR_DEPTHS:
    register(
        f"resnet{_depth}",
        family="resnet",
        year=2015,
        paper=PAPER,
        input_size=32,
        num_classes=10,
        parameters=cifar_parameters(_depth),
        published={
            "cifar10_top1": 1 - _CIFAR_ERRORS[_depth],
            "source": "He et al. 2015, Table 6, CIFAR-10 test"
            + (", best of 5 runs" if _depth == 110 else ""),
        },
        note="for 32 px, shortcuts of option A",
    )(partial(cifar, _depth, shortcut=True))
