"""Folders of images: a folder for each class; no image is decoded to know them, and each folder is listed once."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median_low

import torch
from torch import Tensor

from bench.datasets._fingerprint import File, fingerprint
from bench.datasets._images import Dataset, Files, Images, Split, choose
from bench.datasets.transforms import MEAN, STD
from bench.errors import UnsupportedError
from bench.plan.card import DatasetCard

NATIVE = 224  # px, at most: what the networks for photographs take
_SAMPLE = 16  # files whose headers are read for the channels and the size
_TEST_SHARE = 0.2  # of a folder that is not split
_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
_TABLES = (".csv", ".tsv", ".json", ".xml", ".xlsx", ".mat", ".parquet")
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_HIDDEN = ("__MACOSX", "__pycache__", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information")
_HIDDEN_FILES = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")

# In any case of letters, and with whatever stands between words.
TRAINING = (
    *("train", "training", "trainset", "trainingset"),
    *("traindata", "trainingdata", "trainimages", "trainingimages", "trn"),
)
TESTING = (
    *("test", "testing", "testset", "testingset", "testdata", "testingdata", "testimages", "tst", "val"),
    *("valid", "validation", "validate", "valset", "validset", "validationset", "valdata", "validationdata"),
    *("valimages", "validationimages", "dev", "eval", "evaluation", "holdout"),
)
_PARTS = re.compile(  # names of folders that are parts of a whole rather than classes
    r"(.*[\W_])?(images?|imgs?|jpe?gs?|photos?|pictures?|parts?|batch|fold|shard|masks|labels|annotations)[\W_]*\d*",
    re.IGNORECASE,
)
_LAYOUT = "put the images of each class into a folder of its own: PATH/train/CLASS/ and PATH/test/CLASS/"


_Listing = dict[str, list[File]]  # the files of each class, in order


@dataclass(frozen=True)
class _Folder:
    """What lies in a folder of images.

    Attributes:
        classes: names in the order of the labels.
        files: paths of each split.
        labels: [N] int64 of each split.
        sha256: of the files' relative names, their sizes and what they hold; other images have another.
        note: what was taken, and what was left out.
    """

    classes: tuple[str, ...]
    files: dict[Split, tuple[str, ...]]
    labels: dict[Split, Tensor]
    sha256: str
    note: str


def folder_dataset(name: str, path: Path, size: int | None = None) -> Dataset:
    """Return the data set of the images below `path`.

    The images are decoded to squares of `size` px, and cropped at random from a border of an eighth of it.

    Args:
        name: how it is asked for.
        path: holds a folder for training and one for testing (see `TRAINING` and `TESTING`, in any case of letters)
            with a folder for each class; or the classes' folders, of which a fifth, always the same, is for testing.
        size: px; None is the images' own, at most 224.

    Raises:
        UnsupportedError: if there are no such folders, or they do not suit.
    """
    folder = scan(path)
    channels, native = _form(folder.files["train"])
    size = size or native
    return Dataset(
        card=DatasetCard(
            name=name,
            num_classes=len(folder.classes),
            in_channels=channels,
            size=size,
            train=len(folder.files["train"]),
            test=len(folder.files["test"]),
            source=f"the folder {path}",
            flip=True,
            in_files=True,
            sha256=folder.sha256,
            note=folder.note,
        ).at(size),
        load=partial(_load, folder, channels, size),
        mean=MEAN if channels == 3 else (sum(MEAN) / 3,),
        std=STD if channels == 3 else (sum(STD) / 3,),
        class_names=folder.classes,
    )


def _load(folder: _Folder, channels: int, size: int, root: Path, split: Split) -> Images:  # noqa: ARG001
    files = Files(folder.files[split], channels, size)
    return Images(files[:] if files.fits_memory else files, folder.labels[split])


def scan(path: Path) -> _Folder:
    """Read the names and the sizes of the files below `path`, and what they hold where that is new; none is decoded.

    Raises:
        UnsupportedError: if there is nothing to train on and to test, or the two do not agree.
    """
    check_folder(path, _LAYOUT)
    tree = Tree(str(path))
    try:
        return _scan(tree)
    except UnsupportedError as error:
        if not (tables := tree.look(tree.path).tables):
            raise
        message = f"{error.message}; labels in a table, such as {tables[0]}, are not read"
        raise UnsupportedError(message, f"sort the images by it: {_LAYOUT}") from error


def check_folder(path: Path, layout: str) -> None:
    """Refuse what is no folder that can be read, with the layout that is asked for as the next step."""
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # a name that is too long, or no right to look
        raise UnsupportedError(f"{path} cannot be read: {error.strerror}", layout) from error
    if is_file and path.suffix.lower() in _ARCHIVES:
        raise UnsupportedError(f"{path} is an archive, not a folder", "unpack it, and name the folder")
    if is_file:
        raise UnsupportedError(f"{path} is a file, not a folder", layout)
    if not is_folder:
        raise UnsupportedError(f"there is no folder {path}", layout)


def _scan(tree: Tree) -> _Folder:
    path, notes = tree.path, list[str]()
    parts = _parts(tree)
    if parts is None:
        notes += _check_classes(tree)
        listings = _cut(_listing(tree, path))
    else:
        listings = {split: _listing(tree, f"{path}/{name}") for split, name in parts.items()}
        tree.left_out.update(
            f"folder {name}/" for name in tree.look(path).folders if name not in parts.values()
        )
        tree.count(path)
        notes += _check_parts(path, listings)
    train = listings["train"]
    if len(train) < 2:
        only = next(iter(train))
        tip = f"if its folders are the classes, name it: imagefolder:{path}/{only}"
        raise UnsupportedError(f"{path} has one class, {only}: nothing to tell apart", tip)
    return _Folder(
        classes=tuple(train),
        files={split: tuple(f.path for f in chain(*files.values())) for split, files in listings.items()},
        labels={split: labels_of(listing) for split, listing in listings.items()},
        sha256=fingerprint(path, {split: [*chain(*files.values())] for split, files in listings.items()}),
        note="; ".join([_note(listings, parts), *notes, *_rest(tree.left_out)]),
    )


def _note(listings: dict[Split, _Listing], parts: dict[Split, str] | None) -> str:
    """Return a few words on what was taken."""
    places = parts or {"train": "four fifths", "test": "a fifth"}
    taken = [
        f"{sum(map(len, listing.values())):,} images {'to train on' if split == 'train' else 'to test'} "
        f"({f'of {places[split]}/' if parts else places[split]})"
        for split, listing in listings.items()
    ]
    return f"{len(listings['train'])} classes, {' and '.join(taken)}"


def _rest(left_out: Counter[str]) -> list[str]:
    """Return a few words on what was left out, if anything was."""
    return [f"left out: {rest}"] if (rest := told(left_out)) else []


def told(left_out: Counter[str]) -> str:
    """Return in words what was left out, and how much of it."""
    return ", ".join(f"{what} ({count:,})" for what, count in sorted(left_out.items()) if count)


def _parts(tree: Tree) -> dict[Split, str] | None:
    """Return the folders for training and for testing of a folder that is split; None for one that holds the classes.

    A folder that is called `train` and holds images is a class, if there is none for testing.

    Raises:
        UnsupportedError: if there is one of the two, and not the other.
    """
    path = tree.path
    names = {plain_key(name): name for name in tree.look(path).folders}
    trains, tests = ([names[key] for key in keys if key in names] for keys in (TRAINING, TESTING))
    inner = {name: tree.look(f"{path}/{name}") for name in (*trains, *tests)}
    split = [name for name in tests if inner[name].folders and not inner[name].images]
    if not trains and split:
        raise UnsupportedError(
            f"{path} has {split[0]}, and no folder for training",
            f"add train, or name {path}/{split[0]} itself: a fifth of it is then for testing",
        )
    if not trains or not (tests or (inner[trains[0]].folders and not inner[trains[0]].images)):
        return None
    train, classes = trains[0], {shown(name) for name in inner[trains[0]].folders}
    if not classes:
        raise UnsupportedError(f"{path}/{train} holds no folders, one for each class", _LAYOUT)
    fits = [name for name in tests if classes & {shown(folder) for folder in inner[name].folders}]
    if not fits:
        raise UnsupportedError(
            f"{path} has {train}, and neither test nor val with a folder for each class{_found(tests, inner)}",
            f"add one, or name {path}/{train} itself: a fifth of it is then for testing",
        )
    return {"train": train, "test": fits[0]}


def _found(tests: Sequence[str], inner: dict[str, _Listed]) -> str:
    """Return a few words on what the folders for testing hold instead of the classes."""
    if not tests:
        return ""
    folders = ", ".join(inner[tests[0]].folders[:3])
    what = f"the folders {folders}" if folders else f"{len(inner[tests[0]].images):,} images without classes"
    return f": {tests[0]} holds {what}"


def plain_key(name: str) -> str:
    """Return a name in small letters, without what stands between words."""
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFC", name).casefold())


def shown(name: str) -> str:
    """Return the name of a class as it is shown: accents are composed, what is no text is replaced."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def _check_classes(tree: Tree) -> list[str]:
    """Return what should be told of folders that are taken for classes.

    Raises:
        UnsupportedError: if they are parts of something else by their names.
    """
    path = tree.path
    names = tree.look(path).folders
    inner = [tree.look(f"{path}/{name}") for name in names]
    nested = len(names) > 1 and not any(listed.images for listed in inner)
    common = sorted(set.intersection(*(set(listed.folders) for listed in inner))) if nested else []
    parts = [n for n in names if re.search("train|test|val", n.lower())] if len(common) > 1 else []
    if parts or (len(names) > 1 and all(map(_PARTS.fullmatch, names))):
        message = f"the folders of {path} look like parts and not like classes: {', '.join(names[:4])}"
        raise UnsupportedError(message, f"call them train and test, or after the classes; {_LAYOUT}")
    if len(common) > 1:
        return [f"each class holds folders of the same names ({', '.join(common[:3])}), taken together"]
    return []


