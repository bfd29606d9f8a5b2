"""What a training step costs, told before it runs: its memory against a real step, its work by arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from conftest import Bench, make_job
from torch import Tensor, nn

from bench.archs.naming import resolve
from bench.costs import prepare
from bench.errors import InvalidModelError
from bench.tasks._step import training_step
from bench.timing.memory import tensor_memory
from bench.training._forecast import forecast
from bench.training.step_cost import training_table


@pytest.mark.parametrize(
    ("arch", "size"),
    [
        ("lenet5", 32),
        ("resnet20", 32),
        ("torchvision:mobilenet_v3_small", 32),
        ("torchvision:squeezenet1_1", 48),
    ],
)
@pytest.mark.parametrize("batch", [2, 5])
def test_the_forecast_is_what_is_counted_of_a_real_step(arch: str, size: int, batch: int) -> None:
    known = resolve(arch)
    subject = prepare(known, input_size=size, num_classes=10)
    labels = torch.zeros(batch, dtype=torch.long, device="meta")
    model = subject.model.train()
    images = torch.empty(batch, *subject.shape[1:], device="meta")
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    made = forecast(model, images, lambda output: F.cross_entropy(output, labels), optimiser)  # type: ignore[arg-type]
    real = known.build(num_classes=10, input_size=size).train()
    job = make_job(task="train_step", arch=arch, num_classes=10)
    step = training_step(real, torch.zeros(batch, *subject.shape[1:]), job)
    step()
    assert step.held is not None
    peak = tensor_memory(step, step.held()).samples[0]
    assert made.peak == pytest.approx(peak, rel=0.002, abs=16 * batch)
    weights = sum(p.numel() * p.element_size() for p in real.parameters())
    assert made.gradients == made.optimiser == weights
    assert made.images == images.numel() * 4
    assert made.process > made.peak


class Biased(nn.Module):
    """Attention with a bias that is learnt, as of relative positions."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 4, 4)
        self.bias = nn.Parameter(torch.zeros(2, 16, 16))
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2).unflatten(2, (2, 8)).transpose(1, 2)
        x = F.scaled_dot_product_attention(x, x, x, attn_mask=self.bias)
        return self.head(x.transpose(1, 2).flatten(2).mean(1))  # type: ignore[no-any-return]


def test_attention_with_a_bias_that_is_learnt_is_forecast_as_it_runs() -> None:
    arch = replace(resolve("lenet5"), builder=lambda **_: Biased())
    made = training_table(arch, 2, None, {"in_channels": 3, "input_size": 16})["memory"]
    job = make_job(task="train_step", arch="lenet5", num_classes=10)
    step = training_step(Biased().train(), torch.zeros(2, 3, 16, 16), job)
    step()
    assert step.held is not None
    assert made["peak"] == pytest.approx(tensor_memory(step, step.held()).samples[0], rel=0.01)


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
