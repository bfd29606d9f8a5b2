"""Conditions: what of a process's state decides how fast a network runs, or what it computes.

They are set before a user's file is imported. What the file sets by itself, at its top or while its network is built,
is set back, so that the numbers are of the conditions that the row names, and is told; what a forward pass changes is
a doubt about what was measured meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, TypeAlias

import torch
from torch.backends import cuda, cudnn, mha, mkldnn

from bench.processes import limits, set_limits

_LIBRARIES = (
    *("OMP_", "MKL_", "KMP_", "GOMP_", "TORCH", "PYTORCH_"),
    *("CUDA_", "CUDNN_", "CUBLAS_", "NVIDIA_", "NCCL_"),
)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2)


@dataclass(frozen=True, slots=True)
class _Condition:
    """One part of the state.

    Attributes:
        read: returns it.
        write: sets it.
        decides: whether another value changes times or results, so that it is told of.
    """

    read: Callable[[], object]
    write: Callable[[Any], object]
    decides: bool = True


def _of(owner: Any, name: str, *, decides: bool = True) -> _Condition:
    """Return a condition that is an attribute."""
    return _Condition(partial(getattr, owner, name), partial(setattr, owner, name), decides)


# Parts of torch that compute in single precision, a whole before its parts: one that says nothing has what that has.
# This is the newer way to say it; what the older one says must agree, or torch raises when it is asked.
_BACKENDS: Any = torch.backends  # some of whose parts are known to no type checker
_FP32_PARTS: Mapping[str, Any] = {
    "fp32": _BACKENDS,
    "fp32_cuda": _BACKENDS.cudnn,  # of matrix products too
    "fp32_onednn": _BACKENDS.mkldnn,
    "fp32_cuda_matmul": _BACKENDS.cuda.matmul,
    "fp32_cudnn_conv": _BACKENDS.cudnn.conv,
    "fp32_cudnn_rnn": _BACKENDS.cudnn.rnn,
    "fp32_onednn_matmul": _BACKENDS.mkldnn.matmul,
    "fp32_onednn_conv": _BACKENDS.mkldnn.conv,
    "fp32_onednn_rnn": _BACKENDS.mkldnn.rnn,
}


def _fp32_of(**parts: str) -> str:
    """Return in words what holds of some parts, by what each is called."""
    held = {name: _FP32_PARTS[f"fp32_{part}"].fp32_precision for name, part in parts.items()}
    return ", ".join(f"{name.replace('_', ' ')} {precision}" for name, precision in held.items())


def _matmul_precision() -> str:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:  # the newer way has said something else
        return _fp32_of(on_CUDA="cuda_matmul", on_the_CPU="onednn_matmul")


def _cudnn_tf32() -> bool | str:
    try:
        return bool(cudnn.allow_tf32)
    except RuntimeError:
        return _fp32_of(convolutions="cudnn_conv", recurrent_layers="cudnn_rnn")


def _onednn_precision() -> str:
    parts = ("onednn_conv", "onednn_rnn")
    plain = all(_FP32_PARTS[f"fp32_{part}"].fp32_precision in ("none", "ieee") for part in parts)
    return "fp32" if plain else _fp32_of(convolutions=parts[0], recurrent_layers=parts[1])


def _set_variables(values: Mapping[str, str]) -> None:
    """Set variables back, and remove new ones that libraries read; others are the network's own, and may be needed."""
    for name in os.environ.keys() - values.keys():
        if name.startswith(_LIBRARIES):
            del os.environ[name]
    os.environ.update(values)


def _set_filters(filters: Sequence[object]) -> None:
    warnings.filters[:] = filters  # type: ignore[index] # typeshed has it as a sequence


_Handler: TypeAlias = "Callable[[int, FrameType | None], object] | int | None"


