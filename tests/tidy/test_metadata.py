"""The keys of the metadata as typed columns."""

import json
import warnings

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.errors import KiliFieldError, KiliValidationError
from pandas_kili.tidy.metadata import metadata_table


def table(*cells, schema=None, index=None):
    texts = [cell if cell is None or isinstance(cell, str) else json.dumps(cell) for cell in cells]
    frame = pd.DataFrame({"jsonMetadata": pd.Series(texts, dtype=pd.ArrowDtype(pa.string()))})
    return metadata_table(frame if index is None else frame.set_axis(index, axis=0), schema)


def types(frame):
    return {name: dtype.pyarrow_dtype for name, dtype in frame.dtypes.items()}


class TestTypes:
    @pytest.mark.parametrize(
        ("values", "type_"),
        [
            ([1, 2], pa.int64()),
            ([1, 2.5], pa.float64()),
            ([True, False], pa.bool_()),
            (["a", ""], pa.string()),
            (["2024-01-01", "2024-01-02T03:04:05Z"], pa.string()),
            ([2**40, -5], pa.int64()),
        ],
    )
    def test_values_of_one_type_give_its_column(self, values, type_):
        frame = table(*({"k": value} for value in values), {"k": None}, {})
        assert types(frame) == {"k": type_}
        assert frame["k"].tolist() == [*values, pd.NA, pd.NA]

    def test_objects_and_lists_stay_json_without_a_warning(self):
        frame = table({"k": {"a": [1]}}, {"k": [1, "é"]})
        assert [json.loads(text) for text in frame["k"]] == [{"a": [1]}, [1, "é"]]

    def test_a_key_without_values_is_text(self):
        assert types(table({"k": None})) == {"k": pa.string()}

    @pytest.mark.parametrize(
        ("values", "named"),
        [
            ([1, "1"], "int, string"),
            ([True, 1], "bool, int"),
            ([{"a": 1}, 0.5], "float, object"),
            ([2**63], "no column holds exactly"),
            ([2**53 + 1, 0.5], "no column holds exactly"),
        ],
    )
    def test_conflicting_types_become_json_text_and_are_named(self, values, named):
        with pytest.warns(UserWarning, match=rf"'k' \(.*{named}"):
            frame = table(*({"k": value, "fine": 1} for value in values))
        assert [json.loads(text) for text in frame["k"]] == values
        assert types(frame) == {"k": pa.string(), "fine": pa.int64()}

    def test_the_warning_is_about_the_line_that_asked(self):
        with pytest.warns(UserWarning, match="several types") as caught:
            pd.DataFrame({"jsonMetadata": ['{"k": 1}', '{"k": "1"}']}).kili.metadata()
        assert [each.filename for each in caught] == [__file__]

    def test_half_a_surrogate_pair_does_not_lose_the_column(self):
        assert table('{"k": "a\\ud83d"}')["k"].tolist() == ["a\N{REPLACEMENT CHARACTER}"]


class TestRows:
    def test_rows_and_index_are_those_of_the_frame(self):
        frame = table({"a": 1}, None, "", {"b": "x"}, index=["x", "x", "y", "z"])
        assert frame.index.tolist() == ["x", "x", "y", "z"]
        assert frame["a"].tolist() == [1, pd.NA, pd.NA, pd.NA]
        assert frame.columns.tolist() == ["a", "b"]

    def test_dicts_are_taken_as_json_text_is(self):
        frame = pd.DataFrame({"jsonMetadata": [{"a": 1}, None, float("nan"), {"a": 2}]})
        assert metadata_table(frame)["a"].tolist() == [1, pd.NA, pd.NA, 2]

    def test_a_frame_without_keys_keeps_its_rows(self):
        frame = table({}, {}, index=[5, 6])
        assert frame.shape == (2, 0)
        assert frame.index.tolist() == [5, 6]

    def test_an_empty_frame_has_the_columns_of_the_schema(self):
        assert types(table(schema={"k": pa.int64()})) == {"k": pa.int64()}

    def test_attrs_are_kept_and_the_frame_is_not_touched(self):
        frame = pd.DataFrame({"jsonMetadata": ['{"a": 1}']})
        frame.attrs["kili"] = {"project_id": "p"}
        assert metadata_table(frame).attrs == frame.attrs
        assert frame.columns.tolist() == ["jsonMetadata"]

    def test_without_the_column_the_field_is_named(self):
        with pytest.raises(KiliFieldError, match="jsonMetadata"):
            metadata_table(pd.DataFrame({"id": ["a"]}))


