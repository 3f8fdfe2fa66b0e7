"""Labels and their answers as tidy tables, and back."""

from pandas_kili.tidy.annotations import annotations_table
from pandas_kili.tidy.answers.compose import to_json_response
from pandas_kili.tidy.answers.schema import ANNOTATION_SCHEMA
from pandas_kili.tidy.labels import labels_table

__all__ = ["ANNOTATION_SCHEMA", "annotations_table", "labels_table", "to_json_response"]
