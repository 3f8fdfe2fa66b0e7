"""Frames are held to their schema: all failures at once, in one shape."""

import pickle
import re

import pandas as pd
import pyarrow as pa
import pytest

import pandas_kili as pk
from pandas_kili.catalog import ENTITIES, leaves
from pandas_kili.errors import KiliValidationError
from pandas_kili.query.fields import select
from pandas_kili.reading.frame import to_pandas
from pandas_kili.reading.validation import asset_schema, validate_frame

WRONG = pd.DataFrame(
    {
        "id": ["a1", "a1", None],
        "consensusMark": [0.5, 1.5, -0.1],
        "status": ["TODO", "DONE", None],
        "priority": [1, 2, None],
    }
)
TYPES = {"id": pa.string(), "consensusMark": pa.float64(), "status": pa.string(), "priority": pa.int64()}
WRONG = WRONG.astype({name: pd.ArrowDtype(type_) for name, type_ in TYPES.items()})


def test_validation_finds_all_failures_at_once():
    with pytest.raises(KiliValidationError) as caught:
        validate_frame(WRONG, asset_schema(list(TYPES)), True)
    cases = caught.value.failure_cases
    assert list(cases.columns) == ["index", "row", "column", "check", "failure_case"]
    assert cases[cases["column"] == "consensusMark"]["row"].tolist() == [1, 2]
    found = {(column, str(case)) for column, case in zip(cases["column"], cases["failure_case"], strict=True)}
    assert {("consensusMark", "1.5"), ("consensusMark", "-0.1"), ("status", "DONE"), ("id", "a1")} <= found
    assert any(column == "id" and case in {"<NA>", "None", "nan"} for column, case in found), "an id is never null"
    assert not any(column == "priority" for column, _ in found)
    assert "validate='warn'" in str(caught.value)
    assert re.match(rf"{len(cases)} values do not fit", str(caught.value))
    assert caught.value.__context__ is None, "what went before holds the whole frame, and cannot be pickled"
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.failure_cases.equals(cases)


def test_validation_finds_other_types_and_missing_columns():
    wrong = WRONG.iloc[:1].astype({"priority": "float64"}).drop(columns="status")
    with pytest.raises(KiliValidationError) as caught:
        validate_frame(wrong, asset_schema(list(TYPES)), True)
    assert len(caught.value.failure_cases) == 2
    assert "status" in str(caught.value)
    assert "int64" in str(caught.value)


def test_validation_can_warn_or_be_left_out():
    schema = asset_schema(list(TYPES))
    with pytest.warns(UserWarning, match="do not fit the schema"):
        validate_frame(WRONG, schema, "warn")
    validate_frame(WRONG, schema, False)
    validate_frame(WRONG.iloc[:1], schema, True)


def test_a_message_shows_a_few_of_many_failures():
    many = pd.DataFrame({"consensusMark": pd.Series([2.0] * 20_000, dtype=pd.ArrowDtype(pa.float64()))})
    with pytest.raises(KiliValidationError) as caught:
        validate_frame(many, asset_schema(["consensusMark"]), True)
    assert str(caught.value).startswith("20,000 values")
    assert "19,995 more" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert len(caught.value.failure_cases) == 10_000


def test_the_schema_of_assets_checks_marks_choices_and_ids_wherever_they_stand():
    schema = asset_schema(["id", "latestLabel.honeypotMark", "currentStep.status", "labels.id", "latestLabel.id"])
    assert list(schema.columns) == [
        "id",
        "latestLabel.honeypotMark",
        "currentStep.status",
        "labels",
        "latestLabel.id",
    ]
    assert schema.columns["id"].unique
    assert not schema.columns["id"].nullable
    assert not schema.columns["latestLabel.id"].unique
    assert len(schema.columns["latestLabel.honeypotMark"].checks) == 1
    assert len(schema.columns["currentStep.status"].checks) == 1
    assert not schema.columns["labels"].checks


def test_every_path_of_the_catalog_has_a_schema_that_its_own_empty_frame_fits():
    paths = [path for path, _ in leaves(ENTITIES["Asset"], 2)]
    empty = to_pandas(select(paths).schema.empty_table(), {})
    validate_frame(empty, asset_schema(paths), True)


def test_the_schema_of_assets_takes_fields_that_the_catalog_lacks():
    schema = pk.asset_schema({"id": None, "newField": pa.int64()})
    validate_frame(
        pd.DataFrame({"id": ["a"], "newField": [1]}).astype(
            {"id": pd.ArrowDtype(pa.string()), "newField": pd.ArrowDtype(pa.int64())}
        ),
        schema,
        True,
    )
    with pytest.raises(pk.KiliFieldError, match="no field 'newField'"):
        pk.asset_schema(["newField"])
