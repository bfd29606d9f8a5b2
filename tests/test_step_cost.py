"""What a training step costs, told before it runs: its memory against a real step, its work by arithmetic."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import Bench, make_job
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.utils.checkpoint import checkpoint

from bench.archs.naming import resolve
from bench.costs import prepare
from bench.costs._operators import BACKWARD
from bench.costs._storage import without_storage
from bench.costs._trace import trace
from bench.costs.calls import Followed
from bench.costs.work import Step, Work, count_pass
from bench.errors import InvalidModelError
from bench.report.tables.training_cost import training_document
from bench.tasks._step import training_step
from bench.timing.memory import tensor_memory
from bench.training._forecast import Forecast, Loss, _workspace, forecasts, on_cpu_without_storage
from bench.training.step_cost import training_table


def forecast(model: nn.Module, images: Tensor, batch: int, loss_of: Loss) -> Forecast:
    return forecast_each(model, images, [batch], loss_of)[batch]


def forecast_each(model: nn.Module, images: Tensor, batches: list[int], loss_of: Loss) -> dict[int, Forecast]:
    device = on_cpu_without_storage(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    with device:
        on_cpu: Any = torch.empty(images.shape)
    return forecasts(model, optimiser, on_cpu, batches, loss_of)


@pytest.mark.parametrize(
    ("arch", "size"),
    [
        ("lenet5", 32),
        ("resnet20", 32),
        ("torchvision:mobilenet_v3_small", 32),
        ("torchvision:squeezenet1_1", 48),
    ],
)
def test_the_forecast_is_what_is_counted_of_a_real_step(arch: str, size: int) -> None:
    known = resolve(arch)
    subject = prepare(known, input_size=size, num_classes=10)
    images = torch.empty(subject.shape, device="meta")
    each = forecast_each(subject.model.train(), images, [2, 5], F.cross_entropy)  # type: ignore[arg-type]
    real = known.build(num_classes=10, input_size=size).train()
    weights = sum(p.numel() * p.element_size() for p in real.parameters())
    job = make_job(task="train_step", arch=arch, num_classes=10)
    assert list(each) == [2, 5]
    for batch, made in each.items():
        step = training_step(real, torch.zeros(batch, *subject.shape[1:]), job)
        step()
        assert step.held is not None
        peak = tensor_memory(step, step.held()).samples[0]
        assert made.peak == pytest.approx(peak, rel=0.002, abs=16 * batch)
        assert made.gradients == made.optimiser == weights
        assert made.images == batch * images.numel() * 4
        assert made.peak < made.process < 40e6 + 2 * made.peak  # a heap has no more holes than there is in it


Layer = Callable[[Tensor], Tensor]
"""Of tokens [B, 16, 16]."""


def attention(query: Tensor, keys: Tensor, **settings: Any) -> Tensor:
    heads = [t.unflatten(2, (-1, 4)).transpose(1, 2) for t in (query, keys, keys)]
    return F.scaled_dot_product_attention(*heads, **settings).transpose(1, 2).flatten(2)  # type: ignore[no-any-return]


class Multihead(nn.MultiheadAttention):
    def forward(self, x: Tensor, **settings: Any) -> Tensor:  # type: ignore[override]
        return super().forward(x, x, x, **settings)[0]


class Biased(nn.Module):
    """Attention with a bias that is learnt, as of relative positions."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(4, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        return attention(x, x, attn_mask=self.bias)


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **settings: Any) -> None:
        super().__init__()
        self.layer = kind(16, 16, batch_first=True, **settings)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)[0][..., :16]  # type: ignore[no-any-return]


class Calling(nn.Module):
    def __init__(self, function: Layer) -> None:
        super().__init__()
        self.function = function
        self.layer = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.layer(x))


def written(x: Tensor) -> Tensor:
    made = x.clone()
    made[:, ::2] = x[:, 1::2].cumsum(1)
    return made.add_(1).mul_(2)


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 16, sparse=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.table(x.abs().long()[..., 0])  # type: ignore[no-any-return]


