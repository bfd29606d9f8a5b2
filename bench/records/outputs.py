"""Test outputs: what a trained network said of each test image, in a file beside the records.

``outputs/<job id>.npz`` of a run's folder holds `logits` float16 [N, K], less the largest of each image, which no
softmax notices and which keeps the foremost classes exact; `labels` int16 [N] (int32 for more than 32,768 classes);
`class_names` [K]; and `kernels` float16 [O, C, h, w], the weights of the first convolution, where there is one.
The record says the file's SHA-256, so that one that a later training wrote is not taken for it.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from bench.errors import StoreError
from bench.io import read_file, write_file
from bench.records.job_files import JobFile
from bench.records.record import Record

_HALF = np.finfo(np.float16)
_Arrays = Mapping[str, npt.NDArray[np.generic]]


class _Kept:
    """What a job leaves in a file beside the records; equal ones have equal files."""

    what: ClassVar[str]
    tip: ClassVar[str]  # where the file cannot be read

    @classmethod
    def read(cls, folder: Path, record: Record) -> Self | None:
        """Return what a record's job has left in the run in `folder`.

        None where it has left none, where the file is gone, and where it is of another time that the job was done.

        Raises:
            StoreError: if the file is there and is torn, or is something else.
        """
        top1 = record.measurement("top1")
        sha256 = None if top1 is None else top1.detail.get("outputs_sha256")
        return None if sha256 is None else cls.load(JobFile.outputs.path(folder, record.job.id), sha256)

    @classmethod
    def load(cls, path: Path, sha256: str) -> Self | None:
        """Return what is in a file; None where it is gone, or where its SHA-256 is another.

        Raises:
            StoreError: if the file is there and is torn, or is something else.
        """
        kept = JobFile.of_training(path, sha256)
        if not kept.exists():
            return None
        try:
            content = read_file(kept)
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                decoded = cls._decode(arrays)
        except Exception as error:  # a torn archive fails in more ways than NumPy documents
            raise StoreError(
                f"{kept} has no readable {cls.what} ({type(error).__name__})", cls.tip
            ) from error
        return decoded if hashlib.sha256(content).hexdigest() == sha256 else None

    @classmethod
    def _decode(cls, arrays: _Arrays) -> Self:
        raise NotImplementedError


@dataclass(frozen=True)
class Outputs(_Kept):
    """What a trained network said of each of N test images.

    Attributes:
        logits: [N, K] float32, the largest of each image 0.
        labels: [N] int64, the true classes.
        kernels: [O, C, h, w] float32, the weights of the first convolution; None where there is none.
        class_names: K names, in the order of the labels.
    """

    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    kernels: npt.NDArray[np.float32] | None
    class_names: tuple[str, ...]

    what = "test outputs"
    tip = "delete it, and train its network again where they are needed"

    def encode(self) -> tuple[bytes, str]:
        """Return the file's content and its SHA-256.

        Raises:
            ValueError: if the shapes do not belong together.
        """
        images, classes = self.logits.shape
        if self.labels.shape != (images,) or len(self.class_names) != classes:
            raise ValueError(
                f"{images} x {classes} logits, {len(self.labels)} labels, {len(self.class_names)} names"
            )
        behind = self.logits - self.logits.max(axis=1, keepdims=True)
        logits = np.maximum(behind, _HALF.min).astype(np.float16)
        logits[(behind < 0) & (logits == 0)] = -_HALF.smallest_subnormal  # a close second stays second
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "logits": logits,
            "labels": self.labels.astype(np.int16 if classes <= 2**15 else np.int32),
            "class_names": np.array(self.class_names, dtype=np.str_),
        }
        if self.kernels is not None:
            arrays["kernels"] = self.kernels.astype(np.float16)
        return _packed(np.savez, arrays)

    @classmethod
    def _decode(cls, arrays: _Arrays) -> Self:
        outputs = cls(
            logits=arrays["logits"].astype(np.float32),
            labels=arrays["labels"].astype(np.int64),
            kernels=arrays["kernels"].astype(np.float32) if "kernels" in arrays else None,
            class_names=_told_apart(arrays["class_names"]),
        )
        if outputs.logits.shape != (len(outputs.labels), len(outputs.class_names)):
            raise ValueError(f"logits {outputs.logits.shape}")
        return outputs


def _told_apart(names: npt.NDArray[np.generic]) -> tuple[str, ...]:
    """Return names of classes, those that several have with the number of each: ImageNet's two cranes are two."""
    counts = Counter(map(str, names))
    told = [f"{name} ({at})" if counts[str(name)] > 1 else str(name) for at, name in enumerate(names)]
    return tuple(told if len({*told}) == len(told) else [f"{name} ({at})" for at, name in enumerate(names)])


