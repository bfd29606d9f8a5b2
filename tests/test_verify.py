"""`bench verify`: every shipped claim gets the verdict that its arithmetic gives, and each check can say no."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import make_job, make_record
from make_claims import HEADER, claim, study
from typer.testing import CliRunner, Result

from bench.claims import (
    SHIPPED,
    VERDICTS,
    Context,
    Finding,
    claims_of,
    measured,
    networks_of,
    verify,
)
from bench.claims._context import CHECKS
from bench.claims._finding import Reading, agreement, decide_number
from bench.claims._studied import studied
from bench.claims.formulas import _evaluate
from bench.cli.app import app
from bench.errors import ConfigError
from bench.execution import _probe as probe
from bench.records.record import count
from bench.records.store import Store
from bench.report.tables.claims import _summary, claims_markdown, claims_report

Facts = dict[str, dict[str, Any]]
CLAIMS = claims_of()
STUDIES = Path(__file__).parent.parent / "configs" / "studies"
STORED = Path(__file__).parent.parent / "results"


def ask(names: list[str]) -> Facts:
    """Count networks in this process, as the probe does in one of its own."""
    events: list[tuple[str, Any]] = []
    probe.probe_facts(events.append, names)
    [(kind, value)] = events
    assert kind == "answer", value
    return value  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return ask(networks_of(CLAIMS))


@pytest.fixture(scope="module")
def findings(facts: Facts) -> dict[str, Finding]:
    return {f.claim.id: f for f in verify(CLAIMS, facts)}


# --- the shipped claims ---


def test_every_shipped_claim_gets_a_verdict(findings: dict[str, Finding]) -> None:
    assert len(findings) == len(CLAIMS) == len(list(csv.DictReader(SHIPPED.read_text().splitlines())))
    # Of which there is none without a run.
    of_studies = {"supported", "refuted", "undecided", "indicated_for", "indicated_against"}
    assert {f.verdict for f in findings.values()} == set(VERDICTS) - of_studies
    assert all(f.arithmetic and "\n" not in f.arithmetic for f in findings.values())
    assert set(CHECKS) == {c.quantity for c in CLAIMS}, "no check without a claim"


ALEXNET = {
    "conv1": (11 * 11 * 3 + 1) * 96,
    "conv2": (5 * 5 * 96 + 1) * 256,
    "conv3": (3 * 3 * 256 + 1) * 384,
    "conv4": (3 * 3 * 384 + 1) * 384,
    "conv5": (3 * 3 * 384 + 1) * 256,
    "fc6": (6 * 6 * 256 + 1) * 4096,
    "fc7": (4096 + 1) * 4096,
    "fc8": (4096 + 1) * 1000,
}
# Stages of VGG16: side of the map, channels in and out, convolutions.
VGG16 = ((224, 3, 64, 2), (112, 64, 128, 2), (56, 128, 256, 3), (28, 256, 512, 3), (14, 512, 512, 3))
VGG16_TABLE = [
    (f"conv{stage}_{k}", fan if k == 1 else out, out)
    for stage, (_, fan, out, number) in enumerate(VGG16, start=1)
    for k in range(1, number + 1)
]
VGG16_WEIGHTS = [*(9 * i * o for _, i, o in VGG16_TABLE), 7 * 7 * 512 * 4096, 4096 * 4096, 4096 * 1000]
VGG16_ROWS = [
    224 * 224 * 3,
    *(n for side, _, out, k in VGG16 for n in (*[side**2 * out] * k, (side // 2) ** 2 * out)),
    *(4096, 4096, 1000),
]

# id: verdict, our value, what the arithmetic holds
KNOWN: dict[str, tuple[str, Any, str]] = {
    **{f"alexnet.table.{k}": ("confirmed", n, f"= {n:,}") for k, n in ALEXNET.items()},
    "alexnet.table.total_params": ("confirmed", sum(ALEXNET.values()), "62,378,344"),
    "alexnet.table.maxpool1": ("confirmed", "27x27x96", "(55 − 3 + 2·0)/2 + 1 = 27"),
    "vgg16.table.pool2": ("erratum", 0, f"{2 * 2 * 128 * 128 + 128:,}"),
    "vgg16.table.total_params": ("erratum", 138_357_544, "138,423,208 = 138,357,544 + 65,664"),
    "vgg16.table.conv3_1": ("confirmed", (3 * 3 * 128 + 1) * 256, "3·3·128·256 + 256"),
    "vgg16.table.fc1": ("confirmed", (7 * 7 * 512 + 1) * 4096, "25088·4096 + 4096"),
    "comparison.alexnet.top5": ("confirmed_other_convention", "0.818", "1 − 0.153 = 0.847 (7 CNNs, ILSVRC-2012 test)"),
    "comparison.vgg16.top5": ("erratum", "0.919", "1 − 0.073 = 0.927"),
    "comparison.resnet152.top5": ("confirmed", "0.9551", "1 − 0.0449"),
    "comparison.alexnet.params": ("rounding", 62_378_344, ""),
    "comparison.resnet152.params": ("confirmed_other_convention", 60_192_808, "running statistics"),
    "comparison.alexnet.gflops": ("erratum", 2 * 1_135_256_096, "2 × 724,406,816 multiply-adds = 1,448,813,632 rounds to 1.4 Gop; the count that fits resnet152"),
    "comparison.vgg16.gflops": ("erratum", 2 * 15_470_264_320, "the claim is vgg19's: 19,632,062,464"),
    "comparison.resnet152.gflops": ("confirmed_other_convention", 2 * 11_513_626_624, "11,282,415,616"),
    "conv.output_size": ("confirmed", "(In-K+2P)/S+1", "gives the output of"),
    "conv.params": ("confirmed", "K*K*Cin*Cout", "add Cout biases"),
    "conv.fit.7_3_1_0": ("confirmed", (7 - 3) // 1 + 1, "= 5"),
    "conv.fit.5_3_3_1": ("confirmed", "no", "not whole: torch makes it 2"),
    "conv.fit.10_3_2_0": ("confirmed", "no", "= 4.5"),
    "fc.weights.32": ("confirmed", 32 * 32 * 3, ""),
    "fc.weights.200": ("confirmed", 200 * 200 * 3, ""),
    "conv1.unshared": ("confirmed", 55 * 55 * 96 * (11 * 11 * 3 + 1), "55·55·96 × (11·11·3 + 1)"),
    "memory.three_convs": ("erratum", 3 * 224 * 224 * 64 * 4 * 2, "73.50 × 2^20 B"),
    "activations.three_convs": ("rounding", 3 * 224 * 224 * 64, "3 × 224·224·64"),
    "pool.discard": ("confirmed", "0.75", "1 − 768 / 3,072"),
    "googlenet.params.4M": ("erratum", 6_624_904, "6,624,904 − 1,025,000 = 5,599,904"),
    "googlenet.params.5M": ("erratum", 6_624_904, "5,599,904"),
    "googlenet.layers": ("confirmed", 3 + 9 * 2 + 1, "of 58"),
    "vgg.layers": ("confirmed", 13 + 3, ""),
    "conv.760": ("confirmed", (5 * 5 * 3 + 1) * 10, "5·5·3·10 + 10"),
    "zfnet.conv345": ("confirmed_other_convention", "384/384/256", "zfnet_wide"),
    "vgg.top5_error": ("confirmed_other_convention", "0.081", "7 networks"),
    "vgg.three_3x3": ("confirmed", 3 + 2 + 2, ""),
    "vgg.three_3x3.params": ("confirmed", "27C^2 < 49C^2", f"{27 * 64**2:,} < {49 * 64**2:,}"),
    "vgg16.memory": ("erratum", 15_112_168 * 4, "come to 15,237,608 numbers"),
    "vgg16.memory.rows": ("rounding", ", ".join(str(n) for n in VGG16_ROWS), f"all come to {sum(VGG16_ROWS):,}"),
    "vgg16.weights": ("confirmed", ", ".join(str(n) for n in VGG16_WEIGHTS), f"all come to {sum(VGG16_WEIGHTS):,}"),
    **{f"vgg16.table.{k}": ("confirmed", (9 * i + 1) * o, "") for k, i, o in VGG16_TABLE},
    "alexnet.table.maxpool2": ("confirmed", "13x13x256", "(27 − 3 + 2·0)/2 + 1 = 13"),
    "alexnet.split": ("confirmed", "2 x 55x55x48", "2 groups of 48 channels"),
    "googlenet.twelfth": ("erratum", f"{62_378_344 / 6_624_904:.3f}", "60,000,000 / 5,000,000"),
    "googlenet.no_fc": ("erratum", 1, "1024·1000"),
    "ilsvrc2012.runner_up": ("rounding", "0.262", "second-best"),
    "zfnet.before.top5_error": ("confirmed_other_convention", "0.182", "5 CNNs"),
    "vgg.windows": ("confirmed", "conv 3x3 stride 1 pad 1, pool 2x2 stride 2", "18 layers"),
    "vgg.rank": ("undecidable", None, "history"),
    "vgg.most.layers": ("confirmed", 16 + 3, ""),
    "resnet34.layers": ("confirmed", 1 + 2 * (3 + 4 + 6 + 3) + 1, "of 37"),
    "conv.padding": ("confirmed", "(F-1)/2", "with F = 1, 3, 5, 7"),
    "conv.padding.5": ("confirmed", 32 - 5 + 2 * 2 + 1, ""),
    "pool.output_size": ("confirmed", "(W-F)/S+1", "poolings"),
    "conv.connections.5_5_3": ("confirmed", 5 * 5 * 3, "5·5·3 = 75"),
    "conv.connections.bias": ("confirmed", 5 * 5 * 3 + 1, ""),
    "conv.connections.3_3_20": ("confirmed", 3 * 3 * 20, ""),
    "conv1.neurons": ("confirmed", 55 * 55 * 96, ""),
    "conv1.connections": ("confirmed", 11 * 11 * 3, ""),
    "conv1.weights": ("confirmed", 96 * 11 * 11 * 3, ""),
    "inception.naive.ops.5x5": ("confirmed_other_convention", 2 * 28 * 28 * 96 * 25 * 256, "481,689,600"),
    "cnns.relus": ("undecidable", None, "of vgg16 (15); not of alexnet (7)"),
    "flops.per_second": ("erratum", "operations", "a count"),
    "momentum.forms": ("confirmed", "c*(1-b)", "10 times with b = 0.9"),
    "momentum.betas": ("undecidable", None, "custom"),
    "conv.worked": ("confirmed", "6", "7·1"),
    "padding.worked": ("confirmed", "0 3 8 4 / 9 19 25 10 / 21 37 43 16 / 6 7 8 0", ""),
    "pool.worked": ("confirmed", "9 7 / 8 6", "max(2, 2, 9, 4) = 9"),
    "vgg16.activations": ("erratum", 13_556_712, "15,237,608"),
    "vgg16.memory_early": ("confirmed", "early conv layers", "first 7 of 13"),
    "inception.naive.output": ("confirmed", "28x28x672", ""),
    "inception.naive.ops": ("confirmed_other_convention", 2 * 28 * 28 * 256 * (128 + 9 * 192 + 25 * 96), "854,196,224"),
    "alexnet.2gpu": ("confirmed", "conv2 conv4 conv5 grouped by 2", "whole: conv1, conv3"),
    "layers.lenet5": ("confirmed", "3+2", ""),
    "layers.alexnet": ("erratum", "5+3", "5 convolutions + 3 fully connected layers"),
    "layers.vgg16": ("erratum", "13+3", "13 convolutions + 3 fully connected layers"),
    "resnet.vgg19.flops": ("confirmed_other_convention", 2 * 19_632_062_464, "each multiply-add counted once"),
    "paper.vgg19.macs": ("rounding", 19_632_062_464, ""),
    "paper.vgg16.macs": ("erratum", 15_470_264_320, "(convolutions alone); the count that fits"),
    "paper.resnet50.macs": ("rounding", 3_857_973_248, "cut off"),
    "paper.googlenet.params": ("confirmed_other_convention", 6_624_904, "5x5 filters"),
    "paper.resnet110.params": ("rounding", 1_727_962, ""),
    "paper.alexnet.receptive_field": ("confirmed", 195, "maxpool5"),
    "paper.vgg16.receptive_field": ("confirmed", 212, "features.30"),
    "paper.resnet50.receptive_field": ("confirmed_other_convention", 427, "TF-slim"),
    "paper.resnet20.test_error": ("needs_run", None, "64k iterations"),
    "degradation.cifar10": ("needs_run", None, "plain56 against plain20, cifar10"),
    "alexnet.recipe": (
        "confirmed",
        "batch_size=128 momentum=0.9 learning_rate=0.01 schedule.kind=plateau schedule.factor=0.1 "
        "weight_decay=0.0005 dropout=0.5",
        "the recipe alexnet2012 has",
    ),
    "paper.alexnet.top5_error_test": ("undecidable", None, "not public"),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_well_known_claims(name: str, findings: dict[str, Finding]) -> None:
    verdict, ours, arithmetic = KNOWN[name]
    found = findings[name]
    assert found.verdict == verdict
    assert found.ours == (Decimal(ours) if isinstance(found.ours, Decimal) else ours)
    assert arithmetic in found.arithmetic


# --- each check says no to what is wrong ---

P = "pattern:INPUT(224x224x3) -> [CONV3-64 -> RELU]*3 -> FC-10"
WRONG: list[dict[str, str]] = [
    {"quantity": "params", "claimed": "138357545"},
    {"quantity": "params", "subject": "vgg16/conv1_2", "claimed": "1792"},
    {"quantity": "params", "unit": "formula", "claimed": "K*Cin*Cout"},
    {"quantity": "params", "unit": "formula", "claimed": "27C^2 < 48C^2"},
    {"quantity": "params_without_sharing", "subject": "alexnet/conv1", "claimed": "105705601"},
    {"quantity": "macs", "unit": "MAC", "claimed": "15.6e9"},
    {"quantity": "macs", "unit": "MAC", "subject": "vgg16/conv1_1", "claimed": "86704129"},
    {"quantity": "operations", "unit": "op", "claimed": "32e9"},
    {"quantity": "activations", "claimed": "24e6"},
    {"quantity": "activation_bytes", "unit": "B", "claimed": "96e6"},
    {"quantity": "activation_and_gradient_bytes", "unit": "B", "subject": f"{P}/conv", "claimed": "72e6"},
    {"quantity": "receptive_field", "unit": "px", "claimed": "213"},
    {"quantity": "weight_layers", "claimed": "19"},
    {"quantity": "discarded", "subject": "vgg16/pool1", "claimed": "0.5"},
    {"quantity": "output", "unit": "shape", "subject": "vgg16/pool5", "claimed": "14x14x512"},
    {"quantity": "output", "unit": "px", "subject": "vgg16/pool5", "claimed": "14"},
    {"quantity": "output", "unit": "formula", "claimed": "(In-K+P)/S+1"},
    {"quantity": "output", "unit": "formula", "subject": "any pooling", "claimed": "(W-F)/S"},
    {"quantity": "output", "unit": "split", "subject": "alexnet_2tower/conv1", "claimed": "2 x 55x55x96"},
    {"quantity": "padding", "unit": "formula", "claimed": "F-2"},
    {"quantity": "sequence", "unit": "layers", "subject": "lenet5", "claimed": "conv conv fc"},
    {"quantity": "weights", "subject": "alexnet/conv1", "claimed": "34944"},
    {"quantity": "weights", "unit": "list", "subject": "lenet5", "claimed": "150, 2400, 48000, 10080, 841"},
    {"quantity": "weights", "unit": "list", "subject": "lenet5", "claimed": "150, 2400"},
    {
        "quantity": "activations",
        "unit": "list",
        "subject": "lenet5",
        "claimed": "1025, 4704, 1176, 1600, 400, 120, 84, 10",
    },
    {"quantity": "connections", "subject": "alexnet/conv1", "claimed": "364"},
    {"quantity": "connections", "subject": "alexnet_2tower/conv2", "claimed": "2400"},
    {"quantity": "params_ratio", "subject": "alexnet : googlenet", "claimed": "12"},
    {"quantity": "fc_layers", "subject": "googlenet", "claimed": "0"},
    {
        "quantity": "typical",
        "unit": "range",
        "subject": "alexnet, googlenet",
        "claimed": "relu_layers 10 to 20",
    },
    {"quantity": "convolution", "unit": "numbers", "subject": "1 2 / 3 4 * 1 1 / 1 1", "claimed": "11"},
    {"quantity": "max_pooling", "unit": "numbers", "subject": "1 2 / 3 4", "claimed": "3"},
    {"quantity": "momentum_forms", "unit": "formula", "subject": "two", "claimed": "c"},
    {"quantity": "unit", "unit": "unit", "claimed": "operations per second"},
    {"quantity": "structure", "unit": "windows", "subject": "zfnet", "claimed": "conv 3x3 stride 1 pad 1"},
    {"quantity": "structure", "unit": "recipe", "subject": "recipe alexnet2012", "claimed": "momentum=0.5"},
    {"quantity": "fits", "unit": "bool", "subject": "vgg16/conv1", "claimed": "no"},
    {"quantity": "shapes", "unit": "shape", "subject": "convnet", "claimed": "32x32x3 > 1x1x10"},
    {"quantity": "conv+fc", "unit": "layers", "claimed": "12+3"},
    {"quantity": "structure", "unit": "shape", "subject": "zfnet/conv1", "claimed": "11x11 stride 4"},
    {"quantity": "structure", "unit": "shape", "subject": "alexnet_2tower", "claimed": "conv1 grouped by 2"},
    {"quantity": "structure", "unit": "filters", "subject": "zfnet", "claimed": "512/512/512"},
    {"quantity": "where", "unit": "trend", "claimed": "late conv layers"},
    {"quantity": "pattern", "unit": "grammar", "claimed": "INPUT -> [FC -> CONV]*N -> FC"},
]


@pytest.mark.parametrize(
    "fields", WRONG, ids=lambda f: f"{f['quantity']}:{f.get('unit', '1')}:{f['claimed'][:12]}"
)
def test_a_wrong_claim_is_an_erratum(fields: dict[str, str], facts: Facts) -> None:
    wrong = claim(**fields)
    missing = [n for n in networks_of([wrong]) if n not in facts and not n.endswith("_*")]
    [found] = verify([wrong], {**facts, **ask(missing)})
    assert found.verdict == "erratum"
    assert found.arithmetic


def test_every_check_that_counts_is_shown_to_say_no() -> None:
    said = {(f["quantity"], f.get("unit", "1")) for f in WRONG}
    silent = [
        (quantity, one.units)
        for quantity, some in CHECKS.items()
        for one in some
        if not one.decide.__module__.endswith("._published") and quantity != "custom"  # which decides nothing
        if not said & {(quantity, unit) for unit in one.units}
    ]
    assert silent == []


def test_published_errors_are_held_against_papers() -> None:
    paper = claim(id="p", quantity="published_top5_error_val", claimed="0.081", convention="one network")
    right, wrong = (claim(id=value, quantity="published_top5", claimed=value) for value in ("0.919", "0.93"))
    assert [f.verdict for f in verify([right, wrong, paper], {})] == ["confirmed", "erratum", "needs_run"]
    [alone] = verify([right], {})
    assert alone.verdict == "needs_run"


# --- what agreeing means ---


@pytest.mark.parametrize(
    ("claimed", "printed", "value", "how"),
    [
        ("60.3e6", "", "60300000", "exact"),
        ("60.3e6", "", "60250000", "rounded"),
        ("60.3e6", "", "60249999", None),
        ("3.8e9", "", "3858000000", "cut off"),  # 0.1 is 2.6 % of it
        ("3.8e9", "", "3900000000", None),
        ("5e6", "", "5600000", None),  # 1 is 20 % of it
        ("72e6", "about 72MB", "73500000", "about"),
        ("72e6", "72MB", "73500000", None),
        ("72e6", "about 10 million activations, or 72MB", "73500000", None),  # "about" is of another number
        ("72e6", "about 72MB", "74000001", None),
        ("34944", "", "34943", None),
        ("0.16", "", "0.164", "rounded"),
    ],
)
def test_agreement(claimed: str, printed: str, value: str, how: str | None) -> None:
    assert agreement(claim(claimed=claimed, printed=printed), Decimal(value)) == how


def test_a_source_counts_in_one_way_throughout(facts: Facts) -> None:
    """2.27e9 of AlexNet is two operations each; beside two others that are counted once, it is an erratum."""
    once = {"alexnet": "1.1e9", "vgg16": "15.5e9", "vgg19": "19.6e9"}
    column = [
        claim(id=name, subject=name, quantity="operations", unit="op", claimed=value)
        for name, value in {**once, "alexnet": "2.3e9"}.items()
    ]
    assert [f.verdict for f in verify(column, facts)] == ["erratum", *["confirmed_other_convention"] * 2]
    assert verify(column[:1], facts)[0].verdict == "rounding"
    elsewhere = [replace(column[0], source="T"), *column[1:]]
    assert verify(elsewhere, facts)[0].verdict == "rounding"
    alike = [replace(c, claimed=once[c.id]) for c in column]
    assert {f.verdict for f in verify(alike, facts)} == {"confirmed_other_convention"}


def test_our_convention_comes_first_and_the_nearest_other_is_named() -> None:
    ours, half = Reading(Decimal(100), "100"), Reading(Decimal(50), "100 / 2 = 50", "halved")
    verdicts = [decide_number(claim(claimed=c), [ours, half]).verdict for c in ("100", "1.0e2", "50", "60")]
    assert verdicts == ["confirmed", "confirmed", "confirmed_other_convention", "erratum"]
    assert (
        decide_number(claim(claimed="60"), [ours, half]).arithmetic == "100; nearest: 100 / 2 = 50 (halved)"
    )
    assert decide_number(claim(claimed="60"), [ours, half], "a hint").arithmetic == "100; a hint"


def test_formulas() -> None:
    assert _evaluate("(In-K+2P)/S+1", {"In": 227, "K": 11, "P": 0, "S": 4}) == 55
    assert _evaluate("27C^2", {"C": 3}) == 243
    for bad in ("__import__('os')", "K.x", "K**99", "(K", "K/0", ""):
        with pytest.raises(ValueError):  # noqa: PT011 (each has its own message)
            _evaluate(bad, {"K": 3})


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("vgg16/conv3_1", "features.10"),
        ("vgg16/conv5", "features.10"),
        ("vgg16/pool2", "features.9"),
        ("vgg16/fc1", "classifier.0"),
        ("vgg16/fc16", "classifier.6"),
        ("alexnet/maxpool5", "maxpool5"),
        ("alexnet/fc6", "fc6"),
    ],
)
def test_layers_are_found_by_kind_and_order(subject: str, name: str, facts: Facts) -> None:
    assert Context([], facts).rows(claim(subject=subject))[0]["name"] == name


# --- the file ---


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("id,source\na,b\n", 1, "lacks subject"),
        (HEADER.replace("unit", "unit,colour"), 1, "colour"),
        (HEADER + "a,S,vgg16,params,1\n", 2, "5 cells under 6 columns"),
        (HEADER + "a,S,vgg16,params,,1\n", 2, "claimed is empty"),
        (HEADER + "a,S,vgg16,parms,1,1\n", 2, "no check for the quantity 'parms'"),
        (HEADER + "a,S,vgg16,params,many,1\n", 2, "'many' is no number"),
        (HEADER + "a,S,vgg16,params,1e400,1\n", 2, "no number"),
        (HEADER + 'a,S,vgg16,weights,"1728, many",list\n', 2, "'many' is no number"),
        (HEADER + "a,S,vgg16,params,nan,1\n", 2, "no number"),
        (HEADER + "a,S,vgg16,params,1,kg\n", 2, "in the unit 'kg'"),
        (HEADER + "a,S,vgg16,params,1,1\n\na,S,vgg16,params,1,1\n", 4, "is that of line 2"),
        (HEADER + 'a,S,"vgg16,params,1,1\n', 2, "not CSV"),
        (HEADER.replace("unit", "unit,scale") + "a,S,vgg16,params,1,1,epoch=3\n", 2, "scale 'epoch=3'"),
    ],
)
def test_a_bad_line_is_named(text: str, line: int, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        claims_of(file)
    assert f"{file}, line {line}: " in caught.value.message
    assert problem in caught.value.message
    assert caught.value.tip


@pytest.mark.parametrize("content", [None, b"", HEADER.encode(), b"\xff\xfe\x00"])
def test_a_file_without_claims(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mine\.csv") as caught:
        claims_of(file)
    assert caught.value.tip


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"subject": "vgg61"}, "unknown architecture 'vgg61'"),
        ({"subject": "vgg16/conv14"}, "vgg16 has no layer conv14"),
        ({"subject": "vgg16/conv1_3"}, "vgg16 has no layer conv1_3"),
        (
            {"subject": "vgg16/fc1", "quantity": "discarded", "claimed": "0.5"},
            "discarded of classifier.0, a Linear",
        ),
        ({"quantity": "output", "unit": "formula", "claimed": "In+Q"}, "expected one of the names"),
        ({"quantity": "params_ratio", "claimed": "2"}, "'vgg16' is no pair"),
        ({"quantity": "typical", "unit": "range", "claimed": "wings 1 to 2"}, "'wings 1 to 2' is no range"),
        ({"quantity": "convolution", "unit": "numbers", "subject": "1 2"}, "'1 2' is no MAP * KERNEL"),
        ({"quantity": "convolution", "unit": "numbers", "subject": "1 2 * x"}, "'x' is no matrix"),
        ({"quantity": "structure", "unit": "recipe", "subject": "recipe alexnt"}, "alexnt"),
    ],
)
def test_a_claim_on_what_is_not_there(fields: dict[str, str], problem: str, facts: Facts) -> None:
    with pytest.raises(ConfigError, match="f.csv, line 2: ") as caught:
        verify([claim(**fields)], facts)
    assert problem in caught.value.message


# --- runs ---


def trained(arch: str, top1: float, **settings: Any) -> Any:
    settings = {"dataset": "cifar10", "epochs": 20, "recipe": {"name": "std"}, **settings}
    job = make_job(task="accuracy", arch=arch, settings=settings)
    return make_record(job=job, measurements=(count("top1", top1, better="higher"),))


def test_runs_are_shown_beside_claims_on_trainings() -> None:
    one = claim(id="e", subject="resnet20", quantity="published_test_error_cifar10", claimed="0.0875")
    records = [trained("resnet20", 0.9), trained("resnet20", 0.92), trained("plain20", 0.8)]
    records.append(trained("resnet20", 0.5, dataset="digits"))
    seen = measured([one], {"mine": records})
    assert seen == {"e": "run mine: test error 0.09, mean of 2 seeds, 20 epochs, recipe std"}
    [found] = verify([one], {}, seen)
    assert (found.verdict, found.measured) == ("needs_run", seen["e"])


# --- the command ---


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, ["verify", *(str(w) for w in words)])


KEYS = {"id", "quantity", "claimed", "ours", "unit", "verdict", "arithmetic", "subject", "source", "printed"}


def test_the_command_counts_in_a_process_of_its_own(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    rows = [
        "right,S,lenet5,params,61706,1",
        "wrong,S,lenet5/c,params,61707,1",
        "errors,T,resnet20,relation,x,trend",
    ]
    file.write_text(HEADER + "\n".join(rows).replace("lenet5/c", "lenet5") + "\n")
    result = run("--claims", file, "--json")
    assert result.exit_code == 0, result.output
    right, wrong, waits = json.loads(result.stdout)
    assert set(right) >= KEYS
    assert (right["verdict"], right["claimed"], right["ours"], right["unit"]) == (
        "confirmed",
        61706,
        61706,
        "1",
    )
    assert (wrong["verdict"], wrong["claimed"], wrong["ours"]) == ("erratum", 61707, 61706)
    assert (waits["verdict"], waits["ours"], waits["claimed"]) == ("needs_run", None, "x")
    shown = run("--claims", file)
    assert shown.exit_code == 0
    assert "Errata" in shown.stdout
    assert "3 claims: 1 confirmed, 1 erratum, 1 needs a run." in shown.stdout


def test_the_command_reads_runs(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(HEADER + "e,S,resnet20,published_test_error_cifar10,0.0875,1\n")
    with Store(tmp_path / "results" / "mine") as store:
        store.append(trained("resnet20", 0.9))
    result = run("mine", "--claims", file, "--format", "json")
    assert result.exit_code == 0, result.output
    [found] = json.loads(result.stdout)
    assert found["measured"].startswith("run mine: test error 0.1, mean of 1 seed")
    assert run("none", "--claims", file).exit_code == 1
    file.write_text(HEADER + "e,S,resnet56,published_test_error_cifar10,0.0697,1\n")
    assert "no training in mine" in run("mine", "--claims", file).stderr


def test_runs_of_one_name_are_both_read(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(HEADER + "e,S,resnet20,published_test_error_cifar10,0.0875,1\n")
    for folder, top1 in (("here", 0.9), ("there", 0.8)):
        with Store(tmp_path / folder / "mine") as store:
            store.append(trained("resnet20", top1))
    result = run(tmp_path / "here" / "mine", tmp_path / "there" / "mine", "--claims", file, "--json")
    [found] = json.loads(result.stdout)
    runs = [text.partition(", mean")[0] for text in found["measured"].split("; ")]
    assert runs == ["run mine: test error 0.1", "run mine #2: test error 0.2"]


def test_the_command_says_what_is_wrong_with_a_file(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(HEADER + "a,S,vgg16,params,x,1\n")
    result = run("--claims", file)
    assert result.exit_code == 2
    assert "line 2: 'x' is no number" in result.stderr
    assert "tip:" in result.stderr


# --- what is shown ---


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_terminal_cuts_no_number(width: int, findings: dict[str, Finding]) -> None:
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO())
    console.print(claims_report(list(findings.values())))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    assert (
        text.index("Öztireli")
        < text.index("Ochoa Luna")
        < text.index("He et al. 2015")
        < text.index("Errata")
    )


def test_markdown_holds_all_arithmetic(findings: dict[str, Finding]) -> None:
    text = claims_markdown(list(findings.values()))
    assert text.count("\n| ") >= len(findings)
    assert "138,357,544 + 65,664" in text
    counts = Counter(f.verdict for f in findings.values())
    assert f"{counts['erratum']} erratum" in _summary(list(findings.values()))


# --- beside studies ---


def test_what_is_counted_keeps_its_verdict(findings: dict[str, Finding]) -> None:
    found = findings["vgg.three_3x3"]
    beside = studied(found, {"run": [study("refuted", "vgg.three_3x3")]})
    assert (beside.verdict, len(beside.studies)) == (found.verdict, 1)


def test_the_command_judges_the_studies_of_runs(run: Callable[..., Result], tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(HEADER + "degradation,S,study,relation,x,trend\n")
    asked = {"says": "a is better", "quantity": "top1", "of": {"arch": "a"}, "against": {"arch": "b"}}
    section = {
        "hypothesis": "h",
        "claims": ["other"],
        "tests": [{**asked, "expect": "higher", "claims": ["degradation"]}],
    }
    with Store(tmp_path / "results" / "mine") as store:
        store.write_info({"experiment": {"name": "depth", "study": section}})
        for arch, level in (("a", 0.9), ("b", 0.5)):
            for seed in range(3):
                job = make_job(task="accuracy", arch=arch, seed=seed, settings={"dataset": "digits"})
                top1 = count("top1", level + 0.01 * seed, better="higher")
                store.append(make_record(job=job, measurements=(top1,)))
    result = run("mine", "--claims", file, "--format", "json")
    assert result.exit_code == 0, result.output
    [found] = json.loads(result.stdout)
    assert found["verdict"] == "indicated_for"
    assert (
        "names no relation, no networks, no data set; tested: top1 higher, a against b, digits"
        in found["arithmetic"]
    )
    assert found["studies"][0]["tests"][0]["effect"] == pytest.approx(0.4)
    assert "names other, which is no claim" in result.stderr
