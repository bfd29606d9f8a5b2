"""The network of a speed record on CIFAR-10: a fixed whitening convolution, and three blocks of two convolutions.

Source: Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498, section 3, and his cifar10-airbench.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.archs import register
from bench.archs._layers import side_after

_WIDTHS = (64, 256, 256)
_SIDE = 2  # px of the whitened patches
_EPSILON = 5e-4  # added to the eigenvalues, so that what hardly varies is not blown up
_SCALE = 1 / 9  # of the logits


class Scale(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, values: Tensor) -> Tensor:
        """Return values of any shape, multiplied."""
        return values * self.factor


class Speedrun(nn.Sequential):
    """The layers in order; the first one, `whiten`, is set from images and then stays, its bias after three epochs."""

    frozen_after: ClassVar[dict[str, int]] = {"whiten.bias": 3}

    @torch.no_grad()
    def initialise(self, images: Tensor) -> None:
        """Let the first convolution whiten patches of images [N, C, S, S]: its filters, and their negatives."""
        whiten = self.get_submodule("whiten")
        assert isinstance(whiten, nn.Conv2d)
        assert whiten.bias is not None
        filters = _whitening(_patches(images, _SIDE)).view(-1, *whiten.weight.shape[1:])
        whiten.weight.copy_(torch.cat([filters, -filters]))
        whiten.bias.zero_()


def _patches(images: Tensor, side: int) -> Tensor:
    """Return all patches [N x (S - side + 1)^2, C x side^2] of images [N, C, S, S], as a convolution sees them."""
    windows = images.unfold(2, side, 1).unfold(3, side, 1)  # [N, C, rows, columns, side, side]
    return windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, images.shape[1] * side**2)


def _whitening(samples: Tensor, epsilon: float = _EPSILON) -> Tensor:
    """Return the rows [F, F] that whiten samples [M, F] with a mean of about zero, those of most variance first.

    They are the eigenvectors of the samples' second moments, each over the root of its eigenvalue plus `epsilon`.
    """
    moments = samples.T @ samples / len(samples)
    # On the CPU: a matrix this small is done there before a GPU has loaded its solver.
    values, vectors = torch.linalg.eigh(moments.double().cpu())
    rows: Tensor = (vectors / (values + epsilon).sqrt()).T
    return rows.flip(0).to(samples)


def _identity_convolution(inputs: int, width: int) -> nn.Conv2d:
    """Return a 3x3 convolution whose first filters pass the input on; the others are drawn as torch does."""
    convolution = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
    nn.init.dirac_(convolution.weight.detach()[:inputs])
    return convolution


def _normalisation(width: int) -> nn.BatchNorm2d:
    """Return batch normalisation with fixed scales of one, whose statistics keep 0.6 of what they were each step."""
    layer = nn.BatchNorm2d(width, eps=1e-12, momentum=1 - 0.6)
    layer.weight.requires_grad_(False)
    return layer


def _block(inputs: int, width: int) -> nn.Sequential:
    """Return two convolutions; the maps are halved behind the first one."""
    layers: dict[str, nn.Module] = {
        "conv1": _identity_convolution(inputs, width),
        "pool": nn.MaxPool2d(2),
        "norm1": _normalisation(width),
        "gelu1": nn.GELU(),
        "conv2": _identity_convolution(width, width),
        "norm2": _normalisation(width),
        "gelu2": nn.GELU(),
    }
    return nn.Sequential(OrderedDict(layers))


def _parameters() -> int:
    """Return the parameters at 3 channels and 10 classes, the fixed ones among them."""
    patch = 3 * _SIDE**2
    first = 2 * patch * (patch + 1)
    pairs = zip((2 * patch, *_WIDTHS), _WIDTHS, strict=False)
    return first + sum(9 * (i * w + w * w) + 2 * 2 * w for i, w in pairs) + _WIDTHS[-1] * 10


@register(
    "speedrun_cifar",
    family="speedrun",
    input_size=32,
    min_input=9,
    num_classes=10,
    parameters=_parameters(),
    note="airbench94: the whitening convolution's weights and the scales of normalisation are fixed",
)
def _speedrun_cifar(*, num_classes: int, in_channels: int, input_size: int) -> nn.Module:
    """Return the network of section 3; without `Speedrun.initialise`, its first convolution is drawn as torch does."""
    filters = 2 * in_channels * _SIDE**2
    whiten = nn.Conv2d(in_channels, filters, _SIDE)
    whiten.weight.requires_grad_(False)
    layers: dict[str, nn.Module] = {"whiten": whiten, "gelu": nn.GELU()}
    for i, (inputs, width) in enumerate(zip((filters, *_WIDTHS), _WIDTHS, strict=False), 1):
        layers[f"block{i}"] = _block(inputs, width)
    side = side_after((m for layer in layers.values() for m in layer.modules()), input_size)  # 3 at 32 px
    layers |= {
        "pool": nn.MaxPool2d(side),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(_WIDTHS[-1], num_classes, bias=False),
        "scale": Scale(_SCALE),
    }
    return Speedrun(OrderedDict(layers))
