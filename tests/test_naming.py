from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench.archs import ARCHS, _timm, _torchvision
from bench.archs.naming import expand_names, list_archs, parse, resolve
from bench.archs.naming._ways import NetworkName
from bench.errors import (
    BenchError,
    ConfigError,
    InvalidModelError,
    UnknownNameError,
    UnsupportedError,
    install_tip,
)
from bench.registry import natural

MODELS = Path(__file__).parent / "models"
GOOD = MODELS / "good.py"
META = torch.device("meta")


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


# --- spelling ---


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("vgg16", NetworkName("registered", "", "vgg16")),
        (" resnet18( num_classes = 10 ) ", NetworkName("registered", "", "resnet18", {"num_classes": 10})),
        ("torchvision:vit_b_16", NetworkName("torchvision", "torchvision", "vit_b_16")),
        ("timm:resnet50.a1_in1k", NetworkName("timm", "timm", "resnet50.a1_in1k")),
        ("net.py:Net", NetworkName("file", "net.py", "Net")),
        ("a/my-nets (1)/net.py:Net", NetworkName("file", "a/my-nets (1)/net.py", "Net")),
        ("a(1)/net.py:Net(w=2)", NetworkName("file", "a(1)/net.py", "Net", {"w": 2})),
        (r"C:\nets\net.py:Net", NetworkName("file", r"C:\nets\net.py", "Net")),
        ("package.module:Net", NetworkName("module", "package.module", "Net")),
        (
            "m:f(a='x,)(', b=[1, (2, 3)], c={'k': None}, d=-1e-3)",
            NetworkName("module", "m", "f", {"a": "x,)(", "b": [1, (2, 3)], "c": {"k": None}, "d": -1e-3}),
        ),
        ("pattern:input -> fc(bias=no)", NetworkName("pattern", "pattern", "INPUT -> FC(bias=no)")),
        ("mlp(width='net.py:b')", NetworkName("registered", "", "mlp", {"width": "net.py:b"})),
        ("mlp()", NetworkName("registered", "", "mlp")),
        ("mlp(a=1,\n b=2)", NetworkName("registered", "", "mlp", {"a": 1, "b": 2})),
    ],
)
def test_a_name_is_parsed_and_written_back(text: str, name: NetworkName) -> None:
    assert parse(text) == name
    assert parse(str(name)) == name


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("", 0, "name of a network is missing"),
        ("(width=2)", 0, "name of a network is missing"),
        ("2net", 0, "name of a network is missing"),
        ("resnet*", 6, "unexpected text"),
        ("vgg16 vgg19", 6, "unexpected text"),
        ("torchvision:", 12, "name of a network is missing"),
        ("net.py:", 7, "name of a network is missing"),
        ("net.py:a.b", 8, "unexpected text"),
        ("net.py", 6, "which network of the file"),
        ("net.py(a=1)", 6, "which network of the file"),
        ("my net:Net", 0, "is no library, file or module"),
        ("mlp(width=2", 11, "not closed"),
        ("mlp(width=2))", 12, "unmatched"),
        ("mlp(50)", 4, "must be written key=value"),
        ("mlp(a=1, **{})", 9, "must be written key=value"),
        ("mlp(width=2 3)", 10, "bad arguments"),
        ("mlp(a=1)(b=2)", 3, "one pair of parentheses"),
        ("mlp(a=1, a=2)", 9, "given twice"),
        ("mlp(ä='ö', b=relu)", 13, "must be a literal"),
        ("mlp(a=print('x'))", 6, "must be a literal"),
        ("mlp(a=__import__('os').getcwd())", 6, "must be a literal"),
        ("mlp(a={[1]: 2})", 6, "must be a literal"),
    ],
)
def test_a_bad_name_is_refused_at_the_character(text: str, at: int, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse(text)
    first, quoted, pointer = caught.value.message.split("\n")
    assert first.endswith(f"at character {at + 1}:")
    assert quoted == f"  {text}"
    assert pointer.index("^") == at + 2


def test_a_bare_word_is_told_to_be_quoted() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("mlp(activation=relu)")
    assert caught.value.tip == "put a text in quotes: activation='relu'"


@settings(deadline=None)
@given(st.text(alphabet="ab1.:/(),='\"[]{}*\\ \n#ä-", max_size=24) | st.text(max_size=12))
def test_any_text_is_a_name_that_reads_back_or_a_config_error(text: str) -> None:
    try:
        name = parse(text)
    except ConfigError:
        return
    assert parse(str(name)) == name


# --- registered names ---


def test_a_registered_name_is_its_arch() -> None:
    assert resolve("vgg16") is ARCHS.get("vgg16")


def test_arguments_make_another_network_of_which_nothing_is_declared() -> None:
    arch = resolve("mlp(width=8, depth=1, num_classes=3)")
    assert arch.card.name == "mlp(width=8, depth=1, num_classes=3)"
    assert (arch.card.parameters, arch.card.published, arch.card.num_classes) == (None, {}, 3)
    assert count(arch.build(input_size=2)) == (12 * 8 + 8) + (8 * 3 + 3)
    assert count(arch.build(input_size=2, num_classes=4)) == (12 * 8 + 8) + (8 * 4 + 4)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("mlp(widht=8)", InvalidModelError, "mlp(widht=8) takes no argument 'widht'"),
        ("vgg61", UnknownNameError, "unknown architecture 'vgg61'"),
        ("torchvision:vgg61", UnknownNameError, "unknown torchvision network 'vgg61'"),
        ("torchvison:vgg16", UnknownNameError, "unknown module 'torchvison'"),
    ],
)
def test_wrong_names_name_the_nearest(name: str, error: type[BenchError], message: str) -> None:
    nearest = {
        "mlp(widht=8)": "width",
        "vgg61": "vgg16",
        "densenet121": "torchvision:densenet121",
        "torchvision:vgg61": "vgg16",
        "torchvison:vgg16": "torchvision",
    }
    with pytest.raises(error) as caught:
        resolve(name)
    assert caught.value.message == message
    assert nearest[name] in (caught.value.tip or "")


