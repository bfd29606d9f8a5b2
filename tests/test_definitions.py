"""Networks that were edited and libraries that were updated: what was measured before is in no number of now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from make_records import ENVIRONMENT, NETS, make_run, record, scored, speed

from bench.analysis._matching import match
from bench.analysis._series import series_of
from bench.analysis.comparison import Progress, compare_table
from bench.analysis.engines import EngineRow
from bench.analysis.frame import to_frame
from bench.analysis.versus import speedups
from bench.plan.job import Job
from bench.records.current import current
from bench.records.record import Record, count, measured
from bench.records.store import Run

NAME = "my_net.py:Net"
OLD, NEW = "a" * 64, "b" * 64


def job(task: str, sha256: str, name: str = NAME, **settings: object) -> Job:
    return Job(task=task, arch=name, input_size=32, num_classes=10, settings=settings, source_sha256=sha256)  # type: ignore[arg-type]


def timed(sha256: str, seconds: float, name: str = NAME) -> Iterator[Record]:
    """Yield what five processes measured of a definition, and its counts."""
    yield record(job("cost", sha256, name), measurements=[count("parameters", round(1e3 * seconds))])
    for number, share in enumerate((0.99, 0.995, 1.0, 1.005, 1.01)):
        asked = job("infer", sha256, name, **speed("cpu", replicate=number))
        yield record(asked, measurements=[measured("latency", [seconds * share] * 6)])


def latencies(*records: Record, planned: tuple[Job, ...] = ()) -> dict[str, float]:
    table = compare_table(to_frame([make_run(records, planned=planned)]))
    return dict(zip(table["network"], table["latency"], strict=True))


def test_a_number_is_of_the_last_definition_alone() -> None:
    before, after, other = [*timed(OLD, 0.01)], [*timed(NEW, 0.02)], [*timed(OLD, 0.03, "other.py:Net")]
    assert latencies(*before, *after, *other) == pytest.approx({NAME: 0.02, "other.py:Net": 0.03})
    (row,) = compare_table(to_frame([make_run([*before, *after])])).to_dict("records")
    assert (row["parameters"], row["latency_flags"]) == (20, "")


def test_the_jobs_last_planned_say_which_definition_there_is() -> None:
    before, after = [*timed(OLD, 0.01)], [*timed(NEW, 0.02)]
    again = tuple(one.job for one in before)  # the file is what it was, and nothing is measured again
    assert latencies(*before, *after, planned=again) == pytest.approx({NAME: 0.01})
    pending = latencies(*before, planned=tuple(one.job for one in after))
    assert list(pending) == [NAME]
    assert pending[NAME] != pending[NAME]  # edited, and not measured yet


def test_each_run_has_definitions_of_its_own() -> None:
    runs = [make_run(timed(OLD, 0.01), name="a"), make_run(timed(NEW, 0.02), name="b")]
    assert compare_table(to_frame(runs))["latency"].tolist() == pytest.approx([0.01, 0.02])


def test_a_failure_of_an_earlier_definition_is_none_of_this_one() -> None:
    failed = record(job("cost", OLD), status="crashed", error={"message": "no forward"})
    run = make_run([failed, *timed(NEW, 0.02)])
    assert Progress.of(to_frame([run])).counts == {"ok": 6}
    assert Progress.of(to_frame([run], attempts="all")).counts == {"ok": 6, "crashed": 1}


def test_trainings_and_engines_are_of_the_last_definition() -> None:
    trained = [
        replace_source(scored(NETS[0], seed, top1), sha256)
        for sha256, top1 in ((OLD, 0.5), (NEW, 0.6))
        for seed in range(2)
    ]
    (series,) = series_of(make_run(trained))
    assert series.accuracies == [0.6, 0.6]
    ways = [
        record(
            job("infer", sha256, **speed("cpu", backend=backend)),
            measurements=[measured("latency", (1.0,) * 6)],
        )
        for sha256 in (OLD, NEW)
        for backend in ("eager", "onnx")
    ]
    assert [row.way for row in EngineRow.in_run(make_run(ways))] == ["eager fp32", "onnx fp32"]


def replace_source(one: Record, sha256: str) -> Record:
    return one.changed(job=replace(one.job, source_sha256=sha256))


def test_an_edited_baseline_is_another_one() -> None:
    def compared(sha256: str, seconds: float, number: int) -> Record:
        networks = [
            {"label": "mine", "arch": "mine.py:Net", "source_sha256": OLD},
            {"label": "base", "arch": "base.py:Net", "source_sha256": sha256},
        ]
        settings = speed("cpu", batch_size=8, networks=networks, labels=["mine", "base"], replicate=number)
        times = {"mine": 0.01, "base": seconds}
        return record(
            job("versus", OLD, "mine.py:Net", **settings),
            measurements=[measured("latency", [s] * 10, {"label": name}) for name, s in times.items()],
        )

    run = make_run([compared(sha256, s, n) for sha256, s in ((OLD, 0.02), (NEW, 0.03)) for n in range(8)])
    rows = speedups(to_frame([run])).set_index("network")
    assert rows.loc["mine", "speedup"] == pytest.approx(3)
    assert rows.loc["mine", "processes"] == 8


def test_a_run_without_edits_is_the_run_itself_whatever_its_settings_hold() -> None:
    odd = [record(job("versus", OLD, networks=networks)) for networks in (3, ["mine"], None)]
    run = make_run([*timed(NEW, 0.02)])
    assert current(run) is run
    assert len(current(make_run(odd)).records) == 3


# A series, the processes or seeds of one number, is of one environment: a run that was interrupted, and goes on after
# an update, measures all of it again.
BEFORE = {**ENVIRONMENT, "packages": {**ENVIRONMENT["packages"], "torch": "2.11.0"}}
AFTER = {**ENVIRONMENT, "packages": {**ENVIRONMENT["packages"], "torch": "2.12.0"}}


def within(environment: Mapping[str, Any], records: Iterable[Record]) -> list[Record]:
    return [one.changed(environment=environment) for one in records]


def latency_of(run: Run) -> tuple[float, str]:
    """Return the one latency of a run, and its flags."""
    (row,) = compare_table(to_frame([run])).to_dict("records")
    return row["latency"], row["latency_flags"]


def test_processes_of_before_an_update_are_no_part_of_a_number_of_after_it() -> None:
    before, after = within(BEFORE, timed(OLD, 0.01)), within(AFTER, timed(OLD, 0.02))
    interrupted = make_run([*before, *after[:2]], planned=tuple(one.job for one in before))
    assert latency_of(interrupted) == (pytest.approx(0.02 * 0.99), "one_process")
    assert Progress.of(to_frame([interrupted])).counts == {"ok": 2, "pending": 4}
    assert latency_of(make_run([*before, *after]))[0] == pytest.approx(0.02)


def test_further_processes_of_before_an_update_are_left_out() -> None:
    """A time in doubt was given more processes before than it has been since."""
    before, after = within(BEFORE, timed(OLD, 0.01)), within(AFTER, timed(OLD, 0.02))
    assert latency_of(make_run([*before, *after[:4]]))[0] == pytest.approx(0.02 * 0.995)


def test_an_environment_that_is_back_counts_again() -> None:
    before, after = within(BEFORE, timed(OLD, 0.01)), within(AFTER, timed(OLD, 0.02))
    run = make_run([*before, *after[:3], *before[1:3]])  # the two that the other one had are measured again
    assert latency_of(run)[0] == pytest.approx(0.01)


def test_what_was_never_begun_says_nothing_of_the_environment() -> None:
    before = within(BEFORE, timed(OLD, 0.01))
    further = job("infer", OLD, **speed("cpu", replicate=5))
    cancelled = record(further, status="cancelled", environment=AFTER)
    drift = before[1].changed(environment=AFTER, role="drift_control")
    for last in (cancelled, drift):
        assert latency_of(make_run([*before, last]))[0] == pytest.approx(0.01)


def test_equal_cards_are_one_environment_and_another_driver_is_not() -> None:
    def on(uuid: str, driver: str, records: Iterable[Record]) -> list[Record]:
        card = {"name": "H100", "uuid": uuid, "driver": driver, "order": 0}
        moved = (
            one.changed(job=one.job.with_settings(device="cuda:0"))
            for one in records
            if one.job.task == "infer"
        )
        return within({**BEFORE, "gpu": [card]}, moved)

    one, other, updated = (
        on("a", "1", timed(OLD, 1)),
        on("b", "1", timed(OLD, 1)),
        on("a", "2", timed(OLD, 2)),
    )
    assert latency_of(make_run([*one[:3], *other[3:]]))[0] == pytest.approx(1)
    assert latency_of(make_run([*one[:3], *updated[3:]]))[0] == pytest.approx(2 * math.sqrt(1.005 * 1.01))


@pytest.mark.parametrize(("package", "name"), [("timm", "timm:resnet18"), ("onnxruntime", NAME)])
def test_the_library_of_a_network_or_a_backend_is_of_the_environment(package: str, name: str) -> None:
    backend = "onnx" if name == NAME else "eager"
    one, other = (
        [
            each.changed(
                job=each.job.with_settings(backend=backend),
                environment={**BEFORE, "packages": {**BEFORE["packages"], package: version}},
            )
            for each in timed(OLD, seconds, name)
            if each.job.task == "infer"
        ]
        for version, seconds in (("1.0", 0.01), ("1.1", 0.02))
    )
    assert latency_of(make_run([*one, *other[:2]]))[0] == pytest.approx(0.02 * math.sqrt(0.99 * 0.995))


def test_seeds_are_of_one_environment() -> None:
    before, after = (
        within(env, (scored(NETS[0], seed, top1) for seed in range(3)))
        for env, top1 in ((BEFORE, 0.5), (AFTER, 0.6))
    )
    (series,) = series_of(make_run([*before, *after[:2]]))
    assert series.accuracies == [0.6, 0.6]


def test_runs_are_held_against_each_other_by_what_counts_of_each() -> None:
    """A file edited and put back: what counts is what was planned last, not what was measured last."""
    first, edited = [*timed(OLD, 0.01)], [*timed(NEW, 0.02)]
    back = make_run([*first, *edited], name="b", planned=tuple(one.job for one in first))
    matching = match(make_run(first, name="a"), back)
    assert {r.job.source_sha256 for _, there in matching.pairs for r in there.records} == {OLD}
