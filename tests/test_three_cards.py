"""A host of three cards that are made up, walked from an experiment to its records: each names the card it was made on."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fake_card import GIB, FakeCard, FakeHost
from three_cards import be_there, main

from bench.analysis.frame import to_frame
from bench.api._running import Done, run
from bench.plan.config import Experiment
from bench.plan.job import card_of
from bench.records.record import Record
from bench.records.store import read_run
from bench.report._summary import summarise

NET = "pattern:INPUT -> CONV3-4 -> RELU -> FC"
TIMING = {"warmup_s": 0.05, "min_s": 0.0, "limit_s": 0.1, "min_samples": 6}
BLOCKS: list[dict[str, Any]] = [
    {"task": "cost", "grid": {"arch": [NET]}},
    {
        "task": "infer",
        "device": "all",
        "threads": 1,
        "energy_s": 0.0,
        "timing": TIMING,
        "input_size": 8,
        "grid": {"arch": [NET], "batch_size": [1, 2], "replicate": [0, 1, 2]},
    },
    {
        "task": "accuracy",
        "dataset": "digits",
        "epochs": 1,
        "threads": 1,
        "grid": {"arch": [NET], "seed": [0, 1]},
    },
]


def walked(host: FakeHost, folder: Path, monkeypatch: pytest.MonkeyPatch, *blocks: dict[str, Any]) -> Done:
    be_there(host, monkeypatch)
    return run(Experiment.parse({"name": "walk", "blocks": list(blocks)}), results=folder)


def test_every_task_runs_on_the_card_that_its_record_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost(*(FakeCard("NVIDIA H100", f"{c}{c}") for c in "abc"))
    done = walked(host, tmp_path, monkeypatch, *BLOCKS)
    assert done.summary.counts == {"ok": 1 + 6 + 2}, [r.error for r in done.summary.records]
    on_cards = [r for r in done.run.records if r.job.device != "cpu"]
    assert {r.job.device for r in on_cards} == {"cuda:0"}
    for record in on_cards:
        assert _shown_there(record) == [card_of(record.environment, "cuda:0")["uuid"]]
    assert {card for r in on_cards for card in _shown_there(r)} == {"GPU-aa", "GPU-bb", "GPU-cc"}
    frame = to_frame([done.run])
    assert " on 3 cards of NVIDIA H100, " in summarise([done.run], frame).lead


def test_an_unequal_card_measures_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = FakeCard("NVIDIA T4", "bb", 16 * GIB)
    fast = [FakeCard("NVIDIA H100", f"{c}{c}") for c in "ac"]
    done = walked(FakeHost(fast[0], slow, fast[1]), tmp_path, monkeypatch, BLOCKS[1])
    cards = Counter(card for r in done.run.records if r.job.device != "cpu" for card in _shown_there(r))
    assert set(cards) == {"GPU-aa", "GPU-cc"}


@pytest.mark.parametrize(("device", "name"), [("cuda", "NVIDIA H100"), ("cuda:1", "NVIDIA T4")])
def test_a_run_on_three_different_cards_by_its_command(
    device: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = (f"device={device}", "energy_s=0", "input_size=8", "batch_size=1", "timing.limit_s=0.1")
    more = [word for value in values for word in ("--set", value)]
    words = [NET, "--config", "smoke", "--task", "infer", *more]
    monkeypatch.setattr(
        sys, "argv", ["three_cards.py", "run", *words, "--no-report", "--results", str(tmp_path)]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    records = read_run(tmp_path / "smoke").records
    assert {r.job.device for r in records} == {"cuda:0" if device == "cuda" else device}
    for record in records:
        assert card_of(record.environment, record.job.device)["name"] == name
        assert _shown_there(record) == [card_of(record.environment, record.job.device)["uuid"]]


def _shown_there(record: Record) -> list[str]:
    """Return the cards that CUDA showed in the process of the job, as that saw them itself."""
    cards = record.environment["state"]["gpu"]
    return [str(card["uuid"]) for card in cards]
