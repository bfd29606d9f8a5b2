"""Figures: drawn from frames, nothing on top of anything else, the same bytes every time."""

from __future__ import annotations

import itertools
import math
import random
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from evaluated import with_evaluations
from figure_records import engine_records, everything, out_of_memory, race
from hypothesis import given, settings
from hypothesis import strategies as st
from make_records import (
    NETS,
    Net,
    by_name,
    failed,
    job,
    keep_outputs,
    make_run,
    record,
    records,
    scored,
    speed,
    stepped,
)
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Drawing
from matplotlib.text import Text

from bench.contracts import _check_drawing, check_figure
from bench.records.record import Record, measured
from bench.records.store import Run
from bench.report.figures import FIGURES
from bench.report.figures._labels import (
    Labels,
    Point,
    _distances,
    _LabelLayout,
    _spread,
    label_ends,
    overlaps,
    place_labels,
)
from bench.report.figures._shared import accuracies, reached, steps
from bench.report.figures._style import (
    COLOURS,
    _glyphs,
    canvas,
    drawable,
    looks,
    renderer,
    styled,
    tick,
    to_bytes,
)
from bench.report.figures._svg import inline
from reports import drawn_each

ALL = FIGURES.names()


def drawn(name: str, *runs: Run) -> Drawing | None:
    return drawn_each([name], *runs)[name]


NASTY = [
    "²",
    "<script>&'\"]]>-- of many letters",
    "$\\frac{1}{0}$ %d {x}",
    "_under \x1b[31m\x00",
    "\u202eרשת عربى 網絡 😀\ud800",
]


@pytest.fixture(scope="module")
def all_drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drawing | None]:
    """Return every figure, of networks of which some have names from outside that are no words."""
    nasty = [replace(n, name=t, family="_" + t) for n, t in zip(NETS[3:], NASTY, strict=False)]
    nets = [*NETS[:3], *nasty, *NETS[-3:]]  # the first five are compared with each other
    seen = [*everything(nets), *engine_records(nets[4]), *failed(), *out_of_memory()]
    run = keep_outputs(make_run(seen), tmp_path_factory.mktemp("run"))
    run = with_evaluations(run, [net.name for net in nets[5:8]])
    return drawn_each(ALL, replace(run, info={**run.info, "race": race(nets)}), laid_out=True)


def many_nets(count: int) -> list[Net]:
    rng = random.Random(7)
    nets = []
    for i, base in zip(range(count), itertools.cycle(NETS)):
        factor = math.exp(rng.gauss(0, 0.5))
        top5 = min(0.99, (base.top5 or 0.9) + rng.gauss(0, 0.02))
        sizes = {"mmacs": base.mmacs * factor, "images_per_s": base.images_per_s / factor}
        nets.append(replace(base, name=f"{base.name}_variant{i}", top5=top5, **sizes))
    return nets


def texts(axes: Axes) -> list[str]:
    return [t.get_text() for t in axes.texts if t.get_label() == "network"]


def test_nothing_to_draw_is_none() -> None:
    run = make_run([record(job(NETS[0]), NETS[0], status="crashed")])
    assert drawn_each(ALL, run) == dict.fromkeys(ALL)


def ticks_in_view(axes: Axes) -> list[Text]:
    low, high = axes.get_xlim()
    return [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]


@pytest.mark.parametrize("name", ALL)
def test_every_figure_keeps_the_contract(name: str, all_drawn: dict[str, Drawing | None]) -> None:
    check_figure(name)
    figure = all_drawn[name]
    assert figure is not None
    with styled():  # ticks are made when they are asked for
        shown = [text for text in figure.findobj(Text) if text.get_text()]
    _check_drawing(figure)
    assert not [t.get_text() for t in shown if t.get_parse_math()]  # a name is no formula
    letters = set("".join(t.get_text() for t in shown)) - {"\n"}
    assert {c for c in letters if ord(c) not in _glyphs()} == set()


def test_equal_records_give_equal_bytes() -> None:
    """Of PDF; of SVG, whole reports are compared."""
    names = ("learning_curves", "layers")
    first, second = (drawn_each(names, make_run(everything(NETS[-2:]))) for _ in range(2))
    with styled():
        for name in names:
            one, other = first[name], second[name]
            assert one is not None
            assert other is not None
            assert to_bytes(one, "pdf") == to_bytes(other, "pdf")


