"""Which images a network takes that does not say so: tried out, without storage.

A network of somebody's file often has its size in a layer alone, ``nn.Linear(16 * 5 * 5, 120)``, and its channels in
its first convolution.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from bench.archs import Arch
from bench.archs.returned import answer_of
from bench.costs import Subject, prepare
from bench.costs._arguments import dtypes_of

# px, the most usual ones first
_USUAL = (
    32, 28, 64, 96, 128, 256, 48, 160, 192, 299, 384, 448, 512, 112, 84, 56, 240, 288, 320, 336, 331, 40, 16, 8,
)  # fmt: skip
_LIMIT_S = 5.0  # of the processor, until nothing more is tried


def fitting(arch: Arch, *, num_classes: int | None = None) -> dict[str, int]:
    """Return `input_size` and `in_channels` of the first images that a network takes, if it does not take its card's.

    It takes images where it runs to its end and gives one answer for one image: ``x.view(-1, 784)`` makes 192 of one
    of 224 px. Where its card declares a size, no other one is tried. Empty where its card stands, or nothing is known.

    Args:
        arch: its card says what is tried first.
        num_classes: outputs; None means the card's.
    """
    card, until = arch.card, time.process_time() + _LIMIT_S
    own = (card.input_size, card.in_channels)
    first = _subject(arch, own, num_classes)
    if first is None or _answers(first):
        return {}
    whole = "meta" in (first.reason or "").lower()  # else it needs no storage to show whether it runs
    shapes = itertools.takewhile(lambda _: time.process_time() < until, _shapes(arch, first.model))
    for size, channels in shapes:
        subject = None
        if (size, channels) != own:
            subject = _subject(arch, (size, channels), num_classes, whole=whole)
        if subject is not None and _answers(subject):
            return {"input_size": size, "in_channels": channels}
    return {}


def _shapes(arch: Arch, model: nn.Module) -> Iterator[tuple[int, int]]:
    """Yield what may be tried: size in px and channels, those that are most likely first."""
    card = arch.card
    convolutions = (m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))
    if card.any_channels:
        channels = [card.in_channels]
    elif of_first := next(convolutions, None):
        channels = [of_first]
    else:
        channels = list(dict.fromkeys((card.in_channels, 1)))
    return itertools.product((card.input_size, *(() if card.sized else _USUAL)), channels)


def _subject(
    arch: Arch, shape: tuple[int, int], num_classes: int | None, *, whole: bool = True
) -> Subject | None:
    """Return the network, built for such images and counted; None where it cannot be built."""
    try:
        size, channels = shape
        values = {"input_size": size, "in_channels": channels, "num_classes": num_classes}
        subject = prepare(arch, whole, **values)
        subject.trace  # noqa: B018 (counts it)
    except (Exception, SystemExit):  # its own; the job will tell
        return None
    return subject


def _answers(subject: Subject) -> bool:
    """Return whether a network ran, and what came out may be of one image.

    Of an output with several parts, vectors may be of more than there are images, such as boxes; but not if they part
    the image's numbers evenly.
    """
    trace = subject.trace
    if trace.failure is not None or not one_answer_each(trace.result, 1):
        return False
    first = answer_of(trace.result)
    vectors = len(first) if first is not None and first.dim() == 2 else 0
    return vectors < 2 or bool(math.prod(subject.shape) % vectors)


def one_answer_each(output: object, images: int) -> bool:
    """Return whether an output may be of so many images: only vectors, [N, K], can be told to be of more of them."""
    return not isinstance(output, Tensor) or output.dim() != 2 or len(output) <= images


def dtype_taken(model: nn.Module, shape: Sequence[int], device: str = "cpu") -> torch.dtype:
    """Return the type of number of the images [B, C, H, W] that a network takes as its author made it.

    That is single precision wherever it runs on such images, whatever some of its layers cast them to; else the first
    type of its own on which it runs. One whose numbers are all in single precision is not tried out.

    Args:
        model: on the device; it is left as it was, in training or evaluation mode.
        shape: of the images.
        device: where they are.
    """
    own = dtypes_of(model)
    if set(own) <= {torch.float32}:
        return torch.float32
    was_training = model.training
    model.eval()
    try:
        types = dict.fromkeys((torch.float32, *own))
        runs = (t for t in types if _runs(model, torch.zeros(tuple(shape), dtype=t, device=device)))
        return next(runs, own[0])
    finally:
        model.train(was_training)


def _runs(model: nn.Module, images: Tensor) -> bool:
    """Return whether a network takes images; torch's random state is left as it was."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            model(images)
        except Exception:  # its own; where it takes no images at all, the job will tell
            return False
    return True
