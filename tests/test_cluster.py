"""Clusters: which job goes to which node, what lies there until it is stored, and that nothing is lost with one."""

from __future__ import annotations

import io
import os
import re
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import make_catalog, make_job, make_planned, ok_events, scripted, seconds
from fake_executor import FakeExecutor
from fake_fleet import FakeFleet, FakeNode
from rich.console import Console

from bench.api import run
from bench.cli._common import at_address
from bench.cli._progress import Progress
from bench.errors import BenchError, ConfigError, StoreError, install_tip
from bench.execution import Ended, Event
from bench.execution._cluster import ClusterExecutor, _token_of
from bench.execution._wants import NO_CLOCK
from bench.execution.executors.ray import _ADDRESS, _RayFleet, _refusal, _sigterm_as_before, _version_probe
from bench.execution.places import Remote
from bench.execution.runner import Summary, run_plan
from bench.io import write_file
from bench.plan.config import Experiment
from bench.plan.expand import Planned, expand
from bench.plan.job import Role
from bench.records.record import Record
from bench.records.store import Store, latest, read_run


def well(*_: object) -> tuple[Sequence[Event], Ended]:
    """Play a job that goes well."""
    return ok_events(seconds("latency", 1.0)), Ended()


def costs(count: int) -> list[Planned]:
    return [make_planned(seed=i) for i in range(count)]


def timed(count: int, **settings: Any) -> list[Planned]:
    given = {"device": "cpu", "batch_size": 1, **settings}
    return [make_planned(task="infer", seed=i, settings=given) for i in range(count)]


def trained() -> Planned:
    return make_planned(task="accuracy", settings={"device": "cpu", "dataset": "digits", "threads": 1})


def cluster(*nodes: FakeNode) -> ClusterExecutor:
    """Return the executor of a cluster, surveyed."""
    fleet = FakeFleet(*nodes)
    executor = ClusterExecutor(lambda: fleet, scripted())
    executor.survey(make_catalog("net"))
    return executor


def run_on(executor: ClusterExecutor, path: Path, plan: Sequence[Planned]) -> Summary:
    """Run a plan as `bench.api` does: first collect, then run."""
    executor.collect(path)
    with Store(path) as store:
        return run_plan(plan, executor, store, executor.survey(make_catalog("net")))


def takes(executor: ClusterExecutor, plan: Sequence[Planned]) -> dict[str, list[str]]:
    """Return by place what it takes of a plan."""
    return {place.name: sorted(place.takes) for place in executor.places(plan, make_catalog())}


