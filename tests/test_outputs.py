"""Test outputs: what is written is read back, the classes stay in their order, and a bad file is told from a stale one."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from conftest import make_job, make_record

from bench.errors import StoreError
from bench.records.job_files import JobFile
from bench.records.outputs import Outputs, save_outputs
from bench.records.record import Measurement, Record

JOB = make_job(task="accuracy", settings={"dataset": "digits"})
RNG = np.random.default_rng(0)


def outputs(images: int = 5, classes: int = 3, kernels: bool = True, scale: float = 1.0) -> Outputs:
    return Outputs(
        logits=(scale * RNG.normal(size=(images, classes))).astype(np.float32),
        labels=np.arange(images, dtype=np.int64) % classes,
        kernels=RNG.normal(size=(4, 1, 3, 3)).astype(np.float32) if kernels else None,
        class_names=tuple(f"class {i} é" for i in range(classes)),
    )


def recorded(sha256: str | None) -> Record:
    detail = {} if sha256 is None else {"outputs": f"outputs/{JOB.id}.npz", "outputs_sha256": sha256}
    top1 = Measurement(name="top1", unit="1", better="higher", samples=(0.5,), detail=detail)
    return make_record(job=JOB, measurements=(top1,))


def stored(folder: Path, what: Outputs) -> str:
    content, sha256 = what.encode()
    save_outputs(JobFile.outputs.path(folder, JOB.id), content)
    return sha256


@pytest.mark.parametrize("kernels", [True, False])
def test_what_is_written_is_read(tmp_path: Path, kernels: bool) -> None:
    written = outputs(kernels=kernels)
    found = Outputs.read(tmp_path, recorded(stored(tmp_path, written)))
    assert found is not None
    shifted = written.logits - written.logits.max(1, keepdims=True)
    np.testing.assert_allclose(found.logits, shifted, rtol=2**-10)
    assert (found.logits.dtype, found.labels.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(found.labels, written.labels)
    assert found.class_names == written.class_names
    if kernels:
        assert found.kernels is not None
        np.testing.assert_allclose(found.kernels, written.kernels, rtol=2**-10)
    else:
        assert found.kernels is None


def test_the_file_is_plain_numpy_without_objects(tmp_path: Path) -> None:
    stored(tmp_path, outputs())
    with np.load(tmp_path / "outputs" / f"{JOB.id}.npz", allow_pickle=False) as file:
        types = {name: file[name].dtype.kind + str(file[name].dtype.itemsize) for name in file.files}
    assert types.pop("class_names").startswith("U")
    assert types == {"logits": "f2", "labels": "i2", "kernels": "f2"}


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1e6])
def test_the_foremost_class_survives_half_precision(tmp_path: Path, scale: float) -> None:
    """At 30, float16 itself would round 0.02 away; 1e6 it does not have."""
    written = outputs(2000, 10, scale=scale)
    found = Outputs.read(tmp_path, recorded(stored(tmp_path, written)))
    assert found is not None
    np.testing.assert_array_equal(found.logits.argmax(1), written.logits.argmax(1))
    assert np.isfinite(found.logits).all()
    assert (found.logits.max(1) == 0).all()


def test_equal_outputs_are_equal_files() -> None:
    one = outputs()
    content, sha256 = one.encode()
    assert one.encode() == (content, sha256)
    assert sha256 == hashlib.sha256(content).hexdigest()


def test_more_classes_than_sixteen_bits_number(tmp_path: Path) -> None:
    classes = 2**15 + 1
    written = Outputs(np.zeros((1, classes), np.float32), np.array([classes - 1]), None, ("",) * classes)
    found = Outputs.read(tmp_path, recorded(stored(tmp_path, written)))
    assert found is not None
    assert found.labels.tolist() == [classes - 1]


@pytest.mark.parametrize("change", [{"labels": np.zeros(4, np.int64)}, {"class_names": ("a",)}])
def test_shapes_must_belong_together(change: dict[str, object]) -> None:
    one = outputs()
    with pytest.raises(ValueError, match="5 x 3 logits"):
        Outputs(**{**vars(one), **change}).encode()  # type: ignore[arg-type]


def test_none_where_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert Outputs.read(tmp_path, recorded("0" * 64)) is None
    assert Outputs.read(tmp_path, recorded(None)) is None
    assert Outputs.read(tmp_path, make_record()) is None


def test_a_file_of_a_later_training_is_not_taken_for_an_earlier_one(tmp_path: Path) -> None:
    first = stored(tmp_path, outputs())
    second = stored(tmp_path, outputs())
    assert first != second
    assert Outputs.read(tmp_path, recorded(first)) is None
    assert Outputs.read(tmp_path, recorded(second)) is not None


def test_a_torn_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    sha256 = stored(tmp_path, outputs())
    path = JobFile.outputs.path(tmp_path, JOB.id)
    whole = path.read_bytes()
    shapes = {"logits": np.zeros((2, 3)), "labels": np.zeros(2), "class_names": np.array(["a"])}
    for content in (b"", whole[:-100], whole[: len(whole) // 2], b"no archive"):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=rf"{JOB.id}\.npz has no readable test outputs") as caught:
            Outputs.read(tmp_path, recorded(sha256))
        assert "train its network again" in str(caught.value.tip)
    np.savez(path, **shapes)  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="no readable test outputs"):
        Outputs.read(tmp_path, recorded(sha256))


def test_a_full_disk_leaves_the_old_file_and_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = stored(tmp_path, outputs())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"cannot write the test outputs .*No space left") as caught:
        stored(tmp_path, outputs())
    assert "what was measured is kept" in str(caught.value.tip)
    assert Outputs.read(tmp_path, recorded(sha256)) is not None
    assert [f.name for f in (tmp_path / "outputs").iterdir()] == [f"{JOB.id}.npz"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match="cannot write the test outputs"):
        stored(tmp_path, outputs())