def test_forty_networks_have_labels_that_do_not_overlap() -> None:
    figure = drawn_each(["macs_accuracy"], make_run(records(many_nets(40))), laid_out=True)["macs_accuracy"]
    assert figure is not None
    for axes in figure.axes:
        labels = [t for t in axes.texts if t.get_label() == "network"]
        boxes = np.array([t.get_window_extent(renderer(figure)).extents for t in labels])
        assert len(labels) >= 20
        assert overlaps(boxes, boxes).sum() == len(boxes)  # each with itself
        bounds = axes.get_window_extent().extents
        assert (boxes[:, :2] >= bounds[:2] - 1).all()
        assert (boxes[:, 2:] <= bounds[2:] + 1).all()


def said_left_out(axes: Axes) -> int:
    """Return how many labels a panel says it has no room for."""
    (note,) = (t.get_text() for t in axes.texts if t.get_label() == "note")
    return int(note.split(" ")[0])


def test_labels_that_find_no_room_are_counted() -> None:
    figure = canvas(2, 2)
    axes = figure.subplots()
    count = 60
    place_labels(axes, Labels([Point(0.5, 0.5, f"network{i}") for i in range(count)]))
    left_out = said_left_out(axes)
    assert 0 < left_out < count
    assert len(texts(axes)) == count - left_out


def test_networks_on_the_front_are_labelled_first() -> None:
    figure = canvas(2, 2)
    axes = figure.subplots()
    crowd = [Point(0.5, 0.5, f"network{i}", first=i >= 50) for i in range(53)]
    place_labels(axes, Labels(crowd))
    assert {"network50", "network51", "network52"} <= set(texts(axes))


def test_data_sets_are_never_mixed_in_a_panel() -> None:
    seen = [*records(by_name("alexnet", "vgg16")), *records(by_name("lenet5", "zfnet"), dataset="mnist")]
    figure = drawn("macs_accuracy", make_run(seen))
    assert figure is not None
    by_title = {axes.get_title("left"): sorted(texts(axes)) for axes in figure.axes}
    assert by_title == {
        "Top-1 as published, 1000 classes": ["alexnet", "vgg16", "zfnet"],
        "Top-1 on cifar10, 8 epochs, std v1": ["alexnet", "vgg16"],
        "Top-1 on mnist, 8 epochs, std v1": ["lenet5", "zfnet"],
    }


def test_published_accuracies_that_were_tested_in_several_ways_say_so() -> None:
    def tested(*ways: str) -> list[Record]:
        protocol = dict(zip(("alexnet", "vgg16"), ways, strict=True))
        return [
            r.changed(card=replace(r.card, published={**r.card.published, "protocol": protocol[r.card.name]}))
            for r in records(by_name(*protocol))
        ]

    for ways, labels in (
        (("10 crops", "10 crops"), ["alexnet", "vgg16"]),
        (("10 crops", "dense"), ["alexnet (10 crops)", "vgg16 (dense)"]),
    ):
        figure = drawn("macs_accuracy", make_run(tested(*ways)))
        assert figure is not None
        assert [sorted(texts(axes)) for axes in figure.axes] == [labels, ["alexnet", "vgg16"]]
        foot = " ".join(legend.get_title().get_text() for legend in figure.legends)
        assert ("tested in several ways (10 crops, dense)" in foot) == (len(set(ways)) > 1)


def test_an_accuracy_stands_against_the_cost_of_its_own_shape() -> None:
    figure = drawn("throughput_accuracy", make_run(list(records(by_name("alexnet", "vgg16")))))
    assert figure is not None  # timed at 224 px and more, trained at 32 px
    assert [axes.get_title("left") for axes in figure.axes] == ["Top-1 as published, 1000 classes"]
    small = [r.changed(job=replace(r.job, input_size=32)) for r in records(by_name("alexnet", "vgg16"))]
    figure = drawn("throughput_accuracy", make_run(small))
    assert figure is not None
    assert [axes.get_title("left") for axes in figure.axes] == ["Top-1 on cifar10, 8 epochs, std v1"]
    figure = drawn("macs_accuracy", make_run(list(records(by_name("alexnet", "vgg16")))))
    assert figure is not None
    vgg = next(net for net in by_name("vgg16"))
    xs = [x for c in figure.axes[1].collections for x, _ in c.get_offsets().tolist()]  # type: ignore[union-attr]
    assert round(vgg.mmacs * 1e6 * (32 / 224) ** 2) in xs


def test_a_panel_of_one_network_is_not_drawn() -> None:
    lenet = list(records(by_name("lenet5"), dataset="mnist"))
    assert drawn("macs_accuracy", make_run(lenet)) is None
    figure = drawn("macs_accuracy", make_run([*lenet, *records(by_name("alexnet", "vgg16"))]))
    assert figure is not None
    assert len(figure.axes) == 2  # top-1 and top-5, as published of the two


