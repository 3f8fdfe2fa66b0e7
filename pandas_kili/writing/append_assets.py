"""New assets from the rows of a frame."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError as Cancelled
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from pandas_kili.catalog import APPEND, APPEND_LATER, BATCH_SIZE, FILTER_EXISTING, IN_LIMIT
from pandas_kili.connection import Client, find_project, promised, read_back
from pandas_kili.errors import KiliError, KiliGraphQLError, KiliValidationError
from pandas_kili.media import Medium, Stored, check_license, plan_media, store_media, wait_for_import
from pandas_kili.parallel import in_order
from pandas_kili.progress import progress_bar
from pandas_kili.writing.cells import Columns, require_column, require_property
from pandas_kili.writing.delivery import Account, Target, Verdict, after_the_work, looks
from pandas_kili.writing.identity import Identity, existing, find_external_ids, repeated_values
from pandas_kili.writing.mutations import APPLIED, spelling
from pandas_kili.writing.work import Options, Work

if TYPE_CHECKING:
    from tqdm import tqdm

_LATER = (0.0, 0.2, 0.5, 1.0, *(2.0 for _ in range(60)))  # the seed's servers say nothing of imports that end later
_COLUMNS = {
    "content": "content",
    "external_id": "externalId",
    "id": "id",
    "json_content": "jsonContent",
    "json_metadata": "jsonMetadata",
    "is_honeypot": "isHoneypot",
    "status": "status",
}


def append_rows(
    frame: pd.DataFrame,
    named: Mapping[str, Any],
    if_exists: Literal["fail", "skip"],
    options: Options,
    *,
    content_is: Literal["text", "url", "path"] | None = None,
) -> pd.DataFrame:
    """Make an asset of each row."""
    if if_exists not in {"fail", "skip"}:
        raise KiliValidationError(f"if_exists is 'fail' or 'skip'; got {if_exists!r}.")
    if content_is not in {None, "text", "url", "path"}:
        raise KiliValidationError(f"content_is is 'text', 'url' or 'path'; got {content_is!r}.")
    work = Work(frame, options)
    labels = _labels(work.columns, named)
    if not len(frame):
        return work.unchanged()
    project_id = work.need_project_id("to say where the assets are to go")
    _refuse_foreign_ids(work, named, labels, project_id)
    rows = _Rows(work.columns, labels)
    with promised("projects"):
        input_type = str(find_project(work.client, project_id, "inputType")["inputType"])
    change = Append(work.client, project_id)
    change.media = media = rows.plan(input_type, content_is, seed=not change.is_todays)
    rows.refuse_repeated(if_exists)
    work.columns.check()
    account = Account(len(frame))
    identity = Identity(list(rows.ids), list(rows.external_ids))
    open_rows = _Presence(work, project_id, rows, if_exists).settle(account, identity)
    if any(media[row].is_local for row in open_rows):
        check_license(work.client)
    _warn_of_losses(change, rows, media)
    if options.dry_run:
        return work.finish(account, identity, {})
    targets = rows.targets(open_rows, media, identity)
    adopted: dict[Hashable, str] = {labels[name]: name for name in ("id", "externalId") if name in labels}
    work.home = project_id
    size = sum(media[row].size for row in open_rows)
    disable = options.disable_tqdm if size else True
    with progress_bar("upload", total=size, unit="B", disable=disable) as change.bar:
        return work.deliver(
            change, identity, targets, {}, account=account, adopted=adopted | {"id": "id", "externalId": "externalId"}
        )


class Append:
    """New assets, whose ids are of our making; the project's order is the order in which they are sent."""

    in_order = True
    name = "append_many_to_dataset"

    def __init__(self, client: Client, project_id: str) -> None:
        self.client, self.project_id = client, project_id
        self.mutation = spelling(client, APPEND)
        self.is_todays = self.mutation == APPEND[0]
        # Of all rows. Payloads hold plain values only, so that the garbage collector does not walk them.
        self.media: Sequence[Medium] = ()
        self.bar: tqdm[Any] | None = None  # of the bytes to store

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[str, Verdict]]:
        """Store the files of one batch, then register what was stored, by the ways in which Kili takes it."""
        media = [self.media[target.rows[0]] for target in targets]
        ids = [target.asset_id for target in targets]
        stored = store_media(self.client, self.project_id, ids, media, bar=self.bar, stop=stop)
        routes: dict[tuple[str | None, bool], list[tuple[Target, Stored]]] = defaultdict(list)
        for target, medium, result in zip(targets, media, stored, strict=True):
            if isinstance(result, KiliError):
                yield {target.asset_id: Verdict("failed", str(result))}
            else:
                routes[medium.upload_type, bool(result.layers)].append((target, result))
        for (upload_type, _), assets in routes.items():
            yield self._register(upload_type, assets, stop)

    def settle(self, targets: Sequence[Target]) -> Mapping[str, Verdict]:
        """Return the assets that exist."""
        shown = read_back(self.client, [target.asset_id for target in targets], "id", self.project_id)
        return dict.fromkeys(shown, APPLIED)

    def _register(
        self, upload_type: str | None, assets: Sequence[tuple[Target, Stored]], stop: threading.Event
    ) -> Mapping[str, Verdict]:
        targets = [target for target, _ in assets]
        mutation = self.mutation if upload_type is None else spelling(self.client, APPEND_LATER)
        data = self._data(assets) if upload_type is None else _data_later(upload_type, assets)
        variables = {"data": data, "where": {"id": self.project_id}}
        answer = self.client.execute(mutation.document, variables, stop=stop)
        with promised(mutation.name):
            if upload_type is None and self.is_todays:
                return {asset["id"]: APPLIED for asset in answer["data"] or ()}
            notification_id = answer["data"]["id"] if self.is_todays else ""
        if self.is_todays:
            self._wait(notification_id, stop)
        with after_the_work():
            return self._seen(targets, stop, () if self.is_todays or upload_type is None else _LATER)

    def _wait(self, notification_id: str, stop: threading.Event) -> None:
        try:
            wait_for_import(self.client, notification_id, stop=stop)
        except KiliGraphQLError as error:
            if error.operation == "import":
                raise  # it has ended, and badly
            with after_the_work():
                raise
        except (KiliError, Cancelled):
            with after_the_work():
                raise

    def _data(self, assets: Sequence[tuple[Target, Stored]]) -> dict[str, Any]:
        data = _shared(assets) | {
            "contentArray": [stored.content for _, stored in assets],
            "jsonContentArray": [stored.json_content for _, stored in assets],
            "isHoneypotArray": [target.payload["isHoneypot"] for target, _ in assets],
        }
        return data if self.is_todays else data | {"statusArray": [target.payload["status"] for target, _ in assets]}

    def _seen(
        self, targets: Sequence[Target], stop: threading.Event, patience: Iterable[float]
    ) -> Mapping[str, Verdict]:
        verdicts: Mapping[str, Verdict] = {}
        for _ in looks(stop, patience):
            verdicts = self.settle(targets)
            if len(verdicts) == len(targets) or stop.is_set():
                break
        missing = Verdict("failed", "outcome unknown: the server took the batch, but does not show the asset")
        return {target.asset_id: verdicts.get(target.asset_id, missing) for target in targets}


