"""ExecuTorch: the network is exported, handed to XNNPACK where that has the operator, and run by a small runtime.

Threads are those of the job. What XNNPACK does not have is run by portable kernels on one thread; how many products
that are is read from the lowered graph.
Source: https://docs.pytorch.org/executorch/stable/backends/xnnpack/xnnpack-overview.html
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.backends import BACKENDS, Backend, Engine, Runnable, refusal
from bench.backends._engines import (
    exported,
    exporting,
    loading,
    made_once,
    multiplies,
    refusal_of,
    versions,
)
from bench.backends._shared import PinnedCall, alone, timed
from bench.errors import install_tip
from bench.plan.job import Job
from bench.plan.settings import Timed

_NEEDS = ("executorch",)
_INSTALL = install_tip("executorch")
_LIBRARY = "executorch.extension.pybindings.portable_lib"
_PARTITIONER = "executorch.backends.xnnpack.partition.xnnpack_partitioner"


def _unsupported(job: Job[Timed]) -> str | None:
    return refusal_of(job, {"cpu": ("fp32",)}, _NEEDS, _INSTALL)


def _prepare_in(model: nn.Module, images: Tensor, job: Job[Timed], folder: Path) -> Runnable:
    library = importlib.import_module(_LIBRARY)
    if job.settings.threads is not None and library._threadpool_get_thread_count() != job.settings.threads:
        library._unsafe_reset_threadpool(job.settings.threads)  # unsafe while something runs, as nothing does
    file = folder / "model.pte"
    try:
        detail = made_once(folder, lambda: _made(model, images, file))
        content = file.read_bytes()
        with timed(detail, "load_s"):
            program = importlib.import_module("executorch.runtime").Runtime.get().load_program(content)
            method = program.load_method("forward")
        method.execute([images])
    except Exception as error:  # the network ran in eager; whatever is wrong now is ExecuTorch's
        raise refusal("ExecuTorch", error, "use backend=onnx or backend=eager") from error
    engine = Engine(
        size=len(content),
        operators={"fp32": int(str(detail["xnnpack_products"])) + int(str(detail["portable_products"]))},
        threads=library._threadpool_get_thread_count(),
        layout="contiguous",
    )
    call = PinnedCall(lambda: method.execute([images])[0], (images, program, content))
    return Runnable(call, detail, engine=engine)


def _made(model: nn.Module, images: Tensor, file: Path) -> dict[str, object]:
    """Write the network's program; return what is to be told of it."""
    detail: dict[str, object] = {**versions("executorch")}
    with timed(detail, "export_s"):
        lowered, content = _lowered(model, images)
        file.write_bytes(content)
        delegated, portable = _products(lowered)
    return {**detail, "xnnpack_products": delegated, "portable_products": portable}


def _lowered(model: nn.Module, images: Tensor) -> tuple[Any, bytes]:
    """Return the graph in which XNNPACK has its parts, and the program."""
    exir = importlib.import_module("executorch.exir")
    partitioner = importlib.import_module(_PARTITIONER).XnnpackPartitioner()
    logging.getLogger("executorch").setLevel(logging.ERROR)
    with exporting(), contextlib.redirect_stdout(io.StringIO()):
        lowered = exir.to_edge_transform_and_lower(exported(model, images), partitioner=[partitioner])
        return lowered.exported_program(), bytes(lowered.to_executorch().buffer)


def _products(lowered: Any) -> tuple[int, int]:
    """Return how many operators multiply within XNNPACK's parts, and how many outside of them."""
    outer: torch.fx.GraphModule = lowered.graph_module
    inner = [
        getattr(outer, str(node.args[0].target)).original_module.graph_module
        for node in outer.graph.nodes
        if node.op == "call_function" and "call_delegate" in str(node.target)
    ]
    return sum(map(_multiplying, inner)), _multiplying(outer)


def _multiplying(graph: torch.fx.GraphModule) -> int:
    targets = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    return sum(multiplies(str(getattr(target, "__name__", target))) for target in targets)


BACKENDS.add(
    "executorch",
    Backend(
        f"ExecuTorch with XNNPACK on the CPU, after an export ({_INSTALL})",
        alone(_prepare_in),
        _unsupported,
        load=loading(_PARTITIONER, _LIBRARY),
        blocks_host=True,
        precisions=("fp32",),
        prepare_in=_prepare_in,
    ),
)
