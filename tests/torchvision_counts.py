"""Counts of torchvision's networks against what torchvision says of them."""

from __future__ import annotations

from typing import Any

import pytest
from torchvision import models

from bench.archs import _torchvision
from bench.archs.naming import resolve
from bench.costs import prepare


def metadata(name: str) -> dict[str, Any]:
    """Return what torchvision says of the weights that a network's card is of."""
    return dict(min(models.get_model_weights(name), key=_torchvision._crop).meta)


def check_counts(name: str) -> None:
    """Parameters equal the declared ones; MACs are within 0.5 % or half a unit of the last digit that is printed."""
    meta, trace = metadata(name), prepare(resolve(f"torchvision:{name}")).trace
    assert trace.failure is None, name
    assert sum(call.parameters for call in trace.root.walk()) == meta["num_params"], name
    assert trace.first == pytest.approx(meta["_ops"] * 1e9, rel=0.005, abs=0.5e6), name
    assert trace.gap <= 0.001, name
    assert not trace.uncounted, name


def least_of_each_family() -> list[str]:
    """Return the network of the fewest operations of each family."""
    names = sorted(_torchvision.names(), key=lambda name: metadata(name)["_ops"], reverse=True)
    return sorted({_torchvision.card(name).family: name for name in names}.values())
