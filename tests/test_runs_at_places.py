"""Runs at several places: what is stored and told of their jobs, and that none is lost with its place."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import make_planned, ok_events, seconds
from equal_cards import CARDS, Cluster, Node, executor, host, on_cpu, schedule, timed
from fake_executor import Crowd, FakeExecutor, Interrupted

from bench.errors import BenchError
from bench.execution import Ended, Event, _sharing
from bench.execution import _locks as locks
from bench.execution._locks import device_locks
from bench.execution._sharing import _TRIES
from bench.execution.places import Place, PlaceLostError
from bench.execution.runner import Observer, Summary, run_plan
from bench.plan.expand import Catalog, Planned
from bench.plan.settings import Processes
from bench.records import environment
from bench.records.record import Record
from bench.records.store import Store, latest, read_run

WAIT_S = 20.0


class Meeting(Crowd):
    """So many calls under way together, of up to eight."""

    def __init__(self, together: int) -> None:
        super().__init__(lambda *_: (ok_events(seconds("latency", 1.0)), Ended()), together, at_once=8)


class Story(Observer):
    """Hears what happens, each with the place where it does; all in one thread."""

    def __init__(self, place: str = "", heard: list[tuple[str, str]] | None = None) -> None:
        self.place = place
        self.heard: list[tuple[str, str]] = [] if heard is None else heard
        self.thread = threading.current_thread()

    def at(self, place: str) -> Story:
        return Story(place, self.heard)

    def tell(self, word: str) -> None:
        assert threading.current_thread() is self.thread
        self.heard.append((self.place, word))

    def started(self, planned: Planned, total: int) -> None:
        self.tell(f"started {planned.job.seed} of {total}")

    def stage(self, name: str) -> None:
        self.tell(name)

    def waiting(self, device: str, holder: str) -> None:
        self.tell(f"waiting for {device}")

    def again(self, jobs: int) -> None:
        self.tell(f"{jobs} again")

    def lost(self, place: str, reason: str) -> None:
        self.tell(f"{place} lost: {reason}")

    def recorded(self, record: Record) -> None:
        self.tell(record.status)


def run(
    path: Path,
    jobs: Sequence[Planned],
    how: FakeExecutor,
    observer: Observer | None = None,
    catalog: Catalog | None = None,
) -> Summary:
    with Store(path) as store:
        return run_plan(jobs, how, store, catalog or host(*CARDS), observer)


class TestARun:
    def test_each_card_measures_and_its_records_say_so(self, tmp_path: Path) -> None:
        how = Meeting(3)
        summary = run(tmp_path, timed(3), how)
        assert summary.counts == {"ok": 3}
        assert [r.job.seed for r in summary.records] == [0, 1, 2]  # of the plan, whoever ended first
        shown = {args[2][0].seed: args[0] for _, args in how.calls}
        named = {
            r.job.seed: environment.card_of(r.environment, r.job.device)["uuid"] for r in summary.records
        }
        assert shown == named
        assert sorted(named.values()) == ["GPU-a", "GPU-b", "GPU-c"]
        assert {target for target, _ in how.calls} == {"bench.execution._targets:with_card"}

    def test_the_same_command_measures_nothing_on_whichever_card(self, tmp_path: Path) -> None:
        run(tmp_path, timed(5), executor())
        again = executor()
        assert run(tmp_path, timed(5), again).reused == 5
        assert again.calls == []

    def test_a_record_of_one_card_stands_for_all_like_it(self, tmp_path: Path) -> None:
        alone = [replace(job, any_card=False) for job in timed(3)]
        run(tmp_path, alone, executor(), catalog=host(CARDS[1]))
        assert run(tmp_path, alone, executor(), catalog=host(CARDS[0])).reused == 0  # one card is that card
        assert run(tmp_path, timed(3), executor()).reused == 3
        other = [{**card, "name": "NVIDIA A100"} for card in CARDS]
        assert run(tmp_path, timed(3), executor(), catalog=host(*other)).reused == 0

    def test_observers_hear_of_each_place_in_one_thread(self, tmp_path: Path) -> None:
        story = Story()
        run(tmp_path, timed(3), Meeting(3), story)
        by_place = {place: [w for p, w in story.heard if p == place] for place, _ in story.heard}
        assert by_place.pop("") == ["ok", "ok", "ok"]
        assert {place: words[1:] for place, words in by_place.items()} == {
            f"cuda:{i}": ["build", "done"] for i in range(3)
        }

    def test_what_others_disturbed_is_tried_once_more(self, tmp_path: Path) -> None:
        tries: Counter[int] = Counter()

        def play(_: str, args: tuple[Any, ...]) -> tuple[list[Event], Ended]:
            seed = args[2][0].seed
            tries[seed] += 1
            flags = ("contended",) if seed == 1 and tries[seed] == 1 else ()
            return ok_events(seconds("latency", 1.0).changed(flags=flags)), Ended()

        how = executor()
        how.play = play
        summary = run(tmp_path, timed(3), how)
        assert tries == {0: 1, 1: 2, 2: 1}
        assert {r.job.seed: (r.role, r.attempt) for r in summary.records}[1] == ("repeated", 2)

    def test_each_card_has_a_drift_control_of_its_own_first_jobs(self, tmp_path: Path) -> None:
        run(tmp_path, timed(12), Meeting(3))
        *_, last = records = read_run(tmp_path).records
        assert last.role == "drift_control"
        place = {job.job.id: i for i, job in enumerate(timed(12))}
        by_card: dict[str, list[Record]] = {}
        for record in sorted(records[:12], key=lambda record: place[record.job.id]):
            by_card.setdefault(_card(record), []).append(record)
        expected = {
            card: sorted(of[:4], key=lambda record: record.duration_s)[1].job.id
            for card, of in by_card.items()
            if len(of) >= 4
        }
        assert {_card(r): r.job.id for r in records if r.role == "drift_control"} == expected

    def test_further_rounds_go_to_all_cards(self, tmp_path: Path) -> None:
        rule = Processes(least=3, most=6, within=0.01, grant_s=100.0)
        jobs = [
            replace(
                make_planned(task="infer", arch=a, settings={"device": "cuda:0"}),
                any_card=True,
                processes=rule,
            )
            for a in "ab"
        ]
        rng = random.Random(0)

        def play(*_: Any) -> tuple[list[Event], Ended]:
            return ok_events(seconds("latency", rng.uniform(1.0, 2.0))), Ended()

        how = executor()
        how.play = play
        plan = [job.in_process(number) for number in range(3) for job in jobs]
        summary = run(tmp_path, plan, how)
        assert Counter(r.job.arch for r in summary.records) == {"a": 6, "b": 6}
        assert {_card(r) for r in summary.records} == {"GPU-a", "GPU-b", "GPU-c"}

    def test_trainings_beside_one_another_on_the_cpu_are_doubted_and_hold_it_together(
        self, tmp_path: Path
    ) -> None:
        how = Meeting(5)
        how.play = lambda *_: (ok_events(seconds("train_time", 1.0)), Ended())
        jobs = [*on_cpu(2, "accuracy", threads=2), *timed(3)]
        summary = run(tmp_path, jobs, how)
        flags = {(r.job.task, *r.measurements[0].flags) for r in summary.records}
        assert flags == {("accuracy", "side_by_side"), ("infer",)}

    def test_an_error_in_a_thread_ends_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCH_LOCKS", str(tmp_path / "locks"))
        (tmp_path / "locks").mkdir()
        (tmp_path / "locks" / "GPU-b.lock").mkdir()
        with pytest.raises(BenchError, match=r"GPU-b.lock is a folder"):
            run(tmp_path / "run", timed(3), Meeting(3))


def _card(record: Record) -> str:
    return str(environment.card_of(record.environment, "cuda:0")["uuid"])


class TestInterruptions:
    def test_ctrl_c_ends_all_cards_and_records_what_ran(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        how = Meeting(4)  # of which there are only three
        monkeypatch.setattr(_sharing, "SimpleQueue", Interrupted)
        summary = run(tmp_path, timed(9), how)
        assert summary.cancelled
        assert summary.counts == {"cancelled": 3}
        assert summary.pending == 6
        assert len(read_run(tmp_path).records) == 3

    def test_an_interrupt_in_a_thread_ends_the_run_and_what_else_is_under_way(self, tmp_path: Path) -> None:
        class OneInterrupt(Meeting):
            def call(self, target: str, args: tuple[Any, ...], **kwargs: Any) -> Ended:
                if args[2][0].seed == 1:
                    raise KeyboardInterrupt
                return super().call(target, args, **kwargs)

        summary = run(tmp_path, timed(9), OneInterrupt(3))  # of which there are only two
        assert summary.cancelled
        assert summary.counts == {"cancelled": 3}
        assert summary.pending == 6

    def test_a_card_that_another_run_holds_keeps_no_other_waiting(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locks, "_POLL_S", 0.005)
        story = Story()
        done = threading.Event()

        class Free(Story):
            def at(self, place: str) -> Story:
                return Story(place, story.heard)

            def recorded(self, record: Record) -> None:
                story.heard.append(("", "ok"))
                if [w for _, w in story.heard].count("ok") == 8:
                    done.set()

        with held("GPU-b", done):
            summary = run(tmp_path, timed(9), executor(), Free())
        assert summary.counts == {"ok": 9}
        assert ("cuda:1", "waiting for cuda:0") in story.heard or (
            "cuda:1",
            "waiting for cuda:1",
        ) in story.heard

    def test_ctrl_c_ends_the_waiting_for_a_card(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locks, "_POLL_S", 0.005)

        class Impatient(Story):
            def at(self, place: str) -> Story:
                return Impatient(place, self.heard)

            def waiting(self, device: str, holder: str) -> None:
                raise KeyboardInterrupt

        with held("GPU-b", threading.Event()):
            summary = run(tmp_path, timed(9), executor(), Impatient())
        assert summary.cancelled
        assert summary.counts["cancelled"] >= 1


@contextmanager
def held(uuid: str, until: threading.Event) -> Iterator[None]:
    """Hold a card in another thread, until an event or the end of the block."""
    ready, over = threading.Event(), threading.Event()

    def hold() -> None:
        with device_locks({uuid: "cuda:7"}, "other", lambda *_: None):
            ready.set()
            while not (until.wait(0.01) or over.is_set()):
                pass

    thread = threading.Thread(target=hold)
    thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_job_that_no_place_takes_is_told_and_one_that_will_not_run_needs_none(tmp_path: Path) -> None:
    on_cards, elsewhere = timed(2), make_planned(task="infer", settings={"device": "cuda:3"})
    skipped = replace(
        make_planned(task="infer", settings={"device": "cuda:4"}), status="skipped", reason="so"
    )
    summary = run(tmp_path, [*on_cards, elsewhere, skipped], Cluster(2))
    assert summary.counts == {"ok": 2, "unsupported": 1, "skipped": 1}
    (told,) = [r.error for r in summary.records if r.status == "unsupported"]
    assert told is not None
    assert told["message"] == "no place for a job on cuda:3: there are some for cpu, cuda, cuda:0"


class TestLostPlaces:
    def test_a_job_of_a_lost_node_runs_elsewhere_as_a_new_attempt(self, tmp_path: Path) -> None:
        story = Story()
        summary = run(tmp_path, timed(6), Cluster(3, {"node-1": 1}), story)
        assert summary.counts == {"ok": 6}
        (lost,) = [r for r in read_run(tmp_path).records if r.status == "killed"]
        assert lost.error is not None
        assert lost.error["message"] == "node-1 was lost in stage start: the node is gone"
        again = latest(read_run(tmp_path).records)[lost.job.id]
        assert (lost.attempt, again.attempt, again.status) == (1, 2, "ok")
        assert _card(again) != "GPU-node-1"
        assert ("node-1", "node-1 lost: the node is gone") in story.heard

    def test_without_a_place_the_rest_is_pending_and_the_next_run_goes_on(self, tmp_path: Path) -> None:
        summary = run(tmp_path, timed(6), Cluster(2, {"node-0": 1, "node-1": 1}))
        assert summary.counts["ok"] == 2
        assert summary.pending + summary.counts["killed"] == 4
        assert not summary.cancelled
        again = run(tmp_path, timed(6), Cluster(2))
        assert again.counts == {"ok": 6}

    def test_a_job_that_ends_each_node_is_not_given_to_all(self, tmp_path: Path) -> None:
        deadly = timed(1)[0].job.id

        class Deadly(Cluster):
            def node(self, name: str, catalog: Catalog) -> Place:
                return replace(super().node(name, catalog), executor=DeadlyNode(self, name))

        class DeadlyNode(Node):
            def call(self, target: str, args: tuple[Any, ...], **kwargs: Any) -> Ended:
                if args[0].id == deadly:
                    raise PlaceLostError("the node is gone")
                return super().call(target, args, **kwargs)

        summary = run(tmp_path, timed(20), Deadly(8))
        assert summary.counts == {"ok": 19, "killed": 1}
        assert sum(r.job.id == deadly for r in read_run(tmp_path).records) == _TRIES

    def test_a_single_place_that_is_lost_ends_the_run(self, tmp_path: Path) -> None:
        summary = run(tmp_path, timed(3), Cluster(1, {"node-0": 1}))
        assert summary.counts == {"ok": 1, "killed": 1}
        assert summary.pending == 1


class TestACampaign:
    def workers(self, count: int) -> list[Place]:
        catalog = host(*CARDS)
        cluster = Cluster(count)
        return list(cluster.places([], catalog))

    def test_a_thousand_workers_with_failures_account_for_every_job(self) -> None:
        """Delays, deaths and jobs that kill: each job ends once, or as often as its places were lost."""
        rng = random.Random(7)
        deadly = {job.job.id for job in timed(10_000) if rng.random() < 0.001}

        def does(planned: Planned, place: Place) -> tuple[float, bool]:
            dies = planned.job.id in deadly or rng.random() < 0.02
            return rng.expovariate(1.0) if not dies else rng.uniform(0, 0.5), dies

        jobs, workers = timed(10_000), self.workers(1000)
        spans = schedule(jobs, workers, does=does)
        ok = Counter(s.planned.job.id for s in spans if not s.lost)
        lost = Counter(s.planned.job.id for s in spans if s.lost)
        assert set(ok) | set(lost) == {job.job.id for job in jobs}  # every one is accounted for
        assert set(ok.values()) == {1}  # and measured once
        assert max(lost.values()) == _TRIES
        assert {job for job, count in lost.items() if job not in ok and count < _TRIES} == set()
        assert deadly & set(ok) == set()
        gone = Counter(s.place.name for s in spans if s.lost)
        assert set(gone.values()) == {1}  # nothing goes to a place that is gone
        for place in gone:
            of_place = [s for s in spans if s.place.name == place]
            assert of_place[-1].lost

    def test_where_all_workers_die_the_rest_is_left(self) -> None:
        spans = schedule(timed(5000), self.workers(1000), does=lambda *_: (1.0, True))
        assert len(spans) == 1000
        assert all(s.lost for s in spans)

    def test_a_thousand_threads_store_each_record_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("os.fsync", lambda _: None)  # the disk's time is not the question
        rng = random.Random(1)
        dies = {f"node-{i}": rng.randrange(3) for i in range(1000) if rng.random() < 0.2}
        summary = run(tmp_path, timed(3000), Cluster(1000, dies))
        assert summary.pending == 0
        records = read_run(tmp_path).records
        assert {r.job.id for r in records} == {job.job.id for job in timed(3000)}
        measured = Counter(r.job.id for r in records if r.status == "ok" and r.role == "measured")
        assert set(measured.values()) == {1}
        assert len({(r.job.id, r.attempt) for r in records}) == len(records)
        assert summary.counts.get("ok", 0) == len(measured)
