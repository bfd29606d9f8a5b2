"""The catalog: asks the probe, from a process that need not import torch itself."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.errors import BenchError, ConfigError, UnknownNameError
from bench.execution import Ended, Event, Executor
from bench.execution.places import Remote
from bench.plan.card import ArchCard
from bench.plan.config import Block, Experiment
from bench.plan.estimate import wants_counts
from bench.plan.expand import USUAL_SPLIT, Catalog, Planned
from bench.plan.job import Job
from bench.plan.task import TASKS

_AnswerT = TypeVar("_AnswerT")
_PROBE_S = 120.0
_FIT_S = 30.0
_COUNT_S = 10.0
_COUNTED = 8  # networks of the user's, at most: each needs a process
_LIBRARIES = ("torchvision", "timm", "hf", "pattern")
_SAVED = (".pt2", ".pt", ".pth", ".torchscript", ".ts", ".safetensors")  # endings of networks that are files


def catalog_for(experiment: Experiment, executor: Executor) -> Catalog:
    """Return the devices and the environment of the machine, or of a cluster, and the cards of all networks named.

    Raises:
        UnknownNameError: for a name, file or class that is not there.
        UnsupportedError: for a folder of images that is not there, or does not suit.
        BenchError: where the machine cannot be probed.
    """
    names = list(dict.fromkeys(name for block in experiment.blocks for name in block.archs))
    own = [n for n in names if _is_users(n)]
    others = [n for n in names if n not in own]
    asked = (others, _datasets_of(experiment), _evaluated_of(experiment))
    catalog = ask(executor, Catalog, "probe_machine", *asked[: 3 if asked[2] else 2])
    whole = replace(catalog, archs={**catalog.archs, **{n: _users_cards(executor, n) for n in own}})
    return executor.survey(whole) if isinstance(executor, Remote) else whole


def without_refused(plan: Sequence[Planned], executor: Executor) -> tuple[Planned, ...]:
    """Return the plan with the jobs marked as unsupported whose backend cannot run them, each in one process alone.

    What the machines of an executor have, they tell by themselves.
    """
    asked = {p.job.series(): p.job for p in plan if p.status is None and _asks_backend(p.job)}
    if not asked or isinstance(executor, Remote):
        return tuple(plan)
    reasons = ask(executor, list[str | None], "probe_backends", [job.to_json() for job in asked.values()])
    refused = {series: why for series, why in zip(asked, reasons, strict=True) if why is not None}
    marked: dict[object, Planned] = {}
    for p in plan:
        series = p.job.series()
        if p.status is None and (why := refused.get(series)):
            one = replace(p, status="unsupported", reason=why, processes=None)
            marked.setdefault((series, p.job.seed), one)
        else:
            marked[p.job.id] = p
    return tuple(marked.values())


def with_counts(plan: Sequence[Planned], executor: Executor) -> tuple[Planned, ...]:
    """Return the plan with how much networks compute, where its estimate depends on it; the user's one by one."""
    jobs = {p.job.id: p.job for p in plan if wants_counts(p)}
    shape_of = {i: (j.arch, j.input_size, j.in_channels, j.num_classes) for i, j in jobs.items()}
    shapes = list(dict.fromkeys(shape_of.values()))
    own = [[shape] for shape in shapes if _is_users(shape[0])]
    others = [shape for shape in shapes if not _is_users(shape[0])]
    macs: dict[object, float | None] = {}
    for asked in filter(None, [others, *own[:_COUNTED]]):
        with contextlib.suppress(BenchError):  # one that hangs or kills its process: the job will tell
            counts = ask(executor, list[float | None], "probe_macs", asked, timeout_s=_COUNT_S)
            macs |= zip(asked, counts, strict=True)
    counted = {i: count for i, shape in shape_of.items() if (count := macs.get(shape)) is not None}
    return tuple(
        replace(p, work=replace(p.work, macs=counted[p.job.id])) if p.job.id in counted else p for p in plan
    )


def _asks_backend(job: Job) -> bool:
    """Return whether a job names a backend other than torch itself; trainings have their own."""
    return job.settings.given.get("backend", "eager") != "eager" and not TASKS.get(job.task).trained


