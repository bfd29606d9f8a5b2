"""Where the time goes, as it is read: tables, differences and traces of records that are made."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import figure_records
import numpy as np
import pytest
from figure_records import LAYERS, ceiling, layer_records
from make_records import NETS, make_run

from bench.analysis._layer_processes import Process, levelled_of
from bench.analysis.frame import to_frame
from bench.analysis.layer_differences import (
    foremost,
    layer_differences,
    place_of_difference,
    whole_difference,
)
from bench.analysis.layer_trace import trace_events
from bench.analysis.layers import Layer, LayerTable
from bench.report.tables import layer_times as forms
from bench.stats.samples import levels
from reports import drawn_each


def tables(*records: Any, depth: int | None = None) -> list[LayerTable]:
    return LayerTable.in_frame(to_frame([make_run(records)]), depth)


def table(depth: int | None = None, processes: int = 3, **settings: Any) -> LayerTable:
    (made,) = tables(
        ceiling(peak=1e11, bandwidth=1e10), *layer_records(NETS[0], processes, **settings), depth=depth
    )
    return made


SHOWN = {"stem": 2e-3, "stages.0": 4e-4, "stages.0.conv": 3e-3, "head": 1e-3}
MIDDLE = 1.01  # of three processes, each a hundredth slower than the one before


def test_layers_with_an_interval_over_processes_and_what_lies_between() -> None:
    made = table()
    times = {layer.name: layer.time for layer in made.layers if layer.kind != "group"}
    assert {name: time.estimate for name, time in times.items()} == pytest.approx(
        {name: MIDDLE * s for name, s in SHOWN.items()}
    )
    assert all(time.n == 3 and time.low < time.estimate < time.high for time in times.values())
    assert made.explained == pytest.approx(1 / 1.1)
    assert made.between_s == pytest.approx(made.network.estimate * (1 - 1 / 1.1))
    assert [layer.kind for layer in made.layers] == ["layer", "functions", "layer", "layer", "group"]
    short = made.layers[-1]
    assert (short.name, short.type) == ("2 below 1 µs each", "Dropout ×1, Identity ×1")
    assert short.time.estimate == pytest.approx(MIDDLE * 9e-7)


def test_a_module_that_takes_long_without_an_operator_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = [(*row[:-1], 1e-3) if row[0] == "stages" else row for row in LAYERS]
    monkeypatch.setattr(figure_records, "LAYERS", slow)
    (stages,) = (layer for layer in table().layers if layer.name == "stages")
    assert (stages.kind, stages.type, stages.time.estimate) == (
        "functions",
        "Sequential",
        pytest.approx(MIDDLE * 1e-3),
    )
    assert [layer.name for layer in table(depth=1).layers][:3] == ["stem", "stages", "head"]


def test_what_modules_free_between_their_layers_is_a_row_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network itself and `stages` run no operator; they call three modules and one, in four and two stretches."""
    inner = {0: 4e-6 + 1e-4, 2: 2e-6 + 8e-5}
    own = [(*row[:-1], inner.get(i, row[-1])) for i, row in enumerate(LAYERS)]
    assert [i for i, (_, _, _, leaf, *_, operators, _) in enumerate(LAYERS) if not (leaf or operators)] == [
        0,
        2,
    ]
    assert table().layers[-1].kind == "group"
    monkeypatch.setattr(figure_records, "LAYERS", own)
    made, folded = table(), table(depth=1)
    told = made.layers[-1]
    assert (told.kind, told.name) == ("inner", "inside 2 modules, between their layers")
    assert told.times == pytest.approx([1.86e-4 * (1 + i / 100) - 6e-6 for i in range(3)])
    assert made.explained == pytest.approx(1 / 1.1 + told.time.estimate / made.network.estimate)
    assert repr(folded.layers[-1]) == repr(told)  # NaN, equal to no other, is in it
    row = next(row for row in forms.layer_times_document(made).table.rows if row[0].text.startswith("inside"))
    assert row[1].text == "waiting for launching"
    assert table(device="cpu").layers[-1].type == "freeing memory"


def test_one_process_says_so() -> None:
    made = table(processes=1)
    assert "one process" in made.layers[0].time.note
    assert any("one process" in line for line in forms.layer_times_document(made).notes)


