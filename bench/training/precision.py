"""Precision of a training: full, TF32 inside matrix products, or automatic mixed precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from bench.errors import UnsupportedError, unknown_name

AUTOCAST = {"amp_bf16": torch.bfloat16, "amp_fp16": torch.float16}
"""What torch.autocast casts to, by precision, wherever it is used; see `bench.plan.settings` for the names."""

PRECISIONS = ("fp32", "tf32", *AUTOCAST)
_CUDA_ONLY = ("tf32", "amp_fp16")


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse a precision that `device` cannot train in.

    Raises:
        UnknownNameError: if there is no such precision.
        UnsupportedError: for TF32 and FP16 anywhere but on a CUDA device.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    if precision in _CUDA_ONLY and device.type != "cuda":
        raise UnsupportedError(f"no training in {precision} on {device.type}", "use fp32 or amp_bf16 there")


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Return the context of a forward pass and its loss; parameters and gradients stay in fp32."""
    dtype = AUTOCAST.get(precision)
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in CUDA's matrix products and convolutions, and put back what was."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
