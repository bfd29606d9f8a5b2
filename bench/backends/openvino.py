"""OpenVINO: the network is exported, converted to its graph and compiled for the CPU, with one stream.

fp32 and bf16 are what its kernels compute in (a hint that it may not follow: what it says of the compiled graph is
recorded); by itself it takes bf16 where the CPU has it, also for a network of fp32. int8 is quantised by NNCF, with the
ranges of calibration. Threads are those of the job. The images are read where they lie. The graph is saved without
halving weights, and loaded from there.
Source: https://docs.openvino.ai/2026/openvino-workflow/running-inference/inference-devices-and-modes/cpu-device.html
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import io
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.backends import BACKENDS, LOOKING, Backend, Engine, Runnable, refusal
from bench.backends._calibration import Calibration, calibration
from bench.backends._engines import (
    AnswerFirst,
    clipped_share,
    exported,
    exporting,
    folder_size,
    has_vnni,
    kinds_of,
    loading,
    made_once,
    refusal_of,
    versions,
)
from bench.backends._shared import PinnedCall, alone, timed
from bench.errors import UnsupportedError, install_tip
from bench.plan.job import Job
from bench.plan.settings import Timed

_NEEDS = ("openvino", "nncf")
_INSTALL = install_tip("openvino")
_PRECISIONS = ("fp32", "bf16", "int8")
_KINDS = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "i8": "int8", "u8": "int8"}
_TIP = "use backend=onnx or backend=eager"
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


def _unsupported(job: Job[Timed]) -> str | None:
    needs = _NEEDS if job.settings.precision == "int8" else _NEEDS[:1]
    return refusal_of(job, {"cpu": _PRECISIONS}, needs, _INSTALL)


def _prepare_in(model: nn.Module, images: Tensor, job: Job[Timed], folder: Path) -> Runnable:
    openvino = importlib.import_module("openvino")
    file = folder / "graph" / "model.xml"
    try:
        detail = made_once(folder, lambda: _made(model, images, job, file))
        with timed(detail, "compile_s"):
            network = openvino.Core().read_model(str(file))
            compiled = _compiled(network, images, job)
        call = _call(compiled, images)
    except Exception as error:  # the network ran in eager; whatever is wrong now is OpenVINO's
        if words := _summary(error):
            raise UnsupportedError(f"OpenVINO converts no such network: {words}", _TIP) from error
        raise refusal("OpenVINO", error, _TIP) from error
    flags = cast("list[str]", detail.pop("flags"))
    with timed(detail, LOOKING):
        operators = kinds_of(_operators(compiled))
    reports = {name: str(compiled.get_property(name)) for name in ("INFERENCE_NUM_THREADS", "NUM_STREAMS")}
    engine = Engine(
        size=folder_size(file.parent),
        operators=operators,
        threads=int(reports["INFERENCE_NUM_THREADS"]),
        layout="contiguous",
        clipped=(lambda: _clipped(network, images)) if job.settings.precision == "int8" else None,
    )
    return Runnable(call, {**detail, **reports}, engine=engine, flags=tuple(flags))


def _summary(error: Exception) -> str:
    """Return what an error of a conversion says at its end, where it sums up; its first lines say where it was raised.

    Empty of any other error.
    """
    _, _, end = str(error).partition("Summary:\n")
    return "; ".join(filter(None, (line.strip(" -") for line in end.splitlines())))[:300]


def _made(model: nn.Module, images: Tensor, job: Job[Timed], file: Path) -> dict[str, object]:
    """Write the network's graph and its weights; return what is to be told of them."""
    openvino = importlib.import_module("openvino")
    flags: tuple[str, ...] = ()
    detail: dict[str, object] = {**versions("openvino")}
    with timed(detail, "export_s"):
        network, detail["exporter"] = _converted(model, images)
    if job.settings.precision == "int8":
        ranges = calibration(images, job)
        detail |= {**ranges.detail, **versions("nncf")}
        with timed(detail, "quantise_s"):
            network, flags = _quantised(network, ranges), ranges.flags
    file.parent.mkdir()
    openvino.save_model(network, str(file), compress_to_fp16=False)
    return {**detail, "flags": flags}


def _converted(model: nn.Module, images: Tensor) -> tuple[object, str]:
    """Return the network as a graph of OpenVINO's, of numbers in single precision, and the exporter that could."""
    openvino = importlib.import_module("openvino")
    with exporting():
        example = images.float().contiguous()
        single = AnswerFirst(
            model if images.dtype == torch.float32 else _in_single_precision(model, images.dtype)
        )
        try:
            graph, exporter = openvino.convert_model(exported(single, example)), "torch.export"
        except Exception:
            shape = list(example.shape)
            graph = openvino.convert_model(single, example_input=example.clone(), input=shape)
            exporter = "tracing"
    graph.reshape(list(example.shape))
    return graph, exporter


