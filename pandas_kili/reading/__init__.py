"""From pages to one exact frame."""

from pandas_kili.reading.frame import asset_schema
from pandas_kili.reading.read import count_assets, read_kili, scan_batches

__all__ = [
    "asset_schema",
    "count_assets",
    "read_kili",
    "scan_batches",
]
