"""Ways in: folders for torch.hub, saved networks, and weights from files."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_catalog
from named import counted, refused
from torch import Tensor, nn

from bench.archs.naming import expand_names, parse, resolve
from bench.archs.naming._ways import NetworkName
from bench.costs import prepare
from bench.errors import UnknownNameError, UnsupportedError
from bench.execution._worker import _measure
from bench.execution.catalog import _is_users
from bench.plan.card import ArchCard
from bench.plan.config import Experiment
from bench.plan.expand import Planned, expand
from bench.plan.settings import Timing
from bench.plan.task import Hooks
from bench.tasks.versus import versus

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=10, width=8):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width)
        self.head = nn.Linear(width, num_classes)
    def forward(self, x):
        return self.head(self.norm(self.conv(x)).relu().mean((2, 3)))

class Own(Net):
    def __init__(self, weights="none", reparam="none"):
        super().__init__()
        self.given = weights, reparam

def anything(**given):
    net = Net()
    net.given = given
    return net
"""
PARAMETERS = (27 * 8 + 8) + 2 * 8 + (8 * 10 + 10)
MACS = 16 * 16 * 27 * 8 + 8 * 10  # at 32 px


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.norm(self.conv(x)).relu().mean((2, 3)))
        return y


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a file of networks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path


def planned(card: ArchCard, task: str, **keys: Any) -> Planned:
    block = {"task": task, "grid": {"arch": [card.name]}, **keys}
    if task in ("infer", "train_step"):
        block["processes"] = {"least": 1, "most": 1}
    return expand(Experiment.parse({"blocks": [block]}), make_catalog(archs={card.name: (card,)}))[0]


# --- spelling ---


@pytest.mark.parametrize(
    ("text", "name", "users"),
    [
        ("hf:vit", NetworkName("hf", "hf", "vit"), False),
        ("hf:a/b-1.5( k = 2 )", NetworkName("hf", "hf", "a/b-1.5", {"k": 2}), False),
        ("hf:./my models/x", NetworkName("hf", "hf", "./my models/x"), False),
        ("path/to/repo:net", NetworkName("folder", "path/to/repo", "net"), True),
        ("./repo:net(a=1)", NetworkName("folder", "./repo", "net", {"a": 1}), True),
        (".:net", NetworkName("folder", ".", "net"), True),
        (r"C:\repos\one:net", NetworkName("folder", r"C:\repos\one", "net"), True),
        ("a/net.pt2", NetworkName("exported", "", "a/net.pt2"), True),
        (r"C:\nets\net.pt2", NetworkName("exported", "", r"C:\nets\net.pt2"), True),
        ("a (1)/net.pt2", NetworkName("exported", "", "a (1)/net.pt2"), True),
        ("net.pth", NetworkName("scripted", "", "net.pth"), True),
        ("net.pt (reparam=True)", NetworkName("scripted", "", "net.pt", {"reparam": True}), True),
        ("net.py:Net(weights='a.pt')", NetworkName("file", "net.py", "Net", {"weights": "a.pt"}), True),
        ("vgg16(weights='a/b:c.pt')", NetworkName("registered", "", "vgg16", {"weights": "a/b:c.pt"}), False),
    ],
)
def test_a_way_in_is_read_and_written_back(text: str, name: NetworkName, users: bool) -> None:
    assert parse(text) == name
    assert parse(str(name)) == name
    assert _is_users(str(name)) == users


def test_arguments_of_a_pattern_of_names_are_those_of_each() -> None:
    assert expand_names(["vgg1[16]( num_classes=3 )"]) == ["vgg11(num_classes=3)", "vgg16(num_classes=3)"]


# --- folders for torch.hub ---

HUB = "dependencies = ['torch', 'math']\nfrom parts import Net\n"


def hub(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "hubconf.py").write_text(text)
    (folder / "parts.py").write_text(NET)


def test_an_entry_of_a_folder_is_a_network(here: Path) -> None:
    hub(here / "repo", f"{HUB}def small(num_classes=10, width=8):\n    return Net(num_classes, width)\n")
    for name in ("repo:small", "./repo:small", f"{here}/repo:small"):
        arch = resolve(name)
        assert (arch.card.name, arch.card.num_classes) == (name, 10)
        assert set(arch.card.sources) == {"hubconf.py", "parts.py"}
        assert counted(name, input_size=32) == pytest.approx(counted("net.py:Net", input_size=32))
    assert counted("repo:small(width=4)")["parameters"] == (27 * 4 + 4) + 2 * 4 + (4 * 10 + 10)