def _shared(assets: Sequence[tuple[Target, Stored]]) -> dict[str, Any]:
    return {
        "idArray": [target.asset_id for target, _ in assets],
        "externalIDArray": [target.payload["externalId"] for target, _ in assets],
        "jsonMetadataArray": [target.payload["jsonMetadata"] for target, _ in assets],
    }


def _data_later(upload_type: str, assets: Sequence[tuple[Target, Stored]]) -> dict[str, Any]:
    data = _shared(assets) | {"uploadType": upload_type}
    if any(stored.layers for _, stored in assets):
        return data | {
            "multiLayerContentArray": [stored.layers for _, stored in assets],
            "jsonContentArray": [stored.json_content for _, stored in assets],
        }
    return data | {"contentArray": [stored.content for _, stored in assets]}


class _Rows:
    """What the columns of a frame say of new assets, by position."""

    def __init__(self, columns: Columns, labels: Mapping[str, Any]) -> None:
        self.columns, self.labels = columns, labels
        self.ids: list[str | None] = self._read("id")
        self.external_ids: list[str | None] = self._read("externalId")
        self.metadata: list[str | None] = self._read("jsonMetadata")
        self.honeypots: list[bool | None] = self._read("isHoneypot")
        self.statuses: list[str | None] = self._read("status")

    def plan(self, input_type: str, content_is: Literal["text", "url", "path"] | None, *, seed: bool) -> list[Medium]:
        """Decide what each row's content becomes; what cannot be sent is noted."""
        media, problems = plan_media(
            input_type,
            self._cells("content"),
            self._cells("jsonContent"),
            self.metadata,
            generation="legacy" if seed else "current",
            content_is=content_is,
        )
        for problem in problems:
            label = self.labels.get(problem.column, problem.column)
            self.columns.problem([problem.row], label, [problem.value], problem.message)
        return [medium or Medium() for medium in media]

    def refuse_repeated(self, if_exists: Literal["fail", "skip"]) -> None:
        """Note ids that stand twice, and external ids unless later ones are to be left out."""
        for name, values in (("id", self.ids), ("externalId", self.external_ids)):
            if name in self.labels and not (name == "externalId" and if_exists == "skip"):
                self.columns.problem(*repeated_values(values, self.labels[name]), "stands twice in the frame")

    def targets(self, rows: Sequence[int], media: Sequence[Medium], identity: Identity) -> list[Target]:
        """Return the new assets of some rows, under the ids that they were given or new ones."""
        fresh = zip(rows, _chance(len(rows), 24), _chance(len(rows), 32), strict=True)
        for row, new_id, new_name in fresh:
            identity.ids[row] = self.ids[row] or f"c{new_id}"  # the length of Kili's own
            identity.external_ids[row] = self.external_ids[row] or new_name
        return [self._target(row, media[row], identity) for row in rows]

    def _target(self, row: int, medium: Medium, identity: Identity) -> Target:
        metadata = _with_entries(self.metadata[row] or "{}", medium.metadata)
        payload = {
            "externalId": identity.external_ids[row],
            "jsonMetadata": metadata,
            "isHoneypot": bool(self.honeypots[row]),
            "status": self.statuses[row] or "TODO",
        }
        weight = len(metadata) + len(medium.content) + len(medium.json_content) + 100
        return Target(str(identity.ids[row]), (row,), payload, weight)

    def _read(self, name: str) -> list[Any]:
        label = self.labels.get(name)
        return [None] * len(self.columns.frame) if label is None else self.columns.read(name, label)

    def _cells(self, name: str) -> list[Any]:
        if name not in self.labels:
            return [None] * len(self.columns.frame)
        return self.columns.cells(self.labels[name])


