"""Augmentation, pixel by pixel against NumPy, and its chance against the distributions it should have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chisquare
from torch import Tensor

from bench.datasets import DATASETS
from bench.datasets.transforms import normalise
from bench.errors import ConfigError
from bench.plan.recipe import Augment
from bench.training._augment import (
    Augmentation,
    _Draws,
    _reflect,
    _takes_turn,
    crop,
    cut_out,
    decide,
    draw,
)

IDLE = Augmentation(size=6, pad=0, flip=False, cutout=0)
UNLIKELY = 1e-4  # chance that a right generator fails; the seeds are fixed, so a pass stays a pass


def some_images(count: int = 7, channels: int = 3, size: int = 6) -> Tensor:
    return torch.randint(0, 256, (count, channels, size, size), dtype=torch.uint8, generator=generator())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cropped(image: np.ndarray, pad: int, corner: np.ndarray, mirrored: bool) -> np.ndarray:
    """Return what `take` should: pad, cut, and turn around one image [C, H, W]."""
    size = image.shape[1]
    bordered = np.pad(image, ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
    row, column = corner
    cut = bordered[:, row : row + size, column : column + size]
    return cut[:, :, ::-1] if mirrored else cut


@pytest.mark.parametrize("pad", [0, 1, 2, 5])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_crop_and_flip_equal_numpy(pad: int, flip: bool, channels: int) -> None:
    images = some_images(channels=channels)
    how = replace(IDLE, pad=pad, flip=flip)
    index = torch.tensor([3, 0, 6, 3, 1, 5, 2, 4, 0, 0, 6])
    draws = draw(index, how, generator(1))
    found = crop(images, index, draws, how)
    for i, image in enumerate(images[index].numpy()):
        expected = cropped(image, pad, draws.corner[i].numpy(), bool(draws.mirrored[i]))
        np.testing.assert_array_equal(found[i].numpy(), expected)
    assert found.dtype == torch.uint8


def test_every_corner_and_its_mirror_image() -> None:
    image = some_images(1)
    how = replace(IDLE, pad=2, flip=True)
    corners = torch.cartesian_prod(torch.arange(5), torch.arange(5))
    for mirrored in (False, True):
        draws = _Draws(corners, torch.full((25,), mirrored), torch.zeros(25, 2, dtype=torch.int64))
        found = crop(image, torch.zeros(25, dtype=torch.int64), draws, how)
        expected = [cropped(image[0].numpy(), 2, c, mirrored) for c in corners.numpy()]
        np.testing.assert_array_equal(found.numpy(), np.stack(expected))


def test_without_augmentation_images_are_as_they_were() -> None:
    images = some_images()
    index = torch.tensor([2, 2, 5])
    assert torch.equal(crop(images, index, draw(torch.arange(3), IDLE, generator()), IDLE), images[index])


def test_a_part_of_the_draws_is_of_its_images() -> None:
    how = replace(IDLE, pad=3, flip=True)
    images, index = some_images(), torch.arange(7)
    draws = draw(torch.arange(7), how, generator())
    whole = crop(images, index, draws, how)
    assert torch.equal(crop(images, index[2:5], draws[2:5], how), whole[2:5])


@pytest.mark.parametrize("size", [2, 5, 8])
def test_reflection_equals_numpy(size: int) -> None:
    positions = torch.arange(-(size - 1), 2 * size - 1)
    expected = np.pad(np.arange(size), size - 1, mode="reflect")
    np.testing.assert_array_equal(_reflect(positions, size).numpy(), expected)


def test_all_corners_are_equally_likely() -> None:
    corner = draw(torch.arange(20_000), replace(IDLE, pad=2), generator()).corner.numpy()
    counts = np.bincount(corner[:, 0] * 5 + corner[:, 1], minlength=25)
    assert counts.sum() == 20_000
    assert chisquare(counts).pvalue > UNLIKELY


def test_half_of_the_images_are_mirrored() -> None:
    mirrored = int(draw(torch.arange(20_000), replace(IDLE, flip=True), generator()).mirrored.sum())
    assert binomtest(mirrored, 20_000, 0.5).pvalue > UNLIKELY


def test_all_holes_are_equally_likely() -> None:
    hole = draw(torch.arange(20_000), replace(IDLE, cutout=2), generator()).hole.numpy()
    counts = np.bincount(hole[:, 0] * 6 + hole[:, 1], minlength=36)
    assert counts.sum() == 20_000
    assert chisquare(counts).pvalue > UNLIKELY


def test_one_kind_switched_off_leaves_the_others_as_they_were() -> None:
    both = draw(torch.arange(100), replace(IDLE, pad=2, flip=True), generator())
    crops = draw(torch.arange(100), replace(IDLE, pad=2), generator())
    assert torch.equal(both.corner, crops.corner)
    assert torch.equal(both.hole, crops.hole)
    assert not crops.mirrored.any()


def test_the_generator_decides() -> None:
    how = replace(IDLE, pad=2, flip=True)
    first, again, other = (draw(torch.arange(50), how, generator(s)) for s in (4, 4, 5))
    assert torch.equal(first.corner, again.corner)
    assert torch.equal(first.mirrored, again.mirrored)
    assert not torch.equal(first.corner, other.corner)


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_cutout_equals_numpy(side: int) -> None:
    images = torch.rand(36, 2, 6, 6, generator=generator()) + 1
    holes = torch.cartesian_prod(torch.arange(6), torch.arange(6))  # every place once
    draws = _Draws(torch.zeros_like(holes), torch.zeros(36, dtype=torch.bool), holes)
    found = cut_out(images, draws, side).numpy()
    for image, result, (row, column) in zip(images.numpy(), found, holes.tolist(), strict=True):
        expected = image.copy()
        top, left = row - side // 2, column - side // 2
        expected[:, max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = 0
        np.testing.assert_array_equal(result, expected)


def test_no_cutout_is_no_change() -> None:
    images = torch.rand(3, 1, 6, 6)
    assert cut_out(images, draw(torch.arange(3), IDLE, generator()), 0) is images


def test_normalised_images_equal_numpy() -> None:
    images = some_images()
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])
    found = normalise(images, torch.tensor(mean), torch.tensor(std), torch.float32)
    expected = (images.numpy() / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    assert found.dtype == torch.float32


def test_normalised_images_come_in_the_asked_type() -> None:
    one = torch.ones(1)
    assert normalise(some_images(channels=1), one / 2, one / 2, torch.bfloat16).dtype == torch.bfloat16


def test_the_recipe_goes_before_the_data_set() -> None:
    cifar10 = DATASETS.get("cifar10").card
    assert decide(Augment(), cifar10) == Augmentation(size=32, pad=4, flip=True, cutout=8)
    assert decide(Augment(pad=0, flip=False, cutout=0), cifar10) == Augmentation(32, 0, False, 0)
    assert decide(Augment(pad=2), cifar10) == Augmentation(32, 2, True, 8)


def test_a_border_wider_than_the_image_is_refused() -> None:
    digits = DATASETS.get("digits").card
    assert decide(Augment(pad=7), digits).pad == 7
    with pytest.raises(ConfigError, match=r"augment\.pad: 8 px cannot be reflected from an image of 8 px"):
        decide(Augment(pad=8), digits)


# Taking turns at being mirrored


@pytest.mark.parametrize("classes", [1, 2, 10, 100])
def test_half_of_each_class_is_mirrored_in_a_turn(classes: int) -> None:
    """Whether images come class by class or in turn, as splits do."""
    mirrored = _takes_turn(torch.arange(10_000), 0)
    for part in (*mirrored.view(classes, -1), *mirrored.view(-1, classes).T):
        assert binomtest(int(part.sum()), len(part), 0.5).pvalue > UNLIKELY


def test_turns_alternate() -> None:
    index = torch.arange(1000)
    turns = [_takes_turn(index, turn) for turn in range(4)]
    assert torch.equal(turns[0], ~turns[1])
    assert torch.equal(turns[0], turns[2])
    assert torch.equal(turns[1], turns[3])


def test_neighbours_do_not_go_together() -> None:
    mirrored = _takes_turn(torch.arange(20_001), 0)
    for distance in (1, 2, 3, 8, 10):
        same = mirrored[distance:] == mirrored[:-distance]
        assert binomtest(int(same.sum()), len(same), 0.5).pvalue > UNLIKELY


@pytest.mark.parametrize("turn", [0, 1])
def test_taking_turns_goes_before_chance(turn: int) -> None:
    images, index = some_images(), torch.tensor([3, 0, 6, 3, 1])
    how = replace(IDLE, pad=1, flip=True, turn=turn)
    draws = draw(index, how, generator(1))
    found = crop(images, index, draws, how)
    for i, image in enumerate(images[index].numpy()):
        mirrored = bool(_takes_turn(index, turn)[i])
        np.testing.assert_array_equal(found[i].numpy(), cropped(image, 1, draws.corner[i].numpy(), mirrored))


def test_images_take_turns_only_where_they_are_mirrored_at_all() -> None:
    asked = Augment(alternate_flip=True)
    assert decide(asked, DATASETS.get("cifar10").card).turn == 0
    assert decide(asked, DATASETS.get("digits").card).turn is None
    assert decide(Augment(), DATASETS.get("cifar10").card).turn is None
