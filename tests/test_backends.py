"""The contract of every registered backend, and what each of them refuses."""

from __future__ import annotations

import importlib.util
import math
import shutil
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import contracts
from bench.backends import BACKENDS, Backend, Runnable, refusal
from bench.contracts import _small_network, check_backend
from bench.errors import UnknownNameError, UnsupportedError, install_tip, typed_text
from bench.execution._worker import _measure, switch, work
from bench.plan.job import Job
from bench.plan.settings import Precision, Timed
from bench.plan.task import Hooks
from bench.tasks import _calls
from bench.tasks._agreement import _TOLERANCES, _relative_difference, agreement
from bench.tasks._placing import DTYPES, _Autocast, noise, place_network, with_autocast
from bench.timing import steps
from bench.timing._events import CudaEventClock
from bench.timing.steps import Instruments
from bench.training.config import AUTOCAST

COMPILES = shutil.which("g++") or shutil.which("clang++")
QUICK = {"warmup_s": 0.01, "min_s": 0.0, "limit_s": 0.05, "min_samples": 6}

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, num_classes)
        self.calls = 0
    def forward(self, x):
        return self.head(self.features(x).relu().mean((2, 3)))
"""


def make_job(arch: str = "net", task: str = "infer", num_classes: int = 10, **settings: Any) -> Job:
    asked = Timed(device="cpu", threads=1, batch_size=2, timing=QUICK).model_dump(mode="json")  # type: ignore[arg-type]
    keep = ("device", "batch_size", "precision", "memory_format", "backend", "threads", "timing")
    values = {k: asked[k] for k in keep} | settings
    return Job(task=task, arch=arch, input_size=8, num_classes=num_classes, settings=values)  # type: ignore[arg-type]


def user_job(tmp_path: Path, source: str = NET, **settings: Any) -> Job:
    file = tmp_path / "net.py"
    file.write_text(source)
    return make_job(f"{file}:Net", **settings)


def measured(job: Job) -> dict[str, Any]:
    hooks = Hooks(stage=lambda _: None, progress=lambda *_: None, environment=lambda _: None)
    return {m.name: m for m in _measure(job, hooks)}


_COMPILING = ("compiled", "aot_inductor", "torchao", "executorch", "openvino")


def slow_if_compiling(name: str) -> Any:
    marks = [pytest.mark.slow] if name.startswith(_COMPILING) else []
    return pytest.param(name, marks=marks)


@pytest.fixture(scope="module")
def compiled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.mark.parametrize("name", [slow_if_compiling(n) for n in BACKENDS])
def test_every_backend_keeps_the_contract(
    name: str, monkeypatch: pytest.MonkeyPatch, compiled_folder: Path
) -> None:
    if name.startswith(("compiled", "aot_inductor", "torchao")) and not COMPILES:
        pytest.skip("no C++ compiler")
    if name.startswith("compiled"):  # its modes come to the same kernels, each of which takes 2 s to compile
        folder = SimpleNamespace(TemporaryDirectory=lambda: nullcontext(str(compiled_folder)))
        monkeypatch.setattr(contracts, "tempfile", folder)
    with quickly_compiled() if name.startswith(_COMPILING) else nullcontext():
        reason = check_backend(name)
    if reason:
        pytest.skip(reason)


def quickly_compiled() -> AbstractContextManager[None]:
    """Let the compiler do what is needed alone: no headers beforehand, which are used once, and no optimisation."""
    from torch._inductor import config

    settings = {"aot_inductor.precompile_headers": False, "aot_inductor.compile_wrapper_opt_level": "O0"}
    known = config.get_config_copy()  # older versions of torch lack some
    patch: AbstractContextManager[None] = config.patch({k: v for k, v in settings.items() if k in known})
    return patch


@pytest.mark.parametrize("name", ["cuda_graph", "compiled:reduce-overhead"])
def test_graphs_are_cudas(name: str, tmp_path: Path) -> None:
    job = user_job(tmp_path, backend=name)
    with pytest.raises(UnsupportedError, match="CPU"):
        measured(job)


def test_eager_is_not_compared_with_itself(tmp_path: Path) -> None:
    found = measured(user_job(tmp_path))
    assert set(found) == {"peak_memory", "latency", "step_time", "tensor_memory"}
    assert found["step_time"].detail["energy"].startswith("no RAPL counter") or "energy" in found


class Fake:
    """A backend made of one function, registered for the length of a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def add(self, prepare: Any, **fields: Any) -> None:
        BACKENDS.load()
        backend = Backend("a test's", prepare, lambda job: None, **fields)
        self.monkeypatch.setitem(BACKENDS._units, "fake", backend)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(monkeypatch)


