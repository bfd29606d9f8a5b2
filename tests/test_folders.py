"""Folders of images: what is found by looking at names, how files are decoded, and what is refused."""

from __future__ import annotations

import itertools
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_folders import SPLIT, fill, name_of, photograph
from PIL import Image

from bench.datasets import Files, find, read
from bench.datasets._images import _CHUNK, _decode
from bench.datasets.imagenette import _CLASSES
from bench.errors import UnsupportedError


def test_a_split_folder(tmp_path: Path) -> None:
    root = fill(tmp_path, SPLIT)
    dataset = find(name_of(root))
    assert (dataset.card.train, dataset.card.test) == (7, 3)
    assert dataset.class_names == ("cat", "dog")
    assert (dataset.card.num_classes, dataset.card.in_channels) == (2, 3)
    assert dataset.card.size == 12  # the shorter side, as it is below 224
    train, test = read(find(name_of(root), 8), "train"), read(find(name_of(root), 8), "test")
    assert train.images.shape == (7, 3, 8, 8)
    assert train.labels.tolist() == [0] * 4 + [1] * 3
    assert test.labels.tolist() == [0, 1, 1]


def test_folders_are_torchvisions(tmp_path: Path) -> None:
    from torchvision.datasets import ImageFolder

    root = fill(
        tmp_path, {"train/b/deep": 2, "train/B": 1, "train/a": 2, "test/a": 1, "test/b": 1, "test/B": 1}
    )
    (root / "train" / "a" / "notes.txt").touch()
    theirs = ImageFolder(root / "train")
    dataset = find(name_of(root))
    assert list(dataset.class_names) == theirs.classes
    ours = dataset.load(root, "train")
    assert ours.labels.tolist() == theirs.targets
    for i, (image, _) in enumerate(theirs):
        whole = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        assert torch.equal(ours.images[i], whole[:, :, 2:14])  # 12 x 16: the shorter side is kept


def test_test_goes_before_val(tmp_path: Path) -> None:
    root = fill(tmp_path, SPLIT | {"test/cat": 5, "test/dog": 5})
    assert find(name_of(root)).card.test == 10


def test_a_test_folder_without_classes_is_passed_over(tmp_path: Path) -> None:
    root = fill(tmp_path, SPLIT | {"test": 5})
    assert find(name_of(root)).card.test == 3


def test_a_folder_that_is_not_split_gives_a_fifth_of_each_class(tmp_path: Path) -> None:
    root = fill(tmp_path, {"cat": 10, "dog": 5, "eel": 2, ".hidden": 3})
    dataset = find(name_of(root))
    assert dataset.class_names == ("cat", "dog", "eel")
    train, test = (dataset.load(root, split) for split in ("train", "test"))
    assert test.labels.bincount().tolist() == [2, 1, 1]  # a fifth, and at least one
    assert train.labels.bincount().tolist() == [8, 4, 1]
    both = torch.cat([train.images[:], test.images[:]]).flatten(1)
    assert len(both.unique(dim=0)) == 17  # no image is in both
    assert torch.equal(find(name_of(root)).load(root, "test").images[:], test.images[:])


@pytest.mark.parametrize("size", [5, 12, 31])
def test_decoding_is_torchvisions(size: int, tmp_path: Path) -> None:
    from torchvision.transforms import v2

    file = tmp_path / "image.png"
    Image.fromarray(photograph(0, 20, 33)).save(file)
    usual = v2.Compose([v2.PILToTensor(), v2.Resize(size, antialias=True), v2.CenterCrop(size)])
    with Image.open(file) as image:
        assert torch.equal(_decode(file, 3, size), usual(image))


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_every_kind_of_image_becomes_rgb(mode: str, tmp_path: Path) -> None:
    file = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.fromarray(photograph(0, 16, 16)).convert(mode).save(file)
    pixels = _decode(file, 3, 16)
    assert pixels.shape == (3, 16, 16)
    with Image.open(file) as image:
        assert np.array_equal(pixels.permute(1, 2, 0), np.array(image.convert("RGB")))
    if mode in {"L", "1", "LA"}:
        assert torch.equal(pixels[0], pixels[2])


