"""Engines: what each refuses, what it says of itself, and the faults that raise no error: each is planted here."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.backends import BACKENDS, LOOKING, Backend, Engine, Runnable, _calibration, _engines, refusal
from bench.backends._calibration import Calibration, calibration
from bench.backends._engines import (
    AnswerFirst,
    clipped_share,
    exported,
    exporting,
    kinds_of,
    multiplies,
    refusal_of,
)
from bench.datasets.evaluation import EvaluationSet
from bench.errors import UnsupportedError, install_tip
from bench.execution._worker import _measure
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.plan.task import Hooks
from bench.records.flags import doubts
from bench.tasks import _engines as inspection
from bench.tasks._agreement import agreement, answers
from bench.tasks._calls import doubts_of_results, ready
from bench.tasks._engines import inspected, threads
from bench.timing.clock import HostClock

QUICK = {"warmup_s": 0.01, "min_s": 0.0, "limit_s": 0.05, "min_samples": 6}
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8, num_classes)
    def forward(self, x):
        return self.head(self.features(x).relu().mean((2, 3)))
"""


def needs(*modules: str) -> pytest.MarkDecorator:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"{', '.join(missing)} missing: install the engine's extra"
    )


def job_of(arch: str = "net", **settings: Any) -> Job[Timed]:
    given = {
        "device": "cpu",
        "batch_size": 2,
        "precision": "fp32",
        "memory_format": "contiguous",
        "backend": "fake",
        "threads": 1,
    }
    return Job(
        task="infer", arch=arch, input_size=8, num_classes=10, settings={**given, "timing": QUICK, **settings}
    )  # type: ignore[arg-type]


