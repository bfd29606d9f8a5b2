"""Images to evaluate on: which files are taken, in which order, with which classes; how they are loaded."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from bench.datasets import _imagenet
from bench.datasets._imagenet import categories
from bench.datasets.classes import _IMAGENETTE, ClassMap, Vocabulary
from bench.datasets.evaluation import EvaluationSet, _balanced
from bench.datasets.loader import Loader
from bench.datasets.transforms import Transform
from bench.errors import BenchError, UnknownNameError, UnsupportedError

KEPT = Transform.read({"resize": None, "crop": None})


def write(path: Path, colour: tuple[int, int, int] = (1, 2, 3), mode: str = "RGB") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), colour).convert(mode).save(path)
    return path


def folder(root: Path, *classes: str, count: int = 2) -> Path:
    for name in classes:
        for i in range(count):
            write(root / name / f"{i}.png")
    return root


# --- which images ---


def test_a_split_is_read_as_image_folder_reads_it(tmp_path: Path) -> None:
    folder(tmp_path / "val", "b", "a", "a b")
    folder(tmp_path / "train", "a", "b")
    write(tmp_path / "val" / "a" / "deep" / "x.png")
    images = EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    theirs = ImageFolder(tmp_path / "val")
    assert list(images.images) == [path for path, _ in theirs.samples]
    assert images.labels.tolist() == theirs.targets
    assert list(images.classes) == theirs.classes
    assert images.names[0] == "a/0.png"


def test_a_folder_needs_no_images_to_train_on(tmp_path: Path) -> None:
    folder(tmp_path / "test", "a", "b")
    images = EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    assert (len(images), images.note) == (4, "test/ stands for val")
    plain = EvaluationSet.of(f"imagefolder:{tmp_path / 'test'}", "val")
    assert (len(plain), plain.note) == (4, "it is not split: all its images are taken")


def test_a_split_that_is_not_there_is_told(tmp_path: Path) -> None:
    folder(tmp_path / "train", "a", "b")
    with pytest.raises(UnknownNameError, match="unknown split 'val'"):
        EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    with pytest.raises(UnsupportedError, match="there is no folder"):
        EvaluationSet.of(f"imagefolder:{tmp_path}/nowhere", "val")


@pytest.mark.parametrize("beside", [(), ("train",)])
def test_images_of_a_split_that_no_folder_tells_the_classes_of_are_told(
    tmp_path: Path, beside: tuple[str, ...]
) -> None:
    """As ImageNet's validation images come out of their archive."""
    folder(tmp_path, "val", count=3)
    for part in beside:
        folder(tmp_path / part, "a", "b")
    with pytest.raises(UnsupportedError, match="val holds 3 images, and no folder for each class"):
        EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    folder(tmp_path, "cat")  # beside which it is a class
    if not beside:
        assert EvaluationSet.of(f"imagefolder:{tmp_path}", "val").classes == ("cat", "val")


def test_of_an_unsplit_folder_a_fifth_is_what_trainings_are_tested_on(tmp_path: Path) -> None:
    from bench.datasets import find, read

    folder(tmp_path, "a", "b", count=10)
    for name in ("a", "b"):
        for i in range(10):
            write(tmp_path / name / f"{i}.png", (i, 99, 200))
    images = EvaluationSet.of(f"imagefolder:{tmp_path}", "test")
    assert len(images) == len(read(find(f"imagefolder:{tmp_path}"), "test")) == 4
    assert images.labels.tolist() == [0, 0, 1, 1]


def test_a_class_without_images_keeps_its_place(tmp_path: Path) -> None:
    folder(tmp_path, "a", "c")
    (tmp_path / "b").mkdir()
    images = EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    assert (images.classes, images.labels.tolist()) == (("a", "b", "c"), [0, 0, 2, 2])
    assert "no images of b" in images.note


def test_folders_of_one_name_in_two_spellings_are_one_class(tmp_path: Path) -> None:
    """As a training has them: letters with accents are composed, or not."""
    composed, split = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    folder(tmp_path, composed, split, "tea")
    images = EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    assert images.classes == (composed, "tea")
    assert images.labels.tolist() == [0, 0, 0, 0, 1, 1]