def _in_single_precision(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy of a network in which what has the type of its images is in single precision."""
    made = copy.deepcopy(model)
    return made._apply(lambda tensor: tensor.float() if tensor.dtype == dtype else tensor)  # type: ignore[no-any-return]


def _quantised(graph: object, ranges: Calibration) -> object:
    """Return the graph with 8-bit integers; weights keep 7 bits where the CPU would add products in 16."""
    nncf = importlib.import_module("nncf")
    nncf.set_log_level(logging.ERROR)
    advanced = importlib.import_module("nncf.quantization.advanced_parameters")
    fix = advanced.OverflowFix.DISABLE if has_vnni() else advanced.OverflowFix.ENABLE
    data = nncf.Dataset([batch.numpy() for batch in ranges.batches])
    with contextlib.redirect_stdout(io.StringIO()):  # bars of progress
        return nncf.quantize(
            graph,
            data,
            subset_size=len(ranges.batches),
            advanced_parameters=advanced.AdvancedQuantizationParameters(overflow_fix=fix),
        )


def _compiled(graph: Any, images: Tensor, job: Job[Timed]) -> Any:
    openvino = importlib.import_module("openvino")
    settings = {
        "INFERENCE_PRECISION_HINT": _HINTS[job.settings.precision],
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        **({} if job.settings.threads is None else {"INFERENCE_NUM_THREADS": job.settings.threads}),
    }
    if images.dtype == torch.bfloat16:
        process = importlib.import_module("openvino.preprocess").PrePostProcessor(graph)
        process.input().tensor().set_element_type(openvino.Type.bf16)
        graph = process.build()
    return openvino.Core().compile_model(graph, "CPU", settings)


def _call(compiled: Any, images: Tensor) -> PinnedCall:
    """Return a call that reads the images where they lie, which OpenVINO does not keep there."""
    openvino = importlib.import_module("openvino")
    request = compiled.create_infer_request()
    if images.dtype == torch.bfloat16:  # which NumPy does not know
        bits = images.view(torch.int16).numpy()
        given = openvino.Tensor(bits, openvino.Shape(list(images.shape)), openvino.Type.bf16)
    else:
        given = openvino.Tensor(images.numpy(), shared_memory=True)
    request.set_input_tensor(given)

    def call() -> object:
        request.infer()
        return request.get_output_tensor(0).data

    call()
    return PinnedCall(call, (images, given))


def _operators(compiled: Any) -> Iterator[tuple[str, str]]:
    """Yield the kind of each operator of the compiled graph, and the type of number that it computes in."""
    for node in compiled.get_runtime_model().get_ordered_ops():
        told = node.get_rt_info()
        kind, precision = (str(told[key].value) for key in ("layerType", "runtimePrecision"))
        yield kind, _KINDS.get(precision, precision)


def _clipped(graph: Any, images: Tensor) -> Mapping[str, float]:
    """Return by quantised activation of the graph the share of its values beyond its range, for these images."""
    openvino = importlib.import_module("openvino")
    graph = graph.clone()
    sources: dict[_Port, Any] = {}
    ranges: defaultdict[_Port, list[tuple[str, Callable[[Tensor], float]]]] = defaultdict(list)
    for node in graph.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize" or _is_constant(node.input_value(0)):
            continue
        ends = [node.input_value(i).get_node().get_data() for i in (1, 2)]
        low, high = (torch.from_numpy(np.array(end, dtype=np.float32)) for end in ends)
        levels = int(node.get_attributes()["levels"])
        name = str(node.get_friendly_name()).removesuffix("/fq_output_0")
        source = node.input_value(0)
        sources[_port(source)] = source
        share = partial(clipped_share, low=low, high=high, levels=levels)
        ranges[_port(source)].append((name, share))
    graph.add_outputs(list(sources.values()))  # but for those that it returns anyway
    ports = [_port(result.input_value(0)) for result in graph.get_results()]
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    values = dict(zip(ports, compiled(images.numpy()).to_tuple(), strict=True))
    return {
        name: share(torch.from_numpy(np.array(values[port])))
        for port, of_one in ranges.items()
        for name, share in of_one
    }


_Port = tuple[str, int]


def _port(output: Any) -> _Port:
    """Return what tells a value of a graph: the name of its operator, and which of its results it is."""
    return str(output.get_node().get_friendly_name()), int(output.get_index())


def _is_constant(output: Any) -> bool:
    """Return whether a value of a graph is a weight: a constant, or a conversion of one."""
    node = output.get_node()
    while node.get_type_name() in ("Convert", "Reshape", "Transpose") and node.inputs():
        node = node.input_value(0).get_node()
    return str(node.get_type_name()) == "Constant"


BACKENDS.add(
    "openvino",
    Backend(
        f"OpenVINO on the CPU, after an export; int8 by NNCF ({_INSTALL})",
        alone(_prepare_in),
        _unsupported,
        load=loading(_NEEDS[0]),
        blocks_host=True,
        precisions=_PRECISIONS,
        prepare_in=_prepare_in,
    ),
)
