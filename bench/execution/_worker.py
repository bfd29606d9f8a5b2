"""The worker: what the process of one job does. It sends events, see `bench.execution._events`, and never raises."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

import bench
from bench.errors import (
    NO_THREAD,
    BenchError,
    DivergedError,
    InvalidModelError,
    UnknownNameError,
    UnsupportedError,
    lacks_memory,
    text_of,
    typed_text,
)
from bench.execution import Send
from bench.execution import _conditions as conditions
from bench.plan.job import Job
from bench.plan.settings import OnDevice, Timed
from bench.plan.task import TASKS, Hooks
from bench.processes import limits
from bench.records import environment
from bench.records.environment import cuda_cards
from bench.records.record import Measurement, Status
from bench.training.config import allow_tf32

# Stages in which only the network's own code can be at fault.
_MODEL_STAGES = ("import", "build", "check")

_NEEDS_IMAGES = "Expected more than 1 value per channel when training"  # batch norm's, of one image
_NO_KERNEL = "no kernel image is available"  # of a card's compute capability
_TIPS = {
    _NEEDS_IMAGES: "batch norm of a vector needs several images: --set batch_size=2, or more",
    _NO_KERNEL: "its kernels are not built for the card's compute capability: install builds that name it",
    "modified by an inplace operation": "it overwrites what its backward needs: x = x + y in place of x += y, say, or "
    "inplace=False",
}
_IMAGES, _WRAP = "[batch, channels, height, width]", "wrap it in a module whose forward"
_NO_SIZE = (
    "no usual size of square images suits it: name one with --set input_size=, in_channels=; or, as it is given images "
    f"{_IMAGES}, {_WRAP} makes of them what it takes, such as torch.nn.Flatten() for vectors"
)
_MOST = 8000  # characters of a text of an error
_OF_SHAPES = re.compile(r"shape|size|dimension|channels|expected|doesn't match", re.IGNORECASE)
_REFUSALS = (_NO_KERNEL, _NEEDS_IMAGES, "not implemented for '")
_GUARD = "Guard failed: "  # of a program of torch.export, for a shape that it was not exported for

# What an error of bench's own means; the first that it is an instance of counts.
_STATUSES: dict[type[BenchError], Status] = {
    UnsupportedError: "unsupported",
    DivergedError: "diverged",
    InvalidModelError: "invalid_model",
    UnknownNameError: "invalid_model",
    BenchError: "crashed",  # a full disk at a checkpoint, say, is not the network's fault
}


def work(  # noqa: PLR0917 (what reaches a process is given by position)
    send: Send,
    job: Job,
    checkpoint: Path | None = None,
    outputs: Path | None = None,
    weights: Path | None = None,
    artefacts: Path | None = None,
) -> None:
    """Do one job and send what comes of it; every failure becomes an outcome.

    Args:
        send: takes the events.
        job: what to do.
        checkpoint: file of how far it came, to go on from; None for none.
        outputs: file of the answers to each image; None for none.
        weights: file of the weights that a training ends with; None for none.
        artefacts: folder of what backends have made of networks in other processes of the run; None for none.
    """

    def do(enter: Callable[[str], None]) -> None:
        hooks = Hooks(
            stage=enter,
            progress=lambda done, total: send(("progress", (done, total))),
            environment=lambda switches: send(("environment", switches)),
            checkpoint=checkpoint,
            outputs=outputs,
            weights=weights,
            artefacts=artefacts,
        )
        for measurement in _measure(job, hooks):
            send(("measurement", measurement))
        enter("done")

    send_outcome(send, job, do)


def send_outcome(send: Send, job: Job, do: Callable[[Callable[[str], None]], None]) -> None:
    """Do something of a job, and send its stages and then its outcome, which every failure becomes.

    Args:
        send: takes the events.
        job: what is done.
        do: does it; it is given the function that enters a stage.
    """
    stage = "start"

    def enter(name: str) -> None:
        nonlocal stage
        stage = name
        send(("stage", name))

    outcome: tuple[Status, dict[str, object] | None] = ("ok", None)
    try:
        do(enter)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a network may raise anything, SystemExit too
        outcome = _outcome(error, job, stage)
    send(("outcome", outcome))


def _outcome(error: BaseException, job: Job, stage: str) -> tuple[Status, dict[str, object]]:
    """Return the status and the description of what was raised, also where that cannot even be looked at."""
    try:
        return _judged(error, job, stage)
    except BaseException as failure:  # what a class of the network's does when it is looked at
        reason = typed_text(failure) if isinstance(failure, Exception) else type(failure).__name__
        message = _clean(f"it raised an exception that cannot be told of: {reason}")
        content: dict[str, object] = {"type": "Exception", "message": message, "tip": None, "traceback": None}
        is_suspect = job.source_sha256 is not None or stage in _MODEL_STAGES
        return "invalid_model" if is_suspect else "crashed", content


def _judged(error: BaseException, job: Job, stage: str) -> tuple[Status, dict[str, object]]:
    content = _describe(error)
    status = _classify(error, stage, custom=job.source_sha256 is not None)
    if status in ("invalid_model", "crashed") and (elsewhere := _would_run(error, job)):
        why, content["tip"] = elsewhere
        status, content["message"] = "unsupported", f"{why}: {content['message']}"
    content["tip"] = content["tip"] or _tip_for(error, job, stage)
    if _is_refused(error):
        content.update(_of_own_limits(job, str(content["message"])))
    return status, content


_GRANTED = limits()


def _is_refused(error: BaseException | None, depth: int = 5) -> bool:
    """Return whether an exception, or one behind it, says that the system gave no memory, file, thread or the like."""
    if error is None or depth == 0:
        return False
    refused = isinstance(error, OSError | MemoryError) or lacks_memory(error) or NO_THREAD in text_of(error)
    return refused or _is_refused(error.__cause__ or error.__context__, depth - 1)


def _of_own_limits(job: Job, message: str) -> dict[str, object]:
    """Return in other words what the system refused, where the network has limited its process and could not go on."""
    now = limits()
    own = [f"{name} to {now[name][0]}" for name, granted in _GRANTED.items() if now[name] != granted]
    if not own:
        return {}
    told = f"{job.arch} limits its own process, {', '.join(own)}: {message}"
    return {"message": told, "tip": "let resource.setrlimit grant more", "traceback": None}


def _measure(job: Job, hooks: Hooks) -> Iterator[Measurement]:
    """Yield each measurement of the job as soon as it is there; what the user's code set in the process is told."""
    switch(job)
    before, reset = conditions.read(), dict[str, str]()
    blocks = os.environ.get("CUDA_LAUNCH_BLOCKING", "0") != "0" and job.device != "cpu"
    flags = ["launch_blocking"] * blocks

    def tell() -> None:
        more = {"set_by_the_file": dict(reset)} if reset else {}
        hooks.environment({"flags": environment.torch_flags(), "state": _state(job), **more})

    def settle() -> None:
        if changed := conditions.restore(before):
            reset.update(changed)
            tell()

    tell()
    for measurement in TASKS.get(job.task).run(job, replace(hooks, settle=settle, flag=flags.append)):
        flagged = measurement.changed(flags=(*measurement.flags, *flags)) if flags else measurement
        yield _under(flagged, reset, conditions.changes(before))


