"""Runs in data sets of a hub: nothing goes without a word, nothing damaged comes in, no record is replaced by another."""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Bench, make_job, make_record, scripted
from fake_hub import FakeHub, serving

from bench.errors import BenchError, ConfigError, StoreError, UnknownNameError, install_tip
from bench.execution import EXECUTORS, ExecutorKind
from bench.records import sharing
from bench.records._hub import Contents
from bench.records.job_files import JobFile
from bench.records.outputs import Outputs, save_outputs
from bench.records.record import Measurement, Record
from bench.records.sharing import Address, HuggingFace, Pulled, Push, pull, runs_of
from bench.records.store import INFO, RECORDS, Store, read_run

RUN = Address("me/speeds", "smoke")


def trained(folder: Path, arch: str, *, weights: bytes = b"") -> Record:
    """Return the record of a training, whose outputs, and weights where there are some, lie in the folder."""
    job = make_job(arch=arch)
    logits = np.array([[len(arch), 1.0], [0.0, 2.0]], dtype=np.float32)
    content, sha256 = Outputs(logits, np.array([0, 1]), None, ("no", "yes")).encode()
    save_outputs(JobFile.outputs.path(folder, job.id), content)
    detail: dict[str, object] = {"outputs_sha256": sha256}
    if weights:
        file = JobFile.weights.path(folder, job.id)
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(weights)
        detail["weights_sha256"] = hashlib.sha256(weights).hexdigest()
    top1 = Measurement(name="top1", unit="1", better="higher", samples=(0.5,), detail=detail)
    return make_record(job=job, measurements=(top1,))


def stored(folder: Path, *records: Record, **info: Any) -> Path:
    with Store(folder) as store:
        store.write_info({"jobs": [r.job.to_json() for r in records], **info})
        for record in records:
            store.append(record)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Return the files of a run, less the lock that whoever writes to it leaves."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(".lock"))
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def less_weights(folder: Path) -> dict[str, bytes]:
    return {name: file for name, file in content(folder).items() if not name.startswith("weights/")}


def pushed(hub: FakeHub, folder: Path, address: Address = RUN, *, weights: bool = False) -> str:
    return Push.of(folder, address, hub, weights=weights, public=False).send(hub)


def pulled(hub: FakeHub, folder: Path, address: Address = RUN) -> Pulled:
    contents, [run] = runs_of(address, hub)
    return pull(address.of(run), contents, folder, hub)


@pytest.fixture
def hub(tmp_path: Path) -> FakeHub:
    return FakeHub(tmp_path / "cache")


@pytest.fixture
def smoke(tmp_path: Path) -> Path:
    """Return a run of three trainings, whose weights are kept of one."""
    folder = tmp_path / "here" / "smoke"
    return stored(
        folder, trained(folder, "a"), trained(folder, "bb"), trained(folder, "c", weights=b"w" * 99)
    )


class TestAddress:
    @pytest.mark.parametrize(
        "text", ["hf://me/speeds", "hf://datasets/me/speeds", "hf://datasets/me/speeds/"]
    )
    def test_a_data_set(self, text: str) -> None:
        assert Address.read(text) == Address("me/speeds")

    def test_a_run_and_a_revision(self) -> None:
        address = Address.read("hf://me/speeds@v1/a run")
        assert address == Address("me/speeds", "a run", "v1")
        assert Address.read(str(address)) == address

    @pytest.mark.parametrize(
        "text",
        [
            "me/speeds",
            "hf://me",
            "hf://datasets/me",
            "https://hub/me/speeds",
            "hf://me/speeds/a/b",
            "hf://../x",
            "",
        ],
    )
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ConfigError, match="no data set of a hub"):
            Address.read(text)


