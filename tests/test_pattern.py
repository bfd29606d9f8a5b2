from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pattern_writer import fold, to_pattern
from torch import nn

from bench.archs._layers import sequential
from bench.archs.naming import expand_names, resolve
from bench.archs.naming import parse as parse_name
from bench.archs.pattern._language import (
    KINDS,
    Layer,
    Pattern,
    _Group,
    _layer,
    check,
    fit_warnings,
    min_input,
    parse,
)
from bench.archs.pattern._network import _build
from bench.errors import BenchError, ConfigError, UnsupportedError

META = torch.device("meta")

ALEXNET = (
    "INPUT(227x227x3) -> [CONV11-96/4(p=0) -> RELU -> LRN -> POOL3/2] -> [CONV5-256 -> RELU -> LRN -> POOL3/2]"
    " -> [CONV3-384 -> RELU]*2 -> CONV3-256 -> RELU -> POOL3/2 -> [DROP0.5 -> FC-4096 -> RELU]*2 -> FC"
)
VGG16 = (
    "INPUT -> [[CONV3-64x2 -> RELU]*2 -> POOL]*2 -> [[CONV3-256x2 -> RELU]*3 -> POOL]*2"
    " -> [CONV3-512 -> RELU]*3 -> POOL -> [FC-4096 -> RELU -> DROP0.5]*2 -> FC"
)
LENET = (
    "INPUT(32x32x1) -> CONV5-6(p=0) -> SUBSAMPLE -> SIGMOID -> CONV5-16(p=0) -> SUBSAMPLE -> SIGMOID -> FC-10"
)


def built(text: str, classes: int = 10, channels: int = 3, size: int = 32) -> nn.Sequential:
    with META:
        return _build(parse(text), num_classes=classes, in_channels=channels, input_size=size)


def parameters(text: str, **shape: int) -> int:
    return sum(p.numel() for p in built(text, **shape).parameters())


# --- spelling ---


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("INPUT -> FC", "INPUT -> FC"),
        ("pattern: input - conv-relu - Pool → fc", "INPUT -> CONV -> RELU -> POOL -> FC"),
        ("INPUT-CONV3-64-RELU-FC-10", "INPUT -> CONV3-64 -> RELU -> FC-10"),
        ("INPUT\n-> [\nRELU ] * 2->FC", "INPUT -> [RELU]*2 -> FC"),
        ("INPUT(28x28) -> FC", "INPUT(28x28x3) -> FC"),
        ("INPUT (8 x 8 x 1) -> FC", "INPUT(8x8x1) -> FC"),
        ("INPUT -> CONV-64 -> FC", "INPUT -> CONV3-64 -> FC"),
        ("INPUT -> CONV3x3(s=2, p=1, d=1, g=1, bias=yes) -> FC", "INPUT -> CONV3/2 -> FC"),
        ("INPUT -> CONV(p=2,d=2) -> CONV4(p=0) -> FC", "INPUT -> CONV(d=2) -> CONV4 -> FC"),
        ("INPUT -> CONV11-96/4(p=0) -> FC", "INPUT -> CONV11-96/4(p=0) -> FC"),
        ("INPUT -> [CONV(G=2, BIAS=NO)]*0 -> FC(bias=no)", "INPUT -> [CONV(g=2, bias=no)]*0 -> FC(bias=no)"),
        ("INPUT -> MAXPOOL2/2 -> POOL3 -> AVGPOOL/1 -> FC", "INPUT -> POOL -> POOL3 -> AVGPOOL2/1 -> FC"),
        ("INPUT -> dropout -> drop-0.25 -> DROP0 -> FC", "INPUT -> DROP0.5 -> DROP0.25 -> DROP0 -> FC"),
        ("INPUT -> [CONV-8x2]*1 -> STRIDED2 -> BATCHNORM -> FC", "INPUT -> [CONV3-8x2] -> STRIDED2 -> BN -> FC"),
        (ALEXNET, ALEXNET),
        (VGG16, VGG16),
        (LENET, LENET),
    ],
)  # fmt: skip
def test_a_pattern_has_one_normal_spelling(text: str, normal: str) -> None:
    assert str(parse(text)) == normal
    assert parse(normal) == parse(text)


