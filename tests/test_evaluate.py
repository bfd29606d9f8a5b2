"""Evaluations: what is said of each image is stored, and stored trainings give the same again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Bench, make_job
from PIL import Image
from shades import NET, SHADES, evaluate, ok, value
from torch import Tensor, nn

import bench
from bench.analysis.evaluations import Evaluations
from bench.analysis.frame import to_frame
from bench.archs import Arch
from bench.archs.naming import resolve
from bench.backends import BACKENDS, Backend, Runnable
from bench.errors import ConfigError, StoreError
from bench.facts.reproduction import Reproduction
from bench.plan.card import ArchCard
from bench.plan.config import Experiment
from bench.plan.task import Hooks
from bench.records.flags import doubts
from bench.records.job_files import JobFile
from bench.records.outputs import Answers, Outputs
from bench.records.record import Record
from bench.tasks import _evaluate
from bench.tasks._networks import _built_of, drawn_parameters


def read_answers(folder: Path, record: Record) -> Answers | None:
    """Return the answers of a record, by the SHA-256 that it has of them."""
    top1 = record.measurement("top1")
    expected = top1 and top1.detail.get("outputs_sha256")
    return Answers.load(JobFile.outputs.path(folder, record.job.id), expected) if expected else None


# --- what is said of each image ---


def test_what_a_network_says_of_each_image_is_stored(shades: Path) -> None:
    done = evaluate(shades)
    record = ok(done)
    assert (value(record, "top1"), value(record, "top5"), value(record, "left_out")) == (19 / 20, 1.0, 0)
    top1 = record.measurement("top1")
    assert top1 is not None
    assert top1.detail["correct"] == 19
    assert top1.detail["transform"]["crop"] == [8, 8]
    assert top1.detail["transform_source"] == "the network"
    assert top1.flags == ("assumed_classes",)  # the folder's names are not the network's
    answers = read_answers(done.path, record)
    assert answers is not None
    assert answers.class_names == ("black", "dark", "light", "white")
    assert answers.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    assert answers.top5[4].tolist() == [3, 2, 1, 0, -1]
    assert answers.images[4] == "black/4.png"
    # Of the classes at 0, 1/3, 2/3 and 1, an image at 0 gets 0, -20/3, -40/3 and -20.
    expected = 1 / sum(np.exp(-20 * step / 3) for step in range(4))
    assert answers.confidence[0] == pytest.approx(expected, rel=1e-5)
    assert answers.among is None


def test_the_same_command_measures_nothing_again(shades: Path) -> None:
    evaluate(shades)
    assert evaluate(shades).summary.reused == 1
    Image.new("RGB", (8, 8)).save(shades / "data" / "val" / "black" / "9.png")
    assert evaluate(shades).summary.reused == 0  # other images are another job
    dark, white = (shades / "data" / "val" / name / "0.png" for name in ("dark", "white"))
    before = dark.read_bytes(), white.read_bytes()
    assert len(before[0]) == len(before[1])
    dark.write_bytes(before[1])
    white.write_bytes(before[0])
    done = evaluate(shades)
    assert (done.summary.reused, value(ok(done), "top1")) == (
        0,
        18 / 21,
    )  # as two more lie in the wrong folder


def test_images_that_change_meanwhile_are_no_evaluation(
    shades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = _evaluate._answer

    def changes(*args: Any) -> None:
        own(*args)
        (shades / "data" / "val" / "black" / "0.png").write_bytes(b"another")

    monkeypatch.setattr(_evaluate, "_answer", changes)
    record = evaluate(shades).summary.records[-1]
    assert (record.status, "not those that the job was planned for" in str(record.error)) == (
        "unsupported",
        True,
    )


def test_a_transform_is_changed_where_that_is_asked_for(shades: Path) -> None:
    record = ok(evaluate(shades, overrides=["transform={colour: bgr}"]))
    top1 = record.measurement("top1")
    assert top1 is not None
    assert top1.detail["transform"] == {**top1.detail["transform"], "colour": "bgr", "crop": [8, 8]}
    assert top1.samples[0] == pytest.approx(4 / 20 + 1 / 20)  # blue is 0 everywhere: all is black


def test_a_transform_of_no_use_is_a_row(shades: Path) -> None:
    for transform, message in (
        ("{colours: bgr}", "a transform has no 'colours'"),
        ("{channels: 1, mean: [0], std: [1]}", ""),
    ):
        record = evaluate(shades, overrides=[f"transform={transform}"]).summary.records[-1]
        assert record.status == ("unsupported" if message else "ok"), record.error  # grey images are repeated
        assert message in str(record.error)
    (shades / "net.py").write_text(NET.replace("crop=[8, 8]", "crops=[8, 8]"))
    record = evaluate(shades).summary.records[-1]
    assert record.status == "invalid_model"
    assert "the transform of the network: a transform has no 'crops'" in str(record.error)


def test_a_network_may_say_what_its_outputs_are(shades: Path) -> None:
    own = "self.classes = ['white', 'light', 'dark', 'black']\n        self.transform"
    (shades / "net.py").write_text(NET.replace("self.transform", own))
    top1 = ok(evaluate(shades)).measurement("top1")
    assert top1 is not None
    assert top1.flags == ()
    assert top1.samples == (
        1 / 20,
    )  # its order is the other way round, but for what lies in the wrong folder


def test_outputs_that_are_no_numbers_are_doubted(shades: Path) -> None:
    (shades / "net.py").write_text(
        NET.replace("return -self.scale", "return red[:, None].log() * 0 - self.scale")
    )
    top1 = ok(evaluate(shades)).measurement("top1")
    assert top1 is not None
    assert "not_finite" in top1.flags  # of the black images


@pytest.mark.parametrize("batch", [1, 3])
def test_a_program_of_one_batch_is_given_so_many_images(shades: Path, batch: int) -> None:
    net = resolve(f"{shades}/net.py:Net").build().eval()
    torch.export.save(torch.export.export(net, (torch.zeros(batch, 3, 8, 8),)), shades / "net.pt2")
    transform = "transform={resize: null, crop: [8, 8], mean: [0, 0, 0], std: [1, 1, 1]}"
    top1 = ok(evaluate(shades, f"{shades}/net.pt2", overrides=[transform])).measurement("top1")
    assert top1 is not None
    assert (top1.samples, top1.detail["batch"]) == ((19 / 20,), batch)  # 20 are no multiple of 3


@pytest.mark.parametrize(
    ("line", "flag"),
    [
        ("red = images[:, 0].mean((1, 2))", None),
        ("red = nn.functional.dropout(images[:, 0], 0.5, training=True).mean((1, 2))", "answers_vary"),
        ("red = images[:, 0].mean((1, 2)) + torch.rand(len(images))", "answers_vary"),
        ("self.scale.data += 1; red = images[:, 0].mean((1, 2))", "changes_itself"),
    ],
)
def test_a_network_that_says_something_else_the_second_time_is_doubted(
    shades: Path, line: str, flag: str | None
) -> None:
    (shades / "net.py").write_text(NET.replace("red = images[:, 0].mean((1, 2))", line))
    top1 = ok(evaluate(shades)).measurement("top1")
    assert top1 is not None
    assert (flag in top1.flags) == (flag is not None)
    assert ("asked_twice" in top1.detail) == (flag is not None)
    if flag == "answers_vary":
        assert top1.detail["asked_twice"]["images"] == 20
        assert 0 < top1.detail["asked_twice"]["other_answers"] <= 20
        assert flag in doubts(top1.flags)


@pytest.mark.parametrize("rows", ["[:1]", ".repeat(2, 1)"])
def test_an_answer_for_another_count_of_images_is_told(shades: Path, rows: str) -> None:
    """One row would be taken for the answer to each of them."""
    (shades / "rows.py").write_text(NET.replace(".abs()\n", f".abs(){rows}\n"))
    record = evaluate(shades, f"{shades}/rows.py:Net", overrides=["batch_size=4"]).summary.records[-1]
    assert record.status == "invalid_model"
    count = 1 if rows == "[:1]" else 8
    assert dict(record.error or {})["message"].endswith(f"returned [{count}, 4] for 4 images")


def test_an_answer_with_another_count_of_logits_is_told(shades: Path) -> None:
    """Such are features, of which there may be more than classes."""
    (shades / "wide.py").write_text(NET.replace(".abs()\n", ".abs().repeat(1, 1 + (len(images) > 2))\n"))
    record = evaluate(shades, f"{shades}/wide.py:Net", overrides=["batch_size=4"]).summary.records[-1]
    assert record.status == "invalid_model"
    assert dict(record.error or {})["message"].endswith("returned [4, 8] for 4 images, not 4 logits each")


def test_another_size_crops_the_same_share(shades: Path) -> None:
    top1 = ok(evaluate(shades, overrides=["input_size=6"])).measurement("top1")
    assert top1 is not None
    assert top1.detail["transform"]["crop"] == [6, 6]


def test_a_torn_image_is_counted_and_named(shades: Path) -> None:
    (shades / "data" / "val" / "white" / "2.png").write_bytes(b"torn")
    done = evaluate(shades)
    record = ok(done)
    left = record.measurement("left_out")
    assert left is not None
    assert left.samples == (1,)
    assert left.detail["images"][0]["image"] == "white/2.png"
    assert value(record, "top1") == 18 / 19
    top1 = record.measurement("top1")
    assert top1 is not None
    assert "images_left_out" in top1.flags
    answers = read_answers(done.path, record)
    assert answers is not None
    assert len(answers.labels) == 19
    assert "white/2.png" not in answers.images


def test_a_limit_is_a_part_of_the_same_answers(shades: Path) -> None:
    whole, part = (
        read_answers(done.path, ok(done)) for done in (evaluate(shades), evaluate(shades, limit=8))
    )
    assert whole is not None
    assert part is not None
    assert np.bincount(part.labels).tolist() == [2, 2, 2, 2]
    places = [whole.images.index(name) for name in part.images]
    assert part.top5.tolist() == whole.top5[places].tolist()


def test_classes_of_a_part_are_told_among_all_and_among_themselves(shades: Path) -> None:
    for number, name in enumerate(SHADES):
        (shades / "data" / "val" / name).rename(shades / "data" / "val" / str(number))
    for file in [*(shades / "data" / "val" / "3").iterdir()]:
        file.unlink()
    (shades / "data" / "val" / "3").rmdir()
    done = evaluate(shades)
    top1 = ok(done).measurement("top1")
    assert top1 is not None
    assert top1.samples == (14 / 15,)  # an image that is white among the black ones
    assert top1.detail["among_its_classes"] == {"correct": 14, "images": 15, "top1": 14 / 15}
    assert top1.detail["classes_note"] == "3 of the network's 4 classes"
    answers = read_answers(done.path, ok(done))
    assert answers is not None
    assert answers.top5[4].tolist() == [-1, 2, 1, 0, -1]
    assert answers.among is not None
    assert answers.among[4].tolist() == [2, 1, 0, -1, -1]


# --- interruptions, memory, backends ---


def test_an_evaluation_goes_on_where_it_was_cut_off(shades: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shades / "data" / "val" / "black" / "0.png").write_bytes(b"torn")
    straight = evaluate(shades, overrides=["batch_size=3"])
    expected = read_answers(straight.path, ok(straight))
    asked: list[int] = []
    answer = _evaluate._answer

    def cut_off(network: Any, batch: Any, *rest: Any) -> None:
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.extend(batch.numbers[:1])
        answer(network, batch, *rest)

    monkeypatch.setattr(_evaluate, "_answer", cut_off)
    options: dict[str, Any] = {"overrides": ["batch_size=3", "seed=1"]}
    cut = evaluate(shades, **options)
    assert cut.summary.cancelled
    assert list((cut.path / "checkpoints").iterdir())
    asked.clear()
    monkeypatch.setattr(_evaluate, "_answer", lambda *a: (asked.extend(a[1].numbers), answer(*a)))
    done = evaluate(shades, **options)
    record = ok(done)
    assert min(asked) == 9  # three batches of three were done before
    rate = record.measurement("evaluation_rate")
    assert rate is not None
    assert (rate.flags, rate.detail["images"]) == (("resumed",), 11)
    found = read_answers(done.path, record)
    assert found is not None
    assert expected is not None
    assert found.top5.tolist() == expected.top5.tolist()
    assert value(record, "left_out") == 1
    assert not (done.path / "checkpoints").exists()


def test_a_batch_that_does_not_fit_is_halved(shades: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logits = _evaluate._Network.logits
    sizes: list[int] = []

    def small(self: Any, pixels: Tensor) -> Tensor:
        if len(pixels) > 5:
            raise MemoryError
        sizes.append(len(pixels))
        return logits(self, pixels)

    monkeypatch.setattr(_evaluate._Network, "logits", small)
    record = ok(evaluate(shades))
    assert sizes == [4] * 6  # 32 is halved thrice; the first four are asked about twice
    assert value(record, "top1") == 19 / 20
    failed = evaluate(shades, overrides=["batch_size=16"]).summary.records[-1]
    assert failed.status == "oom"


def test_a_backend_with_one_size_of_batch_gives_the_same(
    shades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    BACKENDS.load()
    held: list[int] = []

    def prepare(model: nn.Module, images: Tensor, job: Any) -> Runnable:
        held.append(len(images))
        return Runnable(lambda: model(images).numpy())

    monkeypatch.setitem(BACKENDS._units, "fixed", Backend("of one size", prepare))
    done = evaluate(shades, backend="fixed", overrides=["batch_size=6"])
    assert held == [6]
    assert value(ok(done), "top1") == 19 / 20


@pytest.mark.parametrize("batch", [3, 20])
def test_an_image_is_corrupted_alike_in_any_batch(shades: Path, batch: int) -> None:
    overrides = [f"batch_size={batch}", "corruption=gaussian_noise:5"]
    done = evaluate(shades, overrides=overrides)
    answers = read_answers(done.path, ok(done))
    assert answers is not None
    plain = evaluate(shades, overrides=["batch_size=20", "corruption=gaussian_noise:5", "seed=3"])
    again = read_answers(plain.path, ok(plain))
    assert again is not None
    assert answers.confidence.tolist() == again.confidence.tolist()
    assert answers.confidence.min() < 0.9


# --- trainings of one's own ---


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of results with two trainings that have kept their weights, one of them tested on views."""
    results = tmp_path_factory.mktemp("results")
    views = "std(test_time_augmentation='mirror_translate', augment={'flip': True, 'pad': 1}, ema=0.9)"
    for recipe in ("std", views):
        bench.train("lenet5", dataset="digits", recipe=recipe, epochs=2, seeds=1, keep_weights=True,
                    results=results, executor="inline", overrides=["threads=1"], name="t")  # fmt: skip
    return results


