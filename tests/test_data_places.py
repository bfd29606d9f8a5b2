"""Where the files of known data sets are looked for, how they are read packed, and what is said of missing and broken ones."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import shlex
import socket
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import numpy as np
import pytest
import torch

from bench.datasets import DATASETS, Images, data_root, fetch, find, is_here, read
from bench.datasets import _places as places
from bench.datasets.cifar import _read_split as read_batches
from bench.datasets.imagenette import _CLASSES
from bench.datasets.mnist import _read_idx, _read_split
from bench.errors import UnsupportedError

KNOWN = [name for name, dataset in DATASETS.items() if dataset.kept]
SPLITS = {"train": "train", "test": "t10k"}
BEGINS = {
    "mnist": {"train": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], "test": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]},
    "fashion_mnist": {"train": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5], "test": [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]},
}


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the data folder of a machine on which nothing else is; no server answers."""

    def no_network(*args: object, **kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(places, "_SYSTEM", (str(tmp_path / "system"),))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def idx(array: np.ndarray[Any, Any]) -> bytes:
    """Return bytes in the form of MNIST's files."""
    sizes = b"".join(size.to_bytes(4) for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def idx_files(name: str) -> dict[str, bytes]:
    """Return the four files of a small data set in MNIST's form; its images are numbered by their brightness."""
    files = {}
    for split, part in SPLITS.items():
        labels = np.array(BEGINS[name][split] + [3] * 2)
        images = np.arange(len(labels), dtype=np.uint8)[:, None, None].repeat(28, 1).repeat(28, 2)
        files[f"{part}-images-idx3-ubyte"] = idx(images)
        files[f"{part}-labels-idx1-ubyte"] = idx(labels)
    return files


def write(folder: Path, files: Mapping[str, bytes], ending: str = "") -> Path:
    """Write files into a folder; those that end with .gz are packed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}{ending}").write_bytes(gzip.compress(content) if ending == ".gz" else content)
    return folder


def read_kept(name: str, split: Any) -> Images:
    kept = DATASETS.get(name).kept
    assert kept is not None
    return _read_split(kept, data_root(), split)


# Places and forms.


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        *(("mnist", "data/MNIST/raw"), ("mnist", "data"), ("mnist", "home/.cache/bench/data/mnist")),
        *(("fashion_mnist", "data/FashionMNIST/raw"), ("fashion_mnist", "system/fashion-mnist")),
        *(("fashion_mnist", "home/.keras/datasets/fashion-mnist"), ("fashion_mnist", "data/raw")),
    ],
)
def test_files_are_found_where_systems_keep_them_packed_or_not(
    tmp_path: Path, name: str, place: str, ending: str
) -> None:
    assert not is_here(name)
    folder = write(tmp_path / place, idx_files(name), ending)
    assert is_here(name)
    for split in ("train", "test"):
        images = read_kept(name, split)
        assert images.images.shape == (12, 1, 28, 28)
        assert images.images[:, 0, 3, 5].tolist() == list(range(12))
        assert images.labels.tolist() == [*BEGINS[name][split], 3, 3]
    note = find(name).card.note
    assert note == ("" if place.startswith("data") else f"read from {folder}")


def test_one_file_may_be_packed_and_another_not_and_spelled_with_a_dot(data: Path) -> None:
    for number, (name, content) in enumerate(idx_files("mnist").items()):
        write(data / "mnist", {name.replace("-idx", ".idx"): content}, ".gz" if number % 2 else "")
    assert read_kept("mnist", "test").labels.tolist()[:4] == [7, 2, 1, 0]


def test_a_file_that_was_unpacked_under_its_packed_name_is_read(tmp_path: Path) -> None:
    file = tmp_path / "labels.gz"
    file.write_bytes(idx(np.arange(5)))
    assert _read_idx(file).tolist() == [0, 1, 2, 3, 4]


def test_another_set_with_files_of_the_same_names_is_not_taken(data: Path) -> None:
    write(data, idx_files("fashion_mnist"))
    assert is_here("fashion_mnist")
    assert not is_here("mnist")


def test_the_data_folder_comes_first_and_a_whole_set_before_a_part(tmp_path: Path, data: Path) -> None:
    system = write(tmp_path / "system" / "fashion-mnist", idx_files("fashion_mnist"), ".gz")
    kept = DATASETS.get("fashion_mnist").kept
    assert kept is not None
    part = dict(list(idx_files("fashion_mnist").items())[:2])
    write(data / "FashionMNIST" / "raw", part)
    assert kept.find(data_root()) == system
    write(data / "FashionMNIST" / "raw", idx_files("fashion_mnist"))
    assert kept.find(data_root()) == data / "FashionMNIST" / "raw"


def cifar(monkeypatch: pytest.MonkeyPatch, name: str, key: str) -> dict[str, bytes]:
    """Return the files of a small CIFAR data set, whose sums torchvision is told."""
    files = {}
    listed: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for number, (split, file) in enumerate((("train", "one"), ("train", "two"), ("test", "three"))):
        batch = {"data": np.full((4, 3072), number, np.uint8), key: [0, 1, 2, number]}
        batch["data"][:, :1024] = 255  # red comes first
        files[file] = pickle.dumps(batch)
        listed[split].append((file, hashlib.md5(files[file]).hexdigest()))
    monkeypatch.setattr(f"torchvision.datasets.{name}.train_list", listed["train"])
    monkeypatch.setattr(f"torchvision.datasets.{name}.test_list", listed["test"])
    return files


class Cifar(NamedTuple):
    """A data set of CIFAR's: its names here and at torchvision, where its labels are, and in which files it lies."""

    name: str
    theirs: str
    key: str
    folder: str
    archive: str


CIFARS = [
    Cifar("cifar10", "CIFAR10", "labels", "cifar-10-batches-py", "cifar-10-python.tar.gz"),
    Cifar("cifar100", "CIFAR100", "fine_labels", "cifar-100-python", "cifar-100-python.tar.gz"),
]


def read_cifar(name: str, split: Any) -> Images:
    kept = DATASETS.get(name).kept
    assert kept is not None
    return read_batches(kept, name.upper(), data_root(), split)


def pack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, arcname=folder.name)
    return archive


@pytest.mark.parametrize("kind", CIFARS, ids=[kind.name for kind in CIFARS])
@pytest.mark.parametrize("packed", [False, True])
def test_cifar_is_read_from_its_folder_its_archive_or_the_data_folder_itself(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Cifar, packed: bool
) -> None:
    files = cifar(monkeypatch, kind.theirs, kind.key)
    assert not is_here(kind.name)
    if packed:
        pack(data / kind.archive, write(tmp_path / kind.folder, files))
    else:
        write(data, files)
    assert is_here(kind.name)
    train, test = read_cifar(kind.name, "train"), read_cifar(kind.name, "test")
    assert train.labels.tolist() == [0, 1, 2, 0, 0, 1, 2, 1]
    assert train.images[4, :, 31, 0].tolist() == [255, 1, 1]
    assert (test.labels.tolist(), tuple(test.images.shape)) == ([0, 1, 2, 2], (4, 3, 32, 32))
    assert sorted(p.name for p in data.iterdir()) == ([kind.archive] if packed else sorted(files))


def test_a_folder_of_imagenette_may_be_the_data_folder_itself(data: Path) -> None:
    kept = DATASETS.get("imagenette").kept
    assert kept is not None
    assert kept.find(data) is None
    for part in ("train", "val"):
        for wnid in _CLASSES:
            (data / part / wnid).mkdir(parents=True)
    assert kept.find(data) == data


# What is damaged.


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("damage", "ending", "problem"),
    [
        (cut, "", r"it has 4,\d\d\d bytes of 9,424"),
        (cut, ".gz", "Compressed file ended"),
        (lambda content: b"", "", "does not begin as an IDX file"),
        (lambda content: b"<html>404", ".gz", "does not begin as an IDX file"),
        (lambda content: content[:-8] + bytes([content[-8] ^ 255]) + content[-7:], ".gz", "CRC check failed"),
    ],
)
def test_a_damaged_file_is_named(
    data: Path, damage: Callable[[bytes], bytes], ending: str, problem: str
) -> None:
    folder = write(data / "MNIST" / "raw", idx_files("mnist"), ending)
    file = folder / f"train-images-idx3-ubyte{ending}"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UnsupportedError, match=problem) as caught:
        read(find("mnist"), "train")
    assert caught.value.message.startswith(f"{file} cannot be read: ")
    assert caught.value.tip == "remove it, and the next run fetches it anew"


