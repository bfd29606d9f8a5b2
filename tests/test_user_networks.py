"""Networks from files: what they declare and take, what is imported, and what goes wrong."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.archs.naming import resolve
from bench.errors import InvalidModelError, UnknownNameError, UnsupportedError
from bench.processes import limits

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
    siblings = {"good.py", "layers.py"}
    assert set(card.sources) >= siblings
    assert card.sources["good.py"] == hashlib.sha256(GOOD.read_bytes()).hexdigest()
    assert arch.build(num_classes=9).given == (9, 1, 16)
    with pytest.raises(UnsupportedError, match="needs at least 4 px"):
        arch.build(input_size=3)


def test_limits_that_a_file_sets_do_not_keep_its_files_from_being_read(tmp_path: Path) -> None:
    file, before = tmp_path / "net.py", limits()
    at_import = "import resource, torch\nsoft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
    limit = "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
    net = "class Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    for text in (at_import + limit + net, at_import + net + " " * 8 + limit):
        file.write_text(text)
        resolve(f"{file}:Net").build()
        assert limits() == before


def test_a_file_that_takes_the_path_of_imports_away_is_read(tmp_path: Path) -> None:
    (file := tmp_path / "net.py").write_text("import sys, torch\nsys.path = None\nnet = torch.nn.Flatten()\n")
    assert isinstance(resolve(f"{file}:net").build(), nn.Flatten)


def test_arguments_reach_the_users_class_and_its_card() -> None:
    arch = resolve(f"{GOOD}:Net(width=4, input_size=8)")
    assert arch.card.input_size == 8
    assert arch.card.name == f"{GOOD}:Net(width=4, input_size=8)"
    assert sum(p.numel() for p in arch.build().parameters()) == (1 * 8 * 8 * 4 + 4) + (4 * 5 + 5)


def test_aliases_are_served_and_facts_of_a_wrong_type_left_out() -> None:
    arch = resolve(f"{GOOD}:Aliased")
    assert arch.build().given == (7, 16)  # the default of its argument; its attribute, (16, 16)
    assert arch.build(num_classes=3, input_size=32, in_channels=1).given == (3, 32)
    card = arch.card
    assert (card.input_size, card.year, card.num_classes, card.min_input) == (16, None, 7, 1)
    assert (card.in_channels, card.any_channels, card.family) == (3, False, "custom")


def test_arguments_under_an_alias() -> None:
    arch = resolve(f"{GOOD}:Aliased(n_classes=4)")
    assert arch.card.num_classes == 4
    assert arch.build().given == (4, 16)
    pair = resolve(f"{GOOD}:Aliased(img_size=(8, 9))")
    assert pair.card.input_size == 16
    assert pair.build().given == (7, (8, 9))


def test_any_keyword_is_given_what_is_asked_for() -> None:
    assert user("Anything(extra='x')").given == {"extra": "x"}
    assert user("Anything(num_classes=1000)").given == {"num_classes": 1000}
    other = resolve(f"{GOOD}:Anything").build(num_classes=10, in_channels=3, input_size=32)
    assert other.given == {"num_classes": 10, "input_size": 32}


SIGNATURES = """
from torch import nn

class Tiny(nn.Module):
    def __init__(self, widths=(8, 16), num_classes=1000):
        super().__init__()
        self.given = widths, num_classes

def behind(**kwargs):
    return Tiny((2, 4), **kwargs)

class Width(nn.Module):
    def __init__(self, channels=64, num_classes=10):
        super().__init__()
        self.given = channels, num_classes

class Own(nn.Module):
    def __init__(self, *, img_size=32, in_chans=1, nb_classes=12, depth=3):
        super().__init__()
        self.given = img_size, in_chans, nb_classes, depth

class Pair(nn.Module):
    def __init__(self, image_size=(64, 64), num_classes=None):
        super().__init__()
        self.given = image_size, num_classes

class Words(nn.Module):
    def __init__(self, num_classes="many", in_channels=(1, 2)):
        super().__init__()
        self.given = num_classes, in_channels

