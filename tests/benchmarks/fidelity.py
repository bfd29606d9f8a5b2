"""Step times against a bare loop over the same network and batch, in turn: within 2 %, on a GPU within 1 %.

    python tests/benchmarks/fidelity.py [NETWORK ...]

On a CPU call by call, in fp32; on a GPU in bf16 with 256 images, blocks of calls as `bench` samples them against
twenty calls between two CUDA events. A busy machine shows in the spread; run it on an idle one.
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
from bench.timing.clock import HostClock, Workload

# network: on the CPU, batch and pairs of calls
NETWORKS = {"resnet18": (8, 60), "vgg16": (2, 40), "torchvision:mobilenet_v3_large": (8, 200)}
WARMUP = 5
GPU_PAIRS, GPU_BATCH, GPU_CALLS = 9, 256, 20
TIMING = Timing(warmup_s=0.2, min_s=0.2, limit_s=0.6)


def main() -> None:
    on_gpu = torch.cuda.is_available()
    for name in sys.argv[1:] or NETWORKS:
        batch, pairs = (GPU_BATCH, GPU_PAIRS) if on_gpu else NETWORKS.get(name, (2, 40))
        model, images = resolve(name).build().eval(), torch.randn(batch, 3, 224, 224)
        if on_gpu:
            model, images = (thing.to("cuda", torch.bfloat16) for thing in (model, images))
        call = lambda m=model, x=images: m(x)  # noqa: E731
        ways = (
            {"bench": _blocks, "bare loop": _bare_events} if on_gpu else {"bench": _call, "bare loop": _bare}
        )
        taken: dict[str, list[float]] = {who: [] for who in ways}
        with torch.inference_mode():
            for number in range(-WARMUP, pairs):
                for who in taken if number % 2 == 0 else reversed(taken):
                    seconds = ways[who](call)
                    if number >= 0:
                        taken[who].append(seconds)
        for who, values in taken.items():
            show(f"{name} batch {batch}, {who}", values)
        show_ratio(f"{name}, ratio", taken["bench"], taken["bare loop"])


def _call(call: Workload) -> float:
    return HostClock().seconds(call, 1)


def _bare(call: Workload) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _blocks(call: Workload) -> float:
    return median(sample(call, CudaEventClock(), TIMING, blocks=True).seconds)


def _bare_events(call: Workload) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(GPU_CALLS):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) * 1e-3 / GPU_CALLS


if __name__ == "__main__":
    main()
