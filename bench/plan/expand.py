"""Expansion: an experiment and a catalog become a plan, a tuple of jobs in the order they are written."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import ValidationError

from bench.errors import ConfigError, DeviceError, nearest, unknown_name
from bench.plan.card import ArchCard, DatasetCard
from bench.plan.config import Block, Experiment
from bench.plan.job import Job
from bench.plan.recipe import load_recipe
from bench.plan.settings import (
    NOT_SETTINGS,
    OPTIONAL,
    SETTINGS,
    Accuracy,
    Common,
    Infer,
    Processes,
    Shared,
    Timing,
    has_network,
    keys_of,
)

DEVICE_KINDS = ("cpu", "cuda")
LITTLE_SHORT = (
    1.25  # images are enlarged by at most so much to a network's native size, unless it is asked for
)

# Stands where a network does, in jobs of the machine alone.
MACHINE = ArchCard(name="ceiling", family="machine", input_size=1, in_channels=1, num_classes=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What the expansion must know of the machine and of the units named, found out by `execution.probe`.

    Attributes:
        devices: those that are there, such as ``("cpu", "cuda:0")``.
        threads: default count of CPU threads.
        archs: for each name or pattern, as written, the cards of the networks it means.
        datasets: cards by name.
        backends: names of those there are; empty where they are not known.
        environment: see `bench.records.environment.machine`.
        no_cuda: why there is no CUDA device, where there is none.
    """

    devices: tuple[str, ...] = ("cpu",)
    threads: int = 1
    archs: Mapping[str, tuple[ArchCard, ...]] = field(default_factory=dict)
    datasets: Mapping[str, DatasetCard] = field(default_factory=dict)
    backends: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    no_cuda: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A job of a plan; with a status and a reason where it is known beforehand that it will not run.

    `images` are those of an epoch, for trainings; `processes` say how many further processes there may be, for times
    that are measured in several.
    """

    job: Job
    card: ArchCard
    timeout_s: float
    images: int = 0
    processes: Processes | None = None
    status: Literal["skipped", "unsupported"] | None = None
    reason: str | None = None
    tip: str | None = None


def expand(experiment: Experiment, catalog: Catalog) -> tuple[Planned, ...]:
    """Multiply the grids out; a job that two blocks ask for is planned once.

    Raises:
        ConfigError: for a value that is not valid, with its path.
        DeviceError: for a device that is not there.
        UnknownNameError: for a data set or a backend that is not known.
    """
    planned: dict[str, Planned] = {}
    for block in experiment.blocks:
        if has_network(block.task) and not block.archs:
            raise ConfigError(
                f"{block.path}grid.arch: no architecture is named", "give arch: [resnet18, ...]"
            )
        for point in _points(block, catalog):
            for one in _processes(_plan(experiment, block, point, catalog)):
                planned.setdefault(one.job.id, one)
    return tuple(planned.values())


def _processes(planned: Planned) -> Iterator[Planned]:
    """Yield the job once for each process in which it is measured at least."""
    if planned.processes is None or planned.status is not None:
        yield planned
    else:
        yield from (in_process(planned, number) for number in range(planned.processes.least))


def in_process(planned: Planned, number: int) -> Planned:
    """Return the planned job as the process of this number does it."""
    settings = {**planned.job.settings, "replicate": number}
    return replace(planned, job=replace(planned.job, settings=settings))


def _points(block: Block, catalog: Catalog) -> Iterator[dict[str, Any]]:
    """Yield each point of the grid as a flat mapping, with values by device resolved."""
    cards = [card for name in block.archs for card in catalog.archs[str(name)]] or [MACHINE]
    axes = {"arch": cards, **block.axes} | {"arch": cards}
    for values in itertools.product(*axes.values()):
        point = {**block.fixed, **dict(zip(axes, values, strict=True))}
        if "device" in keys_of(block.task):
            point["device"] = _device(point.get("device", "auto"), catalog, block.path)
        kind = str(point.get("device", "cpu")).partition(":")[0]
        yield {k: _by_device(v, kind, block.path + k) for k, v in point.items()}


def _device(asked: Any, catalog: Catalog, path: str) -> str:
    """Return the device that `auto` or `cuda` means, or the one asked for, as one of the catalog's.

    Raises:
        DeviceError: if it is not there.
    """
    cuda = [d for d in catalog.devices if d.startswith("cuda")]
    if asked == "auto":
        return cuda[0] if cuda else "cpu"
    if asked == "cuda" and cuda:
        return cuda[0]
    if asked in catalog.devices:
        return str(asked)
    if not str(asked).startswith("cuda"):
        close = ["cuda"] if str(asked) in ("gpu", "nvidia") else nearest(str(asked), ("auto", "cpu", "cuda"))
        tip = f"did you mean {close[0]}?" if close else "known: auto, cpu, cuda, cuda:N"
        raise DeviceError(f"{path}device: unknown device {asked!r}", tip)
    here = ", ".join(catalog.devices)
    reason = f" ({catalog.no_cuda})" if catalog.no_cuda else ""
    raise DeviceError(
        f"device {asked} is asked for, but this machine has only {here}{reason}",
        "use --set device=cpu, or device=auto to take a GPU where there is one",
    )


def _by_device(value: Any, kind: str, path: str) -> Any:
    """Return the value for this kind of device where a mapping gives one for each, else the value itself."""
    if not isinstance(value, dict):
        return value
    if value and set(value) <= set(DEVICE_KINDS):
        if kind not in value:
            raise ConfigError(f"{path}: no value for device {kind}", f"add {kind}: to {value}")
        return value[kind]
    return {k: _by_device(v, kind, f"{path}.{k}") for k, v in value.items()}


def _plan(experiment: Experiment, block: Block, point: dict[str, Any], catalog: Catalog) -> Planned:
    card: ArchCard = point["arch"]
    asked = _validate(block, _named(block, point))
    job = _job(block, asked, card, catalog)
    planned = Planned(job=job, card=card, timeout_s=asked.timeout_s, images=_trained(asked, catalog))
    if isinstance(asked, Infer) and asked.replicate is None and not asked.processes.alone:
        planned = replace(planned, processes=asked.processes)
    if match := _skipped(experiment, block, asked):
        return replace(planned, status="skipped", reason=f"the experiment skips {dict(match)}")
    if job.task == "accuracy" and card.num_classes is None:
        reason = f"{card.name} is no classifier: nothing to train on"
        return replace(planned, status="unsupported", reason=reason)
    if job.input_size < card.min_input:
        return replace(
            planned,
            status="unsupported",
            reason=f"{card.name} needs at least {card.min_input} px, asked for {job.input_size} px",
            tip=f"set input_size to {card.min_input} or more, or leave it out",
        )
    return planned


def _named(block: Block, point: Mapping[str, Any]) -> dict[str, Any]:
    """Return the point with the network's name in place of its card, where the task has a network."""
    rest = {k: v for k, v in point.items() if k != "arch"}
    return {**rest, "arch": point["arch"].name} if has_network(block.task) else rest


