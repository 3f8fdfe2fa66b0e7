"""Offsets of Kili, and of Python's strings."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pandas_kili as pk
from pandas_kili.errors import KiliValidationError

TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("😀𝄞é"), max_size=8)


@given(TEXTS, st.data())
def test_offsets_go_there_and_back(text, data):
    at = data.draw(st.integers(0, len(text)))
    units = pk.to_utf16_units(pd.Series([text]), pd.Series([at]))
    assert units.tolist() == [len(text[:at].encode("utf-16-le")) // 2]
    assert pk.to_code_points(pd.Series([text]), units).tolist() == [at]


def test_nulls_stay_and_so_does_the_index():
    texts = pd.Series(["😀 Kili", None, "a"], index=["x", "y", "z"])
    offsets = pd.Series([3, None, None], index=["x", "y", "z"], dtype="Int64")
    found = pk.to_code_points(texts, offsets)
    assert found.tolist() == [2, pd.NA, pd.NA]
    assert found.index.tolist() == ["x", "y", "z"]


@pytest.mark.parametrize(("text", "offset"), [("ab", 3), ("ab", -1), ("😀", 1), ("😀", 3), (None, 0)])
def test_offsets_that_are_none_are_named(text, offset):
    texts, offsets = pd.Series([text, "a"], index=["x", "y"], dtype="string"), pd.Series([offset, 0], index=["x", "y"])
    with pytest.raises(KiliValidationError, match="row 'x'") as caught:
        pk.to_code_points(texts, offsets)
    assert caught.value.failure_cases["row"].tolist() == [0]


def test_texts_and_offsets_go_row_by_row():
    with pytest.raises(KiliValidationError, match="row by row"):
        pk.to_code_points(pd.Series(["a"]), pd.Series([0, 1]))
    with pytest.raises(KiliValidationError, match="whole numbers"):
        pk.to_code_points(pd.Series(["a"]), pd.Series([0.5]))
