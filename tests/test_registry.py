from __future__ import annotations

import pytest

from bench.errors import UnknownNameError, nearest
from bench.registry import Registry, natural


def make() -> Registry[int]:
    registry: Registry[int] = Registry(
        "thing", "bench.execution.executors"
    )  # a package whose import is cheap
    for value, name in enumerate(["resnet110", "resnet20", "vgg16"]):
        registry.add(name, value)
    return registry


def test_names_are_in_natural_order() -> None:
    assert make().names() == ["resnet20", "resnet110", "vgg16"]
    assert sorted(["b10", "b9", "a"], key=natural) == ["a", "b9", "b10"]


def test_a_name_is_registered_once() -> None:
    registry = make()
    with pytest.raises(ValueError, match="twice"):
        registry.add("vgg16", 7)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        make().get("vgg61")
    assert "unknown thing 'vgg61'" in caught.value.message
    assert "vgg16" in str(caught.value.tip)


def test_patterns_match() -> None:
    assert make().match("resnet*") == ["resnet20", "resnet110"]
    assert make().match("nothing*") == []


def test_nearest_ignores_case_and_gives_up_on_strangers() -> None:
    assert nearest("ResNet18", ["resnet18", "vgg16"])[0] == "resnet18"
    assert nearest("zzzzzz", ["resnet18", "vgg16"]) == []
