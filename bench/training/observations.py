"""What is observed beside a training: gradients at its start and its end, dead units, the step without its images.

All of it is done outside the timed parts, leaves the training as it is, and takes a few steps' time. Where a network
fails in an observation, the measurement says so, and the training stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from bench.errors import typed_text
from bench.io import JsonObject
from bench.records.record import Measurement, measured
from bench.training._batches import Batch, Batches
from bench.training._learner import Learner
from bench.training.config import FitConfig, Splits
from bench.training.fit import Callbacks, FitResult
from bench.training.outputs import training_loss

_GRADIENT_IMAGES = 32
_DEAD_IMAGES = 64
_SYNTHETIC_SHARE = 0.01  # of the training's steps are done once more on synthetic data
_LEAST_STEPS, _MOST_STEPS = 3, 200
_ENOUGH_STEPS = 10  # fewer are a rough number

_Loss = Callable[[object, Tensor], Tensor]
_Observation = JsonObject


def with_observations(callbacks: Callbacks, data: Splits, config: FitConfig) -> Callbacks:
    """Return the callbacks with `before`, `after` and `last` for the observations of a training.

    The images are some of the training images as they are, the same ones for every network and seed.
    """

    def images(count: int) -> Batches:
        rng = torch.Generator().manual_seed(0)
        index = torch.randperm(len(data.train), generator=rng)[:count].sort().values
        size = min(count, 2 * config.recipe.batch_size)
        return Batches(data.train.pick(index), data.dataset, config.shape, size, config.device)

    def loss(result: object, labels: Tensor) -> Tensor:
        return training_loss(result, labels, data.dataset.card.num_classes, config.recipe.label_smoothing)[1]

    def gradients(model: nn.Module) -> _Observation:
        return _gradient_norms(model, *next(images(_GRADIENT_IMAGES).in_order()), loss)

    def dead(model: nn.Module) -> _Observation | None:
        return _dead_units(model, (batch for batch, _ in images(_DEAD_IMAGES).in_order()))

    return replace(
        callbacks,
        before=lambda model: _try(gradients, model),
        after=lambda model: {"gradients": _try(gradients, model), "dead": _try(dead, model)},
        last=partial(_try, _synthetic_throughput),
    )


def _try(observe: Callable[..., _Observation | None], *args: object) -> _Observation | None:
    """Return what `observe` returns, or in `error` why it failed: no observation is worth a training."""
    try:
        return observe(*args)
    except Exception as error:  # the network's, whatever it is
        return {"error": typed_text(error)[:500]}


def measurements(result: FitResult, throughput: tuple[float, ...]) -> Iterator[Measurement]:
    """Yield the measurements of what was observed.

    `gradient_norm_start` and `gradient_norm_end`; `dead_units`, of networks with ReLU; `synthetic_share`, of trainings
    by one rank. The throughput is that of each epoch, in images/s.
    """
    ended = result.ended or {}
    for name, gradients in (
        ("gradient_norm_start", result.started),
        ("gradient_norm_end", ended.get("gradients")),
    ):
        if gradients is not None:
            yield _measurement(name, gradients, "norm")
    if ended.get("dead") is not None:
        yield _measurement("dead_units", ended["dead"], "share")
    if result.last is not None:
        synthetic = dict(result.last)
        if "error" not in synthetic:
            synthetic["share"] = median(throughput) / synthetic["synthetic_throughput"]
        few = ("few_steps",) if synthetic.get("steps", _ENOUGH_STEPS) < _ENOUGH_STEPS else ()
        yield _measurement("synthetic_share", synthetic, "share", few)


def _measurement(name: str, observation: _Observation, key: str, flags: tuple[str, ...] = ()) -> Measurement:
    detail = {k: v for k, v in observation.items() if k != key}
    flags = ("unobserved",) if "error" in observation else flags
    return measured(name, (observation.get(key, math.nan),), detail, flags)


def _gradient_norms(model: nn.Module, images: Tensor, labels: Tensor, loss: _Loss) -> _Observation:
    """Return the norm of the loss's gradient: how much of the loss reaches each layer, in a batch not trained on.

    In training mode, as the optimiser would meet it: batch normalisation by the batch's own statistics, dropout with
    a seed that is always the same. In single precision, whatever the training's, so that nothing underflows. The
    network's mode, its running statistics and torch's generators are not put back; its gradients are gone.

    Returns:
        `norm`: of the whole gradient, over all trained parameters. `by_layer`: a list [name, norm] for each
        parameter called weight that has two or more dimensions: of convolutions, linear layers, attention; the
        one that is used first comes first. `images`: B.
    """
    norms: list[tuple[str, Tensor]] = []

    def keep(name: str, parameter: Tensor) -> None:
        if parameter.grad is not None:
            norms.append((name, parameter.grad.norm()))
            parameter.grad = None  # one layer's gradient at a time is all that takes memory

    model.zero_grad(set_to_none=True)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    hooks = [
        p.register_post_accumulate_grad_hook(lambda p, name=name: keep(name, p))
        for name, p in trained.items()
    ]
    with _removed(hooks):
        torch.manual_seed(0)
        model.train()
        loss(model(images), labels).backward()
    values = [(name, norm.item()) for name, norm in norms]
    # The backward pass meets the parameters last to first.
    by_layer = [
        [name, norm] for name, norm in reversed(values) if "weight" in name and trained[name].ndim > 1
    ]
    return {"norm": math.hypot(*(n for _, n in values)), "by_layer": by_layer, "images": len(images)}


@contextmanager
def _removed(hooks: Iterable[RemovableHandle]) -> Iterator[None]:
    """Remove the hooks after the block."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