class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.given = ()

class Attribute(nn.Module):
    num_classes = 5
    def __init__(self, num_classes=7):
        super().__init__()
        self.given = num_classes
"""


@pytest.mark.parametrize(
    ("target", "asked", "given", "card"),
    [
        # What is behind the keywords knows classes, but neither channels nor a size.
        ("behind", {}, ((2, 4), 1000), (224, False, 3, False, None, True)),
        ("behind", {"num_classes": 10, "in_channels": 1, "input_size": 32}, ((2, 4), 10), (224, False, 3, False, None, True)),
        ("behind(num_classes=9)", {}, ((2, 4), 9), (224, False, 3, False, 9, False)),
        ("Width", {"in_channels": 3}, (64, 10), (224, False, 3, False, 10, False)),
        ("Width(channels=8)", {"num_classes": 2}, (8, 2), (224, False, 3, False, 10, False)),
        ("Own", {}, (32, 1, 12, 3), (32, True, 1, True, 12, False)),
        ("Own(depth=5, in_chans=3)", {"input_size": 48}, (48, 3, 12, 5), (32, True, 3, True, 12, False)),
        ("Pair", {}, ((64, 64), None), (64, True, 3, False, None, False)),
        ("Pair", {"input_size": 96, "num_classes": 4}, ((96, 96), 4), (64, True, 3, False, None, False)),
        ("Words", {"num_classes": 10}, ("many", (1, 2)), (224, False, 3, False, None, True)),
        ("Fixed", {"num_classes": 10}, (), (224, False, 3, False, None, True)),
        ("Attribute", {}, 5, (224, False, 3, False, 5, False)),
        ("Attribute(num_classes=6)", {}, 6, (224, False, 3, False, 6, False)),
    ],
)  # fmt: skip
def test_a_network_says_what_it_is_made_for(
    tmp_path: Path, target: str, asked: dict[str, int], given: object, card: tuple[object, ...]
) -> None:
    file = tmp_path / "net.py"
    file.write_text(SIGNATURES)
    arch = resolve(f"{file}:{target}")
    assert arch.build(**asked).given == given
    known = arch.card
    assert card == (
        known.input_size, known.sized, known.in_channels, known.any_channels, known.num_classes, known.any_outputs
    )  # fmt: skip


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files by their paths, without the ending ``.py``."""
    for name, text in files.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


NET = "from torch import nn\nclass Net(nn.Module):\n    width = WIDTH\n"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("net.py", {"net": f"from parts import WIDTH\n{NET}", "parts": "WIDTH = 1"}),
        ("net.py", {"net": f"import a.b\nWIDTH = a.b.WIDTH\n{NET}", "a/b": "WIDTH = 1"}),
        ("pkg/net.py", {"pkg/net": f"from .parts import WIDTH\n{NET}", "pkg/parts": "WIDTH = 1"}),
        ("pkg/net.py", {"pkg/net": f"from .a.b import WIDTH\n{NET}", "pkg/a/b": "WIDTH = 1", "pkg/__init__": ""}),
        ("pkg/nets/net.py", {"pkg/nets/net": f"from ..parts import WIDTH\n{NET}", "pkg/parts": "WIDTH = 1"}),
        ("pkg/net.py", {"pkg/net": f"from pkg.parts import WIDTH\n{NET}", "pkg/parts": "WIDTH = 1"}),
        ("net.py", {"net": f"from one import *\n{NET}", "one": "from two import WIDTH", "two": "WIDTH = 1"}),
        # Inside a function, which has not run when the network is planned.
        ("net.py", {"net": f"WIDTH = 1\n{NET}    def forward(self, x):\n        import later", "later": ""}),
        # By a name that only running it shows.
        ("net.py", {"net": f"import importlib\nWIDTH = importlib.import_module('pa' + 'rts').WIDTH\n{NET}", "parts": "WIDTH = 1"}),
    ],
)  # fmt: skip
def test_an_edit_of_anything_it_imports_is_another_network(
    tmp_path: Path, name: str, files: dict[str, str]
) -> None:
    write(tmp_path, files)
    arch = resolve(f"{tmp_path / name}:Net")
    assert arch.card.sources == {
        os.path.relpath(file, (tmp_path / name).parent): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in tmp_path.rglob("*.py")
    }
    edited = next(file for file in tmp_path.rglob("*.py") if file.name not in ("net.py", "__init__.py"))
    edited.write_text(edited.read_text() + "\n# edited\n")
    assert resolve(f"{tmp_path / name}:Net").card.source_sha256 != arch.card.source_sha256


