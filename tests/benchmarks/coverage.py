"""Whether intervals hold what they say: simulated with the variances of stored runs, and on the stored processes.

python tests/benchmarks/coverage.py [RUN ...]

Promised: a time's interval over 3 to 10 processes covers 93 to 97 % in simulation; no pair of stored halves of the same
processes is called changed once corrected for the number of quantities in more than 5 %.
"""

from __future__ import annotations

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from series import disturbed, disturbed_median, median_interval, times  # noqa: E402

from bench.records.store import latest, read_run  # noqa: E402
from bench.stats._correlation import effective_size  # noqa: E402
from bench.stats.calibration import Calibration, Levels, _held_expected  # noqa: E402
from bench.stats.intervals import Interval  # noqa: E402
from bench.stats.samples import median  # noqa: E402
from bench.stats.verdicts import CHANGED, differ  # noqa: E402

RESULTS = HERE.parents[1] / "results"
TIMES = ("latency", "step_time", "forward_time", "backward_time")
TRIALS = 4000
QUIET = 0.02  # standard deviation between processes that nobody disturbs


@dataclass(frozen=True, slots=True)
class Timed:
    """The samples of each process that measured one thing."""

    run: str
    name: str
    processes: Sequence[tuple[float, ...]]

    @property
    def medians(self) -> list[float]:
        return [median(p) for p in self.processes]


def stored(run: str) -> Iterator[Timed]:
    """Yield what a run has timed, in the order of its records; samples that stand under two names once."""
    groups: defaultdict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    for record in latest(read_run(RESULTS / run).records).values():
        for m in record.measurements:
            if record.status == "ok" and m.name in TIMES and m.samples and "samples_of" not in m.detail:
                groups[record.job.series(), f"{m.name} of {record.job.arch}"].append(m.samples)
    yield from (Timed(run, name, processes) for (_, name), processes in groups.items())


def show_variances(timed: Sequence[Timed]) -> tuple[float, float, float]:
    """Print what differs between and within processes, by run; return sd between, sd within, and correlation."""
    print(
        f"{'run':22}{'quantities':>11}{'processes':>11}{'sd between':>12}{'sd within':>11}{'lag 1':>7}{'worth':>7}"
    )
    between, within, rho = [], [], []
    for run in dict.fromkeys(t.run for t in timed):
        some = [t for t in timed if t.run == run]
        levels = [Levels.of(t.processes) for t in some]
        apart = [one.between for one in levels if one.processes > 2]
        worth = median([effective_size(p) / len(p) for t in some for p in t.processes])
        sd = math.sqrt(float(np.mean(apart))) if apart else math.nan
        spreads, lags = [one.spread for one in levels], [one.correlation for one in levels]
        print(
            f"{run:22}{len(some):11}{max(len(t.processes) for t in some):11}{sd:12.3f}{median(spreads):11.3f}"
            f"{median(lags):7.2f}{worth:7.2f}"
        )
        between += [sd]
        within += spreads
        rho += lags
    return median(between), median(within), median(rho)


