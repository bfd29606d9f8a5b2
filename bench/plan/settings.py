"""The settings of each task: every key that an experiment may give, its values and its default.

A value may be `None` where a default depends on the machine or the network; `bench.plan.expand` fills it in, or
leaves the key out of the job.

precision, of `infer` and `train_step`:
    fp32       weights and images in single precision; TF32 is forbidden
    tf32       the same, with TF32 allowed inside matrix products and convolutions; CUDA only
    bf16 fp16  pure: weights, images and all that is computed in 16 bits
    amp_bf16 amp_fp16  weights and images in single precision; torch.autocast casts what it holds to be safe.
               Each call casts the weights anew, as it does for users; a training in amp_fp16 scales its loss
    Of `accuracy`, bf16 and fp16 mean autocast: short trainings keep their weights in single precision.
memory_format: contiguous (NCHW) or channels_last (NHWC), of weights and images
backend: how the network is run, a name of `bench list backends`
batch_size: images a call, or `max`, the largest batch that fits, found beforehand by trying
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from bench.plan.job import Task

Batch = Annotated[int, Field(ge=1, le=1_000_000)]
Threads = Annotated[int, Field(ge=1, le=4096)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Precision = Literal["fp32", "tf32", "bf16", "fp16", "amp_bf16", "amp_fp16"]
TrainingPrecision = Literal["fp32", "tf32", "bf16", "fp16"]
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


class Processes(_Frozen):
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
    grant_s: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="after")
    def _most_holds_least(self) -> Self:
        if self.most < self.least:
            raise ValueError(f"most is {self.most}, and least {self.least}: give most at least as many")
        return self

    @property
    def alone(self) -> bool:
        """Whether there is one process, whose number goes without saying."""
        return self.most == 1


class Shared(_Frozen):
    """Keys of every task."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    timeout_s: Seconds = 600.0


class Common(Shared):
    """Keys of every task that has a network: its name and its input."""

    arch: Annotated[str, Field(min_length=1)]
    input_size: Annotated[int, Field(ge=1, le=16_384)] | None = None


class Cost(Common):
    """Counted, no clock: parameters, multiply-accumulates, activations."""

    in_channels: Annotated[int, Field(ge=1)] | None = None
    num_classes: Annotated[int, Field(ge=1)] | None = None


class OnDevice(Common):
    """Keys of every task that runs a network on a device."""

    device: Device = "auto"
    precision: Precision = "fp32"
    memory_format: MemoryFormat = "contiguous"
    threads: Threads | None = None


class Infer(OnDevice):
    """Measured: latency, step time, peak memory and energy of the forward pass.

    Attributes:
        in_channels: of the images; None takes the network's own.
        num_classes: outputs; None takes the network's own.
        batch_size: images a call; `max` is the largest that fits, to within 1/32 of it.
        batch_limit: the most that `max` tries; None is 65,536, and not part of the job.
        backend: how the network is run.
        timing: how long to sample.
        cudnn_benchmark: cuDNN tries its algorithms for each shape and takes the quickest, before anything is timed.
            CUDA only; not part of the job where it is off.
        energy_s: least seconds of the pass that measures energy, 0 for no such pass; None is 2 s, and not part of
            the job.
        processes: in how many processes; not part of the job.
        replicate: number of a process among those. None leaves it to `processes`; as ``[0, 1, 2]`` in a grid it says
            which, and no others. Where there is one process alone it is not part of the job.
    """

    in_channels: Annotated[int, Field(ge=1)] | None = None
    num_classes: Annotated[int, Field(ge=1)] | None = None
    batch_size: Batch | Literal["max"] = 1
    batch_limit: Batch | None = None
    backend: Annotated[str, Field(min_length=1)] = "eager"
    timing: Timing = Timing()
    cudnn_benchmark: Annotated[bool | None, AfterValidator(lambda on: on or None)] = None
    energy_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    processes: Processes = Processes()
    replicate: Annotated[int, Field(ge=0, lt=10_000)] | None = None


class TrainStep(Infer):
    """Measured: a step of forward, backward and optimiser, its phases, its peak memory and energy."""


class Accuracy(OnDevice):
    """A short training from scratch, and the accuracy it reaches on the test images.

    Attributes:
        input_size: px to which the images are brought; None is their own size, or the network's native one where they
            fall little short of it.
        dataset: a name of `bench list datasets`, or ``imagefolder:PATH``.
        recipe: a name of `bench list configs` or a YAML file, with values of its own as in ``std(momentum=0.5)``.
        epochs: passes over the training images; None is the recipe's.
        train_images: train on so many only, the classes in their proportions, the same ones for every network and
            seed. None is all of them, and not part of the job.
        validation: share of the training images held back and looked at after every epoch, for choosing. None is
            none, unless the recipe's schedule needs one, and not part of the job.
        test_every: look at the test images after so many epochs, and after the last. None is after each, and not part
            of the job.
        target: a top-1 accuracy, to report the time until it was reached. None is none, and not part of the job.
        backend: eager, or compiled. None is eager, and not part of the job.
        ranks: processes that share each batch, one a device. None is one, and not part of the job.
    """

    precision: TrainingPrecision = "fp32"
    dataset: Annotated[str, Field(min_length=1)] = "digits"
    recipe: Annotated[str, Field(min_length=1)] = "std"
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    train_images: Annotated[int, Field(ge=2)] | None = None
    validation: Annotated[float, Field(gt=0, lt=1)] | None = None
    test_every: Annotated[int, Field(ge=1)] | None = None
    target: Annotated[float, Field(gt=0, le=1)] | None = None
    backend: Annotated[str, Field(min_length=1)] | None = None
    ranks: Annotated[int, Field(ge=1, le=64)] | None = None


class Ceiling(Shared):
    """Measured, of the machine alone: the rate of matrix products in a precision, and the copy bandwidth.

    `timing` is of each of the few measurements; all of them together take about two seconds.
    """

    device: Device = "auto"
    precision: Precision = "fp32"
    threads: Threads | None = None
    timing: Timing = Timing(warmup_s=0.1, min_s=0.1, limit_s=0.4)


SETTINGS: dict[Task, type[Shared]] = {
    "cost": Cost,
    "infer": Infer,
    "train_step": TrainStep,
    "accuracy": Accuracy,
    "ceiling": Ceiling,
}

# Keys that are fields of a job, or belong to its execution, rather than settings of its task.
NOT_SETTINGS = ("arch", "input_size", "in_channels", "num_classes", "seed", "timeout_s", "processes")

# Keys that are no part of a job while they are None: what was asked is then the default, whatever it is.
OPTIONAL = (
    *("batch_limit", "cudnn_benchmark", "energy_s", "replicate"),
    *("train_images", "validation", "test_every", "target", "backend", "ranks"),
)


def keys_of(task: Task) -> tuple[str, ...]:
    """Return the keys that a block of this task may give."""
    return tuple(SETTINGS[task].model_fields)


def has_network(task: Task) -> bool:
    """Return whether the jobs of this task are of a network, rather than of the machine alone."""
    return "arch" in SETTINGS[task].model_fields


ALL_KEYS: tuple[str, ...] = tuple(dict.fromkeys(k for t in SETTINGS for k in keys_of(t)))
