"""What backends share: where a job runs, what they could not do, and calls that keep their tensors."""

from __future__ import annotations

from dataclasses import dataclass

from bench.backends import Call
from bench.errors import UnsupportedError, lacks_memory, reason
from bench.plan.job import Job


def on_cpu(job: Job) -> bool:
    """Return whether the job runs on the CPU."""
    return job.device == "cpu"


def refusal(what: str, error: Exception, tip: str | None = None) -> Exception:
    """Return the error that says a backend could not do `what`, with the first line of the reason.

    Want of memory is no refusal: it is returned as it is.
    """
    if isinstance(error, UnsupportedError) or lacks_memory(error):
        return error
    return UnsupportedError(f"{what} failed: {reason(error, 300)}", tip)


@dataclass(frozen=True, slots=True)
class PinnedCall:
    """A call that knows tensors by their addresses alone, as a graph does; it keeps them, so that they stay there."""

    call: Call
    tensors: object

    def __call__(self) -> object:
        """Run the call."""
        return self.call()
