"""The project in motion: its events, and a local copy that stays true."""

from pandas_kili.copy.events import read_events
from pandas_kili.copy.sync import SyncReport, sync
from pandas_kili.copy.table import read_copy

__all__ = ["SyncReport", "read_copy", "read_events", "sync"]
