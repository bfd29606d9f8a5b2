"""`bench diff`: what may be compared, what changed, and when that is certain."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_records import (
    ENVIRONMENT,
    by_name,
    counted,
    job,
    make_run,
    record,
    records,
    scored,
    speed,
    training,
)
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner, Result

from bench.analysis.diff import Change, Diff
from bench.cli._common import share
from bench.cli.app import app
from bench.errors import BenchError, ConfigError, UnknownNameError
from bench.plan.job import Job
from bench.records.record import Measurement, Record, count
from bench.records.store import Run, Store
from bench.report.tables.verdicts import diff_document

RESNET18, VGG16 = by_name("resnet18", "vgg16")[::-1]
GPU = ENVIRONMENT["gpu"][0]


def latency(*seconds: float, **more: Any) -> Measurement:
    return Measurement(name="latency", unit="s", better="lower", samples=seconds, **more)


def around(seconds: float, n: int = 21, spread: float = 0.001) -> Measurement:
    return latency(*(seconds * (1 + spread * (i - n // 2)) for i in range(n)))


def infer(
    *seen: Measurement, replicate: int | None = None, environment: Any = ENVIRONMENT, **settings: Any
) -> Record:
    more = {} if replicate is None else {"replicate": replicate}
    asked = job(RESNET18, "infer", **speed(**settings, **more))
    return record(asked, RESNET18, seen, environment=environment)


def processes(times: Sequence[float], **settings: Any) -> list[Record]:
    return [infer(around(t), replicate=i, **settings) for i, t in enumerate(times)]


def between(a: Iterable[Record], b: Iterable[Record], **asked: Any) -> Diff:
    return Diff.of(make_run(a, name="a"), make_run(b, name="b"), **asked)


def only_row(found: Diff) -> Change:
    (row,) = found.rows
    return row


def with_(path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return the usual environment with one value changed."""
    environment: dict[str, Any] = json.loads(json.dumps(ENVIRONMENT))
    at: Any = environment
    for step in path[:-1]:
        at = at[step] if isinstance(at, list) else at.setdefault(step, {})
    at[path[-1]] = value
    return environment


BEFORE = [0.0100, 0.0101, 0.0102, 0.0099, 0.0098, 0.01005]
AFTER = [0.0110, 0.0112, 0.0109, 0.0111, 0.0113]


def test_processes_are_the_data() -> None:
    row = only_row(between(processes(BEFORE), processes(AFTER)))
    assert (row.a, row.b) == pytest.approx((stats.gmean(BEFORE), stats.gmean(AFTER)))
    assert (row.n_a, row.n_b, row.effect.n) == (6, 5, 5)
    a, b = np.log(BEFORE), np.log(AFTER)
    # Of unequal counts the freedom is that of the smaller.
    error = math.sqrt(a.var(ddof=1) / 6 + b.var(ddof=1) / 5)
    gap, reach = b.mean() - a.mean(), stats.t.ppf(0.975, 4) * error
    assert row.effect.p == pytest.approx(2 * stats.t.sf(gap / error, 4), rel=1e-9)
    assert row.effect.estimate == pytest.approx(stats.gmean(AFTER) / stats.gmean(BEFORE))
    assert (row.effect.low, row.effect.high) == pytest.approx((math.exp(gap - reach), math.exp(gap + reach)))
    assert row.effect.verdict == "slower"
    assert row.label == "infer resnet18 224 px batch 1 cuda"


@pytest.mark.parametrize("counts", [(1, 1), (2, 3), (3, 6), (4, 4), (6, 5)])
def test_the_numbers_of_a_row_divide_to_its_ratio(counts: tuple[int, int]) -> None:
    skewed = [0.010, 0.012, 0.0101, 0.019, 0.0102, 0.0103], [0.011, 0.024, 0.0111, 0.013, 0.0112]
    a, b = (processes(times[:n]) for times, n in zip(skewed, counts, strict=True))
    host = {"meter": "process high-water mark"}
    memory = [
        [infer(count("peak_memory", 1e9 * m, "B").changed(detail=detail), batch_size=8, replicate=i, memory_format=way)
         for detail, way in ((host, "contiguous"), ({}, "channels_last")) for i, m in enumerate(side)]
        for side in ((1, 2, 3, 5), (2, 3, 5, 9))
    ]  # fmt: skip
    trainings = [[scored(RESNET18, s, v) for s, v in enumerate(side)] for side in ([0.9, 0.8], [0.7, 0.9])]
    found = between([*a, *memory[0], *trainings[0]], [*b, *memory[1], *trainings[1]])
    assert {row.quantity for row in found.rows} == {"latency", "peak_memory", "top1"}
    for row in found.rows:
        assert row.b / row.a == pytest.approx(row.effect.estimate, rel=1e-12)


