"""What a network returns: logits, those of its auxiliary classifiers, and the loss of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.archs.returned import form_of, logits_of, named
from bench.errors import InvalidModelError
from bench.training._augment import views

_AUXILIARY_WEIGHT = 0.3  # Szegedy et al., arXiv:1409.4842, section 5


def mean_answers(model: nn.Module, images: Tensor, classes: int, names: str | None) -> Tensor:
    """Return the mean of a network's logits [B, K] float32 over views of images, called as `Learner.views` is."""
    logits = [
        weight * outputs(model(view), classes)[0].float()
        for weight, view in views(
            images, mirror="mirror" in (names or ""), translate="translate" in (names or "")
        )
    ]
    return torch.stack(logits).sum(0) if len(logits) > 1 else logits[0]


def outputs(result: object, classes: int) -> tuple[Tensor, list[Tensor]]:
    """Return the logits [B, K] and the auxiliary logits in what a network returned.

    That is a tensor, or has them by the names `logits` and `aux_logits...`: a named tuple, a mapping or a data class.
    What has no such name is not guessed at: features may have as many numbers as there are classes.

    Raises:
        InvalidModelError: if there are no logits in it for each of `classes`.
    """
    logits = logits_of(result)
    if logits is None or logits.ndim != 2 or logits.shape[1] < classes:
        form = form_of(result if logits is None else logits)
        known = classes > 1  # a task that has no count of them asks for one at least
        tip = f"return a tensor [batch, {classes if known else 'classes'}], or a named tuple with logits and aux_logits"
        if logits is not None and logits.ndim == 2:
            tip = f"--set num_classes={logits.shape[1]}, or let the network take num_classes as an argument"
        wanted = f"logits of {classes} classes" if known else "a logit of each class"
        raise InvalidModelError(f"the network returned {form}, not {wanted}", tip)
    sides = [value for name, value in named(result).items() if name.startswith("aux_logits")]
    return logits, [side for side in sides if isinstance(side, Tensor)]


def training_loss(
    result: object, labels: Tensor, classes: int, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the logits [B, K] in what a network returned, and the loss, that of auxiliary logits included.

    Of the labels [B] int64, a share of each is spread over all classes: `label_smoothing`.

    Raises:
        InvalidModelError: see `outputs`.
    """
    logits, auxiliary = outputs(result, classes)
    loss = F.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    for side in auxiliary:
        loss = loss + _AUXILIARY_WEIGHT * F.cross_entropy(side, labels, label_smoothing=label_smoothing)
    return logits, loss