def _under(measurement: Measurement, reset: Mapping[str, str], changed: Mapping[str, str]) -> Measurement:
    """Return a measurement with what of its conditions the user's code had set, and what a forward pass changed."""
    flags = ["conditions_reset"] * bool(reset) + ["conditions_changed"] * bool(changed)
    if not flags:
        return measurement
    detail = {**measurement.detail, **({"conditions_changed": dict(changed)} if changed else {})}
    return measurement.changed(flags=(*measurement.flags, *flags), detail=detail)


def _state(job: Job) -> dict[str, object]:
    """Return the machine's state, with that of the job's own cards."""
    cards = () if job.device == "cpu" else cuda_cards()
    return environment.state(card["uuid"] for i, card in enumerate(cards) if f"cuda:{i}" in job.devices)


def switch(job: Job) -> None:
    """Set what torch keeps for the whole process; the record's flags show it.

    Raises:
        UnsupportedError: for what the device does not have.
    """
    settings = job.settings if isinstance(job.settings, OnDevice) else OnDevice(device=job.device)
    tf32, on_cpu = settings.precision == "tf32", job.device == "cpu"
    if torch.version.hip and not on_cpu:
        message = f"{job.device} is ROCm's: this torch is built for AMD's GPUs, which are not told apart from CUDA's"
        raise UnsupportedError(message, "use device=cpu, or a torch that is built for CUDA")
    if tf32 and on_cpu:
        raise UnsupportedError("tf32 is a mode of CUDA's matrix units; the CPU has none", "use fp32 or bf16")
    if tf32 and os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        message = "NVIDIA_TF32_OVERRIDE=0 forbids TF32 to NVIDIA's libraries, whatever torch says"
        raise UnsupportedError(message, "unset it, or use precision=fp32")
    if isinstance(settings, Timed) and settings.cudnn_benchmark and on_cpu:
        raise UnsupportedError("cudnn_benchmark: the CPU has no cuDNN", "leave it out there")
    torch.backends.cudnn.benchmark = settings.tries_kernels
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    allow_tf32(products=tf32, convolutions=tf32)
    if job.device.startswith("cuda:"):
        torch.cuda.set_device(job.device)


