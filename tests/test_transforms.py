"""Transforms: equal to torchvision's presets and timm's `create_transform`, pixel by pixel, and declared whole."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from bench.archs.naming import resolve
from bench.archs.naming._pretrained import preset_of
from bench.datasets.transforms import Transform, normalise
from bench.errors import ConfigError


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Return an image of smooth and of rough parts."""
    rng = np.random.default_rng(width * height)
    rows, columns = np.mgrid[:height, :width]
    smooth = 127 + 120 * np.sin(rows / 9)[..., None] * np.cos(columns / 13)[..., None] * [1, 0.7, 0.4]
    rough = rng.integers(-40, 40, (height, width, 3))
    return Image.fromarray((smooth + rough).clip(0, 255).astype(np.uint8)).convert(mode)


PICTURES = [picture(320, 241), picture(97, 150), picture(64, 64)]


def made(transform: Transform, image: Image.Image) -> torch.Tensor:
    return transform.normalised(transform.pixels(image)[None])[0]


def declared(name: str) -> Transform:
    weights = resolve(name).weights
    assert weights is not None
    assert weights.transform is not None
    return Transform.read(weights.transform)


def distinct_presets() -> dict[str, Any]:
    """Return some weights for each transform that torchvision declares."""
    found: dict[str, Any] = {}
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            found.setdefault(repr(weights.transforms), weights)
    return found


@pytest.mark.parametrize("weights", distinct_presets().values(), ids=str)
def test_pixels_are_those_of_torchvision(weights: Any) -> None:
    transform, preset = Transform.read(preset_of(weights)), weights.transforms()
    for image in PICTURES[:2]:
        assert torch.equal(made(transform, image), preset(image))


def test_a_name_has_the_transform_of_its_weights() -> None:
    from torchvision.models import EfficientNet_V2_S_Weights

    preset = EfficientNet_V2_S_Weights.IMAGENET1K_V1.transforms()
    assert torch.equal(
        made(declared("torchvision:efficientnet_v2_s(weights=DEFAULT)"), PICTURES[0]), preset(PICTURES[0])
    )


def timm_configurations() -> list[dict[str, Any]]:
    """Return each distinct configuration that timm declares for validation."""
    if importlib.util.find_spec("timm") is None:
        return []
    import timm
    from timm.data import resolve_data_config

    distinct: dict[str, dict[str, Any]] = {}
    for name in timm.list_pretrained():
        config = timm.get_pretrained_cfg(name)
        resolved = resolve_data_config(pretrained_cfg=config.to_dict(), use_test_size=True)
        distinct.setdefault(repr(sorted(resolved.items())), {**resolved, "name": name})
    return list(distinct.values())


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")
def test_pixels_are_those_of_timm() -> None:
    from timm.data import create_transform

    configurations = timm_configurations()
    assert len(configurations) > 100
    for resolved in configurations:
        name = resolved.pop("name")
        size = resolved["input_size"]
        image = picture(120, 90) if max(size) > 400 else PICTURES[0]  # large ones take their time
        ours = made(declared(f"timm:{name}(weights=DEFAULT)"), image)
        assert torch.equal(ours, create_transform(**resolved, is_training=False)(image)), name


# --- by hand ---


def constant(width: int, height: int, colour: tuple[int, int, int]) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def test_a_constant_image_is_normalised_by_hand() -> None:
    transform = Transform(mean=(0.5, 0.4, 0.3), std=(0.5, 0.2, 0.1))
    image = made(transform, constant(300, 280, (255, 102, 51)))
    assert image.shape == (3, 224, 224)
    assert image[:, 0, 0].tolist() == pytest.approx([(1 - 0.5) / 0.5, (0.4 - 0.4) / 0.2, (0.2 - 0.3) / 0.1])


def test_colours_come_in_the_order_that_is_asked_for() -> None:
    plain = {"resize": None, "crop": None, "mean": (0, 0, 0), "std": (1, 1, 1)}
    image = constant(2, 2, (10, 20, 30))
    rgb, bgr = (made(Transform.read({**plain, "scale": 1, "colour": c}), image) for c in ("rgb", "bgr"))
    assert rgb[:, 0, 0].tolist() == [10, 20, 30]
    assert bgr[:, 0, 0].tolist() == [30, 20, 10]


