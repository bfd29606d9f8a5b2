"""Interrupted trainings: they go on as if nothing had been, or say why they start anew."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_job
from patches import PLAIN, curves, network, patches, recipe_with, trained
from torch import Tensor, nn

from bench.errors import StoreError
from bench.plan.recipe import Augment, Plateau, Recipe
from bench.training import _checkpoint as checkpoints


class Killed(BaseException):
    """Like a signal: nothing in the loop may catch it."""


@pytest.mark.parametrize("at", [3, 6, 9, 10])
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(tmp_path: Path, at: int) -> None:
    """The clock is read twice before, and three times an epoch, so that `at` also lies between training and its checkpoint.

    By the clock, each of these epochs takes longer than checkpoints are apart.
    """
    whole = trained(network(dropout=0.3), recipe=PLAIN)
    file = tmp_path / "checkpoints" / "job.pt"
    readings = itertools.count()

    def clock() -> float:
        reading = next(readings)
        if reading == at:
            raise Killed
        return checkpoints._EVERY_S * reading

    with pytest.raises(Killed):
        trained(network(dropout=0.3), checkpoint=file, checkpoint_key="job", clock=clock)
    torch.manual_seed(99)
    resumed = trained(network(dropout=0.3, seed=5), checkpoint=file, checkpoint_key="job")
    done = (at - 2) // 3
    assert resumed.resumed_from == (done or None)
    if done:
        assert curves(resumed) == curves(whole)
        assert len(resumed.epoch_time) == 4
    else:
        assert curves(resumed)[0] != curves(whole)[0]  # from the start, with the other initial parameters


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "job.pt"
    model = network()
    whole = trained(model, checkpoint=file, checkpoint_key="job")
    other = network(seed=5)
    again = trained(
        other, checkpoint=file, checkpoint_key="job", on_epoch=lambda *_: pytest.fail("trained again")
    )
    assert curves(again) == curves(whole)
    assert again.resumed_from == 4
    assert whole.logits is not None
    assert again.logits is not None
    assert torch.equal(again.logits, whole.logits)
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


LEARNED_LITTLE = Plateau(kind="plateau", factor=0.1, patience=0)


@pytest.mark.parametrize(
    "change",
    [
        {"optimiser": "adamw", "nesterov": False, "learning_rate": 0.01},
        {"ema": 0.9},
        {"schedule": LEARNED_LITTLE, "learning_rate": 1e-6},
        {"augment": Augment(alternate_flip=True)},
        {"no_decay": True, "bias_lr": 4.0, "dropout": 0.2},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_the_recipe_it_goes_on(tmp_path: Path, change: dict[str, Any]) -> None:
    recipe = PLAIN.model_copy(update=change)
    held_back = patches(40, seed=2)
    whole = trained(recipe=recipe, validation=held_back)
    file = tmp_path / "job.pt"

    def stop(epoch: int, epochs: int) -> None:
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(recipe=recipe, checkpoint=file, validation=held_back, on_epoch=stop)
    resumed = trained(recipe=recipe, checkpoint=file, validation=held_back)
    assert resumed.resumed_from == 2
    assert curves(resumed) == curves(whole)
    assert resumed.val_loss == whole.val_loss
    assert resumed.logits is not None
    assert whole.logits is not None
    assert torch.equal(resumed.logits, whole.logits)


def test_what_was_seen_before_the_first_step_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "job.pt"
    first = trained(checkpoint=file, before=lambda _: {"norm": 1.5})
    again = trained(checkpoint=file, before=lambda _: pytest.fail("looked again"), after=lambda _: [2, None])
    assert first.started == again.started == {"norm": 1.5}
    assert (first.ended, again.ended) == (None, [2, None])


class Counts(nn.Module):
    """Keeps how often it was called in training, as state that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = network(), 0

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": self.calls}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.calls = state["calls"]

    def forward(self, images: Tensor) -> Tensor:
        self.calls += self.training
        logits: Tensor = self.net(images)
        return logits