def test_stored_weights_give_the_stored_answer_for_every_image(trained: Path) -> None:
    done = bench.evaluate("t", results=trained, executor="inline", name="e")
    trainings = bench.api._running.read_run(trained / "t").records
    assert len(done.summary.records) == len(trainings) == 2
    views = [r.measurement("top1").detail.get("test_time_augmentation") for r in trainings]  # type: ignore[union-attr]
    assert views == [None, "mirror_translate"]
    for training, record in zip(trainings, done.summary.records, strict=True):
        assert record.status == "ok", record.error
        assert value(record, "top1") == value(training, "top1")
        outputs, answers = Outputs.read(trained / "t", training), read_answers(done.path, record)
        assert outputs is not None
        assert answers is not None
        assert (outputs.logits.argmax(1) == answers.top5[:, 0]).all()
        top1 = record.measurement("top1")
        assert top1 is not None
        assert top1.detail["classes_by"] == "names"
        assert top1.flags == ()


def test_another_transform_is_explained_beside_the_right_one_and_again(trained: Path) -> None:
    job = bench.api._running.read_run(trained / "t").records[0].job.id

    def causes(*overrides: str) -> list[list[tuple[str, ...]]]:
        runs = [
            bench.evaluate(job, results=trained, executor="inline", name="both", overrides=overrides)
            for _ in range(2)
        ]
        return [
            [one.causes for one in Reproduction.of_each(Evaluations.of(to_frame([done.invocation])))]
            for done in runs
        ]

    assert causes() == [[()]] * 2
    assert causes("transform={mean: [3], std: [9]}") == [[("normalisation",)]] * 2