def test_a_backend_that_is_right_has_its_preparation_measured(tmp_path: Path, fake: Fake) -> None:
    fake.add(lambda model, images, job: Runnable(lambda: model(images), {"export_s": 0.5}))
    found = measured(user_job(tmp_path, backend="fake"))
    assert found["prepare_time"].samples[0] > 0
    assert found["prepare_time"].detail["export_s"] == 0.5
    assert found["output_difference"].samples == (0.0,)
    assert "differs" not in found["latency"].flags


def test_a_backend_that_gives_other_results_is_flagged_where_its_times_are(
    tmp_path: Path, fake: Fake
) -> None:
    fake.add(lambda model, images, job: Runnable(lambda: 1.5 * model(images)))
    found = measured(user_job(tmp_path, backend="fake"))
    assert found["output_difference"].samples[0] == pytest.approx(0.5)
    for name in ("output_difference", "latency", "step_time"):
        assert "differs" in found[name].flags
    assert "differs" not in found["peak_memory"].flags


def test_a_network_with_chance_in_it_is_not_held_against_the_backend(tmp_path: Path, fake: Fake) -> None:
    fake.add(lambda model, images, job: Runnable(lambda: model(images)))
    source = NET.replace("return self.head(", "return torch.rand(10) * self.head(")
    found = measured(user_job(tmp_path, source, backend="fake"))
    assert "not_deterministic" in found["latency"].flags
    assert "differs" not in found["latency"].flags


def test_a_network_that_keeps_state_is_not_held_against_the_backend(tmp_path: Path, fake: Fake) -> None:
    fake.add(lambda model, images, job: Runnable(lambda: model(images)))
    source = NET.replace("return self.head(", "self.calls += 1\n        return self.calls * self.head(")
    found = measured(user_job(tmp_path, source, backend="fake"))
    assert found["output_difference"].flags == ("not_deterministic",)


@pytest.mark.parametrize("backend", ["eager", "fake"])
@pytest.mark.parametrize("task", ["infer", "train_step", "layers"])
def test_a_network_that_overwrites_its_images_is_told_as_that_and_held_against_eager(
    tmp_path: Path, fake: Fake, task: str, backend: str
) -> None:
    fake.add(lambda model, images, job: Runnable(lambda: model(images)), for_training=lambda model: model)
    source = NET.replace("return self.head(", "x.mul_(0.5)\n        return self.head(").replace(
        "self.features(x)", "self.features(x.clone())"
    )
    found = measured(user_job(tmp_path, source, backend=backend, task=task))
    time = found["network_time" if task == "layers" else "step_time"]
    assert "changes_images" in time.flags
    told = {flag for measurement in found.values() for flag in measurement.flags}
    assert not told & {"not_deterministic", "changes_itself", "differs"}


BRANCHES = {
    "return self.head(": None,
    "if x.sum() > 0: x = -x\n        return self.head(": "traced_branch",
    "x = x * float(x.mean())\n        return self.head(": "traced_branch",
    "x = x if int(x.shape[2]) > 2 and bool(self.head.bias.numel()) else -x\n        return self.head(": None,
    "x = torch.where(x.sum() > 0, -x, x)\n        return self.head(": None,
}


