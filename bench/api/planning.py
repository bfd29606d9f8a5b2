"""What a run would do, and how long that would take; nothing runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.api._objects import Network, names_of
from bench.api._running import Prepared, prepare
from bench.api.runs import open_executor, run_folder
from bench.execution.places import Place, places_for
from bench.execution.rehearsal import rehearse
from bench.execution.runner import reusable
from bench.plan.estimate import DRIFT_FROM, Forecast, controlled, estimator, report_s
from bench.plan.expand import Planned
from bench.plan.task import TASKS
from bench.records.history import durations
from bench.records.store import RECORDS, read_run

if TYPE_CHECKING:
    import pandas as pd


class Row(NamedTuple):
    """A job, what would become of it (run, done, skipped, unsupported), and the seconds that it would take."""

    planned: Planned
    state: str
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes:
        prepared: the experiment, the machine, and the jobs.
        rows: of each job what would become of it.
        places: where jobs would run.
        start_s: that planning has taken, which a run does as well.
    """

    prepared: Prepared
    rows: tuple[Row, ...]
    places: Sequence[Place]
    start_s: float

    @property
    def seconds(self) -> float:
        """How long the run would take, with its beginning and its report."""
        return self.start_s + self.jobs_s + report_s(self.start_s, len(self.rows))

    @cached_property
    def jobs_s(self) -> float:
        """How long the jobs would take: one after the other, or at several places."""
        known = {row.planned.job.id: row.seconds for row in self.rows}
        jobs = [row.planned for row in self.rows if row.state == "run"]
        more_s = Forecast.further_s([row.planned for row in self.rows], lambda one: known[one.job.id])
        timed = [known[one.job.id] for one in jobs if one.is_timed]
        more_s /= len(self.places)
        more_s += controlled(timed, float) if len(timed) >= DRIFT_FROM * len(self.places) else 0.0
        if len(self.places) == 1:  # those that need not be alone run beside others of their kind
            cores = self.places[0].cores
            at_once = (max(1, TASKS.get(one.job.task).at_once(one.job, cores)) for one in jobs)
            return sum(known[one.job.id] / n for one, n in zip(jobs, at_once, strict=True)) + more_s
        return rehearse(jobs, self.places, lambda one: known[one.job.id]) + more_s

    @property
    def frame(self) -> pd.DataFrame:
        """The jobs, one row each: what it is, what would become of it and why, and its seconds."""
        import pandas as pd

        return pd.DataFrame(
            {
                "job_id": planned.job.id,
                "task": planned.job.task,
                "arch": planned.job.arch,
                "input_size": planned.job.input_size,
                "state": state,
                "reason": planned.reason,
                "estimate_s": seconds,
                "timeout_s": planned.timeout_s,
            }
            for planned, state, seconds in self.rows
        )

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "experiment": self.prepared.experiment.to_json(),
            "devices": list(self.prepared.catalog.devices),
            "places": [place.name for place in self.places if place.name],
            "jobs": [
                {
                    "state": state,
                    "reason": planned.reason,
                    "estimate_s": seconds,
                    "timeout_s": planned.timeout_s,
                    "job": planned.job.to_json(),
                }
                for planned, state, seconds in self.rows
            ],
            "jobs_s": self.jobs_s,
            "estimate_s": self.seconds,
        }


def jobs(
    experiment: str = "default",
    names: Network | Sequence[Network] = (),
    *,
    tasks: Sequence[str] = (),
    overrides: Sequence[str] = (),
    name: str | None = None,
    results: Path | str = "results",
) -> Plan:
    """Return the jobs that `bench.run` would do, and how long they would take; nothing runs.

    Args:
        experiment: as of `bench.run`, as `names`, `tasks` and `overrides` are.
        names: networks.
        tasks: only these.
        overrides: `key=value`.
        name: of the run in which is looked for what is measured already, by default the experiment's.
        results: the folder that holds runs, whose jobs tell how long such ones take here.

    Raises:
        BenchError: for whatever cannot be carried out as written.

    Example:
        >>> plan = bench.jobs("smoke", ["lenet5", "resnet20"], tasks=["cost"])
        >>> plan.frame[["arch", "task", "state"]].values.tolist()
        [['lenet5', 'cost', 'run'], ['resnet20', 'cost', 'run']]
        >>> 0 < plan.seconds < 60
        True
    """
    begin_s = time.monotonic()
    with open_executor() as executor:
        prepared = prepare(experiment, names_of(names), tasks=tasks, overrides=overrides, executor=executor)
        places = places_for(prepared.plan, executor, prepared.catalog)
    folder = run_folder(results, prepared.experiment.name if name is None else name)
    records = read_run(folder).records if (folder / RECORDS).is_file() else ()
    environment = prepared.catalog.environment
    done = reusable(records, [environment], prepared.plan)
    estimate = estimator(durations(folder, records, environment), prepared.catalog.rates)
    states = [planned.status or ("done" if planned.job.id in done else "run") for planned in prepared.plan]
    rows = zip(prepared.plan, states, strict=True)
    known = tuple(Row(p, s, estimate(p) if s == "run" else 0.0) for p, s in rows)
    return Plan(prepared, known, places, time.monotonic() - begin_s)
