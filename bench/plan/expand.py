"""Expansion: an experiment and a catalog become a plan, a tuple of jobs, first in the order they are written.

Timed jobs are then done in rounds, shuffled within each, so that drift does not favour the last.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from bench.errors import ConfigError, DeviceError, UnknownNameError, suggestion, together, unknown_name
from bench.io import JsonObject, uncollected
from bench.plan._yaml import is_by_device
from bench.plan.card import ArchCard, DatasetCard
from bench.plan.config import Block, Experiment
from bench.plan.job import Job, Role, card_of
from bench.plan.settings import Keys, NetworkKeys, Processes, Settings, Timed, TimedKeys
from bench.plan.task import TASKS, UNKNOWN, Outline, Work

USUAL_SPLIT = "val"
"""The split of a data set that networks are evaluated on, where nobody says."""

# Stands where a network does, in jobs of the machine alone.
_MACHINE = ArchCard(name="ceiling", family="machine", input_size=1, in_channels=1, num_classes=None)


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """What the expansion must know of the machine and of the units named, found out by `execution._probe`.

    Attributes:
        devices: those that are there, such as ``("cpu", "cuda:0")``.
        threads: default count of CPU threads.
        archs: for each name or pattern, as written, the cards of the networks it means.
        datasets: cards by name.
        evaluated: cards of the splits that are evaluated on, by `set_name`.
        missing: data sets that are asked for and whose files are not on this machine.
        backends: names of those there are; empty where they are not known.
        environment: see `bench.records.environment.machine`.
        no_cuda: why there is no CUDA device, where there is none.
        machines: by kind of device, the environments of all machines of a cluster that have one; empty for this one.
        unused: names of further ones that cannot be used, each with the reason.
        rates: by kind of device, multiply-accumulates a second of matrix products, by a short look; of this machine.
    """

    devices: tuple[str, ...] = ("cpu",)
    threads: int = 1
    archs: Mapping[str, tuple[ArchCard, ...]] = field(default_factory=dict)
    datasets: Mapping[str, DatasetCard] = field(default_factory=dict)
    evaluated: Mapping[str, DatasetCard] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    environment: JsonObject = field(default_factory=dict)
    no_cuda: str | None = None
    machines: Mapping[str, tuple[JsonObject, ...]] = field(default_factory=dict)
    unused: tuple[tuple[str, str], ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def set_name(data: str, split: str) -> str:
        """Return by what name a catalog has a split of a data set."""
        return f"{data} {split}"

    def evaluated_on(self, data: str, split: str) -> DatasetCard:
        """Return the card of a split of a data set.

        Raises:
            UnknownNameError: if there is none.
        """
        if (card := self.evaluated.get(self.set_name(data, split))) is None:
            raise unknown_data(data, self.datasets)
        return card

    @cached_property
    def equal_cards(self) -> tuple[int, ...]:
        """The numbers of the CUDA devices that equal the first in model and memory, itself among them.

        Slices of a board (MIG) share its power and its clocks: what runs on one tells on the times of another.
        """
        kinds = [(card.get("name"), card.get("memory_B")) for card in self._cards]
        first = self._cards[0] if self._cards else {}
        sliced = " MIG " in str(first.get("name")) or str(first.get("uuid")).startswith("MIG-")
        return tuple(i for i, kind in enumerate(kinds) if i == 0 or (kind == kinds[0] and not sliced))

    @cached_property
    def other_cards(self) -> tuple[str, ...]:
        """The CUDA devices that do not, each with its model."""
        others = (i for i in range(len(self._cards)) if i not in self.equal_cards)
        return tuple(f"cuda:{i} ({self._cards[i].get('name')})" for i in others)

    @cached_property
    def idle_cards(self) -> tuple[str, ...]:
        """The models of the cards of a machine whose CUDA shows none of them."""
        cards = () if self._cards else self.environment.get("gpu", ())
        return tuple(str(card.get("name") or "a card of no known name") for card in cards)

    @property
    def _cards(self) -> Sequence[JsonObject]:
        cards: Sequence[JsonObject] = self.environment.get("gpu", ())
        return cards[: sum(d.startswith("cuda") for d in self.devices)]


def unknown_data(name: str, known: Collection[str]) -> UnknownNameError:
    """Return the error for the name of a data set that is not known; a folder is told how it is called."""
    folder = f"a folder of images is given as imagefolder:{name}"
    hint = folder if Path(name).is_dir() else "see `bench list datasets`, or give imagefolder:PATH"
    return unknown_name("data set", name, known, hint)


def _type_of(environment: JsonObject, device: str) -> str:
    """Return the name of a card, or of the CPU, in an environment; empty where it is not known."""
    if device == "cpu":
        return str(environment.get("cpu", {}).get("model") or "")
    return str(card_of(environment, device).get("name") or "")


def is_of_type(environment: JsonObject, device: str, device_type: str) -> bool:
    """Return whether the name of a card, or of the CPU, has a part, in whichever case it is written."""
    return device_type.casefold() in _type_of(environment, device).casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A job of a plan; with a status and a reason where it is known beforehand that it will not run.

    `work` is how much it has to do, as far as that is known; `processes` say how many further processes there may be,
    for what is measured in several; `note` is what a reader should know of the data; `any_card` says that its
    device stands for any card that equals it; `role` is what it is done for.
    """

    job: Job
    card: ArchCard
    timeout_s: float
    work: Work = UNKNOWN
    processes: Processes | None = None
    status: Literal["skipped", "unsupported"] | None = None
    reason: str | None = None
    tip: str | None = None
    note: str = ""
    any_card: bool = False
    role: Role = "measured"

    def in_process(self, number: int) -> Planned:
        """Return the planned job as the process of this number does it."""
        return replace(self, job=self.job.with_settings(replicate=number))

    @property
    def is_timed(self) -> bool:
        """Return whether a planned job is to be timed, in rounds."""
        return self.status is None and TASKS.get(self.job.task).timed

    @property
    def datasets(self) -> tuple[str, ...]:
        """Return the names of the data sets that a job needs."""
        given = self.job.settings.given
        return tuple(str(name) for key in ("dataset", "data", "calibration") if (name := given.get(key)))


