"""Plain networks: residual ones without their shortcuts."""

from __future__ import annotations

from functools import partial

from bench.archs import register
from bench.archs.resnet import CIFAR_DEPTHS, cifar, cifar_parameters, plain_imagenet

register(
    "plain18",
    family="plain",
    input_size=224,
    parameters=11_515_688,
    note="resnet18 without shortcuts",
)(partial(plain_imagenet, (2, 2, 2, 2)))
register(
    "plain34",
    family="plain",
    input_size=224,
    parameters=21_623_848,
    note="resnet34 without shortcuts",
)(partial(plain_imagenet, (3, 4, 6, 3)))

for _depth in CIFAR_DEPTHS:
    register(
        f"plain{_depth}",
        family="plain",
        input_size=32,
        num_classes=10,
        parameters=cifar_parameters(_depth),
        note=f"resnet{_depth} without shortcuts",
    )(partial(cifar, _depth, shortcut=False))
