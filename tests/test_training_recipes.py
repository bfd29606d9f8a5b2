"""What recipes may ask of a training: when it is tested and on what, plateaus, mirrored images, dropout."""

from __future__ import annotations

import math

import pytest
import torch
from patches import SIZE, STILL, Spy, curves, network, patches, recipe_with, trained
from torch import nn

from bench.errors import ConfigError
from bench.plan.recipe import Plateau
from bench.training.fit import _set_dropout

CPU = torch.device("cpu")


def test_the_logits_are_those_of_the_last_test() -> None:
    model = network()
    seen = trained(model)
    test = patches(80, seed=1)
    expected = model.eval()((test.images / 255 - 0.5) / 0.25)
    assert seen.logits is not None
    assert seen.labels is not None
    torch.testing.assert_close(seen.logits, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(seen.labels, test.labels)
    assert seen.test_top1[-1] == (expected.argmax(1) == test.labels).sum().item() / 80


def test_the_test_images_may_be_looked_at_less_often_and_after_the_last_epoch() -> None:
    often, rarely = trained(epochs=5), trained(epochs=5, test_every=2)
    assert rarely.train_loss == often.train_loss
    seen = [math.nan, often.test_top1[1], math.nan, often.test_top1[3], often.test_top1[4]]
    assert rarely.test_top1 == pytest.approx(seen, abs=0, nan_ok=True)
    assert often.logits is not None
    assert rarely.logits is not None
    assert torch.equal(rarely.logits, often.logits)


def test_validation_images_are_looked_at_and_not_learned() -> None:
    plain = trained()
    seen = trained(validation=patches(80, seed=1))
    assert curves(seen) == curves(plain)
    assert seen.val_top1 == seen.test_top1  # they are the same images here
    assert seen.val_loss == seen.test_loss
    assert plain.val_top1 == plain.val_loss == []


def test_a_plateau_lowers_the_rate_where_the_validation_error_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr("bench.training._learner.set_rate", lambda _, rate: rates.append(rate))
    schedule = Plateau(kind="plateau", factor=0.5, patience=0)
    model = network()
    for (
        parameter
    ) in model.parameters():  # nothing is learned: only the first epoch's error is a new least one
        parameter.requires_grad_(parameter.ndim == 4)
        nn.init.zeros_(parameter)
    trained(model, recipe=recipe_with(schedule=schedule), validation=patches(8), epochs=4, train=patches(32))
    assert rates == [0.1 * factor for factor in (1, 1, 0.5, 0.25)]


def test_a_plateau_needs_validation_images() -> None:
    recipe = recipe_with(schedule=Plateau(kind="plateau", factor=0.1, patience=1))
    with pytest.raises(ConfigError, match="no images are held back") as caught:
        trained(recipe=recipe)
    assert caught.value.tip == "give validation, such as validation: 0.1"


def test_mirrored_tests_are_means_of_both_sides() -> None:
    model = network()
    recipe = recipe_with(test_time_augmentation="mirror", epochs=1)
    seen = trained(model, recipe=recipe, epochs=1)
    test = (patches(80, seed=1).images / 255 - 0.5) / 0.25
    model.eval()
    assert seen.logits is not None
    torch.testing.assert_close(seen.logits, (model(test) + model(test.flip(3))) / 2, rtol=1e-5, atol=1e-5)
    assert seen.test_time_augmentation == "mirror"


def test_tests_are_not_mirrored_where_training_images_are_not() -> None:
    plain = trained(recipe=recipe_with(augment=STILL))
    seen = trained(recipe=recipe_with(augment=STILL, test_time_augmentation="mirror"))
    assert curves(seen) == curves(plain)
    assert seen.test_time_augmentation is None


def test_alternating_flips_mirror_each_image_in_every_other_epoch() -> None:
    spy = Spy(SIZE, 1)
    augment = STILL.model_copy(update={"flip": True, "alternate_flip": True})
    recipe = recipe_with(augment=augment, batch_size=64)
    trained(spy, recipe=recipe, epochs=3, train=patches(64), test=patches(8))
    epochs = [{tuple(image.flatten().tolist()) for image in spy.given[2 * i]} for i in range(3)]
    turned = [{tuple(image.flip(2).flatten().tolist()) for image in spy.given[2 * i]} for i in range(3)]
    assert epochs[0] == epochs[2] == turned[1]
    assert epochs[0] != epochs[1]
    images = {tuple(((i / 255 - 0.5) / 0.25).flatten().tolist()) for i in patches(64).images}
    assert 16 < len({e for e in epochs[0] if nearly_in(e, images)}) < 48


def nearly_in(image: tuple[float, ...], images: set[tuple[float, ...]]) -> bool:
    return bool((torch.tensor(list(images)) - torch.tensor(image)).abs().amax(1).min() < 1e-4)


@pytest.mark.parametrize(("asked", "expected"), [(None, [0.3, 0.2]), (0.0, [0.0, 0.0]), (0.5, [0.5, 0.5])])
def test_dropout_is_the_recipes_where_it_says(asked: float | None, expected: list[float]) -> None:
    model = nn.Sequential(nn.Dropout(0.3), nn.Sequential(nn.ReLU(), nn.Dropout2d(0.2)))
    _set_dropout(model, asked)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout | nn.Dropout2d)] == expected


def test_a_recipes_dropout_is_trained_with() -> None:
    assert curves(trained(network(), recipe=recipe_with(dropout=0.5))) == curves(
        trained(network(dropout=0.5))
    )
