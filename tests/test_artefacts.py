"""Artefacts: what the first process of a series prepares, the others load; and nothing else is ever taken for it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_catalog, make_planned
from fake_executor import FakeExecutor
from torch import Tensor, nn

from bench import contracts
from bench.backends import BACKENDS, Backend, Runnable
from bench.backends._engines import made_once
from bench.errors import UnsupportedError
from bench.execution import Ended
from bench.execution._worker import _measure
from bench.execution.runner import run_plan
from bench.plan.estimate import Past, estimator
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.plan.task import Hooks
from bench.records.record import Measurement
from bench.records.store import Store
from bench.tasks import _artefacts
from bench.tasks._artefacts import _key_of, preparing

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, num_classes)
    def forward(self, x):
        return self.head(x.flatten(1))
"""


def job_of(arch: str = "net", seed: int = 0, **settings: Any) -> Job[Timed]:
    timing = {"warmup_s": 0.01, "min_s": 0.0, "limit_s": 0.05, "min_samples": 6}
    given = {"device": "cpu", "threads": 1, "batch_size": 2, "backend": "fake", "replicate": 0}
    return Job(
        task="infer",
        arch=arch,
        input_size=8,
        num_classes=10,
        seed=seed,
        settings={**given, "timing": timing, **settings},  # type: ignore[arg-type]
    )


class Maker:
    """A backend that writes the network's first bias into a file, and counts how often it does."""

    def __init__(self) -> None:
        self.made, self.failure, self.off = 0, None, 0.0

    def prepare_in(self, model: nn.Module, images: Tensor, job: Job[Timed], folder: Path) -> Runnable:
        told = made_once(folder, lambda: self.make(folder))
        assert (folder / "half").read_text() == "and half"
        return Runnable(lambda: model(images) + self.off * ("make_s" not in told), told)

    def make(self, folder: Path) -> dict[str, object]:
        (folder / "half").write_text("half")
        if self.failure is not None:
            raise self.failure
        (folder / "half").write_text("and half")
        self.made += 1
        return {"exporter": "a pen", "make_s": 3.0}

    @property
    def backend(self) -> Backend:
        return Backend("a test's", lambda *_: pytest.fail("not in a folder"), prepare_in=self.prepare_in)


@pytest.fixture
def maker() -> Maker:
    return Maker()


def linear(bias: float = 0.0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(192, 10))
    model[1].bias.data[0] = bias
    return model.eval()


IMAGES = torch.zeros(2, 3, 8, 8)


def prepare(maker: Maker, root: Path, job: Job[Timed] | None = None, bias: float = 0.0) -> bool:
    """Prepare a network as a process of its own would; return whether it was loaded."""
    ready, loads = preparing(maker.backend, linear(bias), IMAGES, job or job_of(), root)
    ready()
    return loads


def test_the_first_process_prepares_and_the_others_load(maker: Maker, tmp_path: Path) -> None:
    processes = [job_of(replicate=number) for number in range(3)]
    assert [prepare(maker, tmp_path, job) for job in processes] == [False, True, True]
    assert maker.made == 1


@pytest.mark.parametrize(
    "other",
    [
        {"job": job_of(seed=1)},
        {"job": job_of(precision="bf16")},
        {"job": job_of(batch_size=4)},
        {"job": job_of(threads=2)},
        {"job": job_of(calibration="digits")},
        {"job": job_of("another")},
        {"bias": 1.0},
    ],
    ids=str,
)
def test_nothing_else_is_taken_for_it(maker: Maker, tmp_path: Path, other: dict[str, Any]) -> None:
    prepare(maker, tmp_path)
    assert not prepare(maker, tmp_path, **other)
    assert maker.made == 2


def test_another_file_of_a_network_or_other_images_are_another_artefact() -> None:
    job = job_of()
    edited = Job.from_json({**job.to_json(), "source_sha256": "0" * 64})
    laid = IMAGES.to(memory_format=torch.channels_last)
    cases = [(job, IMAGES), (edited, IMAGES), (job, laid), (job, IMAGES.double()), (job, IMAGES[:1])]
    assert len({_key_of(linear(), images, one) for one, images in cases}) == len(cases)


def test_every_kind_of_tensor_has_a_part_in_the_key() -> None:
    model = nn.Module()
    kinds = [
        torch.tensor(True),
        torch.zeros(0),
        torch.zeros(2, dtype=torch.bfloat16),
        torch.eye(2).to_sparse(),
    ]
    for number, tensor in enumerate(kinds):
        model.register_buffer(f"own{number}", tensor)
    before = _key_of(model, IMAGES, job_of())
    assert before == _key_of(model, IMAGES, job_of(replicate=3))
    model.own3 = torch.eye(2).mul(2).to_sparse()
    assert before != _key_of(model, IMAGES, job_of())


def test_what_fails_leaves_nothing(maker: Maker, tmp_path: Path) -> None:
    maker.failure = UnsupportedError("no ink")
    with pytest.raises(UnsupportedError, match="no ink"):
        prepare(maker, tmp_path)
    assert list(tmp_path.iterdir()) == []
    maker.failure = None
    assert not prepare(maker, tmp_path)


