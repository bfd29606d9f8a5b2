"""The probe: what a plan must know of the machine and of the networks named; runs where jobs run.

Each function sends one event, ``("answer", value)`` or ``("error", BenchError)``.
"""

from __future__ import annotations

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.execution import Send
from bench.io import JsonObject
from bench.plan.card import ArchCard, DatasetCard
from bench.plan.expand import Catalog

if TYPE_CHECKING:
    from bench.archs import Arch


def probe_machine(
    send: Send,
    names: Sequence[str],
    datasets: Sequence[str] = (),
    evaluated: Sequence[tuple[str, str]] = (),
) -> None:
    """Answer with the catalog of this machine, of the data sets, and of names that need no user's code.

    `evaluated` are data sets, each with the split of it that networks are evaluated on.
    """
    _answer(send, lambda: _catalog(names, datasets, evaluated))


def probe_arch(send: Send, name: str) -> None:
    """Answer with the cards of one name; it may import the user's code, which may do anything."""
    _answer(send, lambda: _cards(name))


def probe_fit(send: Send, name: str) -> None:
    """Answer with the images that one network takes, where they are not its card's; it runs the user's code."""
    _answer(send, lambda: _fit_of(name))


def fetch_data(send: Send, name: str) -> None:
    """Fetch a data set, and answer with its name."""
    _answer(send, lambda: _fetched(name))


def lacking_weights(send: Send, names: Sequence[str]) -> None:
    """Answer with those networks whose trained weights a library has, and this machine lacks."""
    _answer(send, lambda: [name for name in names if _lacks(name)])


def fetch_weights(send: Send, name: str) -> None:
    """Fetch the trained weights of a network, and answer with its name."""
    _answer(send, lambda: _with_weights(name))


def show_images(send: Send, jobs: Sequence[JsonObject], file: str) -> None:
    """Draw what some evaluations give their networks, and answer with the file; it may run the user's code."""
    _answer(send, lambda: _drawn(jobs, file))


def probe_units(send: Send, pattern: str | None) -> None:
    """Answer with what `bench list` shows of the measuring half, by kind, as plain values."""
    _answer(send, lambda: _units(pattern))


def probe_backends(send: Send, jobs: Sequence[JsonObject]) -> None:
    """Answer with why the backend of each job cannot run it; None where that would only show when it is tried."""
    _answer(send, lambda: _refusals(jobs))


def probe_macs(send: Send, shapes: Sequence[tuple[str, int, int, int | None]]) -> None:
    """Answer with the multiply-accumulates of networks by name, px, channels and classes; it may run the user's code.

    None stands for one that cannot be counted, and for those whose turn has not come in the time there is.
    """
    _answer(send, lambda: _macs_of(shapes))


def probe_layers(send: Send, name: str, depth: int | None, shape: Mapping[str, int | None]) -> None:
    """Answer with the layer table of a network; it may be the user's, which may do anything."""
    _answer(send, lambda: _layers(name, depth, shape))


def probe_training(
    send: Send, name: str, batch: int, depth: int | None, shape: Mapping[str, int | None]
) -> None:
    """Answer with what a training step of a network costs and holds; it may be the user's, which may do anything."""
    _answer(send, lambda: _training(name, batch, depth, shape))


def probe_facts(send: Send, names: Sequence[str]) -> None:
    """Answer with what is counted of each network, for `bench.claims`; ``NAME_*`` means any such."""
    _answer(send, lambda: {name: facts for pattern in names for name, facts in _facts(pattern)})


def _answer(send: Send, find_out: Callable[[], object]) -> None:
    try:
        send(("answer", find_out()))
    except BenchError as error:
        error.__cause__ = None  # the cause may be of a class that only the user's code knows
        send(("error", error))


def _cards(name: str) -> tuple[ArchCard, ...]:
    from bench.archs.naming import expand_names, resolve

    return tuple(resolve(n).card for n in expand_names([name]))


def _fit_of(name: str) -> dict[str, int]:
    from bench.archs.naming import resolve
    from bench.costs.fitting import fitting

    return fitting(resolve(name))


