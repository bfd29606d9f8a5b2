"""The network of a job: found, built from the job's seed, looked at, and counted.

Weights of networks that are only timed are drawn once and repeated. Drawing those of VGG-16 takes three times as long
as measuring it, and a time is measured in several processes, each of which builds its network. No kernel's time depends
on which normal or uniform numbers it multiplies (measured: `tests/benchmarks/draws.py`), so that a large tensor repeats
its first numbers. What is trained is drawn in full.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from bench.archs import Arch
from bench.archs.naming import resolve
from bench.archs.reparam import has_fused_form
from bench.archs.returned import answer_of, form_of
from bench.backends import numbered
from bench.costs import COSTS, Subject, prepare
from bench.costs.fitting import dtype_taken, one_answer_each
from bench.errors import InvalidModelError, typed_text
from bench.plan.job import Job
from bench.plan.task import Hooks
from bench.records.record import Measurement, measured
from bench.training.config import streams
from bench.training.outputs import outputs


def subject_of(arch: Arch, job: Job) -> Subject:
    """Return what the costs of a job's network are counted on."""
    return prepare(arch, num_classes=job.num_classes, in_channels=job.in_channels, input_size=job.input_size)


def counts(job: Job) -> Iterator[Measurement]:
    """Count the network as it is trained; what it reaches must not be set against another shape's cost.

    A network that cannot be counted can still be trained: its count is NaN, with the reason.
    """
    measurements: list[Measurement] = []
    try:
        subject = subject_of(resolve(job.arch), job)
        for name in COSTS:
            if name != "layers":  # the table is the cost task's, and long
                measurements += COSTS.get(name)(subject)
    except Exception as error:  # the network's, whatever it is
        reason = {"error": typed_text(error)[:500]}
        yield measured("macs", (math.nan,), reason, ("uncounted",))
        measurements = [m for m in measurements if m.name != "macs"]
    yield from measurements


def imported(job: Job, hooks: Hooks) -> Arch:
    """Return the job's architecture, the user's code imported and what it set in the process set back.

    Raises:
        InvalidModelError: if the user's files are others than when the job was planned.
    """
    hooks.stage("import")
    arch = resolve(job.arch)
    hooks.settle()
    # Where the plan could not import them, it told the network by the one file that was named.
    known = (None, arch.card.source_sha256, *arch.card.sources.values())
    if job.source_sha256 not in known:
        message = f"the files of {job.arch} have changed since the run began"
        raise InvalidModelError(message, "give the command again: it measures them as they are now")
    return arch


def built(job: Job, hooks: Hooks, *, in_full: bool = False) -> nn.Module:
    """Return the network, initialised from the job's seed, in training mode, on the CPU.

    Its weights repeat a part of themselves, which is enough for what is timed, unless they are drawn `in_full`.
    One that cannot be built so is built as usual: what is traced as it is built does not go with a dispatch mode.
    """
    return _built_of(imported(job, hooks), job, hooks, in_full=in_full)


def drawn_parameters(arch: Arch, model: nn.Module, job: Job, hooks: Hooks) -> list[str]:
    """Return the names of the parameters of a network that another seed draws otherwise: they were not loaded."""
    try:
        other = _built_of(arch, replace(job, seed=job.seed + 1), hooks, in_full=True)
    except InvalidModelError:  # a network that cannot be built twice says nothing of it
        return []
    others = dict(other.named_parameters())
    return [
        name
        for name, value in model.named_parameters()  # which may lie on a card by now, in less precision
        if name in others
        and (is_lazy(others[name]) or not _equal(value.cpu(), others[name].to("cpu", value.dtype)))
    ]


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=0.0, atol=0.0, equal_nan=True)


