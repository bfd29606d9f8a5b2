"""The settings of each task: every key that an experiment may give, its values and its default.

A value may be `None` where a default depends on the machine or the network; `bench.plan.expand` fills it in.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.plan.job import Task

Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Precision = Literal["fp32", "tf32", "bf16", "fp16"]
MemoryFormat = Literal["contiguous", "channels_last"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Timing(_Frozen):
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

    warmup_s: Seconds = 0.5
    min_s: Annotated[float, Field(ge=0)] = 0.3
    limit_s: Seconds = 3.0
    precision: Annotated[float, Field(gt=0, lt=1)] = 0.01
    min_samples: Annotated[int, Field(ge=1, le=100_000)] = 8
    max_samples: Annotated[int, Field(ge=1, le=100_000)] = 1000
    min_block_s: Seconds = 0.01


class Common(_Frozen):
    """Keys of every task: the network, its input, and how long a job may take."""

    arch: Annotated[str, Field(min_length=1)]
    input_size: Annotated[int, Field(ge=1, le=16_384)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    timeout_s: Seconds = 600.0


class Cost(Common):
    """Counted, no clock: parameters, multiply-accumulates, activations."""

    in_channels: Annotated[int, Field(ge=1)] | None = None
    num_classes: Annotated[int, Field(ge=1)] | None = None


class OnDevice(Common):
    """Keys of every task that runs on a device."""

    device: Device = "auto"
    precision: Precision = "fp32"
    memory_format: MemoryFormat = "contiguous"
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None


class Infer(OnDevice):
    """Measured: latency, step time and peak memory of the forward pass."""

    in_channels: Annotated[int, Field(ge=1)] | None = None
    num_classes: Annotated[int, Field(ge=1)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    backend: str = "eager"
    timing: Timing = Timing()


class TrainStep(Infer):
    """Measured: a step of forward, backward and optimiser, and its peak memory."""


class Accuracy(OnDevice):
    """A short training from scratch, and the accuracy it reaches on the test images."""

    dataset: Annotated[str, Field(min_length=1)] = "digits"
    recipe: Annotated[str, Field(min_length=1)] = "std"
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None


SETTINGS: dict[Task, type[Common]] = {
    "cost": Cost,
    "infer": Infer,
    "train_step": TrainStep,
    "accuracy": Accuracy,
}

# Keys that are fields of a job, or belong to its execution, rather than settings of its task.
NOT_SETTINGS = ("arch", "input_size", "in_channels", "num_classes", "seed", "timeout_s")


def keys_of(task: Task) -> tuple[str, ...]:
    """Return the keys that a block of this task may give."""
    return tuple(SETTINGS[task].model_fields)


ALL_KEYS: tuple[str, ...] = tuple(dict.fromkeys(k for t in SETTINGS for k in keys_of(t)))