def test_half_of_what_a_killed_process_wrote_is_never_loaded(maker: Maker, tmp_path: Path) -> None:
    """A process that was killed has written half a file; another writes still, and is left alone."""
    key = _key_of(linear(), IMAGES, job_of())
    pid = multiprocessing.get_context("fork").Process(target=os.getpid)
    pid.start()
    pid.join()
    left, other = tmp_path / f"{key}-{pid.pid}", tmp_path / f"{key}-{os.getppid()}"
    for folder in (left, other):
        folder.mkdir()
        (folder / "half").write_text("half")
    assert not prepare(maker, tmp_path)
    assert not left.exists()
    assert (other / "half").read_text() == "half"
    assert prepare(maker, tmp_path)


def test_where_there_is_no_room_each_process_prepares(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=3 * 100)
    monkeypatch.setattr(_artefacts.shutil, "disk_usage", lambda _: usage)
    assert not prepare(maker, tmp_path)  # less than 100 bytes, of 300 that are free: a quarter of all
    assert prepare(maker, tmp_path)
    monkeypatch.setattr(_artefacts.shutil, "disk_usage", lambda _: usage._replace(free=3))
    assert not prepare(maker, tmp_path, job_of(batch_size=4))
    assert not prepare(maker, tmp_path, job_of(batch_size=4))
    assert maker.made == 3


def test_a_folder_that_somebody_has_removed_is_none(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not prepare(maker, tmp_path / "gone")
    assert not prepare(maker, tmp_path / "gone")

    def gone(root: Path) -> None:
        raise FileNotFoundError(root)

    monkeypatch.setattr(_artefacts.shutil, "disk_usage", gone)  # meanwhile
    assert not prepare(maker, tmp_path)
    assert not prepare(maker, tmp_path)
    assert maker.made == 4


# --- what a job measures ---


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, maker: Maker) -> Maker:
    BACKENDS.load()
    monkeypatch.setitem(BACKENDS._units, "fake", maker.backend)
    return maker


def measured(tmp_path: Path, replicate: int) -> dict[str, Measurement]:
    file = tmp_path / "net.py"
    file.write_text(NET)
    (root := tmp_path / "artefacts").mkdir(exist_ok=True)
    job = job_of(f"{file}:Net", replicate=replicate)
    return {m.name: m for m in _measure(job, Hooks(artefacts=root))}


def test_a_process_that_loads_tells_no_preparation_and_agrees_by_itself(fake: Maker, tmp_path: Path) -> None:
    first, second = measured(tmp_path, 0), measured(tmp_path, 1)
    assert "load_time" not in first
    assert "prepare_time" not in second
    assert first["prepare_time"].detail["make_s"] == 3.0
    assert second["load_time"].detail["exporter"] == "a pen"
    assert "make_s" not in second["load_time"].detail
    assert [one["output_difference"].samples for one in (first, second)] == [(0.0,), (0.0,)]


def test_what_is_loaded_and_differs_is_flagged(fake: Maker, tmp_path: Path) -> None:
    fake.off = 100.0
    first, second = measured(tmp_path, 0), measured(tmp_path, 1)
    assert "differs" not in first["latency"].flags
    assert "differs" in second["latency"].flags


def test_a_backend_that_loads_something_else_breaks_the_contract(fake: Maker) -> None:
    assert contracts.check_backend("fake") is None
    fake.off = 1.0
    with pytest.raises(AssertionError, match="what it loads differs from eager"):
        contracts.check_backend("fake")


# --- what a run does ---


def test_the_processes_of_a_run_share_a_folder_that_is_gone_with_it(tmp_path: Path) -> None:
    shared = []

    def play(target: str, args: tuple[Any, ...]) -> tuple[list[Any], Ended]:
        shared.append(args[-1])
        assert args[-1].is_dir()
        return [("outcome", ("ok", None))], Ended()

    planned = [make_planned(task="infer", arch=arch, settings={"device": "cpu"}) for arch in "ab"]
    for name in ("one", "two"):
        with Store(tmp_path / name) as store:
            run_plan(planned, FakeExecutor(play), store, make_catalog())
    assert shared[0] == shared[1] != shared[2] == shared[3]
    assert not any(folder.exists() for folder in shared)


def test_a_plan_knows_that_the_first_process_pays() -> None:
    """Before any has run, and from what the first two took; eager prepares nothing."""

    def infer(number: int, backend: str = "onnx") -> Any:
        settings = {"device": "cpu", "batch_size": 1, "backend": backend, "replicate": number}
        return make_planned(task="infer", settings=settings)

    guess = estimator([])
    first, later = guess(infer(0)), guess(infer(1))
    assert first > later == guess(infer(7)) > guess(infer(0, "eager")) == guess(infer(1, "eager"))
    planned = [infer(number) for number in (0, 1)]
    known = estimator(Past(p.job, p.card, s) for p, s in zip(planned, (60.0, 5.0), strict=True))
    assert [known(infer(number)) for number in (0, 1, 2)] == [60.0, 5.0, 5.0]
