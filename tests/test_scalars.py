"""Single values are Python's own afterwards, or an error says what they are."""

import decimal
import fractions
import math

import numpy as np
import pytest

from pandas_kili import scalars


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (3, 3), (2**63, 2**63), (np.uint8(3), 3), (0.5, 0.5), (np.float32(0.5), 0.5), (fractions.Fraction(1, 2), 0.5),
        (decimal.Decimal(2**60 + 1), 2**60 + 1), (decimal.Decimal("0.5"), 0.5),
    ],
)  # fmt: skip
def test_a_number_is_pythons_own_and_whole_ones_stay_whole(value, plain):
    found = scalars.number(value)
    assert (found, type(found)) == (plain, type(plain))


@pytest.mark.parametrize(
    "value",
    [True, np.bool_(True), "1", 1j, np.complex64(1), None, math.nan, math.inf, 10**400, decimal.Decimal("sNaN"),
     decimal.Decimal("1E+999999"), b"1"],
)  # fmt: skip
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises((TypeError, ValueError, OverflowError), match=r"number|finite|NaN"):
        scalars.number(value)


def test_half_a_surrogate_pair_is_no_text():
    assert scalars.text(np.str_("é")) == "é"
    with pytest.raises(ValueError, match="valid Unicode"):
        scalars.text("a\ud800")
    with pytest.raises(TypeError, match="got 5"):
        scalars.text(5)


def test_marks_are_within_0_and_1_and_flags_are_true_or_false():
    assert scalars.mark(np.float32(0.25)) == 0.25
    assert scalars.flag(np.bool_(False)) is False
    with pytest.raises(ValueError, match="within 0 and 1"):
        scalars.mark(2)
    with pytest.raises(TypeError, match="True or False"):
        scalars.flag(1)
