"""A job: one point of an experiment's grid, frozen, identified by a hash of its content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Generic, Literal, Self

from typing_extensions import TypeVar

from bench.io import JsonObject
from bench.plan.settings import Settings, canonical_json
from bench.plan.task import TASKS, of_network

_ID_LENGTH = 12

Role = Literal[
    "measured",
    "repeated",  # once more, since others' work disturbed the first try
    "drift_control",  # once more at the end of a run, to show how the machine changed meanwhile
]
"""What a job is done for."""

_SettingsT_co = TypeVar("_SettingsT_co", bound=Settings, default=Settings, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Job(Generic[_SettingsT_co]):
    """What was asked, and nothing of what was seen.

    Attributes:
        task: what kind of question it is, a name of `bench.tasks`.
        arch: name of the network, see `bench.archs.naming`; of task `ceiling`, which has none, that word.
        input_size: height and width of the images in px.
        in_channels: channels of the images.
        num_classes: outputs of the network; None for a network that is no classifier.
        seed: of everything random in the job.
        settings: of its task; a mapping of plain JSON values is read as such.
        source_sha256: of the file that defines the network where it is not one of the package's,
            so that an edited network is a new job.
    """

    task: str
    arch: str
    input_size: int
    in_channels: int = 3
    num_classes: int | None = 1000
    seed: int = 0
    settings: _SettingsT_co = field(default_factory=dict)  # type: ignore[assignment] # read below, as its task's
    source_sha256: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.settings, Mapping):
            object.__setattr__(self, "settings", self.read_settings(self.task, self.settings))

    def content(self) -> dict[str, object]:
        """Return all that identifies the job, as plain JSON values."""
        return {
            "task": self.task,
            "arch": self.arch,
            "input_size": self.input_size,
            "in_channels": self.in_channels,
            "num_classes": self.num_classes,
            "seed": self.seed,
            "settings": dict(self.settings.content),
            "source_sha256": self.source_sha256,
        }

    @cached_property
    def id(self) -> str:
        """The first 12 hex digits of the SHA-256 of the content's canonical JSON."""
        text = self._canonical(_text(self.seed), self.settings.canonical)
        return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]

    def _canonical(self, seed: str, settings: str) -> str:
        """Return the canonical JSON of the content: put together, as many jobs have most of it alike."""
        return (
            f'{{"arch":{_text(self.arch)},"in_channels":{_text(self.in_channels)},'
            f'"input_size":{_text(self.input_size)},"num_classes":{_text(self.num_classes)},"seed":{seed},'
            f'"settings":{settings},"source_sha256":{_text(self.source_sha256)},"task":{_text(self.task)}}}'
        )

    def __hash__(self) -> int:
        return hash(self.id)

    def series(self) -> str:
        """Return what it asks but for its seed and its number among replicates, as one string."""
        return self._canonical("null", self.settings.of_series)

    def to_json(self) -> dict[str, object]:
        """Return the content with the id in front."""
        return {"id": self.id, **self.content()}

    @classmethod
    def from_json(cls, data: JsonObject) -> Self:
        """Read a job back; its id is computed anew."""
        return cls(**{k: v for k, v in data.items() if k != "id"})

    def with_settings(self, **values: object) -> Job[_SettingsT_co]:
        """Return the job with other values of some settings; it has another id."""
        own = {name: value for name, value in vars(self).items() if name != "id"}
        return self.stored({**own, "settings": self.settings.changed(**values)})

    @classmethod
    def stored(cls, checked: dict[str, Any]) -> Self:
        """Return the job of all its fields, and of its id where that is known, already checked; it keeps them."""
        if "id" in checked and len(checked["id"]) != _ID_LENGTH:
            return cls.from_json(checked)
        job = object.__new__(cls)
        object.__setattr__(job, "__dict__", checked)  # a tenth of the time that the fields take one by one
        return job

    @property
    def device(self) -> str:
        """Where it runs; counting needs no device of its own."""
        return self.settings.device

    @property
    def device_kind(self) -> str:
        """What kind of device that is: cpu or cuda."""
        return self.device.partition(":")[0]

    @property
    def devices(self) -> tuple[str, ...]:
        """All that it takes: as many CUDA devices as it has ranks, from its own on."""
        if self.device_kind != "cuda":
            return (self.device,)
        first = _number_of(self.device)
        return tuple(f"cuda:{first + rank}" for rank in range(self.settings.device_count))

    def label(self) -> str:
        """Return one line for progress and messages, such as ``infer vgg16 224 px batch 8 cpu``."""
        settings = self.settings.given
        subject = TASKS.get(self.task).subject if self.task in TASKS else of_network
        text = self.task + subject(self)
        if "batch_size" in settings:
            text += f" batch {settings['batch_size']}"
        if "replicate" in settings and "networks" not in settings:
            text += f" process {settings['replicate'] + 1}"
        for key in _IN_LABEL:
            if key in settings and settings[key] not in _USUAL:
                text += f" {settings[key]}"
        return text + " cudnn_benchmark" * bool(settings.get("cudnn_benchmark"))

    @staticmethod
    def read_settings(task: str, values: JsonObject) -> Settings:
        """Return the settings of a job of a task, of which there may be none of that name any more."""
        return (TASKS.get(task).settings if task in TASKS else Settings).read(values)


def _number_of(device: str) -> int:
    """Return the number of a device such as ``cuda:1``; 0 where it has none."""
    number = device.partition(":")[2]
    return int(number) if number.isdigit() else 0


def card_of(environment: JsonObject, device: str) -> JsonObject:
    """Return what an environment knows of the card that a device such as ``cuda:1`` means; empty where nothing is."""
    place, cards = _number_of(device), environment.get("gpu", ())
    return cards[place] if place < len(cards) else {}


def _text(value: object) -> str:
    return str(value) if type(value) is int else _other_text(value)


@lru_cache(maxsize=4096, typed=True)
def _other_text(value: object) -> str:
    return canonical_json(value)


def unnumbered(label: str) -> str:
    """Return the label of a job without its seed, or the number of its process."""
    return re.sub(r" (seed|process) \d+\b", "", label)


_IN_LABEL = ("precision", "memory_format", "backend", "device", "device_type")
_USUAL = ("fp32", "contiguous", "eager", "cpu")