def test_state_that_is_no_tensor_is_kept_and_put_back(tmp_path: Path) -> None:
    recipe, file = recipe_with(ema=0.9), tmp_path / "job.pt"

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    def look(model: nn.Module) -> None:
        model.train()(patches(2).images.float())  # which is undone

    whole, resumed = Counts(), Counts()
    with pytest.raises(KeyboardInterrupt):
        trained(Counts(), recipe=recipe, checkpoint=file, on_epoch=stop)
    in_two, at_once = (
        trained(resumed, recipe=recipe, checkpoint=file),
        trained(whole, recipe=recipe, before=look),
    )
    assert (in_two.resumed_from, curves(in_two)) == (2, curves(at_once))
    assert whole.calls == resumed.calls == 4 * 160 // 32  # steps of four epochs


def test_a_checkpoint_of_a_job_with_another_recipe_is_not_used(tmp_path: Path) -> None:
    """The key of a job's checkpoint is its id, which its recipe is part of."""
    file = tmp_path / "job.pt"
    texts = ("std", "std(momentum=0)")
    jobs = [
        make_job(task="accuracy", settings={"recipe": Recipe.load(t).model_dump(mode="json")}) for t in texts
    ]
    trained(checkpoint=file, checkpoint_key=jobs[0].id, epochs=1)
    seen = trained(checkpoint=file, checkpoint_key=jobs[1].id, epochs=1)
    assert seen.resumed_from is None
    assert seen.checkpoint_ignored == f"the checkpoint job.pt is of another training ({jobs[0].id})"


def write_foreign_key(file: Path) -> None:
    checkpoints._save(file, "another job", {})


def write_torn(file: Path) -> None:
    checkpoints._save(file, "job", {"tensor": torch.zeros(1000)})
    file.write_bytes(file.read_bytes()[:-500])


def write_code(file: Path) -> None:
    torch.save({"key": "job", "state": Killed()}, file)


def write_other_network(file: Path) -> None:
    trained(network(size=4), input_size=4, epochs=1, checkpoint=file, checkpoint_key="job")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_foreign_key, "of another training (another job)"),
        (write_torn, "cannot be read"),
        (write_code, "cannot be read (UnpicklingError)"),
        (lambda f: f.write_bytes(b""), "cannot be read"),
        (lambda f: f.write_bytes(b"no checkpoint at all"), "cannot be read"),
        (lambda f: torch.save([1, 2], f), "cannot be read"),
        (lambda f: f.mkdir(), "cannot be read"),
        (write_other_network, "of a network with other tensors"),
    ],
    ids=["key", "torn", "code", "empty", "text", "list", "folder", "network"],
)
def test_a_checkpoint_that_does_not_fit_is_not_used(
    tmp_path: Path, write: Callable[[Path], object], reason: str
) -> None:
    file = tmp_path / "job.pt"
    write(file)
    if file.is_dir():  # nothing can be written there either
        assert reason in (checkpoints.load(file, "job")[1] or "")
        return
    seen = trained(checkpoint=file, checkpoint_key="job")
    assert reason in (seen.checkpoint_ignored or "")
    assert seen.resumed_from is None
    assert curves(seen) == curves(trained())
    assert trained(checkpoint=file, checkpoint_key="job").resumed_from == 4


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "job.pt"
    checkpoints._save(file, "job", {"epoch": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"cannot write the checkpoint .*job\.pt.*No space left"):
        checkpoints._save(file, "job", {"epoch": 2})
    assert checkpoints.load(file, "job") == ({"epoch": 1}, None)
    assert list(tmp_path.iterdir()) == [file]


def test_a_disk_that_fills_up_ends_the_training_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed")

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(StoreError, match=r"cannot write the checkpoint .*file write failed") as caught:
        trained(checkpoint=tmp_path / "job.pt")
    assert caught.value.tip == "free space, or choose another folder"
    assert list(tmp_path.iterdir()) == []


def test_no_checkpoint_is_no_reason(tmp_path: Path) -> None:
    assert checkpoints.load(tmp_path / "job.pt", "job") == (None, None)