def measured(tmp_path: Path, **settings: Any) -> dict[str, Any]:
    file = tmp_path / "net.py"
    file.write_text(NET)
    return {m.name: m for m in _measure(job_of(f"{file}:Net", **settings), Hooks())}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Registers an engine that is eager and says of itself what a test gives."""

    def add(engine: Engine, flags: tuple[str, ...] = (), prepare: Any = None) -> None:
        BACKENDS.load()

        def as_eager(model: nn.Module, images: Tensor, job: Job) -> Runnable:
            return Runnable(lambda: model(images), {}, engine=engine, flags=flags)

        monkeypatch.setitem(BACKENDS._units, "fake", Backend("a test's", prepare or as_eager))

    return add


# --- the four faults, planted ---


def test_an_engine_that_is_what_it_says_has_no_flags(fake: Any, tmp_path: Path) -> None:
    engine = Engine(
        size=7, operators={"int8": 2}, threads=2, layout="contiguous", clipped=lambda: {"a": 0.01}
    )
    fake(engine)
    found = measured(tmp_path, precision="int8", threads=2)
    assert found["artefact_size"].samples == (7,)
    assert found["precision_share"].samples == (1.0,)
    assert found["clipped_share"].samples == (0.01,)
    assert found["other_answers"].samples == (0.0,)
    assert found["other_answers"].detail["images"] == 16
    names = ("other_precision", "saturated", "other_layout", "fewer_threads", "differs")
    assert not {flag for m in found.values() for flag in m.flags} & set(names)


@pytest.mark.parametrize(
    ("engine", "settings", "flag"),
    [
        (Engine(operators={"fp32": 20}), {"precision": "int8"}, "other_precision"),
        (Engine(operators={"fp32": 11, "int8": 9}), {"precision": "int8"}, "other_precision"),
        (Engine(operators={"fp32": 3}), {"precision": "bf16"}, "other_precision"),
        (Engine(operators={"bf16": 3}), {"precision": "fp32"}, "other_precision"),
        (Engine(threads=1), {"threads": 2}, "fewer_threads"),
        (Engine(layout="contiguous"), {"memory_format": "channels_last"}, "other_layout"),
        (Engine(layout="channels_last"), {}, "other_layout"),
        (Engine(clipped=lambda: {"a": 0.0, "b": 0.3}), {"precision": "int8"}, "saturated"),
        (Engine(clipped=lambda: {"a": 0.0}, sums_overflow=True), {"precision": "int8"}, "saturated"),
    ],
)
@pytest.mark.parametrize("process", [0, 3])
def test_a_fault_that_raises_no_error_is_a_doubt_of_the_times(
    fake: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    settings: dict[str, Any],
    flag: str,
    process: int,
) -> None:
    monkeypatch.setattr(inspection, "_BUSY_S", 0.003)  # which threads are busy is no matter here
    fake(engine)
    found = measured(tmp_path, **settings, replicate=process)
    assert {name for name, m in found.items() if flag in m.flags} >= {"latency", "step_time"}
    assert flag in doubts(found["latency"].flags)


def test_an_engine_whose_first_call_fails_is_at_fault_itself(fake: Any, tmp_path: Path) -> None:
    def prepare(model: nn.Module, images: Tensor, job: Job) -> Runnable:
        def call() -> Tensor:
            raise IndexError("list index out of range")

        return Runnable(call, {}, engine=Engine())

    fake(Engine(), prepare=prepare)
    with pytest.raises(UnsupportedError, match="backend fake failed: IndexError: list index out of range"):
        measured(tmp_path, backend="fake")


def test_ranges_that_cannot_be_looked_at_fail_no_job() -> None:
    def fails() -> dict[str, float]:
        raise ValueError("no such output")

    (clipped,) = inspected(Engine(clipped=fails), job_of(precision="int8"))
    assert np.isnan(clipped.samples[0])
    assert (clipped.flags, clipped.detail["error"]) == (("unobserved",), "ValueError: no such output")
    assert doubts(clipped.flags) == ()


def test_half_of_the_operators_are_enough() -> None:
    (share,) = inspected(Engine(operators={"int8": 10, "fp32": 10}), job_of(precision="int8"))
    assert (share.samples, share.flags) == ((0.5,), ())


@pytest.mark.parametrize(
    ("used", "by_eager", "asked", "flagged"),
    [(1.0, 1.9, 2, True), (1.9, 1.9, 2, False), (1.0, 1.0, 2, False), (1.0, 1.9, 1, False)],
)
def test_all_but_one_thread_idle(
    monkeypatch: pytest.MonkeyPatch, used: float, by_eager: float, asked: int, flagged: bool
) -> None:
    seen = iter((used, by_eager))
    monkeypatch.setattr(inspection, "threads_used", lambda call: next(seen))
    images = torch.zeros(1, 3, 8, 8)
    found = threads(Engine(), lambda: None, lambda: None, images, job_of(threads=asked))
    assert ("fewer_threads" in found.flags) == flagged


def test_threads_are_counted_by_the_busiest(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(({"1": 100, "2": 50}, {"1": 400, "2": 200, "3": 150}))  # 300, 150 and 150 ns since
    monkeypatch.setattr(inspection, "_cpu_ns", lambda: next(times))
    assert inspection.threads_used(lambda: None) == (300 + 150 + 150) / 300


def test_without_the_kernels_count_no_number_of_threads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_cpu_ns", dict)
    assert np.isnan(inspection.threads_used(lambda: None))


def test_noise_is_a_doubt_of_the_answers_and_not_of_the_times(fake: Any, tmp_path: Path) -> None:
    fake(Engine(), ("calibrated_on_noise",))
    found = measured(tmp_path, precision="int8")
    for name in ("output_difference", "mean_difference", "other_answers"):
        assert "calibrated_on_noise" in found[name].flags
    assert "calibrated_on_noise" not in found["latency"].flags
    assert doubts_of_results([found["output_difference"]]) == ()


# --- what is counted and compared ---


def test_answers_of_further_images() -> None:
    images = torch.zeros(2, 3)
    batches = [torch.eye(3)[:2], torch.eye(3)[1:]]
    kept = images.clone()

    def other() -> Tensor:
        return torch.where(images == images[:, :1], images, 2 * images)  # the same foremost, but larger

    mean, changed = answers(lambda: images, other, images, batches)
    # Of 12 numbers the three ones that do not stand first are doubled; the largest of eager is 1.
    assert mean.samples[0] == pytest.approx(3 / 12)
    assert (changed.samples, changed.detail["images"]) == ((0.0,), 4)
    assert torch.equal(images, kept)
    mean, changed = answers(lambda: images, lambda: -images, images, batches)
    assert changed.samples == (1.0,)


@pytest.mark.parametrize(("apart", "flags"), [(1e-6, ("not_compared",)), (0.0, ("not_compared",)), (0.1, ())])
def test_answers_that_do_not_depend_on_the_image_say_nothing(apart: float, flags: tuple[str, ...]) -> None:
    images = torch.zeros(2, 3)
    batches = [torch.eye(3)[:2], torch.eye(3)[1:]]
    bias = torch.tensor([1.0, 2.0, 0.5])
    mean, changed = answers(lambda: bias + apart * images, lambda: bias.expand(2, 3), images, batches)
    assert (mean.flags, changed.flags, changed.samples) == (flags, flags, (0.0,))


def test_complex_answers_are_compared_in_both_parts() -> None:
    values = torch.tensor([[1 + 1j, 2 - 2j]])
    images = torch.zeros(1, 3, 2, 2)
    alike = agreement(lambda: values, lambda: torch.view_as_real(values).numpy(), "fp32", images)
    assert (alike.samples, alike.flags) == ((0.0,), ())
    other = agreement(lambda: values, values.conj, "fp32", images)
    assert (other.samples, other.flags) == ((2.0,), ("differs",))  # 4 of 2


NAMED = {"features": torch.eye(3)[:2], "logits": torch.tensor([[2.0, 1.0], [0.0, 1.0]])}


@pytest.mark.parametrize("features", [0.0, 9.0])
@pytest.mark.parametrize("logits", [0.0, 3.0])
def test_the_answer_is_what_is_called_logits(features: float, logits: float) -> None:
    images = torch.zeros(2, 3)
    other = {
        "features": NAMED["features"] + features,
        "logits": NAMED["logits"] + torch.tensor([0.0, logits]),
    }
    assert agreement(lambda: NAMED, lambda: other, "fp32", images).samples == (logits / 2,)
    mean, changed = answers(lambda: NAMED, lambda: other, images, [images.clone()])
    assert (mean.samples, changed.samples) == ((logits / 4,), (0.5 if logits else 0.0,))


def test_of_what_has_no_such_name_no_answer_is_told() -> None:
    images, several = torch.zeros(2, 3), tuple(NAMED.values())
    assert [m.name for m in answers(lambda: several, lambda: several, images, [images.clone()])] == [
        "mean_difference"
    ]


def test_engines_are_given_the_answer_first_and_all_the_rest() -> None:
    class Named(nn.Module):
        def forward(self, _: Tensor) -> object:
            return NAMED

    first, second = AnswerFirst(Named())(torch.zeros(2, 3))  # type: ignore[misc]
    assert first is NAMED["logits"]
    assert second is NAMED["features"]
    assert AnswerFirst(nn.Identity())(second) is second


def test_what_only_looks_at_an_engine_is_no_part_of_its_preparation(tmp_path: Path) -> None:
    class Clock(HostClock):
        def __init__(self) -> None:
            super().__init__()
            self.moments = iter((100.0, 107.0))

        def now(self) -> float:
            return next(self.moments)

    def prepare(model: nn.Module, images: Tensor, _: Job) -> Runnable:
        return Runnable(lambda: model(images), {LOOKING: 2.0})

    file = tmp_path / "net.py"
    file.write_text(NET)
    job = job_of(f"{file}:Net", backend="fake")
    with torch.inference_mode():
        _, (took, *_) = ready(Backend("a test's", prepare), job, Hooks(), Clock())
    assert (took.name, took.samples) == ("prepare_time", (5.0,))


def test_answers_of_maps_have_no_foremost_class() -> None:
    images = torch.ones(1, 2, 2, 2)
    assert [m.name for m in answers(lambda: images, lambda: images, images, [images.clone()])] == [
        "mean_difference"
    ]


@pytest.mark.parametrize(
    "name", ["QLinearConv", "ConvInteger", "Gemm", "QGemm", "MatMulInteger", "FusedConv", "Convolution", "FullyConnected",
             "aten.conv2d.default", "aten.linear.default", "aten.addmm.default", "aten.bmm.default", "DynamicQuantizeMatMul"]
)  # fmt: skip
def test_what_multiplies(name: str) -> None:
    assert multiplies(name)


@pytest.mark.parametrize(
    "name", ["Convert", "QuantizeLinear", "DynamicQuantizeLinear", "DequantizeLinear", "QLinearAdd", "Relu", "Softmax",
             "QLinearGlobalAveragePool", "aten.clamp.default", "ReorderInput"]
)  # fmt: skip
def test_what_does_not_multiply(name: str) -> None:
    assert not multiplies(name)


def test_kinds_count_what_multiplies() -> None:
    assert kinds_of([("Conv", "fp32"), ("QLinearConv", "int8"), ("Relu", "fp32"), ("Conv", "fp32")]) == {
        "fp32": 2,
        "int8": 1,
    }


def test_values_at_the_ends_of_a_range_are_within_it() -> None:
    low, high = torch.tensor(0.0), torch.tensor(255.0)  # a step of 1
    values = torch.tensor([0.0, 255.0, 255.4, -0.4, 255.6, -0.6, 300.0, 7.0])
    assert clipped_share(values, low, high) == 3 / 100
    assert clipped_share(values.repeat(100), low, high) == 3 / 8


@pytest.mark.parametrize(
    ("flags", "expected"), [("flags : fpu avx512_vnni", True), ("flags : fpu avx2", False)]
)
def test_vnni_is_read_of_the_cpu(monkeypatch: pytest.MonkeyPatch, flags: str, expected: bool) -> None:
    _engines.has_vnni.cache_clear()
    monkeypatch.setattr(_engines.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(_engines.Path, "read_text", lambda self: f"processor : 0\n{flags}\n")
    assert _engines.has_vnni() is expected
    _engines.has_vnni.cache_clear()
    monkeypatch.setattr(_engines.platform, "machine", lambda: "aarch64")
    assert _engines.has_vnni()
    _engines.has_vnni.cache_clear()


# --- what is refused ---


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, None),
        ({"device": "cuda:0"}, "device=cpu"),
        ({"precision": "fp16"}, "no fp16 on cpu; it has fp32"),
        ({"memory_format": "channels_last"}, "memory_format=contiguous"),
    ],
)
def test_what_engines_of_the_cpu_refuse(settings: dict[str, Any], message: str | None) -> None:
    reason = refusal_of(job_of(**settings), {"cpu": ("fp32",)}, ("json",), "pip install x")
    assert reason is None if message is None else message in str(reason)


def test_a_missing_package_is_named_with_what_brings_it() -> None:
    reason = refusal_of(job_of(), {"cpu": ("fp32",)}, ("no_such_module", "json"), install_tip("x"))
    assert reason == f"no_such_module missing; {install_tip('x')}"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "NVIDIA's cards"),
        ({"device": "cuda:0", "precision": "int8"}, "no int8 on cuda; it has fp32, tf32, fp16, bf16"),
        ({"device": "cuda:0", "memory_format": "channels_last"}, "memory_format=contiguous"),
    ],
)
def test_tensorrt_refuses(settings: dict[str, Any], message: str) -> None:
    assert message in str(BACKENDS.get("tensorrt").unsupported(job_of(backend="tensorrt", **settings)))


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="tensorrt is installed")
def test_tensorrt_without_its_package() -> None:
    reason = BACKENDS.get("tensorrt").unsupported(job_of(backend="tensorrt", device="cuda:0"))
    assert "tensorrt missing" in str(reason) or f"missing; {install_tip('tensorrt')}" in str(reason)


@pytest.mark.parametrize(
    "name", ["eager", "compiled", "cuda_graph", "aot_inductor", "executorch", "onnx:dynamic", "torchao"]
)
def test_who_has_no_such_numbers_says_so(name: str) -> None:
    precision = "fp32" if name in ("onnx:dynamic", "torchao") else "int8"
    job = job_of(backend=name, precision=precision, device="cpu")
    assert BACKENDS.get(name).unsupported(job)


def test_a_job_of_int8_in_eager_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="8-bit integers"):
        measured(tmp_path, backend="eager", precision="int8")


def test_there_is_no_ceiling_of_int8() -> None:
    job = Job(task="ceiling", arch="ceiling", input_size=1, num_classes=None, settings={"precision": "int8"})  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="no ceiling of int8"):
        list(_measure(job, Hooks()))


# --- calibration ---


def test_noise_to_calibrate_on_is_seeded_flagged_and_none_of_what_is_timed() -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    one, again = (calibration(images, job_of(precision="int8")) for _ in range(2))
    assert len(one.batches) * 2 == one.detail["calibration_images"] == _calibration.IMAGES
    assert all(torch.equal(a, b) for a, b in zip(one.batches, again.batches, strict=True))
    assert not any(torch.equal(batch, images) for batch in one.batches)
    assert one.flags == ("calibrated_on_noise",)


def test_calibration_takes_training_images_as_the_network_takes_them() -> None:
    images = torch.zeros(4, 3, 8, 8)
    found = calibration(images, job_of("resnet20", precision="int8", calibration="digits"))
    assert found.flags == ()
    assert found.detail["calibration"] == "digits train"
    assert {tuple(batch.shape) for batch in found.batches} == {(4, 3, 8, 8)}
    assert len(found.batches) == _calibration.IMAGES // 4
    assert float(torch.cat(found.batches).std()) > 0.1


def folder(path: Path, *parts: str) -> Path:
    from PIL import Image

    for blue, part in enumerate(parts):
        for label in ("a", "b"):
            place = path / part / label
            place.mkdir(parents=True)
            for number in range(20):
                Image.new("RGB", (9, 9), (number, 40, blue)).save(place / f"{number}.png")
    return path


@pytest.mark.parametrize(("parts", "refused"), [(("train", "val"), False), ((".",), True)])
def test_no_image_is_calibrated_on_that_is_tested_on(
    tmp_path: Path, parts: tuple[str, ...], refused: bool
) -> None:
    name = f"imagefolder:{folder(tmp_path, *parts)}"
    settings = {"data": name, "split": "val", "backend": "onnx", "precision": "int8", "calibration": name}
    job: Any = Job(task="evaluate", arch="resnet20", input_size=8, num_classes=10, settings=settings)  # type: ignore[arg-type]
    if refused:
        with pytest.raises(UnsupportedError, match="calibrated on and tested on"):
            calibration(torch.zeros(2, 3, 8, 8), job)
    else:
        assert calibration(torch.zeros(2, 3, 8, 8), job).flags == ()


def test_a_copy_of_an_image_that_is_tested_on_is_known_by_what_it_holds(tmp_path: Path) -> None:
    root = folder(tmp_path, "train", "val")
    name = f"imagefolder:{root}"
    settings = {"data": name, "backend": "onnx", "precision": "int8", "calibration": name}
    job: Any = Job(task="evaluate", arch="resnet20", input_size=8, num_classes=10, settings=settings)  # type: ignore[arg-type]
    assert calibration(torch.zeros(2, 3, 8, 8), job).flags == ()
    taken = sorted((root / "train").rglob("*.png"))
    for number, file in enumerate(taken):
        (root / "val" / "b" / f"copy {number}.png").write_bytes(file.read_bytes())
    with pytest.raises(UnsupportedError, match="b/copy .* would be calibrated on and tested on"):
        calibration(torch.zeros(2, 3, 8, 8), job)


def test_images_are_compared_again_without_being_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are tested on are as many as they like; one that was changed meanwhile is read."""
    root = folder(tmp_path, "train", "val")
    name = f"imagefolder:{root}"
    job = job_of("resnet20", precision="int8", calibration=name)
    tested = job.with_settings(data=name)
    training = EvaluationSet.of(name, "train")
    real = Path.read_bytes
    taken, held = (sorted((root / split).rglob("*.png"))[0] for split in ("train", "val"))
    held.write_bytes(real(taken)[:-1] + b"?")  # of one size, and so not told apart by that
    read: list[Path] = []
    monkeypatch.setattr(Path, "read_bytes", lambda path: (read.append(path), real(path))[1])
    for _ in range(3):
        _calibration._check_apart(training, tested)
    assert held in read
    assert len(read) == len(set(read))
    held.write_bytes(real(taken))
    with pytest.raises(UnsupportedError, match="would be calibrated on and tested on"):
        _calibration._check_apart(training, tested)


