"""From the rows of a frame to mutations, and back to the frame with an account of every row."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.catalog import PROPERTIES
from pandas_kili.connection import Client, default_client
from pandas_kili.errors import KiliDeclinedWarning, KiliMutationError, KiliValidationError
from pandas_kili.progress import progress_bar
from pandas_kili.query import shown
from pandas_kili.writing.cells import Columns, require_column
from pandas_kili.writing.delivery import Account, Change, Target, Verdict, deliver, rows_of
from pandas_kili.writing.identity import (
    Identity,
    find_external_ids,
    read_identity,
    refuse_repeated,
    resolve,
)
from pandas_kili.writing.mutations import APPLIED, TO_QUEUE, TO_REVIEW, Destination, Move, Update

_SHOWN = 3
_REPORT = "_kili_report"
_DEEP = int(pd.__version__.partition(".")[0]) < 3  # noqa: PLR2004 - older pandas shares what a shallow copy holds
_STATUS_AFTER = {TO_REVIEW.name: "TO_REVIEW", TO_QUEUE.name: "ONGOING"}


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


def update_properties(
    frame: pd.DataFrame, columns: Sequence[Hashable], named: Mapping[str, Hashable | None], options: Options
) -> pd.DataFrame:
    """Set properties of assets to the cells of columns."""
    asked = _asked_properties(columns, named)
    work = Work(frame, options)
    for label in asked.values():
        require_column(frame, label)
    if not len(frame):
        return work.unchanged()
    values = {name: work.columns.read(name, label) for name, label in asked.items()}
    identity = work.identify(repeated=False)
    work.columns.check()
    resolve(work.columns, identity, work.client, work.project_id)
    change = Update(work.client)
    ignored = "status" in values and "appendManyToDataset" not in work.client.names("Mutation")
    if ignored:
        warnings.warn(
            "This server computes the status of assets itself: the column for 'status' is not sent.",
            UserWarning,
            stacklevel=3,
        )
        values.pop("status")
    targets = identity.targets()
    for target in targets:
        _load(target, values)
    idle = Verdict("declined", "this server computes the status itself") if ignored and not values else APPLIED
    changed = {name: cells for name, cells in values.items() if name != "toBeLabeledBy" and asked[name] != name}
    return work.deliver(change, identity, targets, changed, idle=idle)


def change_external_ids(frame: pd.DataFrame, label: Hashable, options: Options) -> pd.DataFrame:
    """Give assets new external ids."""
    work = Work(frame, options)
    require_column(frame, label)
    if not len(frame):
        return work.unchanged()
    identity = work.identify(repeated=False)
    fresh = _new_names(work.columns, label)
    work.columns.check()
    project_id = work.need_project_id("to see that the new external ids are free")
    resolve(work.columns, identity, work.client, project_id)
    holders = _refuse_taken(work.columns, identity, fresh, label, work.client, project_id)
    targets = identity.targets()
    for target in targets:
        _load(target, {"externalId": fresh})
    ordered = _freed_first(targets, holders)
    change = Update(work.client, "change_asset_external_ids", in_order=ordered != targets)
    return work.deliver(change, identity, ordered, {} if label == "externalId" else {"externalId": fresh})


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
        return self.options.client or default_client()

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


def _asked_properties(columns: Sequence[Hashable], named: Mapping[str, Hashable | None]) -> dict[str, Hashable]:
    """Return the column of each property, by its name on the wire."""
    asked: dict[str, Hashable] = {}
    names = list(PROPERTIES.values())
    for label in columns:
        if not (isinstance(label, str) and label in names):
            hint = " (use change_asset_external_ids)" if isinstance(label, str) and label == "externalId" else ""
            raise KiliValidationError(
                f"{shown(label)} is not a property that can be updated{hint}; there are {', '.join(names)}."
                " A column of another name goes to a keyword, such as priority='my_column'."
            )
        asked[str(label)] = label
    for keyword, column in named.items():
        if column is not None:
            if PROPERTIES[keyword] in asked:
                raise KiliValidationError(f"{keyword}= and the column {PROPERTIES[keyword]!r} say the same; give one.")
            asked[PROPERTIES[keyword]] = column
    if not asked:
        raise KiliValidationError("Name at least one property to update, such as 'priority' or json_metadata='meta'.")
    return asked


def _load(target: Target, values: Mapping[str, Sequence[Any]]) -> None:
    """Give a target what its row says; a null cell leaves the property as it is."""
    row = target.rows[0]
    target.payload = {name: cells[row] for name, cells in values.items() if cells[row] is not None}
    if target.payload.get("toBeLabeledBy") == []:
        target.payload["shouldResetToBeLabeledBy"] = True
    target.weight = sum(len(value) if isinstance(value, str) else 20 for value in target.payload.values())


def _new_names(columns: Columns, label: Hashable) -> list[str | None]:
    """Read the column of new external ids; none may be missing or stand twice."""
    fresh: list[str | None] = columns.read("newExternalId", label)
    missing = [row for row, name in enumerate(fresh) if name is None and columns.fits("newExternalId", row)]
    columns.problem(missing, label, [None] * len(missing), "expected a new external id")
    columns.problem(*repeated_values(fresh, label), "stands twice among the new external ids")
    return fresh


def repeated_values(values: Sequence[str | None], label: Hashable) -> tuple[list[int], Hashable, list[str | None]]:
    """Return the rows whose value an earlier row has, with the label and the values: what `Columns.problem` takes."""
    seen: set[str] = set()
    rows = []
    for row, value in enumerate(values):
        if value in seen:
            rows.append(row)
        elif value is not None:
            seen.add(value)
    return rows, label, [values[row] for row in rows]


def _refuse_taken(
    columns: Columns, identity: Identity, fresh: Sequence[str | None], label: Hashable, client: Client, project_id: str
) -> dict[str, list[str]]:
    """Refuse new external ids that belong to assets which keep them; return who has those names now."""
    holders = find_external_ids(client, project_id, [name for name in fresh if name is not None])
    renamed = dict(zip(identity.ids, fresh, strict=True))
    taken = [
        row
        for row, name in enumerate(fresh)
        if any(
            holder != identity.ids[row] and renamed.get(holder, name) == name for holder in holders.get(str(name), ())
        )
    ]
    columns.problem(taken, label, [fresh[row] for row in taken], "another asset of the project has it")
    columns.check()
    return holders


def _freed_first(targets: Sequence[Target], holders: Mapping[str, Sequence[str]]) -> list[Target]:
    """Return the targets so that one which gives a name up comes before the one that takes it.

    In a ring of names nothing can come first: a server that wants them unique at any time will refuse those rows.
    """
    waiting = {target.asset_id: target for target in targets}
    ordered: list[Target] = []
    while waiting:
        chain = [next(iter(waiting.values()))]
        del waiting[chain[0].asset_id]
        while successors := [one for one in holders.get(chain[-1].payload["externalId"], ()) if one in waiting]:
            chain.append(waiting.pop(successors[0]))
        ordered += reversed(chain)
    return ordered
