"""What a job's process says of networks that work and of networks that fail in every way."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from conftest import make_job, make_planned

from bench.api._comparing import _labelled
from bench.backends import refusal
from bench.costs import COSTS, Subject
from bench.errors import DivergedError, InvalidModelError, StoreError, UnsupportedError
from bench.execution import Event, _worker
from bench.execution._events import decode, encode
from bench.execution._worker import (
    _classify,
    _clean,
    _describe,
    _judged,
    _own_traceback,
    _tip_for,
    send_outcome,
    work,
)
from bench.plan.job import Job
from bench.plan.recipe import Recipe
from bench.plan.settings import Timed, Timing
from bench.plan.task import Hooks
from bench.processes import limits
from bench.records.record import Measurement
from bench.tasks._networks import checked, counts
from bench.tasks.versus import versus

QUICK = {"warmup_s": 0.01, "min_s": 0.0, "limit_s": 0.05, "min_samples": 6}

HEAD = """
import os, sys, time
import torch
from torch import nn

class Base(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.head = nn.Linear(3, num_classes)
    def forward(self, x):
        return self.head(x.mean((2, 3)))
"""


def make(tmp_path: Path, body: str, task: str = "cost", **fields: Any) -> Job:
    """Return a job of the class Net in a file that begins with HEAD and goes on with `body`."""
    file = tmp_path / "net.py"
    file.write_text(HEAD + body)
    settings: dict[str, Any] = {}
    if task in {"infer", "train_step"}:
        asked = Timed(device="cpu", threads=1, batch_size=2, timing=QUICK).model_dump(mode="json")  # type: ignore[arg-type]
        settings = {
            k: asked[k]
            for k in ("device", "batch_size", "precision", "memory_format", "backend", "threads", "timing")
        }
    if task == "accuracy":
        recipe = Recipe.load("std").model_dump(mode="json")
        settings = {
            "device": "cpu",
            "dataset": "digits",
            "recipe": recipe,
            "epochs": 1,
            "precision": "fp32",
            "memory_format": "contiguous",
            "threads": 1,
        }
    return Job(
        **{
            "task": task,
            "arch": f"{file}:Net",
            "input_size": 8,
            "num_classes": 10,
            "settings": settings,
            "source_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            **fields,
        }
    )


def story(job: Job) -> dict[str, Any]:
    events: list[tuple[str, Any]] = []
    work(events.append, job)
    assert events[-1][0] == "outcome"
    return {
        "status": events[-1][1][0],
        "error": events[-1][1][1] or {},
        "stages": [v for k, v in events if k == "stage"],
        "environment": {k: v for each, value in events if each == "environment" for k, v in value.items()},
        "measurements": {v.name: v for k, v in events if k == "measurement"},
    }


def test_cost(tmp_path: Path) -> None:
    found = story(make(tmp_path, "class Net(Base): pass"))
    assert found["status"] == "ok"
    values = {n: m.samples[0] for n, m in found["measurements"].items()}
    assert values["parameters"] == 3 * 10 + 10
    assert values["macs"] == 3 * 10
    assert values["activations"] == 3 + 10  # the mean, and the logits
    assert values["matrix_activations"] == 10
    assert values["parameter_bytes"] == 4 * (3 * 10 + 10)
    assert found["stages"][:3] == ["import", "build", "check"]
    assert found["stages"][-1] == "done"


def test_infer(tmp_path: Path) -> None:
    found = story(make(tmp_path, "class Net(Base): pass", "infer"))
    assert found["status"] == "ok"
    latency, step = found["measurements"]["latency"], found["measurements"]["step_time"]
    assert latency.samples == step.samples  # on the CPU every call is waited for
    assert len(latency.samples) >= 6
    assert min(latency.samples) > 0
    assert found["measurements"]["peak_memory"].unit == "B"


def test_a_training_step(tmp_path: Path) -> None:
    found = story(make(tmp_path, "class Net(Base): pass", "train_step"))
    assert found["status"] == "ok"
    assert {"peak_memory", "step_time", "forward", "backward", "optimizer"} <= set(found["measurements"])


def test_accuracy(tmp_path: Path) -> None:
    body = """
class Net(Base):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__(num_classes)
        self.head = nn.Linear(64 * in_channels, num_classes)
    def forward(self, x):
        return self.head(x.flatten(1))
"""
    found = story(make(tmp_path, body, "accuracy", in_channels=1))
    assert found["status"] == "ok"
    assert found["measurements"]["top1"].samples[0] > 0.5
    assert found["measurements"]["macs"].samples == (64 * 10,)  # of the network as it is trained
    assert found["measurements"]["top5"].samples[0] >= found["measurements"]["top1"].samples[0]


@pytest.mark.parametrize(
    ("body", "task", "status", "stage", "message"),
    [
        ("1/0\nclass Net(Base): pass", "cost", "invalid_model", "import", "division by zero"),
        ("import no_such_library\nclass Net(Base): pass", "cost", "invalid_model", "import", "no_such_library"),
        ("sys.exit(3)", "cost", "invalid_model", "import", "sys.exit(3)"),
        ("def Net(): return 7", "cost", "invalid_model", "build", "expected a torch.nn.Module"),
        ("class Net(Base):\n  def __init__(self): raise ValueError('no')", "cost", "invalid_model", "build", "no"),
        ("class Net(Base):\n  def forward(self, x): return x.mean((2, 3))", "accuracy", "invalid_model", "check", "expected [2, 10]"),
        ("class Net(Base):\n  def forward(self, x): return {'a': x}", "accuracy", "invalid_model", "check", "returned dict"),
        ("class Net(Base):\n  def forward(self, x): return 'cat'", "cost", "invalid_model", "check", "returned str"),
        ("class Net(Base):\n  def forward(self, x): raise KeyError('deep')", "infer", "invalid_model", "check", "deep"),
        ("class Net(Base):\n  def forward(self, x): sys.exit(0)", "infer", "invalid_model", "check", "sys.exit(0)"),
        ("class Net(Base):\n  def forward(self, x): raise MemoryError", "infer", "oom", "check", ""),
        ("class Net(Base):\n  def forward(self, x): return super().forward(x).detach()", "train_step", "invalid_model", "memory", "grad"),
        ("class Net(Base):\n  def forward(self, x): return super().forward(x) * float('nan')", "accuracy", "diverged", "training", "was nan in epoch 1"),
    ],
)  # fmt: skip
def test_every_failure_has_a_status_a_stage_and_a_message(
    tmp_path: Path, body: str, task: str, status: str, stage: str, message: str
) -> None:
    found = story(make(tmp_path, body, task))
    assert (found["status"], found["stages"][-1]) == (status, stage), found["error"]
    assert message in str(found["error"])


def test_a_network_that_cannot_be_counted_can_still_be_trained(tmp_path: Path) -> None:
    body = """
class Net(Base):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__(num_classes)
        self.head = nn.Linear(64 * in_channels, num_classes)
    def forward(self, x):
        if len(x) == 1:
            raise RuntimeError("not one alone")
        return self.head(x.flatten(1))
"""
    found = story(make(tmp_path, body, "accuracy", in_channels=1))
    assert found["status"] == "ok"
    macs = found["measurements"]["macs"]
    assert macs.flags == ("partial",)
    assert "not one alone" in macs.detail["failure"]
    assert str(macs.samples[0]) == "nan"
    assert found["measurements"]["parameters"].samples == (64 * 10 + 10,)
    assert story(make(tmp_path, body, "cost", in_channels=1))["status"] == "invalid_model"


def test_a_count_that_fails_after_others_leaves_one_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(subject: Subject) -> Iterator[Measurement]:
        raise ValueError("no such operator")

    job = make(tmp_path, "class Net(Base): pass", "accuracy")
    whole = {m.name: m.samples for m in counts(job)}
    monkeypatch.setitem(COSTS._units, "zz_of_a_plug_in", fail)
    measurements = list(counts(job))
    assert len({m.name for m in measurements}) == len(measurements)
    values = {m.name: m for m in measurements}
    assert math.isnan(values.pop("macs").samples[0])
    assert {name: m.samples for name, m in values.items()} == {n: s for n, s in whole.items() if n != "macs"}


@pytest.mark.parametrize(
    ("body", "task", "status"),
    [
        ("class Net(Base):\n  def forward(self, x):\n    assert x.is_cuda\n    return x", "cost", "unsupported"),
        ("class Net(Base):\n  def forward(self, x):\n    assert x.is_cuda\n    return x", "infer", "unsupported"),
        ("class Net(Base):\n  def forward(self, x):\n    assert x.ndim == 2\n    return x", "cost", "invalid_model"),
        ("raise AssertionError('Torch not compiled with CUDA enabled')", "cost", "unsupported"),
        ("class Net(Base):\n  def __init__(self):\n    raise RuntimeError('No CUDA GPUs are available')", "infer", "unsupported"),
        ("class Net(Base):\n  def forward(self, x): raise RuntimeError('0 active drivers ([]). There should only be one.')", "infer", "unsupported"),
        ("class Net(Base):\n  def forward(self, x): raise RuntimeError('CUDA error: out of memory')", "infer", "oom"),
    ],
)  # fmt: skip
def test_what_runs_on_a_gpu_alone_is_unsupported_on_a_cpu(
    tmp_path: Path, body: str, task: str, status: str
) -> None:
    found = story(make(tmp_path, body, task))
    assert found["status"] == status, found["error"]
    assert found["error"]["message"].startswith("it runs on a GPU alone, and this is on the CPU: ") == (
        status == "unsupported"
    )
    assert ("device=cuda" in str(found["error"]["tip"])) == (status == "unsupported")


def test_only_the_users_own_frames_are_shown(tmp_path: Path) -> None:
    error = story(
        make(
            tmp_path,
            "class Net(Base):\n  def forward(self, x): return self.inner()\n  def inner(self): return 1 / 0",
        )
    )["error"]
    assert error["traceback"].count("net.py") == 2
    assert f"bench{os.sep}" not in error["traceback"]
    assert "module.py" not in error["traceback"]
    assert error["traceback"].strip().endswith("ZeroDivisionError: division by zero")


def test_our_own_errors_have_a_tip_and_no_traceback(tmp_path: Path) -> None:
    error = story(make(tmp_path, "class Net(Base):\n  def forward(self, x): return x", "accuracy"))["error"]
    assert error["traceback"] is None
    assert "num_classes" in error["tip"]


def test_tf32_on_the_cpu_is_unsupported(tmp_path: Path) -> None:
    job = make(tmp_path, "class Net(Base): pass", "infer")
    job = Job.from_json({**job.to_json(), "settings": {**job.settings.content, "precision": "tf32"}})
    assert story(job)["status"] == "unsupported"


def test_a_torch_for_rocm_is_unsupported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "6.2")
    job = make(tmp_path, "class Net(Base): pass", "infer")
    assert story(job)["status"] == "ok"  # the CPU is the same in any build
    found = story(Job.from_json({**job.to_json(), "settings": {**job.settings.content, "device": "cuda:0"}}))
    assert found["status"] == "unsupported"
    assert "cuda:0 is ROCm's" in found["error"]["message"]


ON_A_GPU_ALONE = """
class Net(Base):
  def forward(self, x):
    if x.device.type == "cpu":
      raise NotImplementedError("no kernel for the CPU")
    return super().forward(x)
"""


def built_for(device: str, tmp_path: Path, body: str) -> torch.nn.Module:
    job = make(tmp_path, body, "infer")
    job = Job.from_json({**job.to_json(), "settings": {**job.settings.content, "device": device}})
    return checked(job, Hooks())


def test_a_network_for_gpus_alone_is_checked_there(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="no kernel for the CPU"):
        built_for("cpu", tmp_path, ON_A_GPU_ALONE)
    model = built_for("meta", tmp_path, ON_A_GPU_ALONE)
    assert {p.device.type for p in model.parameters()} == {"meta"}
    assert model.training


def test_a_network_that_fails_on_its_device_too_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shape"):
        built_for("meta", tmp_path, "class Net(Base):\n  def forward(self, x): return x.view(7, 1)")


@pytest.mark.parametrize(
    ("error", "stage", "custom", "status"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "latency", False, "oom"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 1 bytes"),
            "latency",
            False,
            "oom",
        ),
        *(
            (RuntimeError(said), "latency", True, "oom")
            for said in (
                "CUDA error: out of memory\nCUDA kernel errors might be reported later",
                "CUDA driver error: out of memory",
                "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
                "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
                "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
                "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
                "[ONNXRuntimeError] : Failed to allocate memory for requested buffer of size 8",
                "could not create a memory object",
            )
        ),
        (torch.AcceleratorError("CUDA error: out of memory"), "memory", False, "oom"),
        *(
            (RuntimeError(said), "latency", True, "unsupported")
            for said in (
                "Expected canUse32BitIndexMath(input) to be true, but got false.",
                "value cannot be converted to type int without overflow",
                "integer out of range",
                "input tensor must fit into 32-bit index math",
                "GET was unable to find an engine to execute this computation",
                "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
                "CUDA error: invalid configuration argument",
            )
        ),
        (
            UnsupportedError("torch.compile failed: out of memory was not the reason"),
            "prepare",
            True,
            "unsupported",
        ),
        (RuntimeError("\"conv\" not implemented for 'Half'"), "memory", False, "unsupported"),
        (UnsupportedError("no"), "build", False, "unsupported"),
        (InvalidModelError("no"), "latency", False, "invalid_model"),
        (DivergedError("no"), "training", True, "diverged"),
        (StoreError("a full disk"), "training", True, "crashed"),
        (RuntimeError("x"), "build", False, "invalid_model"),
        (RuntimeError("x"), "latency", True, "invalid_model"),
        (RuntimeError("x"), "latency", False, "crashed"),
        (SystemExit(0), "import", False, "invalid_model"),
        (AssertionError("Guard failed: x.size()[0] <= 64"), "check", True, "unsupported"),
    ],
)
def test_classify(error: BaseException, stage: str, custom: bool, status: str) -> None:
    assert _classify(error, stage, custom=custom) == status


@pytest.mark.parametrize(
    ("text", "status", "tip"),
    [
        (
            "CUDA error: uncorrectable ECC error encountered",
            "crashed",
            "nvidia-smi -q -d ECC,PAGE_RETIREMENT",
        ),
        (
            "CUDA error: CUDA-capable device(s) is/are busy or unavailable",
            "crashed",
            "nvidia-smi -q -d COMPUTE",
        ),
        (
            "CUDA error: all CUDA-capable devices are busy or unavailable",
            "crashed",
            "nvidia-smi -q -d COMPUTE",
        ),
        ("CUDA error: system not yet initialized", "crashed", "nvidia-fabricmanager"),
        ("The NVIDIA driver on your system is too old (found version 11040).", "crashed", "newer driver"),
        ("CUDA driver version is insufficient for CUDA runtime version", "crashed", "newer driver"),
        (
            "CUDA error: no kernel image is available for execution on the device",
            "unsupported",
            "compute capability",
        ),
        ("CUDA error: device-side assert triggered", "invalid_model", None),
        ("CUDA error: an illegal memory access was encountered", "invalid_model", None),
    ],
)
def test_what_is_wrong_with_a_card_is_no_fault_of_the_network(
    text: str, status: str, tip: str | None
) -> None:
    job = make_job(source_sha256="0" * 64, settings=Timed(device="cuda:0"))
    assert _judged(RuntimeError(text), job, "warm_up")[0] == status
    assert (tip or "None") in str(_judged(RuntimeError(text), job, "warm_up")[1]["tip"])


@pytest.mark.parametrize("stage", ["memory", "train_step", "layers"])
def test_what_overwrites_its_own_backward_hears_of_that_and_not_of_sizes(stage: str) -> None:
    x = torch.ones(1, requires_grad=True)
    y = x.sigmoid()
    y += 1
    with pytest.raises(RuntimeError, match="inplace operation") as caught:
        y.backward()
    status, content = _judged(caught.value, make_job(source_sha256="0" * 64), stage)
    assert status == "invalid_model"
    assert "overwrites what its backward needs" in str(content["tip"])


def test_what_the_system_refuses_after_limits_of_its_own_names_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job, full = make_job(arch="my.py:Net", source_sha256="0" * 64), OSError(24, "Too many open files")
    assert "limits" not in str(_judged(full, job, "latency"))
    granted = {**limits(), "RLIMIT_NOFILE": (3, 3)}
    monkeypatch.setattr(_worker, "limits", lambda: granted)
    said = "my.py:Net limits its own process, RLIMIT_NOFILE to 3: "
    for error in (full, RuntimeError("can't start new thread"), MemoryError()):
        assert str(_judged(error, job, "latency")[1]["message"]).startswith(said)
    assert _judged(full, job, "latency")[0] == "invalid_model"
    assert "limits" not in str(_judged(ValueError("of its own"), job, "latency"))


def test_text_that_utf8_cannot_hold_is_mended() -> None:
    assert _clean("a\ud800b") == "a?b"
    assert len(_clean("x" * 10_000)) == 8_000
    assert _describe(SystemExit(2))["message"] == "it called sys.exit(2)"


class MuteError(Exception):
    """An exception whose text raises another."""

    def __str__(self) -> str:
        raise RuntimeError("out of memory")


def test_an_exception_whose_text_cannot_be_had_is_told_all_the_same() -> None:
    described = _describe(MuteError())
    assert (described["type"], described["message"]) == ("MuteError", "its text cannot be had: RuntimeError")
    assert _classify(MuteError(), "latency", custom=True) == "invalid_model"
    assert _tip_for(MuteError(), make_job(), "latency") is None
    assert "its text cannot be had" in str(refusal("torch.compile", MuteError(), "use backend=eager"))


class NumberError(Exception):
    """An exception whose text is none."""

    def __str__(self) -> str:
        return cast("str", len(self.args))


class HiddenError(Exception):
    """An exception that does not let itself be looked at."""

    def __getattribute__(self, name: str) -> object:
        raise LookupError(name)


class BareError(UnsupportedError):
    """An error of bench's, of a class of the network's, without what such have."""

    def __init__(self) -> None:
        pass


def torn_syntax_error() -> SyntaxError:
    error = SyntaxError("x")
    error.text = 3  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("make_error", "status", "words"),
    [
        (NumberError, "invalid_model", "its text cannot be had: TypeError"),
        (HiddenError, "invalid_model", "cannot be told of: LookupError"),
        (
            BareError,
            "invalid_model",
            "cannot be told of: AttributeError: 'BareError' object has no attribute",
        ),
        (torn_syntax_error, "invalid_model", "cannot be told of: AttributeError"),
        (lambda: UnsupportedError("x", object()), "unsupported", "x"),  # type: ignore[arg-type]
        (lambda: ValueError("a\ud800"), "invalid_model", "a\\ud800"),
    ],
)
def test_whatever_a_network_raises_becomes_an_outcome(
    make_error: Callable[[], BaseException], status: str, words: str
) -> None:
    def do(enter: Callable[[str], None]) -> None:
        enter("check")
        raise make_error()

    events: list[Event] = []
    send_outcome(events.append, make_job(), do)
    kind, (told, content) = decode(encode(events[-1]))
    assert (kind, told) == ("outcome", status)
    assert words in content["message"]
    assert content["tip"] is None or isinstance(content["tip"], str)


def test_a_traceback_without_frames_is_its_message() -> None:
    assert _own_traceback(ValueError("x")).strip() == "ValueError: x"


def test_files_that_changed_since_the_plan_are_not_measured(tmp_path: Path) -> None:
    job = make(tmp_path, "class Net(Base): pass")
    (tmp_path / "net.py").write_text(HEAD + "class Net(Base): width = 2")
    found = story(job)
    assert (found["status"], found["stages"][-1]) == ("invalid_model", "import")
    assert "have changed since the run began" in found["error"]["message"]


FORMS = ("(y, x)", "[y]", "{'logits': y, 'more': x}", "Data(y, x)", "x[:, :2]", "(None, {'maps': [x]})")


@pytest.mark.parametrize("task", ["cost", "infer"])
@pytest.mark.parametrize("form", FORMS)
def test_what_is_counted_and_timed_may_return_anything_with_a_tensor(
    tmp_path: Path, task: str, form: str
) -> None:
    data = "from dataclasses import dataclass\n@dataclass\nclass Data:\n  logits: object\n  hidden: object\n"
    body = f"{data}class Net(Base):\n  def forward(self, x):\n    y = super().forward(x)\n    return {form}"
    found = story(make(tmp_path, body, task))
    assert found["status"] == "ok", found["error"]
    assert not any("not_deterministic" in m.flags for m in found["measurements"].values())


SWITCHES = """
torch.set_num_threads(7)
torch.set_float32_matmul_precision("medium")
torch.set_default_dtype(torch.float64)
class Net(Base):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        torch.backends.cudnn.benchmark = True
    def forward(self, x):
        assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (1, "highest")
        assert not torch.backends.cudnn.benchmark
        return super().forward(x)
"""


def test_what_a_file_sets_is_set_back_and_told(tmp_path: Path) -> None:
    found = story(make(tmp_path, SWITCHES, "infer"))
    assert found["status"] == "ok", found["error"]
    assert found["environment"]["flags"]["threads"] == 1
    assert found["environment"]["set_by_the_file"] == {
        "threads": "1 -> 7",
        "matmul_precision": "highest -> medium",
        "default_dtype": "torch.float32 -> torch.float64",
        "cudnn_benchmark": "False -> True",
    }
    assert all("conditions_reset" in m.flags for m in found["measurements"].values())


@pytest.mark.parametrize("task", ["infer", "train_step", "accuracy"])
def test_a_file_may_say_its_precision_in_torchs_newer_way(tmp_path: Path, task: str) -> None:
    body = 'torch.backends.fp32_precision = "tf32"\nclass Net(Base): pass'
    found = story(make(tmp_path, body, task))
    assert found["status"] == "ok", found["error"]
    assert found["environment"]["set_by_the_file"] == {
        "onednn_precision": "fp32 -> convolutions tf32, recurrent layers tf32",
        "cudnn_tf32": "False -> convolutions tf32, recurrent layers tf32",
    }


def test_what_a_forward_pass_changes_is_a_doubt(tmp_path: Path) -> None:
    body = "class Net(Base):\n  def forward(self, x):\n    torch.set_num_threads(2)\n    return super().forward(x)"
    found = story(make(tmp_path, body, "infer"))
    latency = found["measurements"]["latency"]
    assert "conditions_changed" in latency.flags
    assert latency.detail["conditions_changed"] == {"threads": "1 -> 2"}
    assert "set_by_the_file" not in found["environment"]


@pytest.mark.parametrize(
    ("forward", "flag"),
    [
        ("return super().forward(x) / 0", "not_finite"),
        ("return super().forward(x) + torch.rand(1)", "not_deterministic"),
        ("self.head.weight.data.add_(1e-6); return super().forward(x)", "changes_itself"),
        ("self.count.add_(1); return super().forward(x)", "changes_itself"),
        ("return super().forward(x.mul_(0.5))", "changes_images"),
        ("return super().forward(x)", None),
    ],
)
def test_a_network_that_does_more_than_answer_is_doubted(
    tmp_path: Path, forward: str, flag: str | None
) -> None:
    count = (
        "  def __init__(self):\n    super().__init__()\n    self.register_buffer('count', torch.zeros(1))\n"
    )
    found = story(make(tmp_path, f"class Net(Base):\n{count}  def forward(self, x):\n    {forward}", "infer"))
    assert found["status"] == "ok", found["error"]
    doubts = {"not_finite", "not_deterministic", "changes_itself", "changes_images"}
    assert doubts & set(found["measurements"]["latency"].flags) == ({flag} if flag else set())


WITHOUT_GRADIENTS = """
class Net(Base):
    def forward(self, x):
        assert not torch.is_grad_enabled(), "as inference mode turns them off"
        return super().forward(x)
"""


@pytest.mark.parametrize("at_the_top", ["", "torch.set_grad_enabled(True)", "torch.set_grad_enabled(False)"])
def test_what_is_timed_runs_without_gradients(tmp_path: Path, at_the_top: str) -> None:
    mine = make(tmp_path, at_the_top + WITHOUT_GRADIENTS, "infer")
    (in_turn,) = versus(
        _labelled([replace(make_planned(), job=job) for job in (mine, mine)]), 1, timing=Timing(**QUICK)
    )
    for job in (mine, in_turn.job):
        found = story(job)
        assert found["status"] == "ok", found["error"]


def test_networks_in_turn_are_each_of_their_own_files(tmp_path: Path) -> None:
    mine = make(tmp_path, "class Net(Base): pass", "infer")
    jobs = (mine, replace(mine, arch="linear", source_sha256=None))
    (one,) = versus(_labelled([replace(make_planned(), job=job) for job in jobs]), 1, timing=Timing(**QUICK))
    found = story(one.job)
    assert found["status"] == "ok", found["error"]
    assert "latency" in found["measurements"]