@pytest.mark.parametrize("exporter", ["tracing", "torch.export"])
@pytest.mark.parametrize("forward", BRANCHES)
def test_an_engine_that_was_traced_keeps_one_way_of_a_network_that_looks_at_its_images(
    tmp_path: Path, fake: Fake, forward: str, exporter: str
) -> None:
    fake.add(lambda model, images, job: Runnable(lambda: model(images), {"exporter": exporter}))
    found = measured(user_job(tmp_path, NET.replace("return self.head(", forward), backend="fake"))
    told = "traced_branch" if "traced_branch" in found["latency"].flags else None
    assert told == (BRANCHES[forward] if exporter == "tracing" else None)


@pytest.mark.parametrize("task", ["infer", "train_step", "layers"])
def test_a_network_that_fails_later_says_in_which_of_its_calls(tmp_path: Path, task: str) -> None:
    failing = (
        "self.calls += 1\n        if self.calls == 5: raise ValueError('no five')\n        return self.head("
    )
    with pytest.raises(ValueError, match="no five") as caught:
        measured(user_job(tmp_path, NET.replace("return self.head(", failing), task=task))
    assert (
        typed_text(caught.value) == "ValueError: no five (in call 5 of the network, after 4 that went well)"
    )


@pytest.mark.parametrize("task", ["infer", "train_step"])
def test_doubts_about_memory_stand_at_memory_alone(
    tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr(_calls, "doubts_of_memory", lambda backend, job: ("outside_allocator",))
    found = measured(user_job(tmp_path, task=task))
    flagged = {name for name, m in found.items() if "outside_allocator" in m.flags}
    assert "peak_memory" in flagged
    assert flagged == {name for name in found if name.endswith("peak_memory")}


def test_cudnn_chooses_by_trying_where_the_job_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    switch(make_job(device="cuda:0", cudnn_benchmark=True))
    assert torch.backends.cudnn.benchmark
    switch(make_job(device="cuda:0"))
    assert not torch.backends.cudnn.benchmark
    with pytest.raises(UnsupportedError, match="no cuDNN"):
        switch(make_job(cudnn_benchmark=True))


def test_memory_that_a_graph_holds_is_outside_the_allocator() -> None:
    doubts = {
        name: _calls.doubts_of_memory(BACKENDS.get(name), make_job(device="cuda:0", backend=name))
        for name in BACKENDS
    }
    assert {name for name, found in doubts.items() if found} == {
        "cuda_graph", "compiled:reduce-overhead", "compiled:max-autotune", "onnx", "onnx:dynamic", "aot_inductor", "tensorrt"
    }  # fmt: skip
    on_cpu = make_job(backend="compiled:max-autotune")
    assert _calls.doubts_of_memory(BACKENDS.get("compiled:max-autotune"), on_cpu) == ("with_preparation",)


def test_calls_that_block_the_host_are_timed_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "CudaMemory", lambda device: None)
    monkeypatch.setattr(steps, "watch", lambda device: None)
    blocking = [name for name in BACKENDS if BACKENDS.get(name).blocks_host]
    assert blocking == ["executorch", "onnx", "onnx:dynamic", "openvino"]
    assert Instruments.of("cuda:0", blocks_host=True).step is None
    assert isinstance(Instruments.of("cuda:0").step, CudaEventClock)
    asked: list[bool] = []
    here = Instruments.of("cpu")

    def spy(device: str, *, blocks_host: bool = False) -> Instruments:
        asked.append(blocks_host)
        return here

    monkeypatch.setattr(Instruments, "of", spy)
    BACKENDS.load()
    blocks = replace(BACKENDS.get("eager"), blocks_host=True)
    monkeypatch.setitem(BACKENDS._units, "fake", blocks)
    with pytest.raises(UnknownNameError):
        measured(make_job("no_such_network", backend="fake"))
    shape = {"input_size": 8, "in_channels": 3, "num_classes": 10}
    networks = [{"label": "a", "arch": "no_such_network", **shape}]
    with pytest.raises(UnknownNameError):
        measured(make_job(task="versus", backend="fake", networks=networks, labels=["a"]))
    assert asked == [True, True]


