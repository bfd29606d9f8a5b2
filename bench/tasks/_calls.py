"""Calls: a network as its backend runs it, held against eager, with the energy and the tensors of what was timed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from bench.backends import BACKENDS, LOOKING, Backend, Runnable, refusal, why_not
from bench.costs import Subject
from bench.errors import BenchError, UnsupportedError
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.plan.task import Hooks
from bench.records.record import Measurement, measured
from bench.tasks._agreement import ANSWERS, agreement, answers
from bench.tasks._artefacts import preparing
from bench.tasks._engines import threads
from bench.tasks._networks import built, check, tell_of_other_form
from bench.tasks._placing import further_noise, noise, place_network, with_autocast
from bench.timing.clock import Clock, Workload
from bench.timing.energy import find_meter, measure_energy
from bench.timing.memory import tensor_memory
from bench.timing.steps import Instruments

EAGER = "eager"


def backend_of(job: Job[Timed]) -> Backend:
    """Return the job's backend, with all that it needs imported.

    Raises:
        UnsupportedError: if it cannot run the job, with the reason.
    """
    if reason := why_not(job):
        raise UnsupportedError(reason)
    backend = BACKENDS.get(job.settings.backend)
    backend.load()
    return backend


def ready(
    backend: Backend, job: Job[Timed], hooks: Hooks, clock: Clock
) -> tuple[Runnable, tuple[Measurement, ...]]:
    """Return the job's network as the backend runs it; where that is not eager, checked and with what came of it.

    The measurements are `prepare_time`, until the first result was out, or `load_time` where an earlier process had
    prepared the same, both without what only looks at the engine; `output_difference` from eager, and of an engine
    `threads_used`; in the first of the job's processes also what `answers` yields. Nothing but the call holds the
    network itself when this has returned.

    Raises:
        UnsupportedError: if the backend cannot run the network.
        InvalidModelError: if it is no network to run.
    """
    model = built(job, hooks).eval()
    tell_of_other_form(model, hooks)
    model = with_autocast(place_network(model, job, hooks), job)
    images = noise(job)
    eager = BACKENDS.get(EAGER).prepare(model, images, job)
    if job.settings.backend == EAGER:
        return eager, ()
    hooks.stage("eager")
    check(eager.call(), job, images=len(images))  # so that what fails from here on is the backend's
    hooks.stage("prepare")
    prepare, loads = preparing(backend, model, images, job, hooks.artefacts)
    start = clock.now()
    prepared = working(prepare, job, lambda call: clock.seconds(call, 1))
    name, of = _LOADED if loads else _PREPARED
    seconds = clock.now() - start - prepared.detail.get(LOOKING, 0.0)
    took = measured(name, (seconds,), {"of": of, **prepared.detail})
    hooks.stage("compare")
    doubts = prepared.flags + _of_tracing(model, prepared, job)
    results = [agreement(eager.call, prepared.call, job.settings.precision, images)]
    if not job.settings.replicate:
        results += answers(eager.call, prepared.call, images, further_noise(job, ANSWERS))
    results = [with_flags(result, doubts) for result in results]
    if prepared.engine is not None and job.device == "cpu":  # a card's calls only launch, and use none
        results.append(threads(prepared.engine, prepared.call, eager.call, images, job))
    return prepared, (took, *results)


def working(
    prepare: Callable[[], Runnable], job: Job, run: Callable[[Workload], object] = lambda call: call()
) -> Runnable:
    """Return what a backend has prepared, once its first call has gone well, made by `run`.

    Raises:
        UnsupportedError: if either fails: the network ran in eager, so that it is at no fault.
    """
    try:
        prepared = prepare()
        run(prepared.call)
    except BenchError:
        raise
    except Exception as error:
        raise refusal(
            f"backend {job.settings.given.get('backend', EAGER)}", error, "use backend=eager"
        ) from error
    return prepared


_PREPARED = "prepare_time", "all that happens once, and the first call"
_LOADED = "load_time", "loading what an earlier process of the run has prepared, and the first call"


def _of_tracing(model: nn.Module, prepared: Runnable, job: Job[Timed]) -> tuple[str, ...]:
    """Return the doubt about an engine that was traced, of a network that takes values of images into Python."""
    if prepared.detail.get("exporter") != "tracing":
        return ()
    shape = (1, job.in_channels, job.input_size, job.input_size)
    on_host = model if job.device == "cpu" else copy.deepcopy(model).cpu()
    with torch.inference_mode(False):
        return ("traced_branch",) if Subject(on_host, shape, "it is real").trace.taken else ()


def with_energy(
    measurements: Iterable[Measurement], call: Workload, job: Job[Timed], hooks: Hooks, tools: Instruments
) -> Iterator[Measurement]:
    """Yield what was measured, with `energy` behind `step_time`, whose detail says why where there is none."""
    settings, seconds = job.settings, job.settings.energy_s
    for measurement in measurements:
        if measurement.name != "step_time" or seconds == 0:
            yield measurement
            continue
        try:
            meter = find_meter(job.device)
            hooks.stage("energy")
            clock = tools.step or tools.latency
            energy = measure_energy(call, settings.batch, meter, clock, tools.watch, seconds=seconds)
        except UnsupportedError as error:
            yield measurement.changed(detail={**measurement.detail, "energy": error.message})
        else:
            yield measurement
            yield energy


def tensors(
    call: Workload, held: Callable[[], list[Tensor]] | None, job: Job[Timed], hooks: Hooks
) -> Iterator[Measurement]:
    """Yield `tensor_memory`, in the first of the job's processes: the others would count the same."""
    if held is not None and not job.settings.replicate:
        hooks.stage("tensors")
        yield tensor_memory(call, held())


def doubts_of_results(results: Iterable[Measurement]) -> tuple[str, ...]:
    """Return the doubts about a backend's results that put its times in doubt as well."""
    return tuple(flag for m in results for flag in m.flags if flag not in _OF_ANSWERS)


# Doubts about what is answered alone, not about how fast.
_OF_ANSWERS = ("not_compared", "calibrated_on_noise")


def doubts_of_memory(backend: Backend, job: Job[Timed]) -> tuple[str, ...]:
    """Return the doubts about peaks of memory: of the whole process, which has prepared more than eager; or of less."""
    if job.device == "cpu":
        return () if job.settings.backend == EAGER else ("with_preparation",)
    return ("outside_allocator",) if backend.outside_allocator else ()


def with_doubts(measurement: Measurement, doubts: Mapping[str, tuple[str, ...]]) -> Measurement:
    """Return the measurement with the doubts about all that has its unit."""
    return with_flags(measurement, doubts.get(measurement.unit, ()))


def with_flags(measurement: Measurement, flags: tuple[str, ...]) -> Measurement:
    """Return the measurement with further flags, each once."""
    return measurement.changed(flags=tuple(dict.fromkeys((*measurement.flags, *flags))))
