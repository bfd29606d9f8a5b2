"""Data parallel training: the ranks, processes on this machine with a device each, share every batch.

Rank 0 is the process that starts the training; it starts the others, which do the same training with the same order
and the same augmentation, take every N-th image of each batch, and average their gradients (torch's
DistributedDataParallel). Batch normalisation sees a rank's own images only, with rank 0's running statistics at the
test, and a rank's dropout has a generator of its own. Without either, N ranks compute what one does, but for rounding.

The others end with rank 0, whatever ends it: they watch a pipe that closes with its process.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bench.errors import BenchError, StoreError, UnsupportedError, typed_text
from bench.training.config import with_threads

_MEETING_LIMIT = timedelta(minutes=30)  # for all ranks to arrive; what one does alone meanwhile takes seconds
_READY = b"ready\n"
_END_S = 5.0  # for the other ranks to end by themselves, once the training is done
_OUTPUT_QUOTED = 2000  # last characters of a failed rank's output that a message quotes
_START = "import sys; from bench.training._parallel import _join; _join(*sys.argv[1:])"


@dataclass(frozen=True, slots=True)
class _Share:
    """A rank's part of a batch of B images.

    Attributes:
        images: [n, C, S, S], the rank's.
        labels: [n].
        stride: they are every `stride`-th of the batch,
        offset: from this one on.
        copies: ranks that have the very same images.
        batch_size: B.
    """

    images: Tensor
    labels: Tensor
    stride: int
    offset: int
    copies: int
    batch_size: int

    @property
    def weight(self) -> float:
        """The weight of the mean over these images in the mean over the batch; it sums to 1 over the ranks."""
        return len(self.labels) / (self.batch_size * self.copies)

    def spread(self, logits: Tensor) -> Tensor:
        """Return [B, K] with the rank's logits [n, K] in their places, so that the ranks' sum is the batch's."""
        if self.stride == 1:
            return logits / self.copies
        whole = logits.new_zeros(self.batch_size, logits.shape[1])
        whole[self.offset :: self.stride] = logits
        return whole


