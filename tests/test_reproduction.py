"""The verdict on a published accuracy, and six planted causes, each of which must be named and no other."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from evaluated import TRANSFORM, evaluated, read, right_so_often
from PIL import Image
from scipy.stats import norm
from torch import Tensor, nn

from bench.analysis.evaluations import Evaluation
from bench.analysis.variations import Variation, _Cause
from bench.datasets.transforms import Transform
from bench.facts import SETS
from bench.facts.reproduction import Reproduction, _published_of
from bench.records.record import Record

LABELS = np.repeat(np.arange(10), 40)


def trained(top1: float, images: int = len(LABELS)) -> dict[str, Any]:
    """Return the detail of weights whose training came to this accuracy."""
    return {
        "trained_top1": {"top1": top1, "images": images, "dataset": "imagefolder:pictures", "source": "run x"}
    }


def verdicts(path: Path, *records: Record) -> list[Reproduction]:
    return Reproduction.of_each(read(path, *records))


class TestAllImages:
    def test_reproduced_to_the_digit(self, tmp_path: Path) -> None:
        record = evaluated(tmp_path, "a", right_so_often(LABELS, 0.9, 10), LABELS, detail=trained(0.9))
        (one,) = verdicts(tmp_path, record)
        assert one.word == "reproduced"
        assert "to the digit" in one.why
        assert "not to the digit" not in one.why

    def test_reproduced_within_the_interval_says_how_far_off(self, tmp_path: Path) -> None:
        record = evaluated(tmp_path, "a", right_so_often(LABELS, 0.9, 10), LABELS, detail=trained(0.91))
        (one,) = verdicts(tmp_path, record)
        assert one.word == "reproduced"
        assert "not to the digit: 4 images apart" in one.why  # (0.91 - 0.9) x 400

    def test_not_reproduced_without_tries_explains_nothing(self, tmp_path: Path) -> None:
        record = evaluated(tmp_path, "a", right_so_often(LABELS, 0.8, 10), LABELS, detail=trained(0.9))
        (one,) = verdicts(tmp_path, record)
        assert one.word == "not reproduced"
        assert one.causes == ()
        assert [t.cause for t in one.tries] == ["label order"]  # which needs no evaluation
        assert "The only try, label order, does not explain it" in one.sentence

    def test_images_left_out_count_as_there(self, tmp_path: Path) -> None:
        record = evaluated(
            tmp_path, "a", right_so_often(LABELS, 0.9, 10), LABELS, detail=trained(0.9, 402), left_out=2
        )
        (one,) = verdicts(tmp_path, record)
        assert one.word == "reproduced"
        assert "all 400 images but 2" in one.why

    def test_images_left_out_that_may_change_the_verdict_make_it_one_of_a_part(self, tmp_path: Path) -> None:
        """360 of 400 are right, and 0.9 holds; of the 40 left out, all may be wrong: 360 of 440 are 82 %."""
        record = evaluated(
            tmp_path, "a", right_so_often(LABELS, 0.9, 10), LABELS, detail=trained(0.9, 440), left_out=40
        )
        (one,) = verdicts(tmp_path, record)
        assert one.word == "compatible"
        assert "on 400 images of 440, which cannot reproduce it" in one.why


class TestPart:
    def test_is_compatible_at_most(self, tmp_path: Path) -> None:
        record = evaluated(
            tmp_path, "a", right_so_often(LABELS, 0.9, 10), LABELS, detail=trained(0.9, 10_000)
        )
        (one,) = verdicts(tmp_path, record)
        assert one.word == "compatible"
        assert "on 400 images of 10,000" in one.why
        assert "cannot reproduce" in one.why

    def test_is_refused_by_a_score_test(self, tmp_path: Path) -> None:
        record = evaluated(
            tmp_path, "a", right_so_often(LABELS, 0.8, 10), LABELS, detail=trained(0.9, 10_000)
        )
        (one,) = verdicts(tmp_path, record)
        z = (0.9 - 0.8) / math.sqrt(0.9 * 0.1 / 400)
        assert one.effect.p == pytest.approx(2 * norm.sf(z))
        assert one.word == "not reproduced"

    def test_of_many_networks_the_test_is_one_of_many(self, tmp_path: Path) -> None:
        """p of one is 0.04, which alone would refuse it."""
        off = 0.9 - 2.054 * math.sqrt(0.9 * 0.1 / 400)
        strange = evaluated(
            tmp_path, "a", right_so_often(LABELS, off, 10), LABELS, detail=trained(0.9, 10_000)
        )
        sound = [
            evaluated(
                tmp_path, f"net{i}", right_so_often(LABELS, 0.9, 10, i), LABELS, detail=trained(0.9, 10_000)
            )
            for i in range(5)
        ]
        (alone,) = verdicts(tmp_path, strange)
        assert alone.word == "not reproduced"
        assert [one.word for one in verdicts(tmp_path, strange, *sound)] == ["compatible"] * 6

    def test_a_limit_is_a_part_even_of_so_many(self, tmp_path: Path) -> None:
        record = evaluated(tmp_path, "a", LABELS, LABELS, detail=trained(0.995), limit=400)
        (one,) = verdicts(tmp_path, record)
        assert one.word == "compatible"

    def test_a_part_of_the_classes_is_not_compared(self, tmp_path: Path) -> None:
        record = evaluated(
            tmp_path,
            "a",
            right_so_often(LABELS, 0.5, 10),
            LABELS,
            outputs=1000,
            published={"top1": 0.8, "source": "x"},
            weights="W",
        )
        (one,) = verdicts(tmp_path, record)
        assert one.word == "not comparable"
        assert "10 of the network's 1000 classes" in one.why
        assert one.tries == ()


class TestPublished:
    FACTS = pd.DataFrame(
        [
            ("resnet50.a1_in1k", 224, 0.95, "bicubic", 0.80, "val"),
            ("resnet50.a1_in1k", 288, 1.0, "bicubic", 0.81, "val"),
            ("resnet50.a1_in1k", 224, 0.95, "bicubic", 0.70, "v2"),
            ("torchvision:resnet50.IMAGENET1K_V2", 224, 0.965, "bilinear", 0.808, "val"),
        ],
        columns=["weights", "input_size", "crop", "interpolation", "top1", "set"],
    ).assign(source="facts")

    def of(self, tmp_path: Path, arch: str, **fields: Any) -> Evaluation:
        record = evaluated(tmp_path, arch, [0, 1], [0, 1], **{"classes": 1000, **fields})
        (one,) = read(tmp_path, record).plain
        return one

    def test_is_of_the_weights_and_the_size(self, tmp_path: Path) -> None:
        timm = _published_of(self.of(tmp_path, "timm:resnet50.a1_in1k"), self.FACTS)
        assert timm is not None
        assert (timm.top1, timm.images) == (0.80, 50_000)
        larger = self.of(tmp_path, "timm:resnet50.a1_in1k", transform={"crop": [288, 288]})
        assert _published_of(larger, self.FACTS).top1 == 0.81  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("arch", "weights"),
        [
            ("torchvision:resnet50(weights='IMAGENET1K_V2')", "IMAGENET1K_V2"),
            ("torchvision:resnet50", "IMAGENET1K_V2"),
        ],
    )
    def test_finds_torchvisions_weights(self, tmp_path: Path, arch: str, weights: str) -> None:
        found = _published_of(self.of(tmp_path, arch, weights=weights), self.FACTS)
        assert found is not None
        assert found.top1 == 0.808
        assert dict(found.told or {}) == {"input_size": 224, "crop": 0.965, "interpolation": "bilinear"}

    def test_finds_timms_weights_by_their_tag(self, tmp_path: Path) -> None:
        found = _published_of(
            self.of(tmp_path, "timm:resnet50(weights='a1_in1k')", weights="a1_in1k"), self.FACTS
        )
        assert found is not None

    def test_of_ten_thousand_images_it_is_another_set(self, tmp_path: Path) -> None:
        one = self.of(tmp_path, "timm:resnet50.a1_in1k", left_out=SETS["v2"][0] - 2)
        assert _published_of(one, self.FACTS).top1 == 0.70  # type: ignore[union-attr]

    @pytest.mark.parametrize("fields", [{"data": "other"}, {"split": "train"}])
    def test_a_training_says_it_of_its_test_images_alone(
        self, tmp_path: Path, fields: dict[str, Any]
    ) -> None:
        (own,) = verdicts(tmp_path, evaluated(tmp_path, "a", [0, 1], [0, 1], detail=trained(1.0, 2)))
        assert own.word == "reproduced"
        (other,) = verdicts(
            tmp_path, evaluated(tmp_path, "a", [0, 1], [0, 1], detail=trained(1.0, 2), **fields)
        )
        assert other.word == "nothing published"

    def test_of_what_is_published_of_other_images_alone_there_is_none(self, tmp_path: Path) -> None:
        rows = self.FACTS.assign(set="real")
        assert _published_of(self.of(tmp_path, "timm:resnet50.a1_in1k"), rows) is None

    def test_of_unknown_weights_or_other_classes_there_is_none(self, tmp_path: Path) -> None:
        assert _published_of(self.of(tmp_path, "timm:resnet50.other"), self.FACTS) is None
        assert _published_of(self.of(tmp_path, "timm:resnet50.a1_in1k", classes=10), self.FACTS) is None
        (none,) = verdicts(tmp_path, evaluated(tmp_path, "b", [0, 1], [0, 1]))
        assert none.word == "nothing published"

    def test_facts_that_cannot_be_read_are_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "facts").mkdir()
        (tmp_path / "facts" / "accuracy.parquet").write_bytes(b"PAR1 and no more")
        monkeypatch.setenv("BENCH_FACTS", str(tmp_path / "facts"))
        (one,) = verdicts(tmp_path, evaluated(tmp_path, "b", [0, 1], [0, 1]))
        assert one.word == "nothing published"
        assert "cannot read the facts" in one.why

    def test_a_card_says_it_of_weights_alone(self, tmp_path: Path) -> None:
        card = {"published": {"top1": 0.7, "source": "paper"}}
        assert _published_of(self.of(tmp_path, "net", **card), self.FACTS) is None
        assert _published_of(self.of(tmp_path, "net", weights="W", **card), self.FACTS).top1 == 0.7  # type: ignore[union-attr]


class TestVariations:
    def test_what_comes_to_the_same_is_tried_once(self) -> None:
        used = {**TRANSFORM, "mean": [0.0] * 3, "std": [1.0] * 3, "resize": 300}
        wholes = [{**used, **one.changes} for one in Variation.to_try(used, None, dict(TRANSFORM))]
        assert used not in wholes
        assert all(whole not in wholes[:at] for at, whole in enumerate(wholes))
        assert dict(TRANSFORM) in wholes  # all of it together

    def test_each_changes_one_thing(self) -> None:
        made = Variation.to_try(TRANSFORM)
        assert {one.cause for one in made} == {*get_args(_Cause)} - {"label order"}
        for one in made:
            assert Variation.between(TRANSFORM, {**TRANSFORM, **one.changes})[0] == one.cause
            Transform.read({**TRANSFORM, **one.changes})

    def test_what_is_published_is_tried_first(self) -> None:
        made = Variation.to_try(TRANSFORM, {"input_size": 200, "crop": 0.8})
        sizes = [one for one in made if one.cause == "size"]
        assert sizes[0].changes == {"resize": round(200 * 256 / 224), "crop": [200, 200]}
        crops = [one for one in made if one.cause == "crop"]
        assert crops[0].changes == {"resize": round(224 / 0.8)}

    def test_grey_images_have_no_order_of_colours(self) -> None:
        grey = {**TRANSFORM, "channels": 1, "mean": [0.449], "std": [0.226]}
        made = Variation.to_try(grey)
        assert "colour order" not in {one.cause for one in made}
        assert all(len(one.changes["mean"]) == 1 for one in made if one.cause == "normalisation")
        for one in made:
            Transform.read({**grey, **one.changes})

    def test_what_is_not_resized_has_no_interpolation(self) -> None:
        own = {**TRANSFORM, "resize": None, "crop": None}
        assert {one.cause for one in Variation.to_try(own)} == {"normalisation", "colour order"}

    def test_several_changes_are_told(self) -> None:
        other = {**TRANSFORM, "resize": 236, "interpolation": "bicubic"}
        assert Variation.between(TRANSFORM, other)[0] == "crop and interpolation"
        assert Variation.between(TRANSFORM, dict(TRANSFORM)) == ("", "")


# --- planted causes ---

SIDE, COUNT, CLASSES = 60, 240, 8
RIGHT = {**TRANSFORM, "resize": 37, "crop": [32, 32]}
PLANTED: Mapping[str, Mapping[str, Any]] = {
    "size": {"resize": 56, "crop": [48, 48]},
    "crop": {"resize": 32},
    "interpolation": {"interpolation": "nearest"},
    "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    "colour order": {"colour": "bgr"},
}


@dataclass
class Setting:
    """A network, its images, and labels of which it tells about nine of ten right as it was trained."""

    network: nn.Module
    images: list[Image.Image]
    labels: np.ndarray
    said: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # by transform: most are asked for in many tests
    seen: dict[str, Tensor] = field(default_factory=dict)  # pixels, by what of a transform they depend on

    def says(self, transform: Mapping[str, Any]) -> np.ndarray:
        key = json.dumps(dict(transform), sort_keys=True)
        if key not in self.said:
            whole = Transform.read(dict(transform))
            with torch.inference_mode():
                few = whole.normalised(self._pixels(transform, whole)).split(
                    20
                )  # whose maps stay in the cache
                answers = torch.cat([self.network(images).argmax(1) for images in few])
            self.said[key] = answers.numpy()
        return self.said[key]

    def _pixels(self, transform: Mapping[str, Any], whole: Transform) -> Tensor:
        sides = {k: v for k, v in transform.items() if k not in ("mean", "std", "scale")}
        key = json.dumps(sides, sort_keys=True)
        if key not in self.seen:
            seen = torch.stack([whole.pixels(image) for image in self.images])
            self.seen[key] = seen.contiguous(memory_format=torch.channels_last)  # which takes half the time
        return self.seen[key]


class Net(nn.Module):
    """Edges and colours in a coarse grid, against thresholds: all that is done to an image matters."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 24, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten())
        self.head = nn.Linear(24 * 16, CLASSES)
        self.centre = torch.zeros(CLASSES)
        self.spread = torch.ones(CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return (self.head(self.body(images)) - self.centre) / self.spread


@cache
def setting() -> Setting:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = []
    for _ in range(COUNT):
        colours = rng.uniform(0, 255, (5, 5, 3)).astype(np.uint8)
        coarse = np.asarray(Image.fromarray(colours).resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype(
            float
        )
        noise = rng.normal(0, 30, (SIDE, SIDE, 3))
        images.append(Image.fromarray(np.clip(coarse + noise, 0, 255).astype(np.uint8)))
    network = Net().eval().to(memory_format=torch.channels_last)
    made = Setting(network, images, np.zeros(COUNT, dtype=np.int64))
    whole = Transform.read(dict(RIGHT))
    with torch.inference_mode():
        scores = network(whole.normalised(torch.stack([whole.pixels(image) for image in images])))
        network.centre, network.spread = scores.mean(0), scores.std(0)  # so that all classes are answered
    made.labels = right_so_often(made.says(RIGHT), 0.9, CLASSES)
    return made


def evaluate(
    path: Path,
    transform: Mapping[str, Any] | None = None,
    order: Sequence[int] = range(CLASSES),
    declared: Mapping[str, Any] | None = None,
) -> Record:
    """Return the record of the network with changes of `TRANSFORM`, its outputs in another order."""
    one = setting()
    given = {k: v for k, v in {**RIGHT, **(transform or {})}.items() if TRANSFORM[k] != v}
    said = np.asarray(order)[one.says({**TRANSFORM, **given})]
    detail = trained(float((one.says(RIGHT) == one.labels).mean()), COUNT)
    detail |= {} if declared is None else {"declared_transform": dict(declared)}
    return evaluated(path, "net", said, one.labels, classes=CLASSES, transform=given, detail=detail)


def _assumed(record: Record) -> Record:
    """Return an evaluation of a network that declares no transform, and of which nothing is published."""
    top1, *rest = record.measurements
    detail = {key: value for key, value in top1.detail.items() if key != "trained_top1"}
    return record.changed(measurements=(top1.changed(detail=detail, flags=("assumed_transform",)), *rest))


def with_tries(path: Path, base: Record, order: Sequence[int] = range(CLASSES)) -> Reproduction:
    """Evaluate all that is to be tried of an evaluation, and return the verdict."""
    (one,) = Reproduction.of_each(read(path, base, *_all_tries(path, base, order)))
    return one


def _all_tries(
    path: Path, base: Record, order: Sequence[int] = range(CLASSES), *, assumed: bool = False
) -> list[Record]:
    """Evaluate what is to be tried, and what is to be tried after that, until nothing more is."""
    given, tries = base.job.settings.given["transform"], list[Record]()
    while True:
        wanted = [v for _, v in Reproduction.to_try(read(path, base, *tries), assumed=assumed)]
        made = [evaluate(path, {**RIGHT, **given, **v.changes}, order) for v in wanted]
        made = [_assumed(record) for record in made] if assumed else made
        assert [r.job.id for r in made[: len(tries)]] == [r.job.id for r in tries]  # nothing is taken back
        assert len({r.job.id for r in made}) == len(made)
        if len(made) == len(tries):
            return tries
        tries = made


class TestPlanted:
    def test_the_right_transform_is_reproduced_and_nothing_is_tried(self, tmp_path: Path) -> None:
        one = with_tries(tmp_path, evaluate(tmp_path))
        assert one.word == "reproduced"
        assert one.tries == ()
        assert one.cause_text == ""

    @pytest.mark.parametrize("cause", list(PLANTED))
    def test_is_named(self, tmp_path: Path, cause: str) -> None:
        one = with_tries(tmp_path, evaluate(tmp_path, PLANTED[cause]))
        assert one.word == "not reproduced"
        assert one.causes == (cause,)
        named = [t for t in one.tries if t.reaches and t.effect.verdict == "higher"]
        assert {t.cause for t in named} == {cause}
        assert f"Explained by {cause} (" in one.sentence
        assert one.sentence.count(" % (") == 3  # of the evaluation, the training, and its nearest try alone
        assert {t.cause for t in one.tries} == {*get_args(_Cause)}  # all are tried and told

    @pytest.mark.parametrize("cause", [*PLANTED, ""])
    def test_suits_better_where_the_transform_is_assumed_and_nothing_published(
        self, tmp_path: Path, cause: str
    ) -> None:
        base = _assumed(evaluate(tmp_path, PLANTED.get(cause)))
        assert Reproduction.to_try(read(tmp_path, base)) == []  # unless it is asked for
        tries = _all_tries(tmp_path, base, assumed=True)
        (one,) = Reproduction.of_each(read(tmp_path, base, *tries))
        assert (one.word, one.causes) == ("nothing published", ())
        assert {t.cause for t in one.tries} >= {*PLANTED}
        assert not any(t.reaches for t in one.tries)
        how = "up to 2 things" if cause else "one thing"  # what suits better is tried together with all else
        assert f"assumed; of {len(tries)} tries with {how} changed " in one.sentence
        assert (f"the most: {cause}, " if cause else "none suits it better for certain") in one.remark

    def test_the_order_of_labels_is_named(self, tmp_path: Path) -> None:
        order = [3, 1, 2, 0, 7, 5, 4, 6]
        one = with_tries(tmp_path, evaluate(tmp_path, order=order), order)
        assert one.causes == ("label order",)
        assert "another order" in one.remark

    @pytest.mark.parametrize("cause", ["crop", "normalisation", "colour order"])
    def test_the_order_of_labels_is_named_together_with_what_else_is_wrong(
        self, tmp_path: Path, cause: str
    ) -> None:
        order = [3, 1, 2, 0, 7, 5, 4, 6]
        one = with_tries(tmp_path, evaluate(tmp_path, PLANTED[cause], order=order), order)
        assert one.causes == (f"{cause} and label order",)

    @pytest.mark.parametrize(("swapped", "said"), [((3, 11), "another order"), ((3, 3), "")])
    def test_two_of_many_classes_that_are_swapped_are_noticed(
        self, tmp_path: Path, swapped: tuple[int, int], said: str
    ) -> None:
        """They are 4 % of the images, and nearly all of their own."""
        labels, order = np.repeat(np.arange(50), 40), np.arange(50)
        order[list(swapped)] = order[list(swapped)[::-1]]
        answers = order[right_so_often(labels, 0.8, 50)]
        (one,) = verdicts(tmp_path, evaluated(tmp_path, "a", answers, labels))
        assert (said in one.remark, bool(one.remark)) == (True, bool(said))

    @pytest.mark.parametrize(
        "causes",
        [
            ("normalisation", "colour order"),
            ("interpolation", "colour order"),
            ("size", "normalisation", "colour order"),
        ],
        ids=" and ".join,
    )
    def test_several_causes_are_named_together_in_few_tries(
        self, tmp_path: Path, causes: tuple[str, ...]
    ) -> None:
        planted = {key: value for cause in causes for key, value in PLANTED[cause].items()}
        one = with_tries(tmp_path, evaluate(tmp_path, planted))
        assert one.word == "not reproduced"
        assert " and ".join(causes) in one.causes
        assert sum("label order" not in t.cause for t in one.tries) <= 45  # passes over the images

    def test_what_no_try_explains_is_told_with_what_comes_nearest(self, tmp_path: Path) -> None:
        strange = {"mean": [0.9, 0.1, 0.7], "std": [0.11, 0.3, 0.7], **PLANTED["colour order"]}
        one = with_tries(tmp_path, evaluate(tmp_path, strange))
        assert one.causes == ()
        assert f"None of {len(one.tries)} tries, with up to " in one.sentence

    def test_two_causes_are_named_where_the_weights_declare_it_otherwise(self, tmp_path: Path) -> None:
        both = {**PLANTED["colour order"], **PLANTED["normalisation"]}
        one = with_tries(tmp_path, evaluate(tmp_path, both, declared=RIGHT))
        assert one.causes == ("normalisation and colour order",)

    @pytest.mark.parametrize("cause", ["crop", "normalisation", "colour order"])
    def test_one_of_two_is_named_alone_where_the_other_is_none(self, tmp_path: Path, cause: str) -> None:
        other = "std" if cause != "normalisation" else "interpolation"
        nothing = {"std": [0.2291, 0.224, 0.225], "interpolation": "hamming"}[other]
        one = with_tries(tmp_path, evaluate(tmp_path, {**PLANTED[cause], other: nothing}, declared=RIGHT))
        assert one.causes == (cause,)

    def test_weights_that_are_worse_have_no_cause_here(self, tmp_path: Path) -> None:
        base = evaluate(tmp_path)
        top1 = base.measurements[0]
        better = top1.changed(detail={**top1.detail, **trained(0.99, COUNT)})
        one = with_tries(tmp_path, base.changed(measurements=(better, *base.measurements[1:])))
        assert one.word == "not reproduced"
        assert one.causes == ()
