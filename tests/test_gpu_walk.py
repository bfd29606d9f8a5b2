"""Every path that only a GPU takes, walked from the job to its measurements on a card that is made up.

The card is the CPU in truth, see `fake_cuda`: results are real, and times are those of the card's own clock, on which
expected values are arithmetic.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from fake_card import COUNTER_STEP_S, FakeCard, FakeHost, both
from fake_cuda import Failure

from bench.archs.naming import resolve
from bench.backends import BACKENDS, Runnable
from bench.errors import UnsupportedError
from bench.execution import EXECUTORS
from bench.execution._max_batch import find_max_batch
from bench.execution._worker import _measure, work
from bench.plan.job import Job
from bench.plan.recipe import Recipe
from bench.plan.task import TASKS, Hooks
from bench.records.flags import FLAGS
from bench.records.record import Measurement
from bench.timing import _watch as watch
from bench.timing import ceilings
from bench.timing.energy import _BLOCK_S
from bench.timing.steps import _NAMES

TIMING = {"warmup_s": 0.02, "min_s": 0.0, "limit_s": 0.1, "min_samples": 6}
KERNEL_S = 1e-3
KERNELS = 2 * 3 + 2 * 2 + 1  # of LeNet-5: convolution, activation, pooling; layer, activation; layer
OWN = os.getpid()
TINY = "pattern:INPUT -> CONV3-1 -> FC"
SMALL = "pattern:INPUT -> CONV3-4 -> BN -> RELU -> FC"
WATTS = 300.0
Results = dict[str, Measurement]


def job_of(task: Any, arch: str = "lenet5", **settings: Any) -> Job:
    values = {"arch": arch, "device": "cuda:0", "threads": 1, "timing": TIMING, "energy_s": 0, **settings}
    known = TASKS.get(task).settings.model_fields
    kept = {k: v for k, v in values.items() if k in known}
    return Job(task=task, arch=arch, input_size=32, in_channels=1, num_classes=10, settings=kept)


@pytest.fixture
def card() -> FakeCard:
    return FakeCard("NVIDIA H100", "cccc", watts=WATTS)


@pytest.fixture
def host(card: FakeCard, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    host = FakeHost(card).install(monkeypatch)
    with host.device.at_work():
        yield host


HOOKS = Hooks()


def measured(job: Job) -> Results:
    return {m.name: m for m in _measure(job, HOOKS)}


def sure(results: Results) -> None:
    """Hold what every measurement must have."""
    for m in results.values():
        assert m.samples, m.name
        assert set(m.flags) <= set(FLAGS)
        if "watch" in m.detail:
            assert m.detail["watch"]["sm_clock_MHz"] == [1980, 1980, 1980]


PRECISIONS = ("fp32", "tf32", "bf16", "fp16", "amp_bf16", "amp_fp16")
WEIGHTS = 61_706  # of LeNet-5: (25 + 1) 6 + (150 + 1) 16 + (400 + 1) 120 + (120 + 1) 84 + (84 + 1) 10


@pytest.mark.parametrize(
    ("precision", "memory_format"), [("fp32", "contiguous"), *((p, "channels_last") for p in PRECISIONS)]
)
def test_inference(host: FakeHost, precision: str, memory_format: str) -> None:
    results = measured(job_of("infer", batch_size=16, precision=precision, memory_format=memory_format))
    sure(results)
    assert set(results) == {"peak_memory", "latency", "step_time", "tensor_memory"}
    width = 2 if precision in {"bf16", "fp16"} else 4
    assert results["peak_memory"].samples[0] >= width * (WEIGHTS + 16 * 32**2)
    assert results["peak_memory"].detail["meter"] == "cuda allocator"
    clocks = {name: results[name].detail["clock"] for name in ("latency", "step_time")}
    assert clocks == {"latency": "perf_counter", "step_time": "cuda_event"}
    assert results["latency"].detail["floor_s"] == pytest.approx(KERNEL_S + host.device.launch_s, rel=1e-3)
    assert not any(m.flags for m in results.values())


GRAPHS = ("cuda_graph", "compiled:reduce-overhead", "compiled:max-autotune")


@pytest.mark.parametrize("backend", ["cuda_graph", "compiled", *GRAPHS[1:]])
def test_inference_by_a_backend(host: FakeHost, backend: str) -> None:
    results = measured(job_of("infer", batch_size=4, backend=backend))
    sure(results)
    agreement = ["output_difference", "mean_difference", "other_answers"]
    names = ["prepare_time", *agreement, "peak_memory", "latency", "step_time"]
    assert list(results) == names
    assert results["output_difference"].flags == ()
    assert results["peak_memory"].flags == (("outside_allocator",) if backend in GRAPHS else ())
    assert results["peak_memory"].samples[0] >= 4 * (WEIGHTS + 4 * 32**2)
    assert results["step_time"].detail["clock"] == "cuda_event"


def test_a_backend_that_blocks_the_host_has_no_time_of_launching(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    BACKENDS.load()
    blocking = replace(BACKENDS.get("eager"), blocks_host=True)
    monkeypatch.setitem(BACKENDS._units, "blocking", blocking)
    results = measured(job_of("infer", batch_size=4, backend="blocking"))
    for name in ("latency", "step_time"):
        assert results[name].detail["clock"] == "perf_counter"
        assert "launch_share" not in results[name].detail
        assert results[name].flags == ()


_AT_ITS_END = torch.AcceleratorError("CUDA error: operation failed due to a previous error during capture")
_IN_IT = "CUDA error: operation not permitted when stream is capturing"


@pytest.mark.parametrize(
    ("first", "last", "kind", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), _AT_ITS_END, torch.OutOfMemoryError, "out of memory"),
        (torch.AcceleratorError(_IN_IT), _AT_ITS_END, UnsupportedError, _IN_IT),
        (KeyError("one that the network handled"), ValueError("its own"), UnsupportedError, "its own"),
    ],
)
def test_what_breaks_a_capture_is_told_although_its_end_fails_too(
    host: FakeHost,
    monkeypatch: pytest.MonkeyPatch,
    first: Exception,
    last: Exception,
    kind: type[Exception],
    message: str,
) -> None:
    def capture(graph: object) -> None:
        try:
            raise first
        except Exception:
            raise last  # noqa: B904 (as the end of a with block does)

    monkeypatch.setattr(torch.cuda, "graph", capture)
    with pytest.raises(kind, match=message):
        measured(job_of("infer", backend="cuda_graph"))


def test_tf32_that_nvidias_libraries_are_forbidden_is_not_timed(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    with pytest.raises(UnsupportedError, match="NVIDIA_TF32_OVERRIDE=0 forbids TF32"):
        measured(job_of("infer", precision="tf32"))
    assert "latency" in measured(job_of("infer", precision="fp32"))
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    assert "latency" in measured(job_of("infer", precision="tf32"))


@pytest.mark.parametrize(("value", "flags"), [(None, ()), ("0", ()), ("1", ("launch_blocking",))])
def test_a_host_that_waits_for_each_kernel_is_a_doubt(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, value: str | None, flags: tuple[str, ...]
) -> None:
    if value is not None:
        monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", value)
    assert {m.flags for m in measured(job_of("infer", batch_size=4)).values()} == {flags}
    on_cpu = job_of("infer", device="cpu")
    assert not any("launch_blocking" in m.flags for m in measured(on_cpu).values())


@pytest.mark.parametrize(
    ("backend", "precision"),
    [*((b, "fp32") for b in ("eager", "compiled", *GRAPHS[1:])), *(("eager", p) for p in PRECISIONS[1:])],
)
def test_a_training_step(host: FakeHost, backend: str, precision: str) -> None:
    results = measured(job_of("train_step", batch_size=4, backend=backend, precision=precision))
    sure(results)
    peaks = {"peak_memory", *(f"{name}_peak_memory" for name in _NAMES)}
    own = {"tensor_memory"} if backend == "eager" else {"prepare_time"}
    assert set(results) == {*own, *peaks, "step_time", *_NAMES}
    whole, phases = median(results["step_time"].samples), [median(results[name].samples) for name in _NAMES]
    assert sum(phases) == pytest.approx(whole, rel=1e-3)
    assert results["forward"].detail["clock"] == "cuda_event"
    assert {name for name, m in results.items() if "outside_allocator" in m.flags} == (
        peaks if backend in GRAPHS else set()
    )


def test_a_graph_cannot_be_trained(host: FakeHost) -> None:
    with pytest.raises(UnsupportedError, match="it does not train"):
        measured(job_of("train_step", backend="cuda_graph"))


@pytest.mark.parametrize("task", ["infer", "train_step"])
def test_energy_goes_from_one_step_of_the_counter_to_another(host: FakeHost, task: str) -> None:
    results = measured(job_of(task, batch_size=4, energy_s=1.0))
    energy, a_step = results["energy"], median(results["step_time"].samples)
    joules, seconds = energy.detail["joules"], energy.detail["seconds"]
    edge_s = max(_BLOCK_S, a_step)  # the counter moved at some moment of a block
    assert joules / (WATTS * COUNTER_STEP_S) == pytest.approx(round(joules / (WATTS * COUNTER_STEP_S)))
    assert seconds >= 1.0
    assert joules == pytest.approx(WATTS * seconds, abs=2 * WATTS * edge_s)
    assert energy.samples[0] == pytest.approx(WATTS * a_step / 4, rel=2 * edge_s)
    assert energy.detail["idle_W"] == pytest.approx(WATTS, rel=0.2)
    assert list(results).index("energy") == list(results).index("step_time") + 1


@pytest.mark.parametrize(
    ("answer_s", "kernel_s", "batch"), [(1e-3, 1e-3, 4), (2e-2, 4e-4, 1), (2e-2, 1e-3, 4), (2e-2, 2e-2, 4)]
)
def test_the_card_has_work_while_its_counter_is_read(
    host: FakeHost, answer_s: float, kernel_s: float, batch: int
) -> None:
    host.answer_s, host.device.kernel_s = answer_s, kernel_s
    results = measured(job_of("infer", batch_size=batch, energy_s=2.0))
    energy, a_step = results["energy"], median(results["step_time"].samples)
    assert energy.detail["calls"] * a_step / energy.detail["seconds"] == pytest.approx(1.0, abs=0.06)
    assert energy.samples[0] == pytest.approx(WATTS * a_step / batch, rel=0.06)


def test_energy_where_nothing_can_be_launched_ahead_has_pauses(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.answer_s = 8e-3
    BACKENDS.load()
    blocking = replace(BACKENDS.get("eager"), blocks_host=True)  # it cannot be launched ahead
    monkeypatch.setitem(BACKENDS._units, "blocking", blocking)
    results = measured(job_of("infer", batch_size=4, backend="blocking", energy_s=2.0))
    energy, a_step = results["energy"], median(results["step_time"].samples)
    assert energy.detail["calls"] * a_step / energy.detail["seconds"] < 0.9


def test_energy_where_there_is_no_counter(host: FakeHost, card: FakeCard) -> None:
    card.watts = None
    results = measured(job_of("infer", batch_size=4, energy_s=1.0))
    assert "energy" not in results
    assert results["step_time"].detail["energy"].startswith("no NVML counter: NVMLError_NotSupported")


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
def test_ceilings(host: FakeHost, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ceilings._FIRST_SIDE, "cuda", 32)
    monkeypatch.setitem(ceilings._COPY_BYTES, "cuda", 4096)
    monkeypatch.setattr(ceilings, "_sides", lambda first, room, itemsize: [first, 2 * first])
    results = measured(job_of("ceiling", precision=precision))
    sure(results)
    assert list(results) == ["matmul_rate", "copy_bandwidth"]
    kernel_s = host.device.kernel_s
    assert results["matmul_rate"].samples[0] == pytest.approx(64**3 / kernel_s, rel=0.01)
    assert results["copy_bandwidth"].samples[0] == pytest.approx(2 * 4096 / kernel_s, rel=0.01)
    assert results["matmul_rate"].detail["clock"] == "cuda_event"


def versus(**settings: Any) -> Job:
    job = job_of("infer", batch_size=4, **settings)
    networks = [
        {"label": label, "arch": "lenet5", "input_size": 32, "in_channels": 1, "num_classes": 10, **more}
        for label, more in (("a", {}), ("b", {"slowdown": 0.5}))
    ]
    more = {"networks": networks, "labels": ["a", "b"], "replicate": 0, "harness": True}
    return replace(job, task="versus", settings={**job.settings.content, **more})


def test_two_networks_in_turn(host: FakeHost) -> None:
    results = list(_measure(versus(), HOOKS))
    assert [m.name for m in results] == [*["latency"] * 2, *["step_time"] * 2, "overhead", "timer_resolution"]
    for a, b in (results[:2], results[2:4]):
        assert median(b.samples) / median(a.samples) == pytest.approx(1.5, rel=0.01)
        assert a.flags == b.flags == ()
    assert [m.detail["clock"] for m in results[:4]] == ["perf_counter"] * 2 + ["cuda_event"] * 2


def training_job(folder: Path, arch: str = SMALL, **settings: Any) -> Results:
    """Return what a training of an epoch on digits gives, with more settings; its files are kept in a folder."""
    recipe = Recipe.load("std").model_dump(mode="json")
    usual = {"dataset": "digits", "recipe": recipe, "epochs": 1, "precision": "fp32", "threads": 1}
    own = {"device": "cuda:0", "memory_format": "channels_last", "train_images": 96, **settings}
    job = Job(
        task="accuracy", arch=arch, input_size=8, in_channels=1, num_classes=10, settings={**usual, **own}
    )
    hooks = Hooks(checkpoint=folder / "checkpoint", outputs=folder / "outputs")
    return {m.name: m for m in _measure(job, hooks)}


@pytest.mark.parametrize(
    ("precision", "backend"), [("fp32", None), ("bf16", "compiled"), ("fp16", None), ("tf32", None)]
)
def test_a_training(host: FakeHost, tmp_path: Path, precision: str, backend: str | None) -> None:
    results = training_job(tmp_path, precision=precision, **({} if backend is None else {"backend": backend}))
    assert {"top1", "epoch_time", "train_throughput", "macs"} <= set(results)
    assert results["epoch_time"].detail["warm_up_s"] > 0
    assert ("compile_time" in results) == (backend is not None)


@pytest.mark.parametrize(
    ("backend", "precision"),
    [
        ("eager", "fp32"),
        ("eager", "bf16"),
        ("eager", "amp_fp16"),
        ("cuda_graph", "fp32"),
        ("cuda_graph", "fp16"),
    ],
)
def test_an_evaluation(host: FakeHost, tmp_path: Path, backend: str, precision: str) -> None:
    file = tmp_path / "w.pt"
    torch.manual_seed(0)
    torch.save(resolve("lenet5").build().state_dict(), file)
    name = f"lenet5(weights='{file}')"
    settings = {"data": "digits", "limit": 50, "threads": 1, "batch_size": 16}
    job = Job(task="evaluate", arch=name, input_size=32, in_channels=1, num_classes=10,
              settings=settings, source_sha256=resolve(name).card.source_sha256)  # fmt: skip
    on_card = job.with_settings(device="cuda:0", backend=backend, precision=precision)
    results, plain = ({m.name: m for m in _measure(j, Hooks())} for j in (on_card, job))
    assert {"top1", "top5", "left_out", "evaluation_rate", "decode_rate"} <= set(results)
    if (backend, precision) == ("eager", "fp32"):  # the graph of a card that is made up computes nothing anew
        assert results["top1"].samples == plain["top1"].samples
    assert results["top1"].detail["batch"] == 16


@pytest.mark.parametrize(
    ("backend", "kernel_s", "latency_s", "step_s", "bound"),
    [
        # Each kernel waits for its launch, and the last one for nothing more.
        ("eager", KERNEL_S / 10, KERNELS * KERNEL_S + KERNEL_S / 10, KERNELS * KERNEL_S, {"latency", "step_time"}),
        ("eager", KERNEL_S, (KERNELS + 1) * KERNEL_S, KERNELS * KERNEL_S, {"latency", "step_time"}),
        # Each launch is over before the kernel ahead of it.
        ("eager", 2 * KERNEL_S, (1 + 2 * KERNELS) * KERNEL_S, 2 * KERNELS * KERNEL_S, set()),
        # One launch for all of them.
        ("cuda_graph", KERNEL_S / 10, (1 + KERNELS / 10) * KERNEL_S, KERNELS / 10 * KERNEL_S, set()),
        ("cuda_graph", KERNEL_S / 100, (1 + KERNELS / 100) * KERNEL_S, KERNEL_S, {"step_time"}),
        ("cuda_graph", KERNEL_S / 1000, (1 + KERNELS / 1000) * KERNEL_S, KERNEL_S, {"latency", "step_time"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("quiet", [True, False])
def test_who_sets_the_pace(
    host: FakeHost,
    monkeypatch: pytest.MonkeyPatch,
    quiet: bool,
    backend: str,
    kernel_s: float,
    latency_s: float,
    step_s: float,
    bound: set[str],
) -> None:
    host.device.launch_s, host.device.kernel_s = KERNEL_S, kernel_s
    reads = itertools.count()
    waits = lambda: {"wall_s": 0.0, "cpu_s": 0.0, "wait_s": 0.0 if quiet else float(next(reads))}  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(watch, "_counters", waits)
        results = measured(
            job_of("infer", batch_size=4, backend=backend, timing={**TIMING, "min_block_s": 0.1})
        )
    times = {name: results[name] for name in ("latency", "step_time")}
    assert median(times["latency"].samples) == pytest.approx(latency_s, rel=1e-3)
    assert median(times["step_time"].samples) == pytest.approx(step_s, rel=0.05)
    assert {name for name, m in times.items() if "launch_bound" in m.flags} == bound
    assert {name for name, m in times.items() if "contended" in m.flags} == (set() if quiet else bound)


@pytest.mark.parametrize(("beside_s", "flags"), [(0.0, ()), (KERNEL_S, ("beside_stream",))])
def test_work_on_streams_of_its_own_is_missed_by_no_clock_without_a_doubt(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, beside_s: float, flags: tuple[str, ...]
) -> None:
    BACKENDS.load()
    eager = BACKENDS.get("eager")

    def prepare(*args: Any) -> Runnable:
        usual, clock = eager.prepare(*args), host.device.clock

        def call() -> object:
            logits = usual.call()
            clock.beside_s = clock.device_s + beside_s
            return logits

        return replace(usual, call=call)

    monkeypatch.setitem(BACKENDS._units, "streams", replace(eager, prepare=prepare))
    results = measured(job_of("infer", batch_size=4, backend="streams"))
    assert median(results["step_time"].samples) == pytest.approx(KERNELS * KERNEL_S, rel=1e-3)
    assert median(results["latency"].samples) == pytest.approx(
        KERNELS * KERNEL_S + host.device.launch_s + beside_s, rel=1e-3
    )
    assert (results["step_time"].flags, results["latency"].flags) == (flags, ())


def test_networks_that_launching_sets_the_pace_of_are_flagged(host: FakeHost) -> None:
    host.device.launch_s, host.device.kernel_s = KERNEL_S, KERNEL_S / 20
    results = list(_measure(versus(), HOOKS))
    assert all("launch_bound" in m.flags for m in results if m.detail.get("label") == "a")


# Look by look: for the record, before the latency, and a few times a second from then on.
RAMP = both(345, 345, 1410, 1700, 1980)


@pytest.mark.parametrize(
    ("state", "flags"),
    [
        ({"clocks": RAMP}, {"clock_varied"}),
        ({"clocks": RAMP, "reasons": [1, 1, 4, 4, 0]}, {"power_capped"}),
        ({"clocks": RAMP, "reasons": [1, 1, 0x40, 4, 0]}, {"throttled", "power_capped"}),
        ({"pids": [(OWN, 7)]}, set()),
        ({"pids": [(OWN, 7)], "busy": {7: 40}}, {"shared_device"}),
        ({"pids": [(OWN,), (OWN,), (OWN, 7)]}, {"shared_device"}),
    ],
)
def test_what_happens_on_the_card_is_a_doubt(
    host: FakeHost, card: FakeCard, state: dict[str, Any], flags: set[str]
) -> None:
    for name, values in state.items():
        setattr(card, name, values)
    latency = measured(job_of("infer", batch_size=4, timing={**TIMING, "min_s": 0.8}))["latency"]
    assert latency.detail["watch"]["looks"] >= 3
    assert set(latency.flags) == flags


NO_MEMORY = {
    "torch's allocator": torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB"
    ),
    "the driver": torch.AcceleratorError(
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"
    ),
    "the workspace of cuBLAS": RuntimeError(
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
    ),
    "the handle of cuBLAS": RuntimeError(
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"
    ),
    "the workspace of cuFFT": RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    "the handle of cuSOLVER": RuntimeError(
        "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"
    ),
    "torch's allocator, where NVML may not be asked": RuntimeError(
        'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/pytorch/c10/cuda/CUDACachingAllocator.cpp":1165, please report a '
        "bug to PyTorch."
    ),
    "cuDNN 8": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "cuDNN 9": RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
}
TOO_LARGE = {
    "indices": RuntimeError(
        "Expected canUse32BitIndexMath(input) && canUse32BitIndexMath(output) to be true, but got false."
    ),
    "blocks": torch.AcceleratorError("CUDA error: invalid configuration argument"),
    "engines": RuntimeError("GET was unable to find an engine to execute this computation"),
}


@pytest.mark.parametrize(
    ("task", "status", "error"),
    [
        *(pytest.param("infer", "oom", error, id=what) for what, error in NO_MEMORY.items()),
        *(pytest.param("infer", "unsupported", error, id=what) for what, error in TOO_LARGE.items()),
        ("train_step", "oom", NO_MEMORY["the driver"]),
        ("train_step", "unsupported", TOO_LARGE["indices"]),
    ],
)
def test_the_largest_batch_whatever_there_is_too_little_of(
    host: FakeHost, task: str, status: str, error: Exception
) -> None:
    host.device.failure = Failure(7, error)
    job = job_of(task, TINY, batch_size="max", batch_limit=16)
    largest = find_max_batch(EXECUTORS.get("inline").make(), job, timeout_s=60)
    assert largest.batch == 7 - 1
    assert largest.measurement().flags == (() if status == "oom" else ("at_index_limit",))
    events: list[Any] = []
    work(events.append, replace(job, settings={**job.settings.content, "batch_size": 7}))
    assert events[-1][1][0] == status


WIDE = "pattern:INPUT -> FC-4096 -> FC"
WIDE_B = 4 * ((32**2 + 1) * 4096 + (4096 + 1) * 10)  # of its weights


@pytest.mark.parametrize(("task", "times"), [("infer", 1.3), ("train_step", 3.3)])
def test_a_card_has_room_for_weights_gradients_and_momentum_or_trains_no_batch(
    host: FakeHost, task: str, times: float
) -> None:
    """Momentum is there from the second step on: a card for weights and gradients alone fits the first one."""
    job = job_of(task, WIDE, batch_size="max", batch_limit=2)
    for room, batch in ((times, 2), (times - 0.8, None)):
        host.device.room_B = int(room * WIDE_B)
        largest = find_max_batch(EXECUTORS.get("inline").make(), job, timeout_s=60)
        assert largest.batch == batch
        assert batch or (largest.failure and largest.failure[0] == "oom")
