"""The layers of a network, timed in turn with the whole, and what of it goes into a record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bench.backends import Backend, numbered, refusal
from bench.costs.calls import Followed, Key
from bench.costs.work import OUTSIDE, Call, Step, Work, count_pass
from bench.errors import UnsupportedError
from bench.plan.job import Job
from bench.plan.task import Hooks
from bench.records.record import Measurement, measured
from bench.tasks._calls import EAGER, backend_of
from bench.tasks._networks import built, check, checked, tell_of_other_form
from bench.tasks._placing import noise, place_network, with_autocast
from bench.tasks._step import training_step
from bench.timing.clock import Workload
from bench.timing.layers import OPTIMISER, CudaStamps, HostStamps, Layered, LayerTimes, measure_layers
from bench.timing.steps import Instruments

if TYPE_CHECKING:
    from bench.tasks.layers import LayersSettings

_COLUMNS = (
    *("name", "type", "depth", "parent", "leaf", "parameters", "input", "output"),
    *("macs", "bytes", "operators", "backward_macs", "backward_bytes", "backward_operators", "again_macs"),
)
"""Of a row in the detail of `layers_time`; `parent` is the place of a row, or None."""


def measure(job: Job[LayersSettings], hooks: Hooks) -> Iterator[Measurement]:
    """Measure `network_time`, `layers_time` and `explained_share`, a sample a round; of a training `peak_memory` first.

    `layers_time` is the sum of what calls take themselves that run an operator, or call no other module. What
    containers take between those, and whatever else lies between the layers, is the rest of the network's time. Its
    detail has `columns` and `rows` in the order of the calls, `unused_parameters`, which no row has, `forward_s` and in
    a training `backward_s` with the samples of each row, on a GPU the host's share as `forward_host_s` and
    `backward_host_s` (medians), and `segments`, the pass with the middle sum as (row, whether backward, seconds) in
    order.
    """
    backend = backend_of(job)
    tools = Instruments.of(job.device, blocks_host=backend.blocks_host)
    clock = tools.step or tools.latency
    training = bool(job.settings.training)
    whole, layered = _training(job, hooks) if training else _inference(backend, job, hooks)
    if training:
        hooks.stage("memory")
        yield tools.memory.peak(whole)
    hooks.stage("count")
    try:
        with torch.set_grad_enabled(training):
            counting = count_pass(layered.followed, layered.step)
    except Exception as error:  # no fault of its own: it has run as it is
        what, instead = "following the calls of its layers", "time it as a whole: bench run NAME"
        raise refusal(what, error, instead) from error
    hooks.stage("layers")
    with torch.inference_mode(not training):  # it has been followed once: what fails now is the network
        times = measure_layers(
            whole, layered, clock, job.settings.timing, watch=tools.watch, device=job.device
        )
    calls = _with_strangers(counting.calls, layered.followed, times)
    detail = _detail(calls, times, training)
    detail["unused_parameters"] = sum(p.numel() for p in counting.unused.values())
    # The own time of a call is a layer's where it runs an operator, or calls no other module.
    rows = [
        row
        for row, call in enumerate(calls.values())
        if call.leaf or call.forward.operators or call.backward.operators
    ]
    sums = _sums(rows, [detail[f"{name}_s"] for name in _directions(training)])
    flags, on_threads = (*times.whole.flags(), *times.report.flags), ("on_threads",) * times.on_threads
    of = "a step" if training else "a call, waited for"
    own = {"of": of, **times.whole.detail(clock), "watch": times.report.detail}
    yield measured("network_time", times.whole.seconds, own, flags)
    yield measured(
        "layers_time", sums, {"of": "the layers of the same", **detail}, (*times.report.flags, *on_threads)
    )
    shares = [part / all_of_it for part, all_of_it in zip(sums, times.whole.seconds, strict=True)]
    yield measured("explained_share", shares, {"of": "layers over whole, round by round"}, on_threads)


def _directions(training: bool) -> dict[str, bool]:
    return {"forward": False, **({"backward": True} if training else {})}


def _inference(backend: Backend, job: Job[LayersSettings], hooks: Hooks) -> tuple[Workload, Layered]:
    network = built(job, hooks).eval()
    tell_of_other_form(network, hooks)
    network = place_network(network, job, hooks)
    model, images = with_autocast(network, job), noise(job)
    with torch.inference_mode():
        hooks.stage("check")
        before = images.clone()
        check(numbered(model, images)(), job, job.settings.batch)
        if not torch.equal(images, before):
            hooks.flag("changes_images")
        hooks.stage("prepare")
        whole = backend.prepare(model, images, job).call

    call = numbered(model, images)

    def forward() -> None:
        call()

    return whole, Layered(Followed(network), Step(forward), _stamps(job))


def _training(job: Job[LayersSettings], hooks: Hooks) -> tuple[Workload, Layered]:
    if job.settings.backend != EAGER:
        raise UnsupportedError(
            f"backend {job.settings.backend}: the layers of a training are timed in eager alone",
            "use backend=eager",
        )
    network, images = place_network(checked(job, hooks).train(), job, hooks), noise(job)
    phases = training_step(network, images, job)

    def forward() -> Tensor | None:
        phases.forward()
        return None if phases.loss is None else phases.loss()

    step = Step(forward, phases.backward, phases.optimizer)
    return phases, Layered(Followed(network), step, _stamps(job))


def _stamps(job: Job[LayersSettings]) -> HostStamps | CudaStamps:
    return HostStamps() if job.device == "cpu" else CudaStamps()


def _with_strangers(calls: dict[Key, Call], followed: Followed, times: LayerTimes) -> dict[Key, Call]:
    """Return the calls with those that the counted pass did not have, as of a network whose way is drawn anew."""
    training = (OPTIMISER, False) in times.laps
    named = {OUTSIDE: Call("", "loss", 1, None), OPTIMISER: Call("", "optimiser", 1, None)}
    named[OUTSIDE].forward, named[OUTSIDE].backward = calls[OUTSIDE].forward, calls[OUTSIDE].backward
    strangers = {
        key: Call(followed.names[key[0]], followed.types[key[0]], 1, None)
        for key, _ in times.laps
        if key not in calls and key not in named
    }
    inner = {key: call for key, call in calls.items() if key != OUTSIDE}
    return {**inner, **strangers, **(named if training else {})}


def _detail(calls: dict[Key, Call], times: LayerTimes, training: bool) -> dict[str, Any]:
    places = {key: place for place, key in enumerate(calls)}
    rounds = len(times.whole.seconds)
    directions = _directions(training)
    nothing = [0.0] * rounds
    samples = {
        f"{name}_s": [times.laps.get((key, backward), nothing) for key in calls]
        for name, backward in directions.items()
    }
    of_host = {
        f"{name}_host_s": [median(times.host_laps.get((key, backward), [0.0])) for key in calls]
        for name, backward in directions.items()
        if times.host_laps
    }
    segments = [(places[s.key], s.backward, s.seconds) for s in times.segments if s.key in places]
    return {
        "training": training,
        "stamp_s": times.stamp_s,
        "between_s": times.between_s,
        "operator_s": times.operator_s,
        "columns": list(_COLUMNS),
        "rows": [_row(call, places) for call in calls.values()],
        **samples,
        **of_host,
        "segments": segments,
    }


def _row(call: Call, places: dict[Key, int]) -> list[object]:
    parent = None if call.parent is None else places[call.parent]
    shown = [call.name, call.type, call.depth, parent, call.leaf, call.parameters]
    return [
        *shown,
        list(call.input),
        list(call.output),
        *_numbers(call.forward),
        *_numbers(call.backward),
        call.again,
    ]


def _numbers(work: Work) -> list[int]:
    return [work.macs, work.bytes, work.operators]


def _sums(rows: Sequence[int], samples: Iterable[Sequence[Sequence[float]]]) -> list[float]:
    """Return the sum of some rows of each round, over the directions."""
    of_rows = [each[row] for each in samples for row in rows]
    return [sum(of_round) for of_round in zip(*of_rows, strict=True)]