def test_an_edit_of_what_a_folder_imports_is_named(here: Path) -> None:
    hub(here / "repo", f"{HUB}def small(): return Net()\n")
    before = resolve("repo:small").card
    (here / "repo" / "parts.py").write_text(NET.replace("width=8", "width=9"))
    assert before.edited_to(resolve("repo:small").card) == ["parts.py"]


def test_weights_that_an_entry_would_fetch_are_left_out_unless_they_are_asked_for(here: Path) -> None:
    hub(
        here / "repo",
        f"{HUB}def small(pretrained=True):\n    net = Net()\n    net.given = pretrained\n    return net\n",
    )
    assert resolve("repo:small").build().given is False
    assert resolve("repo:small(pretrained=True)").build().given is True


def test_a_package_with_a_hubconf_stays_a_module(here: Path) -> None:
    hub(here / "repo", "raise RuntimeError\n")
    (here / "repo" / "__init__.py").write_text(NET)
    assert resolve("repo:Net").build().head.out_features == 10
    sys.modules.pop("repo", None)


@pytest.mark.parametrize(
    ("listed", "lacking"),
    [("['torch', 'no_such_one', 'no.such.two']", "no_such_one, no.such.two"), ("('no_such',)", "no_such")],
)
def test_what_a_folder_depends_on_is_told(here: Path, listed: str, lacking: str) -> None:
    hub(here / "repo", f"dependencies = {listed}\nimport no_such_one\n")
    assert refused("repo:small", UnsupportedError).message.endswith(f"not installed: {lacking}")


def test_folders_that_have_no_such_entry(here: Path) -> None:
    hub(here / "repo", f"{HUB}def small(): return Net()\n")
    assert "small" in str(refused("repo:smal", UnknownNameError).tip)
    assert "no folder './reop'" in refused("./reop:small", UnknownNameError).message
    (here / "plain").mkdir()
    assert refused("./plain:Net", UnknownNameError).tip == "name one of its files, ./plain/FILE.py:Net"
    (here / "repo" / "hubconf.py").write_text("dependencies = ['torch'\n")
    assert "SyntaxError" in refused("./repo:small").message


