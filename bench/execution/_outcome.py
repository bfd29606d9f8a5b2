"""What the end of a job's process means: its status, and an error that says what to do next."""

from __future__ import annotations

import signal
from typing import TypeAlias

from bench.errors import MORE_PROCESSES, NO_PROCESS, lacks_memory
from bench.execution import Ended
from bench.io import JsonObject
from bench.records.record import Status

Outcome: TypeAlias = tuple[Status, JsonObject | None]
"""How a job ended, and the error where it did not end well."""

_SMALLER = "use a smaller batch_size"
_DEBUG = "look for it with --executor inline, which runs it in this process"

_CPU_TIME = "its CPU time was used up: allow more, in ulimit -t or where it calls resource.setrlimit"


def judge(ended: Ended, outcome: Outcome | None, timeout_s: float, stage: str) -> Outcome:
    """Return the status and the error that an end means; what the worker said itself comes first."""
    if outcome is not None:
        status, error = outcome
        return status, error and {**error, "output": ended.output or None}
    status, kind, message, tip = _verdict(ended, timeout_s, stage)
    output = ended.output or None
    return status, {"type": kind, "message": message, "tip": tip, "traceback": None, "output": output}


def _verdict(ended: Ended, timeout_s: float, stage: str) -> tuple[Status, str, str, str | None]:
    """Return status, type, message and tip of an end that the worker could not speak of itself."""
    if ended.timed_out:
        tip = "raise the limit: --set timeout_s=SECONDS"
        return "timeout", "Timeout", f"no end after {timeout_s:g} s, in stage {stage}", tip
    if ended.garbled:
        tip = "a network must not write into descriptors that it did not open"
        return "crashed", "Garbled", f"its messages were garbled in stage {stage}", tip
    if ended.exitcode < 0:
        return _death(ended, stage)
    last = "".join(f": {line}" for line in ended.output.strip().splitlines()[-1:])
    message = f"its process exited with code {ended.exitcode} in stage {stage} without a result{last}"
    return "crashed", "Exit", message, MORE_PROCESSES if NO_PROCESS in last else _DEBUG


def _death(ended: Ended, stage: str) -> tuple[Status, str, str, str | None]:
    """Return the same of a process that a signal ended."""
    if ended.exitcode == -signal.SIGKILL:
        if ended.oom_kill:
            return "oom", "OutOfMemory", "the kernel ended it for want of memory", _SMALLER
        return "killed", "Killed", f"killed by SIGKILL in stage {stage}", "run it again"
    if lacks_memory(ended.output):  # C++ code aborted, without a chance to say so itself
        return "oom", "OutOfMemory", f"it ran out of memory in stage {stage}", _SMALLER
    try:
        name = signal.Signals(-ended.exitcode).name
    except ValueError:  # those for programs' own use have no name
        name = f"signal {-ended.exitcode}"
    tip = _CPU_TIME if name == "SIGXCPU" else _DEBUG
    return "crashed", name, f"its process died of {name} in stage {stage}", tip
