"""Tables become frames of few chunks, which travel unharmed."""

import io
import json
import pickle

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pandas_kili.catalog import DEFAULT_FIELDS
from pandas_kili.query.fields import select
from pandas_kili.reading.frame import concatenate, to_pandas
from pandas_kili.reading.wire import columns, read_pages

SELECTION = select(["id", "externalId", "createdAt", "labels.id", "labels.jsonResponse"])
ASSET = {
    "id": "a1",
    "externalId": "one",
    "createdAt": "2023-05-11T15:55:01.134Z",
    "labels": [{"id": "l1", "jsonResponse": "{}"}],
}


def table_of(assets, selection=SELECTION):
    body = json.dumps({"data": {"data": assets}}).encode()
    return columns(read_pages([body], selection.wire)[0], selection)


def test_tables_are_joined_into_one_of_few_chunks():
    tables = [table_of([{**ASSET, "id": f"a{number}"}]) for number in range(300)]
    joined = concatenate(tables, SELECTION.schema)
    assert joined["id"].to_pylist() == [f"a{number}" for number in range(300)]
    assert {column.num_chunks for column in joined.columns} == {1}
    assert joined.schema == SELECTION.schema


def test_large_tables_stay_apart():
    table = table_of([{**ASSET, "id": f"a{number}"} for number in range(100)])
    joined = concatenate([table] * 250, SELECTION.schema)
    assert joined.equals(pa.concat_tables([table] * 250))
    assert {column.num_chunks for column in joined.columns} == {3}


def test_no_tables_make_an_empty_one_of_the_same_schema():
    assert concatenate([], SELECTION.schema) == SELECTION.schema.empty_table()
    assert to_pandas(concatenate([], SELECTION.schema), {}).dtypes.equals(to_pandas(table_of([ASSET]), {}).dtypes)


def default_frame(rows=3):
    selection = select(DEFAULT_FIELDS)
    assets = [
        {
            "content": "https://example.com/x",
            "createdAt": "2023-05-11T15:55:01.134Z",
            "externalId": f"{number} é\U0001f600",
            "id": f"a{number}",
            "isHoneypot": None,
            "jsonMetadata": '{"a": 1}',
            "labels": [
                {
                    "author": {"id": "u1", "email": "x"},
                    "createdAt": "2023-05-11T15:55:01.134Z",
                    "id": "l",
                    "jsonResponse": "{}",
                }
            ]
            * (number % 3),
            "skipped": False,
            "status": "TODO",
        }
        for number in range(rows)
    ]
    return to_pandas(table_of(assets, selection), {"project_id": "p1", "api_endpoint": "http://127.0.0.1/graphql"})


def test_a_frame_has_arrow_columns_and_plain_strings_in_its_attrs():
    frame = default_frame()
    assert all(isinstance(dtype, pd.ArrowDtype) for dtype in frame.dtypes)
    assert frame.index.equals(pd.RangeIndex(3))
    assert {type(value) for value in frame.attrs["kili"].values()} == {str}
    json.dumps(frame.attrs)


def test_a_frame_survives_parquet():
    frame = default_frame()
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    buffer.seek(0)
    again = pd.read_parquet(buffer, dtype_backend="pyarrow")
    pd.testing.assert_frame_equal(again, frame)
    assert again.attrs == frame.attrs
    buffer.seek(0)
    assert pq.read_schema(buffer).names == list(frame.columns)


def test_a_frame_survives_a_pickle():
    frame = default_frame()
    again = pickle.loads(pickle.dumps(frame))
    pd.testing.assert_frame_equal(again, frame)
    assert again.attrs == frame.attrs


def test_a_frame_goes_back_to_arrow():
    frame = default_frame()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    assert table.schema.remove_metadata() == select(DEFAULT_FIELDS).schema
    pd.testing.assert_frame_equal(to_pandas(table, frame.attrs["kili"]), frame)
