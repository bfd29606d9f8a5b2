"""The campaign on a GPU: what its pieces take, and the script that runs them, with another program for Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from campaign_plan import PIECE_S, SCRIPT, WHOLE_S, WORTH, main, pieces, planned, seconds

MORE = ("selftest", "again", "imagenette")


@pytest.mark.parametrize("piece", [*WORTH, *MORE])
def test_a_piece_fits_into_the_time_that_a_machine_is_lent(piece: str) -> None:
    jobs = planned(piece)
    assert all(p.status is None for p in jobs)
    assert {p.job.device for p in jobs if p.job.task != "cost"} == {"cuda:0"}
    assert 60 < seconds(*jobs) <= PIECE_S


def test_the_pieces_of_most_worth_fit_together() -> None:
    assert len(planned("accuracy")) == 5 + 2 + 4 * 2
    assert seconds(*(p for piece in WORTH for p in planned(piece))) <= WHOLE_S


def test_no_training_is_in_two_pieces() -> None:
    first, more = ({p.job.id for p in planned(piece)} for piece in ("accuracy", "accuracy-more"))
    assert len(more) == 1 + 5 * 5 + 4 * 3
    assert not first & more


def test_what_is_measured_again_are_jobs_of_the_line_up_each_once() -> None:
    again = [p.job.id for p in planned("again")]
    assert len(again) == len(set(again)) == 19 * 3
    assert set(again) < {p.job.id for p in planned("line-up")}


def test_a_selftest_on_a_card_compares_a_network_with_itself_and_measures_no_energy() -> None:
    jobs = [p.job for p in planned("selftest")]
    assert [job.task for job in jobs].count("versus") == 4 * 8
    assert {job.settings.given["energy_s"] for job in jobs} == {0}


def test_the_plan_of_all_pieces_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    *rows, last = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == pieces()
    assert [row for row in rows if "not planned" in row] == [rows[0], rows[-1]]
    shown = {row.split()[0]: float(row.split()[3]) for row in rows[1:-1]}
    assert sum(shown[piece] for piece in WORTH) / 60 == pytest.approx(float(last.split()[-4]), abs=0.1)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with the script, and a `python3` that notes its words, fails at `graph` and sleeps at `ways`."""
    (tmp_path / "configs").mkdir()
    shutil.copy(SCRIPT, tmp_path / "configs")
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "records.jsonl").write_text("{}\n")
    stub = tmp_path / "bin" / "python3"
    stub.parent.mkdir()
    stub.write_text(
        '#!/bin/sh\necho "$@" >> words\n'
        'case "$*" in *gpu-graph*) exit 1 ;; *gpu-ways*) exec sleep 60 ;; esac\n'
    )
    stub.chmod(0o755)
    return tmp_path


def campaign(tree: Path, *pieces: str, **variables: str) -> tuple[int, list[str], list[str]]:
    """Return the exit code, the lines of words that `python3` was given and the lines about what did not end well."""
    done = subprocess.run(
        ["bash", tree / "configs" / SCRIPT.name, "h100", *pieces],
        env={**os.environ, "PATH": f"{tree / 'bin'}:{os.environ['PATH']}", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    words = tree / "words"
    return done.returncode, words.read_text().splitlines() if words.exists() else [], done.stderr.splitlines()


def run(config: str, name: str) -> str:
    return f"-m bench run --config {config} --name h100-{name} --no-report"


def test_the_script_is_bash() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)


def test_a_step_that_fails_leaves_the_others(tree: Path) -> None:
    code, words, errors = campaign(tree, "line-up", "graph", "training-step")
    assert words == [
        run("gpu", "line-up"),
        run("gpu-graph", "graph"),
        run("gpu-training-step", "training-step"),
    ]
    assert (code, errors) == (1, [f"did not end well: python3 {words[1]}"])
    assert campaign(tree, "line-up")[0] == 0


def test_a_piece_is_cut_off_and_the_next_has_its_own_time(tree: Path) -> None:
    """What cuts it off is given the seconds that are left, and takes less here."""
    stub = tree / "bin" / "timeout"
    real = shutil.which("timeout")
    stub.write_text(f'#!/bin/sh\necho "$*" >> cuts\nshift 5\nexec {real} --signal INT 0.2 "$@"\n')
    stub.chmod(0o755)
    code, words, (error,) = campaign(tree, "ways", "accuracy", PIECE_S="50")
    assert words == [run("gpu-ways", "ways"), run("gpu-accuracy", "accuracy")]
    assert (code, error) == (1, f"did not end well: python3 {words[0]}")
    cuts = [line.split()[:5] for line in (tree / "cuts").read_text().splitlines()]
    assert [cut[:4] for cut in cuts] == [["--signal", "INT", "--kill-after", "20"]] * 2
    assert all(40 < int(cut[4]) <= 50 for cut in cuts)


def test_no_step_begins_in_the_last_seconds_of_a_piece(tree: Path) -> None:
    code, words, errors = campaign(tree, "check", PIECE_S="4")
    assert (code, words, len(errors)) == (1, [], 3)


def test_records_are_packed_at_the_end_however_it_ends(tree: Path) -> None:
    for piece in ("line-up", "graph", "nonsense"):
        campaign(tree, piece, PACK="packed.tgz")
        with tarfile.open(tree / "packed.tgz") as packed:
            assert packed.getnames() == ["results", "results/records.jsonl"]
        (tree / "packed.tgz").unlink()
    assert not list(tree.glob("packed*"))


def test_an_unknown_piece_is_refused_with_those_there_are(tree: Path) -> None:
    code, words, (errors,) = campaign(tree, "nonsense")
    assert (code, words) == (2, [])
    assert "accuracy-more" in errors


def test_every_piece_that_measures_has_its_experiment(tree: Path) -> None:
    stub = tree / "bin" / "python3"
    stub.write_text('#!/bin/sh\necho "$@" >> words\n')
    _, words, _ = campaign(tree)
    configs = {line.split()[line.split().index("--config") + 1] for line in words if "--config" in line}
    assert configs == {file.stem for file in SCRIPT.parent.glob("gpu*.yaml")}


def test_git_keeps_the_runs_of_cards_and_leaves_others_alone(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    shutil.copy(SCRIPT.parents[1] / ".gitignore", tmp_path)
    folders = ("results/h100", "results/h200-line-up", "reports/h100-line-up", "results/mine", "reports/mine")
    done = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", *(f"{folder}/records.jsonl" for folder in folders)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["results/mine/records.jsonl", "reports/mine/records.jsonl"]