def test_zeros_agree_with_anything_and_it_says_so(tmp_path: Path, fake: Fake) -> None:
    fake.add(lambda model, images, job: Runnable(lambda: model(images)))
    found = measured(user_job(tmp_path, NET.replace("self.head(", "0 * self.head("), backend="fake"))
    assert found["output_difference"].flags == ("not_compared",)
    assert "not_compared" not in found["latency"].flags
    assert "with_preparation" in found["peak_memory"].flags  # the backend's own work is in the process


def test_a_backend_without_training_is_unsupported_there(tmp_path: Path, fake: Fake) -> None:
    fake.add(lambda model, images, job: Runnable(lambda: model(images)))
    with pytest.raises(UnsupportedError, match="does not train"):
        measured(user_job(tmp_path, backend="fake", task="train_step"))


def no_compile(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Broken(nn.Module):
        def __init__(self, model: nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor) -> Tensor:
            raise error

    monkeypatch.setattr(torch, "compile", lambda model, **kwargs: Broken(model))


@pytest.mark.parametrize("task", ["infer", "train_step"])
def test_a_failed_compilation_is_unsupported_with_the_first_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    no_compile(monkeypatch, RuntimeError("\n  Unsupported: a loop\n and a page of traceback"))
    with pytest.raises(UnsupportedError) as caught:
        measured(user_job(tmp_path, backend="compiled", task=task))
    assert caught.value.message == "torch.compile failed: RuntimeError: Unsupported: a loop"
    assert "eager" in str(caught.value.tip)


def test_a_compilation_that_does_not_fit_is_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_compile(monkeypatch, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        measured(user_job(tmp_path, backend="compiled"))


def test_without_a_compiler_it_is_unsupported(tmp_path: Path) -> None:
    from torch._inductor import config

    forget_the_compiler()
    # Not monkeypatch: it would take the setting away for good, since torch keeps settings elsewhere.
    with (
        config.patch({"cpp.cxx": ("no-such-compiler",)}),
        pytest.raises(UnsupportedError, match="torch.compile failed: .*[Cc]ompiler"),
    ):
        measured(user_job(tmp_path, backend="compiled"))
    forget_the_compiler()


def forget_the_compiler() -> None:
    from torch._inductor import cpp_builder

    for function in (cpp_builder.get_cpp_compiler, getattr(cpp_builder, "cpp_compiler_search", None)):
        getattr(function, "cache_clear", lambda: None)()


def test_onnx_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    import bench.backends.onnx as module

    monkeypatch.setattr(module, "_NEEDS", ("no_such_package",))
    reason = BACKENDS.get("onnx").unsupported(make_job(backend="onnx"))
    assert reason == f"no_such_package missing; {install_tip('onnx')}"


has_onnx = pytest.mark.skipif(not importlib.util.find_spec("onnxruntime"), reason=install_tip("onnx"))


@has_onnx
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"precision": "bf16"}, "no bf16 on cpu; it has fp32"),
        ({"precision": "amp_fp16"}, "no amp_fp16 on cpu"),
        ({"memory_format": "channels_last"}, "memory_format=contiguous"),
        ({"device": "cuda"}, "onnxruntime-gpu"),
    ],
)
def test_what_onnx_cannot(settings: dict[str, Any], message: str) -> None:
    assert message in str(BACKENDS.get("onnx").unsupported(make_job(backend="onnx", **settings)))


