"""What backends share: where a job runs, what they take, calls that keep their tensors, a folder for what they make."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from bench.backends import Call, Runnable
from bench.plan.job import Job
from bench.plan.settings import Timed


def on_cpu(job: Job) -> bool:
    """Return whether the job runs on the CPU."""
    return job.device == "cpu"


@contextmanager
def timed(detail: dict[str, object], name: str) -> Iterator[None]:
    """Note under a name in a detail the seconds that the block takes, where it ends well."""
    start = time.perf_counter()
    yield
    detail[name] = time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class PinnedCall:
    """A call that knows tensors by their addresses alone, as a graph does; it keeps them, so that they stay there."""

    call: Call
    tensors: object

    def __call__(self) -> object:
        """Run the call."""
        return self.call()


def alone(
    prepare_in: Callable[[nn.Module, Tensor, Job[Timed], Path], Runnable],
) -> Callable[[nn.Module, Tensor, Job[Timed]], Runnable]:
    """Return `Backend.prepare` of `Backend.prepare_in`: in a folder that is gone once the network is ready."""

    def prepare(model: nn.Module, images: Tensor, job: Job[Timed]) -> Runnable:
        with tempfile.TemporaryDirectory(prefix=f"bench-{os.getpid()}-") as folder:
            return prepare_in(model, images, job, Path(folder))

    return prepare
