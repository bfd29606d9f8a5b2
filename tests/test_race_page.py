"""What a run keeps of its race, on the page: its answer, its chart, and why a network is not the choice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from figure_records import race
from make_records import by_name, make_run, records
from pages import content_of_kind

from bench.analysis.frame import RACES, to_frame
from bench.report._raced import _FEW, race_answers, race_table, races_of
from bench.report.figures import FIGURES
from bench.report.page._html import to_html
from bench.report.text import plain
from reports import NASTY, Page, content_of

NAMES = ("resnet18", "resnet34", "resnet50", "vgg16", "vgg19")
NETS = [net for name in NAMES for net in by_name(name)]  # 10 to 50 ms; the last was never measured


def test_of_a_network_at_two_sizes_one_is_the_choice() -> None:
    kept = race(NETS[:3])
    rows = [
        {**row, "network": "timm:net.a", "input_size": size}
        for row, size in zip(kept["networks"], (224, 288, 320), strict=True)
    ]
    rows[2] = {**rows[2], "network": "torchvision:net.b", "input_size": 288}
    alone = {**kept["networks"][1], "network": "timm:other.a", "input_size": 224}
    kept |= {"networks": [*rows, alone], "best": "timm:net.a", "best_input_size": 288}
    table = race_table(kept)
    assert table["best"].tolist() == [False, True, False, False]
    assert table["label"].tolist() == ["net 224 px", "timm:net.a 288 px", "torchvision:net.b", "other"]
    assert race_table({**kept, "networks": rows[:1], "best_input_size": None})["best"].tolist() == [True]


def test_a_race_is_not_copied_with_each_row_of_a_frame() -> None:
    """One of a thousand networks made a page of it take minutes."""
    run = make_run(records(NETS), name="raced")
    run = replace(run, info={**run.info, "race": race(NETS)})
    frame = to_frame([run])
    assert frame.iloc[0].attrs[RACES]["raced"] is frame.attrs[RACES]["raced"] is run.info["race"]


def test_of_very_many_that_were_never_measured_the_likeliest_have_a_span() -> None:
    kept = race(NETS)
    few = race_table(kept)
    assert few["span"].tolist() == (few["state"] == "never").tolist()
    never = kept["networks"][-1]
    many = [
        {**never, "network": f"net{i}", "front_chance": chance, "budget_chance": 0.0}
        for i, chance in enumerate([0.0, *(1e-3 * (1 + i) for i in range(2 * _FEW))])
    ]
    table = race_table({**kept, "networks": [*kept["networks"][:-1], *many]})
    assert table["span"].tolist() == [False] * (len(NETS) + _FEW) + [True] * _FEW
    without = race_table({**kept, "networks": [{**never, "network": f"net{i}"} for i in range(_FEW + 1)]})
    assert not without["span"].any()  # of races that kept no chances


def test_a_page_of_a_race_opens_with_its_answer_and_its_chart() -> None:
    kept = {**race(NETS), "answer": ["Take resnet18: it is the most accurate.", NASTY, 3]}
    kept["networks"][1]["why"] = f"resnet18 is as accurate or more{NASTY}"
    run = make_run(records(NETS[:-1]))
    content = content_of(replace(run, info={**run.info, "race": kept}))
    page = Page(to_html(content))
    assert page.text.index("Take resnet18") < page.text.index("why it is not the choice")
    assert "<script>alert" not in to_html(content)
    assert [key for key, _ in content.sections][:2] == ["races", "front"]
    (shown,) = json.loads(page.scripts[0])["races"]
    assert (shown["limit"], shown["unit"], shown["better"]) == (0.05, "s", "lower")
    assert [row["why"] for row in shown["rows"]] == ["", plain(kept["networks"][1]["why"]), "", "", ""]
    kinds = {row["label"]: row["is"] for row in shown["rows"]}
    assert kinds == {
        "resnet18": "certain", "resnet34": "behind", "resnet50": "possible", "vgg16": "behind", "vgg19": "never",
    }  # fmt: skip
    never = shown["rows"][-1]
    assert never["ends"] == [0.045, 0.055]
    assert never["cost"] == pytest.approx((0.045 * 0.055) ** 0.5, rel=1e-6)


def test_a_legend_names_what_is_drawn_alone() -> None:
    def legend(*networks: int, **kept: object) -> list[str]:
        whole = race(NETS)
        frame = pd.DataFrame()
        frame.attrs[RACES] = {"raced": whole | {"networks": [whole["networks"][i] for i in networks]} | kept}
        drawing = FIGURES.get("race").draw(frame, frame)
        assert drawing is not None
        (shown,) = drawing.legends
        return [text.get_text() for text in shown.get_texts()]

    certain, possible = "on the front for certain", "on the front, not for certain"
    behind, never = "measured, behind the front", "never measured"
    assert legend(*range(5)) == ["chosen", certain, possible, behind, never, "the budget"]
    assert legend(*range(4), best=None, limit=None) == [certain, possible, behind]
    assert legend(0, 4, best=None) == [certain, never, "the budget"]


def test_networks_of_a_race_are_those_of_the_table(tmp_path: Path) -> None:
    content = content_of_kind("race", tmp_path)
    networks = {row["network"] for row in content.data["rows"]}
    (shown,) = content.data["races"]
    assert networks == {row["network"] for row in shown["rows"] if row["is"] != "never"}


def test_a_report_of_a_race_opens_with_its_answer_alone() -> None:
    run = make_run(records(NETS))
    raced = replace(run, info={**run.info, "race": {**race(NETS), "answer": ["Take resnet18."]}})
    assert (content_of(raced).leading, content_of(raced).answers) == (["Take resnet18."], ())
    assert content_of(run).answers
    assert content_of(raced, run).answers


@pytest.mark.parametrize("kept", [None, 3, {}, {"cost": "latency", "networks": 3, "answer": "x"}])
def test_what_is_no_race_is_left_alone(kept: object) -> None:
    run = make_run(records(NETS[:1]))
    frame = to_frame([replace(run, info={**run.info, "race": kept})])
    assert (races_of(frame), race_answers(frame)) == ([], [])
    assert races_of(pd.DataFrame()) == []
    assert RACES in frame.attrs
