"""TensorRT and AOTInductor on CUDA, walked on the fake card: what is built, bound, run, timed, told and refused.

TensorRT is made up, of names that the library has; AOTInductor's compiler is left out, and what it is given is run.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import json
import sys
import types
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
from fake_card import FakeCard, FakeHost
from fake_cuda import FakeGraph
from test_gpu_walk import job_of, measured, sure
from torch import Tensor, nn

from bench.errors import UnsupportedError

CALL_S = 4e-3
PLAN = b"an engine, as TensorRT writes it"
AGREEMENT = ["output_difference", "mean_difference", "other_answers"]
KNOWN: dict[str, dict[str, list[str]]] = json.loads(
    (Path(__file__).parent / "tensorrt_names.json").read_text()
)
"""By version, the names of TensorRT's classes and of what they have, as its own source binds them to Python.

Source: https://github.com/NVIDIA/TensorRT, python/src, of the oldest version that is supported and of one of the newest.
"""


class Flag(IntEnum):
    """Of networks and of how they are built."""

    STRONGLY_TYPED = 1
    TF32 = 7


class FakeTensorRT:
    """The library: it runs the network that was exported, without making the host wait but on the default stream.

    Attributes:
        network: that was exported, with images as it takes them.
        flags: of the network's making.
        cleared: flags of its building.
        fails: the name of the function that does not do what it is for.
        streams: on which it was run.
    """

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.network: tuple[nn.Module, Tensor] | None = None
        self.flags = 0
        self.cleared: list[Flag] = []
        self.fails = ""
        self.streams: set[int] = set()

    def export(self, model: nn.Module, images: tuple[Tensor], file: str, **_: Any) -> None:
        """Keep a network."""
        self.network = model, images[0]
        Path(file).write_bytes(b"exported")

    def run(self, addresses: dict[str, int]) -> None:
        """Write to the address of the logits what the network makes of the images at theirs."""
        assert self.network is not None
        model, example = self.network
        memory = (ctypes.c_char * example.nbytes).from_address(addresses["images"])
        with self.host.device.captured(FakeGraph(self.host.device)):
            logits = model(torch.frombuffer(memory, dtype=example.dtype).view_as(example)).contiguous()
            ctypes.memmove(addresses["logits"], logits.data_ptr(), logits.nbytes)
        self.host.device.clock.work(self.host.device.launch_s, CALL_S)

    def module(self) -> types.ModuleType:
        """Return what stands in the place of tensorrt."""
        module = types.ModuleType("tensorrt")
        vars(module).update({"__version__": "11.1", **{kind.__name__: kind for kind in classes(self)}})
        return module


def classes(library: FakeTensorRT) -> list[type]:
    """Return TensorRT's classes; those without a name in the module are made by others."""

    def done(name: str) -> bool:
        return library.fails != name

    class Logger:
        ERROR = 1

        def __init__(self, severity: int) -> None:
            assert severity == self.ERROR

    class IBuilderConfig:
        def clear_flag(self, flag: Flag) -> None:
            library.cleared.append(flag)

    class Builder:
        def __init__(self, logger: Logger) -> None:
            pass

        def create_network(self, flags: int) -> object:
            library.flags = flags
            return object()

        def create_builder_config(self) -> IBuilderConfig:
            return IBuilderConfig()

        def build_serialized_network(self, network: object, config: IBuilderConfig) -> memoryview | None:
            return memoryview(PLAN) if done("build_serialized_network") else None

    class ParserError:
        def desc(self) -> str:
            return "no importer for GridSample"

    class OnnxParser:
        def __init__(self, network: object, logger: Logger) -> None:
            pass

        def parse_from_file(self, model: str) -> bool:
            assert Path(model).read_bytes() == b"exported"
            return done("parse_from_file")

        def get_error(self, index: int) -> ParserError:
            return ParserError()

    class IExecutionContext:
        def __init__(self) -> None:
            self.addresses: dict[str, int] = {}

        def set_tensor_address(self, name: str, memory: int) -> bool:
            self.addresses[name] = memory
            return done("set_tensor_address")

        def execute_async_v3(self, stream_handle: int) -> bool:
            library.streams.add(stream_handle)
            library.run(self.addresses)
            if stream_handle == 0:  # as its documentation says
                library.host.device.clock.wait()
            return done("execute_async_v3")

    class ICudaEngine:
        def create_execution_context(self) -> IExecutionContext | None:
            return IExecutionContext() if done("create_execution_context") else None

    class Runtime:
        def __init__(self, logger: Logger) -> None:
            pass

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            assert serialized_engine == PLAN
            return ICudaEngine() if done("deserialize_cuda_engine") else None

    class NetworkDefinitionCreationFlag:
        STRONGLY_TYPED = Flag.STRONGLY_TYPED

    class BuilderFlag:
        TF32 = Flag.TF32

    return [
        *(Logger, Builder, NetworkDefinitionCreationFlag, IBuilderConfig, BuilderFlag),
        *(OnnxParser, ParserError, Runtime, ICudaEngine, IExecutionContext),
    ]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    host = FakeHost(FakeCard("NVIDIA H100", "cccc")).install(monkeypatch)
    with host.device.at_work():
        yield host