@has_onnx
def test_onnx_runs_with_the_threads_of_the_job(tmp_path: Path) -> None:
    import onnxruntime

    made: list[Any] = []
    session = onnxruntime.InferenceSession

    def spy(path: str, options: Any, **more: Any) -> Any:
        made.append((options.intra_op_num_threads, options.inter_op_num_threads, more["providers"]))
        return session(path, options, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", spy)
        found = measured(user_job(tmp_path, backend="onnx", threads=2))
    assert made == [(2, 1, ["CPUExecutionProvider"])] * 2  # one whose graph is looked at, one that is timed
    assert found["output_difference"].flags == ()
    assert {"export_s", "session_s", "exporter"} <= set(found["prepare_time"].detail)


@has_onnx
def test_a_network_that_cannot_be_exported_is_unsupported(tmp_path: Path) -> None:
    source = NET.replace(
        "return self.head(", "x = x * torch.linalg.eigvals(x).real.sum()\n        return self.head("
    )
    with pytest.raises(UnsupportedError, match="ONNX export failed"):
        measured(user_job(tmp_path, source, backend="onnx"))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "amp_bf16", "amp_fp16"])
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_precision_and_layout_are_what_they_say(precision: str, memory_format: str) -> None:
    job = make_job(precision=precision, memory_format=memory_format)
    model, images = place_network(_small_network().eval(), job, Hooks()), noise(job)
    assert images.dtype == model[0].weight.dtype == DTYPES[precision]  # type: ignore[index]
    layout = torch.channels_last if memory_format == "channels_last" else torch.contiguous_format
    assert images.is_contiguous(memory_format=layout)
    with torch.inference_mode():
        out: Tensor = with_autocast(model, job)(images)
    assert out.dtype == AUTOCAST.get(precision, DTYPES[precision])


class _Casting(nn.Module):
    """A network of convolutions of some types, which casts to each if it is asked to, and back."""

    def __init__(self, *types: torch.dtype, casts: bool = True) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Conv2d(3, 3, 1).to(dtype) for dtype in types))
        self.casts = casts

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            dtype = layer.weight.dtype
            x = layer(x.to(dtype)).to(x.dtype) if self.casts else layer(x)  # type: ignore[arg-type]
        return x.flatten(1)


SINGLE, DOUBLE, HALF, BRAIN = torch.float32, torch.float64, torch.float16, torch.bfloat16


@pytest.mark.parametrize(
    ("own", "casts", "precision", "then", "flags"),
    [
        ((SINGLE, SINGLE), False, "bf16", (BRAIN, BRAIN), []),
        ((SINGLE, DOUBLE, SINGLE), True, "fp32", (SINGLE, DOUBLE, SINGLE), []),
        ((DOUBLE, SINGLE, SINGLE), True, "fp32", (DOUBLE, SINGLE, SINGLE), []),  # also where it is the first
        ((HALF, SINGLE, SINGLE), True, "amp_bf16", (HALF, SINGLE, SINGLE), []),
        ((SINGLE, DOUBLE, SINGLE), True, "bf16", (BRAIN, DOUBLE, BRAIN), []),
        ((HALF, HALF), True, "fp32", (HALF, HALF), ["other_precision"]),  # it runs on images of fp32, in half
        ((SINGLE, HALF, HALF), True, "fp32", (SINGLE, HALF, HALF), ["other_precision"]),
        ((HALF, HALF), False, "fp32", (SINGLE, SINGLE), []),  # its images are of its own type
        ((DOUBLE, DOUBLE), False, "bf16", (BRAIN, BRAIN), []),
    ],
)
@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_what_a_network_casts_itself_stays_as_it_is(
    own: tuple[torch.dtype, ...],
    casts: bool,
    precision: str,
    then: tuple[torch.dtype, ...],
    flags: list[str],
    memory_format: str,
) -> None:
    job = make_job(precision=precision, memory_format=memory_format)
    told: list[str] = []
    network = _Casting(*own, casts=casts)
    placed = place_network(network, job, Hooks(flag=told.append))
    assert tuple(p.dtype for name, p in placed.named_parameters() if name.endswith("weight")) == then
    assert (told, placed.training) == (flags, True)
    placed(noise(job))


CASTING = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.middle = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1).double()
        self.head = nn.Linear(4 * 64, 10)

    def forward(self, x):
        return self.head(self.middle(self.stem(x).double()).BACK.flatten(1))
