"""Networks with a fused form for inference: found, converted, held against the form that was built, and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_catalog, make_job, scripted
from torch import Tensor, nn
from torch.nn import functional as F

from bench.archs import Arch
from bench.archs.naming import resolve
from bench.archs.reparam import _fused, has_fused_form, with_fused_form
from bench.costs import COSTS, prepare
from bench.costs.layers import layer_table
from bench.errors import ConfigError, InvalidModelError, UnsupportedError
from bench.execution._worker import work
from bench.plan.card import ArchCard
from bench.plan.config import Experiment
from bench.plan.expand import expand
from bench.records.flags import doubts

SHAPE = (2, 3, 8, 8)


class Folded(nn.Module):
    """A convolution with a batch norm, which becomes one convolution, in another module."""

    def __init__(self, inputs: int, width: int, wrong: float = 0.0) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.wrong = wrong

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.conv(x))
        return y

    def parts(self) -> tuple[Tensor, Tensor]:
        assert self.norm.running_var is not None
        assert self.norm.running_mean is not None
        scale = self.norm.weight / (self.norm.running_var + self.norm.eps).sqrt()
        return self.conv.weight * scale[:, None, None, None], self.norm.bias - self.norm.running_mean * scale

    def fuse(self) -> nn.Module:
        weight, bias = self.parts()
        made = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        made.weight.data, made.bias.data = weight.detach(), bias.detach() + self.wrong  # type: ignore[union-attr]
        return made


class Branches(nn.Module):
    """Two such convolutions that are added, which become one, in place; a second time is an error."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = Folded(width, width), Folded(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.one(x) if hasattr(self, "one") else self.a(x) + self.b(x)
        return y.relu()

    def switch_to_deploy(self) -> None:
        (weight, bias), (more, other) = self.a.parts(), self.b.parts()
        one = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        one.weight.data, one.bias.data = (weight + more).detach(), (bias + other).detach()  # type: ignore[union-attr]
        del self.a, self.b
        self.one = one


class Net(nn.Module):
    def __init__(self, num_classes: int = 5, wrong: float = 0.0) -> None:
        super().__init__()
        self.stem, self.body = Folded(3, 4, wrong), nn.Sequential(Branches(4), nn.Sequential(Branches(4)))
        self.head = nn.Linear(4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.body(self.stem(x)).mean((2, 3)))
        return y


class Whole(Net):
    """Converts itself; its parts would fail a second time."""

    def fuse(self) -> Whole:
        self.stem = self.stem.fuse()  # type: ignore[assignment]
        for module in list(self.modules()):
            if isinstance(module, Branches):
                module.switch_to_deploy()
        return self