def _datasets_of(experiment: Experiment) -> list[str]:
    """Return the names of the data sets that an experiment gives, whichever device they are for."""
    keys = ("dataset", "calibration")
    return list(
        dict.fromkeys(name for block in experiment.blocks for key in keys for name in _texts(block, key))
    )


def _evaluated_of(experiment: Experiment) -> list[tuple[str, str]]:
    """Return the data sets and their splits that an experiment evaluates networks on."""
    pairs = [
        (data, split)
        for block in experiment.blocks
        for data in _texts(block, "data")
        for split in _texts(block, "split") or [USUAL_SPLIT]
    ]
    return list(dict.fromkeys(pairs))


def _texts(block: Block, key: str) -> list[str]:
    """Return the values of a key of a block that are text, whichever device they are for."""
    given = [*block.axes.get(key, ()), block.fixed.get(key)]
    flat = [v for value in given for v in (value.values() if isinstance(value, dict) else [value])]
    return [v for v in flat if isinstance(v, str)]


def _is_users(name: str) -> bool:
    """Return whether a name, such as ``my_net.py:Net(width=2)``, means code from outside the package."""
    bare = name.partition("(")[0]
    saved = bare.rstrip().endswith(_SAVED) or name.rstrip().endswith(_SAVED)
    return saved or (":" in bare and bare.partition(":")[0] not in _LIBRARIES)


def ask(
    executor: Executor, kind: type[_AnswerT], probe: str, *args: object, timeout_s: float = _PROBE_S
) -> _AnswerT:
    """Return the answer, of this type, of a function of `bench.execution._probe`, which runs where jobs do.

    Raises:
        BenchError: what the probe sent, or that it ended without such an answer.
    """
    events: list[Event] = []
    ended = executor.call(
        f"bench.execution._probe:{probe}", args, timeout_s=timeout_s, on_event=events.append
    )
    for name, value in events:
        if name == "error":
            raise value
        if name == "answer":
            return _answer(value, kind)
    raise BenchError(
        f"the probe ended without an answer: {_why(ended, timeout_s)}", "run `bench env` to see the machine"
    )


def _answer(value: object, kind: type[_AnswerT]) -> _AnswerT:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise BenchError(
            f"the probe's answer is none: {error}", "look for what it ran that writes so"
        ) from error


def _why(ended: Ended, timeout_s: float) -> str:
    if ended.timed_out:
        return f"no answer in {timeout_s:.0f} s"
    last = ended.output.strip().splitlines()[-1:] or ["it printed nothing"]
    return f"exit code {ended.exitcode}; {last[0]}"


def _users_cards(executor: Executor, name: str) -> tuple[ArchCard, ...]:
    """Return the card of a network in a user's file; where the file fails, a card of defaults.

    The job then meets the same failure in its own process, and its record says what it was. What is no name at all, or
    the name of nothing that is there, ends the plan.
    """
    try:
        cards = ask(executor, tuple[ArchCard, ...], "probe_arch", name)
    except (ConfigError, UnknownNameError):
        raise
    except BenchError:
        return (ArchCard(name=name, source_sha256=_file_sha256(name)),)
    return tuple(_fitted(executor, card) for card in cards)


def _fitted(executor: Executor, card: ArchCard) -> ArchCard:
    """Return the card with the images that the network takes, where it does not say so and fails on the usual ones.

    Where that cannot be known, since the network hangs or kills its process, the job will tell.
    """
    if card.sized and card.any_channels:
        return card
    try:
        fit = ask(executor, dict[str, int], "probe_fit", card.name, timeout_s=_FIT_S)
    except BenchError:
        return card
    return card.fitted(**fit) if fit else card


def _file_sha256(name: str) -> str:
    """Return the hash of the file that a name begins with; of the name itself where it is a module."""
    file = Path(name.partition("(")[0].rpartition(":")[0])
    content = file.read_bytes() if file.is_file() else name.encode()
    return hashlib.sha256(content).hexdigest()
