"""The training step that is timed: momentum SGD on cross-entropy, over noise and random labels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.backends import Backend, numbered
from bench.backends.compiled import compile_now
from bench.errors import UnsupportedError
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.plan.task import Hooks
from bench.records.record import Measurement, measured
from bench.tasks._calls import EAGER
from bench.tasks._networks import checked
from bench.tasks._placing import noise, place_network
from bench.timing.clock import Clock
from bench.timing.memory import held_tensors
from bench.timing.steps import Phases
from bench.training.config import autocast, check_trains
from bench.training.outputs import training_loss


def ready_step(
    backend: Backend, job: Job[Timed], hooks: Hooks, clock: Clock
) -> tuple[Phases, tuple[Measurement, ...]]:
    """Return the job's training step as the backend runs it; where that is not eager, with its `prepare_time`.

    Raises:
        UnsupportedError: if the backend cannot train the network.
    """
    name = job.settings.backend
    if backend.for_training is None:
        raise UnsupportedError(f"backend {name}: it does not train", "use backend=eager")
    model, images = place_network(checked(job, hooks).train(), job, hooks), noise(job)
    if name == EAGER:
        return training_step(backend.for_training(model), images, job), ()
    hooks.stage("eager")
    training_step(model, images, job)()  # so that what fails from here on is the backend's
    hooks.stage("prepare")
    phases = training_step(backend.for_training(model), images, job)
    start = clock.now()
    of = "the first steps, the first of which compiles"
    detail = {"of": of, "first_call_s": compile_now(phases, job.device)}
    return phases, (measured("prepare_time", (clock.now() - start,), detail),)


def training_step(model: nn.Module, images: Tensor, job: Job[Timed]) -> Phases:
    """Return the phases of a step of a network in training mode, on images [B, C, H, W]; both are on the device.

    The loss, of auxiliary heads too, belongs to `forward`; clearing the gradients to `optimizer`, after the update.
    In amp_fp16 the loss is scaled, and the update looks for overflow first, as `torch.amp.GradScaler` does.

    Raises:
        UnsupportedError: if there is nothing to train.
    """
    check_trains(model)
    classes, precision = job.num_classes or 1, job.settings.precision
    labels = torch.randint(classes, (len(images),), generator=torch.Generator().manual_seed(job.seed))
    labels = labels.to(job.device)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    scaler = torch.amp.GradScaler(torch.device(job.device).type, enabled=precision == "amp_fp16")
    loss, call = torch.zeros(()), numbered(model, images)

    def forward() -> None:
        nonlocal loss
        with autocast(precision, job.device):
            _, loss = training_loss(call(), labels, classes)

    def backward() -> None:
        scaler.scale(loss).backward()

    def update() -> None:
        nonlocal loss
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad(set_to_none=True)
        loss = loss.detach()  # the graph goes with it

    def held() -> list[Tensor]:
        return [*held_tensors(model, optimiser), images, labels]

    return Phases(forward, backward, update, held, loss=lambda: loss)
