"""Networks in the forms in which people publish them: measured as they stand, or refused with a tip that works.

Each file of `models/wild` begins with what should come of it. `parameters` and `macs` are closed forms, `images` those
that it is to be measured on. A file that is refused says with which status and what the tip speaks of; `then` is what
a reader who follows the tip adds, and `now` the name that is measured then.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import bench
from bench.archs.naming import resolve
from bench.costs.fitting import fitting
from bench.errors import InvalidModelError
from bench.execution import Event
from bench.execution import _conditions as conditions
from bench.execution._probe import probe_layers
from bench.execution._worker import work
from bench.plan.job import Job

WILD = Path(__file__).parent / "models" / "wild"
LEAST = 0.95  # of all files are measured as they stand


def said_by(file: Path) -> dict[str, str]:
    """Return what a file says at its top."""
    return dict(re.findall(r"^# (\w+): (.*)$", file.read_text(), re.MULTILINE))


FILES = {file: said for file in sorted(WILD.rglob("*.py")) if "name" in (said := said_by(file))}
MEASURED = [file for file, said in FILES.items() if "status" not in said]
REFUSED = [file for file in FILES if file not in MEASURED]


def stem(file: Path) -> str:
    return file.stem


def number(text: str) -> int:
    return int(eval(text, {"__builtins__": {}}))


@pytest.fixture(autouse=True)
def process_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set back what a file sets in the process, as the process of a job would end with it."""
    monkeypatch.chdir(tmp_path)
    before, handlers, level = conditions.read(), logging.root.handlers[:], logging.root.level
    yield
    conditions.restore(before)
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    torch.set_printoptions(profile="default")


def outcome(name: str, images: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return what comes of counting a network: status, tip and measurements.

    It is counted on images of so many channels and px, or else on those that it takes.
    """
    try:
        arch = resolve(name)
    except InvalidModelError as error:
        return {"status": "invalid_model", "tip": error.tip, "error": str(error)}
    card = arch.card
    if images is None:
        fit = fitting(arch)
    else:
        known = images == (card.in_channels, card.input_size)
        fit = {} if known else dict(zip(("in_channels", "input_size"), images, strict=True))
    card = card.fitted(**fit) if fit else card
    job = Job(
        task="cost",
        arch=name,
        input_size=card.input_size,
        in_channels=card.in_channels,
        num_classes=card.num_classes,
        source_sha256=card.source_sha256,
    )
    events: list[tuple[str, Any]] = []
    work(events.append, job)
    status, error = events[-1][1]
    return {
        "status": status,
        "tip": (error or {}).get("tip"),
        "error": error,
        "card": card,
        "measurements": {value.name: value for kind, value in events if kind == "measurement"},
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", MEASURED, ids=stem)
def test_it_is_measured_as_it_stands(file: Path) -> None:
    said, name = FILES[file], f"{file}:{FILES[file]['name']}"
    events: list[Event] = []
    probe_layers(events.append, name, None, {})
    ((kind, table),) = events
    assert kind == "answer", table
    _, channels, size, width = table["input"]
    assert size == width
    found = outcome(name, (channels, size))
    assert found["status"] == "ok", found["error"]
    card, measurements = found["card"], found["measurements"]
    assert f"{card.in_channels}x{card.input_size}x{card.input_size}" == said["images"]
    parameters, macs = (measurements[key].samples[0] for key in ("parameters", "macs"))
    assert parameters == number(said["parameters"])
    if "macs" in said:
        assert macs == number(said["macs"])
    if "macs_at_least" in said:
        assert macs >= number(said["macs_at_least"])
    if "classes" in said:
        assert card.num_classes == number(said["classes"])
    flags = {flag for key in ("parameters", "macs") for flag in measurements[key].flags}
    assert flags == set(said.get("flags", "").split())
    assert (table["totals"]["parameters"], table["totals"]["macs"]) == (parameters, macs)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", REFUSED, ids=stem)
def test_it_is_refused_with_a_tip_that_works(file: Path, tmp_path: Path) -> None:
    said = FILES[file]
    found = outcome(f"{file}:{said['name']}")
    assert found["status"] == said["status"], found["error"]
    assert said["tip"] in (found["tip"] or "")
    assert "pip install" not in (found["tip"] or "")
    if "then" in said:
        mended = tmp_path / file.name
        mended.write_text(file.read_text() + "\n\n" + said["then"].replace("\\n", "\n") + "\n")
        assert outcome(f"{mended}:{said['now']}")["status"] == "ok"


def test_nearly_all_of_many_forms_are_measured() -> None:
    assert len(FILES) >= 100
    assert len(MEASURED) / len(FILES) >= LEAST


SAMPLE = ("mnist_of_the_examples", "sets_everything")


def test_a_sample_is_timed_in_processes_of_its_own(tmp_path: Path) -> None:
    timing = "{warmup_s: 0.01, min_s: 0, limit_s: 0.1, min_samples: 6}"
    timed = f"device: cpu\n    timing: {timing}\n    processes: {{least: 1, most: 1}}\n    batch_size: 2"
    blocks = "".join(f"  - task: {task}\n    {timed}\n" for task in ("infer", "train_step"))
    (tmp_path / "quick.yaml").write_text(f"blocks:\n{blocks}")
    names = [f"{WILD / stem}.py:{FILES[WILD / f'{stem}.py']['name']}" for stem in SAMPLE]
    records = bench.run(str(tmp_path / "quick.yaml"), names=names, results=tmp_path).run.records
    assert [r.error for r in records if r.status != "ok"] == []
    images = {(r.job.arch, r.job.task): (r.job.in_channels, r.job.input_size) for r in records}
    shapes = dict(zip(names, ((1, 28), (3, 224)), strict=True))
    assert images == {(name, task): shapes[name] for name in names for task in ("infer", "train_step")}
    reset = {r.job.arch: r.environment.get("set_by_the_file") for r in records}
    assert reset[names[0]] is None
    assert {"threads", "default_dtype", "flash_attention"} <= set(reset[names[1]] or ())
