"""What each task measures, from the job to its measurements; runs in the job's own process."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.archs import Arch
from bench.archs.resolve import resolve
from bench.backends import BACKENDS
from bench.costs import COSTS, Subject, prepare
from bench.errors import InvalidModelError, UnsupportedError
from bench.plan.job import Job
from bench.plan.settings import Timing
from bench.records import environment
from bench.records.record import Measurement
from bench.timing.steps import instruments, measure_inference, measure_training
from bench.training.accuracy import init_seed, measure_accuracy
from bench.training.learner import AUXILIARY_WEIGHT, outputs

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom a task tells how far it is: the name of a stage; epochs done and in all; the environment it set."""

    stage: Callable[[str], None]
    progress: Callable[[int, int], None]
    environment: Callable[[dict[str, object]], None]


def measure(job: Job, hooks: Hooks, checkpoint: Path | None) -> Iterator[Measurement]:
    """Yield each measurement of the job as soon as it is there."""
    switch(job)
    hooks.environment({"flags": environment.torch_flags(), "state": environment.state()})
    tasks = {"versus": _versus, "cost": _cost, "infer": _infer, "train_step": _train_step}
    if job.task == "accuracy":
        yield from _accuracy(job, hooks, checkpoint)
    else:
        yield from tasks[job.task](job, hooks)


def switch(job: Job) -> None:
    """Set what torch keeps for the whole process; the record's flags show it.

    Raises:
        UnsupportedError: for a precision that the device does not have.
    """
    settings = job.settings
    precision = settings.get("precision", "fp32")
    if precision == "tf32" and job.device == "cpu":
        raise UnsupportedError("tf32 is a mode of CUDA's matrix units; the CPU has none", "use fp32 or bf16")
    if "threads" in settings:
        torch.set_num_threads(settings["threads"])
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    if job.device.startswith("cuda:"):
        torch.cuda.set_device(job.device)


def _cost(job: Job, hooks: Hooks) -> Iterator[Measurement]:
    hooks.stage("import")
    arch = resolve(job.arch)
    hooks.stage("build")
    subject = _subject(arch, job)
    hooks.stage("check")
    failure = subject.trace.failure
    for name in COSTS:
        if failure is None:
            hooks.stage(name)
        yield from COSTS.get(name)(subject)
    if failure is not None:
        raise failure
    hooks.stage("check")
    check(subject.trace.result, job)


def _subject(arch: Arch, job: Job) -> Subject:
    return prepare(arch, num_classes=job.num_classes, in_channels=job.in_channels, input_size=job.input_size)


def _infer(job: Job, hooks: Hooks) -> Iterator[Measurement]:
    backend = BACKENDS.get(job.settings["backend"])
    if reason := backend.unsupported(job):
        raise UnsupportedError(f"backend {job.settings['backend']}: {reason}")
    tools = instruments(job.device)  # before the network is built: the memory meter takes its zero here
    model = _placed(_model(job, hooks).eval(), job)
    timing = Timing.model_validate(job.settings["timing"])
    with torch.inference_mode():
        call = backend.prepare(model, _placed(_noise(job), job), job)
        yield from measure_inference(call, timing, tools, hooks.stage)


def _versus(job: Job, hooks: Hooks) -> Iterator[Measurement]:
    from bench.execution.versus import measure_versus

    def prepared(one: Job) -> tuple[Any, Any]:
        return _placed(_model(one, hooks).eval(), one), _placed(_noise(one), one)

    yield from measure_versus(job, prepared, hooks.stage)


def _train_step(job: Job, hooks: Hooks) -> Iterator[Measurement]:
    tools = instruments(job.device)
    model = _placed(_model(job, hooks).train(), job)
    images = _placed(_noise(job), job)
    classes = job.num_classes or 1
    labels = torch.randint(classes, (len(images),), generator=torch.Generator().manual_seed(job.seed)).to(
        job.device
    )
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        logits, auxiliary = outputs(model(images), classes)
        loss = cross_entropy(logits, labels)
        for side in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * cross_entropy(side, labels)
        loss.backward()
        optimiser.step()

    yield from measure_training(step, Timing.model_validate(job.settings["timing"]), tools, hooks.stage)


def _accuracy(job: Job, hooks: Hooks, checkpoint: Path | None) -> Iterator[Measurement]:
    model = _model(job, hooks)
    hooks.stage("count")
    yield from _counts(job)
    hooks.stage("training")
    yield from measure_accuracy(model, job, checkpoint=checkpoint, on_epoch=hooks.progress)


def _counts(job: Job) -> Iterator[Measurement]:
    """Count the network as it is trained; what it reaches must not be set against another shape's cost.

    A network that cannot be counted can still be trained: its count is NaN, with the reason.
    """
    try:
        subject = _subject(resolve(job.arch), job)
        for name in COSTS:
            yield from COSTS.get(name)(subject)
    except Exception as error:  # the network's, whatever it is
        reason = {"error": f"{type(error).__name__}: {error}"[:500]}
        yield Measurement(
            name="macs", unit="MAC", better="lower", samples=(math.nan,), detail=reason, flags=("uncounted",)
        )


def _model(job: Job, hooks: Hooks) -> nn.Module:
    """Return the network, initialised from the job's seed and checked, in training mode, on the CPU."""
    hooks.stage("import")
    arch = resolve(job.arch)
    hooks.stage("build")
    torch.manual_seed(init_seed(job))
    model = arch.build(num_classes=job.num_classes, in_channels=job.in_channels, input_size=job.input_size)
    hooks.stage("check")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        check(model.eval()(torch.zeros(2, job.in_channels, job.input_size, job.input_size)), job, images=2)
    return model.train()


def check(output: Any, job: Job, images: int = 1) -> None:
    """Look at what came out of a network, in evaluation mode, for so many images.

    Raises:
        InvalidModelError: if it is not logits [images, num_classes].
    """
    if not isinstance(output, Tensor):
        found = f"{job.arch} returned {type(output).__name__} in evaluation mode; expected a tensor"
        raise InvalidModelError(found, "return the logits [batch, num_classes]")
    if job.num_classes is not None and tuple(output.shape) != (images, job.num_classes):
        raise InvalidModelError(
            f"{job.arch} returned {list(output.shape)} for an input of {images}; "
            f"expected [{images}, {job.num_classes}]",
            "return logits [batch, num_classes], and let the network take num_classes as an argument",
        )


def _noise(job: Job) -> Tensor:
    """Return normal noise [B, C, H, W], the same for every network of this shape and seed."""
    shape = (job.settings["batch_size"], job.in_channels, job.input_size, job.input_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(job.seed))


def _placed(thing: Any, job: Job) -> Any:
    """Return a network or images on the job's device, in its precision and memory format."""
    moved = thing.to(job.device, DTYPES[job.settings["precision"]])
    if job.settings["memory_format"] == "channels_last":
        moved = moved.to(memory_format=torch.channels_last)
    return moved