def test_the_same_run_twice_is_no_change() -> None:
    found = between(processes(BEFORE), processes(BEFORE))
    assert only_row(found).effect.verdict in ("same", "undecided")
    assert only_row(found).effect.estimate == 1
    assert (found.only, found.changes, found.slowdowns(0.0)) == ((), (), [])


def test_samples_of_one_process_do_not_decide_within_the_noise_floor() -> None:
    row = only_row(between([infer(around(0.0100))], [infer(around(0.0103))]))
    assert row.effect.verdict == "undecided"
    assert (
        "one process a run: how processes differ is not known; not beyond the noise floor of ±5 %"
        in row.effect.reason
    )
    assert row.effect.estimate == pytest.approx(1.03)
    # The samples alone would call it certain; they say nothing of another process.
    assert all(map(math.isnan, (row.effect.low, row.effect.high, row.effect.p)))


def test_one_process_beyond_the_noise_floor_is_suspected_and_told_what_to_run() -> None:
    for times in ((0.010, 0.011), (0.011, 0.010)):
        row = only_row(between(*([infer(around(t))] for t in times)))
        assert row.effect.verdict == "suspected"
        assert (
            "; beyond the noise floor of ±5 %; to know, measure both in more processes" in row.effect.reason
        )
        assert '--set "infer.replicate=[0,1,2,3,4,5,6,7]"' in row.effect.reason
    wide = between([infer(around(0.010))], [infer(around(0.011))], floor=0.15)
    assert only_row(wide).effect.verdict == "undecided"


def test_one_process_that_was_doubted_decides_nothing() -> None:
    doubted = around(0.02).changed(flags=("contended", "launch_bound"))
    row = only_row(between([infer(around(0.01))], [infer(doubted)]))
    assert row.effect.verdict == "undecided"
    assert row.effect.reason.endswith("; flagged contended")


def test_ratios_that_scatter_raise_the_noise_floor() -> None:
    batches = (1, 2, 4, 8, 16, 32, 64)
    before = [infer(around(0.01), batch_size=n) for n in batches]
    ratios = (0.86, 0.93, 1.0, 1.07, 1.17, 1.25, 1.05)
    noisy = between(
        before, [infer(around(0.01 * r), batch_size=n) for n, r in zip(batches, ratios, strict=True)]
    )
    logs = np.log(ratios)
    deviation = np.median(np.abs(logs - np.median(logs)))
    assert noisy.floor == pytest.approx(math.exp(3 * 1.4826 * deviation) - 1)
    assert {r.effect.verdict for r in noisy.rows} == {"undecided"}
    alike = between(before, [infer(around(0.012), batch_size=n) for n in batches])
    assert alike.floor == 0.05
    assert {r.effect.verdict for r in alike.rows} == {"suspected"}
    given = [infer(around(0.01 * r), batch_size=n) for n, r in zip(batches, ratios, strict=True)]
    assert between(before, given, floor=0.05).floor == 0.05


def test_the_same_samples_under_two_names_are_one_row() -> None:
    steps = around(0.01).changed(name="step_time", detail={"samples_of": "latency"})
    runs = [infer(around(0.01), steps)], [infer(around(0.01), steps)]
    assert only_row(between(*runs)).quantity == "latency"
    assert only_row(between(*runs, quantities=["step_time"])).quantity == "step_time"