@pytest.mark.parametrize(("split", "refused"), [("train", True), ("val", False)])
def test_pixels_that_are_tested_on_are_not_calibrated_on(
    split: str, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pixels(name: str, own: str) -> EvaluationSet:
        drawn = torch.Generator().manual_seed(int(own == "train"))
        images = torch.randint(256, (40, 3, 8, 8), generator=drawn, dtype=torch.uint8)
        names, numbers = tuple(map(str, range(40))), torch.arange(40)
        return EvaluationSet(
            name=name, images=images, names=names, numbers=numbers, labels=numbers % 2, classes=("a", "b")
        )

    monkeypatch.setattr(_calibration.EvaluationSet, "of", pixels)
    settings = {
        "data": "pixels",
        "split": split,
        "precision": "int8",
        "calibration": "pixels",
        "backend": "onnx",
    }
    job: Any = Job(task="evaluate", arch="resnet20", input_size=8, num_classes=10, settings=settings)  # type: ignore[arg-type]
    if refused:
        with pytest.raises(UnsupportedError, match="of pixels would be calibrated on and tested on"):
            calibration(torch.zeros(2, 3, 8, 8), job)
    else:
        assert calibration(torch.zeros(2, 3, 8, 8), job).flags == ()


def test_too_few_images_to_calibrate_on_are_refused(tmp_path: Path) -> None:
    job = job_of("resnet20", precision="int8", calibration=f"imagefolder:{folder(tmp_path, 'train', 'val')}")
    with pytest.raises(UnsupportedError, match="40 training images to calibrate on, and a call takes 64"):
        calibration(torch.zeros(64, 3, 8, 8), job)
    assert calibration(torch.zeros(40, 3, 8, 8), job).detail["calibration_images"] == 40 > _calibration.IMAGES


def test_a_calibration_that_is_not_named_leaves_the_job_what_it_was() -> None:
    assert "calibration" not in job_of().settings.content
    assert job_of(calibration="digits").id != job_of().id


# --- the engines themselves, each where its extra is installed ---


def prepared(
    name: str, precision: str, images: Tensor | None = None, **settings: Any
) -> tuple[Runnable, Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8 * 4 * 4, 10)
    ).eval()
    job = job_of(backend=name, precision=precision, **{"threads": 2, **settings})
    backend = BACKENDS.get(name)
    with torch.inference_mode():
        backend.load()
        images = torch.randn(2, 3, 8, 8) if images is None else images
        return backend.prepare(model, images, job), images