def test_other_files_have_another_digest(tmp_path: Path) -> None:
    folder(tmp_path, "a", "b")
    before = EvaluationSet.of(f"imagefolder:{tmp_path}", "val").sha256
    assert EvaluationSet.of(f"imagefolder:{tmp_path}", "val").sha256 == before
    write(tmp_path / "a" / "9.png")
    assert EvaluationSet.of(f"imagefolder:{tmp_path}", "val").sha256 != before


def test_digits_are_their_test_images() -> None:
    images = EvaluationSet.of("digits", "val")
    assert (len(images), images.names[3], images.classes[9]) == (382, "3", "9")
    with pytest.raises(UnknownNameError, match="unknown split 'holdout'"):
        EvaluationSet.of("digits", "holdout")


def test_a_part_is_balanced_and_always_the_same() -> None:
    labels = torch.tensor([0] * 50 + [1] * 3 + [2] * 40)
    chosen = _balanced(labels, 23, seed=0)
    assert torch.equal(chosen, _balanced(labels, 23, seed=0))
    assert not torch.equal(chosen, _balanced(labels, 23, seed=1))
    assert labels[chosen].bincount().tolist() == [10, 3, 10]
    assert (
        sorted(labels[_balanced(labels, 2, seed=0)].unique().tolist())
        == labels[_balanced(labels, 2, 0)].tolist()
    )
    assert _balanced(labels, 93, seed=0).tolist() == list(range(93))


def test_a_part_knows_where_its_images_stand_in_the_whole(tmp_path: Path) -> None:
    whole = EvaluationSet.of("digits", "val")
    part = whole.limited(20, seed=0)
    assert len(part) == 20
    assert [str(n) for n in part.numbers.tolist()] == list(part.names)
    assert torch.equal(part.labels, whole.labels[part.numbers])
    assert len(whole.limited(0, seed=0)) == len(whole)


# --- which class ---


def test_names_of_the_network_come_first() -> None:
    classes = ClassMap.of(["b", "a"], Vocabulary(3, ("a", "b", "c")))
    assert (classes.outputs, classes.by, classes.is_part) == ((1, 0), "names", True)


def test_names_are_matched_however_they_are_written() -> None:
    assert (
        ClassMap.of(
            ["caf\N{LATIN SMALL LETTER E WITH ACUTE}"], Vocabulary(1, ("cafe\N{COMBINING ACUTE ACCENT}",))
        ).by
        == "names"
    )
    classes = ClassMap.of(["gas_pump", "Golf-Ball", "church"], Vocabulary(1000))
    assert (classes.outputs, classes.by) == ((571, 574, 497), "names")


@pytest.mark.parametrize("names", [(), ("tench", *map(str, range(1, 1000)))])
def test_a_folder_that_is_called_in_another_way_than_the_others_is_named(names: tuple[str, ...]) -> None:
    vocabulary = Vocabulary(1000, names)
    with pytest.raises(
        UnsupportedError, match="9 of 10 class folders are called by WordNet ids, 'parachute'"
    ):
        ClassMap.of([*list(_IMAGENETTE)[:-1], "parachute"], vocabulary)
    with pytest.raises(UnsupportedError, match="3 of 5 .* by numbers, 'cat' and 1 more are not"):
        ClassMap.of(["7", "8", "9", "cat", "dog"], vocabulary)


def test_synonyms_stand_behind_commas() -> None:
    assert ClassMap.of(["Tinca tinca"], Vocabulary(2, ("goldfish", "tench, Tinca tinca"))).outputs == (1,)


def test_imagenette_is_known_by_its_ids() -> None:
    classes = ClassMap.of(list(_IMAGENETTE), Vocabulary(1000))
    assert classes.outputs == (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)
    names = ["tench", "English springer", "cassette player", "chain saw", "church"]
    assert [categories()[n] for n in classes.outputs[:5]] == names
    assert "10 of the network's 1000 classes" in classes.note


def test_a_thousand_ids_are_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = _imagenet.ids() or tuple(f"n{number:08d}" for number in range(1000))
    if not _imagenet.ids():
        lines = "".join(f"{synset}\n" for synset in ids).encode()
        monkeypatch.setattr(_imagenet, "_SHA256", hashlib.sha256(lines).hexdigest())
    classes = ClassMap.of(ids, Vocabulary(1000))
    assert (classes.outputs, classes.by, classes.doubt) == (tuple(range(1000)), "wordnet_ids", "")


