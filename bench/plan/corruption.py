"""Corruptions of test images by name and severity, such as ``fog:3``; `bench.datasets.corruptions` makes them.

Source: Hendrycks & Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, ICLR
2019 (ImageNet-C).
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.errors import ConfigError, unknown_name

SEVERITIES = (1, 2, 3, 4, 5)

KINDS: Mapping[str, tuple[str, ...]] = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}

NAMES = tuple(name for kind in KINDS.values() for name in kind)

ALEXNET: Mapping[str, float] = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}
"""Top-1 errors of AlexNet on ImageNet-C, means over severities, to which the paper's errors are relative.

Source: github.com/hendrycks/robustness, ImageNet-C/test.py.
"""


def read_corruption(text: str) -> tuple[str, int]:
    """Return name and severity of ``fog:3``.

    Raises:
        UnknownNameError: for a name that is no corruption.
        ConfigError: for a severity that is none of 1 to 5.
    """
    name, _, severity = text.partition(":")
    if name not in NAMES:
        raise unknown_name("corruption", name, NAMES, f"one of {', '.join(NAMES)}")
    if severity not in map(str, SEVERITIES):
        given = f"severity {severity!r}" if severity else "no severity"
        raise ConfigError(f"corruption {text!r} has {given}", f"write {name}:1 to {name}:5")
    return name, int(severity)
