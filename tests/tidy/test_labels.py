"""One row per label."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pandas_kili.errors import KiliFieldError
from pandas_kili.tidy import labels_table

LABELS = [
    [
        {
            "id": "l1",
            "author": {"email": "ada@x.org", "id": "u1"},
            "createdAt": pd.Timestamp("2024-01-02", tz="UTC"),
            "jsonResponse": "{}",
        },
        {"id": "l2", "author": None, "createdAt": None, "jsonResponse": None},
    ],
    [],
    None,
    [
        {
            "id": "l3",
            "author": {"email": "bob@x.org", "id": "u2"},
            "createdAt": pd.Timestamp("2024-01-03", tz="UTC"),
            "jsonResponse": '{"J":{}}',
        }
    ],
]
TYPE = pa.list_(
    pa.struct(
        [
            ("author", pa.struct([("email", pa.string()), ("id", pa.string())])),
            ("createdAt", pa.timestamp("ms", tz="UTC")),
            ("id", pa.string()),
            ("jsonResponse", pa.string()),
        ]
    )
)


def assets(index=None, labels=LABELS):
    column = pd.Series(pa.array(labels, TYPE), dtype=pd.ArrowDtype(TYPE))
    size = len(labels)
    names = pd.Series([f"a{number}" for number in range(size)], dtype=pd.ArrowDtype(pa.string()))
    frame = pd.DataFrame({"id": names, "externalId": names.str.upper(), "labels": column})
    return frame if index is None else frame.set_axis(index, axis=0)


class TestRows:
    def test_there_is_a_row_per_label_and_none_for_assets_without(self):
        frame = labels_table(assets())
        assert frame["id"].tolist() == ["l1", "l2", "l3"]
        assert frame["assetId"].tolist() == ["a0", "a0", "a3"]
        assert frame["externalId"].tolist() == ["A0", "A0", "A3"]
        assert frame["author.email"].tolist() == ["ada@x.org", pd.NA, "bob@x.org"]

    def test_columns_begin_with_the_asset_and_keep_their_types(self):
        frame = labels_table(assets())
        assert frame.columns.tolist() == [
            "assetId",
            "externalId",
            "author.email",
            "author.id",
            "createdAt",
            "id",
            "jsonResponse",
        ]
        assert frame.dtypes["createdAt"] == pd.ArrowDtype(pa.timestamp("ms", tz="UTC"))
        assert all(isinstance(dtype, pd.ArrowDtype) for dtype in frame.dtypes)

    @pytest.mark.parametrize(
        "index",
        [
            None,
            ["x", "x", "y", "x"],
            pd.MultiIndex.from_tuples([("p", 1), ("p", 1), ("p", 2), ("q", 1)], names=["project", "n"]),
            pd.date_range("2024-01-01", periods=4),
        ],
    )
    def test_the_index_repeats_that_of_the_assets(self, index):
        frame = assets(index)
        tidy = labels_table(frame)
        assert tidy.index.equals(frame.index[[0, 0, 3]])
        assert tidy.index.names == frame.index.names

    def test_it_can_be_joined_to_the_assets(self):
        frame = assets(["w", "x", "y", "z"])
        joined = frame[["id"]].join(labels_table(frame)[["assetId"]], how="inner")
        assert (joined["id"] == joined["assetId"]).all()

    def test_filtered_and_concatenated_frames_give_their_own_labels(self):
        frame = assets()
        assert labels_table(frame.iloc[[3, 0]])["id"].tolist() == ["l3", "l1", "l2"]
        assert labels_table(frame[frame["id"] != "a0"])["id"].tolist() == ["l3"]
        assert labels_table(pd.concat([frame, frame]))["id"].tolist() == ["l1", "l2", "l3"] * 2

    def test_attrs_are_kept_and_the_frame_is_not_touched(self):
        frame = assets()
        frame.attrs["kili"] = {"project_id": "p"}
        before = frame.copy(deep=True)
        assert labels_table(frame).attrs == {"kili": {"project_id": "p"}}
        pd.testing.assert_frame_equal(frame, before)

    def test_without_any_label_the_columns_are_there(self):
        frame = labels_table(assets(labels=[[], None]))
        assert frame.empty
        assert frame.columns.tolist() == labels_table(assets()).columns.tolist()
        assert labels_table(assets().iloc[:0]).columns.tolist() == frame.columns.tolist()

    @given(
        st.lists(
            st.one_of(st.none(), st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=3)), max_size=5
        )
    )
    def test_every_label_is_there_once_and_in_order(self, ids):
        frame = assets(labels=[cell and [{"id": name} for name in cell] for cell in ids])
        tidy = labels_table(frame)
        assert tidy["id"].tolist() == [name for cell in ids for name in cell or ()]
        assert tidy.index.tolist() == [row for row, cell in enumerate(ids) for _ in cell or ()]


class TestSources:
    def test_columns_of_python_objects_are_converted(self):
        frame = assets().assign(labels=pd.Series(LABELS, dtype=object))
        tidy = labels_table(frame)
        assert tidy["author.email"].tolist() == ["ada@x.org", pd.NA, "bob@x.org"]
        assert all(isinstance(dtype, pd.ArrowDtype) for dtype in tidy.dtypes)

    def test_frames_of_a_plain_parquet_reader_are_converted(self, tmp_path):
        path = tmp_path / "assets.parquet"
        pq.write_table(pa.Table.from_pandas(assets(), preserve_index=False).replace_schema_metadata(), path)
        read = pd.read_parquet(path)
        assert read["labels"].dtype == object
        assert labels_table(read)["id"].tolist() == ["l1", "l2", "l3"]

    def test_answers_that_were_parsed_are_json_text_again(self):
        frame = pd.DataFrame(
            {
                "labels": [
                    [{"id": "l1", "jsonResponse": {"J": {"text": "é"}}}],
                    [{"id": "l2", "jsonResponse": {"K": {}}}],
                ]
            }
        )
        assert [json.loads(text) for text in labels_table(frame)["jsonResponse"]] == [{"J": {"text": "é"}}, {"K": {}}]

    def test_the_latest_label_is_one_label_per_asset_that_has_it(self):
        frame = pd.DataFrame(
            {"id": ["a", "b"], "latestLabel.id": ["l1", None], "latestLabel.author.email": [None, None]}
        )
        tidy = labels_table(frame)
        assert tidy.to_dict("list") == {"assetId": ["a"], "id": ["l1"], "author.email": [None]}

    def test_the_latest_labels_are_taken_where_there_are_no_others(self):
        frame = assets().rename(columns={"labels": "latestLabels"})
        assert labels_table(frame)["id"].tolist() == ["l1", "l2", "l3"]

    def test_a_table_of_labels_is_itself(self):
        tidy = labels_table(assets())
        pd.testing.assert_frame_equal(labels_table(tidy), tidy)

    def test_a_frame_without_labels_says_what_to_read(self):
        with pytest.raises(KiliFieldError, match=r"labels\.jsonResponse") as caught:
            labels_table(pd.DataFrame({"id": ["a"]}))
        assert caught.value.field == "labels"

    def test_a_column_of_something_else_is_refused(self):
        with pytest.raises(KiliFieldError, match="lists of structs"):
            labels_table(pd.DataFrame({"labels": pd.Series(["x"], dtype=pd.ArrowDtype(pa.string()))}))
        with pytest.raises(KiliFieldError, match="lists of structs"):
            labels_table(pd.DataFrame({"labels": [["x"]]}))
        with pytest.raises(KiliFieldError, match="as Parquet"):
            labels_table(pd.DataFrame({"labels": ["[{'id': 'l1'}]"]}))

    @pytest.mark.parametrize("type_", [pa.null(), pa.string(), pa.float64()])
    def test_a_column_that_lost_its_type_as_it_is_empty_has_no_labels(self, type_):
        column = pd.Series(pa.nulls(2, type_), dtype=pd.ArrowDtype(type_))
        assert len(labels_table(pd.DataFrame({"id": ["a", "b"], "labels": column}))) == 0


class TestFields:
    def test_fields_are_kept_in_the_order_asked_for(self):
        assert labels_table(assets(), ["jsonResponse", "author.id"]).columns.tolist() == [
            "assetId",
            "externalId",
            "jsonResponse",
            "author.id",
        ]

    def test_no_fields_leave_the_assets(self):
        assert labels_table(assets(), []).columns.tolist() == ["assetId", "externalId"]

    def test_a_field_that_was_not_read_is_named_with_the_nearest(self):
        with pytest.raises(KiliFieldError, match=r"author\.email") as caught:
            labels_table(assets(), ["author.emial"])
        assert caught.value.suggestions[0] == "author.email"

    def test_a_field_that_is_like_no_other_says_how_it_is_read(self):
        with pytest.raises(KiliFieldError, match=r"Read it: fields=\[…, 'labels\.secondsToLabel'\]"):
            labels_table(assets(), ["secondsToLabel"])

    def test_a_string_is_no_list_of_fields(self):
        with pytest.raises(KiliFieldError, match="list"):
            labels_table(assets(), "id")