def _classify(error: BaseException, stage: str, *, custom: bool) -> Status:
    """Return the status that an exception means.

    Args:
        error: what was raised.
        stage: where.
        custom: whether the network is from outside the package, so that its code is under suspicion everywhere.
    """
    if lacks_memory(_cause(error)):
        return "oom"
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status
    text = text_of(error)
    if _card_trouble(text):
        return "crashed"
    too_large = any(words in text.lower() for words in _TOO_LARGE)
    if too_large or text.startswith(_GUARD) or any(words in text for words in _REFUSALS):
        return "unsupported"
    return "invalid_model" if custom or stage in _MODEL_STAGES else "crashed"


def _tip_for(error: BaseException, job: Job, stage: str) -> str | None:
    """Return what would help where a network failed by itself; None where nothing is known."""
    if tip := next((tip for words, tip in _TIPS.items() if words in text_of(error)), None):
        return tip
    if tip := _card_trouble(text_of(error)):
        return tip
    counted = stage in (*_MODEL_STAGES, "macs", "parameters", "memory")
    if job.source_sha256 is None or not counted or not isinstance(error, Exception) or lacks_memory(error):
        return None
    return _tip_on_images(error, job, stage)


def _tip_on_images(error: Exception, job: Job, stage: str) -> str | None:
    """Return which images would help a network of the user's, or how it can be given something else."""
    if "required positional argument" in text_of(error) and stage != "build":
        return f"a network is given one batch of images {_IMAGES}; {_WRAP} passes what else it takes"
    if fit := _images_that_work(job):
        images = ", ".join(
            f"{value} {'px' if key == 'input_size' else 'channels'}" for key, value in fit.items()
        )
        return f"it runs at {images}: " + " ".join(f"--set {key}={value}" for key, value in fit.items())
    return _NO_SIZE if _OF_SHAPES.search(text_of(error)) else None


def _images_that_work(job: Job) -> dict[str, int]:
    """Return what of the images would have to be another for a network to run, where that is known."""
    from bench.archs.naming import resolve
    from bench.costs.fitting import fitting

    try:
        fit = fitting(resolve(job.arch), num_classes=job.num_classes)
    except Exception:  # it is the tip that fails, and the error that counts
        return {}
    if fit.get("input_size") == job.input_size and fit.get("in_channels") == job.in_channels:
        return {}
    return {key: value for key, value in fit.items() if key == "input_size" or value != job.in_channels}


def _cause(error: BaseException) -> BaseException:
    """Return what the network's code raised, where that is why it is invalid."""
    return error.__cause__ if isinstance(error, InvalidModelError) and error.__cause__ else error


def _describe(error: BaseException) -> dict[str, object]:
    """Return an error as JSON values: `type`, `message`, `tip`, and the traceback of code that is not bench's."""
    cause = _cause(error)
    message = text_of(error)
    if isinstance(error, SystemExit):
        message = f"it called sys.exit({error.code!r})"
    elif not message:
        message = type(error).__name__
    return {
        "type": type(error).__name__,
        "message": _clean(message),
        "tip": _clean(str(error.tip)) if isinstance(error, BenchError) and error.tip else None,
        "traceback": _clean(_own_traceback(cause)) if not isinstance(cause, BenchError) else None,
    }


def _own_traceback(error: BaseException) -> str:
    """Return the traceback without the frames of bench, of torch's module calls and of the import machinery."""
    hidden = (
        str(Path(bench.__file__).parent),
        str(Path(nn.__file__).parent / "modules" / "module.py"),
        "<frozen",
    )
    report = traceback.TracebackException.from_exception(error, limit=-30)
    kept = [frame for frame in report.stack if not frame.filename.startswith(hidden)]
    report.stack = traceback.StackSummary.from_list(kept)
    return "".join(report.format(chain=False))


