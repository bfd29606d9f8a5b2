"""Compiled: torch.compile with Inductor, in three of its modes.

compiled                    the default mode
compiled:reduce-overhead    the same in CUDA graphs
compiled:max-autotune       tries several kernels of each product; CUDA graphs where there is CUDA

Inductor keeps what it has compiled on disk. The folder is fresh in the first process of a series, so that
`prepare_time` is that of a first compilation, whatever ran before; later processes trace the network, and find the rest
there, the kernels that were chosen by trying among it.
Source: https://docs.pytorch.org/docs/stable/generated/torch.compile.html
"""

from __future__ import annotations

import contextlib
import importlib
import os
import threading
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.backends import BACKENDS, Backend, Call, Runnable, refusal
from bench.backends._shared import alone, on_cpu
from bench.plan.job import Job

# A mode's first calls after the compilation: CUDA graphs are recorded in the second and the third.
_SETTLING_CALLS = 3
_TIP = "use backend=eager; torch.compile needs a C++ compiler such as g++, and a network that it can trace"


def _load() -> None:
    import torch._dynamo
    import torch._inductor.utils  # noqa: F401 (the import is what is wanted)

    # Dynamo's progress bars take a lock across processes, which a job that ends without finalisers would leave behind.
    with contextlib.suppress(ImportError):
        importlib.import_module("tqdm").tqdm.set_lock(threading.RLock())


def _prepare_in(model: nn.Module, images: Tensor, job: Job, folder: Path, *, mode: str) -> Runnable:
    compiled: Any = torch.compile(model, mode=mode, dynamic=False)

    def call() -> object:
        if graphs:
            torch.compiler.cudagraph_mark_step_begin()
        return compiled(images)

    graphs = mode != "default" and not on_cpu(job)
    first_s = compile_now(call, job.device, folder)
    return Runnable(call, {"mode": mode, "first_call_s": first_s})


def compile_now(call: Call, device: str, folder: Path | None = None) -> float:
    """Run the first calls, which compile, with a fresh cache or that of a folder; return the seconds of the very first.

    Raises:
        UnsupportedError: if the network or the machine does not let it compile.
        torch.OutOfMemoryError, MemoryError: if it does not fit.
    """
    from torch._inductor.async_compile import shutdown_compile_workers
    from torch._inductor.utils import fresh_cache

    with warnings.catch_warnings(), fresh_cache():
        warnings.simplefilter("ignore")  # a compiler's hints, such as to allow TF32, are not the network's
        if folder is not None:  # the context sets both back
            os.environ |= {"TORCHINDUCTOR_CACHE_DIR": str(folder), "TRITON_CACHE_DIR": str(folder / "triton")}
        start = time.perf_counter()
        try:
            call()
            _wait(device)
            first_s = time.perf_counter() - start
            for _ in range(_SETTLING_CALLS):
                call()
            _wait(device)
        except Exception as error:  # the network ran in eager; whatever is wrong now is the compilation
            raise refusal("torch.compile", error, _TIP) from error
        finally:
            shutdown_compile_workers()  # they would idle beside what is measured, and outlive it
    return first_s


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def _unsupported(job: Job, *, mode: str) -> str | None:
    if job.settings.given.get("precision") == "int8":
        return "it quantises nothing; use backend=torchao"
    if mode == "reduce-overhead" and on_cpu(job):
        return "this mode is CUDA graphs, and the CPU has none; use backend=compiled"
    return None


def _for_training(model: nn.Module, *, mode: str) -> nn.Module:
    return cast("nn.Module", torch.compile(model, mode=mode, dynamic=False))


for _name, _mode, _about in (
    ("compiled", "default", "torch.compile"),
    ("compiled:reduce-overhead", "reduce-overhead", "torch.compile in CUDA graphs; CUDA only"),
    ("compiled:max-autotune", "max-autotune", "torch.compile, choosing among kernels by trying them"),
):
    _in_mode = partial(_prepare_in, mode=_mode)
    BACKENDS.add(
        _name,
        Backend(
            _about,
            alone(_in_mode),
            partial(_unsupported, mode=_mode),
            partial(_for_training, mode=_mode),
            _load,
            outside_allocator=_mode != "default",
            precisions=("fp32",) if _mode == "default" else (),
            prepare_in=_in_mode,
        ),
    )
