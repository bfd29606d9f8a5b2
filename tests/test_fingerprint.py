"""Fingerprints of folders of images: whatever is exchanged is noticed, and what was read once is not read again."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_records import by_name, job, record

from bench.analysis.evaluations import Evaluations
from bench.analysis.frame import to_frame
from bench.analysis.keys import apart
from bench.datasets import _fingerprint, check_same, find
from bench.datasets._fingerprint import _ENTRY, _PART, File, fingerprint
from bench.datasets.evaluation import EvaluationSet
from bench.errors import UnsupportedError
from bench.records.record import measured
from bench.records.store import Run

OLD = 10**18  # ns: a file of 2001, which nobody changes any more
FILES = ("a/0.png", "a/1.png", "b/0.png")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "images"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a folder of three files of equal sizes and of different contents."""
    for number, name in enumerate(FILES):
        file = tmp_path / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([number]) * 100)
    return tmp_path / "data"


def listed(root: Path, changed: int = OLD) -> list[File]:
    paths = [root / name for name in FILES]
    return [File(str(p), p.stat().st_size, p.stat().st_ino, changed) for p in paths]


def digest(root: Path, changed: int = OLD) -> str:
    return fingerprint(str(root), {"": listed(root, changed)})


def swap(one: Path, other: Path) -> None:
    spare = one.with_name("spare")
    one.rename(spare)
    other.rename(one)
    spare.rename(other)


# --- what is noticed ---


def test_files_of_the_same_names_and_sizes_with_other_contents_are_others(root: Path) -> None:
    before = digest(root)
    (root / "a/1.png").write_bytes(bytes([9]) * 100)
    assert digest(root, OLD + 1) != before


def test_two_images_that_change_places_are_noticed(root: Path) -> None:
    before = digest(root)
    swap(root / "a/0.png", root / "b/0.png")
    assert digest(root) != before  # by their numbers alone, as a rename tells no time everywhere
    swap(root / "a/0.png", root / "b/0.png")
    assert digest(root) == before


def test_a_copy_elsewhere_of_another_time_is_the_same(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "copy")
    assert digest(tmp_path / "copy", OLD + 7) == digest(root)


