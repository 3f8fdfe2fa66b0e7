"""What metadata can hold: every scalar and array of numpy, pandas and Arrow, as itself or refused by its name."""

import datetime as dt
import decimal
import io
import json
import pathlib
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.json_text import NotJsonError, json_text, json_texts, parsed
from pandas_kili.writing.cells import Columns

DAY, INSTANT = np.datetime64("2024-01-02"), pd.Timestamp("2024-01-02T03:04:05.000000006")
UUID = uuid.UUID(int=7)
HELD = [
    (np.int8(1), 1), (np.uint64(2**64 - 1), 2**64 - 1), (np.float16(0.5), 0.5), (np.longdouble(2.5), 2.5),
    (np.bool_(True), True), (np.str_("x"), "x"), (DAY, "2024-01-02"), (INSTANT.to_datetime64(), INSTANT.isoformat()),
    (np.datetime64("2024-01-02T03:04", "m"), "2024-01-02T03:04:00"), (np.datetime64("NaT"), None),
    (np.array([INSTANT.to_datetime64(), "NaT"], "M8[ns]"), [INSTANT.isoformat(), None]),
    (np.array([[DAY], [DAY]]), [["2024-01-02"], ["2024-01-02"]]), (np.array(DAY), "2024-01-02"),
    (np.array([1.5, 2]), [1.5, 2.0]), (np.array([True]), [True]), (np.array(["é"]), ["é"]),
    (np.array([1.5], np.longdouble), [1.5]), (np.array([{"a": np.int8(1)}], object), [{"a": 1}]),
    (INSTANT, INSTANT.isoformat()), (dt.date(2024, 1, 2), "2024-01-02"), (pd.NaT, None), (pd.NA, None),
    (decimal.Decimal(3), 3), (decimal.Decimal("3.00"), 3), (decimal.Decimal(2**70), 2**70),
    (UUID, str(UUID)), (pathlib.PurePosixPath("a/b"), "a/b"), ({"b", "a"}, ["a", "b"]),
    (pd.Series([1, None], dtype="Int8"), [1, None]), (pd.Index(["a"]), ["a"]),
    (pd.array([DAY]), ["2024-01-02T00:00:00"]),
    (pd.Categorical(["a"]), ["a"]), (pa.scalar("x"), "x"), (pa.scalar(None), None), (pa.scalar(2**40), 2**40),
    (pa.scalar(INSTANT, pa.timestamp("ns")), INSTANT.isoformat()), (pa.scalar("x", pa.string_view()), "x"),
    (pa.scalar(DAY.item()), "2024-01-02"), (pa.scalar(decimal.Decimal(3)), 3),
    (pa.scalar({"a": 1}), {"a": 1}), (pa.scalar([("a", 1)], pa.map_(pa.string(), pa.int8())), {"a": 1}),
    (pa.array([1, None]), [1, None]), (pa.chunked_array([["a"], ["b"]]), ["a", "b"]),
    (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
]  # fmt: skip
REFUSED = [
    (np.timedelta64(1, "ns"), "timedelta64"), (np.array([1], "m8[s]"), "timedelta64"), (pd.Timedelta(1), "Timedelta"),
    (dt.timedelta(1), "timedelta"), (dt.time(1), "time"), (b"x", "bytes"), (np.bytes_(b"x"), "bytes"),
    (np.array([b"x"]), "bytes"), (1j, "complex"), (np.complex64(1), "complex64"), (np.array([1j]), "complex"),
    (np.zeros(1, "i4,f4"), "void"), (float("nan"), "NaN"), (np.float32("nan"), "NaN|float32"),
    (np.array([1, np.inf]), "infinity"), (decimal.Decimal("0.1"), "Decimal"), (decimal.Decimal("NaN"), "Decimal"),
    (decimal.Decimal("sNaN"), "Decimal"), (decimal.Decimal("1E+999999"), "Decimal"), (pd.Period("2024"), "Period"),
    (pd.Interval(0, 1), "Interval"), (pa.scalar(b"x"), "BinaryScalar"),
    (pa.scalar(dt.timedelta(1)), "DurationScalar"),
    (pa.scalar(dt.time(1)), "Time64Scalar"), (pa.scalar((1, 2, 3), pa.month_day_nano_interval()), "Interval"),
    (pa.scalar(2**62, pa.timestamp("s")), "TimestampScalar"), ("\ud800", "surrogate"),
    (pd.DataFrame({"a": [1]}), "DataFrame"), (object(), "object"), (print, "builtin"), (..., "ellipsis"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "held"), HELD)
def test_a_value_inside_metadata_is_what_it_says(value, held):
    assert json.loads(json_text(value)) == held
    assert json.loads(json_text({"a": {"b": [value]}})) == {"a": {"b": [held]}}


@pytest.mark.parametrize(("value", "named"), REFUSED)
def test_what_has_no_plain_form_is_refused_by_key_and_type(value, named):
    with pytest.raises(NotJsonError, match=rf"^it is .*({named})"):
        json_text(value)
    with pytest.raises(NotJsonError, match=rf"^key 'a\.b' holds .*({named})"):
        json_text({"fine": 1, "a": {"b": [1, value]}})


def test_text_is_read_strictly():
    assert parsed('{"a": [1.5]}') == {"a": [1.5]}
    with pytest.raises(NotJsonError, match=r"key 'a\.b' holds NaN"):
        parsed('{"a": {"b": NaN}}')
    with pytest.raises(NotJsonError, match="not JSON"):
        parsed("{")
    with pytest.raises(NotJsonError, match="too deeply"):
        parsed("[" * 100_000)


def read(cells, name="jsonMetadata", **options):
    columns = Columns(pd.DataFrame({"c": pd.Series(cells, **options)}))
    values = columns.read(name, "c")
    columns.check()
    return [None if value is None else json.loads(value) for value in values]


ROWS = [{"n": 3, "day": "x", "deep": {"k": 1, "l": [1]}}, {"f": 0.5, "deep": {"m": 2}}, {"n": 4}]
ANSWERS = [{"CLS": {"categories": [{"name": "A"}]}}, {"TXT": {"text": "x"}}, {"CLS": {"categories": []}}]


@pytest.mark.parametrize("backend", [{}, {"dtype_backend": "pyarrow"}, {"dtype_backend": "numpy_nullable"}])
def test_dicts_that_went_through_parquet_are_as_they_were(backend):
    file = io.BytesIO()
    pd.DataFrame({"meta": ROWS, "answer": ANSWERS}).to_parquet(file)
    frame = pd.read_parquet(io.BytesIO(file.getvalue()), **backend)
    for name, column, rows in [("jsonMetadata", "meta", ROWS), ("jsonResponse", "answer", ANSWERS)]:
        values = Columns(frame).read(name, column)
        assert [json.loads(value) for value in values] == rows
        assert ".0" not in "".join(values)


@pytest.mark.parametrize("backend", [{}, {"dtype_backend": "pyarrow"}])
@pytest.mark.parametrize(
    "rows",
    [
        [{"n": 1}, None, {"n": 2}],
        [{"deep": {"n": 1}}, {"deep": None}],
        [{"deep": {"n": 1, "l": [1]}}, None, {"deep": {"n": 2, "l": []}}],
        [{"l": [{"n": 1}, None]}, {"l": [{"n": 2}]}],
    ],
)
def test_whole_numbers_stay_whole_where_what_holds_them_is_null_elsewhere(backend, rows):
    file = io.BytesIO()
    pd.DataFrame({"meta": rows}).to_parquet(file)
    values = Columns(pd.read_parquet(io.BytesIO(file.getvalue()), **backend)).read("jsonMetadata", "meta")
    assert ".0" not in "".join(filter(None, values))


def test_nulls_that_a_user_wrote_stay():
    assert read([{"a": None}, {"b": 1.0}, {}]) == [{"a": None}, {"b": 1.0}, {}]
    assert read(['{"a": null}', '{"a": 1.0}']) == [{"a": None}, {"a": 1.0}]
    assert read([{"CLS": {"x": 1}, "TXT": None}, '{"CLS": null}'], "jsonResponse") == [{"CLS": {"x": 1}}, {}]


@pytest.mark.parametrize(
    ("cells", "options", "written"),
    [
        ([1, None, 3], {}, ["1", None, "3"]),
        ([1.0, np.nan], {"dtype": "float64"}, ["1", None]),
        ([1.0, None], {"dtype": pd.ArrowDtype(pa.float64())}, ["1", None]),
        ([1.0, None], {"dtype": object}, ["1", None]),
        ([1.0, 2.5, None], {}, ["1.0", "2.5", None]),
        ([1.0, 2.0], {}, ["1.0", "2.0"]),
        ([1, None], {"dtype": "Int64"}, ["1", None]),
        ([2.0**60, None], {}, [str(2.0**60), None]),
        (["1.0", None, "null"], {}, ['"1.0"', None, '"null"']),
    ],
)
def test_whole_numbers_with_missing_values_stay_whole(cells, options, written):
    columns = Columns(pd.DataFrame({"c": pd.Series(cells, **options)}))
    assert columns.read("metadataEntry", "c") == written


def test_maps_are_objects():
    maps = pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64()))
    assert read(maps.to_pandas(types_mapper=pd.ArrowDtype)) == [{"a": 1}, None, {}]
    nested = pa.array([[[("a", 1)]]], pa.list_(pa.map_(pa.string(), pa.int64())))
    assert read(nested.to_pandas(types_mapper=pd.ArrowDtype), "metadataEntry") == [[{"a": 1}]]


