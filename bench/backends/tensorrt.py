"""TensorRT: the network is exported to ONNX, built for one card, and run from its own engine, in torch's order.

The network is built strongly typed: each number has the type that the exported network gives it. TF32, which the
builder would take by itself, is for the precision of that name alone. Images and logits stay on the device.
Source: https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/index.html
"""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.archs.returned import answer_of
from bench.backends import BACKENDS, Backend, Engine, Runnable, refusal
from bench.backends._engines import loading, refusal_of, versions
from bench.backends._onnx_graph import export
from bench.backends._shared import PinnedCall, timed
from bench.errors import UnsupportedError, install_tip
from bench.plan.job import Job
from bench.plan.settings import Timed

_NEEDS = ("tensorrt", "onnx", "onnxscript")
_INSTALL = install_tip("tensorrt")
_PRECISIONS = ("fp32", "tf32", "fp16", "bf16")


def _unsupported(job: Job[Timed]) -> str | None:
    return refusal_of(job, {"cuda": _PRECISIONS}, _NEEDS, _INSTALL)


def _prepare(model: nn.Module, images: Tensor, job: Job[Timed]) -> Runnable:
    detail: dict[str, object] = {**versions("tensorrt")}
    try:
        with tempfile.TemporaryDirectory(prefix="bench-tensorrt-") as folder:
            file = Path(folder) / "model.onnx"
            with timed(detail, "export_s"):
                detail["exporter"] = export(model, images, file)
            with timed(detail, "build_s"):
                plan = _built(file, tf32=job.settings.precision == "tf32")
        logits = answer_of(model(images))
        assert logits is not None  # it ran in eager
        call = _call(plan, images, logits)
    except Exception as error:  # the network ran in eager; whatever is wrong now is TensorRT's
        raise refusal("TensorRT", error, "use backend=cuda_graph or backend=eager") from error
    return Runnable(call, detail, engine=Engine(size=len(plan), layout="contiguous"))


def _built(file: Path, *, tf32: bool) -> bytes:
    """Return the engine that TensorRT builds of a file, as bytes.

    Raises:
        UnsupportedError: for operators that it does not know.
    """
    tensorrt = importlib.import_module("tensorrt")
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(file)):
        raise UnsupportedError(f"TensorRT cannot read the network: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    if not tf32:
        config.clear_flag(tensorrt.BuilderFlag.TF32)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise UnsupportedError("TensorRT builds no engine of the network, and does not say why")
    return bytes(plan)


def _call(plan: bytes, images: Tensor, logits: Tensor) -> PinnedCall:
    """Return a call from the images on the device to logits on the device.

    It has a stream of its own, between what torch's stream has before it and after it: on the default one, which is
    torch's, TensorRT makes the host wait for the device at every call.
    """
    tensorrt = importlib.import_module("tensorrt")
    runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
    engine = runtime.deserialize_cuda_engine(plan)
    context: Any = None if engine is None else engine.create_execution_context()
    if context is None:
        raise UnsupportedError("TensorRT cannot load the engine that it has built")
    logits = torch.empty_like(logits).contiguous()
    for name, tensor in (("images", images), ("logits", logits)):
        if not context.set_tensor_address(name, tensor.data_ptr()):
            raise UnsupportedError(f"TensorRT's engine has no {name} to be given")
    own = torch.cuda.Stream()

    def call() -> object:
        usual = torch.cuda.current_stream()
        own.wait_stream(usual)
        if not context.execute_async_v3(own.cuda_stream):
            raise RuntimeError("TensorRT could not run its engine, and does not say why")
        usual.wait_stream(own)
        return logits

    return PinnedCall(call, (images, engine, runtime))


BACKENDS.add(
    "tensorrt",
    Backend(
        f"TensorRT, after an export; CUDA only ({_INSTALL})",
        _prepare,
        _unsupported,
        load=loading("tensorrt"),
        outside_allocator=True,
        precisions=("fp32", "fp16"),
    ),
)