def _check_parts(path: str, listings: dict[Split, _Listing]) -> list[str]:
    """Return what should be told of images for training and for testing.

    Raises:
        UnsupportedError: if their classes are not the same, or most images for testing are those for training.
    """
    train, test = listings["train"], listings["test"]
    for first, second, purpose in ((train, test, "test"), (test, train, "training")):
        if missing := sorted(first.keys() - second.keys()):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            tip = f"add them, or remove the class from the other part; {_LAYOUT}"
            raise UnsupportedError(f"{path} has no {purpose} images of class {missing[0]}{more}", tip)
    trained = {file.place for file in chain(*train.values())}
    tested = list(chain(*test.values()))
    both = [file.path for file in tested if file.place in trained]
    if 2 * len(both) > len(tested):
        raise UnsupportedError(
            f"{len(both):,} of {len(tested):,} images to test are links to images to train on, such as {both[0]}",
            "put other images there",
        )
    return [f"{len(both):,} images to test are also trained on, by links"] if both else []


def _cut(whole: _Listing) -> dict[Split, _Listing]:
    """Return the files of a folder that is not split: a fifth of each class for testing, always the same."""
    train: _Listing = {}
    test: _Listing = {}
    for name, files in whole.items():
        if len(files) == 1:
            message = f"class {name} has a single image, {files[0].path}: training and test need one each"
            raise UnsupportedError(message, "add images, or remove the class")
        count = max(1, round(_TEST_SHARE * len(files)))
        tested = set(choose(torch.zeros(len(files), dtype=torch.int64), count, seed=0).tolist())
        train[name] = [f for i, f in enumerate(files) if i not in tested]
        test[name] = [f for i, f in enumerate(files) if i in tested]
    return {"train": train, "test": test}