def _built_of(arch: Arch, job: Job, hooks: Hooks, *, in_full: bool) -> nn.Module:
    hooks.stage("build")

    def build() -> nn.Module:
        torch.manual_seed(streams(job.seed).init)
        return arch.build(num_classes=job.num_classes, in_channels=job.in_channels, input_size=job.input_size)

    model = None
    if not in_full:
        with contextlib.suppress(InvalidModelError), _RepeatedDraws():
            model = build()
    model = build() if model is None else model
    hooks.settle()
    return model.train()


def tell_of_other_form(model: nn.Module, hooks: Hooks) -> None:
    """Flag what is measured of a network in the form that is trained, where it comes with another for inference."""
    if has_fused_form(model):
        hooks.flag("training_form")


def checked(job: Job, hooks: Hooks, *, in_full: bool = False) -> nn.Module:
    """Return the network, initialised from the job's seed and checked, in training mode.

    It is on the CPU; one that does not run there, as it asks for a GPU or for kernels that only a GPU has, is on the
    job's device.
    """
    arch = imported(job, hooks)
    model = _built_of(arch, job, hooks, in_full=in_full).eval()
    hooks.stage("check")
    shape = (arch.card.batch or 2, job.in_channels, job.input_size, job.input_size)
    images = torch.zeros(shape, dtype=dtype_taken(model, shape))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            output = numbered(model, images)()
        except Exception:
            if job.device == "cpu":
                raise
            output = model.to(job.device)(images.to(job.device))
        check(output, job, images=len(images))
        if images._version:  # torch counts what is written into a tensor
            hooks.flag("changes_images")
    return model.train()


def check(output: object, job: Job, images: int = 1) -> None:
    """Look at what came out of a network, in evaluation mode, for so many images.

    What is timed may return anything that has a tensor in it, such as the maps of a segmentation; a training takes
    logits alone.

    Raises:
        InvalidModelError: if there is no tensor, or what a training got is not logits [images, num_classes].
    """
    if isinstance(output, Tensor) and not one_answer_each(output, images):
        message = f"{job.arch} returned {list(output.shape)} for an input of {images}, as if it were of {len(output)}"
        raise InvalidModelError(
            message,
            "give images of the size that it is for: --set input_size=, in_channels=; or return a row an image",
        )
    if job.task != "accuracy":
        if answer_of(output) is None:
            message = f"{job.arch} returned {type(output).__name__} in evaluation mode; expected a tensor"
            raise InvalidModelError(message, "return the logits [batch, num_classes]")
        return
    classes = job.num_classes or 0
    try:
        logits, _ = outputs(output, 0)
    except InvalidModelError:
        message = f"{job.arch} returned {form_of(output)} in evaluation mode; a training takes logits"
        raise InvalidModelError(message, "return the logits [batch, num_classes]") from None
    if tuple(logits.shape) != (images, classes):
        raise InvalidModelError(
            f"{job.arch} returned {list(logits.shape)} for an input of {images}; expected [{images}, {classes}]",
            "let the network take num_classes as an argument (--set num_classes= is of the other tasks: a training has "
            "the classes of its data set)",
        )


# Numbers that are drawn: more than any kernel's tile, and odd, so that no two pages are equal.
_DRAWN = 1_000_003
_FILLS = (torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default)


class _RepeatedDraws(TorchDispatchMode):
    """A context in which `normal_` and `uniform_`, and what is made of them, draw the first numbers of a tensor alone.

    The numbers that follow repeat those; a tensor with few of them, or whose memory is not in order, is as ever.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own has no types

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Carry out an operation of torch's; fill tensors by repetition."""
        kwargs = kwargs or {}
        whole = args[0] if func in _FILLS else None
        is_large = isinstance(whole, Tensor) and whole.numel() > _DRAWN
        if not isinstance(whole, Tensor) or not is_large or not whole.is_contiguous() or whole.is_meta:
            return func(*args, **kwargs)
        numbers = whole.view(-1)
        func(numbers[:_DRAWN], *args[1:], **kwargs)
        for part in numbers[_DRAWN:].split(_DRAWN):
            part.copy_(numbers[: len(part)])
        return whole
