"""Data sets: every card against the data where the data is there, and clear words where it is not."""

from __future__ import annotations

import gzip
import os
import pickle
import runpy
import socket
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from bench.datasets import DATASETS, Images, Split, data_root, find, load, mismatch
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
        runpy.run_path(str(PACKED_CIFAR10))["main"](unpacked)
        return unpacked
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
    """Return a parameter; to unpack CIFAR-10 and check its sums takes seconds, and more on a slow disk."""
    return pytest.param(name, marks=pytest.mark.slow) if name == "cifar10" else name


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_card_is_consistent(name: str) -> None:
    dataset = DATASETS.get(name)
    card = dataset.card
    assert card.name == name
    assert len(dataset.mean) == len(dataset.std) == card.in_channels
    assert all(0 < m < 1 for m in dataset.mean)
    assert all(0 < s <= 0.5 for s in dataset.std)  # no values in 0..1 spread wider
    assert len(set(dataset.class_names)) == len(dataset.class_names) == card.num_classes
    assert 0 <= card.pad < card.size
    assert 0 <= card.cutout < card.size
    assert card.source


@pytest.mark.parametrize("name", [_marked(name) for name in DATASETS.names()])
def test_the_data_is_as_its_card_says(
    name: str, local_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(local_data(name)))
    dataset = find(name, 32)
    train, test = load(name, "train", 32), load(name, "test", 32)  # these check shape, type and classes
    assert len(train) == dataset.card.train
    assert len(test) == dataset.card.test
    counts = train.labels.bincount()
    assert counts.max() - counts.min() <= 0.25 * len(train) / dataset.card.num_classes
    if DATASETS.get(name).at:
        return  # a folder's own mean is not known before it is decoded; ImageNet's is used
    for channel, mean, std in zip(train.images.unbind(1), dataset.mean, dataset.std, strict=True):
        pixels = channel.float() / 255
        assert mean == pytest.approx(pixels.mean().item(), abs=6e-5)
        assert std == pytest.approx((pixels - mean).square().mean().sqrt().item(), abs=6e-5)


@pytest.mark.parametrize("name", [_marked("cifar10"), "fashion_mnist"])
def test_images_and_labels_are_torchvisions(
    name: str, local_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets
    from torchvision.transforms.functional import pil_to_tensor

    root = local_data(name)
    monkeypatch.setenv("BENCH_DATA", str(root))
    theirs = getattr(torchvision.datasets, TORCHVISION[name])(root, train=False)
    ours = load(name, "test")
    for i in (0, 1, 4321, 9999):
        image, label = theirs[i]  # through Pillow, as everybody else reads it
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
    ours = [load("digits", split) for split in ("train", "test")]
    images = torch.cat([o.images for o in ours]).flatten(1).tolist()
    labels = torch.cat([o.labels for o in ours]).tolist()
    found = [[*row, label] for row, label in zip(images, labels, strict=True)]
    assert sorted(found) == sorted(wanted)  # each image once, in one of the two splits


def test_digits_are_split_between_the_forms_of_their_writers() -> None:
    train, test = load("digits", "train"), load("digits", "test")
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
        images = load("digits", split)
        digest.update(images.images.numpy().tobytes())
        digest.update(images.labels.numpy().tobytes())
    assert DATASETS.get("digits").card.sha256 == digest.hexdigest()


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match="scikit-learn, which is missing"):
        load("digits", "train")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_missing_data_set_says_where_it_belongs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    with pytest.raises(UnsupportedError) as caught:
        load(name, "train")
    message, tip = caught.value.message, caught.value.tip
    assert message.startswith(f"{name} is not in {tmp_path} and cannot be downloaded: ")
    assert "no route to host" in message
    assert "\n" not in message
    assert tip is not None
    assert str(tmp_path / FOLDERS[name]) in tip
    assert "BENCH_DATA" in tip


def test_a_truncated_mnist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / FOLDERS["mnist"]
    raw.mkdir(parents=True)
    header = bytes([0, 0, 8, 3, *(60_000).to_bytes(4), *(28).to_bytes(4), *(28).to_bytes(4)])
    for part in ("train", "t10k"):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + bytes(1000))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(
            bytes([0, 0, 8, 1, *(60_000).to_bytes(4)]) + bytes(10)
        )
    check_unreadable("mnist", tmp_path, monkeypatch)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_truncated_cifar_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / FOLDERS[name]
    folder.mkdir()
    for file in ("data_batch_1", "test_batch", "train", "test", "meta"):
        (folder / file).write_bytes(b"\x80\x02}q\x01")
    check_unreadable(name, tmp_path, monkeypatch)


def check_unreadable(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect the folder in the message, and the way out in the tip."""

    def no_network(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setenv("BENCH_DATA", str(root))
    with pytest.raises(UnsupportedError) as caught:
        load(name, "train")
    assert caught.value.message.startswith(f"{name} in {root / FOLDERS[name]} cannot be read: ")
    assert caught.value.tip is not None
    assert caught.value.tip.startswith(f"remove {root / FOLDERS[name]}, so that it is fetched anew; or ")


@pytest.mark.parametrize("name", DATASETS.names())
def test_a_data_set_can_be_sent_to_another_process(name: str) -> None:
    dataset = DATASETS.get(name)
    again = pickle.loads(pickle.dumps(dataset))
    assert again.card == dataset.card
    assert again.class_names == dataset.class_names


def test_a_data_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("BENCH_DATA", str(in_the_way / "data"))
    with pytest.raises(
        UnsupportedError, match=r"cifar10 is not in .* cannot be downloaded: .*Not a directory"
    ):
        load("cifar10", "train")


def test_a_missing_data_set_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patience: list[float | None] = []

    class Fetched:
        def __init__(self, root: Path, train: bool, download: bool) -> None:
            if download:
                patience.append(socket.getdefaulttimeout())
                (root / "there").touch()
            if not (root / "there").exists():
                raise RuntimeError("Dataset not found or corrupted.")
            count = 50_000 if train else 10_000
            self.data = np.full((count, 32, 32, 3), (0, 128, 255), dtype=np.uint8)
            self.targets = [i % 10 for i in range(count)]

    monkeypatch.setattr("torchvision.datasets.CIFAR10", Fetched)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "new"))
    before = socket.getdefaulttimeout()
    first, again = load("cifar10", "test"), load("cifar10", "test")
    assert first.images[0].float().mean((1, 2)).tolist() == [0, 128, 255]  # channels come first
    assert torch.equal(first.labels, again.labels)
    assert patience == [30.0]
    assert socket.getdefaulttimeout() == before


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
    assert mismatch(tiny, TINY, "train") is None
    assert mismatch(Images(tiny.images[4:], tiny.labels[4:]), TINY, "test") is None


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
    found = mismatch(change(tiny_images()), TINY, "train")
    assert found is not None
    assert problem in found


def test_wrong_data_is_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def shuffled_channels(root: Path, split: Split) -> Images:
        return Images(torch.zeros(382, 8, 8, 1, dtype=torch.uint8), torch.arange(382) % 10)

    broken = replace(DATASETS.get("digits"), load=shuffled_channels)
    monkeypatch.setitem(DATASETS._units, "digits", broken)
    with pytest.raises(UnsupportedError, match="the test images of digits are not as declared: images"):
        load("digits", "test")


def test_an_unknown_data_set_gets_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown data set 'cifar'") as caught:
        load("cifar", "train")
    assert "cifar10" in (caught.value.tip or "")
