"""Data parallel training: the ranks, processes on this machine with a device each, share every batch.

Rank 0 is the process that asked; it starts the others, which do the same training with the same order and the same
augmentation, take every N-th image of each batch, and average their gradients (torch's DistributedDataParallel).
What the ranks do not share: batch normalisation sees a rank's own images only, and so does dropout's chance. Running
statistics are rank 0's. Without either, N ranks do what one does, but for rounding.

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
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from bench.errors import BenchError, StoreError, UnsupportedError
from bench.training.group import ALONE, Group

PATIENCE = timedelta(minutes=30)  # at a meeting; what one rank does alone meanwhile takes seconds
READY = b"ready\n"
END_S = 5.0  # for the other ranks to end by themselves, once the training is done
TOLD = 2000  # last characters of a failed rank's output that a message quotes
_START = "import sys; from bench.training.parallel import join; join(*sys.argv[1:])"


@contextlib.contextmanager
def start(count: int, device: torch.device, train: Callable[..., object], asked: Any) -> Iterator[Group]:
    """Be rank 0 of `count`, and let the other ranks call ``train(asked, group)`` meanwhile.

    Args:
        count: of ranks; nothing happens for one.
        device: of rank 0; the others have those after it.
        train: a function of a module that the others can import; it must meet at the same points as rank 0.
        asked: what it is given; tensors in it are stored once, and mapped by all.

    Raises:
        UnsupportedError: if there are fewer devices than ranks, or the network cannot be sent to another process.
        BenchError: if another rank fails; with the end of what it printed.
    """
    if count == 1:
        yield ALONE
        return
    _check_devices(count, device)
    with tempfile.TemporaryDirectory(prefix="bench-ranks-") as folder, contextlib.ExitStack() as stack:
        _send(train, asked, Path(folder))
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


def join(folder: str, rank: str, count: str) -> None:
    """Be another rank: read what was asked, meet the others, and train."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    train, asked, threads = _receive(Path(folder))
    os.write(1, READY)
    torch.set_num_threads(threads)
    group = Group(int(rank), int(count))
    with _meeting(group, group.device(asked.device), folder):
        train(asked, group)


@contextlib.contextmanager
def _meeting(group: Group, device: torch.device, folder: str) -> Iterator[None]:
    """Meet the other ranks, with a share of the CPU's threads each."""
    os.environ.setdefault(
        "GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0"
    )  # all on one machine
    threads = torch.get_num_threads()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{folder}/meeting",
        rank=group.rank,
        world_size=group.count,
        timeout=PATIENCE,
    )
    torch.set_num_threads(max(1, threads // group.count))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        dist.destroy_process_group()


@dataclass(frozen=True)
class _Other:
    """Another rank, from outside."""

    rank: int
    process: subprocess.Popen[bytes]
    output: Path

    def await_ready(self) -> None:
        """Wait until it has everything that it needs.

        Raises:
            BenchError: if it fails.
        """
        assert self.process.stdout is not None
        if self.process.stdout.readline() != READY:
            self.process.wait()
            raise self.error()

    def error(self) -> Exception:
        """Return what to raise for it; want of memory is told as such."""
        told = self.output.read_bytes()[-TOLD:].decode("utf-8", "replace").strip()
        last = told.splitlines()[-1].removeprefix(f"[rank{self.rank}]: ") if told else "it printed nothing"
        message = f"rank {self.rank} of the training ended with exit code {self.process.returncode}: {last}"
        if "OutOfMemoryError" in told or "can't allocate memory" in told:
            return MemoryError(message)
        return BenchError(message, "train with ranks: 1 to see whether the network itself is at fault")


def _first_failed(others: Sequence[_Other]) -> _Other | None:
    """Return a rank that has ended by itself, in a moment if need be; None if all are well."""
    until = time.monotonic() + END_S
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
                process.wait(END_S)
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
    here = torch.cuda.device_count()
    if (device.index or 0) + count > here:
        raise UnsupportedError(
            f"{count} ranks need {count} CUDA devices from {device} on, and this machine has {here}",
            f"set ranks to {here - (device.index or 0)} or less, or device=cpu",
        )


def _send(train: Callable[..., object], asked: Any, folder: Path) -> None:
    """Store what the other ranks need.

    Raises:
        UnsupportedError: if the network cannot be pickled.
        StoreError: if it cannot be written.
    """
    try:
        torch.save(_sources(asked.model), folder / "sources")
        torch.save((train, asked, torch.get_num_threads()), folder / "asked")
    except (OSError, RuntimeError) as error:  # torch's own writer turns a full disk into a RuntimeError
        raise StoreError(
            f"cannot write what the other ranks need: {error}", f"free space in {folder.parent}"
        ) from error
    except Exception as error:  # pickle fails in many ways
        raise UnsupportedError(
            f"the network cannot be sent to other processes: {type(error).__name__}: {error}",
            "define its classes and functions at the top of a module, or train with ranks: 1",
        ) from error


def _receive(folder: Path) -> tuple[Callable[..., object], Any, int]:
    """Read what rank 0 stored, its own pickles and nobody else's; users' files are imported as rank 0 did."""
    for name in torch.load(folder / "sources", weights_only=True):
        from bench.archs.naming import resolve  # which imports libraries of networks

        sys.path.append(str(Path(name.rpartition(":")[0]).parent))
        resolve(name)
    found: tuple[Callable[..., object], Any, int] = torch.load(
        folder / "asked", mmap=True, weights_only=False
    )
    return found


def _sources(model: nn.Module) -> list[str]:
    """Return ``path/to/file.py:Class`` for the classes of users' files, which no import by name finds."""
    found = {}
    for kind in {type(module) for module in model.modules()}:
        if kind.__module__.startswith("bench_user_"):
            found[kind.__module__] = f"{sys.modules[kind.__module__].__file__}:{kind.__qualname__}"
    return sorted(found.values())
