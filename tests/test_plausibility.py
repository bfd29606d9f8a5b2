"""Plausibility: each rule sees what contradicts itself, and leaves what is sound alone."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from make_records import NETS, by_name, counted, job, make_run, record, records, speed, training

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.analysis.plausibility import RULES, doubts
from bench.plan.job import Job
from bench.records.flags import FLAGS
from bench.records.record import Measurement, Record, count
from bench.report.summary import summarise

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
    return doubts(to_frame([make_run(seen)]))


def test_every_rule_is_explained() -> None:
    assert set(RULES) <= set(FLAGS)


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


def test_without_counts_nothing_is_larger() -> None:
    assert found(infer(VGG16, about("latency", 0.04)), infer(VGG19, about("latency", 0.03))) == {}


def test_a_step_that_takes_longer_than_a_call_that_is_waited_for() -> None:
    assert "slower_without_waiting" in found(infer(VGG16, about("latency", 0.010), about("step_time", 0.012)))
    assert found(infer(VGG16, about("latency", 0.010), about("step_time", 0.0101))) == {}


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
        "above_roofline": [f"throughput of vgg16 at batch 8: {100 * work / 0.1 / 1e12:.1f} %"]
    }
    assert found(*seen) == {}
    assert found(cost(VGG16), infer(VGG16, about("step_time", 0.2), batch=8), ceiling) == {}


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


def test_doubts_stand_in_the_report() -> None:
    seen = [cost(VGG16), infer(VGG16, about("latency", 0.010), about("step_time", 0.012))]
    run = make_run(seen)
    frame = to_frame([run])
    told = summarise([run], frame, compare_table(frame)).doubts
    assert [(d.flag, len(d.where)) for d in told] == [("slower_without_waiting", 1)]
    assert told[0].meaning == FLAGS["slower_without_waiting"]


def test_many_networks_take_little_time() -> None:
    rng = random.Random(0)
    nets = [replace(VGG16, name=f"net{i}", parameters=rng.randrange(10**6, 10**8)) for i in range(120)]
    assert len(NETS) < len(nets)
    seen = [r for net in nets for r in (cost(net), infer(net, about("latency", 0.01)))]
    assert found(*seen) == {}