def test_ids_that_are_as_many_as_outputs_of_unknown_meaning_are_a_doubt() -> None:
    classes = ClassMap.of([*_IMAGENETTE], Vocabulary(10))
    assert (classes.outputs, classes.by) == (tuple(range(10)), "wordnet_ids")
    assert "not known: they are taken in the order of the WordNet ids" in classes.doubt


@pytest.mark.parametrize("name", ["LOC_synset_mapping.txt", "imagenet_class_index.json"])
def test_a_list_beside_the_images_tells_other_ids(tmp_path: Path, name: str) -> None:
    ids = [f"n{number:08d}" for number in range(1000)]
    text = "".join(f"{i} some words, and more\n" for i in ids)
    (tmp_path / name).write_text(
        json.dumps({str(n): [i, "w"] for n, i in enumerate(ids)}) if name.endswith("json") else text
    )
    classes = ClassMap.of([ids[7], ids[991]], Vocabulary(1000), tmp_path / "val")
    assert classes.outputs == (7, 991)
    assert name in classes.note


def test_a_list_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "LOC_synset_mapping.txt").write_text("tench\n")
    with pytest.raises(UnsupportedError, match="has 'tench' where a WordNet id belongs"):
        ClassMap.of(["n00000001"], Vocabulary(1000), tmp_path)


def test_numbers_are_outputs_and_their_order_as_text_is_a_doubt() -> None:
    names = sorted(map(str, range(11)))
    assert names[:3] == ["0", "1", "10"]
    classes = ClassMap.of(names, Vocabulary(11))
    assert classes.outputs == tuple(map(int, names))
    assert "sorted as text: 0, 1, 10, 2" in classes.doubt
    assert not ClassMap.of([f"{n:02d}" for n in range(11)], Vocabulary(11)).doubt
    assert ClassMap.of(["1", "2", "3"], Vocabulary(3)).outputs == (0, 1, 2)
    assert "numbered from 1" in ClassMap.of(["1", "2", "3"], Vocabulary(3)).note
    less = ClassMap.of(["1", "2"], Vocabulary(3))  # of 0 to 2 without 0, or of 1 to 3 without 3
    assert less.outputs == (1, 2)
    assert "run from 1 to 2, and may be counted from 1" in less.doubt
    assert not ClassMap.of(["0", "1"], Vocabulary(3)).doubt
    assert not ClassMap.of(["217", "482"], Vocabulary(1000)).doubt


@pytest.mark.parametrize(
    ("classes", "vocabulary", "message"),
    [
        (
            ["a", "b", "dragon"],
            Vocabulary(2, ("a", "b")),
            "class 'dragon' is none of the network's; .* 3 classes, .* 2",
        ),
        (["a", "b", "c"], Vocabulary(2), "3 classes, the network 2 outputs, whose names are not known"),
        (["a"], Vocabulary(2), "1 classes, the network 2 outputs, whose names are not known"),
        (["0", "7"], Vocabulary(3), "class 7 is none of the network's 3 outputs"),
        (["1", "01"], Vocabulary(3), "two folders have the same number"),
        (["CRANE"], Vocabulary(2, ("crane", "Crane")), "may be any of the outputs 0, 1"),
        (["n00000001"], Vocabulary(1000), "are not known among 1000 outputs"),
        (
            [*_IMAGENETTE, "n00000001"],
            Vocabulary(1000),
            "1 of 11 WordNet ids, such as n00000001, are not known among 1000",
        ),
        (
            [*_IMAGENETTE][:9],
            Vocabulary(10),
            "9 classes, the network 10 outputs, whose WordNet ids are not known",
        ),
        ([*_IMAGENETTE], Vocabulary(9), "10 classes, the network 9 outputs, whose WordNet ids are not known"),
        (["A", "a"], Vocabulary(2, ("a", "b")), "two folders mean the same class"),
        (
            ["tench", "dragon"],
            Vocabulary(1000),
            "'dragon' is none of the network's; .*, taken to be ImageNet's",
        ),
    ],
)
def test_classes_that_fit_no_outputs_are_told(
    classes: list[str], vocabulary: Vocabulary, message: str
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        ClassMap.of(classes, vocabulary)


def test_a_class_in_place_of_one_of_imagenet_is_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"n{number:08d}" for number in range(1000)]
    monkeypatch.setattr(_imagenet, "ids", tuple)
    assert "some of the WordNet ids are none of ImageNet's" in ClassMap.of(ids, Vocabulary(1000)).doubt
    monkeypatch.setattr(_imagenet, "ids", lambda: tuple(ids))
    assert "n00001000 is none of ImageNet's" in ClassMap.of([*ids[1:], "n00001000"], Vocabulary(1000)).doubt


