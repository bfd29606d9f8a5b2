"""Conditions of a process: each is read, set back, and told of where it changes times or results."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from bench.execution._conditions import _CONDITIONS, changes, read, restore

CHANGES: dict[str, Callable[[], object]] = {
    "clocks": lambda: setattr(time, "perf_counter_ns", lambda: 0),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "matmul_precision": lambda: torch.set_float32_matmul_precision("medium"),
    "cudnn_benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark),
    "cudnn_tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", not torch.backends.cudnn.allow_tf32),
    "cudnn_deterministic": lambda: setattr(torch.backends.cudnn, "deterministic", True),
    "cudnn_enabled": lambda: setattr(torch.backends.cudnn, "enabled", False),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "default_dtype": lambda: torch.set_default_dtype(torch.float64),
    "default_device": lambda: torch.set_default_device("meta"),
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
    "variables": lambda: os.environ.update(OMP_NUM_THREADS="7"),
    "warnings": lambda: warnings.filterwarnings("ignore"),
    "signals": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = read()
    yield
    restore(before)


@pytest.mark.filterwarnings("ignore::UserWarning")  # anomaly detection says that it is slow
@pytest.mark.parametrize("name", _CONDITIONS)
def test_a_condition_that_a_file_changes_is_set_back_and_told(name: str) -> None:
    before = read()
    assert changes(before) == {}
    CHANGES[name]()
    assert _CONDITIONS[name].read() != before[name]
    told = {name} if _CONDITIONS[name].decides else set()
    assert set(changes(before)) == told
    assert set(restore(before)) == told
    assert read() == before
    assert restore(before) == {}


def test_a_change_is_told_with_both_values() -> None:
    torch.set_num_threads(2)
    before = read()
    torch.set_num_threads(1)
    assert restore(before) == {"threads": "2 -> 1"}


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
