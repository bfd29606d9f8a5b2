"""Step times against a bare loop over the same network and batch, call by call in turn: within 2 % is promised.

    python tests/benchmarks/fidelity.py

A busy machine shows in the spread; run it on an idle one.
"""

from __future__ import annotations

import time

import torch
from _side_by_side import show, show_ratio

from bench.archs.resolve import resolve
from bench.timing.clock import HostClock

# network: batch, pairs of calls
NETWORKS = {"resnet18": (8, 60), "vgg16": (2, 40), "torchvision:mobilenet_v3_large": (8, 200)}
WARMUP = 5


def main() -> None:
    clock = HostClock()
    for name, (batch, pairs) in NETWORKS.items():
        model, images = resolve(name).build().eval(), torch.randn(batch, 3, 224, 224)
        taken: dict[str, list[float]] = {"bench": [], "bare loop": []}
        with torch.inference_mode():
            for number in range(-WARMUP, pairs):
                turns = list(taken) if number % 2 == 0 else reversed(list(taken))
                for who in turns:
                    if who == "bench":
                        seconds = clock.seconds(lambda m=model, x=images: m(x), 1)  # type: ignore[misc]
                    else:
                        start = time.perf_counter()
                        model(images)
                        seconds = time.perf_counter() - start
                    if number >= 0:
                        taken[who].append(seconds)
        for who, values in taken.items():
            show(f"{name} batch {batch}, {who}", values)
        show_ratio(f"{name}, ratio", taken["bench"], taken["bare loop"])


if __name__ == "__main__":
    main()
