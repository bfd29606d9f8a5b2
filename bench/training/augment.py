"""Augmentation of whole batches: random crop from a reflected border, mirroring, cutout.

Chance and pixels are kept apart: `draw` decides for all images of an epoch, on the CPU, so that every device
sees the same; the other functions are exact, and run where the images are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import ConfigError
from bench.plan.card import DatasetCard
from bench.plan.recipe import Augment


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to training images of `size` px: `bench.plan.recipe.Augment` with nothing left open.

    `turn` counts epochs where images take turns at being mirrored; None where chance decides.
    """

    size: int
    pad: int
    flip: bool
    cutout: int
    turn: int | None = None

    @property
    def moves(self) -> bool:
        """Whether pixels change their place."""
        return self.flip or self.pad > 0


def decide(asked: Augment, card: DatasetCard) -> Augmentation:
    """Return what the recipe asks for, and where it leaves that open, what the data set declares.

    Raises:
        ConfigError: if the border cannot be reflected from the image.
    """
    done = asked.on(card)
    if done.pad >= card.size:
        raise ConfigError(
            f"augment.pad: {done.pad} px cannot be reflected from an image of {card.size} px",
            f"at most {card.size - 1}",
        )
    turn = 0 if done.flip and asked.alternate_flip else None
    return Augmentation(card.size, done.pad, done.flip, done.cutout, turn)


@dataclass(frozen=True, slots=True)
class Draws:
    """The chance of N images.

    Attributes:
        corner: [N, 2] int64, row and column of the crop in the padded image, 0 to 2 x pad.
        mirrored: [N] bool.
        hole: [N, 2] int64, row and column of the cutout's centre.
    """

    corner: Tensor
    mirrored: Tensor
    hole: Tensor

    def __getitem__(self, part: slice) -> Draws:
        return Draws(self.corner[part], self.mirrored[part], self.hole[part])

    def to(self, device: torch.device) -> Draws:
        """Return the same draws on `device`."""
        return Draws(self.corner.to(device), self.mirrored.to(device), self.hole.to(device))


def draw(count: int, how: Augmentation, generator: torch.Generator) -> Draws:
    """Draw for `count` images from a CPU generator.

    Each kind is drawn whether used or not, so that one switched off leaves the others as they were.
    """
    corner = torch.randint(0, 2 * how.pad + 1, (count, 2), generator=generator)
    mirrored = torch.rand(count, generator=generator) < 0.5
    hole = torch.randint(0, how.size, (count, 2), generator=generator)
    return Draws(corner, mirrored & how.flip, hole)


def take(images: Tensor, index: Tensor, draws: Draws, how: Augmentation) -> Tensor:
    """Return the crops [B, C, H, W] of ``images[index]``; padded images are never made.

    Args:
        images: [N, C, H, W], any type.
        index: [B] int64, which images.
        draws: of these B images.
        how: the padding that the draws were made for.
    """
    if not how.moves:
        return images[index]
    height, width = images.shape[2:]
    device = images.device
    rows = torch.arange(height, device=device) + draws.corner[:, :1] - how.pad  # [B, H]
    columns = torch.arange(width, device=device) + draws.corner[:, 1:] - how.pad  # [B, W]
    mirrored = draws.mirrored if how.turn is None else takes_turn(index, how.turn)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    place = reflect(rows, height)[:, :, None] * width + reflect(columns, width)[:, None, :]  # [B, H, W]
    # Whole images first, then one gather along their pixels: four times as fast as one index for each axis.
    pixels = images[index].flatten(2)
    return pixels.gather(2, place.flatten(1)[:, None].expand_as(pixels)).unflatten(2, (height, width))


def takes_turn(index: Tensor, turn: int) -> Tensor:
    """Return [B] bool, whether images are mirrored in this turn: half of them, and the others in the next.

    Which half is a matter of the image's number alone, mixed well so that no class lies in one half.
    Source: Jordan, arXiv:2404.00498, section 3.6; the mixing is that of MurmurHash3's 64-bit finaliser.
    """
    mixed = index
    for factor in (
        -0x00AE502812AA7333,
        -0x3B314601E57A13AD,
    ):  # 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53, signed
        mixed = (mixed ^ (mixed >> 33)) * factor
    return ((mixed >> 33) + turn) % 2 == 1


def reflect(index: Tensor, size: int) -> Tensor:
    """Fold indices from -(size - 1) to 2 x (size - 1) back into 0..size-1, not repeating the edge."""
    last = size - 1
    return last - (last - index.abs()).abs()


def normalise(images: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return uint8 images [B, C, H, W] scaled to 0..1, less the mean, over the standard deviation.

    Args:
        images: uint8.
        mean: [C], of pixels scaled to 0..1.
        std: [C], likewise.
        dtype: of the result.
    """
    scale = (1 / (255 * std))[:, None, None]
    shift = (-mean / std)[:, None, None]
    return (images * scale).add_(shift).to(dtype)


def views(images: Tensor, *, mirror: bool, translate: bool) -> Iterator[tuple[float, Tensor]]:
    """Yield the views of normalised test images [B, C, S, S] that are averaged, each after its weight; they sum to 1.

    Args:
        images: as they are, which is the first view.
        mirror: each view is followed by its mirror image, of the same weight.
        translate: half of the weight is that of the images moved by a pixel, up left and down right, from a border
            that is reflected. Source: Jordan, arXiv:2404.00498, section 3.5.
    """
    moved = [(1.0, images)]
    if translate:
        side, wide = images.shape[-1], F.pad(images, (1, 1, 1, 1), mode="reflect")
        moved = [(0.5, images), (0.25, wide[..., :side, :side]), (0.25, wide[..., 2:, 2:])]
    for weight, view in moved:
        if mirror:
            yield weight / 2, view
            yield weight / 2, view.flip(3)
        else:
            yield weight, view


def cut_out(images: Tensor, draws: Draws, side: int) -> Tensor:
    """Set a square of `side` px around each image's hole to zero, which is the mean of normalised images.

    The square is cut at the border, so that a smaller part is hidden there.
    Source: DeVries and Taylor, arXiv:1708.04552, section 3.2.
    """
    if not side:
        return images
    height, width = images.shape[2:]
    top_left = draws.hole - side // 2
    rows = torch.arange(height, device=images.device) - top_left[:, :1]  # [B, H], 0..side-1 inside
    columns = torch.arange(width, device=images.device) - top_left[:, 1:]
    inside = ((rows >= 0) & (rows < side))[:, None, :, None] & ((columns >= 0) & (columns < side))[
        :, None, None, :
    ]
    return images.masked_fill(inside, 0)
