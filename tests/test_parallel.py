"""Data parallel training: the ranks' shares of a batch, and that several processes learn what one does."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import warm
from fake_card import FakeCard, FakeHost
from patches import changed
from torch import nn

from bench.archs.naming import resolve
from bench.datasets import DATASETS, Images, find, read
from bench.errors import BenchError, DivergedError, UnsupportedError
from bench.plan.recipe import Recipe
from bench.training import _parallel as parallel
from bench.training._parallel import Group, start
from bench.training.config import FitConfig, Splits
from bench.training.fit import FitResult, fit

DIGITS = DATASETS.get("digits")


# Shares


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [1, 3, 4, 7, 32])
def test_the_ranks_shares_are_the_batch(count: int, size: int) -> None:
    images, labels = torch.rand(size, 1, 2, 2), torch.arange(size)
    shares = [Group(rank, count).share(images, labels) for rank in range(count)]
    assert sum(share.weight for share in shares) == pytest.approx(1)
    assert sum(len(s.labels) / s.copies for s in shares) == pytest.approx(size)
    assert all(len(s.labels) > 1 for s in shares) or size == 1
    losses, scale = torch.rand(size), torch.rand(size, 3)
    means = sum(share.weight * losses[share.labels].mean().item() for share in shares)
    assert means == pytest.approx(losses.mean().item())
    whole = sum(share.spread(scale[share.labels]) for share in shares)
    torch.testing.assert_close(whole, scale)
    for share in shares:
        assert torch.equal(share.images, images[share.labels])


def test_a_share_keeps_the_memory_format() -> None:
    images = torch.rand(8, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    share = Group(1, 2).share(images, torch.arange(8))
    assert share.images.is_contiguous(memory_format=torch.channels_last)
    assert Group(1, 2).share(images.contiguous(), torch.arange(8)).images.is_contiguous()


def test_one_rank_is_the_whole_and_starts_nothing() -> None:
    images, labels = torch.rand(8, 3, 4, 4), torch.arange(8)
    with start(1, torch.device("cpu"), print, ()) as group:
        share = group.share(images, labels)
    assert share.images is images
    assert share.labels is labels
    assert group == Group(0, 1)


# Trainings


@pytest.fixture
def warm_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the other ranks be warm processes; `test_two_processes_learn_what_one_does` has one as users have it."""
    monkeypatch.setattr(parallel, "subprocess", warm)


def few(split: str, count: int) -> Images:
    whole = read(find("digits"), "train" if split == "train" else "test")
    return Images(whole.images[:count], whole.labels[:count])


def network(norm: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    middle = nn.BatchNorm2d(8) if norm else nn.Identity()
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), middle, nn.ReLU(), nn.Flatten(), nn.Linear(512, 10))


def trained(model: nn.Module, ranks: int, **change: Any) -> FitResult:
    """Train on a few digits; the last batch of 325 images has 5, so that of three ranks each sees all of it."""
    data = Splits(DIGITS, few("train", 325), few("test", 100))
    config = FitConfig(
        recipe=Recipe.load("std"),
        dataset="digits",
        epochs=2,
        seed=0,
        device=torch.device("cpu"),
        input_size=8,
        in_channels=1,
        ranks=ranks,
    )
    return fit(model, *changed(data, config, change))


def test_two_processes_learn_what_one_does() -> None:
    """Equal but for the order in which floats are added, which steps amplify; looks and averages are rank 0's as ever."""
    recipe = Recipe.load("std(ema=0.9,schedule={kind: plateau, factor: 0.5, patience: 0},dropout=0)")
    held_back = few("test", 50)

    def look(model: nn.Module) -> list[float]:
        (model(torch.ones(2, 1, 8, 8)).sum()).backward()
        return [p.grad.norm().item() for p in model.parameters() if p.grad is not None]

    def run(ranks: int) -> tuple[FitResult, nn.Module]:
        model = network()
        return trained(model, ranks, recipe=recipe, validation=held_back, before=look, after=look), model

    (one, alone), (two, shared) = run(1), run(2)
    assert two.train_loss == pytest.approx(one.train_loss, rel=1e-4)
    assert two.train_error == pytest.approx(one.train_error, abs=0.005)
    assert two.test_loss == pytest.approx(one.test_loss, rel=1e-4)
    assert two.val_loss == pytest.approx(one.val_loss, rel=1e-4)
    assert two.started == pytest.approx(one.started, rel=1e-6)
    assert two.ended == pytest.approx(one.ended, rel=1e-3)
    assert one.logits is not None
    assert two.logits is not None
    torch.testing.assert_close(two.logits, one.logits, rtol=1e-2, atol=1e-3)
    for mine, theirs in zip(shared.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-4)
    assert not torch.distributed.is_initialized()


