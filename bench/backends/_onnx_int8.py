"""8-bit integers for ONNX Runtime: the file is quantised by its own tools.

Static: activations unsigned and weights signed, a scale for each channel, as pairs of quantise and dequantise, which
the session turns into products of integers. Ranges are the least and the largest values met in calibration. Weights
keep 7 bits where the CPU adds products in 16, see `bench.backends._engines.has_vnni`.
Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.backends._calibration import calibration
from bench.backends._engines import clipped_share, has_vnni
from bench.plan.job import Job
from bench.plan.settings import Timed


def quantised(
    source: Path, target: Path, images: Tensor, job: Job[Timed], *, dynamic: bool
) -> dict[str, object]:
    """Quantise the network in the file `source` into the file `target`; return what is to be told of it.

    Raises:
        UnsupportedError: for images to calibrate on that are not there.
    """
    tools = importlib.import_module("onnxruntime.quantization")
    shapes = importlib.import_module("onnxruntime.quantization.shape_inference")
    logging.getLogger().setLevel(logging.ERROR)  # it would advise on the root logger what is done here anyway
    target.parent.mkdir()
    cleared = source.with_name("cleared.onnx")
    shapes.quant_pre_process(str(source), str(cleared))
    reduced = not has_vnni()
    weights: dict[str, Any] = {
        "per_channel": True,
        "reduce_range": reduced,
        "weight_type": tools.QuantType.QInt8,
    }
    detail: dict[str, object] = {"weight_bits": 7 if reduced else 8}
    if dynamic:
        tools.quantize_dynamic(str(cleared), str(target), **weights)
        return {**detail, "ranges": "of each call"}
    ranges = calibration(images, job)
    tools.quantize_static(
        str(cleared),
        str(target),
        _Reader([batch.numpy() for batch in ranges.batches]),
        quant_format=tools.QuantFormat.QDQ,
        activation_type=tools.QuantType.QUInt8,
        # The session takes rectifiers into the products by itself; with them in the file it is plain what is clipped.
        extra_options={"QDQKeepRemovableActivations": True},
        **weights,
    )
    return {
        **detail,
        "ranges": "least and largest in calibration",
        **ranges.detail,
        "flags": ranges.flags,
    }


class _Reader:
    """Batches of images as ONNX Runtime's calibration takes them, one after the other, and then None."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._batches: Iterator[np.ndarray] = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def clipped(content: bytes, images: Tensor) -> dict[str, float]:
    """Return by quantised tensor of a file the share of its values [...] beyond its range, for these images."""
    onnx, runtime = importlib.import_module("onnx"), importlib.import_module("onnxruntime")
    model = onnx.load_from_string(content)
    ranges = dict(_ranges(model.graph))
    if not ranges:
        return {}
    known = {output.name for output in model.graph.output} | {one.name for one in model.graph.input}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ranges if name not in known)
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = [output.name for output in session.get_outputs() if output.name in ranges]
    feed = {session.get_inputs()[0].name: images.numpy()}
    values = dict(zip(wanted, session.run(wanted, feed), strict=True)) | {
        name: array for name, array in feed.items() if name in ranges
    }
    return {
        name: clipped_share(torch.from_numpy(array), torch.tensor(low), torch.tensor(high))
        for name, array in values.items()
        for low, high in [ranges[name]]
    }


def _ranges(graph: Any) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield the activations that are quantised, with the least and the largest number that 8 bits stand for.

    What a rectifier gets has the range of what it returns, and is meant to be clipped to it; that is quantised in turn.
    """
    to_array = importlib.import_module("onnx.numpy_helper").to_array
    constants = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in graph.node:
        if node.op_type != "QuantizeLinear" or node.input[0] in constants:
            continue
        users = [user for back in readers.get(node.output[0], ()) for user in readers.get(back.output[0], ())]
        if users and all(user.op_type in ("Relu", "Clip") for user in users):
            continue
        scale, zero = constants.get(node.input[1]), constants.get(node.input[2])
        if scale is None or zero is None or scale.size != 1:
            continue
        ends = np.iinfo(zero.dtype)
        step, offset = float(scale.item()), int(zero.item())
        yield node.input[0], ((ends.min - offset) * step, (ends.max - offset) * step)


def overflows(content: bytes) -> bool:
    """Return whether a file has weights of all 8 bits although this CPU adds their products in 16."""
    if has_vnni():
        return False
    onnx = importlib.import_module("onnx")
    tensors = onnx.load_from_string(content).graph.initializer
    weights = (onnx.numpy_helper.to_array(t) for t in tensors if t.data_type == onnx.TensorProto.INT8)
    return any(array.size and int(np.abs(array.astype(np.int16)).max()) > 64 for array in weights)
