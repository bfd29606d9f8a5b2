"""What each task measures, from the job to its measurements; runs in the job's own process."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.archs import Arch
from bench.archs.naming import resolve
from bench.backends import BACKENDS, Backend, Runnable
from bench.costs import COSTS, Subject, prepare
from bench.errors import InvalidModelError, UnsupportedError
from bench.execution.agreement import agreement
from bench.execution.draws import RepeatedDraws
from bench.execution.placing import AUTOCAST, DTYPES, noise, place, with_autocast
from bench.execution.step import training_step
from bench.plan.job import Job
from bench.plan.settings import Timing
from bench.records import environment
from bench.records.cards import cuda_cards
from bench.records.record import Measurement
from bench.timing.ceilings import measure_ceilings
from bench.timing.clock import Call, Clock
from bench.timing.energy import ENERGY_S, find_meter, measure_energy
from bench.timing.steps import Instruments, instruments, measure_inference
from bench.timing.tensors import tensor_memory
from bench.timing.training_step import Phases, measure_training
from bench.training.accuracy import init_seed, measure_accuracy

EAGER = "eager"


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom a task tells how far it is: the name of a stage; epochs done and in all; the environment it set."""

    stage: Callable[[str], None]
    progress: Callable[[int, int], None]
    environment: Callable[[dict[str, object]], None]


def measure(
    job: Job, hooks: Hooks, checkpoint: Path | None, outputs: Path | None = None
) -> Iterator[Measurement]:
    """Yield each measurement of the job as soon as it is there; a training keeps its files where it is told."""
    switch(job)
    hooks.environment({"flags": environment.torch_flags(), "state": _state(job)})
    tasks = {
        "cost": _cost,
        "infer": _infer,
        "versus": _versus,
        "train_step": _train_step,
        "ceiling": _ceiling,
    }
    if job.task == "accuracy":
        yield from _accuracy(job, hooks, checkpoint, outputs)
    else:
        yield from tasks[job.task](job, hooks)


def _state(job: Job) -> dict[str, Any]:
    """Return the machine's state, with that of the job's own cards."""
    cards = () if job.device == "cpu" else cuda_cards()
    return environment.state(card["uuid"] for i, card in enumerate(cards) if f"cuda:{i}" in job.devices)


def switch(job: Job) -> None:
    """Set what torch keeps for the whole process; the record's flags show it.

    Raises:
        UnsupportedError: for what the device does not have.
    """
    settings = job.settings
    precision = settings.get("precision", "fp32")
    if torch.version.hip and job.device != "cpu":
        found = f"{job.device} is ROCm's: this torch is built for AMD's GPUs, which are not told apart from CUDA's"
        raise UnsupportedError(found, "use device=cpu, or a torch that is built for CUDA")
    if precision == "tf32" and job.device == "cpu":
        raise UnsupportedError("tf32 is a mode of CUDA's matrix units; the CPU has none", "use fp32 or bf16")
    if settings.get("cudnn_benchmark") and job.device == "cpu":
        raise UnsupportedError("cudnn_benchmark: the CPU has no cuDNN", "leave it out there")
    # A training has few shapes and many steps: it pays to try the kernels there are, before the clock starts.
    torch.backends.cudnn.benchmark = bool(settings.get("cudnn_benchmark", job.task == "accuracy"))
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
    backend = _backend(job)
    backend.load()
    # Before the network is built: the memory meter takes its zero here.
    tools = instruments(job.device, blocks_host=backend.blocks_host)
    timing = Timing.model_validate(job.settings["timing"])
    with torch.inference_mode():
        prepared, found = ready(backend, job, hooks, tools.latency)
        yield from found
        doubts = {"s": _results(found), "B": _memory_doubts(backend, job)}
        look = partial(check, job=job, images=job.settings["batch_size"]) if not found else None
        measured = measure_inference(prepared.call, timing, tools, hooks.stage, look)
        for m in _with_energy(measured, prepared.call, job, hooks, tools):
            yield _doubted(m, doubts)
        yield from _tensors(prepared.call, prepared.held, job, hooks)


def _results(found: Iterable[Measurement]) -> tuple[str, ...]:
    """Return the doubts about a backend's results that put its times in doubt as well."""
    return tuple(flag for m in found for flag in m.flags if flag != "not_compared")