# --- programs of torch.export ---


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with programs: one of a fixed batch of one image, of four, and of any."""
    folder = tmp_path_factory.mktemp("programs")
    net = Net().eval()
    for batch in (1, 4):
        torch.export.save(
            torch.export.export(net, (torch.zeros(batch, 3, 32, 32),)), folder / f"of{batch}.pt2"
        )
    dims = {0: torch.export.Dim("batch", min=1, max=64)}
    program = torch.export.export(net, (torch.zeros(4, 3, 32, 32),), dynamic_shapes=(dims,))
    torch.export.save(program, folder / "any.pt2")

    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    images = torch.zeros(1, 3, 8, 8)
    torch.export.save(torch.export.export(Two(), (images, images)), folder / "two.pt2")
    return folder


def test_a_program_is_a_network_of_the_shape_that_it_was_exported_for(programs: Path) -> None:
    for name, batch in (("of1", 1), ("any", None)):
        arch = resolve(f"{programs / name}.pt2")
        card = arch.card
        assert (card.input_size, card.in_channels, card.num_classes, card.batch) == (32, 3, 10, batch)
        assert (card.any_channels, card.sized) == (False, True)
        assert card.source_sha256 == hashlib.sha256((programs / f"{name}.pt2").read_bytes()).hexdigest()
        counts = counted(card.name)
        assert (counts["parameters"], counts["macs"], counts["macs_second"]) == (PARAMETERS, MACS, MACS)
        assert arch.build().train()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
        assert arch.describe is not None
        told = arch.describe({}, {})
        assert told == [
            f"images of 3×32×32, {'1 image a call, and no other count' if batch else 'any batch'}: as it was exported"
        ]
    for shape in ({"input_size": 64}, {"in_channels": 1}, {"num_classes": 3}):
        with pytest.raises(UnsupportedError, match="was exported for"):
            arch.build(**shape)


def test_a_program_of_one_image_alone_can_be_compared(programs: Path) -> None:
    networks = {name: planned(resolve(name).card, "infer") for name in (f"{programs}/of1.pt2", "lenet5")}
    quick = Timing(warmup_s=0.001, min_s=0, limit_s=0.001, min_samples=1, max_samples=1)
    (one,) = versus(networks, 1, timing=quick)
    of = [m.detail["label"] for m in _measure(one.job, Hooks()) if m.name == "latency"]
    assert of == list(networks)


def test_programs_that_take_no_images_or_cannot_be_read(programs: Path, tmp_path: Path) -> None:
    assert "takes [1, 3, 8, 8], [1, 3, 8, 8]" in refused(f"{programs}/two.pt2").message
    assert "of1.pt2" in str(refused(f"{programs}/of2.pt2", UnknownNameError).tip)
    (tmp_path / "torn.pt2").write_bytes((programs / "of1.pt2").read_bytes()[:200])
    assert "cannot be read" in refused(f"{tmp_path}/torn.pt2").message
    assert "takes no argument 'width'" in refused(f"{programs}/of1.pt2(width=2)").message


def test_one_batch_alone_and_no_training() -> None:
    card = ArchCard(name="net.pt2", batch=4, num_classes=10, inference_only="it is a graph")
    assert planned(card, "infer", batch_size=4).status is None
    for task, keys in (("infer", {"batch_size": 8}), ("infer", {"batch_size": "max"}), ("cost", {})):
        one = planned(card, task, **keys)
        assert (one.status, one.reason) == (
            "unsupported",
            f"net.pt2 takes batches of 4 alone, asked for {keys.get('batch_size', 1)}",
        )
    for task in ("train_step", "accuracy"):
        assert planned(card, task).reason == "net.pt2 cannot be trained: it is a graph"


# --- TorchScript ---


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scripts")
    net = Net().eval()
    torch.jit.save(torch.jit.trace(net, torch.zeros(1, 3, 32, 32)), folder / "traced.pt")
    torch.jit.save(torch.jit.script(net), folder / "scripted.torchscript")
    torch.jit.save(torch.jit.freeze(torch.jit.script(net)), folder / "frozen.pth")
    torch.save(net.state_dict(), folder / "weights.pt")
    torch.save(net, folder / "pickled.pth")
    return folder


@pytest.mark.parametrize("file", ["traced.pt", "scripted.torchscript"])
def test_a_script_is_a_network(scripts: Path, file: str) -> None:
    card = resolve(f"{scripts / file}").card
    assert (card.in_channels, card.num_classes, card.any_outputs, card.sized) == (3, None, True, False)
    counts = counted(card.name, input_size=32)
    assert (counts["parameters"], counts["macs"], counts["macs_second"]) == (PARAMETERS, MACS, MACS)


@pytest.mark.parametrize(
    "first", [nn.Conv2d(6, 4, 3, groups=2), nn.Conv2d(3, 3, 3, groups=3), nn.ConvTranspose2d(3, 8, 2)]
)
def test_a_script_takes_the_channels_of_its_first_convolution(first: Any, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Hardtanh(), first, nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    torch.jit.save(torch.jit.script(net), tmp_path / "scripted.pt")
    torch.jit.save(torch.jit.trace(net, torch.zeros(1, first.in_channels, 8, 8)), tmp_path / "traced.pt")
    for name in ("scripted", "traced"):
        assert resolve(f"{tmp_path}/{name}.pt").card.in_channels == first.in_channels


def test_a_frozen_script_runs_and_is_not_counted(scripts: Path) -> None:
    arch = resolve(f"{scripts}/frozen.pth")
    assert arch.build()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    with pytest.raises(UnsupportedError, match="constants of a graph"):
        prepare(arch, input_size=32)


def test_files_that_are_no_network_say_what_they_are(scripts: Path, tmp_path: Path) -> None:
    for file in ("weights.pt", "pickled.pth"):
        error = refused(f"{scripts / file}")
        assert "holds weights" in error.message
        assert f"my_net.py:Net(weights='{scripts / file}')" in str(error.tip)
    (tmp_path / "net.pt").write_bytes(b"no archive")
    assert "holds weights" in refused(f"{tmp_path}/net.pt").message
    (tmp_path / "net.safetensors").write_bytes(b"")
    assert "holds weights" in refused(f"{tmp_path}/net.safetensors").message


# --- weights ---


def safetensors(file: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as the format has them: a length, a header in JSON, the bytes one after the other."""
    words = {torch.float32: "F32", torch.float16: "F16", torch.int64: "I64"}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = b""
    for key, tensor in tensors.items():
        data = tensor.contiguous().numpy().tobytes()
        header[key] = {
            "dtype": words[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [len(content), len(content) + len(data)],
        }
        content += data
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content)


