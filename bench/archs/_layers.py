"""What several families share: the side of a map, the fully connected end, normalisation, initialisation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from torch import nn

_WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def sequential(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    """Return the layers as one network, in order, under their names."""
    return nn.Sequential(OrderedDict(layers))


def side_after(layers: Iterable[nn.Module], side: int) -> int:
    """Return the height and width in px that a map of `side` px has after `layers`.

    Raises:
        ValueError: if a layer's window is larger than its padded input, so that nothing is left.
    """
    for layer in layers:
        if isinstance(layer, _WINDOWED):
            window, stride, padding = (_first(v) for v in (layer.kernel_size, layer.stride, layer.padding))
            side = (side + 2 * padding - window) // stride + 1
            if side < 1:
                raise ValueError(f"the input is too small: nothing is left of it after {layer}")
    return side


def _first(value: object) -> int:
    first = value[0] if isinstance(value, tuple) else value
    assert isinstance(first, int)  # none of our layers pads by a word such as "same"
    return first


def fully_connected(inputs: int, num_classes: int, dropout: float) -> dict[str, nn.Module]:
    """Return the end of AlexNet and ZFNet: two layers of 4096, dropout before each, and the classes."""
    return {
        "flatten": nn.Flatten(),
        "drop6": nn.Dropout(dropout),
        "fc6": nn.Linear(inputs, 4096),
        "relu6": nn.ReLU(inplace=True),
        "drop7": nn.Dropout(dropout),
        "fc7": nn.Linear(4096, 4096),
        "relu7": nn.ReLU(inplace=True),
        "fc8": nn.Linear(4096, num_classes),
    }


def response_norm() -> nn.LocalResponseNorm:
    """Return the normalisation across channels of Krizhevsky et al. 2012, section 3.3.

    torch divides `alpha` by the 5 channels it sums over, the paper does not: hence 5 x 1e-4.
    """
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def kaiming(model: nn.Module) -> nn.Module:
    """Draw the convolutions' weights as He et al. do (arXiv:1502.01852), by fan out; return the network."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model
