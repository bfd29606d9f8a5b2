"""What backends share that hand a network to another engine: what they refuse, exporting, files, and the CPU."""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import importlib.util
import json
import platform
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from bench.archs.returned import answer_of, tensors_of
from bench.backends._shared import on_cpu
from bench.plan.job import Job
from bench.plan.settings import Timed

_MULTIPLIES = re.compile(
    r"conv(?!ert)|gemm|matmul|(?<!quantize)linear(?!add|mul|aver|glob|soft|leaky|sigm|conc)|fullyconnected|innerproduct"
    r"|attention|\b(add|badd|b)?b?mm\b"
)


_ELSEWHERE = {
    "cuda": "it is for CPUs here; use device=cpu",
    "cpu": "it is for NVIDIA's cards; use device=cuda, or backend=openvino on a CPU",
}


def refusal_of(
    job: Job[Timed],
    precisions: Mapping[str, Sequence[str]],
    needs: Sequence[str],
    install: str,
    layouts: Sequence[str] = ("contiguous",),
) -> str | None:
    """Return why an engine cannot run a job: the device, the precision, the layout, its packages; or None.

    Args:
        job: in question.
        precisions: by kind of device, those that it has there; it is for no other kind.
        needs: modules that it imports.
        install: the command that brings them.
        layouts: of images, those that it has.
    """
    kind = "cpu" if on_cpu(job) else "cuda"
    if kind not in precisions:
        return _ELSEWHERE[kind]
    if job.settings.precision not in precisions[kind]:
        return f"no {job.settings.precision} on {kind}; it has {', '.join(precisions[kind]) or 'none'}"
    if job.settings.memory_format not in layouts:
        return "it lays images out by itself; use memory_format=contiguous"
    return missing(needs, install)


def loading(*modules: str) -> Callable[[], None]:
    """Return `Backend.load` that imports modules; what they say on the way is kept to themselves."""

    def load() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for module in modules:
                importlib.import_module(module)

    return load


def missing(needs: Sequence[str], install: str) -> str | None:
    """Return which modules are not installed, and the command that brings them; None where all are there."""
    names = [name for name in needs if importlib.util.find_spec(name) is None]
    return f"{', '.join(names)} missing; {install}" if names else None


def versions(*packages: str) -> dict[str, str]:
    """Return the versions of imported packages by their names, for the detail of a preparation.

    They are asked themselves where the installed one is called otherwise, as `onnxruntime-gpu` is.
    """
    return {name: _version(name) for name in packages}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return str(getattr(sys.modules.get(package), "__version__", "unknown"))


@contextmanager
def exporting() -> Iterator[None]:
    """Make a context in which a network can be exported, and what exporters say on the way is kept to themselves.

    They need tensors that gradients may know of; inference mode makes others.
    """
    with warnings.catch_warnings(), torch.inference_mode(False), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


class AnswerFirst(nn.Module):
    """A network that returns its answer before all else: engines know what it returns by its places, not by name.

    The rest is returned too, so that no engine leaves out what eager computes.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> object:
        """Return the answer to images [B, C, H, W], and behind it the other tensors, if there are any."""
        result = self.model(images)
        answer = answer_of(result)
        others = [tensor for tensor in tensors_of(result) if tensor is not answer]
        return (answer, *others) if others else answer


def exported(model: nn.Module, images: Tensor, *, strict: bool = False) -> ExportedProgram:
    """Return the graph of a network for images of this shape, its answer first; within `exporting`.

    Args:
        model: in evaluation mode.
        images: [B, C, H, W]; their values do not matter.
        strict: trace the Python code of the network first, which keeps of each operator what it was written as;
            where that fails, it is exported as usual.
    """
    example = (images.clone(),)
    if any(tensor.is_inference() for tensor in model.parameters()):
        model = copy.deepcopy(model)  # whose tensors are made here
    if not isinstance(model, AnswerFirst):  # what a graph returns may be of no class that torch does not know
        model = AnswerFirst(model)
    if strict:
        try:
            return torch.export.export(model, example, strict=True)
        except Exception:  # of many kinds; the usual way then says what is wrong
            torch._dynamo.reset()
    return torch.export.export(model, example)


def made_once(folder: Path, make: Callable[[], Mapping[str, object]]) -> dict[str, object]:
    """Return what `make` tells of what it leaves in a folder, as plain JSON values; or what it told an earlier process.

    Seconds, whose names end in `_s`, are of the process that has made it, and no other is told them.
    """
    file = folder / "made.json"
    if file.is_file():
        return dict(json.loads(file.read_bytes()))
    told = dict(make())
    file.write_text(json.dumps({key: value for key, value in told.items() if not key.endswith("_s")}))
    return told


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def multiplies(operator: str) -> bool:
    """Return whether an operator of such a name multiplies matrices or convolves, in any of the engines' spellings.

    >>> [name for name in ("QLinearConv", "QLinearAdd", "Convert", "aten.addmm.default") if multiplies(name)]
    ['QLinearConv', 'aten.addmm.default']
    """
    return _MULTIPLIES.search(operator.lower()) is not None


def kinds_of(operators: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return how many of the operators, pairs of a name and a type of number, multiply in which type.

    >>> kinds_of([("Conv", "fp32"), ("QLinearConv", "int8"), ("Relu", "fp32"), ("Conv", "fp32")])
    {'fp32': 2, 'int8': 1}
    """
    return dict(Counter(kind for name, kind in operators if multiplies(name)))


@cache
def has_vnni() -> bool:
    """Return whether this CPU adds products of 8-bit integers in 32 bits at once.

    x86 without that adds pairs of them in 16 bits first, which overflow where weights use all of their 8 bits. Other
    processors have no such step. Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """
    if platform.machine() not in ("x86_64", "AMD64"):
        return True
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return "vnni" in flags


def clipped_share(values: Tensor, low: Tensor, high: Tensor, levels: int = 256) -> float:
    """Return the share of values [...] that lie beyond a range by more than half of one of its steps.

    `low` and `high` are numbers, or one a channel in a form that broadcasts. Values at the ends of a range are in it: a
    rectifier puts many there. Of fewer than a hundred values each counts as one of a hundred: one alone says nothing.
    """
    half_step = (high - low) / (levels - 1) / 2
    beyond = (values < low - half_step) | (values > high + half_step)
    return float(beyond.sum()) / max(beyond.numel(), 100)