@pytest.mark.parametrize(("mode", "side"), [("center", [20, 40]), ("squash", [10, 10]), ("border", [5, 10])])
def test_how_an_image_is_brought_to_a_size(mode: str, side: list[int]) -> None:
    """Of 20 x 40 px to 10 x 10: the shorter side, both sides, or the longer one is 10 px then."""
    resize: Any = 20 if mode == "center" else (10, 10)
    transform = Transform.read({"resize": resize, "crop": None, "crop_mode": mode})
    assert list(transform.pixels(constant(40, 20, (1, 2, 3))).shape[1:]) == side


def test_a_border_is_of_the_mean() -> None:
    transform = Transform.read({"resize": (10, 10), "crop": (10, 10), "crop_mode": "border"})
    pixels = transform.pixels(constant(40, 20, (1, 2, 3)))
    assert pixels[:, 0, 0].tolist() == [round(255 * m) for m in transform.mean]
    assert pixels[:, 5, 5].tolist() == [1, 2, 3]


def test_what_is_shown_is_the_image() -> None:
    transform = Transform.read({"resize": None, "crop": None, "colour": "bgr"})
    image = picture(9, 7)
    shown = transform.shown(made(transform, image)[None])[0]
    assert torch.allclose(shown, torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255, atol=1e-6)


def test_small_images_are_resized_after_they_are_normalised() -> None:
    transform = Transform.read(
        {
            "resize": 4,
            "crop": None,
            "library": "tensor",
            "antialias": False,
            "channels": 1,
            "mean": [0.5],
            "std": [0.25],
        }
    )
    image = Image.fromarray(np.array([[0, 255], [255, 0]], dtype=np.uint8))
    # Bilinear, between the centres of pixels: a quarter of the way, the outer ones as they are.
    row = torch.tensor([-2.0, -1.0, 1.0, 2.0])
    top, bottom = row, -row
    expected = torch.stack([top, 0.75 * top + 0.25 * bottom, 0.25 * top + 0.75 * bottom, bottom])
    assert torch.allclose(made(transform, image)[0], expected, atol=1e-6)


def test_tensors_are_normalised_as_in_a_training() -> None:
    transform = Transform.read({"resize": None, "crop": None, "library": "tensor"})
    pixels = torch.randint(256, (2, 3, 5, 5), dtype=torch.uint8)
    expected = normalise(pixels, torch.tensor(transform.mean), torch.tensor(transform.std))
    assert torch.equal(transform.normalised(pixels), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resise": 5}, "a transform has no 'resise'"),
        ({"mean": [0.5]}, "3 channels, 1 means, 3 deviations"),
        ({"std": [1, 0, 1]}, "a standard deviation is above 0"),
        ({"crop_mode": "squash", "resize": 256}, "takes height and width"),
        ({"antialias": False}, "pillow always"),
        ({"library": "tensor", "antialias": False}, "tensors without antialias are not cropped"),
        (
            {"library": "tensor", "interpolation": "lanczos"},
            "tensors are resized by nearest, bilinear, bicubic",
        ),
        ({"library": "tensor", "resize": (9, 8)}, "tensors are squashed to two sides"),
        ({"interpolation": "cubic"}, "transform.interpolation"),
        ({"scale": math.nan}, "transform.scale"),
    ],
)
def test_what_is_no_transform_is_told(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Transform.read(values)


def test_another_size_keeps_the_share_of_the_crop() -> None:
    assert Transform().at(448) == Transform(resize=512, crop=(448, 448))
    squashed = Transform.read({"resize": (256, 256), "crop_mode": "squash"})
    assert squashed.at(112).resize == (128, 128)
    whole = Transform.read({"resize": 28, "crop": None, "library": "tensor", "antialias": False})
    assert whole.at(32).resize == 32


def test_a_transform_is_stored_whole_and_read_back() -> None:
    transform = Transform.assumed(288).changed({"crop_mode": "squash", "resize": [300, 310]})
    assert Transform.read(transform.model_dump(mode="json")) == transform
    assert Transform.assumed(224) == Transform()
    assert Transform.assumed(32, 1).channels == 1