def test_two_processes_raise_suspicion_by_their_range() -> None:
    row = only_row(between(processes([0.010, 0.0102]), processes([0.020, 0.021, 0.022])))
    assert row.effect.verdict == "suspected"
    assert row.effect.reason.startswith(
        "n = 2 and 3 processes cannot decide: at least 4 in each run; all beyond the noise floor of ±5 %; to know"
    )
    assert (row.effect.low, row.effect.high) == pytest.approx((0.020 / 0.0102, 0.022 / 0.010))
    overlapping = only_row(between(processes([0.010, 0.0102]), processes([0.0103, 0.021])))
    assert overlapping.effect.verdict == "undecided"


def test_the_noise_of_a_self_test_raises_the_floor() -> None:
    runs = [infer(around(0.010))], [infer(around(0.011))]
    assert between(*runs, noise=0.12).floor == 0.12
    assert only_row(between(*runs, noise=0.12)).effect.verdict == "undecided"
    assert between(*runs, noise=0.01).floor == 0.05
    assert between(*runs, noise=0.12, floor=0.03).floor == 0.03


def test_times_in_doubt_are_suspected_at_most() -> None:
    def of(factor: float, *flags: str) -> list[Record]:
        sound = processes([0.01 * factor * (1 + 0.001 * i) for i in range(8)])
        last = sound[-1].measurements[0].changed(flags=flags)
        return [*sound[:-1], sound[-1].changed(measurements=(last,))]

    assert only_row(between(of(1), of(1.2))).effect.verdict == "slower"
    doubted = between(of(1), of(1.2, "contended", "noisy"))
    effect = only_row(doubted).effect
    assert (effect.verdict, effect.p <= 0.05) == ("suspected", True)
    assert effect.reason.startswith("in doubt, flagged contended: measure both again")
    assert "infer.replicate" not in shown(doubted)  # more processes beside the same neighbours tell no more
    assert doubted.slowdowns(0.05) == []
    # What the samples of one of several processes are like is no doubt.
    assert only_row(between(of(1), of(1.2, "noisy", "unsteady"))).effect.verdict == "slower"
    same = only_row(between(of(1), of(1, "stolen"))).effect
    assert same.verdict == "undecided"
    assert "undecided (1): in doubt, flagged stolen" in shown(between(of(1), of(1, "stolen")))


def test_memory_is_lower_or_higher() -> None:
    def memory(value: float) -> list[Record]:
        return [infer(count("peak_memory", value, "B"))]

    for b, word in ((2e9, "suspected"), (0.5e9, "suspected"), (1.01e9, "undecided"), (1e9, "same")):
        assert only_row(between(memory(1e9), memory(b))).effect.verdict == word
    assert only_row(between(memory(1e9), memory(-5.0))).effect.reason == "a ratio needs numbers above zero"


def test_memory_of_a_process_is_one_number_a_run() -> None:
    def memory(*sizes: float) -> list[Record]:
        detail = {"meter": "process high-water mark"}
        return [
            infer(count("peak_memory", b, "B").changed(detail=detail), replicate=i)
            for i, b in enumerate(sizes)
        ]

    # Six processes that are alike to 0.01 %, as those of one server are: Welch's t would be certain.
    a = memory(*(231.14e6 + 4096 * i for i in range(6)))
    b = memory(*(245.47e6 + 4096 * i for i in range(6)))
    effect = only_row(between(a, b)).effect
    assert effect.verdict == "suspected"
    assert math.isnan(effect.p)
    assert effect.reason.endswith("tensor_memory is exact")
    assert only_row(between(a, a)).effect.verdict == "same"
    assert only_row(between(a, memory(*(233e6 + i for i in range(6))))).effect.verdict == "undecided"


