"""The training step that is timed: momentum SGD on cross-entropy, over noise and random labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.execution.placing import AUTOCAST
from bench.plan.job import Job
from bench.timing.tensors import tensors_of
from bench.timing.training_step import Phases
from bench.training.learner import AUXILIARY_WEIGHT, outputs


def training_step(model: nn.Module, images: Tensor, job: Job) -> Phases:
    """Return the phases of a step.

    The loss, of auxiliary heads too, belongs to `forward`; clearing the gradients to `optimizer`, after the update.
    In amp_fp16 the loss is scaled, and the update looks for overflow first, as `torch.amp.GradScaler` does.

    Args:
        model: in training mode, on the device; what the step calls.
        images: [B, C, H, W], on the device.
        job: its precision and seed.
    """
    classes, precision = job.num_classes or 1, job.settings["precision"]
    kind = torch.device(job.device).type
    labels = torch.randint(classes, (len(images),), generator=torch.Generator().manual_seed(job.seed))
    labels = labels.to(job.device)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    scaler = torch.amp.GradScaler(kind, enabled=precision == "amp_fp16")
    loss = torch.zeros(())

    def forward() -> None:
        nonlocal loss
        with torch.autocast(kind, dtype=AUTOCAST.get(precision), enabled=precision in AUTOCAST):
            logits, auxiliary = outputs(model(images), classes)
            loss = cross_entropy(logits, labels)
            for side in auxiliary:
                loss = loss + AUXILIARY_WEIGHT * cross_entropy(side, labels)

    def backward() -> None:
        scaler.scale(loss).backward()

    def update() -> None:
        nonlocal loss
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad(set_to_none=True)
        loss = loss.detach()  # the graph goes with it

    return Phases(forward, backward, update, held=lambda: [*tensors_of(model, optimiser), images, labels])
