"""Labels and their answers as tidy tables, and back."""

from pandas_kili.annotations.labels import labels_table
from pandas_kili.annotations.response import to_json_response
from pandas_kili.annotations.schema import ANNOTATION_SCHEMA
from pandas_kili.annotations.table import annotations_table

__all__ = ["ANNOTATION_SCHEMA", "annotations_table", "labels_table", "to_json_response"]
