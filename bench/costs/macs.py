"""Multiply-accumulates, by fvcore, and activations, from the same trace.

fvcore calls its counts flops, and mixes units: convolutions and matrix products in multiply-accumulates, norms
and up-sampling in operations. Here the two are kept apart: `macs` is of convolution, linear layers and attention
alone; the rest is in the detail, in operations. An operation that fvcore has no rule for is named there too.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn

from bench.costs import Subject, cost
from bench.records.record import Measurement, count

# fvcore's names of operators whose count is in multiply-accumulates.
MAC_OPERATORS = ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum", "attention")

# Operators of aten that multiply and that fvcore has no rule for; one from elsewhere is in doubt too.
_MULTIPLYING = (
    "addbmm", "addmv", "addr", "baddbmm", "bilinear", "cdist", "chain_matmul", "dot", "inner", "kron", "mv", "outer",
    "tensordot", "vdot", "lstm", "gru", "rnn_tanh", "rnn_relu", "_native_multi_head_attention",
    "_transformer_encoder_layer_fwd", "stft",
)  # fmt: skip


def _attention(inputs: list[Any], outputs: list[Any]) -> float:  # noqa: ARG001 (fvcore's signature)
    """Count scaled dot-product attention: queries by keys, then weights by values.

    Shapes: query [..., L, E], key [..., S, E], value [..., S, V]; L x S x (E + V) in each head.
    """
    query, key, value = (v.type().sizes() for v in inputs[:3])
    heads = math.prod(query[:-2])
    return float(heads * query[-2] * key[-2] * (query[-1] + value[-1]))


def _analysis(subject: Subject, images: Tensor) -> FlopCountAnalysis:
    analysis = FlopCountAnalysis(subject.model, images)
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    return analysis.set_op_handle("aten::scaled_dot_product_attention", _attention)


@cost("macs")
def macs(subject: Subject) -> Iterator[Measurement]:
    """Count `macs`, `activations` and `activation_bytes` of one image.

    `macs` is of convolutions, linear layers and attention, without biases. `activations` is the number of
    elements that convolutions and linear layers write; `activation_bytes` is of all that the layers without
    children write, in-place ones left out: what a forward pass must hold for its backward pass.
    """
    images = torch.zeros(subject.shape)
    outputs = _Outputs(subject.model)
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    with outputs, torch.enable_grad(), warnings.catch_warnings():  # no fused fast path
        warnings.simplefilter("ignore")  # of torch.jit, which fvcore traces with
        analysis = _analysis(subject, images)
        by_operator = {k: int(v) for k, v in analysis.by_operator().items()}
        missing = analysis.unsupported_ops()
    multiplying = {k: v for k, v in by_operator.items() if _plain(k) in MAC_OPERATORS}
    uncounted = {k: n for k, n in sorted(missing.items()) if _may_multiply(k)}
    yield Measurement(
        name="macs",
        unit="MAC",
        better="lower",
        samples=(sum(multiplying.values()),),
        detail={
            "images": 1,
            "counter": "fvcore",
            "by_operator": multiplying,
            "other_operations": {k: v for k, v in by_operator.items() if k not in multiplying},
            "uncounted": uncounted,
            "uncounted_elementwise": {k: n for k, n in sorted(missing.items()) if k not in uncounted},
        },
        flags=("uncounted_ops",) if uncounted else (),
    )
    yield count("activations", outputs.matrix_elements, images=1, of="convolution and linear layers")
    yield count("activation_bytes", outputs.bytes, "B", images=1, of="layers without children")


def _plain(operator: str) -> str:
    """Return ``attention`` for ``aten::scaled_dot_product_attention`` and ``conv`` for ``conv``."""
    name = operator.rpartition("::")[2]
    return "attention" if name == "scaled_dot_product_attention" else name


def _may_multiply(operator: str) -> bool:
    namespace, _, name = operator.rpartition("::")
    return namespace != "aten" or name in _MULTIPLYING or name.startswith(("linalg_", "fft_"))


# Layers that, in evaluation, write nothing of their own.
_PASS_ON = (nn.Identity, nn.Dropout, nn.Flatten)


class _Outputs:
    """Collects, while in its with block, what the layers without children write; hooks always go again."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.matrix_elements = 0
        self.bytes = 0

    def __enter__(self) -> _Outputs:
        tables = [t for m in self.model.modules() for t in (m._forward_hooks, m._forward_pre_hooks)]
        self._before = [(table, dict(table)) for table in tables]
        for leaf in (m for m in self.model.modules() if not any(m.children())):
            leaf.register_forward_hook(self._note)
        return self

    def __exit__(self, *exc: object) -> None:
        # Ours and fvcore's, which stay behind where tracing fails.
        for table, hooks in self._before:
            table.clear()
            table.update(hooks)

    def _note(self, module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG002 (a hook's signature)
        if not isinstance(output, Tensor) or getattr(module, "inplace", False):
            return
        if isinstance(module, _PASS_ON):
            return
        # Under tracing, sizes are tensors; int() keeps them plain.
        elements = math.prod(int(n) for n in output.shape)
        self.bytes += elements * output.element_size()
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            self.matrix_elements += elements