def test_modules_that_are_not_opened_come_to_their_layers() -> None:
    whole, top, blocks = (table(depth) for depth in (None, 1, 2))
    assert [layer.name for layer in top.layers] == ["stem", "stages", "head"]
    assert [layer.kind for layer in blocks.layers] == ["layer", "module", "layer"]
    assert top.layers[1].time.estimate == pytest.approx(MIDDLE * (4e-4 + 3e-3 + 9e-7))
    assert top.layers[1].macs == 200_000_000
    for made in (top, blocks):
        assert made.explained == pytest.approx(whole.explained)
        for key in ("macs", "bytes", "parameters"):
            assert sum(getattr(x, key) for x in made.layers) == sum(getattr(x, key) for x in whole.layers)


def test_what_bounds_a_layer_is_the_longest_of_its_limits() -> None:
    made = {layer.name: layer for layer in table().layers}
    conv, functions, head = made["stem"], made["stages.0"], made["head"]
    assert conv.limits == pytest.approx({"compute": 1e8 / 1e11, "memory": 4e6 / 1e10, "launching": 0.0})
    assert (conv.bound, functions.bound, head.bound) == ("compute", "memory", "memory")
    assert conv.roofline_share == pytest.approx(1e-3 / (MIDDLE * 2e-3))
    assert conv.rate == pytest.approx(1e8 / (MIDDLE * 2e-3))
    assert head.bandwidth == pytest.approx(4.1e6 / (MIDDLE * 1e-3))


def test_without_ceilings_nothing_is_said_to_bound_a_layer() -> None:
    (made,) = tables(*layer_records(NETS[0]))
    assert {layer.bound for layer in made.layers} == {""}
    assert math.isnan(made.utilisation)
    shown = forms.layer_times_document(made).table
    assert {row[-1].text for row in shown.rows} == {"–"}


def test_on_a_cpu_launching_alone_is_no_verdict_where_no_ceiling_was_measured() -> None:
    (made,) = tables(*layer_records(NETS[0], device="cpu", threads=1))
    launched = next(layer for layer in made.layers if layer.name == "stem")
    assert launched.limits["launching"] > 0
    assert {layer.bound for layer in made.layers} == {""}
    document = forms.layer_times_document(made)
    assert document.title.endswith("cpu, 1 thread")
    assert any("What bounds a layer is not known" in note for note in document.notes)


def test_ceilings_below_what_was_attained_are_in_doubt_and_so_are_disturbed_ones() -> None:
    sound = table()
    assert "above_roofline" not in sound.flags
    assert sound.ceilings.doubts == ()
    rate = sound.macs / sound.network.estimate
    for share, flags in ((0.99, ("above_roofline",)), (1.01, ())):
        disturbed = ceiling(peak=rate * share, bandwidth=1e12, flags=["contended", "stolen"])
        (made,) = tables(disturbed, *layer_records(NETS[0]))
        assert made.utilisation == pytest.approx(1 / share)
        assert tuple(flag for flag in made.flags if flag == "above_roofline") == flags
        notes = forms.layer_times_document(made).notes
        assert any("more than all" in note for note in notes) == bool(flags)
        assert any("model FLOPs utilisation" in note for note in notes) != bool(flags)
        (of_ceilings,) = (note for note in notes if "of the machine's ceilings" in note)
        assert of_ceilings.startswith("In doubt, of the machine's ceilings: contended, stolen; ")


def test_of_a_rest_within_the_doubt_of_the_whole_nothing_is_said() -> None:
    made = table()
    assert not any("nothing is certain of it" in note for note in forms.layer_times_document(made).notes)
    noisy = replace(made, network=replace(made.network, low=0.5 * made.network.estimate))
    (told,) = (note for note in forms.layer_times_document(noisy).notes if note.startswith("Between layers"))
    assert told.endswith("nothing is certain of it.")


def test_what_is_computed_again_is_no_use_of_the_machine() -> None:
    whole, again = table(), 10**7
    (one,) = layer_records(NETS[0], processes=1)
    one.measurements[1].detail["rows"][1].append(again)
    (made,) = tables(ceiling(peak=1e11, bandwidth=1e10), one)
    assert (made.macs, made.again_macs) == (whole.macs, again)
    assert made.utilisation == pytest.approx((whole.macs - again) / made.network.estimate / 1e11)
    assert any("10.0 MMAC of them again" in note for note in forms.layer_times_document(made).notes)


