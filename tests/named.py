"""What comes of the name of a network, for tests: its counts, or why there is none."""

from __future__ import annotations

import pytest

from bench.archs.naming import resolve
from bench.costs import COSTS, prepare
from bench.errors import BenchError, InvalidModelError


def counted(name: str, **shape: int) -> dict[str, float]:
    subject = prepare(resolve(name), **shape)
    return {m.name: m.samples[0] for key in ("parameters", "macs") for m in COSTS.get(key)(subject)}


def refused(name: str, error: type[BenchError] = InvalidModelError, build: bool = False) -> BenchError:
    with pytest.raises(error) as caught:
        resolve(name).build() if build else resolve(name)
    assert type(caught.value) is error
    assert caught.value.tip
    return caught.value
