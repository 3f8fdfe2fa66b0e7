"""From pages to one exact frame."""

from pandas_kili.reading.frame import to_pandas
from pandas_kili.reading.members import read_members
from pandas_kili.reading.parts import Part, parts
from pandas_kili.reading.read import check_read, count_assets, read_kili, scan_batches
from pandas_kili.reading.reader import Read
from pandas_kili.reading.validation import asset_schema

__all__ = [
    "Part",
    "Read",
    "asset_schema",
    "check_read",
    "count_assets",
    "parts",
    "read_kili",
    "read_members",
    "scan_batches",
    "to_pandas",
]
