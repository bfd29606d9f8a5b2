"""Classes: which output of a network means which class of a data set, told by their names alone.

A folder's classes are WordNet ids, numbers or names. Which output an id of ImageNet's 1,000 is follows from their
order, as torchvision and timm sort them: all 1,000 need no list, Imagenette's ten are known here, and any other part
needs a list that lies beside the images, or timm's.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.datasets import _imagenet
from bench.datasets._folder import plain_key
from bench.errors import UnsupportedError, nearest

_ID = re.compile(r"n\d{8}")
_NUMBER = re.compile(r"\d+")

# J. Howard, Imagenette, fast.ai, 2019: its ten classes among ImageNet's 1,000.
_IMAGENETTE = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}
_LISTS = ("LOC_synset_mapping.txt", "synset_words.txt", "synsets.txt", "imagenet_class_index.json")
_LIST_TIP = f"put one of {', '.join(_LISTS)} beside the folder"


@dataclass(frozen=True)
class ClassMap:
    """Which output of a network means which class.

    Attributes:
        outputs: K numbers of outputs, one a class of the data set.
        count: of the network's outputs.
        by: what they were matched by: `wordnet_ids`, `names`, `numbers` or `order`.
        note: what a reader should know of it.
        doubt: why the order may be another one; empty where it is certain.
    """

    outputs: tuple[int, ...]
    count: int
    by: str
    note: str = ""
    doubt: str = ""

    @property
    def is_part(self) -> bool:
        """Whether the network has outputs for other classes too."""
        return len(self.outputs) < self.count

    @classmethod
    def of(cls, classes: Sequence[str], vocabulary: Vocabulary, folder: Path | None = None) -> ClassMap:
        """Return which output of a network means which class of a data set.

        Args:
            classes: names of the data set's classes, in the order of its labels.
            vocabulary: of the network.
            folder: that holds the classes' folders; a list of WordNet ids may lie there, or above.

        Raises:
            UnsupportedError: if the network has no output for a class, or it cannot be known which.
        """
        if vocabulary.names and (by_name := _exact(classes, vocabulary.names)):
            return cls(by_name, vocabulary.count, "names")
        if all(map(_ID.fullmatch, classes)):
            return _by_ids(classes, vocabulary, folder)
        if all(map(_NUMBER.fullmatch, classes)):
            return _by_numbers(classes, vocabulary)
        try:
            return _by_names_or_order(classes, vocabulary)
        except UnsupportedError:
            _check_alike(classes)
            raise


@dataclass(frozen=True)
class Vocabulary:
    """What is known of a network's outputs.

    Attributes:
        count: of them.
        names: of each, with synonyms behind commas; empty where they are not known.
        source: where that is from.
    """

    count: int
    names: tuple[str, ...] = ()
    source: str = ""


def _by_names_or_order(classes: Sequence[str], vocabulary: Vocabulary) -> ClassMap:
    if vocabulary.names:
        return _by_names(classes, _with_synonyms(vocabulary))
    if vocabulary.count == _imagenet.COUNT:
        names = Vocabulary(vocabulary.count, _imagenet.categories(), source="ImageNet's names")
        try:
            return _by_names(classes, _with_synonyms(names))
        except UnsupportedError as error:
            if len(classes) != vocabulary.count:
                raise UnsupportedError(f"{error.message}, taken to be ImageNet's", error.tip) from error
    return _by_order(classes, vocabulary.count)


def _check_alike(classes: Sequence[str]) -> None:
    """Refuse folders of which most are called by WordNet ids or by numbers, and some otherwise, in these words.

    Raises:
        UnsupportedError: if they are; it names the one that differs.
    """
    for kind, form in (("WordNet ids", _ID), ("numbers", _NUMBER)):
        other = [name for name in classes if not form.fullmatch(name)]
        if len(other) < len(classes) / 2:
            some = f"{other[0]!r}" + (f" and {len(other) - 1} more are" if len(other) > 1 else " is")
            message = f"{len(classes) - len(other)} of {len(classes)} class folders are called by {kind}, {some} not"
            raise UnsupportedError(message, "call all of them in one way, or take away what is no class")


def _with_synonyms(vocabulary: Vocabulary) -> Vocabulary:
    """Return the vocabulary with the other words for ImageNet's classes, where timm has them."""
    ids, words = _imagenet.ids(), _imagenet.words()
    if vocabulary.count != _imagenet.COUNT or not len(ids) == len(vocabulary.names) == _imagenet.COUNT:
        return vocabulary
    pairs = zip(vocabulary.names, ids, strict=True)
    return replace(vocabulary, names=tuple(f"{name}, {words.get(synset, '')}" for name, synset in pairs))


