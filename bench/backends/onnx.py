"""ONNX Runtime: the network is exported to ONNX once, and run by another engine.

onnx            fp32; on CUDA also tf32 and fp16; int8 with ranges of activations that are calibrated beforehand
                (static, as pairs of quantise and dequantise in the file)
onnx:dynamic    int8 with ranges that are taken of each call's own activations

The session has as many threads within operators as the job, and runs one operator at a time. On a GPU images and
logits stay on the device. ONNX Runtime lays images out as it likes and has no autocast, so the job must be contiguous
and in one precision.
Source: https://onnxruntime.ai/docs/api/python/api_summary.html
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.archs.returned import answer_of
from bench.backends import BACKENDS, LOOKING, Backend, Call, Engine, Runnable, refusal
from bench.backends import _onnx_int8 as int8
from bench.backends._engines import folder_size, loading, made_once, refusal_of, versions
from bench.backends._onnx_graph import export, operators_of
from bench.backends._shared import PinnedCall, alone, on_cpu, timed
from bench.errors import UnsupportedError, install_tip
from bench.plan.job import Job
from bench.plan.settings import Timed

_NEEDS = ("onnx", "onnxscript", "onnxruntime")
_INSTALL = install_tip("onnx")
_PRECISIONS = {"cpu": ("fp32", "int8"), "cuda": ("fp32", "tf32", "fp16")}
_DYNAMIC = {"cpu": ("int8",), "cuda": ()}
_CUDA = "CUDAExecutionProvider"
_QUIET = 3  # errors and worse


def _unsupported(job: Job[Timed], *, dynamic: bool) -> str | None:
    if reason := refusal_of(job, _DYNAMIC if dynamic else _PRECISIONS, _NEEDS, _INSTALL):
        return reason
    if not on_cpu(job) and _CUDA not in importlib.import_module("onnxruntime").get_available_providers():
        return "this onnxruntime has no CUDA; pip install onnxruntime-gpu"
    return None


def _prepare_in(
    model: nn.Module, images: Tensor, job: Job[Timed], folder: Path, *, dynamic: bool
) -> Runnable:
    file = folder / "network" / "model.onnx"
    try:
        detail = made_once(folder, lambda: _made(model, images, job, file, dynamic=dynamic))
        with timed(detail, "session_s"):
            session = _session(file, job)
        if not session.get_inputs():
            raise UnsupportedError(
                "what was exported takes no images: the network uses them outside of torch"
            )
    except Exception as error:  # the network ran in eager; whatever is wrong now is the export
        raise refusal("ONNX Runtime", error, "use backend=eager") from error
    start = time.perf_counter()
    graph = file.read_bytes() if job.settings.precision == "int8" and not dynamic else None
    flags = cast("list[str]", detail.pop("flags"))
    engine = Engine(
        size=folder_size(file.parent),
        operators=cast("dict[str, int]", detail.pop("operators")),
        threads=session.get_session_options().intra_op_num_threads or None,
        layout="contiguous",
        clipped=None if graph is None else lambda: int8.clipped(graph, images),
        sums_overflow=graph is not None and int8.overflows(graph),
    )
    detail[LOOKING] = cast("float", detail.get(LOOKING, 0.0)) + time.perf_counter() - start
    call = _host_call(session, images) if on_cpu(job) else _device_call(session, images, model)
    return Runnable(call, detail, engine=engine, flags=tuple(flags))


def _made(
    model: nn.Module, images: Tensor, job: Job[Timed], file: Path, *, dynamic: bool
) -> dict[str, object]:
    """Write the network's file, in its precision; return what is to be told of it, and of a session's graph."""
    quantises = job.settings.precision == "int8"
    exported = file.parent.with_name("exported") / file.name if quantises else file
    detail: dict[str, object] = {**versions("onnx", "onnxruntime"), "flags": ()}
    exported.parent.mkdir()
    try:
        with timed(detail, "export_s"):
            detail["exporter"] = export(model, images, exported)
    except Exception as error:
        raise refusal("ONNX export", error, "use backend=eager") from error
    if quantises:
        with timed(detail, "quantise_s"):
            detail |= int8.quantised(exported, file, images, job, dynamic=dynamic)
        shutil.rmtree(exported.parent)
    with timed(detail, LOOKING):
        detail["operators"] = _operators(file, job) if on_cpu(job) else {}
    return detail


def _operators(file: Path, job: Job[Timed]) -> dict[str, int]:
    """Return how many operators multiply in which type of number, by the graph that a session has made of a file."""
    with tempfile.TemporaryDirectory(prefix=f"bench-{os.getpid()}-") as own:
        optimised = Path(own) / "model.onnx"
        _session(file, job, optimised)
        return operators_of(optimised) if optimised.is_file() else {}


def _session(file: Path, job: Job[Timed], optimised: Path | None = None) -> Any:
    """Return a session, which leaves the graph that it has made of the file at `optimised`, where that is given."""
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = job.settings.threads or 0  # 0 leaves it to the library
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET + 1 if on_cpu(job) else _QUIET
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
        # Weights beside the graph, which no file of a graph could hold from 2 GB on.
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", "weights.bin"
        )
    return runtime.InferenceSession(str(file), options, providers=_providers(job))


def _providers(job: Job[Timed]) -> list[Any]:
    if on_cpu(job):
        return ["CPUExecutionProvider"]
    index = torch.device(job.device).index or 0
    tf32 = int(job.settings.precision == "tf32")  # on by default there
    return [(_CUDA, {"device_id": index, "use_tf32": tf32}), "CPUExecutionProvider"]


def _host_call(session: Any, images: Tensor) -> Call:
    feed = {session.get_inputs()[0].name: images.numpy()}
    return lambda: session.run(None, feed)[0]


def _device_call(session: Any, images: Tensor, model: nn.Module) -> Call:
    """Return a call from the images on the device to logits on the device; it waits for its end."""
    answer = answer_of(model(images))
    assert answer is not None  # it ran in eager
    images, logits = images.contiguous(), torch.empty_like(answer).contiguous()
    binding = session.io_binding()
    kind = {torch.float32: "float32", torch.float16: "float16"}
    for tensor, name, bind in (
        (images, session.get_inputs()[0].name, binding.bind_input),
        (logits, session.get_outputs()[0].name, binding.bind_output),
    ):
        numpy = getattr(importlib.import_module("numpy"), kind[tensor.dtype])
        bind(name, "cuda", tensor.device.index or 0, numpy, tuple(tensor.shape), tensor.data_ptr())
    torch.cuda.synchronize()

    def call() -> object:
        session.run_with_iobinding(binding)
        return logits

    call()
    return PinnedCall(call, images)


for _name, _is_dynamic, _about in (
    ("onnx", False, f"ONNX Runtime, after an export; int8 is static ({_INSTALL})"),
    ("onnx:dynamic", True, f"ONNX Runtime in int8, with ranges of each call's own ({_INSTALL})"),
):
    _in_folder = partial(_prepare_in, dynamic=_is_dynamic)
    BACKENDS.add(
        _name,
        Backend(
            _about,
            alone(_in_folder),
            partial(_unsupported, dynamic=_is_dynamic),
            load=loading(*_NEEDS),
            blocks_host=True,
            outside_allocator=True,
            precisions=("int8",) if _is_dynamic else ("fp32", "int8"),
            prepare_in=_in_folder,
        ),
    )
