"""The probe: what a plan must know of the machine and of the networks named; runs where jobs run.

Each function of a public name sends one event: what it returns as ``("answer", value)``, or ``("error", BenchError)``.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import torch

from bench.archs import Arch
from bench.archs.naming import expand_names, list_archs, resolve
from bench.archs.pattern import fit_warnings, parse
from bench.backends import BACKENDS, why_not
from bench.costs import COSTS, prepare
from bench.costs.fitting import fitting
from bench.costs.layers import layer_table
from bench.datasets import DATASETS, fetch, find, is_here, is_known
from bench.datasets.evaluation import EvaluationSet
from bench.errors import BenchError
from bench.execution import Send
from bench.io import JsonObject
from bench.plan.card import ArchCard, DatasetCard
from bench.plan.expand import Catalog
from bench.plan.job import Job
from bench.records import environment
from bench.tasks.evaluate import draw_images
from bench.training.config import with_threads
from bench.training.step_cost import training_table

_P = ParamSpec("_P")


def _answering(find_out: Callable[_P, object]) -> Callable[Concatenate[Send, _P], None]:
    """Let a function send what it returns."""

    @functools.wraps(find_out)
    def answer(send: Send, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            send(("answer", find_out(*args, **kwargs)))
        except BenchError as error:
            error.__cause__ = None  # the cause may be of a class that only the user's code knows
            send(("error", error))

    return answer


def _cards(name: str) -> tuple[ArchCard, ...]:
    """Return the cards of one name; it may import the user's code, which may do anything."""
    return tuple(resolve(n).card for n in expand_names([name]))


probe_arch = _answering(_cards)


@_answering
def probe_fit(name: str) -> dict[str, int]:
    """Answer with the images that one network takes, where they are not its card's; it runs the user's code."""
    return fitting(resolve(name))


def _fitted(name: str, shape: Mapping[str, int | None]) -> Arch:
    """Return an architecture, the user's with the images that it takes where it does not say so."""
    arch = resolve(name)
    is_users = arch.card.source_sha256 is not None
    if is_users and (fit := fitting(arch, num_classes=shape.get("num_classes"))):
        arch = replace(arch, card=arch.card.fitted(**fit))
    return arch


@_answering
def probe_training(
    name: str, batch: int, depth: int | None, shape: Mapping[str, int | None]
) -> Mapping[str, object]:
    """Answer with what a training step of a network costs and holds; it may be the user's, which may do anything."""
    return training_table(_fitted(name, shape), batch, depth, shape)


@_answering
def probe_layers(name: str, depth: int | None, shape: Mapping[str, int | None]) -> dict[str, object]:
    """Answer with the layer table of a network; it may be the user's, which may do anything."""
    arch = _fitted(name, shape)
    table = layer_table(prepare(arch, **shape), depth)
    card, is_users = arch.card, arch.card.source_sha256 is not None
    rests = fit_warnings(parse(card.name), table["input"][-1]) if card.name.startswith("pattern:") else []
    origins = [card.note] if is_users and card.note else []
    if arch.describe is not None:
        own = {key: getattr(card, key) for key in ("num_classes", "in_channels", "input_size")}
        origins += arch.describe(shape, {n: shape.get(n) or value for n, value in own.items()})
    return {"arch": card.name, **table, "warnings": rests, "taken_from": origins}


@_answering
def probe_facts(names: Sequence[str]) -> dict[str, dict[str, object]]:
    """Answer with what is counted of each network, for `bench.claims`; ``NAME_*`` means any such."""
    return {name: facts for pattern in names for name, facts in _facts(pattern)}


def _facts(pattern: str) -> Iterator[tuple[str, dict[str, object]]]:
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


@_answering
def probe_macs(shapes: Sequence[tuple[str, int, int, int | None]]) -> list[float | None]:
    """Answer with the multiply-accumulates of networks by name, px, channels and classes; it may run the user's code.

    None stands for one that cannot be counted, and for those whose turn has not come in the time there is.
    """
    begin, counts = time.monotonic(), list[float | None]()
    for name, size, channels, classes in shapes:
        counts.append(None)
        if len(counts) > 1 and time.monotonic() - begin > _COUNT_S:
            continue
        with contextlib.suppress(Exception):  # the job will say what it is
            subject = prepare(resolve(name), input_size=size, in_channels=channels, num_classes=classes)
            counts[-1] = next(m.samples[0] for m in COSTS.get("macs")(subject) if m.name == "macs")
    return counts


