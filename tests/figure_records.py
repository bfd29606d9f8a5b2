"""Synthetic records for what only some figures need: layer lists, ceilings, energy and a comparison."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from make_records import NETS, Net, by_name, counted, job, record, records, speed

from bench.io import JsonObject
from bench.plan.job import Job
from bench.records.record import Measurement, Record, count, measured

_COLUMNS = ["name", "kind", "output", "parameters", "macs", "activation_bytes", "receptive_field"]


def layer_list(net: Net, depth: int = 12) -> Measurement:
    """Return a list of so many convolutions, each with its norm, and a last fully connected layer."""
    rows: list[list[object]] = []
    for i in range(depth):
        side, share = net.input_size // (1 + i), (i + 1) / depth**2
        written = int(4e6 * net.mactivations * share)
        rows += [
            [f"conv{i}", "Conv2d", f"8×{side}×{side}", int(net.parameters * share), 1000, written, 3 + 2 * i],
            [f"bn{i}", "BatchNorm2d", f"8×{side}×{side}", 16, 0, written, 3 + 2 * i],
        ]
    rows.append(["fc", "Linear", "1000", net.parameters // 2, 1000, 4000, "global"])
    return count("layers", len(rows), better="neither", depth=None, columns=_COLUMNS, rows=rows)


def listed(nets: Sequence[Net] = NETS) -> Iterator[Record]:
    """Yield cost records with layer lists."""
    for net in nets:
        yield record(job(net), net, [*counted(net), layer_list(net)])


def ceiling(
    peak: float = 6e13,
    bandwidth: float = 2.6e12,
    precision: str = "fp32",
    flags: Sequence[str] = (),
    **own: int,
) -> Record:
    """Return the record of a machine's ceilings, in the process that a setting of its own names."""
    settings = {"device": "cuda", "threads": 8, "precision": precision, **own}
    asked = Job(task="ceiling", arch="ceiling", input_size=1, settings=settings)
    rates = (("matmul_rate", "MAC/s", peak), ("copy_bandwidth", "B/s", bandwidth))
    seen = [
        Measurement(name=n, unit=u, better="higher", samples=(v,), flags=tuple(flags)) for n, u, v in rates
    ]
    return record(asked, None, seen)


def with_energy(seen: Record, net: Net) -> Record:
    """Return the record of a throughput with the energy of an image."""
    if seen.job.task != "infer" or seen.job.settings.batch_size == 1:
        return seen
    energy = count("energy", 5 / net.images_per_s, "J")
    return seen.changed(measurements=(*seen.measurements, energy))


def versus_records(nets: Sequence[Net], processes: int = 8, spread: float = 0.01) -> Iterator[Record]:
    """Yield the records of a comparison: each process times all networks in turn, in 10 rounds."""
    rng = random.Random(0)
    labels = [net.name for net in nets]
    for process in range(processes):
        asked = job(nets[0], "versus", **speed(batch_size=64, labels=labels, replicate=process))
        seen = []
        for name in ("latency", "step_time"):
            for net in nets:
                typical = net.latency_ms * 1e-3 if name == "latency" else 64 / net.images_per_s
                samples = tuple(typical * math.exp(rng.gauss(0, spread)) for _ in range(10))
                detail = {"label": net.name, "batch_size": 1 if name == "latency" else 64}
                seen.append(Measurement(name=name, unit="s", better="lower", samples=samples, detail=detail))
        yield record(asked, nets[0], seen)


LAYERS = (  # name, class, parent, whether it calls no other module, MACs, bytes, operators, seconds
    ("", "Net", None, False, 0, 0, 0, 1e-6),
    ("stem", "Conv2d", 0, True, 100_000_000, 4_000_000, 1, 2e-3),
    ("stages", "Sequential", 0, False, 0, 0, 0, 2e-6),
    ("stages.0", "Block", 2, False, 0, 3_000_000, 1, 4e-4),
    ("stages.0.conv", "Conv2d", 3, True, 200_000_000, 2_000_000, 1, 3e-3),
    ("stages.0.drop", "Dropout", 3, True, 0, 0, 0, 5e-7),
    ("stages.0.id", "Identity", 3, True, 0, 0, 0, 4e-7),
    ("head", "Linear", 0, True, 1_000_000, 4_100_000, 1, 1e-3),
)


