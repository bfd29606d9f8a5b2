"""Figures of cost and speed: what they show, by arithmetic."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from figure_records import (
    ceiling,
    engine_records,
    everything,
    layer_list,
    listed,
    out_of_memory,
    versus_records,
)
from make_records import (
    ENVIRONMENT,
    NETS,
    by_name,
    counted,
    in_processes,
    job,
    make_run,
    record,
    records,
    scored,
    speed,
    stepped,
)
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure as Drawing
from matplotlib.text import Text

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.analysis.versus import speedups
from bench.records.record import Measurement, Record, count
from bench.report.figures import FIGURES
from bench.report.figures._drawing import DrawingOptions, _draw, drawing
from bench.report.figures._layer_lists import layer_lists, weighted_layers
from bench.report.figures._shared import failed_note
from bench.report.figures._style import SURFACE, canvas, renderer, styled
from bench.stats.intervals import Interval
from reports import drawn_each


def drawn(name: str, seen: Iterable[Record]) -> Drawing | None:
    return drawn_each([name], make_run(seen))[name]


def words(figure: Drawing) -> str:
    ticks = [text.get_text() for axes in figure.axes for text in axes.get_yticklabels()]
    return " ".join([*ticks, *(text.get_text() for text in figure.findobj(Text))])


def test_accuracy_stands_against_each_cost_that_was_measured() -> None:
    nets = by_name("vgg16", "resnet50")
    for made, number in ((everything(nets), 3), (records(nets), 2)):  # those of `records` have no energy
        seen = list(made)
        figure = drawn("accuracy_cost", seen)
        assert figure is not None
        axes = [axes.get_xlabel().split(",")[0] for axes in figure.axes]
        assert axes == ["Peak memory", "Energy per image"][: number - 1]
        latency = drawn("latency_accuracy", seen)
        assert latency is not None
        assert [axes.get_xlabel().split(",")[0] for axes in latency.axes] == ["Latency at batch 1"]


def test_the_words_below_a_panel_of_half_a_figure_are_within_it() -> None:
    card = {**ENVIRONMENT["gpu"][0], "name": "A card whose name is as long as those of servers, 80GB HBM3"}
    seen = [
        one.changed(environment={**one.environment, "gpu": [card]})
        for one in everything(by_name("vgg16", "resnet50"))
    ]
    figure = drawn_each(["accuracy_cost"], make_run(seen), laid_out=True)["accuracy_cost"]
    assert figure is not None
    for axes in figure.axes:
        box = axes.xaxis.label.get_window_extent(renderer(figure))
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_the_front_of_a_cost_falls_to_the_left() -> None:
    figure = drawn("latency_accuracy", in_processes(records(by_name("vgg16", "resnet50", "plain34"))))
    assert figure is not None
    (corners,) = (line.get_xydata() for line in figure.axes[0].lines if line.get_linestyle() == "-")
    best = np.asarray(corners)
    assert best[0, 1] == 0.744  # vgg16 is faster at batch 1, and so is plain34 beaten
    assert best[-1, 1] == 0.7715
    assert (np.diff(best, axis=0) >= 0).all()


def test_what_is_in_doubt_is_hollow_and_on_no_front() -> None:
    figure = drawn("latency_accuracy", records(by_name("vgg16", "resnet50", "plain34")))
    assert figure is not None
    latency = figure.axes[0]
    assert not any(line.get_linestyle() == "-" for line in latency.lines)
    marks = [line for line in latency.lines if line.get_marker() not in ("", "None", "_", "|")]
    assert {line.get_markerfacecolor() for line in marks} == {SURFACE}
    assert "Hollow points are in doubt: one process" in words(figure)


def test_words_on_a_bar_that_runs_out_of_its_panel_can_be_read() -> None:
    """A number that is hardly known: its bar goes on below its words, which have a ground."""
    frame = to_frame([make_run(records(by_name("vgg16", "resnet50", "resnet18")))])
    table = compare_table(frame)
    table.loc[table["network"] == "vgg16", "latency_high"] = 50 * table["latency"].max()
    with styled():
        figure = FIGURES.get("latency_forest").draw(table, frame)
    assert figure is not None
    grounded = [text.get_bbox_patch() is not None for text in figure.axes[0].texts]
    assert sorted(grounded) == [False, False, True]


def test_what_failed_is_named_in_each_figure_of_speed() -> None:
    seen = [*everything(by_name("vgg16", "resnet50")), *out_of_memory()]
    names = (
        "throughput_accuracy",
        "latency_accuracy",
        "accuracy_cost",
        "latency_forest",
        "throughput_bars",
        "throughput_batch",
    )
    for name, figure in drawn_each([*names, "roofline"], make_run(seen)).items():
        assert figure is not None
        assert "too_large" in words(figure), name
        assert "out of memory" in words(figure), name


def test_a_network_that_was_measured_after_all_is_not_said_to_have_failed() -> None:
    (net,) = by_name("vgg16")
    late = record(job(net, "infer", **speed(batch_size=512)), net, status="oom")
    figure = drawn("throughput_accuracy", [*records(by_name("vgg16", "resnet50")), late])
    assert figure is not None
    assert "Failed" not in words(figure)
    batches = drawn("throughput_batch", [*records(by_name("vgg16", "resnet50")), late])
    assert batches is not None
    assert "out of memory: vgg16 at 512" in words(batches)


def test_throughput_by_batch_has_one_point_for_all_processes() -> None:
    (net,) = by_name("vgg16")
    steps = {1: (0.010, 0.012, 0.011, 0.014, 0.013), 8: (0.040, 0.043, 0.041, 0.044, 0.070)}
    seen = [
        record(
            job(net, "infer", **speed(batch_size=batch, replicate=number)),
            net,
            [Measurement(name="step_time", unit="s", better="lower", samples=(step,) * 7)],
        )
        for batch, times in steps.items()
        for number, step in enumerate(times)
    ]
    cancelled = record(job(net, "infer", **speed(batch_size=8, replicate=9)), net, status="cancelled")
    figure = drawn("throughput_batch", [*seen, cancelled])
    assert figure is not None
    assert "Failed" not in words(figure)
    (axes,) = figure.axes
    (line,) = axes.lines
    np.testing.assert_allclose(np.asarray(line.get_xydata()), [(1, 1 / 0.012), (8, 8 / 0.043)])
    (band,) = (c for c in axes.collections if isinstance(c, PolyCollection))
    (edge,) = (path.vertices for path in band.get_paths())
    ends = [Interval.over_processes(times) for times in steps.values()]
    expected = [batch / end for batch, i in zip(steps, ends, strict=True) for end in (i.low, i.high)]
    assert {round(y, 6) for _, y in edge} == {round(y, 6) for y in expected}


def test_receptive_fields_in_doubt_are_hollow_and_the_figure_says_why() -> None:
    sound, doubted = by_name("vgg16", "resnet50")
    seen = [record(job(sound), sound, counted(sound))]
    fields = [
        m.changed(flags=("unknown_field",)) if m.name == "receptive_field" else m for m in counted(doubted)
    ]
    for counts, told in ((counted(doubted), False), (fields, True)):
        figure = drawn("field_accuracy", [*seen, record(job(doubted), doubted, counts)])
        assert figure is not None
        faces = {line.get_markerfacecolor() for line in figure.axes[0].lines}
        assert (SURFACE in faces) is told
        assert ("Hollow points are in doubt: unknown field" in words(figure)) is told


def test_fields_of_trainings_are_of_the_shape_that_was_trained() -> None:
    seen = []
    shapes = [("digits", 8, 7), ("cifar10", 32, 31)]
    for net, (dataset, size, field) in product(by_name("resnet18", "resnet34"), shapes):
        for ended in (scored(net, seed, 0.9, dataset=dataset) for seed in range(2)):
            measured = (*ended.measurements, count("receptive_field", field, "px"))
            seen.append(ended.changed(job=replace(ended.job, input_size=size), measurements=measured))
    figure = drawn("field_accuracy", seen)
    assert figure is not None
    places = {
        axes.get_title("left").split(",")[0]: line.get_xdata()[0]
        for axes in figure.axes
        for line in axes.lines
        if line.get_marker() == "X"
    }
    assert places["Top-1 on digits"] == 7
    assert places["Top-1 on cifar10"] == 31


def test_counts_in_doubt_are_hollow() -> None:
    nets = by_name("vgg16", "resnet50")
    first = [m.changed(flags=("uncounted_ops",)) if m.name == "macs" else m for m in counted(nets[0])]
    seen = [record(job(net), net, m) for net, m in zip(nets, (first, counted(nets[1])), strict=True)]
    figure = drawn("macs_accuracy", seen)
    assert figure is not None
    faces = [line.get_markerfacecolor() for line in figure.axes[0].lines]
    assert faces.count(SURFACE) == 1
    assert "Hollow points are in doubt: uncounted ops" in words(figure)


def test_a_long_list_of_failures_says_how_many_more_there_are() -> None:
    note = failed_note(canvas(40, 1), [("oom", f"net{i}") for i in range(11)])
    assert (
        note == f"Failed, so not drawn · out of memory: {', '.join(f'net{i}' for i in range(8))} and 3 more"
    )


def test_intervals_stand_in_words_beside_points() -> None:
    (net,) = by_name("vgg16")
    latency = Measurement(
        name="latency", unit="s", better="lower", samples=tuple((1 + i / 10) * 1e-3 for i in range(7))
    )
    figure = drawn("latency_forest", [record(job(net, "infer", **speed()), net, [latency])])
    assert figure is not None
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [
        "1.3 ms  (1.0 – 1.6)"
    ]  # samples that rise are worth two: their range
    assert not axes.patches


def test_least_error_falls_with_the_years() -> None:
    seen = list(listed(by_name("alexnet", "zfnet", "vgg16", "googlenet", "resnet50")))
    figure = drawn("timeline", seen)
    assert figure is not None
    by_year, by_depth = figure.axes
    (line,) = (line for line in by_year.lines if line.get_linestyle() == "-")
    expected = [
        (2012, 0.407),
        (2013, 0.407),
        (2013, 0.384),
        (2014, 0.384),
        (2014, 0.256),
        (2015, 0.256),
        (2015, 0.2285),
    ]
    np.testing.assert_allclose(np.asarray(line.get_xydata()), expected)
    depths = [x for points in by_depth.lines for x in np.atleast_1d(points.get_xdata())]
    assert depths == [13.0] * 5  # 12 convolutions and a fully connected layer; norms do not multiply
    assert len(drawn("timeline", [record(job(n), n, counted(n)) for n in NETS]).axes) == 1  # type: ignore[union-attr]


def test_a_figure_that_is_drawn_of_two_networks_alone_says_so() -> None:
    """A report of one network named what it had as what the figures need that it left out."""
    nets = by_name("resnet18", "vgg16")
    seen = [*records(nets), *listed(nets)]
    one, two = (make_run(some) for some in ([r for r in seen if r.job.arch == "vgg16"], seen))
    alone, both = (drawn_each(FIGURES.names(), run) for run in (one, two))
    left_out = [name for name, figure in both.items() if figure is not None and alone[name] is None]
    assert {"latency_accuracy", "accuracy_time", "timeline"} <= set(left_out)
    assert [name for name in left_out if "two networks or more" not in FIGURES.get(name).needs] == []


def test_a_year_alone_is_no_timeline() -> None:
    """An own network, or one of a library, has none, so that its run beside ResNet-18 came to one mark."""
    known, other = by_name("vgg16", "resnet18")
    for year, figure in ((2015, True), (None, False)):
        nets = [known, replace(other, year=year)]  # type: ignore[arg-type]
        assert (drawn("timeline", [record(job(n), n, counted(n)) for n in nets]) is not None) is figure


def test_layers_shows_the_largest_network_of_each_family() -> None:
    figure = drawn("layers", listed())
    assert figure is not None
    titles = [axes.get_title("left") for axes in figure.axes[::2]]
    assert titles == [
        "alexnet",
        "zfnet",
        "googlenet",
        "vgg19",
        "plain34",
        "resnet152",
    ]  # seven families; lenet is least
    assert re.search(r"\b\d+ more networks not drawn", words(figure))
    few = drawn("layers", listed(by_name("vgg11", "vgg16", "vgg19")))
    assert few is not None
    assert [axes.get_title("left") for axes in few.axes[::2]] == ["vgg11", "vgg16", "vgg19"]
    assert "not drawn" not in words(few)


def test_the_tallest_layer_is_named_with_its_share() -> None:
    (net,) = by_name("resnet50")
    figure = drawn("layers", listed([net]))
    assert figure is not None
    parameters = figure.axes[1]
    rows = layer_list(net).detail["rows"]
    share = (net.parameters // 2) / sum(row[3] for row in rows)
    assert [t.get_text() for t in parameters.texts] == [f"fc, 12.8 M, {share:.0%}".replace("%", " %")]


@pytest.mark.parametrize(
    "change",
    [
        {"rows": []},
        {"rows": None},
        {"rows": [["short"]]},
        {"columns": ["name"]},
        {"columns": None},
        {"rows": "text"},
    ],
)
def test_a_torn_layer_list_is_left_out(change: dict[str, object]) -> None:
    (net,) = by_name("vgg16")
    good = layer_list(net)
    seen = record(job(net), net, [*counted(net), good.changed(detail={**good.detail, **change})])
    frame = to_frame([make_run([seen])])
    assert layer_lists(frame) == {}
    assert drawn("layers", [seen]) is None


def test_numbers_of_a_layer_list_may_be_missing() -> None:
    (net,) = by_name("vgg16")
    good = layer_list(net)
    rows = [["conv", "Conv2d", "1", None, "many", -1.0, None], ["fc", "Linear", "1", 10, 10, 40, "global"]]
    seen = record(job(net), net, [good.changed(detail={**good.detail, "rows": rows})])
    (table,) = layer_lists(to_frame([make_run([seen])])).values()
    assert table[["parameters", "macs", "activation_bytes"]].to_numpy().tolist() == [[0, 0, 0], [10, 10, 40]]


def test_modules_that_are_listed_whole_have_no_depth() -> None:
    (net,) = by_name("vgg16")
    good = layer_list(net)
    seen = record(job(net), net, [good.changed(detail={**good.detail, "depth": 2})])
    assert weighted_layers(to_frame([make_run([seen])])) == {}


def test_points_are_below_their_roof_by_their_share() -> None:
    seen = [*records(by_name("vgg16", "resnet50")), ceiling(peak=1e14, bandwidth=1e12)]
    figure = drawn("roofline", seen)
    assert figure is not None
    (axes,) = figure.axes
    table = compare_table(to_frame([make_run(seen)]))
    (roof,) = (np.asarray(line.get_xydata()) for line in axes.lines if line.get_linestyle() == "-")
    assert roof[1].tolist() == [1e14 / 1e12, 1e14]
    for _, row in table.iterrows():
        height = min(1e14, row["intensity"] * 1e12)
        shown = np.interp(math.log(row["intensity"]), np.log(roof[:, 0]), np.log(roof[:, 1]))
        assert math.exp(shown) == pytest.approx(height)
        assert row["throughput"] * row["macs"] == pytest.approx(row["roofline_share"] * height)
    assert drawn("roofline", seen[:-1]) is None


def test_engines_stand_in_one_order_and_look_alike_in_each_panel() -> None:
    """They stood in the order in which they happened to run, and two whose looks collide had them by who was there."""
    seen: list[Record] = []
    for net, engines in zip(
        by_name("vgg16", "resnet18"), (["openvino", "onnx", "b"], ["b", "onnx"]), strict=True
    ):
        eager_first = sorted(engine_records(net), key=lambda one: one.job.settings.backend != "eager")
        seen += eager_first[:5]
        for engine in engines:
            seen += [one.changed(job=one.job.with_settings(backend=engine)) for one in eager_first[5:]]
    figure = drawn("engines", seen)
    assert figure is not None
    names = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes]
    assert names == [
        ["eager fp32", "b fp32", "onnx fp32", "openvino fp32"],
        ["eager fp32", "b fp32", "onnx fp32"],
    ]
    one, other = (
        {
            line.get_label(): (line.get_marker(), line.get_color())
            for line in axes.lines
            if line.get_marker() != "None"
        }
        for axes in figure.axes
    )
    assert {name: one[name] for name in other} == other


def test_speedups_are_of_one_batch() -> None:
    before = list(versus_records(by_name("resnet18", "vgg16")))
    after = [
        one.changed(
            job=one.job.with_settings(batch_size=8),
            measurements=tuple(m.changed(samples=tuple(1 / s for s in m.samples)) for m in one.measurements),
        )
        for one in before
    ]

    def table(*parts: list[Record]) -> pd.DataFrame:
        return speedups(to_frame([make_run([one for part in parts for one in part])]))

    assert table(before)["processes"].tolist() == [8] * 4
    pd.testing.assert_frame_equal(table(before, after), table(after))
    pd.testing.assert_frame_equal(table(after, before), table(before))
    assert table(after)["batch_size"].tolist() == [1, 1, 8, 8]


def test_speedups_of_a_pair_are_each_others_inverse() -> None:
    slow, fast = by_name("vgg16", "lenet5")[::-1]
    table = speedups(to_frame([make_run(versus_records([slow, fast]))])).set_index(["quantity", "network"])
    for quantity in ("latency", "step_time"):
        one, other = table.loc[(quantity, fast.name)], table.loc[(quantity, slow.name)]
        assert one["speedup"] * other["speedup"] == pytest.approx(1, rel=1e-3)
        assert one["low"] < one["speedup"] < one["high"]
        assert one["processes"] == 8
    assert table.loc[("latency", fast.name), "speedup"] == pytest.approx(
        slow.latency_ms / fast.latency_ms, rel=0.01
    )
    expected = fast.images_per_s / slow.images_per_s
    assert table.loc[("step_time", fast.name), "speedup"] == pytest.approx(expected, rel=0.01)


def test_matrix_has_a_cell_for_each_pair_and_greys_what_is_undecided() -> None:
    (net,) = by_name("vgg16")
    pair = [net, replace(net, name="copy"), replace(net, name="half", latency_ms=2 * net.latency_ms)]
    figure = drawn("speedup_matrix", versus_records(pair))
    assert figure is not None
    latency, throughput = figure.axes
    assert (latency.get_title("left"), throughput.get_title("left")) == (
        "Latency, batch 1",
        "Throughput, batch 64",
    )
    cells = [t for t in latency.texts if t.get_text().endswith("×")]
    assert len(cells) == 3 * 2
    colours = {t.get_color() for t in cells if t.get_text().startswith(("1.0", "0.99"))}
    assert len(colours) == 1
    assert colours.isdisjoint(t.get_color() for t in cells if t.get_text().startswith(("0.5", "2.0")))


def test_a_matrix_says_how_many_networks_it_leaves_out() -> None:
    (net,) = by_name("vgg16")
    many = [replace(net, name=f"net{i}") for i in range(18)]
    figure = drawn("speedup_matrix", versus_records(many))
    assert figure is not None
    assert figure.axes[0].get_title("left") == "Latency, batch 1, the first 16 of 18 networks"
    assert len(figure.axes[0].get_yticklabels()) == 16


def test_a_run_without_a_comparison_has_no_matrix() -> None:
    frame = to_frame([make_run(records(by_name("vgg16")))])
    assert speedups(frame).empty
    assert speedups(pd.DataFrame(frame.iloc[:0])).empty


def test_only_what_is_wished_is_drawn() -> None:
    frame = to_frame([make_run(records(by_name("vgg16", "resnet50")))])
    table = compare_table(frame)
    options = DrawingOptions(
        names=("throughput_bars", "macs_accuracy"), kinds=("svg", "pdf"), style={"axes.facecolor": "#eeeeee"}
    )
    with drawing(1, options) as run:
        found = run(table, frame)()
    assert [one.name for one in found] == ["macs_accuracy", "throughput_bars"]  # in the order of the page
    assert {tuple(one.files) for one in found} == {("svg", "pdf")}
    assert all(one.files["pdf"].startswith(b"%PDF") for one in found)
    assert b"#eeeeee" in found[0].files["svg"]
    assert b"#eeeeee" not in _draw("macs_accuracy", table, frame).files["svg"]


def test_more_panels_than_a_figure_holds_are_said_to_be_left_out() -> None:
    nets = by_name("vgg16", "resnet50")
    gpus = [f"GPU {i}" for i in range(8)]
    seen = [
        r.changed(environment={**r.environment, "gpu": [{"name": gpu}]}, job=replace(r.job, seed=i))
        for i, gpu in enumerate(gpus)
        for r in records(nets, memory_format=f"format {i}")
    ]
    figure = drawn("throughput_accuracy", seen)
    assert figure is not None
    assert len(figure.axes) == 6
    assert "2 more panels not drawn; the table has all" in words(figure)
    bars = drawn("throughput_bars", seen)
    assert bars is not None
    assert len(bars.axes) == 6


def test_a_failure_of_one_way_of_running_has_a_row_of_its_own() -> None:
    (net,) = by_name("vgg16")
    good = job(net, "infer", **speed(batch_size=8))
    bad = job(net, "infer", **speed(batch_size=8, precision="fp16"))
    seen = [record(good, net, stepped(net, 8, random.Random(0))), record(bad, net, status="unsupported")]
    figure = drawn("throughput_bars", seen)
    assert figure is not None
    (axes,) = figure.axes
    assert [t.get_text() for t in axes.get_yticklabels()] == ["vgg16 · fp32", "vgg16 · fp16"]
    assert "unsupported" in [t.get_text() for t in axes.texts]