def _memory_doubts(backend: Backend, job: Job) -> tuple[str, ...]:
    """Return the doubts about peaks of memory: of the whole process, which has prepared more than eager; or of less."""
    if job.device == "cpu":
        return () if job.settings["backend"] == EAGER else ("with_preparation",)
    return ("outside_allocator",) if backend.outside_allocator else ()


def _doubted(m: Measurement, doubts: Mapping[str, tuple[str, ...]]) -> Measurement:
    """Return the measurement with the doubts about all that has its unit."""
    return m.changed(flags=tuple(dict.fromkeys((*m.flags, *doubts.get(m.unit, ())))))


def _backend(job: Job) -> Backend:
    """Return the job's backend.

    Raises:
        UnsupportedError: if it cannot run the job, with the reason.
    """
    name = job.settings["backend"]
    backend = BACKENDS.get(name)
    if reason := backend.unsupported(job):
        raise UnsupportedError(f"backend {name}: {reason}")
    return backend


def ready(backend: Backend, job: Job, hooks: Hooks, clock: Clock) -> tuple[Runnable, tuple[Measurement, ...]]:
    """Return the job's network as the backend runs it; where that is not eager, checked and with what came of it.

    The measurements are `prepare_time`, until the first result was out, and `output_difference` from eager.
    Nothing but the call holds the network itself when this has returned.

    Raises:
        UnsupportedError: if the backend cannot run the network.
        InvalidModelError: if it is no network to run.
    """
    model = with_autocast(place(_built(job, hooks).eval(), job), job)
    images = noise(job)
    eager = BACKENDS.get(EAGER).prepare(model, images, job)
    if job.settings["backend"] == EAGER:
        return eager, ()
    hooks.stage("eager")
    check(eager.call(), job, images=len(images))  # so that what fails from here on is the backend's
    hooks.stage("prepare")
    start = clock.now()
    prepared = backend.prepare(model, images, job)
    clock.seconds(prepared.call, 1)
    seconds = clock.now() - start
    hooks.stage("compare")
    return prepared, (
        Measurement(
            name="prepare_time",
            unit="s",
            better="lower",
            samples=(seconds,),
            detail={"of": "all that happens once, and the first call", **prepared.detail},
        ),
        agreement(eager.call, prepared.call, job.settings["precision"]),
    )


def _with_energy(
    measured: Iterable[Measurement], call: Call, job: Job, hooks: Hooks, tools: Instruments
) -> Iterator[Measurement]:
    """Yield what was measured, with `energy` behind `step_time`, whose detail says why where there is none."""
    images, seconds = job.settings["batch_size"], job.settings.get("energy_s", ENERGY_S)
    for m in measured:
        if m.name != "step_time" or not seconds:
            yield m
            continue
        try:
            meter = find_meter(job.device)
            hooks.stage("energy")
            energy = measure_energy(call, images, meter, tools.latency, tools.watch, seconds=seconds)
        except UnsupportedError as error:
            yield m.changed(detail={**m.detail, "energy": error.message})
        else:
            yield m
            yield energy


def _versus(job: Job, hooks: Hooks) -> Iterator[Measurement]:
    from bench.execution.versus import measure_versus

    def prepared(one: Job) -> tuple[Any, Any]:
        return with_autocast(place(_model(one, hooks).eval(), one), one), noise(one)

    yield from measure_versus(job, prepared, hooks.stage)


def _train_step(job: Job, hooks: Hooks) -> Iterator[Measurement]:
    backend = _backend(job)
    backend.load()
    tools = instruments(job.device)
    timing = Timing.model_validate(job.settings["timing"])
    phases, found = _ready_step(backend, job, hooks, tools.latency)
    yield from found
    measured = measure_training(phases, timing, tools, hooks.stage)
    for m in _with_energy(measured, phases, job, hooks, tools):
        yield _doubted(m, {"B": _memory_doubts(backend, job)})
    if job.settings["backend"] == EAGER:
        yield from _tensors(phases, phases.held, job, hooks)


def _tensors(
    call: Call, held: Callable[[], list[Tensor]] | None, job: Job, hooks: Hooks
) -> Iterator[Measurement]:
    """Yield `tensor_memory`, in the first of the job's processes: the others would count the same."""
    if held is not None and not job.settings.get("replicate"):
        hooks.stage("tensors")
        yield tensor_memory(call, held())