def test_forms_hold_the_same_numbers_and_add_up() -> None:
    made = table()
    shown = forms.layer_times_document(made).table
    assert {len(row) for row in shown.rows} == {len(shown.heads)}
    assert [row[0].text for row in shown.rows[-2:]] == ["between layers", "Total"]
    shares = [float(row[4].text) for row in shown.rows[:-1]]
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares))
    read = list(csv.DictReader(io.StringIO(forms.layer_times_document(made).csv)))
    assert [float(row["time_s"]) for row in read[:-2]] == [layer.time.estimate for layer in made.layers]
    assert sum(float(row["time_s"]) for row in read[:-1]) == pytest.approx(float(read[-1]["time_s"]))
    assert sum(float(row["share"]) for row in read[:-1]) == pytest.approx(float(read[-1]["share"])) == 1
    assert all(None not in row.values() for row in read)
    plain = json.loads(json.dumps(forms.layer_times_document(made).values, allow_nan=False))
    assert plain["explained_share"] == pytest.approx(1 / 1.1)
    assert [layer["name"] for layer in plain["layers"]] == [layer.name for layer in made.layers]


def test_a_layer_that_is_slower_is_named_first_and_for_certain() -> None:
    slow, fast = tables(*layer_records(NETS[0], 5, slower=1.5), *layer_records(NETS[1], 5))
    first, *others = layer_differences(slow, fast)
    assert first.of is not None
    assert first.of.name == "head"
    assert first.effect.estimate == pytest.approx(0.5e-3 * 1.02)
    assert first.certain
    assert not any(d.certain for d in others)
    shown = forms.differences_document(slow, fast)
    words = shown.notes
    assert words[0].startswith("lenet5 takes 561 µs more than alexnet (+")
    assert "the largest: head +510 µs" in words[1]
    assert len(shown.table.rows) == len(slow.layers) + 1
    (one, *_) = forms.differences_json(slow, fast)
    assert (one["of"], one["against"], one["certain"]) == ("head", "head", True)


def test_where_there_is_no_room_for_all_the_certain_differences_have_it() -> None:
    slow, fast = tables(*layer_records(NETS[0], 5, slower=1.5), *layer_records(NETS[1], 5))
    stem, *others = slow.layers
    times = tuple(s + 20e-3 * disturbed for s, disturbed in zip(stem.times, (0, 0, 0, 0, 1), strict=True))
    every = layer_differences(with_layers(slow, replace(stem, times=times), *others), fast)
    names = [[d.of.name for d in foremost(every, most) if d.of] for most in (1, 2)]
    assert names == [["head"], [stem.name, "head"]]


def test_doubts_about_the_times_of_two_networks_are_told_beside_their_difference() -> None:
    slow, fast = tables(*layer_records(NETS[0], 5, slower=1.5), *layer_records(NETS[1], 5))
    assert not any("In doubt" in line for line in forms.differences_document(slow, fast).notes)
    slow, fast = (
        replace(slow, flags=("contended", "above_roofline")),
        replace(fast, flags=("contended", "noisy")),
    )
    whole, *_, first, second = forms.differences_document(slow, fast).notes
    assert whole.startswith("lenet5 takes 561 µs more than alexnet (")
    assert whole.endswith("; in doubt: contended, noisy).")
    assert first.startswith("In doubt, of lenet5, alexnet: contended: other work")
    assert second.startswith("In doubt, of alexnet: noisy: ")


def test_a_larger_difference_that_one_process_makes_uncertain_stays_first() -> None:
    slow, fast = tables(*layer_records(NETS[0], 5, slower=1.5), *layer_records(NETS[1], 5))
    stem, *others = slow.layers
    times = tuple(s + 20e-3 * disturbed for s, disturbed in zip(stem.times, (0, 0, 0, 0, 1), strict=True))
    slow = with_layers(slow, replace(stem, times=times), *others)
    shown = forms.differences_document(slow, fast)
    assert [row[0].text for row in shown.table.rows[:2]] == [stem.name, "head"]
    assert [row[-1].text == "no" for row in shown.table.rows[:2]] == [True, False]
    assert "the largest: head +510 µs" in shown.notes[1]
    assert shown.notes[2].startswith(f"Larger, and not certain: {stem.name} +4.0")  # ms: 20 of one in five


