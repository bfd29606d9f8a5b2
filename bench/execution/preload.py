"""What the fork server imports before the first job, so that no job pays for it.

The server must never run a torch operation: a fork after a two-thread matrix product hangs.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import pkgutil
import tempfile
import warnings

from bench.execution.executors._server import importing

gc.disable()  # modules stay: to look for garbage among them took a sixth of the imports' time
with importing(), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a library's notice at import is not the job's
    import fvcore.nn
    import scipy.special  # intervals need it: in the midst of sampling, its import took half a second of the limit
    import torchvision

    import bench.archs.naming
    import bench.costs
    import bench.execution._probe
    import bench.execution._worker
    import bench.execution.executors._child
    import bench.tasks
    from bench.archs import ARCHS
    from bench.backends import BACKENDS
    from bench.costs import COSTS
    from bench.datasets import DATASETS
    from bench.errors import BenchError

    for registry in (ARCHS, BACKENDS, COSTS, DATASETS):
        with contextlib.suppress(BenchError):  # a plug-in's: the server must not end, and jobs meet it again
            registry.load()
    for room in (bench.archs.naming, bench.costs, bench.tasks):  # what jobs import where they run: 0.2 s
        for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)

with contextlib.suppress(OSError):
    tempfile.gettempdir()  # writes a file to try the folder: each job would, and leave it if it were killed just then

gc.freeze()  # nor do jobs look there, which would also copy the pages that they share with the server
atexit.register(gc.unfreeze)  # a library counts at the server's end what was not collected, and prints it
gc.enable()

__all__ = ["bench", "fvcore", "scipy", "torchvision"]