def layer_records(
    net: Net,
    processes: int = 3,
    slower: float = 1.0,
    slow: Mapping[int, float] = MappingProxyType({}),
    **settings: Any,
) -> Iterator[Record]:
    """Yield records of the task `layers`, one a process, a hundredth apart; the head takes so many times as long.

    The whole takes a tenth longer than its layers. Processes that are slow as a whole take longer for all they do.
    """
    depths: list[int] = []
    for _, _, parent, *_ in LAYERS:
        depths.append(0 if parent is None else depths[parent] + 1)
    rows = [
        [name, kind, depth, parent, leaf, 7, [8, 3], [8, 4], macs, moved, operators, 0, 0, 0]
        for depth, (name, kind, parent, leaf, macs, moved, operators, _) in zip(depths, LAYERS, strict=True)
    ]
    for process in range(processes):
        level = slow.get(process, 1.0)
        own = [s * level * (1 + process / 100) * (slower if name == "head" else 1) for name, *_, s in LAYERS]
        whole = 1.1 * sum(s for s, row in zip(own, rows, strict=True) if row[4] or row[10])
        detail = {
            "training": False,
            "stamp_s": 5e-7 * level,
            "between_s": 1e-6 * level,
            "operator_s": 2e-6 * level,
            "columns": [],
            "rows": rows,
            "forward_s": [[s] * 9 for s in own],
            "segments": [[place, False, s] for place, s in enumerate(own)],
        }
        seen = [
            Measurement(name="network_time", unit="s", better="lower", samples=(whole,) * 9),
            Measurement(
                name="layers_time", unit="s", better="lower", samples=(whole / 1.1,) * 9, detail=detail
            ),
        ]
        yield record(job(net, "layers", **speed(batch_size=8, replicate=process, **settings)), net, seen)


def engine_records(net: Net) -> Iterator[Record]:
    """Yield records of a network in eager and by an engine, in five processes each."""
    for backend, seconds in (("eager", 0.02), ("onnx", 0.012)):
        for process, share in enumerate((1.0, 1.01, 0.99, 1.005, 0.995)):
            settings = speed("cpu", backend=backend, threads=2, replicate=process)
            seen = [measured("latency", (seconds * share,) * 6)]
            if backend != "eager" and not process:
                seen.append(measured("other_answers", (0.25,), {"images": 16}))
            yield record(job(net, "infer", **settings), net, seen)


def race(nets: Sequence[Net]) -> JsonObject:
    """Return what a run keeps of a race: all but the last network were measured."""
    keys = ("cost", "cost_low", "cost_high", "cost_expected_low", "cost_expected_high")
    rows = []
    for i, net in enumerate(nets):
        last = i == len(nets) - 1
        numbers = dict(zip(keys, [(i + 1) / 100 * share for share in (1, 0.95, 1.05, 0.9, 1.1)], strict=True))
        state = {
            "state": "never" if last else "measured",
            "on_front": not last and i % 2 == 0,
            "certain": i % 4 == 0,
        }
        rows.append({"network": net.name, **numbers, **state, "accuracy": 0.6 + i / 100})
    return {"cost": "latency", "accuracy": "top1", "limit": 0.05, "best": nets[0].name, "networks": rows}


def everything(nets: Sequence[Net] = NETS) -> Iterator[Record]:
    """Yield records of which every figure of cost and speed can be drawn."""
    named = {net.name: net for net in nets}
    for seen in records(nets):
        if seen.job.task != "cost":
            yield with_energy(seen, named[seen.job.arch])
    yield from listed(nets)
    yield ceiling()
    yield from versus_records(nets[:5])
    yield from layer_records(nets[0])
    yield from layer_records(nets[1], slower=1.5)


def out_of_memory() -> Iterator[Record]:
    """Yield what is left of a network that was too large for the machine."""
    huge = replace(by_name("vgg19")[0], name="too_large")
    yield record(job(huge), huge, counted(huge))
    for batch in (1, 64):
        yield record(job(huge, "infer", **speed(batch_size=batch)), huge, status="oom")