def _validate(block: Block, point: Mapping[str, Any]) -> Shared:
    try:
        return SETTINGS[block.task].model_validate(point)
    except ValidationError as error:
        raise _config_error(block.path, error) from error


_TYPES = ("constrained", "int", "float", "none", "str", "literal")


def _config_error(path: str, error: ValidationError) -> ConfigError:
    """Name the first wrong value by its path and what is expected there, or the nearest key."""
    first = error.errors()[0]
    # Members of a union and of literals appear in the location; only keys help a reader.
    steps = [str(s) for s in first["loc"] if not str(s).startswith(_TYPES)]
    key = path + ".".join(steps)
    if first["type"] == "extra_forbidden":
        close = nearest(steps[-1], Timing.model_fields)
        return ConfigError(f"unknown key {key}", f"did you mean {close[0]}?" if close else None)
    return ConfigError(f"{key}: {first['msg'].lower()}, got {first['input']!r}", "mend the value there")


def _job(block: Block, asked: Shared, card: ArchCard, catalog: Catalog) -> Job:
    shape = _shape(asked, card, catalog)
    settings = {k: v for k, v in asked.model_dump(mode="json").items() if k not in NOT_SETTINGS}
    settings = {k: v for k, v in settings.items() if k not in OPTIONAL or v is not None}
    if "threads" in settings and settings["threads"] is None:
        settings["threads"] = catalog.threads
    if catalog.backends and settings.get("backend", catalog.backends[0]) not in catalog.backends:
        raise unknown_name("backend", settings["backend"], catalog.backends, "see `bench list backends`")
    if isinstance(asked, Accuracy):
        recipe, dataset = load_recipe(asked.recipe), _dataset(asked.dataset, catalog)
        images = dataset.at(shape["input_size"]) if dataset.in_files else dataset
        settings |= {"recipe": recipe.model_dump(mode="json"), "epochs": asked.epochs or recipe.epochs}
        settings |= {"augment": recipe.augment.on(images)._asdict()}
        # What tells a folder's images from others that may lie there another time.
        settings |= {} if dataset.sha256 is None else {"dataset_sha256": dataset.sha256}
    return Job(
        task=block.task,
        arch=card.name,
        seed=asked.seed,
        settings=settings,
        source_sha256=card.source_sha256,
        **shape,
    )


def _shape(asked: Shared, card: ArchCard, catalog: Catalog) -> dict[str, Any]:
    """Return input size, channels and classes: as asked, of the data set, or the network's own."""
    if isinstance(asked, Accuracy):
        dataset = _dataset(asked.dataset, catalog)
        return {
            "input_size": asked.input_size or _trained_at(dataset, card),
            "in_channels": dataset.in_channels if card.any_channels else card.in_channels,
            "num_classes": dataset.num_classes,
        }
    return {
        "input_size": (asked.input_size if isinstance(asked, Common) else None) or card.input_size,
        "in_channels": getattr(asked, "in_channels", None) or card.in_channels,
        "num_classes": getattr(asked, "num_classes", None) or card.num_classes,
    }


def _trained_at(dataset: DatasetCard, card: ArchCard) -> int:
    """Return the images' own size in px; the network's native one where the images fall little short of it.

    So that the 28 px images of MNIST train LeNet-5 as it was published, for a field of 32 px, and not a smaller one.
    """
    size = max(dataset.size, card.min_input)
    return card.input_size if size < card.input_size <= LITTLE_SHORT * size else size


def _dataset(name: str, catalog: Catalog) -> DatasetCard:
    if name not in catalog.datasets:
        hint = "see `bench list datasets`, or give imagefolder:PATH"
        raise unknown_name("data set", name, catalog.datasets, hint)
    return catalog.datasets[name]


def _trained(asked: Shared, catalog: Catalog) -> int:
    """Return the images of an epoch of training; 0 for other tasks."""
    if not isinstance(asked, Accuracy):
        return 0
    whole = _dataset(asked.dataset, catalog).train
    return min(asked.train_images or whole, whole)


def _skipped(experiment: Experiment, block: Block, asked: Shared) -> Mapping[str, Any] | None:
    values = {"task": block.task, **asked.model_dump(mode="json")}
    device = values.get("device")
    told = {**{k: [v] for k, v in values.items()}, "device": [device, str(device).partition(":")[0]]}
    return next((m for m in experiment.skip if all(v in told.get(k, [None]) for k, v in m.items())), None)
