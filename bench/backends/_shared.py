"""What backends share: where a job runs, and calls that keep their tensors."""

from __future__ import annotations

from dataclasses import dataclass

from bench.backends import Call
from bench.plan.job import Job


def on_cpu(job: Job) -> bool:
    """Return whether the job runs on the CPU."""
    return job.device == "cpu"


@dataclass(frozen=True, slots=True)
class PinnedCall:
    """A call that knows tensors by their addresses alone, as a graph does; it keeps them, so that they stay there."""

    call: Call
    tensors: object

    def __call__(self) -> object:
        """Run the call."""
        return self.call()
