"""Augmentation of whole batches: random crop from a reflected border, mirroring, cutout.

Random numbers and pixels are kept apart: `draw` decides for all images of an epoch, on the CPU, so that every device
sees the same; the other functions are deterministic, and run where the images are.
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
    """How training images of a data set are augmented: `bench.plan.recipe.Augment` with nothing left open.

    Attributes:
        size: px of the images.
        pad: px of reflected border from which a random crop of the old size is taken.
        flip: mirror half of the images.
        cutout: px of the side of a square that is set to the mean; 0 for none.
        turn: the epoch, where images are mirrored in turn; None where they are mirrored at random.
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


def decide(augment: Augment, card: DatasetCard) -> Augmentation:
    """Return the augmentation that a recipe asks for; what it leaves open is as the data set's card says.

    Raises:
        ConfigError: if the border cannot be reflected from the image.
    """
    pad, flip, cutout = augment.on(card)
    if pad >= card.size:
        message = f"augment.pad: {pad} px cannot be reflected from an image of {card.size} px"
        raise ConfigError(message, f"at most {card.size - 1}")
    return Augmentation(card.size, pad, flip, cutout, 0 if flip and augment.alternate_flip else None)


@dataclass(frozen=True, slots=True)
class _Draws:
    """The random numbers of N images.

    Attributes:
        corner: [N, 2] int64, row and column of the crop in the padded image, 0 to 2 x pad.
        mirrored: [N] bool.
        hole: [N, 2] int64, row and column of the cutout's centre.
    """

    corner: Tensor
    mirrored: Tensor
    hole: Tensor

    def __getitem__(self, part: slice) -> _Draws:
        return _Draws(self.corner[part], self.mirrored[part], self.hole[part])

    def to(self, device: torch.device) -> _Draws:
        """Return the same draws on `device`."""
        return _Draws(self.corner.to(device), self.mirrored.to(device), self.hole.to(device))


def draw(index: Tensor, augmentation: Augmentation, rng: torch.Generator) -> _Draws:
    """Draw the random numbers of the images at `index` [N] from a CPU generator.

    Each kind is drawn whether used or not, so that one switched off leaves the others as they were. Where images are
    mirrored in turn, whose turn it is is none of chance.
    """
    corner = torch.randint(0, 2 * augmentation.pad + 1, (len(index), 2), generator=rng)
    mirrored = torch.rand(len(index), generator=rng) < 0.5
    hole = torch.randint(0, augmentation.size, (len(index), 2), generator=rng)
    if augmentation.turn is not None:
        mirrored = _takes_turn(index, augmentation.turn)
    return _Draws(corner, mirrored & augmentation.flip, hole)


def crop(images: Tensor, index: Tensor, draws: _Draws, augmentation: Augmentation) -> Tensor:
    """Return the crops [B, C, H, W] of ``images[index]`` as drawn, of any type; padded images are never made."""
    if not augmentation.moves:
        return images[index]
    height, width = images.shape[2:]
    device = images.device
    rows = torch.arange(height, device=device) + draws.corner[:, :1] - augmentation.pad  # [B, H]
    columns = torch.arange(width, device=device) + draws.corner[:, 1:] - augmentation.pad  # [B, W]
    columns = torch.where(draws.mirrored[:, None], columns.flip(1), columns)
    place = _reflect(rows, height)[:, :, None] * width + _reflect(columns, width)[:, None, :]  # [B, H, W]
    # Whole images first, then one gather along their pixels: four times as fast as one index for each axis.
    pixels = images[index].flatten(2)
    crops: Tensor = pixels.gather(2, place.flatten(1)[:, None].expand_as(pixels)).unflatten(
        2, (height, width)
    )
    return crops


_MURMUR = (-0x00AE502812AA7333, -0x3B314601E57A13AD)  # 0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53, signed


def _takes_turn(index: Tensor, turn: int) -> Tensor:
    """Return [B] bool, whether images are mirrored in this turn: half of them, and the others in the next.

    Which half is a matter of the image's number alone, mixed well so that no class lies in one half.
    Source: Jordan, arXiv:2404.00498, section 3.6; the mixing is that of MurmurHash3's 64-bit finaliser.
    """
    mixed = index
    for factor in _MURMUR:
        mixed = (mixed ^ (mixed >> 33)) * factor
    return ((mixed >> 33) + turn) % 2 == 1


def _reflect(index: Tensor, size: int) -> Tensor:
    """Fold indices from -(size - 1) to 2 x (size - 1) back into 0..size-1, not repeating the edge."""
    last = size - 1
    return last - (last - index.abs()).abs()


def views(images: Tensor, *, mirror: bool, translate: bool) -> Iterator[tuple[float, Tensor]]:
    """Yield pairs of a weight and a view of normalised test images [B, C, S, S], to be averaged; weights sum to 1.

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


def cut_out(images: Tensor, draws: _Draws, side: int) -> Tensor:
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
    in_rows, in_columns = (rows >= 0) & (rows < side), (columns >= 0) & (columns < side)
    return images.masked_fill(in_rows[:, None, :, None] & in_columns[:, None, None, :], 0)
