"""What cannot be written as an answer is refused, row by row, before anything is sent."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pandas_kili.errors import KiliValidationError
from pandas_kili.tidy import annotations_table, to_json_response

BOX = {"job": "J", "tool": "rectangle", "category": "A", "xmin": 0.1, "ymin": 0.2, "xmax": 0.3, "ymax": 0.4}
SQUARE = [[{"x": 0.1, "y": 0.1}, {"x": 0.2, "y": 0.1}, {"x": 0.2, "y": 0.2}]]
SPAN = {"job": "N", "category": "A", "beginOffset": 1, "endOffset": 5}


def frame(*rows, **columns):
    return pd.DataFrame([{"externalId": "e", **row} for row in rows]).assign(**columns)


def cases(*rows, **options):
    with pytest.raises(KiliValidationError) as caught:
        to_json_response(frame(*rows), **options)
    assert caught.value.failure_cases.columns.tolist() == ["index", "row", "column", "check", "failure_case"]
    return [(case.row, case.column) for case in caught.value.failure_cases.itertuples()]


def without(row, *names):
    return {key: value for key, value in row.items() if key not in names}


def test_what_stands_beside_the_columns_is_written_with_them():
    """A class as a bare text, a number that no column takes, and a job that holds no object."""
    bare = {"job": "J", "kind": "category", "extra": '"A"'}
    large = {**BOX, "job": "K", "extra": '{"n": 1180591620717411303424}'}
    odd = {"job": "L", "kind": "job", "extra": "5"}
    answer = json.loads(to_json_response(frame(bare, large, odd)).iloc[0])
    assert answer["J"] == {"categories": ["A"]}
    assert answer["K"]["annotations"][0]["n"] == 2**70
    assert answer["L"] == 5


class TestRefused:
    @pytest.mark.parametrize(
        ("row", "column"),
        [
            (without(BOX, "xmax"), "xmax"),
            ({**BOX, "ymin": np.nan}, "ymin"),
            ({**BOX, "xmax": 1.2}, "xmax"),
            ({**BOX, "xmin": -0.1}, "xmin"),
            ({**BOX, "xmin": 0.5}, "xmax"),
            ({**BOX, "ymax": 0.1}, "ymax"),
            ({**BOX, "xmin": "left"}, "xmin"),
            ({**BOX, "xmin": float("inf")}, "xmin"),
            ({**BOX, "tool": "rectangel"}, "tool"),
            ({**BOX, "kind": "annotations"}, "kind"),
            (without(BOX, "xmin", "ymin", "xmax", "ymax"), "xmin"),
            ({**BOX, "extra": "{"}, "extra"),
            ({**BOX, "extra": "5"}, "extra"),
            ({"job": "J", "text": "a", "extra": "[1]"}, "extra"),
            ({"job": "J", "rank": 1, "extra": "null"}, "extra"),
            ({"kind": "label", "extra": "[1]"}, "extra"),
            ({"kind": "label", "extra": '{"emptyFrames": 5}'}, "extra"),
            ({"kind": "label", "extra": '{"emptyFrames": [[1]]}'}, "extra"),
            ({"job": "J", "tool": "polygon", "category": "A", "rings": [0.1, 0.1, 0.2, 0.1, 0.2, 0.2]}, "rings"),
            ({"job": "J", "tool": "polygon", "category": "A", "rings": [[{"x": 0.1}]]}, "rings"),
            ({"job": "J", "tool": "polygon", "category": "A", "rings": [[{"x": 0.1, "y": 1.5}]]}, "rings"),
            ({"job": "J", "tool": "polygon", "category": "A", "rings": [[{"x": 0.1, "y": np.nan}]]}, "rings"),
            ({"job": "J", "tool": "polygon", "category": "A"}, "rings"),
            ({"job": "J", "tool": "polygon", "category": "A", "rings": [SQUARE[0][:2]]}, "rings"),
            ({"job": "J", "tool": "rectangle", "category": "A", "rings": SQUARE}, "rings"),
            ({"job": "J", "tool": "marker", "category": "A", "x": 0.1}, "y"),
            ({"job": "J", "tool": "marker", "category": "A"}, "x"),
            ({"job": "J", "tool": "marker", "category": "A", "x": 350.0, "y": 0.1}, "x"),
            ({"job": "J", "tool": "polyline", "category": "A"}, "polyline"),
            ({"job": "J", "tool": "pose", "category": "A"}, "points"),
            ({"job": "J", "tool": "range", "category": "A", "rangeStart": 5.0, "rangeEnd": 1.0}, "rangeEnd"),
            ({**SPAN, "beginOffset": 1.5}, "beginOffset"),
            ({**SPAN, "beginOffset": 9}, "endOffset"),
            ({**SPAN, "beginOffset": -1}, "beginOffset"),
            ({**BOX, "page": 0}, "page"),
            ({**BOX, "frame": -1}, "frame"),
            ({**BOX, "frame": 0.5}, "frame"),
            ({"job": "J", "category": "A", "confidence": 900}, "confidence"),
            ({"job": "J", "category": "A", "confidence": "high"}, "confidence"),
            ({"job": "J"}, "category"),
            ({"category": "A"}, "job"),
            ({"job": "J", "category": "A", "extra": "{"}, "extra"),
            ({"job": "J", "category": "A", "parentRow": 7}, "parentRow"),
            ({"job": "J", "category": 5}, "category"),
        ],
    )
    def test_each_with_its_row_and_column(self, row, column):
        good = {"job": "OTHER", "category": "B"}
        assert (1, column) in cases(good, row)

    def test_all_at_once_with_the_label_of_each_row(self):
        rows = frame(BOX, {**BOX, "xmax": 2.0}, {**BOX, "tool": "box"}, {**BOX, "confidence": 101}).set_index(
            pd.Index(["a", "b", "c", "d"])
        )
        with pytest.raises(KiliValidationError, match="row 'b': xmax") as caught:
            to_json_response(rows)
        assert caught.value.failure_cases["index"].tolist() == ["d", "b", "c"]

    @pytest.mark.parametrize(("wrong", "right"), [("catgory", "category"), ("Category", "category"), ("x_min", "xmin")])
    def test_a_misspelled_column_is_named_with_the_nearest(self, wrong, right):
        rows = frame(BOX).rename(columns={right: wrong})
        with pytest.raises(KiliValidationError, match=f"{wrong}: expected {right!r}"):
            to_json_response(rows)

    def test_columns_of_other_names_are_left_alone(self):
        assert to_json_response(frame(BOX, site="Lyon", model="m")).tolist() == to_json_response(frame(BOX)).tolist()


class TestPixels:
    PIXELS = {"job": "J", "category": "A", "pixelXmin": 100, "pixelYmin": 100, "pixelXmax": 300, "pixelYmax": 200}  # noqa: RUF012 - no test changes it
    SIZE = {"resolution.width": 1000, "resolution.height": 500}  # noqa: RUF012 - no test changes it

    def test_boxes_in_pixels_become_shares(self):
        item = json.loads(to_json_response(frame({**self.PIXELS, **self.SIZE, "tool": "rectangle"}))["e"])
        vertices = item["J"]["annotations"][0]["boundingPoly"][0]["normalizedVertices"]
        assert vertices == [{"x": 0.1, "y": 0.4}, {"x": 0.1, "y": 0.2}, {"x": 0.3, "y": 0.2}, {"x": 0.3, "y": 0.4}]

    @pytest.mark.parametrize("size", [{}, {"resolution.width": 1000, "resolution.height": np.nan}])
    def test_without_the_size_of_the_picture_they_are_refused(self, size):
        assert (0, "resolution.height") in cases({**self.PIXELS, **size})

    def test_pixels_beyond_the_picture_are_refused(self):
        assert cases({**self.PIXELS, **self.SIZE, "pixelXmax": 1100}) == [(0, "xmax")]

    @pytest.mark.parametrize("turn", [90, 180, 270])
    def test_pixels_of_a_turned_picture_come_back(self, turn):
        pixels = {**self.PIXELS, **self.SIZE, "tool": "rectangle", "assetRotation": turn}
        answer = json.loads(to_json_response(frame(pixels))["e"]) | {"ROTATION_JOB": {"rotation": turn}}
        labels = pd.DataFrame(
            {"jsonResponse": [json.dumps(answer)], **{name: [size] for name, size in self.SIZE.items()}}
        )
        row = annotations_table(labels).iloc[0]
        edges = [name for name in pixels if name.startswith("pixel")]
        assert row[edges].tolist() == pytest.approx([pixels[name] for name in edges])


class TestTaken:
    def test_longitude_and_latitude_for_maps(self):
        row = {
            "job": "J",
            "tool": "polygon",
            "category": "A",
            "rings": [[{"x": 4.4, "y": 52.2}, {"x": 4.5, "y": 52.3}, {"x": 4.5, "y": 52.2}]],
        }
        assert cases(row) == [(0, "rings"), (0, "rings")]
        assert "52.2" in to_json_response(frame(row), coordinates="degrees")["e"]
        far = [[{"x": 4.4, "y": 99.0}] * 3]
        assert cases({**row, "rings": far}, coordinates="degrees") == [(0, "rings")]

    @pytest.mark.parametrize(
        "whole", [pd.Series([1.0]), pd.Series(["1"], dtype="string").astype("Int64"), pd.Series([np.int8(1)])]
    )
    def test_whole_numbers_of_any_dtype(self, whole):
        written = json.loads(to_json_response(frame(SPAN).assign(beginOffset=whole))["e"])
        assert written["N"]["annotations"][0]["beginOffset"] == 1

    def test_shapes_of_other_arrow_types(self):
        type_ = pa.large_list(pa.list_(pa.struct([("y", pa.float32()), ("x", pa.int64())])))
        rings = pd.Series(
            pa.array([[[{"x": 0, "y": 0.5}, {"x": 1, "y": 0.5}, {"x": 1, "y": 1.0}]]], type_),
            dtype=pd.ArrowDtype(type_),
        )
        row = {"job": "J", "tool": "polygon", "category": "A"}
        written = json.loads(to_json_response(frame(row).assign(rings=rings))["e"])
        assert written["J"]["annotations"][0]["boundingPoly"][0]["normalizedVertices"][1] == {"x": 1, "y": 0.5}

    def test_edited_boxes_are_checked_and_the_others_written_as_they_were(self):
        answer = {"J": {"annotations": [{"type": "rectangle", "boundingPoly": [{"normalizedVertices": [
            {"x": 1.5, "y": 0.1}, {"x": 1.7, "y": 0.1}, {"x": 1.7, "y": 0.2}, {"x": 1.5, "y": 0.2}]}]}]}}  # fmt: skip
        rows = annotations_table(pd.DataFrame({"id": ["l"], "jsonResponse": [json.dumps(answer)]}))
        assert json.loads(to_json_response(rows)["l"]) == answer
        with pytest.raises(KiliValidationError, match="xmax"):
            to_json_response(rows.assign(ymin=0.0))
        with pytest.raises(KiliValidationError, match="xmin"):
            to_json_response(rows.assign(xmin=np.nan))
        assert json.loads(to_json_response(rows.drop(columns="xmin"))["l"]) == answer
