"""Each kind of fault once, and all networks that misbehave; a campaign draws moments and damages by the thousand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from . import Place, inject, load_kinds, networks

pytestmark = pytest.mark.slow
KINDS = sorted(set(load_kinds()) - {"a_network_that_misbehaves"})


@pytest.mark.parametrize("name", KINDS)
def test_what_is_promised_holds_after(name: str, tmp_path: Path) -> None:
    inject(name, seed=1, folder=tmp_path / "place", fresh=False)


@pytest.mark.parametrize("name", sorted(networks.EVILS))
def test_a_network_ends_itself_alone(name: str, tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    networks.check(place, name, random.Random(name).choice(["import", "build", "forward"]))
