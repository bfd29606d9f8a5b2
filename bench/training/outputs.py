"""What a network returns: logits, those of its auxiliary classifiers, and the loss of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    Raises:
        InvalidModelError: if there are no logits in it for each of `classes`.
    """
    named = _named(result)
    logits = named.get("logits", result)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[1] < classes:
        form = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        known = classes > 1  # a task that has no count of them asks for one at least
        tip = f"return a tensor [batch, {classes if known else 'classes'}], or a named tuple with logits and aux_logits"
        if isinstance(logits, Tensor) and logits.ndim == 2:
            tip = f"--set num_classes={logits.shape[1]}, or let the network take num_classes as an argument"
        wanted = f"logits of {classes} classes" if known else "a logit of each class"
        raise InvalidModelError(f"the network returned {form}, not {wanted}", tip)
    sides = [value for name, value in named.items() if name.startswith("aux_logits")]
    return logits, [side for side in sides if isinstance(side, Tensor)]


def _named(result: object) -> Mapping[str, object]:
    """Return what a network returned by name; nothing where it has no names."""
    if isinstance(result, Mapping):
        return result
    if isinstance(result, tuple) and hasattr(result, "_asdict"):
        return dict(result._asdict())
    return vars(result) if is_dataclass(result) and not isinstance(result, type) else {}


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
