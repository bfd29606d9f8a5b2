"""Every path that only a GPU takes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch

from bench.backends import BACKENDS
from bench.errors import UnsupportedError
from bench.execution import EXECUTORS, Event
from bench.execution._locks import device_locks
from bench.execution._max_batch import find_max_batch, with_batch
from bench.execution._outcome import judge
from bench.execution.catalog import ask
from bench.execution.places import _CardExecutor, _visible
from bench.plan.expand import Catalog
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.records import environment
from bench.records.environment import cuda_uuid
from bench.tasks._placing import noise
from bench.timing._events import CudaEventClock
from bench.timing._memory import CudaMemory
from bench.timing._watch import watch
from bench.timing.clock import HostClock
from bench.timing.energy import find_meter
from bench.timing.steps import _NAMES

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]

MB = 1 << 20


def infer(arch: str = "resnet18", input_size: int = 64, **settings: Any) -> Job:
    timing = {"warmup_s": 0.1, "limit_s": 0.3}
    asked = Timed.read({"device": "cuda", "threads": 1, "timing": timing, **settings})
    return Job(task="infer", arch=arch, input_size=input_size, settings=asked)


def outcome(job: Job) -> tuple[str, dict[str, Any]]:
    events: list[Event] = []
    executor = EXECUTORS.get("process").make()
    ended = executor.call("bench.execution._worker:work", (job,), timeout_s=200, on_event=events.append)
    said = next((v for k, v in events if k == "outcome"), None)
    return judge(ended, said, 200, "")[0], {v.name: v for k, v in events if k == "measurement"}


def test_events_and_the_host_agree_on_a_long_kernel() -> None:
    a = torch.randn(4096, 4096, device="cuda")
    call = lambda: a @ a  # noqa: E731
    for clock in (CudaEventClock(), HostClock(torch.cuda.synchronize)):
        clock.seconds(call, 10)
    events = CudaEventClock().seconds(call, 50)
    host = HostClock(torch.cuda.synchronize).seconds(call, 50)
    assert events == pytest.approx(host, rel=0.05)


def test_the_allocators_peak_is_of_a_known_tensor() -> None:
    meter = CudaMemory("cuda")
    found = meter.peak(lambda: torch.empty(800 * MB, dtype=torch.uint8, device="cuda"))
    assert found.samples[0] == pytest.approx(800 * MB, rel=0.05)


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16", "amp_bf16", "amp_fp16"])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_inference_in_every_precision_and_layout(precision: str, memory_format: str) -> None:
    status, found = outcome(infer(batch_size=16, precision=precision, memory_format=memory_format))
    assert status == "ok"
    assert {"latency", "step_time", "peak_memory"} <= set(found)
    assert found["step_time"].detail["clock"] == "cuda_event"
    assert 0 < found["latency"].detail["floor_s"] < min(1e-3, median(found["latency"].samples))
    assert 0 < found["latency"].detail["launch_share"] < 1
    assert found["peak_memory"].samples[0] > 11e6 * (2 if precision in {"bf16", "fp16"} else 4)


def test_a_watch_sees_the_clock_of_a_busy_card_and_nobody_else() -> None:
    a = torch.randn(8192, 8192, device="cuda")
    look = watch("cuda:0")
    look.start()
    until = time.perf_counter() + 1
    while time.perf_counter() < until:
        a @ a
        torch.cuda.synchronize()
        look.tick()
    seen, doubts = look.stop()
    assert seen["other_processes"] == {"came": 0, "busy": 0, "idle": 0}
    assert seen["looks"] > 3
    assert seen["sm_clock_MHz"][1] > 1000
    assert "shared_device" not in doubts


def test_out_of_memory_is_a_status_and_the_next_job_is_well() -> None:
    assert outcome(infer(arch="vgg16", input_size=224, batch_size=100_000))[0] == "oom"
    assert outcome(infer(batch_size=1))[0] == "ok"


def test_the_environment_names_the_gpu() -> None:
    executor = EXECUTORS.get("process").make()
    found = ask(executor, Catalog, "probe_machine", [])
    assert "cuda:0" in found.devices
    assert found.environment["gpu"][0]["name"]
    (state,) = environment.state([cuda_uuid("cuda:0")])["gpu"]
    assert state["uuid"] == found.environment["gpu"][0]["uuid"]


def test_a_process_that_is_shown_the_last_card_has_it_as_its_first() -> None:
    executor = EXECUTORS.get("process").make()
    whole = ask(executor, Catalog, "probe_machine", [])
    last = len(whole.devices) - 2  # but for the CPU and itself
    card = _CardExecutor(executor, _visible(whole.environment, last))
    there = ask(card, Catalog, "probe_machine", [])
    assert there.devices == ("cpu", "cuda:0")
    assert there.environment["gpu"][0]["uuid"] == whole.environment["gpu"][last]["uuid"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_training_on_the_gpu(precision: str) -> None:
    from bench.plan.recipe import Recipe

    settings = {
        "device": "cuda", "dataset": "digits", "recipe": Recipe.load("std").model_dump(mode="json"), "epochs": 2,
        "precision": precision, "memory_format": "channels_last", "threads": 1,
    }  # fmt: skip
    job = Job(
        task="accuracy", arch="resnet20", input_size=8, in_channels=1, num_classes=10, settings=settings
    )
    status, found = outcome(job)
    assert status == "ok"
    assert found["top1"].samples[0] > 0.5
    assert found["epoch_time"].detail["warm_up_s"] > 0


def timed_job(task: str, **settings: Any) -> Job:
    job = infer(**settings)
    return Job.from_json({**job.to_json(), "task": task})


@pytest.mark.parametrize("backend", ["cuda_graph", "compiled", "compiled:reduce-overhead", "onnx"])
def test_every_backend_returns_what_eager_returns(backend: str) -> None:
    job = infer(batch_size=8, backend=backend)
    if reason := BACKENDS.get(backend).unsupported(job):
        pytest.skip(reason)
    status, found = outcome(job)
    assert status == "ok"
    assert found["output_difference"].flags == ()
    assert found["prepare_time"].samples[0] > 0
    if backend != "compiled":
        assert "outside_allocator" in found["peak_memory"].flags
    assert found["peak_memory"].detail["device_B"] > 0
    assert found["step_time"].detail["clock"] == ("perf_counter" if backend == "onnx" else "cuda_event")
    assert ("launch_share" in found["step_time"].detail) == (backend != "onnx")


def test_a_graph_saves_the_time_of_launching() -> None:
    eager, graph = (
        outcome(infer("resnet34", batch_size=1, precision="bf16", backend=backend))[1]
        for backend in ("eager", "cuda_graph")
    )
    assert median(graph["step_time"].samples) < median(eager["step_time"].samples)
    assert graph["latency"].detail["launch_share"] < eager["latency"].detail["launch_share"]
    # What the graph reads is still there: 21.8 million weights of two bytes.
    assert graph["peak_memory"].samples[0] > 21.8e6 * 2


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "amp_bf16", "amp_fp16"])
def test_a_training_step_has_its_phases(precision: str) -> None:
    status, found = outcome(timed_job("train_step", batch_size=32, precision=precision))
    assert status == "ok"
    phases = [median(found[name].samples) for name in _NAMES]
    assert all(seconds > 0 for seconds in phases)
    whole = median(found["step_time"].samples)
    assert 0.5 * whole < sum(phases) < 2 * whole  # marks and the wait at the end cost little
    # What the forward pass keeps is still there when the backward pass begins.
    assert found["backward_peak_memory"].samples[0] <= found["peak_memory"].samples[0]
    assert found["forward_peak_memory"].samples[0] <= found["peak_memory"].samples[0]


@pytest.mark.parametrize("backend", ["eager", "compiled", "compiled:reduce-overhead"])
def test_memory_of_a_training_step_in_a_graph_is_doubted(backend: str) -> None:
    status, found = outcome(timed_job("train_step", batch_size=8, backend=backend))
    assert status == "ok"
    doubted = {name for name, m in found.items() if "outside_allocator" in m.flags}
    peaks = {name for name in found if name.endswith("peak_memory")}
    assert doubted == (peaks if backend == "compiled:reduce-overhead" else set())


def test_cudnn_chooses_by_trying() -> None:
    status, found = outcome(infer(batch_size=8, cudnn_benchmark=True))
    assert status == "ok"
    assert found["step_time"].samples


def test_a_large_batch_is_made_on_the_card() -> None:
    job = infer(batch_size=4096, input_size=224, memory_format="channels_last", precision="bf16")
    start = time.perf_counter()
    images = noise(job)
    torch.cuda.synchronize()
    assert time.perf_counter() - start < 5
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images[64:128], images[:64])


def test_energy_is_power_by_time() -> None:
    status, found = outcome(infer(batch_size=64, energy_s=2.0))
    assert status == "ok"
    if "energy" not in found:
        pytest.skip(found["step_time"].detail["energy"])
    detail = found["energy"].detail
    assert detail["seconds"] >= 2.0
    assert 20 < detail["idle_W"] < detail["power_W"] < 1500
    share = detail["calls"] * median(found["step_time"].samples) / detail["seconds"]
    assert share == pytest.approx(1, abs=0.15)  # it had work while its counter was read
    a_call = median(found["step_time"].samples)
    expected = detail["power_W"] * a_call / 64
    assert found["energy"].samples[0] == pytest.approx(expected, rel=0.5)


def test_the_counter_of_energy_moves_in_steps() -> None:
    try:
        meter = find_meter("cuda:0")
    except UnsupportedError as error:
        pytest.skip(error.message)
    readings, until = [meter.joules()], time.perf_counter() + 1
    while time.perf_counter() < until:
        readings.append(meter.joules())
    assert readings == sorted(readings)
    assert 2 <= len(set(readings)) <= 200  # a step of 5 to 500 ms


def test_the_ceilings_of_a_gpu() -> None:
    settings = {"device": "cuda", "threads": 1, "timing": {"warmup_s": 0.1, "limit_s": 0.4}}
    rates = {}
    for precision in ("fp32", "bf16"):
        job = Job(task="ceiling", arch="ceiling", input_size=1, settings={**settings, "precision": precision})
        status, found = outcome(job)
        assert status == "ok"
        rates[precision] = median(found["matmul_rate"].samples)
        assert median(found["copy_bandwidth"].samples) > 1e11
    assert rates["bf16"] > 2 * rates["fp32"]


def test_the_largest_batch_fits_and_a_larger_one_does_not() -> None:
    job = infer(arch="vgg16", input_size=224, batch_size="max", batch_limit=65_536)
    found = find_max_batch(EXECUTORS.get("process").make(), job, timeout_s=200)
    assert found.batch is not None
    assert found.batch > 64
    assert outcome(with_batch(job, found.batch))[0] == "ok"
    # What no kernel is for ends a search as want of memory does.
    assert outcome(with_batch(job, 2 * found.batch))[0] in {"oom", "unsupported"}


def test_a_run_waits_for_the_one_that_holds_the_card(tmp_path: Path) -> None:
    words = [
        "-m",
        "bench",
        "run",
        "lenet5",
        "--config",
        "smoke",
        "--task",
        "infer",
        "--no-report",
        "--set",
        "device=cuda",
        "--name",
        "waits",
    ]
    words = [sys.executable, *words, "--results", str(tmp_path)]
    unexpected = lambda device, holder: pytest.fail(f"{device} is in use by {holder}")  # noqa: E731
    card = environment.machine()["gpu"][0]["uuid"]
    with device_locks({card: "cuda:0"}, "first", unexpected):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=20)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "waiting: another bench is measuring on cuda:0 (run first, process " in said
