"""The answer that a report opens with: by arithmetic, on tables by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from evaluated import evaluated, right_so_often, run_of
from figure_records import layer_records
from make_records import by_name, in_processes, job, make_run, record, records, scored

from bench.analysis.answers import Answer, _budgets_of, answers
from bench.analysis.comparison import _COLUMNS as COLUMNS
from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.records.store import Run
from bench.report.tables.answers import answers_report, picks_tables, sentences
from bench.report.tables.cells import Cell

UNITED = {"device_name": "card", "device": "cuda", "input_size": 224, "in_channels": 3, "num_classes": 1000}
NOTHING = to_frame([make_run([])])


def row(name: str, ms: float = math.nan, top1: float = math.nan, **more: Any) -> dict[str, Any]:
    """Return a row of the comparison: the interval of the latency is ±1 % of it."""
    ends = {"latency": ms / 1e3, "latency_low": 0.99 * ms / 1e3, "latency_high": 1.01 * ms / 1e3}
    shape = {"published_size": 224, "published_channels": 3, "published_classes": 1000}
    published = {"published_top1": top1, "published_protocol": "1 crop", **shape}
    texts = {column: "" for column in COLUMNS if column.endswith("_flags")}
    return {
        **texts,
        "label": name,
        "network": name,
        "precision": "fp32",
        **UNITED,
        **ends,
        **published,
        **more,
    }


def answered(*rows: dict[str, Any]) -> list[Answer]:
    return answers(pd.DataFrame(rows, columns=list(COLUMNS)), NOTHING)


def of_run(run: Run) -> list[str]:
    frame = to_frame([run])
    return sentences(answers(compare_table(frame), frame))


WHERE = "At 224 px on card in fp32, one image at a time"


def test_the_fastest_is_named_and_what_the_others_gain_on_it() -> None:
    (answer,) = answered(
        row("quick", 10, 0.70), row("good", 20, 0.80), row("best", 80, 0.82), row("worse", 40, 0.75)
    )
    fastest, gains = answer.sentences
    assert fastest == f"{WHERE}, quick is the fastest of 4 at 10.0 ms (9.9 – 10.1)."
    # 10 points for one doubling, against 12 for three
    assert gains == (
        "By top-1, published, good gains 10.0 points on quick for 2.0 times the time, "
        "and best, the most accurate, 12.0 points for 8.0 times the time."
    )
    assert answer.columns == ("latency", "published_top1")


def test_for_each_budget_the_most_accurate_that_holds_it() -> None:
    (answer,) = answered(row("quick", 10, 0.70), row("good", 20, 0.80), row("best", 80, 0.82))
    taken = [(pick.budget, pick.network, pick.doubt) for pick in answer.picks]
    # good has 19.8 to 20.2 ms: on both sides of 20 ms
    assert taken == [
        (0.01, "quick", "none holds it for certain"), (0.02, "quick", "good may hold it, too"),
        (0.03, "good", ""), (0.07, "good", ""), (0.1, "best", ""),
    ]  # fmt: skip
    shown = picks_tables([answer])[0].view
    assert [cell.text for cell in shown.rows[2]] == ["30", "good", "80.0", "20.0", "–"]
    assert [cells[1].best for cells in shown.rows] == [False, False, True, True, True]
    assert shown.rows[2][3] == Cell("20.0", "19.8 – 20.2", 0.02)
    assert (
        picks_tables([answer])[0].title
        == "For a budget: the most accurate, one image at a time, at 224 px on card in fp32"
    )


def test_accuracies_that_the_images_do_not_tell_apart_are_told() -> None:
    """At 0.80 against 0.799 of 50,000 images 1.96 standard errors are 0.00496."""
    (answer,) = answered(row("quick", 10, 0.799), row("good", 20, 0.800), row("slow", 40, 0.801))
    assert answer.sentences[1] == "By top-1, published, none is more accurate than quick for certain."
    assert [pick.network for pick in answer.picks] == [
        "quick",
        "quick",
        "good",
        "slow",
    ]  # 10, 20, 30 and 50 ms
    assert [pick.doubt for pick in answer.picks[2:]] == [
        "as accurate may be quick",
        "as accurate may be quick or good",
    ]


def test_close_times_are_undecided() -> None:
    (answer,) = answered(row("a", 10), row("b", 10.1), row("c", 20))
    assert answer.sentences[0] == (
        f"{WHERE}, the fastest of 3 is undecided between a (10.0 ms (9.9 – 10.1)) and b (10.1 ms (10.0 – 10.2))."
    )


def test_what_is_in_doubt_is_not_crowned_and_what_is_behind_it_is_not_either() -> None:
    noisy = row("a", 5, 0.9, latency_flags="noisy")
    (answer,) = answered(noisy, row("b", 10, 0.7), row("c", 20, 0.8))
    fastest, gains, doubted = answer.sentences
    assert fastest == (
        f"{WHERE}, the fastest of 3 is undecided: a is ahead and in doubt (noisy); "
        "without a doubt the first is b (10.0 ms (9.9 – 10.1))."
    )
    assert gains == "By top-1, published, c gains 10.0 points on b for 2.0 times the time."
    assert doubted == "More accurate still, with a time in doubt: a (90.0 %, noisy)."
    assert {(pick.network, pick.doubt) for pick in answer.picks} == {
        ("a", "none holds it for certain"),
        ("a", "noisy"),
    }


def test_the_first_that_is_sure_is_not_named_where_most_are_ahead_of_it_in_doubt() -> None:
    rows = [row(name, ms, latency_flags="noisy") for name, ms in (("a", 5), ("b", 6))]
    (answer,) = answered(*rows, row("slow", 90))
    assert answer.sentences[0] == (
        f"{WHERE}, no network is the fastest for certain: a (5.00 ms (4.95 – 5.05)) is ahead, and 2 of 3 times are in "
        "doubt (noisy)."
    )


def test_the_most_accurate_is_called_so_where_none_in_doubt_is_more_accurate() -> None:
    rows = [row("quick", 10, 0.70), row("good", 20, 0.80), row("best", 80, 0.82)]
    (answer,) = answered(*rows, row("noisy", 60, 0.81, latency_flags="noisy"))
    assert "best, the most accurate, 12.0 points" in answer.sentences[1]
    assert len(answer.sentences) == 2
    (answer,) = answered(*rows, row("noisy", 60, 0.83, latency_flags="noisy"))
    assert "best, the most accurate of those without a doubt, 12.0 points" in answer.sentences[1]
    assert answer.sentences[2] == "More accurate still, with a time in doubt: noisy (83.0 %, noisy)."


def test_where_all_latencies_are_in_doubt_batches_decide() -> None:
    def both(name: str, ms: float, rate: float, top1: float) -> dict[str, Any]:
        ends = {
            "throughput": rate,
            "throughput_low": rate * 0.99,
            "throughput_high": rate * 1.01,
            "batch_size": 256,
        }
        return row(name, ms, top1, latency_flags="launch_bound", **ends)

    (answer,) = answered(both("a", 1, 20_000, 0.7), both("b", 2, 10_000, 0.8))
    assert answer.sentences == (
        f"{WHERE}, no network is the fastest for certain: a (1.00 ms (0.99 – 1.01)) is ahead, and all 2 times are in "
        "doubt (launch bound).",
        "There, in batches of 256, a is the fastest of 2 at 20,000 images/s (19,800 – 20,200).",
        "By top-1, published, b gains 10.0 points on a for 2.0 times the time.",
    )
    assert answer.columns == ("throughput", "published_top1")
    assert [pick.time for pick in answer.picks] == [1 / 20_000] * 3  # for 50, 70 and 100 µs
    assert [pick.network for pick in answer.picks] == [
        "a",
        "a",
        "a",
    ]  # b's interval lies on both sides of 100 µs
    assert picks_tables([answer])[0].view.heads[0].unit == "µs"


def test_other_sizes_machines_and_shapes_have_answers_of_their_own() -> None:
    others = ({"input_size": 227}, {"device_name": "other"}, {"num_classes": 10}, {"in_channels": 1})
    said = answered(row("a", 10), row("b", 20), *(row(f"alone{i}", 1, **one) for i, one in enumerate(others)))
    assert said[0].sentences[0] == f"{WHERE}, a is the fastest of 2 at 10.0 ms (9.9 – 10.1)."
    (alone,) = said[1].sentences
    assert alone.startswith(
        "Not ranked, as no other has the same input, classes and machine: alone0 at 227 px, 1.00 ms ("
    )
    assert len(said) == 2
    # Those of one size say what else they differ in, as far as they do.
    grey = answered(row("a", 10, in_channels=1), row("b", 20), row("c", 20, input_size=227))
    (alone,) = grey[0].sentences
    assert alone.partition(": ")[2] == (
        "a at 224 px, 1 channel, 10.0 ms (9.9 – 10.1); b at 224 px, 3 channels, 20.0 ms (19.8 – 20.2); "
        "c at 227 px, 20.0 ms (19.8 – 20.2)."
    )


def test_accuracies_tested_otherwise_are_not_compared() -> None:
    rows = (
        row("one", 10, 0.70), row("other", 20, 0.74),
        row("ten", 5, 0.80, published_protocol="10 crops"),
    )  # fmt: skip
    (answer,) = answered(*rows)
    assert answer.sentences[0].startswith(f"{WHERE}, ten is the fastest of 3")
    assert answer.sentences[1] == (
        "By top-1, published, of those tested on 1 crop, other gains 4.0 points on one for 2.0 times the time."
    )
    assert answer.sentences[2:] == ("Tested in other ways, and so not compared with these: ten (10 crops).",)
    assert answer.picks[-1].network == "ten"
    assert answer.picks[-1].doubt == "not compared, tested otherwise: one and other (1 crop)"
    each = answered(rows[0], rows[2])[0].sentences[1]
    assert (
        each
        == "Their accuracies (top-1, published) were each tested in a way of its own, and do not compare: "
        "one (1 crop) and ten (10 crops)."
    )


def test_what_was_trained_here_comes_before_what_is_published() -> None:
    taught = {"dataset": "digits", "recipe": "std v1", "epochs": 4}
    shape = {"trained_size": 224, "trained_channels": 3, "trained_classes": 1000}
    rows = [
        row(name, ms, 0.5, **taught, **shape, accuracy=a, accuracy_low=a - 0.01, accuracy_high=a + 0.01)
        for name, ms, a in (("a", 10, 0.8), ("b", 20, 0.81), ("c", 40, 0.9))
    ]
    (answer,) = answered(*rows)
    assert answer.accuracy == "top-1 on digits, std v1, 4 epochs"
    assert answer.sentences[1] == (
        "By top-1 on digits, std v1, 4 epochs, c gains 10.0 points on a for 4.0 times the time."
    )
    assert answer.picks[2].doubt == "as accurate may be a"  # b at 30 ms, whose interval overlaps that of a
    (other,) = answered(
        *({**r, "trained_size": 32} for r in rows)
    )  # trained in another shape than it was timed in
    assert other.accuracy == "top-1, published"


def test_published_accuracies_are_weighed_against_times_at_nearly_their_size_alone() -> None:
    nets = [row("a", 10, 0.7), row("b", 20, 0.8)]
    for shape, weighed in (
        ({"input_size": 227}, True),
        ({"input_size": 252}, True),  # 9/8 of 224
        ({"input_size": 253}, False),
        ({"input_size": 32}, False),
        ({"in_channels": 1}, False),
        ({"num_classes": 10}, False),
    ):
        (answer,) = answered(*({**net, **shape} for net in nets))
        assert (answer.columns is not None) == weighed, shape


def test_a_published_accuracy_is_none_of_an_engine_that_quantises() -> None:
    (answer,) = answered(
        row("quick", 10, 0.70),
        row("good", 20, 0.80),
        row("best in int8", 5, 0.85, precision="int8"),
    )
    assert answer.sentences == (
        "At 224 px on card, one image at a time, best in int8 is the fastest of 3 at 5.00 ms (4.95 – 5.05).",
        "By top-1, published, good gains 10.0 points on quick for 2.0 times the time.",
    )
    assert answer.left_out == ("best in int8",)


def test_accuracies_of_networks_tell_nothing_of_the_ways_in_which_they_ran() -> None:
    engines = (("onnx", "bf16"), ("eager", "fp32"), ("onnx:dynamic", "int8"))
    ways = {
        (name, i): row(
            f"{name} · {i}", ms * (3 - i), top1, network=name, backend=backend, precision=precision
        )
        for name, ms, top1 in (("small", 10, 0.70), ("large", 20, 0.80))
        for i, (backend, precision) in enumerate(engines)
    }
    (answer,) = answered(*ways.values())  # the fastest of each but for int8
    assert answer.sentences[-1] == (
        "By top-1, published, large · 1 gains 10.0 points on small · 1 for 2.0 times the time."
    )
    taken = [(pick.budget, pick.network) for pick in answer.picks]
    assert taken == [(0.02, "small · 1"), (0.03, "small · 1"), (0.05, "large · 1")]  # which took 40 ms
    assert answer.left_out == ()  # each of the networks has one
    ways["large", 1]["latency_flags"] = "noisy"  # that it may be faster than in another way is not left out
    (answer,) = answered(*ways.values())
    assert not any("gains" in sentence for sentence in answer.sentences)


def test_the_accuracy_of_a_short_training_is_none_of_an_engine_that_quantises() -> None:
    shape = {"trained_size": 224, "trained_channels": 3, "trained_classes": 1000}
    taught = {"dataset": "d", "recipe": "std", "epochs": 1, "accuracy": 0.5, "accuracy_low": 0.4, **shape}
    nets = [row(name, ms, accuracy_high=0.6, **taught) for name, ms in (("a", 10), ("b", 20))]
    assert answered(*nets)[0].accuracy == "top-1 on d, std, 1 epoch"
    assert answered(*({**net, "precision": "int8"} for net in nets))[0].accuracy == ""


def test_networks_without_an_accuracy_are_left_out_by_name() -> None:
    (answer,) = answered(row("a", 10, 0.7), row("b", 20, 0.8), row("net.py:Net", 15))
    assert answer.left_out == ("net.py:Net",)
    assert picks_tables([answer])[0].notes[0].endswith("Left out, without such an accuracy: net.py:Net.")
    (none,) = answered(row("a", 10), row("b", 20))
    assert none.sentences[1].startswith("No two of them have an accuracy")
    assert none.picks == ()


def test_a_network_that_was_timed_layer_by_layer_opens_with_where_its_time_goes() -> None:
    """The whole takes 1.1 times what its layers do, which is 6.4 ms, of the median process a hundredth more."""
    (sentence,) = of_run(make_run(list(layer_records(by_name("resnet18")[0]))))
    begin, _, end = sentence.partition(" ms (")
    assert begin == "resnet18, a forward pass, batch 8 at 224 px in fp32: 7.1"
    assert end.endswith(
        "; the longest of its layers: stages.0.conv (42.6 %), stem (28.4 %) and head (14.2 %)."
    )


def test_a_run_without_times_says_what_there_is() -> None:
    assert answered()[0].sentences == ("There is no record yet.",)
    assert answered(row("a"))[0].sentences == ("Nothing has been measured yet.",)
    (counts,) = answered(row("a", macs=1e9), row("b", macs=2e6))
    assert counts.sentences == (
        "Nothing was timed or trained; 2 networks were counted, from b (2.00 MMAC) to a (1.00 GMAC).",
    )
    (alone,) = answered(row("a", 10))
    assert alone.sentences == ("Timed alone: a at 224 px, 10.0 ms (9.9 – 10.1).",)


def test_training_steps_have_a_sentence() -> None:
    ends = {"train_throughput_low": 99.0, "train_throughput_high": 101.0, "train_batch_size": 32}
    (answer,) = answered(
        row("a", train_throughput=100.0, **ends),
        row(
            "b",
            train_throughput=50.0,
            **{**ends, "train_throughput_low": 49.0, "train_throughput_high": 51.0},
        ),
    )
    assert answer.sentences == (
        "At 224 px on card in fp32, in training steps of 32, a is the fastest of 2 at 100 images/s (99 – 101).",
    )


@pytest.mark.parametrize(
    ("least", "most", "budgets"),
    [
        (0.023, 0.175, [0.03, 0.05, 0.07, 0.1, 0.2]),
        (28e-6, 146e-6, [30e-6, 50e-6, 70e-6, 100e-6, 200e-6]),
        (0.011, 0.013, [0.02]),  # nothing round between
        (0.001, 1.0, [0.001, 0.007, 0.05, 0.2, 1.0]),  # sixteen thinned: the 1st, 5th, 9th, 12th and 16th
    ],
)
def test_budgets_are_round_numbers_of_which_each_network_holds_one(
    least: float, most: float, budgets: list[float]
) -> None:
    found = _budgets_of(least, most)
    assert found == pytest.approx(budgets)
    assert least <= found[0]
    assert most <= found[-1]


def test_the_answer_of_records_is_that_of_the_marks() -> None:
    alone = of_run(make_run(records()))
    assert any("all 12 times are in doubt (one process)" in sentence for sentence in alone)
    sure = of_run(make_run(in_processes(records(by_name("vgg16", "resnet18")))))
    assert "resnet18 is the fastest of 2 at " in sure[0]


def test_trainings_are_ranked_under_equal_conditions_alone() -> None:
    nets = by_name("vgg16", "resnet18", "resnet50")
    quick = [scored(net, s, 0.9 - i / 10 + s / 1000) for i, net in enumerate(nets[:2]) for s in range(3)]
    long = [scored(nets[2], s, 0.95 + s / 1000, epochs=80) for s in range(3)]
    assert of_run(make_run([*quick, *long])) == [
        "Trained on cifar10 (std v1, 8 epochs, 32 px), vgg16 is the most accurate of 2 at 90.1 % (89.9 – 90.3)."
    ]
    few = [scored(nets[2], s, 0.5 + s / 1000, train_images=500) for s in range(3)]
    assert of_run(make_run([*quick, *few])) == of_run(make_run(quick))
    one = of_run(make_run([scored(nets[0], 0, 0.9), *(scored(nets[1], s, 0.8 + s / 1000) for s in range(3))]))
    assert one == [
        "Trained on cifar10 (std v1, 8 epochs, 32 px), the most accurate of 2 is undecided: vgg16 is ahead and in doubt "
        "(no interval); without a doubt the first is resnet18, 80.1 % (79.9 – 80.3)."
    ]
    last = of_run(
        make_run([*(scored(nets[0], s, 0.9 + s / 1000) for s in range(3)), scored(nets[1], 0, 0.8)])
    )
    assert last == [
        "Trained on cifar10 (std v1, 8 epochs, 32 px), the only one of 2 without a doubt is vgg16, 90.1 % (89.9 – 90.3)."
    ]
    assert of_run(make_run([scored(nets[0], 0, 0.9)])) == ["Trained alone: vgg16, 90.0 %."]


def test_what_one_data_set_decides_says_nothing_of_another(tmp_path: Path) -> None:
    many = np.repeat(np.arange(10), 40)
    sets = {"imagefolder:few": many[::40], "imagefolder:many": many}
    records_ = [
        evaluated(tmp_path, name, right_so_often(labels, share, 10), labels, data=data)
        for data, labels in sets.items()
        for name, share in (("good", 0.9), ("poor", 0.5))
    ]
    few, enough = of_run(run_of(tmp_path, *records_))
    assert few.startswith(
        "On imagefolder:few val, good tells the most, 90.0 % (59.6 % to 98.2 %) of 10 images"
    )
    assert few.endswith("that is not certainly more than poor (50.0 % (23.7 % to 76.3 %)).")
    assert enough.endswith("of 400 images right, certainly more than the other one.")


def test_the_terminal_has_sentences_and_tables_and_names_stay_text() -> None:
    (answer,) = answered(row("[bold]a\x1b[31m", 10, 0.7), row("b", 20, 0.8))
    assert "\x1b" not in sentences([answer])[0]
    assert len(answers_report([answer]).renderables) == len(answer.sentences) + 1
    assert len(answers_report([replace(answer, picks=())]).renderables) == len(answer.sentences)


def test_a_network_of_which_no_job_is_timed_needs_no_answer() -> None:
    (net,) = by_name("vgg16")
    assert of_run(make_run([record(job(net), net)])) == ["Nothing has been measured yet."]
