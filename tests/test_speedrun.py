"""The network of the speed record, what networks ask of a training, and the options of the record's recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from patches import CLASSES, PLAIN, SIZE, STILL, curves, network, patches, recipe_with, trained
from test_datasets import local_data  # noqa: F401 (a fixture)
from torch import Tensor, nn

from bench.archs import ARCHS
from bench.archs.naming import resolve
from bench.archs.speedrun import _block, _identity_convolution, _normalisation, _whitening
from bench.archs.speedrun import _patches as patches_of
from bench.datasets import find, read
from bench.errors import ConfigError, InvalidModelError
from bench.plan.recipe import Recipe, _Triangle
from bench.training import _checkpoint as checkpoints
from bench.training._augment import views
from bench.training._optimiser import Average, _parameter_groups, rate
from bench.training.config import FitConfig, Splits
from bench.training.fit import fit


def images(count: int = 64) -> Tensor:
    """Return smooth noise [N, 3, 32, 32]: neighbours resemble each other, as in photographs."""
    noise = torch.randn(count, 3, 34, 34, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(noise, 3, stride=1)


# The network


def test_its_parameters_are_its_layers() -> None:
    first = 24 * (2 * 2 * 3) + 24
    convolutions = 9 * (24 * 64 + 64 * 64 + 64 * 256 + 256 * 256 + 256 * 256 + 256 * 256)
    norms = 2 * 2 * (64 + 256 + 256)  # a fixed scale and a bias
    model = ARCHS.get("speedrun_cifar").build()
    assert sum(p.numel() for p in model.parameters()) == first + convolutions + norms + 256 * 10
    fixed = 24 * (2 * 2 * 3) + 2 * (64 + 256 + 256)
    assert sum(p.numel() for p in model.parameters() if not p.requires_grad) == fixed


def test_the_sides_of_its_maps() -> None:
    seen = {}
    maps = images(2)
    for name, layer in ARCHS.get("speedrun_cifar").build().eval().named_children():
        maps = layer(maps)
        seen[name] = tuple(maps.shape[1:])
    assert seen["whiten"] == (24, 31, 31)
    assert [seen[f"block{i}"] for i in (1, 2, 3)] == [(64, 15, 15), (256, 7, 7), (256, 3, 3)]
    assert seen["pool"] == (256, 1, 1)


def test_whitened_samples_have_the_identity_as_second_moments() -> None:
    mixed = torch.randn(500, 6, dtype=torch.float64) @ torch.randn(6, 6, dtype=torch.float64)
    white = mixed @ _whitening(mixed, epsilon=0.0).T
    torch.testing.assert_close(white.T @ white / 500, torch.eye(6, dtype=torch.float64))


def test_patches_are_what_a_convolution_sees() -> None:
    kernels = torch.randn(5, 3, 2, 2)
    seen = F.conv2d(images(2), kernels)
    by_hand = patches_of(images(2), 2) @ kernels.view(5, 12).T
    torch.testing.assert_close(by_hand.view(2, 31, 31, 5).permute(0, 3, 1, 2), seen, rtol=1e-4, atol=1e-5)


def test_the_first_convolution_whitens_and_has_its_negatives() -> None:
    model = ARCHS.get("speedrun_cifar").build()
    model.initialise(images())  # type: ignore[operator]
    seen = model.get_submodule("whiten")(images())
    torch.testing.assert_close(seen[:, 12:], -seen[:, :12])
    flat = seen[:, :12].movedim(1, -1).reshape(-1, 12)
    moments = patches_of(images(), 2)
    values = torch.linalg.eigvalsh(moments.T @ moments / len(moments)).flip(0)
    expected = torch.diag(values / (values + 5e-4))  # the identity, but for epsilon
    torch.testing.assert_close(flat.T @ flat / len(flat), expected, rtol=1e-3, atol=1e-3)


def test_a_convolution_passes_its_input_through() -> None:
    maps = torch.randn(2, 4, 5, 5)
    seen = _identity_convolution(4, 6)(maps)
    assert torch.equal(seen[:, :4], maps)
    assert not torch.equal(seen[:, 4:], maps[:, :2])


def test_a_new_block_is_pooling_and_normalisation_of_its_input() -> None:
    maps = torch.randn(8, 4, 6, 6)
    norm = nn.BatchNorm2d(4, eps=1e-12)
    expected = F.gelu(norm(F.gelu(norm(F.max_pool2d(maps, 2)))))
    torch.testing.assert_close(_block(4, 4)(maps), expected)


def test_running_statistics_keep_six_tenths() -> None:
    norm = _normalisation(3)
    maps = torch.randn(8, 3, 4, 4)
    norm(maps)
    torch.testing.assert_close(norm.running_mean, 0.4 * maps.mean((0, 2, 3)))
    assert [name for name, p in norm.named_parameters() if p.requires_grad] == ["bias"]


# What a network may ask for


class Asks(nn.Module):
    """Is told the images, and stops training its scale after two epochs."""

    frozen_after: ClassVar[dict[str, int]] = {"scale": 2}

    def __init__(self) -> None:
        super().__init__()
        self.net = network()
        self.scale = nn.Parameter(torch.ones(()))
        self.given: list[Tensor] = []

    def initialise(self, images: Tensor) -> None:
        self.given.append(images)
        with torch.no_grad():
            self.scale.fill_(0.5)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        return logits * self.scale


def test_a_network_is_initialised_with_the_first_images_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.training._prepare._INITIAL_IMAGES", 40)
    model = Asks()
    seen = trained(model, recipe=recipe_with(learning_rate=1e-12, ema=0.9), epochs=1)
    (given,) = model.given
    torch.testing.assert_close(given, (patches(160).images[:40] / 255 - 0.5) / 0.25)
    assert model.scale.item() == pytest.approx(0.5)  # the average begins behind it too
    assert seen.initial_time is not None
    assert trained(epochs=1).initial_time is None


def test_a_parameter_stays_after_its_epochs() -> None:
    model = Asks()
    after: list[float] = []
    trained(model, on_epoch=lambda *_: after.append(model.scale.item()))
    assert after[0] != after[1] == after[2] == after[3]


@pytest.mark.parametrize(
    ("told", "message", "tip"),
    [
        ({"scales": 2}, "names 'scales', which is no parameter", "did you mean scale?"),
        ({"scale": "2"}, "takes it for epochs by the names", "such as"),
        (2, "frozen_after is 2", "such as"),
    ],
)
def test_what_freezes_no_parameter_is_told(
    told: object, message: str, tip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Asks, "frozen_after", told)
    with pytest.raises(InvalidModelError, match=message) as caught:
        trained(Asks())
    assert tip in (caught.value.tip or "")


# The recipe


def test_its_rates_are_the_papers() -> None:
    """Of a loss that is the sum over 1,024 images: a rate of 11.5 / (1024 x (1 + 1 / 0.15)), a decay of 0.0153 / 11.5 x 1024."""
    recipe = Recipe.load("record")
    assert recipe.learning_rate == pytest.approx(11.5 / (1 + 1 / (1 - 0.85)))
    assert recipe.weight_decay == pytest.approx(0.0153 / 11.5, rel=1e-3)


def test_biases_of_normalisation_have_their_own_rate_and_the_same_shrinking() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2), nn.LayerNorm(2))
    groups = _parameter_groups(model, recipe_with(bias_lr=2.0, norm_bias_lr=8.0, weight_decay=0.5))
    found = {id(p): (g["rate_factor"], g["weight_decay"]) for g in groups for p in g["params"]}
    names = {name: found[id(p)] for name, p in model.named_parameters()}
    assert names["1.bias"] == names["3.bias"] == (16.0, 0.0625)
    assert names["0.bias"] == names["2.bias"] == (2.0, 0.5)
    assert {names[n] for n in ("0.weight", "1.weight", "2.weight", "3.weight")} == {(1.0, 0.5)}


def test_a_triangle_may_start_above_zero() -> None:
    schedule = _Triangle(warm_up=0.4, final=0.0, start=0.2)
    assert [rate(step, 9, schedule) for step in range(4)] == pytest.approx([0.4, 0.6, 0.8, 1.0])


def test_what_is_off_leaves_hashes_alone() -> None:
    assert "start" not in Recipe.load("std").model_dump()["schedule"]
    given = Recipe.load("std").model_dump(mode="json")
    off = {"ema_every": 1, "lookahead": False, "norm_bias_lr": 1.0}
    assert Recipe.read({**given, **off}, "test").hash == Recipe.load("std").hash


@pytest.mark.parametrize("change", ["lookahead=true", "ema_every=5"])
def test_an_average_of_every_few_steps_needs_a_decay(change: str) -> None:
    with pytest.raises(ConfigError, match="lookahead and ema_every need ema"):
        Recipe.load(f"std({change})")


def one_weight(value: float) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def test_an_average_of_every_third_step() -> None:
    """Weights are their step's number; updates at 3 and 6 have a decay of at most 0.5 cubed: 1 / 10, then 1 / 8."""
    model = one_weight(0.0)
    average = Average(model, 0.5, 3)
    for step in range(1, 8):
        nn.init.constant_(model.weight, float(step))
        average.update(model)
    first = 3 * (1 - 1 / 10)
    assert average.tensors["weight"].item() == pytest.approx(first / 8 + 6 * (1 - 1 / 8))
    assert model.weight.item() == 7.0


