"""Networks timed in turn: against each other, and against themselves."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.selftest import SELFTEST, Selftest
from bench.api._objects import Network, names_of
from bench.api._running import Done, Prepared, at_least, carry_out, run_name
from bench.api.runs import open_executor, run_folder
from bench.api.timing import layers_blocks
from bench.errors import ConfigError
from bench.execution import Executor
from bench.execution.catalog import catalog_for, without_refused
from bench.execution.places import places_for
from bench.execution.runner import Observer
from bench.plan.card import ArchCard
from bench.plan.config import Experiment
from bench.plan.expand import Planned, expand, in_rounds
from bench.plan.settings import Processes, Timing
from bench.records import environment
from bench.records.store import read_info
from bench.tasks.versus import SLOWDOWNS, versus

_SMALLER = "lenet5"
_ALONE = {"least": 1, "most": 1}  # processes: those of the comparison itself are planned here

_SELFTEST_TIMING = Timing(warmup_s=0.05, min_s=0.3, limit_s=0.9, precision=0.005, min_samples=10)
_SMALL = {"batch_size": {"cpu": 4, "cuda": 64}}
_FILLING = {"batch_size": {"cpu": 4, "cuda": 8}, "input_size": {"cpu": None, "cuda": 768}}


def compare(
    names: Sequence[Network],
    *,
    batch_size: int | None = None,
    processes: int | None = None,
    train: str | None = None,
    epochs: int | None = None,
    band: float | None = None,
    layers: bool = False,
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Measure what it takes to compare the first network with the others, and store it.

    Costs and memory of each alone; latency and throughput of all in turn, in several processes. A network that declares
    no native size is taken at that of the others, where they share one. Beside the arguments of `run` there are:

    names: the network in question, then its baselines.
    batch_size: for the throughput; None means 8 on the CPU and 64 on a GPU.
    processes: how often all is timed anew; None means as often as a verdict needs, at least 8.
    train: data set of a short training with three seeds; None for none.
    epochs: of that training; None means the recipe's.
    band: a ratio so near to one is the same; stored with the run, for all who read it. None means what is stored
        already, else 0.02, or the noise of this machine where a self-test has measured more.
    layers: whether each network is timed layer by layer as well, at that batch; `bench.analysis.layers` reads it.

    Raises:
        ConfigError: for one network alone, and for so few processes that no difference could be decided.
        BenchError: for whatever else cannot be carried out as written.

    Example:
        >>> run = bench.compare(["my_net.py:Net", "resnet18"], processes=8)
        >>> run.ratios[["baseline", "quantity", "value", "low", "high", "verdict"]]
    """
    at_least(1, batch_size=batch_size, processes=processes)
    names = names_of(names)
    if len(names) < 2:
        raise ConfigError("name a network and at least one baseline", "bench compare my_net.py:Net resnet18")
    batch: object = {"cpu": 8, "cuda": 64} if batch_size is None else batch_size
    blocks: list[dict[str, object]] = [
        {"task": "cost", "grid": {}},
        {
            "task": "infer",
            "grid": {},
            "batch_size": batch,
            "timing": {"warmup_s": 0.1, "min_s": 0.1, "limit_s": 0.3},
            "processes": _ALONE,
        },
    ]
    if layers:
        blocks += layers_blocks({"batch_size": batch})
    if train:
        length = {} if epochs is None else {"epochs": epochs}
        blocks.append({"task": "accuracy", "dataset": train, "grid": {"seed": [0, 1, 2]}, **length})
    name = name or run_name("compare", names)
    with open_executor(executor, names) as opened:
        experiment = Experiment.made(name, blocks).narrowed(archs=list(names), overrides=overrides)
        catalog = catalog_for(experiment, opened)
        compared = next(block for block in experiment.blocks if block.task == "infer")
        cards = [card for name in compared.archs for card in catalog.archs[name]]
        if not any("input_size" in text for text in overrides):
            experiment = _at_one_size(experiment, cards)
        alone = without_refused(expand(experiment, catalog), opened)
        timed = {p.job.arch: p for p in alone if p.job.task == "infer"}
        for planned in timed.values():
            if planned.status is not None:
                raise ConfigError(f"{planned.job.arch} cannot be compared: {planned.reason}", planned.tip)
        baselines = len(cards) - 1
        _check(processes, (3 if train else 2) * baselines, _enough(baselines))
        networks = _labelled([timed[card.name] for card in cards])
        together = versus(networks, processes or _enough(baselines))
        path = run_folder(results, experiment.name)
        if band is None:
            places = places_for(together, opened, catalog)
            keys = (environment.keys(p.environment, j.job.devices) for p in places for j in timed.values())
            band = read_info(path).get("band", Selftest.band_in(Path(results), set[str]().union(*keys)))
        prepared = Prepared(experiment, catalog, (*alone, *together))
        return carry_out(prepared, path, opened, observer, argv, band=band)