def test_times_that_moved_together_are_told_of_the_machine() -> None:
    def run_at(*factors: float) -> list[Record]:
        return [
            infer(around(0.01 * factor * (1 + 0.001 * i)), replicate=i, batch_size=2**n)
            for n, factor in enumerate(factors)
            for i in range(5)
        ]

    alike = between(run_at(*[1.0] * 12), run_at(*[1.2] * 11, 0.9))
    assert alike.shift == (pytest.approx(1.2), 11, 12)  # 12 or 11 of 12 by chance: 2 (1 + 12) / 4096 = 0.6 %
    assert "11 of 12 jobs are longer in b, 1.200 times in the median" in shown(alike)
    assert alike.to_json()["shift"] == {"factor": pytest.approx(1.2), "moved": 11, "of": 12}
    assert [row.effect.verdict for row in alike.rows] == ["suspected"] * 11 + ["faster"]
    assert "nearly all times moved together" in alike.rows[0].effect.reason
    assert alike.slowdowns(0.05) == []
    newer = [r.changed(environment=with_(["torch", "version"], "2.15.0")) for r in run_at(*[1.2] * 12)]
    explained = between(run_at(*[1.0] * 12), newer)
    assert explained.shift is not None
    assert {row.effect.verdict for row in explained.rows} == {"slower"}
    own_ways = between(run_at(*[1.0] * 12), run_at(*[1.2] * 9, *[0.9] * 3))  # 14.6 %
    assert own_ways.shift is None
    assert "moved together" not in shown(own_ways)
    assert between(run_at(*[1.0] * 12), run_at(*[1.01] * 12)).shift is None  # no more than the band
    assert between(run_at(*[1.0] * 5), run_at(*[1.2] * 5)).shift is None  # too few


def _machine(
    rng: np.random.Generator, networks: int, *, first: float = 1.0, all_of_it: float = 1.0
) -> list[Record]:
    """Return a run: of each network a training step with its phases, and two jobs of inference, in five processes each.

    Processes differ by 5 %, and what is timed in one by 1 %; the first network takes `first` times as long, and all of
    them `all_of_it` times.
    """
    made = []
    for network in range(networks):
        card = replace(RESNET18, name=f"net{network}")
        for task, batch in (("train_step", 8), ("infer", 1), ("infer", 8)):
            for i in range(5):
                factor = all_of_it * (first if network == 0 else 1.0) * math.exp(rng.normal(0, 0.05))
                names = (
                    ("step_time", "forward", "backward", "optimizer")
                    if task == "train_step"
                    else ("latency",)
                )
                samples = [0.01 * factor * math.exp(rng.normal(0, 0.01)) for _ in names]
                times = [
                    Measurement(name=name, unit="s", better="lower", samples=(time,) * 6)
                    for name, time in zip(names, samples, strict=True)
                ]
                made.append(record(job(card, task, **speed(batch_size=batch, replicate=i)), card, times))
    return made


@pytest.mark.parametrize("networks", [2, 5])
def test_a_slowdown_of_one_network_is_not_called_the_machine(networks: int) -> None:
    """Its four times of a training step and two of inference move together, and are of three jobs."""
    rng = np.random.default_rng(networks)
    told = failed = 0
    for _ in range(20):
        differences = between(_machine(rng, networks), _machine(rng, networks, first=1.6))
        told += differences.shift is not None
        failed += bool(differences.slowdowns(0.05))
    assert failed == 20
    assert told <= 3  # nearly all moved one way by chance


def test_a_network_that_slows_down_beside_a_slower_machine_is_certain() -> None:
    rng = np.random.default_rng(7)
    differences = between(_machine(rng, 6), _machine(rng, 6, first=2.0, all_of_it=1.2))
    assert differences.shift is not None
    assert {row.arch for row in differences.slowdowns(0.05)} == {"net0"}


def test_counts_are_equal_or_different() -> None:
    a, b = counted(RESNET18), counted(replace(RESNET18, parameters=RESNET18.parameters + 1))
    found = between([record(job(RESNET18), RESNET18, a)], [record(job(RESNET18), RESNET18, b)])
    verdicts = {row.quantity: row.effect.verdict for row in found.rows}
    assert verdicts == {
        "parameters": "different", "parameter_bytes": "different",
        "macs": "equal", "activations": "equal", "activation_bytes": "equal", "receptive_field": "equal",
    }  # fmt: skip
    unknown = [record(job(RESNET18), RESNET18, [count("receptive_field", math.nan, "px")])]
    assert only_row(between(unknown, unknown)).effect.verdict == "equal"


