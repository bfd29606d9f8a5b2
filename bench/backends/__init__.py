"""Backends: how a network is run. One file each; `BACKENDS` finds them.

Whoever prepares a backend is not timed with what is measured: compiling, capturing and exporting are a measurement
of their own, `prepare_time`. What a backend returns is held against eager, see `bench.tasks._agreement`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor, nn

from bench.errors import UnsupportedError, lacks_memory, reason
from bench.io import JsonObject
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.registry import Registry

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Runnable:
    """A network that is ready to run: whatever happens once has happened.

    Attributes:
        call: runs one forward pass and returns the logits [B, classes], as a tensor or an array; what it
            returned may be overwritten by the next call.
        detail: what the preparation came to, such as its parts in seconds; plain JSON values.
        held: returns the tensors that are there before a call, where torch's dispatcher is shown all others.
    """

    call: Call
    detail: JsonObject = field(default_factory=dict)
    held: Callable[[], list[Tensor]] | None = None


@dataclass(frozen=True, slots=True)
class PinnedCall:
    """A call that knows tensors by their addresses alone, as a graph does; it keeps them, so that they stay there."""

    call: Call
    tensors: object

    def __call__(self) -> object:
        """Run the call."""
        return self.call()


@dataclass(frozen=True, slots=True)
class Backend:
    """How a network is run.

    Attributes:
        about: one line for `bench list`.
        prepare: `(model, images [B, C, H, W], job)` to a network that is ready. The model is in evaluation mode, on
            the device, in the job's precision and memory format; gradients are off. It may raise
            UnsupportedError for what only shows when it is tried.
        unsupported: `(job)` to the reason why it cannot, or None.
        for_training: `(model)` to the module that a training step calls; None where it cannot train.
        load: imports what the backend needs, before the memory meter takes its zero.
        blocks_host: its calls return when the device has done their work, so that the host's clock times them.
        outside_allocator: on a GPU it holds memory that torch's allocator does not count, or no longer.
    """

    about: str
    prepare: Callable[[nn.Module, Tensor, Job[Timed]], Runnable]
    unsupported: Callable[[Job[Timed]], str | None] = lambda _: None
    for_training: Callable[[nn.Module], nn.Module] | None = None
    load: Callable[[], None] = lambda: None
    blocks_host: bool = False
    outside_allocator: bool = False


BACKENDS: Registry[Backend] = Registry("backend", "bench.backends")


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