@uncollected()
def expand(experiment: Experiment, catalog: Catalog) -> tuple[Planned, ...]:
    """Multiply the grids out; a job that two blocks ask for is planned once.

    Raises:
        ConfigError: for a value that is not valid, with its path.
        DeviceError: for a device that is not there.
        UnknownNameError: for a data set or a backend that is not known.
    """
    planned: dict[str, Planned] = {}
    for block in experiment.blocks:
        if TASKS.get(block.task).has_network and not block.archs:
            message = f"{block.path}grid.arch: no architecture is named"
            raise ConfigError(message, "give arch: [resnet18, ...]")
        settings = _settings_of(block, catalog)
        for card, point, device in _points(block, catalog):
            one = _on_cards(
                _plan(experiment, block, card, point, catalog, settings=settings), device, catalog
            )
            for process in _processes(one):
                planned.setdefault(process.job.id, process)
    return tuple(planned.values())


def _processes(planned: Planned) -> Iterator[Planned]:
    """Yield the job once for each process in which it is measured at least."""
    if planned.processes is None or planned.status is not None:
        yield planned
    else:
        yield from (planned.in_process(number) for number in range(planned.processes.least))


def _points(block: Block, catalog: Catalog) -> Iterator[tuple[ArchCard, dict[str, object], object]]:
    """Yield each point of the grid: a network's card, the values as a flat mapping, and the device as it is written.

    Values by device are resolved.
    """
    task = TASKS.get(block.task)
    networks = [(card, own) for name, own in block.networks for card in catalog.archs[name]]
    axes = {key: values for key, values in block.axes.items() if key not in ("arch", *NetworkKeys.in_name)}
    has_network, has_device = task.has_network, "device" in task.key_names
    by_device = any(
        isinstance(value, dict) for value in itertools.chain(block.fixed.values(), *axes.values())
    )
    for (card, own), values in itertools.product(
        networks or [(_MACHINE, {})], itertools.product(*axes.values())
    ):
        point = {**block.fixed, **own, **dict(zip(axes, values, strict=True))}
        if has_network:
            point["arch"] = card.name
        written = point.get("device", "auto")
        if has_device:
            point["device"] = _device(written, catalog, block.place("device"))
        if by_device:
            kind = str(point.get("device", "cpu")).partition(":")[0]
            point = {key: _by_device(value, kind, block.place(key)) for key, value in point.items()}
        yield card, point, written