def test_accuracies_are_tested_over_seeds() -> None:
    a, b = [0.90, 0.91, 0.905, 0.903], [0.95, 0.96, 0.955, 0.952]
    runs = [[scored(RESNET18, s, v) for s, v in enumerate(values)] for values in (a, b)]
    row = only_row(between(*runs))
    assert (row.a, row.b, row.n_a, row.n_b) == pytest.approx((np.mean(a), np.mean(b), 4, 4))
    assert row.effect.p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert row.effect.verdict == "higher"
    assert "seed" not in row.label
    single = only_row(between(runs[0][:1], runs[1]))
    assert (single.effect.verdict, single.effect.reason) == (
        "undecided",
        "4 and 1 trainings cannot decide: at least 2 on each side",
    )


def test_diverged_trainings_are_no_seeds() -> None:
    good = [scored(RESNET18, s, 0.9 + s / 1000) for s in range(3)]
    row = only_row(between([*good, scored(RESNET18, 3, 0.1).changed(status="diverged")], good))
    assert (row.n_a, row.n_b) == (3, 3)


REFUSED = [
    ("GPU model", ["gpu", 0, "name"], "NVIDIA T4", "'NVIDIA H100 80GB HBM3' against 'NVIDIA T4'"),
    ("torch threads", ["flags", "threads"], 4, "'8' against '4'"),
]


def test_shares_are_told_in_per_cent_and_what_is_no_number_as_a_dash() -> None:
    def top1(share: float) -> Record:
        settings = {"data": "digits", "device": "cpu"}
        seen = Measurement(name="top1", unit="1", better="higher", samples=(share,))
        return record(job(RESNET18, "evaluate", **settings), RESNET18, [seen])

    def counts(px: float, gap: float, parameters: int) -> Record:
        seen = [count("receptive_field", px, "px"), count("macs_gap", gap), count("parameters", parameters)]
        return record(job(RESNET18), RESNET18, seen)

    before, after = (
        [top1(0.9), counts(math.nan, 0.001, 1_234_567)],
        [top1(0.8), counts(427, 0.002, 1_234_568)],
    )
    shown = {
        row[1].text: (row[2].text, row[3].text) for row in diff_document(between(before, after)).table.rows
    }
    assert shown == {
        "top1": ("90.0 %", "80.0 %"),
        "receptive_field": ("–", "427"),
        "macs_gap": ("0.00100", "0.00200"),
        "parameters": ("1,234,567", "1,234,568"),
    }


@pytest.mark.parametrize(("what", "path", "value", "values"), REFUSED)
def test_other_machines_are_refused_with_both_values(what: str, path: list, value: Any, values: str) -> None:
    base = with_(["flags"], {"threads": 8})
    other: Any = json.loads(json.dumps(base))
    at = other
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    runs = [infer(around(0.01), environment=base)], [infer(around(0.02), environment=other)]
    with pytest.raises(ConfigError, match="--across|differ") as caught:
        between(*runs)
    assert caught.value.message == f"the runs differ in {what}: {values}"
    assert "--across" in (caught.value.tip or "")
    found = between(*runs, across=True)
    assert only_row(found).effect.verdict == "suspected"
    assert what in [c[0] for c in found.changes]


def test_cpu_models_are_refused_and_of_counts_do_not_matter() -> None:
    other = with_(["cpu", "model"], "another")
    with pytest.raises(ConfigError, match="CPU model"):
        between([infer(around(0.01), device="cpu")], [infer(around(0.01), device="cpu", environment=other)])
    counts = [record(job(RESNET18), RESNET18, counted(RESNET18), environment=e) for e in (ENVIRONMENT, other)]
    assert {r.effect.verdict for r in between([counts[0]], [counts[1]]).rows} == {"equal"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "bf16"}, "precision: 'fp32' against 'bf16'"),
        ({"threads": 4}, "threads: '8' against '4'"),
        ({"device": "cpu"}, "device: 'cuda' against 'cpu'"),
    ],
)
def test_other_settings_are_refused_with_both_values(changes: dict[str, Any], message: str) -> None:
    runs = [infer(around(0.01))], [infer(around(0.02), **changes)]
    with pytest.raises(ConfigError) as caught:
        between(*runs)
    assert caught.value.message == f"the runs differ in {message}"
    found = between(*runs, across=True)
    assert only_row(found).effect.verdict == "suspected"
    assert message.partition(":")[0] in [c[0] for c in found.changes]


