"""Kili projects as pandas frames.

Importing the package gives pandas the function ``pd.read_kili``, and frames the accessor ``.kili``. Nothing networked
happens, nothing else is patched.
"""

import importlib
import typing

import pandas as pd

from pandas_kili import errors
from pandas_kili.catalog import DEFAULT_FIELDS, fields, filters
from pandas_kili.connection import Client
from pandas_kili.errors import *  # noqa: F403 - the tree of errors is public as a whole
from pandas_kili.frames import KiliFrame
from pandas_kili.query import AssetFilters
from pandas_kili.reading import asset_schema, count_assets, read_kili, read_members, scan_batches

if typing.TYPE_CHECKING:
    from pandas_kili.accessor import KiliAccessor
    from pandas_kili.copy import SyncReport, read_copy, read_events, sync  # type: ignore[no-redef]  # mypy takes the room's module for it
    from pandas_kili.formats import ExportOptions, read_coco, read_voc, read_yolo
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
    "read_coco",
    "read_copy",
    "read_events",
    "read_jobs",
    "read_kili",
    "read_members",
    "read_plan",
    "read_voc",
    "read_yolo",
    "scan_batches",
    "sync",
    "to_code_points",
    "to_json_response",
    "to_utf16_units",
    *errors.__all__,
]


# What is imported when it is first used, as `df.kili` is: it takes longer than all the rest.
_LATE = {
    "accessor": "KiliAccessor",
    "copy": "SyncReport read_copy read_events sync",
    "formats": "ExportOptions read_coco read_voc read_yolo",
    "tidy": "ANNOTATION_SCHEMA read_jobs to_code_points to_json_response to_utf16_units",
    "writing": "MutationOptions NewAssetColumns Plan PropertyColumns REMOVE create_project delete_project read_plan",
}


def __getattr__(name: str) -> typing.Any:
    for room, names in _LATE.items():
        if name in names.split():
            globals()[name] = value = getattr(importlib.import_module(f"pandas_kili.{room}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@pd.api.extensions.register_dataframe_accessor("kili")  # type: ignore[type-var]  # pandas takes a function as well
def kili(frame: pd.DataFrame) -> "KiliAccessor":
    """Return ``frame.kili``, spelled so that type checkers know what it is; `KiliAccessor` has its methods.

    Parameters
    ----------
    frame : pandas.DataFrame

    Returns
    -------
    KiliAccessor

    Examples
    --------
    >>> import pandas_kili as pk
    >>> df = pk.read_kili(project_id, fields=["id"], first=1)
    >>> pk.kili(df).delete_many_from_dataset(dry_run=True).kili.report["outcome"].tolist()
    ['not_sent']
    """
    from pandas_kili.accessor import KiliAccessor  # noqa: PLC0415 - late, as the names of `_LATE` are

    return KiliAccessor(frame)


if not hasattr(pd, "read_kili"):
    pd.read_kili = read_kili  # type: ignore[attr-defined]  # pandas has no place for readers of others