_SEVERAL = ("auto", "all", "cuda")  # devices that name no card: any that equals the first will do


def _on_cards(planned: Planned, written: object, catalog: Catalog) -> Planned:
    """Return a planned job with whether any of several cards may do it, as the device that is written says.

    One with several ranks has the first cards. Which cards are left out is told.
    """
    if planned.job.device_kind == "cpu" and written in ("auto", "all") and catalog.idle_cards:
        note = f"on the CPU, although there is {', '.join(catalog.idle_cards)}: {catalog.no_cuda}"
        return replace(planned, note="; ".join(filter(None, (planned.note, note))))
    if planned.job.device_kind != "cuda" or written not in _SEVERAL:
        return planned
    any_card = planned.job.settings.device_count == 1 and len(catalog.equal_cards) > 1
    others = catalog.other_cards if any_card or written == "all" else ()
    note = f"left out, as they are no cards like cuda:0, or slices of one board: {', '.join(others)}"
    note = note if others else ""
    return replace(planned, any_card=any_card, note="; ".join(filter(None, (planned.note, note))))


def _device(name: object, catalog: Catalog, place: str) -> str:
    """Return the device that `auto`, `all` or `cuda` means, or the one named, as one of the catalog's.

    Where there are several cards, it is the first; whether others may take its place, `_on_cards` tells.

    Raises:
        DeviceError: if it is not there.
    """
    cuda = [d for d in catalog.devices if d.startswith("cuda")]
    if name in ("auto", "all"):
        return cuda[0] if cuda else "cpu"
    if name == "cuda" and cuda:
        return cuda[0]
    if name in catalog.devices:
        return str(name)
    if not str(name).startswith("cuda"):
        like = "cuda" if name in ("gpu", "nvidia") else str(name)
        tip = suggestion(like, ("auto", "cpu", "cuda", "all"), "known: auto, cpu, cuda, cuda:N, all")
        raise DeviceError(f"{place}: unknown device {name!r}", tip)
    here = ", ".join(catalog.devices)
    reason = f" ({catalog.no_cuda})" if catalog.no_cuda else ""
    message = f"device {name} is asked for, but this machine has only {here}{reason}"
    raise DeviceError(message, "use --set device=cpu, or device=auto to take a GPU where there is one")


def _by_device(value: object, kind: str, path: str) -> object:
    """Return the value for this kind of device where a mapping gives one for each, else the value itself."""
    if not isinstance(value, dict):
        return value
    if is_by_device(value):
        if kind not in value:
            raise ConfigError(f"{path}: no value for device {kind}", f"add {kind}: to {value}")
        return value[kind]
    return {k: _by_device(v, kind, f"{path}.{k}") for k, v in value.items()}


