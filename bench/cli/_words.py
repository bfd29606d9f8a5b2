"""What is said of records: of one in a line, of those that failed, of all."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median

from bench.errors import BenchError, listed
from bench.execution.places import HOST
from bench.execution.runner import Summary
from bench.plan.expand import Planned
from bench.plan.job import Job
from bench.records.flags import OF_SAMPLES, spoken
from bench.records.record import Record
from bench.records.store import Run
from bench.units import percent, show

_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]|[/\\]lib[/\\]python\d")
_OF_BENCH = (BenchError.__name__, *(kind.__name__ for kind in BenchError.__subclasses__()))


_OF_GATE = re.compile(r"\S*/bench-gate-\w+/")  # the folder into which `bench gate` takes commits


def at_place(job: Job, place: str = "") -> str:
    """Return the label of a job with the place where it ran, of several, instead of its device."""
    label, device = _OF_GATE.sub("", job.label()), f" {job.device}"
    if place in ("", HOST):
        return label
    return label.replace(device, f" {place}") if device in label else f"{label} {place}"


def edits(plan: Sequence[Planned], before: Run) -> list[str]:
    """Return a line for each network of the user's whose files are others than when it was last measured."""
    known = {record.job.arch: record.card for record in before.records}
    cards = {planned.job.arch: planned.card for planned in plan if planned.job.arch in known}
    files = {name: known[name].edited_to(card) for name, card in cards.items()}
    return [
        f"{name}, as {', '.join(changed)} {'has' if len(changed) == 1 else 'have'} changed"
        for name, changed in files.items()
        if changed
    ]


def headline(record: Record) -> str:
    """Return the record's most telling numbers, or why there are none."""
    if record.status != "ok":
        error = record.error or {}
        first = str(error.get("message", "")).strip().splitlines()[:1] or [""]
        places = re.findall(r'File "([^"]+)", line (\d+)', str(error.get("traceback") or ""))
        told = str(error.get("type")) in _OF_BENCH  # it says by itself what and where
        own = [place for place in places if not _INSTALLED.search(place[0])] or ([] if told else places)
        if own:  # the innermost line of the user's own code, where there is one
            kind = "" if told else f"{error.get('type')} in "
            first[0] = f"{kind}{Path(own[-1][0]).name}, line {own[-1][1]}: {first[0]}"
        return f"{first[0]} ({error['tip']})" if error.get("tip") else first[0]
    values = {m.name: m for m in record.measurements}
    parts: list[str] = []
    if "top1" in values:
        epochs = record.job.settings.given.get("epochs")
        parts = [f"top-1 {percent(values['top1'].samples[0])}"]
        parts += [f"{epochs} epoch{'' if epochs == 1 else 's'}"] if epochs is not None else []
    elif record.job.task == "versus":
        parts = [f"{len(values['step_time'].samples)} rounds"]
    elif "macs" in values:
        parts = [
            show(values["parameters"].samples[0], "1") + " parameters",
            show(values["macs"].samples[0], "MAC"),
        ]
    elif "step_time" in values:
        seconds = median(values["step_time"].samples)
        batch = (
            values["max_batch"].samples[0]
            if "max_batch" in values
            else record.job.settings.given["batch_size"]
        )
        parts = [show(seconds, "s"), f"{_rate(batch / seconds)} images/s"]
        parts += [f"batch {batch:g}"] if "max_batch" in values else []
        parts += [show(values["peak_memory"].samples[0], "B")] if "peak_memory" in values else []
        # How the samples of one of several processes scatter is no doubt.
        replicated = "replicate" in record.job.settings.content
        flags = (f for f in values["step_time"].flags if not (replicated and f in OF_SAMPLES))
        parts += [words] if (words := spoken(*flags)) else []
    return ", ".join(parts)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def failure_lines(records: Iterable[Record], most: int = 12) -> list[str]:
    """Return a line for each network and reason of jobs that did not end well: ``my.py:Net: oom, 3 jobs: ...``.

    What cannot be done, for one reason, is told once for all networks.
    """
    failed = [r for r in records if r.status not in ("ok", "skipped", "cancelled")]
    archs: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for record in failed:
        name = _OF_GATE.sub("", record.job.arch)
        own = "" if record.status == "unsupported" else name
        archs[own, record.status, headline(record)].append(name)
    lines = [
        f"{listed(of)}: {status}{f', {len(of)} jobs' if len(of) > 1 else ''}: {reason}"
        for (_, status, reason), of in archs.items()
    ]
    more = len(lines) - most
    return lines[:most] + ([f"and {more} more; the report has all"] if more > 0 else [])


def summary_line(summary: Summary) -> str:
    """Return one sentence such as ``41 of 48 measured (12 of them before), 3 oom, 4 pending``."""
    total = len(summary.records) + summary.pending
    ok = summary.counts.get("ok", 0)
    line = f"{ok} of {total} measured"
    if summary.reused:
        line += f" ({summary.reused} of them before)" if summary.reused < ok else " (all of them before)"
    others = [f"{n} {status}" for status, n in sorted(summary.counts.items()) if status != "ok"]
    others += [f"{summary.pending} pending"] if summary.pending else []
    return ", ".join([line, *others])
