"""Counts against arithmetic, against FlopCounterMode and against fvcore's own tracer as second and third ways."""

from __future__ import annotations

import math
import threading
import warnings
from collections.abc import Callable

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn
from torch._higher_order_ops import map as map_rows
from torch._higher_order_ops import scan, while_loop
from torch._ops import HigherOrderOperator
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode, flop_registry
from torchvision.ops import DeformConv2d
from torchvision_counts import check_counts, least_of_each_family

from bench.archs import Arch
from bench.archs.naming import resolve
from bench.contracts import check_cost
from bench.costs import COSTS, Subject, prepare
from bench.costs._trace import Trace
from bench.costs.calls import Followed
from bench.costs.layers import layer_table
from bench.costs.work import Step, count_pass
from bench.plan.card import ArchCard
from bench.records.flags import doubts
from bench.records.record import Measurement
from bench.report.tables.layers import layers_document


def counted(model: nn.Module, *shape: int) -> dict[str, Measurement]:
    """Return the costs of a network with storage, on the CPU."""
    return costs_of(Subject(model.eval(), shape))  # type: ignore[arg-type]


def costs_of(subject: Subject) -> dict[str, Measurement]:
    return {m.name: m for _, function in COSTS.items() for m in function(subject)}


def value(model: nn.Module, name: str, *shape: int) -> float:
    return counted(model, *shape)[name].samples[0]


def arch(build: type[nn.Module], channels: int = 3, size: int = 8) -> Arch:
    """Return a class of this file as a network; it takes no arguments."""
    card = ArchCard(name=build.__name__, in_channels=channels, input_size=size, num_classes=None)
    return Arch(card, lambda **_: build())