def test_published_accuracies_of_other_tasks_stand_apart() -> None:
    table = pd.DataFrame(
        {
            **dict.fromkeys(("input_size", "published_size", "in_channels", "published_channels"), 3.0),
            "num_classes": [1000.0, 1000.0, 10.0, 10.0],
            "published_classes": [1000.0, 1000.0, 10.0, 10.0],
            "published_top5": [0.9, math.nan, math.nan, math.nan],
            "published_top1": [0.7, 0.72, 0.93, 0.94],
            "precision": ["fp32", "bf16", math.nan, "int8"],  # of what was counted alone none is known
            **dict.fromkeys(("accuracy", "dataset", "recipe", "epochs"), math.nan),
        }
    )
    assert [(kind.title, kind.rows["value"].tolist()) for kind in accuracies(table)] == [
        ("Top-1 as published, 10 classes", [0.93]),
        ("Top-1 as published, 1000 classes", [0.7, 0.72]),
    ]
    table.loc[1, ["published_top1", "published_top5"]] = math.nan, 0.91  # with nothing else
    for most, kinds in ((1, ["Top-1"]), (2, ["Top-1", "Top-5"])):
        ours = [kind for kind in accuracies(table, most) if "1000" in kind.title]
        assert [kind.title.partition(" as")[0] for kind in ours] == kinds
    assert ours[1].rows["value"].tolist() == [0.9, 0.91]


def test_ends_of_intervals_widen_a_range_up_to_its_own_size() -> None:
    assert reached([1.0, 4.0], [1e-6, 2.0, 1e3], logarithmic=True) == [1.0, 4.0, 0.25, 2.0, 16.0]
    assert reached([2.0, 4.0], [-100.0, 3.0, 100.0], logarithmic=False) == [2.0, 4.0, 0.0, 3.0, 6.0]
    assert reached([5.0], [0.0, 100.0, math.nan], logarithmic=True) == [5.0, 5 / 3, 15.0]
    assert reached([math.nan, 0.0], [1.0], logarithmic=True) == []


def test_front_is_a_staircase() -> None:
    falling, rising = [0.9, 0.8, 0.5], [0.5, 0.8, 0.9]
    assert steps([1.0, 2.0, 4.0], falling, "higher") == [(1, 0.9), (1, 0.8), (2, 0.8), (2, 0.5), (4, 0.5)]
    assert steps([1.0, 2.0, 4.0], rising, "lower") == [(1, 0.5), (2, 0.5), (2, 0.8), (4, 0.8), (4, 0.9)]


def test_bars_are_sorted_with_the_best_on_top() -> None:
    for name, first in (("latency_forest", "lenet5"), ("throughput_bars", "lenet5")):
        figure = drawn(name, make_run(records(by_name("vgg16", "lenet5", "resnet50"))))
        assert figure is not None
        (axes,) = figure.axes
        assert axes.yaxis_inverted()
        assert axes.get_yticklabels()[0].get_text() == first


@pytest.mark.parametrize(
    ("names", "scale"), [(("vgg16", "resnet50"), "linear"), (("lenet5", "resnet152"), "log")]
)
def test_wide_ranges_are_points_on_a_logarithmic_axis(names: tuple[str, str], scale: str) -> None:
    figure = drawn("throughput_bars", make_run(records(by_name(*names))))
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xscale() == scale
    assert len(axes.patches) == (len(names) if scale == "linear" else 0)
    if scale == "linear":
        assert axes.get_xlim()[0] == 0


def test_more_bars_than_fit_are_said_to_be_left_out() -> None:
    figure = drawn("latency_forest", make_run(records(many_nets(70))))
    assert figure is not None
    (axes,) = figure.axes
    assert "the 40 best of 70" in axes.get_title("left")
    assert len(axes.get_yticks()) == 40


def test_machines_have_panels_of_their_own() -> None:
    runs = [
        make_run(records(by_name("vgg16", "resnet50"), device), name=device) for device in ("cpu", "cuda")
    ]
    figure = drawn("throughput_bars", *runs)
    assert figure is not None
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == [
        "AMD EPYC 9654 96-Core Processor, fp32, batch 64",
        "NVIDIA H100 80GB HBM3, fp32, batch 64",
    ]


def test_learning_curve_is_the_mean_in_a_band_of_all_seeds() -> None:
    net = by_name("resnet18")[0]
    seen = [scored(net, seed, by_epoch=curve) for seed, curve in enumerate([(0.5, 0.8), (0.6, 0.9)])]
    figure = drawn("learning_curves", make_run(seen))
    assert figure is not None
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [(1, (0.5 + 0.4) / 2), (2, (0.2 + 0.1) / 2)])
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((0.1, 0.5))


