"""Which network to take: raced for on this machine, or told from costs that are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api._objects import Network
from bench.api.racing import Chosen, race
from bench.api.runs import each
from bench.errors import unknown_name
from bench.execution import Executor
from bench.execution.runner import Observer
from bench.records.store import read_run, run_called

if TYPE_CHECKING:
    from bench.analysis.choosing import Budget, Choice
    from bench.facts.candidates import Candidates


def choose(
    among: Network | Sequence[Network] = (),
    *,
    accuracy: str = "top1",
    minutes: float = 10.0,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    **budgets: str,
) -> Chosen:
    """Race networks on this machine for the most accurate one within budgets, and store the records; see `race`.

    Args:
        among: names and globs of networks; none for torchvision's.
        accuracy: as of `race`.
        minutes: as of `race`.
        overrides: as of `race`.
        name: as of `race`.
        results: as of `race`.
        executor: as of `race`.
        observer: as of `race`.
        budgets: what it may cost, with the unit: latency="20ms", throughput, memory, parameters, macs, energy and
            file_size.

    Raises:
        BenchError: as `race` does, and for a budget of what is not measured.

    Example:
        >>> chosen = bench.choose("torchvision:*", latency="20ms", minutes=5)
        >>> chosen.comparison[["network", "latency", "latency_low", "latency_high"]]
    """
    return race(
        _budgets(budgets),
        among,
        accuracy=accuracy,
        minutes=minutes,
        overrides=overrides,
        name=name,
        results=results,
        executor=executor,
        observer=observer,
    )


def choose_from(
    on: Path | str,
    among: str | Sequence[str] = (),
    *,
    accuracy: str = "top1",
    results: Path | str = "results",
    **budgets: str,
) -> tuple[Choice, Candidates]:
    """Return the most accurate network within budgets by costs that are known, and all that it was chosen from.

    Nothing is measured.

    Args:
        on: a machine whose speeds are published, such as ``rtx4090``, or the name or folder of a run with times.
        among: names and globs of networks; none for all that are known.
        accuracy: as of `race`: published, or of a run, the same one or another.
        results: the folder that holds runs.
        budgets: as of `choose`.

    Raises:
        BenchError: for a machine or an accuracy of which nothing is known, a budget that is none, and where no network
            is called so.
        StoreError: for a folder that is no run.

    Example:
        >>> choice, candidates = bench.choose_from("rtx4090", ["resnet*"], latency="1ms")
        >>> len(candidates.table) > 10
        True
    """
    from bench.analysis.choosing import choose as decide
    from bench.facts.accuracy import Accuracies
    from bench.facts.candidates import Candidates

    accuracies, patterns = Accuracies.called(accuracy, results), each(among)
    folder = None if str(on) in Candidates.machines() else run_called(on, results)
    if folder is not None:
        candidates = Candidates.measured(read_run(folder), accuracies, patterns)
    else:
        candidates = Candidates.published(str(on), accuracies, patterns)
    candidates, limits = candidates.of_batches(_budgets(budgets))
    return decide(candidates.table, limits, candidates.images), candidates


def _budgets(texts: Mapping[str, str]) -> list[Budget]:
    """Return the budgets of quantities.

    Raises:
        BenchError: for a quantity of which there is no budget, or a text that is none.
    """
    from bench.analysis.choosing import COSTS, Budget

    for quantity in texts:
        if quantity not in COSTS:
            raise unknown_name("budget", quantity, COSTS, f"there are {', '.join(COSTS)}")
    return [Budget.read(quantity, text) for quantity, text in texts.items()]