class TestPlaces:
    def test_it_is_an_executor_with_places_of_its_own(self, tmp_path: Path) -> None:
        assert isinstance(cluster(FakeNode(tmp_path / "a", well)), Remote)

    def test_each_card_and_each_cpu_is_one(self, tmp_path: Path) -> None:
        executor = cluster(FakeNode(tmp_path / "a", well, cards=["T4", "T4"]), FakeNode(tmp_path / "b", well))
        plan = [*costs(1), *timed(1), *timed(1, device="cuda:0")]
        assert takes(executor, plan) == {
            "a/cpu": ["cpu", NO_CLOCK],
            "a/cuda:0": ["cuda:0", NO_CLOCK],
            "a/cuda:1": ["cuda:0", NO_CLOCK],
            "b/cpu": ["cpu", NO_CLOCK],
        }

    def test_what_is_timed_goes_to_nodes_of_the_most_frequent_kind_and_what_is_counted_to_all(
        self, tmp_path: Path
    ) -> None:
        kinds = {"a": "old", "b": "new", "c": "new"}
        executor = cluster(*(FakeNode(tmp_path / name, well, cpu=cpu) for name, cpu in kinds.items()))
        usual = ["cpu", NO_CLOCK]
        assert takes(executor, [*costs(1), *timed(1)]) == {
            "a/cpu": [NO_CLOCK],
            "b/cpu": usual,
            "c/cpu": usual,
        }

    def test_a_device_type_names_another_kind(self, tmp_path: Path) -> None:
        cards = {"a": ["NVIDIA H100 80GB"], "b": ["NVIDIA H100 80GB"], "c": ["NVIDIA A100"]}
        executor = cluster(*(FakeNode(tmp_path / name, well, cards=own) for name, own in cards.items()))
        plan = [
            *timed(1, device="cuda:0"),
            *timed(1, device="cuda:0", device_type="a100"),
            *timed(1, device="cuda:0", device_type="H100"),
        ]
        on_cards = {name: taken for name, taken in takes(executor, plan).items() if "cuda" in name}
        assert on_cards == {
            "a/cuda:0": ["cuda:0", "cuda:0 of H100"],
            "b/cuda:0": ["cuda:0", "cuda:0 of H100"],
            "c/cuda:0": ["cuda:0 of a100"],
        }

    def test_the_catalog_is_of_the_cluster(self, tmp_path: Path) -> None:
        executor = cluster(FakeNode(tmp_path / "a", well, cards=["T4"]), FakeNode(tmp_path / "b", well))
        catalog = executor.survey(make_catalog("net", no_cuda="torch finds no GPU", missing=("mnist",)))
        assert catalog.devices == ("cpu", "cuda:0")
        assert (catalog.no_cuda, catalog.missing) == (None, ())
        assert [card["name"] for card in catalog.environment["gpu"]] == ["T4"]
        assert set(catalog.archs) == {"net"}

    def test_a_cluster_without_cards_says_so(self, tmp_path: Path) -> None:
        catalog = cluster(FakeNode(tmp_path / "a", well)).survey(make_catalog())
        assert catalog.devices == ("cpu",)
        assert catalog.no_cuda == "no node of the cluster gives one"

    def test_what_cannot_be_used_is_told_and_the_others_are_used(self, tmp_path: Path) -> None:
        other = FakeNode(tmp_path / "b", well, refusal="it has bench 9, and here is 0.1.0")
        silent = FakeNode(tmp_path / "c", well, dies_after=0)
        catalog = cluster(FakeNode(tmp_path / "a", well), other, silent).survey(make_catalog())
        assert dict(catalog.unused) == {
            "b": "it has bench 9, and here is 0.1.0",
            "c/cpu": "c is gone",
        }
        assert {kind: len(machines) for kind, machines in catalog.machines.items()} == {"cpu": 1, "cuda": 0}

    def test_without_any_node_nothing_begins(self, tmp_path: Path) -> None:
        with pytest.raises(BenchError, match=r"no node of the cluster can be used: a: too old"):
            cluster(FakeNode(tmp_path / "a", well, refusal="too old"))

    @pytest.mark.parametrize(
        ("wish", "reason"),
        [
            ("H100", None),
            ("h1", None),
            ("A100", "no cuda:0 here is of the type 'A100': NVIDIA H100, NVIDIA T4"),
        ],
    )
    def test_a_type_that_no_machine_has_is_unsupported(self, wish: str, reason: str | None) -> None:
        cards = tuple({"gpu": [{"name": name}]} for name in ("NVIDIA H100", "NVIDIA T4"))
        catalog = make_catalog(
            "net", devices=("cpu", "cuda:0"), machines={"cuda": cards, "cpu": ()}, environment=cards[1]
        )
        block = {"task": "infer", "device": "cuda", "grid": {"arch": ["net"], "device_type": [wish]}}
        (planned, *_) = expand(Experiment.parse({"blocks": [block]}), catalog)
        assert planned.reason == reason
        assert planned.job.settings.content["device_type"] == wish

    def test_several_cards_for_one_job_are_not_to_be_had(self) -> None:
        catalog = make_catalog(
            "net",
            devices=("cpu", "cuda:0"),
            machines={"cuda": ({"gpu": [{"name": "NVIDIA T4"}]},), "cpu": ()},
        )
        block = {"task": "accuracy", "dataset": "digits", "grid": {"arch": ["net"], "ranks": [1, 2]}}
        reasons = [planned.reason for planned in expand(Experiment.parse({"blocks": [block]}), catalog)]
        assert reasons == [None, "it takes 2 cards of one machine; at a cluster a job has one"]

    def test_nodes_that_give_their_cards_alone_count_as_well(self, tmp_path: Path) -> None:
        node = FakeNode(tmp_path / "a", well, cards=["T4"], has_cpu=False)
        executor = cluster(node)
        assert takes(executor, [*costs(1), *timed(1)]) == {"a/cuda:0": [NO_CLOCK]}
        assert executor.survey(make_catalog()).devices == ("cuda:0",)

    def test_without_a_type_the_job_is_what_it_was(self) -> None:
        plain = make_job(task="infer", settings={"device": "cpu"})
        assert "device_type" not in plain.settings.content
        assert plain.id != make_job(task="infer", settings={"device": "cpu", "device_type": "Xeon"}).id