def _listing(tree: Tree, path: str) -> _Listing:
    """Return the image files of each folder in `path`, in the order of torchvision's `ImageFolder`.

    Raises:
        UnsupportedError: if there are no folders, or one of them has no images.
    """
    folders = tree.look(path).folders
    if not folders:
        raise UnsupportedError(f"{path} holds no folders, one for each class", _LAYOUT)
    listing: _Listing = {}
    for name in folders:
        before = tree.left_out.copy()
        files = tree.images(f"{path}/{name}", above=(tree.path, path))
        if not files:
            others = ", ".join((tree.left_out - before).keys())
            raise UnsupportedError(
                f"class {shown(name)} is empty: no images in {path}/{name}{f', but {others}' if others else ''}",
                f"add images ({', '.join(_ENDINGS)}), or remove the folder",
            )
        listing.setdefault(shown(name), []).extend(files)
    tree.count(path)
    return listing


@dataclass
class _Listed:
    """What lies right in a folder: the names of folders and of tables, image files, and a count of all else."""

    place: int
    folders: list[str] = field(default_factory=list)
    images: list[File] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


class Tree:
    """The folders below one; each is listed once, however often it is looked at and however many links lead to it.

    Attributes:
        path: of the folder.
        left_out: what was left out of all that was taken.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()
        self._listed: dict[int, _Listed] = {}

    def look(self, path: str) -> _Listed:
        """Return what lies right in a folder, everything by name.

        Raises:
            UnsupportedError: if it cannot be read.
        """
        try:
            place = _place(path, os.stat(path))  # noqa: PTH116 - a path as text
            if place not in self._listed:
                self._listed[place] = _list(path, place)
        except OSError as error:
            problem = f"{path} cannot be read: {error.strerror or error}"
            raise UnsupportedError(problem, "mend its rights, or take it away") from error
        return self._listed[place]

    def count(self, path: str) -> None:
        """Count what lies right in a folder, and in none of those that were taken, as left out."""
        listed = self.look(path)
        self.left_out.update(listed.left_out)
        self.left_out["images outside of the folders of classes"] += len(listed.images)

    def images(self, path: str, above: Iterable[str]) -> list[File]:
        """Return the image files below a folder, in the order of their paths; of several links, the first is followed.

        It is in folders `above`, to which a link may lead back.
        """
        seen = {self.look(folder).place for folder in above}
        files = []
        ahead = [path]
        while ahead:
            folder = ahead.pop()
            listed = self.look(folder)
            if listed.place in seen:
                self.left_out["links to folders that were met before"] += 1
                continue
            seen.add(listed.place)
            self.left_out.update(listed.left_out)
            for name, size, place, changed in listed.images:
                if place in seen:
                    self.left_out["links to images that were met before"] += 1
                else:
                    seen.add(place)
                    files.append(File(f"{folder}/{name}", size, place, changed))
            ahead += [f"{folder}/{name}" for name in reversed(listed.folders)]
        return sorted(files)


def _list(path: str, place: int) -> _Listed:
    """List a folder; what is hidden, no image, no file or a link to nowhere is counted.

    Raises:
        OSError: if it cannot be read.
    """
    listed = _Listed(place)
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            try:
                status = entry.stat()
            except OSError:
                listed.left_out["links that lead nowhere"] += 1
                continue
            hidden = entry.name.startswith(".")
            if stat.S_ISDIR(status.st_mode):
                if hidden or entry.name in _HIDDEN:
                    listed.left_out["hidden folders"] += 1
                else:
                    listed.folders.append(entry.name)
            elif hidden or entry.name.lower() in _HIDDEN_FILES:
                listed.left_out["hidden files"] += 1
            else:
                _list_file(entry, status, listed)
    return listed


def _list_file(entry: os.DirEntry[str], status: os.stat_result, listed: _Listed) -> None:
    ending = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a million of them, as text
    if not stat.S_ISREG(status.st_mode):
        listed.left_out["pipes, sockets and devices"] += 1
    elif ending in _ENDINGS:
        changed = max(status.st_mtime_ns, status.st_ctime_ns)
        listed.images.append(File(entry.name, status.st_size, _place(entry.path, status), changed))
    else:
        listed.left_out[f"*{ending}" if ending else "files without an ending"] += 1
        if ending in _TABLES:
            listed.tables.append(entry.name)


def _place(path: str, status: os.stat_result) -> int:
    """Return a number that all links to a file share; file systems without such numbers say 0."""
    if status.st_ino:
        return status.st_dev << 64 | status.st_ino
    return int.from_bytes(hashlib.blake2b(os.fsencode(path), digest_size=8).digest(), "big")


def labels_of(listing: _Listing) -> Tensor:
    """Return the labels [N] int64 of the files of each class, in order."""
    counts = torch.tensor([len(files) for files in listing.values()])
    return torch.arange(len(listing)).repeat_interleave(counts)


def _form(files: Sequence[str]) -> tuple[int, int]:
    """Return the channels and the native size in px of images, from the headers of a few.

    They are grey where all of these are. A file that is not an image is left for the decoder to name.
    """
    from PIL import Image

    grey, sides = [], []
    for file in files[:: max(1, len(files) // _SAMPLE)]:
        try:
            with Image.open(file) as image:
                grey.append(image.mode in {"1", "L", "LA"})
                sides.append(min(image.size))
        except Exception:  # Pillow raises many kinds
            continue
    return (1 if grey and all(grey) else 3), min(NATIVE, median_low(sides) if sides else NATIVE)
