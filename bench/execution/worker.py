"""The worker: what the process of one job does. It sends events and never raises.

("stage", name)            how far it has come
("measurement", Measurement)  as soon as it is there
("progress", (done, total))   of a training, in epochs
("environment", dict)      switches and state as they stood
("outcome", (status, error))  the last event
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from torch import nn

import bench
from bench.errors import (
    BenchError,
    DivergedError,
    InvalidModelError,
    UnknownNameError,
    UnsupportedError,
    lacks_memory,
    says_too_large,
)
from bench.execution import Send
from bench.execution.tasks import Hooks, measure
from bench.plan.job import Job
from bench.records.record import Status

# Stages in which only the network's own code can be at fault.
_MODEL_STAGES = ("import", "build", "check")

# What an error of bench's own means; the first that it is an instance of counts.
_STATUSES: dict[type[BenchError], Status] = {
    UnsupportedError: "unsupported",
    DivergedError: "diverged",
    InvalidModelError: "invalid_model",
    UnknownNameError: "invalid_model",
    BenchError: "crashed",  # a full disk at a checkpoint, say, is not the network's fault
}


def work(send: Send, job: Job, checkpoint: Path | None = None, outputs: Path | None = None) -> None:
    """Do one job and send what comes of it; every failure becomes an outcome.

    Args:
        send: takes the events.
        job: what to do.
        checkpoint: file of a training's checkpoint; None for none.
        outputs: file of a training's test outputs; None for none.
    """
    stage = "start"

    def enter(name: str) -> None:
        nonlocal stage
        stage = name
        send(("stage", name))

    hooks = Hooks(
        stage=enter,
        progress=lambda done, total: send(("progress", (done, total))),
        environment=lambda found: send(("environment", found)),
    )
    try:
        for measurement in measure(job, hooks, checkpoint, outputs):
            send(("measurement", measurement))
        enter("done")
        send(("outcome", ("ok", None)))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a network may raise anything, SystemExit too
        send(("outcome", (classify(error, stage, custom=job.source_sha256 is not None), describe(error))))


def classify(error: BaseException, stage: str, *, custom: bool) -> Status:
    """Return the status that an exception means.

    Args:
        error: what was raised.
        stage: where.
        custom: whether the network is from outside the package, so that its code is under suspicion everywhere.
    """
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status
    if lacks_memory(error):
        return "oom"
    if "not implemented for '" in str(error) or says_too_large(str(error)):
        return "unsupported"
    return "invalid_model" if custom or stage in _MODEL_STAGES else "crashed"


def describe(error: BaseException) -> dict[str, Any]:
    """Return an error as JSON values: `type`, `message`, `tip`, and the traceback of code that is not bench's."""
    cause = error.__cause__ if isinstance(error, InvalidModelError) and error.__cause__ else error
    message = str(error)
    if isinstance(error, SystemExit):
        message = f"it called sys.exit({error.code!r})"
    elif not message:
        message = type(error).__name__
    return {
        "type": type(error).__name__,
        "message": clean(message),
        "tip": getattr(error, "tip", None),
        "traceback": clean(own_traceback(cause)) if not isinstance(cause, BenchError) else None,
    }


def own_traceback(error: BaseException) -> str:
    """Return the traceback without the frames of bench, of torch's module calls and of the import machinery."""
    hidden = (
        str(Path(bench.__file__).parent),
        str(Path(nn.__file__).parent / "modules" / "module.py"),
        "<frozen",
    )
    report = traceback.TracebackException.from_exception(error, limit=-30)
    kept = [frame for frame in report.stack if not frame.filename.startswith(hidden)]
    report.stack = traceback.StackSummary.from_list(kept)
    return "".join(report.format(chain=False))


def clean(text: str, limit: int = 8000) -> str:
    """Return text that UTF-8 can hold, cut to its last `limit` characters."""
    return text[-limit:].encode("utf-8", "replace").decode("utf-8")
