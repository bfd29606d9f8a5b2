"""VGG, with and without batch norm: torchvision's, which is the paper's network."""

from __future__ import annotations

from functools import partial

from bench.archs import register
from bench.archs._torchvision import build

_PAPER = (
    "K. Simonyan and A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, "
    "ICLR 2015, arXiv:1409.1556"
)
_TABLE = "Simonyan & Zisserman 2014, Table 3, {}, single test scale, ILSVRC-2012 validation"
_TORCHVISION = "torchvision IMAGENET1K_V1, one crop"

# name: parameters, top-1 and top-5 accuracy, source
_NETWORKS: dict[str, tuple[int, float, float, str]] = {
    "vgg11": (132_863_336, 1 - 0.296, 1 - 0.104, _TABLE.format("A")),
    "vgg13": (133_047_848, 1 - 0.287, 1 - 0.099, _TABLE.format("B")),
    "vgg16": (138_357_544, 1 - 0.256, 1 - 0.081, _TABLE.format("D, scale jitter [256;512]")),
    "vgg19": (143_667_240, 1 - 0.255, 1 - 0.080, _TABLE.format("E, scale jitter [256;512]")),
    "vgg11_bn": (132_868_840, 0.70370, 0.89810, _TORCHVISION),
    "vgg13_bn": (133_053_736, 0.71586, 0.90374, _TORCHVISION),
    "vgg16_bn": (138_365_992, 0.73360, 0.91516, _TORCHVISION),
    "vgg19_bn": (143_678_248, 0.74218, 0.91842, _TORCHVISION),
}

for _name, (_parameters, _top1, _top5, _source) in _NETWORKS.items():
    register(
        _name,
        family="vgg",
        year=2014,
        paper=_PAPER,
        input_size=224,
        min_input=32,
        parameters=_parameters,
        published={"top1": _top1, "top5": _top5, "source": _source},
        note="with batch norm, which the paper has not" if _name.endswith("_bn") else None,
    )(partial(build, _name))
