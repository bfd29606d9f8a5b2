"""Ensembles from stored test outputs, against sums that can be done by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from trainings import run_of, told, trained, with_logits, with_outputs
from typer.testing import CliRunner

from bench.analysis._series import read_trainings, series_of
from bench.analysis.ensembles import Ensemble, _disagreement
from bench.cli.app import app
from bench.errors import BenchError, ConfigError, StoreError
from bench.records.record import Record
from bench.records.store import Run, Store
from bench.report.tables.verdicts import ensembles_table

LABELS = [0] * 30 + [1] * 30 + [2] * 30
THIRDS = [range(30), range(30, 60), range(60, 90)]


def wrong_on(images: range) -> list[int]:
    """Return what a network says that is wrong on these images."""
    return [(k + 1) % 3 if i in images else k for i, k in enumerate(LABELS)]


def disjoint(folder: Path, arch: str = "a") -> list[Record]:
    """Return three trainings, each wrong on another third of the images."""
    return [with_outputs(folder, arch, s, wrong_on(third), LABELS) for s, third in enumerate(THIRDS)]


def test_members_that_err_apart_are_right_together(tmp_path: Path) -> None:
    [found] = Ensemble.in_run(run_of(*disjoint(tmp_path), path=tmp_path))
    assert (found.label, found.kind, len(found.members), found.images) == ("a", "seeds", 3, 90)
    assert found.accuracy == 1.0
    assert found.mean_member == found.best_member == pytest.approx(2 / 3)
    assert found.gain == pytest.approx(1 / 3)
    assert found.gain_low == pytest.approx(found.gain_high) == pytest.approx(1 / 3)  # every image gains alike
    assert found.over_best_low < 1 / 3 < found.over_best_high
    assert found.disagreement == pytest.approx(60 / 90)


def test_equal_members_gain_nothing(tmp_path: Path) -> None:
    same = [with_outputs(tmp_path, "a", s, wrong_on(THIRDS[0]), LABELS) for s in range(3)]
    [found] = Ensemble.in_run(run_of(*same, path=tmp_path))
    assert (found.gain, found.gain_low, found.gain_high, found.disagreement) == (0, 0, 0, 0)


def test_it_is_the_softmax_that_is_averaged_and_not_the_votes(tmp_path: Path) -> None:
    sure, doubt = [[0.0, -1.0]], [[-20.0, 0.0]]  # e^0 / (e^0 + e^-1) = 0.731 against 1 - 2e-9
    records = [
        with_logits(tmp_path, "a", s, np.array(x * 2, dtype=np.float32), [1, 1])
        for s, x in enumerate((sure, doubt))
    ]
    third = with_logits(tmp_path, "a", 2, np.array(sure * 2, dtype=np.float32), [1, 1])
    run = run_of(*records, third, path=tmp_path)
    found = read_trainings(run, series_of(run)[0])
    assert found[0].probabilities[0] == pytest.approx(
        [1 / (1 + np.exp(-1)), np.exp(-1) / (1 + np.exp(-1))], rel=1e-3
    )
    [one] = Ensemble.in_run(run)
    mean = (2 * np.exp(-1) / (1 + np.exp(-1)) + 1) / 3
    assert mean > 0.5
    assert one.accuracy == 1.0
    assert one.mean_member == pytest.approx(1 / 3)  # two of three vote for the other class


def test_one_of_each_takes_no_advice_from_the_test_images(tmp_path: Path) -> None:
    bad = with_outputs(tmp_path, "b", 0, wrong_on(range(60)), LABELS)
    good = with_outputs(tmp_path, "b", 1, wrong_on(range(3)), LABELS)
    found = Ensemble.in_run(run_of(*disjoint(tmp_path), bad, good, path=tmp_path))
    assert [e.label for e in found] == ["a", "b", "one of each"]
    assert found[-1].members == ("a seed 0", "b seed 0")

    held = [told("val_top1", v, "higher") for v in (0.2, 0.9)]
    chosen = [r.changed(measurements=(*r.measurements, h)) for r, h in zip((bad, good), held, strict=True)]
    found = Ensemble.in_run(run_of(*disjoint(tmp_path), *chosen, path=tmp_path))
    assert found[-1].members == ("a seed 0", "b seed 1")


def test_networks_are_chosen_by_name(tmp_path: Path) -> None:
    run = run_of(*disjoint(tmp_path, "a1"), *disjoint(tmp_path, "b1"), path=tmp_path)
    assert [e.label for e in Ensemble.in_run(run, ["a*"])] == ["a1"]
    assert len(ensembles_table(Ensemble.in_run(run)).view.rows) == 3


def test_the_gain_is_that_of_the_ensemble(tmp_path: Path) -> None:
    run = run_of(*disjoint(tmp_path), path=tmp_path)
    some = read_trainings(run, series_of(run)[0])
    assert Ensemble.gain_of(some).estimate == pytest.approx(1 / 3)
    assert np.isnan(_disagreement(some[:1]))


@pytest.mark.parametrize("case", ["none stored", "no trainings", "one", "data sets", "images"])
def test_what_cannot_be_joined_is_refused_with_a_next_step(tmp_path: Path, case: str) -> None:
    seen = disjoint(tmp_path)
    other_images = with_outputs(tmp_path, "b", 0, LABELS[::-1], LABELS[::-1])
    elsewhere = with_outputs(tmp_path, "b", 0, LABELS, LABELS, dataset="mnist")
    runs: dict[str, tuple[Run, type[BenchError], str]] = {
        "none stored": (run_of(trained("a", 0, 0.9), path=tmp_path), StoreError, "no test outputs"),
        "no trainings": (run_of(path=tmp_path), StoreError, "no such training"),
        "one": (run_of(seen[0], path=tmp_path), ConfigError, "needs two"),
        "data sets": (run_of(*seen, elsewhere, path=tmp_path), ConfigError, "digits and mnist"),
        "images": (run_of(*seen, other_images, path=tmp_path), ConfigError, "different test images"),
    }
    run, kind, message = runs[case]
    with pytest.raises(kind, match=message) as caught:
        Ensemble.in_run(run)
    assert caught.value.tip
    if case == "data sets":
        assert [e.label for e in Ensemble.in_run(run, dataset="digits")] == ["a"]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "mine"
    with Store(folder) as store:
        for record in disjoint(folder):
            store.append(record)
    result = CliRunner().invoke(app, ["ensemble", "mine", "--json"])
    assert result.exit_code == 0, result.output
    [found] = json.loads(result.stdout)
    assert (found["accuracy"], found["images"]) == (1.0, 90)
    shown = CliRunner().invoke(app, ["ensemble", "mine", "--networks", "a"])
    assert "+33.33 (33.33 – 33.33)" in shown.stdout
    assert CliRunner().invoke(app, ["ensemble", "none"]).exit_code == 1