def _fitted(name: str, shape: Mapping[str, int | None]) -> Arch:
    """Return an architecture, the user's with the images that it takes where it does not say so."""
    from bench.archs.naming import resolve
    from bench.costs.fitting import fitting

    arch = resolve(name)
    is_users = arch.card.source_sha256 is not None
    if is_users and (fit := fitting(arch, num_classes=shape.get("num_classes"))):
        arch = replace(arch, card=arch.card.fitted(**fit))
    return arch


def _training(
    name: str, batch: int, depth: int | None, shape: Mapping[str, int | None]
) -> Mapping[str, object]:
    from bench.training.step_cost import training_table

    return training_table(_fitted(name, shape), batch, depth, shape)


def _layers(name: str, depth: int | None, shape: Mapping[str, int | None]) -> dict[str, object]:
    from bench.costs import prepare
    from bench.costs.layers import layer_table

    arch = _fitted(name, shape)
    table = layer_table(prepare(arch, **shape), depth)
    card, is_users = arch.card, arch.card.source_sha256 is not None
    warnings, origins = _fit(card.name, table["input"][-1]), [card.note] if is_users and card.note else []
    if arch.describe is not None:
        own = {
            "num_classes": card.num_classes,
            "in_channels": card.in_channels,
            "input_size": card.input_size,
        }
        origins += arch.describe(shape, {n: shape.get(n) or value for n, value in own.items()})
    return {"arch": card.name, **table, "warnings": warnings, "taken_from": origins}


def _fit(name: str, size: int) -> list[str]:
    """Return where the layers of a pattern do not fit an image of so many px."""
    from bench.archs.pattern import fit_warnings, parse

    return fit_warnings(parse(name), size) if name.startswith("pattern:") else []


def _facts(pattern: str) -> Iterator[tuple[str, dict[str, object]]]:
    from bench.archs.naming import expand_names

    try:
        names = expand_names([pattern]) if pattern.endswith("_*") else [pattern]
    except BenchError:
        return  # no variants
    for name in names:
        try:
            yield name, _counted(name)
        except BenchError as error:
            yield name, {"error": error.message, "tip": error.tip}


_WHOLE = ("parameters", "activations")


def _counted(name: str) -> dict[str, object]:
    from bench.archs.naming import resolve
    from bench.costs import COSTS, prepare
    from bench.costs.layers import layer_table

    arch = resolve(name)
    subject = prepare(arch)
    costs = {m.name: m for key in ("parameters", "macs", "activations") for m in COSTS.get(key)(subject)}
    table = layer_table(subject)
    if table["failure"]:
        return {"error": f"{name} fails: {table['failure']}", "tip": f"see `bench show '{name}'`"}
    counts = {key: int(m.samples[0]) for key, m in costs.items() if m.unit != "1" or key in _WHOLE}
    return {
        **{key: table[key] for key in ("input", "layers", "totals")},
        "card": arch.card.to_json(),
        "counts": counts | {"buffers": costs["parameters"].detail["buffers"]},
    }


_COUNT_S = 3.0  # of counting for a plan, which may name a thousand networks; one is always counted


def _macs_of(shapes: Sequence[tuple[str, int, int, int | None]]) -> list[float | None]:
    from bench.archs.naming import resolve
    from bench.costs import COSTS, prepare

    begin, counts = time.monotonic(), list[float | None]()
    for name, size, channels, classes in shapes:
        counts.append(None)
        if len(counts) > 1 and time.monotonic() - begin > _COUNT_S:
            continue
        with contextlib.suppress(Exception):  # the job will say what it is
            subject = prepare(resolve(name), input_size=size, in_channels=channels, num_classes=classes)
            counts[-1] = next(m.samples[0] for m in COSTS.get("macs")(subject) if m.name == "macs")
    return counts


def _catalog(names: Sequence[str], datasets: Sequence[str], evaluated: Sequence[tuple[str, str]]) -> Catalog:
    from bench.backends import BACKENDS
    from bench.records import environment

    cuda, why = _cuda_devices()
    return Catalog(
        devices=("cpu", *(f"cuda:{i}" for i in range(cuda))),
        threads=environment.usable_cores(),
        archs={name: _cards(name) for name in names},
        datasets=_datasets(datasets),
        evaluated=_evaluated(evaluated),
        missing=_missing([*datasets, *(data for data, _ in evaluated)]),
        backends=tuple(BACKENDS),
        environment=environment.machine(),
        no_cuda=why,
        rates={"cpu": _rate()},
    )