def test_what_is_taken_by_order_alone_is_told() -> None:
    classes = ClassMap.of(["x", "y"], Vocabulary(2))
    assert (classes.outputs, classes.by) == ((0, 1), "order")
    assert "not known" in classes.doubt


# --- loading ---


def test_images_of_every_kind_become_colours(tmp_path: Path) -> None:
    colour = (200, 100, 50)
    for mode, ending in (
        ("RGB", "png"),
        ("L", "png"),
        ("P", "png"),
        ("RGBA", "png"),
        ("CMYK", "jpg"),
        ("1", "bmp"),
    ):
        write(tmp_path / "a" / f"{mode}.{ending}", colour, mode)
    images = EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    (batch,) = Loader(images, KEPT, 2).batches(range(6), 8)
    assert batch.pixels.shape == (6, 3, 4, 4)
    found = dict(
        zip((n.partition("/")[2] for n in images.names), batch.pixels[..., 0, 0].tolist(), strict=True)
    )
    assert found["RGB.png"] == found["RGBA.png"] == list(colour)
    grey = found["L.png"]
    assert len(set(grey)) == 1
    assert np.abs(np.array(found["CMYK.jpg"]) - colour).max() <= 3


def test_which_way_up_a_photograph_was_taken_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    image = Image.new("RGB", (6, 4), (1, 2, 3))
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    image.save(tmp_path / "a" / "x.jpg", exif=exif)
    images = EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    assert Loader(images, KEPT, 1).one(0).shape == (3, 4, 6)


def test_a_torn_image_is_left_out_with_the_reason(tmp_path: Path) -> None:
    folder(tmp_path, "a", count=5)
    rng = np.random.default_rng(0)
    whole = tmp_path / "a" / "2.jpg"
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).resize((4, 4)).save(whole)
    (tmp_path / "a" / "3.png").write_bytes(b"no image")
    whole.write_bytes(whole.read_bytes()[:-200])
    images = EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    batches = list(Loader(images, KEPT, 2).batches(range(len(images)), 2))
    left = [one for batch in batches for one in batch.left_out]
    assert [images.names[number] for number, _ in left] == ["a/2.jpg", "a/3.png"]
    assert all(reason for _, reason in left)
    assert [n for batch in batches for n in batch.numbers] == [0, 1, 3, 5]


def test_want_of_memory_leaves_no_image_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(loader: Loader, number: int) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(Loader, "one", full)
    images = EvaluationSet.of(f"imagefolder:{folder(tmp_path, 'a')}", "val")
    with pytest.raises(MemoryError):
        list(Loader(images, KEPT, 1).batches(range(2), 2))


def test_images_of_several_sizes_make_no_batch(tmp_path: Path) -> None:
    folder(tmp_path, "a")
    Image.new("RGB", (9, 9)).save(tmp_path / "a" / "large.png")
    images = EvaluationSet.of(f"imagefolder:{tmp_path}", "val")
    with pytest.raises(BenchError, match="several sizes"):
        list(Loader(images, KEPT, 1).batches(range(3), 3))


def test_batches_come_in_order_and_what_changes_them_knows_their_number() -> None:
    images = EvaluationSet.of("digits", "val").limited(50, seed=3)
    grey = KEPT.changed({"channels": 1, "mean": [0.5], "std": [0.5]})
    seen = []

    def change(pixels: torch.Tensor, number: int) -> torch.Tensor:
        seen.append(number)
        return pixels

    batches = list(Loader(images, grey, 3, change).batches(range(50), 16))
    assert [len(batch.numbers) for batch in batches] == [16, 16, 16, 2]
    assert isinstance(images.images, torch.Tensor)
    assert torch.equal(torch.cat([batch.pixels for batch in batches]), images.images)
    assert sorted(seen) == images.numbers.tolist()
