"""From the rows of a frame to mutations, and back to the frame with a report of every row."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.arrow import plain_cells
from pandas_kili.connection import Client, client_or_default
from pandas_kili.errors import KiliDeclinedWarning, KiliError, KiliMutationError, KiliValidationError
from pandas_kili.frames import KiliFrame, typed
from pandas_kili.messages import kind_of, label_at, listed, shown, warn
from pandas_kili.progress import progress_bar
from pandas_kili.writing.account import Account, Result
from pandas_kili.writing.cells import Columns
from pandas_kili.writing.delivery import Change, Target, deliver, rows_of
from pandas_kili.writing.identity import Identity, read_identity, refuse_repeated, resolve
from pandas_kili.writing.interruption import Interruptions

_SHOWN = 3
_REPORT = "_kili_report"
_DEEP = int(pd.__version__.partition(".")[0]) < 3  # noqa: PLR2004 - older pandas shares what a shallow copy holds
_GONE = Result("unchanged", "there is no such asset any more")


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
            raise KiliValidationError(f"errors is 'raise' or 'report'; got {shown(self.errors)}.")
        if self.project_id is not None and not isinstance(self.project_id, str):
            is_short = pd.api.types.is_scalar(self.project_id)
            told = shown(self.project_id) if is_short else kind_of(self.project_id)
            raise KiliValidationError(f"project_id is the identifier of a project, a string; got {told}.")


@dataclass(frozen=True, slots=True)
class Effect:
    """What a write changes in the frame.

    Attributes
    ----------
    changed : mapping of str to sequence
        By the name of a column: the new values of all rows, put into the rows that were applied.
    identified : mapping of label to {"id", "externalId"}
        Columns that take what identifies each row, whatever became of it, so that a second call knows it again.
    project_id : str, optional
        The project that the rows belong to from now on.
    """

    changed: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    identified: Mapping[Hashable, Literal["id", "externalId"]] = field(default_factory=dict)
    project_id: str | None = None


def report_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the report of the mutation that produced this very frame."""
    tied: tuple[pd.DataFrame, pd.DataFrame] | None = frame.__dict__.get(_REPORT)
    if tied is None:
        raise AttributeError(
            "this frame has no report: it belongs to the very object that a mutation returned, not to what is derived"
            " from it"
        )
    report, keys = tied
    if not _keys_of(frame).equals(keys):
        raise AttributeError("this frame was changed in place since the mutation, so the report is not of its rows")
    return report


