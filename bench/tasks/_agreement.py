"""Agreement: does a backend return what eager returns?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from bench.archs.returned import answer_of, logits_of
from bench.backends import Call
from bench.records.record import Measurement, measured

# The largest difference that passes, as a share of the largest output. Roundings of a deep network add up to some
# ten units in the last place; a wrong result is off by far more. Units in the last place: 1.2e-7 of fp32, 9.8e-4 of
# tf32 and fp16, 7.8e-3 of bf16.
# Of int8, whose steps are 1/255 of a range, in each of many layers: what is further off is no rounding any more.
_TOLERANCES = {
    "fp32": 1e-3,
    "tf32": 1e-2,
    "fp16": 1e-2,
    "bf16": 5e-2,
    "amp_fp16": 1e-2,
    "amp_bf16": 5e-2,
    "int8": 2e-1,
}


def overwrites(images: Tensor, call: Call) -> tuple[Tensor, bool]:
    """Return what a call returns, copied, and whether it changes the images, which are in the end what they were."""
    before = images.clone()
    values = _values_of(call())
    changed = not torch.equal(images, before)
    if changed:
        images.copy_(before)
    return values, changed


def agreement(eager: Call, other: Call, precision: str, images: Tensor) -> Measurement:
    """Hold what a backend answers against two eager calls on the same images [B, C, H, W].

    Returns:
        `output_difference`: the largest absolute difference over the largest absolute eager output. It is flagged
        `differs` beyond the tolerance of the precision, `not_deterministic` where the two eager calls differ by as
        much (the backend is then not judged), and `not_finite` where eager's outputs are not all finite; those are
        left out where both are equally so. `changes_images` is for a network that overwrites its images, which each
        call here is given anew. `not_compared` is for outputs that are all zero, as of a network whose last
        layer begins at zero: any backend would agree.
    """
    first, changes = overwrites(images, eager)
    second, values = (overwrites(images, call)[0] for call in (eager, other))
    tolerance = _TOLERANCES[precision]
    eager_twice, difference = _relative_difference(first, second), _relative_difference(first, values)
    steady = eager_twice <= tolerance
    flags = {
        "differs": steady and not difference <= tolerance,
        "not_deterministic": not steady,
        "changes_images": changes,
        "not_compared": bool((first == 0).all()),
        "not_finite": not bool(torch.isfinite(first).all()),
    }
    detail = {
        "of": "largest difference from eager over the largest output of eager, in the logits or else the first tensor",
        "tolerance": tolerance,
        "largest_output": _largest(first),
        "eager_twice": eager_twice,
    }
    raised = tuple(name for name, is_raised in flags.items() if is_raised)
    return measured("output_difference", (difference,), detail, raised)


ANSWERS = 16
"""Images of noise, at least, on which a backend's answers are held against eager's."""


def answers(eager: Call, other: Call, images: Tensor, batches: Iterable[Tensor]) -> Iterator[Measurement]:
    """Hold a backend's answers against eager's on further images, which are laid where both read.

    Yields:
        `mean_difference`: the mean absolute difference over the largest absolute eager output; `other_answers`: of
        logits [B, classes], the share of images whose largest output is another; of what has no such name it is open
        whether it is an answer. Their detail has the count. Both are flagged `not_compared` where eager returns the
        same for all images, as far as single precision is held to be equal: a deep network whose weights were never
        trained may, and whatever an engine makes of images would agree. Nothing where no batch is given. The images
        [B, C, H, W] are in the end what they were.
    """
    before, pairs = images.clone(), []
    are_logits = True

    def reference_call() -> object:
        nonlocal are_logits
        result = eager()
        are_logits = logits_of(result) is not None
        return result

    for batch in batches:
        images.copy_(batch)
        pairs.append((overwrites(images, reference_call)[0], overwrites(images, other)[0]))
    images.copy_(before)
    if not pairs or any(one.shape != two.shape for one, two in pairs):
        return
    reference, values = (torch.cat(side) for side in zip(*pairs, strict=True))
    detail = {"images": len(reference), "of": "noise, further images than those that are timed"}
    largest = _largest(reference)
    between = float((reference - reference[:1]).abs().max())
    alike = len(reference) > 1 and between <= _TOLERANCES["fp32"] * largest
    flags = ("not_compared",) if alike else ()
    told = {**detail, "largest_output": largest, "largest_between_images": between}
    yield measured(
        "mean_difference", (float((reference - values).abs().mean()) / (largest or 1.0),), told, flags
    )
    if are_logits and reference.ndim == 2 and reference.shape[1] > 1:
        other_answer = reference.argmax(1) != values.argmax(1)
        yield measured("other_answers", (float(other_answer.double().mean()),), detail, flags)


def soundness(
    call: Call,
    output: object,
    held: Sequence[Tensor],
    precision: str,
    given: tuple[Tensor, Tensor] | None = None,
) -> tuple[str, ...]:
    """Return the doubts about a network after a second call; `held` are its parameters and buffers.

    `given` are the images [B, C, H, W] of all calls so far, as they lie now and as they were before the first.

    Returns:
        `not_finite` where an output is infinite or no number, `not_deterministic` where the second call's differ,
        `changes_itself` where a call changes what is held, `changes_images` where the calls have changed the images:
        whether it is deterministic is then told by two further calls, on what they were.
    """
    changed = given is not None and not torch.equal(*given)
    first, before = _values_of(output), _sums(held)
    if given is not None and changed:
        given[0].copy_(given[1])
        first, _ = overwrites(given[0], call)
    second = _values_of(call())
    flags = {
        "not_finite": not bool(torch.isfinite(first).all()),
        "not_deterministic": not _relative_difference(first, second) <= _TOLERANCES[precision],
        "changes_itself": _sums(held) != before,
        "changes_images": changed,
    }
    return tuple(name for name, is_raised in flags.items() if is_raised)


def _sums(tensors: Sequence[Tensor]) -> list[str]:
    """Return a number for each tensor that another content hardly has."""
    return [float(_real(t).sum(dtype=torch.float64)).hex() for t in tensors]


def _relative_difference(reference: Tensor, other: Tensor) -> float:
    """Return the largest absolute difference over the largest absolute value of the reference.

    Values that are not finite count as equal where they are the same in both, and else as infinitely far.
    """
    if reference.shape != other.shape:
        return math.inf
    equal = (reference == other) | (reference.isnan() & other.isnan())
    apart = (reference - other).abs().masked_fill(equal, 0.0).nan_to_num(nan=math.inf, posinf=math.inf)
    worst = float(apart.max()) if apart.numel() else 0.0
    return worst / (_largest(reference) or 1.0)


def _largest(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0


def _values_of(output: object) -> Tensor:
    """Return a copy of the answer, on the CPU in double precision; complex numbers in two parts.

    The next call may overwrite what this one returned.
    """
    answer = answer_of(output)
    values = torch.as_tensor(output if answer is None else answer).detach()
    return _real(values).to("cpu", torch.float64, copy=True)


def _real(values: Tensor) -> Tensor:
    """Return complex numbers [...] as their two parts [..., 2]; others as they are."""
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