def test_diverged_training_has_no_curve() -> None:
    net = by_name("resnet18")[0]
    seen = scored(net, 0, by_epoch=(0.5, 0.1)).changed(status="diverged")
    assert drawn("learning_curves", make_run([seen])) is None


def test_throughput_by_batch_needs_two_batches() -> None:
    net, rng = by_name("resnet18")[0], random.Random(0)
    seen = [record(job(net, "infer", **speed(batch_size=b)), net, stepped(net, b, rng)) for b in (1, 8)]
    figure = drawn("throughput_batch", make_run(seen))
    assert figure is not None
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [1, 8])
    assert drawn("throughput_batch", make_run(seen[:1])) is None


def test_a_network_far_from_all_others_has_a_panel_of_its_own() -> None:
    rng = random.Random(0)
    rates = [1_000_000.0, 9_000.0, 5_000.0, *(900.0 - 10 * i for i in range(10))]
    nets = [
        replace(NETS[1], name=f"n{i}", family=f"f{i}", images_per_s=rate, latency_ms=1000 / rate)
        for i, rate in enumerate(rates)
    ]
    seen = [
        record(job(net, "infer", **speed(batch_size=b)), net, stepped(net, b, rng))
        for net in nets
        for b in (1, 8)
    ]
    figure = drawn("throughput_batch", make_run(seen))
    assert figure is not None
    panels = {axes.get_title("left").split(" ")[0]: len(axes.lines) for axes in figure.axes}
    assert [len(axes.lines) for axes in figure.axes] == [1, 6, 6]  # of twelve, two panels of six
    assert list(panels) == ["n0", "others"]


def test_many_ways_of_running_are_reduced_to_the_commonest() -> None:
    rng = random.Random(0)
    ways = [{"precision": p, "threads": t} for p in ("fp32", "bf16", "fp16") for t in range(1, 8)]
    asked = [
        (net, batch, job(net, "infer", **speed(batch_size=batch, **way)))
        for way in ways
        for net in (NETS[1:4] if way == ways[4] else NETS[1:3])
        for batch in (1, 8, 9, 64)
    ]
    figure = drawn(
        "throughput_batch", make_run([record(j, net, stepped(net, b, rng)) for net, b, j in asked])
    )
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_title("left") == "NVIDIA H100 80GB HBM3, fp32 (1 of 21 ways)"
    assert texts(axes) == ["vgg11", "zfnet", "alexnet"]
    assert [t.get_text() for t in ticks_in_view(axes)] == ["1", "8", "64"]  # 9 is too near to 8


def test_names_of_more_curves_than_lines_of_text_are_counted() -> None:
    axes = canvas(3, 2).subplots()
    axes.plot([0, 1], [0, 1])
    label_ends(axes, [(1.0, i / 50, f"network{i}") for i in range(50)])
    left_out = said_left_out(axes)
    assert len(texts(axes)) + left_out == 50
    assert left_out > 25


def test_families_keep_their_look_in_all_figures() -> None:
    families = [f"family{i}" for i in range(60)]
    assert len(set(looks(families).values())) == len(families)
    assert len({looks([f])[f] for f in ("plain", "resnet", "vgg")}) == 3
    for some in (["vgg", "resnet"], ["plain", "resnet", "vgg", "lenet"], [*families, "resnet"]):
        assert looks(some)["resnet"] == looks(["resnet"])["resnet"]  # whoever else is there
    assert looks([None, "vgg", math.nan, "vgg"]).keys() == {"other", "vgg"}


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("background", ["#ffffff", "#161b22"])
def test_colours_have_contrast_on_light_and_dark(colour: str, background: str) -> None:
    low, high = sorted([luminance(colour), luminance(background)])
    assert (high + 0.05) / (low + 0.05) >= 3


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (2e10, "MAC", "20 GMAC"),
        (5e-4, "s", "500 µs"),
        (1000, "1", "1 k"),
        (0.925, "%", "92.5 %"),
        (0, "1", "0"),
    ],
)
def test_ticks_carry_their_unit(value: float, unit: str, text: str) -> None:
    assert tick(value, unit) == text


def test_long_labels_keep_their_end() -> None:
    shown = drawable("some/long/path/to/where/my_net.py:Net(width=2)", limit=30)
    assert len(shown) == 30
    assert shown.endswith("my_net.py:Net(width=2)"[-19:])
    assert drawable("網\N{RIGHT-TO-LEFT OVERRIDE}") == "\N{REPLACEMENT CHARACTER}" * 2


