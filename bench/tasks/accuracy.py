"""The task `accuracy`: a short training from scratch, and the accuracy that it reaches on the test images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainSerializer

from bench.io import JsonObject
from bench.plan.card import ArchCard, DatasetCard
from bench.plan.estimate import compile_s
from bench.plan.expand import Catalog, unknown_data
from bench.plan.job import Job
from bench.plan.recipe import Recipe
from bench.plan.settings import Device, NetworkKeys, OfNetwork, Precision
from bench.plan.task import TASKS, Hooks, Outline, Quantity, Task, Work
from bench.records.record import Measurement

_GUESS_S = {"cpu": 0.5, "cuda": 5.0}
# Of training on one image, besides: 1.4 s an epoch of CIFAR-10.
_GUESS_IMAGE_S = {"cpu": 1e-4, "cuda": 2.8e-5}
# Multiply-accumulates a second of a core that trains, and those of an image where they are not known, at 28 px. Of
# 43 trainings on a CPU in the committed runs 32 took what these say within 1.3, and all longer than 8 s within 1.6.
_GUESS_RATE, _GUESS_MACS, _GUESS_SIZE = 2e10, 3e7, 28
# Images are enlarged by at most so much to a network's native size, unless it is asked for.
_LITTLE_SHORT = 1.25

_QUANTITIES = (
    Quantity("top1", "1", "higher", about="share of test images whose label comes first"),
    Quantity(
        "accuracy",
        "1",
        "higher",
        "Top-1, short training",
        "seeds",
        of="top1",
        cell="spread",
        marked=True,
        about="top-1 after a short training from scratch: mean and standard deviation over seeds",
    ),
    Quantity("top5", "1", "higher", about="share of test images whose label is among the first five"),
    Quantity(
        "train_error",
        "1",
        "lower",
        about="share of augmented images that were wrong when they were trained on, in the last epoch",
    ),
    Quantity(
        "train_loss",
        "1",
        "lower",
        about="mean over the last epoch of what was minimised, label smoothing and auxiliary losses included",
    ),
    Quantity("test_loss", "1", "lower", about="mean cross-entropy over the test images"),
    Quantity("val_top1", "1", "higher", about="top-1 on the images that were held out for choosing"),
    Quantity("val_loss", "1", "lower", about="mean cross-entropy on these"),
    Quantity("epoch_time", "s", "lower", about="time of the steps of an epoch"),
    Quantity("train_time", "s", "lower", about="time of all steps"),
    Quantity("eval_time", "s", "lower", about="time of the test at the end"),
    Quantity("load_time", "s", "lower", about="time of moving the images to the device"),
    Quantity("compile_time", "s", "lower", about="time of compiling the training's step"),
    Quantity("time_to_accuracy", "s", "lower", about="time of the steps until the target was reached"),
    Quantity("train_throughput", "image/s", "higher", about="images per second of the training's steps"),
    Quantity(
        "synthetic_share",
        "1",
        "higher",
        about="images per second as a share of the same steps on images that lie ready",
    ),
    Quantity(
        "gradient_norm_start",
        "1",
        "neither",
        about="norm of the gradient in a batch not trained on, before the training; the detail has it by layer",
    ),
    Quantity("gradient_norm_end", "1", "neither", about="the same after the training"),
    Quantity(
        "dead_units", "1", "lower", about="share of rectifiers that are zero on all of a sample of images"
    ),
)

# What 16 bits were called when trainings alone had them by autocast. Jobs keep these names in their JSON, and with them
# their ids.
_OLD_NAMES = {"bf16": "amp_bf16", "fp16": "amp_fp16"}
_OLD_NAME_OF = {new: old for old, new in _OLD_NAMES.items()}


def _new_name(precision: object) -> object:
    return _OLD_NAMES.get(precision, precision) if isinstance(precision, str) else precision


_TrainingPrecision = Annotated[
    Precision,
    BeforeValidator(_new_name),
    PlainSerializer(lambda precision: _OLD_NAME_OF.get(precision, precision)),
]


class _Training(OfNetwork):
    """Settings that a block may give.

    Attributes:
        precision: bf16 and fp16 are other names of amp_bf16 and amp_fp16: weights stay in single precision.
        dataset: a name of `bench list datasets`, or ``imagefolder:PATH``.
        epochs: passes over the training images; by default the recipe's.
        train_images: train on so many only, the classes in their proportions, the same ones for every network and
            seed; by default on all of them.
        validation: share of the training images held back and looked at after every epoch, for choosing; by default
            none, unless the recipe's schedule needs one.
        test_every: look at the test images after so many epochs, and after the last; by default after each.
        target: a top-1 accuracy, to report the time until it was reached; by default none.
        backend: eager, or compiled; by default eager.
        ranks: processes that share each batch, one a device; by default one.
        keep_weights: keep the weights that were tested, in the run's folder ``weights``.
    """

    precision: _TrainingPrecision = "fp32"
    dataset: Annotated[str, Field(min_length=1)] = "digits"
    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    train_images: Annotated[int, Field(ge=2)] | None = None
    validation: Annotated[float, Field(gt=0, lt=1)] | None = None
    test_every: Annotated[int, Field(ge=1)] | None = None
    target: Annotated[float, Field(gt=0, le=1)] | None = None
    backend: Annotated[str, Field(min_length=1)] | None = None
    ranks: Annotated[int, Field(ge=1, le=64)] | None = None
    keep_weights: Annotated[bool | None, AfterValidator(lambda on: on or None)] = None

    @property
    def device_count(self) -> int:
        """As many CUDA devices as it has ranks."""
        return self.ranks or 1

    @property
    def tries_kernels(self) -> bool:
        """It does: a training has few shapes and many steps."""
        return True

    @property
    def likeness(self) -> tuple[str, ...]:
        """The same images: trainings on others tell nothing."""
        return self.dataset, str(self.train_images), str(self.backend)

    @property
    def length(self) -> int:
        """The epochs."""
        return self.epochs or 1


class _AccuracyKeys(_Training, NetworkKeys, extra="forbid", frozen=True):
    """What a block of this task may give.

    Attributes:
        input_size: px to which the images are brought; by default their own size, or the network's native one where
            they fall little short of it.
        recipe: a name of `bench list configs` or a YAML file, with values of its own as in ``std(momentum=0.5)``.
    """

    device: Device = "auto"
    recipe: Annotated[str, Field(min_length=1)] = "std"


class RecipeContent(BaseModel, frozen=True, extra="allow"):
    """The values of a recipe as a job has them, of whatever version; `bench.plan.recipe.Recipe.read` checks them."""

    name: str = "unnamed"
    version: int | None = None


class AccuracySettings(_Training):
    """Settings of this task.

    Attributes:
        recipe: how it is trained; a name alone says nothing of its values.
        augment: what the recipe does to the images of this data set.
        dataset_sha256: of a folder's images, to tell them from others that may lie there another time.
    """

    recipe: RecipeContent | str | None = None
    augment: JsonObject | None = None
    dataset_sha256: str | None = None


def _outline(keys: _AccuracyKeys, card: ArchCard, catalog: Catalog) -> Outline:
    """Return what a training has of its data set, its recipe and its network."""
    dataset = _dataset(keys.dataset, catalog)
    recipe = Recipe.load(keys.recipe)
    size = keys.input_size or _trained_at(dataset, card)
    images = dataset.at(size) if dataset.in_files else dataset
    return Outline(
        input_size=size,
        in_channels=dataset.in_channels if card.any_channels else card.in_channels,
        num_classes=dataset.num_classes,
        settings={
            "recipe": recipe.model_dump(mode="json"),
            "epochs": keys.epochs or recipe.epochs,
            "augment": recipe.augment.on(images)._asdict(),
            **({} if dataset.sha256 is None else {"dataset_sha256": dataset.sha256}),
        },
        work=Work(min(keys.train_images or dataset.train, dataset.train), dataset.test),
        note=f"{dataset.name}: {dataset.note}" if dataset.note else "",
        refusal=_refusal(card),
    )


def _refusal(card: ArchCard) -> str | None:
    """Return why a network is not trained."""
    if card.num_classes is None and not card.any_outputs:  # of the latter, its outputs will tell
        return f"{card.name} is no classifier: nothing to train on"
    if card.weights is not None:
        return f"a short training is from scratch, and {card.name} has its weights from a file"
    return card.untrained


def _dataset(name: str, catalog: Catalog) -> DatasetCard:
    if name not in catalog.datasets:
        raise unknown_data(name, catalog.datasets)
    return catalog.datasets[name]


def _trained_at(dataset: DatasetCard, card: ArchCard) -> int:
    """Return the images' own size in px; the network's native one where the images fall little short of it.

    So that the 28 px images of MNIST train LeNet-5 as it was published, for a field of 32 px, and not a smaller one.
    """
    size = max(dataset.size, card.min_input)
    return card.input_size if size < card.input_size <= _LITTLE_SHORT * size else size


def _run(job: Job[AccuracySettings], hooks: Hooks) -> Iterator[Measurement]:
    """Count the network in the shape that it is trained in, and train it."""
    from bench.tasks._accuracy import measure_accuracy
    from bench.tasks._networks import checked, counts

    model = checked(job, hooks, in_full=True)
    hooks.stage("count")
    yield from counts(job)
    yield from measure_accuracy(model, job, hooks)


def _subject(job: Job[AccuracySettings]) -> str:
    return f" {job.arch} {job.input_size} px on {job.settings.dataset} seed {job.seed}"


def _estimate(job: Job[AccuracySettings], of: Work) -> float:
    """Return the seconds of a training; on a CPU to learn from an image computes three times what to test it does."""
    image_s = _GUESS_IMAGE_S[job.device_kind]
    epoch_s = of.images * image_s
    if job.device_kind == "cpu":
        area = (job.input_size / _GUESS_SIZE) ** 2
        forward_s = (_GUESS_MACS * area if of.macs is None else of.macs) / _GUESS_RATE
        epoch_s = of.images * (image_s * area + 3 * forward_s) + of.tests * (image_s * area + forward_s)
    return _GUESS_S[job.device_kind] + job.settings.length * epoch_s + compile_s(job.settings.backend)


def _at_once(job: Job[AccuracySettings], cores: int) -> int:
    """Trainings on the CPU leave the cores that they do not use to others."""
    if job.device != "cpu" or job.settings.device_count > 1:
        return 1
    return cores // (job.settings.threads or cores)


TASKS.add(
    "accuracy",
    Task(
        place=4,
        about="trains a network from scratch for a short while, and tests it",
        keys=_AccuracyKeys,
        settings=AccuracySettings,
        run=_run,
        estimate=_estimate,
        quantities=_QUANTITIES,
        outline=_outline,
        subject=_subject,
        at_once=_at_once,
        trained=True,
        keeps_files=True,
    ),
)