def test_a_palette_with_transparency_is_no_warning(tmp_path: Path) -> None:
    image = Image.fromarray(photograph(0, 8, 8)).convert("P")
    image.save(tmp_path / "image.png", transparency=bytes(range(256)))
    assert _decode(tmp_path / "image.png", 3, 8).shape == (3, 8, 8)


def test_grey_folders_have_one_channel(tmp_path: Path) -> None:
    root = fill(tmp_path, SPLIT, mode="L")
    dataset = find(name_of(root))
    assert dataset.card.in_channels == len(dataset.mean) == len(dataset.std) == 1
    assert read(find(name_of(root), 8), "train").images.shape == (7, 1, 8, 8)


def test_a_grey_image_among_colours_stays_among_them(tmp_path: Path) -> None:
    root = fill(tmp_path, SPLIT)
    Image.fromarray(photograph(9)).convert("L").save(root / "train" / "cat" / "000.png")
    assert find(name_of(root)).card.in_channels == 3
    assert read(find(name_of(root), 8), "train").images.shape == (7, 3, 8, 8)


def test_looking_opens_a_few_images_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path, {"train/cat": 100, "train/dog": 1, "val/cat": 1, "val/dog": 1})
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda file: opened.append(file) or real(file))
    find(name_of(root))
    assert 1 <= len(opened) <= 32


def test_the_border_grows_with_the_size(tmp_path: Path) -> None:
    root = fill(tmp_path, SPLIT)
    assert [find(name_of(root), size).card.pad for size in (7, 32, 224)] == [0, 4, 28]


def test_the_fingerprint_is_of_names_and_sizes(tmp_path: Path) -> None:
    root = fill(tmp_path / "here", SPLIT)
    first = find(name_of(root)).card.sha256
    assert first == find(name_of(shutil.copytree(root, tmp_path / "there"))).card.sha256
    assert first == find(name_of(root), 64).card.sha256  # the size is the job's
    file = root / "val" / "dog" / "000.png"
    longer = file.read_bytes() + b" "
    file.write_bytes(longer)
    second = find(name_of(root)).card.sha256
    file.rename(file.with_name("001a.png"))
    third = find(name_of(root)).card.sha256
    assert len({first, second, third}) == 3


# What is taken, and what is left out.


@pytest.mark.parametrize(
    ("train", "test"),
    [
        *(("Train", "Test"), ("training", "validation"), ("TRAIN", "TEST"), ("train", "valid")),
        *(("train", "Val"), ("TrainSet", "testset"), ("training_set", "validation_set")),
    ],
)
def test_splits_are_known_by_their_usual_names(tmp_path: Path, train: str, test: str) -> None:
    root = fill(tmp_path, {f"{train}/a": 3, f"{train}/b": 3, f"{test}/a": 2, f"{test}/b": 2})
    dataset = find(name_of(root))
    assert dataset.class_names == ("a", "b")
    assert (dataset.card.train, dataset.card.test) == (6, 4)
    expected = f"2 classes, 6 images to train on (of {train}/) and 4 images to test (of {test}/)"
    assert dataset.card.note == expected


def test_the_first_of_several_folders_for_testing_is_taken_and_the_others_are_told(tmp_path: Path) -> None:
    root = fill(
        tmp_path, {f"{part}/{name}": 2 for part in ("train", "val", "test", "extra") for name in "ab"}
    )
    note = find(name_of(root)).card.note
    assert "4 images to test (of test/)" in note
    assert note.endswith("left out: folder extra/ (1), folder val/ (1)")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    root = fill(tmp_path, {"bus": 5, "car": 5, "train": 5})
    dataset = find(name_of(root))
    assert dataset.class_names == ("bus", "car", "train")
    assert (
        dataset.card.note == "3 classes, 12 images to train on (four fifths) and 3 images to test (a fifth)"
    )
    inside = fill(
        tmp_path / "split", {f"{part}/{name}": 2 for part in ("train", "test") for name in ("bus", "train")}
    )
    assert find(name_of(inside)).class_names == ("bus", "train")