@needs("onnx", "onnxscript", "onnxruntime")
def test_onnx_of_int8_multiplies_integers() -> None:
    runnable, _ = prepared("onnx", "int8")
    engine = runnable.engine
    assert engine is not None
    assert engine.operators == {"int8": 3}
    assert (engine.threads, engine.layout, engine.sums_overflow) == (2, "contiguous", False)
    assert {"onnxruntime", "quantise_s", "session_s", "calibration"} <= set(runnable.detail)
    assert engine.clipped is not None
    assert max(engine.clipped().values()) < 0.05


class Several(nn.Module):
    """Returns its features before its logits, and has as many of them."""

    def __init__(self) -> None:
        super().__init__()
        self.features, self.head = nn.Sequential(nn.Flatten(), nn.Linear(192, 10)), nn.Linear(10, 10)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.features(x)
        return {"features": features, "logits": self.head(features)}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("onnx", marks=needs("onnx", "onnxscript", "onnxruntime")),
        pytest.param("openvino", marks=needs("openvino")),
        pytest.param("executorch", marks=needs("executorch")),
    ],
)
def test_an_engine_answers_with_the_logits_where_they_are_not_the_first(name: str) -> None:
    torch.manual_seed(0)
    model, images = Several().eval(), torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        backend = BACKENDS.get(name)
        backend.load()
        answer = torch.as_tensor(backend.prepare(model, images, job_of(backend=name)).call())
        assert torch.allclose(answer, model(images)["logits"], atol=1e-5)