def test_a_training_says_what_it_came_to_on_the_images_that_it_was_tested_on_alone(tmp_path: Path) -> None:
    """A folder may hold val as well as test."""
    shades = {"dark": 20, "light": 230}
    for part, count in {"train": 4, "test": 3, "val": 3}.items():
        for name, grey in shades.items():
            (tmp_path / "data" / part / name).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (32, 32), (grey, i, 9)).save(tmp_path / "data" / part / name / f"{i}.png")
    data = f"imagefolder:{tmp_path}/data"
    bench.train("lenet5", dataset=data, epochs=1, seeds=1, keep_weights=True, results=tmp_path, executor="inline",
                overrides=["threads=1"], name="t")  # fmt: skip

    def published(split: str | None) -> tuple[str, str]:
        done = bench.evaluate("t", split=split, results=tmp_path, executor="inline", name="e", explain=False)
        (one,) = Reproduction.of_each(Evaluations.of(to_frame([done.invocation])))
        return one.word, one.why

    assert published(None)[0] == published("test")[0] == "reproduced"
    assert published("val")[0] == "nothing published"
    Image.new("RGB", (32, 32), (230, 9, 9)).save(tmp_path / "data" / "test" / "light" / "0.png")
    assert ", and files there have changed since" in published(None)[1]