def _clean(text: str) -> str:
    """Return text that UTF-8 can hold, cut to its last `_MOST` characters."""
    return text[-_MOST:].encode("utf-8", "replace").decode("utf-8")


# --- what libraries say ---

# What torch and its libraries say where a tensor is larger than a kernel can count, or no kernel is for one so large;
# in lower case.
_TOO_LARGE = (
    "32-bit index",
    "32bitindex",
    "integer out of range",
    "int without overflow",
    "int32_t without overflow",
    "int_max",
    "numeric_limits<int",
    "too many elements",
    "invalid configuration argument",  # more blocks than a launch can have
    "cudnn_status_not_supported",
    "unable to find an engine",
)


# What torch, its compilers and libraries of kernels say where something that runs on a GPU alone was called without
# one; in lower case.
_NEEDS_GPU = (
    "not compiled with cuda enabled",
    "not compiled with gpu support",
    "found no nvidia driver",
    "no cuda gpus are available",
    "cuda is not available",
    "cuda is required",
    "requires cuda",
    "requires a gpu",
    "only supports cuda",
    "must be a cuda tensor",
    "must be on cuda",
    "is_cuda",
    "torch.cuda.is_available() is false",
    "torch.cuda.floattensor",
    "cuda:0 and cpu",
    "cpu and cuda:0",
    "not implemented on the cpu",
    "from the 'cpu' backend",
    "active drivers ([])",  # Triton's
    "device=cpu (supported: {'cuda'})",  # of fused attention
    "pointer argument (at 0) cannot be accessed from triton (cpu tensor?)",
)


# What CUDA and torch say of a card or its driver with which something is wrong, whatever the network; in lower case.
# Source: cudaGetErrorString, https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html
_OWNER = (
    "another process holds the card, or its compute mode lets no second one on: see nvidia-smi -q -d COMPUTE"
)
_HARDWARE = "the card has a fault: see nvidia-smi -q -d ECC,PAGE_RETIREMENT and the system's log for Xid"
_DRIVER = "install a newer driver, or a torch that is built for an older CUDA"
_CARD_TROUBLES = {
    "busy or unavailable": _OWNER,
    "uncorrectable ecc error": _HARDWARE,
    "uncorrectable nvlink error": _HARDWARE,
    "gpu is lost": _HARDWARE,
    "no cuda-capable device is detected": _HARDWARE,
    "system not yet initialized": "its switches are not ready: start nvidia-fabricmanager",
    "driver on your system is too old": _DRIVER,
    "driver version is insufficient": _DRIVER,
    "system has unsupported display driver": "driver and its library differ: load the driver anew, or restart",
}


def _card_trouble(text: str) -> str | None:
    """Return what to do where a message speaks of trouble with a card or its driver; None where it does not."""
    return next((tip for words, tip in _CARD_TROUBLES.items() if words in text.lower()), None)


# What torch says of numbers of two types in one operator.
_MIXED = re.compile(r"same dtype|type .*should be the same|scalar type|mixed dtype")


def _would_run(error: BaseException, job: Job) -> tuple[str, str] | None:
    """Return why a sound network does not run as the job says, and what would let it; None where it may be at fault."""
    if job.device == "cpu" and _says_needs_gpu(error):
        why = "it runs on a GPU alone, and this is on the CPU"
        return why, "time it on a machine with a GPU: --set device=cuda"
    precision = getattr(job.settings, "precision", None)
    mixed = isinstance(error, RuntimeError) and _MIXED.search(text_of(error))
    if precision in ("bf16", "fp16") and mixed:
        why = f"it keeps numbers in a type of its own, and the others are in {precision}"
        return why, f"--set precision=amp_{precision} casts what is multiplied, and nothing else"
    return None


def _says_needs_gpu(error: BaseException) -> bool:
    """Return whether an exception says that its code runs on a GPU alone, in its message or as a bare assertion."""
    text = text_of(error).lower()
    if isinstance(error, AssertionError) and error.__traceback__ is not None:
        text += traceback.extract_tb(error.__traceback__)[-1].line or ""
    return any(words in text for words in _NEEDS_GPU)