@pytest.fixture
def tensorrt(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    library = FakeTensorRT(host)
    for name in ("onnx", "onnxscript", "tensorrt"):
        module = library.module() if name == "tensorrt" else types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(torch.onnx, "export", library.export)
    return library


@pytest.mark.parametrize("version", KNOWN)
def test_the_fake_has_nothing_that_tensorrt_has_not(version: str) -> None:
    known = KNOWN[version]
    for kind in classes(FakeTensorRT(FakeHost())):
        assert {name for name in vars(kind) if not name.startswith("_")} <= set(known[kind.__name__])


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_tensorrt_runs_beside_torchs_stream_and_keeps_the_host_free(
    tensorrt: FakeTensorRT, precision: str
) -> None:
    results = measured(job_of("infer", batch_size=4, backend="tensorrt", precision=precision))
    sure(results)
    engine = ["peak_memory", "artefact_size", "latency", "step_time"]
    assert list(results) == ["prepare_time", *AGREEMENT, *engine]
    assert tensorrt.flags == 1 << Flag.STRONGLY_TYPED
    assert tensorrt.cleared == ([] if precision == "tf32" else [Flag.TF32])
    assert 0 not in tensorrt.streams
    assert results["output_difference"].samples == (0.0,)
    assert results["peak_memory"].flags == ("outside_allocator",)
    assert results["artefact_size"].samples == (len(PLAN),)
    assert results["prepare_time"].detail["tensorrt"] == "11.1"
    assert {"export_s", "build_s"} <= set(results["prepare_time"].detail)
    assert results["step_time"].detail["clock"] == "cuda_event"
    assert median(results["step_time"].samples) == pytest.approx(CALL_S, rel=1e-3)
    launch_s = tensorrt.host.device.launch_s
    assert median(results["latency"].samples) == pytest.approx(CALL_S + launch_s, rel=1e-3)
    assert results["step_time"].detail["launch_share"] == pytest.approx(launch_s / CALL_S, rel=0.05)
    assert not results["step_time"].flags


@pytest.mark.parametrize(
    ("fails", "message"),
    [
        ("parse_from_file", "TensorRT cannot read the network: no importer for GridSample"),
        ("build_serialized_network", "TensorRT builds no engine of the network"),
        ("deserialize_cuda_engine", "TensorRT cannot load the engine that it has built"),
        ("create_execution_context", "TensorRT cannot load the engine that it has built"),
        ("set_tensor_address", "TensorRT's engine has no images to be given"),
    ],
)
def test_what_tensorrt_cannot_do_is_told(tensorrt: FakeTensorRT, fails: str, message: str) -> None:
    tensorrt.fails = fails
    with pytest.raises(UnsupportedError, match=message):
        measured(job_of("infer", backend="tensorrt"))


def test_a_call_that_did_not_run_is_no_time(tensorrt: FakeTensorRT) -> None:
    tensorrt.fails = "execute_async_v3"
    with pytest.raises(UnsupportedError, match="TensorRT could not run its engine"):
        measured(job_of("infer", backend="tensorrt"))


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_a_network_that_is_compiled_ahead(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, precision: str, memory_format: str
) -> None:
    programs: dict[str, Any] = {}

    def package(program: Any, *, package_path: str) -> str:
        programs[package_path] = program
        Path(package_path).write_bytes(PLAN)
        return package_path

    def load(path: str) -> Any:
        module = programs[path].module()

        def call(images: Tensor) -> Any:
            with host.device.captured(FakeGraph(host.device)):
                logits = module(images)
            host.device.clock.work(host.device.launch_s, CALL_S)
            return logits

        return call

    monkeypatch.setattr("torch._inductor.aoti_compile_and_package", package)
    monkeypatch.setattr("torch._inductor.aoti_load_package", load)
    job = job_of(
        "infer", batch_size=4, backend="aot_inductor", precision=precision, memory_format=memory_format
    )
    results = measured(job)
    sure(results)
    assert list(results)[:4] == ["prepare_time", *AGREEMENT]
    assert {"export_s", "compile_s", "load_s"} <= set(results["prepare_time"].detail)
    assert results["output_difference"].samples[0] == pytest.approx(0.0, abs=1e-6)
    assert results["peak_memory"].flags == ("outside_allocator",)
    assert results["artefact_size"].samples == (len(PLAN),)
    assert "threads_used" not in results
    assert results["step_time"].detail["clock"] == "cuda_event"
    assert median(results["step_time"].samples) == pytest.approx(CALL_S, rel=1e-3)
