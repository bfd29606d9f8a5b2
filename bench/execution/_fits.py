"""Does a batch fit? What the process of one try does: each pass of the job, as few times as can be."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch

from bench.execution import Send
from bench.execution._worker import send_outcome, switch
from bench.plan.job import Job
from bench.plan.settings import Timed, Timing
from bench.plan.task import TASKS, Hooks

# A try on the CPU may have this share of the memory that is available; the rest keeps the machine out of swap.
_MARGIN = 0.8
# No warm-up to speak of, and one sample of each quantity.
_ONCE = Timing(warmup_s=1e-9, min_s=0, limit_s=1e-9, min_samples=1, max_samples=1, min_block_s=1e-9)


def try_batch(send: Send, job: Job[Timed]) -> None:
    """Send the stages of one try, then ``("outcome", (status, error))``: `ok`, `oom`, or how it failed."""

    def do(enter: Callable[[str], None]) -> None:
        with _memory_limit(job.device):
            _one_of_each(job, Hooks(stage=enter))

    send_outcome(send, job, do)


def _one_of_each(job: Job[Timed], hooks: Hooks) -> None:
    """Run all that the job would run, with next to no repetition, and keep nothing of what it measures.

    A single call is not enough to tell that a batch fits: the job holds the first output while it calls again, looks
    at it, and counts tensors. On an H100, a batch of VGG-16 that fitted one call did not fit its job.

    Raises:
        Exception: whatever the network, the backend or the allocator raises.
    """
    switch(job)
    for _ in TASKS.get(job.task).run(job.with_settings(timing=_ONCE, energy_s=0), hooks):
        pass
    if job.device != "cpu":
        torch.cuda.synchronize()


@contextlib.contextmanager
def _memory_limit(device: str) -> Iterator[None]:
    """On the CPU, let this process map no more than a share of the free memory for the length of a with block.

    An allocation beyond it fails in this process, before a page of it is touched: the kernel need not end
    anything, and nothing is swapped out.
    """
    if device != "cpu":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _mapped() + int(_MARGIN * psutil.virtual_memory().available)
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _mapped() -> int:
    """Return the private memory that this process has mapped, in bytes, as RLIMIT_DATA counts it."""
    with contextlib.suppress(OSError):  # not Linux
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return psutil.Process().memory_info().vms
