"""A race of torchvision's networks against measuring all of them, on this machine.

python tests/benchmarks/race_live.py [--minutes 10] [--exhaustive-minutes 14] [--latency 60ms] [--results FOLDER]

Promised: the race takes at most its minutes, no member of its certain front is off the front of all, no member of the front of
all that is certain there is missed, and what it chooses holds the budget. The exhaustive run measures each network that is
left once, then those near the front again, the quick ones first, in the time that it has; both are kept, so that the script
goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis.choosing import Budget
from bench.analysis.racing import _estimates, _pareto
from bench.api import run
from bench.api.racing import Chosen, choose
from bench.api.runs import open_executor
from bench.execution import Executor
from bench.execution.runner import Observer
from bench.plan.config import Experiment
from bench.records.record import Record
from bench.records.store import latest
from bench.report.race import race_sentences

TIMING = {"warmup_s": 0.15, "min_s": 0.1, "limit_s": 0.2, "min_samples": 2}
PROCESSES = 2


class _Counter(Observer):
    """Writes how many processes have ended."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0

    def recorded(self, record: Record) -> None:
        """Count one."""
        self.count += 1
        sys.stderr.write(
            f"\r{self.name}: {self.count} {record.job.arch} {record.duration_s:.1f} s".ljust(100)
        )


def exhaustive(
    raced: Chosen, results: Path, seconds: float, executor: Executor
) -> dict[tuple[str, int], list[float]]:
    """Return by network and size the latencies of processes that the race did not have, those that fit into the time.

    Networks are taken in the order of what the race expects them to take, so that the dearest are left out where time is
    short; which they are is told.
    """
    table = raced.raced.choice.candidates
    guess = table["latency"].fillna(np.sqrt(table["latency_expected_low"] * table["latency_expected_high"]))
    ordered = table.assign(guess=guess).sort_values("guess")
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    begin, counter = time.monotonic(), _Counter("all")
    for number in range(PROCESSES):
        for _, row in ordered.iterrows():
            if time.monotonic() - begin > seconds:
                return times
            block = {"task": "infer", "batch_size": 1, "input_size": int(row["input_size"]), "timing": TIMING}
            block |= {
                "grid": {"arch": [row["name"]], "replicate": [100 + number]}
            }  # numbers that no race has
            experiment = Experiment.parse({"name": "exhaustive", "blocks": [block]}, "exhaustive")
            done = run(experiment, results=results, name="exhaustive", observer=counter, executor=executor)
            for record in latest(done.summary.records).values():
                measured = record.measurement("latency")
                if record.status == "ok" and measured is not None:
                    times[row["name"], int(row["input_size"])].append(float(np.median(measured.samples)))
    return times


def main() -> None:
    """Race, measure all, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--exhaustive-minutes", type=float, default=14.0)
    parser.add_argument("--latency", default="60ms")
    parser.add_argument("--among", nargs="*", default=["torchvision:*"])
    parser.add_argument("--results", type=Path, default=None)
    options = parser.parse_args()
    results = options.results or Path(tempfile.mkdtemp(prefix="race-"))
    budget = Budget.read("latency", options.latency)
    begin = time.monotonic()
    done = choose(
        options.among,
        minutes=options.minutes,
        results=results,
        observer=_Counter("race"),
        name="race",
        latency=options.latency,
    )
    took = (time.monotonic() - begin) / 60
    print(f"\nthe race took {took:.1f} min, {len(done.summary.records)} jobs; it says:")
    print(*(f"  {line}" for line in race_sentences(done.raced, done.known)), sep="\n")
    begin = time.monotonic()
    with open_executor() as executor:
        times = exhaustive(done, results, 60 * options.exhaustive_minutes, executor)
    table = done.raced.choice.candidates.reset_index(drop=True)
    keys = list(zip(table["name"], table["input_size"], strict=True))
    cost = _estimates([np.log(times.get(key, [])).tolist() for key in keys])
    accuracy = table["accuracy"].to_numpy(np.float64)
    front = _pareto(accuracy, cost.value)
    lacking = [name for (name, size) in keys if not times.get((name, size))]
    print(
        f"\nall the others took {(time.monotonic() - begin) / 60:.1f} min; measured {len(times)} of {len(keys)}"
    )
    print(f"  without a time: {', '.join(lacking) or 'none'}")
    certain, measured = table["certain"].to_numpy(bool), (table["state"] == "measured").to_numpy()
    dominated = [_dominated(i, accuracy, cost.low, cost.high) for i in range(len(table))]
    sure = np.array([not _may_be_dominated(i, accuracy, cost.low, cost.high) for i in range(len(table))])
    sure &= np.isfinite(cost.value)
    wrong, missed = certain & np.array(dominated), front & sure & ~measured
    print(
        f"certain in the race: {certain.sum()}; of them off the front of all beyond doubt: {_names(table, wrong)}"
    )
    print(
        f"on the front of all: {front.sum()}, beyond doubt {(front & sure).sum()}; never raced: {_names(table, missed)}"
    )
    print(
        f"on the front of all, not beyond doubt, and never raced: {_names(table, front & ~sure & ~measured)}"
    )
    best = done.raced.choice.best
    if best is not None:
        of_best = times.get((best["name"], int(best["input_size"])), [])
        print(
            f"chosen: {best['network']}; in {len(of_best)} other processes {[f'{1e3 * t:.1f} ms' for t in of_best]}"
        )
        holding = np.exp(cost.high) <= budget.limit
        better = holding & (accuracy > best["accuracy"])
        print(f"more accurate, and within the budget beyond doubt: {_names(table, better)}")
    sys.exit(1 if wrong.any() or missed.any() else 0)


def _dominated(i: int, accuracy: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Return whether another network is as accurate and cheaper beyond doubt."""
    others = accuracy >= accuracy[i]
    others[i] = False
    return bool((others & (high < low[i])).any())


def _may_be_dominated(i: int, accuracy: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    others = accuracy >= accuracy[i]
    others[i] = False
    return bool((others & (low <= high[i])).any())


def _names(table: pd.DataFrame, some: np.ndarray) -> str:
    return ", ".join(table.loc[some, "network"]) or "none"


if __name__ == "__main__":
    main()
