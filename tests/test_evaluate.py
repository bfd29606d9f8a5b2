"""Evaluations: what is said of each image is stored, stored trainings give the same again, weights are those asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Bench, make_job
from PIL import Image
from torch import Tensor, nn

import bench
from bench.api import Done
from bench.archs.naming import _pretrained, parse, resolve
from bench.archs.safetensors import check_state, read_safetensors, read_told, write_safetensors
from bench.backends import BACKENDS, Backend, Runnable
from bench.errors import BenchError, ConfigError, InvalidModelError, StoreError, UnsupportedError
from bench.plan.config import Experiment
from bench.records.flags import doubts
from bench.records.job_files import JobFile
from bench.records.outputs import Answers, Outputs
from bench.records.record import Record
from bench.tasks import _evaluate

NET = '''
import torch
from torch import nn


class Net(nn.Module):
    """Says the class by the brightness of red: 0 to 3."""

    input_size = 8

    def __init__(self, num_classes=4, in_channels=3):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.places = torch.arange(num_classes) / (num_classes - 1)
        self.transform = dict(resize=None, crop=[8, 8], mean=[0, 0, 0], std=[1, 1, 1])

    def forward(self, images):
        red = images[:, 0].mean((1, 2))
        return -self.scale * 20 * (red[:, None] - self.places).abs()
'''
SHADES = {"black": 0, "dark": 85, "light": 170, "white": 255}


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """Return a folder of images of four shades of red, five of each; one of them lies in the wrong folder."""
    (tmp_path / "net.py").write_text(NET)
    for name, red in SHADES.items():
        folder = tmp_path / "data" / "val" / name
        folder.mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (8, 8), (red, number, 0)).save(folder / f"{number}.png")
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "data" / "val" / "black" / "4.png")
    return tmp_path


def evaluate(root: Path, *names: str, data: str = "", **options: Any) -> Done:
    names = names or (f"{root}/net.py:Net",)
    data = data or f"imagefolder:{root}/data"
    return bench.evaluate(names, data=data, results=root / "results", executor="inline", name="e", **options)


def ok(done: Done) -> Record:
    record = done.summary.records[-1]
    assert record.status == "ok", record.error
    return record


def read_answers(folder: Path, record: Record) -> Answers | None:
    """Return the answers of a record, by the SHA-256 that it has of them."""
    top1 = record.measurement("top1")
    expected = top1 and top1.detail.get("outputs_sha256")
    return Answers.load(JobFile.outputs.path(folder, record.job.id), expected) if expected else None


def value(record: Record, name: str) -> float:
    measurement = record.measurement(name)
    assert measurement is not None
    return measurement.samples[0]


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


@pytest.mark.slow
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
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder of results with two trainings that have kept their weights, one of them tested on views."""
    results = tmp_path_factory.mktemp("results")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    views = "std(test_time_augmentation='mirror_translate', augment={'flip': True, 'pad': 1}, ema=0.9)"
    for recipe in ("std", views):
        bench.train("lenet5", dataset="digits", recipe=recipe, epochs=2, seeds=1, keep_weights=True,
                    results=results, executor="inline", overrides=["threads=1"], name="t")  # fmt: skip
    yield results
    torch.set_num_threads(threads)


@pytest.mark.slow
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


@pytest.mark.slow
def test_one_training_is_asked_for_by_its_id(trained: Path) -> None:
    record = bench.api._running.read_run(trained / "t").records[0]
    done = bench.evaluate(record.job.id, results=trained, executor="inline", name="one", limit=20)
    assert [r.status for r in done.summary.records] == ["ok"]
    with pytest.raises(ConfigError, match="has kept weights of a job"):
        bench.evaluate("0" * 12, results=trained, executor="inline")


@pytest.mark.slow
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


# --- weights ---


def test_a_network_without_weights_is_not_evaluated(tmp_path: Path) -> None:
    record = evaluate(tmp_path, "lenet5", data="digits").summary.records[-1]
    assert record.status == "unsupported"
    assert "has no trained weights" in str(record.error)