def show_simulation(between: float, within: float, rho: float, samples: int = 20) -> None:
    """Print how often intervals hold the truth, over processes and, wrongly, of all samples as if independent."""
    print(
        f"\nSimulated: sd between {between:.3f}, within {within:.3f}, correlation {rho:.2f}, {samples} samples a process"
    )
    print(f"{'K':>3}{'normal':>9}{'t3':>8}{'drift':>8}{'a quarter slower':>18}{'all samples as one':>20}")
    kinds = {"normal": {}, "t3": {"tail": "t3"}, "drift": {"drift": between}}
    slower = math.exp(disturbed_median(QUIET, 0.25))
    for k in range(3, 11):
        held = {}
        for kind, more in kinds.items():
            rng = np.random.default_rng(k)
            series = times(rng, (TRIALS, k, samples), between=between, within=within, rho=rho, **more)
            held[kind] = _share([Interval.over_processes(m) for m in np.median(series, axis=2).tolist()])
        flat = [median_interval(s) for s in series[:500].reshape(500, -1).tolist()]
        naive = np.mean([low <= 1 <= high for low, high in flat])
        logs = disturbed(np.random.default_rng(k), (TRIALS, k), QUIET, 0.25)
        slow = _share([Interval.over_processes(m) for m in np.exp(logs).tolist()], slower)
        print(f"{k:3}{held['normal']:9.3f}{held['t3']:8.3f}{held['drift']:8.3f}{slow:18.3f}{naive:20.3f}")
    alone = times(np.random.default_rng(1), (TRIALS // 4, 1, 100), between=between, within=within, rho=rho)[
        :, 0
    ]
    found = [Interval.within_one(s) for s in alone.tolist()]
    print(
        f"  1 process: its interval holds the time of the next ones in {_share(found):.3f} of cases, and says so"
    )


def _share(intervals: Sequence[Interval], truth: float = 1.0) -> float:
    return float(np.mean([i.low <= truth <= i.high for i in intervals]))


def show_held_out(timed: Sequence[Timed]) -> None:
    """Print how often the time over some processes lies in the interval of the others, and how often it should."""
    print("\nStored: the median of the processes left out, in the interval of the others")
    for run in dict.fromkeys(t.run for t in timed):
        for k in (3, 4, 5, 6, 7, 8):
            shares, expected = [], []
            for one in (t for t in timed if t.run == run and len(t.processes) > k):
                shares.append(
                    np.mean([_held(one.medians, chosen) for chosen in _choices(len(one.medians), k)])
                )
                expected.append(_expected(k, len(one.medians) - k))
            if shares:
                line = f"{np.mean(shares):.3f} (of alike, normal ones {np.mean(expected):.3f})"
                print(f"  {run:22} {k} processes: {line}, {len(shares)} quantities")


@cache
def _expected(k: int, others: int) -> float:
    return _held_expected(k, others)  # the ones left out vary as well


def _choices(n: int, k: int, most: int = 300) -> Sequence[tuple[int, ...]]:
    """Return the choices of k of n, or so many of them, drawn always alike, where there are more."""
    if math.comb(n, k) <= most:
        return list(combinations(range(n), k))
    rng = np.random.default_rng(0)
    return [tuple(rng.choice(n, k, replace=False).tolist()) for _ in range(most)]


def _held(medians: Sequence[float], chosen: Sequence[int]) -> bool:
    interval = Interval.over_processes([medians[i] for i in chosen])
    return interval.low <= float(np.median(np.delete(medians, chosen))) <= interval.high


def show_alarms(timed: Sequence[Timed]) -> None:
    """Print what `bench diff` would say of processes of the same run held against each other."""
    pairs = [
        differ([a], [b]).verdict for t in timed for a, b in combinations(t.medians, 2) if len(t.processes) > 1
    ]
    claimed = sum(v in CHANGED for v in pairs)
    print(
        f"\nOne process against another of the same: {claimed} of {len(pairs)} called, {pairs.count('suspected')} suspected"
    )
    runs = [
        [t.medians for t in timed if t.run == run and len(t.processes) >= 8]
        for run in dict.fromkeys(t.run for t in timed)
    ]
    mixed = [Calibration.of([row[:8] for row in rows], 4).alarms for rows in runs if rows]
    wrong, pairs_of_halves = sum(m.count for m in mixed), sum(m.of for m in mixed)
    print(
        f"Four processes against the four others: {wrong} of {pairs_of_halves} pairs of halves with any row called,"
    )
    print(f"corrected for their number; they are worth {sum(m.worth for m in mixed)}")


def main() -> None:
    names = sys.argv[1:] or sorted(p.name for p in RESULTS.iterdir() if (p / "records.jsonl").is_file())
    timed = [t for name in names for t in stored(name)]
    if not timed:
        print("no times are stored there")
        return
    show_simulation(*show_variances(timed))
    show_held_out(timed)
    show_alarms(timed)


if __name__ == "__main__":
    main()
