"""Layers: where the time of a network goes, measured in several processes and stored as a run of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.api._objects import Network, names_of
from bench.api._running import Done, at_least, run, run_name
from bench.execution import Executor
from bench.execution.runner import Observer
from bench.io import JsonObject
from bench.plan.config import Experiment
from bench.plan.settings import Processes


def layers_blocks(settings: JsonObject, processes: int | None = None) -> list[dict[str, object]]:
    """Return the blocks of an experiment that times layers: the machine's ceilings, and the layers."""
    count = Processes().least if processes is None else processes
    precision = str(settings.get("precision", "fp32")).removeprefix("amp_")
    return [
        {"task": "ceiling", "precision": precision, "grid": {}},
        {"task": "layers", **settings, "processes": {"least": count, "most": count}, "grid": {}},
    ]


def time_layers(
    network: Network,
    *,
    batch_size: int = 1,
    precision: str = "fp32",
    backend: str = "eager",
    training: bool = False,
    processes: int | None = None,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Time a network layer by layer, and what this machine does at most, and store the records.

    `bench.analysis.layers.LayerTable` reads them. Beside the arguments of `run` there are:

    network: any name that `run` takes, a `torch.nn.Module`, or a function that returns one.
    batch_size: images a call.
    precision: see `bench.plan.settings`.
    backend: how the whole is run; the layers are run in eager.
    training: a training step instead of the forward pass, the backward pass by layer as well.
    processes: in how many all is timed; None means as many as any time, and one says that it is one.

    Raises:
        BenchError: for whatever cannot be carried out as written.

    Example:
        >>> run = bench.time_layers("resnet18", batch_size=8)
        >>> bench.figure("layer_times", run.frame)
    """
    at_least(1, batch_size=batch_size, processes=processes)
    names = names_of(network)
    settings: JsonObject = {"batch_size": batch_size, "precision": precision, "backend": backend}
    blocks = layers_blocks({**settings, **({"training": True} if training else {})}, processes)
    return run(
        Experiment.made(run_name("layers", names), blocks),
        names,
        overrides=overrides,
        name=name,
        results=results,
        executor=executor,
        observer=observer,
        argv=argv,
    )
