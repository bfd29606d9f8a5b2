"""Latencies of engines as `bench` times them against each engine's own loop, call by call in turn: within 3 %.

    python tests/benchmarks/engines.py [NETWORK] [PAIRS]

Each engine runs in a process of its own, so that no other's threads spin beside it. Of ONNX Runtime and OpenVINO the other
side is an engine of its own, made as their documents show it; ExecuTorch, AOTInductor and torchao are called as theirs show.
OpenVINO's `benchmark_app` is run before and after on the same graph. Engines that are not installed are named.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _side_by_side import show, show_ratio

from bench.archs.naming import resolve
from bench.backends import BACKENDS
from bench.backends._engines import exported, exporting
from bench.plan.job import Job
from bench.timing.clock import HostClock

ENGINES = (
    "onnx fp32",
    "onnx int8",
    "openvino fp32",
    "openvino bf16",
    "aot_inductor fp32",
    "executorch fp32",
    "torchao int8",
)
NETWORK, PAIRS, THREADS = "torchvision:resnet18", 160, 2
APP_S = 5


def main() -> None:
    network = sys.argv[1] if len(sys.argv) > 1 else NETWORK
    pairs = sys.argv[2] if len(sys.argv) > 2 else str(PAIRS)
    for engine in ENGINES:
        subprocess.run([sys.executable, __file__, network, pairs, engine], check=False)


def measure(network: str, pairs: int, engine: str) -> None:
    name, precision = engine.split()
    settings = {"device": "cpu", "threads": THREADS, "batch_size": 1, "precision": precision, "backend": name}
    job: Job = Job(task="infer", arch=network, input_size=224, settings=settings)  # type: ignore[arg-type]
    backend = BACKENDS.get(name)
    if reason := backend.unsupported(job):
        print(f"{engine}: not run: {reason}")
        return
    torch.set_num_threads(THREADS)
    clock = HostClock()
    with torch.inference_mode():
        backend.load()
        model = resolve(network).build().eval()
        images = torch.randn(1, 3, 224, 224)
        if precision == "bf16":
            model, images = model.bfloat16(), images.bfloat16()
        call = backend.prepare(model, images, job).call
        own = _own(name, precision, model, images) or call
        ways: dict[str, Callable[[], float]] = {
            "bench": lambda: clock.seconds(call, 1),
            "own": lambda: bare(own),
        }
        taken: dict[str, list[float]] = {who: [] for who in ways}
        for number in range(pairs + 10):
            for who in ways if number % 2 else reversed(ways):
                seconds = ways[who]()
                if number >= 10:
                    taken[who].append(seconds)
    for who, values in taken.items():
        show(f"{engine} {who}", values)
    show_ratio(f"{engine}, bench over its own loop", taken["bench"], taken["own"])
    if name == "openvino":
        with torch.inference_mode():
            against_app(model, images, precision, call)


def bare(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _own(
    name: str, precision: str, model: torch.nn.Module, images: torch.Tensor
) -> Callable[[], object] | None:
    """Return a call of an engine made anew by its own means; None where the same artefact is called in a bare loop."""
    if name == "onnx" and precision == "fp32":
        import onnxruntime

        with tempfile.TemporaryDirectory() as folder, exporting():
            file = Path(folder) / "model.onnx"
            torch.onnx.export(
                model, (images.clone(),), str(file), dynamo=True, input_names=["images"], verbose=False
            )
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = THREADS
            session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        pixels = images.numpy()
        return lambda: session.run(None, {"images": pixels})
    if name == "openvino" and precision == "fp32":
        import openvino

        with exporting():
            graph = of_shape(openvino.convert_model(exported(model, images)), images)
        compiled = openvino.Core().compile_model(graph, "CPU", _openvino(precision))
        pixels = images.numpy()
        return lambda: compiled([pixels], share_inputs=True, share_outputs=True)
    return None


def of_shape(graph: Any, images: torch.Tensor) -> Any:
    """Return a graph of OpenVINO's that takes images of this shape alone; it is exported for any."""
    graph.reshape(list(images.shape))
    return graph


def _openvino(precision: str) -> dict[str, object]:
    hint = {"fp32": "f32", "bf16": "bf16"}[precision]
    return {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": THREADS, "NUM_STREAMS": 1}


def against_app(
    model: torch.nn.Module, images: torch.Tensor, precision: str, call: Callable[[], object]
) -> None:
    """Run OpenVINO's own tool before and after `bench`'s clock, on the same graph, synchronously."""
    import openvino

    with tempfile.TemporaryDirectory() as folder, exporting():
        file = Path(folder) / "model.xml"
        graph = of_shape(openvino.convert_model(exported(model.float(), images.float())), images)
        openvino.save_model(graph, str(file), compress_to_fp16=False)
        medians = [app_median(file, precision)]
        clock = HostClock()
        medians.append(float(np.median([clock.seconds(call, 1) for _ in range(400)])))
        medians.append(app_median(file, precision))
    before, ours, after = medians
    print(f"openvino {precision}: benchmark_app {1e3 * before:.2f} and {1e3 * after:.2f} ms, bench {1e3 * ours:.2f} ms, "
          f"ratio {2 * ours / (before + after):.3f}")  # fmt: skip


def app_median(file: Path, precision: str) -> float:
    """Return the median latency in s that `benchmark_app` prints."""
    words = [
        "-m",
        str(file),
        "-d",
        "CPU",
        "-api",
        "sync",
        "-hint",
        "none",
        "-nstreams",
        "1",
        "-nthreads",
        str(THREADS),
    ]
    words += ["-infer_precision", {"fp32": "f32", "bf16": "bf16"}[precision], "-t", str(APP_S)]
    tool = Path(sys.executable).with_name("benchmark_app")
    done = subprocess.run(
        [str(tool), *words], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    found = re.search(r"Median:\s+([\d.]+) ms", done.stdout)
    assert found, done.stdout[-2000:]
    return float(found[1]) / 1e3


if __name__ == "__main__":
    if len(sys.argv) > 3:
        measure(sys.argv[1], int(sys.argv[2]), sys.argv[3])
    else:
        main()