"""


@pytest.mark.parametrize(
    ("back", "precision", "status"),
    [
        ("float()", "fp32", "ok"),
        ("float()", "bf16", "unsupported"),
        ("float()", "amp_bf16", "ok"),
        ("to(x.dtype)", "bf16", "ok"),
        ("half()", "fp32", "invalid_model"),
    ],
)
def test_a_network_that_casts_itself_is_measured_or_says_what_would_do(
    tmp_path: Path, back: str, precision: str, status: str
) -> None:
    job = user_job(tmp_path, CASTING.replace("BACK", back), precision=precision)
    events: list[Any] = []
    work(events.append, job)
    ended, error = events[-1][1]
    assert ended == status, error
    if status == "unsupported":
        assert "it keeps numbers in a type of its own" in error["message"]
        assert "--set precision=amp_bf16" in error["tip"]


def test_noise_of_a_small_batch_is_drawn_and_a_large_one_repeats_it() -> None:
    def drawn(batch: int, **settings: Any) -> Tensor:
        return noise(make_job(batch_size=batch, **settings))

    generator = torch.Generator().manual_seed(0)
    assert torch.equal(drawn(64), torch.randn((64, 3, 8, 8), generator=generator))
    many = drawn(150, memory_format="channels_last", precision="bf16")
    assert many.shape == (150, 3, 8, 8)
    assert many.is_contiguous(memory_format=torch.channels_last)
    first = drawn(64, precision="bf16")
    assert torch.equal(many, torch.cat([first, first, first])[:150])


def test_the_host_draws_no_more_than_64_images(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, ...]] = []
    randn = torch.randn

    def spy(shape: tuple[int, ...], **more: Any) -> Tensor:
        drawn.append(shape)
        return randn(shape, **more)

    monkeypatch.setattr(torch, "randn", spy)
    assert noise(make_job(batch_size=8192, device="meta")).shape == (8192, 3, 8, 8)
    assert drawn == [(64, 3, 8, 8)]


def test_without_autocast_the_network_is_itself() -> None:
    model = _small_network().eval()
    assert with_autocast(model, make_job()) is model
    assert isinstance(with_autocast(model, make_job(precision="amp_bf16")), _Autocast)


def test_every_precision_has_its_numbers() -> None:
    from typing import get_args

    assert set(get_args(Precision)) == set(DTYPES) == set(_TOLERANCES)


def test_relative_difference() -> None:
    nan, inf = math.nan, math.inf
    reference = torch.tensor([1.0, -4.0, 0.0])
    assert _relative_difference(reference, torch.tensor([1.0, -3.0, 0.0])) == 1 / 4
    assert _relative_difference(reference, reference) == 0.0
    assert _relative_difference(torch.zeros(2), torch.ones(2)) == 1.0
    assert _relative_difference(torch.tensor([nan, inf, 2.0]), torch.tensor([nan, inf, 1.0])) == 0.5
    assert _relative_difference(torch.tensor([1.0, inf]), torch.tensor([1.0, -inf])) == inf
    assert _relative_difference(torch.ones(1), torch.tensor([nan])) == inf
    assert _relative_difference(torch.ones(2), torch.ones(3)) == inf
    assert _relative_difference(torch.ones(0), torch.ones(0)) == 0.0


def test_outputs_that_are_not_finite_are_flagged() -> None:
    def wild() -> Tensor:
        return torch.tensor([math.inf, 1.0])

    assert agreement(wild, wild, "fp16", torch.zeros(2)).flags == ("not_finite",)


def test_arrays_and_overwritten_tensors_are_compared_too() -> None:
    buffer = torch.zeros(2)

    def overwrites() -> Tensor:
        return buffer.copy_(torch.ones(2))

    assert agreement(overwrites, lambda: np.ones(2, dtype=np.float32), "fp32", torch.zeros(2)).samples == (
        0.0,
    )


def test_a_refusal_is_one_line() -> None:
    long = refusal("it", ValueError("x" * 1000 + "\nmore"))
    assert isinstance(long, UnsupportedError)
    assert len(long.message) < 400
    assert refusal("it", ValueError()).args[0] == "it failed: ValueError"
    memory = MemoryError()
    assert refusal("it", memory) is memory
    of_the_driver = RuntimeError("CUDA error: out of memory")
    assert refusal("it", of_the_driver) is of_the_driver