@_answering
def probe_machine(
    names: Sequence[str], datasets: Sequence[str] = (), evaluated: Sequence[tuple[str, str]] = ()
) -> Catalog:
    """Answer with the catalog of this machine, of the data sets, and of names that need no user's code.

    `evaluated` are data sets, each with the split of it that networks are evaluated on.
    """
    cuda, why = _cuda_devices()
    needed = [*datasets, *(data for data, _ in evaluated)]
    return Catalog(
        devices=("cpu", *(f"cuda:{i}" for i in range(cuda))),
        threads=environment.usable_cores(),
        archs={name: _cards(name) for name in names},
        datasets=_datasets(datasets),
        evaluated=_evaluated(evaluated),
        missing=tuple(name for name in needed if name in DATASETS and not is_here(name)),
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
    with with_threads(1), torch.inference_mode():
        matrix = torch.ones(_SIDE, _SIDE)
        torch.mm(matrix, matrix)
        begin = now = time.thread_time()
        products = 0
        while products < _LOOKS and now - begin < _LOOK_S:
            torch.mm(matrix, matrix)
            products, now = products + 1, time.thread_time()
    return environment.usable_cores() * products * _SIDE**3 / max(now - begin, 1e-6)


def _cuda_devices() -> tuple[int, str | None]:
    """Return how many there are, and why there is none where there is none: torch says so in a warning, once."""
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
    declared = {name: dataset.card for name, dataset in DATASETS.items()}
    return declared | {name: find(name).card for name in names if is_known(name)}


def _evaluated(pairs: Sequence[tuple[str, str]]) -> dict[str, DatasetCard]:
    """Return the cards of splits; of a data set that is not here, what is declared of it."""

    def card(data: str, split: str) -> DatasetCard:
        declared = data in DATASETS and not is_here(data)
        return DATASETS.get(data).card if declared else EvaluationSet.of(data, split).card()

    return {Catalog.set_name(*pair): card(*pair) for pair in pairs if is_known(pair[0])}


@_answering
def fetch_data(name: str) -> str:
    """Fetch a data set, and answer with its name."""
    fetch(name)
    return name


@_answering
def lacking_weights(names: Sequence[str]) -> list[str]:
    """Answer with those networks whose trained weights a library has, and this machine lacks."""
    declared = ((name, resolve(name).weights) for name in names)
    return [name for name, own in declared if own and own.fetch and own.find() is None]


@_answering
def fetch_weights(name: str) -> str:
    """Fetch the trained weights of a network, and answer with its name."""
    weights = resolve(name).weights
    if weights and weights.fetch:
        weights.fetch()
    return name


@_answering
def show_images(jobs: Sequence[JsonObject], file: str) -> str:
    """Draw what some evaluations give their networks, and answer with the file; it may run the user's code."""
    evaluations: list[Job[Any]] = [Job.from_json(job) for job in jobs]
    return str(draw_images(evaluations, Path(file)))


@_answering
def probe_backends(jobs: Sequence[JsonObject]) -> list[str | None]:
    """Answer with why the backend of each job cannot run it; None where that would only show when it is tried."""
    given: list[Job[Any]] = [Job.from_json(job) for job in jobs]
    return [why_not(job) for job in given]


@_answering
def probe_units(pattern: str | None) -> dict[str, list[dict[str, object]]]:
    """Answer with what `bench list` shows of the measuring half, by kind, as plain values."""
    return {
        "archs": [card.to_json() for card in list_archs(pattern or "*")],
        "datasets": [dataset.card.to_json() for _, dataset in DATASETS.items()],
        "backends": [
            {"name": name, "about": backend.about, "precisions": list(backend.precisions)}
            for name, backend in BACKENDS.items()
        ],
    }
