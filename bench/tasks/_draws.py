"""Draws: weights of networks that are only timed, drawn once and repeated.

Drawing the weights of VGG-16 takes three times as long as measuring it, and a time is measured in several processes,
each of which builds its network. No kernel's time depends on which normal or uniform numbers it multiplies (measured:
`tests/benchmarks/draws.py`), so that a large tensor repeats its first numbers. What is trained is drawn in full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

DRAWN = (
    1_000_003  # numbers that are drawn: more than any kernel's tile, and odd, so that no two pages are equal
)
_FILLS = (torch.ops.aten.normal_.default, torch.ops.aten.uniform_.default)


class RepeatedDraws(TorchDispatchMode):
    """A context in which `normal_` and `uniform_`, and what is made of them, draw the first numbers of a tensor alone.

    The numbers that follow repeat those; a tensor with few of them, or whose memory is not in order, is as ever.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own has no types

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Carry out an operation of torch's; fill tensors by repetition."""
        kwargs = kwargs or {}
        whole = args[0] if func in _FILLS else None
        if not isinstance(whole, Tensor) or not _is_large(whole):
            return func(*args, **kwargs)
        numbers = whole.view(-1)
        func(numbers[:DRAWN], *args[1:], **kwargs)
        for part in numbers[DRAWN:].split(DRAWN):
            part.copy_(numbers[: len(part)])
        return whole


def _is_large(tensor: Tensor) -> bool:
    return tensor.numel() > DRAWN and tensor.is_contiguous() and not tensor.is_meta