def test_missing_weights_are_told_with_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    record = evaluate(tmp_path, "torchvision:squeezenet1_1", data="digits", limit=2).summary.records[-1]
    assert record.status == "unsupported"
    error = dict(record.error or {})
    assert error["message"].startswith(
        "the weights of torchvision:squeezenet1_1(weights='IMAGENET1K_V1') are not on"
    )
    assert f"put squeezenet1_1-b8a52dc0.pth into {tmp_path}/torch/hub/checkpoints" in error["tip"]
    assert "--download" in error["tip"]


def test_weights_of_a_library_are_named_and_declare_their_transform() -> None:
    arch = resolve("torchvision:resnet50(weights=DEFAULT)")
    assert arch.card.name == "torchvision:resnet50(weights='IMAGENET1K_V2')"
    assert (arch.card.weights, arch.card.input_size) == ("IMAGENET1K_V2", 224)
    assert arch.card.published["top1"] == 0.80858
    assert arch.weights is not None
    assert arch.weights.transform is not None
    assert arch.weights.transform["resize"] == 232
    assert arch.weights.classes[0] == "tench"
    assert resolve(arch.card.name).card == arch.card
    large = resolve("torchvision:vit_b_16(weights=IMAGENET1K_SWAG_E2E_V1)")
    assert large.card.input_size == 384
    with pytest.raises(BenchError, match="unknown weights of torchvision:resnet50 'IMAGENET1K_V3'"):
        resolve("torchvision:resnet50(weights=IMAGENET1K_V3)")
    with pytest.raises(UnsupportedError, match="of features alone"):
        resolve("torchvision:vgg16(weights=IMAGENET1K_FEATURES)")


def test_a_library_has_its_default_weights_where_it_is_evaluated() -> None:
    grid = {
        "arch": ["torchvision:resnet50", "timm:resnet50.a1_in1k", "torchvision:resnet18(weights=X)", "lenet5"]
    }
    blocks = [{"task": task, "grid": grid} for task in ("evaluate", "cost")]
    evaluated, counted = Experiment.parse({"blocks": blocks}).blocks
    assert evaluated.archs == [
        "torchvision:resnet50(weights='DEFAULT')",
        "timm:resnet50.a1_in1k(weights='DEFAULT')",
        *grid["arch"][2:],
    ]
    assert counted.archs == grid["arch"]
    given = Experiment.parse({"blocks": [{**blocks[0], "weights": "w.pt"}]}).blocks[0]
    assert given.archs[0] == "torchvision:resnet50(weights='w.pt')"


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("torchvision:resnet50(weights=IMAGENET1K_V1)", "torchvision:resnet50(weights='IMAGENET1K_V1')"),
        ("my.py:Net(weights=w.safetensors, width=2)", "my.py:Net(weights='w.safetensors', width=2)"),
        ("my.py:Net(width=2,weights=/a/b-c.pt)", "my.py:Net(width=2, weights='/a/b-c.pt')"),
        ("my.py:Net(weights='a b.pt')", "my.py:Net(weights='a b.pt')"),
        ("my.py:Net(weights=None)", "my.py:Net(weights=None)"),
    ],
)
def test_weights_need_no_quotes(text: str, spelled: str) -> None:
    assert str(parse(text)) == spelled
    assert str(parse(spelled)) == spelled


def test_a_pattern_may_have_weights(tmp_path: Path) -> None:
    model = resolve("pattern:INPUT -> [CONV -> RELU]*1 -> GAP -> FC").build(num_classes=3)
    file = tmp_path / "w.pt"
    torch.save(model.state_dict(), file)
    name = f"pattern:INPUT -> [CONV -> RELU]*1 -> GAP -> FC (weights='{file}')"
    assert str(parse(str(parse(name)))) == str(parse(name))
    same = resolve(name).build(num_classes=3)
    for key, tensor in same.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["googlenet", "densenet121", "vit_b_16", "mnasnet0_5", "inception_v3"])