class TestPush:
    def test_there_and_back_all_is_the_same(self, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
        pushed(hub, smoke, weights=True)
        done = pulled(hub, tmp_path / "there" / "smoke")
        assert content(done.path) == content(smoke)
        assert (done.records, done.fetched) == (3, 6)
        record = read_run(done.path).records[1]
        outputs = Outputs.read(done.path, record)
        assert outputs is not None
        assert outputs.logits.tolist() == [[0.0, -1.0], [-2.0, 0.0]]

    def test_what_is_not_of_the_run_stays(self, hub: FakeHub, smoke: Path) -> None:
        left = (
            "outputs/old.npz",
            "checkpoints/last.pt",
            "notes.txt",
            ".records.jsonl.123",
            "rejected.jsonl",
            "weights/x.pt",
        )
        for name in left:
            (smoke / name).parent.mkdir(exist_ok=True)
            (smoke / name).write_text("private")
        push = Push.of(smoke, RUN, hub, weights=True, public=False)
        ids = [r.job.id for r in read_run(smoke).records]
        of_jobs = [f"outputs/{i}.npz" for i in ids] + [f"weights/{ids[2]}.safetensors"]
        assert list(push.files) == [RECORDS, INFO, *of_jobs, "manifest.json"]

    def test_weights_go_on_request_alone(self, hub: FakeHub, smoke: Path) -> None:
        push = Push.of(smoke, RUN, hub, weights=False, public=False)
        assert not [name for name in push.files if name.startswith("weights")]
        assert push.weights_left == 99

    def test_a_data_set_is_made_private(self, hub: FakeHub, smoke: Path) -> None:
        pushed(hub, smoke)
        assert hub.sets["me/speeds"].private

    def test_public_is_not_made_of_private(self, hub: FakeHub, smoke: Path) -> None:
        hub.make("me/speeds", private=True)
        with pytest.raises(ConfigError, match="is private"):
            Push.of(smoke, RUN, hub, weights=False, public=True)

    def test_one_that_is_public_says_so(self, hub: FakeHub, smoke: Path) -> None:
        hub.make("me/speeds", private=False)
        assert not Push.of(smoke, RUN, hub, weights=False, public=False).private

    def test_what_is_there_does_not_go_again(self, hub: FakeHub, smoke: Path) -> None:
        pushed(hub, smoke)
        assert Push.of(smoke, RUN, hub, weights=False, public=False).files == {}
        stored(smoke, trained(smoke, "dddd"))
        new = read_run(smoke).records[-1].job.id
        again = Push.of(smoke, RUN, hub, weights=False, public=False)
        assert list(again.files) == [RECORDS, INFO, f"outputs/{new}.npz", "manifest.json"]

    def test_weights_that_were_sent_stay_there(self, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
        pushed(hub, smoke, weights=True)
        stored(smoke, trained(smoke, "dddd"))
        pushed(hub, smoke)
        pulled(hub, tmp_path / "there")
        assert len(list((tmp_path / "there" / "weights").iterdir())) == 1

    def test_records_that_are_not_here_are_not_replaced(
        self, hub: FakeHub, smoke: Path, tmp_path: Path
    ) -> None:
        pushed(hub, smoke)
        other = stored(tmp_path / "other", make_record(job=make_job(arch="z")))
        before = hub.sets["me/speeds"].files
        with pytest.raises(StoreError, match="would be lost") as caught:
            pushed(hub, other)
        assert "bench merge" in str(caught.value.tip)
        assert hub.sets["me/speeds"].files == before
        pushed(hub, other, RUN.of("other"))
        assert runs_of(Address("me/speeds"), hub)[1] == ["other", "smoke"]

    def test_lines_that_are_no_records_stay(self, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
        lines = (smoke / RECORDS).read_bytes().splitlines(keepends=True)
        (smoke / RECORDS).write_bytes(lines[0] + b"secret\n" + lines[1] + lines[2][:40])
        push = Push.of(smoke, RUN, hub, weights=False, public=False)
        assert push.unsound == 2
        push.send(hub)
        assert hub.sets["me/speeds"].files[f"smoke/{RECORDS}"] == lines[0] + lines[1]
        assert pulled(hub, smoke).fetched == 0  # it is the same run, with the lines that only it has

    def test_two_who_push_at_once(self, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
        hub.make("me/speeds", private=True)
        first = Push.of(smoke, RUN, hub, weights=False, public=False)
        pushed(hub, stored(tmp_path / "other", make_record()), RUN.of("other"))
        with pytest.raises(StoreError, match="somebody else"):
            first.send(hub)

    def test_a_run_without_records(self, hub: FakeHub, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="no record in"):
            pushed(hub, stored(tmp_path / "empty"))

    def test_a_revision_cannot_be_pushed_to(self, hub: FakeHub, smoke: Path) -> None:
        with pytest.raises(ConfigError, match="revision v1"):
            pushed(hub, smoke, Address("me/speeds", "smoke", "v1"))

    def test_what_it_says_of_the_user_is_counted(self, hub: FakeHub, tmp_path: Path) -> None:
        home = "/home/zoë"
        argv = [["bench", "run", f"{home}/net.py:Net"], ["bench", "run", f"{home}x/net.py:Net"], ["zoë"]]
        folder = stored(tmp_path / "r", make_record(), invocations=[{"argv": a} for a in argv])
        push = Push.of(folder, RUN, hub, weights=False, public=False)
        assert push.mentions({"folder": home, "name": "zoë", "machine": "tower"}) == {"folder": 1, "name": 2}


class TestPull:
    def test_what_is_here_is_not_fetched_again(self, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
        pushed(hub, smoke)
        there = tmp_path / "there"
        assert pulled(hub, there).fetched == 5
        first = content(there)
        assert pulled(hub, there).fetched == 0
        gone = next((there / "outputs").iterdir())
        gone.unlink()
        assert pulled(hub, there).fetched == 1
        assert content(there) == first

    def test_a_run_grows_with_the_one_in_the_data_set(
        self, hub: FakeHub, smoke: Path, tmp_path: Path
    ) -> None:
        pushed(hub, smoke)
        there = tmp_path / "there"
        pulled(hub, there)
        stored(smoke, trained(smoke, "dddd"))
        pushed(hub, smoke)
        assert pulled(hub, there).fetched == 3  # records, run.json and the outputs of one
        assert content(there) == less_weights(smoke)

    def test_one_that_has_gone_on_here_stays_as_it_is(self, hub: FakeHub, smoke: Path) -> None:
        pushed(hub, smoke)
        stored(smoke, trained(smoke, "dddd"), note="later")
        before = content(smoke)
        assert pulled(hub, smoke).fetched == 0
        assert content(smoke) == before

    def test_two_that_have_parted_are_not_mixed(self, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
        pushed(hub, smoke)
        there = stored(tmp_path / "there", make_record(job=make_job(arch="z")))
        before = content(there)
        with pytest.raises(StoreError, match="another run") as caught:
            pulled(hub, there)
        assert "--name" in str(caught.value.tip)
        assert content(there) == before

    def test_a_commit_is_the_run_as_it_was(self, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
        commit = pushed(hub, smoke)
        before = less_weights(smoke)
        stored(smoke, trained(smoke, "dddd"))
        pushed(hub, smoke)
        done = pulled(hub, tmp_path / "there", Address("me/speeds", "smoke", commit))
        assert content(done.path) == before
        assert done.address.revision == commit

    @pytest.mark.parametrize("damage", ["cut", "changed", "longer"])
    @pytest.mark.parametrize("part", [RECORDS, INFO, "outputs"])
    def test_what_is_damaged_is_not_taken(
        self, hub: FakeHub, smoke: Path, tmp_path: Path, part: str, damage: str
    ) -> None:
        pushed(hub, smoke)
        files = hub.sets["me/speeds"].files
        name = next(n for n in files if n.startswith(f"smoke/{part}"))
        sound = files[name]
        middle = len(sound) // 2
        changed = sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :]
        files[name] = {"cut": sound[:-9], "changed": changed, "longer": sound + b"\n"}[damage]
        with pytest.raises(StoreError, match=f"{part}.* is damaged") as caught:
            pulled(hub, tmp_path / "there")
        assert "nothing of it was written" in str(caught.value.tip)
        assert not (tmp_path / "there").exists()
        assert hub.fetched.count(name) == 2  # a cache may be what is damaged
        files[name] = sound
        hub.file("me/speeds", name, hub.sets["me/speeds"].head).write_bytes(b"rotten")
        assert pulled(hub, tmp_path / "there").records == 3

    def test_a_file_that_is_missing(self, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
        pushed(hub, smoke)
        files = hub.sets["me/speeds"].files
        del files[next(n for n in files if n.endswith(".npz"))]
        with pytest.raises(StoreError, match=r"lacks outputs/\w+\.npz, which its manifest names"):
            pulled(hub, tmp_path / "there")
        assert not (tmp_path / "there").exists()

    @pytest.mark.parametrize(
        ("manifest", "words"),
        [
            (b"{", "manifest of .* is none"),
            (b"[]", "manifest of .* is none"),
            (b"\xff", "manifest of .* is none"),
            ({"records": 1, "files": {}}, "names no records.jsonl"),
            ({"records": 1, "files": {"../../.bashrc": {"size": 1, "sha256": "0" * 64}}}, "which no run has"),
            ({"records": 1, "files": {"/etc/passwd": {"size": 1, "sha256": "0" * 64}}}, "which no run has"),
            (
                {"records": 1, "files": {"outputs/../x.npz": {"size": 1, "sha256": "0" * 64}}},
                "which no run has",
            ),
            ({"records": 1, "files": {RECORDS: {"size": -1, "sha256": "0" * 64}}}, "manifest of .* is none"),
            ({"records": 1, "files": {RECORDS: {"size": 1, "sha256": "x"}}}, "manifest of .* is none"),
            ({"schema": 2, "records": 1, "files": {}}, "newer version"),
        ],
    )
    def test_a_manifest_of_somebody_elses_hand(
        self, hub: FakeHub, tmp_path: Path, manifest: Any, words: str
    ) -> None:
        hub.make("me/speeds", private=False)
        text = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        hub.commit("me/speeds", {"smoke/manifest.json": text}, "", hub.sets["me/speeds"].head)
        with pytest.raises(StoreError, match=words):
            pulled(hub, tmp_path / "there")
        assert not (tmp_path / "there").exists()

    def test_records_of_somebody_elses_hand(self, hub: FakeHub, tmp_path: Path) -> None:
        hub.make("me/speeds", private=False)
        text = b"no record\n"
        file = {"size": len(text), "sha256": hashlib.sha256(text).hexdigest()}
        manifest = json.dumps({"records": 1, "files": {RECORDS: file}}).encode()
        hub.commit(
            "me/speeds",
            {"smoke/manifest.json": manifest, f"smoke/{RECORDS}": text},
            "",
            hub.sets["me/speeds"].head,
        )
        with pytest.raises(StoreError, match="no sound records"):
            pulled(hub, tmp_path / "there")

    def test_no_data_set_no_run_and_another_run(self, hub: FakeHub, smoke: Path) -> None:
        with pytest.raises(StoreError, match="no data set me/speeds, or you may not see it"):
            runs_of(RUN, hub)
        hub.make("me/speeds", private=True)
        with pytest.raises(StoreError, match="no run in hf://datasets/me/speeds"):
            runs_of(Address("me/speeds"), hub)
        pushed(hub, smoke)
        with pytest.raises(UnknownNameError, match="'smoek'") as caught:
            runs_of(RUN.of("smoek"), hub)
        assert "smoke" in str(caught.value.tip)

    def test_one_that_is_being_written_to(self, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
        pushed(hub, smoke)
        with Store(tmp_path / "there"), pytest.raises(StoreError, match="another bench is writing"):
            pulled(hub, tmp_path / "there")


# --- the commands ---


@pytest.fixture
def commands(hub: FakeHub, run: Bench, smoke: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return the command line, with the fake hub and the folder of the run as results."""
    monkeypatch.setattr(sharing, "HuggingFace", lambda: hub)
    return lambda *words: run(*words, "--results", smoke.parent)


class TestCommands:
    def test_nothing_goes_without_a_word(self, commands: Bench, hub: FakeHub) -> None:
        done = commands("push", "smoke", "hf://me/speeds")
        assert done.exit_code == 2
        assert "private: its owners alone see it" in done.stderr
        assert "records.jsonl" in done.stderr
        assert "99.0 B of weights" in done.stderr
        assert "--yes" in done.stderr
        assert hub.sets == {}

    @pytest.mark.parametrize(
        ("said", "goes"), [("y\n", True), ("yes\n", True), ("n\n", False), ("\n", False), ("", False)]
    )
    def test_it_asks(
        self, commands: Bench, hub: FakeHub, monkeypatch: pytest.MonkeyPatch, said: str, goes: bool
    ) -> None:
        monkeypatch.setattr("bench.cli.push._answer", lambda: said)
        done = commands("push", "smoke", "hf://me/speeds")
        assert "send these 6 files" in done.stderr
        assert (done.exit_code, bool(hub.sets)) == ((0, True) if goes else (2, False))

    def test_there_and_back(self, commands: Bench, hub: FakeHub, tmp_path: Path) -> None:
        done = commands("push", "smoke", "hf://me/speeds", "--yes")
        assert done.exit_code == 0, done.output
        assert done.stdout == "hf://datasets/me/speeds/smoke\n"
        again = commands("push", "smoke", "hf://me/speeds", "--yes", "--json")
        assert "all 3 records of it are there already" in again.stderr
        assert json.loads(again.stdout)["files"] == []
        assert json.loads(again.stdout)["commit"] == hub.sets["me/speeds"].head
        back = commands("pull", "hf://me/speeds", "--name", "back", "--json")
        assert back.exit_code == 0, back.output
        (document,) = json.loads(back.stdout)
        assert (document["records"], document["fetched"]) == (3, 5)
        assert len(read_run(Path(document["run"])).records) == 3

    def test_a_public_one_is_told(self, commands: Bench, hub: FakeHub) -> None:
        done = commands("push", "smoke", "hf://me/speeds", "--public", "-y")
        assert "PUBLIC: everybody sees it" in done.stderr
        assert not hub.sets["me/speeds"].private

    def test_one_name_is_of_one_run(self, commands: Bench) -> None:
        commands("push", "smoke", "hf://me/speeds/a", "-y")
        commands("push", "smoke", "hf://me/speeds/b", "-y")
        done = commands("pull", "hf://me/speeds", "--name", "x")
        assert done.exit_code == 2
        assert "name one of them: a, b" in done.stderr
        assert commands("pull", "hf://me/speeds").stdout.count("3 records") == 2

    def test_a_name_from_there_is_no_path_here(self, commands: Bench, hub: FakeHub) -> None:
        commands("push", "smoke", "hf://me/speeds", "-y")
        head = hub.sets["me/speeds"].files
        head |= {n.replace("smoke/", "../"): c for n, c in head.items() if n.startswith("smoke/")}
        done = commands("pull", "hf://me/speeds")
        assert done.exit_code == 2
        assert "cannot be called '..'" in done.stderr

    def test_a_pulled_run_goes_on(
        self, commands: Bench, hub: FakeHub, run: Bench, experiment: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = scripted()
        EXECUTORS.load()
        monkeypatch.setitem(EXECUTORS._units, "process", ExecutorKind("fake", lambda *_: fake))
        assert run("run", "-c", experiment, "a", "--no-report").exit_code == 0
        assert run("push", "three", "hf://me/speeds", "--yes").exit_code == 0
        pulled = run("pull", "hf://me/speeds/three", "--results", "elsewhere")
        assert pulled.exit_code == 0, pulled.output
        more = run("run", "-c", experiment, "--no-report", "--results", "elsewhere")
        assert more.exit_code == 0, more.output
        records = read_run(Path("elsewhere/three")).records
        assert sorted(r.job.arch for r in records) == ["a", "b", "c"]
        assert run("push", "three", "hf://me/speeds", "--yes", "--results", "elsewhere").exit_code == 0
        assert run("pull", "hf://me/speeds").exit_code == 0
        assert len(read_run(Path("results/three")).records) == 3


def test_without_huggingface_hub_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, run: Bench) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    done = run("pull", "hf://me/speeds")
    assert done.exit_code == 2
    assert install_tip("hub") in done.stderr


# --- the hub's own client, against a server on this machine ---


@pytest.fixture
def client(hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Yield a function that makes the hub's own client, with a token, for a server that answers from the fake."""
    huggingface_hub = pytest.importorskip(
        "huggingface_hub", reason=f"huggingface_hub is not installed: {install_tip('hub')}"
    )
    with serving(hub) as address:

        def make(token: str | bool) -> HuggingFace:
            made = HuggingFace()
            made._api = huggingface_hub.HfApi(endpoint=address, token=token)
            return made

        constants = importlib.import_module("huggingface_hub.constants")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield make


def test_the_hubs_own_client_there_and_back(client: Any, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
    mine = client("good")
    assert mine.contents("me/speeds") is None
    commit = pushed(mine, smoke, weights=True)
    assert hub.sets["me/speeds"].private
    assert mine.contents("me/speeds") == Contents(commit, frozenset(hub.sets["me/speeds"].files), True)
    assert content(pulled(mine, tmp_path / "there").path) == content(smoke)
    stored(smoke, trained(smoke, "dddd"))
    pushed(mine, smoke)
    assert pulled(mine, tmp_path / "there").records == 4
    assert pulled(mine, tmp_path / "then", Address("me/speeds", "smoke", commit)).records == 3


def test_whoever_may_not_see_or_write_is_told(client: Any, hub: FakeHub, smoke: Path, tmp_path: Path) -> None:
    stranger = client(False)
    with pytest.raises(StoreError, match="me/speeds") as caught:
        pushed(stranger, smoke)
    assert "hf auth login" in str(caught.value.tip)
    pushed(client("good"), smoke)
    with pytest.raises(StoreError, match="no data set me/speeds, or you may not see it"):
        pulled(stranger, tmp_path / "there")
    hub.sets["me/speeds"].private = False
    assert pulled(stranger, tmp_path / "there").records == 3


def test_another_state_and_another_commit_are_told(
    client: Any, hub: FakeHub, smoke: Path, tmp_path: Path
) -> None:
    mine = client("good")
    pushed(mine, smoke)
    stored(smoke, trained(smoke, "dddd"))
    late = Push.of(smoke, RUN, mine, weights=False, public=False)
    hub.sets["me/speeds"].add({"README.md": b"another's"})
    with pytest.raises(StoreError) as caught:
        late.send(mine)
    assert "give the command again" in str(caught.value.tip)
    with pytest.raises(StoreError):
        pulled(mine, tmp_path / "there", Address("me/speeds", "smoke", "f" * 40))


def test_a_damaged_file_of_the_clients_cache_is_fetched_anew(
    client: Any, smoke: Path, tmp_path: Path
) -> None:
    mine = client("good")
    commit = pushed(mine, smoke)
    mine.file("me/speeds", f"smoke/{RECORDS}", commit).write_bytes(b"rotten")
    assert pulled(mine, tmp_path / "there").records == 3


def test_a_hub_that_is_not_reached(client: Any, smoke: Path) -> None:
    mine = client("good")
    mine._api.endpoint = "http://127.0.0.1:9"  # where nothing listens
    with pytest.raises(BenchError, match="the hub does not do it, for me/speeds") as caught:
        pushed(mine, smoke)
    assert "reached" in str(caught.value.tip)