def test_what_is_hidden_is_left_out_at_every_depth_and_told(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 4, "a/deep": 4, "b": 4})
    for folder in ("a/.ipynb_checkpoints", "a/deep/.cache", "__MACOSX/a", ".git"):
        fill(root, {folder: 2})
    for name in (
        "a/.DS_Store",
        "a/Thumbs.db",
        "b/._000.png",
        "b/notes.txt",
        "b/more.txt",
        "b/LICENSE",
        "b/x.heic",
    ):
        (root / name).write_bytes(b"?")
    dataset = find(name_of(root))
    assert dataset.card.train + dataset.card.test == 12
    left_out = dataset.card.note.partition("left out: ")[2]
    assert (
        left_out == "*.heic (1), *.txt (2), files without an ending (1), hidden files (3), hidden folders (4)"
    )


def test_links_in_a_circle_are_followed_once(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 5, "b": 5})
    (root / "a" / "again").symlink_to(root / "a")
    (root / "b" / "up").symlink_to(root)
    dataset = find(name_of(root))
    assert dataset.card.train + dataset.card.test == 5 + 5
    assert dataset.card.note.endswith("left out: links to folders that were met before (2)")


@pytest.mark.parametrize(
    ("train", "test"),
    [("train-set", "Test Set"), ("Training Data", "validate"), ("trn", "tst"), ("train_images", "dev")],
)
def test_words_of_splits_may_be_joined_by_anything(tmp_path: Path, train: str, test: str) -> None:
    root = fill(tmp_path, {f"{train}/a": 3, f"{train}/b": 3, f"{test}/a": 2, f"{test}/b": 2})
    assert (find(name_of(root)).card.train, find(name_of(root)).card.test) == (6, 4)


def test_the_folder_for_testing_that_has_the_classes_is_taken(tmp_path: Path) -> None:
    root = fill(tmp_path, SPLIT | {"test/unknown": 5})  # as competitions give images without labels
    note = find(name_of(root)).card.note
    assert "3 images to test (of val/)" in note
    assert note.endswith("left out: folder test/ (1)")


def test_images_beside_the_folders_of_classes_are_told(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 5, "b": 5, ".": 3})
    (root / "labels.csv").touch()
    note = find(name_of(root)).card.note
    assert note.endswith("left out: *.csv (1), images outside of the folders of classes (3)")


def test_thumbnails_of_servers_are_no_images(tmp_path: Path) -> None:
    hidden = {f"a/{name}": 3 for name in ("@eaDir", "lost+found", "$RECYCLE.BIN", "__pycache__")}
    note = find(name_of(fill(tmp_path, {"a": 5, "b": 5} | hidden))).card.note
    assert note.startswith("2 classes, 8 images to train on")
    assert note.endswith("left out: hidden folders (4)")


def test_links_are_told_where_they_lead_nowhere_again_or_elsewhere(tmp_path: Path) -> None:
    root = fill(tmp_path / "set", {"a": 5, "b": 5})
    away = fill(tmp_path / "away", {"c": 5}) / "c"
    (root / "c").symlink_to(away)  # a class may be a link
    (root / "a" / "nowhere.png").symlink_to(tmp_path / "nothing.png")
    (root / "a" / "again.png").symlink_to(root / "a" / "000.png")
    (root / "a" / "circle.png").symlink_to(root / "a" / "circle.png")
    os.mkfifo(root / "b" / "pipe.png")
    dataset = find(name_of(root))
    assert (dataset.class_names, dataset.card.train, dataset.card.test) == (("a", "b", "c"), 12, 3)
    assert dataset.card.note.partition("left out: ")[2] == (
        "links that lead nowhere (2), links to images that were met before (1), pipes, sockets and devices (1)"
    )