def test_a_difference_of_the_whole_is_told_with_its_interval_and_only_where_it_is_certain() -> None:
    one, other = tables(*layer_records(NETS[0], 5), *layer_records(NETS[1], 5))
    assert one.times == pytest.approx([one.times[0] * (1 + i / 100) for i in range(5)])
    document = forms.differences_document(one, other)
    assert document.notes[0].startswith("Whether lenet5 takes more time than alexnet is not certain: ")
    assert document.table.rows[-1][-1].text == "no"
    slow, fast = tables(*layer_records(NETS[0], 5, slower=3.0), *layer_records(NETS[1], 5))
    whole, total = whole_difference(slow, fast), forms.differences_document(slow, fast).table.rows[-1]
    gap = 1.1 * 2e-3 * 1.02  # of the head, twice as long again, and a tenth between layers
    assert whole.estimate == pytest.approx(gap)
    assert whole.low < gap < whole.high
    assert total[-2].note
    assert total[-1].text.startswith("p ")


@pytest.mark.parametrize(("parts", "told"), [(64, True), (0, False)])
def test_a_module_whose_many_layers_make_the_difference_is_named(parts: int, told: bool) -> None:
    """Each of 64 parts takes 10 µs, in a module that takes 100 µs itself."""
    one, other = tables(*layer_records(NETS[0], 5), *layer_records(NETS[1], 5))
    own = replace(
        one.layers[0], name="down.split", type="Split", kind="functions", path=("down", "down.split")
    )
    own = replace(own, times=tuple(1e-4 * (1 + i / 100) for i in range(5)))
    split = [
        replace(
            own, name=f"{own.name}.{i}", path=(*own.path, f"{own.name}.{i}"), times=(1e-5,) * 4 + (1.1e-5,)
        )
        for i in range(parts)
    ]
    place = place_of_difference(with_layers(one, *one.layers, own, *split), other)
    assert (place is not None) == told
    if place is not None:
        assert (place.module, place.layers) == ("down.split", 65)
        assert place.effect.estimate == pytest.approx(64 * 1.02e-5 + 1.02e-4)
        assert place.effect.low < place.effect.estimate < place.effect.high
    words = forms.differences_document(with_layers(one, *one.layers, own, *split), other).notes[1]
    assert (
        words.startswith(
            "By layers, nearly all of the difference is within down.split, 65 of them together: +755 µs"
        )
        == told
    )


def test_a_module_without_a_counterpart_is_told_as_one() -> None:
    """Of 16 parts none takes as long as what else differs; together they do."""
    one, other = tables(*layer_records(NETS[0], 5), *layer_records(NETS[1], 5))
    own = replace(
        one.layers[0], name="stages.split", type="Split", kind="functions", path=("stages", "stages.split")
    )
    own = replace(own, output=(1, 3), times=(1e-4,) * 5)
    names = [f"stages.split.{i}" for i in range(16)]
    split = [
        replace(own, name=name, type="Part", kind="layer", depth=3, path=(*own.path, name), times=(1e-5,) * 5)
        for name in names
    ]
    below = one.layers[-1]  # all that is short, which has no module
    assert below.path == ()
    slow = with_layers(one, *one.layers[:-1], replace(own, depth=2), *split, below)
    for made in (layer_differences(slow, other), layer_differences(other, slow)):
        (alone,) = (d for d in made if not (d.of and d.against))
        module = alone.of or alone.against
        assert module is not None
        assert (module.name, module.type, module.kind, module.depth) == (
            "stages.split",
            "17 layers",
            "module",
            2,
        )
        assert (module.path, module.output) == (own.path, own.output)
        assert (module.macs, module.bytes) == (17 * own.macs, 17 * own.bytes)
        assert abs(alone.effect.estimate) == pytest.approx(1e-4 + 16 * 1e-5)
        assert len(made) == len(other.layers) + 1
    whole = with_layers(one, replace(own, depth=2), *split)
    assert (
        len(layer_differences(whole, with_layers(other))) == 17
    )  # where nothing is alike, nothing is hidden


def test_layers_that_are_alike_and_differ_for_certain_are_told_as_such() -> None:
    slow, fast = tables(*layer_records(NETS[0], 5, slower=1.5), *layer_records(NETS[1], 5))
    said = "Alike in class, shape and work in both networks: head. "
    assert any(line.startswith(said) for line in forms.differences_document(slow, fast).notes)
    more = [replace(layer, macs=layer.macs + (layer.name == "head")) for layer in slow.layers]
    assert not any(
        "Alike" in line for line in forms.differences_document(with_layers(slow, *more), fast).notes
    )


