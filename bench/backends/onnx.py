"""ONNX Runtime: the network is exported to ONNX once, and run by another engine.

The session has as many threads within operators as the job, and runs one operator at a time. On a GPU images and
logits stay on the device. ONNX Runtime lays images out as it likes and has no autocast, so the job must be contiguous
and in one precision: fp32 on the CPU; fp32, tf32 or fp16 on CUDA.
Source: https://onnxruntime.ai/docs/api/python/api_summary.html
"""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.backends import BACKENDS, Backend, Call, PinnedCall, Runnable, on_cpu, refusal
from bench.plan.job import Job
from bench.plan.settings import Timed

_NEEDS = ("onnx", "onnxscript", "onnxruntime")
_INSTALL = "pip install 'bench[onnx]'"
_PRECISIONS = {"cpu": ("fp32",), "cuda": ("fp32", "tf32", "fp16")}
_CUDA = "CUDAExecutionProvider"
_QUIET = 3  # errors and worse


def _load() -> None:
    for name in _NEEDS:
        importlib.import_module(name)


def _unsupported(job: Job[Timed]) -> str | None:
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} missing; {_INSTALL}"
    kind = "cpu" if on_cpu(job) else "cuda"
    if job.settings.precision not in _PRECISIONS[kind]:
        return f"no {job.settings.precision} on {kind}; it has {', '.join(_PRECISIONS[kind])}"
    if job.settings.memory_format != "contiguous":
        return "it lays images out by itself; use memory_format=contiguous"
    if kind == "cuda" and _CUDA not in importlib.import_module("onnxruntime").get_available_providers():
        return "this onnxruntime has no CUDA; pip install onnxruntime-gpu"
    return None


def _prepare(model: nn.Module, images: Tensor, job: Job[Timed]) -> Runnable:
    with tempfile.TemporaryDirectory(prefix="bench-onnx-") as folder:
        file = Path(folder) / "model.onnx"
        try:
            start = time.perf_counter()
            exporter = _export(model, images, file)
            exported = time.perf_counter()
            session = _session(file, job)
        except Exception as error:  # the network ran in eager; whatever is wrong now is the export
            raise refusal("ONNX export", error, "use backend=eager") from error
        ready = time.perf_counter()
    detail = {
        "exporter": exporter,
        "export_s": exported - start,
        "session_s": ready - exported,
        "onnxruntime": importlib.import_module("onnxruntime").__version__,
    }
    if on_cpu(job):
        return Runnable(_host_call(session, images), detail)
    return Runnable(_device_call(session, images, model(images)), detail)


def _export(model: nn.Module, images: Tensor, file: Path) -> str:
    """Write the network to `file`; return the exporter that could: torch.export, or tracing where that fails."""
    arguments: dict[str, Any] = {"input_names": ["images"], "output_names": ["logits"], "verbose": False}
    failure: Exception | None = None
    for name, dynamo in (("torch.export", True), ("tracing", False)):
        # Exporters need tensors that gradients may know of; inference mode makes others.
        with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
            warnings.simplefilter("ignore")
            try:
                torch.onnx.export(model, (images.clone(),), str(file), dynamo=dynamo, **arguments)
            except Exception as error:
                failure = failure or error
            else:
                return name
    assert failure is not None
    raise failure


def _session(file: Path, job: Job[Timed]) -> Any:
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = job.settings.threads or 0  # 0 leaves it to the library
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
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


def _device_call(session: Any, images: Tensor, logits: Tensor) -> Call:
    """Return a call from the images on the device to logits on the device; it waits for its end."""
    images, logits = images.contiguous(), torch.empty_like(logits).contiguous()
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


BACKENDS.add(
    "onnx",
    Backend(
        f"ONNX Runtime, after an export ({_INSTALL})",
        _prepare,
        _unsupported,
        load=_load,
        blocks_host=True,
        outside_allocator=True,
    ),
)