@pytest.mark.parametrize("at", [0, 5 * _PART, 10 * _PART - 1])
def test_of_a_large_folder_parts_of_each_file_are_read(
    root: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(_fingerprint, "_WHOLE", 0)
    file = root / "a/0.png"
    content = bytearray(10 * _PART)
    file.write_bytes(content)
    before = digest(root)
    content[at] = 1
    file.write_bytes(content)
    assert digest(root, OLD + 1) != before
    content[at], content[2 * _PART] = 0, 1  # between the parts
    file.write_bytes(content)
    assert digest(root, OLD + 2) == before


@pytest.mark.parametrize("place", ["evaluated", "trained on"])
def test_images_that_are_exchanged_are_another_job(root: Path, place: str) -> None:
    for name in ("a/2.png", "b/1.png"):
        (root / name).write_bytes(bytes([7]) * 100)

    def sha256() -> str | None:
        name = f"imagefolder:{root}"
        return EvaluationSet.of(name, "val").sha256 if place == "evaluated" else find(name).card.sha256

    before = sha256()
    swap(root / "a/0.png", root / "b/0.png")
    assert sha256() != before


# --- what is read ---


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    read: list[str] = []
    own = _fingerprint._digest

    def counted(file: File, in_full: bool) -> bytes:
        read.append(Path(file.path).name)
        return own(file, in_full)

    monkeypatch.setattr(_fingerprint, "_digest", counted)
    return read


def test_what_was_read_once_is_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = count_reads(monkeypatch)
    before = digest(root)
    assert len(read) == 3
    assert digest(root) == before
    assert len(read) == 3
    os.truncate(root / "a/1.png", 50)
    assert digest(root) != before
    assert read[3:] == ["1.png"]


def test_a_file_to_which_several_links_lead_is_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = count_reads(monkeypatch)
    (one, *_) = listed(root)
    fingerprint(str(root), {"train": [one, one._replace(path=str(root / "b/link.png"))]})
    assert read == ["link.png"]  # either will do


def test_what_was_changed_a_moment_ago_is_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = count_reads(monkeypatch)
    for _ in range(2):
        digest(root, max(p.stat().st_mtime_ns for p in root.rglob("*.png")))
    assert len(read) == 6


@pytest.mark.parametrize("harm", ["torn", "empty", "no folder", "of other files"])
def test_a_cache_of_no_use_changes_nothing(root: Path, cache: Path, harm: str) -> None:
    before = digest(root)
    (kept,) = cache.iterdir()
    if harm == "no folder":
        shutil.rmtree(cache.parent)
        cache.parent.write_text("a file, in which nothing can be written")
    else:
        content = {"torn": kept.read_bytes()[:40], "empty": b"", "of other files": bytes(_ENTRY.size)}[harm]
        kept.write_bytes(content)
    assert digest(root) == before


def test_a_file_that_cannot_be_read_is_left_to_its_decoder(root: Path, cache: Path) -> None:
    files = [*listed(root), File(str(root / "gone.png"), 5, 1, OLD)]
    assert fingerprint(str(root), {"": files}) == fingerprint(str(root), {"": files})
    (kept,) = cache.iterdir()
    assert kept.stat().st_size == 3 * _ENTRY.size


# --- what follows ---


def test_a_job_of_other_images_is_refused() -> None:
    check_same("imagefolder:x", None, "new")  # of a record from before there were fingerprints
    check_same("imagefolder:x", "new", "new")
    with pytest.raises(UnsupportedError, match="not those that the job was planned for"):
        check_same("imagefolder:x", "old", "new")


def test_names_are_told_apart_where_they_mean_several() -> None:
    assert apart(["a", "a", "a", "b"], ["1" * 64, "2" * 64, None, "1" * 64]) == ["1" * 8, "2" * 8, "", ""]


(NET,) = by_name("resnet18")


def evaluated(digest: str | None, precision: str = "fp32") -> Any:
    own = {} if digest is None else {"data_sha256": digest}
    asked = job(NET, "evaluate", data="imagefolder:x", split="val", precision=precision, device="cpu", **own)
    return record(asked, measurements=[measured("top1", (0.5,), {"correct": 5, "images": 10})])


def test_a_report_tells_evaluations_on_other_images_apart() -> None:
    both = to_frame([Run("r", Path("r"), (evaluated("1" * 64), evaluated("2" * 64)))])
    assert [one.data for one in Evaluations.of(both).plain] == [
        f"imagefolder:x val ({digit * 8})" for digit in "12"
    ]
    same = to_frame([Run("r", Path("r"), (evaluated("1" * 64), evaluated("1" * 64, "bf16")))])
    assert [one.data for one in Evaluations.of(same).plain] == ["imagefolder:x val"] * 2


def test_a_report_tells_trainings_on_other_images_apart() -> None:
    jobs = [
        job(
            NET,
            "accuracy",
            seed=seed,
            dataset="imagefolder:x",
            epochs=1,
            device="cpu",
            dataset_sha256=digit * 64,
        )
        for seed, digit in enumerate("12")
    ]
    top1 = [measured("top1", (0.5,), {"n": 10})]
    frame = to_frame([Run("r", Path("r"), tuple(record(one, measurements=top1) for one in jobs))])
    assert frame["dataset"].tolist() == [f"imagefolder:x ({digit * 8})" for digit in "12"]
    (one,) = to_frame([Run("r", Path("r"), (record(jobs[0], measurements=top1),))])["dataset"]
    assert one == "imagefolder:x"


def test_the_digest_is_asked_for_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = replace(EvaluationSet.of(f"imagefolder:{root}", "val"))
    before = images.sha256
    monkeypatch.setattr(_fingerprint, "_digest", None)
    assert images.sha256 == before
    assert np.array_equal(images.labels, [0, 0, 1])