@pytest.mark.parametrize(("made", "shown"), [(3, 1 / 3), (9, 1.0), (6, 2 / 3)])
def test_a_layer_that_some_passes_call_has_its_time_times_their_share(made: int, shown: float) -> None:
    records = list(layer_records(NETS[0], 3))
    for one in records:
        samples = one.measurements[1].detail["forward_s"]
        place = next(i for i, row in enumerate(LAYERS) if row[0] == "head")
        samples[place] = [s if i < made else 0.0 for i, s in enumerate(samples[place])]
    (found,) = tables(ceiling(peak=1e11, bandwidth=1e10), *records)
    (head,) = (layer for layer in found.layers if layer.name == "head")
    (whole,) = (layer for layer in table().layers if layer.name == "head")
    assert head.times == pytest.approx([shown * s for s in whole.times])
    assert head.rate == pytest.approx(whole.rate)
    words = " ".join(forms.layer_times_document(found).notes)
    assert found.partial == ((("head", pytest.approx(shown)),) if shown < 1 else ())
    assert ("Some passes alone call head in " in words) == (shown < 1)
    assert ("Between layers, " in words) == (shown == 1)


def test_of_one_process_no_layer_is_certain() -> None:
    slow, fast = tables(*layer_records(NETS[0], 1, slower=1.5), *layer_records(NETS[1], 1))
    assert not any(d.certain for d in layer_differences(slow, fast))
    assert "No layer differs for certain" in forms.differences_document(slow, fast).notes[1]


@pytest.mark.parametrize(("slow", "takes"), [(4 / 3, "1.32"), (7, "6.93")])
def test_a_process_that_was_slow_as_a_whole_is_levelled_and_told(slow: float, takes: str) -> None:
    """The third of five, which would be 1.02 times as slow as the first; the median of all is then 1.03."""
    sound, made = table(processes=5), table(processes=5, slow={2: slow})
    assert sound.levelled == ()
    ((number, level),) = made.levelled
    assert (number, level) == (3, pytest.approx(slow * 1.02 / 1.03))
    for layer, usual in zip(made.layers, sound.layers, strict=True):
        assert (layer.name, layer.type) == (usual.name, usual.type)
        assert layer.times == pytest.approx([*usual.times[:2], usual.times[3], *usual.times[3:]])
        assert layer.time.high < 1.1 * usual.time.estimate
    assert made.network.high < 1.1 * sound.network.estimate
    assert made.explained == pytest.approx(sound.explained)
    assert made.between_s == pytest.approx(sound.between_s * 1.03 / 1.02)
    document = forms.layer_times_document(made)
    assert (
        f"Process 3 took {takes} times as long as the others as a whole: its times are divided by that."
        in document.notes
    )
    assert document.values["levelled"] == [{"process": 3, "times": level}]  # type: ignore[index]
    assert not any("as a whole:" in note for note in forms.layer_times_document(sound).notes)


def test_of_a_training_the_backward_pass_is_levelled_too() -> None:
    records = list(layer_records(NETS[0], 5, slow={0: 7.0}))
    for one in records:
        detail = one.measurements[1].detail
        detail |= {"training": True, "backward_s": [[2 * s for s in own] for own in detail["forward_s"]]}
    (made,) = tables(*records)
    assert [number for number, _ in made.levelled] == [1]
    timed = [layer for layer in made.layers if layer.kind != "group"]
    assert [x.backward for x in timed] == pytest.approx([x.time.estimate * 2 / 3 for x in timed])
    assert max(timed[0].times) < 1.1 * min(timed[0].times)


@pytest.mark.parametrize(("processes", "slow"), [(3, {1: 7.0}), (5, {1: 7.0, 2: 7.0}), (5, {1: 1.15})])
def test_it_is_not_where_nobody_can_tell_who_is_slow(processes: int, slow: dict[int, float]) -> None:
    made, sound = table(processes=processes, slow=slow), table(processes=processes)
    assert made.levelled == ()
    stems = (next(x for x in one.layers if x.name == "stem").times for one in (made, sound))
    assert [a / b for a, b in zip(*stems, strict=True)] == pytest.approx(
        [slow.get(process, 1.0) for process in range(processes)]
    )


