"""Conditions of a process: each is read, set back, and told of where it changes times or results."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.backends.cuda import matmul

from bench.execution._conditions import _CONDITIONS, _FP32_PARTS, changes, read, restore
from bench.training.config import allow_tf32, is_tf32_allowed


def set_fp32(name: str, value: str) -> None:
    _FP32_PARTS[name].fp32_precision = value


CHANGES: dict[str, Callable[[], object]] = {
    **{name: partial(set_fp32, name, "none" if "matmul" in name else "ieee") for name in _FP32_PARTS},
    "onednn_precision": partial(set_fp32, "fp32_onednn_conv", "bf16"),
    "clocks": lambda: setattr(time, "perf_counter_ns", lambda: 0),
    "cores": lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1]),
    "priority": lambda: os.nice(3),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "matmul_precision": lambda: torch.set_float32_matmul_precision("medium"),
    "cudnn_benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark),
    "cudnn_tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", not torch.backends.cudnn.allow_tf32),
    **{
        short: lambda name=name: setattr(matmul, name, not getattr(matmul, name))
        for short, name in {
            "fp16_accumulation": "allow_fp16_accumulation",
            "fp16_reduction": "allow_fp16_reduced_precision_reduction",
            "bf16_reduction": "allow_bf16_reduced_precision_reduction",
        }.items()
    },
    "cudnn_deterministic": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "cudnn_enabled": lambda: setattr(torch.backends.cudnn, "enabled", False),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "default_dtype": lambda: torch.set_default_dtype(torch.float64),
    "default_device": lambda: torch.set_default_device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16).__enter__(),
    "anomaly_detection": lambda: torch.autograd.set_detect_anomaly(True),
    "onednn": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "flash_attention": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "efficient_attention": lambda: torch.backends.cuda.enable_mem_efficient_sdp(False),
    "cudnn_attention": lambda: torch.backends.cuda.enable_cudnn_sdp(
        not torch.backends.cuda.cudnn_sdp_enabled()
    ),
    "attention_fast_path": lambda: torch.backends.mha.set_fastpath_enabled(False),
    "gradients": lambda: torch.set_grad_enabled(False),
    "folder": lambda: os.chdir(Path.cwd().parent),
    "rights": lambda: os.umask(0o777),
    "limits": lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    ),
    "masked_signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}),
    "variables": lambda: os.environ.update(OMP_NUM_THREADS="7"),
    "warnings": lambda: warnings.filterwarnings("ignore"),
    "signals": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    allowed = is_tf32_allowed()
    allow_tf32(products=False, convolutions=False)
    before = read()
    yield
    restore(before)
    allow_tf32(**allowed)


@pytest.mark.filterwarnings("ignore::UserWarning")  # anomaly detection says that it is slow
@pytest.mark.parametrize("name", _CONDITIONS)
def test_a_condition_that_a_file_changes_is_set_back_and_told(name: str) -> None:
    if name == "cores" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is one core")
    if name == "priority" and os.geteuid() != 0:
        pytest.skip("whoever gives way may not take it back")
    before = read()
    assert changes(before) == {}
    CHANGES[name]()
    assert _CONDITIONS[name].read() != before[name]
    told = {name} if _CONDITIONS[name].decides else set()
    assert set(changes(before)) == told
    assert set(restore(before)) == told
    assert read() == before
    assert restore(before) == {}


@pytest.mark.parametrize("name", ["cpu", "meta"])
def test_of_a_default_device_nothing_is_left_that_calls_would_go_through(name: str) -> None:
    """Also of the CPU, where tensors are made anyway: a call of 1 µs takes 2 as long as it is set."""
    before = read()
    torch.set_default_device(name)
    assert torch._C._len_torch_function_stack() == 1
    assert restore(before) == {"default_device": f"unset -> {name}"}
    assert torch._C._len_torch_function_stack() == 0


def test_after_autocast_that_nobody_left_weights_are_cast_anew() -> None:
    before, layer, images = read(), torch.nn.Linear(2, 2, bias=False), torch.ones(1, 2)
    torch.autocast("cpu", torch.bfloat16).__enter__()
    torch.set_autocast_enabled("cpu", False)  # which leaves it half
    assert restore(before) == {"autocast": "off -> off, entered 1 times"}
    for factor in (1.0, 0.0):  # as a step of an optimiser changes them
        with torch.no_grad():
            layer.weight.fill_(factor)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(images).tolist() == [[2 * factor, 2 * factor]]


def test_a_folder_that_is_gone_is_left(tmp_path: Path) -> None:
    before, gone = read(), tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert read()["folder"] is None
    restore(before)
    assert read() == before
    os.chdir(tmp_path)
    restore({**before, "folder": None})  # whoever began in one that is gone has none to go back to
    assert Path.cwd() == tmp_path


def test_a_change_is_told_with_both_values() -> None:
    torch.set_num_threads(2)
    before = read()
    torch.set_num_threads(1)
    assert restore(before) == {"threads": "2 -> 1"}


LOUD = {
    "cuda_matmul": ("matmul_precision", "highest -> on CUDA {0}, on the CPU ieee"),
    "cudnn_conv": ("cudnn_tf32", "False -> convolutions {0}, recurrent layers none"),
    "cudnn_rnn": ("cudnn_tf32", "False -> convolutions none, recurrent layers {0}"),
    "onednn_matmul": ("matmul_precision", "highest -> on CUDA ieee, on the CPU {0}"),
    "onednn_conv": ("onednn_precision", "fp32 -> convolutions {0}, recurrent layers none"),
    "onednn_rnn": ("onednn_precision", "fp32 -> convolutions none, recurrent layers {0}"),
    "cuda": ("cudnn_tf32", "False -> convolutions {0}, recurrent layers {0}"),
}


@pytest.mark.parametrize("part", LOUD)
def test_precision_that_is_set_in_torchs_newer_way_is_set_back_and_told(part: str) -> None:
    """The older way raises where the two differ, which must be told and be no error."""
    value = "tf32"
    before, older = read(), (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32)
    set_fp32(f"fp32_{part}", value)
    name, told = LOUD[part]
    assert restore(before) == {name: told.format(value)}
    assert read() == before
    assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == older


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("value", ["tf32", "ieee", "bf16"])
def test_single_precision_is_what_a_job_says_whatever_was_set_before(value: str, allowed: bool) -> None:
    allow_tf32(products=allowed, convolutions=allowed)
    of_job = read()
    for parts in ((), *itertools.combinations(_FP32_PARTS, 2)):
        with contextlib.suppress(RuntimeError):  # not every part knows every value
            for name in parts:
                set_fp32(name, value)
        allow_tf32(products=allowed, convolutions=allowed)
        assert read() == of_job, parts
        assert is_tf32_allowed() == {"products": allowed, "convolutions": allowed}
        assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == allowed


def test_variables_that_libraries_read_are_set_back_and_the_networks_own_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BENCH_TEST_ONE", "1")
    monkeypatch.delenv("MKL_DYNAMIC", raising=False)
    monkeypatch.setenv("BENCH_TEST_TWO", "old")
    before = read()
    del os.environ["BENCH_TEST_ONE"]
    os.environ["BENCH_TEST_TWO"] = "new"
    os.environ["BENCH_TEST_THREE"] = os.environ["MKL_DYNAMIC"] = "3"
    restore(before)
    assert (os.environ["BENCH_TEST_ONE"], os.environ["BENCH_TEST_TWO"]) == ("1", "old")
    assert "MKL_DYNAMIC" not in os.environ
    assert os.environ.pop("BENCH_TEST_THREE") == "3"  # its file may read it when it builds the network


@pytest.mark.parametrize("by_the_file", [True, False])
def test_inference_mode_is_left_without_gradients(by_the_file: bool) -> None:
    before = read()  # as a worker does, before a task enters inference mode
    with torch.inference_mode():
        torch.set_grad_enabled(by_the_file)
        restore(before)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


def test_a_limit_that_nobody_may_lift_leaves_the_most_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {resource.RLIMIT_NOFILE: (3, 100)}

    def set_limit(limit: int, pair: tuple[int, int]) -> None:
        if pair[1] > state[limit][1]:
            raise ValueError("not allowed to raise maximum limit")
        state[limit] = pair

    monkeypatch.setattr(resource, "getrlimit", state.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    _CONDITIONS["limits"].write({"RLIMIT_NOFILE": (1024, 4096)})
    assert state == {resource.RLIMIT_NOFILE: (100, 100)}
    _CONDITIONS["limits"].write({"RLIMIT_NOFILE": (50, 100)})
    assert state == {resource.RLIMIT_NOFILE: (50, 100)}
