from __future__ import annotations

import ast
import csv
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bench.archs
from bench.archs import _ACCURACIES, ARCHS, Arch, register
from bench.archs._layers import side_after
from bench.archs._torchvision import card as torchvision_card
from bench.contracts import check_arch
from bench.plan.card import protocol_of

NAMES = ARCHS.names()
META = torch.device("meta")


@pytest.fixture(params=NAMES)
def arch(request: pytest.FixtureRequest) -> Arch:
    return ARCHS.get(request.param)


def place(arch: Arch) -> torch.device:
    """The meta device costs no memory, but more time than the computation of a small network."""
    return META if (arch.card.parameters or 0) > 2e6 else torch.device("cpu")


def build(arch: Arch, **shape: int) -> nn.Module:
    with place(arch):
        return arch.build(**shape)


@cache
def native(name: str) -> nn.Module:
    return build(ARCHS.get(name))


def images(arch: Arch, batch: int, channels: int | None = None, side: int | None = None) -> Tensor:
    side = side or arch.card.input_size
    return torch.zeros(batch, channels or arch.card.in_channels, side, side, device=place(arch))


def tensors(output: Any) -> list[Tensor]:
    """All that a network returns: a tensor, or GoogLeNet's named tuple with the logits first."""
    return [output] if isinstance(output, Tensor) else [t for t in output if t is not None]


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# --- the contract of every registered network ---


def _marked(name: str) -> Any:
    """Return a parameter; that of a network of many layers or weights is slow."""
    large = (ARCHS.get(name).card.parameters or 0) > 40e6
    return pytest.param(name, marks=pytest.mark.slow) if large else name


@pytest.mark.parametrize("name", [_marked(name) for name in NAMES])
def test_every_network_keeps_the_contract(name: str, undrawn: None) -> None:
    check_arch(name)


def test_card_is_complete(arch: Arch) -> None:
    card = arch.card
    assert card.name in NAMES
    assert card.family != "custom"
    assert 1950 < (card.year or 0) < 2030
    assert len(card.paper or "") > 20
    accuracies = {k: v for k, v in card.published.items() if k.endswith(("top1", "top5"))}
    assert all(0.5 < v < 1 for v in accuracies.values())
    assert ("source" in card.published) == bool(accuracies)
    assert accuracies.get("top1", 0) < accuracies.get("top5", 1)


def test_less_than_the_least_input_is_too_little(arch: Arch, undrawn: None) -> None:
    less = arch.card.min_input - 1
    if less == 0:
        return
    with pytest.raises((ValueError, RuntimeError), match="too small"), place(arch):  # noqa: PT012
        model = arch.builder(
            num_classes=arch.card.num_classes, in_channels=arch.card.in_channels, input_size=less
        )
        model(images(arch, 2, side=less))


def quickly_trained() -> list[str]:
    """The small ones and those with dropout; the others have the same builders and more layers."""
    return [n for n, a in ARCHS.items() if (a.card.parameters or 0) < 14e6 or n in {"alexnet", "zfnet"}]


@pytest.mark.parametrize("name", quickly_trained())
def test_gradients_reach_every_parameter_and_are_finite(name: str) -> None:
    torch.manual_seed(0)
    arch = ARCHS.get(name)
    side = max(arch.card.min_input, 8)
    model = arch.build(input_size=side)
    outputs = tensors(model(torch.randn(2, arch.card.in_channels, side, side)))
    sum(o.square().sum() for o in outputs).backward()  # type: ignore[union-attr]
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() for g in gradients)


def test_building_twice_gives_other_weights() -> None:
    arch = ARCHS.get("lenet5")
    first, second = (next(arch.build().parameters()) for _ in range(2))
    assert not torch.equal(first, second)


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        register("linear", family="mlp", year=1958, paper="", input_size=32)(lambda **_: nn.Identity())


