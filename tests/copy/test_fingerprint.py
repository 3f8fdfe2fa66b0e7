"""What tells that an asset changed: the fields of the light look, and the number made of them."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.catalog import DEFAULT_FIELDS
from pandas_kili.copy.fingerprint import fingerprints, narrowed, telling_fields

LABEL = pa.struct([("id", pa.string()), ("version", pa.int64()), ("author", pa.struct([("email", pa.string())]))])
SCHEMA = pa.schema({"id": pa.string(), "mark": pa.float64(), "done": pa.bool_(), "labels": pa.list_(LABEL)})
TEXTS = st.none() | st.sampled_from(["", "a", "b", "ab", "\x00", "\x1e", "\x1c"])
AUTHORS = st.none() | st.fixed_dictionaries({"email": TEXTS})
VERSIONS = st.none() | st.integers(0, 2)
LABELS = st.none() | st.lists(
    st.none() | st.fixed_dictionaries({"id": TEXTS, "version": VERSIONS, "author": AUTHORS}), max_size=3
)
MARKS, FLAGS = st.sampled_from([None, 0.0, 0.5]), st.sampled_from([None, True, False])
ROWS = st.fixed_dictionaries({"id": TEXTS, "mark": MARKS, "done": FLAGS, "labels": LABELS})


def table(rows):
    return pa.Table.from_pylist(rows, SCHEMA)


def test_long_texts_are_left_to_what_moves_with_them():
    assert set(telling_fields(DEFAULT_FIELDS)) == {
        "id",
        "updatedAt",
        "isHoneypot",
        "skipped",
        "status",
        "labels.id",
        "labels.version",
        "labels.numberOfAnnotations",
    }
    assert "labels.consensusMark" in telling_fields(["labels.consensusMark"])
    assert telling_fields(["content", "project.title"]) == ["id", "updatedAt", "project.title"]


@given(st.lists(ROWS, min_size=1, max_size=6), st.data())
def test_equal_rows_have_equal_numbers_wherever_they_stand(rows, data):
    numbers = fingerprints(table(rows)).to_pylist()
    place = data.draw(st.integers(0, len(rows) - 1))
    assert fingerprints(table(rows[place:])).to_pylist()[0] == numbers[place]
    assert fingerprints(table(rows).slice(place, 1)).to_pylist() == [numbers[place]]
    shuffled = table(rows).select(["labels", "done", "mark", "id"])
    assert fingerprints(shuffled).to_pylist() == numbers


PLAIN = {"id": "a", "mark": 0.5, "done": True, "labels": [{"id": "l", "version": 1, "author": {"email": "e"}}]}


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b"},
        {"mark": None},
        {"done": False},
        {"labels": None},
        {"labels": []},
        {"labels": [None]},
        {"labels": [{**PLAIN["labels"][0], "version": 2}]},
        {"labels": [{**PLAIN["labels"][0], "author": None}]},
        {"labels": PLAIN["labels"] * 2},
    ],
)
def test_each_change_gives_another_number(change):
    first, second = fingerprints(table([PLAIN, {**PLAIN, **change}])).to_pylist()
    assert first != second


@given(st.lists(ROWS, max_size=6), st.integers(0, 3))
def test_a_table_is_narrowed_to_the_fields_of_a_schema(rows, start):
    label = pa.struct([("author", pa.struct([("email", pa.string())])), ("id", pa.string())])
    wanted = pa.schema({"labels": pa.list_(label), "id": pa.string()})
    given = table(rows).slice(start)
    assert narrowed(given, wanted).schema == wanted
    expected = [
        {
            "labels": row["labels"] and [one and {"author": one["author"], "id": one["id"]} for one in row["labels"]],
            "id": row["id"],
        }
        for row in rows[start:]
    ]
    assert narrowed(given, wanted).to_pylist() == expected