def test_a_lookahead_sets_the_weights_back() -> None:
    """Each step adds 1; at steps 2 and 4 of 4, the decays are 0.5 squared times the cubes of 1/2 and 1."""
    model = one_weight(0.0)
    average = Average(model, 0.5, 2, lookahead=True)
    seen = []
    for step in range(1, 5):
        with torch.no_grad():
            model.weight += 1
        average.update(model, step / 4)
        seen.append(model.weight.item())
    first = (1 - 0.25 / 8) * 2
    assert seen == pytest.approx([1, first, first + 1, first + 0.75 * 2])
    assert average.tensors["weight"].item() == seen[-1]


def test_views_are_weighted_by_hand() -> None:
    image = torch.arange(9.0).view(1, 1, 3, 3)  # rows 0 1 2, 3 4 5, 6 7 8
    up_left = torch.tensor([[4.0, 3, 4], [1, 0, 1], [4, 3, 4]]).view(1, 1, 3, 3)
    down_right = torch.tensor([[4.0, 5, 4], [7, 8, 7], [4, 5, 4]]).view(1, 1, 3, 3)
    seen = list(views(image, mirror=True, translate=True))
    assert [weight for weight, _ in seen] == [0.25, 0.25, 0.125, 0.125, 0.125, 0.125]
    expected = [view for moved in (image, up_left, down_right) for view in (moved, moved.flip(3))]
    assert all(torch.equal(view, wanted) for (_, view), wanted in zip(seen, expected, strict=True))
    assert [weight for weight, _ in views(image, mirror=False, translate=False)] == [1.0]


