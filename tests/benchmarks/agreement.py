"""Step times against torch.utils.benchmark's, in turn on the same network and batch: within 2 % is promised.

    python tests/benchmarks/agreement.py

Each round samples once with `bench` and once with `Timer.adaptive_autorange`, both for about a second.
"""

from __future__ import annotations

import torch
from _side_by_side import show, show_ratio
from torch.utils.benchmark import Timer

from bench.archs.resolve import resolve
from bench.plan.settings import Timing
from bench.timing.clock import HostClock
from bench.timing.sampling import sample

NETWORKS = {"resnet18": 8, "vgg16": 2, "torchvision:mobilenet_v3_large": 8}
ROUNDS = 8


def main() -> None:
    threads = torch.get_num_threads()
    timing = Timing(warmup_s=0.3, min_s=1.0, limit_s=1.5, min_samples=6)
    for name, batch in NETWORKS.items():
        model, images = resolve(name).build().eval(), torch.randn(batch, 3, 224, 224)
        timer = Timer("model(images)", globals={"model": model, "images": images}, num_threads=threads)
        taken: dict[str, list[float]] = {"bench": [], "torch": []}
        with torch.inference_mode():
            model(images)
            for number in range(ROUNDS):
                for who in ("bench", "torch") if number % 2 else ("torch", "bench"):
                    if who == "bench":
                        seconds = sample(lambda m=model, x=images: m(x), HostClock(), timing).seconds  # type: ignore[misc]
                        taken[who].append(sorted(seconds)[len(seconds) // 2])
                    else:
                        taken[who].append(timer.adaptive_autorange(max_run_time=1.5).median)
        for who, values in taken.items():
            show(f"{name} batch {batch}, {who}", values)
        show_ratio(f"{name}, ratio", taken["bench"], taken["torch"])


if __name__ == "__main__":
    main()
