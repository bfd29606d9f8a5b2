"""Execution: where a job runs, and how its end, whatever it is, becomes a record.

runner   plan -> each job -> store
places   where jobs go: the host, each of several equal cards, or what an executor of other machines offers
sharing  one queue for several places: which job goes where
worker   what the job's process does
cluster, agent, copies  places on other machines: who leads, who does the jobs there, and the user's files on their way
executors/  where that happens: process, inline, ray, slurm
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bench.registry import Registry

Event = tuple[str, Any]
Send = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call ended.

    Attributes:
        exitcode: of its process; negative for a signal; 0 where it had no process of its own.
        timed_out: the time limit ended it.
        garbled: what it sent could not be read, and so it was ended.
        output: the last lines that it printed.
        oom_kill: the kernel ended a process for want of memory in the meantime.
    """

    exitcode: int = 0
    timed_out: bool = False
    garbled: bool = False
    output: str = ""
    oom_kill: bool = False


class Executor(Protocol):
    """Where calls run.

    `call` imports `target`, written ``module:function``, runs ``function(send, *args)`` and gives each event to
    `on_event` as it arrives. It never raises for what the function does; it returns when nothing of it runs any
    more. The target is a name so that the process which only waits need not import torch.

    Attributes:
        at_once: how many calls may run side by side, where their time is of no concern, each from a thread of its own.
    """

    at_once: int

    def call(self, target: str, args: tuple[object, ...], *, timeout_s: float, on_event: Send) -> Ended:
        """Run one call to its end."""

    def cancel(self) -> None:
        """End the calls under way; they return as if a signal had ended them."""

    def close(self) -> None:
        """Let go of all that the executor holds."""


@dataclass(frozen=True, slots=True)
class ExecutorKind:
    """A registered executor: one line for `bench list`, and how to make one.

    `make` may be given the names of networks that will be asked for, so that their libraries are imported once.
    """

    about: str
    make: Callable[..., Executor]


EXECUTORS: Registry[ExecutorKind] = Registry("executor", "bench.execution.executors")