class Answers(dict[str, Tensor]):
    """A class of its own, as libraries of networks have one, which torch does not know in a graph."""


def test_a_graph_can_be_had_of_what_returns_a_class_of_its_own() -> None:
    class Own(Several):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return Answers(super().forward(x))

    model, images = Own().eval(), torch.randn(2, 3, 8, 8)
    for strict in (True, False):
        with exporting():
            answer, features = exported(model, images, strict=strict).module()(images)
            assert torch.allclose(answer, model(images)["logits"], atol=1e-5)
            assert torch.allclose(features, model(images)["features"], atol=1e-5)


@needs("onnx", "onnxscript", "onnxruntime")
def test_a_session_that_loads_writes_no_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.backends import onnx

    job, images = job_of(backend="onnx"), torch.zeros(2, 3, 8, 8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10)).eval()
    prepare_in = BACKENDS.get("onnx").prepare_in
    assert prepare_in is not None
    with torch.inference_mode():
        made = prepare_in(model, images, job, tmp_path)
        monkeypatch.setattr(onnx, "_operators", None)
        loaded = prepare_in(model, images, job, tmp_path)
    assert made.engine is not None
    assert loaded.engine is not None
    assert made.engine.operators == loaded.engine.operators == {"fp32": 1}
    assert LOOKING in loaded.detail


