"""Each kind of fault once, and all networks that misbehave; a campaign draws moments and damages by the thousand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from . import Place, inject, load_kinds, networks

KINDS = sorted(set(load_kinds()) - {"a_network_that_misbehaves"})


@pytest.mark.parametrize("name", KINDS)
def test_what_is_promised_holds_after(name: str, tmp_path: Path) -> None:
    inject(name, seed=1, folder=tmp_path / "place", fresh=False)


EVILS = sorted(networks.EVILS)
RUNS = 6  # of several networks each, which takes a third of the time


@pytest.mark.parametrize("names", [EVILS[at::RUNS] for at in range(RUNS)], ids=lambda names: names[0])
def test_networks_end_themselves_alone(names: list[str], tmp_path: Path) -> None:
    networks.check(Place(tmp_path / "place"), names, random.Random(names[0]))
