"""Step times against torch.utils.benchmark's, call by call in turn on the same network: within 2 % is promised.

    python tests/benchmarks/agreement.py [PAIRS]

Each pair is one call timed by `bench`'s clock and one by `Timer.timeit`. Whole samplings in turn (`sample` and
`blocked_autorange`, three quarters of a second each) say the same, but where a machine's clock wanders by a tenth
within seconds, dozens of them give a median ratio that is off by 3 % either way.
"""

from __future__ import annotations

import sys

import torch
from _side_by_side import show, show_ratio
from torch.utils.benchmark import Timer

from bench.archs.naming import resolve
from bench.timing.clock import HostClock

NETWORKS = {"resnet18": 2, "vgg16": 1, "torchvision:mobilenet_v3_large": 4}
PAIRS = 160


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    clock = HostClock()
    for name, batch in NETWORKS.items():
        model, images = resolve(name).build().eval(), torch.randn(batch, 3, 224, 224)
        call = lambda m=model, x=images: m(x)  # noqa: E731
        timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
        ways = {"bench": lambda c=call: clock.seconds(c, 1), "torch": lambda t=timer: t.timeit(1).median}
        taken: dict[str, list[float]] = {"bench": [], "torch": []}
        with torch.inference_mode():
            for _ in range(5):
                call()
            for number in range(pairs):
                for who in ways if number % 2 else reversed(ways):
                    taken[who].append(ways[who]())
        for who, values in taken.items():
            show(f"{name} batch {batch}, {who}", values)
        show_ratio(f"{name}, ratio", taken["bench"], taken["torch"])


if __name__ == "__main__":
    main()