@needs("onnx", "onnxscript", "onnxruntime")
def test_a_network_without_products_has_no_range_that_could_be_too_small() -> None:
    job = job_of(backend="onnx", precision="int8")
    with torch.inference_mode():
        images = torch.randn(2, 3, 8, 8)
        engine = BACKENDS.get("onnx").prepare(nn.Sequential(nn.Flatten()).eval(), images, job).engine
    assert engine is not None
    assert engine.clipped is not None
    assert engine.clipped() == {}


@pytest.mark.parametrize("why", [None, ValueError("\x1b[96mthe number 3\x1b[0m is no tensor")])
def test_the_exporters_own_reason_is_told_and_without_colours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, why: Exception | None
) -> None:
    from bench.backends import _onnx_graph

    def export(*args: Any, **options: Any) -> None:
        raise RuntimeError("\x1b[96mstep 3/3\x1b[0m failed") from why

    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        _onnx_graph.export(nn.ReLU(), torch.zeros(1), tmp_path / "model.onnx")
    told = "RuntimeError: step 3/3 failed" if why is None else "ValueError: the number 3 is no tensor"
    assert str(refusal("ONNX export", caught.value)) == f"ONNX export failed: {told}"


@needs("onnx", "onnxscript", "onnxruntime")
def test_onnx_that_silently_keeps_single_precision_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.backends import _onnx_int8

    def copied(source: Path, target: Path, *args: Any, **more: Any) -> dict[str, object]:
        shutil.copytree(source.parent, target.parent)
        return {"weight_bits": 8}

    monkeypatch.setattr(_onnx_int8, "quantised", copied)
    runnable, _ = prepared("onnx", "int8")
    assert runnable.engine is not None
    flags = [
        m.flags for m in inspected(runnable.engine, job_of(precision="int8")) if m.name == "precision_share"
    ]
    assert flags == [("other_precision",)]