_LOOK_S, _LOOKS, _SIDE = 0.1, 100, 512  # the longest look of a core, the most products of it, and their size


def _rate() -> float:
    """Return the multiply-accumulates a second of matrix products in single precision, of all cores, by a short look.

    Plans go by it on a machine that has measured nothing yet; what is measured never does. It is one core's, by the
    time that this core gave: of the clock's, others who are at work now take a share that they may not take later.
    """
    import torch

    from bench.records.environment import usable_cores

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            matrix = torch.ones(_SIDE, _SIDE)
            torch.mm(matrix, matrix)
            begin = now = time.thread_time()
            products = 0
            while products < _LOOKS and now - begin < _LOOK_S:
                torch.mm(matrix, matrix)
                products, now = products + 1, time.thread_time()
    finally:
        torch.set_num_threads(threads)
    return usable_cores() * products * _SIDE**3 / max(now - begin, 1e-6)


def _cuda_devices() -> tuple[int, str | None]:
    """Return how many there are, and why there is none where there is none: torch says so in a warning, once."""
    import torch

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count:
        return count, None
    if torch.version.cuda is None:
        return 0, "torch is built without CUDA"
    if (shown := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return 0, f"torch finds no GPU: CUDA_VISIBLE_DEVICES is {shown!r}"
    words = [str(warning.message).partition(" (Triggered")[0] for warning in told]
    return 0, ": ".join(["torch finds no GPU", *words[:1]])


def _datasets(names: Sequence[str]) -> dict[str, DatasetCard]:
    """Return the declared cards of all data sets; of those named that are folders, what lies there."""
    from bench.datasets import DATASETS, find, is_known

    declared = {name: dataset.card for name, dataset in DATASETS.items()}
    return declared | {name: find(name).card for name in names if is_known(name)}


def _evaluated(pairs: Sequence[tuple[str, str]]) -> dict[str, DatasetCard]:
    """Return the cards of splits; of a data set that is not here, what is declared of it."""
    from bench.datasets import DATASETS, is_here, is_known
    from bench.datasets.evaluation import EvaluationSet

    def card(data: str, split: str) -> DatasetCard:
        declared = data in DATASETS and not is_here(data)
        return DATASETS.get(data).card if declared else EvaluationSet.of(data, split).card()

    return {Catalog.set_name(*pair): card(*pair) for pair in pairs if is_known(pair[0])}


def _missing(names: Sequence[str]) -> tuple[str, ...]:
    from bench.datasets import DATASETS, is_here

    return tuple(name for name in names if name in DATASETS and not is_here(name))


def _fetched(name: str) -> str:
    from bench.datasets import fetch

    fetch(name)
    return name


def _lacks(name: str) -> bool:
    from bench.archs.naming import resolve

    weights = resolve(name).weights
    return weights is not None and weights.fetch is not None and weights.find() is None


def _with_weights(name: str) -> str:
    from bench.archs.naming import resolve

    weights = resolve(name).weights
    if weights is not None and weights.fetch is not None:
        weights.fetch()
    return name


def _drawn(jobs: Sequence[JsonObject], file: str) -> str:
    from bench.plan.job import Job
    from bench.tasks.evaluate import draw_images

    evaluations: list[Job[Any]] = [Job.from_json(job) for job in jobs]
    return str(draw_images(evaluations, Path(file)))


def _refusals(jobs: Sequence[JsonObject]) -> list[str | None]:
    from bench.backends import why_not
    from bench.plan.job import Job

    given: list[Job[Any]] = [Job.from_json(job) for job in jobs]
    return [why_not(job) for job in given]


def _units(pattern: str | None) -> dict[str, list[dict[str, object]]]:
    from bench.archs.naming import list_archs
    from bench.backends import BACKENDS
    from bench.datasets import DATASETS

    return {
        "archs": [card.to_json() for card in list_archs(pattern or "*")],
        "datasets": [dataset.card.to_json() for _, dataset in DATASETS.items()],
        "backends": [
            {"name": name, "about": backend.about, "precisions": list(backend.precisions)}
            for name, backend in BACKENDS.items()
        ],
    }
