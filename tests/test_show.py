"""The layer table: its rows against arithmetic, its totals against its rows, and its forms."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Bench
from torch import Tensor, nn
from torch.nn import functional as F

from bench.archs import Arch
from bench.archs.naming import resolve
from bench.costs import COSTS, prepare
from bench.costs.layers import layer_table
from bench.plan.card import ArchCard
from bench.report.tables.formats import to_longtable, to_markdown
from bench.report.tables.layers import layers_document


def table_of(name: str, depth: int | None = None, **shape: int) -> dict[str, Any]:
    return layer_table(prepare(resolve(name), **shape), depth)


def custom(build: type[nn.Module], size: int = 16) -> dict[str, Any]:
    card = ArchCard(name=build.__name__, input_size=size, num_classes=None)
    return layer_table(prepare(Arch(card, lambda **_: build())))


def rows(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {row["name"]: row[key] for row in table["layers"]}


def test_alexnet_is_the_table_of_the_lectures() -> None:
    table = table_of("alexnet")
    layers = {row["name"]: row for row in table["layers"]}
    conv1, pool1 = layers["conv1"], layers["maxpool1"]
    assert (conv1["input"], conv1["output"]) == ([1, 3, 227, 227], [1, 96, 55, 55])
    assert (conv1["kernel"], conv1["stride"], conv1["padding"], conv1["groups"]) == (
        [11, 11],
        [4, 4],
        [0, 0],
        1,
    )
    assert (conv1["in_channels"], conv1["out_channels"]) == (3, 96)
    assert conv1["parameters"] == 11 * 11 * 3 * 96 + 96 == 34_944
    assert conv1["macs"] == 55 * 55 * 96 * 11 * 11 * 3
    assert conv1["activations"] == 55 * 55 * 96
    assert conv1["activation_bytes"] == 4 * 55 * 55 * 96
    assert conv1["receptive_field"] == 11
    assert (pool1["output"], pool1["kernel"], pool1["parameters"]) == ([1, 96, 27, 27], [3, 3], 0)
    assert pool1["receptive_field"] == 11 + (3 - 1) * 4
    assert layers["fc6"]["parameters"] == 9216 * 4096 + 4096 == 37_752_832
    assert layers["fc6"]["receptive_field"] == "global"
    assert table["totals"]["parameters"] == 62_378_344


@pytest.mark.parametrize(
    "name",
    ["lenet5", "vgg16", "googlenet_aux", "resnet18", "torchvision:vit_b_32", "torchvision:swin_t"],
)
def test_totals_are_the_sums_of_what_is_shown_at_every_depth(name: str) -> None:
    subject = prepare(resolve(name))
    costs = {m.name: m.samples[0] for _, cost in COSTS.items() for m in cost(subject)}
    for depth in (1, 2, 3, None):
        table = layer_table(subject, depth)
        for key in ("parameters", "macs", "activations", "activation_bytes"):
            assert table["totals"][key] == sum(row[key] for row in table["layers"]) == costs[key], (
                key,
                depth,
            )
        assert table["totals"]["parameter_bytes"] == costs["parameter_bytes"]
        assert all(row["depth"] <= (depth or 99) for row in table["layers"])


def test_branches_and_heads_that_are_not_used() -> None:
    table = table_of("googlenet_aux", depth=2)
    shown = rows(table, "output")
    assert [shown[f"inception3a.branch{i}"][1] for i in (1, 2, 3, 4)] == [64, 128, 32, 32]
    assert shown["inception3a.cat"] == [1, 64 + 128 + 32 + 32, 28, 28]
    kinds = rows(table, "type")
    assert {kinds["aux1"], kinds["aux2"]} == {"InceptionAux, not used"}
    assert table["totals"]["parameters"] == 13_004_888
    assert rows(table, "macs")["aux1"] == 0


class Functional(nn.Module):
    """Weights of its own, functions between modules, a module twice, one never, and a constant that is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 3, 5, 5))
        self.scale = torch.full((1, 8, 1, 1), 2.0)
        self.shared = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, 10)
        self.idle = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, self.weight, stride=2, padding=2)) * self.scale
        x = self.shared(x)
        x = self.shared(x) + x
        return self.head(F.max_pool2d(x, 2).mean((2, 3)))


def test_functions_shared_modules_and_idle_ones() -> None:
    table = custom(Functional)
    names = [row["name"] for row in table["layers"]]
    assert names == ["conv", "relu", "mul", "shared", "shared", "add", "max_pool2d", "mean", "head", "idle"]
    conv, once, again = table["layers"][0], table["layers"][3], table["layers"][4]
    assert (conv["kernel"], conv["stride"], conv["parameters"]) == ([5, 5], [2, 2], 8 * 3 * 5 * 5)
    assert (once["parameters"], again["parameters"]) == (8 * 8 * 9 + 8, 0)
    assert once["macs"] == again["macs"] == 8 * 8 * 8 * 8 * 9
    fields = [row["receptive_field"] for row in table["layers"]]
    # 5, then twice 3 at stride 2, then 2 at stride 2; the mean sees all; nothing is known of what did not run.
    assert fields == [5, 5, 5, 9, 13, 13, 15, "global", "global", None]
    assert table["totals"]["parameters"] == sum(p.numel() for p in Functional().parameters())


