"""What is said of a job: the keys that a block of an experiment may give, and the settings that a job then has.

Each task has a class of both kinds in its file in `bench.tasks`; what several tasks share is here. A key may be `None`
where a default depends on the machine or the network; `bench.plan.expand` fills it in, or leaves it out of the job.
"""

from __future__ import annotations

import json
from functools import cached_property, lru_cache
from typing import Annotated, ClassVar, Literal, Self, TypeVar

import msgspec
from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator

from bench.io import JsonObject

_Batch = Annotated[int, Field(ge=1, le=1_000_000)]
_Threads = Annotated[int, Field(ge=1, le=4096)]
_Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Replicate = Annotated[int, Field(ge=0, lt=10_000)]
Device = Annotated[str, Field(pattern=r"^(auto|all|cpu|cuda(:\d+)?)$")]
Precision = Literal["fp32", "tf32", "bf16", "fp16", "amp_bf16", "amp_fp16", "int8"]
_MemoryFormat = Literal["contiguous", "channels_last"]
_Max = Literal["max"]


canonical_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


class Frozen(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """What somebody has written: a key that is not known is an error."""


class Timing(Frozen):
    """How long to warm up and to sample, and when to stop.

    Attributes:
        warmup_s: least time of the warm-up; it goes on until two windows agree, up to four times this.
        min_s: the sampling takes at least this long.
        limit_s: the sampling ends here at the latest, once `min_samples` are there.
        precision: stop when half the 95 % interval of the median is within this share of the median.
        min_samples: at least this many; an interval of the median needs 6.
        max_samples: at most this many.
        min_block_s: unsynchronised calls are timed in blocks of at least this length.
    """

    warmup_s: _Seconds = 0.5
    min_s: Annotated[float, Field(ge=0)] = 0.3
    limit_s: _Seconds = 3.0
    precision: Annotated[float, Field(gt=0, lt=1)] = 0.01
    min_samples: Annotated[int, Field(ge=1, le=100_000)] = 8
    max_samples: Annotated[int, Field(ge=1, le=100_000)] = 1000
    min_block_s: _Seconds = 0.01


class Processes(Frozen):
    """In how many fresh processes a time is measured, one a round: it varies from process to process.

    Attributes:
        least: every time is measured in so many.
        most: one that is in doubt then, because its interval is wide or it overlaps its neighbour's, in up to so many.
        within: an interval is wide where half of it is more than this share of the time.
        grant_s: seconds that each time adds to what further rounds may take, all together.
    """

    least: Annotated[int, Field(ge=1, le=1000)] = 5
    most: Annotated[int, Field(ge=1, le=1000)] = 8
    within: Annotated[float, Field(gt=0, lt=1)] = 0.05
    grant_s: Annotated[float, Field(ge=0)] = 0.5

    @model_validator(mode="after")
    def _most_holds_least(self) -> Self:
        if self.most < self.least:
            raise ValueError(f"most is {self.most}, and least {self.least}: give most at least as many")
        return self

    @property
    def alone(self) -> bool:
        """Whether there is one process, whose number goes without saying."""
        return self.most == 1


class Settings(BaseModel, extra="allow", frozen=True):
    """What a job says beside its network, its shape and its seed; each task has a class of its own.

    A stored job may be of another version. What it does not say has the default here; what no class knows any more is
    kept. So its JSON, and with it the job's id, stays what it was.

    Attributes:
        device: where it runs; counting needs no device of its own.
        device_type: a part of the name that the card, or the CPU, must have, such as ``H100``; by default any.
    """

    device: str = "cpu"
    device_type: Annotated[str, Field(min_length=1)] | None = None

    @classmethod
    def read(cls, values: JsonObject) -> Self:
        """Return the settings of plain JSON values; one that this version would not accept is kept as it is.

        Equal settings, which many jobs have, are one object.
        """
        try:
            text = msgspec.json.encode(dict(values))
        except (TypeError, OverflowError, UnicodeEncodeError):  # not plain, or a name that is not UTF-8
            return cls._read(values)
        settings: Self = _read(cls, text)
        return settings

    @classmethod
    def _read(cls, values: JsonObject) -> Self:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            refused = {key: values[key] for e in error.errors() if (key := str(e["loc"][0])) in values}
            accepted = cls.model_validate({k: v for k, v in values.items() if k not in refused})
            return accepted.model_copy(update=refused)

    @cached_property
    def content(self) -> JsonObject:
        """All that is said, and no default, as plain JSON values: this identifies the job."""
        return self.model_dump(mode="json", exclude_unset=True, warnings=False)

    @cached_property
    def given(self) -> JsonObject:
        """The same as values of this version, for whoever has the name of a setting as data."""
        extra = self.model_extra or {}
        return {key: extra[key] if key in extra else getattr(self, key) for key in self.content}

    @cached_property
    def canonical(self) -> str:
        """The content as canonical JSON, for the identity of a job."""
        return canonical_json(self.content)

    @cached_property
    def of_series(self) -> str:
        """The same without the number of a process among replicates."""
        return canonical_json({key: value for key, value in self.content.items() if key != "replicate"})

    def changed(self, **values: object) -> Self:
        """Return the settings with other values; None takes a setting away."""
        content = {**self.content, **values}
        return self.read({key: value for key, value in content.items() if value is not None})

    @property
    def device_count(self) -> int:
        """How many devices it takes, `device` and those that follow it."""
        return 1

    @property
    def tries_kernels(self) -> bool:
        """Whether cuDNN tries its algorithms for each shape before anything is timed."""
        return False

    @property
    def likeness(self) -> tuple[str, ...]:
        """What jobs of a task must have alike to take about as long, beside their network."""
        return ()

    @property
    def length(self) -> int:
        """What the job's time is in proportion to; 1 where that has a time of its own."""
        return 1


_SettingsT = TypeVar("_SettingsT", bound=Settings)


@lru_cache(maxsize=4096)
def _read(kind: type[_SettingsT], text: bytes) -> _SettingsT:
    return kind._read(msgspec.json.decode(text))


class OnDevice(Settings):
    """Settings of every task that runs something on a device.

    Attributes:
        precision: of weights and images, and of what is computed. `fp32` is single precision, with TF32 forbidden;
            `tf32` allows it inside matrix products and convolutions, on CUDA only. `bf16` and `fp16` are pure:
            weights, images and all that is computed have 16 bits. With `amp_bf16` and `amp_fp16` weights and images
            are in single precision, and torch.autocast casts what it holds to be safe: each call casts the weights
            anew, as it does for users, and a training in `amp_fp16` scales its loss. With `int8` they are as they are
            in eager, and the engine multiplies 8-bit integers.
        threads: those of torch, or of the engine; by default one a core that the process may use.
    """

    precision: Precision = "fp32"
    threads: _Threads | None = None


class OfNetwork(OnDevice):
    """Settings of every task that runs a network on a device.

    Attributes:
        memory_format: contiguous (NCHW) or channels_last (NHWC), of weights and images.
    """

    memory_format: _MemoryFormat = "contiguous"


UNPREPARED = ("eager", "cuda_graph")
"""Backends that have nothing to compile or export."""


class Timed(OfNetwork):
    """Settings of every task that times the calls of a network.

    Attributes:
        batch_size: images a call; `max` is the largest that fits, to within 1/32 of it, found beforehand by trying.
        batch_limit: the most that `max` tries; by default 65,536.
        backend: how the network is run, a name of `bench list backends`.
        calibration: of int8, the data set on whose training images the ranges of activations are taken: a name of
            `bench list datasets`, or ``imagefolder:PATH``; by default seeded noise.
        timing: how long to sample.
        cudnn_benchmark: cuDNN tries its algorithms for each shape and takes the quickest, before anything is timed.
            CUDA only.
        energy_s: least seconds of the pass that measures energy, 0 for no such pass; by default 2 s.
        replicate: number of a process among those in which it is measured. By default `processes` says how many there
            are; ``[0, 1, 2]`` in a grid says which, and no others.
    """

    batch_size: _Batch | _Max = 1
    batch_limit: _Batch | None = None
    backend: Annotated[str, Field(min_length=1)] = "eager"
    calibration: Annotated[str, Field(min_length=1)] | None = None
    timing: Timing = Timing()
    cudnn_benchmark: Annotated[bool | None, AfterValidator(lambda on: on or None)] = None
    energy_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    replicate: Replicate | None = None

    @property
    def batch(self) -> int:
        """The images of a call, once `max` was found."""
        assert self.batch_size != "max", "the largest batch was not looked for"
        return self.batch_size

    @property
    def tries_kernels(self) -> bool:
        """Whether cuDNN tries its algorithms for each shape before anything is timed."""
        return bool(self.cudnn_benchmark)

    @property
    def likeness(self) -> tuple[str, ...]:
        """Calls of equally many images, for as long; with an engine that is prepared as long, or was so before."""
        alike = str(self.batch_size), f"{self.timing.warmup_s + self.timing.limit_s:g}s"
        if self.backend in UNPREPARED:
            return alike
        return *alike, self.backend, self.precision, "loaded" if self.replicate else "prepared"


class Keys(Frozen):
    """What a block of any task may give beside its settings.

    Attributes:
        seed: of all that is drawn: weights, images, the order of the images in a training.
        timeout_s: seconds after which a job is ended, as `timeout`.
    """

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    timeout_s: _Seconds = 600.0


class NetworkKeys(Keys):
    """What a block of every task that has a network may give: its name and its input.

    Attributes:
        arch: name of the network, or a glob of names.
        input_size: height and width of the images, in px; by default what the network is made for.
        weights: file of a state dict to load; it becomes an argument of the name, ``NAME(weights='net.pt')``, and so
            part of what is measured.
        reparam: take the form for inference that the network comes with, for which RepVGG and its like add up their
            branches; likewise an argument of the name, ``NAME(reparam=True)``, where it is on.
    """

    in_name: ClassVar = ("weights", "reparam")  # keys that become arguments of the network's name

    arch: Annotated[str, Field(min_length=1)]
    input_size: Annotated[int, Field(ge=1, le=16_384)] | None = None
    weights: Annotated[str, Field(min_length=1)] | None = None
    reparam: bool | None = None


class ShapeKeys(NetworkKeys):
    """What a block may give of a network that is not trained.

    Attributes:
        in_channels: channels of the images; by default what the network is made for.
        num_classes: outputs of the network; by default what it is made for.
    """

    in_channels: Annotated[int, Field(ge=1)] | None = None
    num_classes: Annotated[int, Field(ge=1)] | None = None


class TimedKeys(Timed, ShapeKeys, extra="forbid", frozen=True):
    """What a block that times calls may give.

    Attributes:
        processes: in how many processes each time is measured.
    """

    device: Device = "auto"
    processes: Processes = Processes()