@pytest.mark.parametrize("kind", CIFARS, ids=[kind.name for kind in CIFARS])
def test_a_damaged_cifar_is_named(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Cifar
) -> None:
    files = cifar(monkeypatch, kind.theirs, kind.key)
    packed = pack(data / kind.archive, write(tmp_path / kind.folder, files))
    packed.write_bytes(cut(packed.read_bytes()))
    with pytest.raises(UnsupportedError, match=f"{kind.archive} cannot be read"):
        read(find(kind.name), "train")
    place = write(data / kind.folder, files | {"two": b"cposix\nsystem\n(S'exit 1'\ntR."})
    with pytest.raises(UnsupportedError, match="two is not as it was published: 28 bytes of MD5") as caught:
        read(find(kind.name), "train")
    assert caught.value.message.startswith(f"{place / 'two'} cannot be read: ")


def test_of_a_package_s_file_another_way_out_is_told() -> None:
    with pytest.raises(UnsupportedError) as caught, places.reading(Path("/usr/share/datasets/x")):
        raise EOFError
    assert caught.value.message == "/usr/share/datasets/x cannot be read: EOFError"
    assert caught.value.tip == "install the package that it belongs to again"


# What is missing, and how it comes here.


@pytest.mark.parametrize("name", KNOWN)
def test_a_missing_data_set_names_the_one_command_that_brings_it(
    data: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert not is_here(name)
    with pytest.raises(UnsupportedError) as absent:
        read(find(name), "train")
    assert absent.value.message == f"{name} is not on this machine"
    with pytest.raises(UnsupportedError) as caught:
        fetch(name)
    assert caught.value.message.startswith(f"{name} is not on this machine and cannot be fetched: ")
    assert "no route to host" in caught.value.message
    assert caught.value.tip == absent.value.tip
    command = str(caught.value.tip).split("`")[1]
    assert command.startswith("python -c ")
    assert f"{data}" in command
    compile(shlex.split(command)[2], "command", "exec")
    assert str(data / DATASETS.get(name).kept.folders[0]) in str(caught.value.tip)  # type: ignore[union-attr]
    assert "BENCH_DATA" in str(caught.value.tip)
    assert not [path for path in data.iterdir() if path.suffix != ".lock"]  # nothing is left


def test_on_debian_the_package_is_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(UnsupportedError) as caught:
        read(find("fashion_mnist"), "train")
    assert str(caught.value.tip).startswith("`apt install dataset-fashion-mnist` brings it; or ")


def test_what_an_incomplete_folder_lacks_is_named(data: Path) -> None:
    files = idx_files("mnist")
    del files["t10k-images-idx3-ubyte"]
    folder = write(data / "MNIST" / "raw", files)
    with pytest.raises(UnsupportedError, match=f"not on this machine whole: {folder} lacks t10k-images-idx3"):
        read(find("mnist"), "train")


def downloading(monkeypatch: pytest.MonkeyPatch, name: str, **files: Mapping[str, bytes]) -> list[Path]:
    """Let torchvision's class of this name write these files, by their folders; return where it is called to."""
    calls: list[Path] = []

    def download(root: Path, download: bool) -> None:
        assert download
        assert socket.getdefaulttimeout() == places._TIMEOUT_S
        calls.append(root)
        for folder, content in files.items():
            write(root / folder.replace("__", "/"), content)

    monkeypatch.setattr(f"torchvision.datasets.{name}", download)
    return calls


def test_a_missing_set_is_fetched_once_and_whole(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / ".mnist-of-a-process-that-was-killed").mkdir()
    (data / "MNIST" / "raw").mkdir(parents=True)
    mine = data / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    files = idx_files("mnist")
    mine.write_bytes(files[mine.name])
    before = mine.stat().st_mtime_ns
    calls = downloading(monkeypatch, "MNIST", MNIST__raw=files)
    patience = socket.getdefaulttimeout()
    fetch("mnist")
    fetch("mnist")
    assert len(calls) == 1
    assert calls[0].parent == data
    assert calls[0].name.startswith(".mnist-")  # a draft beside it, so that it is moved in one step
    assert sorted(path.name for path in data.iterdir()) == ["MNIST", "mnist.lock"]
    assert mine.stat().st_mtime_ns == before  # what is there stays as it is
    assert read_kept("mnist", "train").labels.tolist()[:5] == [5, 0, 4, 1, 9]
    assert socket.getdefaulttimeout() == patience


def test_a_folder_of_the_system_is_read_and_never_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloading(monkeypatch, "MNIST", MNIST__raw=idx_files("mnist"))
    system, own = Path("/usr/share/datasets"), tmp_path / "home" / ".cache" / "bench" / "data"
    monkeypatch.setenv("BENCH_DATA", str(system))
    assert places._own_folder(system) == own
    fetch("mnist")
    assert is_here("mnist")
    assert (own / "MNIST" / "raw").is_dir()
    assert places._own_folder(tmp_path / "new") == tmp_path / "new"


def test_files_of_other_contents_in_its_place_are_left_and_told(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloading(monkeypatch, "MNIST", MNIST__raw=idx_files("mnist"))
    folder = write(data / "MNIST" / "raw", idx_files("fashion_mnist"))
    with pytest.raises(UnsupportedError, match="files of other contents lie in"):
        fetch("mnist")
    assert (folder / "t10k-labels-idx1-ubyte").read_bytes()[8:12] == bytes([9, 2, 1, 1])


def test_a_data_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(UnsupportedError, match=r"cifar10 is not .* cannot be fetched: .*Not a directory"):
        fetch("cifar10")


def test_an_archive_of_imagenette_is_unpacked_into_the_data_folder(tmp_path: Path, data: Path) -> None:
    whole = tmp_path / "imagenette2-160"
    for part in ("train", "val"):
        for wnid in _CLASSES:
            write(whole / part / wnid, {"a.JPEG": b"?"})
    system = tmp_path / "system"
    system.mkdir()
    archive = pack(system / "imagenette2-160.tgz", whole)
    assert not is_here("imagenette")
    fetch("imagenette")
    assert is_here("imagenette")
    assert find("imagenette").card.train == 10
    assert sorted(path.name for path in data.iterdir()) == ["imagenette.lock", "imagenette2-160"]
    assert [path.name for path in system.iterdir()] == [archive.name]


def test_a_damaged_archive_of_imagenette_is_named_and_leaves_nothing(data: Path) -> None:
    (data / "imagenette2.tgz").write_bytes(gzip.compress(b"no archive"))
    with pytest.raises(UnsupportedError, match=r"imagenette2\.tgz cannot be read: "):
        fetch("imagenette")
    assert sorted(path.name for path in data.iterdir()) == ["imagenette.lock", "imagenette2.tgz"]


def test_digits_are_always_here() -> None:
    assert is_here("digits")
    fetch("digits")
    assert torch.equal(read(find("digits"), "test").labels, read(find("digits"), "test").labels)
