"""Figures of trainings: what they draw is what was recorded, worked out a second way."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from make_records import (
    CIFAR10,
    NETS,
    by_name,
    gradients,
    job,
    keep_outputs,
    make_run,
    outputs_of,
    record,
    records,
    scored,
    trained,
    training,
)
from matplotlib.figure import Figure as Drawing

from bench.analysis.frame import to_frame
from bench.records.job_files import JobFile
from bench.records.outputs import Outputs, save_outputs
from bench.records.record import Measurement, Record, count
from bench.records.store import Run
from bench.report.exports import Results
from bench.report.exports.measurements import _csv
from bench.report.figures._style import freeze, styled, to_bytes
from bench.report.figures.answers import _confusions, _mosaic, _most_confused, _stored_answers
from bench.report.figures.curves import _power
from reports import drawn_each

RESNET18, RESNET34 = by_name("resnet18", "resnet34")


def drawn(name: str, run: Run) -> Drawing | None:
    return drawn_each([name], run)[name]


def must_draw(name: str, run: Run) -> Drawing:
    figure = drawn(name, run)
    assert figure is not None
    return figure


def notes_of(figure: Drawing) -> list[str]:
    return [box.get_title().get_text() for box in figure.legends]


def measured(*seen: Measurement, seed: int = 0, net: object = RESNET18, **changes: object) -> Record:
    return record(job(net, "accuracy", seed=seed, size=32, **training(**changes)), net, seen)


def by_epoch(name: str, values: tuple[float, ...]) -> Measurement:
    return Measurement(
        name=name, unit="1", better="lower", samples=(values[-1],), detail={"by_epoch": list(values)}
    )


def with_norms(norms: list[float], when: str = "start", **changes: object) -> Record:
    detail = {"by_layer": [[f"conv{i}", norm] for i, norm in enumerate(norms)], "images": 256}
    seen = Measurement(
        name=f"gradient_norm_{when}", unit="1", better="neither", samples=(1.0,), detail=detail
    )
    return measured(seen, **changes)


def answers(taken: list[int], labels: list[int], classes: int = 3) -> Outputs:
    return Outputs(
        logits=np.eye(classes, dtype=np.float32)[taken],
        labels=np.array(labels),
        kernels=None,
        class_names=tuple(f"class {k}" for k in range(classes)),
    )


def store(seen: Record, outputs: Outputs, folder: Path) -> Record:
    """Return the record of a training whose outputs are these."""
    content, digest = outputs.encode()
    save_outputs(JobFile.outputs.path(folder, seen.job.id), content)
    top1 = seen.measurements[0]
    told = {**top1.detail, "outputs": f"outputs/{seen.job.id}.npz", "outputs_sha256": digest}
    return seen.changed(measurements=(top1.changed(detail=told),))


# learning curves


def test_training_error_stands_beside_test_error_on_the_same_scale() -> None:
    seen = measured(by_epoch("top1", (0.5, 0.8)), by_epoch("train_error", (0.6, 0.1)))
    test, train = must_draw("learning_curves", make_run([seen])).axes
    np.testing.assert_allclose(test.lines[0].get_xydata(), [(1, 0.5), (2, 0.2)])
    np.testing.assert_allclose(train.lines[0].get_xydata(), [(1, 0.6), (2, 0.1)])
    assert (test.get_ylabel(), train.get_ylabel()) == ("Top-1 test error", "Top-1 training error")
    assert test.get_ylim() == train.get_ylim()


def test_families_of_many_networks_are_drawn_in_pairs() -> None:
    panels = must_draw("learning_curves", make_run(records())).axes
    assert len(panels) % 2 == 0
    assert [a.get_title("left") for a in panels[::2]] == [a.get_title("left") for a in panels[1::2]]
    assert {a.get_ylabel() for a in panels[::2]} == {"Top-1 test error"}


def test_of_many_networks_the_best_of_each_family_are_named() -> None:
    nets = [
        replace(base, name=f"{base.name}_{i}")
        for i in range(15)
        for base in (RESNET18, *by_name("vgg16", "plain18"))
    ]
    seen = [measured(by_epoch("top1", (0.1, 0.5 + i / 100)), net=net) for i, net in enumerate(nets)]
    (axes,) = must_draw("learning_curves", make_run(seen)).axes
    assert {t.get_text() for t in axes.texts} == {"resnet18_14", "vgg16_14", "plain18_14"}
    assert len(axes.collections[0].get_paths()) == len(nets) - 3, "the others, grey"


def test_conditions_without_training_error_come_last_and_alone() -> None:
    both = measured(by_epoch("top1", (0.5, 0.8)), by_epoch("train_error", (0.6, 0.1)))
    alone = scored(RESNET18, 0, by_epoch=(0.5, 0.7), dataset="a_first_one")
    titles = [
        a.get_title("left").split(",")[0] for a in must_draw("learning_curves", make_run([alone, both])).axes
    ]
    assert titles == ["cifar10", "cifar10", "a_first_one"]


def test_network_that_only_diverged_is_named() -> None:
    seen = [
        scored(RESNET18, 0, by_epoch=(0.5, 0.8)),
        scored(RESNET34, 0, by_epoch=(0.5,)).changed(status="diverged"),
    ]
    figure = must_draw("learning_curves", make_run(seen))
    (note,) = figure.legends
    assert note.get_title().get_text() == "Failed, so not drawn · diverged: resnet34"


# accuracy against training time


def timed(net: object, seed: int, top1: float, seconds: float) -> Record:
    seen = scored(net, seed, top1)
    return seen.changed(measurements=(*seen.measurements, count("train_time", seconds, "s")))


def test_accuracy_time_draws_means_against_median_times() -> None:
    seen = [
        timed(RESNET18, seed, *pair) for seed, pair in enumerate([(0.8, 10.0), (0.9, 30.0), (0.88, 11.0)])
    ]
    seen.append(timed(RESNET34, 0, 0.95, 40.0))
    (axes,) = must_draw("accuracy_time", make_run(seen)).axes
    both = [tuple(np.round(p, 9)) for c in axes.containers for p in c.lines[0].get_xydata()]  # type: ignore[union-attr]
    assert sorted(both) == [(11.0, round((0.8 + 0.9 + 0.88) / 3, 9)), (40.0, 0.95)]
    assert axes.get_xlabel() == "Training time, NVIDIA H100 80GB HBM3, fp32"


def test_front_of_training_time_rises_in_steps() -> None:
    times = zip(by_name("alexnet", "vgg16", "resnet18"), (0.8, 0.7, 0.9), (10.0, 20.0, 40.0), strict=True)
    (axes,) = must_draw("accuracy_time", make_run([timed(net, 0, top1, s) for net, top1, s in times])).axes
    (front,) = (line for line in axes.lines if len(line.get_xdata()) == 3)
    np.testing.assert_allclose(front.get_xydata(), [(10, 0.8), (40, 0.8), (40, 0.9)])


# gradients


def test_gradients_are_geometric_means_from_the_last_layer_back() -> None:
    seen = [with_norms([1e-4, 1e-2, 1.0], seed=0), with_norms([1e-6, 1e-2, 4.0], seed=1)]
    (axes,) = must_draw("gradient_depth", make_run(seen)).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [(0, 2.0), (0.5, 1e-2), (1, 1e-5)])
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == pytest.approx((1e-6, 4.0))
    assert axes.get_yscale() == "log"


def test_gradient_of_zero_has_no_point() -> None:
    (axes,) = must_draw("gradient_depth", make_run([with_norms([0.0, math.nan, 1e-3, 1.0])])).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [(0, 1.0), (1 / 3, 1e-3)])
    assert drawn("gradient_depth", make_run([with_norms([0.0, 0.0])])) is None


def test_start_and_end_share_their_scale() -> None:
    rng = random.Random(0)
    seen = measured(gradients(RESNET18, "start", rng), gradients(RESNET18, "end", rng))
    start, end = must_draw("gradient_depth", make_run([seen])).axes
    assert start.get_ylim() == end.get_ylim()
    freeze(start.figure)  # type: ignore[arg-type]
    assert [t.get_text() for t in end.get_xticklabels()] == ["last", "25 %", "50 %", "75 %", "first"]


@pytest.mark.parametrize(("value", "text"), [(1e-5, "10⁻⁵"), (2e-10, "2 × 10⁻¹⁰")])
def test_small_ticks_are_powers(value: float, text: str) -> None:
    assert _power(value) == text


# receptive field


def test_measured_accuracy_stands_against_the_field_of_its_own_shape() -> None:
    seen = [record(job(net), net, [count("receptive_field", 435, "px")]) for net in (RESNET18, RESNET34)]
    for net, field in ((RESNET18, 109), (RESNET34, 227)):
        training = scored(net, 0, 0.9)
        seen.append(
            training.changed(measurements=(*training.measurements, count("receptive_field", field, "px")))
        )
    published, measured = must_draw("field_accuracy", make_run(seen)).axes
    assert fields(published) == [435.0, 435.0]
    assert fields(measured) == [109.0, 227.0]
    assert measured.get_xlabel() == "Receptive field (dashed: the image, 32 px)"
    assert 32.0 in {line.get_xdata()[0] for line in measured.lines}


def fields(axes: object) -> list[float]:
    return sorted(x for c in axes.containers for x in c.lines[0].get_xdata())  # type: ignore[attr-defined]


def test_field_that_was_not_counted_when_training_is_that_of_the_network() -> None:
    seen = [record(job(net), net, [count("receptive_field", 435, "px")]) for net in (RESNET18, RESNET34)]
    seen += [scored(net, 0, 0.9) for net in (RESNET18, RESNET34)]
    assert fields(must_draw("field_accuracy", make_run(seen)).axes[1]) == [435.0, 435.0]


# stored outputs


def test_outputs_column_is_the_absolute_path_of_trainings_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = keep_outputs(make_run(records([RESNET18])), Path("results"))
    frame = to_frame([run])
    paths = frame[frame["task"] == "accuracy"].drop_duplicates("job_id")
    assert paths["outputs"].tolist() == [
        str(tmp_path / "results/outputs" / f"{i}.npz") for i in paths["job_id"]
    ]
    assert frame.loc[frame["task"] != "accuracy", "outputs"].tolist() == [None] * sum(
        frame["task"] != "accuracy"
    )
    assert to_frame([make_run([scored(RESNET18, 0)])])["outputs"].tolist() == [None]
    assert str(tmp_path) not in _csv(Results([run]))


def test_best_training_comes_first_and_its_best_seed_too(tmp_path: Path) -> None:
    tops = {RESNET18: (0.7, 0.9), RESNET34: (0.85, 0.83)}
    seen = [scored(net, seed, top1) for net, seeds in tops.items() for seed, top1 in enumerate(seeds)]
    first, second = _stored_answers(to_frame([keep_outputs(make_run(seen), tmp_path)]))
    assert (first.network, first.accuracy) == ("resnet34", pytest.approx((0.85 + 0.83) / 2))
    assert [Path(path).stem for path, _ in second.files] == [seen[1].job.id, seen[0].job.id]


def test_files_that_are_gone_stale_or_torn_are_passed_over(tmp_path: Path) -> None:
    run = keep_outputs(make_run(scored(RESNET18, seed, 0.9 - seed / 100) for seed in range(4)), tmp_path)
    gone, stale, torn, sound = (JobFile.outputs.path(tmp_path, r.job.id) for r in run.records)
    gone.unlink()
    stale.write_bytes(sound.read_bytes())
    torn.write_bytes(sound.read_bytes()[:100])
    (trained,) = _stored_answers(to_frame([run]))
    (read,) = trained.outputs
    np.testing.assert_array_equal(read.labels, outputs_of(run.records[3]).labels)
    sound.unlink()
    assert drawn("kernels", run) is None
    assert drawn("confusion", run) is None


# kernels


def test_mosaic_scales_each_kernel_about_grey() -> None:
    kernels = np.zeros((3, 1, 2, 2), dtype=np.float32)
    kernels[0, 0] = [[1, -1], [0, 0.5]]
    kernels[1, 0] = [[0.001, 0], [0, 0]]
    image = _mosaic(kernels)
    assert image.shape == (2 * 12 + 6, 2 * 12 + 6, 4)
    np.testing.assert_allclose(image[::6, ::6, 0][:2, :2], [[1, 0], [0.5, 0.75]])
    np.testing.assert_allclose(image[::6, ::6, 0][:2, 3:], [[1, 0.5], [0.5, 0.5]])
    np.testing.assert_allclose(image[::6, ::6, 0][3:, :2], 0.5)  # all zero
    assert not image[12:18].any(), "gaps are clear"
    assert not image[18:, 18:].any(), "there is no fourth kernel"
    np.testing.assert_array_equal(image[..., 0], image[..., 1])


def test_mosaic_of_colours_keeps_channels_apart() -> None:
    kernel = np.array([1.0, 0.0, -1.0], dtype=np.float32).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(_mosaic(kernel)[0, 0], [1, 0.5, 0, 1])


def test_kernels_are_those_of_the_six_best_networks_that_have_some(tmp_path: Path) -> None:
    run = keep_outputs(make_run(scored(net, 0, 0.5 + i / 100) for i, net in enumerate(NETS)), tmp_path)
    best = outputs_of(run.records[-1])
    seen = [*run.records[:-1], store(run.records[-1], replace(best, kernels=None), tmp_path)]
    figure = must_draw("kernels", replace(run, records=tuple(seen)))
    names = [a.get_title("left").split(" ·")[0] for a in figure.axes]
    assert names == [net.name for net in NETS[-2:-8:-1]]
    assert figure.axes[0].get_xlabel() == "cifar10 · 20 kernels, 5 × 5 px, RGB"
    assert notes_of(figure) == ["The 6 most accurate; others begin with such a convolution too"]
    six = replace(run, records=run.records[:6])
    assert notes_of(must_draw("kernels", six)) == []


# confusion


def test_confusion_is_the_share_of_each_true_class_over_all_seeds(tmp_path: Path) -> None:
    taken = [[0, 0, 1, 1], [0, 1, 1, 0]]
    seeds = [answers(each, [0, 0, 0, 1]) for each in taken]
    seen = [store(scored(RESNET18, i, 0.5), each, tmp_path) for i, each in enumerate(seeds)]
    (confusion,) = _confusions(to_frame([replace(make_run(seen), path=tmp_path)]))
    shares = confusion.shares
    np.testing.assert_allclose(shares[:2], [[3 / 6, 3 / 6, 0], [1 / 2, 1 / 2, 0]])
    assert np.isnan(shares[2]).all(), "no test image is of this class"
    assert _most_confused(shares, 5) == [(0, 1), (1, 0)]


def test_confusion_of_the_best_network_names_what_it_takes_for_what(tmp_path: Path) -> None:
    labels = [0] * 10 + [1] * 10 + [2] * 10
    taken = [0] * 10 + [1] * 6 + [2] * 4 + [2] * 9 + [0]
    seen = [store(scored(RESNET18, 0, 25 / 30), answers(taken, labels), tmp_path), scored(RESNET34, 0, 0.5)]
    (axes,) = must_draw("confusion", replace(make_run(seen), path=tmp_path)).axes
    assert axes.get_title("left") == "resnet18 on cifar10 · 83.3 %"
    said = axes.get_xlabel().replace("\N{NO-BREAK SPACE}", " ").replace("\n", " ")
    assert said.endswith("Most often: class 1 as class 2 40.0 %, class 2 as class 0 10.0 %")
    cells = {(t.get_position()[1] - 0.5, t.get_position()[0] - 0.5): t.get_text() for t in axes.texts}
    assert cells == {(0, 0): "100", (1, 1): "60", (1, 2): "40", (2, 2): "90", (2, 0): "10"}


def test_of_many_classes_the_most_confused_are_shown(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(100), 10)
    taken = labels.copy()
    taken[70 * 10 : 70 * 10 + 5], taken[30 * 10] = 71, 99
    outputs = answers(taken.tolist(), labels.tolist(), classes=100)
    run = replace(make_run([store(scored(RESNET18, 0, 0.99), outputs, tmp_path)]), path=tmp_path)
    figure = must_draw("confusion", run)
    freeze(figure)
    names = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert names == ["class 30", "class 70", "class 71", "class 99"]


def test_data_sets_that_have_no_panel_are_counted(tmp_path: Path) -> None:
    seen = [scored(RESNET18, 0, 0.9, dataset=f"set{i}") for i in range(6)]
    figure = must_draw("confusion", keep_outputs(make_run(seen), tmp_path))
    assert len(figure.axes) == 4
    assert notes_of(figure) == ["2 more data sets not drawn"]


def test_each_data_set_has_its_own_best(tmp_path: Path) -> None:
    seen = [scored(RESNET18, 0, 0.9), scored(RESNET34, 0, 0.8), scored(RESNET34, 0, 0.7, dataset="mnist")]
    figure = must_draw("confusion", keep_outputs(make_run(seen), tmp_path))
    assert [a.get_title("left") for a in figure.axes] == [
        "resnet18 on cifar10 · 90.0 %",
        "resnet34 on mnist · 70.0 %",
    ]


@pytest.mark.parametrize("name", ["kernels", "confusion"])
def test_pictures_of_equal_outputs_are_equal_bytes(name: str, tmp_path: Path) -> None:
    run = keep_outputs(make_run([scored(RESNET18, 0, 0.9)]), tmp_path)
    with styled():
        first, second = (to_bytes(must_draw(name, run), "svg") for _ in range(2))
    assert first == second
    assert str(tmp_path).encode() not in first


def test_fixture_reaches_the_accuracy_that_it_is_asked_for() -> None:
    seen = record(
        job(RESNET18, "accuracy", size=32, **training()), RESNET18, trained(RESNET18, 3, random.Random(0))
    )
    outputs = outputs_of(seen, images=4000)
    top1 = seen.measurement("top1")
    assert top1 is not None
    assert np.mean(outputs.logits.argmax(axis=1) == outputs.labels) == pytest.approx(
        top1.samples[0], abs=0.02
    )
    assert outputs.class_names == CIFAR10
