"""Weights: those that are asked for are loaded, those of no use are told, and files of them come back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from shades import evaluate, ok, value
from torch import nn

from bench.archs.naming import _pretrained, parse, resolve
from bench.archs.naming._weights import load, read
from bench.archs.safetensors import check_state, read_safetensors, read_told, write_safetensors
from bench.errors import BenchError, InvalidModelError, StoreError, UnsupportedError
from bench.plan.config import Experiment


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
    assert "--download, which `bench engines` and `bench evaluate` take" in error["tip"]


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


@pytest.mark.parametrize("name", ["googlenet", "densenet121", "vit_b_16", "mnasnet0_5", "inception_v3"])
def test_weights_load_as_torchvision_loads_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
) -> None:
    """Files have auxiliary heads, or keys of older versions, which torchvision's own builders know about."""
    from torchvision import models

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(_pretrained, "_check_hash", lambda file: None)
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        state = models.get_model(name, **arguments).state_dict()
    metadata = state._metadata
    torch.manual_seed(0)
    for key, tensor in state.items():  # each row the same, so that a file is small
        drawn = torch.randn(tensor.shape[-1:]) if tensor.is_floating_point() else torch.tensor(3)
        state[key] = drawn.expand(tensor.shape)
    wanted = dict(state)
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
        assert torch.equal(tensor, wanted[key]), key
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


def test_of_a_checkpoint_with_several_weights_the_record_says_which_and_another_can_be_named(
    shades: Path,
) -> None:
    """With a scale of 1 all but the misplaced image are right; with -1 the farthest shade comes first."""
    file = shades / "several.pt"
    averaged = {"n_averaged": torch.tensor(3), "module.scale": torch.tensor([-1.0])}
    torch.save({"epoch": 2, "model": {"scale": torch.ones(1)}, "model_ema": averaged, "net": {}}, file)
    for asked, reached, told in (
        (str(file), 0.95, ("model", ["model_ema"])),
        (f"{file}#model_ema", 0.05, (None, None)),
        (f"{file}#model", 0.95, (None, None)),
    ):
        record = ok(evaluate(shades, weights=asked))
        assert value(record, "top1") == reached
        (top1,) = (m for m in record.measurements if m.name == "top1")
        assert (top1.detail.get("weights_taken"), top1.detail.get("weights_left")) == told
        assert ("several_weights" in top1.flags) == (told[0] is not None)
        assert (record.card.note or "").endswith("several.pt#model_ema takes those") == (told[0] is not None)
    failed = evaluate(shades, weights=f"{file}#optimizer").summary.records[-1]
    assert dict(failed.error or {})["message"].endswith("several.pt holds no weights as optimizer")
    assert dict(failed.error or {})["tip"] == "it has model, model_ema"


@pytest.mark.parametrize("wrap", [
    lambda state: {f"module.{key}": value for key, value in state.items()},
    lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}, "epoch": 3},
    lambda state: {f"module.net._orig_mod.{key}": value for key, value in state.items()},
    lambda state: {"ema": {"updates": 3, "module": state}},
])  # fmt: skip
def test_what_weights_are_wrapped_in_is_taken_away(tmp_path: Path, wrap: Any) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1)))
    state = {key: torch.full_like(value, 7) for key, value in model.state_dict().items()}
    torch.save(wrap(state), tmp_path / "w.pt")
    load(model, read(tmp_path / "w.pt"), tmp_path / "w.pt", "net")
    assert all((value == 7).all() for value in model.state_dict().values())


def test_weights_of_another_network_are_told_as_they_are_called(tmp_path: Path) -> None:
    torch.save({"trunk.body.kernel": torch.ones(1)}, tmp_path / "w.pt")
    with pytest.raises(InvalidModelError, match=r"not of the network: trunk\.body\.kernel"):
        load(nn.Linear(2, 3), read(tmp_path / "w.pt"), tmp_path / "w.pt", "net")


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
