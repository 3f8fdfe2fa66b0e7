"""From the rows of a frame to mutations, and back to the frame with an account of every row."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.connection import Client, client_or_default
from pandas_kili.errors import KiliDeclinedWarning, KiliMutationError, KiliValidationError
from pandas_kili.progress import progress_bar
from pandas_kili.writing.cells import Columns
from pandas_kili.writing.delivery import Account, Change, Target, Verdict, deliver, rows_of
from pandas_kili.writing.identity import Identity, read_identity, refuse_repeated

_SHOWN = 3
_REPORT = "_kili_report"
_DEEP = int(pd.__version__.partition(".")[0]) < 3  # noqa: PLR2004 - older pandas shares what a shallow copy holds


@dataclass(frozen=True, slots=True)
class Options:
    """What all mutations have in common."""

    project_id: str | None = None
    client: Client | None = None
    disable_tqdm: bool | None = None
    dry_run: bool = False
    errors: Literal["raise", "report"] = "raise"

    def __post_init__(self) -> None:
        if self.errors not in {"raise", "report"}:
            raise KiliValidationError(f"errors is 'raise' or 'report'; got {self.errors!r}.")


def report_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the account of the mutation that produced this very frame."""
    report = frame.__dict__.get(_REPORT)
    if report is None:
        raise AttributeError(
            "this frame has no report: it belongs to the very object that a mutation returned, not to what is derived"
            " from it"
        )
    if not report.index.equals(frame.index):
        raise AttributeError("this frame was changed in place since the mutation, so the report is not of its rows")
    return report  # type: ignore[no-any-return]