def _set_handlers(handlers: Mapping[signal.Signals, _Handler]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in handlers.items():
            if handler is not None:  # not set from Python
                signal.signal(number, handler)


def _gradients_as_usual() -> bool:
    """Return whether gradients are on, and in inference mode off, as it turns them off.

    Attention has a faster path where they are off: a ViT that is timed with them on is up to 40 % slower on a GPU.
    """
    return torch.is_grad_enabled() != torch.is_inference_mode_enabled()


def _set_gradients(as_usual: bool) -> None:
    torch.set_grad_enabled(as_usual != torch.is_inference_mode_enabled())


def _folder() -> str | None:
    """Return the current folder; None where it is gone, as one for temporary files that a file went into."""
    try:
        return os.getcwd()  # noqa: PTH109 (as text, like the others)
    except OSError:
        return None


def _set_folder(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _umask() -> int:
    """Return what rights new files lack."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _cores() -> list[int]:
    """Return on which cores the thread may run; none where the system cannot say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def _set_cores(cores: list[int]) -> None:
    if cores:
        os.sched_setaffinity(0, cores)


def _set_priority(priority: int) -> None:
    with contextlib.suppress(PermissionError):  # whoever gives way may not take it back; it stays a doubt
        os.setpriority(os.PRIO_PROCESS, 0, priority)


_CLOCKS = {
    name: getattr(time, name) for name in ("perf_counter", "perf_counter_ns", "process_time", "monotonic")
}


def _own_clocks() -> str:
    """Return which of Python's clocks are others by now, as of those who simulate time."""
    return (
        " ".join(name for name, own in _CLOCKS.items() if getattr(time, name, None) is not own) or "Python's"
    )


def _set_clocks(_: str) -> None:
    for name, own in _CLOCKS.items():
        setattr(time, name, own)


def _casts() -> str:
    """Return where autocast is on, and what it casts to; jobs enter it around each call alone."""
    on = (device for device in ("cpu", "cuda") if torch.is_autocast_enabled(device))
    words = ", ".join(f"{torch.get_autocast_dtype(device)} on {device}" for device in on) or "off"
    return words + (f", entered {entered} times" if (entered := _entered()) else "")


def _entered() -> int:
    """Return how often autocast was entered and not left yet."""
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


def _set_casts(_: str) -> None:
    for device in ("cpu", "cuda"):
        torch.set_autocast_enabled(device, False)
    while _entered() > 0:
        torch.autocast_decrement_nesting()
    torch.clear_autocast_cache()  # else trainings under it would go on with weights that were cast before a step


_UNSET = "unset"


def _default_device() -> str:
    """Return where tensors are made; where that was set, be it to the CPU, each call of torch takes longer."""
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return _UNSET if context is None else str(context.device)


_CONDITIONS: Mapping[str, _Condition] = {
    "clocks": _Condition(_own_clocks, _set_clocks),
    "cores": _Condition(_cores, _set_cores),
    "priority": _Condition(partial(os.getpriority, os.PRIO_PROCESS, 0), _set_priority),
    "threads": _Condition(torch.get_num_threads, torch.set_num_threads),
    # First the parts, then what they come to: the older way to say it sets those of matrix products and cuDNN.
    **{name: _of(part, "fp32_precision", decides=False) for name, part in _FP32_PARTS.items()},
    "onednn_precision": _Condition(_onednn_precision, lambda _: None),
    "matmul_precision": _Condition(_matmul_precision, torch.set_float32_matmul_precision),
    "cudnn_benchmark": _of(cudnn, "benchmark"),
    "cudnn_tf32": _Condition(_cudnn_tf32, partial(setattr, cudnn, "allow_tf32")),
    "fp16_accumulation": _of(cuda.matmul, "allow_fp16_accumulation"),
    "fp16_reduction": _of(cuda.matmul, "allow_fp16_reduced_precision_reduction"),
    "bf16_reduction": _of(cuda.matmul, "allow_bf16_reduced_precision_reduction"),
    "cudnn_deterministic": _of(cudnn, "deterministic"),
    "cudnn_enabled": _of(cudnn, "enabled"),
    "deterministic": _Condition(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms
    ),
    "default_dtype": _Condition(torch.get_default_dtype, torch.set_default_dtype),
    "default_device": _Condition(
        _default_device, lambda name: torch.set_default_device(None if name == _UNSET else name)
    ),
    "autocast": _Condition(_casts, _set_casts),
    "anomaly_detection": _Condition(torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "onednn": _Condition(lambda: mkldnn.enabled, torch._C._set_mkldnn_enabled),
    "flash_attention": _Condition(cuda.flash_sdp_enabled, cuda.enable_flash_sdp),
    "efficient_attention": _Condition(cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp),
    "cudnn_attention": _Condition(cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp),
    "attention_fast_path": _Condition(mha.get_fastpath_enabled, mha.set_fastpath_enabled),
    # What a pass turns off by itself, and a measurement is told of in the midst of it.
    "gradients": _Condition(_gradients_as_usual, _set_gradients, decides=False),
    "folder": _Condition(_folder, _set_folder, decides=False),
    "rights": _Condition(_umask, os.umask, decides=False),
    "variables": _Condition(lambda: dict(os.environ), _set_variables, decides=False),
    "warnings": _Condition(lambda: list(warnings.filters), _set_filters, decides=False),
    "limits": _Condition(limits, set_limits, decides=False),
    "masked_signals": _Condition(
        partial(signal.pthread_sigmask, signal.SIG_BLOCK, ()),
        partial(signal.pthread_sigmask, signal.SIG_SETMASK),
        decides=False,
    ),
    "signals": _Condition(lambda: {s: signal.getsignal(s) for s in _SIGNALS}, _set_handlers, decides=False),
}


def read() -> dict[str, object]:
    """Return the state as it is."""
    return {name: condition.read() for name, condition in _CONDITIONS.items()}


def changes(before: Mapping[str, object]) -> dict[str, str]:
    """Return what of the state that is told of is another than before, such as ``{"threads": "2 -> 1"}``."""
    now = {name: _CONDITIONS[name].read() for name in before if _CONDITIONS[name].decides}
    return {name: f"{before[name]} -> {value}" for name, value in now.items() if value != before[name]}


def restore(before: Mapping[str, object]) -> dict[str, str]:
    """Set the state back; return what of it that is told of was another."""
    changed = changes(before)
    for name, value in before.items():
        if _CONDITIONS[name].read() != value:
            _CONDITIONS[name].write(value)
    return changed
