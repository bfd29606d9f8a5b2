"""ONNX Runtime on CUDA, walked on the fake card with a session that is made up: what is bound, run, timed and told."""

from __future__ import annotations

import ctypes
import importlib.machinery
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from fake_card import FakeCard, FakeHost
from fake_cuda import FakeGraph
from test_gpu_walk import job_of, measured, sure
from torch import Tensor, nn

from bench.backends.onnx import _CUDA
from bench.errors import UnsupportedError

CALL_S = 4e-3
DTYPES = {np.float32: torch.float32, np.float16: torch.float16}


class FakeBinding:
    """Where a session reads its images and writes its logits: addresses of memory of a device."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}

    def bind_input(
        self, name: str, kind: str, index: int, dtype: Any, shape: Sequence[int], address: int
    ) -> None:
        """Take the memory of a tensor."""
        assert (kind, index) == ("cuda", 0)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = (ctypes.c_char * size).from_address(address)
        self.tensors[name] = torch.frombuffer(memory, dtype=DTYPES[dtype]).view(*shape)

    bind_output = bind_input


class FakeRuntime:
    """The library: its sessions run the network that was exported, and wait for its end."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.providers: list[Any] = []
        self.exported: dict[str, nn.Module] = {}

    def export(self, model: nn.Module, images: tuple[Tensor], file: str, **_: Any) -> None:
        """Keep a network under the name of its file."""
        self.exported[file] = model
        Path(file).write_bytes(b"exported")

    def module(self) -> types.ModuleType:
        """Return what stands in the place of onnxruntime."""
        module = types.ModuleType("onnxruntime")
        members = {
            "__version__": "1.99",
            "SessionOptions": types.SimpleNamespace,
            "InferenceSession": self.session,
            "get_available_providers": lambda: [_CUDA, "CPUExecutionProvider"],
        }
        vars(module).update(members)
        return module

    def session(self, file: str, options: Any, providers: Sequence[Any]) -> Any:
        """Return a session of an exported network."""
        assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
        self.providers.append(providers)
        model = self.exported[file]

        def run(binding: FakeBinding) -> None:
            with self.host.device.captured(FakeGraph(self.host.device)):
                binding.tensors["logits"].copy_(model(binding.tensors["images"]))
            self.host.device.clock.work(0.0, CALL_S)
            self.host.device.clock.wait()

        return types.SimpleNamespace(
            get_session_options=lambda: types.SimpleNamespace(intra_op_num_threads=0),
            get_inputs=lambda: [types.SimpleNamespace(name="images")],
            get_outputs=lambda: [types.SimpleNamespace(name="logits")],
            io_binding=FakeBinding,
            run_with_iobinding=run,
        )


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRuntime]:
    host = FakeHost(FakeCard("NVIDIA H100", "cccc")).install(monkeypatch)
    runtime = FakeRuntime(host)
    for name in ("onnx", "onnxscript", "onnxruntime"):
        module = runtime.module() if name == "onnxruntime" else types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(
        "bench.backends._engines._version", lambda package: vars(sys.modules[package]).get("__version__")
    )
    monkeypatch.setattr(torch.onnx, "export", runtime.export)
    with host.device.at_work():
        yield runtime


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", 0), ("tf32", 1), ("fp16", 0)])
def test_images_and_logits_stay_on_the_card(runtime: FakeRuntime, precision: str, tf32: int) -> None:
    results = measured(job_of("infer", batch_size=4, backend="onnx", precision=precision))
    sure(results)
    agreement = ["output_difference", "mean_difference", "other_answers"]
    engine = ["peak_memory", "artefact_size"]
    assert list(results) == ["prepare_time", *agreement, *engine, "latency", "step_time"]
    assert runtime.providers == [[(_CUDA, {"device_id": 0, "use_tf32": tf32}), "CPUExecutionProvider"]]
    assert results["output_difference"].flags == ()
    assert results["peak_memory"].flags == ("outside_allocator",)
    assert results["prepare_time"].detail["onnxruntime"] == "1.99"
    for name in ("latency", "step_time"):
        assert median(results[name].samples) == pytest.approx(CALL_S, rel=1e-3)
        assert results[name].detail["clock"] == "perf_counter"  # the session waits for the card by itself
        assert "launch_share" not in results[name].detail
        assert results[name].flags == ()


def test_what_it_cannot_run_on_a_card(runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnsupportedError, match="no bf16 on cuda; it has fp32, tf32, fp16"):
        measured(job_of("infer", backend="onnx", precision="bf16"))
    with pytest.raises(UnsupportedError, match="memory_format=contiguous"):
        measured(job_of("infer", backend="onnx", memory_format="channels_last"))
    monkeypatch.setattr(
        sys.modules["onnxruntime"], "get_available_providers", lambda: ["CPUExecutionProvider"]
    )
    with pytest.raises(UnsupportedError, match="pip install onnxruntime-gpu"):
        measured(job_of("infer", backend="onnx"))