def test_recipes_are_named_where_they_differ() -> None:
    other = {"name": "std", "version": 2, "learning_rate": 0.4}
    with pytest.raises(ConfigError, match=r"recipe: 'std v1, content \w{6}' against 'std v2, content \w{6}'"):
        between([scored(RESNET18, 0)], [scored(RESNET18, 0, recipe=other)])


def test_a_precision_that_only_one_run_has_beside_a_common_one_is_listed() -> None:
    both = [infer(around(0.01)), infer(around(0.005), precision="bf16")]
    found = between(both, [infer(around(0.01)), infer(around(0.006), precision="fp16")])
    assert len(found.rows) == 1
    assert [(label.split()[-2], run, why) for label, run, why in found.only] == [
        ("bf16", "a", "not in b"),
        ("fp16", "b", "not in a"),
    ]


def test_definitions_are_refused_unless_the_quantity_is_left_out() -> None:
    old, new = (
        around(0.01).changed(detail={"of": of, "steady": of}) for of in ("a call", "a call, waited for")
    )
    memory = count("peak_memory", 1e9, "B")
    runs = [infer(old, memory)], [infer(new, memory)]
    with pytest.raises(ConfigError, match="definition of latency: 'unit s; of a call' against") as caught:
        between(*runs)
    assert "--quantity" in (caught.value.tip or "")
    assert [r.quantity for r in between(*runs, quantities=["peak_memory"]).rows] == ["peak_memory"]
    assert len(between(*runs, across=True).rows) == 2


def test_schemas_are_refused() -> None:
    with pytest.raises(ConfigError, match="schema: '1' against '0'"):
        between([infer(around(0.01))], [infer(around(0.01)).changed(schema=0)])


def test_versions_may_differ_and_are_listed() -> None:
    newer = with_(["torch", "version"], "2.15.0")
    newer["gpu"][0]["driver"] = "580.1"
    found = between([infer(around(0.01))], [infer(around(0.01), environment=newer)])
    assert set(found.changes) == {("torch", "2.11.0+cu128", "2.15.0"), ("driver", GPU["driver"], "580.1")}


def test_an_edited_network_is_compared_and_named() -> None:
    def custom(sha: str, seconds: float) -> Record:
        base = job(RESNET18, "infer", **speed())
        return record(Job(**{**base.content(), "source_sha256": sha}), RESNET18, [around(seconds)])

    found = between([custom("aaaa", 0.01)], [custom("aaaa", 0.01), custom("bbbb", 0.02)])
    assert found.changes == (("changed network resnet18", "aaaa", "bbbb"),)
    assert (only_row(found).b, only_row(found).n_b) == (0.02, 1)


def test_how_long_was_sampled_does_not_matter() -> None:
    found = between([infer(around(0.01))], [infer(around(0.01), timing={"limit_s": 60.0}, energy_s=9.0)])
    assert len(found.rows) == 1


def test_jobs_of_one_run_only_and_failures_are_listed() -> None:
    shared, extra = infer(around(0.01)), infer(around(0.02), batch_size=8)
    failed = infer(batch_size=64).changed(status="oom")
    found = between([shared, extra, infer(around(0.05), batch_size=64)], [shared, failed])
    assert len(found.rows) == 1
    assert [(label.split("batch ")[1].split()[0], run, why) for label, run, why in found.only] == [
        ("64", "a", "oom in b"),
        ("8", "a", "not in b"),
    ]


def test_the_largest_batches_must_be_the_same() -> None:
    def largest(batch: int) -> Record:
        return infer(around(0.01), count("max_batch", batch), batch_size="max")

    assert len(between([largest(64)], [largest(64)]).rows) == 2
    found = between([largest(64), infer(around(0.1))], [largest(62), infer(around(0.1))])
    assert len(found.rows) == 1
    assert found.only[0][1:] == ("", "the largest batches differ: 64 and 62")
    assert "not compared: infer resnet18 224 px batch max cuda (the largest" in shown(found)


