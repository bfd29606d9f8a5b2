"""Optimisers, schedules and averages: each value against arithmetic or torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from patches import PLAIN, network, trained
from torch import nn

from bench.errors import UnsupportedError
from bench.plan.recipe import Cosine, Plateau, Recipe, Steps, _Triangle
from bench.training._optimiser import Average, _lowered, _parameter_groups, make_optimiser, rate, set_rate


@pytest.mark.parametrize("steps", [1, 2, 9, 100])
@pytest.mark.parametrize("warm_up", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_the_rate_is_a_triangle(steps: int, warm_up: float, final: float) -> None:
    schedule = _Triangle(warm_up=warm_up, final=final)
    rates = [rate(step, steps, schedule) for step in range(steps)]
    times = [(step + 1) / (steps + 1) for step in range(steps)]
    for time, value in zip(times, rates, strict=True):
        up = time / warm_up if warm_up else 1.0
        down = (final * (time - warm_up) + 1 - time) / (1 - warm_up)
        assert value == pytest.approx(min(up, down))
        assert 0 < value <= 1


def test_the_peak_is_met_exactly() -> None:
    assert [rate(step, 9, _Triangle(warm_up=0.2, final=0.0)) for step in (0, 1, 5)] == pytest.approx(
        [0.5, 1, 0.5]
    )


def test_frozen_parameters_are_left_alone() -> None:
    model = network()
    first = next(model.parameters()).requires_grad_(False)
    before = first.clone()
    trained(model, epochs=1)
    assert torch.equal(first, before)
    optimised = make_optimiser(model, PLAIN).param_groups[0]["params"]
    assert len(optimised) == len(list(model.parameters())) - 1


def test_a_network_without_anything_to_train_is_told() -> None:
    for model in (nn.Flatten(), nn.Linear(2, 2).requires_grad_(False)):
        with pytest.raises(UnsupportedError, match="there is nothing to train"):
            make_optimiser(model, PLAIN)


def test_adamw_takes_its_numbers_from_the_recipe() -> None:
    recipe = PLAIN.model_copy(update={"optimiser": "adamw", "momentum": 0.8, "weight_decay": 0.05})
    optimiser = make_optimiser(network(), recipe)
    assert isinstance(optimiser, torch.optim.AdamW)
    assert optimiser.defaults["betas"] == (0.8, 0.999)
    assert [group["weight_decay"] for group in optimiser.param_groups] == [0.05]


@pytest.mark.parametrize("steps", [1, 7, 100])
@pytest.mark.parametrize(("warm_up", "final"), [(0.0, 0.0), (0.2, 0.1), (0.0, 1.0)])
def test_the_rate_is_half_a_period_of_a_cosine(steps: int, warm_up: float, final: float) -> None:
    schedule = Cosine(kind="cosine", warm_up=warm_up, final=final)
    for step in range(steps):
        time = (step + 1) / (steps + 1)
        down = math.pi * (time - warm_up) / (1 - warm_up)
        expected = time / warm_up if time < warm_up else final + (1 - final) * (1 + math.cos(down)) / 2
        assert rate(step, steps, schedule) == pytest.approx(expected)


def test_the_rate_goes_down_in_steps() -> None:
    schedule = Steps(kind="steps", at=(0.5, 0.75), factor=0.1)
    rates = [rate(step, 8, schedule) for step in range(8)]
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_the_steps_of_he2015_are_those_of_the_paper() -> None:
    schedule = Recipe.load("he2015").schedule
    changes = [s for s in range(1, 64_000) if rate(s, 64_000, schedule) < rate(s - 1, 64_000, schedule)]
    assert changes == [32_000, 48_000]


@pytest.mark.parametrize("patience", [0, 1, 3])
def test_a_plateau_is_torchs(patience: int) -> None:
    errors = [0.9, 0.8, 0.8, 0.81, 0.79, 0.79, 0.79, 0.79, 0.79, 0.79, 0.5, 0.6, 0.6, 0.6, 0.4, 0.4, 0.4]
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, factor=0.5, patience=patience, threshold=0.0, eps=0.0
    )
    schedule = Plateau(kind="plateau", factor=0.5, patience=patience)
    for i, error in enumerate(errors):
        assert rate(i, 100, schedule, errors[:i]) == optimiser.param_groups[0]["lr"]
        theirs.step(error)
    assert _lowered(errors, patience) > 0


def network_of_all_kinds() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2, bias=False))


def test_usually_all_parameters_are_one_group_in_order() -> None:
    model = network_of_all_kinds()
    (group,) = _parameter_groups(model, PLAIN)
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]
    assert (group["weight_decay"], group["rate_factor"]) == (5e-4, 1.0)


def test_groups_without_decay_and_with_a_rate_of_their_own() -> None:
    model = network_of_all_kinds()
    groups = _parameter_groups(model, PLAIN.model_copy(update={"no_decay": True, "bias_lr": 4.0}))
    names = {id(p): name for name, p in model.named_parameters()}
    found = {(g["weight_decay"], g["rate_factor"]): [names[id(p)] for p in g["params"]] for g in groups}
    assert found == {
        (5e-4, 1.0): ["0.weight", "3.weight"],
        (0.0, 4.0): ["0.bias", "1.bias"],
        (0.0, 1.0): ["1.weight"],
    }


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_biases_move_by_a_multiple(optimiser: str) -> None:
    change = {"optimiser": optimiser, "nesterov": False, "bias_lr": 4.0, "weight_decay": 0.0, "momentum": 0.0}
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    made = make_optimiser(model, PLAIN.model_copy(update=change))
    set_rate(made, 0.01)
    model(torch.ones(1, 1)).backward()  # both gradients are one
    made.step()
    assert model.bias.item() == pytest.approx(4 * model.weight.item())
    assert model.weight.item() == pytest.approx(-0.01, rel=1e-4)


def test_a_first_step_that_overflows_leaves_nothing_behind() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    made = make_optimiser(model, PLAIN.model_copy(update={"nesterov": False, "weight_decay": 0.0}))
    model(torch.ones(1, 1)).backward()  # the gradient is one
    made.grad_scale, made.found_inf = torch.ones(()), torch.ones(())  # type: ignore[attr-defined]  # as the scaler does
    made.step()
    assert model.weight.item() == 0
    del made.grad_scale, made.found_inf  # type: ignore[attr-defined]
    set_rate(made, 0.5)
    made.step()
    assert model.weight.item() == -0.5


def test_an_average_is_the_sum_written_out() -> None:
    model = nn.BatchNorm1d(1)
    average = Average(model, decay=0.5)
    expected = 1.0  # the weight that batch normalisation starts with
    for step, value in enumerate([3.0, -1.0, 2.0, 8.0, 5.0, 0.5, 7.0]):
        nn.init.constant_(model.weight, value)
        model.num_batches_tracked += 1
        average.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert average.tensors["weight"].item() == pytest.approx(expected)
    assert average.tensors["num_batches_tracked"].item() == 7  # a count has no average


def test_an_average_is_in_place_for_a_while() -> None:
    model = nn.Linear(1, 1)
    average = Average(model, decay=0.5)
    old = model.weight.item()
    nn.init.constant_(model.weight, 100.0)
    with average.in_place(model):
        assert model.weight.item() == old
    assert model.weight.item() == 100.0