def test_what_a_network_is_made_of_does_not_depend_on_what_was_met_before(tmp_path: Path) -> None:
    files = {
        "pkg/__init__": "from . import common",
        "pkg/common": "WIDTH = 1",
        "pkg/a": f"from .common import WIDTH\n{NET}",
        "pkg/b": f"from .common import WIDTH\n{NET}    def __init__(self):\n        super().__init__()\n        import late",
        "pkg/late": "",
    }
    write(tmp_path, files)
    names = [f"{tmp_path}/pkg/{name}.py:Net" for name in "ab"]
    first = [resolve(name).card.source_sha256 for name in names]
    assert set(resolve(names[0]).card.sources) == {"__init__.py", "a.py", "common.py"}
    for name in names:
        resolve(name).build()
    assert [resolve(name).card.source_sha256 for name in (*reversed(names), *names)] == [*first[::-1], *first]
    edited = tmp_path / "pkg" / "common.py"
    edited.write_text("WIDTH = 22")
    assert [resolve(name).build().width for name in names] == [22, 22]  # what is run is what was hashed


@pytest.mark.parametrize(
    ("target", "given", "classes"),
    [
        ("headless(num_classes=10)", {"num_classes": 10}, 10),  # over a default that is no count
        ("headless", {"num_classes": 0}, None),
        ("words(num_classes=10)", {"num_classes": 10}, 10),
        ("anything(n_classes=4)", {"n_classes": 4}, None),  # by the name that was written
        ("anything(num_classes=4)", {"num_classes": 4}, 4),
        ("pair(img_size=(64, 64))", {"img_size": (64, 64)}, None),
    ],
)
def test_arguments_arrive_as_they_were_written(
    tmp_path: Path, target: str, given: dict[str, object], classes: int | None
) -> None:
    head = "from torch import nn\ndef made(**given):\n    model = nn.Identity()\n    model.given = given\n    return model\n"
    functions = (
        "def headless(num_classes=0): return made(num_classes=num_classes)\n"
        "def words(num_classes='many'): return made(num_classes=num_classes)\n"
        "def anything(**given): return made(**given)\n"
        "def pair(img_size=(32, 32)): return made(img_size=img_size)\n"
    )
    (tmp_path / "net.py").write_text(head + functions)
    arch = resolve(f"{tmp_path / 'net.py'}:{target}")
    assert arch.build().given == given
    assert arch.card.num_classes == classes
    assert arch.card.input_size == (64 if "img_size" in given else 224)


def test_a_keyword_that_is_refused_and_wanted_ends_with_the_networks_own_error(tmp_path: Path) -> None:
    body = "class Body(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
    (tmp_path / "net.py").write_text(
        f"from torch import nn\n{body}def net(**given):\n    Body(**given)\n    return Body(given['num_classes'])\n"
    )
    arch = resolve(f"{tmp_path / 'net.py'}:net")
    with pytest.raises(InvalidModelError, match="KeyError: 'num_classes'"):
        arch.build(num_classes=10)


def test_a_file_without_its_package_is_a_plain_file(tmp_path: Path) -> None:
    tries = "try:\n    from .parts import WIDTH\nexcept ImportError:\n    from parts import WIDTH\n"
    write(tmp_path, {"__init__": "import no_such_library", "net": tries + NET, "parts": "WIDTH = 3"})
    assert resolve(f"{tmp_path}/net.py:Net").build().width == 3
    (tmp_path / "net.py").write_text(f"from .parts import WIDTH\n{NET}")
    with pytest.raises(InvalidModelError, match="no_such_library"):
        resolve(f"{tmp_path}/net.py:Net")


