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