def _least_processes(tests: int) -> int:
    """Return in how many processes the clearest difference can pass one of so many tests, 6 at least.

    n signs that all agree have a p of 2^(1 - n), which the correction for the number of tests multiplies.
    """
    return max(6, math.ceil(1 + math.log2(tests / 0.05)))


def _enough(baselines: int) -> int:
    """Return how many processes can decide latency and throughput against so many baselines, and one to spare."""
    return max(8, 1 + _least_processes(2 * baselines))


def _labelled(planned: Sequence[Planned]) -> dict[str, Planned]:
    """Return jobs by the name of their network; the second of a name is called ``name #2``."""
    counts: Counter[str] = Counter()
    networks = {}
    for one in planned:
        name = one.job.arch
        counts[name] += 1
        networks[name if counts[name] == 1 else f"{name} #{counts[name]}"] = one
    return networks


def _check(processes: int | None, tests: int, usual: int) -> None:
    """Refuse processes so few that no difference could be decided, however large it is."""
    least = _least_processes(tests)
    if processes is not None and processes < least:
        raise ConfigError(
            f"{processes} process{'es' * (processes > 1)} cannot decide {tests} tests, whatever they measure: "
            f"at least {least}",
            f"--processes {usual}, which is what is taken without it",
        )


def _at_one_size(experiment: Experiment, cards: Sequence[ArchCard]) -> Experiment:
    """Return the experiment with networks that declare no native size at that of the others, where they share one."""
    sizes = {card.input_size for card in cards if card.sized}
    if len(sizes) != 1 or all(card.sized for card in cards):
        return experiment
    (size,) = sizes
    sized = ("cost", "infer", *("layers" for block in experiment.blocks if block.task == "layers"))
    return experiment.narrowed(overrides=[f"{task}.input_size={size}" for task in sized])


def selftest(
    *,
    arch: str | None = None,
    comparisons: int = 4,
    processes: int = 8,
    runs: int = 2,
    overrides: Sequence[str] = (),
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Done:
    """Test the harness on networks whose difference is known: the same ones, and ones made slower; store the records.

    A network is compared with itself and with itself made slower, as `compare` does. It and LeNet-5 are timed at batch
    1 and at a larger one, in as many processes as several runs would take; the first run's processes come before the
    comparisons, all others after them, as runs have time between them. The run is called ``selftest``. Beside the
    arguments of `run` there are:

    arch: a network larger than LeNet-5; None is resnet20, but for batch 1 on a GPU with images so large that a few
        fill the card: of a network that is launch-bound, Python's speed would be judged.
    comparisons: how many, each of latency and of throughput.
    processes: of each comparison.
    runs: how many the further processes would make, at least two.

    Raises:
        BenchError: for whatever cannot be carried out as written.

    Example:
        >>> run = bench.selftest(arch="resnet20", comparisons=4, processes=8, runs=2)
        >>> run.frame
    """
    at_least(1, comparisons=comparisons)
    at_least(6, processes=processes)
    at_least(2, runs=runs)
    filling, arch = (_FILLING if arch is None else _SMALL), arch or "resnet20"
    size = Processes().least
    timed = {
        "task": "infer",
        # As in the default experiment on a CPU.
        "timing": {"warmup_s": 0.4, "limit_s": 1.5, "min_samples": 6},
        "grid": {"arch": list(dict.fromkeys([_SMALLER, arch])), "replicate": list(range(runs * size))},
    }
    blocks = [
        {"task": "infer", "grid": {"arch": [arch]}, "processes": _ALONE, **filling},
        {**timed, "batch_size": 1},
        {**timed, **filling},
    ]
    with open_executor(executor) as opened:
        experiment = Experiment.made(SELFTEST, blocks).narrowed(overrides=overrides)
        catalog = catalog_for(experiment, opened)
        network, *rows = expand(experiment, catalog)
        slowdown = {f"+{100 * s:g} %": s for s in SLOWDOWNS}
        networks = dict.fromkeys(("A", "A again", *slowdown), network)
        compared = [
            job
            for group in range(comparisons)
            for job in versus(
                networks, processes, timing=_SELFTEST_TIMING, slowdown=slowdown, group=group, harness=True
            )
        ]
        first = in_rounds([p for p in rows if p.job.settings.given["replicate"] < size])
        others = in_rounds([p for p in rows if p.job.settings.given["replicate"] >= size])
        prepared = Prepared(experiment, catalog, (*first, *compared, *others))
        return carry_out(prepared, Path(results) / SELFTEST, opened, observer, argv)
