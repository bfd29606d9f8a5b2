"""AOTInductor: the network is exported, compiled by Inductor to a shared library, packed into a file, and run from it.

What runs is the file's own code, without Python between its kernels. Inductor's caches are fresh, so that
`prepare_time` is that of a first compilation; later processes load the file. It has the layout and the numbers of the
network that it is given.
Source: https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/torch.compiler_aot_inductor.html
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from bench.backends import BACKENDS, Backend, Engine, Runnable, refusal
from bench.backends._engines import exported, exporting, loading, made_once, multiplies
from bench.backends._shared import PinnedCall, alone, on_cpu, timed
from bench.plan.job import Job
from bench.plan.settings import Timed

_PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
_KINDS = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
_TIP = "use backend=compiled or backend=eager; it needs a C++ compiler such as g++, and a network that can be exported"


def _unsupported(job: Job[Timed]) -> str | None:
    if job.settings.precision not in _PRECISIONS:
        return f"no {job.settings.precision}; it has {', '.join(_PRECISIONS)}"
    return None


def _prepare_in(model: nn.Module, images: Tensor, job: Job[Timed], folder: Path) -> Runnable:
    file = folder / "model.pt2"
    try:
        detail = made_once(folder, lambda: _made(model, images, file))
        with timed(detail, "load_s"):
            compiled: Any = torch._inductor.aoti_load_package(str(file))
    except Exception as error:  # the network ran in eager; whatever is wrong now is the compilation
        raise refusal("AOTInductor", error, _TIP) from error
    engine = Engine(
        size=file.stat().st_size,
        operators=cast("dict[str, int]", detail.pop("operators")),
        threads=torch.get_num_threads() if on_cpu(job) else None,
        layout=job.settings.memory_format,
    )
    return Runnable(PinnedCall(lambda: compiled(images), images), detail, engine=engine)


def _made(model: nn.Module, images: Tensor, file: Path) -> dict[str, object]:
    """Write the network's library, packed into a file; return what is to be told of it."""
    from torch._inductor.async_compile import shutdown_compile_workers
    from torch._inductor.utils import fresh_cache

    detail: dict[str, object] = {"torch": torch.__version__}
    with exporting(), fresh_cache():
        try:
            with timed(detail, "export_s"):
                program = exported(model, images)
            with timed(detail, "compile_s"):
                torch._inductor.aoti_compile_and_package(program, package_path=str(file))
        finally:
            shutdown_compile_workers()  # they would idle beside what is measured, and outlive it
    return {**detail, "operators": _operators(program)}


def _operators(program: ExportedProgram) -> dict[str, int]:
    """Return how many operators multiply in which type of number: that of what they return, which Inductor keeps."""
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    values = (node.meta.get("val") for node in nodes if multiplies(str(node.target)))
    return dict(Counter(_KINDS.get(v.dtype, str(v.dtype)) for v in values if isinstance(v, Tensor)))


BACKENDS.add(
    "aot_inductor",
    Backend(
        "AOTInductor: compiled ahead into a library of its own",
        alone(_prepare_in),
        _unsupported,
        load=loading("torch._inductor.utils"),
        outside_allocator=True,
        precisions=("fp32",),
        prepare_in=_prepare_in,
    ),
)
