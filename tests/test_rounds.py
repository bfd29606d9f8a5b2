"""Rounds: which times get further processes, for how long, and that the same command begins none."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_catalog, make_planned
from fake_executor import FakeExecutor

from bench.execution import Ended
from bench.execution._rounds import _Row, further_round, rows_of
from bench.execution.runner import run_plan
from bench.plan.expand import Planned
from bench.plan.settings import Processes
from bench.records.record import Measurement
from bench.records.store import Store, read_run
from bench.stats.intervals import Interval

PROCESSES = Processes(least=3, most=6, within=0.05, grant_s=100.0)


def planned(arch: str, processes: Processes = PROCESSES) -> Planned:
    settings = {"device": "cpu", "batch_size": 1, "threads": 1}
    return Planned(
        **{**_fields(make_planned(task="infer", arch=arch, settings=settings)), "processes": processes}
    )


def _fields(one: Planned) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def row(arch: str, *times: float, spent_s: float = 1.0, processes: Processes = PROCESSES) -> _Row:
    return _Row(planned(arch, processes), list(times), [spent_s] * len(times), next=len(times))


def chosen(*rows: _Row) -> list[tuple[str, int]]:
    return sorted((p.job.arch, p.job.settings.replicate) for p in further_round(rows))


def test_a_narrow_interval_asks_for_nothing_and_a_wide_one_for_one_more() -> None:
    assert chosen(row("a", 1.0, 1.001, 0.999), row("b", 2.0, 2.4, 1.7)) == [("b", 3)]


def test_neighbours_whose_order_is_open_ask_for_more() -> None:
    # Half of each interval is 4.303 / sqrt(3) * 0.01 = 2.5 %: narrow, but 4 % apart they overlap.
    a, b = (1.0, 1.01, 0.99), (1.04, 1.05, 1.03)
    assert max(Interval.over_processes(a).high, 0.0) > Interval.over_processes(b).low
    assert chosen(row("a", *a), row("b", *b)) == [("a", 3), ("b", 3)]


def test_times_that_are_alike_need_no_order() -> None:
    assert chosen(row("a", 1.0, 1.01, 0.99), row("b", 1.01, 1.02, 1.0)) == []


def test_no_more_than_the_most() -> None:
    assert chosen(row("a", 1.0, 1.4, 0.7, 1.2, 0.9, 1.3)) == []


def test_what_is_granted_is_shared_and_the_cheap_come_first() -> None:
    little = Processes(least=3, most=6, grant_s=2.0)
    wide = (1.0, 1.4, 0.7)
    rows = [row("dear", *wide, spent_s=3.5, processes=little), row("cheap", *wide, processes=little)]
    assert chosen(*rows) == [("cheap", 3)]  # of 4 s, 1 is spent, and 3.5 do not fit in what is left


def test_what_further_rounds_took_is_taken_off() -> None:
    spent = row("a", 1.0, 1.4, 0.7, processes=Processes(least=3, most=6, grant_s=2.0))
    spent.further_s = 1.5
    assert chosen(spent) == []


def scatter(share: float, seed: int = 0) -> FakeExecutor:
    """Return an executor whose processes differ by a share; network b is 3 % slower than a."""
    rng = random.Random(seed)

    def play(target: str, args: tuple[Any, ...]) -> tuple[list[tuple[str, Any]], Ended]:
        job = args[0]
        seconds = {"a": 1.0, "b": 1.03}[job.arch] * math.exp(rng.gauss(0, share))
        samples = (seconds,) * 3
        latency = Measurement(name="latency", unit="s", better="lower", samples=samples)
        return [("measurement", latency), ("outcome", ("ok", None))], Ended()

    return FakeExecutor(play)


def plan() -> list[Planned]:
    return [planned(arch).in_process(number) for number in range(3) for arch in "ab"]


def run(path: Path, executor: FakeExecutor) -> Counter[str]:
    with Store(path) as store:
        summary = run_plan(plan(), executor, store, make_catalog())
    assert summary.counts == {"ok": len(summary.records)}
    jobs = {args[0].id: args[0].arch for _, args in executor.calls}  # the first is timed again, for drift
    return Counter(jobs.values())


def test_quiet_processes_are_left_at_the_least(tmp_path: Path) -> None:
    assert run(tmp_path, scatter(0.0001)) == {"a": 3, "b": 3}


def test_scattered_processes_get_more_and_the_same_command_none(tmp_path: Path) -> None:
    first = run(tmp_path, scatter(0.05))
    assert 3 < first["a"] <= 6
    again = scatter(0.05, seed=1)
    run(tmp_path, again)
    assert again.calls == []
    jobs = [r.job for r in read_run(tmp_path).records]
    numbers = [job.settings.replicate for job in jobs if job.arch == "a"]
    assert sorted(set(numbers)) == list(range(first["a"]))


def test_a_process_that_fails_is_counted_and_not_repeated_for_ever(tmp_path: Path) -> None:
    def play(target: str, args: tuple[Any, ...]) -> tuple[list[tuple[str, Any]], Ended]:
        number = args[0].settings.replicate
        if number >= 3:
            return [], Ended(exitcode=-11)
        latency = Measurement(name="latency", unit="s", better="lower", samples=(1.0 + 0.3 * number,))
        return [("measurement", latency), ("outcome", ("ok", None))], Ended()

    with Store(tmp_path) as store:
        summary = run_plan(plan(), FakeExecutor(play), store, make_catalog())
    assert summary.counts == {"ok": 6, "crashed": 6}  # two networks, up to six processes each


def test_rows_take_what_the_store_holds() -> None:
    rows = rows_of([planned("a")], {})
    assert [(r.times, r.next) for r in rows] == [([], 0)]


@pytest.mark.parametrize("scatter_share", [0.01, 0.03, 0.06])
def test_intervals_hold_what_they_say_although_doubt_asks_for_more(scatter_share: float) -> None:
    """Stopping where an interval is narrow favours intervals that are too narrow by chance; not by much."""
    rng = np.random.default_rng(0)
    rule = Processes()
    held, trials = 0, 4000
    for _ in range(trials):
        times = list(np.exp(rng.normal(0, scatter_share, rule.least)))
        while len(times) < rule.most:
            interval = Interval.over_processes(times)
            if (interval.high - interval.low) / 2 / interval.estimate <= rule.within:
                break
            times.append(float(np.exp(rng.normal(0, scatter_share))))
        interval = Interval.over_processes(times)
        held += interval.low <= 1 <= interval.high
    assert 0.93 <= held / trials <= 0.97
