"""What a run keeps of its race, on the page: its answer, its chart, and why a network is not the choice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from figure_records import race
from make_records import by_name, make_run, records
from pages import content_of_kind

from bench.analysis.frame import RACES, to_frame
from bench.report._raced import _FEW, race_answers, race_table, races_of, reasons
from bench.report.page._html import to_html
from reports import NASTY, Page, content_of

NAMES = ("resnet18", "resnet34", "resnet50", "vgg16", "vgg19")
NETS = [net for name in NAMES for net in by_name(name)]  # 10 to 50 ms; the last was never measured


def reason(name: str, **changes: Any) -> str:
    """Return why a network of the race is not the choice, with its row changed."""
    kept = race(NETS)
    kept["networks"] = [{**row, **changes} if row["network"] == name else row for row in kept["networks"]]
    table = race_table(kept)
    return reasons(kept, table)[table["network"].tolist().index(name)]


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
    assert [why == "the choice" for why in reasons(kept, table)] == table["best"].tolist()
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


def test_the_choice_is_told_as_such() -> None:
    assert reason("resnet18") == "the choice"


def test_what_was_measured_says_how_it_stands_to_the_budget_and_the_front() -> None:
    assert reason("resnet50") == "on the front, not for certain"
    assert reason("resnet50", certain=True, holds="yes") == "on the front"
    assert (
        reason("resnet50", holds="no", excess=1.25) == "1.25 times the budget; on the front, not for certain"
    )
    assert reason("vgg16", holds="no", accuracy=0.61) == (
        "over the budget; resnet50 is as accurate or more, at 30.0 ms"
    )
    assert reason("vgg16", holds="open").startswith(
        "the interval of its cost lies on both sides of the budget"
    )


def test_what_was_never_measured_says_what_was_expected() -> None:
    expected = "never measured: latency expected between 45.0 ms and 55.0 ms (95 %)"
    assert reason("vgg19") == expected
    assert reason("vgg19", budget_chance=0.0002, front_chance=0.0123) == (
        f"{expected}; the chance that it holds the budget is under 0.1 %; "
        "the chance that it belongs on the front is at most 1.2 %"
    )
    assert reason("vgg19", accuracy=0.61).endswith("; resnet50 is as accurate or more, at 30.0 ms")
    assert reason("vgg19", cost_expected_low=None) == "never measured"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"state": "failed", "reason": "out of memory"}, "out of memory"),
        ({"state": "failed", "reason": ""}, "it failed"),
        ({"state": "over"}, "over a budget, by what is counted, and so not timed"),
        (
            {"state": "over", "missed": "macs 20.0 GMAC, 2.00 times the budget"},
            "macs 20.0 GMAC, 2.00 times the budget, by what is counted, and so not timed",
        ),
    ],
)
def test_what_was_not_raced_says_why(changes: dict[str, Any], told: str) -> None:
    assert reason("vgg19", cost=None, **changes) == told


def test_a_page_of_a_race_opens_with_its_answer_and_its_chart() -> None:
    kept = {**race(NETS), "answer": ["Take resnet18: it is the most accurate.", NASTY, 3]}
    run = make_run(records(NETS[:-1]))
    content = content_of(replace(run, info={**run.info, "race": kept}))
    page = Page(to_html(content))
    assert page.text.index("Take resnet18") < page.text.index("why it is not the choice")
    assert "<script>alert" not in to_html(content)
    assert [key for key, _ in content.sections][:2] == ["races", "front"]
    (shown,) = json.loads(page.scripts[0])["races"]
    assert (shown["limit"], shown["unit"], shown["better"]) == (0.05, "s", "lower")
    kinds = {row["label"]: row["is"] for row in shown["rows"]}
    assert kinds == {
        "resnet18": "certain", "resnet34": "behind", "resnet50": "possible", "vgg16": "behind", "vgg19": "never",
    }  # fmt: skip
    never = shown["rows"][-1]
    assert never["ends"] == [0.045, 0.055]
    assert never["cost"] == pytest.approx((0.045 * 0.055) ** 0.5, rel=1e-6)


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
