"""Step times against torch.utils.benchmark's, in turn on the same network and batch: within 2 % is promised.

    python tests/benchmarks/agreement.py

Each round samples once with `bench` and once with `Timer.blocked_autorange`, both for about three quarters of a second: rounds are
short and many, because a machine's clock wanders over seconds.
"""

from __future__ import annotations

from statistics import median

import torch
from _side_by_side import show, show_ratio
from torch.utils.benchmark import Timer

from bench.archs.resolve import resolve
from bench.plan.settings import Timing
from bench.timing.clock import HostClock
from bench.timing.sampling import sample

NETWORKS = {"resnet18": 8, "vgg16": 2, "torchvision:mobilenet_v3_large": 8}
ROUNDS = 24


def main() -> None:
    threads = torch.get_num_threads()
    timing = Timing(warmup_s=0.1, min_s=0.75, limit_s=0.8, min_samples=1)
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
                        taken[who].append(median(seconds))
                    else:
                        taken[who].append(timer.blocked_autorange(min_run_time=0.75).median)
        for who, values in taken.items():
            show(f"{name} batch {batch}, {who}", values)
        show_ratio(f"{name}, ratio", taken["bench"], taken["torch"])


if __name__ == "__main__":
    main()
