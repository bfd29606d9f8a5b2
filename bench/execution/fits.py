"""Does a batch fit? What the process of one try does: one forward pass, or two training steps, and no more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch

from bench.errors import UnsupportedError
from bench.execution import Send
from bench.execution.worker import send_outcome, switch
from bench.plan.job import Job
from bench.plan.task import TASKS, Hooks

# A try on the CPU may have this share of the memory that is available; the rest keeps the machine out of swap.
_MARGIN = 0.8


def try_batch(send: Send, job: Job) -> None:
    """Send the stages of one try, then ``("outcome", (status, error))``: `ok`, `oom`, or how it failed."""

    def do(enter: Callable[[str], None]) -> None:
        with memory_limit(job.device):
            one_call(job, Hooks(stage=enter))

    send_outcome(send, job, do)


def one_call(job: Job, hooks: Hooks) -> None:
    """Run the call that the job would time, and wait for its end.

    Raises:
        Exception: whatever the network, the backend or the allocator raises.
    """
    call = TASKS.get(job.task).one_call
    if call is None:
        raise UnsupportedError(f"task {job.task} has no batch to try")
    switch(job)
    call(job, hooks)
    if job.device != "cpu":
        torch.cuda.synchronize()


@contextlib.contextmanager
def memory_limit(device: str) -> Iterator[None]:
    """On the CPU, let this process map no more than a share of the free memory for the length of a with block.

    An allocation beyond it fails in this process, before a page of it is touched: the kernel need not end
    anything, and nothing is swapped out. Where the system has no such limit, nothing is limited.
    """
    try:
        import resource
    except ImportError:  # Windows
        yield
        return
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