@dataclass(frozen=True, slots=True)
class Group:
    """The ranks of a training, as one of them sees it; a training by one process is a group of one."""

    rank: int = 0
    count: int = 1

    def share(self, images: Tensor, labels: Tensor) -> _Share:
        """Return the rank's part of a batch; all ranks get the whole of one with less than two images for each.

        One image has no variance for batch normalisation to work with.
        """
        size = len(labels)
        if self.count == 1 or size < 2 * self.count:
            return _Share(images, labels, 1, 0, self.count, size)
        by_pixels = images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
        layout = torch.channels_last if by_pixels else torch.contiguous_format
        part = images[self.rank :: self.count].contiguous(memory_format=layout)
        return _Share(part, labels[self.rank :: self.count], self.count, self.rank, 1, size)

    def averaging(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return the network whose backward pass averages the gradients over the ranks."""
        if self.count == 1:
            return model
        ids = [device] if device.type == "cuda" else None
        averaging: nn.Module = nn.parallel.DistributedDataParallel(model, device_ids=ids)
        return averaging

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the ranks."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def align(self, model: nn.Module) -> None:
        """Give every rank the running statistics of rank 0."""
        if self.count > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def device(self, first: torch.device) -> torch.device:
        """Return the rank's own device, where rank 0 has `first`."""
        return torch.device("cuda", (first.index or 0) + self.rank) if first.type == "cuda" else first


ALONE = Group()


@contextlib.contextmanager
def start(
    count: int,
    device: torch.device,
    train: Callable[..., object],
    args: tuple[nn.Module, *tuple[object, ...]],
) -> Iterator[Group]:
    """Be rank 0 of `count`, and let the other ranks call ``train(*args, group)`` meanwhile.

    Args:
        count: of ranks; nothing happens for one.
        device: of rank 0; the others have those after it.
        train: a function of a module that the others can import; it must meet at the same points as rank 0.
        args: the network, and what else `train` takes; tensors in them are stored once, and mapped by all.

    Raises:
        UnsupportedError: if there are fewer devices than ranks, or the network cannot be sent to another process.
        BenchError: if another rank fails; with the end of what it printed.
    """
    if count == 1:
        yield ALONE
        return
    _check_devices(count, device)
    with tempfile.TemporaryDirectory(prefix="bench-ranks-") as folder, contextlib.ExitStack() as stack:
        _send(_Work(torch.get_num_threads(), device, train, args), Path(folder))
        others = [stack.enter_context(_other(rank, count, folder)) for rank in range(1, count)]
        try:
            for other in others:
                other.await_ready()
            group = Group(0, count)
            with _meeting(group, group.device(device), folder):
                yield group
        except RuntimeError as error:  # of torch's, when it loses another rank; or this rank's own
            failed = None if isinstance(error, torch.OutOfMemoryError) else _first_failed(others)
            if failed is None:
                raise
            raise failed.error() from error


def _join(folder: str, rank: str, count: str) -> None:
    """Be another rank: read what rank 0 stored, meet the others, and train."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    task = _receive(Path(folder))
    os.write(1, _READY)
    torch.set_num_threads(task.threads)
    group = Group(int(rank), int(count))
    with _meeting(group, group.device(task.device), folder):
        task.train(*task.args, group)


@contextlib.contextmanager
def _meeting(group: Group, device: torch.device, folder: str) -> Iterator[None]:
    """Meet the other ranks, with a share of the CPU's threads each."""
    loopback = "lo" if sys.platform == "linux" else "lo0"  # all are on one machine
    os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{folder}/meeting",
        rank=group.rank,
        world_size=group.count,
        timeout=_MEETING_LIMIT,
    )
    try:
        with with_threads(max(1, torch.get_num_threads() // group.count)):
            yield
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class _Other:
    """The process of another rank."""

    rank: int
    process: subprocess.Popen[bytes]
    output: Path

    def await_ready(self) -> None:
        """Wait until it has everything that it needs.

        Raises:
            BenchError: if it fails.
        """
        assert self.process.stdout is not None
        if self.process.stdout.readline() != _READY:
            self.process.wait()
            raise self.error()

    def error(self) -> Exception:
        """Return the error to raise for a rank that has failed; a MemoryError where memory was short."""
        text = self.output.read_bytes()[-_OUTPUT_QUOTED:].decode("utf-8", "replace").strip()
        last = text.splitlines()[-1].removeprefix(f"[rank{self.rank}]: ") if text else "it printed nothing"
        message = f"rank {self.rank} of the training ended with exit code {self.process.returncode}: {last}"
        if "OutOfMemoryError" in text or "can't allocate memory" in text:
            return MemoryError(message)
        return BenchError(message, "train with ranks: 1 to see whether the network itself is at fault")


def _first_failed(others: Sequence[_Other]) -> _Other | None:
    """Return a rank that has failed, or fails within `_END_S`; None if all are well."""
    until = time.monotonic() + _END_S
    while time.monotonic() < until:
        for other in others:
            if other.process.poll():
                return other
        time.sleep(0.05)
    return None


@contextlib.contextmanager
def _other(rank: int, count: int, folder: str) -> Iterator[_Other]:
    """Start another rank; it has ended, by itself or not, when the block is left."""
    output = Path(folder) / f"rank{rank}"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", _START, folder, str(rank), str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    try:
        with process:
            try:
                yield _Other(rank, process, output)
            except BaseException:
                process.kill()
                raise
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
            process.kill()
    finally:
        process.wait()


def _end_with_parent() -> None:
    """Wait, in a thread that sleeps, until the pipe from rank 0 closes, and end then."""
    os.read(0, 1)
    os._exit(1)


def _check_devices(count: int, device: torch.device) -> None:
    if device.type != "cuda":
        return
    first, devices = device.index or 0, torch.cuda.device_count()
    if first + count > devices:
        message = f"{count} ranks need {count} CUDA devices from {device} on, and this machine has {devices}"
        raise UnsupportedError(message, f"set ranks to {devices - first} or less, or device=cpu")


class _Work(NamedTuple):
    """What another rank has to do: call ``train(*args, group)``; the threads and the device are rank 0's."""

    threads: int
    device: torch.device
    train: Callable[..., object]
    args: tuple[nn.Module, *tuple[object, ...]]


def _send(work: _Work, folder: Path) -> None:
    """Store what the other ranks need.

    Raises:
        UnsupportedError: if the network cannot be pickled.
        StoreError: if it cannot be written.
    """
    try:
        torch.save(_sources(work.args[0]), folder / "sources")
        torch.save(work, folder / "task")
    except (OSError, RuntimeError) as error:  # torch's own writer turns a full disk into a RuntimeError
        message = f"cannot write what the other ranks need: {error}"
        raise StoreError(message, f"free space in {folder.parent}") from error
    except Exception as error:  # pickle fails in many ways
        raise UnsupportedError(
            f"the network cannot be sent to other processes: {typed_text(error)}",
            "define its classes and functions at the top of a module, or train with ranks: 1",
        ) from error


def _receive(folder: Path) -> _Work:
    """Read what rank 0 stored, its own pickles and nobody else's; users' files are imported as rank 0 did."""
    for file in torch.load(folder / "sources", weights_only=True):
        from bench.archs.naming.files import load  # which imports libraries of networks

        sys.path.append(str(Path(file).parent))
        load(file)
    work: _Work = torch.load(folder / "task", mmap=True, weights_only=False)
    return work


def _sources(model: nn.Module) -> list[str]:
    """Return the users' files that define parts of a network; other processes cannot import them by name.

    A class of a user's package comes with the file of that package which was asked for.
    """
    kinds = {type(module).__module__ for module in model.modules()}
    packages = {name.partition(".")[0] for name in kinds if "." in name}
    made = {name for name in sys.modules if name.rpartition(".")[2].startswith("bench_user_")}
    own = (name for name in made if name in kinds or ("." in name and name.partition(".")[0] in packages))
    return sorted(str(sys.modules[name].__file__) for name in own)
