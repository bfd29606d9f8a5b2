"""A learner: a network with its optimiser and its chance; it goes through epochs, is tested, and put away."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.errors import DivergedError, InvalidModelError
from bench.plan.recipe import Recipe
from bench.training.augment import Augmentation
from bench.training.batches import Batches
from bench.training.optimiser import make_optimiser, rate
from bench.training.precision import autocast
from bench.training.seeds import streams

AUXILIARY_WEIGHT = 0.3  # Szegedy et al., arXiv:1409.4842, section 5
DIVERGED_TIP = "lower the recipe's learning_rate, lengthen its warm-up, or set grad_clip"


@dataclass(frozen=True, slots=True)
class Seen:
    """What an epoch over the test images showed: mean cross-entropy, and shares of right answers."""

    loss: float
    top1: float
    top5: float


class Learner:
    """A network in training.

    Args:
        model: on `device` already.
        recipe: how to train.
        how: the augmentation of training images.
        classes: of the data set.
        steps: of the whole training, over which the schedule runs.
        seed: of order, augmentation and the network's own noise.
        device: of the model.
        precision: see `bench.training.precision`.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        recipe: Recipe,
        how: Augmentation,
        classes: int,
        steps: int,
        seed: int,
        device: torch.device,
        precision: str,
    ) -> None:
        self.model = model
        self.recipe = recipe
        self.how = how
        self.classes = classes
        self.steps = steps
        self.device = device
        self.precision = precision
        self.optimiser = make_optimiser(model.parameters(), recipe)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")
        seeds = streams(seed)
        self.order = torch.Generator().manual_seed(seeds.order)
        self.chance = torch.Generator().manual_seed(seeds.augment)
        torch.manual_seed(seeds.noise)

    def train(self, batches: Batches, epoch: int) -> tuple[float, float]:
        """Train on every image once; return the mean loss and the share of wrong answers.

        Raises:
            DivergedError: if a step's loss was not finite; seen at the end, so that no step waits for it.
        """
        self.model.train()
        losses, sizes = [], []
        wrong = torch.zeros((), dtype=torch.int64, device=self.device)
        for i, (images, labels) in enumerate(batches.shuffled(self.how, self.order, self.chance)):
            logits, loss = self._step(images, labels, epoch * len(batches) + i)
            losses.append(loss)
            sizes.append(len(labels))
            wrong += (logits.argmax(1) != labels).sum()
        values = torch.stack(losses).tolist()
        for i, value in enumerate(values):
            if not math.isfinite(value):
                raise DivergedError(
                    f"the training loss was {value} in epoch {epoch + 1}, step {i + 1} of {len(values)}",
                    DIVERGED_TIP,
                )
        mean = math.fsum(v * n for v, n in zip(values, sizes, strict=True)) / sum(sizes)
        return mean, wrong.item() / sum(sizes)

    def _step(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Do one step; return the logits and the loss, which nobody has waited for."""
        with autocast(self.precision, self.device):
            logits, auxiliary = outputs(self.model(images), self.classes)
            smoothing = self.recipe.label_smoothing
            loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
            for side in auxiliary:
                loss = loss + AUXILIARY_WEIGHT * F.cross_entropy(side, labels, label_smoothing=smoothing)
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * rate(step, self.steps, self.recipe.schedule)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if self.recipe.grad_clip is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.grad_clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return logits.detach(), loss.detach()

    @torch.no_grad()
    def test(self, batches: Batches, epoch: int) -> Seen:
        """Look at every image once, without learning.

        Raises:
            DivergedError: if the loss is not finite.
        """
        self.model.eval()
        loss = torch.zeros((), device=self.device)
        hits = torch.zeros(min(5, self.classes), dtype=torch.int64, device=self.device)
        count = 0
        for images, labels in batches.in_order():
            with autocast(self.precision, self.device):
                logits, _ = outputs(self.model(images), self.classes)
                loss += F.cross_entropy(logits, labels, reduction="sum")
            hits += (logits.topk(len(hits)).indices == labels[:, None]).sum(0)
            count += len(labels)
        mean = loss.item() / count
        if not math.isfinite(mean):
            raise DivergedError(f"the test loss was {mean} after epoch {epoch + 1}", DIVERGED_TIP)
        ranks = hits.tolist()
        return Seen(mean, ranks[0] / count, sum(ranks) / count)

    def state(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "order": self.order.get_state(),
            "chance": self.chance.get_state(),
            "cpu_noise": torch.get_rng_state(),
            "cuda_noise": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def fits(self, state: dict[str, Any]) -> bool:
        """Return whether `state` is of a network with the same tensors."""
        own = self.model.state_dict()
        return {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in state["model"].items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.order.set_state(state["order"])
        self.chance.set_state(state["chance"])
        torch.set_rng_state(state["cpu_noise"])
        if state["cuda_noise"] is not None:
            torch.cuda.set_rng_state(state["cuda_noise"], self.device)


def outputs(result: Any, classes: int) -> tuple[Tensor, list[Tensor]]:
    """Return the logits [B, K] and the auxiliary logits of what a network returned.

    Raises:
        InvalidModelError: if there are no logits in it for each of `classes`.
    """
    names = getattr(result, "_fields", ())
    logits = result.logits if "logits" in names else result
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < classes:
        form = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InvalidModelError(
            f"the network returned {form}, not logits of {classes} classes",
            f"return a tensor [batch, {classes}], or a named tuple with logits and aux_logits",
        )
    sides = [getattr(result, n) for n in names if n.startswith("aux_logits")]
    return logits, [side for side in sides if side is not None]
