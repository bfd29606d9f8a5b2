"""Transforms: what is done to an image before a network gets it, declared whole, as torchvision and timm do it.

An image becomes uint8 pixels by resizing and cropping, and floats by scaling and normalising: two steps, as the first
is the loader's, image by image, and the second the device's, batch by batch. Both equal, bit by bit on the CPU, what
torchvision's presets and timm's ``create_transform`` make of a Pillow image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
from pydantic import BaseModel, Field, ValidationError, model_validator
from torch import Tensor

from bench.errors import ConfigError, suggestion
from bench.io import JsonObject

if TYPE_CHECKING:
    from PIL.Image import Image

_Side = Annotated[int, Field(ge=1, le=16_384)]
_Size = tuple[_Side, _Side]
# Of the resized side that the crop keeps, where nothing is declared: ImageNet's usual one.
_ASSUMED_SHARE = 0.875
# Of ImageNet's training images, as torchvision's and timm's networks use them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_OF_TENSORS = ("nearest", "bilinear", "bicubic")  # how torch resizes; the other ways are Pillow's alone


class Transform(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """What is done to each image, in this order.

    Attributes:
        resize: px; one number is the shorter side. Two, height and width, are met by the shorter side in proportion
            (`center`), by both sides (`squash`), or by the longer one (`border`). None leaves the size.
        crop: height and width that are cut out of the centre, with black around what is smaller; None for no crop.
        crop_mode: how the image is brought to `resize`; `border` puts the mean around what is smaller than the crop.
        interpolation: of the resizing.
        antialias: whether it looks at all pixels that become one. Pillow always does.
        library: what resizes: `pil` for Pillow's images, or `tensor` for torch's tensors, to two sides by `squash`
            alone; without antialias, tensors are resized after they are normalised, as a training of small images does
            it, and not cropped.
        channels: 3 for RGB, or 1 for grey; grey images are repeated for a network that takes three.
        mean: subtracted of each channel, after scaling.
        std: by which each channel is divided then.
        colour: order of the channels.
        scale: by which pixels of 0 to 255 are divided first.
    """

    resize: _Side | _Size | None = 256
    crop: _Size | None = (224, 224)
    crop_mode: Literal["center", "squash", "border"] = "center"
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"] = "bilinear"
    antialias: bool = True
    library: Literal["pil", "tensor"] = "pil"
    channels: Literal[1, 3] = 3
    mean: tuple[float, ...] = MEAN
    std: Annotated[tuple[float, ...], Field(min_length=1)] = STD
    colour: Literal["rgb", "bgr"] = "rgb"
    scale: Annotated[float, Field(gt=0)] = 255.0

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"{self.channels} channels, {len(self.mean)} means, {len(self.std)} deviations")
        if min(self.std) <= 0:
            raise ValueError("a standard deviation is above 0")
        if self.crop_mode != "center" and not isinstance(self.resize, tuple):
            raise ValueError(f"crop_mode {self.crop_mode} takes height and width as resize")
        if self.library == "pil" and not self.antialias:
            raise ValueError("Pillow always resizes with antialias; library: tensor does without")
        if self.library == "tensor":
            self._check_tensors()
        return self

    def _check_tensors(self) -> None:
        """Refuse what is Pillow's alone; it would be left out without a word, or fail at each image."""
        if self.interpolation not in _OF_TENSORS:
            raise ValueError(
                f"tensors are resized by {', '.join(_OF_TENSORS)}; library: pil has {self.interpolation}"
            )
        if self.late and self.crop is not None:
            raise ValueError("tensors without antialias are not cropped; set crop to null")
        if isinstance(self.resize, tuple) and self.crop_mode != "squash":
            raise ValueError(
                "tensors are squashed to two sides; set crop_mode to squash, or resize to one number"
            )

    def changed(self, values: JsonObject) -> Transform:
        """Return the transform with other values of some fields.

        Raises:
            ConfigError: for a field or a value that there is none of.
        """
        return Transform.read({**self.model_dump(), **values})

    def at(self, side: int) -> Transform:
        """Return the transform for squares of another size in px, with the same share of each image cropped away."""
        if self.crop is None:
            return self.changed({"resize": side})
        share = side / self.crop[0]
        resize = self.resize
        if isinstance(resize, tuple):
            resize = (round(resize[0] * share), round(resize[1] * share))
        elif resize is not None:
            resize = round(resize * share)
        return self.changed({"crop": (side, side), "resize": resize})

    @property
    def size(self) -> _Size | None:
        """Height and width of what the network gets; None where that is each image's own."""
        if self.crop is not None:
            return self.crop
        return self.resize if isinstance(self.resize, tuple) and self.crop_mode == "squash" else None

    @property
    def late(self) -> bool:
        """Whether images are resized after they are normalised."""
        return self.library == "tensor" and not self.antialias

    def pixels(self, image: Image) -> Tensor:
        """Return what is left of an image in the mode RGB or L, as [C, H, W] uint8."""
        if self.library == "tensor":
            return self._pixels_of_tensor(image)
        from torchvision.transforms import functional

        cut: Tensor = functional.pil_to_tensor(self._cropped(self._resized(image)))
        return cut.flip(0) if self.colour == "bgr" else cut

    def _pixels_of_tensor(self, image: Image) -> Tensor:
        from torchvision.transforms import InterpolationMode
        from torchvision.transforms.v2 import functional

        pixels: Tensor = functional.pil_to_tensor(image)
        if not self.late:
            if self.resize is not None:
                size = [self.resize] if isinstance(self.resize, int) else list(self.resize)
                pixels = functional.resize(
                    pixels, size, InterpolationMode(self.interpolation), antialias=True
                )
            if self.crop is not None:
                pixels = functional.center_crop(pixels, list(self.crop))
        return pixels.flip(0) if self.colour == "bgr" else pixels

    def _resized(self, image: Image) -> Image:
        from torchvision.transforms import InterpolationMode, functional

        if self.resize is None:
            return image
        how = InterpolationMode(self.interpolation)
        if isinstance(self.resize, int):
            size = [self.resize]
        elif self.crop_mode == "squash":
            size = list(self.resize)
        else:  # in proportion
            own = image.height, image.width
            ratios = [side / target for side, target in zip(own, self.resize, strict=True)]
            ratio = max(ratios) if self.crop_mode == "border" else min(ratios)
            size = [round(side / ratio) for side in own]
        resized: Image = functional.resize(image, size, how)
        return resized

    def _cropped(self, image: Image) -> Image:
        from torchvision.transforms import functional

        if self.crop is None:
            return image
        if self.crop_mode == "border":
            down, right = (max(0, c - s) for c, s in zip(self.crop, (image.height, image.width), strict=True))
            fill = [round(255 * value) for value in self.mean]
            around = [right // 2, down // 2, (right + 1) // 2, (down + 1) // 2]
            image = functional.pad(image, around, fill=fill if len(fill) > 1 else fill[0])
        cropped: Image = functional.center_crop(image, list(self.crop))
        return cropped

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return uint8 images [B, C, H, W] as the network gets them, in float32 on their device."""
        mean, std = (torch.tensor(values, device=pixels.device) for values in (self.mean, self.std))
        if self.library == "tensor" and self.scale == 255.0:
            return self._resized_late(normalise(pixels, mean, std))
        mean, std = mean[:, None, None], std[:, None, None]
        images = pixels.float()
        images = images.div_(self.scale) if self.scale != 1 else images
        return self._resized_late(images.sub_(mean).div_(std))

    def _resized_late(self, images: Tensor) -> Tensor:
        if not self.late or self.resize is None:
            return images
        size = (self.resize,) * 2 if isinstance(self.resize, int) else self.resize
        if images.shape[-2:] == torch.Size(size):
            return images
        corners = None if self.interpolation == "nearest" else False
        return torch.nn.functional.interpolate(
            images, size=size, mode=self.interpolation, align_corners=corners
        )

    def shown(self, images: Tensor) -> Tensor:
        """Return normalised images [B, C, H, W] as RGB pixels from 0 to 1, to be looked at."""
        mean, std = (torch.tensor(values)[:, None, None] for values in (self.mean, self.std))
        pixels = (images * std + mean) * self.scale / 255
        return (pixels.flip(1) if self.colour == "bgr" else pixels).clamp(0, 1)

    @classmethod
    def read(cls, values: JsonObject) -> Transform:
        """Return the transform of plain JSON values; what they do not say is as torchvision's presets have it.

        Raises:
            ConfigError: for a field or a value that there is none of.
        """
        try:
            return Transform.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            known = list(Transform.model_fields)
            key = next((str(step) for step in first["loc"]), "")
            if first["type"] == "extra_forbidden":
                raise ConfigError(f"a transform has no {key!r}", suggestion(key, known)) from error
            message = first["msg"].removeprefix("Value error, ").lower()
            where = f"transform.{key}" if key else "transform"
            raise ConfigError(f"{where}: {message}", f"it has {', '.join(known)}") from error

    @classmethod
    def declared(cls, values: JsonObject | None, size: int, channels: int) -> Transform:
        """Return the transform of plain JSON values, see `read`; where nothing is declared, what is usual."""
        return cls.assumed(size, channels) if values is None else cls.read(values)

    @classmethod
    def assumed(cls, size: int, channels: int = 3) -> Transform:
        """Return what is usual for ImageNet's images of `size` px, for a network of which nothing is declared."""
        grey = channels == 1
        return cls(
            resize=round(size / _ASSUMED_SHARE),
            crop=(size, size),
            channels=1 if grey else 3,
            mean=(sum(MEAN) / 3,) if grey else MEAN,
            std=(sum(STD) / 3,) if grey else STD,
        )


def normalise(images: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return uint8 images [B, C, H, W] scaled to 0..1, less the mean [C], over the standard deviation [C]."""
    scale = (1 / (255 * std))[:, None, None]
    shift = (-mean / std)[:, None, None]
    return (images * scale).add_(shift).to(dtype)