@needs("onnx", "onnxscript", "onnxruntime")
def test_onnx_with_ranges_too_small_is_saturated(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.backends import _onnx_int8

    tiny = Calibration(tuple(0.01 * torch.randn(2, 3, 8, 8) for _ in range(4)), {})
    monkeypatch.setattr(_onnx_int8, "calibration", lambda images, job: tiny)
    runnable, _ = prepared("onnx", "int8")
    assert runnable.engine is not None
    found = {m.name: m for m in inspected(runnable.engine, job_of(precision="int8"))}
    assert found["clipped_share"].samples[0] > 0.5
    assert found["clipped_share"].flags == ("saturated",)


@needs("onnx", "onnxscript", "onnxruntime")
def test_weights_keep_seven_bits_where_products_are_added_in_sixteen(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.backends import _onnx_int8

    monkeypatch.setattr(_onnx_int8, "has_vnni", lambda: False)
    runnable, _ = prepared("onnx", "int8")
    assert runnable.detail["weight_bits"] == 7
    assert runnable.engine is not None
    assert not runnable.engine.sums_overflow
    asked = iter((True, False))  # all 8 bits are taken, on a CPU that adds in 16
    monkeypatch.setattr(_onnx_int8, "has_vnni", lambda: next(asked))
    runnable, _ = prepared("onnx", "int8")
    assert runnable.engine is not None
    assert runnable.engine.sums_overflow


@needs("onnx", "onnxscript", "onnxruntime")
def test_images_in_another_layout_are_noticed() -> None:
    images = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    runnable, _ = prepared("onnx", "fp32", images)
    assert runnable.engine is not None
    found = threads(runnable.engine, runnable.call, runnable.call, images, job_of())
    assert "other_layout" in found.flags


@needs("openvino", "nncf")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_openvino_computes_in_the_precision_of_the_row(precision: str) -> None:
    if precision == "bf16" and "bf16" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this CPU has no bf16")
    images = torch.randn(2, 3, 8, 8)
    runnable, _ = prepared("openvino", precision, images)
    engine = runnable.engine
    assert engine is not None
    assert engine.operators.get(precision, 0) >= 2
    assert engine.threads == 2
    assert engine.size is not None
    assert engine.size > 4 * 8 * 3 * 9 / (1 if precision != "int8" else 4)
    if engine.clipped is not None:
        assert max(engine.clipped().values()) < 0.05
        images.mul_(30)
        assert max(engine.clipped().values()) > 0.05


@needs("onnx", "onnxscript", "onnxruntime")
def test_a_graph_without_images_is_refused() -> None:
    class Outside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            outside = np.sort(x.detach().numpy().mean((2, 3)), axis=1).copy()
            return self.head(torch.from_numpy(outside))  # type: ignore[no-any-return]

    job = job_of(precision="fp32", backend="onnx", threads=1)
    with pytest.raises(UnsupportedError, match="takes no images"):
        BACKENDS.get("onnx").prepare(Outside().eval(), torch.zeros(1, 3, 8, 8), job)


@needs("openvino")
@needs("nncf")
def test_ranges_of_openvino_are_looked_at_also_where_the_network_returns_what_is_quantised() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            maps = self.conv(x).relu()
            return maps, self.head(maps)

    images = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    job = job_of(precision="int8", backend="openvino", threads=1)
    engine = BACKENDS.get("openvino").prepare(Two().eval(), images, job).engine
    assert engine is not None
    assert engine.clipped is not None
    shares = engine.clipped()
    assert len(shares) >= 2
    assert max(shares.values()) < 0.05


def test_openvinos_reason_is_how_it_sums_up() -> None:
    from bench.backends.openvino import _summary

    text = "Check 'false' failed at src/x.cpp:151:\nlog\nSummary:\n-- No rule for: aten::a\n-- Failed: b\n\n"
    assert _summary(RuntimeError(text)) == "No rule for: aten::a; Failed: b"
    assert _summary(RuntimeError("no room")) == ""


@needs("openvino")
def test_openvino_that_takes_bf16_by_itself_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.backends import openvino

    if (
        "amx_bf16" not in Path("/proc/cpuinfo").read_text()
        and "avx512_bf16" not in Path("/proc/cpuinfo").read_text()
    ):
        pytest.skip("this CPU has no bf16")
    monkeypatch.setattr(openvino, "_HINTS", {"fp32": "bf16"})
    runnable, _ = prepared("openvino", "fp32")
    assert runnable.engine is not None
    share = next(m for m in inspected(runnable.engine, job_of()) if m.name == "precision_share")
    assert share.flags == ("other_precision",)


@needs("executorch")
def test_executorch_hands_products_to_xnnpack() -> None:
    runnable, _ = prepared("executorch", "fp32")
    assert runnable.detail["xnnpack_products"] == 3
    assert runnable.detail["portable_products"] == 0
    assert runnable.engine is not None
    assert runnable.engine.threads == 2


@needs("torchao")
def test_torchao_multiplies_integers() -> None:
    runnable, images = prepared("torchao", "int8")
    engine = runnable.engine
    assert engine is not None
    assert engine.operators == {"int8": 3}
    assert engine.clipped is not None
    assert max(engine.clipped().values()) < 0.05
    from torch._dynamo.utils import counters

    graphs = counters["stats"]["unique_graphs"]
    with torch.inference_mode():  # as it is timed: what was compiled is to be what runs
        runnable.call()
        assert counters["stats"]["unique_graphs"] == graphs
        images.mul_(30)
    assert max(engine.clipped().values()) > 0.05


def test_a_backend_names_the_precisions_it_is_tried_in() -> None:
    BACKENDS.load()
    tried = {name: backend.precisions for name, backend in BACKENDS.items() if backend.precisions}
    assert tried["eager"] == ("fp32",)
    assert tried["openvino"] == ("fp32", "bf16", "int8")
    assert "cuda_graph" not in tried