class _Presence:
    """Which rows the project has already."""

    def __init__(self, work: Work, project_id: str, rows: _Rows, if_exists: Literal["fail", "skip"]) -> None:
        self.work, self.project_id, self.rows, self.if_exists = work, project_id, rows, if_exists

    def settle(self, account: Account, identity: Identity) -> list[int]:
        """Give rows that are there their outcome, refuse those that must not be, and return the others."""
        there = self._by_id(account)
        there |= self._by_external_id(account, identity, there)
        self.work.columns.check()
        return [row for row in range(len(self.rows.ids)) if row not in there]

    def _by_id(self, account: Account) -> set[int]:
        """Tell the rows that an earlier call has made: assets of their id and external id."""
        client = self.work.client
        known = existing(client, None, [asset_id for asset_id in self.rows.ids if asset_id is not None])
        there = [row for row, asset_id in enumerate(self.rows.ids) if asset_id in known]
        others = []
        for start in range(0, len(there), BATCH_SIZE):
            part = {row: str(self.rows.ids[row]) for row in there[start : start + BATCH_SIZE]}
            shown = read_back(client, list(part.values()), "id externalId", self.project_id)
            made = [row for row, asset_id in part.items() if self._is_made(row, shown.get(asset_id))]
            account.note(made, Verdict("applied", "it was there already"))
            others += sorted(set(part) - set(made))
        expected = "another asset has this id; without a column of ids new ones are made"
        self.work.columns.problem(others, self.rows.labels.get("id"), [self.rows.ids[row] for row in others], expected)
        return set(there)

    def _is_made(self, row: int, shown: Mapping[str, Any] | None) -> bool:
        return shown is not None and self.rows.external_ids[row] in {None, shown["externalId"]}

    def _by_external_id(self, account: Account, identity: Identity, there: set[int]) -> set[int]:
        asked = {row: name for row, name in enumerate(self.rows.external_ids) if name is not None and row not in there}
        taken = _taken(self.work.client, self.project_id, dict.fromkeys(asked.values()))
        declined = {row: "the project has an asset of this external id" for row, name in asked.items() if name in taken}
        if self.if_exists == "fail":
            rows = list(declined)
            self.work.columns.problem(
                rows,
                self.rows.labels.get("externalId"),
                [asked[row] for row in rows],
                "the project has an asset of this external id; if_exists='skip' leaves such rows out",
            )
            return set(rows)
        again = [row for row in repeated_values(self.rows.external_ids, None)[0] if row in asked]
        declined |= dict.fromkeys(again, "an earlier row has this external id")
        holders = find_external_ids(
            self.work.client, self.project_id, sorted({asked[row] for row in declined if row in asked} & taken)
        )
        for row, reason in declined.items():
            account.note([row], Verdict("declined", reason))
            found = holders.get(asked[row], [])
            # An id stands in one row only, so that these rows can be given again.
            identity.ids[row] = found[0] if len(found) == 1 and row not in again else None
        return set(declined)


