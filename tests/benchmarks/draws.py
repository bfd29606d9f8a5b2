"""Building and running a network whose weights are drawn once and repeated, against one drawn in full, in turn.

    python tests/benchmarks/draws.py [NETWORK ...]

Building should take a fraction of the time; the ratio of a call's times should be 1 within its spread, and that of a
network whose weights are all equal shows whether values matter at all on this machine.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from _side_by_side import in_turn, show, show_ratio
from torch import Tensor, nn

from bench.archs.naming import resolve
from bench.tasks._networks import _RepeatedDraws

BUILDS, CALLS = 5, 60
NETWORKS = ("vgg16", "resnet18", "torchvision:vit_b_16")


def repeated(name: str) -> nn.Module:
    with _RepeatedDraws():
        return resolve(name).build()


def filled(name: str) -> nn.Module:
    model = repeated(name)
    with torch.no_grad():
        for weights in model.parameters():
            weights.fill_(float(weights.abs().mean()))
    return model


def call(model: nn.Module, images: Tensor) -> Callable[[], object]:
    device = images.device
    model = model.eval().to(device, images.dtype)

    def once() -> None:
        with torch.inference_mode():
            model(images)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return once


def main() -> None:
    on_gpu = torch.cuda.is_available()
    batch, device, dtype = (256, "cuda", torch.bfloat16) if on_gpu else (2, "cpu", torch.float32)
    images = torch.randn(batch, 3, 224, 224, dtype=dtype, device=device)
    for name in sys.argv[1:] or NETWORKS:
        builds = {"drawn": lambda n=name: resolve(n).build(), "repeated": lambda n=name: repeated(n)}
        taken = in_turn(builds, BUILDS)
        show_ratio(f"{name}, building, repeated over drawn", taken["repeated"], taken["drawn"])
        models = {"drawn": resolve(name).build(), "again": resolve(name).build()}
        models |= {"repeated": repeated(name), "filled": filled(name)}
        taken = in_turn({kind: call(model, images) for kind, model in models.items()}, CALLS)
        show(f"{name}, a call, drawn", taken["drawn"])
        for kind in ("again", "repeated", "filled"):
            show_ratio(f"{name}, a call, {kind} over drawn", taken[kind], taken["drawn"])


if __name__ == "__main__":
    main()
