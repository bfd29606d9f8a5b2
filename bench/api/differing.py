"""What changed between two stored runs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.runs import stored_runs, warn
from bench.errors import ConfigError
from bench.records.machines import by_machine, same_machines
from bench.records.store import Run

if TYPE_CHECKING:
    from bench.analysis.diff import Diff


def diff(
    a: Path | str | Run,
    b: Path | str | Run,
    *,
    across: bool = False,
    floor: float | None = None,
    quantities: Collection[str] = (),
    results: Path | str = "results",
    remark: Callable[[str], object] = warn,
) -> dict[str, Diff]:
    """Return what changed from one run to another on each machine that both have, by the name of the later run there.

    Args:
        a: the earlier run, or its folder.
        b: the later one, likewise.
        across: compare across devices, precisions, threads and definitions too.
        floor: what is noise where processes are too few to test, as a share; None is 0.05, or more where the ratios
            scatter or the machine's self-test found more.
        quantities: only these, such as ``["latency", "macs"]``.
        results: the folder in which a self-test of the machine is looked for.
        remark: told which machines are in one run alone.

    Raises:
        ConfigError: where the runs have nothing in common, or may not be compared.
        StoreError: for a folder that is no run.
        UnknownNameError: for a quantity that neither run has.

    Example:
        >>> changes = bench.diff("results/cpu-reference", "results/cpu-reference", quantities=["macs"])
        >>> {row.effect.verdict for row in changes["cpu-reference"].rows}
        {'equal'}
        >>> changes["cpu-reference"].slowdowns(0.05)  # what `bench diff --fail-above 5%` fails for
        []
    """
    from bench.analysis.diff import Diff
    from bench.analysis.selftest import band_of

    earlier, later = stored_runs([a, b])
    pairs = same_machines(earlier, later)
    if not pairs:
        here, there = (" and ".join(run.name for run in by_machine(one)) for one in (earlier, later))
        raise ConfigError(f"no machine is in both runs: {here}, against {there}", "measure one of them anew")
    paired = {run.name for pair in pairs for run in pair}
    if alone := [run.name for run in by_machine(earlier, later) if run.name not in paired]:
        remark(f"not compared, as the other run has no such machine: {' and '.join(alone)}")
    return {
        of_later.name: Diff.of(
            of_earlier,
            of_later,
            across=across,
            floor=floor,
            quantities=quantities,
            noise=band_of(Path(results), of_later, 0.0),
        )
        for of_earlier, of_later in pairs
    }