def test_weights_load_as_torchvision_loads_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files have auxiliary heads, or keys of older versions, which torchvision's own builders know about."""
    from torchvision import models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(_pretrained, "_check_hash", lambda file: None)
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    torch.manual_seed(0)
    model = models.get_model(name, **arguments)
    state = model.state_dict()
    for tensor in state.values():
        if tensor.is_floating_point():
            tensor.normal_(std=0.01)
    metadata = state._metadata
    if name == "vit_b_16":  # keys of its first version
        older = {".mlp.0.": ".mlp.linear_1.", ".mlp.3.": ".mlp.linear_2."}
        for key in list(state):
            for now, then in older.items():
                if now in key:
                    state[key.replace(now, then)] = state.pop(key)
        metadata = {k: {"version": 1} for k in metadata}
    state._metadata = metadata
    weights = models.get_model_weights(name).DEFAULT
    file = tmp_path / "hub" / "checkpoints" / weights.url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(state, file)
    built = resolve(f"torchvision:{name}(weights=DEFAULT)").build().eval()
    for key, tensor in built.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key]), key
    if name in ("googlenet", "inception_v3"):
        assert built.transform_input


def test_a_damaged_file_of_weights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half")
    with pytest.raises(InvalidModelError, match="is damaged: its SHA-256 begins with"):
        resolve("torchvision:squeezenet1_1(weights=DEFAULT)").build()


class Harm:
    def __reduce__(self) -> Any:
        return print, ("harm",)


def test_weights_of_no_use_are_rows(shades: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"scale": torch.ones(2)}, shades / "shape.pt")
    torch.save({"scale": Harm()}, shades / "code.pt")
    messages = []
    for file in ("shape.pt", "code.pt"):
        record = evaluate(shades, weights=str(shades / file)).summary.records[-1]
        assert record.status == "invalid_model"
        messages.append(dict(record.error or {})["message"])
    assert "scale is [2], and [1] in the network" in messages[0]
    assert "holds more than tensors" in messages[1]
    assert "harm" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "told", [{}, {"x": 1}, {"job": {"id": "a"}}, {"job": 1, "transform": [], "top1": "all"}]
)
def test_weights_of_ones_own_are_loaded(shades: Path, told: dict[str, object]) -> None:
    """Whatever somebody else has written beside them."""
    write_safetensors(shades / "w.safetensors", {"scale": torch.tensor([-1.0])}, told)
    record = ok(evaluate(shades, weights=str(shades / "w.safetensors")))
    assert (
        value(record, "top1") == 0.05
    )  # the farthest shade comes first: right for what lies in the wrong folder


# --- files of weights ---


def test_tensors_come_back_from_their_file(tmp_path: Path) -> None:
    file = tmp_path / "a" / "w.safetensors"
    tensors = {
        "half": torch.randn(3, 4).bfloat16(),
        "turned": torch.arange(6.0).reshape(2, 3).t(),
        "count": torch.tensor(7),
        "none": torch.empty(0, 3),
        "flags": torch.tensor([True, False]),
    }
    write_safetensors(file, tensors, {"classes": ["ä"]})
    found = read_safetensors(file)
    assert list(found) == list(tensors)
    for key, tensor in tensors.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)
    assert read_told(file) == {"classes": ["ä"]}
    assert read_told(tmp_path / "gone.safetensors") is None
    start = int.from_bytes(file.read_bytes()[:8], "little")
    assert start % 8 == 0
    json.loads(file.read_bytes()[8 : 8 + start])


def test_the_files_are_those_of_the_library(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    file = tmp_path / "w.safetensors"
    tensors = {"b": torch.randn(2, 3), "a": torch.arange(5)}
    write_safetensors(file, tensors, {"x": 1})
    theirs = library.load_file(file)
    assert all(torch.equal(theirs[key], tensors[key]) for key in tensors)
    library.save_file(tensors, file)
    ours = read_safetensors(file)
    assert all(torch.equal(ours[key], tensors[key]) for key in tensors)


def test_a_kind_that_the_format_lacks_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="z is of torch.complex128"):
        write_safetensors(tmp_path / "w.safetensors", {"z": torch.zeros(1, dtype=torch.complex128)}, {})
    with pytest.raises(StoreError, match="_extra_state is of dict"):
        check_state({"_extra_state": {}})
    assert not list(tmp_path.iterdir())


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


def test_a_job_is_told_by_what_it_is_of() -> None:
    job = make_job(task="evaluate", settings={"data": "digits", "corruption": "fog:2", "device": "cpu"})
    assert job.label() == "evaluate net on digits val fog:2"
    assert replace(job, seed=1).id != job.id