def _packed(save: Callable[..., None], arrays: Mapping[str, npt.NDArray[np.generic]]) -> tuple[bytes, str]:
    stream = io.BytesIO()
    save(stream, **arrays)
    content = stream.getvalue()
    return content, hashlib.sha256(content).hexdigest()


def save_outputs(path: Path, content: bytes) -> None:
    """Write what was encoded; a reader sees the old file or the new one, and nothing between.

    Raises:
        StoreError: if it cannot be written.
    """
    tip = "what was measured is kept; free space, or choose another --results folder, then run again"
    write_file(path, content, what="the test outputs ", tip=tip)


# --- of evaluations ---


@dataclass(frozen=True)
class Answers(_Kept):
    """What a network with its weights said of each of N images, in the order of the data set.

    Attributes:
        labels: [N] int32, the true classes, numbers of `class_names`.
        top5: [N, 5] int32, the foremost classes, the first of them first; -1 for an output of the network that is
            none of the data set's classes, and where there are fewer than five.
        confidence: [N] float32, the softmax probability of the first, among all outputs.
        images: N texts: the path of each image below the folder of its classes, or its number.
        class_names: in the order of the labels; of those read, no two are equal.
        among: [N, 5] int32, the foremost of the data set's classes alone; None where every output is one of them.
    """

    labels: npt.NDArray[np.int32]
    top5: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    images: tuple[str, ...]
    class_names: tuple[str, ...]
    among: npt.NDArray[np.int32] | None = None

    what = "answers"
    tip = "delete it, and evaluate its network again where they are needed"

    def __post_init__(self) -> None:
        shapes = [self.top5.shape, self.confidence.shape, (len(self.images),)]
        count = len(self.labels)
        if shapes != [(count, 5), (count,), (count,)]:
            raise ValueError(f"{count} labels, and {shapes}")

    def encode(self) -> tuple[bytes, str]:
        """Return the file's content and its SHA-256."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "labels": self.labels.astype(np.int32),
            "top5": self.top5.astype(np.int32),
            "confidence": self.confidence.astype(np.float32),
            "images": np.array(self.images, dtype=np.str_),
            "class_names": np.array(self.class_names, dtype=np.str_),
        }
        if self.among is not None:
            arrays["among"] = self.among.astype(np.int32)
        return _packed(np.savez_compressed, arrays)

    @classmethod
    def _decode(cls, arrays: _Arrays) -> Self:
        return cls(
            labels=arrays["labels"].astype(np.int32),
            top5=arrays["top5"].astype(np.int32),
            confidence=arrays["confidence"].astype(np.float32),
            images=tuple(str(name) for name in arrays["images"]),
            class_names=_told_apart(arrays["class_names"]),
            among=arrays["among"].astype(np.int32) if "among" in arrays else None,
        )

    def places_shared(self, other: Answers) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the places [M] of the images that both have answered; images are told by their names and labels."""
        if self.images == other.images and np.array_equal(self.labels, other.labels):
            everywhere = np.arange(len(self.labels))
            return everywhere, everywhere
        place = {key: at for at, key in enumerate(zip(other.images, other.labels.tolist(), strict=True))}
        keys = enumerate(zip(self.images, self.labels.tolist(), strict=True))
        both = [(at, place[key]) for at, key in keys if key in place]
        columns = np.array(both, dtype=np.int64).reshape(-1, 2)
        return columns[:, 0], columns[:, 1]
