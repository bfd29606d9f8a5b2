"""Graphs of ONNX: made of a network, and read for which operators multiply in which type of number."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.backends._engines import AnswerFirst, exporting, kinds_of

_INT8 = ("qlinear", "integer", "qgemm", "qattention", "dynamicquantize")
_TYPES = {1: "fp32", 10: "fp16", 16: "bf16"}  # of TensorProto; what is not said is single precision


def operators_of(file: Path) -> dict[str, int]:
    """Return how many operators of the graph that a session has made multiply in which type of number.

    What quantises each call's activations by itself has `DynamicQuantize` in its name, and multiplies only where it
    has the name of a product as well. A product between dequantised numbers is one of single precision.
    """
    graph = importlib.import_module("onnx").load(str(file), load_external_data=False).graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return kinds_of([(node.op_type, _kind(node, types)) for node in graph.node])


def _kind(node: object, types: dict[str, int]) -> str:
    name = str(getattr(node, "op_type", "")).lower()
    if any(word in name for word in _INT8):
        return "int8"
    known = [_TYPES[types[i]] for i in getattr(node, "input", ()) if types.get(i) in _TYPES]
    return known[0] if known else "fp32"


def export(model: nn.Module, images: Tensor, file: Path) -> str:
    """Write the network to `file`, its answer as the first output.

    Returns:
        The exporter that could: torch.export, or tracing where that fails.
    """
    arguments: dict[str, Any] = {"input_names": ["images"], "output_names": ["logits"], "verbose": False}
    failure: Exception | None = None
    for name, dynamo in (("torch.export", True), ("tracing", False)):
        with exporting():
            try:
                torch.onnx.export(
                    AnswerFirst(model), (images.clone(),), str(file), dynamo=dynamo, **arguments
                )
            except Exception as error:
                failure = failure or error
            else:
                return name
    assert failure is not None
    own = failure.__cause__  # what torch's exporter raises says which of its steps failed, and not why
    raise own if isinstance(own, Exception) else failure
