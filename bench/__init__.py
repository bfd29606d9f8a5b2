"""A neural architecture benchmarking harness: cost, speed, memory and short-training accuracy, and how sure each is.

import bench
frame = bench.load("results/cpu-reference")
run = bench.run("smoke", names=["resnet18", "my_net.py:Net"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "compare",
    "engines",
    "ensembles",
    "evaluate",
    "figure",
    "load",
    "query",
    "run",
    "show",
    "train",
]

if TYPE_CHECKING:
    from bench.api import compare, engines, ensembles, evaluate, figure, load, query, run, show, train


def __getattr__(name: str) -> Any:
    """Import the interface when it is first used, so that `import bench` costs nothing."""
    if name in __all__:
        import bench.api

        return getattr(bench.api, name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")