@pytest.mark.parametrize(
    ("groups", "stride", "padding", "dilation"), [(1, 1, 0, 1), (4, 2, 1, 1), (8, 1, 2, 2)]
)
def test_a_convolution(groups: int, stride: int, padding: int, dilation: int) -> None:
    conv = nn.Conv2d(8, 16, 3, stride=stride, padding=padding, dilation=dilation, groups=groups)
    side = (20 + 2 * padding - dilation * (3 - 1) - 1) // stride + 1
    found = counted(conv, 1, 8, 20, 20)
    assert found["macs"].samples == (side * side * 16 * (8 // groups) * 3 * 3,)
    assert found["macs"].detail["by_kind"] == {"convolution": found["macs"].samples[0]}
    assert found["parameters"].samples == (16 * (8 // groups) * 9 + 16,)
    assert found["activations"].samples == (16 * side * side,)
    assert found["activation_bytes"].samples == (4 * 16 * side * side,)


@pytest.mark.parametrize("name", COSTS.names())
def test_every_cost_keeps_the_contract(name: str) -> None:
    check_cost(name)


def test_a_transposed_convolution_multiplies_for_each_of_its_inputs() -> None:
    conv = nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2)
    assert value(conv, "macs", 1, 6, 5, 5) == 5 * 5 * 6 * (4 // 2) * 3 * 3


def test_a_linear_layer_and_its_bytes() -> None:
    found = counted(nn.Sequential(nn.Flatten(), nn.Linear(12, 5).half().float()), 1, 3, 2, 2)
    assert found["macs"].samples == (12 * 5,)
    assert found["parameter_bytes"].samples == (4 * (12 * 5 + 5),)


def test_other_operations_are_kept_apart_by_kind() -> None:
    conv = nn.Conv2d(3, 4, 3, padding=1)
    found = counted(nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)), 1, 3, 8, 8)
    macs, maps = found["macs"], 4 * 8 * 8
    assert macs.samples == (8 * 8 * 4 * 3 * 9,)
    assert macs.detail["uncounted"] == {}
    assert macs.flags == ()
    # A batch norm scales and shifts; each of 4 x 4 x 4 outputs of the pooling looks at 2 x 2.
    kinds = {"normalisation": 2 * maps, "elementwise": maps, "pooling": (4 * 4 * 4) * (2 * 2)}
    assert found["operations"].detail["by_kind"] == kinds
    assert found["operations"].samples == (sum(kinds.values()),)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(6, 6, bias=False)
        self.same = self.one

    def forward(self, x: Tensor) -> Tensor:
        return self.same(F.relu(self.one(x.flatten(1))))


def test_shared_weights_count_once_and_work_twice() -> None:
    found = counted(Twice(), 1, 6, 1, 1)
    assert found["parameters"].samples == (36,)
    assert found["macs"].samples == (2 * 36,)


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        q = x.flatten(2).transpose(1, 2).unsqueeze(1)  # [1, 1, L, E]
        return F.scaled_dot_product_attention(q, q, q)


class Einsum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        q = x.flatten(2)  # [1, E, L]
        weights = torch.einsum("bel,bem->blm", q, q).softmax(-1)
        return torch.einsum("blm,bem->bel", weights, q)


class Bmm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        q = x.flatten(2)
        weights = torch.bmm(q.transpose(1, 2), q)
        return torch.baddbmm(torch.zeros(1, 8, 25, device=x.device), q, weights)


@pytest.mark.parametrize("build", [Attention, Einsum, Bmm])
def test_attention_counts_however_it_is_written(build: type[nn.Module]) -> None:
    # L queries by L keys of width E, then L x L weights by values of width E.
    expected = 25 * 25 * (8 + 8)
    for subject in (Subject(build(), (1, 8, 5, 5)), prepare(arch(build, 8, 5))):
        macs = costs_of(subject)["macs"]
        assert macs.samples == (expected,)
        assert macs.detail["by_kind"] == {"attention": expected}
        assert (macs.detail["second"], macs.flags) == (expected, ())


def test_the_attention_layer_of_torch_has_no_fast_path_that_hides_it() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(16, 4, dim_feedforward=32, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layer(x.flatten(2).transpose(1, 2))
            return out

    tokens, width = 9, 16
    products = tokens * (3 * width * width + width * width + 2 * width * 32)
    assert value(Encoder(), "macs", 1, 16, 3, 3) == products + 2 * tokens * tokens * width


class Orthogonal(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.qr(x)[0].abs()


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lstm(x.flatten(2).permute(2, 0, 1))[0]
        return out


def test_what_is_left_uncounted_is_named_with_its_share_of_the_work() -> None:
    costs = counted(Orthogonal(), 1, 1, 8, 8)
    assert "uncounted_ops" in costs["macs"].flags
    assert costs["macs"].detail["uncounted"] == {"linalg_qr": 1}
    elements = 8 * 8  # of the matrix; then as many absolute values, which have a rule
    assert costs["uncounted_share"].samples == (elements / (2 * elements),)


class Threads(nn.Module):
    """Calls a layer of two on a thread of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3), nn.Sequential(nn.Conv2d(4, 6, 3))

    def forward(self, x: Tensor) -> Tensor:
        made: list[Tensor] = []
        thread = threading.Thread(target=lambda x: made.append(self.second(x)), args=(self.first(x),))
        thread.start()
        thread.join()
        return made[0]


def test_layers_on_other_threads_are_counted() -> None:
    macs = [6 * 6 * 2 * 4 * 9, 4 * 4 * 4 * 6 * 9]
    table = layer_table(Subject(Threads().eval(), (1, 2, 8, 8)))
    assert [(row["name"], row["macs"]) for row in table["layers"]] == list(
        zip(("first", "second.0"), macs, strict=True)
    )
    assert table["totals"]["parameters"] == 4 * 19 + 6 * 37
    model = Threads()
    calls = count_pass(Followed(model), Step(lambda: model(torch.zeros(1, 2, 8, 8)))).calls
    assert [call.forward.macs for call in calls.values() if call.forward.macs] == macs


class Seldom(nn.Module):
    """Multiplies by an operator that has no rule here; each of its results is a sum over the rows of the first."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 2)
        return torch.cdist(rows, rows)


def test_a_product_without_a_rule_weighs_as_much_as_it_may_be() -> None:
    trace = Subject(Seldom().eval(), (1, 1, 20, 50)).trace
    assert {name: work for name, (_, work) in trace.uncounted.items()} == {"_cdist_forward": 20 * 20 * 50}
    assert trace.uncounted_share == 1


def points_of(transform: Callable[[Tensor], Tensor], *shape: int) -> float:
    class Transform(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return transform(x).real

    trace = Subject(Transform().eval(), shape).trace  # type: ignore[arg-type]
    return trace.operations["transform"]


def test_a_fourier_transform_is_five_n_log_n() -> None:
    assert points_of(torch.fft.fft, 1, 3, 16, 8) == 5 * (3 * 16 * 8) * 3  # of 8 points each
    assert points_of(torch.fft.rfft2, 1, 3, 16, 8) == 5 * (3 * 16 * 8) * 7  # of 128
    assert points_of(lambda x: torch.fft.irfft(torch.complex(x, x), n=16), 1, 1, 1, 9) == 5 * 16 * 4


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 7, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return (torch.complex(x, x).flatten(0, 2) @ self.weight).abs()


def test_a_product_of_complex_numbers_is_four_of_real_ones() -> None:
    macs = counted(Complex(), 1, 2, 3, 5)["macs"]
    assert macs.samples == (4 * (2 * 3) * 5 * 7,)
    assert macs.flags == ()
    assert "counted as four" in macs.detail["complex"]


class Deformable(nn.Module):
    def __init__(self, groups: int) -> None:
        super().__init__()
        self.offset = nn.Conv2d(4, 2 * 3 * 3, 3, padding=1)
        self.conv = DeformConv2d(4, 6, 3, padding=1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x, self.offset(x))
        return out


@pytest.mark.parametrize("groups", [1, 2])
def test_a_deformable_convolution_is_one_by_its_weights(groups: int) -> None:
    costs = counted(Deformable(groups), 1, 4, 5, 5)
    assert costs["macs"].samples == (5 * 5 * 3 * 3 * (4 * 18 + 4 * 6 // groups),)
    assert costs["macs"].flags == ()
    assert costs["macs"].detail["counted_once"] == {"deform_conv2d": 5 * 5 * 3 * 3 * 4 * 6 // groups}


class Rows(nn.Module):
    """A recurrent network over the rows; where it looks at values, it cannot be counted without storage."""

    def __init__(self, kind: str, looks: bool) -> None:
        super().__init__()
        self.rnn = getattr(nn, kind)(12, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.looks = looks

    def forward(self, x: Tensor) -> Tensor:
        if self.looks and float(x.sum()) > 1:
            raise ValueError("too bright")
        out: Tensor = self.rnn(x.permute(0, 2, 1, 3).flatten(2))[0]
        return out


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
@pytest.mark.parametrize("looks", [False, True])
def test_a_recurrent_layer_is_counted_wherever_it_runs(kind: str, gates: int, looks: bool) -> None:
    card = ArchCard(name=kind, in_channels=3, input_size=4, num_classes=None)
    macs = costs_of(prepare(Arch(card, lambda **_: Rows(kind, looks))))["macs"]
    layers = 2 * (12 * 5 + 5 * 5) + 2 * (10 * 5 + 5 * 5)  # both ways; the second layer is over both
    assert macs.samples == (4 * gates * layers,)
    assert macs.flags == (("data_dependent",) if looks else ())
    assert macs.detail["counted_on"] == ("cpu" if looks else "meta")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_quantised_layers_have_parameters_and_products() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(12, 7), nn.Linear(7, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.second(self.first(x.flatten(1)).relu())
            return out

    model = torch.ao.quantization.quantize_dynamic(Net().eval(), {nn.Linear}, dtype=torch.qint8)
    costs = counted(model, 1, 3, 2, 2)
    weights = 12 * 7 + 7 * 3
    assert costs["parameters"].samples == (weights + 7 + 3,)
    assert costs["parameter_bytes"].samples == (weights + 4 * (7 + 3),)
    assert costs["macs"].samples == (weights,)
    assert costs["macs"].flags == ()
    table = layer_table(Subject(model.eval(), (1, 3, 2, 2)))
    assert table["totals"]["parameters"] == weights + 7 + 3


def test_a_recurrent_layer_is_counted_without_storage() -> None:
    # Four gates, each of the input and of the state, at 9 places.
    found = costs_of(prepare(arch(Recurrent, 4, 3)))["macs"]
    assert found.samples == (9 * 4 * 5 * (4 + 5),)


def test_what_torch_has_no_formula_for_is_counted_once_and_told() -> None:
    class Bilinear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.product = nn.Bilinear(6, 6, 3, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.product(x.flatten(1), x.flatten(1))

    costs = counted(Bilinear(), 1, 6, 1, 1)
    products = 3 * (6 * 6 + 6)  # x1' A, then by x2, for each output
    assert costs["macs"].samples == costs["macs_second"].samples == (products,)
    assert costs["macs"].detail["counted_once"] == {"_trilinear": products}
    assert costs["macs"].flags == ()


def test_counters_that_disagree_are_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(flop_registry, torch.ops.aten.addmm, lambda *_, **__: 2 * 30)
    costs = counted(nn.Sequential(nn.Flatten(), nn.Linear(6, 20)), 1, 6, 1, 1)
    assert costs["macs"].samples == (6 * 20,)
    assert costs["macs_second"].samples == (30,)
    assert costs["macs_gap"].samples == (0.75,)
    assert costs["macs"].flags == ("counters_disagree",)


def looking(look: Callable[[Tensor], object]) -> nn.Module:
    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.conv(x)
            look(out)
            return out

    return Looking()


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.sum() > 0),
        lambda x: int(x.sum()),
        lambda x: x.tolist(),
        lambda x: x.detach().numpy(),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.masked_select(x > 0),
        lambda x: x.unique(),
        lambda x: torch.equal(x, x + 1),
        lambda x: torch.where(x > 0),
    ],
)
def test_work_that_depends_on_values_is_flagged(look: Callable[[Tensor], object]) -> None:
    macs = counted(looking(look), 1, 3, 8, 8)["macs"]
    assert macs.flags == ("data_dependent",)
    assert macs.detail["data_dependent"]


@pytest.mark.parametrize(
    "look",
    [
        lambda x: x[:, [0, 2]],
        lambda x: x[torch.zeros(1, dtype=torch.long)],
        lambda x: torch.where(x > 0, x, x + 1),
        lambda x: x.masked_fill(x > 0, 0.0),
        lambda x: torch.arange(9).nonzero(),  # of no image
        lambda x: x.shape[0] > 1,
        lambda x: x.transpose_(2, 3),
    ],
)
def test_work_of_fixed_shapes_is_not(look: Callable[[Tensor], object]) -> None:
    assert counted(looking(look), 1, 3, 8, 8)["macs"].flags == ()


def test_where_values_decide_every_command_counts_the_same() -> None:
    class Routed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(12, 3)
            self.experts = nn.ModuleList(nn.Linear(12, width) for width in (10, 100, 1000))

        def forward(self, x: Tensor) -> Tensor:
            rows = x.flatten(1) + 1
            out: Tensor = self.experts[int(self.gate(rows).argmax())](rows)
            return out

    first, again = (costs_of(prepare(arch(Routed, 3, 2)))["macs"] for _ in range(2))
    assert first.samples == again.samples
    assert first.flags == ("data_dependent",)
    assert len(first.detail["not_called"]) == 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_images_are_of_the_networks_own_type(dtype: torch.dtype) -> None:
    class Typed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3).to(dtype)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.conv(x)
            return out

    costs = costs_of(prepare(arch(Typed)))
    assert costs["macs"].samples == (6 * 6 * 3 * 3 * 3 * 2,)
    assert costs["parameter_bytes"].samples == ((3 * 3 * 3 * 2 + 2) * torch.finfo(dtype).bits // 8,)


def test_foreign_objects_are_not_asked_whether_they_are_true() -> None:
    class Proud:
        def __bool__(self) -> bool:
            raise TypeError("neither")

    class Marked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3, bias=False)

        def forward(self, x: Tensor) -> tuple[Tensor, Proud]:
            with torch.autograd.profiler.record_function("here"):
                return self.conv(x), Proud()

    macs = costs_of(prepare(arch(Marked)))["macs"]
    assert macs.samples == (6 * 6 * 3 * 3 * 3 * 2,)
    assert macs.flags == ()


def test_a_failing_network_keeps_what_could_be_counted_and_no_hook() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            self.conv(x)
            raise ValueError("no")

    model = Broken()
    found = counted(model, 1, 3, 4, 4)
    assert found["parameters"].samples == (9,)
    assert math.isnan(found["macs"].samples[0])
    assert found["macs"].flags == ("partial",)
    assert found["macs"].detail["counted_until_failure"] == 4 * 4 * 9
    assert found["macs"].detail["failure"] == "ValueError: no"
    assert not model.conv._forward_hooks
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks


class MuteError(Exception):
    """An exception whose text raises another."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Mute(nn.Module):
    """Fails without a word."""

    def forward(self, x: Tensor) -> Tensor:
        raise MuteError


def test_a_failure_whose_text_cannot_be_had_is_told_by_its_type() -> None:
    subject = prepare(arch(Mute))
    assert subject.reason == subject.trace.failure_text == "MuteError: its text cannot be had: RuntimeError"


class Constants(nn.Module):
    """Meets tensors that are no buffers, made before and in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.scale = torch.ones(1, 4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.scale + torch.arange(x.shape[-1]).float()


class Writes(Constants):
    """Writes its input into memory that has storage."""

    def forward(self, x: Tensor) -> Tensor:
        room = torch.zeros(1, 3, 8, 8)
        room[:] = x
        return self.conv(room)


class Looks(Constants):
    """Does what the image says."""

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if x.sum() > 0 else self.conv(self.conv(x)[:, :3])


@pytest.mark.parametrize(
    ("build", "device", "products"),
    [(Constants, "meta", 1), (Writes, "cpu", 1), (Looks, "cpu", 2)],
)
def test_networks_run_without_storage_where_that_is_sound(
    build: type[nn.Module], device: str, products: int
) -> None:
    found = costs_of(prepare(arch(build)))["macs"]
    assert found.samples == (products * 8 * 8 * 3 * 4,)
    assert found.detail["counted_on"] == device
    assert ("not_on_meta" in found.detail) == (device == "cpu")
    assert ("data_dependent" in found.flags) == (build is Looks)


def test_building_without_storage_leaves_torch_as_it_was() -> None:
    state = torch.random.get_rng_state()
    subject = prepare(resolve("resnet18"))
    assert all(p.is_meta for p in subject.model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not nn.Linear(2, 2).weight.is_meta
    assert not nn.BatchNorm2d(2).running_mean.is_meta  # type: ignore[union-attr]


_VARIED = [
    *("lenet5", "resnet18", "resnet20", "googlenet", "inception_reduced", "alexnet_2tower"),
    *("torchvision:mobilenet_v3_small", "torchvision:regnet_x_400mf", "torchvision:shufflenet_v2_x0_5"),
    *("torchvision:vit_b_32", "torchvision:swin_t"),
]


@pytest.mark.parametrize("name", _VARIED)
def test_flop_counter_mode_itself_agrees(name: str) -> None:
    subject = prepare(resolve(name))
    found = costs_of(subject)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        subject.model.to("meta")(torch.zeros(subject.shape, device="meta"))
    assert found["macs"].samples[0] == found["macs_second"].samples[0] == counter.get_total_flops() / 2
    assert found["macs"].detail["uncounted"] == {}


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "torchvision:squeezenet1_1"])
def test_fvcores_own_tracer_agrees_where_it_can_run(name: str) -> None:
    model = resolve(name).build().eval()
    card = resolve(name).card
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(
            model, torch.zeros(1, card.in_channels, card.input_size, card.input_size)
        )
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        traced = sum(n for op, n in analysis.by_operator().items() if op in {"conv", "linear"})
    assert costs_of(prepare(resolve(name)))["macs"].samples[0] == traced


def test_the_classic_numbers() -> None:
    # He et al. 2015, Table 1, counts multiply-adds: 1.8e9 and 3.6e9.
    def macs(name: str) -> float:
        return costs_of(prepare(resolve(name)))["macs"].samples[0]

    assert macs("resnet18") == pytest.approx(1.8e9, rel=0.02)
    assert macs("plain34") == pytest.approx(3.6e9, rel=0.02)
    assert macs("inception_naive") == 28 * 28 * 256 * (128 + 9 * 192 + 25 * 96)


@pytest.mark.parametrize("name", least_of_each_family())
def test_a_network_of_each_family_of_torchvision_against_its_metadata(name: str) -> None:
    check_counts(name)  # benchmarks/counting.py does so for all 80


def watched(forward: Callable[[nn.Linear, Tensor], Tensor], *shape: int) -> Trace:
    """Return the trace of a network with a layer of 12 to 12."""

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(12, 12, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return forward(self.layer, x)

    return Subject(Net().eval(), shape).trace  # type: ignore[arg-type]


def _flex(layer: nn.Linear, x: Tensor) -> Tensor:
    tokens = layer(x.flatten(2).mT)[:, None]

    def nearer(score: Tensor, _batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return score - (query - key).abs()

    out: Tensor = flex_attention(tokens, tokens, tokens, score_mod=nearer)  # type: ignore[assignment]
    return out


@pytest.mark.filterwarnings("ignore:.*flex_attention called without:UserWarning")
@pytest.mark.parametrize("compiled", [False, True])
def test_attention_with_a_score_function_is_both_products(compiled: bool) -> None:
    forward = torch.compile(_flex, fullgraph=True) if compiled else _flex
    trace = watched(forward, 1, 12, 5, 5)
    assert trace.failure is None
    assert trace.macs == {"linear": 25 * 12 * 12, "attention": 25 * 25 * (12 + 12)}
    assert trace.second == trace.first
    assert not trace.uncounted
    field = trace.root.receptive_field
    assert field is not None
    assert field.reach == "global"


def _branching(layer: nn.Linear, x: Tensor) -> Tensor:
    out: Tensor = torch.cond(x.sum() > 1, layer, lambda y: layer(layer(y)), (x.flatten(1),))
    return out


def _counting(layer: nn.Linear, x: Tensor) -> Tensor:
    start = (torch.tensor(0), x.flatten(1))
    return while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, layer(y)), start)[1]


def _deciding(layer: nn.Linear, x: Tensor) -> Tensor:
    return while_loop(lambda y: y.sum() > 1, lambda y: (layer(y),), (x.flatten(1),))[0]


def _scanning(layer: nn.Linear, x: Tensor) -> Tensor:
    return scan(
        lambda state, row: (layer(state) + row, state + 0), torch.zeros(1, 12), x.flatten(2).movedim(2, 0)
    )[0]


def _mapping(layer: nn.Linear, x: Tensor) -> Tensor:
    out: Tensor = map_rows(layer, x.flatten(2)[0].mT)
    return out


def _wrapping(layer: nn.Linear, x: Tensor) -> Tensor:
    wrap = torch.ops.higher_order.wrap_with_autocast
    out: Tensor = wrap("cpu", torch.bfloat16, True, None, layer, x.flatten(1))
    return checkpoint(layer, checkpoint(layer, out.float(), use_reentrant=True), use_reentrant=False)


@pytest.mark.parametrize(
    ("forward", "shape", "products", "looks"),
    [
        (_branching, (1, 3, 2, 2), 2, "cond"),  # the image is black
        (_counting, (1, 3, 2, 2), 3, ""),
        (_deciding, (1, 3, 2, 2), 0, "while_loop"),
        (_scanning, (1, 12, 2, 3), 6, ""),
        (_mapping, (1, 12, 2, 2), 4, ""),
        (_wrapping, (1, 3, 2, 2), 3, ""),
    ],
)
@pytest.mark.filterwarnings("ignore:.*use_reentrant:UserWarning", "ignore:None of the inputs:UserWarning")
def test_operators_that_take_functions_are_counted_as_what_runs(
    forward: Callable[[nn.Linear, Tensor], Tensor], shape: tuple[int, ...], products: int, looks: str
) -> None:
    trace = watched(forward, *shape)
    assert trace.failure is None
    assert trace.first == trace.second == products * 12 * 12
    assert not trace.uncounted
    assert (looks in trace.data_dependent) == bool(looks) == bool(trace.data_dependent)


class Own(HigherOrderOperator):
    """An operator of somebody else's that takes a function; nothing is known of what it does with it."""

    def __init__(self) -> None:
        super().__init__("bench_tests_own")
        self.py_impl(torch._C.DispatchKey.CompositeExplicitAutograd)(lambda function, x: function(x))
        self.fallthrough(torch._C.DispatchKey.AutogradCPU)

    def __call__(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        out: Tensor = super().__call__(function, x)
        return out


def test_an_operator_that_takes_functions_and_is_not_known_is_told_with_its_share() -> None:
    trace = watched(lambda layer, x: Own()(layer, x.flatten(1)).relu(), 1, 3, 2, 2)
    assert trace.failure is None
    assert trace.first == 0
    assert trace.uncounted == {"bench_tests_own": [1, 12]}
    assert trace.uncounted_share == 12 / (12 + 12)  # as many in the activation
    field = trace.root.receptive_field
    assert field is not None
    assert (field.reach, field.reason) == ("unknown", "bench_tests_own has no rule")


def test_a_network_without_parameters_that_needs_storage_is_counted_on_the_cpu() -> None:
    class Split(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(2) @ x.flatten(2).mT if float(x.sum()) < 1 else x

    macs = costs_of(prepare(arch(Split)))["macs"]
    assert macs.samples == (3 * 3 * 64,)
    assert macs.detail["counted_on"] == "cpu"


class Sorted(nn.Module):
    """Two convolutions, and between them an operator without a rule for what it sees."""

    def __init__(self, sort: bool) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
        self.sort = sort

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = x.sort(-1).values if self.sort else x
        return self.second(x).mean((2, 3))


def test_a_receptive_field_behind_an_operator_without_a_rule_is_not_told() -> None:
    known, unknown = (counted(Sorted(sort), 1, 3, 16, 16)["receptive_field"] for sort in (False, True))
    assert (known.samples, known.flags) == ((5.0,), ())
    assert math.isnan(unknown.samples[0])
    assert unknown.flags == ("unknown_field",)
    assert "sort" in unknown.detail["operator"]
    assert unknown.detail["local_until"] == "first"


def test_an_unknown_field_names_its_operator_in_the_table() -> None:
    subject = Subject(Sorted(True).eval(), (1, 3, 16, 16))
    (doubt,) = (d for d in layer_table(subject)["doubts"] if "receptive field" in d)
    assert "from sort on" in doubt
    assert "aten.sort" in doubt


def test_a_field_that_is_unknown_from_the_first_layer_on_is_told() -> None:
    class Unclear(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.avg_pool2d(x.sort(-1).values, 3)

    field = counted(Unclear(), 1, 3, 16, 16)["receptive_field"]
    assert math.isnan(field.samples[0])
    assert field.flags == ("unknown_field",)
    assert "sort" in field.detail["operator"]


@pytest.mark.parametrize(("side", "flags"), [(64, ("beyond_image",)), (68, ())])
def test_a_field_larger_than_the_image_says_so(side: int, flags: tuple[str, ...]) -> None:
    layers = [nn.Conv2d(3, 4, 4, stride=4), *(nn.Conv2d(4, 4, 9, padding=4) for _ in range(2))]
    subject = Subject(nn.Sequential(*layers).eval(), (1, 3, side, side))
    field = costs_of(subject)["receptive_field"]
    assert field.samples == (4 + 2 * 8 * 4,)
    assert field.flags == flags
    assert doubts(field.flags) == ()
    notes = [
        line
        for line in layers_document({"arch": "net", **layer_table(subject)}).notes
        if "larger than the image" in line
    ]
    assert [("from 2 on" in note) for note in notes] == [True] * len(flags)