def _keys_of(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that identify rows, on their index: a sort in place moves them."""
    return frame.loc[:, [isinstance(label, str) and label in {"id", "externalId"} for label in frame.columns]].copy()


class Work:
    """One mutation of one frame: a context that gives every error a true report, except errors of wrong input.

    Parameters
    ----------
    frame : pandas.DataFrame
    options : Options
    name : str
        The verb, in messages.
    from_elsewhere : bool
        Whether the frame may come from another server, as that of new assets may.
    """

    def __init__(self, frame: pd.DataFrame, options: Options, name: str, *, from_elsewhere: bool = False) -> None:
        self.frame, self.options, self.name = frame, options, name
        self.columns = Columns(frame)
        self.identity = Identity.of_none(len(frame))
        self.account = Account(len(frame))
        self._effect = Effect()
        told = frame.attrs.get("kili")
        self.origin: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
        origin_id = self.origin.get("project_id")
        self.project_id = options.project_id or (origin_id if isinstance(origin_id, str) else None)
        self._from_elsewhere = from_elsewhere
        self._interruptions = Interruptions()

    @cached_property
    def client(self) -> Client:
        """The connection to use; not that of another server than the rows are from."""
        client = client_or_default(self.options.client)
        endpoint = self.origin.get("api_endpoint")
        if endpoint not in {None, client.api_endpoint} and not self._from_elsewhere:
            raise KiliValidationError(
                f"The frame was read from {endpoint}, but the client is one of {client.api_endpoint}: nothing was sent."
                " Give client= of the server that the rows are from, or remove frame.attrs['kili'] if they are not."
            )
        return client

    def need_project_id(self, reason: str) -> str:
        """Return the project, or say why it must be given."""
        if self.project_id is None:
            raise KiliValidationError(f"project_id= is needed {reason}; the frame does not know where it came from.")
        return self.project_id

    def targets(self, *, repeated: bool, may_be_gone: bool = False) -> list[Target]:
        """Settle which asset each row means, with all that was noted of the columns, and return the assets.

        Parameters
        ----------
        repeated : bool
            Whether two rows may mean the same asset.
        may_be_gone : bool
            Whether assets that do not exist any more are left `unchanged`; else they are an error.
        """
        self.identity = read_identity(self.columns)
        if not repeated:
            refuse_repeated(self.columns, self.identity)
        self.columns.check()
        gone = resolve(
            self.columns, self.identity, self.client, self.project_id, may_be_gone=may_be_gone, repeated=repeated
        )
        self.account.note(gone, _GONE)
        lost = set(gone)
        return [target for target in self.identity.targets() if target.rows[0] not in lost]

    def deliver(self, change: Change, targets: Sequence[Target], effect: Effect) -> KiliFrame:
        """Bring the change to its targets, and return the frame with what is known to have changed."""
        if self.options.dry_run:
            return self.rehearsed()
        self._effect = effect
        self.carry(change, targets, self.account)
        return self.checked(self.rendered())

    def rehearsed(self) -> KiliFrame:
        """Return the frame of a dry run: nothing was sent."""
        self.account = self.account.rehearsed()
        return self.rendered()

    def carry(self, change: Change, targets: Sequence[Target], account: Account) -> None:
        """Bring one change to its targets; a write may be made of several."""
        disable = self.options.disable_tqdm
        with progress_bar(change.name, total=len(targets), unit="asset", disable=disable) as bar:
            deliver(
                change, targets, account, workers=self.client.max_workers, bar=bar, interruptions=self._interruptions
            )

    def leave(self, targets: Sequence[Target], result: Result) -> list[Target]:
        """Give targets without anything to send their result, and return the others."""
        self.account.note(rows_of(target for target in targets if not target.payload), result)
        return [target for target in targets if target.payload]

    def rendered(self, effect: Effect | None = None) -> KiliFrame:
        """Return a copy of the frame, its columns up to date, with the report as of now."""
        effect = effect or self._effect
        out = self.frame.copy(deep=_DEEP)
        for name, values in effect.changed.items():
            for position in np.flatnonzero(out.columns == name).tolist():
                column: Any = replaced(out.iloc[:, position], self.account.having("applied"), values)
                out.isetitem(position, column)
        for label, name in self._identified(effect).items():
            texts = self.identity.ids if name == "id" else self.identity.external_ids
            out[label] = pd.Series(pa.array(texts, pa.string()), out.index, dtype=pd.ArrowDtype(pa.string()))
        if effect.project_id is not None:
            home = {"project_id": effect.project_id, "api_endpoint": self.client.api_endpoint}
            out.attrs = {**out.attrs, "kili": home}
        report = self.account.report(out.index, self.identity.ids, self.identity.external_ids)
        object.__setattr__(out, _REPORT, (report, _keys_of(out)))  # pandas does not hand it on to derived frames
        return typed(out)

    def _identified(self, effect: Effect) -> Mapping[Hashable, Literal["id", "externalId"]]:
        """Return the columns that take what identifies each row.

        Where a write by external ids is unfinished, that is the id: what is left may have lost its name, or the asset.
        """
        is_unfinished = bool(self.account.having("failed", "not_sent").any()) and not self.options.dry_run
        return {"id": "id"} if self.identity.is_by_name and is_unfinished else effect.identified

    def checked(self, out: KiliFrame) -> KiliFrame:
        """Return the frame, or raise or warn where rows did not come through."""
        counts, report = self.account.counts(), report_of(out)
        if counts["declined"]:
            reasons = dict.fromkeys(self.account.messages[self.account.having("declined")].tolist())
            text = (
                f"{self.name}: {counts['declined']:,} of {len(out):,} rows declined: {listed(list(reasons), _SHOWN)}."
            )
            warn(KiliDeclinedWarning(text, report=report, frame=out))
        if self.options.errors == "raise" and counts["failed"] + counts["not_sent"]:
            raise KiliMutationError(_headline(self.name, self.account, out.index), report=report, frame=out)
        return out

    def __enter__(self) -> Self:
        self._interruptions.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let what ends the work carry what became of each row."""
        try:
            is_late = error is None and self._interruptions.count
            problem = KeyboardInterrupt() if is_late else error
            if problem is not None and not isinstance(problem, (KiliValidationError, KiliMutationError)):
                self._tell(problem)
        finally:
            self._interruptions.__exit__(kind, error, traceback)
        if is_late and problem is not None:
            raise problem

    def _tell(self, problem: BaseException) -> None:
        out = self.rendered()
        problem.report, problem.frame = report_of(out), out  # type: ignore[attr-defined]  # any exception carries them
        if not isinstance(problem, (KiliError, Warning)):
            problem.add_note(f"{self.account.summary()}; .report of this exception has every row, .frame the frame.")


def _headline(name: str, account: Account, index: pd.Index) -> str:
    """Say in one line what was done and what was not: each reason once, with its first rows."""
    reasons: dict[tuple[str, str], list[int]] = {}
    for row in np.flatnonzero(account.having("failed", "not_sent")).tolist():
        reasons.setdefault((account.outcomes[row], account.messages[row]), []).append(row)
    told = []
    for (outcome, message), rows in reasons.items():
        labels = ", ".join(repr(label_at(index, row)) for row in rows[:_SHOWN])
        more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        told.append(f"row {labels}{more}: {outcome.replace('_', ' ')} ({message or 'no reason given'})")
    return " ".join(f"{name}: {account.summary()}. {listed(told, _SHOWN)}".split())


def replaced(series: pd.Series, rows: np.ndarray, values: Sequence[Any]) -> pd.Series:
    """Return a column with the values of some rows put in, null ones left out; its dtype stays where it can."""
    rows = rows & np.fromiter((value is not None for value in values), dtype=bool, count=len(values))
    if not rows.any():
        return series
    fresh = [value for value, row in zip(values, rows, strict=True) if row]
    if isinstance(series.dtype, pd.ArrowDtype) and pa.types.is_nested(series.dtype.pyarrow_dtype):
        cells = [value if row else cell for value, row, cell in zip(values, rows, plain_cells(series), strict=True)]
        nested = pa.array(cells, series.dtype.pyarrow_dtype)
        return pd.Series(pd.arrays.ArrowExtensionArray(nested), index=series.index, name=series.name)
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