POSITIVE = st.integers(1, 12)
WINDOWED = st.fixed_dictionaries(
    {}, optional={"window": POSITIVE, "stride": POSITIVE, "padding": st.integers(0, 1)}
)
WIDE = st.fixed_dictionaries({}, optional={"width": POSITIVE, "bias": st.booleans()})
CONV = st.builds(
    lambda window, wide, rest: _layer("CONV", **window, **wide, **rest),
    WINDOWED, WIDE, st.fixed_dictionaries({}, optional={"dilation": POSITIVE, "groups": POSITIVE}),
)  # fmt: skip
POOLING = st.builds(
    lambda word, window: _layer(word, **{"window": 2, **window} | {"window": 1 + window.get("window", 1)}),
    st.sampled_from(["POOL", "AVGPOOL", "SUBSAMPLE", "STRIDED"]), WINDOWED,
)  # fmt: skip
PLAIN = st.sampled_from([w for w, kind in KINDS.items() if kind == KINDS["RELU"] or w in {"GAP", "LRN"}]).map(
    _layer
)
DROP = st.floats(0, 1, exclude_max=True).map(lambda rate: _layer("DROP", rate=rate))
GROWING = st.builds(lambda width: _layer("CONV", width=width, growth=2), POSITIVE)
MAPS = st.one_of(CONV, POOLING, PLAIN, DROP)


def groups(items: st.SearchStrategy[Any]) -> st.SearchStrategy[_Group]:
    several = st.lists(st.one_of(items, GROWING), min_size=1, max_size=4)
    return st.builds(_Group, several.map(tuple), st.integers(0, 3))


TREES = st.builds(
    lambda maps, dense, last, shape: Pattern((*maps, *dense, last), *shape),
    st.lists(st.recursive(MAPS, groups, max_leaves=8), max_size=5),
    st.lists(st.builds(lambda wide: _layer("FC", **wide), WIDE), max_size=2),
    st.builds(lambda wide: _layer("FC", **wide), WIDE),
    st.sampled_from([(None, None), (32, 3), (7, 1)]),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(TREES)
def test_a_tree_is_written_and_read_back(tree: Pattern) -> None:
    assert parse(str(tree)) == tree
    assert parse(str(tree).lower()) == tree
    folded = fold(parse(str(tree)))
    assert folded.layers() == tree.layers()
    assert parse(str(folded)) == folded


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(["INPUT", "->", "-", " ", "[", "]", "*", "2", "CONV3-64", "x", "POOL?", "/", "(", ")",
                                 "p=", "=", ",", "FC", "DROP0.", "9" * 40, "²", "é"]), max_size=12))  # fmt: skip