class Work:
    """One mutation of one frame."""

    def __init__(self, frame: pd.DataFrame, options: Options) -> None:
        self.frame, self.options = frame, options
        self.columns = Columns(frame)
        self.by_name = False
        self.home: str | None = None  # project that the rows belong to after all, where that is another
        self.adopted: Mapping[Hashable, str] = {}
        told = frame.attrs.get("kili")
        self.origin = told.get("project_id") if isinstance(told, Mapping) else None
        self.project_id: str | None = options.project_id or self.origin
        if self.project_id is not None and not isinstance(self.project_id, str):
            raise KiliValidationError(f"project_id is the identifier of a project, a string; got {self.project_id!r}.")

    @property
    def client(self) -> Client:
        """The connection to use."""
        return client_or_default(self.options.client)

    def need_project_id(self, reason: str) -> str:
        """Return the project, or say why it must be given."""
        if self.project_id is None:
            raise KiliValidationError(f"project_id= is needed {reason}; the frame does not know where it came from.")
        return self.project_id

    def identify(self, *, repeated: bool) -> Identity:
        """Read which asset each row means; `repeated` says whether two may mean the same."""
        identity = read_identity(self.columns)
        self.by_name = None in identity.ids
        if not repeated:
            refuse_repeated(self.columns, identity)
        return identity

    def unchanged(self) -> pd.DataFrame:
        """Return a frame without rows as it came, with a report without rows."""
        return self.finish(Account(0), Identity([], []), {})

    def deliver(
        self,
        change: Change,
        identity: Identity,
        targets: Sequence[Target],
        changed: Mapping[str, Sequence[Any]],
        *,
        account: Account | None = None,
        idle: Verdict | None = None,
        adopted: Mapping[Hashable, str] | None = None,
    ) -> pd.DataFrame:
        """Bring the change to its targets, and return the frame with what is known to have changed.

        `idle` is the verdict of targets with nothing to send, where that can be; `adopted` names columns that take the
        ``id`` or ``externalId`` of the identity, also of rows that failed, so that a second call knows them again.
        """
        account = account or Account(len(self.frame))
        if self.options.dry_run:
            return self.finish(account, identity, {})
        self.adopted = adopted or {}
        loaded = list(targets)
        if idle is not None:
            loaded = [target for target in targets if target.payload]
            account.note(rows_of(target for target in targets if not target.payload), idle)
        try:
            with progress_bar(change.name, total=len(loaded), unit="asset", disable=self.options.disable_tqdm) as bar:
                deliver(change, loaded, account, workers=self.client.max_workers, bar=bar)
        except BaseException as interruption:
            self._tell(interruption, account, identity, changed)
            raise
        return self._checked(self.finish(account, identity, changed), account, change.name)

    def finish(self, account: Account, identity: Identity, changed: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
        """Return a copy of the frame, its columns up to date, with the report."""
        out = self.frame.copy(deep=_DEEP)
        for name, values in changed.items():
            for position in np.flatnonzero(out.columns == name).tolist():
                column: Any = replaced(out.iloc[:, position], account.applied(), values)
                out.isetitem(position, column)
        if self.by_name and account.is_unfinished and not self.options.dry_run:
            self.adopted = {"id": "id"}  # what is left may have lost its name, or the asset, when it is given again
        for label, name in self.adopted.items():
            texts = identity.ids if name == "id" else identity.external_ids
            out[label] = pd.Series(pa.array(texts, pa.string()), out.index, dtype=pd.ArrowDtype(pa.string()))
        if self.home is not None:
            out.attrs = {**out.attrs, "kili": {"project_id": self.home, "api_endpoint": self.client.api_endpoint}}
        return self.with_report(out, account, identity)

    def with_report(self, out: pd.DataFrame, account: Account, identity: Identity) -> pd.DataFrame:
        """Tie the account to the frame."""
        report = account.report(out.index, identity.ids, identity.external_ids)
        object.__setattr__(out, _REPORT, report)  # pandas does not hand it on to derived frames, as a column would be
        return out

    def _checked(self, out: pd.DataFrame, account: Account, name: str) -> pd.DataFrame:
        counts = account.counts()
        if counts["declined"]:
            reasons = dict.fromkeys(account.messages[account.outcomes == "declined"].tolist())
            warnings.warn(
                f"{name}: {counts['declined']:,} of {len(out):,} rows declined: {'; '.join(list(reasons)[:_SHOWN])}.",
                KiliDeclinedWarning,
                stacklevel=5,
            )
        if self.options.errors == "raise" and counts["failed"] + counts["not_sent"]:
            raise KiliMutationError(_headline(name, account, out.index), report=report_of(out), frame=out)
        return out

    def _tell(
        self, interruption: BaseException, account: Account, identity: Identity, changed: Mapping[str, Sequence[Any]]
    ) -> None:
        """Let an interruption carry what became of each row."""
        out = self.finish(account, identity, changed)
        interruption.report, interruption.frame = report_of(out), out  # type: ignore[attr-defined]
        interruption.add_note(f"{account.summary()}; .report of this exception has every row, .frame the frame.")


def _headline(name: str, account: Account, index: pd.Index) -> str:
    """Say in one line what was done and what was not: each reason once, with its first rows."""
    reasons: dict[tuple[str, str], list[int]] = {}
    for row in np.flatnonzero((account.outcomes == "failed") | (account.outcomes == "not_sent")).tolist():
        reasons.setdefault((account.outcomes[row], account.messages[row]), []).append(row)
    shown = []
    for (outcome, message), rows in list(reasons.items())[:_SHOWN]:
        labels = ", ".join(repr(index[row]) for row in rows[:_SHOWN])
        more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        shown.append(f"row {labels}{more}: {outcome.replace('_', ' ')} ({message or 'no reason given'})")
    rest = f"; and {len(reasons) - _SHOWN:,} more reasons" if len(reasons) > _SHOWN else ""
    return " ".join(f"{name}: {account.summary()}. {'; '.join(shown)}{rest}".split())


def replaced(series: pd.Series, rows: np.ndarray, values: Sequence[Any]) -> pd.Series:
    """Return a column with the values of some rows put in, null ones left out; its dtype stays where it can."""
    rows = rows & np.fromiter((value is not None for value in values), dtype=bool, count=len(values))
    if not rows.any():
        return series
    fresh = [value for value, row in zip(values, rows, strict=True) if row]
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.cat.add_categories(
            [value for value in dict.fromkeys(fresh) if value not in series.cat.categories]
        )
    array = series.array.copy()
    try:
        _put(array, rows, fresh)
    except (TypeError, ValueError, OverflowError, pa.ArrowException):
        array = series.astype(object).array.copy()
        array[rows] = np.fromiter(fresh, dtype=object, count=len(fresh))
    return pd.Series(array, index=series.index, name=series.name)


def _put(array: Any, rows: np.ndarray, fresh: Sequence[Any]) -> None:
    """Put values in, or raise where the dtype would change them: pandas 2 lets numpy cut numbers to fit."""
    plain = isinstance(array, pd.arrays.NumpyExtensionArray)
    array[rows] = np.asarray(fresh) if plain and array.dtype != object else fresh  # numpy 1 warns of numbers in lists
    if plain and array[rows].tolist() != list(fresh):
        raise ValueError