@pytest.mark.parametrize("name", ["vgg16(nonsense=1)", "mlp(width='wide')"])
def test_an_argument_that_the_network_chokes_on_is_an_invalid_model(name: str) -> None:
    with pytest.raises(InvalidModelError, match="cannot be built") as caught, META:
        resolve(name).build()
    assert isinstance(caught.value.__cause__, TypeError)


# --- torchvision ---


def test_all_torchvision_classifiers_have_a_card() -> None:
    cards = list_archs("torchvision:*")
    assert len(cards) >= 80
    for card in cards:
        assert card.num_classes == 1000
        assert 1 <= card.min_input <= card.input_size
        assert (card.parameters or 0) > 1e6
        assert 0.5 < card.published["top1"] < card.published["top5"] < 1
        assert card.published["source"].startswith("torchvision IMAGENET1K_")


def test_a_torchvision_card_is_of_the_smallest_weights() -> None:
    card = resolve("torchvision:vit_h_14").card
    assert (card.family, card.input_size, card.parameters) == ("vision_transformer", 224, 632_045_800)
    assert resolve("torchvision:resnet50").card.published["source"] == "torchvision IMAGENET1K_V1"


# One of each family; regnets compute their widths with tensors, which the meta device cannot.
FAMILIES = [
    *("alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "googlenet", "inception_v3", "maxvit_t"),
    *("mnasnet0_5", "mobilenet_v2", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1"),
    *("swin_t", "vgg11", "vit_b_32"),
]


@pytest.mark.parametrize("name", FAMILIES)
def test_torchvision_networks_are_as_declared(name: str, undrawn: None) -> None:
    arch = resolve(f"torchvision:{name}")
    with META:
        assert count(arch.build()) == arch.card.parameters


@pytest.mark.parametrize("name", [*FAMILIES, "regnet_y_400mf"])
def test_torchvision_networks_take_grey_images_and_other_classes(name: str, undrawn: None) -> None:
    arch = resolve(f"torchvision:{name}")
    side = arch.card.min_input
    device = torch.device("cpu" if name.startswith("regnet") else "meta")
    with device:
        grey = arch.build(num_classes=7, in_channels=1, input_size=side).eval()
        assert grey(torch.zeros(1, 1, side, side)).shape == (1, 7)


def test_every_torchvision_family_is_tested() -> None:
    tested = {_torchvision.card(n).family for n in [*FAMILIES, "regnet_y_400mf"]}
    assert tested == {_torchvision.card(n).family for n in _torchvision.names()}


def test_a_fresh_first_convolution_has_the_old_one_s_settings() -> None:
    with META:
        networks = (resolve("torchvision:resnet18").build(in_channels=c) for c in (3, 2))
        old, new = (network.get_submodule("conv1") for network in networks)
    assert repr(old).replace("(3, 64", "(2, 64") == repr(new)


def test_torchvision_sizes() -> None:
    arch = resolve("torchvision:vit_b_32")
    with META:
        larger = arch.build(input_size=256)
        assert count(larger) - (arch.card.parameters or 0) == (8 * 8 - 7 * 7) * 768
        with pytest.raises(UnsupportedError, match="cannot be built for 225 px"):
            arch.build(input_size=225)
        with pytest.raises(UnsupportedError, match="needs at least 224 px, asked for 32 px"):
            arch.build(input_size=32)


def test_torchvision_arguments() -> None:
    with META:
        model = resolve("torchvision:googlenet(aux_logits=True)").build()
        assert count(model) == ARCHS.get("googlenet_aux").card.parameters
    with pytest.raises(UnknownNameError, match="no file of weights 'net.pt'"):
        resolve("torchvision:resnet18(weights='net.pt')")


# --- timm ---


def test_a_timm_network() -> None:
    pytest.importorskip("timm")
    arch = resolve("timm:test_resnet")
    assert (arch.card.family, arch.card.input_size, arch.card.num_classes) == ("resnet", 160, 1000)
    model = arch.build(num_classes=3, in_channels=1).eval()
    assert model(torch.zeros(1, 1, 64, 64)).shape == (1, 3)


def test_a_timm_transformer_is_built_for_its_size_and_without_classes() -> None:
    pytest.importorskip("timm")
    with META:
        model = resolve("timm:test_vit(num_classes=None)").build(input_size=64).eval()
        assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 64)


def test_wrong_timm_names() -> None:
    pytest.importorskip("timm")
    with pytest.raises(UnknownNameError, match="'resnet5o'") as caught:
        resolve("timm:resnet5o")
    assert "resnet50" in (caught.value.tip or "")
    with pytest.raises(UnknownNameError, match=r"'resnet50\.a9_in1k'") as caught:
        resolve("timm:resnet50.a9_in1k")
    assert "resnet50.a3_in1k" in (caught.value.tip or "")
    with pytest.raises(InvalidModelError, match="nonsense"):
        resolve("timm:test_resnet(nonsense=1)").build()


def test_without_timm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    for ask in (lambda: resolve("timm:resnet50"), lambda: expand_names(["timm:*"])):
        with pytest.raises(UnsupportedError, match="timm is not installed") as caught:
            ask()
        assert caught.value.tip == install_tip("timm")


# --- patterns ---


def test_patterns_and_names_are_expanded_once_and_in_order() -> None:
    assert expand_names(["vgg16", "resnet1?", "vgg1*_bn", "vgg16"]) == [
        "vgg16", "resnet18", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn",
    ]  # fmt: skip
    found = expand_names(["resnet*"])
    assert found == sorted(found, key=natural)
    assert found.index("resnet20") < found.index("resnet110")
    assert set(found) == {n for n in ARCHS.names() if n.startswith("resnet")}


def test_patterns_of_libraries() -> None:
    assert expand_names(["torchvision:vgg1[16]"]) == ["torchvision:vgg11", "torchvision:vgg16"]
    assert len(expand_names(["torchvision:*"])) == len(_torchvision.names()) >= 80
    pytest.importorskip("timm")
    assert "timm:convnext_tiny" in expand_names(["timm:convnext*"])
    assert len(expand_names(["timm:*"])) == len(_timm.names())


@pytest.mark.parametrize(
    "name",
    ["a [1]/net.pt2", "nets*/net.pt", "a[b]/net.py:Net", "a [1]/hub:net", "pattern:INPUT -> [CONV]*2 -> FC"],
)
def test_signs_of_a_glob_may_be_in_a_path(name: str) -> None:
    assert expand_names([name]) == [str(parse(name))]


def test_users_networks_stay_and_are_not_imported() -> None:
    assert expand_names([f"{MODELS}/raises.py:Net( a = 1 )"]) == [f"{MODELS}/raises.py:Net(a=1)"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("resnext*", UnknownNameError),
        ("torchvision:nothing*", UnknownNameError),
        ("vgg61", UnknownNameError),
        ("torchvision:vgg61", UnknownNameError),
        ("my_module:*", ConfigError),
        (f"{GOOD}:*", ConfigError),
        ("my_module:Net?", ConfigError),
        ("tim:resnet*", ConfigError),
    ],
)
def test_patterns_and_names_that_mean_nothing(name: str, error: type[BenchError]) -> None:
    with pytest.raises(error):
        expand_names(["vgg16", name])