def listing(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the folders of a set as they are listed from now on."""
    listed: list[str] = []
    scandir = os.scandir

    def noted(path: str) -> Any:
        listed.extend([path] * str(path).startswith(str(root)))
        return scandir(path)

    monkeypatch.setattr("os.scandir", noted)
    return listed


def test_classes_that_link_to_each_other_are_listed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"class {i}" for i in range(9)]
    root = fill(tmp_path, dict.fromkeys(names, 2))
    for one, other in itertools.permutations(names, 2):
        (root / one / other).symlink_to(root / other)
    listed = listing(root, monkeypatch)
    assert find(name_of(root)).card.train == 9 * (18 - round(0.2 * 18))  # each class holds all others, once
    assert len(listed) == 1 + 9


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path, SPLIT | {"train/cat/deep": 2, "extra/cat": 1})
    listed = listing(root, monkeypatch)
    find(name_of(root))
    assert len(listed) == len(set(listed)) == 1 + 2 + 4 + 1  # the extra folder is not looked into


def test_names_may_have_blanks_accents_and_no_text(tmp_path: Path) -> None:
    composed, parted = "caf\u00e9", "cafe\u0301"  # as Linux and as macOS write it
    odd = os.fsdecode(b"odd\xff")
    parts = {f"train/{composed}": 3, f"test/{parted}": 2, "train/a [1] b": 3, "test/a [1] b": 1}
    dataset = find(name_of(fill(tmp_path, parts | {f"train/{odd}": 2, f"test/{odd}": 1})))
    assert dataset.class_names == ("a [1] b", composed, "odd\ufffd")
    assert (dataset.card.train, dataset.card.test) == (8, 4)
    assert read(find(dataset.card.name, 8), "test").labels.tolist() == [0, 1, 1, 2]
    assert dataset.card.note.isprintable()


def test_images_are_told_by_their_content_not_by_their_ending(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 4, "b": 4})
    for number, (kind, ending) in enumerate(
        (("JPEG", ".png"), ("GIF", ".jpg"), ("PNG", ".BMP"), ("WEBP", ".webp"))
    ):
        Image.fromarray(photograph(number)).save(root / "a" / f"x{number}{ending}", format=kind)
    Image.fromarray(photograph(9)).save(root / "b" / "left.gif")
    dataset = find(name_of(root))
    assert dataset.card.train + dataset.card.test == 8 + 4
    assert dataset.card.note.endswith("left out: *.gif (1)")
    assert sum(len(read(find(dataset.card.name, 8), split)) for split in ("train", "test")) == 12


def test_what_links_share_between_the_parts_is_told_or_refused(tmp_path: Path) -> None:
    root = fill(tmp_path / "few", {"train/a": 9, "train/b": 9, "test/a": 4, "test/b": 4})
    (root / "test" / "a" / "again.png").symlink_to(root / "train" / "a" / "000.png")
    os.link(root / "train" / "b" / "001.png", root / "test" / "b" / "linked.png")
    assert find(name_of(root)).card.note.endswith("; 2 images to test are also trained on, by links")
    whole = fill(tmp_path / "all", {"train/a": 9, "train/b": 9})
    (whole / "test").symlink_to(whole / "train")
    with pytest.raises(UnsupportedError, match="18 of 18 images to test are links to images to train on"):
        find(name_of(whole))


def test_folders_of_the_same_names_in_each_class_are_told(tmp_path: Path) -> None:
    root = fill(
        tmp_path, {f"{place}/{time}": 5 for place in ("indoor", "outdoor") for time in ("day", "night")}
    )
    assert (
        "; each class holds folders of the same names (day, night), taken together"
        in find(name_of(root)).card.note
    )


# What is refused, and what is said.


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "holds no folders, one for each class"),
        ({"train": 3}, "has one class, train"),
        ({".": 3}, "holds no folders, one for each class"),
        ({"train/cat": 2, "train/dog": 2}, "has train, and neither test nor val"),
        ({"train": 2, "val/cat": 1}, "train holds no folders"),
        (SPLIT | {"train/eel": 0}, "class eel is empty: no images in"),
        (SPLIT | {"val/eel": 0}, "class eel is empty: no images in"),
        (SPLIT | {"train/eel": 2}, "has no test images of class eel"),
        (SPLIT | {"val/eel": 2}, "has no training images of class eel"),
        ({"train/cat": 2, "val/cat": 2}, "has one class, cat: nothing to tell apart"),
        ({"cat": 5, "dog": 1}, "class dog has a single image, "),
        ({"cat": 1}, "class cat has a single image, "),
        ({"test/cat": 2, "test/dog": 2}, "has test, and no folder for training"),
        ({"Val/cat": 2, "Test/cat": 2}, "has Test, and no folder for training"),
        ({"train": 3, "test": 3}, "train holds no folders, one for each class"),
        ({"train/cat": 2, "train/dog": 2, "val": 5}, "neither test .*: val holds 5 images without classes"),
        (
            {"train/cat": 2, "train/dog": 2, "test/images": 5},
            "neither test .*: test holds the folders images",
        ),
        (SPLIT | {"val/eel": 2, "val/fox": 2}, "has no training images of class eel and 1 more"),
        ({f"{part}/{name}": 2 for part in ("train1", "test1") for name in "ab"}, "look like parts"),
        ({f"my_{part}/{name}": 2 for part in ("train", "val") for name in "ab"}, "look like parts"),
        ({"images_part_1": 5, "images_part_2": 5}, "look like parts and not like classes: images_part_1"),
        ({"images": 5, "masks": 5}, "look like parts"),
        ({"fold1/a": 3, "fold2/a": 3}, "look like parts"),
    ],
)
def test_a_folder_that_does_not_suit(counts: dict[str, int], message: str, tmp_path: Path) -> None:
    root = fill(tmp_path, counts)
    with pytest.raises(UnsupportedError, match=message) as caught:
        find(name_of(root))
    assert str(root) in caught.value.message
    assert caught.value.tip


def test_a_face_with_a_mask_is_a_class(tmp_path: Path) -> None:
    assert find(name_of(fill(tmp_path, {"mask": 5, "no_mask": 5}))).class_names == ("mask", "no_mask")


@pytest.mark.parametrize(
    "counts",
    [{"images": 9}, {"train": 9, "test": 9}, {"train/images": 9}, {".": 9}],
)
def test_labels_in_a_table_are_refused_with_the_way_out(tmp_path: Path, counts: dict[str, int]) -> None:
    root = fill(tmp_path, counts)
    (root / "train.csv").write_text("image,label")
    with pytest.raises(
        UnsupportedError, match=r"labels in a table, such as train\.csv, are not read"
    ) as caught:
        find(name_of(root))
    assert "train/CLASS/" in str(caught.value.tip)


def test_imagenet_with_its_val_in_one_folder_is_refused_with_the_way_out(tmp_path: Path) -> None:
    root = fill(tmp_path, {"train/n01440764": 3, "train/n01443537": 3, "val": 4})
    (root / "ILSVRC2012_devkit_t12").mkdir()
    with pytest.raises(UnsupportedError, match="val holds 4 images without classes") as caught:
        find(name_of(root))
    assert f"or name {root}/train itself: a fifth of it is then for testing" in str(caught.value.tip)
    assert find(name_of(root / "train")).card.test == 2


def test_the_folder_above_the_classes_is_told_where_they_are(tmp_path: Path) -> None:
    root = fill(tmp_path, {"pets/cat": 3, "pets/dog": 3, "__MACOSX/pets": 3})
    with pytest.raises(UnsupportedError, match="has one class, pets") as caught:
        find(name_of(root))
    assert caught.value.tip == f"if its folders are the classes, name it: imagefolder:{root}/pets"


def test_an_empty_class_says_what_it_holds_instead(tmp_path: Path) -> None:
    root = fill(tmp_path, {"a": 3, "b": 0})
    (root / "b" / "x.heic").touch()
    with pytest.raises(UnsupportedError, match=r"class b is empty: no images in .*/b, but \*\.heic"):
        find(name_of(root))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("set.zip", "is an archive, not a folder"),
        ("set.txt", "is a file, not a folder"),
        ("x" * 300, "cannot be read"),
    ],
)
def test_what_is_no_folder(tmp_path: Path, name: str, message: str) -> None:
    if len(name) < 255:
        (tmp_path / name).touch()
    with pytest.raises(UnsupportedError, match=message) as caught:
        find(name_of(tmp_path / name))
    assert caught.value.tip


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path, SPLIT)
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("dog"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UnsupportedError, match=f"{root}/train/dog cannot be read: Permission denied"):
        find(name_of(root))


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="there is no folder .*nowhere"):
        find(name_of(tmp_path / "nowhere"))


@pytest.mark.parametrize("before", [0, _CHUNK])  # with and without other processes
@pytest.mark.parametrize("content", ["cut", "text", ""])
def test_a_broken_image_is_named(content: str, before: int, tmp_path: Path) -> None:
    root = fill(tmp_path, {"cat": 2 + before, "dog": 2 + before})
    (root / "dog" / "000.png").unlink()
    broken = root / "dog" / "zzz.jpg"
    Image.fromarray(photograph(0, 64, 64)).save(broken)
    broken.write_bytes(broken.read_bytes()[:-1000] if content == "cut" else content.encode())
    images = [load_split(root, split) for split in ("train", "test")]
    message = next(m for m in images if m)
    assert message.startswith(f"{broken} cannot be decoded: ")
    assert "\n" not in message


def load_split(root: Path, split: Any) -> str | None:
    """Return what is said, or None where all is well."""
    try:
        read(find(name_of(root), 8), split)
    except UnsupportedError as error:
        return error.message
    return None


def test_more_than_8_bits_are_not_clipped_in_silence(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "image.png")
    with pytest.raises(ValueError, match="more than 8 bits"):
        _decode(tmp_path / "image.png", 3, 8)


def test_black_images_are_not_trained_on(tmp_path: Path) -> None:
    for place in SPLIT:
        (tmp_path / place).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / place / "a.png")
    with pytest.raises(UnsupportedError, match="pixels from 0 to 0, expected a range of 0 to 255"):
        read(find(name_of(tmp_path)), "train")


# Files that stay files.


def test_files_stand_for_a_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path, {"train/cat": 40, "train/dog": 30, "val/cat": 1, "val/dog": 1})
    decoded = read(find(name_of(root), 8), "train")
    monkeypatch.setattr("bench.datasets._images._MEMORY_SHARE", 0.0)
    files = read(find(name_of(root), 8), "train")
    assert isinstance(decoded.images, torch.Tensor)
    assert isinstance(files.images, Files)
    assert files.images.shape == decoded.images.shape
    assert files.images.dtype == decoded.images.dtype
    assert torch.equal(files.images[:], decoded.images)
    assert torch.equal(files.images[3:5], decoded.images[3:5])
    some = torch.tensor([69, 0, 33])
    assert torch.equal(files.images[some], decoded.images[some])
    assert torch.equal(files.pick(some).images[:], decoded.pick(some).images)
    assert torch.equal(files.pick(some).labels, decoded.pick(some).labels)
    assert files.images[:0].shape == (0, 3, 8, 8)


def test_a_folder_data_set_can_be_sent_to_another_process(tmp_path: Path) -> None:
    dataset = find(name_of(fill(tmp_path, SPLIT)), 8)
    again = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(again.load(tmp_path, "test").images, dataset.load(tmp_path, "test").images)


# Imagenette.


def imagenette(root: Path, train: int = 1) -> Path:
    return fill(root, {f"{split}/{wnid}": train for split in ("train", "val") for wnid in _CLASSES})


def test_imagenette_as_it_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    assert find("imagenette").card.train == 9469  # as declared, while there is none
    assert find("imagenette", 64).card.size == 64
    imagenette(tmp_path / "imagenette2-160")
    assert find("imagenette").card.train == 10
    imagenette(tmp_path / "imagenette", train=2)
    dataset = find("imagenette", 8)
    assert (dataset.card.name, dataset.card.train, dataset.card.size) == ("imagenette", 20, 8)
    assert dataset.class_names[-1] == "parachute"
    assert read(find("imagenette", 8), "test").labels.tolist() == [i // 2 for i in range(20)]


def test_other_classes_are_no_imagenette(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    fill(tmp_path / "imagenette", SPLIT)
    with pytest.raises(UnsupportedError, match="has the classes cat, dog .*not Imagenette's ten") as caught:
        find("imagenette")
    assert "imagefolder:" in (caught.value.tip or "")
