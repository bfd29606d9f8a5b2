"""The data sets and trained weights that jobs need and this machine lacks: fetched once, before the first job."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from bench.errors import BenchError
from bench.execution import Executor
from bench.execution.catalog import ask
from bench.plan.expand import Planned

_FETCH_S = 3600.0
_What = Literal["data", "weights"]


def fetch_all(
    names: Sequence[str], executor: Executor, begin: Callable[[str], None], what: _What = "data"
) -> dict[str, BenchError]:
    """Fetch data sets, or the weights of networks, and return why for those that cannot be had.

    Args:
        names: of the data sets, or of the networks.
        executor: where they are fetched.
        begin: told of each as it begins.
        what: is fetched.
    """
    refused = {}
    for name in names:
        begin(name)
        try:
            ask(executor, str, f"fetch_{what}", name, timeout_s=_FETCH_S)
        except BenchError as error:
            refused[name] = error
    return refused


def without(plan: Sequence[Planned], refused: Mapping[str, BenchError]) -> tuple[Planned, ...]:
    """Return the plan with the jobs marked as unsupported whose data set, or whose weights, cannot be had."""
    return tuple(
        replace(p, status="unsupported", reason=error.message, tip=error.tip)
        if p.status is None and (error := _refusal(p, refused))
        else p
        for p in plan
    )


def _refusal(planned: Planned, refused: Mapping[str, BenchError]) -> BenchError | None:
    return next((refused[name] for name in (*planned.datasets, planned.job.arch) if name in refused), None)