KINDS: dict[str, Callable[[], nn.Module]] = {
    "learnt bias": Biased,
    "grouped queries": lambda: Calling(lambda x: attention(x, x[..., :4], enable_gqa=True)),
    "causal": lambda: Calling(lambda x: attention(x, x, is_causal=True)),
    "dropout": lambda: Calling(lambda x: attention(x, x, dropout_p=0.5)),
    "no weights": lambda: nn.Sequential(Multihead(16, 2, batch_first=True)),
    "an encoder": lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True),
    "an LSTM": lambda: Recurrent(nn.LSTM),
    "LSTMs both ways": lambda: Recurrent(nn.LSTM, num_layers=2, bidirectional=True, dropout=0.5),
    "a GRU": lambda: Recurrent(nn.GRU),
    "written in place": lambda: Calling(written),
    "einsum": lambda: Calling(lambda x: torch.einsum("bij,bkj->bik", x, x).softmax(-1) @ x),
    "checkpointed": lambda: Calling(lambda x: checkpoint(lambda t: t.exp().sin(), x, use_reentrant=False)),  # type: ignore[no-any-return]
    "weight norm": lambda: weight_norm(nn.Linear(16, 16)),
}


class Tokens(nn.Module):
    """What a kind does to the 16 patches of an image of 16 px, each with 16 numbers."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 4, 4)
        self.layer = KINDS[kind]()
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(self.embed(x).flatten(2).transpose(1, 2)).mean(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_forecast_with_the_kernels_that_it_runs_on(kind: str) -> None:
    with without_storage():
        model = Tokens(kind).train()
    made = forecast(model, torch.empty(1, 3, 16, 16, device="meta"), 2, F.cross_entropy)  # type: ignore[arg-type]
    job = make_job(task="train_step", arch="lenet5", num_classes=10)
    step = training_step(Tokens(kind).train(), torch.zeros(2, 3, 16, 16), job)
    step()
    assert step.held is not None
    assert made.peak == pytest.approx(tensor_memory(step, step.held()).samples[0], rel=0.01)
    assert not made.unknown


def recurrent_work(frozen: str, *, images: bool, state: bool) -> Work:
    """Return the backward pass of LSTMs both ways, of weights without `frozen` in their names, images and state."""
    torch.manual_seed(0)
    layer = nn.LSTM(3, 8, num_layers=2, bidirectional=True, batch_first=True)
    for name, weight in layer.named_parameters():
        weight.requires_grad_(not frozen or frozen not in name)
    x = torch.randn(2, 5, 3, requires_grad=images)
    states = tuple(torch.randn(4, 2, 8, requires_grad=state) for _ in range(2))
    loss = torch.zeros(())

    def forward() -> Tensor:
        nonlocal loss
        loss = layer(x, states)[0].sum()
        return loss

    return count_pass(Followed(layer), Step(forward, lambda: loss.backward())).calls[0, 0].backward  # noqa: PLW0108


@pytest.mark.filterwarnings("ignore:TF32")  # which the switch of oneDNN warns of
@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("frozen", ["", "weight_ih", "weight_hh"])
def test_a_recurrent_layer_in_one_kernel_costs_what_its_products_do(
    frozen: str, images: bool, state: bool
) -> None:
    whole = recurrent_work(frozen, images=images, state=state)
    with torch.backends.mkldnn.flags(enabled=False):
        parts = recurrent_work(frozen, images=images, state=state)
    assert whole.macs == parts.macs
    assert whole.operators < parts.operators


@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("frozen", ["", "weight_ih", "weight_hh"])
def test_gradients_of_recurrent_layers_in_one_kernel_of_a_card_cost_as_much(
    frozen: str, images: bool, state: bool
) -> None:
    layer = nn.LSTM(3, 8, num_layers=2, bidirectional=True, batch_first=True)
    for name, weight in layer.named_parameters():
        weight.requires_grad_(not frozen or frozen not in name)
    x, hidden, nothing = torch.zeros(2, 5, 3), torch.zeros(4, 2, 8), torch.zeros(0)
    made = (nothing, nothing, nothing, nothing)  # output, and gradients
    settings = (2, 8, 0, 2, True, 0.0, True, True, [], None, nothing, [images, state, state, True])
    args = (x, list(layer.parameters()), 4, nothing, hidden, hidden, *made, *settings)
    assert len(args) == len(torch.ops.aten._cudnn_rnn_backward.default._schema.arguments)
    macs = BACKWARD[torch.ops.aten._cudnn_rnn_backward](args)
    assert macs == recurrent_work(frozen, images=images, state=state).macs


class OnCard(nn.Module):
    """Recurrent layers called as on a card, on tensors without storage."""

    def __init__(self, layer: nn.LSTM) -> None:
        super().__init__()
        self.layer = layer.to("meta")

    def forward(self, x: Tensor) -> Tensor:
        own = self.layer
        stride = len(own.all_weights[0])
        state = x.new_zeros(2 * own.num_layers, len(x), own.proj_size or own.hidden_size)
        cell = x.new_zeros(2 * own.num_layers, len(x), own.hidden_size)
        sizes = (2, own.hidden_size, own.proj_size, own.num_layers)
        weights = [weight for one in own.all_weights for weight in one]
        args = (x, weights, stride, None, state, cell, *sizes, True, 0.0, True, True, [], None)
        return torch.ops.aten._cudnn_rnn(*args)[0]  # type: ignore[no-any-return]


@pytest.mark.filterwarnings("ignore:TF32", "ignore:LSTM with projections")
@pytest.mark.parametrize("projected", [0, 3])
def test_recurrent_layers_in_one_kernel_of_a_card_cost_as_much(projected: int) -> None:
    layer = nn.LSTM(3, 8, num_layers=2, bidirectional=True, batch_first=True, proj_size=projected)
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
        parts = count_pass(Followed(layer), Step(lambda: layer(torch.zeros(2, 5, 3))[0])).calls
    network = OnCard(layer)
    whole = count_pass(Followed(network), Step(lambda: network(torch.zeros(2, 5, 3, device="meta"))))
    assert whole.calls[0, 0].forward.macs == parts[0, 0].forward.macs
    assert whole.calls[0, 0].forward.operators < parts[0, 0].forward.operators
    assert not whole.unused


@pytest.mark.filterwarnings("ignore:TF32")
def test_weights_that_a_card_has_in_one_piece_as_well_are_read_once() -> None:
    layer = nn.LSTM(3, 8, bidirectional=True, batch_first=True).to("meta")
    weights, x = list(layer.parameters()), torch.zeros(2, 5, 3, device="meta")
    state = x.new_zeros(2, 2, 8)
    whole = torch.zeros(sum(w.numel() for w in weights), device="meta")
    parts = [
        part.view_as(w) for part, w in zip(whole.split([w.numel() for w in weights]), weights, strict=True)
    ]

    class Flat(nn.Module):
        def forward(self, x: Tensor, piece: Tensor | None) -> Tensor:
            args = (x, parts, 4, piece, state, state, 2, 8, 0, 1, True, 0.0, True, True, [], None)
            return torch.ops.aten._cudnn_rnn(*args)[0]  # type: ignore[no-any-return]

    network = Flat()
    moved = [
        count_pass(Followed(network), Step(lambda piece=piece: network(x, piece))).calls[0, 0].forward.bytes
        for piece in (None, whole)
    ]
    assert moved[0] == moved[1] > 4 * whole.numel()


def test_a_fused_cell_of_a_card_multiplies_nothing_beside_its_gates() -> None:
    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gates = nn.Linear(48, 32)

        def forward(self, x: Tensor) -> Tensor:
            gates = self.gates(x.flatten(1))
            return torch.ops.aten._thnn_fused_lstm_cell(gates, gates, gates[:, :8])[0]  # type: ignore[no-any-return]

    with without_storage():
        made = trace(Cell().eval(), (1, 3, 4, 4))
    assert made.failure is None
    assert (made.first, made.uncounted) == (48 * 32, {})


def test_a_long_sequence_is_one_kernel_of_a_step() -> None:
    with without_storage():
        model = Tokens("an LSTM").train()
    device = on_cpu_without_storage(model)
    with device:
        labels, images = torch.zeros(2, dtype=torch.long), torch.empty(2, 3, 64, 64)  # 256 steps
        counted = count_pass(Followed(model), Step(lambda: F.cross_entropy(model(images), labels)))
    assert sum(call.forward.operators for call in counted.calls.values()) < 100


@pytest.mark.parametrize("batch", [3, 20])
@pytest.mark.parametrize("steps", [5, 150])
def test_the_workspace_of_a_recurrent_layer_is_learnt_from_short_calls(steps: int, batch: int) -> None:
    shapes = ((steps, batch, 8), (80, 8), (80, 20), (80,), (80,), (batch, 20), (batch, 20))
    settings = (False, [], 2, 20, 1, True, False, False, True)
    call = (*(torch.zeros(shape) for shape in shapes), *settings)
    kept = torch.ops.aten.mkldnn_rnn_layer(*call)[3].nbytes
    assert _workspace(call) == pytest.approx(kept, rel=0.05)


@pytest.mark.parametrize(("layout", "channels"), [(torch.contiguous_format, 3 + 8), (torch.channels_last, 8)])
def test_a_convolution_copies_what_it_reads_and_writes_into_a_layout_of_its_own(
    layout: torch.memory_format, channels: int
) -> None:
    """What lies in channels last is taken as it is; the gradient of a mean does not."""

    class Convolved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.to(memory_format=layout)).mean((2, 3))  # type: ignore[no-any-return]

    with without_storage():
        model = Convolved().train()
    made = forecast(model, torch.empty(1, 3, 1024, 1024, device="meta"), 4, F.cross_entropy)  # type: ignore[arg-type]
    assert made.process - made.peak - 4 * channels * 1024**2 * 4 == pytest.approx(36e6, rel=0.01)


def test_gradients_whose_size_hangs_on_values_are_told_as_the_least() -> None:
    with without_storage():
        model = Embedded().train()
    loss = lambda output, _: output.sum()  # noqa: E731
    made = forecast(model, torch.empty(1, 8, 16, device="meta"), 2, loss)
    assert made.unknown
    assert all(name.startswith("aten.") for name in made.unknown)


def test_an_operator_of_another_library_is_named_and_nothing_claimed_of_it() -> None:
    @torch.library.custom_op("bench_tests::doubled", mutates_args=())
    def doubled(x: Tensor) -> Tensor:
        return 2 * x

    doubled.register_fake(torch.empty_like)
    doubled.register_autograd(lambda _, gradient: 2 * gradient)
    with without_storage():
        model = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), Calling(doubled))
    made = forecast(model, torch.empty(1, 3, 4, 4, device="meta"), 2, F.cross_entropy)  # type: ignore[arg-type]
    assert made.unknown == ("bench_tests.doubled",)
    table = training_table(resolve("lenet5"), 2, 1, {})
    told = training_document(table | {"memory": made.to_json()}).notes
    assert not any("at least" in note for note in training_document(table).notes)
    assert any("at least" in note for note in told)
    assert any("bench_tests.doubled" in note for note in told)


def test_a_step_costs_as_much_again_for_each_gradient() -> None:
    made = training_table(resolve("lenet5"), 4, None, {})
    rows = {row["name"]: row for row in made["layers"]}
    first, *others = rows.values()
    assert first["backward_macs"] == first["forward_macs"]
    assert all(row["backward_macs"] == 2 * row["forward_macs"] for row in others)
    totals = made["totals"]
    assert totals["forward_macs"] == 4 * 416_520
    assert totals["backward_macs"] == 2 * totals["forward_macs"] - first["forward_macs"]
    assert totals["optimizer_macs"] == 3 * 61_706
    assert {int(batch) for batch in made["batches"]} >= {1, 4, 8, 32, 64}
    peaks = [one["peak"] for _, one in sorted(made["batches"].items(), key=lambda item: int(item[0]))]
    assert peaks == sorted(peaks)


def test_what_no_loss_depends_on_is_not_updated() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.beside = nn.Linear(3, 10), nn.Linear(3, 100)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]

    arch = replace(resolve("lenet5"), builder=lambda **_: Beside())
    table = training_table(arch, 2, None, {"in_channels": 3})
    assert table["totals"]["trained_parameters"] == 40 + 400
    assert table["totals"]["optimizer_macs"] == 3 * 40
    assert any(line.startswith("400 parameters get no gradient") for line in training_document(table).notes)
    sound = training_document(training_table(resolve("lenet5"), 2, None, {})).notes
    assert not any("no gradient" in line for line in sound)


def test_a_network_that_fails_in_training_mode_is_told() -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 10)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                raise RuntimeError("only for inference")
            return self.layer(x.mean((2, 3)))  # type: ignore[no-any-return]

    arch = replace(resolve("lenet5"), builder=lambda **_: Failing())
    with pytest.raises(InvalidModelError, match="failed in training mode: RuntimeError: only for inference"):
        training_table(arch, 2, None, {"in_channels": 3})


def test_the_command_for_a_training(run: Bench, inline_jobs: None) -> None:
    made = json.loads(run("show", "lenet5", "--training", "--batch", 4, "--json").stdout)
    assert made["totals"]["forward_macs"] == 4 * 416_520
    printed = run("show", "lenet5", "--training", "--depth", 1).stdout
    assert "Tensors alive at once" in printed
    assert "optimiser" in run("show", "lenet5", "--training", "-f", "csv").stdout
    assert "longtable" in run("show", "lenet5", "--training", "-f", "latex").stdout
