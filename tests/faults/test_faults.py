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


def test_networks_end_themselves_alone(tmp_path: Path) -> None:
    """All in one run, which takes a third of the time; but that of which the next server imports torch anew.

    Of that one, see `test_process_executor.py`.
    """
    names = sorted(set(networks.EVILS) - {"kills the server"})
    networks.check(Place(tmp_path / "place"), names, random.Random(1))