def _exact(classes: Sequence[str], names: Sequence[str]) -> tuple[int, ...]:
    """Return the outputs of classes that are spelled as the network's; nothing where one is not, or is not alone."""
    outputs = {name: number for number, name in enumerate(names)}
    if len(outputs) < len(names) or not all(name in outputs for name in classes):
        return ()
    return tuple(outputs[name] for name in classes)


def _by_ids(classes: Sequence[str], vocabulary: Vocabulary, folder: Path | None) -> ClassMap:
    count, unknown = vocabulary.count, list(classes)
    for ids, source in _lists_of_ids(count, folder):
        unknown = min([name for name in classes if name not in ids], unknown, key=len)
        if all(name in ids for name in classes) and max(ids[name] for name in classes) < count:
            outputs = tuple(ids[name] for name in classes)
            return ClassMap(outputs, count, "wordnet_ids", _part_note(classes, count, source))
    if len(classes) == count:
        return ClassMap(tuple(range(count)), count, "wordnet_ids", doubt=_doubt_of_ids(classes))
    if count < _imagenet.COUNT:  # those of a network of one's own, of which no list tells the ids
        message = f"the folder has {len(classes)} classes, the network {count} outputs, whose WordNet ids are not known"
        raise UnsupportedError(message, _more_tip(len(classes), count))
    first = (unknown or classes)[0]
    some = f"{len(unknown)} of {len(classes)} WordNet ids" if unknown else f"{len(classes)} WordNet ids"
    message = f"{some}, such as {first}, are not known among {count} outputs"
    raise UnsupportedError(message, _LIST_TIP)


def _doubt_of_ids(classes: Sequence[str]) -> str:
    """Return why outputs may be in another order than as many WordNet ids; nothing for ImageNet's 1,000 in theirs."""
    if _imagenet.are_all(classes):
        return ""
    if len(classes) != _imagenet.COUNT:
        return "what the network's outputs mean is not known: they are taken in the order of the WordNet ids"
    known = set(_imagenet.ids())
    other = next(
        (f"{name} is" for name in classes if known and name not in known), "some of the WordNet ids are"
    )
    return f"{other} none of ImageNet's 1,000, in whose order the outputs are taken"


def _lists_of_ids(count: int, folder: Path | None) -> list[tuple[Mapping[str, int], str]]:
    """Return the lists of WordNet ids for so many outputs, each with where it is from; the surest first."""
    lists: list[tuple[Mapping[str, int], str]] = []
    if folder is not None and count >= _imagenet.COUNT:
        places = [folder, *list(folder.parents)[:2]]
        files = [place / name for place in places for name in _LISTS if (place / name).is_file()]
        lists += [(_read_ids(file), str(file)) for file in files]
    if count == _imagenet.COUNT:
        lists.append((_IMAGENETTE, "Imagenette's list"))
        lists.append(({name: number for number, name in enumerate(_imagenet.ids())}, "timm's list"))
    return lists


