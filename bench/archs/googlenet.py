"""GoogLeNet, with and without its auxiliary heads: torchvision's."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.archs import register
from bench.archs._torchvision import build

_COMMON: dict[str, Any] = {
    "family": "googlenet",
    "input_size": 224,
    "min_input": 15,
}
_NOTE = "torchvision's: the 5x5 branches are 3x3, and batch norm instead of response normalisation; {}"

register(
    "googlenet",
    parameters=6_624_904,
    note=_NOTE.format("without auxiliary heads"),
    **_COMMON,
)(partial(build, "googlenet", aux_logits=False))
register(
    "googlenet_aux",
    parameters=13_004_888,
    note=_NOTE.format("in training it returns a named tuple of the logits and those of two auxiliary heads"),
    **_COMMON,
)(partial(build, "googlenet", aux_logits=True))
