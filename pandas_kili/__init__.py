"""Kili projects as pandas frames.

Importing the package gives pandas the function ``pd.read_kili``, and frames the accessor ``.kili``. Nothing networked
happens, nothing else is patched.
"""

import typing

import pandas as pd

from pandas_kili import errors
from pandas_kili.accessor import KiliAccessor, kili
from pandas_kili.catalog import DEFAULT_FIELDS, fields, filters
from pandas_kili.connection import Client
from pandas_kili.copy import SyncReport, read_copy, read_events, sync
from pandas_kili.errors import *  # noqa: F403 - the tree of errors is public as a whole
from pandas_kili.frames import KiliFrame
from pandas_kili.query import AssetFilters
from pandas_kili.reading import asset_schema, count_assets, read_kili, read_members, scan_batches
from pandas_kili.tidy import ANNOTATION_SCHEMA, read_jobs, to_code_points, to_json_response, to_utf16_units
from pandas_kili.writing import (
    REMOVE,
    MutationOptions,
    NewAssetColumns,
    Plan,
    PropertyColumns,
    create_project,
    delete_project,
    read_plan,
)

if typing.TYPE_CHECKING:
    from pandas_kili.formats import ExportOptions, read_coco, read_voc, read_yolo

__version__ = "0.1.0"

__all__ = [
    "ANNOTATION_SCHEMA",
    "DEFAULT_FIELDS",
    "REMOVE",
    "AssetFilters",
    "Client",
    "ExportOptions",
    "KiliAccessor",
    "KiliFrame",
    "MutationOptions",
    "NewAssetColumns",
    "Plan",
    "PropertyColumns",
    "SyncReport",
    "asset_schema",
    "count_assets",
    "create_project",
    "delete_project",
    "fields",
    "filters",
    "kili",
    "read_jobs",
    "read_coco",
    "read_copy",
    "read_events",
    "read_kili",
    "read_members",
    "read_plan",
    "read_voc",
    "read_yolo",
    "scan_batches",
    "to_code_points",
    "sync",
    "to_json_response",
    "to_utf16_units",
    *errors.__all__,
]


def __getattr__(name: str) -> typing.Any:
    if name in {"ExportOptions", "read_coco", "read_voc", "read_yolo"}:
        # What handles files costs a tenth of the import, so it is imported when it is used.
        from pandas_kili.formats import ExportOptions, read_coco, read_voc, read_yolo  # noqa: PLC0415

        globals().update(ExportOptions=ExportOptions, read_coco=read_coco, read_voc=read_voc, read_yolo=read_yolo)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if not hasattr(pd, "read_kili"):
    pd.read_kili = read_kili  # type: ignore[attr-defined]
