"""The jobs of a comparison: some networks in one process, in turn, and that in several processes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.plan.expand import Planned
from bench.plan.settings import Timing

# For all networks of a process together; the process is what counts, so each takes little time.
TIMING = Timing(warmup_s=0.2, min_s=0.4, limit_s=2.0, precision=0.005, min_samples=10)

SLOWDOWNS = (
    0.02,
    0.05,
    0.1,
)  # shares of its time that a network is made slower by, in tests of the harness itself
SELFTEST_TIMING = Timing(warmup_s=0.05, min_s=0.3, limit_s=0.9, precision=0.005, min_samples=10)


def least_processes(tests: int) -> int:
    """Return in how many processes the clearest difference can pass one of so many tests, 6 at least.

    n signs that all agree have a p of 2^(1 - n), which the correction for the number of tests multiplies.
    """
    return max(6, math.ceil(1 + math.log2(tests / 0.05)))


def enough(baselines: int) -> int:
    """Return how many processes can decide latency and throughput against so many baselines, and one to spare."""
    return max(8, 1 + least_processes(2 * baselines))


def labelled(planned: Sequence[Planned]) -> dict[str, Planned]:
    """Return jobs by the name of their network; the second of a name is called ``name #2``."""
    seen: Counter[str] = Counter()
    found = {}
    for one in planned:
        seen[one.job.arch] += 1
        found[one.job.arch if seen[one.job.arch] == 1 else f"{one.job.arch} #{seen[one.job.arch]}"] = one
    return found


def versus(
    networks: Mapping[str, Planned],
    processes: int,
    *,
    timing: Timing = TIMING,
    slowdown: Mapping[str, float] | None = None,
    **more: Any,
) -> list[Planned]:
    """Return a job for each process, in which all networks run in turn.

    Args:
        networks: `infer` jobs by label; the first is the one that is compared, the others are its baselines.
        processes: how many; each begins with another network.
        timing: of each process.
        slowdown: share of its time that a network is made slower by, by label; for tests of the harness itself.
        more: further settings of the jobs.
    """
    lines = [
        {
            "label": label,
            "arch": one.job.arch,
            "input_size": one.job.input_size,
            "in_channels": one.job.in_channels,
            "num_classes": one.job.num_classes,
            "source_sha256": one.job.source_sha256,
            **({"slowdown": slowdown[label]} if slowdown and label in slowdown else {}),
        }
        for label, one in networks.items()
    ]
    first = next(iter(networks.values()))
    jobs = []
    for process in range(processes):
        turned = process % len(lines)
        settings: dict[str, Any] = {
            **first.job.settings,
            "timing": timing.model_dump(mode="json"),
            "networks": [*lines[turned:], *lines[:turned]],
            "labels": list(networks),
            "replicate": process,
            **more,
        }
        jobs.append(replace(first, job=replace(first.job, task="versus", settings=settings)))
    return jobs
