"""From rows to mutations, and a report of every row."""

from typing import TYPE_CHECKING, Any

from pandas_kili.writing.append_labels import AnswerCheck, LabelKind, append_labels
from pandas_kili.writing.cells import REMOVE, require_column
from pandas_kili.writing.keywords import (
    MutationOptions,
    NewAssetColumns,
    PropertyColumns,
    columns_and_options,
    options_of,
)
from pandas_kili.writing.merge_metadata import merge_metadata
from pandas_kili.writing.move import move
from pandas_kili.writing.mutations import AWAY, TO_QUEUE, TO_REVIEW
from pandas_kili.writing.plan import Plan, make_plan, read_plan
from pandas_kili.writing.projects import create_project, delete_project
from pandas_kili.writing.rename import change_external_ids
from pandas_kili.writing.update import update_properties
from pandas_kili.writing.work import Options, Work, report_of

if TYPE_CHECKING:
    from pandas_kili.writing.append_assets import append_rows

__all__ = [
    "AWAY",
    "REMOVE",
    "TO_QUEUE",
    "TO_REVIEW",
    "AnswerCheck",
    "LabelKind",
    "MutationOptions",
    "NewAssetColumns",
    "Options",
    "Plan",
    "PropertyColumns",
    "Work",
    "append_labels",
    "append_rows",
    "change_external_ids",
    "columns_and_options",
    "create_project",
    "delete_project",
    "make_plan",
    "merge_metadata",
    "move",
    "options_of",
    "read_plan",
    "report_of",
    "require_column",
    "update_properties",
]


def __getattr__(name: str) -> Any:
    """Load `append_rows` at its first use: it brings media/, a tenth of the package's import time."""
    if name != "append_rows":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pandas_kili.writing.append_assets import append_rows  # noqa: PLC0415 - the reason is above

    return append_rows
