"""Assets sent to review, back to the queue, or away."""

from __future__ import annotations

import pandas as pd

from pandas_kili.frames import KiliFrame
from pandas_kili.writing.mutations import AWAY, Destination, Move
from pandas_kili.writing.work import Effect, Options, Work


def move(frame: pd.DataFrame, destination: Destination, options: Options) -> KiliFrame:
    """Send assets to review, back to the queue, or away."""
    with Work(frame, options, destination.name) as work:
        if not len(frame):
            return work.rendered()
        targets = work.targets(repeated=True, may_be_gone=destination is AWAY)
        change = Move(work.client, destination)
        change.look_before(targets)
        changed = {} if destination.status is None else {"status": [destination.status] * len(frame)}
        return work.deliver(change, targets, Effect(changed))
