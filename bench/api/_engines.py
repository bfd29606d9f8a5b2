"""Engines: a network as several engines run it, planned beside eager, measured in turn and stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.api._objects import Network, names_of
from bench.api._running import Done, at_least, run, run_name
from bench.api.runs import open_executor
from bench.errors import ConfigError, unknown_name
from bench.execution import Executor
from bench.execution.catalog import ask
from bench.execution.runner import Observer
from bench.plan.config import Block, Experiment
from bench.plan.expand import USUAL_SPLIT

_BATCH = {"cpu": 4, "cuda": 64}
_TIMING = {"warmup_s": 0.3, "min_s": 0.3, "limit_s": 1.5}
_EVALUATED = 16  # images a call of an engine


def engines(
    names: Network | Sequence[Network],
    *,
    engines: Sequence[str] = (),
    precisions: Sequence[str] = (),
    data: str | None = None,
    split: str = USUAL_SPLIT,
    limit: int = 0,
    calibration: str | None = None,
    batch_size: int | None = None,
    processes: int | None = None,
    download: bool = False,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Time networks in eager and as engines run them, in processes that take turns, and store the records.

    What an engine cannot do becomes a row with its reason. Beside the arguments of `run` there are:

    engines: names of backends; none means all that name precisions of their own.
    precisions: of each engine; none means those that it names.
    data: a data set of whose images the accuracy is measured; libraries' networks then have their default weights.
    split: of it.
    limit: evaluate on so many of its images; 0 is all.
    calibration: data set on whose training images int8 takes its ranges; None means those of `data`, else noise.
    batch_size: for the throughput, beside 1; None means 4 on the CPU and 64 on a GPU.
    processes: in how many each is timed; None means at least 5, and up to 8 where there is doubt.
    download: fetch the trained weights that libraries have and this machine lacks.

    Raises:
        ConfigError: where no network is named.
        UnknownNameError: for an engine that there is none of.
        BenchError: for whatever else cannot be carried out as written.

    Example:
        >>> run = bench.engines("torchvision:resnet18", engines=["onnx", "openvino"])
        >>> run.comparison[["backend", "precision", "latency", "latency_flags"]]
    """
    at_least(1, batch_size=batch_size, processes=processes)
    names = names_of(names)
    if not names:
        raise ConfigError("no network is named", "such as bench engines resnet18")
    if data is not None:  # so that what is timed has the weights that are evaluated
        names = Block("evaluate", {"arch": list(names)}, {}, "").archs
    with open_executor(executor, names) as opened:
        tried = _tried(opened)
        chosen = _chosen(tried, engines, precisions)
        ranges = calibration or data
        ways = [{"backend": backend, "precision": precision} for backend, precision in chosen]
        for way in ways:
            if way["precision"] == "int8" and ranges:
                way["calibration"] = ranges
        larger: object = _BATCH if batch_size is None else batch_size
        timed: dict[str, object] = {
            "task": "infer",
            "timing": _TIMING,
            "grid": {"batch_size": [1] if larger == 1 else [1, larger]},
        }
        timed |= {"processes": {"least": processes, "most": processes}} if processes else {}
        blocks: list[dict[str, object]] = [{**timed, **way} for way in ways]
        if data is not None:
            on: dict[str, object] = {
                "data": data,
                "split": split,
                "limit": limit,
                "batch_size": _EVALUATED,
                "grid": {},
            }
            blocks += [{"task": "evaluate", **way, **on} for way in ways]
        experiment = Experiment.made(name or run_name("engines", names), blocks)
        return run(
            experiment,
            names,
            overrides=overrides,
            results=results,
            executor=opened,
            observer=observer,
            argv=argv,
            download=download,
        )


def _tried(executor: Executor) -> dict[str, tuple[str, ...]]:
    """Return the precisions that each backend names, by its name."""
    units = ask(executor, dict[str, list[dict[str, Any]]], "probe_units", None)
    return {str(unit["name"]): tuple(map(str, unit["precisions"] or ())) for unit in units["backends"]}


def _chosen(
    tried: Mapping[str, tuple[str, ...]], engines: Sequence[str], precisions: Sequence[str]
) -> list[tuple[str, str]]:
    """Return the pairs of a backend and a precision, eager in fp32 first."""
    for one in engines:
        if one not in tried:
            raise unknown_name("engine", one, tried, "see `bench list backends`")
    usual = {precision for own in tried.values() for precision in own}
    for one in precisions if not engines else ():
        if one not in usual:
            tip = "no engine is tried in it unless it is named: --engine"
            raise unknown_name("precision", one, usual, tip)
    return list(dict.fromkeys([("eager", "fp32"), *_ways(tried, engines, precisions)]))


def _ways(
    tried: Mapping[str, tuple[str, ...]], engines: Sequence[str], precisions: Sequence[str]
) -> Iterator[tuple[str, str]]:
    for backend in engines or tried:
        own = tried[backend] or (("fp32",) if engines else ())
        for precision in precisions or own:
            if engines or precision in own:
                yield backend, precision
