"""What a self-test says, in sentences: for the terminal, and for the method section of a page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from bench.analysis.selftest import Selftest
from bench.errors import StoreError
from bench.records.flags import explain
from bench.units import DASH, percent, show

if TYPE_CHECKING:
    from bench.analysis.selftest import Scatter, Selftest, Trial
    from bench.records.store import Run
    from bench.stats.calibration import Calibration
    from bench.stats.intervals import Proportion


def _share(proportion: Proportion) -> str:
    """Return ``11 of 12 (62 to 100 %)``; of trials that share processes also what they are worth."""
    count = f"{proportion.count:,} of {proportion.of:,}"
    if not proportion.worth:
        return count
    low, high = proportion.interval
    ends = f"{100 * low:.0f} to {percent(high, 0)}"
    if proportion.worth == proportion.of:
        return f"{count} ({ends})"
    return f"{count}, {percent(proportion.share)} ({ends}; worth {proportion.worth} independent)"


def selftest_lines(tested: Selftest) -> dict[str, list[str]]:
    """Return what a self-test says, by topic; shares stand with their exact 95 % intervals."""
    known = tested.calibration
    topics: dict[str, Iterable[str]] = {
        "Scatter": map(_scatter, tested.rows),
        "Intervals": () if known is None else _intervals(known),
        "bench diff": () if known is None else _diff(known, len(tested.rows)),
        "bench compare": map(_compared, tested.trials),
        "Harness": _harness(tested),
        "Doubts": (f"{doubt}: {explain(doubt)}" for doubt in tested.doubts),
    }
    return {topic: lines for topic, said in topics.items() if (lines := list(said))}


def selftests_of(runs: Sequence[Run]) -> dict[str, dict[str, list[str]]]:
    """Return what self-tests beside the runs say of the machines that timed them, each once, by its first run.

    Of one that cannot be read, what is the matter with it.
    """
    from bench.analysis.frame import named  # the terminal's self-test needs no pandas

    quoted: dict[str, dict[str, list[str]]] = {}
    for (name, _), tested in zip(named(runs), Selftest.beside(runs), strict=True):
        if tested is not None and (lines := _quoted(tested)) not in quoted.values():
            quoted[name] = lines
    return quoted


def _quoted(tested: Selftest | StoreError) -> dict[str, list[str]]:
    if isinstance(tested, StoreError):
        return {"Not read": [f"{tested.message}: {tested.tip}, or run bench selftest again"]}
    return selftest_lines(tested)


def _scatter(row: Scatter) -> str:
    levels = row.levels
    correlation = f"{levels.correlation:.2f}" if math.isfinite(levels.correlation) else DASH
    return (
        f"{row.arch} {row.quantity.replace('_', ' ')}, batch {row.batch_size}: standard deviation "
        f"{percent(row.between)} between {levels.processes} processes, {percent(levels.spread)} within one, "
        f"neighbouring samples correlated by {correlation}"
    )


def _intervals(calibration: Calibration) -> Iterator[str]:
    size, expected = calibration.size, percent(calibration.held_expected, 0)
    yield (
        f"intervals of {size} processes that hold the median of {size} others: {_share(calibration.held)}; "
        f"{expected} expected, since that median varies as well"
    )
    yield (
        f"processes within the interval for the next one, of {size} others: {_share(calibration.predicted)}; "
        "95 % expected"
    )


def _diff(calibration: Calibration, rows: int) -> Iterator[str]:
    size = calibration.size
    yield (
        f"two runs of the same, {size} processes each, any of {rows} times called changed: one after the other "
        f"{_share(calibration.alarms_in_order)}; mixed {_share(calibration.alarms)}; at most 5 % expected"
    )
    for slowed in calibration.slowed:
        yield (
            f"times made {percent(slowed.slowdown, 0)} longer, by multiplying what was measured, called slower: "
            f"{_share(slowed.called)}"
        )


def _compared(trial: Trial) -> str:
    what = f"slowed by {percent(trial.slowdown, 0)}" if trial.slowdown else "the same network"
    called = "called slower" if trial.slowdown else "called different, at most 5 % expected"
    return (
        f"{what}, {called}: {_share(trial.called)}; "
        f"median ratio {trial.ratio:.4f}, interval ±{percent(trial.reach, 2)}"
    )


def _harness(tested: Selftest) -> Iterator[str]:
    yield f"noise floor {percent(tested.noise_floor, 2)}: smaller effects are not called"
    yield f"overhead {tested.overhead:.4f} of a bare loop's time"
    yield f"timer resolution {show(tested.timer_resolution, 's')}"
