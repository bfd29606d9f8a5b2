"""The search for the largest batch, against a fake executor; and the limit of one try, in a process."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_job
from fake_executor import FakeExecutor
from hypothesis import given
from hypothesis import strategies as st

from bench.execution import EXECUTORS, Ended, Event
from bench.execution._fits import _ONCE, _memory_limit, try_batch
from bench.execution._max_batch import _GRAIN, _LargestBatch, find_max_batch, wants_max, with_batch
from bench.execution._worker import work
from bench.plan.estimate import SEARCH_S, called_s
from bench.plan.job import Job
from bench.plan.task import Work

JOB = make_job(task="infer", settings={"batch_size": "max", "device": "cpu"})


def outcome(status: str) -> tuple[Sequence[Event], Ended]:
    error = None if status == "ok" else {"type": "Test", "message": status}
    return [("stage", "memory"), ("outcome", (status, error))], Ended()


def fitting(capacity: int, ends: dict[int, tuple[Sequence[Event], Ended]] | None = None) -> FakeExecutor:
    """Return an executor in which so many images fit; some batches may end otherwise."""

    def play(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
        batch = args[0].settings.batch_size
        if ends and batch in ends:
            return ends[batch]
        return outcome("ok" if batch <= capacity else "oom")

    return FakeExecutor(play)


def find(executor: FakeExecutor, limit: int | None = None) -> _LargestBatch:
    return find_max_batch(executor, JOB.with_settings(batch_limit=limit), timeout_s=60)


def batches(executor: FakeExecutor) -> list[int]:
    return [args[0].settings.batch_size for _, args in executor.calls]


def test_it_doubles_then_bisects() -> None:
    executor = fitting(21)
    assert find(executor).batch == 21
    assert batches(executor) == [1, 2, 4, 8, 16, 32, 24, 20, 22, 21]
    assert {target for target, _ in executor.calls} == {"bench.execution._fits:try_batch"}


@given(st.integers(1, 70_000), st.integers(1, 70_000))
def test_the_answer_fits_and_is_nearly_the_largest(capacity: int, limit: int) -> None:
    executor = fitting(capacity)
    found = find(executor, limit)
    best = min(capacity, limit)
    assert found.batch is not None
    assert best - best // _GRAIN <= found.batch <= best
    assert max(batches(executor)) <= limit
    assert len(executor.calls) <= 17 + 6
    assert len(set(batches(executor))) == len(executor.calls)  # none is tried twice


def test_at_the_limit_it_says_so() -> None:
    found = find(fitting(10**9), 100)
    assert found.batch == 100
    measured = found.measurement()
    assert (measured.name, measured.unit, measured.samples) == ("max_batch", "1", (100.0,))
    assert measured.flags == ("at_limit",)
    assert measured.detail["tries"][0] == [1, "ok"]


def test_not_even_one_image() -> None:
    found = find(fitting(0))
    assert found.batch is None
    assert found.failure is not None
    assert found.failure[0] == "oom"


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (outcome("invalid_model"), "invalid_model"),
        (([], Ended(timed_out=True)), "timeout"),
        (([], Ended(exitcode=-signal.SIGSEGV)), "crashed"),
        (([], Ended(exitcode=-signal.SIGKILL)), "killed"),
    ],
)
def test_any_other_failure_ends_it_with_the_best_until_then(
    end: tuple[Sequence[Event], Ended], status: str
) -> None:
    executor = fitting(100, {8: end})
    found = find(executor)
    assert (found.batch, found.failure) == (4, None)
    assert found.measurement().flags == ("cut_short",)
    assert found.measurement().detail["failure"]
    assert found.measurement().detail["tries"][-1] == [8, status]
    assert batches(executor) == [1, 2, 4, 8]
    never = find(fitting(100, {1: end}))
    assert never.batch is None
    assert never.failure is not None
    assert never.failure[0] == status


def test_a_failure_while_it_bisects_leaves_the_best_until_then() -> None:
    found = find(fitting(21, {24: outcome("crashed")}))
    assert found.batch == 16
    assert found.measurement().flags == ("cut_short",)


def test_the_search_ends_with_its_time_and_what_fitted_until_then() -> None:
    """Each try takes as many seconds as it has images, and there are 120 on a CPU."""
    now = 0.0

    def play(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
        nonlocal now
        now += args[0].settings.batch_size
        return outcome("ok")

    begun: list[int] = []
    found = find_max_batch(FakeExecutor(play), JOB, 600.0, begun.append, clock=lambda: now)
    assert 1 + 2 + 4 + 8 + 16 + 32 < 120 <= 1 + 2 + 4 + 8 + 16 + 32 + 64
    assert begun == [1, 2, 4, 8, 16, 32, 64, 128]  # of the last there was no time for a try
    assert [(t.batch, t.status) for t in found.tries[-2:]] == [(64, "ok"), (128, "timeout")]
    assert found.batch == 64
    assert found.measurement().flags == ("cut_short",)
    assert found.measurement().detail["failure"] == "the search had 120 s"


def test_a_search_without_time_for_one_image_is_a_timeout() -> None:
    found = find_max_batch(fitting(9), JOB, 0.0)
    assert found.batch is None
    assert found.failure is not None
    assert found.failure[0] == "timeout"


def test_the_search_is_planned() -> None:
    plain = called_s(with_batch(JOB, 1), {"cpu": 3.0}, Work(), 5)
    assert called_s(JOB, {"cpu": 3.0}, Work(), 5) - plain == SEARCH_S["cpu"]


def test_a_batch_that_no_kernel_is_for_is_too_large() -> None:
    refused = {batch: outcome("unsupported") for batch in range(22, 33)}
    found = find(fitting(100, refused))
    assert found.batch == 21
    assert found.measurement().flags == ("at_index_limit",)
    assert found.measurement().detail["failure"] == "unsupported"
    mixed = {28: outcome("oom"), 32: outcome("oom"), 24: outcome("oom")}
    assert find(fitting(100, mixed)).measurement().flags == ()


@pytest.mark.parametrize(
    "end",
    [
        Ended(exitcode=-signal.SIGKILL, oom_kill=True),
        Ended(exitcode=-signal.SIGABRT, output="terminate called after throwing 'std::bad_alloc'"),
        Ended(exitcode=-signal.SIGABRT, output="what(): CUDA error: out of memory"),
    ],
)
def test_a_process_that_could_not_speak_was_out_of_memory(end: Ended) -> None:
    assert find(fitting(100, {8: ([], end), 6: ([], end), 5: ([], end)})).batch == 4


def test_jobs() -> None:
    assert wants_max(JOB)
    assert not wants_max(make_job())
    assert find(fitting(1)).limit == 65_536
    assert find(fitting(1), 8).limit == 8
    small = with_batch(JOB, 3)
    assert small.settings.batch_size == 3
    assert JOB.settings.batch_size == "max"


def test_each_try_is_told() -> None:
    tries = [(t.batch, t.status) for t in find(fitting(2)).tries]
    assert tries == [(1, "ok"), (2, "ok"), (4, "oom"), (3, "oom")]


def real(**fields: Any) -> Job:
    settings = {
        "device": "cpu", "threads": 1, "precision": "fp32", "memory_format": "contiguous", "backend": "eager",
        "batch_size": "max", "timing": {},
    }  # fmt: skip
    return Job(
        task="infer", arch="lenet5", input_size=32, in_channels=1, num_classes=10, settings=settings, **fields
    )


@pytest.mark.parametrize("task", ["infer", "train_step"])
def test_a_try_goes_through_all_that_the_job_does(task: str) -> None:
    def stages(events: list[Event]) -> list[str]:
        assert events[-1] == ("outcome", ("ok", None))
        return [value for kind, value in events if kind == "stage"]

    tried: list[Event] = []
    worked: list[Event] = []
    job = replace(with_batch(real(), 2), task=task)
    try_batch(tried.append, job)
    work(worked.append, job.with_settings(timing=_ONCE))
    assert [*stages(tried), "done"] == stages(worked)
    assert not [e for e in tried if e[0] == "measurement"]


def test_a_try_that_fits_one_call_but_not_the_job_is_too_large(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(
        "import torch\n"
        "class Net(torch.nn.Linear):\n"
        "    calls = 0\n"
        "    def __init__(self, num_classes=10):\n"
        "        super().__init__(32, num_classes)\n"
        "    def forward(self, x):\n"
        "        self.calls += 1\n"
        "        if self.calls > 1:\n"
        "            raise torch.OutOfMemoryError('the first output is still there')\n"
        "        return super().forward(x.mean((1, 2)))\n"
    )
    source = hashlib.sha256(file.read_bytes()).hexdigest()
    events: list[Event] = []
    try_batch(events.append, replace(with_batch(real(), 2), arch=f"{file}:Net", source_sha256=source))
    assert events[-1][1][0] == "oom"


def test_a_batch_beyond_the_free_memory_is_refused_before_it_is_touched() -> None:
    events: list[Event] = []
    executor = EXECUTORS.get("process").make()
    huge = with_batch(real(), 1_000_000_000)  # 4 TB of images
    executor.call("bench.execution._fits:try_batch", (huge,), timeout_s=60, on_event=events.append)
    assert events[-1][1][0] == "oom"


def test_the_limit_is_of_what_is_free() -> None:
    import resource

    import psutil

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with _memory_limit("cpu"):
        torch.empty(1 << 20)
        too_much = psutil.virtual_memory().available
        with pytest.raises(RuntimeError, match="can't allocate memory"):
            torch.empty(too_much, dtype=torch.uint8)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    with _memory_limit("cuda"):
        assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_without_linux_the_limit_is_of_what_the_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    def missing(path: Path) -> str:
        raise FileNotFoundError(path)

    limits: list[int] = []
    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(resource, "setrlimit", lambda _, limit: limits.append(limit[0]))
    with _memory_limit("cpu"):
        pass
    assert limits[0] > 0