def test_a_list_of_columns_becomes_keys():
    frame = pd.DataFrame({"site": ["Lyon", None, "Brest"], "n": [1, None, None], "x": [{"a": 1}, pd.NA, None]})
    columns = Columns(frame)
    written = columns.read("jsonMetadata", ["site", "n", "x"])
    assert written == ['{"site": "Lyon", "n": 1, "x": {"a": 1}}', None, '{"site": "Brest"}']


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("aé\0"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("ab"), values, max_size=3))
def test_plain_values_come_back_equal(value):
    assert json.loads(json_text(value)) == value
    assert read([value], dtype=object) == [value]


@given(st.lists(st.dictionaries(st.text("ab"), values, max_size=3) | values, max_size=5))
def test_values_are_written_together_as_they_are_one_by_one(column):
    assert json_texts(column) == list(map(json_text, column))


def test_a_value_that_looks_like_the_seam_between_values_stays_whole():
    column = [["a", "\0", "b"], "\0", {"\0": "\0"}, ', "\0", ']
    assert json_texts(column) == list(map(json_text, column))
    with pytest.raises(NotJsonError, match="NaN"):
        json_texts([{"a": 1}, {"a": float("nan")}])


def test_a_key_with_half_a_surrogate_pair_is_named():
    with pytest.raises(NotJsonError, match=r"^the key 'k\\ud83d' holds half a surrogate pair"):
        json_text({"a": {"k\ud83d": 1}})
