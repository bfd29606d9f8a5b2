"""Artefacts: what a backend has made of a network, which the first process of a series leaves to the others.

It is made once and loaded many times, as where a network is deployed. It lies in a folder of its own, by the job and
the numbers of the network, and counts as there once it is whole; whoever dies before that leaves nothing to anybody.

    <folder of the run>/<key>-<process>          what the backend has written
    <folder of the run>/<key>-<process>.whole    says that all of it is there
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from bench.backends import Backend, Runnable
from bench.plan.job import Job
from bench.plan.settings import Timed

_SHARE = 0.25  # of the room on the disk that all of them may take
_WHOLE = ".whole"


def preparing(
    backend: Backend, model: nn.Module, images: Tensor, job: Job[Timed], root: Path | None
) -> tuple[Callable[[], Runnable], bool]:
    """Return what prepares a backend's network, and whether it loads what an earlier process has left below `root`.

    Args:
        backend: the job's.
        model: in evaluation mode, placed.
        images: [B, C, H, W], as for `Backend.prepare`.
        job: of the network.
        root: the folder of what the processes of a run share; None for none.
    """
    if root is None or backend.prepare_in is None:
        return lambda: backend.prepare(model, images, job), False
    key, prepare_in = _key_of(model, images, job), backend.prepare_in

    def prepare() -> Runnable:
        with _folder(root, key) as folder:
            return prepare_in(model, images, job, folder)

    return prepare, _whole(root, key) is not None


def _key_of(model: nn.Module, images: Tensor, job: Job[Timed]) -> str:
    """Return what tells a network, the images that it is given and how it is run from all others.

    That is all that identifies the job but the number of its process, and each number of the network.
    """
    digest = hashlib.sha256(f"{job.seed} {job.series()} {_form(images)}".encode())
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(f"{name} {_form(tensor)}".encode())
        numbers = (tensor.to_dense() if tensor.layout != torch.strided else tensor).detach().cpu()
        digest.update(numbers.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]


def _form(tensor: Tensor) -> str:
    stride = tensor.stride() if tensor.layout == torch.strided else None
    return f"{tensor.dtype} {tuple(tensor.shape)} {stride} {tensor.device}"


def _whole(root: Path, key: str) -> Path | None:
    """Return the folder of an artefact that is there."""
    mark = next(root.glob(f"{key}-*{_WHOLE}"), None)
    return None if mark is None else mark.with_suffix("")


@contextlib.contextmanager
def _folder(root: Path, key: str) -> Iterator[Path]:
    """Yield the folder of an artefact that is whole, or one of its own that is so once the block has ended well.

    Where there is no room to keep it, it is gone then.
    """
    if (whole := _whole(root, key)) is not None:
        yield whole
        return
    _sweep(root)
    draft = root / f"{key}-{os.getpid()}"
    try:
        draft.mkdir()
    except OSError:  # the folder is gone, as where somebody cleans temporary files away, or the disk is full
        with tempfile.TemporaryDirectory(prefix=f"bench-{os.getpid()}-") as own:
            yield Path(own)
        return
    kept = False
    try:
        yield draft
        with contextlib.suppress(OSError):  # of the same kinds
            if _has_room(root):
                draft.with_name(draft.name + _WHOLE).touch()
                kept = True
    finally:
        if not kept:
            shutil.rmtree(draft, ignore_errors=True)


def _sweep(root: Path) -> None:
    """Remove what processes have left that were killed before it was whole."""
    for draft in root.glob("*-*"):
        pid = draft.name.rpartition("-")[2]
        whole = draft.with_name(draft.name + _WHOLE)
        if pid.isdecimal() and not whole.exists() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(draft, ignore_errors=True)


def _has_room(root: Path) -> bool:
    taken = sum(file.lstat().st_size for file in root.rglob("*") if file.is_file())
    return taken <= _SHARE * (shutil.disk_usage(root).free + taken)
