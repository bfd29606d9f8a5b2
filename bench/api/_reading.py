"""What is stored, read back; nothing is measured, and torch is not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.runs import each, stored_runs
from bench.errors import StoreError
from bench.records.machines import by_machine
from bench.records.store import read_run

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from bench.report.notebook import Records


def load(*paths: Path | str, where: str | Sequence[str] = ()) -> Records:
    """Return the records of one or several runs as a frame, one row a measurement; torch is not imported.

    A run of several machines, such as a merged one, is one of each in the column `run`. The frame is shown as the
    comparison that it comes to, which is its `comparison`: one row a network and way of running it.

    Args:
        paths: folders of runs.
        where: conditions on jobs or networks, as of `bench report`, such as ``"family == 'resnet'"``.

    Raises:
        StoreError: for a folder that is no run, or for none at all.
        BenchError: for a condition that cannot be read, or a column that is not there.

    Example:
        >>> frame = bench.load("results/cpu-reference", where="family == 'resnet'")
        >>> len(frame[frame.measurement == "latency"]) > 10
        True
        >>> table = frame.comparison
        >>> table.loc[table.latency.idxmin(), "network"]
        'resnet18'
    """
    from bench.analysis.filter import filter_runs
    from bench.analysis.frame import to_frame
    from bench.report.notebook import Records

    if not paths:
        raise StoreError("no run was given to load", 'give folders of runs: bench.load("results/smoke")')
    runs = filter_runs(by_machine(*stored_runs(paths)), each(where))
    return Records.of(to_frame(runs))


def columns(frame: str | None = None) -> pd.DataFrame:
    """Return what the columns of a frame hold, one row each: its dtype, unit and meaning.

    Args:
        frame: `measurements` (of `load`), `comparison`, `ratios` (of `compare`), `ensembles` or `layers` (of `show`);
            None for all of them.

    Raises:
        UnknownNameError: for a name that no frame has.

    Example:
        >>> known = bench.columns("comparison").set_index("column")
        >>> known.loc["latency", ["dtype", "unit"]].tolist()
        ['float64', 's']
    """
    from bench.analysis.dictionary import dictionary

    return dictionary(frame)


def figure(name: str, frame: pd.DataFrame, style: Mapping[str, object] | None = None) -> Figure | None:
    """Return a figure of a frame as matplotlib's object; None where there is nothing to draw.

    Args:
        name: see `bench list figures`.
        frame: of `load`, or a selection of its rows.
        style: settings of matplotlib that replace the report's own.

    Raises:
        ConfigError: for a frame of other columns.
        UnknownNameError: for a name that no figure has.

    Example:
        >>> frame = bench.load("results/cpu-reference")
        >>> drawn = bench.figure("macs_accuracy", frame[frame.family == "resnet"])
        >>> drawn.savefig("resnets.svg")
    """
    from bench.report.notebook import draw

    return draw(name, frame, style)


def ensembles(path: Path | str, networks: Sequence[str] = (), dataset: str | None = None) -> pd.DataFrame:
    """Return what the trained networks of a run come to together, one row an ensemble; torch is not imported.

    Args:
        path: the folder of the run.
        networks: names or globs; none for all of the run.
        dataset: only trainings on this data set.

    Raises:
        BenchError: where no test outputs are stored, or they are of different test images.

    Example:
        >>> together = bench.ensembles("results/study-ensembles", ["lenet5"])
        >>> together[["label", "gain", "gain_low", "gain_high"]].shape
        (1, 4)
    """
    from bench.analysis.dictionary import typed
    from bench.analysis.ensembles import Ensemble

    return typed(Ensemble.table(Ensemble.in_run(read_run(path), networks, dataset)), "ensembles")
