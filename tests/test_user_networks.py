"""Networks from files: what they declare and take, what is imported, and what goes wrong."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.archs.naming import resolve
from bench.errors import InvalidModelError, UnknownNameError, UnsupportedError

MODELS = Path(__file__).parent / "models"
GOOD = MODELS / "good.py"


def user(target: str, file: Path = GOOD) -> Any:
    """Build what the user's file defines, at its card's values."""
    return resolve(f"{file}:{target}").build()


@pytest.fixture(autouse=True)
def _path_is_restored() -> Iterator[None]:
    before = list(sys.path)
    yield
    assert sys.path == before


def test_a_class_with_facts() -> None:
    arch = resolve(f"{GOOD}:Net")
    card = arch.card
    assert (card.name, card.family, card.year) == (f"{GOOD}:Net", "mine", 2024)
    assert (card.input_size, card.min_input, card.num_classes, card.in_channels) == (16, 4, 5, 1)
    assert card.paper == "A. Nonymous, Nets, 2024"
    assert card.any_channels
    assert card.source_sha256 == hashlib.sha256(GOOD.read_bytes()).hexdigest()
    assert arch.build(num_classes=9).given == (9, 1, 16)
    with pytest.raises(UnsupportedError, match="needs at least 4 px"):
        arch.build(input_size=3)


def test_arguments_reach_the_users_class_and_its_card() -> None:
    arch = resolve(f"{GOOD}:Net(width=4, input_size=8)")
    assert arch.card.input_size == 8
    assert arch.card.name == f"{GOOD}:Net(width=4, input_size=8)"
    assert sum(p.numel() for p in arch.build().parameters()) == (1 * 8 * 8 * 4 + 4) + (4 * 5 + 5)


def test_aliases_are_served_and_facts_of_a_wrong_type_left_out() -> None:
    arch = resolve(f"{GOOD}:Aliased")
    assert arch.build().given == (1000, 224)
    assert arch.build(num_classes=3, input_size=32, in_channels=1).given == (3, 32)
    card = arch.card
    assert (card.input_size, card.year, card.num_classes, card.min_input) == (224, None, 1000, 1)
    assert (card.in_channels, card.any_channels, card.family) == (3, False, "custom")


def test_arguments_under_an_alias() -> None:
    arch = resolve(f"{GOOD}:Aliased(n_classes=4)")
    assert arch.card.num_classes == 4
    assert arch.build().given == (4, 224)
    pair = resolve(f"{GOOD}:Aliased(img_size=(8, 9))")
    assert pair.card.input_size == 224
    assert pair.build().given == (1000, (8, 9))


def test_any_keyword_means_all_three() -> None:
    given_to_it = user("Anything(extra='x')").given
    assert given_to_it == {"num_classes": 1000, "in_channels": 3, "input_size": 224, "extra": "x"}


def test_a_function_and_its_facts() -> None:
    net = user("make(extra=1)")
    assert net.given == (1000, 3, 12)
    assert net.options == {"in_channels": 3, "input_size": 12, "extra": 1}


def test_an_instance_is_copied_for_each_job() -> None:
    arch = resolve(f"{GOOD}:instance")
    first, second = arch.build(num_classes=9), arch.build()
    assert first is not second
    assert not arch.card.any_channels
    nn.init.zeros_(first.get_parameter("weight"))
    assert second.get_parameter("weight").any()


def test_a_class_without_a_constructor() -> None:
    assert isinstance(user("Bare"), nn.Module)


def test_a_network_that_is_no_classifier() -> None:
    assert resolve(f"{GOOD}:Headless").card.num_classes is None


def test_a_sibling_imported_late_is_found() -> None:
    assert isinstance(user("Lazy"), nn.Module)


def test_siblings_of_equal_name_in_two_folders_are_kept_apart() -> None:
    first = user("Net").head
    other = user("Net", MODELS / "other" / "net.py")
    again = user("Net").head
    assert type(other).__module__ == "layers"
    assert type(first).__name__ == type(again).__name__ == "Head"
    assert type(other).__name__ == "Other"


@pytest.mark.parametrize("initialised", [True, False])
def test_packages_of_equal_name_in_two_folders_are_kept_apart(tmp_path: Path, initialised: bool) -> None:
    for value in (1, 2):
        parts = tmp_path / str(value) / "parts"
        parts.mkdir(parents=True)
        (parts / "block.py").write_text(
            f"from torch import nn\nclass Block(nn.Module):\n    value = {value}\n"
        )
        (parts.parent / "net.py").write_text("from parts.block import Block\n")
        if initialised:
            (parts / "__init__.py").touch()
    assert [user("Block", tmp_path / str(v) / "net.py").value for v in (1, 2)] == [1, 2]


def test_the_file_as_it_is_now_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    hashes = []
    for value in (1, 2):  # of one length, within one second: a cache by time and size would miss it
        file.write_text(f"from torch import nn\nclass Net(nn.Module):\n    value = {value}\n")
        arch = resolve(f"{file}:Net")
        assert arch.build().value == value
        hashes.append(arch.card.source_sha256)
    assert len(set(hashes)) == 2
    assert not (tmp_path / "__pycache__").exists()


def test_a_module_of_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "nets.py").write_text("from torch import nn\nclass Net(nn.Module):\n    year = 2025\n")
    monkeypatch.chdir(tmp_path)
    arch = resolve("my_package.nets:Net")
    assert (arch.card.name, arch.card.year) == ("my_package.nets:Net", 2025)
    assert arch.card.source_sha256 == hashlib.sha256((package / "nets.py").read_bytes()).hexdigest()
    assert isinstance(arch.build(), nn.Module)


@pytest.mark.parametrize(
    ("name", "message", "tip"),
    [
        (f"{MODELS}/god.py:Net", f"no file '{MODELS}/god.py'", f"did you mean {GOOD}?"),
        (f"{MODELS}/none/net.py:Net", f"no file '{MODELS}/none/net.py'", "there is no folder"),
        (f"{GOOD}:Nett", "unknown network 'Nett'", "did you mean Net"),
        (f"{GOOD}:mak", "unknown network 'mak'", "make"),
        (f"{MODELS}/empty.py:Net", f"{MODELS}/empty.py defines no network, so no 'Net'", ""),
        ("no_such_package.nets:Net", "unknown module 'no_such_package.nets'", ".py file"),
    ],
)
def test_users_names_that_are_not_there(name: str, message: str, tip: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        resolve(name)
    assert caught.value.message == message
    assert tip in (caught.value.tip or "")


@pytest.mark.parametrize(
    ("file", "cause"),
    [("raises.py", ZeroDivisionError), ("exits.py", SystemExit), ("misses.py", ModuleNotFoundError)],
)
def test_what_an_import_raises_is_the_cause(file: str, cause: type[BaseException]) -> None:
    for _ in range(2):  # the failed module is not kept
        with pytest.raises(InvalidModelError, match=f"importing .*{file} raised {cause.__name__}") as caught:
            resolve(f"{MODELS / file}:Net")
        assert type(caught.value.__cause__) is cause


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_bytes(b"class Net(\n\xff")
    with pytest.raises(InvalidModelError, match="raised SyntaxError"):
        resolve(f"{file}:Net")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("VALUE", f"{GOOD}:VALUE is of type int; expected a torch.nn.Module"),
        ("Net(widht=3)", f"{GOOD}:Net takes no argument 'widht'"),
        ("Bare(width=3)", f"{GOOD}:Bare takes no argument 'width'"),
        ("instance(width=3)", f"{GOOD}:instance takes no argument 'width'"),
        ("Needs", f"{GOOD}:Needs needs an argument 'width'"),
    ],
)
def test_users_networks_that_cannot_be_called_as_asked(target: str, message: str) -> None:
    with pytest.raises(InvalidModelError) as caught:
        resolve(f"{GOOD}:{target}")
    assert caught.value.message == message
    assert caught.value.tip


def test_the_nearest_arguments_are_named() -> None:
    with pytest.raises(InvalidModelError) as caught:
        resolve(f"{GOOD}:Net(widht=3)")
    assert caught.value.tip == "it takes width"


def test_what_a_function_returns_is_checked() -> None:
    with pytest.raises(InvalidModelError) as caught:
        user("number")
    assert caught.value.message == f"{GOOD}:number returned int; expected a torch.nn.Module"


@pytest.mark.parametrize(("target", "cause"), [("Fails", ValueError), ("Exits", SystemExit)])
def test_what_building_raises_is_the_cause(target: str, cause: type[BaseException]) -> None:
    with pytest.raises(InvalidModelError, match=f"building .*good.py:{target} raised") as caught:
        user(target)
    assert type(caught.value.__cause__) is cause


def test_lack_of_memory_is_not_the_networks_fault() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        user("Huge")
