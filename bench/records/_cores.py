"""Cores that this process may use, told by their kinds: which numbers they have is of no concern to a time.

Source: https://docs.kernel.org/admin-guide/cputopology.html; of kinds, the lists of a hybrid CPU's counters, such as
``/sys/devices/cpu_atom/cpus``, or on ARM the capacity of each.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

_SYSTEM = Path("/sys/devices")
# The threads of a core; the second by its name before Linux 5.3.
_CORE = ("core_cpus_list", "thread_siblings_list")


def core_kinds(
    allowed: Collection[int] | None = None, system: Path = _SYSTEM
) -> list[dict[str, str | int | None]]:
    """Return how many cores there are of each kind, and how many threads of theirs.

    Args:
        allowed: numbers of the threads; None for those that this process may use.
        system: the folder in which Linux tells of them.

    Returns:
        ``[{"kind": None, "cores": 2, "threads": 4}]`` where all are alike, which most CPUs' are.

    Raises:
        OSError: where it is not told.
        AttributeError: elsewhere than on Linux.
    """
    threads = sorted(os.sched_getaffinity(0) if allowed is None else allowed)
    kinds = _hybrid(system) or _capacities(system)
    cores = {thread: _core(system / f"system/cpu/cpu{thread}/topology") for thread in threads}
    by_kind: dict[str | None, list[int]] = {}
    for thread in threads:
        by_kind.setdefault(kinds.get(thread), []).append(thread)
    return [
        {"kind": kind, "cores": len({cores[thread] for thread in of_kind}), "threads": len(of_kind)}
        for kind, of_kind in sorted(by_kind.items(), key=lambda item: str(item[0]))
    ]


def _core(topology: Path) -> str:
    """Return which threads share the core of one, as a text that they have alike."""
    file = next((topology / name for name in _CORE if (topology / name).is_file()), topology / _CORE[0])
    return file.read_text().strip()


def _hybrid(system: Path) -> dict[int, str]:
    """Return the kind of each thread of a CPU by Intel that has several, such as ``atom``."""
    files = system.glob("cpu_*/cpus")
    return {number: file.parent.name[4:] for file in files for number in _numbers(file.read_text())}


def _capacities(system: Path) -> dict[int, str]:
    """Return the capacity of each thread where they differ; the fastest have 1024."""
    files = system.glob("system/cpu/cpu[0-9]*/cpu_capacity")
    capacities = {int(file.parent.name[3:]): file.read_text().strip() for file in files}
    return capacities if len({*capacities.values()}) > 1 else {}


def _numbers(text: str) -> Iterable[int]:
    """Yield the numbers of a list such as ``0-3,8``."""
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)
