"""What became of each row of a write, and the report of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

Outcome = Literal["applied", "unchanged", "declined", "failed", "not_sent"]
OUTCOMES: tuple[Outcome, ...] = ("applied", "unchanged", "declined", "failed", "not_sent")


class Result(NamedTuple):
    """What became of one row: the outcome, and why."""

    outcome: Outcome
    message: str = ""


class Account:
    """The results of all rows, by position; a row that nothing is known of was not sent."""

    def __init__(self, rows: int) -> None:
        self.outcomes: np.ndarray = np.full(rows, "not_sent", dtype=object)
        self.messages: np.ndarray = np.full(rows, "", dtype=object)

    def note(self, rows: Sequence[int], result: Result) -> None:
        """Give rows their result."""
        self.outcomes[rows] = result.outcome
        self.messages[rows] = result.message

    def having(self, *outcomes: Outcome) -> np.ndarray:
        """Return which rows have one of these outcomes."""
        return np.isin(self.outcomes.astype(str), outcomes)

    def rehearsed(self) -> Account:
        """Return the account of a dry run: no row was sent, and each message says what would become of the row."""
        account = Account(len(self.outcomes))
        for row, (outcome, message) in enumerate(zip(self.outcomes.tolist(), self.messages.tolist(), strict=True)):
            fate = "would be sent" if outcome == "not_sent" else f"would be {outcome}"
            account.messages[row] = f"{fate}: {message}" if message else fate
        return account

    def counts(self) -> dict[Outcome, int]:
        """Return how many rows came to each outcome."""
        found = Counter(self.outcomes.tolist())
        return {outcome: found[outcome] for outcome in OUTCOMES}

    def summary(self) -> str:
        """Return the counts in words; how many are unchanged only where some are."""
        counts = {name: count for name, count in self.counts().items() if count or name != "unchanged"}
        return ", ".join(f"{count:,} {outcome.replace('_', ' ')}" for outcome, count in counts.items())

    def report(self, index: pd.Index, ids: Sequence[str | None], external_ids: Sequence[str | None]) -> pd.DataFrame:
        """Return the account as a frame on an index."""
        columns = {"id": ids, "externalId": external_ids, "outcome": self.outcomes, "message": self.messages}
        table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
        report: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
        return report.set_axis(index, axis=0)
