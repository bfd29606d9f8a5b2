"""A neural architecture benchmarking harness: cost, speed, memory and short-training accuracy, and how sure each is.

Measure, and store:  run, train, evaluate, compare, engines, choose, gate, time_layers, selftest
Read what is stored: load, query, diff, choose_from, verify, export, ensembles, figure, write_report, merge, push, pull
Look, measure none:  jobs, show, training_cost, env
What words mean:     list_units, columns, explain

Each function says in its help what it takes and returns, with an example; all errors are `BenchError`.

Example:
    >>> import bench
    >>> run = bench.run("smoke", ["lenet5", "resnet20"], tasks=["cost"])
    >>> run.comparison[["network", "parameters", "macs"]].values.tolist()
    [['lenet5', 61706, 416520], ['resnet20', 269722, 40551040]]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = [
    "BenchError",
    "__version__",
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

if TYPE_CHECKING:
    from bench.api import (
        choose,
        choose_from,
        columns,
        compare,
        diff,
        engines,
        ensembles,
        env,
        evaluate,
        explain,
        export,
        figure,
        gate,
        jobs,
        list_units,
        load,
        merge,
        pull,
        push,
        query,
        run,
        selftest,
        show,
        time_layers,
        train,
        training_cost,
        verify,
        write_report,
    )
    from bench.errors import BenchError


def __getattr__(name: str) -> Any:
    """Import the interface when it is first used, so that `import bench` costs nothing."""
    if name == "BenchError":
        from bench.errors import BenchError

        return BenchError
    if name in __all__:
        import bench.api

        return getattr(bench.api, name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what there is, also before it is first used."""
    return sorted({*globals(), *__all__})
