"""Gradient norms, dead units and the synthetic step, each against a second way of computing it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.training.fit import FitResult
from bench.training.observations import (
    _LEAST_STEPS,
    _MOST_STEPS,
    _dead_units,
    _gradient_norms,
    _synthetic_throughput,
    _try,
    measurements,
)

SIZE = 6


class Backwards(nn.Module):
    """Registers its layers last to first, uses one of them twice, and one of them never."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Linear(2, 2)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.drop = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        seen = self.norm(self.first(images)).relu()
        seen = self.twice(self.twice(seen))
        logits: Tensor = self.head(self.drop(seen.mean((2, 3))))
        return logits


def batch(count: int = 8) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, 1, SIZE, SIZE, generator=generator), torch.arange(count) % 3


def made(kind: type[nn.Module] = Backwards) -> nn.Module:
    torch.manual_seed(0)
    return kind()


# Gradients


def test_gradients_are_autograds_in_the_order_of_their_use() -> None:
    images, labels = batch()
    found = _gradient_norms(made(), images, labels, F.cross_entropy)
    model = made().train()
    torch.manual_seed(0)  # the same dropout
    names = [name for name, _ in model.named_parameters() if not name.startswith("unused")]
    parameters = [dict(model.named_parameters())[name] for name in names]
    gradients = dict(
        zip(names, torch.autograd.grad(F.cross_entropy(model(images), labels), parameters), strict=True)
    )
    order = ["first.weight", "twice.weight", "head.weight"]
    assert [name for name, _ in found["by_layer"]] == order
    assert [norm for _, norm in found["by_layer"]] == pytest.approx(
        [gradients[n].norm().item() for n in order], rel=1e-5
    )
    whole = math.sqrt(sum(g.square().sum().item() for g in gradients.values()))
    assert found["norm"] == pytest.approx(whole, rel=1e-5)
    assert found["images"] == 8


def test_a_linear_layer_by_hand() -> None:
    """The gradient of the mean squared output of one weight w over x = 3 is 2 w x^2."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 5.0)
    found = _gradient_norms(
        model, torch.full((2, 1), 3.0), torch.zeros(2), lambda out, _: out.square().mean()
    )
    assert found == {
        "norm": pytest.approx(2 * 5 * 3**2),
        "by_layer": [["weight", pytest.approx(2 * 5 * 3**2)]],
        "images": 2,
    }


def test_gradients_leave_no_hook_no_gradient_and_skip_what_is_frozen() -> None:
    model = made()
    model.get_parameter("first.weight").requires_grad_(False)
    images, labels = batch()
    first = _gradient_norms(model, images, labels, F.cross_entropy)
    assert [name for name, _ in first["by_layer"]] == ["twice.weight", "head.weight"]
    assert all(p.grad is None for p in model.parameters())
    assert _gradient_norms(model, images, labels, F.cross_entropy) == first
    F.cross_entropy(model(images), labels).backward()
    assert model.get_parameter("head.weight").grad is not None  # nothing takes it away any more


# Dead units


class Relus(nn.Module):
    """Calls ReLU in every way there is; the conv's channel 0 and the linear layer's features 1 and 2 are dead."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.act = nn.Conv2d(1, 3, 1), nn.Linear(3, 4), nn.ReLU(inplace=True)
        for layer, dead in ((self.conv, [0]), (self.fc, [1, 2])):
            nn.init.zeros_(layer.weight)
            nn.init.ones_(layer.bias)
            with torch.no_grad():
                layer.bias[dead] = -1.0

    def forward(self, images: Tensor) -> Tensor:
        maps = self.act(self.conv(images))
        maps = F.relu(self.act(maps))
        features = self.fc(maps.mean((2, 3)))
        features = torch.relu(features).relu_()
        return features.clone().relu().clamp(min=0)


def test_every_way_to_call_relu_is_seen() -> None:
    found = _dead_units(Relus(), [batch(5)[0], batch(3)[0]])
    assert found is not None
    third, half = pytest.approx(1 / 3), 0.5
    assert [row[1:] for row in found["by_layer"]] == [[third, 3]] * 3 + [[half, 4]] * 3
    assert [row[0] for row in found["by_layer"]] == ["act", "act:2", "", ":2", ":3", ":4"]
    assert found["share"] == pytest.approx((3 * 1 + 3 * 2) / (3 * 3 + 3 * 4))
    assert found["images"] == 8


