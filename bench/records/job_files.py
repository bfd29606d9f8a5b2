"""The files that a job leaves in the folder of its run, beside its record; equal ones have equal files.

Without NumPy: whoever only waits for jobs needs to know where they lie.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from bench.records.record import Record


class JobFile(StrEnum):
    """A kind of file; its value is the folder in a run that holds it, one a job."""

    checkpoint = "checkpoints"  # how far a training came, to go on from
    outputs = "outputs"  # what a network said of each image, see `bench.records.outputs`
    weights = "weights"  # those that a training ended with

    def path(self, folder: Path, job_id: str) -> Path:
        """Return where in the folder of a run that of a job lies."""
        return folder / self.value / f"{job_id}.{_ENDINGS[self]}"

    def all_in(self, folder: Path, records: Iterable[Record]) -> Iterator[tuple[Path, Record, str]]:
        """Yield each whole one that records of the run in `folder` name, with its record and SHA-256."""
        for record in records:
            top1 = record.measurement("top1")
            sha256 = str(top1.detail.get(f"{self.value}_sha256") or "") if top1 else ""
            file = self.whole(self.path(folder, record.job.id), sha256) if sha256 else None
            if file is not None:
                yield file, record, sha256

    @staticmethod
    def whole(path: Path, sha256: str) -> Path | None:
        """Return the file of a job, or the one beside it in a merged run, of this SHA-256; None where none has it."""
        file = JobFile.of_training(path, sha256)
        return file if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256 else None

    @staticmethod
    def of_training(path: Path, sha256: str) -> Path:
        """Return the file of one training of several of a job, as a merged run has them, or else that of the job."""
        own = path.with_stem(f"{path.stem}-{sha256[:12]}")
        return own if own.exists() else path


_ENDINGS = {JobFile.checkpoint: "pt", JobFile.outputs: "npz", JobFile.weights: "safetensors"}
