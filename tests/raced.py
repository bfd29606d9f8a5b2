"""Races on published speeds: those of one machine are the truth, those of others what is known before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.choosing import front_of
from bench.analysis.expected_cost import CostModel, Entrants
from bench.analysis.racing import Race, RacedCost, Standing
from bench.facts import accuracies, speeds

MACHINES = {
    "i9": "benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo",
    "i7": "benchmark-infer-fp32-nchw-pt240-cpu-i7_12700h-dynamo",
    "3090": "benchmark-infer-amp-nchw-pt240-cu124-rtx3090",
    "4090": "benchmark-infer-amp-nchw-pt291-cu128-4090",
    "5090": "benchmark-infer-amp-nchw-pt291-cu130-5090",
    "pro6000": "benchmark-infer-amp-nchw-pt291-cu130-pro6000maxq",
}
_KEY = ["network", "input_size"]


def published(truth: str, priors: Sequence[str]) -> tuple[Entrants, np.ndarray]:
    """Return the networks whose speed on a machine is published, and their times there, s; priors know what they know."""
    rows, timed = accuracies(), speeds()
    rows = rows[(rows["set"] == "val") & (rows["source"] != "torchvision")]
    table = rows.groupby(_KEY, as_index=False).agg(
        accuracy=("top1", "max"), parameters=("parameters", "first")
    )
    counted = timed.dropna(subset=["macs", "activations"]).drop_duplicates(_KEY)
    table = table.merge(counted[[*_KEY, "macs", "activations"]], on=_KEY)
    for machine in (truth, *priors):
        own = timed.loc[timed["source"] == MACHINES[machine], [*_KEY, "throughput"]]
        how = "inner" if machine == truth else "left"
        table = table.merge(own.rename(columns={"throughput": machine}), on=_KEY, how=how)
    entrants = Entrants(
        names=tuple(table["network"]),
        accuracy=table["accuracy"].to_numpy(np.float64),
        counts=table[["macs", "activations", "parameters", "input_size"]].to_numpy(np.float64),
        times=1 / table[list(priors)].to_numpy(np.float64).reshape(len(table), len(priors)),
    )
    return entrants, 1 / table[truth].to_numpy(np.float64)


def true_front(entrants: Entrants, times: np.ndarray) -> np.ndarray:
    """Return a mask of the members of the front."""
    return front_of(times, entrants.accuracy)


@dataclass(frozen=True)
class Ended:
    """A race to its end: its standing, the share of the networks that was measured, and the count of processes."""

    race: Race
    standing: Standing
    share: float
    processes: int


def run(
    entrants: Entrants,
    times: np.ndarray,
    seed: int,
    *,
    limit: float | None = None,
    noise: float = 0.03,
    slow: float = 0.0,
    batch: int = 8,
    budget_alone: bool = False,
) -> Ended:
    """Race until all is decided; each process gives the time with noise, a standard deviation of its logarithm.

    A share of them is `slow` as a whole: by a third in the mean, and one in five of these by seven times.
    """
    rng = np.random.default_rng(seed)
    cost = RacedCost(
        CostModel(entrants), [[] for _ in times], None if limit is None else float(np.log(limit))
    )
    race, processes = Race(entrants, [cost]), 0
    further = race.first()
    while further:
        for i in further:
            late = (
                (rng.exponential(0.3) + 2.0 * (rng.random() < 0.2)) if slow and rng.random() < slow else 0.0
            )
            cost.samples[i].append(float(np.log(times[i]) + rng.normal(0, noise) + late))
        processes += len(further)
        standing = race.standing()
        done = budget_alone and race.budget_decided(standing)
        further = [] if done else race.further(standing, batch)
    return Ended(race, standing, float(standing.measured.mean()), processes)
