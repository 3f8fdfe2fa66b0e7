"""Assets sent to review, back to the queue, or away."""

from __future__ import annotations

import pandas as pd

from pandas_kili.writing.identity import resolve
from pandas_kili.writing.mutations import TO_QUEUE, TO_REVIEW, Destination, Move
from pandas_kili.writing.work import Options, Work

_STATUS_AFTER = {TO_REVIEW.name: "TO_REVIEW", TO_QUEUE.name: "ONGOING"}


def move(frame: pd.DataFrame, destination: Destination, options: Options) -> pd.DataFrame:
    """Send assets to review, back to the queue, or away."""
    work = Work(frame, options)
    if not len(frame):
        return work.unchanged()
    identity = work.identify(repeated=True)
    work.columns.check()
    status = _STATUS_AFTER.get(destination.name)
    # What is to be deleted and is not there is deleted.
    resolve(work.columns, identity, work.client, work.project_id, must_exist=status is not None, repeated=True)
    changed = {"status": [status] * len(frame)} if status else {}
    return work.deliver(Move(work.client, destination), identity, identity.targets(), changed)