class TestSchema:
    @pytest.mark.parametrize(
        ("values", "type_", "expected"),
        [
            (["2024-01-02"], pa.date32(), [pd.Timestamp("2024-01-02").date()]),
            (["2024-01-02T03:04:05.678"], pa.timestamp("ms"), [pd.Timestamp("2024-01-02T03:04:05.678")]),
            (["2024-01-02T03:04:05Z"], pa.timestamp("ms", tz="UTC"), [pd.Timestamp("2024-01-02T03:04:05Z")]),
            (["12", 3], pa.int64(), [12, 3]),
            ([69001, "01000", {"a": 1}], pa.string(), ["69001", "01000", '{"a": 1}']),
            ([["a"], None], pa.list_(pa.string()), [["a"], pd.NA]),
            ([{"a": 1}], pa.struct([("a", pa.int64())]), [{"a": 1}]),
        ],
    )
    def test_the_schema_decides(self, values, type_, expected):
        frame = table(*({"k": value} for value in values), schema={"k": type_})
        assert types(frame) == {"k": type_}
        assert frame["k"].tolist() == expected

    def test_its_keys_come_first_and_are_there_in_any_case(self):
        frame = table({"a": 1}, schema={"z": pa.string(), "y": pa.bool_()})
        assert frame.columns.tolist() == ["z", "y", "a"]
        assert frame["z"].isna().all()

    def test_values_that_do_not_fit_name_their_rows(self):
        with pytest.raises(KiliValidationError, match="'k' do not fit int64; row 'b': 'x'") as caught:
            table({"k": 1}, {"k": "x"}, {"k": "x"}, schema={"k": pa.int64()}, index=["a", "b", "c"])
        assert caught.value.failure_cases["index"].tolist() == ["b", "c"]

    def test_a_list_of_keys_is_no_schema(self):
        with pytest.raises(KiliValidationError, match="got a list"):
            table({"k": 1}, schema=["k"])

    def test_a_type_that_is_none_is_refused(self):
        with pytest.raises(KiliValidationError, match="pyarrow type"):
            table({"k": 1}, schema={"k": "int64"})


class TestMalformed:
    @pytest.mark.parametrize("cell", ["{", "[1]", "3", '"text"', "[" * 5000])
    def test_what_is_no_object_names_its_row(self, cell):
        with pytest.raises(KiliValidationError, match="row 8") as caught:
            table({"a": 1}, cell, index=[7, 8])
        assert caught.value.failure_cases["index"].tolist() == [8]
        assert caught.value.failure_cases["column"].tolist() == ["jsonMetadata"]

    def test_cells_of_other_types_name_their_row(self):
        with pytest.raises(KiliValidationError, match="row 0"):
            metadata_table(pd.DataFrame({"jsonMetadata": [[1]]}))


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8")),
)
values = st.one_of(scalars, st.lists(scalars, max_size=2), st.dictionaries(st.sampled_from("ab"), scalars, max_size=2))


@given(st.lists(st.dictionaries(st.sampled_from(["k", "l", "é"]), values, max_size=3), max_size=5))
def test_no_value_is_lost(objects):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        frame = table(*objects)
    assert len(frame) == len(objects)
    for row, item in enumerate(objects):
        for key, value in item.items():
            cell = frame[key].iloc[row]
            if value is None:
                assert cell is pd.NA
            elif (isinstance(cell, str) and not isinstance(value, str)) or cell != value:
                assert json.loads(cell) == value
