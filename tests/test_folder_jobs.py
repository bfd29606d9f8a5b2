"""Folders of images in experiments: they are looked at before jobs are planned, and other images are another job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import make_catalog
from fake_executor import FakeExecutor
from image_folders import SPLIT, fill, name_of

from bench.datasets import find
from bench.datasets._images import _CHUNK
from bench.errors import BenchError, UnknownNameError
from bench.execution import Ended, Event
from bench.execution._probe import probe_machine
from bench.execution.catalog import _datasets_of, catalog_for
from bench.execution.executors.process import ProcessExecutor
from bench.plan.config import Experiment
from bench.plan.expand import expand
from bench.plan.recipe import Augment
from bench.training._augment import decide


def asking(*datasets: Any, **more: Any) -> Any:
    block = {
        "task": "accuracy",
        "device": "cpu",
        "grid": {"arch": ["net"], "dataset": list(datasets)},
        **more,
    }
    return Experiment.parse({"blocks": [block]})


def test_an_experiment_names_its_data_sets() -> None:
    blocks = [
        {"task": "accuracy", "dataset": "digits", "grid": {"arch": ["net"]}},
        {
            "task": "accuracy",
            "grid": {"arch": ["net"], "dataset": [{"cpu": "digits", "cuda": "imagefolder:x"}]},
        },
        {"task": "cost", "grid": {"arch": ["net"]}},
    ]
    assert _datasets_of(Experiment.parse({"blocks": blocks})) == ["digits", "imagefolder:x"]


def test_the_probe_looks_at_folders_that_are_named(tmp_path: Path) -> None:
    name = name_of(fill(tmp_path, SPLIT))
    events: list[Event] = []
    probe_machine(events.append, [], ["digits", name, "unknown"])
    (kind, found) = events[0]
    assert kind == "answer"
    assert found.datasets[name] == find(name).card
    assert found.datasets["mnist"].sha256 is None
    assert "unknown" not in found.datasets
    probe_machine(events.append, [], [name_of(tmp_path / "nowhere")])
    assert events[1][0] == "error"
    assert "there is no folder" in events[1][1].message


def test_a_catalog_asks_for_them(tmp_path: Path) -> None:
    name = name_of(fill(tmp_path, SPLIT))

    def play(target: str, args: tuple[Any, ...]) -> tuple[list[Event], Ended]:
        assert args == (["net"], ["digits", name])
        return [("answer", make_catalog("net", datasets={name: find(name).card}))], Ended()

    assert name in catalog_for(asking("digits", name), FakeExecutor(play)).datasets


def test_other_images_are_another_job(tmp_path: Path) -> None:
    root = fill(tmp_path, SPLIT)
    name = name_of(root)

    def job() -> Any:
        catalog = make_catalog("net", datasets={name: find(name).card})
        (planned,) = expand(asking(name), catalog)
        return planned.job

    first, again = job(), job()
    assert first.id == again.id
    assert first.settings.dataset_sha256 == find(name).card.sha256
    assert (first.input_size, first.in_channels, first.num_classes) == (12, 3, 2)
    fill(root, {"train/cat": 5})
    assert job().id != first.id


@pytest.mark.parametrize("size", [None, 32])
def test_a_job_says_how_its_images_are_changed_at_the_size_that_they_are_decoded_to(
    tmp_path: Path, size: int | None
) -> None:
    name = name_of(fill(tmp_path, SPLIT))
    (planned,) = expand(asking(name, input_size=size), make_catalog("net", datasets={name: find(name).card}))
    images = find(name, planned.job.input_size).card
    done = decide(Augment(), images)
    assert images.size == (size or 12)
    assert planned.job.settings.augment == {"pad": done.pad, "flip": done.flip, "cutout": done.cutout}
    assert done.pad == images.size // 8


def test_a_data_set_of_tensors_has_no_fingerprint() -> None:
    (planned,) = expand(asking("digits"), make_catalog("net"))
    assert "dataset_sha256" not in planned.job.settings.content


def test_a_job_may_decode_in_processes_of_its_own(tmp_path: Path) -> None:
    root = fill(tmp_path, {"train/cat": _CHUNK, "train/dog": _CHUNK, "val/cat": 1, "val/dog": 1})
    executor = ProcessExecutor()
    events: list[Event] = []
    target = "process_targets:load_files"
    ended = executor.call(target, (name_of(root),), timeout_s=120.0, on_event=events.append)
    executor.close()
    assert (ended.exitcode, ended.output) == (0, "")
    assert events[1:] == [("images", 2 * _CHUNK)]


def test_an_unknown_data_set_tells_of_folders() -> None:
    with pytest.raises(UnknownNameError) as caught:
        expand(asking("flowers_of_mine"), make_catalog("net"))
    assert isinstance(caught.value, BenchError)
    assert "digits" in (caught.value.tip or "")
