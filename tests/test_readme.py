"""README: its numbers are those of stored runs, and it stays short and plain. That its commands run is tested in test_as_written."""

from __future__ import annotations

import re
from collections import Counter
from datetime import datetime
from functools import cache
from pathlib import Path
from statistics import median

import pytest

from bench.records.store import Run, read_run
from bench.report.tables.formats import to_markdown
from reports import content_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SAID = " ".join(README.split())


@cache
def reference() -> Run:
    return read_run(ROOT / "results" / "cpu-reference")


def rows(markdown: str) -> list[list[str]]:
    """Return the cells of a text's first table of networks, without the line below the heads."""
    lines = markdown[markdown.index("| Network |") :].split("\n\n", maxsplit=1)[0].splitlines()
    cells = [line.strip().removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]
    return [cells[0], *cells[2:]]


def test_the_table_is_that_of_the_stored_run():
    """To mend it, take these columns of `reports/cpu-reference/report.md`."""
    heads, *shown = rows(README)
    stored_heads, *stored = rows(to_markdown(content_of(reference()).comparison))
    places = [stored_heads.index(head) for head in heads]
    assert shown == [[row[place] for place in places] for row in stored]


def test_the_opening_is_that_of_the_stored_run():
    content = content_of(reference())
    sentences = " ".join(sentence for answer in content.answers for sentence in answer.sentences)
    for words in (
        "resnet18 is the fastest of 9 at 23.4 ms (22.5 – 23.8)",
        "resnet34 gains 13.9 points on zfnet for 1.4 times the time",
        "15.5 points for 1.8 times the time",
    ):
        assert words in SAID
        assert words in sentences
    budgets = [f"{1000 * pick.budget:.0f}" for answer in content.answers for pick in answer.picks]
    assert f"{', '.join(budgets[:-1])} and {budgets[-1]} ms" in SAID


def test_what_is_said_of_the_stored_run_is_so():
    run = reference()
    measured = [record for record in run.records if record.role == "measured"]
    timed = [record.job for record in measured if record.job.task == "infer"]
    processes = {
        (job.arch, job.settings.given["batch_size"], job.settings.given["replicate"]) for job in timed
    }
    counts = sorted(Counter(process[:2] for process in processes).values())
    words = {5: "five", 6: "six", 7: "seven", 8: "eight"}
    assert f"Each time is of {words[counts[0]]} to {words[counts[-1]]} processes" in SAID
    (epochs,) = {record.job.settings.given["epochs"] for record in measured if record.job.task == "accuracy"}
    assert epochs == 4
    assert "short trainings are four epochs on scikit-learn's digits" in SAID
    (torch,) = {record.environment["packages"]["torch"] for record in measured}
    assert f"with torch {'.'.join(torch.split('.')[:2])} on {measured[0].started_at[:10]}" in SAID
    assert "two cores of an Intel Xeon" in SAID
    assert {record.environment["cpu"]["cores"] for record in measured} == {2}


def test_the_time_of_the_main_job_is_what_it_took():
    began = [datetime.fromisoformat(record.started_at).timestamp() for record in reference().records]
    ended = max(at + record.duration_s for at, record in zip(began, reference().records, strict=True))
    assert "takes four to eight minutes on two CPU cores" in SAID
    assert 240 / 1.3 < ended - min(began) < 240 * 1.3


def test_the_time_to_94_percent_is_that_of_the_stored_trainings():
    run = read_run(ROOT / "results" / "h100-accuracy")
    times = [
        measurement.samples[0]
        for record in run.records
        for measurement in record.measurements
        if record.job.arch == "speedrun_cifar" and measurement.name == "time_to_accuracy"
    ]
    assert f"94 % of CIFAR-10 in {min(times):.1f} to {max(times):.1f} s" in SAID


def test_jobs_on_the_h100_began_as_soon_as_is_said():
    records = read_run(ROOT / "results" / "h100-line-up").records
    starts = [r.environment["stages_s"]["start"] for r in records if r.job.device == "cuda:0"]
    assert len(starts) > 40
    said = f"within {median(starts):.1f} s (the median of the line-up's; at most {max(starts):.1f} s)"
    assert said in (ROOT / "bench" / "docs" / "h100.md").read_text("utf-8")


def test_it_is_short_and_plain():
    assert len(README.splitlines()) <= 150
    jargon = r"\b(?:leverag\w+|seamless\w*|state-of-the-art|SOTA|blazing\w*|in turn|defended|utili[sz]\w+|FLOPs?)\b"
    assert not re.findall(jargon, README, re.IGNORECASE)


def test_the_table_of_the_h100_is_that_of_its_stored_runs():
    def bare(cell: str) -> str:
        return re.sub(r"\*\*|<sup>.*?</sup>|\\|torchvision:", "", cell)

    def by_name(run: str) -> dict[str, dict[str, str]]:
        comparison = content_of(read_run(ROOT / "results" / run)).comparison
        heads, *stored = rows(to_markdown(comparison))
        short = [re.sub(r", (?:one process|launch bound)$", "", head) for head in heads]
        return {bare(row[0]).partition(",")[0]: dict(zip(short, row, strict=True)) for row in stored}

    line_up, graph = by_name("h100-line-up"), by_name("h100-graph")
    heads, *shown = rows((ROOT / "bench" / "docs" / "h100.md").read_text("utf-8"))
    published = heads[1:3]
    assert published == ["Top-1, published (%)", "Published, tested on"]
    for name, *cells, macs, throughput, latency, energy, roofline in shown:
        row = line_up[name]
        assert cells == [bare(row[head]) for head in published], name
        assert macs == row["MACs (GMAC)"], name
        told = bare(row["Throughput (images/s)"])
        assert bare(throughput) == told.replace(", launch bound", ""), name
        assert ("c</sup>" in throughput) == ("launch bound" in told), name
        assert bare(energy) == bare(row["Energy of an image (mJ)"]), name
        assert roofline == bare(row["Of the roofline (%)"]), name
        microseconds = float(bare(graph[name]["Latency, batch 1 (µs)"]).partition(" ")[0].replace(",", ""))
        assert float(latency) == pytest.approx(microseconds / 1000), name
    # The one has images of 32 px, and the other is left out, as is said there.
    assert set(line_up) - {row[0] for row in shown} == {"lenet5", "vit_b_16"}
