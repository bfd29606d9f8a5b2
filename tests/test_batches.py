"""Batches: the same whether the images lie on the device or in files; parts of a split that keep its classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from bench.datasets import DATASETS, Dataset, Files, Images, hold_back, subset
from bench.datasets._images import _quotas
from bench.errors import UnsupportedError
from bench.training._augment import Augmentation, _takes_turn
from bench.training._batches import Batch, Batches, Shape

CPU = torch.device("cpu")
SIDE = 6
PLAIN = Augmentation(SIDE, 0, False, 0)
ALL = Augmentation(SIDE, 2, True, 3)
CIFAR10 = DATASETS.get("cifar10")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int) -> Images:
    pixels = torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=seeded(0))
    return Images(pixels, torch.arange(count) % 10)


def in_files(images: Images, folder: Path) -> Images:
    """Return the same images, in files."""
    assert isinstance(images.images, Tensor)
    for i, pixels in enumerate(images.images):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    return Images(Files(tuple(str(folder / f"{i}.png") for i in range(len(images))), 3, SIDE), images.labels)


def batches_of(images: Images, size: int = 4, side: int = SIDE, dataset: Dataset = CIFAR10) -> Batches:
    return Batches(images, dataset, Shape(3, side, torch.contiguous_format), size, CPU)


def epoch(batches: Batches, how: Augmentation = PLAIN) -> list[Batch]:
    return list(batches.shuffled(how, seeded(1), seeded(2)))


def scaled(pixels: Tensor) -> Tensor:
    """Return normalised pixels, written out."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (CIFAR10.mean, CIFAR10.std))
    return (pixels.float() / 255 - mean) / std


def test_in_order_is_every_image_as_it_is() -> None:
    images = noise(10)
    found = list(batches_of(images).in_order())
    assert [len(labels) for _, labels in found] == [4, 4, 2]
    assert torch.allclose(torch.cat([x for x, _ in found]), scaled(images.images[:]), atol=1e-5)
    assert torch.equal(torch.cat([y for _, y in found]), images.labels)


def test_without_augmentation_an_epoch_is_a_permutation() -> None:
    images = noise(11)
    found = epoch(batches_of(images))
    order = torch.randperm(11, generator=seeded(1))
    assert torch.allclose(torch.cat([x for x, _ in found]), scaled(images.images[order]), atol=1e-5)
    assert torch.equal(torch.cat([y for _, y in found]), images.labels[order])


@pytest.mark.parametrize("turn", [0, 1])
def test_the_image_decides_whose_turn_it_is_to_be_mirrored(turn: int) -> None:
    images = noise(12)
    how = replace(PLAIN, flip=True, turn=turn)
    order = torch.randperm(12, generator=seeded(1))
    expected = images.images[order]
    mirrored = _takes_turn(order, turn)
    expected[mirrored] = expected[mirrored].flip(3)
    found = torch.cat([x for x, _ in epoch(batches_of(images), how)])
    assert torch.allclose(found, scaled(expected), atol=1e-5)


@pytest.mark.parametrize("how", [PLAIN, ALL, replace(ALL, turn=1)])
@pytest.mark.parametrize("side", [SIDE, 9])
def test_files_give_the_same_batches(how: Augmentation, side: int, tmp_path: Path) -> None:
    images = noise(13)  # the last batch would be of one
    files = in_files(images, tmp_path)
    for pair in zip(
        epoch(batches_of(images, side=side), how), epoch(batches_of(files, side=side), how), strict=True
    ):
        (ours, our_labels), (theirs, their_labels) = pair
        assert torch.equal(ours, theirs)
        assert torch.equal(our_labels, their_labels)
    for ours, theirs in zip(batches_of(images).in_order(), batches_of(files).in_order(), strict=True):
        assert torch.equal(ours[0], theirs[0])
    assert len(batches_of(files)) == len(batches_of(images)) == 3


def test_files_leave_the_networks_chance_alone(tmp_path: Path) -> None:
    files = in_files(noise(8), tmp_path)
    before = torch.get_rng_state()
    epoch(batches_of(files), ALL)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_of_files_may_be_left_early(tmp_path: Path) -> None:
    files = in_files(noise(40), tmp_path)
    images, _ = next(batches_of(files).shuffled(ALL, seeded(1), seeded(2)))
    assert images.shape == (4, 3, SIDE, SIDE)


def test_holes_are_within_images_of_any_size() -> None:
    images = Images(
        torch.full((64, 3, SIDE, SIDE), 255, dtype=torch.uint8), torch.zeros(64, dtype=torch.int64)
    )
    how = Augmentation(224, 0, False, 3)  # as declared for images that were decoded to fewer px
    found = torch.cat([x for x, _ in epoch(batches_of(images), how)])
    assert (found == 0).flatten(1).any(1).all()


# Parts of a split.


def unequal() -> Images:
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 19 + [3])
    return Images(torch.arange(100, dtype=torch.uint8)[:, None, None, None], labels)


def numbers(images: Images) -> list[int]:
    return [int(i) for i in images.images[:].flatten()]


def test_what_is_held_back_is_apart_and_in_proportion() -> None:
    kept, held = hold_back(unequal(), 0.1)
    assert sorted(numbers(kept) + numbers(held)) == list(range(100))
    assert numbers(kept) == sorted(numbers(kept))
    assert kept.labels.bincount().tolist() == [45, 27, 17, 1]  # the only one of its class is trained on
    assert held.labels.bincount().tolist() == [5, 3, 2]
    assert torch.equal(held.labels, unequal().labels[numbers(held)])


def test_the_seed_decides_what_is_held_back() -> None:
    first, again, other = (numbers(hold_back(unequal(), 0.2, seed)[1]) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("share", "message"), [(0.001, "none to hold back"), (0.99, "too few for 4 classes")]
)
def test_a_share_that_leaves_nothing(share: float, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        hold_back(unequal(), share)


def test_a_subset_keeps_the_proportions() -> None:
    some = subset(unequal(), 20)
    assert some.labels.bincount().tolist() == [10, 6, 3, 1]
    assert numbers(some) == sorted(set(numbers(some)))
    assert torch.equal(some.labels, unequal().labels[numbers(some)])
    assert numbers(subset(unequal(), 20)) == numbers(some)
    assert numbers(subset(unequal(), 20, seed=1)) != numbers(some)


def test_a_subset_of_all_is_all() -> None:
    images = unequal()
    assert subset(images, 100) is subset(images, 1000) is images


def test_a_subset_has_every_class_or_is_refused() -> None:
    assert subset(unequal(), 4).labels.tolist() == [0, 1, 2, 3]
    with pytest.raises(UnsupportedError, match="3 training images are too few for 4 classes"):
        subset(unequal(), 3)


def test_files_are_chosen_without_decoding() -> None:
    files = Images(Files(tuple(f"/nowhere/{i}.png" for i in range(10)), 3, 8), torch.arange(10) % 2)
    kept, held = hold_back(files, 0.2)
    assert isinstance(held.images, Files)
    assert len(held.images.paths) == len(held.labels) == 2
    assert {*held.images.paths, *subset(kept, 8).images.paths} == set(files.images.paths)  # type: ignore[union-attr]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=12), st.data())
def test_quotas_are_proportions_rounded(sizes: list[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(len(sizes), sum(sizes)))
    found = _quotas(sizes, count)
    assert sum(found) == count
    assert all(1 <= n <= size for n, size in zip(found, sizes, strict=True))
    exact = [size * count / sum(sizes) for size in sizes]
    if min(exact) >= 1:
        assert all(abs(n - e) < 1 for n, e in zip(found, exact, strict=True))
