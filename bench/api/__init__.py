"""The interface from Python: the same as the commands, returning frames and records.

import bench
done = bench.run("smoke", names=["resnet18", "my_net.py:Net"], results="results")
frame = bench.load("results/smoke")
"""

from bench.api._comparing import compare, selftest
from bench.api._evaluating import evaluate
from bench.api._gating import gate
from bench.api._querying import query
from bench.api._reading import ensembles, figure, load
from bench.api.inspecting import show
from bench.api.runs import Done, Prepared, prepare, run, train

__all__ = [
    "Done",
    "Prepared",
    "compare",
    "ensembles",
    "evaluate",
    "figure",
    "gate",
    "load",
    "prepare",
    "query",
    "run",
    "selftest",
    "show",
    "train",
]
