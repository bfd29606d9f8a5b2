"""Plausibility: each rule sees what contradicts itself, and leaves what is sound alone."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from make_records import NETS, by_name, counted, job, make_run, record, records, speed, training

from bench.analysis.accuracy import accuracy_table
from bench.analysis.comparison import compare_table
from bench.analysis.flags import flags_of
from bench.analysis.frame import to_frame
from bench.analysis.plausibility import _RULES, doubts
from bench.analysis.replicates import pooled
from bench.plan.job import Job
from bench.records.flags import FLAGS
from bench.records.record import Measurement, Record, count
from bench.report._summary import summarise
from bench.report.tables._columns import TRAININGS, comparison_view
from bench.report.tables._view import view

VGG16, VGG19, RESNET18, RESNET34 = by_name("vgg16", "vgg19", "resnet18", "resnet34")


def about(name: str, seconds: float, spread: float = 0.001) -> Measurement:
    """Return samples close around a time, whose median is that time."""
    samples = tuple(seconds * (1 + spread * k) for k in range(-5, 6))
    return Measurement(name=name, unit="s", better="lower", samples=samples)


def infer(net: Any, *seen: Measurement, batch: int = 1, **settings: Any) -> Record:
    return record(job(net, "infer", **speed(batch_size=batch, **settings)), net, seen)


def cost(net: Any) -> Record:
    return record(job(net), net, counted(net))


def found(*seen: Record) -> dict[str, list[str]]:
    return doubts(pooled(to_frame([make_run(seen)])))


def flagged(*seen: Record) -> dict[str, dict[str, list[str]]]:
    """Return the flags of each cell of the comparison that a rule has doubts about, by network and column."""
    cells: dict[str, dict[str, list[str]]] = {}
    for row in compare_table(to_frame([make_run(seen)])).to_dict("records"):
        for column in (c.removesuffix("_flags") for c in row if c.endswith("_flags")):
            if flags := [flag for flag in flags_of(row, column) if flag in _RULES]:
                cells.setdefault(row["network"], {})[column] = flags
    return cells


def test_every_rule_is_explained() -> None:
    assert set(_RULES) <= set(FLAGS)


def test_a_sound_run_raises_no_doubt() -> None:
    assert found(*records()) == {}
    assert found() == {}


def test_vgg19_faster_than_vgg16() -> None:
    counts = [cost(VGG16), cost(VGG19)]
    seen = found(*counts, infer(VGG16, about("latency", 0.04)), infer(VGG19, about("latency", 0.03)))
    assert seen == {
        "larger_but_faster": [
            "latency of infer vgg19 224 px batch 1 cuda, 30.0 ms is below that of vgg16 (40.0 ms)"
        ]
    }


@pytest.mark.parametrize(
    ("small", "large", "times", "settings"),
    [
        (VGG16, VGG19, (0.03, 0.04), {}),  # as it should be
        (VGG16, VGG19, (0.0400, 0.0399), {}),  # within the intervals
        (VGG16, VGG19, (0.04, 0.03), {"precision": "bf16"}),  # another precision
        (
            VGG16,
            replace(RESNET34, parameters=10**9, mmacs=1e5, mactivations=99),
            (0.04, 0.03),
            {},
        ),  # another family
        (VGG16, replace(VGG19, parameters=VGG16.parameters), (0.04, 0.03), {}),  # not more of everything
        (VGG16, replace(VGG19, mmacs=VGG16.mmacs * 1.05), (0.04, 0.03), {}),  # hardly more
    ],
)
def test_what_is_no_contradiction(small: Any, large: Any, times: tuple[float, float], settings: Any) -> None:
    seen = [infer(small, about("latency", times[0])), infer(large, about("latency", times[1]), **settings)]
    assert found(cost(small), cost(large), *seen) == {}


@pytest.mark.parametrize(
    ("small", "large", "related"),
    [
        ("my_net.py:Net(width=8)", "my_net.py:Net(width=64)", True),
        ("my_net.py:Net", "other.py:Net", False),
        ("pattern:INPUT -> FC", "pattern:INPUT -> CONV3-8 -> FC", False),
    ],
)
def test_networks_that_say_no_family_are_of_none(small: str, large: str, related: bool) -> None:
    family = "pattern" if small.startswith("pattern:") else "custom"
    one, other = replace(VGG16, name=small, family=family), replace(VGG19, name=large, family=family)
    seen = found(
        cost(one), cost(other), infer(one, about("latency", 0.04)), infer(other, about("latency", 0.03))
    )
    assert ("larger_but_faster" in seen) is related


def test_without_counts_nothing_is_larger() -> None:
    assert found(infer(VGG16, about("latency", 0.04)), infer(VGG19, about("latency", 0.03))) == {}


def test_a_step_that_takes_longer_than_a_call_that_is_waited_for() -> None:
    assert "slower_without_waiting" in found(infer(VGG16, about("latency", 0.010), about("step_time", 0.012)))
    assert found(infer(VGG16, about("latency", 0.010), about("step_time", 0.0101))) == {}


@pytest.mark.parametrize(("calls", "doubted"), [(89, True), (91, False), (None, False)])
def test_energy_over_a_pass_with_pauses(calls: int | None, doubted: bool) -> None:
    """So many calls of 10 ms in a second."""
    detail = {"seconds": 1.0} if calls is None else {"seconds": 1.0, "calls": calls}
    energy = Measurement(name="energy", unit="J", better="lower", samples=(0.2,), detail=detail)
    share = "energy of infer vgg16 224 px batch 1 cuda: the device worked for 89.0 % of the pass"
    expected = {"idle_between": [share]} if doubted else {}
    assert found(infer(VGG16, about("step_time", 0.010), energy)) == expected


def test_a_batch_that_costs_throughput() -> None:
    single = infer(VGG16, about("step_time", 0.010))
    assert found(single, infer(VGG16, about("step_time", 0.10), batch=8)) == {
        "batch_costs_throughput": ["infer vgg16 224 px batch 8 cuda: 80 images/s, 100 at batch 1"]
    }
    assert found(single, infer(VGG16, about("step_time", 0.08), batch=8)) == {}
    assert found(single, infer(VGG16, about("step_time", 0.10), batch=8, threads=1)) == {}


def test_a_backward_pass_that_does_too_little() -> None:
    asked = job(VGG16, "train_step", **speed(batch_size=8))
    for backward, flags in ((0.003, ["backward_too_fast"]), (0.02, []), (0.0034, [])):
        parts = [about("forward", 0.010), about("backward", backward), about("optimizer", 0.001)]
        assert list(found(record(asked, VGG16, parts))) == flags


def test_faster_than_the_machine() -> None:
    settings = {"device": "cuda", "precision": "fp32", "threads": 8}
    asked = Job(task="ceiling", arch="ceiling", input_size=1, settings=settings)
    rates = (("matmul_rate", "MAC/s", 1e12), ("copy_bandwidth", "B/s", 1e15))
    ceiling = record(asked, None, [count(name, value, unit) for name, unit, value in rates])
    work = 8 * round(VGG16.mmacs * 1e6)  # in 0.1 s, with 10^12 MAC a second at most
    seen = [cost(VGG16), infer(VGG16, about("step_time", 0.1), batch=8)]
    assert found(*seen, ceiling) == {
        "above_roofline": [f"throughput of infer vgg16 224 px batch 8 cuda: {100 * work / 0.1 / 1e12:.1f} %"]
    }
    assert found(*seen) == {}
    assert found(cost(VGG16), infer(VGG16, about("step_time", 0.2), batch=8), ceiling) == {}


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_one_slow_process_of_the_ceilings_makes_nothing_faster_than_the_machine(slow: int) -> None:
    """A row at 30 % of what the machine does is at 210 % of what one process did that was slow by seven times."""
    work = 8 * round(VGG16.mmacs * 1e6)

    def of_machine(*, all_slow: bool = False) -> list[Record]:
        made = []
        for process in range(3):
            factor = 7 if all_slow or process == slow else 1
            settings = {"device": "cuda", "precision": "fp32", "threads": 8, "replicate": process}
            rates = (("matmul_rate", "MAC/s", 1e12), ("copy_bandwidth", "B/s", 1e15))
            asked = Job(task="ceiling", arch="ceiling", input_size=1, settings=settings)
            made.append(
                record(asked, None, [count(name, value / factor, unit) for name, unit, value in rates])
            )
        return made

    seen = [cost(VGG16), infer(VGG16, about("step_time", work / 1e12 / 0.3), batch=8)]
    assert found(*seen, *of_machine()) == {}
    assert list(found(*seen, *of_machine(all_slow=True))) == ["above_roofline"]


def test_memory_that_does_not_hold_the_weights() -> None:
    least = 4 * VGG16.parameters
    assert "memory_below_weights" in found(cost(VGG16), infer(VGG16, count("peak_memory", least - 1, "B")))
    assert found(cost(VGG16), infer(VGG16, count("peak_memory", least, "B"))) == {}
    assert found(cost(VGG16), infer(VGG16, count("peak_memory", least / 2, "B"), precision="bf16")) == {}
    shared = count("peak_memory", 1, "B").changed(flags=("shared_process",))
    assert found(cost(VGG16), infer(VGG16, shared)) == {}


def scores(classes: int = 10, n: int | None = 900, **values: float) -> Record:
    base = job(RESNET18, "accuracy", size=32, **training())
    asked = Job(**{**base.content(), "num_classes": classes})
    detail = {} if n is None else {"n": n}
    seen: Iterable[Measurement] = [
        Measurement(name=k, unit="1", better="higher", samples=(v,), detail=detail) for k, v in values.items()
    ]
    return record(asked, RESNET18, seen)


def test_accuracy_below_chance() -> None:
    # of 900 images guessed among 10: 0.1 - 3 sqrt(0.1 * 0.9 / 900) = 0.07
    assert list(found(scores(top1=0.069))) == ["below_chance"]
    assert found(scores(top1=0.071)) == {}
    assert list(found(scores(top1=0.099, n=None))) == ["below_chance"]
    assert found(scores(top1=0.01).changed(status="diverged")) == {}


def test_top5_below_top1() -> None:
    assert found(scores(top1=0.9, top5=0.8)) == {
        "top5_below_top1": ["accuracy resnet18 32 px on cifar10 seed 0 cuda: 80.0 % against 90.0 %"]
    }
    assert found(scores(top1=0.9, top5=0.9)) == {}


# --- several processes ---


def processes(net: Any, name: str, *seconds: float, batch: int = 1, **more: float) -> list[Record]:
    """Return one record a process; `more` are times of other measurements in it."""
    others = [about(other, value) for other, value in more.items()]
    return [
        infer(net, about(name, s), *others, batch=batch, replicate=number) for number, s in enumerate(seconds)
    ]


SOUND = (0.040, 0.041, 0.0405, 0.0402, 0.0408)


def test_one_slow_process_contradicts_nothing() -> None:
    counts = [cost(VGG16), cost(VGG19)]
    slow = processes(VGG16, "latency", *SOUND[:4], 0.08)
    assert found(*counts, *slow, *processes(VGG19, "latency", 0.05, 0.051, 0.0505, 0.0502, 0.0508)) == {}
    single = processes(VGG16, "step_time", *SOUND)
    batch = processes(VGG16, "step_time", *(8 * s for s in SOUND[:4]), 8 * 0.08, batch=8)
    assert found(*single, *batch) == {}
    waited = processes(VGG16, "latency", *SOUND)
    held_up = [r.changed(measurements=(*r.measurements, *s.measurements)) for r, s in zip(
        waited, processes(VGG16, "step_time", *SOUND[:4], 0.08), strict=True
    )]  # fmt: skip
    assert found(*held_up) == {}


def test_processes_of_batch_1_are_not_held_against_each_other() -> None:
    assert found(*processes(VGG16, "step_time", 0.010, 0.020, 0.010, 0.010, 0.010)) == {}


def test_what_all_processes_say_is_told_once_and_without_a_process() -> None:
    fast = processes(VGG19, "latency", *(s / 2 for s in SOUND))
    assert found(cost(VGG16), cost(VGG19), *processes(VGG16, "latency", *SOUND), *fast) == {
        "larger_but_faster": [
            "latency of infer vgg19 224 px batch 1 cuda, 20.2 ms is below that of vgg16 (40.5 ms)"
        ]
    }


# --- the flags of cells ---


def test_a_doubt_is_a_flag_of_the_cell_that_it_names() -> None:
    fast = processes(VGG19, "latency", *(s / 2 for s in SOUND))
    seen = [cost(VGG16), cost(VGG19), *processes(VGG16, "latency", *SOUND), *fast]
    assert flagged(*seen) == {"vgg19": {"latency": ["larger_but_faster"]}}
    slow = processes(VGG16, "step_time", *(10 * s for s in SOUND), batch=8)
    single = processes(VGG16, "step_time", *SOUND)
    assert flagged(*single, *slow) == {"vgg16": {"throughput": ["batch_costs_throughput"]}}
    late = infer(VGG16, about("latency", 0.010), about("step_time", 0.012))
    assert flagged(late) == {"vgg16": {"throughput": ["slower_without_waiting"]}}
    least = count("peak_memory", 4 * VGG16.parameters - 1, "B")
    assert flagged(cost(VGG16), infer(VGG16, about("step_time", 0.1), least)) == {
        "vgg16": {"peak_memory": ["memory_below_weights"]}
    }
    assert flagged(scores(top1=0.01)) == {"resnet18": {"accuracy": ["below_chance"]}}
    assert flagged(scores(top1=0.9, top5=0.8)) == {"resnet18": {"accuracy": ["top5_below_top1"]}}
    settings = {"device": "cuda", "precision": "fp32", "threads": 8}
    rates = [count("matmul_rate", 1e9, "MAC/s"), count("copy_bandwidth", 1e15, "B/s")]
    ceiling = record(Job(task="ceiling", arch="ceiling", input_size=1, settings=settings), None, rates)
    assert flagged(cost(VGG16), infer(VGG16, about("step_time", 0.1)), ceiling) == {
        "vgg16": {"throughput": ["above_roofline"]}
    }


def test_a_number_that_a_rule_doubts_is_not_crowned() -> None:
    nets = (RESNET18, VGG16, VGG19)

    def best(vgg19: float) -> list[str]:
        seen = [cost(net) for net in nets]
        for net, factor in zip(nets, (4, 1, vgg19), strict=True):
            seen += processes(net, "latency", *(factor * s for s in SOUND))
        shown = comparison_view(compare_table(to_frame([make_run(seen)])))
        place = [head.title for head in shown.heads].index("Latency, batch 1")
        return [row[0].text for row in shown.rows if row[place].best]

    assert best(2.0) == ["vgg16"]
    assert best(0.5) == []  # vgg19 is ahead, which cannot be


def test_short_trainings_that_a_rule_doubts_are_not_crowned() -> None:
    def training_of(net: Any, seed: int, top1: float) -> Record:
        base = job(net, "accuracy", size=32, seed=seed, **training())
        return record(base, net, [count("top1", top1, better="higher").changed(detail={"n": 900})])

    good = [training_of(RESNET18, s, 0.5 + s / 1000) for s in range(3)]
    poor = [training_of(RESNET34, s, 0.3 + s / 1000) for s in range(3)]
    frame = to_frame([make_run([*good, *poor])])
    assert accuracy_table(frame)["accuracy_flags"].tolist() == ["", ""]
    broken = [
        r.changed(measurements=(*r.measurements, r.measurements[0].changed(name="top5", samples=(0.1,))))
        for r in good
    ]
    frame = to_frame([make_run([*broken, *poor])])
    assert accuracy_table(frame)["accuracy_flags"].tolist() == ["top5_below_top1", ""]
    shown = view(accuracy_table(frame), TRAININGS)
    assert not any(cell.best for row in shown.rows for cell in row)


def test_doubts_stand_in_the_report() -> None:
    seen = [cost(VGG16), infer(VGG16, about("latency", 0.010), about("step_time", 0.012))]
    run = make_run(seen)
    frame = to_frame([run])
    told = summarise([run], frame).doubts
    assert [(d.flag, len(d.where)) for d in told] == [("one_process", 2), ("slower_without_waiting", 1)]
    assert told[1].meaning == FLAGS["slower_without_waiting"]


def test_many_networks_take_little_time() -> None:
    rng = random.Random(0)
    nets = [replace(VGG16, name=f"net{i}", parameters=rng.randrange(10**6, 10**8)) for i in range(120)]
    assert len(NETS) < len(nets)
    seen = [r for net in nets for r in (cost(net), infer(net, about("latency", 0.01)))]
    assert found(*seen) == {}
