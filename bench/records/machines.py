"""Machines of a run: records of several in one store, such as a merged one, are read as a run of each.

A machine is its CPU and the models of its cards; equal ones are one machine, as the nodes of a cluster are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from bench.io import JsonObject
from bench.records.line import shared
from bench.records.record import Record
from bench.records.store import Run

_Machine: TypeAlias = tuple[str | None, int | None, tuple[str, ...]]
"""Model and cores of the CPU, and the models of its cards."""

_UNKNOWN: _Machine = (None, None, ())


def machine_of(environment: JsonObject) -> _Machine:
    """Return the machine of a record's environment."""
    cpu = environment.get("cpu") or {}
    cards = {str(card["name"]) for card in environment.get("gpu") or () if card.get("name")}
    return cpu.get("model"), cpu.get("cores"), tuple(sorted(cards))


def by_machine(*runs: Run) -> list[Run]:
    """Return a run of each machine of each run, called ``RUN on MACHINE``; of one machine, the run as it is.

    Each has the planned jobs that have a record there. Those that have none anywhere are with the last machine, where
    the run would go on.
    """
    return [of_one for run in runs for of_one in _by_machine(run)]


def _by_machine(run: Run) -> list[Run]:
    machines = machines_of(run.records)
    if len(machines) < 2:
        return [run]
    at = {machine: {r.job.id for r in records} for machine, records in machines.items()}
    nowhere = {job.id for job in run.planned}.difference(*at.values())
    last = next(m for m, records in machines.items() if run.records[-1] is records[-1])
    at[last] |= nowhere
    return [
        replace(
            run,
            name=f"{run.name} on {words}",
            records=tuple(machines[machine]),
            planned=tuple(job for job in run.planned if job.id in at[machine]),
        )
        for machine, words in _words(machines).items()
    ]


def same_machines(one: Run, other: Run) -> list[tuple[Run, Run]]:
    """Return what two runs have of each machine that both have; where each is of one machine, the runs as they are."""
    ones, others = by_machine(one), by_machine(other)
    if len(ones) == len(others) == 1:
        return [(one, other)]
    here = {machine: run for run in others for machine in machines_of(run.records)}
    pairs = ((run, here.get(machine)) for run in ones for machine in machines_of(run.records))
    return [(run, same) for run, same in pairs if same is not None]


def machines_of(records: Sequence[Record]) -> dict[_Machine, list[Record]]:
    """Return the records of each machine, in their order; those that say nothing of theirs are with the first."""
    known: dict[int, _Machine] = {}  # by what many records have alike
    each = [_machine_of(shared(record.environment), known) for record in records]
    first = next((machine for machine in each if machine != _UNKNOWN), _UNKNOWN)
    machines: dict[_Machine, list[Record]] = {}
    for machine, record in zip(each, records, strict=True):
        machines.setdefault(first if machine == _UNKNOWN else machine, []).append(record)
    return machines


def _machine_of(environment: JsonObject, known: dict[int, _Machine]) -> _Machine:
    if (machine := known.get(id(environment))) is None:
        machine = known[id(environment)] = machine_of(environment)
    return machine


def _words(machines: Mapping[_Machine, Sequence[Record]]) -> dict[_Machine, str]:
    """Return what each machine is called: its cards, else its CPU; both and its cores where that tells too little."""
    short = {machine: " and ".join(machine[2]) or machine[0] or "an unknown CPU" for machine in machines}
    names = list(short.values())
    return {m: words if names.count(words) == 1 else _long(m) for m, words in short.items()}


def _long(machine: _Machine) -> str:
    cpu, cores, cards = machine
    return " and ".join((*cards, f"{cpu or 'an unknown CPU'} ({cores or '?'} cores)"))
