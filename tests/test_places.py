"""Several places: which jobs run where, and beside what; on three cards that are made up."""

from __future__ import annotations

import itertools
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from conftest import make_planned
from equal_cards import CARDS, at_once, costs, executor, host, on_cpu, overlap, places, schedule, timed

from bench.execution import Event
from bench.execution._targets import with_card
from bench.execution._wants import wanted
from bench.execution.executors.process import ProcessExecutor
from bench.execution.places import _CardExecutor, _with_card_first, places_for
from bench.plan.config import Experiment
from bench.plan.expand import Planned, expand
from bench.records import environment


class TestTheHost:
    def test_equal_cards_are_those_like_the_first(self) -> None:
        slower = {**CARDS[1], "name": "NVIDIA T4"}
        smaller = {**CARDS[1], "memory_B": 40}
        assert host(*CARDS).equal_cards == (0, 1, 2)
        assert host(CARDS[0], slower, CARDS[2]).equal_cards == (0, 2)
        assert host(CARDS[0], smaller).equal_cards == (0,)
        assert host().equal_cards == ()

    def test_a_card_that_cuda_does_not_show_is_none_of_them(self) -> None:
        shown_two = replace(host(*CARDS), devices=("cpu", "cuda:0", "cuda:1"))
        assert shown_two.equal_cards == (0, 1)

    @pytest.mark.parametrize(
        ("device", "several"), [("auto", True), ("all", True), ("cuda", True), ("cuda:0", False)]
    )
    def test_a_device_that_names_no_card_means_any_and_the_job_stays_the_same(
        self, device: str, several: bool
    ) -> None:
        content = {"blocks": [{"task": "infer", "device": device, "grid": {"arch": ["net"]}}]}
        experiment = Experiment.parse(content)
        plan = expand(experiment, host(*CARDS))
        assert {p.any_card for p in plan} == {several}
        alone = expand(experiment, host(CARDS[0]))
        assert [p.job.id for p in plan] == [p.job.id for p in alone]
        assert not any(p.any_card for p in alone)

    def test_slices_of_a_board_share_its_clocks_and_are_not_shared_out(self) -> None:
        for kind, name in (("MIG", "NVIDIA H100"), ("GPU", "NVIDIA H100 MIG 1g.10gb")):  # either tells
            parts = ({**CARDS[0], "name": name, "uuid": f"{kind}-{one}"} for one in "ab")
            assert host(*parts).equal_cards == (0,)

    @pytest.mark.parametrize(("device", "told"), [("all", True), ("auto", False), ("cuda:0", False)])
    def test_what_is_left_out_is_told_where_all_are_asked_for(self, device: str, told: bool) -> None:
        content = {"blocks": [{"task": "infer", "device": device, "grid": {"arch": ["net"]}}]}
        one_like_it = host(CARDS[0], {**CARDS[1], "name": "NVIDIA T4"})
        notes = {p.note for p in expand(Experiment.parse(content), one_like_it)}
        assert (["cuda:1 (NVIDIA T4)" in note for note in notes]) == [told]
        assert {p.note for p in expand(Experiment.parse(content), host(*CARDS))} == {""}

    def test_all_of_a_host_without_cards_is_its_cpu(self) -> None:
        content = {"blocks": [{"task": "infer", "device": "all", "grid": {"arch": ["net"]}}]}
        assert {p.job.device for p in expand(Experiment.parse(content), host())} == {"cpu"}

    def test_ranks_take_the_first_cards(self) -> None:
        block = {"task": "accuracy", "dataset": "digits", "grid": {"arch": ["net"], "ranks": [1, 2]}}
        plan = expand(Experiment.parse({"blocks": [block]}), host(*CARDS))
        assert {p.job.settings.device_count: p.any_card for p in plan} == {1: True, 2: False}

    def test_each_card_is_a_place_and_the_host_is_one_for_the_rest(self) -> None:
        plan = [*timed(1), *on_cpu(1), make_planned(task="infer", settings={"device": "cuda:2"})]
        found = places_for(plan, executor(), host(*CARDS))
        assert [p.name for p in found] == ["cuda:0", "cuda:1", "cuda:2", "host"]
        assert [sorted(p.takes) for p in found] == [["cuda"]] * 3 + [["cpu", "cuda:2", "no clock"]]
        assert [wanted(p) for p in plan] == ["cuda", "cpu", "cuda:2"]

    @pytest.mark.parametrize(
        ("plan", "cores"),
        [(timed(3), 1), (on_cpu(3), 8), ([replace(timed(1)[0], status="skipped")], 8), ([], 8)],
        ids=["one at a time", "no card", "nothing to run", "nothing"],
    )
    def test_otherwise_the_host_is_one_place(self, plan: list[Planned], cores: int) -> None:
        (place,) = places_for(plan, executor(cores), host(*CARDS))
        assert place.environment == host(*CARDS).environment

    def test_a_record_names_the_card_that_it_was_made_on(self) -> None:
        env = {**host(*CARDS).environment, "unknown": {"gpu.0.mig": "x", "gpu.2.mig": "y", "cpu.cores": "z"}}
        there = _with_card_first(env, 2)
        assert environment.card_of(there, "cuda:0")["uuid"] == "GPU-c"
        assert [card["uuid"] for card in there["gpu"]] == ["GPU-c", "GPU-a", "GPU-b"]
        assert there["unknown"] == {"gpu.1.mig": "x", "gpu.0.mig": "y", "cpu.cores": "z"}
        assert there["variables"] == {"CUDA_VISIBLE_DEVICES": "GPU-c"}

    @pytest.mark.parametrize(
        ("uuid", "shown", "expected"),
        [
            ("GPU-b", "2,3", "GPU-b"),
            ("MIG-b", "", "MIG-b"),
            ("b", "2,3", "3"),  # CUDA's own form of a UUID may be a card's or a slice's
            (None, "", "1"),
        ],
    )
    def test_a_card_is_shown_by_its_uuid_or_by_what_the_process_was_given(
        self, uuid: str | None, shown: str, expected: str
    ) -> None:
        cards = [CARDS[0], {**CARDS[1], "uuid": uuid}]
        env = {"gpu": cards, "variables": {"CUDA_VISIBLE_DEVICES": shown}}
        assert _with_card_first(env, 1)["variables"] == {"CUDA_VISIBLE_DEVICES": expected}

    def test_a_process_is_shown_its_card_before_all_else(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
        heard: list[Event] = []
        with_card(heard.append, "GPU-b", f"{__name__}:tell_what_is_shown", ("word",))
        assert heard == [("shown", "GPU-b word")]


def tell_what_is_shown(send: Callable[[Event], None], word: str) -> None:
    send(("shown", f"{os.environ['CUDA_VISIBLE_DEVICES']} {word}"))


class TestWhatRunsBesideWhat:
    def test_three_cards_do_the_work_of_three(self) -> None:
        spans = schedule(timed(9), places())
        assert Counter(s.place.name for s in spans) == {"cuda:0": 3, "cuda:1": 3, "cuda:2": 3}
        assert max(s.end_s for s in spans) == 3.0

    def test_a_card_has_one_job_at_a_time(self) -> None:
        rng = random.Random(0)
        spans = schedule(timed(60), places(), does=lambda *_: (rng.uniform(0.1, 3.0), False))
        for one, other in itertools.combinations(spans, 2):
            assert one.place is not other.place or not overlap(one, other)

    def test_what_only_counts_runs_beside_them_on_the_cores_that_are_left(self) -> None:
        spans = schedule([*costs(50), *timed(30)], places(8))
        counted = [s for s in spans if s.planned.job.task == "cost"]
        assert (at_once(counted), at_once(spans)) == (5, 8)
        assert {s.begin_s for s in spans if s.planned.any_card and s.planned.job.seed < 3} == {0.0}

    def test_with_fewer_cores_than_cards_no_job_shares_its_core(self) -> None:
        spans = schedule([*costs(4), *timed(6)], places(2))
        assert at_once(spans) == 2
        assert len(spans) == 10

    def test_what_is_timed_on_the_cpu_has_the_host_to_itself(self) -> None:
        spans = schedule([*timed(7), *on_cpu(4), *costs(5)], places(8))
        alone = [s for s in spans if s.planned.job.device == "cpu" and s.planned.job.task == "infer"]
        assert len(alone) == 4
        for one in alone:
            assert not any(overlap(one, other) for other in spans if other is not one)

    def test_trainings_on_the_cpu_run_on_their_threads(self) -> None:
        spans = schedule([*on_cpu(8, "accuracy", threads=2), *timed(6)], places(8))
        trained = [s for s in spans if s.planned.job.task == "accuracy"]
        beside = [s for s in trained if s.begin_s < 2.0]  # as long as the cards have three of eight cores
        assert (at_once(beside), at_once(trained)) == (2, 4)

    def test_a_card_that_is_named_waits_for_it_and_for_no_other(self) -> None:
        named = make_planned(task="infer", settings={"device": "cuda:1", "batch_size": 4})
        jobs = [*timed(6), named]
        spans = schedule(jobs, places_for(jobs, executor(), host(*CARDS)))
        (one,) = [s for s in spans if s.planned is named]
        assert one.place.name == "host"
        for other in spans:
            assert not (overlap(one, other) and other.place.name == "cuda:1")

    def test_jobs_keep_their_order(self) -> None:
        spans = schedule(timed(9), places())
        assert [s.planned.job.seed for s in spans] == list(range(9))

    def test_unequal_cards_are_left_alone(self) -> None:
        spans = schedule(timed(6), places(8, CARDS[0], {**CARDS[1], "name": "NVIDIA T4"}, CARDS[2]))
        assert {s.place.name for s in spans} == {"cuda:0", "cuda:2"}


def test_a_real_process_is_shown_its_card_and_no_other_process_is() -> None:
    real = ProcessExecutor()
    heard: list[Event] = []
    card = _CardExecutor(real, "GPU-b")
    words = (f"{__name__}:tell_what_is_shown", ("word",))
    assert card.call(*words, timeout_s=60.0, on_event=heard.append).exitcode == 0
    assert heard == [("shown", "GPU-b word")]
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != "GPU-b"
