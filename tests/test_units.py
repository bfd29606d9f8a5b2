from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.units import (
    DASH,
    UNITS,
    Scale,
    bound,
    duration,
    exactly,
    percent,
    quantity_in,
    ranged,
    show,
    significant,
)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, "s", "12.3 ms"),
        (1.5e-6, "s", "1.50 µs"),
        (62_378_344, "1", "62.4 M"),
        (714_188_480, "MAC", "714 MMAC"),
        (15.5e9, "MAC", "15.5 GMAC"),
        (1234, "B", "1.23 kB"),
        (0, "s", "0 s"),
        (0, "B", "0 B"),
        (None, "s", DASH),
        (math.nan, "B", DASH),
        (12.0, "furlong", "12.0 furlong"),
    ],
)
def test_show(value: float | None, unit: str, text: str) -> None:
    assert show(value, unit) == text


@pytest.mark.parametrize(
    ("written", "unit", "text"),
    [
        ("20ms", "s", "20 ms"),
        ("0.0123456s", "s", "12.3456 ms"),
        ("1000/s", "1/s", "1,000 images/s"),
        ("1.5k/s", "1/s", "1,500 images/s"),
        ("300 MiB", "B", "314.5728 MB"),
        ("25M", "1", "25 M"),
    ],
)
def test_what_was_given_is_written_with_all_its_digits_and_no_more(
    written: str, unit: str, text: str
) -> None:
    assert exactly(quantity_in(written, unit), unit) == text


def test_rates_are_images_a_second_as_in_tables() -> None:
    assert (show(1234.0, "1/s"), show(46.2, "1/s")) == ("1,230 images/s", "46.2 images/s")


@given(st.floats(min_value=1e-12, max_value=1e15), st.sampled_from(UNITS))
def test_a_scale_keeps_the_value(value: float, unit: str) -> None:
    scale = Scale.of(value, unit)
    assert math.isclose(value / scale.factor * scale.factor, value)
    assert value / scale.factor >= 1 or scale == Scale.of(0.0 + 1e-30, unit)


@given(st.floats(min_value=1e-9, max_value=1e12), st.integers(min_value=1, max_value=6))
def test_significant_digits_are_within_half_a_digit(value: float, digits: int) -> None:
    shown = float(significant(value, digits).replace(",", ""))
    assert abs(shown - value) <= 0.5000001 * 10 ** (math.floor(math.log10(value)) - digits + 1)


@given(st.floats(min_value=1e-9, max_value=1e12), st.integers(min_value=1, max_value=6))
def test_significant_digits_are_as_many_as_in_exponent_form(value: float, digits: int) -> None:
    mantissa = f"{value:.{digits - 1}e}".partition("e")[0].replace(".", "")
    shown = significant(value, digits).replace(",", "").replace(".", "").lstrip("0")
    assert shown.ljust(digits, "0")[:digits] == mantissa
    assert len(shown) == digits or not shown[digits:].strip("0")  # zeros before the point alone


def test_what_is_rounded_up_to_the_next_power_has_no_digit_more() -> None:
    assert [significant(v) for v in (9.994, 9.996, 0.09996, 99.96, 999.6)] == [
        "9.99",
        "10.0",
        "0.100",
        "100",
        "1,000",
    ]


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (23.4, 22.51, 23.76, "23.4 ms (22.5 – 23.8)"),
        (120.0, 1.94, 7590.0, "120 ms (1.9 – 7,600)"),  # never 0, which a time cannot be
        (120.0, 11.9, 1210.0, "120 ms (12 – 1,200)"),
        (120.0, 100.0, 140.0, "120 ms (100 – 140)"),
        (0.5, -0.02, 1.02, "0.50 ms (-0.020 – 1.02)"),
        (0.5, 0.0, 1.0, "0.50 ms (0.00 – 1.00)"),
    ],
)
def test_ends_have_the_decimals_of_their_number_or_as_many_digits(
    value: float, low: float, high: float, text: str
) -> None:
    assert ranged(value, low, high, Scale(1.0, "ms")) == text


def test_an_end_that_says_nothing_is_told_by_how_far_it_is() -> None:
    # Student's interval of the logarithms of two processes that have little in common.
    assert ranged(3.2, 3e-16, 3.5e16, Scale(1.0, "ms")) == "3.2 ms (< 0.00032 – > 32,000)"
    assert ranged(3.2, 3.2e-3, 3.2e3, Scale(1.0, "ms")) == "3.2 ms (0.0032 – 3,200)"


@pytest.mark.parametrize("value", [1e300, 1e15, 9.99e-10, 5e-324, -1e300])
def test_what_nobody_reads_without_an_exponent_has_one(value: float) -> None:
    texts = [significant(value), show(abs(value), "1"), ranged(value, value, value, Scale(1.0, "ms"))]
    assert all(len(text) < 45 for text in texts)
    assert math.isclose(float(significant(value, 17)), value)
    assert len(percent(value)) < 16
    assert len(duration(abs(value))) < 16


def test_what_is_read_without_an_exponent_has_none() -> None:
    assert significant(9.99e14) == "999,000,000,000,000"
    assert significant(1e-9) == "0.00000000100"
    assert show(1e300, "s") == "1.00e+300 s"


def test_percent_and_duration() -> None:
    assert percent(0.918) == "91.8 %"
    assert percent(None) == DASH
    assert duration(3.14) == "3.1 s"
    assert duration(75) == "1 min 15 s"
    assert duration(3720) == "1 h 02 min"


@pytest.mark.parametrize("unit", UNITS)
def test_no_line_ends_between_a_number_and_its_unit(unit: str) -> None:
    shown = show(23.4, unit)
    assert bound(f"it is {shown} at 3 places") == f"it is {shown.replace(' ', chr(0xA0))} at 3 places"


def test_a_word_after_a_number_is_no_unit() -> None:
    assert bound("2 seeds, 96.0 %, and 3 px") == "2 seeds, 96.0\u00a0%, and 3\u00a0px"
    assert bound("p ≤ 0.029, n = 4, and > is more") == "p\u00a0≤\u00a00.029, n\u00a0=\u00a04, and > is more"
