"""Step times by the loop of timm's benchmark.py and by `bench`, in turn on the same networks, batch and precision.

    python tests/benchmarks/timm_loop.py [NETWORK ...]

timm's loop: ten warm-up steps, forty timed, the device synchronised after each, and the mean of the forty. Where a
step is short, the synchronisation is part of what it measures: `bench` times blocks of steps between two CUDA events.
On a GPU in bf16 with 256 images; on a CPU, to try the script, in fp32 with two.
"""

from __future__ import annotations

import sys
import time
from statistics import median

import torch
from _side_by_side import show, show_ratio

from bench.archs.naming import resolve
from bench.plan.settings import Timing
from bench.timing._events import CudaEventClock
from bench.timing._sampling import sample
from bench.timing.clock import Clock, HostClock, Workload

NETWORKS = (
    *("resnet18", "resnet50", "resnet152", "vgg16"),
    *("torchvision:mobilenet_v3_large", "torchvision:vit_b_16"),
)
WARM_UP, TIMED = 10, 40
ROUNDS = 7
TIMING = Timing(warmup_s=0.2, min_s=0.3, limit_s=1.0)


def main() -> None:
    on_gpu = torch.cuda.is_available()
    device, dtype, batch = ("cuda", torch.bfloat16, 256) if on_gpu else ("cpu", torch.float32, 2)
    clock: Clock = CudaEventClock() if on_gpu else HostClock()
    for name in sys.argv[1:] or NETWORKS:
        model = resolve(name).build().eval().to(device, dtype)
        images = torch.randn(batch, 3, 224, 224, device=device, dtype=dtype)
        taken: dict[str, list[float]] = {"bench": [], "timm's loop": []}
        with torch.inference_mode():
            for number in range(ROUNDS):
                for who in ("bench", "timm's loop") if number % 2 else ("timm's loop", "bench"):
                    call = lambda m=model, x=images: m(x)  # noqa: E731
                    taken[who].append(_bench(call, clock, on_gpu) if who == "bench" else _timm(call, on_gpu))
        for who, values in taken.items():
            show(f"{name} batch {batch}, {who}", values)
        show_ratio(f"{name}, bench over timm's loop", taken["bench"], taken["timm's loop"])


def _bench(call: Workload, clock: Clock, on_gpu: bool) -> float:
    return median(sample(call, clock, TIMING, blocks=on_gpu).seconds)


def _timm(call: Workload, on_gpu: bool) -> float:
    for _ in range(WARM_UP):
        _step(call, on_gpu)
    return sum(_step(call, on_gpu) for _ in range(TIMED)) / TIMED


def _step(call: Workload, on_gpu: bool) -> float:
    start = time.perf_counter()
    call()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
