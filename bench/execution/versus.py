"""Several networks timed in turn in one process, A B B A, for `bench compare` and `bench selftest`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from bench.backends import BACKENDS, Backend
from bench.errors import UnsupportedError
from bench.plan.job import Job
from bench.plan.settings import Timing
from bench.records.record import Measurement
from bench.timing.clock import Call, HostClock
from bench.timing.interleave import interleave
from bench.timing.sampling import launch_bound
from bench.timing.steps import instruments, least

HARNESS_PAIRS = 20

Prepare = Callable[[Job], tuple[Any, Any]]


def measure_versus(job: Job, prepare: Prepare, stage: Callable[[str], None]) -> Iterator[Measurement]:
    """Measure `latency` (batch 1) and `step_time` (the job's batch) of each network, in rounds.

    The networks stand in ``settings["networks"]``: a dict for each with `label`, `arch`, `input_size`, `in_channels`,
    `num_classes` and, for tests of the harness itself, `slowdown`, a share of its time that is added. The samples of
    one round stand at the same place in each network's measurement; the detail has its `label`.

    Args:
        job: see above.
        prepare: `(job)` of one network to the network and its images, both on the device.
        stage: told how far it is.
    """
    backend = BACKENDS.get(job.settings["backend"])
    if reason := backend.unsupported(job):
        raise UnsupportedError(f"backend {job.settings['backend']}: {reason}")
    backend.load()
    networks = job.settings["networks"]
    timing = Timing.model_validate(job.settings["timing"])
    tools = instruments(job.device, blocks_host=backend.blocks_host)
    models = _prepared(job, prepare)
    networks = [n for n in networks if n["label"] in models]
    with torch.inference_mode():
        for quantity, batch in (("latency", 1), ("step_time", job.settings["batch_size"])):
            stage(quantity)
            calls = {
                n["label"]: _slower(
                    _call(backend, models[n["label"]], batch, job), n.get("slowdown", 0.0), job
                )
                for n in networks
            }
            clock = tools.latency if quantity == "latency" or tools.step is None else tools.step
            tools.watch.start()
            taken = interleave(calls, clock, timing, blocks=quantity != "latency", tick=tools.watch.tick)
            floor = least(tools.nothing, clock) if quantity == "latency" else None
            bound = {
                label: launch_bound(share, taken.seconds[label], floor)
                for label, share in taken.launch_shares.items()
            }
            # A ratio is as doubtful as either of its two.
            seen, doubts = tools.watch.stop(launch_bound=any(bound.values()))
            unsteady = () if taken.steady else ("unsteady",)
            for n in networks:
                share = taken.launch_shares[n["label"]]
                flags = (*doubts, *unsteady, *(("launch_bound",) if bound[n["label"]] else ()))
                detail = {"label": n["label"], "arch": n["arch"], "batch_size": batch, "clock": clock.name}
                detail |= {"calls_per_sample": taken.blocks[n["label"]], "stop": taken.stop, "watch": seen}
                detail |= {} if share is None else {"launch_share": share}
                samples = taken.seconds[n["label"]]
                yield Measurement(
                    name=quantity, unit="s", better="lower", samples=samples, detail=detail, flags=flags
                )
        if job.settings.get("harness"):
            stage("harness")
            yield from _harness(calls[networks[0]["label"]], tools.latency)


def _prepared(job: Job, prepare: Prepare) -> dict[str, tuple[Any, Any]]:
    """Return each network that can be called, with its images, by label.

    A baseline that fails is left out, and has its own jobs that say why; where fewer than two are left, or the first
    network fails, so does the comparison.
    """
    found: dict[str, tuple[Any, Any]] = {}
    failed: dict[str, Exception] = {}
    for network in job.settings["networks"]:
        try:
            made = prepare(_alone(job, network))
            with torch.inference_mode():
                _call(BACKENDS.get("eager"), made, 1, job)()
            found[network["label"]] = made
        except Exception as error:
            failed[network["label"]] = error
    if failed and (len(found) < 2 or job.settings["labels"][0] in failed):
        raise failed.get(job.settings["labels"][0]) or next(iter(failed.values()))
    return found


def _harness(call: Call, clock: HostClock) -> Iterator[Measurement]:
    """Measure what the harness itself adds: `overhead`, its time of a call over a bare loop's, and the clock's step."""
    ratios = []
    for number in range(HARNESS_PAIRS):
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
    yield Measurement(name="overhead", unit="1", better="lower", samples=tuple(ratios))
    steps = []
    for _ in range(HARNESS_PAIRS):
        begun = now = time.perf_counter_ns()
        while now == begun:
            now = time.perf_counter_ns()
        steps.append((now - begun) * 1e-9)
    yield Measurement(name="timer_resolution", unit="s", better="lower", samples=(min(steps),))


def _alone(job: Job, network: Mapping[str, Any]) -> Job:
    shape = {key: network[key] for key in ("input_size", "in_channels", "num_classes")}
    return replace(job, arch=network["arch"], **shape)


def _call(backend: Backend, prepared: tuple[Any, Any], batch: int, job: Job) -> Call:
    model, images = prepared
    return backend.prepare(model, images[:batch], job).call


def _slower(call: Call, share: float, job: Job) -> Call:
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