def test_levels_are_told_by_most_of_what_is_timed() -> None:
    times = np.outer([1e-3, 2e-3, 3e-3, 4e-3], np.ones(5))
    times[0] *= [1, 1, 1, 1, 9]  # one layer of one process
    assert levels(times).tolist() == [1] * 5
    times[:, 1] *= 3
    assert levels(times) == pytest.approx([1, 3, 1, 1, 1])
    assert levels(times[:, :3]).tolist() == [1] * 3
    assert levels(times[:2]).tolist() == [1] * 5  # of two layers one alone would stand for both
    times[:, 1] /= 9
    assert levels(times) == pytest.approx([1, 1 / 3, 1, 1, 1])


def test_two_networks_are_told_apart_although_a_process_was_slow() -> None:
    of, against = tables(*layer_records(NETS[0], 5, slower=1.5, slow={4: 7.0}), *layer_records(NETS[1], 5))
    (certain,) = (d for d in layer_differences(of, against) if d.certain)
    assert certain.of is not None
    assert certain.of.name == "head"
    told = (
        "Process 5 of lenet5 took 7.14 times as long as the others as a whole: its times are divided by that."
    )
    assert forms.differences_document(of, against).notes[-1] == told
    assert forms.differences_document(of, of).notes[-2:] == [told] * 2  # also where no layer differs


def simulated(
    base: LayerTable, rng: np.random.Generator, slow: Sequence[float], longer: int = 0, layers: int = 20
) -> LayerTable:
    """Return a table of layers, the first of them 1.5 times as long, over processes that vary by 3 % as a whole."""
    rows = [[f"l{i}", "Conv2d", 1, None, True, 1, [1], [1, i], i + 1, 1, 1, 0, 0, 0] for i in range(layers)]
    own = np.array([1.5] * longer + [1.0] * (layers - longer)) * np.linspace(1e-4, 1e-3, layers)
    processes = []
    for number, level in enumerate(slow):
        times = own * level * np.exp(0.03 * rng.normal() + 0.01 * rng.normal(size=layers))
        detail = {"rows": rows, "stamp_s": 1e-7 * level, "forward_s": [[s] for s in times.tolist()]}
        processes.append(Process({"replicate": number}, detail, (1.1 * times.sum(),), ()))
    levelled, _ = levelled_of(processes)
    by_layer = zip(*(process.times.values() for process in levelled), strict=True)
    return with_layers(
        base,
        *(
            replace(base.layers[0], name=name, output=(1, i), macs=i, times=times)
            for i, ((name, *_), times) in enumerate(zip(rows, by_layer, strict=True))
        ),
    )


@pytest.mark.parametrize("slow", [4 / 3, 7.0])
def test_layers_that_differ_are_found_although_one_process_of_five_was_slow(slow: float) -> None:
    base, rng, found = table(), np.random.default_rng(0), 0
    for _ in range(20):
        one_slow = rng.permutation([slow, 1.0, 1.0, 1.0, 1.0]).tolist()
        differences = layer_differences(
            simulated(base, rng, one_slow, longer=10), simulated(base, rng, [1.0] * 5)
        )
        found += sum(d.certain for d in differences if d.of and int(d.of.name[1:]) < 10)
    assert found / 20 / 10 >= 0.9


@pytest.mark.parametrize(
    ("share", "slow"), [(0.0, 1.0), (0.05, 4 / 3), (0.05, 7.0), (0.1, 4 / 3), (0.1, 7.0)]
)
def test_of_equal_networks_no_layer_differs_also_where_processes_are_slow(share: float, slow: float) -> None:
    base, rng, pairs = table(), np.random.default_rng(0), 200

    def one() -> LayerTable:
        return simulated(base, rng, np.where(rng.random(5) < share, slow, 1.0).tolist(), layers=10)

    alarms = sum(any(d.certain for d in layer_differences(one(), one())) for _ in range(pairs))
    assert alarms / pairs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / pairs)


def with_layers(made: LayerTable, *layers: Layer) -> LayerTable:
    return replace(made, layers=layers)