def test_parameters_that_only_functions_use_are_counted_where_they_are_used() -> None:
    table = table_of("torchvision:vit_b_32", depth=1)
    assert rows(table, "parameters")["cat"] == 768  # the class token
    deep = table_of("torchvision:vit_b_32")
    assert rows(deep, "parameters")["encoder.add"] == (7 * 7 + 1) * 768  # the positions
    attention = "encoder.layers.encoder_layer_0.self_attention"
    linear = [r["parameters"] for r in deep["layers"] if r["name"].startswith(f"{attention}.linear")]
    assert linear == [3 * 768 * 768 + 3 * 768, 768 * 768 + 768]


def test_memory_and_where_it_concentrates() -> None:
    table = table_of("vgg16")
    image, weights = 4 * 3 * 224 * 224, 4 * 138_357_544
    written = table["totals"]["activation_bytes"]
    assert table["memory"]["forward_bytes"] == image + written + weights
    assert table["memory"]["forward_backward_bytes"] == image + 2 * written + 2 * weights
    most = table["concentration"]["parameters"][0]
    assert most == {"name": "classifier.0", "share": (25088 * 4096 + 4096) / 138_357_544}
    assert table["concentration"]["activation_bytes"][0]["name"] == "features.0"


def test_a_network_that_fails_shows_how_far_it_came() -> None:
    class Broken(Functional):
        def forward(self, x: Tensor) -> Tensor:
            self.shared(F.conv2d(x, self.weight))
            raise RuntimeError("here")

    table = custom(Broken)
    assert table["failure"] == "RuntimeError: here"
    assert [row["name"] for row in table["layers"]] == ["conv", "shared", "head", "idle"]
    assert table["totals"]["parameters"] == sum(p.numel() for p in Functional().parameters())
    assert any("failed before its end" in line for line in layers_document(table | {"arch": "net"}).notes)


def test_forms_hold_the_same_numbers() -> None:
    table = table_of("lenet5")
    read = list(csv.DictReader(io.StringIO(layers_document(table | {"arch": "net"}).csv)))
    assert [int(r["macs"]) for r in read[:-1]] == [row["macs"] for row in table["layers"]]
    assert read[0]["kernel"] == "5x5"
    assert read[-1]["name"] == "Total"
    assert int(read[-1]["parameters"]) == 61_706
    shown = layers_document(table | {"arch": "net"}).table
    markdown = to_markdown(shown).splitlines()
    assert len(markdown) == 2 + len(table["layers"]) + 1
    assert len({line.count("|") for line in markdown}) == 1
    assert "61,706" in markdown[-1]


def test_latex_has_nothing_unescaped() -> None:
    table = table_of("lenet5")
    parts = "Ångstro\u0308m"  # as macOS writes names of files
    table["layers"][0]["name"] = r"a_b&c%d#e$f{g}h~i^j\k <l> |é " + parts + "日"
    text = to_longtable(layers_document(table | {"arch": "net"}).table, "50 % of $x_1$")
    body = [line for line in text.splitlines() if line.endswith(r"\\") and not line.startswith("\\caption")]
    columns = re.search(r"longtable\}\{([lr]+)\}", text)
    assert columns is not None
    for line in body:
        assert len(re.findall(r"(?<!\\)&", line)) == len(columns[1]) - 1
    assert r"a\_b\&c\%d\#e\$f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k" in text
    assert r"\caption{50 \% of \$x\_1\$}" in text
    assert r"$|$\'{e} \r{A}ngstr\"{o}m?" in text
    assert text.isascii()
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule"))


@pytest.fixture
def show(run: Bench, inline_jobs: None) -> Bench:
    return lambda *words: run("show", *words)


def test_the_command(show: Bench, tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self, num_classes=10):\n"
        "        super().__init__(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(num_classes))\n"
    )
    found = show("my.py:Net", "--input-size", 8, "--num-classes", 5, "--format", "json")
    table = json.loads(found.stdout)
    assert table["arch"] == "my.py:Net"
    assert table["input"] == [1, 3, 8, 8]
    assert [row["type"] for row in table["layers"]][:2] == ["Conv2d", "Flatten"]
    assert table["totals"]["parameters"] == (3 * 9 + 1) * 4 + (4 * 6 * 6 + 1) * 5
    pattern = "pattern:INPUT -> [CONV3-8 -> RELU -> POOL]*2 -> FC"
    printed = show(pattern, "--input-size", 30).stdout
    assert "Total" in printed
    assert "Does not fit: " in printed  # 30, 15, then 7.5
    assert "| Total |" in show("lenet5", "-f", "md").stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["vgg61"], 2, "unknown architecture"),
        (["none.py:Net"], 2, "none.py"),
        (["alexnet", "--input-size", "20"], 2, "at least 67 px"),
        (["pattern:INPUT -> CONV3--4 -> FC"], 2, "character"),
        (["lenet5", "--format", "pdf"], 2, "pdf"),
    ],
)
def test_bad_input(show: Bench, words: list[str], code: int, message: str) -> None:
    found = show(*words)
    assert found.exit_code == code, found.output
    assert message in found.output
    assert "Traceback" not in found.output
