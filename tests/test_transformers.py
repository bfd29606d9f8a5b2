"""Models of transformers, a small one of our own in their place; and what networks return as they do."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from named import counted, refused
from torch import Tensor, nn

from bench.archs.naming import expand_names, resolve
from bench.errors import InvalidModelError, UnknownNameError, UnsupportedError, install_tip
from bench.training.outputs import outputs


class Config:
    model_type, image_size, num_channels = "tiny", 16, 3
    architectures: list[str] | None = None

    def __init__(self) -> None:
        self.num_labels, self.hidden_size = 2, 4

    def to_dict(self) -> dict[str, Any]:
        return {"image_size": self.image_size, "num_channels": self.num_channels, **vars(self)}

    to_diff_dict = to_dict


class Output(OrderedDict[str, Any]):
    """As transformers returns it: a mapping whose values are attributes as well."""


class TinyForImageClassification(nn.Module):
    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.size, self.stem = config.image_size, nn.Conv2d(config.num_channels, config.hidden_size, 1)
        self.head = nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, pixel_values: Tensor, labels: None = None) -> Output:
        assert pixel_values.shape[-1] == self.size
        return Output(loss=labels, logits=self.head(self.stem(pixel_values).mean((2, 3))))


class TinyForText(nn.Module):
    config_class = Config

    def forward(self, input_ids: Tensor, pixel_values: Tensor) -> Tensor:
        return input_ids


class Broken(Config):
    def __init__(self) -> None:
        raise ImportError("\nit needs the library no_such\nand more")


class FromFolder:
    @staticmethod
    def from_pretrained(path: str, trust_remote_code: bool) -> Config:
        assert not trust_remote_code
        if not Path(path).is_dir():
            raise OSError("We couldn't connect\nat all")
        config = Config()
        vars(config).update(json.loads((Path(path) / "config.json").read_text()))
        return config


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    library: Any = ModuleType("transformers")
    library.CONFIG_MAPPING = {"tiny": Config, "text": Config, "broken": Broken}
    library.AutoConfig = FromFolder
    for made in (TinyForImageClassification, TinyForText):
        setattr(library, made.__name__, made)
    auto: Any = ModuleType("transformers.models.auto")
    auto.modeling_auto = SimpleNamespace(
        MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES={
            "tiny": ("TinyForImageClassification", "Other"),
            "gone": "Gone",
        },
        MODEL_MAPPING_NAMES={"text": "TinyForText"},
    )
    for name, module in (
        ("transformers", library),
        ("transformers.models", ModuleType("m")),
        ("transformers.models.auto", auto),
    ):
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("tiny")
def test_a_model_of_transformers_is_built_from_its_configuration() -> None:
    for name in ("hf:tiny", "hf:TinyForImageClassification"):
        card = resolve(name).card
        assert (card.family, card.input_size, card.in_channels, card.num_classes) == ("tiny", 16, 3, 1000)
        counts = counted(name)
        assert counts["parameters"] == (3 * 4 + 4) + (4 * 1000 + 1000)
        assert counts["macs"] == 16 * 16 * 12 + 4 * 1000
    assert counted("hf:tiny(hidden_size=8)", num_classes=5, in_channels=1, input_size=8) == {
        **counted("hf:tiny(hidden_size=8, num_labels=5)", in_channels=1, input_size=8)
    }
    assert resolve("hf:tiny(num_labels=5)").card.num_classes == 5
    assert resolve("hf:tiny(num_classes=6)").card.num_classes == 6
    assert expand_names(["hf:*"]) == ["hf:tiny"]
    arch = resolve("hf:tiny")
    assert arch.describe is not None
    assert arch.describe({"input_size": 8}, {"num_classes": 1000, "in_channels": 3, "input_size": 8}) == [
        "class TinyForImageClassification of transformers",
        "num_classes 1000: nothing in its configuration says",
        "in_channels 3: its configuration's num_channels",
        "input_size 8: asked for",
    ]


@pytest.mark.usefixtures("tiny")
def test_a_folder_with_a_configuration_is_told_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    file = tmp_path / "model" / "config.json"
    file.write_text('{"num_labels": 7, "image_size": 8}')
    card = resolve("hf:model").card
    assert (card.num_classes, card.input_size) == (7, 8)
    assert card.source_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert resolve("hf:./model").build()(torch.zeros(1, 3, 8, 8))["logits"].shape == (1, 7)
    file.write_text('{"architectures": ["TinyForText"]}')
    assert "takes no images" in refused("hf:model").message


@pytest.mark.usefixtures("tiny")
def test_models_that_are_not_there() -> None:
    assert "TinyForImageClassification" in str(refused("hf:TinyForImageClassificatoin", UnknownNameError).tip)
    assert "hidden_size" in str(refused("hf:tiny(hiden_size=3)").tip)
    assert "takes no images" in refused("hf:text").message
    assert "it needs the library no_such" in refused("hf:broken", UnsupportedError).message
    offline = refused("hf:somebody/tiny", UnknownNameError)
    assert "We couldn't connect" in offline.message
    assert "hf:path/to/folder" in str(offline.tip)


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    for ask in (lambda: resolve("hf:vit"), lambda: expand_names(["hf:*"])):
        with pytest.raises(
            UnsupportedError, match="transformers is not installed|cannot be imported"
        ) as caught:
            ask()
        assert caught.value.tip == install_tip("transformers")


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # of the papers' tables, as torchvision counts the same networks
        ("hf:vit", 86_567_656),
        ("hf:resnet", 25_557_032),
        ("hf:convnext", 28_589_128),
        ("hf:swin", 28_288_354),
    ],
)
def test_models_of_transformers_are_those_of_torchvision(name: str, parameters: int) -> None:
    pytest.importorskip("transformers")
    assert counted(name)["parameters"] == parameters


@dataclass
class Result:
    logits: Tensor
    aux_logits: Tensor | None = None


def test_logits_are_found_by_their_name() -> None:
    logits = torch.zeros(2, 7)
    for result in (
        logits,
        Result(logits),
        {"logits": logits, "hidden": None},
        Output(loss=None, logits=logits),
    ):
        assert outputs(result, 7) == (logits, [])
    assert outputs(Result(logits, logits), 7)[1] == [logits]
    with pytest.raises(InvalidModelError, match=r"returned \[2, 7\], not logits of 10 classes") as caught:
        outputs(logits, 10)
    assert str(caught.value.tip).startswith("--set num_classes=7")
    with pytest.raises(InvalidModelError, match="returned dict"):
        outputs({"a": logits}, 7)
    with pytest.raises(InvalidModelError, match=r"returned tuple of \[2, 7\], not a logit of each class"):
        outputs((logits, None), 1)  # where the count of classes is not known