class TestRecords:
    def test_they_have_the_environment_of_their_node_and_are_let_go_there(self, tmp_path: Path) -> None:
        nodes = [FakeNode(tmp_path / name, well, cpu=name) for name in ("a", "b")]
        executor = cluster(*nodes)
        summary = run_on(executor, tmp_path / "run", costs(6))
        assert summary.counts == {"ok": 6}
        done = Counter(r.environment["cpu"]["model"] for r in summary.records)
        assert done == {n.cpu: len(n.calls("work")) for n in nodes if n.calls("work")}
        assert not [*tmp_path.glob("[ab]/*/*")]

    def test_the_same_again_measures_nothing(self, tmp_path: Path) -> None:
        node = FakeNode(tmp_path / "a", well)
        run_on(cluster(node), tmp_path / "run", costs(3))
        summary = run_on(cluster(node), tmp_path / "run", costs(3))
        assert (summary.reused, len(node.calls("work"))) == (3, 3)

    def test_a_job_that_will_not_run_goes_nowhere(self, tmp_path: Path) -> None:
        node = FakeNode(tmp_path / "a", well)
        (job,) = costs(1)
        skipped = Planned(job=job.job, card=job.card, timeout_s=1.0, status="skipped", reason="why not")
        assert run_on(cluster(node), tmp_path / "run", [skipped]).counts == {"skipped": 1}
        assert not node.calls("work")

    def test_files_come_back_and_a_checkpoint_goes_along(self, tmp_path: Path) -> None:
        seen: list[bytes] = []

        def train(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
            _, checkpoint, outputs, weights, *_ = args
            assert weights is None  # they are kept where that is asked for alone
            seen.append(checkpoint.read_bytes() if checkpoint.is_file() else b"")
            write_file(checkpoint, b"epoch 2")
            if len(seen) == 1:
                return [("stage", "train")], Ended(exitcode=-9)
            write_file(outputs, b"answers")
            return ok_events(seconds("train_time", 1.0)), Ended()

        first, second = (FakeNode(tmp_path / name, train) for name in ("a", "b"))
        job, path = trained(), tmp_path / "run"
        assert run_on(cluster(first), path, [job]).counts == {"killed": 1}
        assert (path / f"checkpoints/{job.job.id}.pt").read_bytes() == b"epoch 2"
        assert run_on(cluster(second), path, [job]).counts == {"ok": 1}
        assert seen == [b"", b"epoch 2"]  # on another node it goes on
        assert (path / f"outputs/{job.job.id}.npz").read_bytes() == b"answers"
        assert not (path / "checkpoints").exists()

    def test_a_checkpoint_comes_back_while_the_training_goes_on(self, tmp_path: Path) -> None:
        job, path = trained(), tmp_path / "run"
        node = FakeNode(tmp_path / "a", well, dies_after=4)

        class Training(FakeExecutor):
            def call(self, target: str, args: tuple[Any, ...], **kwargs: Any) -> Ended:
                if target.endswith(":work"):
                    kwargs["on_event"](("stage", "train"))
                    for epoch in (1, 2, 3, 4):
                        write_file(args[1], b"epoch %d" % epoch)
                        kwargs["on_event"](("progress", (epoch, 4)))
                    return Ended()
                return super().call(target, args, **kwargs)

        agent = node.agent(None)
        agent.executor = Training(agent.executor.play)  # type: ignore[attr-defined]
        told = [*agent.work("token", "run", job, {})]
        files = [value for kind, value in told if kind == "file"]
        assert files[:3] == [(f"checkpoints/{job.job.id}.pt", b"epoch %d" % epoch) for epoch in (1, 2, 3)]
        assert [kind for kind, _ in told][-1] == "record"
        assert path.exists() is False

    def test_images_that_a_node_lacks_are_fetched_there_once(self, tmp_path: Path) -> None:
        node = FakeNode(tmp_path / "a", well)
        agent = node.agent(None)
        plain = agent.executor.play  # type: ignore[attr-defined]

        def play(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
            if target.endswith(":probe_machine"):
                return [("answer", make_catalog(missing=tuple(args[1])))], Ended()
            if target.endswith(":fetch_data"):
                return [("error", BenchError("no network", "bring it"))], Ended()
            return plain(target, args)

        agent.executor.play = play  # type: ignore[attr-defined]
        lines = [[*agent.work("t", "run", trained(), {})][-1][1] for _ in range(2)]
        assert [b'"unsupported"' in line and b"no network" in line for line in lines] == [True, True]
        assert len(node.calls("fetch_data")) == 1
        assert not node.calls("work")


class TestLoss:
    def test_the_jobs_of_a_lost_node_run_elsewhere_as_a_new_attempt(self, tmp_path: Path) -> None:
        nodes = [FakeNode(tmp_path / "a", well, dies_after=1), FakeNode(tmp_path / "b", well)]
        summary = run_on(cluster(*nodes), tmp_path / "run", timed(4))
        assert summary.counts == {"ok": 4}
        stored = read_run(tmp_path / "run").records
        lost = [r for r in stored if r.status == "killed"]
        assert [r.error and r.error["type"] for r in lost] == ["PlaceLost"]
        again = next(r for r in summary.records if r.job == lost[0].job)
        assert (lost[0].attempt, again.attempt) == (1, 2)

    def test_it_is_told_once_and_what_runs_again_counts(self, tmp_path: Path) -> None:
        nodes = [FakeNode(tmp_path / "a", well, dies_after=1), FakeNode(tmp_path / "b", well)]
        executor, told = cluster(*nodes), io.StringIO()
        with Store(tmp_path / "run") as store, Progress(Console(file=told, width=400)) as progress:
            run_plan(timed(4), executor, store, executor.survey(make_catalog("net")), progress)
        assert told.getvalue().count("lost: a/cpu: a is gone") == 1
        assert "5/5 infer" in told.getvalue()

    def test_many_first_jobs_at_once_agree_on_the_token_of_their_run(self, tmp_path: Path) -> None:
        executor = cluster(*(FakeNode(tmp_path / f"n{i}", well) for i in range(12)))
        with Store(tmp_path / "run") as store:
            summary = run_plan(costs(48), executor, store, executor.survey(make_catalog("net")))
        assert summary.counts == {"ok": 48}
        assert not [*tmp_path.glob("n*/*/*")]

    def test_all_places_of_a_node_are_lost_with_it(self, tmp_path: Path) -> None:
        gone = FakeNode(tmp_path / "a", well, cards=["T4"] * 6, dies_after=1)
        executor = cluster(gone, FakeNode(tmp_path / "b", well, cards=["T4"]))
        summary = run_on(executor, tmp_path / "run", timed(12, device="cuda:0"))
        assert summary.counts == {"ok": 12}

    def test_without_a_node_the_rest_waits_for_the_next_run(self, tmp_path: Path) -> None:
        summary = run_on(cluster(FakeNode(tmp_path / "a", well, dies_after=1)), tmp_path / "run", timed(4))
        assert (summary.counts, summary.pending) == ({"killed": 1}, 3)
        summary = run_on(cluster(FakeNode(tmp_path / "b", well)), tmp_path / "run", timed(4))
        assert summary.counts == {"ok": 4}

    def test_a_node_that_cannot_keep_records_is_left(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        full, other = FakeNode(tmp_path / "a", well), FakeNode(tmp_path / "b", well)
        executor = cluster(full, other)
        append = Store.append

        def limited(self: Store, record: Record) -> None:
            if self.path.is_relative_to(full.folder):
                raise StoreError("cannot write: no space left on device")
            append(self, record)

        monkeypatch.setattr(Store, "append", limited)
        summary = run_on(executor, tmp_path / "run", timed(4))
        assert summary.counts == {"ok": 4}
        assert len(full.calls("work")) == 1


class TestADriverThatIsKilled:
    """What a driver had not stored lies on the nodes, and the next one brings it home."""

    def left_behind(self, path: Path, node: FakeNode, plan: Sequence[Planned]) -> None:
        """Do jobs on a node for a driver that is gone before it has heard of their ends."""
        agent, token = node.agent(None), _token_of(path)
        for planned in plan:
            assert [*agent.work(token, "run", planned, {})]

    def test_what_lies_there_is_stored_and_not_measured_again(self, tmp_path: Path) -> None:
        node, path, plan = FakeNode(tmp_path / "a", well), tmp_path / "run", timed(3)
        self.left_behind(path, node, plan[:2])
        summary = run_on(cluster(node), path, plan)
        assert (summary.reused, summary.counts) == (2, {"ok": 3})
        assert Counter(args[0].seed for args in node.calls("work")) == {0: 1, 1: 1, 2: 1}
        assert not [*tmp_path.glob("a/*/*")]

    def test_what_was_stored_but_not_let_go_is_not_stored_twice(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        node, path = FakeNode(tmp_path / "a", well), tmp_path / "run"
        with monkeypatch.context() as patch:
            patch.setattr(ClusterExecutor, "stored", lambda *_: None)
            run_on(cluster(node), path, timed(2))
        assert len([*tmp_path.glob("a/*/*")]) == 2
        assert run_on(cluster(node), path, timed(2)).reused == 2
        assert len(read_run(path).records) == 2
        assert not [*tmp_path.glob("a/*/*")]

    def test_nodes_that_share_a_disk_bring_each_record_once(self, tmp_path: Path) -> None:
        nodes = [FakeNode(tmp_path / "a", well), FakeNode(tmp_path / "b", well)]
        nodes[1].folder = nodes[0].folder
        self.left_behind(tmp_path / "run", nodes[0], timed(2))
        fleet = FakeFleet(nodes[0])
        fleet.made["b"] = nodes[1]
        executor = ClusterExecutor(lambda: fleet, scripted())
        executor.survey(make_catalog())
        assert executor.collect(tmp_path / "run") == 2
        assert len(read_run(tmp_path / "run").records) == 2

    @pytest.mark.parametrize("role", ["measured", "repeated", "drift_control"])
    def test_a_record_that_is_collected_has_the_role_that_it_was_made_in(
        self, tmp_path: Path, role: Role
    ) -> None:
        node, path = FakeNode(tmp_path / "a", well), tmp_path / "run"
        self.left_behind(path, node, [replace(planned, role=role) for planned in timed(1)])
        assert cluster(node).collect(path) == 1
        assert [record.role for record in read_run(path).records] == [role]

    def test_a_drift_control_that_is_collected_stands_for_no_measurement(self, tmp_path: Path) -> None:
        node, path, plan = FakeNode(tmp_path / "a", well), tmp_path / "run", timed(5)
        run_on(cluster(node), path, plan)
        roles = [record.role for record in read_run(path).records]
        assert Counter(roles) == {"measured": 5, "drift_control": 1}
        self.left_behind(path, node, [replace(plan[0], role="drift_control")])
        cluster(node).collect(path)
        records = read_run(path).records
        assert len(records) == 7
        assert latest(records)[plan[0].job.id] is next(r for r in records if r.job == plan[0].job)

    def test_other_runs_on_the_node_are_left_alone(self, tmp_path: Path) -> None:
        node = FakeNode(tmp_path / "a", well)
        self.left_behind(tmp_path / "other", node, timed(1))
        assert cluster(node).collect(tmp_path / "run") == 0
        assert cluster(node).collect(tmp_path / "other") == 1

    def test_a_run_keeps_its_token_when_its_folder_is_moved(self, tmp_path: Path) -> None:
        token = _token_of(tmp_path / "run")
        (tmp_path / "run").rename(tmp_path / "moved")
        assert _token_of(tmp_path / "moved") == token != _token_of(tmp_path / "run")

    @pytest.mark.parametrize("content", [b"../../elsewhere", b"", b"\xff" * 32])
    def test_a_token_that_is_none_is_replaced(self, tmp_path: Path, content: bytes) -> None:
        write_file(tmp_path / "run/.cluster", content)
        assert re.fullmatch(r"[0-9a-f]{32}", _token_of(tmp_path / "run"))

    def test_a_checkpoint_of_a_job_that_was_cut_off_comes_home(self, tmp_path: Path) -> None:
        node, path, job = FakeNode(tmp_path / "a", well), tmp_path / "run", trained()
        file = f"checkpoints/{job.job.id}.pt"
        write_file(node.folder / _token_of(path) / job.job.id / "agent/run" / file, b"epoch 3")
        assert cluster(node).collect(path) == 0
        assert (path / file).read_bytes() == b"epoch 3"

    def test_a_newer_checkpoint_here_stays(self, tmp_path: Path) -> None:
        node, path, job = FakeNode(tmp_path / "a", well), tmp_path / "run", trained()
        file = f"checkpoints/{job.job.id}.pt"
        write_file(node.folder / _token_of(path) / job.job.id / "agent/run" / file, b"epoch 3")
        write_file(path / file, b"epoch 5")
        cluster(node).collect(path)
        assert (path / file).read_bytes() == b"epoch 5"


class TestTheCommand:
    def test_a_run_of_a_cluster_from_end_to_end(self, tmp_path: Path, experiment: Path) -> None:
        other = FakeNode(
            tmp_path / "b", well, refusal="it has torch 1.0, and here is 2.15: install that there"
        )
        fleet = FakeFleet(FakeNode(tmp_path / "a", well), other)
        executor, told = ClusterExecutor(lambda: fleet, scripted()), io.StringIO()
        with Progress(Console(file=told, width=400)) as progress:
            done = run(str(experiment), results=tmp_path / "results", executor=executor, observer=progress)
        assert done.summary.counts == {"ok": 3}
        assert "b is not used: it has torch 1.0, and here is 2.15: install that there" in told.getvalue()
        executor.close()
        assert fleet.closed

    def test_what_was_collected_is_told(self, tmp_path: Path, experiment: Path) -> None:
        node = FakeNode(tmp_path / "a", well)
        path, told = tmp_path / "results/three", io.StringIO()
        plan = [make_planned(arch=arch) for arch in "ab"]
        TestADriverThatIsKilled().left_behind(path, node, plan)
        executor = ClusterExecutor(lambda: FakeFleet(node), scripted())
        with Progress(Console(file=told, width=400)) as progress:
            run(str(experiment), results=tmp_path / "results", executor=executor, observer=progress)
        assert "2 records of this run lay on the nodes, and are stored now" in told.getvalue()

    def test_without_ray_the_command_that_brings_it_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "ray", None)
        with pytest.raises(BenchError, match="ray is not installed") as caught:
            _RayFleet(None)
        assert caught.value.tip == install_tip("ray")


def test_sigterm_is_heeded_as_before_when_a_cluster_was_connected_to() -> None:
    def own(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, own)
    try:
        with _sigterm_as_before():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_address_is_of_use_with_ray_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_ADDRESS, "")
    with pytest.raises(ConfigError, match="with --executor ray alone"):
        at_address("process", "10.0.0.1:6379")
    assert (at_address("process", None), os.environ[_ADDRESS]) == ("process", "")
    assert (at_address("ray", "10.0.0.1:6379"), os.environ[_ADDRESS]) == ("ray", "10.0.0.1:6379")


HERE = {"bench": "0.1.0", "torch": "2.15.0+cpu", "files": "abc"}


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (HERE, None),
        ({**HERE, "torch": "2.15.0+cu130"}, None),
        ({**HERE, "torch": "2.14.0"}, "it has torch 2.14.0, and here is 2.15.0"),
        ({**HERE, "torch": None}, "it has torch None, and here is 2.15.0"),
        ({**HERE, "bench": "0.2.0"}, "it has bench 0.2.0, and here is 0.1.0"),
        ({**HERE, "files": "abd"}, "other files"),
        (
            {"bench": None, "no_bench": "No module named 'bench'"},
            "install 0.1.0 there, as it is installed here",
        ),
        ({"error": "it died"}, "it does not answer: it died"),
    ],
)
def test_only_nodes_with_the_same_of_all_are_used(there: dict[str, Any], words: str | None) -> None:
    reason = _refusal(HERE, there)
    assert (reason is None) if words is None else (reason is not None and words in reason)


def test_what_is_installed_here_is_the_same_twice() -> None:
    versions = _version_probe()()
    assert _refusal(versions, _version_probe()()) is None
    assert versions["bench"]
