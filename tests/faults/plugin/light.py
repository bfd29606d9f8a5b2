"""An executor without torch: keeper, events, signals and the store are the real ones, and a job is a few numbers.

So a whole `bench run` takes half a second, and can be killed a thousand times.
"""

from __future__ import annotations

from typing import Any

from bench.execution import EXECUTORS, Ended, ExecutorKind
from bench.execution.executors.process import ProcessExecutor


class LightExecutor(ProcessExecutor):
    """Calls the function of `light_jobs` that has the name of the one that is asked for."""

    preload = "light_server"

    def call(self, target: str, args: tuple[object, ...], **options: Any) -> Ended:
        return super().call(f"light_jobs:{target.rpartition(':')[2]}", args, **options)


EXECUTORS.add("light", ExecutorKind("jobs of a few numbers, for faults", LightExecutor))