def test_a_name_is_parsed_without_torch() -> None:
    program = (
        "import sys; from bench.archs.naming import parse; parse('vgg16'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_libraries_are_imported_only_where_they_are_used() -> None:
    for file in Path(bench.archs.__file__).parent.glob("*.py"):
        body = ast.parse(file.read_text()).body
        names = [a.name for n in body if isinstance(n, ast.Import) for a in n.names]
        names += [n.module or "" for n in body if isinstance(n, ast.ImportFrom)]
        assert not {n.partition(".")[0] for n in names} & {"torchvision", "timm"}, file.name


# --- closed forms ---


def layer_parameters(name: str) -> dict[str, int]:
    model = native(name)
    return {n: c for n, m in model.named_children() if (c := count(m))}


def test_parameters_of_alexnet_by_layer() -> None:
    assert layer_parameters("alexnet") == {
        "conv1": 11 * 11 * 3 * 96 + 96,
        "conv2": 5 * 5 * 96 * 256 + 256,
        "conv3": 3 * 3 * 256 * 384 + 384,
        "conv4": 3 * 3 * 384 * 384 + 384,
        "conv5": 3 * 3 * 384 * 256 + 256,
        "fc6": 6 * 6 * 256 * 4096 + 4096,
        "fc7": 4096 * 4096 + 4096,
        "fc8": 4096 * 1000 + 1000,
    }


def test_two_towers_save_half_of_three_convolutions() -> None:
    one, two = layer_parameters("alexnet"), layer_parameters("alexnet_2tower")
    weights = {"conv2": 5 * 5 * 96 * 256, "conv4": 3 * 3 * 384 * 384, "conv5": 3 * 3 * 384 * 256}
    assert {k: one[k] - two[k] for k in one if one[k] != two[k]} == {k: v // 2 for k, v in weights.items()}
    assert sum(two.values()) == 60_965_224


def test_parameters_of_lenet5_by_layer() -> None:
    assert layer_parameters("lenet5") == {
        "c1": 5 * 5 * 1 * 6 + 6,
        "c3": 5 * 5 * 6 * 16 + 16,
        "c5": 5 * 5 * 16 * 120 + 120,
        "f6": 120 * 84 + 84,
        "output": 84 * 10 + 10,
    }


@pytest.mark.parametrize(
    ("name", "sides"),
    [
        ("alexnet", {"conv1": 55, "maxpool1": 27, "conv2": 27, "maxpool2": 13, "conv5": 13, "maxpool5": 6}),
        ("zfnet", {"conv1": 110, "maxpool1": 55, "conv2": 26, "maxpool2": 13, "conv5": 13, "maxpool5": 6}),
        ("lenet5", {"c1": 28, "s2": 14, "c3": 10, "s4": 5, "c5": 1}),
        ("convnet", {"conv": 32, "pool": 16}),
        ("plain34", {"conv1": 112, "maxpool": 56, "stage1": 56, "stage2": 28, "stage3": 14, "stage4": 7}),
        ("resnet20", {"conv1": 32, "stage1": 32, "stage2": 16, "stage3": 8}),
        ("vgg16_cifar", {"conv1_1": 32, "pool1": 16, "pool4": 2, "pool5": 1}),
    ],
)
def test_sides_of_the_maps_are_the_papers(name: str, sides: dict[str, int]) -> None:
    arch = ARCHS.get(name)
    seen: dict[str, int] = {}
    maps = images(arch, 1)
    for layer, module in native(name).eval().named_children():
        maps = module(maps)
        seen[layer] = maps.shape[-1]
    assert {layer: seen[layer] for layer in sides} == sides


def test_side_after_is_the_formula() -> None:
    layers = [nn.Conv2d(1, 1, 11, stride=4), nn.ReLU(), nn.MaxPool2d(3, 2)]
    assert side_after(layers, 227) == ((227 - 11) // 4 + 1 - 3) // 2 + 1
    with pytest.raises(ValueError, match="nothing is left of it after Conv2d"):
        side_after(layers, 10)


def macs_of_convolutions(model: nn.Module, inputs: Tensor) -> int:
    """Output elements, each of one filter's weights: a second way beside the costs' counter."""
    total = 0

    def add(module: nn.Conv2d, _: Any, output: Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(add)
    model(inputs)
    return total


@pytest.mark.parametrize(
    ("name", "channels", "macs"),
    [
        ("inception_naive", 128 + 192 + 96 + 256, 28 * 28 * 256 * (128 + 9 * 192 + 25 * 96)),
        (
            "inception_reduced",
            128 + 192 + 96 + 64,
            28 * 28 * (256 * (128 + 64 + 64 + 64) + 64 * 9 * 192 + 64 * 25 * 96),
        ),
    ],
)
def test_inception_modules(name: str, channels: int, macs: int) -> None:
    arch = ARCHS.get(name)
    model = build(arch)
    assert model(images(arch, 1)).shape == (1, channels, 28, 28)
    assert macs_of_convolutions(model, images(arch, 1)) == macs


def test_naive_inception_costs_what_the_lecture_says() -> None:
    assert 28 * 28 * 256 * (128 + 9 * 192 + 25 * 96) == 854_196_224


@pytest.mark.parametrize(
    ("depth", "millions"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")]
)
def test_small_residual_networks_are_as_large_as_the_papers(depth: int, millions: str) -> None:
    residual, plain = (ARCHS.get(f"{kind}{depth}").card.parameters or 0 for kind in ("resnet", "plain"))
    assert residual == plain
    assert f"{residual / 1e6:.{len(millions) - 2}f}" == millions
    layers = [m for m in native(f"resnet{depth}").modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(layers) == depth


@pytest.mark.parametrize("depth", [18, 34])
def test_plain_networks_lack_only_the_projections(depth: int) -> None:
    # 1x1 convolution without bias and batch norm, where the width doubles
    projections = sum(w * 2 * w + 2 * (2 * w) for w in (64, 128, 256))
    residual, plain = (ARCHS.get(f"{kind}{depth}").card.parameters or 0 for kind in ("resnet", "plain"))
    assert residual - plain == projections


def test_a_residual_block_of_zeros_is_its_shortcut() -> None:
    from bench.archs.resnet import Block

    maps = torch.rand(2, 3, 5, 5)
    for shortcut in (True, False):
        block = Block(3, 6, 2, shortcut=shortcut)
        nn.init.zeros_(block.bn2.weight)
        out = block(maps)
        assert out.shape == (2, 6, 3, 3)
        expected = maps[:, :, ::2, ::2] if shortcut else torch.zeros(2, 3, 3, 3)
        assert torch.equal(out[:, :3], expected)
        assert not out[:, 3:].any()


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnet152"])
def test_v1_strides_in_the_first_1x1(name: str) -> None:
    v15, v1 = (native(n) for n in (name, f"{name}_v1"))
    for stage in ("layer2.0", "layer3.0", "layer4.0"):
        strides = [
            [b.get_submodule(c).stride for c in ("conv1", "conv2")]
            for b in (m.get_submodule(stage) for m in (v15, v1))
        ]
        assert strides == [[(1, 1), (2, 2)], [(2, 2), (1, 1)]]


def test_macs_of_the_forms_for_32_px() -> None:
    full = 9 * 64 * 64 * 32 * 32  # where the width doubles as the side halves, a convolution has as many
    resnet = 9 * 3 * 64 * 32 * 32 + 4 * full + 3 * (full // 2 + 3 * full + 64 * 128 * 16 * 16)
    # Two convolutions, two, three and three; the last three have half the side at the same width.
    vgg = 9 * 3 * 64 * 32 * 32 + full + 3 * full // 2 + (1 + 2 + 2) * full + 3 * full // 4
    for name, macs in (("resnet18_cifar", resnet), ("vgg16_cifar", vgg)):
        arch = ARCHS.get(name)
        assert macs_of_convolutions(build(arch).eval(), images(arch, 1)) == macs


def test_macs_of_both_resnet50() -> None:
    # The classifier's weights complete the convolutions: He et al. 2015 print 3.8e9, v1.5 has 4.09e9.
    v15, v1 = (
        macs_of_convolutions(build(a).eval(), images(a, 1)) + 2048 * 1000
        for a in (ARCHS.get("resnet50"), ARCHS.get("resnet50_v1"))
    )
    assert v1 == pytest.approx(3.8e9, rel=0.02)
    assert v15 == pytest.approx(4.09e9, rel=0.001)


def test_googlenet_has_auxiliary_outputs_only_where_it_is_said() -> None:
    for name, outputs in (("googlenet", 1), ("googlenet_aux", 3)):
        arch = ARCHS.get(name)
        model = build(arch)
        assert len(tensors(model(images(arch, 2, side=64)))) == outputs
        assert len(tensors(model.eval()(images(arch, 2, side=64)))) == 1


# --- published facts ---


@pytest.mark.parametrize(
    ("name", "key", "error"),
    [
        ("alexnet", "top1", 0.407),
        ("alexnet", "top5", 0.182),
        ("zfnet", "top5", 0.165),
        ("vgg16", "top5", 0.081),
        ("vgg19", "top5", 0.080),
        ("googlenet", "top5", 0.1007),
        ("plain34", "top5", 0.1002),
        ("resnet50", "top5", 0.0671),
        ("resnet152", "top5", 0.0449),
        ("resnet20", "cifar10_top1", 0.0875),
        ("resnet56", "cifar10_top1", 0.0697),
        ("resnet110", "cifar10_top1", 0.0643),
    ],
)
def test_published_accuracy_is_the_papers(name: str, key: str, error: float) -> None:
    assert ARCHS.get(name).card.published[key] == pytest.approx(1 - error)


def test_every_published_count_has_a_source_and_is_about_what_is_declared(arch: Arch) -> None:
    facts = arch.card.published
    for key in ("macs", "parameters"):
        assert (key in facts) == (f"{key}_source" in facts)
    if "parameters" in facts:  # LeNet-5's and AlexNet's were rounded to one digit
        assert facts["parameters"] == pytest.approx(arch.card.parameters, rel=0.05)


PROTOCOLS = {"1 crop", "10 crops", "dense", "multi-scale", "whole image", "six views"}


def test_every_published_accuracy_says_how_its_images_were_tested(arch: Arch) -> None:
    facts = arch.card.published
    accuracies = {key for key in _ACCURACIES if key in facts}
    assert bool(accuracies) == bool(facts.get("protocol")) == bool(facts.get("protocol_source"))
    if accuracies:
        assert facts["protocol"] in PROTOCOLS
    if accuracies & {"top1", "top5"}:  # what the source says in words, for records that have it alone
        assert protocol_of({"source": facts["source"]}) == facts["protocol"]


def test_an_accuracy_without_a_word_on_its_protocol_has_none() -> None:
    assert protocol_of({}) is None
    assert protocol_of({"top5": 0.9, "source": "a paper"}) is None
    assert protocol_of({"top5": 0.9, "source": "a paper", "protocol": "3 crops"}) == "3 crops"


def test_published_facts_are_of_networks_that_are_there() -> None:
    with Path(bench.archs.__file__).with_name("published.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert sorted(row["name"] for row in rows) == sorted(NAMES)
    for row in rows:
        assert bool(row["source"]) == any(row[key] for key in _ACCURACIES), row["name"]
        assert all(bool(row[key]) == bool(row[f"{key}_source"]) for key in ("macs", "parameters")), row[
            "name"
        ]


def test_a_network_without_a_row_brings_its_own_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Arch] = []
    monkeypatch.setattr(ARCHS, "add", lambda _, arch: found.append(arch))
    register("new", family="mine", year=2025, paper="A paper", input_size=32)(lambda **_: nn.Identity())
    register("vgg16", family="mine", input_size=32, year=2025)(lambda **_: nn.Identity())
    new, other = (arch.card for arch in found)
    assert (new.year, new.paper, new.published) == (2025, "A paper", {})
    assert (other.year, other.published["top5"]) == (2025, 0.919)


def from_torchvision() -> list[str]:
    return [n for n, a in ARCHS.items() if str(a.card.published.get("source", "")).startswith("torchvision")]


@pytest.mark.parametrize("name", from_torchvision())
def test_accuracy_and_size_from_torchvision_are_its_own(name: str) -> None:
    ours, theirs = ARCHS.get(name).card, torchvision_card(name)
    assert ours.published["source"].startswith(theirs.published["source"])
    assert {k: ours.published[k] for k in ("top1", "top5")} == {
        k: theirs.published[k] for k in ("top1", "top5")
    }
    assert ours.published.get("macs", theirs.published["macs"]) == pytest.approx(
        theirs.published["macs"], rel=0.01
    )
    assert (ours.parameters, ours.min_input) == (theirs.parameters, theirs.min_input)


def test_some_accuracies_are_from_torchvision() -> None:
    assert {"resnet18", "resnet101", "vgg16_bn"} <= set(from_torchvision())
