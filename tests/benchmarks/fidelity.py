"""Step times against a bare loop over the same network and batch, in turn: within 2 % is promised.

    python tests/benchmarks/fidelity.py

A busy machine shows in the spread; run it on an idle one.
"""

from __future__ import annotations

import time
from statistics import median

import torch
from _side_by_side import show, show_ratio

from bench.archs.resolve import resolve
from bench.plan.settings import Timing
from bench.timing.clock import HostClock
from bench.timing.sampling import sample

NETWORKS = {"resnet18": 8, "vgg16": 2, "torchvision:mobilenet_v3_large": 8}
ROUNDS = 6
TIMING = Timing(warmup_s=0.3, min_s=0.5, limit_s=2.0)


def bare(model: torch.nn.Module, images: torch.Tensor) -> float:
    """Return the median step of a loop without any harness, for about as long as the harness samples."""
    taken: list[float] = []
    for _ in range(2):
        model(images)
    end = time.perf_counter() + TIMING.limit_s
    while time.perf_counter() < end or len(taken) < TIMING.min_samples:
        start = time.perf_counter()
        model(images)
        taken.append(time.perf_counter() - start)
    return median(taken)


def ours(model: torch.nn.Module, images: torch.Tensor) -> float:
    """Return the harness's median step."""
    return median(sample(lambda: model(images), HostClock(), TIMING).seconds)


def main() -> None:
    for name, batch in NETWORKS.items():
        model, images = resolve(name).build().eval(), torch.randn(batch, 3, 224, 224)
        taken: dict[str, list[float]] = {"bench": [], "bare loop": []}
        turns = [("bench", ours), ("bare loop", bare)]
        with torch.inference_mode():
            for number in range(ROUNDS):
                for who, measure in turns if number % 2 == 0 else reversed(turns):
                    taken[who].append(measure(model, images))
        for who, values in taken.items():
            show(f"{name} batch {batch}, {who}", values)
        show_ratio(f"{name}, ratio", taken["bench"], taken["bare loop"])


if __name__ == "__main__":
    main()
