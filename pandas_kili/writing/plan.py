"""The frame is the desired state: a plan of what would have to change, shown, saved, applied and taken back."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import secrets
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa

from pandas_kili.connection import Client, client_or_default
from pandas_kili.errors import KiliDeclinedWarning, KiliMutationError, KiliValidationError
from pandas_kili.frames import KiliFrame
from pandas_kili.messages import listed, shown, warn
from pandas_kili.writing.account import Result
from pandas_kili.writing.apply import Application
from pandas_kili.writing.compare import Comparison
from pandas_kili.writing.edits import Edit, is_signed
from pandas_kili.writing.identity import Identity
from pandas_kili.writing.inverse import is_final, taken_back
from pandas_kili.writing.keywords import MutationOptions, options_of
from pandas_kili.writing.plan_file import read_edits, write_edits
from pandas_kili.writing.plan_text import as_html, as_text, counts_by_operation
from pandas_kili.writing.scope import Missing, New, Scope
from pandas_kili.writing.work import Effect, Options, Work, report_of

_SAME = Result("unchanged", "it is so already")
_SKIPPED = Result("unchanged", "the project has no such asset, and new='skip' leaves it out")


class Plan:
    """What would have to change in a project, so that it is what a frame says; see `KiliAccessor.plan`.

    Attributes
    ----------
    project_id, api_endpoint : str
        What it is a plan for; it can be applied to nothing else.
    created : str
        When it was made: ISO text, UTC.
    version : str
        Of this package, at that time.
    notes : list of str
        What was left out of the comparison, and what `inverse` cannot bring back.
    """

    def __init__(  # noqa: PLR0913 - what a plan holds
        self,
        edits: Sequence[Edit],
        project_id: str,
        api_endpoint: str,
        *,
        plan_id: str | None = None,
        created: str | None = None,
        version: str | None = None,
        needs_count: bool = False,
        client: Client | None = None,
        frame: pd.DataFrame | None = None,
        rows: Mapping[str, int] | None = None,
        skipped: Iterable[int] = (),
        identity: Identity | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        self.project_id, self.api_endpoint = project_id, api_endpoint
        self.created = created or dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        self.version = version or importlib.metadata.version("pandas-kili")
        self._edits, self._id, self._needs_count = list(edits), plan_id or secrets.token_hex(4), needs_count
        self._client, self._remarks = client, list(remarks)
        self._results: list[Result] = []  # of each edit, of the last application
        if frame is None:
            frame, rows, identity = self._own_frame()
        self._frame, self._rows, self._skipped, self._identity = frame, dict(rows or {}), list(skipped), identity

    def _own_frame(self) -> tuple[pd.DataFrame, dict[str, int], Identity]:
        """Return a row per asset, for a plan without its frame."""
        names = {edit.asset_id: edit.external_id for edit in self._edits}
        identity = Identity(list(names), list(names.values()))
        columns = {"id": identity.ids, "externalId": identity.external_ids}
        table = pa.table({name: pa.array(texts, pa.string()) for name, texts in columns.items()})
        frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
        frame.attrs["kili"] = {"project_id": self.project_id, "api_endpoint": self.api_endpoint}
        return frame, {asset_id: row for row, asset_id in enumerate(names)}, identity

    @property
    def changes(self) -> pd.DataFrame:
        """One row per change.

        Returns
        -------
        pandas.DataFrame
            ``operation`` (``append``, ``update``, ``rename``, ``delete``), ``id``, ``externalId`` (before the change)
            and ``property`` as ``string``; ``before``, ``after`` and ``row`` (the label of the frame's row) as objects.
            For appended and deleted assets, ``property`` is null, and ``after`` or ``before`` is a dict of properties.
            Single keys of metadata are ``jsonMetadata.<key>``; one that is not there is None.
        """
        edits = self._edits
        texts = {
            "operation": [edit.operation for edit in edits],
            "id": [edit.asset_id for edit in edits],
            "externalId": [edit.external_id for edit in edits],
            "property": [edit.property for edit in edits],
        }
        table = pa.table({name: pa.array(values, pa.string()) for name, values in texts.items()})
        frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
        for name in ("before", "after", "row"):
            cells = np.fromiter((getattr(edit, name) for edit in edits), dtype=object, count=len(edits))
            frame[name] = pd.Series(cells, dtype=object)
        return frame

    @property
    def outcomes(self) -> pd.DataFrame:
        """The `changes` with what became of each asset: ``outcome`` and ``message``, as of the last `apply`."""
        frame = self.changes
        results = self._results or [Result("not_sent")] * len(self._edits)
        for name in ("outcome", "message"):
            texts = pa.array([getattr(result, name) for result in results], pa.string())
            frame[name] = pd.Series(texts, dtype=pd.ArrowDtype(pa.string()))
        return frame

    @property
    def summary(self) -> dict[str, int]:
        """How many changes there are of each operation."""
        return {str(name): count for name, count in counts_by_operation(self._edits).items()}

    @property
    def notes(self) -> list[str]:
        """What the plan does not compare, and what cannot be taken back."""
        deleted = [edit for edit in self._edits if edit.operation == "delete"]
        labeled = sum(edit.before.get("latestLabel.id") is not None for edit in deleted)
        stored = sum(_is_stored(edit.before, self.api_endpoint) for edit in deleted)
        nulls = sum(is_final(edit) for edit in self._edits)
        told = {
            f"Assets to delete that have labels: {labeled:,} of {len(deleted):,}. Labels are lost for good.": labeled,
            f"Assets to delete that have media in Kili: {stored:,} of {len(deleted):,}. Media come back only while the"
            " server still serves them.": stored,
            f"Properties that have no value yet: {nulls:,}. Servers do not take a value away again.": nulls,
        }
        return [*self._remarks, *(note for note, count in told.items() if count)]

    def __len__(self) -> int:
        return len(self._edits)

    def __bool__(self) -> bool:
        return bool(self._edits)

    def __repr__(self) -> str:
        return as_text(self._edits, self.project_id, self.notes)

    def _repr_html_(self) -> str:
        return as_html(self._edits, self.project_id, self.notes)

    def apply(
        self,
        *,
        project_id: str | None = None,
        delete: bool | int = False,
        force: bool = False,
        **options: Unpack[MutationOptions],
    ) -> KiliFrame:
        """Send the changes, each once, in an order that never collides: names are freed before they are taken.

        Parameters
        ----------
        project_id : str, optional
            The project that you mean: a plan for another one is refused.
        delete : bool or int
            Whether assets may be deleted: True, or how many the plan deletes. Deletions come last, and only where all
            else came through.
        force : bool
            Overwrite also what others changed since the plan. Without it, each asset is looked at just before its batch
            is sent; where a value is neither what the plan saw nor what it wants, the asset is `declined`, and its
            message has both values.
        **options
            See `MutationOptions`.

        Returns
        -------
        pandas.DataFrame
            The frame of the plan, with the ``id`` of new assets, and ``jsonMetadata``, where it has that column, with
            the keys that changed; of a plan that was read from a file, a row per asset. Its ``kili.report`` tells what
            became of each row, `outcomes` what became of each change.

        Notes
        -----
        A plan can be applied again, also after a crash: what is done is `unchanged`, and nothing is sent for it.
        """
        given = options_of("apply", self.project_id, options)
        given = replace(given, client=given.client or self._client)
        self._check_target(project_id, given.client)
        self._check_deletions(delete)
        with Work(self._frame, given, "apply") as work:
            if self._identity is not None:
                work.identity = Identity(list(self._identity.ids), list(self._identity.external_ids))
            work.account.note(range(len(self._frame)), _SAME)
            work.account.note(self._skipped, _SKIPPED)
            if not self._edits:
                return work.rendered()
            application = Application(work, self._id, self.project_id, self._edits, force=force)
            try:
                if not given.dry_run:
                    application.run()
            finally:
                self._results = application.results_of_edits()
                for asset_id, result in application.results().items():
                    if asset_id in self._rows:
                        work.account.note([self._rows[asset_id]], result)
            if given.dry_run:
                return work.rehearsed()
            texts: list[str | None] = [None] * len(self._frame)
            for asset_id in application.metadata.keys() & self._rows.keys():
                texts[self._rows[asset_id]] = application.metadata[asset_id]
            effect = Effect({"jsonMetadata": texts}, {"id": "id"} if self._names_new_rows() else {})
            out = work.checked(work.rendered(effect))
        self._check_deleted(given)
        return out

    def inverse(self) -> Plan:
        """Return the plan that takes this one back: what was applied of it, or all where it was not applied here.

        Old values and names are set again, appended assets deleted, deleted ones appended with their id, content,
        external id and metadata. `notes` tells what cannot come back.
        """
        results = self._results or [Result("not_sent")] * len(self._edits)
        # What is not known to be left alone may be done: applying the inverse finds out, and leaves the rest alone.
        kept = {edit: result for edit, result in zip(self._edits, results, strict=True) if result.outcome != "declined"}
        made = {edit.asset_id for edit in kept if edit.operation == "append"}
        edits = [back for edit in kept for back in taken_back(edit, made, kept)]
        return Plan(edits, self.project_id, self.api_endpoint, client=self._client, plan_id=self._id)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a Parquet file, which pandas opens too; it never holds the key.

        Values are JSON text there.
        """
        head = {
            "plan_id": self._id,
            "project_id": self.project_id,
            "api_endpoint": self.api_endpoint,
            "created": self.created,
            "version": self.version,
            "needs_count": self._needs_count,
            "remarks": self._remarks,
        }
        write_edits(path, self._edits, head)

    # --- guards

    def _names_new_rows(self) -> bool:
        return any(edit.operation == "append" and edit.asset_id in self._rows for edit in self._edits)

    def _check_target(self, project_id: str | None, client: Client | None) -> None:
        if project_id not in {None, self.project_id}:
            raise KiliValidationError(f"This is a plan for project {self.project_id!r}, not for {project_id!r}.")
        endpoint = client_or_default(client).api_endpoint if self._edits else self.api_endpoint
        if endpoint != self.api_endpoint:
            raise KiliValidationError(
                f"This is a plan for {self.api_endpoint}, but the client is one of {endpoint}: nothing was sent. Give"
                " client= of the plan's server."
            )

    def _check_deletions(self, delete: bool | int) -> None:
        count = self.summary["delete"]
        is_number = isinstance(delete, int) and not isinstance(delete, bool)
        if not isinstance(delete, (bool, int)):
            raise KiliValidationError(f"delete is True, False, or how many assets may go; got {shown(delete)}.")
        if is_number and delete != count:
            raise KiliValidationError(f"The plan deletes {count:,} assets, but delete={delete!r}: nothing was sent.")
        if count and self._needs_count and not is_number:
            raise KiliValidationError(
                f"The frame has no rows, so that the plan deletes all {count:,} assets that match: delete={count} says"
                " that this is meant. Nothing was sent."
            )
        if count and delete is False:
            raise KiliValidationError(
                f"The plan deletes {count:,} assets: apply(delete=True) says that this is meant. Nothing was sent."
            )

    def _check_deleted(self, options: Options) -> None:
        """Warn or raise where assets without a row of the frame were not deleted."""
        away = {
            edit.asset_id: result
            for edit, result in zip(self._edits, self._results, strict=True)
            if edit.operation == "delete" and edit.asset_id not in self._rows
        }
        bad = {key: result for key, result in away.items() if result.outcome in {"failed", "not_sent"}}
        declined = [result.message for result in away.values() if result.outcome == "declined"]
        if declined:
            text = f"apply: {len(declined):,} of {len(away):,} deletions declined: {listed(declined, 3)}"
            warn(KiliDeclinedWarning(text))
        if bad and options.errors == "raise":
            frame, rows, identity = self._own_frame()
            with Work(frame, Options(self.project_id), "apply") as work:
                work.identity = identity
                for edit, result in zip(self._edits, self._results, strict=True):
                    work.account.note([rows[edit.asset_id]], result)
                out = work.rendered()
            told = [f"{asset_id}: {result.outcome} ({result.message})" for asset_id, result in bad.items()]
            text = f"apply: {len(bad):,} of {len(away):,} assets were not deleted: {listed(told, 3)}"
            raise KiliMutationError(text, report=report_of(out), frame=out)


def make_plan(
    frame: pd.DataFrame,
    project_id: str | None,
    *,
    properties: Sequence[str] | None,
    metadata: Sequence[Hashable] | None,
    new: New,
    missing: Missing,
    within: Mapping[str, Any] | None,
    client: Client | None,
) -> Plan:
    """Compare a frame with its project."""
    scope = Scope(properties, metadata, new, missing, within)
    if not len(frame) and missing == "delete" and not within:
        raise KiliValidationError(
            "A frame without rows and missing='delete' would delete every asset of the project. If that is meant for"
            " some of them, say which by within=."
        )
    scope.warn_of_misspelled(frame)
    with Work(frame, Options(project_id, client), "plan") as work:
        comparison = Comparison(work, scope)
        if not len(frame) and missing == "keep":
            return Plan([], comparison.project_id, str(work.origin.get("api_endpoint", "")), frame=frame, client=client)
        edits = comparison.edits()
        return Plan(
            edits,
            comparison.project_id,
            work.client.api_endpoint,
            needs_count=not len(frame),
            client=work.client,
            frame=frame.copy(deep=False),
            rows=comparison.rows,
            skipped=comparison.skipped,
            identity=comparison.identity,
            remarks=scope.remarks(frame, comparison.existing),
        )


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read a plan that `Plan.save` wrote.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Plan
        Of the same changes; its frame is a row per asset.

    Raises
    ------
    KiliValidationError
        Where the file is no plan, or one of a later version of this package.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "plan.parquet"
    >>> df = pk.read_kili(project_id, fields=["id", "priority"], first=2)
    >>> df.assign(priority=7).kili.plan().save(path)
    >>> plan = pk.read_plan(path)
    >>> plan.apply().kili.report["outcome"].tolist()
    ['applied', 'applied']
    >>> plan.inverse().apply().kili.report["outcome"].tolist()
    ['applied', 'applied']
    """
    edits, head = read_edits(path)
    return Plan(edits, **head)


def _is_stored(asset: Mapping[str, Any], api_endpoint: str) -> bool:
    """Return whether the media of an asset are Kili's: under signed addresses, or at its own server."""
    content = asset.get("content") or asset.get("jsonContent") or ""
    return urlsplit(content).netloc == urlsplit(api_endpoint).netloc or is_signed(content)
