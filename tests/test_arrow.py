"""Columns of every dtype as Arrow arrays that all of Arrow's functions know, and as Python's cells."""

import pandas as pd
import pyarrow as pa
import pytest

import pandas_kili  # noqa: F401 - registers `.kili`
from pandas_kili.arrow import Unreadable, arrow_array, plain_array, python_cells
from pandas_kili.errors import KiliValidationError

ANSWER = '{"JOB": {"categories": [{"name": "A", "confidence": 90}]}}'
LABEL = {"id": "l1", "jsonResponse": ANSWER, "labelType": "DEFAULT", "author": {"email": "a@b.org"}}
ROWS = [[LABEL, {**LABEL, "id": "l2", "author": {"email": "z@b.org"}}], None, []]
TEXTS = {"string": pa.string(), "large_string": pa.large_string(), "string_view": pa.string_view(), "dictionary": None}
OFFSETS, SIZES = pa.array([0, 2, 2]), pa.array([2, 0, 0])
LISTS = ["list", "large_list", "list_view", "large_list_view", "fixed"]


def labels_of(text, lists):
    """Return three rows of labels in one of Arrow's many types for them."""
    kind = TEXTS[text] or pa.string()
    author = pa.struct([("email", kind)])
    names = ["id", "jsonResponse", "labelType"]
    label = pa.struct([*((name, kind) for name in names), ("author", author)])
    values = pa.array(ROWS, pa.list_(label)).values
    if text == "dictionary":
        emails = pa.StructArray.from_arrays([values.field("author").field("email").dictionary_encode()], ["email"])
        columns = [values.field(name).dictionary_encode() for name in names]
        values = pa.StructArray.from_arrays([*columns, emails], [*names, "author"])
    if lists == "fixed":
        return pa.FixedSizeListArray.from_arrays(values, 2)
    if lists.endswith("view"):
        make, number = (pa.ListViewArray, pa.int32()) if lists == "list_view" else (pa.LargeListViewArray, pa.int64())
        return make.from_arrays(OFFSETS.cast(number), SIZES.cast(number), values, mask=pa.array([False, True, False]))
    make, number = (pa.ListArray, pa.int32()) if lists == "list" else (pa.LargeListArray, pa.int64())
    offsets = pa.array([0, 2, 2, 2], number)
    return make.from_arrays(offsets, values, mask=pa.array([False, True, False]))


def column(array):
    return pd.Series(array, dtype=pd.ArrowDtype(array.type))


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("lists", LISTS)
def test_labels_of_any_of_arrows_types_are_read(text, lists):
    labels = labels_of(text, lists)
    rows = len(labels)
    metadata = pa.array(['{"a": 1}', None, "{}"][:rows], TEXTS[text])
    frame = pd.DataFrame({"id": ["a", "b", "c"][:rows], "labels": column(labels), "jsonMetadata": column(metadata)})
    assert frame.kili.labels()["id"].tolist() == ["l1", "l2"]
    assert frame.kili.annotations()["category"].tolist() == ["A", "A"]
    assert frame.kili.metadata()["a"].tolist()[0] == 1
    assert frame.kili.agreement()["percent"].tolist() == [100.0]
    assert "disagreement" in frame.kili.disagreements()
    assert "A" in frame.kili.preview(n=1)._repr_html_()


@pytest.mark.parametrize(
    ("array", "type_"),
    [
        (pa.array(["a", None], pa.string_view()), pa.string()),
        (pa.array([b"a"], pa.binary_view()), pa.binary()),
        (pa.array(["a", "a", None]).dictionary_encode(), pa.string()),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["a", None]), pa.string()),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None], pa.int8())), pa.int8()),
        (pa.array([["a"], None], pa.list_view(pa.string_view())), pa.list_(pa.string())),
        (pa.array([{"a": ["x"]}, None], pa.struct([("a", pa.list_(pa.string_view(), 1))])), None),
        (pa.array([1, None]), pa.int64()),
    ],
)
def test_the_cells_stay_and_the_type_is_plain(array, type_):
    plain = plain_array(array)
    assert plain.type == (type_ or pa.struct([("a", pa.list_(pa.string()))]))
    held = [int(cell) if isinstance(cell, bool) else cell for cell in array.to_pylist()]
    assert plain.to_pylist() == held
    assert plain_array(array[1:]).to_pylist() == held[1:]


def test_cells_are_pythons_own():
    dates = pa.array([-(2**40), 0, None], pa.timestamp("s"))
    early, epoch, none = python_cells(column(dates))
    assert isinstance(early, Unreadable)
    assert (epoch, none) == (pd.Timestamp(0), None)
    assert python_cells(pd.Series([pa.scalar(3), float("nan"), None, "x"], dtype=object)) == [3, None, None, "x"]
    twice = pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8()))
    assert isinstance(python_cells(column(twice))[0], Unreadable)
    assert not pa.types.is_dictionary(arrow_array(pd.Series(["a"], dtype="category")).type)


def test_text_that_is_no_unicode_is_named():
    with pytest.raises(KiliValidationError, match=r"^'name' holds 'b\\ud83d', which is no Unicode text"):
        arrow_array(pd.Series(["a", "b\ud83d"], dtype=object, name="name"))
