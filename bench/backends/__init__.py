"""Backends: how a network is run. One file each; `BACKENDS` finds them.

Whoever prepares a backend is not timed with what is measured: compiling, capturing and exporting are a measurement
of their own, `prepare_time`. What a backend returns is held against eager, see `bench.tasks._agreement`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from bench.errors import UnsupportedError, lacks_memory, reason
from bench.io import JsonObject
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.registry import Registry

Call = Callable[[], object]

LOOKING = "looking_s"
"""In the detail of what is prepared: the seconds that it took to look at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """What an engine says of what it has made of a network, see `bench.tasks._engines` for what is made of that.

    Attributes:
        size: of its files on disk, in bytes; None where there are none.
        operators: how many of the operators that multiply run in which type of number, as the engine has compiled them:
            ``{"int8": 52, "fp32": 1}``; empty where it does not say.
        threads: how many it says that it has; None where it does not say.
        layout: of the images that it takes as they are, `contiguous` or `channels_last`; None where it takes either.
        clipped: runs the network once more, on the images as they are, and returns by quantised tensor the share of its
            values beyond the range that was calibrated; None where nothing has such a range.
        sums_overflow: it adds products of 8 bits by 8 bits in 16, as x86 without VNNI does, with weights of all 8 bits.
    """

    size: int | None = None
    operators: Mapping[str, int] = field(default_factory=dict)
    threads: int | None = None
    layout: str | None = None
    clipped: Callable[[], Mapping[str, float]] | None = None
    sums_overflow: bool = False


@dataclass(frozen=True, slots=True)
class Runnable:
    """A network that is ready to run: whatever happens once has happened.

    Attributes:
        call: runs one forward pass over the images that lie in the tensor which it was prepared with, and returns the
            logits [B, classes], as a tensor or an array; what it returned may be overwritten by the next call.
        detail: what the preparation came to, such as its parts in seconds; plain JSON values. What it took to look at
            the engine, which serves nobody but the record, is `LOOKING` there, and no part of the preparation.
        held: returns the tensors that are there before a call, the images last, where torch's dispatcher is shown all
            others.
        engine: what an engine says of what it runs; None for torch itself.
        flags: doubts about its results, whatever they are on.
    """

    call: Call
    detail: JsonObject = field(default_factory=dict)
    held: Callable[[], list[Tensor]] | None = None
    engine: Engine | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Backend:
    """How a network is run.

    Attributes:
        about: one line for `bench list`.
        prepare: `(model, images [B, C, H, W], job)` to a network that is ready. The model is in evaluation mode, on
            the device, in the job's precision and memory format; gradients are off. It may raise
            UnsupportedError for what only shows when it is tried.
        prepare_in: `(model, images, job, folder)` to the same. What it makes of the network it leaves in the folder,
            and what an earlier process has left there of an equal network and job it loads. None where each process
            prepares anew.
        unsupported: `(job)` to the reason why it cannot, or None.
        for_training: `(model)` to the module that a training step calls; None where it cannot train.
        load: imports what the backend needs, before the memory meter takes its zero.
        blocks_host: its calls return when the device has done their work, so that the host's clock times them.
        outside_allocator: on a GPU it holds memory that torch's allocator does not count, or no longer.
        precisions: those in which `bench engines` tries it where nobody names it; none leaves it out.
    """

    about: str
    prepare: Callable[[nn.Module, Tensor, Job[Timed]], Runnable]
    unsupported: Callable[[Job[Timed]], str | None] = lambda _: None
    for_training: Callable[[nn.Module], nn.Module] | None = None
    load: Callable[[], None] = lambda: None
    blocks_host: bool = False
    outside_allocator: bool = False
    precisions: tuple[str, ...] = ()
    prepare_in: Callable[[nn.Module, Tensor, Job[Timed], Path], Runnable] | None = None


_MADE: WeakKeyDictionary[nn.Module, list[int]] = WeakKeyDictionary()


def numbered(model: nn.Module, images: Tensor) -> Call:
    """Return a call of a network that says of what it raises in which of its calls, made by any of these, it was."""
    made = _MADE.setdefault(model, [0])

    def call() -> object:
        made[0] += 1
        try:
            return model(images)
        except Exception as error:
            if made[0] > 1:
                error.add_note(f"in call {made[0]} of the network, after {made[0] - 1} that went well")
            raise

    return call


BACKENDS: Registry[Backend] = Registry("backend", "bench.backends")


def why_not(job: Job[Timed]) -> str | None:
    """Return why a job's backend cannot run it; None where that would only show when it is tried."""
    name = job.settings.backend
    reason = BACKENDS.get(name).unsupported(job)
    return None if reason is None else f"backend {name}: {reason}"


def refusal(what: str, error: Exception, tip: str | None = None) -> Exception:
    """Return the error that says a backend could not do `what`, with the first line of the reason.

    Want of memory is no refusal: it is returned as it is.
    """
    if isinstance(error, UnsupportedError) or lacks_memory(error):
        return error
    return UnsupportedError(f"{what} failed: {reason(error, 300)}", tip)
