"""The tests of the package: what bench asks of each unit, and nothing else. `python -m pytest contract.py` runs them."""

from bench.contracts import check_arch, check_backend, check_dataset, check_figure


def test_my_network():
    check_arch("example_net")


def test_my_data_set():
    assert check_dataset("example_set") is None


def test_my_backend():
    assert check_backend("one_by_one") is None


def test_my_figure():
    check_figure("example_bars")