def test_any_text_is_a_pattern_or_an_error_within_the_text(words: list[str]) -> None:
    text = "pattern:INPUT" + "".join(words)
    try:
        assert parse_name(str(parse_name(text))) == parse_name(text)
    except ConfigError as error:
        _, quoted, pointer = error.message.split("\n")
        assert pointer.index("^") <= len(quoted)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("", "CONV -> FC", "a pattern starts with INPUT"),
        ("", "INPUTS -> FC", "a pattern starts with INPUT"),
        ("INPUT", "(32) -> FC", "the shape of the images"),
        ("INPUT(32x", "16x3) -> FC", "images are square"),
        ("INPUT(", "0x0x3) -> FC", "0 is not a whole number from 1"),
        ("INPUT -> ", "COVN -> FC", "unknown layer 'COVN'"),
        ("INPUT -> ", "-> FC", "a layer is missing"),
        ("INPUT -> CONV ->", "", "a layer is missing"),
        ("INPUT -> [", "] -> FC", "a layer is missing"),
        ("INPUT -> ", "[[CONV -> RELU] -> FC", "not closed"),
        ("INPUT -> [CONV]", "] -> FC", "not opened"),
        ("INPUT -> CONV ", "FC", "expected ->"),
        ("INPUT -> [CONV-8x2", "x]*2 -> FC", "expected ->"),
        ("INPUT -> FC ", "- 10", "expected ->"),
        ("INPUT -> [CONV -> POOL", "?]*2 -> FC", "has it not"),
        ("INPUT -> CONV", "*2 -> FC", "only a group is repeated"),
        ("INPUT -> [CONV]", "*N -> FC", "how many times"),
        ("INPUT -> [CONV]*", "-1 -> FC", "-1 is not a whole number from 0"),
        ("INPUT -> CONV", "0 -> FC", "0 is not a whole number from 1"),
        ("INPUT -> CONV", "2.5 -> FC", "2.5 is not a whole number"),
        ("INPUT -> CONV3-", "-64 -> FC", "-64 is not a whole number"),
        ("INPUT -> CONV3-", "0 -> FC", "0 is not a whole number"),
        ("INPUT -> CONV3-", "99999999999999 -> FC", "is not a whole number"),
        ("INPUT -> CONV3-64/", "0 -> FC", "0 is not a whole number"),
        ("INPUT -> CONV3-64x", "2 -> FC", "grows in a group"),
        ("INPUT -> [", "CONV-1x9]*9 -> FC", "the width grows beyond"),
        ("INPUT -> CONV(p=", "-1) -> FC", "-1 is not a whole number from 0"),
        ("INPUT -> CONV(", "q=1) -> FC", "CONV takes no option 'q'"),
        ("INPUT -> CONV/2(", "s=2) -> FC", "the stride is given twice"),
        ("INPUT -> CONV(bias=", "1) -> FC", "bias is yes or no"),
        ("INPUT -> CONV(p=1 ", "d=1) -> FC", "expected a comma"),
        ("INPUT -> CONV(", ") -> FC", "an option is written key=value"),
        ("INPUT -> ", "POOL(p=2) -> FC", "more than half its window"),
        ("INPUT -> POOL-", "64 -> FC", "POOL has no width"),
        ("INPUT -> FC", "256 -> FC", "FC has no window"),
        ("INPUT -> RELU/", "2 -> FC", "RELU has no stride"),
        ("INPUT -> DROP", "1.5 -> FC", "a share from 0 to less than 1"),
        ("INPUT -> [DROP", "-0.5x2] -> FC", "a share from 0 to less than 1"),
        ("INPUT -> FC -> ", "INPUT -> FC", "INPUT stands once"),
        ("INPUT -> FC -> ", "SOFTMAX", "no SOFTMAX"),
        ("INPUT -> FC -> ", "CONV -> FC", "CONV needs maps"),
        ("INPUT -> [FC -> ", "POOL]*2 -> FC", "POOL needs maps"),
        ("INPUT -> CONV -> ", "RELU", "the last layer must be FC"),
        ("INPUT", "", "the last layer must be FC"),
        ("INPUT -> ", "[CONV]*2001 -> FC", "more than 2,000 layers"),
        ("INPUT -> [", "[[CONV]*60]*60]*60 -> FC", "more than 2,000 layers"),
        ("INPUT -> " + "[" * 20, "[CONV -> FC", "more than 20 deep"),
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_refused_at_the_character(before: str, after: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse(before + after)
    first, quoted, pointer = caught.value.message.split("\n")
    assert first.endswith(f"at character {len(before) + 1}:")
    assert quoted == f"  {before}{after}"
    assert pointer.index("^") == len(before) + 2


def test_of_a_long_pattern_a_line_is_quoted() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(ALEXNET.replace("CONV3-256", "CONF3-256"))
    first, quoted, pointer = caught.value.message.split("\n")
    assert first.endswith(f"at character {ALEXNET.index('CONV3-256') + 1}:")
    assert quoted[pointer.index("^") :].startswith("CONF3-256")
    assert len(quoted) < 110
    assert caught.value.tip == "did you mean CONV?"


# --- names ---


def test_a_pattern_is_a_name_and_no_glob() -> None:
    name = "pattern:INPUT -> [[CONV -> RELU]*2 -> POOL] -> FC(bias=no)"
    assert expand_names([name.lower(), "lenet5", name]) == [name, "lenet5"]
    assert str(parse_name(f" {name}\n")) == name
    assert parse_name(name).kind == "pattern"
    assert expand_names(["pattern:INPUT -> RELU -> FC"]) == ["pattern:INPUT -> RELU -> FC"]


def test_the_card_declares_what_the_pattern_does() -> None:
    card = resolve("pattern:INPUT -> [CONV -> POOL]*5 -> FC").card
    assert (card.family, card.input_size, card.in_channels, card.num_classes) == ("pattern", 224, 3, 1000)
    assert (card.min_input, card.note) == (2**5, None)
    card = resolve("pattern:INPUT(33x33x1) -> POOL -> FC-10").card
    assert (card.input_size, card.in_channels, card.num_classes) == (33, 1, 10)
    assert card.note == (
        "windows that do not fit at 33 px: character 27, POOL: (33 - 2 + 0)/2 + 1 = 16.5, rounded down"
    )


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("pattern:INPUT(8x8x3) -> POOL -> [CONV -> POOL]*3 -> FC", 41, r"nothing is left of 1 px .*\(1 - 2 \+ 0\)"),
        ("pattern:INPUT(4x4x3) -> CONV7(p=1) -> FC", 24, r"\(4 - 7 \+ 2\)/1 \+ 1 = 0"),
        ("pattern:INPUT -> CONV3-8(g=2) -> FC", 17, "3 channels in and 8 out do not part into 2 groups"),
        ("pattern:INPUT -> CONV3-8 -> CONV3-9(g=8) -> FC", 28, "8 channels in and 9 out"),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused_at_the_layer(text: str, at: int, problem: str) -> None:
    with pytest.raises(UnsupportedError, match=problem) as caught:
        resolve(text)
    assert caught.value.message.split("\n")[2].index("^") == at + 2


def test_the_grammar_needs_no_torch() -> None:
    code = "import sys, bench.archs.pattern as p; p.fit_warnings(p.parse('INPUT -> FC'), 32); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- sizes ---


@pytest.mark.parametrize(
    ("layer_", "size", "after", "warning"),
    [
        ("CONV3(p=0)", 7, 5, None),
        ("CONV3/2(p=0)", 7, 3, None),
        ("CONV3/3(p=1)", 5, 2, "(5 - 3 + 2)/3 + 1 = 2.33333"),
        ("CONV3/2(p=0)", 10, 4, "(10 - 3 + 0)/2 + 1 = 4.5"),
        ("CONV5/2(p=0)", 11, 4, None),
        ("POOL3/2", 10, 4, "(10 - 3 + 0)/2 + 1 = 4.5"),
        ("CONV(p=0, d=2)", 7, 3, None),
        ("CONV(d=2)", 7, 7, None),
    ],
)
def test_windows_fit_as_the_lectures_say(layer_: str, size: int, after: int, warning: str | None) -> None:
    tree = parse(f"INPUT -> {layer_} -> FC")
    one = tree.layers()[0]
    assert one.side(size) == after
    expected = [f"character 10, {one}: {warning}, rounded down"] if warning else []
    assert fit_warnings(tree, size) == expected
    with META:
        maps = _build(tree, num_classes=2, in_channels=1, input_size=size)[0](torch.zeros(1, 1, size, size))
    assert maps.shape[2:] == (after, after)


@settings(deadline=None)
@given(st.lists(st.one_of(CONV, POOLING), max_size=4))
def test_the_least_input_is_the_least(maps: list[Layer]) -> None:
    tree = parse(
        str(Pattern((*(_layer(m.word, window=m.window, stride=m.stride) for m in maps), _layer("FC"))))
    )
    least = min_input(tree)
    check(tree, in_channels=3, input_size=least)
    if least > 1:
        with pytest.raises(UnsupportedError, match="nothing is left"):
            check(tree, in_channels=3, input_size=least - 1)


# --- networks ---


@pytest.mark.parametrize(
    ("text", "shape", "expected"),
    [
        (ALEXNET, {"classes": 1000, "size": 227}, 62_378_344),
        (VGG16, {"classes": 1000, "size": 224}, 138_357_544),
        (LENET, {"channels": 1}, (25 + 1) * 6 + 2 * 6 + (25 * 6 + 1) * 16 + 2 * 16 + (16 * 25 + 1) * 10),
        ("INPUT -> CONV-12 -> RELU -> POOL -> FC", {}, (9 * 3 + 1) * 12 + (16 * 16 * 12 + 1) * 10),
        ("INPUT -> FC", {}, 32 * 32 * 3 * 10 + 10),
        ("INPUT -> FC(bias=no)", {"size": 200, "classes": 1}, 120_000),
        ("INPUT -> [CONV -> RELU -> POOL]*2 -> FC -> RELU -> FC", {"channels": 1},
         (9 + 1) * 64 + (9 * 64 + 1) * 64 + (8 * 8 * 64 + 1) * 512 + 513 * 10),
        ("INPUT -> [[CONV -> RELU]*2 -> POOL]*3 -> [FC -> RELU]*2 -> FC", {},
         (27 + 1) * 64 + 5 * (9 * 64 + 1) * 64 + (4 * 4 * 64 + 1) * 512 + 513 * 512 + 513 * 10),
        ("INPUT -> [[CONV -> RELU]*0 -> POOL]*1 -> [FC]*0 -> FC", {}, 16 * 16 * 3 * 10 + 10),
        ("INPUT -> [CONV-8x2(bias=no) -> BN -> STRIDED]*2 -> GAP -> FC -> BN -> FC", {"classes": 7},
         27 * 8 + 16 + (72 + 1) * 8 + 72 * 16 + 32 + (144 + 1) * 16 + 17 * 512 + 1024 + 513 * 7),
    ],
)  # fmt: skip
def test_parameters(text: str, shape: dict[str, int], expected: int) -> None:
    assert parameters(text, **shape) == expected


def test_layers_have_names_to_read() -> None:
    model = built("INPUT -> [[CONV -> RELU]*2 -> POOL]*2 -> TANH -> TANH -> FC -> RELU -> FC")
    assert " ".join(name for name, _ in model.named_children()) == (
        "conv1_1 relu1_1 conv1_2 relu1_2 pool1 conv2_1 relu2_1 conv2_2 relu2_2 pool2 tanh2 tanh2x2 "
        "flatten fc3 relu3 fc4"
    )


def test_subsampling_starts_as_average_pooling() -> None:
    model = _build(parse("INPUT -> SUBSAMPLE -> FC"), num_classes=2, in_channels=3, input_size=4)
    images = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(model[0](images), nn.functional.avg_pool2d(images, 2))


@settings(deadline=None, max_examples=100)
@given(TREES)
def test_a_network_is_written_as_its_pattern(tree: Pattern) -> None:
    try:
        with META:
            model = _build(parse(str(tree)), num_classes=10, in_channels=3, input_size=64)
    except UnsupportedError:
        return
    assert to_pattern(model) == str(Pattern(tree.layers()))
    assert model(torch.zeros(2, 3, 64, 64, device=META)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", "INPUT -> FC"),
        ("convnet", "INPUT -> CONV3-12 -> RELU -> POOL -> FC"),
        ("lenet5", "INPUT -> CONV5-6(p=0) -> TANH -> AVGPOOL -> CONV5-16(p=0) -> TANH -> AVGPOOL -> CONV5-120(p=0) "
                   "-> TANH -> FC-84 -> TANH -> FC"),
    ],
)  # fmt: skip
def test_own_networks_are_written_as_patterns_and_built_equal(name: str, expected: str) -> None:
    arch = resolve(name)
    written = to_pattern(arch.build())  # type: ignore[arg-type]
    assert written == expected
    card = arch.card
    again = _build(parse(written), num_classes=10, in_channels=card.in_channels, input_size=card.input_size)
    again.load_state_dict(dict(zip(again.state_dict(), arch.build().state_dict().values(), strict=True)))


