"""Data sets: every card against the data where the data is there, and clear words where it is not."""

from __future__ import annotations

import gzip
import os
import runpy
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from bench.contracts import check_dataset
from bench.datasets import DATASETS, Images, Split, _mismatch, data_root, find, read
from bench.errors import UnknownNameError, UnsupportedError
from bench.plan.card import DatasetCard

FOLDERS = {
    "mnist": "MNIST/raw",
    "fashion_mnist": "FashionMNIST/raw",
    "cifar10": "cifar-10-batches-py",
    "cifar100": "cifar-100-python",
    "imagenette": "imagenette",
}
TORCHVISION = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
}
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
PACKED_CIFAR10 = SHARED / "unpack_cifar10.py"
SMALL_IMAGENETTE = SHARED / "imagenette-224-subset"
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
TINY = DatasetCard(name="tiny", num_classes=2, in_channels=1, size=4, train=6, test=2, source="made here")


@pytest.fixture(scope="session")
def local_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from the name of a data set to a folder that holds it, or skip the test."""
    unpacked = tmp_path_factory.mktemp("data")
    found: dict[str, Path | None] = {}

    def find(name: str) -> Path:
        if name not in found:
            found[name] = _find(name, unpacked)
        root = found[name]
        if root is None:
            pytest.skip(f"{name} is not on this machine; BENCH_DATA may name a folder with {FOLDERS[name]}")
        return root

    return find


def _find(name: str, unpacked: Path) -> Path | None:
    own = os.environ.get("BENCH_DATA")
    if name not in FOLDERS:
        return unpacked
    if own and (Path(own) / FOLDERS[name]).is_dir():
        return Path(own)
    if name == "cifar10" and PACKED_CIFAR10.is_file():
        of_all = unpacked.parents["PYTEST_XDIST_WORKER" in os.environ]
        shared = of_all / "cifar10"  # of all workers: it takes seconds
        with FileLock(of_all / "cifar10.lock"):
            if not shared.is_dir():
                runpy.run_path(str(PACKED_CIFAR10))["main"](unpacked / "whole")
                (unpacked / "whole").rename(shared)
        return shared
    if name == "fashion_mnist" and DEBIAN_FASHION_MNIST.is_dir():
        raw = unpacked / FOLDERS[name]
        raw.mkdir(parents=True)
        for file in DEBIAN_FASHION_MNIST.glob("*.gz"):
            (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
        return unpacked
    if name == "imagenette" and SMALL_IMAGENETTE.is_dir():
        (unpacked / FOLDERS[name]).symlink_to(SMALL_IMAGENETTE)
        return unpacked
    return None


def _marked(name: str) -> Any:
    """Return a parameter; to unpack a data set and check its sums takes seconds, and more on a slow disk."""
    return pytest.param(name, marks=pytest.mark.slow) if name in FOLDERS else name


@pytest.mark.parametrize("name", DATASETS.names())
def test_every_card_keeps_the_contract(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.datasets.is_here", lambda _: False)  # the next test reads what is here
    assert check_dataset(name) == f"the files of {name} are not on this machine"


@pytest.mark.parametrize("name", [_marked(name) for name in DATASETS.names()])
def test_the_data_is_as_its_card_says(
    name: str, local_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = local_data(name)
    monkeypatch.setenv("BENCH_DATA", str(root))
    assert check_dataset(name, tolerance=6e-5) is None
    if name in TORCHVISION:  # in one test, as to unpack them takes seconds
        are_torchvisions(name, root)


def are_torchvisions(name: str, root: Path) -> None:
    """Check images and labels against those that others read, through Pillow."""
    import torchvision.datasets
    from torchvision.transforms.functional import pil_to_tensor

    theirs = getattr(torchvision.datasets, TORCHVISION[name])(root, train=False)
    ours = read(find(name), "test")
    for i in (0, 1, 4321, 9999):
        image, label = theirs[i]
        assert torch.equal(ours.images[i], pil_to_tensor(image))
        assert ours.labels[i] == label
    same = [
        a.lower() == b.lower() for a, b in zip(theirs.classes, DATASETS.get(name).class_names, strict=True)
    ]
    assert sum(same) >= 9  # T-shirt/top is a t-shirt here


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    theirs = load_digits()
    pixels = [[round(value * 255 / 16) for value in row] for row in theirs.data.tolist()]
    wanted = [[*row, label] for row, label in zip(pixels, theirs.target.tolist(), strict=True)]
    ours = [read(find("digits"), split) for split in ("train", "test")]
    images = torch.cat([o.images for o in ours]).flatten(1).tolist()
    labels = torch.cat([o.labels for o in ours]).tolist()
    found = [[*row, label] for row, label in zip(images, labels, strict=True)]
    assert sorted(found) == sorted(wanted)  # each image once, in one of the two splits


def test_digits_are_split_between_the_forms_of_their_writers() -> None:
    train, test = read(find("digits"), "train"), read(find("digits"), "test")
    labels = [*train.labels.tolist(), *test.labels.tolist()]  # as they lie in scikit-learn
    forms = [i for i in range(len(labels)) if labels[i : i + 30] == 3 * list(range(10))]
    assert len(forms) == 12
    assert len(train.labels) in forms  # testing begins with a form
    share = test.labels.bincount() / len(test.labels)
    assert share.min() > 0.09
    assert share.max() < 0.11


def test_another_split_of_digits_is_another_job() -> None:
    digest = sha256()
    for split in ("train", "test"):
        images = read(find("digits"), split)
        digest.update(images.images.numpy().tobytes())
        digest.update(images.labels.numpy().tobytes())
    assert DATASETS.get("digits").card.sha256 == digest.hexdigest()


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match="scikit-learn, which is missing"):
        read(find("digits"), "train")


def test_where_the_data_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("BENCH_DATA", "/mnt/images")
    assert data_root() == Path("/mnt/images")
    monkeypatch.setenv("BENCH_DATA", "~/images")
    assert data_root() == Path("/home/somebody/images")
    for unset in ("", None):
        monkeypatch.delenv("BENCH_DATA") if unset is None else monkeypatch.setenv("BENCH_DATA", unset)
        assert data_root() == Path("/home/somebody/.cache/bench/data")


def tiny_images() -> Images:
    images = torch.arange(6 * 16, dtype=torch.uint8).view(6, 1, 4, 4) * 2
    return Images(images, torch.tensor([0, 1, 0, 1, 0, 1]))


def test_the_check_accepts_what_the_card_says() -> None:
    tiny = tiny_images()
    assert _mismatch(tiny, TINY, "train") is None
    assert _mismatch(Images(tiny.images[4:], tiny.labels[4:]), TINY, "test") is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda t: Images(t.images[:5], t.labels[:5]),
            "images [5, 1, 4, 4] uint8, expected [6, 1, 4, 4] uint8",
        ),
        (lambda t: Images(t.images.float(), t.labels), "images [6, 1, 4, 4] float32, expected"),
        (lambda t: Images(t.images[..., :3], t.labels), "images [6, 1, 4, 3] uint8, expected"),
        (lambda t: Images(t.images.expand(6, 3, 4, 4), t.labels), "images [6, 3, 4, 4] uint8, expected"),
        (lambda t: Images(t.images, t.labels.int()), "labels [6] int32, expected [6] int64"),
        (lambda t: Images(t.images, t.labels[:5]), "labels [5] int64, expected [6] int64"),
        (lambda t: Images(t.images, t.labels + 1), "2 classes from 1 to 2, expected 0 to 1"),
        (lambda t: Images(t.images, t.labels * 0), "1 classes from 0 to 0, expected 0 to 1"),
        (lambda t: Images(t.images // 16, t.labels), "pixels from 0 to 11, expected a range of 0 to 255"),
    ],
)
def test_the_check_names_what_differs(change: Callable[[Images], Images], problem: str) -> None:
    found = _mismatch(change(tiny_images()), TINY, "train")
    assert found is not None
    assert problem in found


def test_wrong_data_is_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def shuffled_channels(root: Path, split: Split) -> Images:
        return Images(torch.zeros(382, 8, 8, 1, dtype=torch.uint8), torch.arange(382) % 10)

    broken = replace(DATASETS.get("digits"), load=shuffled_channels)
    monkeypatch.setitem(DATASETS._units, "digits", broken)
    with pytest.raises(UnsupportedError, match="the test images of digits are not as declared: images"):
        read(find("digits"), "test")


def test_an_unknown_data_set_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown data set 'cifar'") as caught:
        read(find("cifar"), "train")
    assert "cifar10" in (caught.value.tip or "")
