"""The training loop, top to bottom: an epoch of training, the test images, a checkpoint, and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.datasets import Dataset, Images
from bench.errors import ConfigError
from bench.plan.recipe import Recipe
from bench.plan.schedules import Plateau
from bench.training import checkpoint as checkpoints
from bench.training import parallel
from bench.training.augment import decide
from bench.training.batches import Batches, Shape
from bench.training.compiling import compile_learner
from bench.training.fit import CURVES, Fit
from bench.training.group import Group
from bench.training.initial import initialise
from bench.training.learner import Learner, set_dropout
from bench.training.precision import check_precision, tf32
from bench.training.warm_up import pays, warm_up

Look = Callable[[nn.Module], Any]
Last = Callable[[Learner, Batches, Callable[[], float]], Any]

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What every rank of a training must know; see `fit`."""

    model: nn.Module
    train: Images
    test: Images
    validation: Images | None
    dataset: Dataset
    recipe: Recipe
    epochs: int
    test_every: int
    seed: int
    device: torch.device
    input_size: int
    in_channels: int
    memory_format: str
    precision: str
    backend: str
    checkpoint: Path | None
    checkpoint_key: str


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What only the process that asked for a training wants; see `fit`."""

    clock: Callable[[], float] = time.perf_counter
    on_epoch: Callable[[int, int], None] | None = None
    before: Look | None = None
    after: Look | None = None
    last: Last | None = None


def fit(
    model: nn.Module,
    train: Images,
    test: Images,
    dataset: Dataset,
    recipe: Recipe,
    *,
    epochs: int,
    seed: int,
    device: torch.device | str,
    input_size: int,
    in_channels: int,
    precision: str = "fp32",
    memory_format: Literal["contiguous", "channels_last"] = "contiguous",
    backend: str | None = None,
    ranks: int | None = None,
    validation: Images | None = None,
    test_every: int = 1,
    checkpoint: Path | None = None,
    checkpoint_key: str = "",
    clock: Callable[[], float] = time.perf_counter,
    on_epoch: Callable[[int, int], None] | None = None,
    before: Look | None = None,
    after: Look | None = None,
    last: Last | None = None,
) -> Fit:
    """Train `model` as it is given, and look at the test images after its epochs.

    The model ends with the weights that were tested last: where the recipe averages them, the average.

    Args:
        model: from images [B, C, S, S] to logits [B, classes], or a named tuple of `logits`, `aux_logits*`.
        train: the images to train on.
        test: the images to report on.
        dataset: whose they are.
        recipe: how to train.
        epochs: passes over the training images.
        seed: of order, augmentation and the network's own noise; the initial parameters are the caller's.
        device: where everything happens.
        input_size: S; images of another size are resized.
        in_channels: C; grey images are repeated for three.
        precision: fp32, tf32, amp_bf16 or amp_fp16.
        memory_format: of images and parameters.
        backend: eager, or compiled; None is eager.
        ranks: processes that share each batch, see `bench.training.parallel`; None is one.
        validation: images held back from `train`, looked at after every epoch; a schedule may need them.
        test_every: look at the test images after so many epochs, and after the last.
        checkpoint: file to go on from, and to write after the last epoch, after others at most every
            `bench.training.checkpoint.EVERY_S`, and where `on_epoch` raises; None for none.
        checkpoint_key: of this training; a checkpoint with another key is not used, and overwritten.
        clock: seconds since some moment.
        on_epoch: called with the epochs done and the epochs in all.
        before: called with the model before the first step, untimed, and not again where a checkpoint is gone on from;
            it returns plain JSON values. Whatever it does to the model's tensors and to torch's chance is undone.
        after: the same after the last step, with the weights that were tested.
        last: called after that with the learner, the batches and a clock that waits for the device, where there is
            one rank; the learner is at its disposal, and the model's tensors are put back.

    Raises:
        ConfigError: if the schedule needs validation images and there are none.
        DivergedError: if a loss is not finite.
        InvalidModelError: if the network's output is something else.
        UnsupportedError: if the device cannot train in this precision, the channels do not fit, the network cannot be
            compiled, or there are not as many devices as ranks.
        StoreError: if the checkpoint cannot be written.
    """
    device = torch.device(device)
    check_precision(precision, device)
    if isinstance(recipe.schedule, Plateau) and validation is None:
        raise ConfigError(
            f"recipe {recipe.name}: its schedule looks at the validation error, and no images are held back",
            "give validation, such as validation: 0.1",
        )
    asked = Asked(
        model=model,
        train=train,
        test=test,
        validation=validation,
        dataset=dataset,
        recipe=recipe,
        epochs=epochs,
        test_every=test_every,
        seed=seed,
        device=device,
        input_size=input_size,
        in_channels=in_channels,
        memory_format=memory_format,
        precision=precision,
        backend=backend or "eager",
        checkpoint=checkpoint,
        checkpoint_key=checkpoint_key,
    )
    hooks = Hooks(clock=clock, on_epoch=on_epoch, before=before, after=after, last=last)
    with parallel.start(ranks or 1, device, train_as_asked, asked) as group:
        return train_as_asked(asked, group, hooks)


def train_as_asked(asked: Asked, group: Group, hooks: Hooks | None = None) -> Fit:
    """Be one rank of a training; only rank 0 has hooks, and writes checkpoints."""
    hooks = hooks or Hooks()
    recipe, device = asked.recipe, group.device(asked.device)
    shape = Shape(asked.in_channels, asked.input_size, LAYOUTS[asked.memory_format])

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return hooks.clock()

    start = now()
    batches = Batches(asked.train, asked.dataset, shape, recipe.batch_size, device)
    # Without gradients to keep, twice the images take about the same memory.
    tests, held_back = (
        Batches(images, asked.dataset, shape, 2 * recipe.batch_size, device) if images is not None else None
        for images in (asked.test, asked.validation)
    )
    assert tests is not None
    loaded = now()
    _place(asked, device, shape)
    initial_time = initialise(asked.model, lambda count: _first(asked, shape, device, count), device, now)
    learner = _learner(asked, group, len(batches) * asked.epochs)
    result = Fit(
        test_top5=[] if learner.classes > 5 else None,
        test_time_augmentation=learner.views,
        load_time=loaded - start,
        initial_time=initial_time,
    )
    if asked.checkpoint is not None:
        _resume(learner, result, asked.checkpoint, asked.checkpoint_key)
    if hooks.before is not None and result.resumed_from is None:
        with learner.undisturbed():
            result.started = hooks.before(asked.model)

    path = asked.checkpoint if group.rank == 0 else None
    keeper = checkpoints.Keeper(path, asked.checkpoint_key, lambda: _state(learner, result), loaded)
    with tf32(asked.precision == "tf32"):
        if len(result.train_loss) < asked.epochs:
            result.compile_time = compile_learner(learner, batches, asked.backend)
            result.warm_up_time = warm_up(learner, batches, tests, now) if pays(device) else None
        for epoch in range(len(result.train_loss), asked.epochs):
            start = now()
            loss, error = learner.train(batches, epoch, [1 - top1 for top1 in result.val_top1])
            middle = now()
            due = (epoch + 1) % asked.test_every == 0 or epoch + 1 == asked.epochs
            seen = learner.test(tests, epoch) if due else None
            held = learner.test(held_back, epoch, "validation") if held_back is not None else None
            end = now()
            result.add(loss, error, seen, held, times=(middle - start, end - middle))
            keeper.epoch_done(end, last=epoch + 1 == asked.epochs)
            if hooks.on_epoch is not None:
                with keeper.interruptible():
                    hooks.on_epoch(epoch + 1, asked.epochs)
        if result.logits is None:  # all had been done before
            seen = learner.test(tests, asked.epochs - 1)
            result.logits, result.labels = seen.logits, seen.labels
    if learner.average is not None:
        asked.model.load_state_dict(learner.average.tensors)
    if hooks.after is not None:
        with learner.undisturbed():
            result.ended = hooks.after(asked.model)
    if hooks.last is not None and group.count == 1:
        with learner.undisturbed(), tf32(asked.precision == "tf32"):
            result.last = hooks.last(learner, batches, now)
    return result


def _place(asked: Asked, device: torch.device, shape: Shape) -> None:
    """Put the model where it is trained, and in the form that it is trained in."""
    set_dropout(asked.model, asked.recipe.dropout)
    asked.model.to(device=device, memory_format=shape.memory_format)  # type: ignore[call-overload]


def _first(asked: Asked, shape: Shape, device: torch.device, count: int) -> Tensor:
    """Return the first training images, as the network takes them."""
    data = asked.train.pick(torch.arange(min(count, len(asked.train))))
    return next(Batches(data, asked.dataset, shape, len(data), device).in_order())[0]


def _learner(asked: Asked, group: Group, steps: int) -> Learner:
    """Return the learner of a model that is in its place."""
    return Learner(
        asked.model,
        recipe=asked.recipe,
        how=decide(asked.recipe.augment, asked.dataset.card),
        classes=asked.dataset.card.num_classes,
        steps=steps,
        seed=asked.seed,
        device=group.device(asked.device),
        precision=asked.precision,
        group=group,
    )


def _state(learner: Learner, result: Fit) -> dict[str, Any]:
    """Return what a checkpoint holds."""
    return {
        "learner": learner.state(),
        "curves": {name: getattr(result, name) for name in CURVES},
        "started": result.started,
        "initial_time": result.initial_time,
    }


def _resume(learner: Learner, result: Fit, checkpoint: Path, key: str) -> None:
    """Go on from the checkpoint if it is of this training; otherwise say in `result` why not."""
    state, result.checkpoint_ignored = checkpoints.load(checkpoint, key)
    if state is None:
        return
    if not learner.fits(state["learner"]):
        result.checkpoint_ignored = f"the checkpoint {checkpoint.name} is of a network with other tensors"
        return
    learner.restore(state["learner"])
    for name, values in state["curves"].items():
        setattr(result, name, values)
    result.started = state.get("started")
    result.initial_time = state.get("initial_time")
    result.resumed_from = len(result.train_loss)
