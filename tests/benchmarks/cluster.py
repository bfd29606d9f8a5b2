"""What a job costs on a Ray cluster over the same on one machine, and what a second node is worth.

At most 0.3 s a job, and at least 1.7 times the jobs in the same time, on two idle cores: each node has one of them.
Where others work on the machine, the CPU time beside it tells: what the driver takes for a job, which a second node does
not share, over what the job itself takes.

python tests/benchmarks/cluster.py   (needs ray)
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.api import prepare
from bench.execution import Executor
from bench.execution._cluster import ClusterExecutor
from bench.execution.executors.process import ProcessExecutor
from bench.execution.executors.ray import _RayFleet
from bench.execution.runner import run_plan
from bench.plan.config import Experiment
from bench.plan.expand import Catalog, Planned
from bench.records.store import Store

COSTS = {
    "task": "cost",
    "grid": {"arch": ["resnet18", "resnet34", "googlenet", "vgg16"], "seed": [*range(6)]},
}
TRAININGS = {
    "task": "accuracy",
    "dataset": "digits",
    "epochs": 4,
    "threads": 1,
    "device": "cpu",
    "grid": {"arch": ["resnet20"], "seed": [0, 1, 2, 3]},
}
SMALL = {"task": "cost", "grid": {"arch": ["linear"], "seed": [*range(40)]}}
ROUNDS = 3


@contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """Yield the address of a cluster with so many nodes, each of which has one core of this machine, and own locks."""
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "num_gpus": 0, "include_dashboard": False}
    )
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number in range(nodes):
                own = {"BENCH_LOCKS": f"{folder}/locks-{number}", "BENCH_JOBS": f"{folder}/jobs-{number}"}
                os.sched_setaffinity(0, {cores[number]})
                made.add_node(num_cpus=1, num_gpus=0, env_vars=own)
            os.sched_setaffinity(0, cores)
            yield made.address
        finally:
            made.shutdown()


def plan_of(block: dict[str, Any], executor: Executor) -> tuple[Sequence[Planned], Catalog]:
    prepared = prepare(Experiment.parse({"name": "cluster", "blocks": [block]}), executor=executor)
    return prepared.plan, prepared.catalog


def seconds(plan: Sequence[Planned], catalog: Catalog, executor: Executor) -> tuple[float, float]:
    """Return the seconds of a plan, and the CPU seconds of this process meanwhile."""
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "run") as store:
        start, cpu = time.perf_counter(), time.process_time()
        summary = run_plan(plan, executor, store, catalog)
        assert set(summary.counts) == {"ok"}, summary.counts
        return time.perf_counter() - start, time.process_time() - cpu


def measure(blocks: dict[str, dict[str, Any]], executor: Executor) -> dict[str, tuple[float, float, int]]:
    """Return by name the least seconds of several rounds, with the CPU seconds of this process, and the jobs."""
    found = {}
    for name, block in blocks.items():
        plan, catalog = plan_of(block, executor)
        seconds(plan[:2], catalog, executor)  # a round that does not count
        found[name] = (*min(seconds(plan, catalog, executor) for _ in range(ROUNDS)), len(plan))
    return found


def main() -> None:
    blocks = {"costs": COSTS, "trainings": TRAININGS, "small jobs": SMALL}
    by_nodes = {}
    for nodes in (1, 2):
        with cluster(nodes) as address:
            executor = ClusterExecutor(lambda at=address: _RayFleet(at), ProcessExecutor())  # type: ignore[misc]
            by_nodes[nodes] = measure(blocks, executor)
            executor.close()
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(everywhere)})  # one core, as each node has
    local = measure(blocks, ProcessExecutor())
    os.sched_setaffinity(0, everywhere)
    for name in blocks:
        (one, driver, jobs), (two, _, _) = by_nodes[1][name], by_nodes[2][name]
        alone = local[name][0]
        print(
            f"{name:12} {jobs:3} jobs: local {alone / jobs:.3f} s a job, one node {one / jobs:.3f} "
            f"(+{(one - alone) / jobs:.3f}; CPU of the driver {driver / jobs:.3f}), two nodes {two / jobs:.3f}: "
            f"{one / two:.2f} times as many"
        )


if __name__ == "__main__":
    main()