def test_nothing_in_common_says_what_there_is() -> None:
    with pytest.raises(ConfigError) as caught:
        between([infer(around(0.01))], [record(job(VGG16), VGG16, counted(VGG16))])
    assert caught.value.message == "the runs a and b have no job in common"
    assert caught.value.tip == "a has infer resnet18 224 px batch 1 cuda; b has cost vgg16 224 px"
    with pytest.raises(ConfigError, match="no job in common"):
        between([], [])


def test_an_unknown_quantity_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        between([infer(around(0.01))], [infer(around(0.01))], quantities=["latncy"])
    assert "latency" in (caught.value.tip or "")


def test_slowdowns_are_certain_ones() -> None:
    found = between(processes(BEFORE), processes(AFTER))
    low = only_row(found).effect.low
    assert 1.05 < low < 1.2
    assert found.slowdowns(0.05) == [only_row(found)]
    assert found.slowdowns(low - 1 + 0.001) == []
    assert between(processes(AFTER), processes(BEFORE)).slowdowns(0.0) == []
    rates = [[infer(around(1 / t).changed(name="rate", unit="1/s", better="higher"), replicate=i)
              for i, t in enumerate(times)] for times in (BEFORE, AFTER)]  # fmt: skip
    assert len(between(*rates).slowdowns(0.05)) == 1


def test_a_whole_run_of_everything_against_itself() -> None:
    run = make_run(list(records(by_name("resnet18", "vgg16", "lenet5"))))
    found = Diff.of(run, run)
    assert (found.a, found.b) == ("synthetic (first)", "synthetic (second)")
    assert not {"slower", "faster", "different", "higher", "lower"} & {r.effect.verdict for r in found.rows}
    assert found.only == ()


