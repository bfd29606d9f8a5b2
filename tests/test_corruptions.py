"""Corruptions against arithmetic where there is one, else against what must be true of them."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.datasets import corruptions as c
from bench.datasets.corruptions import corrupt
from bench.errors import BenchError
from bench.plan.corruption import KINDS, NAMES, SEVERITIES, read_corruption

GREY = torch.full((1, 3, 224, 224), 128, dtype=torch.uint8)


def picture(side: int = 64, channels: int = 3, count: int = 1) -> Tensor:
    """Return smooth shapes in colour, of 0 to 255."""
    rows, columns = torch.meshgrid(torch.linspace(0, 3, side), torch.linspace(0, 3, side), indexing="ij")
    waves = [torch.sin(rows * (i + 1)) * torch.cos(columns * (i + 2)) for i in range(channels)]
    one = ((torch.stack(waves) + 1) * 127.5).round().to(torch.uint8)
    return one.expand(count, -1, -1, -1)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def far(images: Tensor, others: Tensor) -> float:
    """Return the root of the mean square between two stacks of images, in levels of 0 to 255."""
    return float((images.float() - others.float()).square().mean().sqrt())


def test_there_are_fifteen_of_four_kinds() -> None:
    assert [len(names) for names in KINDS.values()] == [3, 4, 4, 4]
    assert set(c._CORRUPTIONS) == set(NAMES)
    assert all(len(c._CORRUPTIONS[name]) == len(SEVERITIES) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestEach:
    @pytest.mark.parametrize("side", [16, 64])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_keeps_the_form_and_changes_the_image(self, name: str, side: int, channels: int) -> None:
        images = picture(side, channels, 2)
        made = corrupt(images, name, 5, [0, 1])
        assert made.shape == images.shape
        assert made.dtype == torch.uint8
        assert far(made, images) > 1

    def test_an_image_has_the_same_pixels_wherever_it_stands(self, name: str) -> None:
        images = torch.cat([picture(32), picture(32).flip(2)])
        made = corrupt(images, name, 3, [4, 9])
        other_way = corrupt(images.flip(0), name, 3, [9, 4])
        assert torch.equal(made, other_way.flip(0))
        assert torch.equal(made[:1], corrupt(images[:1], name, 3, [4]))

    def test_the_oblong_is_corrupted_as_well(self, name: str) -> None:
        oblong = picture(48)[:, :, :, :40]
        assert corrupt(oblong, name, 2, [0]).shape == oblong.shape


def test_chance_differs_from_image_to_image_and_severity_to_severity() -> None:
    one, two = corrupt(picture(count=2), "gaussian_noise", 1, [0, 1])
    assert not torch.equal(one, two)
    noise = [corrupt(GREY, "gaussian_noise", severity, [0]).float() - 128 for severity in (1, 2)]
    correlation = np.corrcoef(noise[0].flatten(), noise[1].flatten())[0, 1]
    assert abs(correlation) < 4 / math.sqrt(GREY.numel())


# In the others, pixels move or are covered in ways whose distance says little of what remains to be recognised.
@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in {"glass_blur", "snow", "frost", "fog", "elastic_transform"}]
)
def test_severity_adds_distance(name: str) -> None:
    images = picture(224)
    distances = [far(corrupt(images, name, severity, [0]), images) for severity in SEVERITIES]
    assert distances == sorted(distances)
    assert len(set(distances)) == 5


@pytest.mark.parametrize("name", ["fog", "frost", "snow"])
def test_weather_hides_more_with_severity(name: str) -> None:
    one, numbers = picture(32), range(40)
    images = one.expand(len(numbers), -1, -1, -1)

    def correlation(severity: int) -> float:
        made = corrupt(images, name, severity, numbers).flatten(1).numpy()
        return float(np.mean([np.corrcoef(m, one.flatten())[0, 1] for m in made]))

    left = [correlation(severity) for severity in SEVERITIES]
    assert left == sorted(left, reverse=True)
    assert 0.3 < left[4] < left[0] - 0.08


def test_glass_destroys_more_with_severity() -> None:
    images = picture(224)
    weak, *strong = (far(corrupt(images, "glass_blur", s, [0]), images) for s in (1, 3, 4, 5))
    assert weak < min(strong)


def test_waves_are_higher_with_severity() -> None:
    image = picture(96)[0].float() / 255
    made = [
        c._elastic_transform(image, rng(), strength=244 * s, smooth=2.44, corners=0)
        for s in (0.05, 0.07, 0.12)
    ]
    distances = [far(one, image) for one in made]
    assert 0 < distances[0] < distances[1] < distances[2]


class TestNoise:
    @pytest.mark.parametrize(("severity", "sd"), [(1, 0.08), (2, 0.12)])
    def test_gaussian_has_its_variance(self, severity: int, sd: float) -> None:
        noise = corrupt(GREY, "gaussian_noise", severity, [0]).double() / 255 - 128 / 255
        n = noise.numel()
        rounding = 1 / 255**2 / 12
        assert float(noise.var()) == pytest.approx(sd**2 + rounding, rel=5 * math.sqrt(2 / n))
        assert abs(float(noise.mean())) < 5 * sd / math.sqrt(n)

    @pytest.mark.parametrize(("severity", "photons"), [(1, 60), (2, 25)])
    def test_shot_noise_has_the_variance_of_photons(self, severity: int, photons: int) -> None:
        noise = corrupt(GREY, "shot_noise", severity, [0]).double() / 255
        expected = (
            128 / 255
        ) / photons  # of a Poisson count over its scale; clipped beyond four deviations only
        assert float(noise.var()) == pytest.approx(expected, rel=0.03)

    @pytest.mark.parametrize(
        ("severity", "share"), list(zip(SEVERITIES, (0.03, 0.06, 0.09, 0.17, 0.27), strict=True))
    )
    def test_impulse_noise_turns_so_many_black_or_white(self, severity: int, share: float) -> None:
        made = corrupt(GREY, "impulse_noise", severity, [0])
        slack = 5 * math.sqrt(share / 2 / made.numel())
        assert float((made == 0).float().mean()) == pytest.approx(share / 2, abs=slack)
        assert float((made == 255).float().mean()) == pytest.approx(share / 2, abs=slack)
        assert set(made.unique().tolist()) == {0, 128, 255}


class TestBlur:
    @pytest.mark.parametrize("name", KINDS["blur"])
    def test_leaves_an_even_image_as_it_was(self, name: str) -> None:
        assert far(corrupt(GREY[..., :48, :48], name, 5, [3]), GREY[..., :48, :48]) <= 1

    @pytest.mark.parametrize("radius", [3.0, 4.0, 6.0, 8.0, 10.0])
    def test_a_disc_has_its_area(self, radius: float) -> None:
        disc = c._disc(radius)
        assert float(disc.sum()) == pytest.approx(1)
        assert 1 / float(disc.max()) == pytest.approx(math.pi * radius**2, rel=0.05)
        assert torch.equal(disc, disc.T)
        assert torch.allclose(disc, disc.flip(0))

    def test_motion_draws_a_point_out_to_one_side_in_its_direction(self) -> None:
        point = torch.zeros(1, 224, 224)
        point[0, 112, 112] = 1
        smeared = c._smeared(point, 10, 3.0, 0.0)[0]
        places = smeared.nonzero()
        assert places[:, 0].unique().tolist() == [112]
        assert places[:, 1].tolist() == list(range(112 - 20, 113))  # 2 x 10 + 1 px
        ratio = smeared[112, 109] / smeared[112, 112]
        assert float(ratio) == pytest.approx(math.exp(-0.5 * (3 / 3) ** 2), rel=1e-5)
        turned = c._smeared(point, 10, 3.0, 90.0)[0]
        assert torch.allclose(turned, smeared.T)

    def test_a_zoom_of_two_shows_the_middle_twice_as_large(self) -> None:
        ramp = torch.linspace(0, 1, 64).expand(1, 64, 64)
        zoomed = c._zoomed(ramp, 2.0)[0, 0]
        assert zoomed.shape == (64,)
        assert zoomed[0].item() == pytest.approx(16 / 63)
        assert zoomed[-1].item() == pytest.approx(47 / 63)

    def test_glass_takes_colours_of_nearby_pixels_one_after_another(self) -> None:
        image = torch.arange(3 * 16 * 16.0).view(3, 16, 16) / 768
        made = c._glass_blur(image, rng(), sd=1e-3, reach=28, times=2)  # 28 px of 224 are 2 of 16
        expected, draws = image.clone(), rng()
        for _ in range(2):
            drawn = torch.randint(-28, 28, (2, 11 * 11), generator=draws) / 14
            down, right = (drawn + torch.rand(drawn.shape, generator=draws)).floor().int().view(2, 11, 11)
            places = range(13, 2, -1)
            for i, row in enumerate(places):
                for j, column in enumerate(places):
                    expected[:, row, column] = expected[:, row + down[i, j], column + right[i, j]]
        assert torch.allclose(made, expected)
        assert not torch.equal(expected, image)

    @pytest.mark.parametrize("reach", [1, 2, 4])
    def test_glass_moves_as_far_on_a_small_image_as_its_size_says(self, reach: int) -> None:
        """By a seventh of a distance of -reach to reach - 1 px, as the chance to move by whole ones."""
        columns = torch.arange(32.0).expand(1, 32, 32)
        made = torch.cat(
            [c._glass_blur(columns, rng().manual_seed(i), sd=1e-3, reach=reach, times=1) for i in range(40)]
        )
        moved = (made - columns).abs()[:, 2:-2, 2:-2]
        expected = np.abs(np.arange(-reach, reach)).mean() / 7
        assert float(moved.mean()) == pytest.approx(expected, rel=0.15)


class TestWeather:
    def test_panes_are_as_bright_and_as_varied_as_the_photographs_of_the_published_code(self) -> None:
        """Five photographs, 60 cuts of 224 px of each: 0.56, 0.65 and 0.69, and 0.15 from one to another."""
        panes = torch.stack([c._ice((32, 32), rng().manual_seed(i)) for i in range(300)])
        assert panes.mean((0, 2, 3)).tolist() == pytest.approx([0.564, 0.647, 0.693], abs=0.03)
        assert float(panes.mean((1, 2, 3)).std()) == pytest.approx(0.149, abs=0.03)

    def test_brightness_raises_the_value_and_keeps_hue_and_saturation(self) -> None:
        colour = torch.tensor([100, 50, 25], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 8, 8)
        made = corrupt(colour, "brightness", 2, [0])[0, :, 0, 0].tolist()
        value = (100 / 255 + 0.2) / (100 / 255)  # of hue, saturation and value the last alone
        assert made == [round(100 * value), round(50 * value), round(25 * value)]

    def test_brightness_stops_at_white_and_lifts_black_to_grey(self) -> None:
        white, black = (
            torch.full((1, 3, 8, 8), 250, dtype=torch.uint8),
            torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        )
        assert corrupt(white, "brightness", 5, [0]).unique().tolist() == [255]
        assert corrupt(black, "brightness", 5, [0]).unique().tolist() == [round(0.5 * 255)]

    def test_a_heightmap_reaches_from_zero_to_one_and_has_no_seam(self) -> None:
        heights = c._heights((64, 64), 2.0, rng())
        assert float(heights.min()) == 0
        assert float(heights.max()) == 1
        seam = float((heights[:, 0] - heights[:, -1]).abs().mean())
        inside = float((heights[:, 1:] - heights[:, :-1]).abs().mean())
        assert seam < 2 * inside

    def test_a_grid_keeps_its_heights_when_it_is_halved(self) -> None:
        grid = torch.tensor([[0.0, 4.0], [8.0, 12.0]])
        fine = c._halved(grid, 0.0, rng())
        assert torch.equal(fine[::2, ::2], grid)
        assert fine[1, 1] == (0 + 4 + 8 + 12) / 4
        assert fine[0, 1] == (0 + 4 + 6 + 6) / 4  # all middles are 6 on so small a torus

    def test_fog_of_a_black_image_is_none(self) -> None:
        assert corrupt(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "fog", 5, [0]).max() == 0


class TestDigital:
    @pytest.mark.parametrize(
        ("severity", "kept"), list(zip(SEVERITIES, (0.4, 0.3, 0.2, 0.1, 0.05), strict=True))
    )
    def test_contrast_pulls_each_colour_to_its_mean(self, severity: int, kept: float) -> None:
        images = picture(32)
        mean = images.double().mean((2, 3), keepdim=True)
        expected = mean + kept * (images.double() - mean)
        made = corrupt(images, "contrast", severity, [0]).double()
        assert float((made - expected).abs().max()) <= 0.5 + 1e-4

    def test_pixels_of_two_by_two_are_the_mean_of_four(self) -> None:
        images = picture(32)
        made = corrupt(images, "pixelate", 2, [0])  # 0.5
        fours = images.double().unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
        large = fours.repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert float((made.double() - large).abs().max()) <= 1  # rounded along each side

    @pytest.mark.parametrize(("severity", "quality"), [(1, 25), (5, 7)])
    def test_jpeg_is_that_of_another_encoder_of_the_same_quality(self, severity: int, quality: int) -> None:
        images = picture(64)
        stream = io.BytesIO()
        Image.fromarray(images[0].permute(1, 2, 0).numpy()).save(stream, "JPEG", quality=quality)
        other = np.asarray(Image.open(stream)).astype(float)
        made = corrupt(images, "jpeg_compression", severity, [0])[0].permute(1, 2, 0).double().numpy()
        assert np.abs(made - other).mean() < 1

    def test_elastic_moves_by_nothing_where_nothing_may_move(self) -> None:
        image = picture(32)[0].float() / 255
        made = c._elastic_transform(image, rng(), strength=0, smooth=1, corners=0)
        assert torch.allclose(made, image, atol=1e-4)

    def test_waves_are_as_high_on_a_small_image_as_its_size_says(self) -> None:
        def height(side: int) -> float:
            columns = torch.arange(float(side)).expand(1, side, side)
            made = [
                c._elastic_transform(columns, rng().manual_seed(i), strength=12.2, smooth=2.44, corners=0)
                for i in range(5 if side > 100 else 40)
            ]
            return float((torch.cat(made) - columns)[:, 4:-4, 4:-4].std())

        kept = 1 / (2 * math.sqrt(math.pi) * 2.44)  # of the deviation of white noise, by a normal kernel
        assert height(224) == pytest.approx(12.2 * kept / math.sqrt(3), rel=0.05)
        assert height(32) == pytest.approx(height(224) / 7, rel=0.1)

    def test_three_points_move_where_they_are_drawn_to(self) -> None:
        places = c._affine(30, 30, 5.0, rng())
        new = torch.tensor([[25.0, 25.0], [25.0, 5.0], [5.0, 5.0]])
        new = new + c._uniform((3, 2), -5, 5, rng())
        # An affine map is known from three corners of the image.
        base, right, down = places[0, 0], places[0, 1] - places[0, 0], places[1, 0] - places[0, 0]
        back = base + new[:, :1] * right + new[:, 1:] * down
        assert torch.allclose(back, torch.tensor([[25.0, 25.0], [25.0, 5.0], [5.0, 5.0]]), atol=1e-3)


class TestNames:
    def test_are_read(self) -> None:
        assert read_corruption("fog:3") == ("fog", 3)

    @pytest.mark.parametrize("text", ["fogg:3", "fog", "fog:0", "fog:6", "fog:1.0", "", "fog:1:2"])
    def test_others_are_refused_with_what_to_write(self, text: str) -> None:
        with pytest.raises(BenchError) as error:
            read_corruption(text)
        assert error.value.tip
