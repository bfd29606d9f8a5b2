"""The training loop, top to bottom: an epoch of training, the test images, a checkpoint, and again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.datasets import Images
from bench.errors import ConfigError, UnsupportedError, unknown_name
from bench.io import JsonObject
from bench.plan.recipe import Plateau
from bench.training import _checkpoint as checkpoints
from bench.training import _parallel as parallel
from bench.training._batches import Batches
from bench.training._learner import Evaluation, Learner
from bench.training._parallel import Group
from bench.training._prepare import compile_learner, initialise, warm_up
from bench.training.config import AUTOCAST, FitConfig, Splits, allow_tf32, is_tf32_allowed

_CURVES = (
    *("train_loss", "train_error", "test_loss", "test_top1", "test_top5", "val_loss", "val_top1"),
    *("epoch_time", "eval_time"),
)


@dataclass
class FitResult:
    """What came of a training; lists have one value an epoch, of the test images NaN where they were not looked at.

    Attributes:
        train_loss: mean over the images of what was minimised, label smoothing and auxiliary losses included.
        train_error: share of the augmented images that were wrong at the moment they were trained on.
        test_loss: mean cross-entropy, as `val_loss` is, which is empty where there are no validation images.
        test_top1: share of the images whose class came first, as `val_top1` is.
        test_top5: share whose class was among the first five; None where there are no more than five classes.
        epoch_time: s, of training alone.
        eval_time: s, of the test and the validation images alone.
        logits: [N, K] float32 on the CPU, of the test images in order, as they were reported last.
        labels: [N] int64 on the CPU, of the same images.
        test_time_augmentation: `mirror`, `translate` or `mirror_translate`, where the logits of test images are means
            over these views of them; else None.
        load_time: s, of moving the images to the device.
        initial_time: s, see `bench.training._prepare.initialise`; None where the network takes nothing from the images.
        warm_up_time: s, see `bench.training._prepare.warm_up`; None where there was none.
        compile_time: s, see `bench.training._prepare.compile_learner`; None where nothing was compiled.
        started: what `Callbacks.before` returned, of the first process where a checkpoint was gone on from.
        ended: what `Callbacks.after` returned.
        last: what `Callbacks.last` returned.
        resumed_from: epochs that a checkpoint had already done; None for a training in one go.
        checkpoint_ignored: why a checkpoint that was there was not used.
    """

    train_loss: list[float] = field(default_factory=list)
    train_error: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_top1: list[float] = field(default_factory=list)
    test_top5: list[float] | None = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_top1: list[float] = field(default_factory=list)
    epoch_time: list[float] = field(default_factory=list)
    eval_time: list[float] = field(default_factory=list)
    logits: Tensor | None = None
    labels: Tensor | None = None
    test_time_augmentation: str | None = None
    load_time: float = 0.0
    initial_time: float | None = None
    warm_up_time: float | None = None
    compile_time: float | None = None
    started: JsonObject | None = None
    ended: JsonObject | None = None
    last: JsonObject | None = None
    resumed_from: int | None = None
    checkpoint_ignored: str | None = None

    def add(
        self,
        loss: float,
        error: float,
        test: Evaluation | None,
        validation: Evaluation | None,
        *,
        train_s: float,
        eval_s: float,
    ) -> None:
        """Append an epoch: its training loss and share of wrong answers, the evaluations after it, and the times.

        `test` is None where the test images were not looked at; `validation` is None where there are no such images.
        """
        self.epoch_time.append(train_s)
        self.eval_time.append(eval_s)
        self.train_loss.append(loss)
        self.train_error.append(error)
        self.test_loss.append(test.loss if test else math.nan)
        self.test_top1.append(test.top1 if test else math.nan)
        if self.test_top5 is not None:
            self.test_top5.append(test.top5 if test else math.nan)
        if validation is not None:
            self.val_loss.append(validation.loss)
            self.val_top1.append(validation.top1)
        if test is not None:
            self.logits, self.labels = test.logits, test.labels


@dataclass(frozen=True, kw_only=True)
class Callbacks:
    """What the process that starts a training gets to see of it.

    Attributes:
        clock: seconds since some moment.
        on_epoch: called with the epochs done and the epochs in all.
        before: called with the model before the first step, untimed, and not again where a checkpoint is gone on from;
            it returns plain JSON values. Whatever it does to the model's tensors and to torch's generators is undone.
        after: the same after the last step, with the weights that were tested.
        last: called after that with the learner, the batches and a clock that waits for the device, where there is
            one rank; the learner is at its disposal, and the model's tensors are put back.
    """

    clock: Callable[[], float] = time.perf_counter
    on_epoch: Callable[[int, int], None] | None = None
    before: Callable[[nn.Module], JsonObject | None] | None = None
    after: Callable[[nn.Module], JsonObject | None] | None = None
    last: Callable[[Learner, Batches, Callable[[], float]], JsonObject | None] | None = None


_NO_CALLBACKS = Callbacks()


def fit(model: nn.Module, data: Splits, config: FitConfig, callbacks: Callbacks = _NO_CALLBACKS) -> FitResult:
    """Train `model` as it is given, and look at the test images after its epochs.

    From images [B, C, S, S] the model makes logits [B, classes], or a named tuple of `logits` and `aux_logits*`. It
    ends with the weights that were tested last: where the recipe averages them, the average.

    Raises:
        ConfigError: if the schedule needs validation images and there are none.
        DivergedError: if a loss is not finite.
        InvalidModelError: if the network's output is something else.
        UnsupportedError: if the device cannot train in this precision, the channels do not fit, the network cannot be
            compiled, or there are not as many devices as ranks.
        StoreError: if the checkpoint cannot be written.
    """
    _check_precision(config.precision, config.device)
    if isinstance(config.recipe.schedule, Plateau) and data.validation is None:
        raise ConfigError(
            f"recipe {config.recipe.name}: its schedule looks at the validation error, and no images are held back",
            "give validation, such as validation: 0.1",
        )
    with parallel.start(config.ranks, config.device, _fit_rank, (model, data, config)) as group:
        return _fit_rank(model, data, config, group, callbacks)


def _fit_rank(
    model: nn.Module, data: Splits, config: FitConfig, group: Group, callbacks: Callbacks = _NO_CALLBACKS
) -> FitResult:
    """Be one rank of a training; only rank 0 has callbacks, and writes checkpoints."""
    return _Rank(model, data, config, group, callbacks).fit()


class _Rank:
    """A training as one of its ranks does it: everything is on the device when it is made."""

    def __init__(
        self, model: nn.Module, data: Splits, config: FitConfig, group: Group, callbacks: Callbacks
    ) -> None:
        self.model = model
        self.config = config
        self.group = group
        self.callbacks = callbacks
        self.device = group.device(config.device)

        def batches(images: Images, size: int) -> Batches:
            return Batches(images, data.dataset, config.shape, size, self.device)

        start = self.now()
        size = config.recipe.batch_size
        self.batches = batches(data.train, size)
        tested = config.recipe.tested_at_once
        self.tests = batches(data.test, tested)
        self.validations = None if data.validation is None else batches(data.validation, tested)
        self.loaded = self.now()
        _set_dropout(model, config.recipe.dropout)
        model.to(device=self.device, memory_format=config.shape.memory_format)  # type: ignore[call-overload]
        initial_time = initialise(model, data, config.shape, self.device, self.now)
        steps = len(self.batches) * config.epochs
        self.learner = Learner(model, config, data.dataset.card, steps=steps, group=group)
        self.result = FitResult(
            test_top5=[] if self.learner.classes > 5 else None,
            test_time_augmentation=self.learner.views,
            load_time=self.loaded - start,
            initial_time=initial_time,
        )

    def now(self) -> float:
        """Return seconds since some moment, after the device has finished its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self.callbacks.clock()

    def fit(self) -> FitResult:
        """Train, from the checkpoint on where there is one, and call the callbacks."""
        result, learner, callbacks = self.result, self.learner, self.callbacks
        if self.config.checkpoint is not None:
            self._resume(self.config.checkpoint)
        if callbacks.before is not None and result.resumed_from is None:
            with learner.undisturbed():
                result.started = callbacks.before(self.model)
        with _tf32(self.config.precision == "tf32"):
            self._epochs()
        if learner.average is not None:
            self.model.load_state_dict(learner.average.tensors)
        if callbacks.after is not None:
            with learner.undisturbed():
                result.ended = callbacks.after(self.model)
        if callbacks.last is not None and self.group.count == 1:
            with learner.undisturbed(), _tf32(self.config.precision == "tf32"):
                result.last = callbacks.last(learner, self.batches, self.now)
        return result

    def _epochs(self) -> None:
        """Do the epochs that are not done yet, each with its tests, and a checkpoint where one is due."""
        config, result = self.config, self.result
        path = config.checkpoint if self.group.rank == 0 else None
        writer = checkpoints.Writer(path, config.checkpoint_key, self._state, self.loaded)
        if len(result.train_loss) < config.epochs:
            result.compile_time = compile_learner(self.learner, self.batches, config.backend)
            result.warm_up_time = warm_up(self.learner, self.batches, self.tests, self.now)
        for epoch in range(len(result.train_loss), config.epochs):
            end = self._epoch(epoch)
            writer.epoch_done(end, last=epoch + 1 == config.epochs)
            if self.callbacks.on_epoch is not None:
                with writer.interruptible():
                    self.callbacks.on_epoch(epoch + 1, config.epochs)
        if result.logits is None:  # all had been done before
            test = self.learner.test(self.tests, config.epochs - 1)
            result.logits, result.labels = test.logits, test.labels

    def _epoch(self, epoch: int) -> float:
        """Do an epoch, and return when it was over, in s."""
        learner, done = self.learner, epoch + 1
        start = self.now()
        loss, error = learner.train(self.batches, epoch, [1 - top1 for top1 in self.result.val_top1])
        middle = self.now()
        due = done % self.config.test_every == 0 or done == self.config.epochs
        test = learner.test(self.tests, epoch) if due else None
        validation = None if self.validations is None else learner.test(self.validations, epoch, "validation")
        end = self.now()
        self.result.add(loss, error, test, validation, train_s=middle - start, eval_s=end - middle)
        return end

    def _state(self) -> dict[str, object]:
        """Return what a checkpoint holds."""
        return {
            "learner": self.learner.state(),
            "curves": {name: getattr(self.result, name) for name in _CURVES},
            "started": self.result.started,
            "initial_time": self.result.initial_time,
        }

    def _resume(self, checkpoint: Path) -> None:
        """Go on from the checkpoint if it is of this training; otherwise let the result say why not."""
        result = self.result
        state, result.checkpoint_ignored = checkpoints.load(checkpoint, self.config.checkpoint_key)
        if state is None:
            return
        if not self.learner.fits(state["learner"]):
            result.checkpoint_ignored = f"the checkpoint {checkpoint.name} is of a network with other tensors"
            return
        self.learner.restore(state["learner"])
        for name, values in state["curves"].items():
            setattr(result, name, values)
        result.started = state.get("started")
        result.initial_time = state.get("initial_time")
        result.resumed_from = len(result.train_loss)


# --- what the device and the network are told ---

_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_PRECISIONS = ("fp32", "tf32", *AUTOCAST)
_CUDA_ONLY = ("tf32", "amp_fp16")


def _check_precision(precision: str, device: torch.device) -> None:
    """Refuse a precision that `device` cannot train in.

    Raises:
        UnknownNameError: if there is no such precision.
        UnsupportedError: for TF32 and FP16 anywhere but on a CUDA device.
    """
    if precision not in _PRECISIONS:
        raise unknown_name("precision", precision, _PRECISIONS)
    if precision in _CUDA_ONLY and device.type != "cuda":
        raise UnsupportedError(f"no training in {precision} on {device.type}", "use fp32 or amp_bf16 there")


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in CUDA's matrix products and convolutions, and put back what was."""
    before = is_tf32_allowed()
    allow_tf32(products=allowed, convolutions=allowed)
    try:
        yield
    finally:
        allow_tf32(**before)


def _set_dropout(model: nn.Module, probability: float | None) -> None:
    """Give every dropout layer this probability; None leaves them. Dropout called as a function is not reached."""
    if probability is not None:
        for module in model.modules():
            if isinstance(module, _DROPOUTS):
                module.p = probability