def test_one_training_is_asked_for_by_its_id(trained: Path) -> None:
    record = bench.api._running.read_run(trained / "t").records[0]
    done = bench.evaluate(record.job.id, results=trained, executor="inline", name="one", limit=20)
    assert [r.status for r in done.summary.records] == ["ok"]
    with pytest.raises(ConfigError, match="has kept weights of a job"):
        bench.evaluate("0" * 12, results=trained, executor="inline")


def test_weights_that_were_changed_are_not_taken_for_those_of_the_record(
    trained: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(trained / "t", tmp_path / "t")
    file = next((tmp_path / "t" / "weights").iterdir())
    file.write_bytes(file.read_bytes()[:-4] + b"abcd")
    with pytest.raises(StoreError, match="are not those of its record"):
        bench.evaluate(str(tmp_path / "t"), results=tmp_path, executor="inline")


def test_a_run_without_weights_is_told(tmp_path: Path) -> None:
    bench.run(Experiment.parse({"name": "c", "blocks": [{"task": "cost", "grid": {"arch": ["lenet5"]}}]}),
              results=tmp_path, executor="inline")  # fmt: skip
    with pytest.raises(ConfigError, match="has kept no weights") as error:
        bench.evaluate("c", results=tmp_path, executor="inline")
    assert "--keep-weights" in str(error.value.tip)


def test_keeping_weights_is_no_part_of_a_job_where_it_is_off() -> None:
    settings = {"dataset": "digits", "epochs": 1}
    job = make_job(task="accuracy", settings=settings)
    assert "keep_weights" not in job.content()["settings"]  # type: ignore[operator]
    block = {"task": "accuracy", "keep_weights": False, "grid": {"arch": ["lenet5"]}}
    assert Experiment.parse({"blocks": [block]}).blocks[0].fixed["keep_weights"] is False


# --- answers ---


def test_torn_answers_are_told_and_others_are_not_taken(shades: Path) -> None:
    done = evaluate(shades)
    record = ok(done)
    file = done.path / "outputs" / f"{record.job.id}.npz"
    assert Answers.load(file, "0" * 64) is None
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(StoreError, match="has no readable answers"):
        read_answers(done.path, record)
    file.unlink()
    assert read_answers(done.path, record) is None
    assert read_answers(done.path, record.changed(measurements=())) is None


# --- the command ---


@pytest.mark.usefixtures("inline_jobs")
def test_the_command_prints_draws_and_says_what_is_missing(run: Bench, shades: Path) -> None:
    said = run("evaluate", f"{shades}/net.py:Net", "--data", f"imagefolder:{shades}/data", "--no-report",
               "--show", "sheet.png")  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "95.0" in said.output
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (8 * 160, 192)
    assert run("evaluate", "lenet5").exit_code == 2
    assert run("evaluate", f"{shades}/net.py:Net", "-d", "imagefolder:/nowhere").exit_code == 2
    wrong = run("evaluate", f"{shades}/net.py:Net", "-d", "digits", "--set", "corruption=fogg:2")
    assert wrong.exit_code == 2
    assert "fog" in wrong.output


def test_a_picture_that_cannot_be_drawn_is_told_before_anything_is_evaluated(
    shades: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="cannot draw .*: .*net.py is no folder"):
        evaluate(shades, show=shades / "net.py" / "sheet.png")
    with pytest.raises(StoreError, match="cannot draw .* is a folder, and no file"):
        evaluate(shades, show=shades)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(StoreError, match=f"no right to write to {shades}"):
        evaluate(shades, show=shades / "new" / "sheet.png")
    assert not (shades / "results").exists()


def test_a_job_is_told_by_what_it_is_of() -> None:
    job = make_job(task="evaluate", settings={"data": "digits", "corruption": "fog:2", "device": "cpu"})
    assert job.label() == "evaluate net on digits val fog:2"
    assert replace(job, seed=1).id != job.id


def test_parameters_that_the_seed_draws_are_no_trained_network() -> None:
    class Half(nn.Module):
        def __init__(self, **_: Any) -> None:
            super().__init__()
            self.loaded, self.drawn, self.late = (
                nn.Linear(4, 4),
                nn.Linear(4, 4),
                nn.LazyLinear(4, bias=False),
            )
            nn.init.eye_(self.loaded.weight)
            nn.init.constant_(self.loaded.bias, 1 / 3)
            self.broken = nn.Parameter(torch.full((2,), torch.nan))

    arch = Arch(ArchCard(name="half"), Half)
    job = make_job(task="evaluate", arch="half", settings={"data": "digits", "device": "cpu"})
    model = _built_of(arch, job, Hooks(), in_full=True)
    model.late(torch.zeros(1, 4))  # has a shape from its first call on
    drawn = ["drawn.weight", "drawn.bias", "late.weight"]
    assert drawn_parameters(arch, model, job, Hooks()) == drawn
    assert drawn_parameters(arch, model.bfloat16(), job, Hooks()) == drawn
    assert drawn_parameters(replace(arch, builder=lambda **_: model), model, job, Hooks()) == []
