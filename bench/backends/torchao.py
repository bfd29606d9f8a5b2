"""torchao: 8-bit integers on x86 CPUs, quantised in PyTorch's own graph (PT2E) and compiled by Inductor.

Activations are unsigned with one scale a tensor, weights signed with one a channel; ranges are taken in calibration.
Inductor is given the weights as constants (freezing), without which it would multiply in single precision; how many of
the products it has made ones of integers is read from its own counters. What it compiles lies in no file of its own.
Source: https://docs.pytorch.org/ao/stable/pt2e_quantization/pt2e_quant_x86_inductor.html
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from bench.backends import BACKENDS, Backend, Call, Engine, Runnable, refusal
from bench.backends._calibration import Calibration, calibration
from bench.backends._engines import (
    clipped_share,
    exported,
    exporting,
    has_vnni,
    loading,
    multiplies,
    refusal_of,
    versions,
)
from bench.backends._shared import PinnedCall, timed
from bench.backends.compiled import compile_now
from bench.errors import UnsupportedError, install_tip
from bench.plan.job import Job
from bench.plan.settings import Timed

_NEEDS = ("torchao",)
_INSTALL = install_tip("torchao")
_QUANTISER = "torchao.quantization.pt2e.quantizer.x86_inductor_quantizer"
_PACKED = ("qconv_weight_prepack_matcher_count", "qlinear_weight_prepack_matcher_count")
_QUANTISES = "quantize_per_tensor.default"


def _unsupported(job: Job[Timed]) -> str | None:
    if reason := refusal_of(job, {"cpu": ("int8",)}, _NEEDS, _INSTALL, ("contiguous", "channels_last")):
        return reason
    machine = platform.machine()
    return None if machine in ("x86_64", "AMD64") else f"its int8 here is for x86, and this is {machine}"


def _prepare(model: nn.Module, images: Tensor, job: Job[Timed]) -> Runnable:
    detail: dict[str, object] = {**versions("torch", "torchao")}
    try:
        with timed(detail, "quantise_s"):
            ranges = calibration(images, job)
            quantised = _quantised(model, images, ranges)
        detail |= {**ranges.detail, "weight_bits": 8 if has_vnni() else 7}
        call, operators, detail["first_call_s"] = _compiled(quantised, images, job)
    except Exception as error:  # the network ran in eager; whatever is wrong now is the quantisation
        raise refusal("torchao", error, "use backend=onnx or backend=openvino") from error
    engine = Engine(
        operators=operators,
        threads=torch.get_num_threads(),
        layout=job.settings.memory_format,
        clipped=lambda: _clipped(quantised, images),
    )
    return Runnable(call, detail, engine=engine, flags=ranges.flags)


def _quantised(model: nn.Module, images: Tensor, ranges: Calibration) -> GraphModule:
    """Return the network's graph with what quantises and dequantises in it, its ranges taken in calibration."""
    pt2e = importlib.import_module("torchao.quantization.pt2e.quantize_pt2e")
    x86 = importlib.import_module(_QUANTISER)
    # Which operators belong together the quantiser knows by what they were written as.
    with exporting():
        graph = exported(model, images, strict=True).module()
        quantiser = x86.X86InductorQuantizer()
        quantiser.set_global(x86.get_default_x86_inductor_quantization_config(reduce_range=not has_vnni()))
        observed = pt2e.prepare_pt2e(graph, quantiser)
        for batch in ranges.batches:
            observed(batch)
        converted: GraphModule = pt2e.convert_pt2e(observed)
        importlib.import_module("torchao.quantization.pt2e").move_exported_model_to_eval(converted)
    return converted


def _compiled(quantised: GraphModule, images: Tensor, job: Job[Timed]) -> tuple[Call, dict[str, int], float]:
    """Return a call of the compiled graph, how many of its products are of integers, and the seconds of the first.

    Each call is made as the first was, without gradients and not in inference mode: in any other state torch.compile
    would compile anew, without the constants, and what then runs multiplies in single precision.

    Raises:
        UnsupportedError: if it compiles anew all the same.
    """
    from torch._dynamo.utils import counters
    from torch._inductor import config

    products = [n for n in quantised.graph.nodes if n.op == "call_function" and multiplies(str(n.target))]
    counters.clear()
    compiled: Any = torch.compile(quantised, dynamic=False)
    given = torch.from_numpy(images.numpy())  # the same memory, as no tensor of inference mode

    def call() -> object:
        with torch.inference_mode(False), torch.no_grad():
            return compiled(given)

    with config.patch(freezing=True):
        first_s = compile_now(call, job.device)
    graphs = counters["stats"]["unique_graphs"]
    of_integers = min(len(products), sum(counters["inductor"][name] for name in _PACKED))
    with torch.inference_mode():
        call()
    if counters["stats"]["unique_graphs"] != graphs:
        raise UnsupportedError("what torchao has quantised is compiled anew in later calls, without integers")
    counts = {"int8": of_integers, "fp32": len(products) - of_integers}
    return PinnedCall(call, images), {kind: count for kind, count in counts.items() if count}, first_s


def _clipped(quantised: GraphModule, images: Tensor) -> Mapping[str, float]:
    """Return by quantised activation the share of its values beyond its range, for these images."""
    with torch.inference_mode(False), torch.no_grad():
        ranges = _Ranges(quantised)
        ranges.run(images.clone())
    return ranges.shares


class _Ranges(Interpreter):
    """Runs a quantised graph and looks at what is about to be quantised."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.shares: dict[str, float] = {}

    def run_node(self, n: Node) -> Any:
        """Run one operator."""
        if n.op == "call_function" and str(n.target).endswith(_QUANTISES) and "dequant" not in str(n.target):
            arguments: Any = self.map_nodes_to_values(n.args, n)
            values, scale, zero, least, most, *_ = arguments
            low, high = (torch.as_tensor((end - zero) * scale) for end in (least, most))
            self.shares[n.name] = clipped_share(values, low, high, levels=most - least + 1)
        return super().run_node(n)


BACKENDS.add(
    "torchao",
    Backend(
        f"torchao: int8 in PyTorch's graph, compiled by Inductor; x86 CPUs ({_INSTALL})",
        _prepare,
        _unsupported,
        load=loading("torch._dynamo", "torch._inductor.utils", _QUANTISER),
        precisions=("int8",),
    ),
)