WRAPPERS: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "plain": lambda w: w,
    "state_dict": lambda w: {"epoch": 3, "state_dict": w},
    "model": lambda w: {"model": w, "optimizer": {"lr": 0.1}},
    "model_state": lambda w: {"model_state": w},
    "twice": lambda w: {"state_dict": {"model": w}},
    "parallel": lambda w: {f"module.{k}": v for k, v in w.items()},
    "compiled": lambda w: {f"_orig_mod.{k}": v for k, v in w.items()},
    "both": lambda w: {"state_dict": {f"module._orig_mod.{k}": v for k, v in w.items()}},
    "uncounted": lambda w: {k: v for k, v in w.items() if "num_batches" not in k},
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_weights_are_loaded_whatever_they_are_wrapped_in(here: Path, wrapper: str) -> None:
    net = Net().eval()
    torch.save(WRAPPERS[wrapper](net.state_dict()), here / "w.pt")
    arch = resolve("net.py:Net(weights='w.pt')")
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(arch.build().eval()(images), net(images))
    assert (arch.card.weights, arch.card.name) == ("w.pt", "net.py:Net(weights='w.pt')")
    assert counted(arch.card.name, input_size=32)["macs"] == MACS


def test_safetensors_are_read_by_their_format(here: Path) -> None:
    net = Net().eval()
    safetensors(here / "w.safetensors", dict(net.state_dict()))
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(resolve("net.py:Net(weights='w.safetensors')").build().eval()(images), net(images))
    content = (here / "w.safetensors").read_bytes()
    (here / "w.safetensors").write_bytes(content[:-4])
    assert "cannot be read as weights" in refused("net.py:Net(weights='w.safetensors')", build=True).message


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\n<!DOCTYPE html><p>404", "it is a page of HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "it is a pointer of Git LFS"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_a_download_left_in_place_of_weights_is_told(
    here: Path, name: str, content: bytes, told: str
) -> None:
    (here / name).write_bytes(content)
    assert told in refused(f"net.py:Net(weights='{name}')", build=True).message


def test_weights_without_rights_are_no_fault_of_their_form(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_: Path) -> object:
        raise PermissionError(13, "Permission denied")

    torch.save(Net().state_dict(), here / "w.pth")
    monkeypatch.setattr("bench.archs.naming._weights._of_torch", forbidden)
    error = refused("net.py:Net(weights='w.pth')", build=True)
    assert error.message == "the weights w.pth cannot be read: Permission denied"


def test_how_weights_were_pickled_is_no_warning(here: Path, recwarn: pytest.WarningsRecorder) -> None:
    (here / "w.pth").write_bytes(pickle.dumps({"state_dict": {}}, protocol=4))
    assert "cannot be read as weights" in refused("net.py:Net(weights='w.pth')", build=True).message
    assert not [one for one in recwarn if "pickle protocol" in str(one.message)]


def test_ours_and_the_library_read_the_same(here: Path) -> None:
    library = pytest.importorskip("safetensors.torch")
    from bench.archs.naming._weights import read

    weights = {**Net().state_dict(), "half": torch.randn(3, 5).half(), "none": torch.zeros(0, 3)}
    library.save_file(weights, here / "w.safetensors")
    ours = read(here / "w.safetensors")
    assert all(torch.equal(ours[key], value) for key, value in weights.items())
    assert ours.keys() == weights.keys()


