"""VGG, with and without batch norm: torchvision's, which is the paper's network."""

from __future__ import annotations

from functools import partial

from bench.archs import register
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
