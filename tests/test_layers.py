"""The layers that a cost record holds: sums of the counts, and small enough for a line of the store."""

from __future__ import annotations

import json
from typing import Any

import pytest
from torch import Tensor, nn

from bench.archs.naming import resolve
from bench.costs import COSTS, Subject, prepare
from bench.costs.layers import _COLUMNS, _layers
from bench.records.record import Measurement


def listed(subject: Subject) -> Measurement:
    (found,) = _layers(subject)
    return found


@pytest.mark.parametrize("name", ["vgg16", "googlenet", "resnet18", "mlp"])
def test_columns_add_up_to_the_counts(name: str) -> None:
    subject = prepare(resolve(name))
    found = listed(subject)
    counts = {
        m.name: m.samples[0] for key in ("parameters", "macs", "activations") for m in COSTS.get(key)(subject)
    }
    for column in ("parameters", "macs", "activation_bytes"):
        at = found.detail["columns"].index(column)
        assert sum(row[at] for row in found.detail["rows"]) == counts[column]
    assert found.samples == (len(found.detail["rows"]),)
    assert found.detail["depth"] is None


def test_a_row_by_hand() -> None:
    found = listed(prepare(resolve("vgg16")))
    assert found.detail["columns"] == list(_COLUMNS)
    # 3 x 3 x 3 weights and a bias for each of 64 channels; 224 x 224 places, 4 bytes each.
    expected: list[Any] = [
        "features.0",
        "Conv2d",
        "64×224×224",
        (27 + 1) * 64,
        27 * 64 * 224**2,
        64 * 224**2 * 4,
        3,
    ]
    assert found.detail["rows"][0] == expected


def test_layers_in_place_without_parameters_are_left_out() -> None:
    found = listed(prepare(resolve("vgg16")))
    assert {row[1] for row in found.detail["rows"]} == {"Conv2d", "MaxPool2d", "AdaptiveAvgPool2d", "Linear"}


def test_the_list_of_the_deepest_network_fits_into_a_record() -> None:
    found = listed(prepare(resolve("resnet152")))
    assert len(json.dumps(found.to_json(), ensure_ascii=False).encode()) < 25_000


class Deep(nn.Module):
    def __init__(self, blocks: int, each: int) -> None:
        super().__init__()
        block = [nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(each))) for _ in range(blocks)]
        self.blocks = nn.Sequential(*block)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.blocks(images)
        return out


@pytest.mark.parametrize(
    ("blocks", "each", "rows", "depth"), [(20, 20, 400, None), (20, 21, 20, 2), (401, 1, 1, 1)]
)
def test_too_many_layers_are_listed_by_module(blocks: int, each: int, rows: int, depth: int | None) -> None:
    found = listed(Subject(Deep(blocks, each).eval(), (1, 3, 4, 4)))
    assert (len(found.detail["rows"]), found.detail["depth"]) == (rows, depth)
    at = _COLUMNS.index("parameters")
    assert sum(row[at] for row in found.detail["rows"]) == blocks * each * (3 * 3 + 3)


class Broken(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise ValueError("no")


def test_nothing_is_listed_of_a_network_that_fails() -> None:
    assert list(_layers(Subject(Broken().eval(), (1, 3, 4, 4)))) == []
