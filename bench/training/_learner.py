"""A learner: a network with its optimiser and its random generators; it does epochs and tests, and keeps its state."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import DivergedError, InvalidModelError, suggestion
from bench.plan.card import DatasetCard
from bench.training._augment import decide
from bench.training._batches import Batches
from bench.training._optimiser import Average, copies, make_optimiser, rate, set_rate
from bench.training._parallel import ALONE, Group
from bench.training.config import FitConfig, autocast, streams
from bench.training.outputs import mean_answers, training_loss

_DIVERGED_TIP = "lower the recipe's learning_rate, lengthen its warm-up, or set grad_clip"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a network makes of N images that it does not learn from.

    Attributes:
        loss: mean cross-entropy.
        top1: share of images whose class came first.
        top5: share of images whose class was among the first five.
        logits: [N, K] float32, on the CPU.
        labels: [N] int64, on the CPU.
    """

    loss: float
    top1: float
    top5: float
    logits: Tensor
    labels: Tensor


class Learner:
    """A network in training, on the device already; the schedule runs over all its steps.

    Attributes:
        network: what a step calls; it averages gradients over the group.
        compiled: the same, compiled for batches of the recipe's size; None to call `network` for those too.
        views: what test images are looked at as well: `mirror`, `translate`, `mirror_translate`; None for nothing.
    """

    def __init__(
        self, model: nn.Module, config: FitConfig, card: DatasetCard, *, steps: int, group: Group = ALONE
    ) -> None:
        recipe = config.recipe
        self.model = model
        self.recipe = recipe
        self.augmentation = decide(recipe.augment, card)
        self.classes = card.num_classes
        self.steps = steps
        self.device = group.device(config.device)
        self.precision = config.precision
        self.group = group
        self.network = group.averaging(model, self.device)
        self.compiled: nn.Module | None = None
        self.optimiser = make_optimiser(model, recipe)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "amp_fp16")
        self.average = (
            Average(model, recipe.ema, recipe.ema_every, lookahead=recipe.lookahead)
            if recipe.ema is not None
            else None
        )
        self.frozen_after = _frozen_after(model)
        self.frozen: list[nn.Parameter] = []
        seeds = streams(config.seed)
        self.order_rng = torch.Generator().manual_seed(seeds.order)
        self.augment_rng = torch.Generator().manual_seed(seeds.augment)
        self.noise_seed = seeds.noise
        # Test images are changed only in ways in which training images are: no mirrored digits.
        mirrors = "mirror" in recipe.test_time_augmentation and self.augmentation.flip
        moves = "translate" in recipe.test_time_augmentation and self.augmentation.pad > 0
        names = [*["mirror"] * mirrors, *["translate"] * moves]
        self.views = "_".join(names) or None
        torch.manual_seed(seeds.noise)

    def train(self, batches: Batches, epoch: int, errors: Sequence[float] = ()) -> tuple[float, float]:
        """Train on every image once; return the mean loss and the share of wrong answers.

        Epochs count from 0; `errors` are those of validation after each so far, for schedules that look at them.

        Raises:
            DivergedError: if a step's loss was not finite; raised at the end, so that no step waits for its loss.
        """
        self.model.train()
        augmentation = self.augmentation
        if augmentation.turn is not None:
            augmentation = replace(augmentation, turn=epoch)
        if self.group.rank:  # each rank's own, whatever was drawn before; the first goes on as it would alone
            torch.manual_seed((self.noise_seed + 1_000_003 * epoch + self.group.rank) % 2**63)
        self.frozen = [parameter for parameter, epochs in self.frozen_after if epoch >= epochs]
        losses, sizes = [], []
        wrong = torch.zeros((), dtype=torch.float64, device=self.device)
        epoch_batches = batches.shuffled(augmentation, self.order_rng, self.augment_rng)
        for step, (images, labels) in enumerate(epoch_batches, start=epoch * len(batches)):
            share_of_peak = rate(step, self.steps, self.recipe.schedule, errors)
            set_rate(self.optimiser, self.recipe.learning_rate * share_of_peak)
            loss, step_wrong = self.step(images, labels, (step + 1) / self.steps)
            losses.append(loss)
            sizes.append(len(labels))
            wrong += step_wrong
        values = self.group.total(torch.stack(losses)).tolist()
        _check_finite(values, epoch)
        self.group.align(self.model)
        mean = math.fsum(v * n for v, n in zip(values, sizes, strict=True)) / sum(sizes)
        return mean, self.group.total(wrong).item() / sum(sizes)

    def step(self, images: Tensor, labels: Tensor, done: float) -> tuple[Tensor, Tensor]:
        """Do one step on the group's images [B, C, S, S] and labels [B]; after it so much of the training is `done`.

        Returned are the rank's part of the loss and of the count of wrong answers, still on the device.
        """
        whole = len(labels) == self.recipe.batch_size  # a smaller last batch is not worth a compilation
        network = self.compiled if self.compiled is not None and whole else self.network
        share = self.group.share(images, labels)
        logits, loss = self.loss(network, share.images, share.labels)
        if self.group.count > 1:
            loss = loss * share.weight
        self.optimiser.zero_grad(set_to_none=True)
        # The gradients are averaged over the ranks, and the loss is the sum of theirs.
        self.scaler.scale(loss * self.group.count if self.group.count > 1 else loss).backward()
        for parameter in self.frozen:
            parameter.grad = None  # the optimiser passes over it
        if self.recipe.grad_clip is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.grad_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.model, done)
        return loss.detach(), (logits.detach().argmax(1) != share.labels).sum() / share.copies

    def loss(self, network: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits [B, K] of a network in training, and what a step minimises."""
        with autocast(self.precision, self.device):
            return training_loss(network(images), labels, self.classes, self.recipe.label_smoothing)

    @torch.no_grad()
    def test(self, batches: Batches, epoch: int, split: str = "test") -> Evaluation:
        """Evaluate every image once, with the averaged weights where the recipe has them; `split` is for messages.

        Raises:
            DivergedError: if the loss is not finite.
        """
        self.model.eval()
        logit_parts, label_parts = [], []
        with self.tested_weights():
            for images, batch_labels in batches.in_order():
                share = self.group.share(images, batch_labels)
                logit_parts.append(share.spread(self.answers(share.images)))
                label_parts.append(batch_labels)
        logits, labels = self.group.total(torch.cat(logit_parts)), torch.cat(label_parts)
        loss = F.cross_entropy(logits, labels).item()
        if not math.isfinite(loss):
            raise DivergedError(f"the {split} loss was {loss} after epoch {epoch + 1}", _DIVERGED_TIP)
        right = (logits.topk(min(5, self.classes)).indices == labels[:, None]).sum(0).tolist()
        return Evaluation(loss, right[0] / len(labels), sum(right) / len(labels), logits.cpu(), labels.cpu())

    @torch.no_grad()
    def answers(self, images: Tensor) -> Tensor:
        """Return the logits [B, K] float32 of test images, or their mean over the views that the recipe asks for."""
        with autocast(self.precision, self.device):
            return mean_answers(self.model, images, self.classes, self.views)

    def tested_weights(self) -> AbstractContextManager[None]:
        """Give the network the weights that are tested inside the block: the average where the recipe asks for one."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place(self.model)

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Put the network, its gradients and torch's generators back after the block, whatever is run in it."""
        devices = [self.device] if self.device.type == "cuda" else []
        state = copies(self.model)
        training = self.model.training
        with torch.random.fork_rng(devices):
            yield
        self.optimiser.zero_grad(set_to_none=True)
        self.model.load_state_dict(state)
        self.model.train(training)

    def state(self) -> dict[str, object]:
        """Return all that the next epoch depends on."""
        average = self.average
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": {"step": average.step, "tensors": average.tensors} if average else None,
            "order": self.order_rng.get_state(),
            "chance": self.augment_rng.get_state(),
            "cpu_noise": torch.get_rng_state(),
            "cuda_noise": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def fits(self, state: dict[str, Any]) -> bool:
        """Return whether `state` is of a network with the same tensors."""
        shapes, others = (
            {name: getattr(value, "shape", None) for name, value in tensors.items()}
            for tensors in (self.model.state_dict(), state["model"])
        )
        return shapes == others

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.step = state["average"]["step"]
            self.average.restore(state["average"]["tensors"])
        self.order_rng.set_state(state["order"])
        self.augment_rng.set_state(state["chance"])
        torch.set_rng_state(state["cpu_noise"])
        if state["cuda_noise"] is not None:
            torch.cuda.set_rng_state(state["cuda_noise"], self.device)


def _frozen_after(model: nn.Module) -> list[tuple[nn.Parameter, int]]:
    """Return the parameters that a network lets stay as they are after some epochs, see `bench.archs`, with these.

    Raises:
        InvalidModelError: if what it says by `frozen_after` is not the epochs of parameters that it has.
    """
    told, parameters = getattr(model, "frozen_after", {}), dict(model.named_parameters())
    if not isinstance(told, Mapping) or not all(isinstance(epochs, int) for epochs in told.values()):
        message = f"frozen_after is {told!r}; a training takes it for epochs by the names of parameters"
        raise InvalidModelError(
            message, "such as {'stem.weight': 3}; call what is something else by another name"
        )
    if unknown := [name for name in told if name not in parameters]:
        message = f"frozen_after names {unknown[0]!r}, which is no parameter of the network"
        raise InvalidModelError(
            message, suggestion(str(unknown[0]), parameters, "see its named_parameters()")
        )
    return [(parameters[name], epochs) for name, epochs in told.items()]


def _check_finite(losses: Sequence[float], epoch: int) -> None:
    for i, value in enumerate(losses):
        if not math.isfinite(value):
            message = f"the training loss was {value} in epoch {epoch + 1}, step {i + 1} of {len(losses)}"
            raise DivergedError(message, _DIVERGED_TIP)