class Joins(nn.Module):
    """Joins features, which is no conversion."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.fuse_layers = nn.ModuleList()

    def fuse(self, one: Tensor, other: Tensor) -> Tensor:
        return one + other

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(self.conv(x), self.conv(x))


BUILT = (27 * 4 + 8) + 4 * (36 * 4 + 8) + (4 * 5 + 5)
FUSED = (27 * 4 + 4) + 2 * (36 * 4 + 4) + (4 * 5 + 5)
MACS = 64 * (27 * 4 + 2 * 36 * 4) + 4 * 5  # at 8 px


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def arch_of(build: Any, **card: Any) -> Arch:
    return Arch(ArchCard(name="net", input_size=8, num_classes=5, **card), lambda **_: build())


@pytest.mark.parametrize("kind", [Net, Whole])
def test_a_network_is_converted_and_computes_the_same(kind: type[Net]) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    assert count(model) == BUILT
    images = torch.randn(SHAPE)
    before = model(images)
    made = _fused(model, "net", SHAPE)
    assert count(made) == FUSED
    torch.testing.assert_close(made(images), before)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in made.modules())


def test_the_other_form_is_found_and_the_network_stays_as_it_is() -> None:
    model = Net()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert has_fused_form(model)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    assert has_fused_form(Whole().to("meta"))
    for other in (Joins(), nn.Conv2d(3, 3, 1), _fused(Net(), "net", SHAPE)):
        assert not has_fused_form(other)


def test_looking_for_the_other_form_draws_nothing() -> None:
    model = Net()
    state = torch.get_rng_state()
    assert has_fused_form(model)
    _fused(model, "net", SHAPE)
    assert torch.equal(torch.get_rng_state(), state)


def test_sixteen_bits_agree_to_their_own_precision() -> None:
    assert count(_fused(Net().bfloat16(), "net", SHAPE)) == FUSED


def test_a_conversion_that_needs_values_is_another_form_too() -> None:
    class Reads(Net):
        def reparameterize(self) -> None:
            float(self.head.weight.sum())

    assert has_fused_form(Reads())


def test_a_form_with_other_outputs_is_refused() -> None:
    # Of batch norms as they are built, whose shift is zero, this would hardly be seen.
    class Forgets(Folded):
        def parts(self) -> tuple[Tensor, Tensor]:
            weight, bias = super().parts()
            return weight, torch.zeros_like(bias)

    class Wrong(Net):
        def __init__(self) -> None:
            super().__init__()
            self.stem = Forgets(3, 4)

    torch.testing.assert_close(
        Forgets(3, 4).eval()(torch.ones(SHAPE)),
        Forgets(3, 4).eval().fuse()(torch.ones(SHAPE)),
        rtol=9,
        atol=9,
    )
    for model in (Wrong(), Net(wrong=0.05)):
        with pytest.raises(UnsupportedError, match="differ from those of the form that was built") as caught:
            _fused(model, "net", SHAPE)
        assert "leave reparam out" in str(caught.value.tip)


def test_what_cannot_be_converted_is_refused() -> None:
    class Raises(Net):
        def fuse(self) -> None:
            raise KeyError("deep")

    with pytest.raises(UnsupportedError, match="net cannot be converted to its fused form: KeyError: 'deep'"):
        _fused(Raises(), "net", SHAPE)

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    class Mute(Net):
        def fuse(self) -> None:
            raise MuteError

    with pytest.raises(UnsupportedError, match="MuteError: its text cannot be had: RuntimeError"):
        _fused(Mute(), "net", SHAPE)
    with pytest.raises(UnsupportedError, match="net comes in one form alone"):
        _fused(Joins(), "net", SHAPE)
    with pytest.raises(UnsupportedError, match="takes values"):
        _fused(Net().to("meta"), "net", SHAPE)
    with pytest.raises(InvalidModelError, match="reparam is True or False, not 'often'"):
        with_fused_form(arch_of(Net), "net(reparam='often')", "often")


def test_costs_are_of_the_form_that_is_asked_for() -> None:
    for asked, parameters, convolutions in ((False, BUILT, 5), (True, FUSED, 3)):
        arch = with_fused_form(arch_of(Net, parameters=BUILT), f"net(reparam={asked})", asked)
        subject = prepare(arch)
        told = [doubt for doubt in layer_table(subject)["doubts"] if "(reparam=True)" in doubt]
        assert len(told) == (not asked)
        counts = {m.name: m.samples[0] for key in ("parameters", "macs") for m in COSTS.get(key)(subject)}
        assert counts["parameters"] == parameters
        assert counts["macs"] == 64 * (27 * 4 + (convolutions - 1) * 36 * 4) + 4 * 5
        assert (arch.card.name, arch.card.inference_only is None) == (f"net(reparam={asked})", not asked)
    assert counts["macs"] == MACS


def outcome(job: Any) -> tuple[Any, dict[str, Any]]:
    measurements: dict[str, Any] = {}
    ends: list[Any] = []

    def hear(event: tuple[str, Any]) -> None:
        kind, value = event
        if kind == "measurement":
            measurements[value.name] = value
        elif kind == "outcome":
            ends.append(value)

    work(hear, job)
    return ends[0], measurements


QUICK = {"warmup_s": 0.001, "min_s": 0.0, "limit_s": 0.01, "min_samples": 1}
FILE = f"import torch\nfrom torch import nn, Tensor\nfrom {__name__} import Net\n"


def test_a_form_that_was_not_asked_for_is_a_flag_and_no_doubt(tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text(
        "import sys\n"
        + f"sys.path.append({str(Path(__file__).parent)!r})\nfrom test_reparam import Joins, Net\n"
    )
    threads = torch.get_num_threads()
    for task, settings in (
        ("cost", {}),
        ("infer", {"device": "cpu", "batch_size": 1, "timing": QUICK, "threads": threads, "energy_s": 0}),
    ):
        for target, flagged in (("Net", True), ("Net(reparam=True)", False), ("Joins", False)):
            job = make_job(task=task, arch=f"{file}:{target}", input_size=8, num_classes=5, settings=settings)
            (status, error), measurements = outcome(job)
            assert status == "ok", error
            names = {"parameters", "macs"} if task == "cost" else {"latency", "step_time", "peak_memory"}
            for name in names:
                assert ("training_form" in measurements[name].flags) == flagged
    assert doubts(["training_form", "noisy"]) == ("noisy",)


# --- keys of an experiment ---


def names(block: dict[str, Any], *overrides: str) -> list[str]:
    experiment = Experiment.parse({"blocks": [block]}).narrowed(overrides=overrides)
    return experiment.blocks[0].archs


def test_keys_become_arguments_of_names() -> None:
    grid = {"arch": ["a", "b.py:B(c=1)", "d()"]}
    block = {"task": "cost", "grid": grid}
    assert names(block) == grid["arch"]
    assert names(block, "reparam=no") == grid["arch"]
    assert names(block, "reparam=yes") == ["a(reparam=True)", "b.py:B(c=1, reparam=True)", "d(reparam=True)"]
    assert names({**block, "grid": {"arch": ["a"], "reparam": [False, True], "weights": ["x.pt", None]}}) == [
        *("a(weights='x.pt')", "a(weights='x.pt', reparam=True)"),
        *("a", "a(reparam=True)"),
    ]
    with pytest.raises(ConfigError, match="layers of a pattern take no reparam"):
        names({"task": "cost", "grid": {"arch": ["pattern:INPUT -> FC"]}}, "reparam=yes")


def test_a_key_that_is_not_given_leaves_jobs_as_they_were() -> None:
    card = ArchCard(name="a(reparam=True)", input_size=32, num_classes=10, inference_only="it is fused")
    catalog = make_catalog("a")
    catalog = make_catalog(archs={**catalog.archs, "a(reparam=True)": (card,)})
    plain = {"task": "cost", "grid": {"arch": ["a"]}}
    both = expand(
        Experiment.parse({"blocks": [{**plain, "grid": {"arch": ["a"], "reparam": [False, True]}}]}), catalog
    )
    (alone,) = expand(Experiment.parse({"blocks": [plain]}), catalog)
    assert [one.job.arch for one in both] == ["a", "a(reparam=True)"]
    assert both[0].job.id == alone.job.id
    assert both[0].job.settings.content == both[1].job.settings.content
    (step,) = expand(
        Experiment.parse({"blocks": [{**plain, "task": "train_step", "reparam": True}]}), catalog
    )
    assert (step.status, step.reason) == ("unsupported", "a(reparam=True) cannot be trained: it is fused")


# --- timm ---


@pytest.mark.parametrize("name", ["repvgg_a0", "mobileone_s0", "fastvit_t8", "repvit_m0_9", "ghostnetv3_100"])
def test_timms_networks_are_fused_as_timm_does(name: str) -> None:
    timm = pytest.importorskip("timm")
    from timm.utils.model import reparameterize_model

    theirs = reparameterize_model(timm.create_model(name).eval())
    assert count(resolve(f"timm:{name}(reparam=True)").build(input_size=64)) == count(theirs)


def test_the_padding_of_the_test_is_right() -> None:
    """A 1x1 kernel padded to 3x3 is the same convolution: what the tests above rest on."""
    images, weight = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 1, 1)
    torch.testing.assert_close(F.conv2d(images, F.pad(weight, [1] * 4), padding=1), F.conv2d(images, weight))


def test_a_comparison_takes_the_form_that_is_asked_for(tmp_path: Path) -> None:
    from bench.api import compare

    done = compare(
        ["a.py:A", "b.py:B(c=1)"], overrides=["reparam=yes"], results=tmp_path, executor=scripted()
    )
    wanted = ["a.py:A(reparam=True)", "b.py:B(c=1, reparam=True)"]
    jobs = [record.job for record in done.run.records]
    assert {job.arch for job in jobs if job.task != "versus"} == set(wanted)
    labels = [job.settings.given["labels"] for job in jobs if job.task == "versus"]
    assert labels
    assert all(list(label) == wanted for label in labels)