def test_a_pattern_of_what_is_listed_nowhere_says_what_to_write() -> None:
    with pytest.raises(ConfigError, match="the networks of tim are listed nowhere") as caught:
        expand_names(["tim:resnet*"])
    assert caught.value.tip == "did you mean timm:resnet*?"
    with pytest.raises(ConfigError, match=r"\n  my\.py:N\*\n {9}\^") as caught:
        expand_names(["my.py:N*"])
    assert "my.py:NAME" in (caught.value.tip or "")


def test_a_folder_alone_is_told_to_name_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the name of a network is missing") as caught:
        parse(f"{tmp_path}/")
    assert caught.value.tip == f"in a file of that folder: {tmp_path}/FILE.py:NAME"


def test_cards_are_listed() -> None:
    assert [c.name for c in list_archs("plain?8")] == ["plain18"]
    assert len(list_archs()) == len(ARCHS.names())
    assert [c.family for c in list_archs("torchvision:swin_?")] == ["swin_transformer"] * 3


def test_a_plain_name_may_be_torchvisions() -> None:
    assert resolve("mobilenet_v2").card.name == "torchvision:mobilenet_v2"
    assert expand_names(["mobilenet_v2", "vgg16"]) == ["torchvision:mobilenet_v2", "vgg16"]
    assert resolve("vgg16").card.name == "vgg16"  # registered ones come first
