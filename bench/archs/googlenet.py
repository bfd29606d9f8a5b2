"""GoogLeNet, with and without its auxiliary heads: torchvision's."""

from __future__ import annotations

from functools import partial

from bench.archs import register
from bench.archs._torchvision import build

for _name, _heads, _parameters, _note in (
    ("googlenet", False, 6_624_904, "without auxiliary heads"),
    (
        "googlenet_aux",
        True,
        13_004_888,
        "in training it returns a named tuple of the logits and those of two auxiliary heads",
    ),
):
    register(
        _name,
        family="googlenet",
        input_size=224,
        min_input=15,
        parameters=_parameters,
        note=f"torchvision's: the 5x5 branches are 3x3, and batch norm instead of response normalisation; {_note}",
    )(partial(build, "googlenet", aux_logits=_heads))
