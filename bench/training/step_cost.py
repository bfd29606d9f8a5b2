"""What a training step costs and holds, before anything of its size is there: counted without storage.

The step is the one that is timed: momentum SGD on cross-entropy, of auxiliary heads too. Its backward pass is counted
as autograd runs it, so that what is frozen, and the gradient of the images that nobody asks for, cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bench.archs import Arch
from bench.costs import prepare
from bench.costs.calls import Followed, Key
from bench.costs.work import OUTSIDE, Call, Step, Work, count_pass
from bench.errors import BenchError, InvalidModelError, UnsupportedError, typed_text
from bench.io import JsonObject
from bench.training._forecast import forecasts, on_cpu_without_storage
from bench.training.config import check_trains
from bench.training.outputs import training_loss

_BATCHES = (1, 8, 32, 64, 128, 256)
_UPDATE = {"momentum": 2, "weights": 1}  # multiply-accumulates of momentum SGD for each number it changes


def training_table(arch: Arch, batch: int, depth: int | None, shape: Mapping[str, int | None]) -> JsonObject:
    """Return what a training step of a network costs and holds.

    `layers` has by call, opened to `depth`, forward and backward multiply-accumulates of a batch; `totals` their sums
    and those of the optimiser; `memory` the forecast of this batch, and `batches` those of others; all in bytes.

    Raises:
        UnsupportedError: if it cannot be trained, or does not run without storage.
        InvalidModelError: if it fails.
    """
    card = arch.card
    if card.untrained:
        raise UnsupportedError(card.untrained)
    subject = prepare(arch, **shape)
    if subject.trace.failure is not None:
        raise InvalidModelError(f"{card.name} failed before its end: {subject.trace.failure_text}")
    if subject.reason:
        raise UnsupportedError(
            f"{card.name} does not run without storage, so that its step cannot be counted: {subject.reason}",
            "measure it: bench run NAME --task train_step",
        )
    check_trains(subject.model)
    trained = sum(p.numel() for p in subject.model.parameters() if p.requires_grad)
    classes = shape.get("num_classes") or card.num_classes or 1
    try:
        model = subject.model.train()
        device = on_cpu_without_storage(model)
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
        with device:
            images: Any = torch.empty((batch, *subject.shape[1:]), dtype=subject.trace.dtype)
            calls = _counted(model, optimiser, images, classes)
        updated = sum(p.numel() for p in optimiser.state)  # what no loss depends on has no gradient
        batches = [batch, *(n for n in _BATCHES if n != batch)]
        loss_of = lambda output, labels: _loss(output, labels, classes)  # noqa: E731
        made = forecasts(model, optimiser, images, batches, loss_of)
    except BenchError:
        raise
    except Exception as error:  # the network's own
        raise InvalidModelError(f"{card.name} failed in training mode: {typed_text(error)[:300]}") from error
    rows = _rows(calls, depth)
    forward, backward = (sum(row[key] for row in rows) for key in ("forward_macs", "backward_macs"))
    return {
        "arch": card.name,
        "input": [batch, *subject.shape[1:]],
        "layers": rows,
        "totals": {
            "forward_macs": forward,
            "backward_macs": backward,
            "again_macs": sum(call.again for call in calls.values()),
            "optimizer_macs": sum(_UPDATE.values()) * updated,
            "trained_parameters": trained,
            "parameters_without_gradient": trained - updated,
            "frozen_parameters": sum(p.numel() for p in model.parameters()) - trained,
        },
        "memory": made[batch].to_json(),
        "batches": {str(n): made[n].to_json() for n in sorted(made)},
    }


def _loss(output: object, labels: Tensor, classes: int) -> Tensor:
    return training_loss(output, labels, classes)[1]


def _counted(
    model: nn.Module, optimiser: torch.optim.Optimizer, images: Tensor, classes: int
) -> dict[Key, Call]:
    """Return the calls of a step, after which the optimiser has state; its update multiplies no matrices."""
    labels, loss = torch.empty(len(images), dtype=torch.long), torch.zeros(())

    def forward() -> Tensor:
        nonlocal loss
        loss = _loss(model(images), labels, classes)
        return loss

    def backward() -> None:
        loss.backward()
        optimiser.step()

    return count_pass(Followed(model), Step(forward, backward)).calls


def _rows(calls: Mapping[Key, Call], depth: int | None) -> list[dict[str, Any]]:
    """Return a row for each call to the depth that multiplies anything, what is inside it included."""
    sums: dict[Key, tuple[Work, Work]] = {}
    for key, call in calls.items():
        shown = key
        while depth is not None and calls[shown].depth > depth and calls[shown].parent is not None:
            shown = calls[shown].parent or shown
        before = sums.get(shown, (Work(), Work()))
        sums[shown] = (before[0] + call.forward, before[1] + call.backward)
    return [
        {
            "name": calls[key].name or ("loss" if key == OUTSIDE else calls[key].type),
            "type": calls[key].type,
            "forward_macs": forward.macs,
            "backward_macs": backward.macs,
        }
        for key, (forward, backward) in sums.items()
        if forward.macs or backward.macs
    ]
