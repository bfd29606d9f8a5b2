"""Does a batch fit? What the process of one try does: one forward pass, or two training steps, and no more."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import torch

from bench.errors import UnsupportedError
from bench.execution import Event, Send
from bench.execution.worker import classify, describe, switch
from bench.plan.job import Job
from bench.plan.task import TASKS, Hooks

# A try on the CPU may have this share of the memory that is available; the rest keeps the machine out of swap.
MARGIN = 0.8


def try_batch(send: Send, job: Job) -> None:
    """Send the stages of one try, then ``("outcome", (status, error))``: `ok`, `oom`, or how it failed."""
    stage = "start"

    def enter(name: str) -> None:
        nonlocal stage
        stage = name
        send(("stage", name))

    try:
        with memory_limit(job.device):
            one_call(job, Hooks(stage=enter))
        event: Event = ("outcome", ("ok", None))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a network may raise anything, SystemExit too
        event = ("outcome", (classify(error, stage, custom=job.source_sha256 is not None), describe(error)))
    send(event)


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
    before: Any = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _mapped() + int(MARGIN * psutil.virtual_memory().available)
    if before[1] != resource.RLIM_INFINITY:
        limit = min(limit, before[1])
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _mapped() -> int:
    """Return the private memory that this process has mapped, in bytes, as RLIMIT_DATA counts it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return psutil.Process().memory_info().vms
