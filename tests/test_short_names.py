"""Short names: what tells long names apart, and never two names alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from make_records import NETS, make_run, records

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.report._short_names import OWN, _short_patterns, _short_recipes, is_own, shortened
from bench.report.figures._style import looks

BLOCK = "pattern:INPUT -> [CONV3-16x2 -> {} -> POOL]*3 -> FC"


@pytest.mark.parametrize(
    ("names", "short"),
    [
        ([BLOCK.format("RELU"), BLOCK.format("TANH")], ["RELU", "TANH"]),
        (
            [BLOCK.format("BN -> RELU"), BLOCK.format("RELU")],
            ["CONV3-16x2 -> BN -> RELU", "CONV3-16x2 -> RELU"],
        ),
        (
            ["pattern:INPUT -> A -> B -> A -> FC-1000", "pattern:INPUT -> A -> B -> B -> FC-1000"],
            ["A", "B"],
        ),
        (
            ["pattern:INPUT -> A -> N -> B -> FC-1000", "pattern:INPUT -> B -> N -> A -> FC-1000"],
            ["A -> B", "B -> A"],
        ),
        (
            ["pattern:INPUT -> A -> A -> B -> FC-1000", "pattern:INPUT -> A -> B -> B -> FC-1000"],
            ["A", "B"],
        ),
        ([BLOCK.format("RELU")], [BLOCK.format("RELU")]),
        (["resnet18", BLOCK.format("RELU")], ["resnet18", BLOCK.format("RELU")]),
    ],
)
def test_patterns_are_told_apart_by_the_layers_that_differ(names: list[str], short: list[str]) -> None:
    assert _short_patterns(names) == dict(zip(names, short, strict=True))


def test_recipes_are_told_apart_by_the_changes_that_differ() -> None:
    names = ["std(learning_rate=0.01,momentum=0) v1", "std(learning_rate=0.01,momentum=0.9) v1", "adamw v1"]
    assert list(_short_recipes(names).values()) == ["std(momentum=0)", "std(momentum=0.9)", "adamw v1"]
    assert _short_recipes(names[1:]) == {n: n for n in names[1:]}


layers = st.lists(st.sampled_from(["A", "B", "[A", "B]*2", "CONV3-16(d=2)"]), min_size=3, max_size=7)


@given(st.lists(layers, max_size=6))
def test_short_names_are_as_many_as_the_long_ones(patterns: list[list[str]]) -> None:
    names = ["pattern:INPUT -> " + " -> ".join(words) for words in patterns]
    short = _short_patterns(names)
    assert list(short) == list(dict.fromkeys(names))
    assert len(set(short.values())) == len(short)


def test_names_that_are_short_are_left_alone() -> None:
    frame = to_frame([make_run(records(NETS[:2]))])
    table = compare_table(frame)
    assert all(a is b for a, b in zip(shortened(table, frame), (table, frame), strict=True))


def test_libraries_go_without_saying_where_no_two_have_a_network_of_one_name() -> None:
    names = ("torchvision:vgg16", "timm:resnet50", "torchvision:resnet50")
    nets = [replace(net, name=name) for net, name in zip(NETS, names, strict=False)]
    frame = to_frame([make_run(records(nets))])
    table, _ = shortened(compare_table(frame), frame)
    assert set(table["network"]) == {"vgg16", "timm:resnet50", "torchvision:resnet50"}


def test_networks_of_ones_own_are_a_family_to_be_seen() -> None:
    own = ("my_net.py:Net(width=8)", "package.module:net", "net.pt2", "folder:entry")
    others = (
        "resnet18",
        "timm:resnet50.a1_in1k",
        "pattern:INPUT -> FC",
        "hf:vit(hidden_size=192)",
        "vgg16(weights='a:b')",
    )
    assert [is_own(name) for name in (*own, *others)] == [True] * 4 + [False] * 5
    frame = to_frame([make_run(records([replace(NETS[0], name=own[0]), NETS[1]]))])
    table, charted = shortened(compare_table(frame), frame)
    assert dict(zip(table["network"], table["family"], strict=True)) == {
        own[0]: OWN,
        NETS[1].name: NETS[1].family,
    }
    assert set(charted.loc[charted["arch"] == own[0], "family"]) == {OWN}
    assert looks(table["family"])[OWN].marker == "*"
