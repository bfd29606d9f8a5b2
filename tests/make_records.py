"""Synthetic records with plausible values, for the tests of the reading half."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.plan.card import ArchCard
from bench.plan.job import Job
from bench.records.job_files import JobFile
from bench.records.outputs import Outputs, save_outputs
from bench.records.record import Measurement, Record, Status, count
from bench.records.store import Run

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
STARTED = "2026-03-14T09:26:{:02d}+00:00"

ENVIRONMENT: Mapping[str, Any] = {
    "bench": {"version": "0.1.0", "git_revision": "0123456789abcdef", "git_dirty": False},
    "host": {"os": "Debian GNU/Linux 12 (bookworm)", "kernel": "6.1.0"},
    "cpu": {"model": "AMD EPYC 9654 96-Core Processor", "cores": 8, "threads": 16, "affinity": [0, 1, 2, 3]},
    "gpu": [{"name": "NVIDIA H100 80GB HBM3", "driver": "570.86", "memory_B": 85520809984}],
    "memory": {"total_B": 135 * 10**9},
    "python": {"version": "3.12.9"},
    "torch": {"version": "2.11.0+cu128", "cuda": "12.8", "cudnn": 91002},
    "packages": {"torch": "2.11.0+cu128", "torchvision": "0.26.0"},
    "unknown": {"cpu.governor": "not reported on this machine"},
}


@dataclass(frozen=True)
class Net:
    """What is declared of a network, and what is to be seen of it: MACs in MMAC, latency in ms, rate in images/s."""

    name: str
    family: str
    year: int
    parameters: int
    mmacs: float
    mactivations: float
    latency_ms: float
    images_per_s: float
    top1: float | None = None
    top5: float | None = None
    trained: float = 0.8
    input_size: int = 224


NETS: tuple[Net, ...] = (
    Net("lenet5", "lenet", 1998, 61_706, 0.4165, 0.0065, 0.09, 410_000, trained=0.652, input_size=32),
    Net("alexnet", "alexnet", 2012, 62_378_344, 1_135.3, 0.66, 0.61, 21_300, 0.593, 0.818, 0.784, 227),
    Net("zfnet", "zfnet", 2013, 62_357_608, 1_178.0, 1.3, 0.66, 18_900, 0.616, 0.835, 0.791),
    Net("vgg11", "vgg", 2014, 132_863_336, 7_609.1, 7.4, 1.02, 6_390, 0.704, 0.896, 0.883),
    Net("vgg16", "vgg", 2014, 138_357_544, 15_470.3, 13.6, 1.47, 3_418, 0.744, 0.919, 0.905),
    Net("vgg19", "vgg", 2014, 143_667_240, 19_632.1, 14.9, 1.71, 2_920, 0.745, 0.920, 0.902),
    Net("googlenet", "inception", 2014, 6_998_552, 1_582.7, 3.2, 3.31, 12_400, 0.698, 0.8993, 0.917),
    Net("plain18", "plain", 2015, 11_515_752, 1_814.1, 2.5, 1.32, 19_800, 0.7206, None, 0.913),
    Net("plain34", "plain", 2015, 21_623_912, 3_663.8, 3.7, 2.38, 12_250, 0.7146, 0.8998, 0.889),
    Net("resnet18", "resnet", 2015, 11_689_512, 1_814.1, 2.5, 1.41, 19_210, 0.7212, 0.908, 0.942),
    Net("resnet34", "resnet", 2015, 21_797_672, 3_663.8, 3.7, 2.55, 12_090, 0.7497, 0.9224, 0.944),
    Net("resnet50", "resnet", 2015, 25_557_032, 4_089.2, 11.1, 3.12, 6_460, 0.7715, 0.9329, 0.937),
    Net("resnet101", "resnet", 2015, 44_549_160, 7_801.4, 16.2, 6.04, 4_193, 0.7825, 0.9395, 0.934),
    Net("resnet152", "resnet", 2015, 60_192_808, 11_513.6, 22.6, 8.94, 3_002, 0.7857, 0.9429, 0.929),
)  # fmt: skip


def by_name(*names: str) -> tuple[Net, ...]:
    """Return the nets called so."""
    return tuple(n for n in NETS if n.name in names)


def card(net: Net) -> ArchCard:
    """Return the card of a net."""
    published = {k: v for k, v in (("top1", net.top1), ("top5", net.top5)) if v is not None}
    if published:
        published["source"] = f"the paper of {net.name}, single crop"  # type: ignore[assignment]
    return ArchCard(
        name=net.name, family=net.family, year=net.year, input_size=net.input_size, published=published
    )


def job(net: Net, task: Any = "cost", *, seed: int = 0, size: int | None = None, **settings: Any) -> Job:
    """Return a job of a net."""
    return Job(
        task=task, arch=net.name, input_size=size or net.input_size, seed=seed, settings=settings, num_classes=1000
    )  # fmt: skip


def speed(device: str = "cuda", **changes: Any) -> dict[str, Any]:
    """Return the settings of an infer or train_step job."""
    usual = {"device": device, "batch_size": 1, "precision": "fp32", "memory_format": "contiguous"}
    return {**usual, "backend": "eager", "threads": 8, "timing": {"limit_s": 3.0}, **changes}


def training(
    dataset: str = "cifar10", epochs: int = 8, device: str = "cuda", **changes: Any
) -> dict[str, Any]:
    """Return the settings of an accuracy job."""
    recipe = {"name": "std", "version": 1, "optimiser": "sgd", "learning_rate": 0.2}
    usual = {"device": device, "dataset": dataset, "recipe": recipe, "epochs": epochs, "precision": "fp32"}
    return {**usual, **changes}


def record(
    asked: Job,
    net: Net | None = None,
    measurements: Iterable[Measurement] = (),
    *,
    status: Status = "ok",
    error: Mapping[str, Any] | None = None,
    attempt: int = 1,
    environment: Mapping[str, Any] = ENVIRONMENT,
    second: int = 0,
) -> Record:
    """Return a record of a job."""
    return Record(
        job=asked,
        card=card(net) if net else ArchCard(name=asked.arch),
        environment=environment,
        started_at=STARTED.format(second % 60),
        duration_s=2.5,
        status=status,
        stage="done" if status == "ok" else asked.task,
        measurements=tuple(measurements),
        error=error,
        attempt=attempt,
        bench_version="0.1.0",
    )


def times(
    name: str, typical: float, n: int = 40, *, rng: random.Random, flags: tuple[str, ...] = ()
) -> Measurement:
    """Return skewed timings around `typical` seconds."""
    samples = tuple(typical * math.exp(abs(rng.gauss(0, 0.02)) - 0.015) for _ in range(n))
    return Measurement(name=name, unit="s", better="lower", samples=samples, flags=flags)


def counted(net: Net) -> list[Measurement]:
    """Return the measurements of a cost job."""
    return [
        count("parameters", net.parameters),
        count("macs", round(net.mmacs * 1e6), "MAC"),
        count("activations", round(net.mactivations * 1e6)),
        count("parameter_bytes", 4 * net.parameters, "B"),
        count("activation_bytes", round(4 * net.mactivations * 1e6), "B"),
        count("receptive_field", field_of(net), "px"),
    ]


def stepped(net: Net, batch_size: int, rng: random.Random, factor: float = 1.0) -> list[Measurement]:
    """Return the measurements of an infer or train_step job."""
    step = factor * max(net.latency_ms * 1e-3, batch_size / net.images_per_s)
    memory = 4 * net.parameters + factor * batch_size * net.mactivations * 8e6
    timed = [times("step_time", step, rng=rng), count("peak_memory", round(memory), "B")]
    return [times("latency", 1.04 * step, rng=rng), *timed] if factor == 1.0 else timed


def trained(net: Net, epochs: int, rng: random.Random) -> list[Measurement]:
    """Return the measurements of an accuracy job."""
    reached = net.trained + rng.gauss(0, 0.003)
    curve = [
        reached - (reached - 0.1) * 0.55 * math.exp(-e / 2.2) + rng.gauss(0, 0.004) for e in range(epochs - 1)
    ]
    loss = [1.9 * math.exp(-e / 3) + 0.3 for e in range(epochs)]
    fitted = [0.02 + 0.6 * math.exp(-e / (1.5 + 4 * (1 - reached))) for e in range(epochs)]
    by_epoch = [*curve, reached]
    seconds = 0.4 + net.mmacs**0.5 / 20

    def at_end(name: str, values: list[float], better: Any = "lower") -> Measurement:
        detail = {"by_epoch": values, "n": 10_000}
        return Measurement(name=name, unit="1", better=better, samples=(values[-1],), detail=detail)

    return [
        count("parameters", net.parameters),
        count("macs", round(net.mmacs * 1e6 * (32 / net.input_size) ** 2), "MAC"),
        count("receptive_field", field_of(net), "px"),
        at_end("top1", by_epoch, "higher"),
        at_end("top5", [1 - (1 - v) / 9 for v in by_epoch], "higher"),
        at_end("train_error", fitted),
        at_end("test_loss", loss),
        *(gradients(net, when, rng) for when in ("start", "end")),
        times("epoch_time", seconds, epochs, rng=rng),
        count("train_time", seconds * epochs, "s"),
    ]


def field_of(net: Net) -> int:
    """Return a receptive field in px that grows with the multiply-accumulates."""
    return round(6 * net.mmacs**0.45) + 3


def gradients(net: Net, when: str, rng: random.Random) -> Measurement:
    """Return the norms of the gradient by layer, which fall towards the image; those of residual ones do not."""
    layers = 8 + 2 * round(math.log(net.parameters))
    fall = 0.0 if net.family == "resnet" else 0.25
    size = 1.0 if when == "start" else 0.1
    norms = [size * math.exp(fall * (i - layers) + rng.gauss(0, 0.2)) for i in range(layers)]
    detail = {"by_layer": [[f"layers.{i}", norm] for i, norm in enumerate(norms)], "images": 256}
    whole = math.sqrt(sum(norm**2 for norm in norms))
    return Measurement(
        name=f"gradient_norm_{when}", unit="1", better="neither", samples=(whole,), detail=detail
    )


def keep_outputs(run: Run, folder: Path, images: int = 400) -> Run:
    """Return the run with its files in `folder`, where each training that ended well has stored its test outputs."""
    kept = [
        _kept(r, folder, images) if r.job.task == "accuracy" and r.status == "ok" else r for r in run.records
    ]
    return replace(run, path=folder, records=tuple(kept))


def _kept(seen: Record, folder: Path, images: int) -> Record:
    content, digest = outputs_of(seen, images).encode()
    save_outputs(JobFile.outputs.path(folder, seen.job.id), content)
    told = {"outputs": f"outputs/{seen.job.id}.npz", "outputs_sha256": digest}
    measurements = [
        m.changed(detail={**m.detail, **told}) if m.name == "top1" else m for m in seen.measurements
    ]
    return seen.changed(measurements=tuple(measurements))


def outputs_of(seen: Record, images: int = 400, classes: Sequence[str] = CIFAR10) -> Outputs:
    """Return outputs of the accuracy that a record has, with striped kernels; a class is mistaken for its neighbour."""
    rng = np.random.default_rng(seen.job.seed)
    top1 = next(m.samples[0] for m in seen.measurements if m.name == "top1")
    labels = np.arange(images) % len(classes)
    wrong = rng.random(images) > top1
    taken = np.where(wrong, (labels + rng.choice([1, 1, 1, 2, 5], images)) % len(classes), labels)
    logits = rng.normal(0, 0.1, (images, len(classes))) + 4 * np.eye(len(classes))[taken]
    across, down = np.mgrid[:5, :5]
    angles = np.linspace(0, math.pi, 20)[:, None, None]
    stripes = np.sin(np.cos(angles) * across + np.sin(angles) * down)
    colours = rng.normal(0, 1, (20, 3, 1, 1))
    kernels = (stripes[:, None] * colours).astype(np.float32)
    return Outputs(logits.astype(np.float32), labels.astype(np.int64), kernels, tuple(classes))


def records(
    nets: Sequence[Net] = NETS,
    device: str = "cuda",
    *,
    seed: int = 0,
    dataset: str = "cifar10",
    **changes: Any,
) -> Iterator[Record]:
    """Yield what a whole run of the nets gives: counted, timed at batch 1 and 64, and trained with three seeds."""
    rng = random.Random(seed)
    for net in nets:
        yield record(job(net), net, counted(net))
        for batch in (1, 64):
            asked = job(net, "infer", **speed(device, batch_size=batch, **changes))
            yield record(asked, net, stepped(net, batch, rng))
        asked = job(net, "train_step", **speed(device, batch_size=64, **changes))
        yield record(asked, net, stepped(net, 64, rng, factor=3.1))
        for number in range(3):
            asked = job(net, "accuracy", seed=number, size=32, **training(dataset, device=device))
            yield record(asked, net, trained(net, 8, rng), second=number)


def in_processes(seen: Iterable[Record], processes: int = 3) -> Iterator[Record]:
    """Yield the records, those of inference once a process, alike in all of them."""
    for one in seen:
        for number in range(processes if one.job.task == "infer" else 0):
            settings = {**one.job.settings.content, "replicate": number}
            yield one.changed(job=replace(one.job, settings=settings))
        if one.job.task != "infer":
            yield one


def scored(
    net: Net, seed: int, top1: float = 0.9, *, by_epoch: Sequence[float] = (), **changes: Any
) -> Record:
    """Return a record of a training that reached `top1`, or the last of `by_epoch`."""
    samples = (by_epoch[-1] if by_epoch else top1,)
    detail = {"n": 10_000, **({"by_epoch": list(by_epoch)} if by_epoch else {})}
    measured = Measurement(name="top1", unit="1", better="higher", samples=samples, detail=detail)
    return record(job(net, "accuracy", seed=seed, size=32, **training(**changes)), net, [measured])


FAILURES: Mapping[Status, str] = {
    "unsupported": "fp16 is not supported on cpu",
    "oom": "CUDA out of memory. Tried to allocate 24.50 GiB",
    "timeout": "the time limit of 600 s ended it",
    "killed": "signal 9 (SIGKILL)",
    "crashed": "its process ended with exit code 139",
    "invalid_model": "my_net.py, line 12: mat1 and mat2 shapes cannot be multiplied (1x4096 and 512x10)",
    "diverged": "the loss was not finite in step 131 of epoch 2",
    "skipped": "the experiment skips {'arch': 'vgg19', 'batch_size': 512}",
    "cancelled": "the user ended the run",
}


def failed(nets: Sequence[Net] = NETS) -> Iterator[Record]:
    """Yield one failed record of each status."""
    for position, (status, message) in enumerate(FAILURES.items()):
        net = nets[position % len(nets)]
        error = {
            "type": "Error",
            "message": message,
            "tip": "try a smaller batch" if status == "oom" else None,
        }
        if status == "diverged":
            asked = job(net, "accuracy", seed=3, size=32, **training())
        else:
            asked = job(net, "infer", **speed(batch_size=512 + position))
        yield record(asked, net, status=status, error=error)


def make_run(
    seen: Iterable[Record] | None = None, *, name: str = "synthetic", planned: Iterable[Job] = (), **more: Any
) -> Run:
    """Return a run; without records, that of all nets with a failure of each status and four pending jobs."""
    info: dict[str, Any] = {"argv": ["bench", "run", "all", "--name", name]}
    if seen is None:
        seen = [*records(), *failed()]
        pending = [job(n, "infer", **speed(batch_size=256)) for n in NETS[:4]]
        planned = [*(r.job for r in seen), *pending]
    return Run(name, Path("results") / name, tuple(seen), tuple(planned), info=info, **more)