def _read_ids(file: Path) -> dict[str, int]:
    """Return the number of each WordNet id in a list: an id a line in order, or ``{"0": ["n01440764", "tench"], ...}``.

    Raises:
        UnsupportedError: if it cannot be read as such.
    """
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".json":
            return {str(entry[0]): int(number) for number, entry in json.loads(text).items()}
        words = [line.split()[0] for line in text.splitlines() if line.strip()]
    except (OSError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise UnsupportedError(f"{file} is no list of WordNet ids", "replace it, or take it away") from error
    if wrong := next((word for word in words if not _ID.fullmatch(word)), None):
        raise UnsupportedError(
            f"{file} has {wrong[:40]!r} where a WordNet id belongs", "replace it, or take it away"
        )
    return {word: number for number, word in enumerate(words)}


def _part_note(classes: Sequence[str], count: int, source: str) -> str:
    part = f"{len(classes)} of the network's {count} classes, by {source}" if len(classes) < count else ""
    return part if source else part.removesuffix(", by ")


def _by_numbers(classes: Sequence[str], vocabulary: Vocabulary) -> ClassMap:
    count, numbers = vocabulary.count, [int(name) for name in classes]
    if len(set(numbers)) < len(numbers):
        raise UnsupportedError("two folders have the same number", "call each class by a number of its own")
    first = min(numbers)
    if max(numbers) == count and first == 1:
        numbers, shifted = [number - 1 for number in numbers], "numbered from 1: class 1 is output 0"
    else:
        shifted = ""
    if outside := next((name for name, n in zip(classes, numbers, strict=True) if n >= count), None):
        raise UnsupportedError(
            f"class {outside} is none of the network's {count} outputs, 0 to {count - 1}",
            "take the folder away, or give a network with more outputs",
        )
    as_text = sorted(range(len(numbers)), key=lambda i: classes[i])
    doubt, taken = "", "folders are numbers, taken as the numbers of outputs"
    if [numbers[i] for i in as_text] != sorted(numbers) and len(classes) == count:
        some = ", ".join(classes[i] for i in as_text[:4])
        doubt = f"{taken}; a training by torchvision's ImageFolder has them sorted as text: {some}"
    elif not shifted and sorted(numbers) == [*range(1, len(numbers) + 1)]:
        doubt = f"{taken}, which begin at 0; they run from 1 to {len(numbers)}, and may be counted from 1"
    notes = [shifted, _part_note(classes, count, "")]
    return ClassMap(tuple(numbers), count, "numbers", "; ".join(filter(None, notes)), doubt)


def _by_names(classes: Sequence[str], vocabulary: Vocabulary) -> ClassMap:
    """Match names however they are written; synonyms stand behind commas in what the network's source says."""
    outputs = defaultdict[str, list[int]](list)
    for number, name in enumerate(vocabulary.names):
        for spelling in {plain_key(name), *map(plain_key, name.split(","))} - {""}:
            outputs[spelling].append(number)
    numbers: list[int] = []
    for place, name in enumerate(classes):
        fits = outputs.get(plain_key(name), [])
        if len(fits) > 1 and place in fits and len(classes) == vocabulary.count:
            fits = [place]  # two classes of one name, as ImageNet's two cranes, in the network's own order
        if len(fits) != 1:
            raise _not_one(name, fits, classes, vocabulary)
        numbers += fits
    if len(set(numbers)) < len(numbers):
        raise UnsupportedError("two folders mean the same class of the network", "put their images together")
    return ClassMap(
        tuple(numbers), vocabulary.count, "names", _part_note(classes, vocabulary.count, vocabulary.source)
    )


def _not_one(name: str, fits: list[int], classes: Sequence[str], vocabulary: Vocabulary) -> UnsupportedError:
    counts = f"the folder has {len(classes)} classes, the network {vocabulary.count} outputs"
    if fits:
        message = f"class {name!r} may be any of the outputs {', '.join(map(str, fits))}; {counts}"
        return UnsupportedError(message, "call the folders by WordNet ids, or by the numbers of the outputs")
    close = nearest(name.replace("_", " "), [part.strip() for n in vocabulary.names for part in n.split(",")])
    tip = f"its outputs have {', '.join(close)}" if close else f"they are named by {vocabulary.source}"
    message = f"class {name!r} is none of the network's; {counts}"
    return UnsupportedError(message, f"{tip}: rename the folder, or take it away")


def _by_order(classes: Sequence[str], count: int) -> ClassMap:
    if len(classes) != count:
        message = (
            f"the folder has {len(classes)} classes, the network {count} outputs, whose names are not known"
        )
        raise UnsupportedError(message, _more_tip(len(classes), count))
    doubt = (
        "the names of the network's outputs are not known: classes are taken in the order of the data set's"
    )
    return ClassMap(tuple(range(count)), count, "order", doubt=doubt)


def _more_tip(classes: int, count: int) -> str:
    if classes > count:
        return "take the folders away that the network has no output for"
    return "call the folders by the numbers of the outputs, or say their names in the network: self.classes = [...]"
