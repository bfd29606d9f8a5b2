"""The interface from Python: the same as the commands, returning frames and records.

import bench
run = bench.run("smoke", names=["resnet18", "my_net.py:Net"], results="results")
run.comparison[["network", "latency", "latency_low", "latency_high"]]
frame = bench.load("results/smoke")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api._choosing import choose_from
    from bench.api._comparing import compare, selftest
    from bench.api._engines import engines
    from bench.api._evaluating import evaluate
    from bench.api._gating import gate
    from bench.api._querying import query
    from bench.api._reading import columns, ensembles, figure, load
    from bench.api._running import Done, Prepared, prepare, run, train
    from bench.api.differing import diff
    from bench.api.exporting import export
    from bench.api.inspecting import env, show, training_cost
    from bench.api.naming import explain, list_units
    from bench.api.planning import Plan, jobs
    from bench.api.racing import choose
    from bench.api.reporting import merge, write_report
    from bench.api.sharing import pull, push
    from bench.api.timing import time_layers
    from bench.api.verifying import verify

__all__ = [
    "Done",
    "Plan",
    "Prepared",
    "choose",
    "choose_from",
    "columns",
    "compare",
    "diff",
    "engines",
    "ensembles",
    "env",
    "evaluate",
    "explain",
    "export",
    "figure",
    "gate",
    "jobs",
    "list_units",
    "load",
    "merge",
    "prepare",
    "pull",
    "push",
    "query",
    "run",
    "selftest",
    "show",
    "time_layers",
    "train",
    "training_cost",
    "verify",
    "write_report",
]

_MODULES = {
    "_choosing": ("choose_from",),
    "_comparing": ("compare", "selftest"),
    "_engines": ("engines",),
    "_evaluating": ("evaluate",),
    "_gating": ("gate",),
    "_querying": ("query",),
    "_reading": ("columns", "ensembles", "figure", "load"),
    "differing": ("diff",),
    "exporting": ("export",),
    "inspecting": ("env", "show", "training_cost"),
    "naming": ("explain", "list_units"),
    "planning": ("Plan", "jobs"),
    "racing": ("choose",),
    "reporting": ("merge", "write_report"),
    "sharing": ("pull", "push"),
    "timing": ("time_layers",),
    "verifying": ("verify",),
    "_running": ("Done", "Prepared", "prepare", "run", "train"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for alone: who measures need not wait for what compares."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