@pytest.mark.parametrize(
    "line",
    [
        "torch.save({}, 'out.txt')",
        "Path('out.txt').open('w')",
        "open('out.txt', mode='wb')",
        "Path('out.txt').write_text('x')",
        "frame.to_csv('out.txt')",
    ],
)
def test_what_a_file_writes_or_does_as_a_script_is_no_source(tmp_path: Path, line: str) -> None:
    for name in ("out.txt", "script.txt"):
        (tmp_path / name).write_text("x")
    text = (
        f"WIDTH = 1\n{NET}def train(frame):\n    {line}\nif __name__ == '__main__':\n    open('script.txt')\n"
    )
    (tmp_path / "net.py").write_text(text)
    assert resolve(f"{tmp_path}/net.py:Net").card.sources == {}


def test_a_file_may_use_its_error_stream_as_any(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(f"import sys\nsys.stderr.isatty()\nsys.stderr.flush()\nWIDTH = 1\n{NET}")
    assert resolve(f"{tmp_path}/net.py:Net").build().width == 1


def test_a_file_that_it_reads_is_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("width: 8")
    (tmp_path / "log.txt").write_text("what it writes is not")
    file = tmp_path / "net.py"
    reads = "from pathlib import Path\nWIDTH = (Path(__file__).parent / 'net.yaml').read_text()\n"
    file.write_text(f"{reads}def log():\n    return open('log.txt', mode='a')\n{NET}")
    before = resolve(f"{file}:Net").card
    assert set(before.sources) == {"net.py", "net.yaml"}
    (tmp_path / "net.yaml").write_text("width: 16")
    assert resolve(f"{file}:Net").card.source_sha256 != before.source_sha256


@pytest.mark.parametrize("goes", ["os.chdir('/')", "f = tempfile.mkdtemp(); os.chdir(f); os.rmdir(f)"])
def test_a_file_that_goes_elsewhere_is_made_of_what_it_names_here(
    goes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    file, layers = tmp_path / "nets" / "net.py", tmp_path / "layers.yaml"
    layers.write_text("a: 1")
    file.write_text(
        f"import os, tempfile\nfrom torch import nn\n{goes}\nNAMED = 'layers.yaml'\n\nclass Net(nn.Flatten): pass\n"
    )
    card = resolve(f"{file}:Net").card
    assert Path.cwd() == tmp_path
    assert set(card.sources) == {"net.py", "../layers.yaml"}


def test_one_file_alone_is_told_by_its_own_hash(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(f"import math, torch, yaml\nWIDTH = 1\n{NET}")
    card = resolve(f"{file}:Net").card
    assert (card.sources, card.source_sha256) == ({}, hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_file_sees_no_arguments_of_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parse = (
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--width', {}, type=int)\n"
    )
    file = tmp_path / "net.py"
    monkeypatch.setattr(sys, "argv", ["bench", "run", "--no-report"])
    file.write_text(parse.format("default=8") + f"WIDTH = parser.parse_args().width\n{NET}")
    assert user("Net", file).width == 8
    assert sys.argv == ["bench", "run", "--no-report"]
    file.write_text(parse.format("required=True") + f"WIDTH = parser.parse_args().width\n{NET}")
    with pytest.raises(InvalidModelError, match=r"ended Python: .*required: --width"):
        user("Net", file)
    assert "usage:" in capsys.readouterr().err


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
        with pytest.raises(
            InvalidModelError, match=f"importing .*{file} (raised |ended Python: ){cause.__name__}"
        ) as caught:
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


MUTE = """
from torch import nn


class MuteError(TypeError):
    def __str__(self):
        raise RuntimeError("no text")


class Net(nn.Module):
    def __init__(self, **kwargs):
        super().__init__()
        raise MuteError
"""


def test_an_exception_whose_text_cannot_be_had_is_told_by_its_type(tmp_path: Path) -> None:
    building, importing = tmp_path / "building.py", tmp_path / "importing.py"
    building.write_text(MUTE)
    importing.write_text(f"{MUTE}\n\nNet()\n")
    with pytest.raises(InvalidModelError, match="building .*Net raised MuteError: its text cannot be had"):
        user("Net", building)
    with pytest.raises(InvalidModelError, match="importing .* raised MuteError: its text cannot be had"):
        user("Net", importing)


def test_lack_of_memory_is_not_the_networks_fault() -> None:
    with pytest.raises(torch.OutOfMemoryError):
        user("Huge")


def test_weights_that_cannot_be_loaded_are_not_needed(tmp_path: Path) -> None:
    load = "import urllib.request\ndef net(pretrained=True):\n    if pretrained:\n        urllib.request.urlopen('{}')\n"
    rest = "    return nn.Linear(2, 3)\n"
    (tmp_path / "net.py").write_text(
        "from torch import nn\n" + load.format("http://127.0.0.1:9/weights.pth") + rest
    )
    assert isinstance(user("net", tmp_path / "net.py"), nn.Linear)
    with pytest.raises(InvalidModelError, match="urlopen error") as caught:
        user("net(pretrained=True)", tmp_path / "net.py")
    assert "built without" in (caught.value.tip or "")


FORMS = """
from dataclasses import dataclass

import torch
from torch import nn

@dataclass
class Config:
    width: int = 4
    num_classes: int = 7
    image_size: int = 16

class Configured(nn.Module):
    def __init__(self, config: Config, scale=1):
        super().__init__()
        self.given = config, scale

class Width(nn.Module):
    def __init__(self, n_channels, n_classes=3):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, n_channels, 3), nn.Linear(n_channels, n_classes)

class Channels(nn.Module):
    def __init__(self, n_channels, output_dim):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(n_channels, 8, 3), nn.Linear(8, output_dim)
        self.in_channels, self.num_classes = 8, output_dim

class Vectors(nn.Module):
    def __init__(self, input_size=784, hidden_size=10, num_classes=4):
        super().__init__()
        self.given = input_size, hidden_size, num_classes

raised = Channels(1, 6)
weighted = nn.Linear(2, 3)
weighted.extra = weighted.weight * 2
"""


def test_a_data_class_with_defaults_is_made_and_its_fields_are_arguments(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(FORMS)
    arch = resolve(f"{file}:Configured(width=9, scale=2)")
    assert (arch.card.num_classes, arch.card.input_size) == (7, 16)
    config, scale = arch.build(num_classes=5, input_size=32).given
    assert (config.width, config.num_classes, config.image_size, scale) == (9, 5, 32, 2)
    with pytest.raises(InvalidModelError, match="takes no argument 'depth'"):
        resolve(f"{file}:Configured(depth=1)")


def test_what_a_parameter_without_a_default_means_is_told_by_the_weights(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(FORMS)
    model = resolve(f"{file}:Channels").build(num_classes=5, in_channels=2)
    assert (model.conv.in_channels, model.fc.out_features) == (2, 5)
    with pytest.raises(InvalidModelError, match="needs an argument 'n_channels'") as caught:
        resolve(f"{file}:Width").build()  # it is a width there
    assert f"{file}:Width(n_channels=...)" in (caught.value.tip or "")


def test_input_size_beside_hidden_size_is_the_length_of_a_vector(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(FORMS)
    arch = resolve(f"{file}:Vectors")
    assert (arch.card.sized, arch.build(input_size=32, num_classes=9).given) == (False, (784, 10, 9))


def test_an_instance_is_believed_where_its_layers_agree(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(FORMS)
    card = resolve(f"{file}:raised").card
    assert (card.in_channels, card.num_classes) == (3, 6)  # of its own 8 channels nothing is taken


def test_an_instance_with_computed_tensors_is_copied(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text(FORMS)
    first, second = (user("weighted", file) for _ in range(2))
    assert first is not second
    assert torch.equal(first.weight, second.weight)
