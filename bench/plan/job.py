"""A job: one point of an experiment's grid, frozen, identified by a hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

import msgspec

Task = Literal["cost", "infer", "train_step", "accuracy", "ceiling", "versus"]
TASKS: tuple[Task, ...] = tuple(t for t in get_args(Task) if t != "versus")
"""Those that an experiment may ask for; `versus` is planned by `bench compare` and `bench selftest`."""

ID_LENGTH = 12

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, kw_only=True)
class Job:
    """What was asked, and nothing of what was seen.

    Attributes:
        task: what kind of question it is.
        arch: name of the network, see `bench.archs.naming`; of task `ceiling`, which has none, that word.
        input_size: height and width of the images in px.
        in_channels: channels of the images.
        num_classes: outputs of the network; None for a network that is no classifier.
        seed: of everything random in the job.
        settings: of the task, as validated by `bench.plan.settings`; plain JSON values.
        source_sha256: of the file that defines the network where it is not one of the package's,
            so that an edited network is a new job.
    """

    task: Task
    arch: str
    input_size: int
    in_channels: int = 3
    num_classes: int | None = 1000
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    source_sha256: str | None = None

    def content(self) -> dict[str, Any]:
        """Return all that identifies the job, as plain JSON values."""
        return {
            "task": self.task,
            "arch": self.arch,
            "input_size": self.input_size,
            "in_channels": self.in_channels,
            "num_classes": self.num_classes,
            "seed": self.seed,
            "settings": dict(self.settings),
            "source_sha256": self.source_sha256,
        }

    @cached_property
    def id(self) -> str:
        """The first 12 hex digits of the SHA-256 of the content's canonical JSON."""
        return hashlib.sha256(_canonical(self.content()).encode()).hexdigest()[:ID_LENGTH]

    def __hash__(self) -> int:
        return hash(self.id)

    def series(self) -> str:
        """Return what it asks but for its seed and its number among replicates, as one string."""
        content = {**self.content(), "seed": None}
        content["settings"].pop("replicate", None)
        try:
            return msgspec.json.encode(content, order="sorted").decode()  # a fifth of the time
        except UnicodeEncodeError:  # a name that is not UTF-8
            return _canonical(content)

    def to_json(self) -> dict[str, Any]:
        """Return the content with the id in front."""
        return {"id": self.id, **self.content()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """Read a job back; its id is computed anew."""
        return cls(**{k: v for k, v in data.items() if k != "id"})

    @classmethod
    def stored(cls, checked: Mapping[str, Any]) -> Job:
        """Return the job of all its fields and its id, the way `to_json` gives them and already checked."""
        if len(checked["id"]) != ID_LENGTH:
            return cls.from_json(checked)
        job = object.__new__(cls)
        job.__dict__.update(checked)  # a tenth of the time that the fields take one by one
        return job

    @property
    def device(self) -> str:
        """Where it runs; counting needs no device of its own."""
        return str(self.settings.get("device", "cpu"))

    @property
    def devices(self) -> tuple[str, ...]:
        """All that it takes: as many CUDA devices as it has ranks, from its own on."""
        kind, _, index = self.device.partition(":")
        if kind != "cuda":
            return (self.device,)
        first = int(index) if index.isdigit() else 0
        return tuple(f"cuda:{first + rank}" for rank in range(self.settings.get("ranks") or 1))

    def label(self) -> str:
        """Return one line for progress and messages, such as ``infer vgg16 224 px batch 8 cpu``."""
        s = self.settings
        text: str = self.task
        if "networks" in s:
            text += f" {' '.join(s['labels'])} process {s['replicate'] + 1}"
        elif text != "ceiling":
            text += f" {self.arch} {self.input_size} px"
        if "batch_size" in s:
            text += f" batch {s['batch_size']}"
        if "replicate" in s and "networks" not in s:
            text += f" process {s['replicate'] + 1}"
        if "dataset" in s:
            text += f" on {s['dataset']} seed {self.seed}"
        for key in _TOLD:
            if key in s and s[key] not in _USUAL:
                text += f" {s[key]}"
        return text + " cudnn_benchmark" * bool(s.get("cudnn_benchmark"))


_TOLD = ("precision", "memory_format", "backend", "device")
_USUAL = ("fp32", "contiguous", "eager", "cpu")