def _ready_step(
    backend: Backend, job: Job, hooks: Hooks, clock: Clock
) -> tuple[Phases, tuple[Measurement, ...]]:
    """Return the job's training step as the backend runs it; where that is not eager, with its `prepare_time`.

    Raises:
        UnsupportedError: if the backend cannot train the network.
    """
    name = job.settings["backend"]
    if backend.for_training is None:
        raise UnsupportedError(f"backend {name}: it does not train", "use backend=eager")
    model, images = place(_model(job, hooks).train(), job), noise(job)
    if name == EAGER:
        return training_step(backend.for_training(model, job), images, job), ()
    hooks.stage("eager")
    training_step(model, images, job)()  # so that what fails from here on is the backend's
    hooks.stage("prepare")
    phases = training_step(backend.for_training(model, job), images, job)
    return phases, (_first_step(phases, job, clock),)


def one_call(job: Job, hooks: Hooks) -> None:
    """Run the job's call and time nothing: a forward pass, or two training steps, as its backend does them.

    The first step leaves the optimiser's momentum behind, which is held beside all that the second needs.

    Raises:
        Exception: whatever the network, the backend or the allocator raises.
    """
    switch(job)
    backend, clock = _backend(job), instruments(job.device).latency
    if job.task == "train_step":
        step, _ = _ready_step(backend, job, hooks, clock)
        hooks.stage("memory")
        step()
        step()
    else:
        with torch.inference_mode():
            prepared, _ = ready(backend, job, hooks, clock)
            hooks.stage("memory")
            prepared.call()
    if job.device != "cpu":
        torch.cuda.synchronize()


def _first_step(step: Call, job: Job, clock: Clock) -> Measurement:
    """Return `prepare_time` of a backend that prepares itself in its first training step.

    Raises:
        UnsupportedError: if it cannot.
    """
    from bench.backends.compiled import compile_now

    start = clock.now()
    detail = {"of": "the first steps, the first of which compiles", "first_call_s": compile_now(step, job)}
    return Measurement(
        name="prepare_time", unit="s", better="lower", samples=(clock.now() - start,), detail=detail
    )


def _ceiling(job: Job, hooks: Hooks) -> Iterator[Measurement]:
    tools = instruments(job.device)
    precision = job.settings["precision"]
    dtype = AUTOCAST.get(precision, DTYPES[precision])
    timing = Timing.model_validate(job.settings["timing"])
    with torch.inference_mode():
        yield from measure_ceilings(job.device, dtype, timing, tools, hooks.stage)


def _accuracy(job: Job, hooks: Hooks, checkpoint: Path | None, outputs: Path | None) -> Iterator[Measurement]:
    model = _model(job, hooks)
    hooks.stage("count")
    yield from _counts(job)
    yield from measure_accuracy(
        model, job, checkpoint=checkpoint, outputs=outputs, on_epoch=hooks.progress, on_stage=hooks.stage
    )


def _counts(job: Job) -> Iterator[Measurement]:
    """Count the network as it is trained; what it reaches must not be set against another shape's cost.

    A network that cannot be counted can still be trained: its count is NaN, with the reason.
    """
    try:
        subject = _subject(resolve(job.arch), job)
        for name in COSTS:
            if name != "layers":  # the table is the cost task's, and long
                yield from COSTS.get(name)(subject)
    except Exception as error:  # the network's, whatever it is
        reason = {"error": f"{type(error).__name__}: {error}"[:500]}
        yield Measurement(
            name="macs", unit="MAC", better="lower", samples=(math.nan,), detail=reason, flags=("uncounted",)
        )


def _built(job: Job, hooks: Hooks) -> nn.Module:
    """Return the network, initialised from the job's seed, in training mode, on the CPU."""
    hooks.stage("import")
    arch = resolve(job.arch)
    hooks.stage("build")
    torch.manual_seed(init_seed(job))
    with contextlib.nullcontext() if job.task == "accuracy" else RepeatedDraws():
        model = arch.build(
            num_classes=job.num_classes, in_channels=job.in_channels, input_size=job.input_size
        )
    return model.train()


def _model(job: Job, hooks: Hooks) -> nn.Module:
    """Return the network, initialised from the job's seed and checked, in training mode.

    It is on the CPU; one that does not run there, as it asks for a GPU or for kernels that only a GPU has, is on the
    job's device.
    """
    model = _built(job, hooks).eval()
    hooks.stage("check")
    images = torch.zeros(2, job.in_channels, job.input_size, job.input_size)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            output = model(images)
        except Exception:
            if job.device == "cpu":
                raise
            output = model.to(job.device)(images.to(job.device))
        check(output, job, images=2)
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