def test_weights_of_registered_networks_and_of_libraries(here: Path) -> None:
    made = resolve("mlp(width=4, depth=1)").build(input_size=4)
    torch.save(made.state_dict(), here / "w.pt")
    arch = resolve("mlp(width=4, depth=1, weights='w.pt')")
    assert all(
        torch.equal(a, b)
        for a, b in zip(arch.build(input_size=4).parameters(), made.parameters(), strict=True)
    )
    assert arch.card.sources == {"w.pt": hashlib.sha256((here / "w.pt").read_bytes()).hexdigest()}
    assert arch.card.source_sha256 == arch.card.sources["w.pt"]


def test_other_weights_are_another_network_and_the_file_is_named(here: Path) -> None:
    torch.save(Net().state_dict(), here / "w.pt")
    before = resolve("net.py:Net(weights='w.pt')").card
    assert before.edited_to(resolve("net.py:Net(weights='w.pt')").card) == []
    torch.save(Net().state_dict(), here / "w.pt")
    after = resolve("net.py:Net(weights='w.pt')").card
    assert before.edited_to(after) == ["w.pt"]
    assert before.source_sha256 != after.source_sha256
    (here / "net.py").write_text(NET + "\n")
    assert after.edited_to(resolve("net.py:Net(weights='w.pt')").card) == ["net.py"]


def test_weights_of_another_network_are_refused_by_their_first_keys(here: Path) -> None:
    torch.save(Net().state_dict(), here / "w.pt")
    classes = refused("net.py:Net(num_classes=7, weights='w.pt')", build=True)
    assert "head.weight is [10, 8], and [7, 8] in the network; head.bias is [10]" in classes.message
    assert classes.tip == "they are of 10 classes, it seems: num_classes=10 in parentheses behind its name"
    width = refused("net.py:Net(width=9, weights='w.pt')", build=True)
    assert "conv.weight is [8, 3, 3, 3], and [9, 3, 3, 3] in the network" in width.message
    assert "num_classes" not in str(width.tip)
    torch.save({**Net().state_dict(), "conv.bias": torch.zeros(10)}, here / "w.pt")
    assert "num_classes" not in str(refused("net.py:Net(weights='w.pt')", build=True).tip)
    torch.save({"a.weight": torch.zeros(2), **nn.Conv2d(1, 1, 1).state_dict()}, here / "w.pt")
    other = refused("net.py:Net(weights='w.pt')", build=True)
    assert (
        "missing: conv.weight, conv.bias, norm.weight and 5 more; not of the network: a.weight, weight, bias"
        in other.message
    )


class Pickled:
    """Would run code where it is read."""


def test_files_that_are_no_weights(here: Path, scripts: Path) -> None:
    for content, words in (
        (Pickled(), "more than tensors"),
        ({"epoch": 3}, "no state dict"),
        ([1], "no state dict"),
        ({"ema": {"epoch": torch.zeros(1)}}, "not of the network: epoch"),
        ({k: v.long() for k, v in Net().state_dict().items()}, "conv.weight is of int64, and of float32"),
        (
            {k: v.cfloat() for k, v in Net().state_dict().items()},
            "conv.weight is of complex64, and of float32",
        ),
    ):
        torch.save(content, here / "w.pt")
        assert words in refused("net.py:Net(weights='w.pt')", build=True).message
    for head, words in ((b"PK", "cut short"), (b"", "is empty"), (b"text", "torch.save has not written it")):
        (here / "w.pt").write_bytes(head)
        assert words in refused("net.py:Net(weights='w.pt')", build=True).message
    assert "is TorchScript" in refused(f"net.py:Net(weights='{scripts}/traced.pt')", build=True).message
    assert "w.pt" in str(refused("net.py:Net(weights='v.pt')", UnknownNameError).tip)
    assert "path of a file" in refused("net.py:Net(weights=3)").message


def test_weights_that_are_the_networks_own_are_its_own(here: Path) -> None:
    assert resolve("net.py:Own(weights='all', reparam=3)").build().given == ("all", 3)
    assert resolve("net.py:anything(weights='DEFAULT')").build().given == {"weights": "DEFAULT"}
    torch.save(Net().state_dict(), here / "w.pt")
    assert resolve("net.py:anything(weights='w.pt')").build().given == {}


def test_given_weights_are_not_trained_from_scratch() -> None:
    card = ArchCard(name="net.py:Net(weights='w.pt')", num_classes=10, weights="w.pt")
    assert "from scratch" in str(planned(card, "accuracy").reason)
    assert planned(card, "train_step").status is None
