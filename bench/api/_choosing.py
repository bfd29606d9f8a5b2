"""Which network to take, told from costs that are known; nothing is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.runs import each
from bench.records.store import read_run, run_called

if TYPE_CHECKING:
    from bench.analysis.choosing import Choice
    from bench.facts.candidates import Candidates


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
        accuracy: as of `choose`: published, or of a run, the same one or another.
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
    from bench.analysis.choosing import Budget
    from bench.analysis.choosing import choose as decide
    from bench.facts.accuracy import Accuracies
    from bench.facts.candidates import Candidates

    accuracies, patterns = Accuracies.called(accuracy, results), each(among)
    folder = None if str(on) in Candidates.machines() else run_called(on, results)
    if folder is not None:
        candidates = Candidates.measured(read_run(folder), accuracies, patterns)
    else:
        candidates = Candidates.published(str(on), accuracies, patterns)
    candidates, limits = candidates.of_batches(Budget.of_each(budgets))
    return decide(candidates.table, limits, candidates.images), candidates