def test_a_unit_is_alive_if_any_batch_has_it() -> None:
    class Signs(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return F.relu(torch.cat([images.mean((2, 3)), -images.mean((2, 3)), images.mean((2, 3)) - 99], 1))

    ones = torch.ones(2, 1, SIZE, SIZE)
    by_batch = [
        _dead_units(Signs(), [ones]),
        _dead_units(Signs(), [-ones]),
        _dead_units(Signs(), [ones, -ones]),
    ]
    assert [found and found["share"] for found in by_batch] == pytest.approx([2 / 3, 2 / 3, 1 / 3])


def test_units_of_a_sequence_are_its_features() -> None:
    class Sequence(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return F.relu(
                torch.stack([images.flatten(2).mean(1), torch.full((len(images), SIZE**2), -1.0)], 2)
            ).mean(1)

    found = _dead_units(Sequence(), [torch.ones(2, 1, SIZE, SIZE)])
    assert found is not None
    assert found["by_layer"] == [["", 0.5, 2]]


def test_without_relu_there_is_nothing_to_say() -> None:
    assert _dead_units(nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, 3), nn.Tanh()), [batch()[0]]) is None


def test_a_network_that_fails_leaves_no_hooks() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, images: Tensor) -> Tensor:
            self.act(images)
            raise KeyError("deep")

    model = Fails()
    assert _try(_dead_units, model, [batch()[0]]) == {"error": "KeyError: 'deep'"}
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


# The step without its images


class Learner:
    """Counts its steps; each takes a second of the clock."""

    def __init__(self, steps: int) -> None:
        self.steps, self.compiled, self.now, self.seen = steps, None, 0.0, []  # type: ignore[var-annotated]

    def train(self, batches: Any, epoch: int) -> None:
        given = list(batches.shuffled(None, None, None))
        assert len(given) == len(batches)
        self.seen += [id(images) for images, _ in given]
        self.now += len(given)


class Batches:
    def in_order(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield batch(8)
        raise AssertionError("one is enough")


@pytest.mark.parametrize(
    ("steps", "timed", "warm"),
    [(1, _LEAST_STEPS, 0), (180, _LEAST_STEPS, 0), (500, 5, 0), (2000, 20, 1), (10**6, _MOST_STEPS, 1)],
)
def test_the_same_batch_again_and_again(steps: int, timed: int, warm: int) -> None:
    learner = Learner(steps)
    found = _synthetic_throughput(learner, Batches(), lambda: learner.now)  # type: ignore[arg-type]
    assert found == {"synthetic_throughput": 8 * timed / timed, "steps": timed, "batch_size": 8}
    assert len(learner.seen) == timed + warm
    assert len(set(learner.seen)) == 1


# Measurements


def test_what_could_not_be_seen_is_said() -> None:
    seen = FitResult(
        started={"norm": 2.0, "by_layer": [["a", 1.0]], "images": 32},
        ended={
            "gradients": {"error": "ValueError: no"},
            "dead": {"share": 0.25, "by_layer": [], "images": 64},
        },
        last={"synthetic_throughput": 400.0, "steps": 3, "batch_size": 8},
    )
    found = {m.name: m for m in measurements(seen, (100.0, 200.0, 1000.0))}
    assert list(found) == ["gradient_norm_start", "gradient_norm_end", "dead_units", "synthetic_share"]
    assert found["gradient_norm_start"].samples == (2.0,)
    assert found["gradient_norm_start"].detail == {"by_layer": [["a", 1.0]], "images": 32}
    assert math.isnan(found["gradient_norm_end"].samples[0])
    assert found["gradient_norm_end"].flags == ("unobserved",)
    assert found["dead_units"].samples == (0.25,)
    assert found["synthetic_share"].samples == (200 / 400,)
    assert found["synthetic_share"].flags == ("few_steps",)
    assert {m.better for m in found.values()} == {"neither", "lower", "higher"}


def test_nothing_looked_at_is_no_measurement() -> None:
    assert list(measurements(FitResult(), (1.0,))) == []
    assert [
        m.name for m in measurements(FitResult(ended={"gradients": {"norm": 1.0}, "dead": None}), (1.0,))
    ] == ["gradient_norm_end"]
