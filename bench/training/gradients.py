"""Gradient norms: how much of the loss reaches each layer, on a batch that is not trained on.

In training mode, as the optimiser would meet it: batch normalisation by the batch's own statistics, dropout with
chance that is always the same. In single precision, whatever the training's, so that nothing underflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Loss = Callable[[Any, Tensor], Tensor]


def gradient_norms(model: nn.Module, images: Tensor, labels: Tensor, loss: Loss) -> dict[str, Any]:
    """Return the norm of the loss's gradient, as plain JSON values.

    The network's mode, its running statistics and torch's chance are not put back; its gradients are gone.

    Args:
        model: on the images' device.
        images: [B, C, S, S] as the network takes them.
        labels: [B] int64.
        loss: of what the network returns and the labels.

    Returns:
        `norm`: of the whole gradient, over all trained parameters. `by_layer`: a list [name, norm] for each
        parameter called weight that has two or more dimensions: of convolutions, linear layers, attention; the
        one that is used first comes first. `images`: B.
    """
    found: list[tuple[str, Tensor]] = []

    def keep(name: str, parameter: Tensor) -> None:
        if parameter.grad is not None:
            found.append((name, parameter.grad.norm()))
            parameter.grad = None  # one layer's gradient at a time is all that takes memory

    model.zero_grad(set_to_none=True)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    hooks = [
        p.register_post_accumulate_grad_hook(lambda p, name=name: keep(name, p))
        for name, p in trained.items()
    ]
    try:
        torch.manual_seed(0)
        model.train()
        loss(model(images), labels).backward()
    finally:
        for hook in hooks:
            hook.remove()
    norms = [(name, norm.item()) for name, norm in found]
    # The backward pass meets the parameters last to first.
    by_layer = [[name, norm] for name, norm in reversed(norms) if "weight" in name and trained[name].ndim > 1]
    return {"norm": math.hypot(*(n for _, n in norms)), "by_layer": by_layer, "images": len(images)}