@pytest.mark.parametrize(
    ("left", "right", "pairs"),
    [
        ("abc", "abc", {("a", "a"), ("b", "b"), ("c", "c")}),
        ("abxc", "abc", {("a", "a"), ("b", "b"), ("x", None), ("c", "c")}),
        ("ac", "abbc", {("a", "a"), (None, "b"), ("c", "c")}),
    ],
)
def test_layers_are_aligned_around_those_that_are_in_one_alone(
    left: str, right: str, pairs: set[tuple[str | None, str | None]]
) -> None:
    made = table()
    of, against = (
        with_layers(made, *(replace(made.layers[0], name=f"{side}{x}", type=x) for x in text))
        for side, text in (("l", left), ("r", right))
    )
    found = {(d.of and d.of.type, d.against and d.against.type) for d in layer_differences(of, against)}
    assert found == pairs


def test_functions_of_two_networks_are_each_others_whatever_their_classes_are() -> None:
    made = table()
    own, other = (
        replace(made.layers[1], name=name, type=name, depth=0, output=(1, size), macs=size)
        for name, size in (("Mine", 10), ("Theirs", 1000))
    )
    (pair,) = layer_differences(with_layers(made, own), with_layers(made, other))
    assert (pair.of, pair.against) == (own, other)
    assert pair.effect.estimate == 0


def test_what_is_short_in_either_network_is_held_against_each_other() -> None:
    made = table()
    groups = [
        replace(made.layers[-1], name=f"{n} below 1 µs each", type=f"Dropout ×{n}", macs=n) for n in (2, 5)
    ]
    (pair,) = layer_differences(*(with_layers(made, group) for group in groups))
    assert [pair.of, pair.against] == groups


def test_a_trace_nests_calls_as_they_were_made() -> None:
    made = trace_events(table())
    slices = [event for event in made if event["ph"] == "X"]
    spans = {str(e["args"]["module"]): (float(e["ts"]), float(e["ts"]) + float(e["dur"])) for e in slices}  # type: ignore[index, arg-type]
    whole = 1e6 * sum(seconds for *_, seconds in LAYERS)
    assert spans[NETS[0].name] == pytest.approx((0.0, whole))
    for inner, outer in (("stages.0.conv", "stages.0"), ("stages.0", "stages"), ("head", NETS[0].name)):
        assert spans[outer][0] <= spans[inner][0] <= spans[inner][1] <= spans[outer][1] + 1e-6
    starts = [float(str(event["ts"])) for event in slices]
    assert all(a <= b for a, b in pairwise(starts))
    json.dumps({"traceEvents": made}, allow_nan=False)


def test_figures_say_how_many_networks_and_pairs_they_leave_out() -> None:
    """Of six networks four have a panel; of the five pairs with the first one, four."""
    records = [ceiling(peak=1e11, bandwidth=1e10)]
    for net in NETS[:6]:
        records += layer_records(net, 3)
    figures = ("layer_icicle", "layer_scatter", "layer_differences")
    notes = {
        name: drawing and [one.get_title().get_text() for one in drawing.legends]
        for name, drawing in drawn_each(figures, make_run(records)).items()
    }
    networks = ["2 more networks not drawn; the table has all"]
    assert notes == dict(zip(figures, [networks, networks, ["1 more pair not drawn"]], strict=True))


def test_a_legend_has_the_colours_of_the_layers_that_are_drawn() -> None:
    """At 1e11 MAC/s and 1e10 B/s a stem of 2 ms is at half of its bound, a head of 1 ms at 41 %."""
    records = [ceiling(peak=1e11, bandwidth=1e10), *layer_records(NETS[0], 3)]
    drawing = drawn_each(["layer_scatter"], make_run(records))["layer_scatter"]
    assert drawing is not None
    (legend,) = drawing.legends
    points = {line.get_color() for line in drawing.axes[0].lines if line.get_marker() == "o"}
    assert {handle.get_color() for handle in legend.legend_handles} == points
    assert [text.get_text() for text in legend.get_texts()] == [
        "25 % to 50 % of the roofline",
        "50 % and more",
    ]


def test_a_figure_says_which_process_was_slow() -> None:
    records = [*layer_records(NETS[0], 5, slow={4: 7.0}), *layer_records(NETS[1], 5)]
    drawing = drawn_each(["layer_differences"], make_run(records))["layer_differences"]
    assert drawing is not None
    assert [one.get_title().get_text() for one in drawing.legends] == [
        "lenet5: times of process 5, off as a whole, are divided by 7.14"
    ]