def shown(found: Diff, width: int = 200) -> str:
    console = Console(width=width, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(diff_document(found))
    return capture.get()


def test_the_table_tells_all_but_equal_counts() -> None:
    a = [*processes(BEFORE), record(job(RESNET18), RESNET18, counted(RESNET18))]
    b = [
        *processes(AFTER),
        record(job(RESNET18), RESNET18, counted(RESNET18)),
        infer(around(0.1), batch_size=4),
    ]
    found = between(a, b)
    assert [row[1].text for row in diff_document(found).table.rows] == ["latency"]
    for text in (shown(found), diff_document(found).markdown()):
        assert "7 quantities: 6 equal, 1 slower. A ratio is b over a." in text
        assert "Times are geometric means of the processes' medians, of fewer than 4 a run medians." in text
        assert "10.0 ms" in text
        assert "11.1 ms" in text
        assert f"{found.rows[0].effect.estimate:.3f}" in text
        assert "batch 4 cuda (not in a)" in text.replace("\\", "")
    assert max(len(line) for line in shown(found, 80).splitlines()) <= 80


def test_what_is_undecided_is_told_once_with_its_reason() -> None:
    runs = [[infer(around(t), batch_size=n) for n in (1, 2, 4)] for t in (0.01, 0.0101)]
    text = shown(between(*runs))
    assert text.count("one process a run") == 1  # a reason is told once
    assert "undecided (3): one process a run" in text
    assert text.startswith("Too few processes to test: no change below is certain")
    assert "Too few processes" not in shown(between(processes(BEFORE), processes(AFTER)))


def test_holms_correction_is_told() -> None:
    runs = [[r for n in (1, 2, 4) for r in processes(times, batch_size=n)] for times in (BEFORE, AFTER)]
    found, alone = between(*runs), only_row(between(processes(BEFORE), processes(AFTER)))
    assert (found.tested, found.sure) == (3, 3)
    assert [r.effect.p for r in found.rows] == pytest.approx([3 * alone.effect.p] * 3)
    assert "3 were tested, and p is corrected for their number (Holm)" in shown(found)
    assert "≤ 0.0043" in shown(found)  # 2 of the 462 ways to deal 11 processes out: an exact test's least p


def test_what_is_certain_alone_and_not_among_all_is_suspected() -> None:
    steady = [[r for n in range(1, 20) for r in processes(BEFORE, batch_size=n)] for _ in "ab"]
    nearly = processes([0.0104, 0.0102, 0.0103, 0.0101, 0.01025, 0.01045])
    assert only_row(between(processes(BEFORE), nearly, floor=0.05)).effect.p < 0.05
    found = between([*steady[0], *processes(BEFORE, batch_size=99)], [*steady[1], *[
        infer(around(r.measurements[0].samples[10]), replicate=i, batch_size=99) for i, r in enumerate(nearly)
    ]])  # fmt: skip
    last = found.rows[-1].effect
    assert (last.verdict, found.slowdowns(0.0)) == ("suspected", [])
    assert "not certain once corrected for 20 tests; to know" in last.reason


def nasty(text: str) -> Run:
    asked = replace(job(RESNET18, "infer", **speed()), arch=text)
    return make_run([record(asked, None, [around(0.01)])], name=text)


def test_names_are_text() -> None:
    found = Diff.of(nasty("[bold]a|b\x1b[31m"), nasty("[bold]a|b\x1b[31m"))
    assert "[bold]a|b" in shown(found)
    assert "\x1b" not in shown(found) + diff_document(found).markdown()


# The command.


def stored(folder: Path, name: str, seen: Iterable[Record]) -> None:
    with Store(folder / "results" / name) as store:
        for one in seen:
            store.append(one)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    stored(tmp_path, "old", processes(BEFORE))
    stored(tmp_path, "new", processes(AFTER))
    stored(tmp_path, "bf16", processes(AFTER, precision="bf16"))

    def bench(*words: str) -> Result:
        return CliRunner().invoke(app, ["diff", *words])

    return bench


def test_command_prints_a_table(run: Any) -> None:
    result = run("old", "results/new")
    assert result.exit_code == 0, result.output
    assert "slower" in result.stdout
    assert run("old", "new", "--format", "md").stdout.startswith("# new against old\n")


def test_command_prints_json(run: Any) -> None:
    result = run("old", "new", "--json")
    answer = json.loads(result.stdout)
    (row,) = answer["rows"]
    assert set(row) >= {
        "arch",
        "task",
        "quantity",
        "a",
        "b",
        "ratio",
        "low",
        "high",
        "p",
        "verdict",
        "reason",
    }
    assert (row["arch"], row["quantity"], row["verdict"]) == ("resnet18", "latency", "slower")
    assert answer["floor"] == 0.05
    assert (answer["tested"], answer["sure_after_holm"]) == (1, 1)


def test_every_kind_of_row_is_plain_json() -> None:
    run = make_run(list(records(by_name("resnet18", "vgg16"))))
    assert json.loads(json.dumps(Diff.of(run, run).to_json(), allow_nan=False))["only"] == []


@pytest.mark.parametrize(("words", "code"), [(["5%"], 3), (["0.05"], 3), (["40%"], 0)])
def test_command_fails_for_certain_slowdowns(run: Any, words: list[str], code: int) -> None:
    result = run("old", "new", "--fail-above", *words)
    assert result.exit_code == code
    assert ("slower: latency of infer resnet18" in result.stderr) == (code == 3)
    assert run("new", "old", "--fail-above", *words).exit_code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["old", "bf16"], "the runs differ in precision: 'fp32' against 'bf16'"),
        (["old", "new", "--floor", "5"], "'5' is neither a percentage"),
        (["old", "new", "--fail-above", "much"], "write 5% or 0.05"),
        (["old", "new", "-q", "latencies"], "did you mean latency"),
    ],
)
def test_command_refuses(run: Any, words: list[str], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
    assert run("old", "bf16", "--across").exit_code == 0
    assert run("old", "missing").exit_code == 1


def test_shares() -> None:
    assert (share("5%", "-x"), share("0.05", "-x"), share("0%", "-x")) == (0.05, 0.05, 0.0)
    for text in ("5", "-1%", "nan", "", "%", "100%"):
        with pytest.raises(BenchError):
            share(text, "-x")


def test_trainings_are_times_too() -> None:
    def trained(seconds: float, seed: int) -> Record:
        asked = job(RESNET18, "accuracy", seed=seed, size=32, **training())
        return record(asked, RESNET18, [count("train_time", seconds, "s")])

    runs = [[trained(t * 1000, s) for s, t in enumerate(times)] for times in (BEFORE, AFTER)]
    assert only_row(between(*runs)).effect.verdict == "slower"