def test_plain_parts_of_vgg_and_alexnet_are_written() -> None:
    with META:
        vgg, alexnet = resolve("vgg16").build(), resolve("alexnet").build()
    whole = nn.Sequential(vgg.features, nn.Flatten(), vgg.classifier)
    assert to_pattern(whole) == str(Pattern(parse(VGG16).layers()))
    assert str(fold(parse(to_pattern(alexnet)))) == (
        "INPUT -> CONV11-96/4(p=0) -> RELU -> LRN -> POOL3/2 -> CONV5-256 -> RELU -> LRN -> POOL3/2 -> "
        "[CONV3-384 -> RELU]*2 -> CONV3-256 -> RELU -> POOL3/2 -> [DROP0.5 -> FC-4096 -> RELU]*2 -> FC"
    )


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(3, 8, (3, 5)),
        nn.Conv2d(3, 8, 3, padding="same"),
        nn.Conv2d(3, 8, 3, padding_mode="reflect"),
        nn.MaxPool2d(3, ceil_mode=True),
        nn.AdaptiveAvgPool2d(7),
        nn.BatchNorm2d(3, affine=False),
        nn.LeakyReLU(0.2),
        nn.GELU("tanh"),
        nn.Softmax(dim=1),
        nn.Dropout(1.0),
    ],
)
def test_what_patterns_have_no_word_for_is_refused(module: nn.Module) -> None:
    with pytest.raises(BenchError, match="cannot say body.0"):
        to_pattern(sequential({"body": nn.Sequential(module)}))