def _plan(
    experiment: Experiment,
    block: Block,
    card: ArchCard,
    point: Mapping[str, object],
    catalog: Catalog,
    *,
    settings: Callable[[Keys, Outline], Settings],
) -> Planned:
    keys = _validate(block, point)
    outline = TASKS.get(block.task).outline(keys, card, catalog)
    job = Job.stored(
        {
            "task": block.task,
            "arch": card.name,
            "input_size": outline.input_size,
            "in_channels": outline.in_channels,
            "num_classes": outline.num_classes,
            "seed": keys.seed,
            "settings": settings(keys, outline),
            "source_sha256": card.source_sha256,
        }
    )
    own = card.note if card.source_sha256 and job.input_size == card.input_size else None
    numbered = getattr(keys, "replicate", None) is not None
    processes = keys.processes if isinstance(keys, TimedKeys) else TASKS.get(block.task).processes
    planned = Planned(
        job=job,
        card=card,
        timeout_s=keys.timeout_s,
        work=outline.work,
        processes=None if numbered or processes is None or processes.alone else processes,
        note="; ".join(filter(None, (outline.note, own))),
    )
    if match := _skipped(experiment, block, keys):
        return replace(planned, status="skipped", reason=f"the experiment skips {dict(match)}")
    if refusal := _of_no_machine(job, catalog):
        return replace(planned, status="unsupported", reason=refusal)
    if outline.refusal is not None:
        return replace(planned, status="unsupported", reason=outline.refusal)
    if card.batch is not None and (asked := getattr(keys, "batch_size", 1)) not in (card.batch, "auto"):
        reason = f"{card.name} takes batches of {card.batch} alone, asked for {asked}"
        tip = f"time it at batch_size {card.batch} alone, or export it with a dynamic batch"
        return replace(planned, status="unsupported", reason=reason, tip=tip)
    if job.input_size < card.min_input:
        reason = f"{card.name} needs at least {card.min_input} px, asked for {job.input_size} px"
        tip = f"set input_size to {card.min_input} or more, or leave it out"
        return replace(planned, status="unsupported", reason=reason, tip=tip)
    return planned


def _of_no_machine(job: Job, catalog: Catalog) -> str | None:
    """Return why no machine has the devices that a job asks for, in number or of their type; None where one has."""
    if catalog.machines and not {*job.devices} <= {*catalog.devices, "cpu"}:
        return f"it takes {len(job.devices)} cards of one machine; at a cluster a job has one"
    if (wish := job.settings.device_type) is None:
        return None
    machines = catalog.machines.get(job.device_kind, (catalog.environment,))
    if any(is_of_type(machine, job.device, wish) for machine in machines):
        return None
    names = ", ".join(sorted({_type_of(machine, job.device) or "of no known name" for machine in machines}))
    return f"no {job.device} here is of the type {wish!r}: {names}"


def _validate(block: Block, point: Mapping[str, object]) -> Keys:
    keys = TASKS.get(block.task).keys or Keys
    try:
        return keys.model_validate(point)
    except ValidationError as error:
        raise together(list(_config_errors(block, keys, error))) from error


_TYPES = ("constrained", "int", "float", "none", "str", "literal")


def _config_errors(block: Block, keys: type[Keys], error: ValidationError) -> Iterator[ConfigError]:
    """Yield for each wrong value an error that says where it is and what is expected there, or the nearest key."""
    told: set[str] = set()
    for first in error.errors():
        *steps, last = map(str, first["loc"])
        # Members of a union and of literals appear in the location; only keys help a reader.
        key = ".".join(s for s in (*steps, last) if s in keys.model_fields or not s.startswith(_TYPES))
        if first["type"] == "extra_forbidden":
            known = getattr(keys.model_fields[steps[0]].annotation if steps else keys, "model_fields", ())
            place = block.place(".".join([*steps, last]))
            yield ConfigError(f"unknown key {place}", suggestion(last, known))
        elif key not in told:
            yield _wrong_value(block.place(key), keys.model_fields.get(last), first)
        told.add(key)


