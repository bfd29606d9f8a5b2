"""What the pieces of `configs/gpu-campaign.sh` take by the plan, on a machine with one card, and without it.

    python tests/campaign_plan.py

prints them in the order of the script. The first column of seconds is of all jobs of a piece; one that takes longer than
nine minutes is cut off, and goes on where it was when it is asked for again.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from conftest import make_catalog, scripted
from fake_executor import FakeExecutor

from bench.api._comparing import selftest
from bench.datasets import DATASETS
from bench.execution import Ended, Event
from bench.plan.card import ArchCard
from bench.plan.config import Experiment
from bench.plan.estimate import estimator
from bench.plan.expand import Catalog, Planned, expand

SCRIPT = Path(__file__).parents[1] / "configs" / "gpu-campaign.sh"
PIECE_S = 9 * 60
WHOLE_S = 25 * 60
WORTH = ("line-up", "graph", "ways", "training-step", "accuracy")
"""The pieces that are to fit together into `WHOLE_S`."""

_DEVICES = ("cpu", "cuda:0")
_BACKENDS = ("compiled", "compiled:max-autotune", "cuda_graph", "eager", "onnx")


def pieces() -> list[str]:
    """Return the names of all pieces, in the order of the script."""
    (names,) = re.findall(r"^all=\((.*)\)$", SCRIPT.read_text(), re.MULTILINE)
    return str(names).split()


@cache
def planned(piece: str) -> tuple[Planned, ...]:
    """Return the jobs of a piece; none of one that only checks or reports."""
    for line in _lines(piece):
        if found := re.search(r"bench selftest(.*)", line):
            return _of_selftest(_given(found[1], "--set"))
        if found := re.search(r'measure (\S+)( "\$1"| \S+)([^;]*)', line):
            config = found[1].strip('"').replace("$1", piece)
            return _of_config(config, _given(found[3], "--task"), _given(found[3], "--set"))
    return ()


def seconds(*jobs: Planned) -> float:
    """Return what jobs take by the plan, where none has been measured yet."""
    return sum(map(estimator(()), jobs))


def _lines(piece: str) -> list[str]:
    """Return the commands of a piece in the script."""
    for label, body in re.findall(r"^    ([\w| -]+)\)(.*?);;", SCRIPT.read_text(), re.MULTILINE | re.DOTALL):
        if piece in label.split(" | "):
            return str(body).splitlines()
    raise ValueError(f"no piece {piece}")


def _given(words: str, option: str) -> list[str]:
    return re.findall(rf"{option} (\S+)", words)


def _of_config(config: str, tasks: Sequence[str], overrides: Sequence[str]) -> tuple[Planned, ...]:
    experiment = Experiment.load(config).narrowed(tasks=tasks, overrides=overrides)
    names = dict.fromkeys(str(name) for block in experiment.blocks for name in block.archs)
    catalog: Catalog = make_catalog(
        *names,
        devices=_DEVICES,
        backends=_BACKENDS,
        datasets={name: dataset.card for name, dataset in DATASETS.items()},
    )
    return expand(experiment, catalog)


def _of_selftest(overrides: Sequence[str]) -> tuple[Planned, ...]:
    plain = scripted().play

    def play(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
        events, end = plain(target, args)
        if target.endswith(":probe_machine"):
            events = [("answer", replace(events[0][1], devices=_DEVICES))]
        return events, end

    fake = FakeExecutor(play)
    with tempfile.TemporaryDirectory() as folder:
        selftest(overrides=overrides, results=folder, executor=fake)
    jobs = [args[0] for target, args in fake.calls if target.endswith(":work")]
    return tuple(Planned(job=job, card=ArchCard(name=job.arch), timeout_s=600.0) for job in jobs)


def main() -> None:
    """Print a row for each piece, and the sum of those of most worth."""
    rows = {piece: planned(piece) for piece in pieces()}
    for piece, jobs in rows.items():
        took = f"{seconds(*jobs):6.0f} s" if jobs else "  (not planned)"
        sys.stdout.write(f"{piece:14}{len(jobs):5} jobs {took}\n")
    whole_s = seconds(*(job for piece in WORTH for job in rows[piece]))
    sys.stdout.write(f"{', '.join(WORTH)}: {whole_s / 60:.1f} of {WHOLE_S / 60:.0f} min\n")


if __name__ == "__main__":
    main()
