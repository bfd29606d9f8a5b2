"""Several networks timed in turn in one process, A B B A, for `bench compare` and `bench selftest`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.backends import BACKENDS, Backend
from bench.plan.job import Job
from bench.plan.task import Hooks
from bench.records.record import Measurement, measured
from bench.tasks._calls import EAGER, backend_of
from bench.tasks._networks import checked
from bench.tasks._placing import noise, place_network, with_autocast
from bench.timing.clock import HostClock, Workload
from bench.timing.interleaving import interleave
from bench.timing.steps import Instruments, launch_overhead

if TYPE_CHECKING:
    from bench.tasks.versus import Network, VersusSettings

_HARNESS_PAIRS = 20

_Placed = tuple[nn.Module, Tensor]


def measure_versus(job: Job[VersusSettings], hooks: Hooks) -> Iterator[Measurement]:
    """Measure `latency` (batch 1) and `step_time` (the job's batch) of each network, in rounds.

    The samples of one round stand at the same place in each network's measurement; the detail has its `label`.
    """
    backend = backend_of(job)
    tools = Instruments.of(job.device, blocks_host=backend.blocks_host)
    models = _prepared(job, hooks)
    networks = [n for n in job.settings.networks if n.label in models]
    with torch.inference_mode():
        for quantity, batch in (("latency", 1), ("step_time", job.settings.batch)):
            hooks.stage(quantity)
            calls = {
                n.label: _slower(_call(backend, models[n.label], batch, job), n.slowdown, job)
                for n in networks
            }
            yield from _in_turn(quantity, batch=batch, calls=calls, networks=networks, job=job, tools=tools)
        if job.settings.harness:
            hooks.stage("harness")
            yield from _harness(calls[networks[0].label], tools.latency)


def _in_turn(
    quantity: str,
    *,
    batch: int,
    calls: dict[str, Workload],
    networks: list[Network],
    job: Job[VersusSettings],
    tools: Instruments,
) -> Iterator[Measurement]:
    """Time the calls of all networks in turn, each with so many images."""
    clock = tools.latency if quantity == "latency" or tools.step is None else tools.step
    tools.watch.start()
    taken = interleave(calls, clock, job.settings.timing, blocks=quantity != "latency", tick=tools.watch.tick)
    floor = launch_overhead(tools.empty_kernel, clock) if quantity == "latency" else None
    taken = {label: replace(sampling, overhead=floor) for label, sampling in taken.items()}
    # A ratio is as doubtful as either of its two.
    watch, doubts = tools.watch.stop(launch_bound=any(s.launch_bound for s in taken.values()))
    for network in networks:
        sampling = taken[network.label]
        flags = (*doubts, *(flag for flag in sampling.flags() if flag in ("unsteady", "launch_bound")))
        detail = {"label": network.label, "arch": network.arch, "batch_size": batch, "clock": clock.name}
        detail |= {"calls_per_sample": sampling.block, "stop": sampling.stop, "watch": watch}
        detail |= {} if sampling.launch_share is None else {"launch_share": sampling.launch_share}
        yield measured(quantity, sampling.seconds, detail, flags)


def _placed(job: Job[VersusSettings], hooks: Hooks) -> _Placed:
    return with_autocast(place_network(checked(job, hooks).eval(), job, hooks), job), noise(job)


def _prepared(job: Job[VersusSettings], hooks: Hooks) -> dict[str, _Placed]:
    """Return each network that can be called, with its images, by label.

    A baseline that fails is left out, and has its own jobs that say why; where fewer than two are left, or the first
    network fails, so does the comparison.
    """
    models: dict[str, _Placed] = {}
    failed: dict[str, Exception] = {}
    for network in job.settings.networks:
        try:
            model = _placed(_alone(job, network), hooks)
            with torch.inference_mode():
                _call(BACKENDS.get(EAGER), model, 1, job)()
            models[network.label] = model
        except Exception as error:
            failed[network.label] = error
    first = job.settings.labels[0]
    if failed and (len(models) < 2 or first in failed):
        raise failed.get(first) or next(iter(failed.values()))
    return models


def _harness(call: Workload, clock: HostClock) -> Iterator[Measurement]:
    """Measure what the harness itself adds: `overhead`, its time of a call over a bare loop's, and the clock's step."""
    ratios = []
    for number in range(_HARNESS_PAIRS):
        taken = {}
        for who in ("bench", "bare") if number % 2 else ("bare", "bench"):
            if who == "bench":
                taken[who] = clock.seconds(call, 1)
                continue
            clock.synchronize()
            start = time.perf_counter()
            call()
            clock.synchronize()
            taken[who] = time.perf_counter() - start
        ratios.append(taken["bench"] / taken["bare"])
    yield measured("overhead", ratios)
    steps = []
    for _ in range(_HARNESS_PAIRS):
        begun = now = time.perf_counter_ns()
        while now == begun:
            now = time.perf_counter_ns()
        steps.append((now - begun) * 1e-9)
    yield measured("timer_resolution", (min(steps),))


def _alone(job: Job[VersusSettings], network: Network) -> Job[VersusSettings]:
    return replace(
        job,
        arch=network.arch,
        input_size=network.input_size or job.input_size,
        in_channels=network.in_channels or job.in_channels,
        num_classes=network.num_classes,
        source_sha256=network.source_sha256,
    )


def _call(backend: Backend, placed: _Placed, batch: int, job: Job[VersusSettings]) -> Workload:
    model, images = placed
    return backend.prepare(model, images[:batch], job).call


def _slower(call: Workload, share: float, job: Job[VersusSettings]) -> Workload:
    """Return the call made slower by a share of its own time; on a GPU by a kernel that spins."""
    if not share:
        return call
    if job.device == "cpu":

        def spin() -> None:
            start = time.perf_counter()
            call()
            end = time.perf_counter()
            while time.perf_counter() < end + share * (end - start):
                pass

        return spin
    call()
    torch.cuda.synchronize()
    start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    call()
    stop.record()
    stop.synchronize()
    clock_khz = torch.cuda.get_device_properties(job.device).clock_rate
    cycles = int(share * start.elapsed_time(stop) * clock_khz)

    def longer() -> None:
        call()
        torch.cuda._sleep(cycles)

    return longer
