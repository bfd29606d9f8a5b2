"""The probe: what a plan must know of the machine and of the networks named; runs where jobs run.

Each function sends one event, ``("answer", value)`` or ``("error", BenchError)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.errors import BenchError
from bench.execution import Send


def probe_machine(send: Send, names: Sequence[str]) -> None:
    """Answer with devices, environment, data sets and the cards of names that need no user's code."""
    _answer(send, lambda: {**_machine(), "archs": {n: _cards(n) for n in names}})


def probe_arch(send: Send, name: str) -> None:
    """Answer with the cards of one name; it may import the user's code, which may do anything."""
    _answer(send, lambda: _cards(name))


def probe_units(send: Send, pattern: str | None) -> None:
    """Answer with what `bench list` shows of the measuring half: cards and one-line descriptions."""
    _answer(send, lambda: _units(pattern))


def probe_layers(send: Send, name: str, depth: int | None, shape: Mapping[str, int | None]) -> None:
    """Answer with the layer table of a network; it may be the user's, which may do anything."""
    _answer(send, lambda: _layers(name, depth, shape))


def _answer(send: Send, ask: Any) -> None:
    try:
        send(("answer", ask()))
    except BenchError as error:
        error.__cause__ = None  # the cause may be of a class that only the user's code knows
        send(("error", error))


def _cards(name: str) -> tuple[Any, ...]:
    from bench.archs.resolve import expand_names, resolve

    return tuple(resolve(n).card for n in expand_names([name]))


def _layers(name: str, depth: int | None, shape: Mapping[str, int | None]) -> dict[str, Any]:
    from bench.archs.resolve import resolve
    from bench.costs import prepare
    from bench.costs.layers import layer_table

    arch = resolve(name)
    table = {"arch": arch.card.name, **layer_table(prepare(arch, **shape), depth)}
    return {**table, "warnings": _fit(arch.card.name, table["input"][-1])}


def _fit(name: str, size: int) -> list[str]:
    """Return where the layers of a pattern do not fit an image of so many px."""
    from bench.archs.pattern import fit_warnings, parse

    return fit_warnings(parse(name), size) if name.startswith("pattern:") else []


def _machine() -> dict[str, Any]:
    import torch

    from bench.datasets import DATASETS
    from bench.records import environment

    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    why = (
        None
        if cuda
        else ("torch is built without CUDA" if torch.version.cuda is None else "torch finds no GPU")
    )
    return {
        "devices": ("cpu", *(f"cuda:{i}" for i in range(cuda))),
        "threads": environment.usable_cores(),
        "datasets": {name: dataset.card for name, dataset in DATASETS.items()},
        "environment": environment.machine(),
        "no_cuda": why,
    }


def _units(pattern: str | None) -> dict[str, Any]:
    from bench.archs.resolve import list_archs
    from bench.backends import BACKENDS
    from bench.datasets import DATASETS

    return {
        "archs": tuple(list_archs(pattern or "*")),
        "datasets": tuple(dataset.card for _, dataset in DATASETS.items()),
        "backends": {name: backend.about for name, backend in BACKENDS.items()},
    }