_FILL = re.compile(r"fill: #(\w{6})(?:; fill-opacity: ([\d.]+))?")


@pytest.mark.parametrize("name", ["speedup_matrix", "layer_icicle", "confusion"])
def test_no_cell_of_a_figure_is_nearly_white_on_a_dark_page(
    name: str, all_drawn: dict[str, Drawing | None]
) -> None:
    """There its text is, too: the greys of axes and texts follow the page, and other colours do not."""
    figure = all_drawn[name]
    assert figure is not None
    with styled():
        shown = inline(to_bytes(figure, "svg"), name)
    fills = [(to_rgb(f"#{colour}"), float(opacity or 1)) for colour, opacity in _FILL.findall(shown)]
    assert fills
    for colour, opacity in fills:
        assert opacity * min(colour) < 0.75


@settings(max_examples=3, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=8, unique=True))
def test_any_name_is_drawn_as_it_is_shown(names: list[str]) -> None:
    """In a figure that has the names at its ticks; whole reports have them in all others."""
    nets = [replace(net, name=name, family=name) for net, name in zip(NETS[2:], names, strict=False)]
    timed = [
        record(job(net, "infer", **speed()), net, [measured("latency", (net.latency_ms * 1e-3,) * 6)])
        for net in nets
    ]
    figure = drawn("latency_forest", make_run(timed))
    assert figure is not None
    with styled():
        ET.fromstring(to_bytes(figure, "svg"))
    assert sorted(t.get_text() for t in figure.axes[0].get_yticklabels()) == sorted(map(drawable, names))


coordinates = st.tuples(st.floats(0, 300), st.floats(0, 200))


@given(st.lists(coordinates, min_size=1, max_size=25), st.floats(0, 20))
@settings(max_examples=30, deadline=None)
def test_boxes_never_overlap_and_stay_inside(places: list[tuple[float, float]], halo: float) -> None:
    count = len(places)
    layout = _LabelLayout(
        centres=np.array(places),
        sizes=np.tile([40.0, 10.0], (count, 1)),
        radii=np.full(count, 3.0),
        halos=np.full(count, halo),
        bounds=np.array([0.0, 0.0, 300.0, 200.0]),
        on_lines=np.zeros((0, 2)),
        first=np.zeros(count, dtype=bool),
    )
    layout.solve()
    boxes = np.array(list(layout.placed.values())).reshape(-1, 4)
    assert overlaps(boxes, boxes).sum() == len(boxes)
    assert (boxes >= 0).all()
    assert (boxes[:, 2:] <= [300, 200]).all()
    assert set(layout.leaders) <= set(layout.placed)


def test_a_lone_label_is_right_of_its_point() -> None:
    layout = _LabelLayout(
        centres=np.array([[50.0, 50.0]]),
        sizes=np.array([[20.0, 10.0]]),
        radii=np.array([3.0]),
        halos=np.array([0.0]),
        bounds=np.array([0.0, 0.0, 100.0, 100.0]),
        on_lines=np.zeros((0, 2)),
        first=np.array([False]),
    )
    layout.solve()
    np.testing.assert_allclose(layout.placed[0], [50 + 3 + 3, 45, 50 + 3 + 3 + 20, 55])
    assert layout.leaders == {}


def test_overlaps_and_distances_by_hand() -> None:
    boxes = np.array([[0.0, 0.0, 2.0, 2.0], [2.0, 0.0, 4.0, 2.0]])
    others = np.array([[1.0, 1.0, 3.0, 3.0]])
    assert overlaps(boxes, others).tolist() == [[True], [True]]
    assert overlaps(boxes, boxes).tolist() == [[True, False], [False, True]]
    assert _distances(boxes, np.array([[5.0, 6.0], [1.0, 1.0]])).tolist() == [
        [5.0, 0.0],
        [math.hypot(1, 4), 1.0],
    ]


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=12), st.floats(1, 8))
def test_spread_keeps_order_and_gaps(wanted: list[float], gap: float) -> None:
    heights = _spread(np.array(wanted), gap, 0.0, 100.0)
    order = np.argsort(wanted, kind="stable")
    assert (np.diff(heights[order]) >= gap - 1e-9).all()
    assert heights.min() >= -1e-9


def test_spread_leaves_alone_what_is_apart_and_centres_what_is_not() -> None:
    np.testing.assert_allclose(_spread(np.array([10.0, 50.0]), 5, 0, 100), [10, 50])
    np.testing.assert_allclose(_spread(np.array([50.0, 50.0, 50.0]), 10, 0, 100), [40, 50, 60])