def _taken(client: Client, project_id: str, external_ids: Iterable[str]) -> set[str]:
    """Return which external ids the project has."""
    names = list(external_ids)
    if "filterExistingAssets" not in client.names("Query"):
        return set(find_external_ids(client, project_id, names)) & set(names)
    parts = [names[start : start + IN_LIMIT] for start in range(0, len(names), IN_LIMIT)]

    def taken_of(part: list[str]) -> list[str]:
        variables = {"projectID": project_id, "externalIDs": part}
        data = client.execute(FILTER_EXISTING, variables)
        with promised("filterExistingAssets"):
            return list(dict.fromkeys(data["external_ids"]))

    answers = in_order(taken_of, parts, workers=client.max_workers)
    return {name for _, found in answers for name in found} & set(names)


def _labels(columns: Columns, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the column of each property: the one named, else the one that bears the property's name."""
    labels: dict[str, Any] = {}
    for keyword, name in _COLUMNS.items():
        label = named.get(keyword)
        if label is not None:
            require_property(columns.frame, name, label)
            labels[name] = label
        elif columns.has(name):
            labels[name] = name
    if not {"content", "jsonContent"} & set(labels) and len(columns.frame):
        require_column(columns.frame, "content")
    return labels


def _refuse_foreign_ids(work: Work, named: Mapping[str, Any], labels: Mapping[str, Any], project_id: str) -> None:
    if named.get("id") is None and "id" in labels and work.origin not in {None, project_id}:
        raise KiliValidationError(
            f"The column 'id' holds ids of project {work.origin!r}; assets of project {project_id!r} need ids of their"
            " own: .drop(columns='id') has them made."
        )


def _warn_of_losses(change: Append, rows: _Rows, media: Sequence[Medium]) -> None:
    """Say what the server cannot be told, rather than drop it."""
    if change.is_todays and any(status not in {None, "TODO"} for status in rows.statuses):
        warnings.warn(
            "This server computes the status of assets itself: the column for 'status' is not sent.",
            UserWarning,
            stacklevel=4,
        )
    if any(medium.upload_type and honeypot for medium, honeypot in zip(media, rows.honeypots, strict=True)):
        warnings.warn(
            "Assets that are imported later cannot be made honeypots at once: update 'isHoneypot' when they are there.",
            UserWarning,
            stacklevel=4,
        )


def _chance(count: int, digits: int) -> list[str]:
    """Return texts of hexadecimal digits that nobody else will have; asked of the system at once."""
    text = os.urandom(count * digits // 2).hex()
    return [text[start : start + digits] for start in range(0, len(text), digits)]


def _with_entries(metadata: str, entries: Mapping[str, Any] | None) -> str:
    return metadata if not entries else json.dumps({**json.loads(metadata), **entries}, ensure_ascii=False)
