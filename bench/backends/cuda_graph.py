"""CUDA graph: one forward pass is captured as it stands and played back, so that launching costs next to nothing.

The images lie where they lay at the capture, and each call overwrites the logits of the last. A network that looks
at values on the host while it runs cannot be captured.
Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from bench.backends import BACKENDS, Backend, Runnable, refusal
from bench.backends._shared import PinnedCall, on_cpu
from bench.errors import lacks_memory, text_of
from bench.plan.job import Job

_END_FAILED = "previous error during capture"  # what CUDA says at its end
_WARM_UP_CALLS = 3  # cuDNN and cuBLAS choose algorithms and take their workspaces before the capture


def _prepare(model: nn.Module, images: Tensor, job: Job) -> Runnable:  # noqa: ARG001
    start = time.perf_counter()
    try:
        graph, logits = _capture(model, images)
    except Exception as error:  # the network ran in eager; whatever is wrong now is the capture
        raise refusal("CUDA graph capture", _first(error), "use backend=eager") from error

    def call() -> object:
        graph.replay()
        return logits

    detail = {"capture_s": time.perf_counter() - start, "warm_up_calls": _WARM_UP_CALLS}
    return Runnable(PinnedCall(call, (model, images)), detail)


def _first(error: Exception) -> Exception:
    """Return what broke a capture: the capture's end fails of it as well, and says no more than that."""
    before = error.__context__
    if isinstance(before, Exception) and (lacks_memory(before) or _END_FAILED in text_of(error)):
        return before
    return error


def _capture(model: nn.Module, images: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor]:
    """Return the graph of one forward pass, and where it leaves its logits."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(_WARM_UP_CALLS):
            model(images)
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits = model(images)
    graph.replay()
    torch.cuda.synchronize()
    return graph, logits


def _unsupported(job: Job) -> str | None:
    if job.settings.given.get("precision") == "int8":
        return "it quantises nothing; use an engine that does, such as backend=onnx on the CPU"
    return "there are no CUDA graphs on the CPU; use device=cuda or backend=eager" if on_cpu(job) else None


BACKENDS.add(
    "cuda_graph",
    Backend(
        "a captured forward pass, played back; CUDA only", _prepare, _unsupported, outside_allocator=True
    ),
)