_RELUS = (F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)


def _dead_units(model: nn.Module, batches: Iterable[Tensor]) -> _Observation | None:
    """Return the share of ReLU units that are zero for all images, and so learn nothing from them; None without ReLU.

    A unit is a channel of a map [B, C, ...], or a feature of [B, F] or [B, T, F]. Counted is every call of ReLU, as a
    module, a function or a tensor's method. Not counted are a maximum with zero written in other ways (clamp,
    threshold, ReLU6), and what a scripted network does.

    Returns:
        `share`: over all layers. `by_layer`: a list [name, share, units] for each ReLU in the order of the calls;
        the name is of the module in which it is called, with ``:2`` for the second call there. `images`: how many.
    """
    alive: dict[str, Tensor] = {}
    images = 0
    model.eval()
    with torch.no_grad():
        for batch in batches:
            with _module_names(model) as names, _AliveUnits(names) as batch_units:
                model(batch)
            for name, units in batch_units.alive.items():
                alive[name] = alive[name] | units if name in alive else units
            images += len(batch)
    if not alive:
        return None
    counts = [(name, units.numel() - int(units.sum()), units.numel()) for name, units in alive.items()]
    return {
        "share": sum(dead for _, dead, _ in counts) / sum(units for _, _, units in counts),
        "by_layer": [[name, dead / units, units] for name, dead, units in counts],
        "images": images,
    }


class _AliveUnits(TorchFunctionMode):
    """While it is entered, notes of each ReLU call which units were not zero, by the name of the innermost module."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names
        self.alive: dict[str, Tensor] = {}

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        if func in _RELUS and isinstance(result, Tensor) and result.ndim > 1:
            self.alive[self._new_name()] = _alive(result)
        return result

    def _new_name(self) -> str:
        name = self.names[-1]
        calls = (name, *(f"{name}:{i}" for i in range(2, len(self.alive) + 2)))
        return next(n for n in calls if n not in self.alive)


def _alive(units: Tensor) -> Tensor:
    """Return [units] bool: whether each was not zero anywhere in the batch."""
    axis = 2 if units.ndim == 3 else 1  # [B, T, F] has its features last
    return (units != 0).movedim(axis, 0).flatten(1).any(1)


@contextmanager
def _module_names(model: nn.Module) -> Iterator[list[str]]:
    """Yield the names of the modules that are being called, the innermost last."""
    names = [""]

    def leave(*_: object) -> None:
        names.pop()

    hooks: list[RemovableHandle] = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: names.append(name)))
        hooks.append(module.register_forward_hook(leave, always_call=True))
    with _removed(hooks):
        yield names


def _synthetic_throughput(learner: Learner, batches: Batches, now: Callable[[], float]) -> _Observation:
    """Train on one batch that lies on the device already: how fast the same training goes without its images.

    The network learns on. What the training falls short of it is the share of reading, augmenting and moving images.
    Returned are `synthetic_throughput` in images/s, `steps` and `batch_size`.
    """
    batch = next(batches.in_order())
    steps = max(_LEAST_STEPS, min(_MOST_STEPS, round(_SYNTHETIC_SHARE * learner.steps)))
    # A short training has no time for warming up, and is warm.
    if steps >= _ENOUGH_STEPS or learner.compiled is not None:
        _train(learner, batch, 1)
    start = now()
    _train(learner, batch, steps)
    size = len(batch[1])
    return {"synthetic_throughput": size * steps / (now() - start), "steps": steps, "batch_size": size}


def _train(learner: Learner, batch: Batch, steps: int) -> None:
    learner.train(cast(Batches, _OneBatch(batch, steps)), 0)


class _OneBatch:
    """An epoch of one batch, `steps` times; a learner takes it for `Batches`."""

    def __init__(self, batch: Batch, steps: int) -> None:
        self.batch = batch
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def shuffled(self, *_: object) -> Iterator[Batch]:
        """Yield the batch without any work."""
        return (self.batch for _ in range(self.steps))