def test_tests_are_means_over_the_views() -> None:
    model = network()
    seen = trained(model, recipe=recipe_with(test_time_augmentation="mirror_translate"), epochs=1)
    test = (patches(80, seed=1).images / 255 - 0.5) / 0.25
    wide = F.pad(test, (1, 1, 1, 1), mode="reflect")
    moved = (wide[..., :SIZE, :SIZE], wide[..., 2:, 2:])
    model.eval()
    with torch.no_grad():
        both = [(model(view) + model(view.flip(3))) / 2 for view in (test, *moved)]
    assert seen.logits is not None
    torch.testing.assert_close(seen.logits, both[0] / 2 + (both[1] + both[2]) / 4, rtol=1e-5, atol=1e-5)
    assert seen.test_time_augmentation == "mirror_translate"


def test_tests_are_not_moved_where_training_images_are_not() -> None:
    recipe = recipe_with(augment=STILL, test_time_augmentation="mirror_translate")
    assert trained(recipe=recipe, epochs=1).test_time_augmentation is None


# Warming up, and checkpoints


@pytest.mark.parametrize(
    "change",
    [
        {"ema": 0.9, "ema_every": 2, "lookahead": True, "augment": PLAIN.augment},
        {"optimiser": "adamw", "nesterov": False, "learning_rate": 0.01},
    ],
    ids=["sgd", "adamw"],
)
def test_nothing_is_left_of_a_warm_up(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]) -> None:
    recipe = recipe_with(batch_size=64, **change)  # 160 images: the last batch has 32
    cold, warm = network(dropout=0.3), network(dropout=0.3)
    expected = trained(cold, recipe=recipe)
    monkeypatch.setattr("bench.training._prepare._needs_warm_up", lambda _: True)
    seen = trained(warm, recipe=recipe)
    assert seen.warm_up_time is not None
    assert expected.warm_up_time is None
    assert curves(seen) == curves(expected)
    for mine, theirs in zip(warm.state_dict().values(), cold.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_warm_up_meets_every_size_of_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    model = network()
    model.register_forward_hook(lambda module, given, _: sizes.append(len(given[0]) * module.training))
    monkeypatch.setattr("bench.training._prepare._needs_warm_up", lambda _: True)
    trained(model, recipe=recipe_with(batch_size=64), epochs=1)
    assert sizes[:2] == [64, 32]
    assert [size for size in sizes if size][2:] == [64, 64, 32]


def test_checkpoints_are_half_a_minute_apart(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is read twice before, and three times an epoch, which takes 12 s: epochs end at 13, 25, 37 s and so on."""
    written: list[int] = []
    monkeypatch.setattr(
        checkpoints, "_save", lambda _path, _key, state: written.append(len(state["curves"]["train_loss"]))
    )
    times = iter([0.0, 0.0, *(12.0 * epoch + t for epoch in range(7) for t in (1.0, 12.0, 13.0))])
    trained(clock=lambda: next(times), checkpoint=tmp_path / "job.pt", epochs=7)
    assert written == [3, 6, 7]  # after 37 s and 73 s, and after the last


def test_outputs_have_a_score_for_each_class() -> None:
    model = ARCHS.get("speedrun_cifar").build(num_classes=CLASSES, in_channels=1, input_size=9)
    assert model(torch.randn(2, 1, 9, 9)).shape == (2, CLASSES)
    before = model.get_submodule("flatten")(torch.ones(1, 256, 1, 1))
    linear = model.get_submodule("fc")
    torch.testing.assert_close(model.get_submodule("scale")(linear(before)), linear(before) / 9)


def test_a_few_epochs_of_the_recipe_on_a_thousand_images(
    local_data: Callable[[str], Path],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CIFAR-10 at 16 px, so that it takes seconds; 20 steps an epoch, as the recipe's own 1,024 images leave one.

    Of seeds 0 to 3, the last epoch's loss is 1.80 to 1.84, and 46 to 57 of 100 are right. Of the seed taken here it is 1.80,
    and 1.88 without whitening, or without identities in the convolutions: the bound on the loss lies between, with some
    room for another CPU. With the average's sign wrong, the training diverges.
    """
    monkeypatch.setenv("BENCH_DATA", str(local_data("cifar10")))
    dataset = find("cifar10")
    data = Splits(
        dataset, *(read(dataset, s).pick(torch.arange(n)) for s, n in (("train", 1000), ("test", 100)))
    )
    torch.manual_seed(1)
    model = resolve("speedrun_cifar").build(num_classes=10, in_channels=3, input_size=16)
    recipe = Recipe.load("record(batch_size=50,learning_rate=0.4)")
    config = FitConfig(recipe=recipe, dataset="cifar10", epochs=3, seed=1, device=torch.device("cpu"),
                       input_size=16, in_channels=3)  # fmt: skip
    seen = fit(model, data, config)
    assert seen.test_time_augmentation == "mirror_translate"
    assert seen.train_loss[-1] < 1.86
    assert seen.test_top1[-1] > 0.3