def _wrong_value(place: str, field: FieldInfo | None, wrong: ErrorDetails) -> ConfigError:
    own = getattr(getattr(field, "annotation", None), "model_fields", ())
    given, last = wrong["input"], str(wrong["loc"][-1])
    if wrong["type"] == "model_type" and own:
        tip = f"set them one by one: {', '.join(f'{last}.{name}' for name in own)}"
        return ConfigError(f"{place} has keys of its own, got {given!r}", tip)
    said, tip = wrong["msg"].lower().partition(", unable to parse")[0], "mend the value there"
    if wrong["type"] in ("int_parsing", "float_parsing"):
        tip = "write a number alone, without a unit"
    if wrong["type"] == "literal_error":
        known = re.findall(r"'([^']*)'", str(wrong["ctx"]["expected"]))
        tip = suggestion(str(given), known)
    return ConfigError(f"{place}: {said}, got {given!r}", tip)


def _settings_of(block: Block, catalog: Catalog) -> Callable[[Keys, Outline], Settings]:
    """Return a function that gives the settings of a point's job; many points have all alike."""
    task = TASKS.get(block.task)
    own = set(task.settings.model_fields)
    said_of = _getter(own.intersection(task.key_names))
    known: dict[object, Settings] = {}

    def read(keys: Keys, outline: Outline) -> Settings:
        settings = keys.model_dump(mode="json", include=own, exclude_none=True)
        if "threads" in own:
            settings.setdefault("threads", catalog.threads)
        if catalog.backends and settings.get("backend", catalog.backends[0]) not in catalog.backends:
            hint = "see `bench list backends`"
            raise unknown_name("backend", settings["backend"], catalog.backends, hint)
        images = str(settings.get("calibration", ""))  # a folder of which is told where it is looked into
        if images and catalog.datasets and images not in catalog.datasets and ":" not in images:
            raise unknown_data(images, catalog.datasets)
        return Job.read_settings(block.task, {**settings, **outline.settings})

    def settings(keys: Keys, outline: Outline) -> Settings:
        said = said_of(keys), *outline.settings.items()
        try:
            if said not in known:
                known[said] = read(keys, outline)
            return known[said]
        except TypeError:  # a value that cannot be looked up
            return read(keys, outline)

    return settings


def _getter(names: Collection[str]) -> Callable[[object], object]:
    return attrgetter(*sorted(names)) if names else lambda _: None


def _skipped(experiment: Experiment, block: Block, keys: Keys) -> Mapping[str, object] | None:
    if not experiment.skip:
        return None
    values = {"task": block.task, **keys.model_dump(mode="json")}
    # By their old names and by the new ones.
    spellings = {k: [v, getattr(keys, k, v)] for k, v in values.items()}
    device = values.get("device")
    spellings["device"] = [device, str(device).partition(":")[0]]
    matches = (m for m in experiment.skip if all(v in spellings.get(k, [None]) for k, v in m.items()))
    return next(matches, None)


def in_rounds(plan: Sequence[Planned], seed: int = 0) -> tuple[Planned, ...]:
    """Return the plan with its timed jobs in rounds: the first replicate of each, then the second of each ...

    Within a round the order is drawn, from the seed, so that it is the same again, and what measures the machine in
    several processes comes first. All other jobs stay where they are written, before or after the first timed one.
    """
    rounds: defaultdict[int, list[Planned]] = defaultdict(list)
    of_machine: defaultdict[int, list[Planned]] = defaultdict(list)
    others: dict[bool, list[Planned]] = {True: [], False: []}  # behind the first timed one, or before it
    for planned in plan:
        settings = planned.job.settings
        if planned.is_timed and isinstance(settings, Timed):
            rounds[settings.replicate or 0].append(planned)
        elif planned.processes is not None and planned.status is None:
            of_machine[settings.given["replicate"]].append(planned)
        else:
            others[bool(rounds)].append(planned)
    for number, jobs in rounds.items():
        random.Random(f"{seed} {number}").shuffle(jobs)
    in_order = ((*of_machine[n], *rounds[n]) for n in sorted({*rounds, *of_machine}))
    return (*others[False], *itertools.chain(*in_order), *others[True])
