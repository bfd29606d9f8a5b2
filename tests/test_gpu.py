"""Every path that only a GPU takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bench.execution import EXECUTORS, Event
from bench.execution.catalog import ask
from bench.execution.runner import judge
from bench.plan.job import Job
from bench.plan.settings import Infer
from bench.records import environment
from bench.timing.clock import CudaEventClock, HostClock
from bench.timing.memory import CudaMemory

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]

MB = 1 << 20


def infer(arch: str = "resnet18", input_size: int = 64, **settings: Any) -> Job:
    timing = {"warmup_s": 0.1, "limit_s": 0.3}
    asked = Infer(arch=arch, device="cuda", threads=1, timing=timing, **settings).model_dump(mode="json")  # type: ignore[arg-type]
    keep = ("device", "batch_size", "precision", "memory_format", "backend", "threads", "timing")
    return Job(task="infer", arch=arch, input_size=input_size, settings={k: asked[k] for k in keep})


def outcome(job: Job) -> tuple[str, dict[str, Any]]:
    events: list[Event] = []
    executor = EXECUTORS.get("process").make()
    ended = executor.call("bench.execution.worker:work", (job,), timeout_s=200, on_event=events.append)
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


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16", "fp16"])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_inference_in_every_precision_and_layout(precision: str, memory_format: str) -> None:
    status, found = outcome(infer(batch_size=16, precision=precision, memory_format=memory_format))
    assert status == "ok"
    assert set(found) == {"latency", "step_time", "peak_memory"}
    assert found["step_time"].detail["clock"] == "cuda_event"
    assert found["peak_memory"].samples[0] > 11e6 * (2 if precision in {"bf16", "fp16"} else 4)


def test_out_of_memory_is_a_status_and_the_next_job_is_well() -> None:
    assert outcome(infer(arch="vgg16", input_size=224, batch_size=100_000))[0] == "oom"
    assert outcome(infer(batch_size=1))[0] == "ok"


def test_the_environment_names_the_gpu() -> None:
    executor = EXECUTORS.get("process").make()
    found = ask(executor, "bench.execution.probe:probe_machine", [])
    assert "cuda:0" in found["devices"]
    assert found["environment"]["gpu"][0]["name"]
    assert environment.state()["gpu"]


def test_a_training_on_the_gpu(tmp_path: Path) -> None:
    from bench.plan.recipe import load_recipe

    settings = {
        "device": "cuda", "dataset": "digits", "recipe": load_recipe("std").model_dump(mode="json"), "epochs": 2,
        "precision": "bf16", "memory_format": "channels_last", "threads": 1,
    }  # fmt: skip
    job = Job(
        task="accuracy", arch="resnet20", input_size=8, in_channels=1, num_classes=10, settings=settings
    )
    status, found = outcome(job)
    assert status == "ok"
    assert found["top1"].samples[0] > 0.5