def test_with_batch_normalisation_three_learn_about_the_same(warm_ranks: None) -> None:
    """Each normalises by its own 11 images of 32; in two epochs, the losses differ by some per cent."""
    one, three = trained(network(norm=True), 1), trained(network(norm=True), 3)
    assert three.train_loss != one.train_loss
    assert three.train_loss == pytest.approx(one.train_loss, rel=0.05)
    assert three.test_loss == pytest.approx(one.test_loss, rel=0.15)


def test_ranks_go_on_from_a_checkpoint(
    warm_ranks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.training._checkpoint._EVERY_S", 0.0)
    noisy = nn.Sequential(nn.Dropout(0.3), network())
    start = deepcopy(noisy.state_dict())
    file, after_one = tmp_path / "job.pt", tmp_path / "after_one.pt"

    def keep(epoch: int, epochs: int) -> None:
        if epoch == 1:
            shutil.copy(file, after_one)

    whole = trained(noisy, 2, checkpoint=file, on_epoch=keep)
    noisy.load_state_dict(start)
    resumed = trained(noisy, 2, checkpoint=after_one)
    assert (whole.resumed_from, resumed.resumed_from) == (None, 1)
    assert resumed.train_loss == whole.train_loss
    assert resumed.test_loss == whole.test_loss


NETS = """
import torch
from torch import nn

class Lost(nn.Sequential):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__(nn.Flatten(), nn.Linear(64 * in_channels, num_classes))

    def forward(self, images):
        if torch.distributed.is_initialized() and torch.distributed.get_rank() == 1:
            raise ValueError("this rank is lost")
        return super().forward(images)
"""


def users(folder: Path, name: str) -> nn.Module:
    (folder / "mine.py").write_text(NETS)
    arch = resolve(f"{folder / 'mine.py'}:{name}")
    model: nn.Module = arch.build(num_classes=10, in_channels=1, input_size=8)
    return model


def test_a_rank_that_fails_ends_the_training_with_its_reason(warm_ranks: None, tmp_path: Path) -> None:
    """The network is of a user's file, which the other rank must find too, to fail in it."""
    with pytest.raises(
        BenchError, match="rank 1 of the training ended with exit code 1: ValueError: this rank is lost"
    ):
        trained(users(tmp_path, "Lost"), 2)
    assert not torch.distributed.is_initialized()


def test_divergence_is_told_as_by_one(warm_ranks: None) -> None:
    with pytest.raises(DivergedError, match="the training loss was"):
        trained(network(), 2, recipe=Recipe.load("std(learning_rate=1.0e+25,grad_clip=null)"))


def test_what_cannot_be_sent_is_refused() -> None:
    class Local(nn.Flatten):
        pass

    with pytest.raises(UnsupportedError, match="the network cannot be sent to other processes") as caught:
        trained(nn.Sequential(Local(), nn.Linear(64, 10)), 2)
    assert (
        caught.value.tip == "define its classes and functions at the top of a module, or train with ranks: 1"
    )


def test_more_ranks_than_devices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with (
        pytest.raises(
            UnsupportedError, match="3 ranks need 3 CUDA devices from cuda on, and this machine has 2"
        ),
        start(3, torch.device("cuda"), print, ()),
    ):
        pass
    assert Group(0, 2).device(torch.device("cuda")) == torch.device("cuda", 0)
    assert Group(1, 2).device(torch.device("cuda")) == torch.device("cuda", 1)
    assert Group(1, 2).device(torch.device("cuda", 2)) == torch.device("cuda", 3)
    assert Group(1, 2).device(torch.device("cpu")) == torch.device("cpu")


def test_a_device_without_a_number_is_met_on_as_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = FakeHost(FakeCard("H100", "a"), FakeCard("H100", "b")).install(monkeypatch)
    cards.current = 1
    monkeypatch.setattr(parallel, "_send", lambda *_: None)
    monkeypatch.setattr(parallel, "_other", lambda *_: nullcontext(SimpleNamespace(await_ready=lambda: None)))
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(f"torch.distributed.{name}", lambda *_, **__: None)
    with start(2, torch.device("cuda"), print, ()) as group:
        assert (group.rank, group.count, cards.current) == (0, 2, 0)


def test_the_others_end_with_rank_0_when_it_is_killed(warm_ranks: None, tmp_path: Path) -> None:
    """Whatever they wait for then: the kernel closes the pipe from it."""
    parallel._send(parallel._Work(1, torch.device("cpu"), print, (network(),)), tmp_path)
    with parallel._other(1, 2, str(tmp_path)) as other:
        other.await_ready()
        assert other.process.poll() is None
        assert other.process.stdin is not None
        other.process.stdin.close()
        assert other.process.wait(10) == 1
