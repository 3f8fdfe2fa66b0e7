"""New assets from the rows of a frame."""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError as Cancelled
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from pandas_kili.catalog import APPEND, APPEND_LATER, BATCH_SIZE, FILTER_EXISTING, IN_LIMIT
from pandas_kili.connection import Client, counted, find_project, promised, read_back
from pandas_kili.errors import KiliConsistencyWarning, KiliError, KiliGraphQLError, KiliValidationError
from pandas_kili.frames import KiliFrame
from pandas_kili.media import Medium, Stored, check_license, plan_media, store_media, wait_for_import
from pandas_kili.messages import listed, shown, warn
from pandas_kili.parallel import chunked, in_order
from pandas_kili.progress import progress_bar
from pandas_kili.writing.account import Result
from pandas_kili.writing.cells import Columns, require_column, require_property
from pandas_kili.writing.delivery import Target, after_the_work, looks
from pandas_kili.writing.identity import Identity, existing, find_external_ids, repeated_values
from pandas_kili.writing.mutations import APPLIED, spelling
from pandas_kili.writing.recent import remember
from pandas_kili.writing.work import Effect, Options, Work

if TYPE_CHECKING:
    from tqdm import tqdm

_LATER = (0.0, 0.2, 0.5, 1.0, *(2.0 for _ in range(60)))  # legacy servers say nothing of imports that end later
_COLUMNS = {
    "content": "content",
    "external_id": "externalId",
    "id": "id",
    "json_content": "jsonContent",
    "json_metadata": "jsonMetadata",
    "is_honeypot": "isHoneypot",
    "status": "status",
}
_TAKEN = "the project has an asset of this external id"

IfExists = Literal["fail", "skip"]
ContentIs = Literal["text", "url", "path"]


def append_rows(
    frame: pd.DataFrame,
    named: Mapping[str, Any],
    if_exists: IfExists,
    options: Options,
    *,
    content_is: ContentIs | None = None,
) -> KiliFrame:
    """Make an asset of each row."""
    if if_exists not in {"fail", "skip"}:
        raise KiliValidationError(f"if_exists is 'fail' or 'skip'; got {shown(if_exists)}.")
    if content_is not in {None, "text", "url", "path"}:
        raise KiliValidationError(f"content_is is 'text', 'url' or 'path'; got {shown(content_is)}.")
    with Work(frame, options, Append.name, from_elsewhere=options.project_id is not None) as work:
        labels = _labels(work.columns, named)
        identified: dict[Hashable, Literal["id", "externalId"]] = {"id": "id", "externalId": "externalId"}
        if not len(frame):
            work.effect = Effect(identified=identified)
            return work.rendered()
        if "id" in labels:
            identified[labels["id"]] = "id"
        project_id = work.need_project_id("to say where the assets are to go")
        _refuse_foreign_ids(work, named, labels, project_id)
        rows = _Rows(work.columns, labels)
        with promised("projects"):
            input_type = str(find_project(work.client, project_id, "inputType")["inputType"])
        is_current = spelling(work.client, APPEND) == APPEND[0]
        media = rows.plan(input_type, content_is, generation="current" if is_current else "legacy")
        rows.check(if_exists)
        open_rows = _Presence(work, project_id, rows, if_exists).settle()
        if any(media[row].is_local for row in open_rows):
            check_license(work.client)
        _warn_of_losses(rows, media, is_current=is_current)
        targets = [] if options.dry_run else rows.targets(open_rows, media, work.identity)
        size = sum(media[row].size for row in open_rows)
        disable = options.disable_tqdm if size and not options.dry_run else True
        with progress_bar("upload", total=size, unit="B", disable=disable) as bar:
            change = Append(work, project_id, media, bar, if_exists)
            out = work.deliver(change, targets, Effect({}, identified, project_id))
        if if_exists == "skip":
            _tell_of_twins(work, project_id)
        return out


class Append:
    """New assets, whose ids are of our making; the project's order is the order in which they are sent."""

    in_order = True
    repeatable = True
    name = "append_many_to_dataset"

    def __init__(
        self, work: Work, project_id: str, media: Sequence[Medium], bar: tqdm[Any], if_exists: IfExists
    ) -> None:
        self.client, self.identity, self.project_id, self.if_exists = work.client, work.identity, project_id, if_exists
        # Of all rows. Payloads hold plain values only, so that the garbage collector does not walk them.
        self.media, self.bar = media, bar
        self.mutation = spelling(self.client, APPEND)
        self.is_todays = self.mutation == APPEND[0]
        self._stored: dict[Target, Stored] = {}  # files of the batch that is under way, so that none is stored twice

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[Target, Result]]:
        """Store the files of one batch, then register what was stored, by the ways in which Kili takes it."""
        fresh = [target for target in targets if target not in self._stored]
        media = [self.media[target.rows[0]] for target in fresh]
        ids = [target.asset_id for target in fresh]
        results = store_media(self.client, self.project_id, ids, media, bar=self.bar, stop=stop)
        self._stored = {target: self._stored[target] for target in targets if target in self._stored}
        for target, result in zip(fresh, results, strict=True):
            if isinstance(result, KiliError):
                yield {target: Result("failed", str(result))}
            else:
                self._stored[target] = result
        routes: dict[tuple[str | None, bool], list[tuple[Target, Stored]]] = defaultdict(list)
        for target in targets:
            if target in self._stored:
                stored = self._stored[target]
                routes[self.media[target.rows[0]].upload_type, bool(stored.layers)].append((target, stored))
        for (upload_type, _), assets in routes.items():
            yield self._register(upload_type, assets, stop)

    def look(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Return the assets that exist."""
        found = read_back(self.client, [target.asset_id for target in targets], "id", self.project_id)
        return {target: APPLIED for target in targets if target.asset_id in found}

    def proves(self, _: Target) -> bool:
        """Return True: no other asset has an id of our making."""
        return True

    def explain(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Return the rows whose external id somebody else took in the meantime."""
        names = [target.payload["externalId"] for target in targets]
        holders = find_external_ids(self.client, self.project_id, names)
        result = Result("unchanged" if self.if_exists == "skip" else "failed", _TAKEN)
        taken = [target for target in targets if {*holders.get(target.payload["externalId"], ())} - {target.asset_id}]
        if self.if_exists == "skip":
            for target in taken:
                found = holders[target.payload["externalId"]]
                self.identity.ids[target.rows[0]] = found[0] if len(found) == 1 else None
        return dict.fromkeys(taken, result)

    def _register(
        self, upload_type: str | None, assets: Sequence[tuple[Target, Stored]], stop: threading.Event
    ) -> Mapping[Target, Result]:
        targets = [target for target, _ in assets]
        names = (name for target in targets for name in (target.asset_id, target.payload["externalId"]))
        remember(self.client.api_endpoint, names)
        mutation = self.mutation if upload_type is None else spelling(self.client, APPEND_LATER)
        data = self._data(assets) if upload_type is None else _data_later(upload_type, assets)
        variables = {"data": data, "where": {"id": self.project_id}}
        answer = self.client.execute(mutation.document, variables, stop=stop)
        with promised(mutation.name):
            if upload_type is None and self.is_todays:
                made = {asset["id"] for asset in answer["data"] or ()}
                return {target: APPLIED for target in targets if target.asset_id in made}
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
    ) -> Mapping[Target, Result]:
        results: Mapping[Target, Result] = {}
        for _ in looks(stop, patience):
            results = self.look(targets)
            if len(results) == len(targets) or stop.is_set():
                break
        missing = Result("failed", "outcome unknown: the server took the batch, but does not show the asset")
        return {target: results.get(target, missing) for target in targets}


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

    def plan(
        self, input_type: str, content_is: ContentIs | None, *, generation: Literal["legacy", "current"]
    ) -> list[Medium]:
        """Decide what each row's content becomes; what cannot be sent is noted."""
        media, problems = plan_media(
            input_type,
            self._cells("content"),
            self._cells("jsonContent"),
            self.metadata,
            generation=generation,
            content_is=content_is,
        )
        for problem in problems:
            label = self.labels.get(problem.column, problem.column)
            self.columns.problem([problem.row], label, [problem.value], problem.message)
        return [medium or Medium() for medium in media]

    def check(self, if_exists: IfExists) -> None:
        """Refuse ids that stand twice, and external ids unless later ones are left out; these must be complete."""
        self.columns.problem(*repeated_values(self.ids, self.labels.get("id")), "stands twice in the frame")
        label = self.labels.get("externalId", "externalId")
        if if_exists == "fail":
            self.columns.problem(*repeated_values(self.external_ids, label), "stands twice in the frame")
        else:
            missing = [
                row
                for row, name in enumerate(self.external_ids)
                if name is None and self.ids[row] is None and self.columns.fits("externalId", row)
            ]
            expected = "expected an external id: with if_exists='skip' it tells which assets exist already"
            self.columns.problem(missing, label, [None] * len(missing), expected)
        self.columns.check()

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

    def __init__(self, work: Work, project_id: str, rows: _Rows, if_exists: IfExists) -> None:
        self.work, self.project_id, self.rows, self.if_exists = work, project_id, rows, if_exists

    def settle(self) -> list[int]:
        """Give rows that are there their result, refuse those that must not be, and return the others."""
        self.work.identity = Identity(list(self.rows.ids), list(self.rows.external_ids))
        there = self._by_id()
        there |= self._by_external_id(there)
        self.work.columns.check()
        return [row for row in range(len(self.rows.ids)) if row not in there]

    def _by_id(self) -> set[int]:
        """Find the rows that an earlier call has made: assets of their id and external id."""
        client = self.work.client
        known = existing(client, None, [asset_id for asset_id in self.rows.ids if asset_id is not None])
        there = [row for row, asset_id in enumerate(self.rows.ids) if asset_id in known]
        others = []
        for part in chunked(there, BATCH_SIZE):
            found = read_back(client, [str(self.rows.ids[row]) for row in part], "id externalId", self.project_id)
            made = [row for row in part if self._is_made(row, found.get(str(self.rows.ids[row])))]
            self.work.account.note(made, Result("unchanged", "it was there already"))
            others += sorted(set(part) - set(made))
        expected = "another asset has this id; without a column of ids new ones are made"
        self.work.columns.problem(others, self.rows.labels.get("id"), [self.rows.ids[row] for row in others], expected)
        return set(there)

    def _is_made(self, row: int, asset: Mapping[str, Any] | None) -> bool:
        return asset is not None and self.rows.external_ids[row] in {None, asset["externalId"]}

    def _by_external_id(self, there: set[int]) -> set[int]:
        """Find the rows whose external id the project has, or an earlier row."""
        asked = {row: name for row, name in enumerate(self.rows.external_ids) if name is not None and row not in there}
        taken = _taken(self.work.client, self.project_id, dict.fromkeys(asked.values()))
        reasons = {row: _TAKEN for row, name in asked.items() if name in taken}
        if self.if_exists == "fail":
            cells = [asked[row] for row in reasons]
            expected = f"{_TAKEN}; if_exists='skip' leaves such rows out"
            self.work.columns.problem(list(reasons), self.rows.labels.get("externalId"), cells, expected)
            return set(reasons)
        again = [row for row in repeated_values(self.rows.external_ids, None)[0] if row in asked]
        reasons |= dict.fromkeys(again, "an earlier row has this external id")
        holders = find_external_ids(self.work.client, self.project_id, sorted({asked[row] for row in reasons} & taken))
        for row, reason in reasons.items():
            self.work.account.note([row], Result("unchanged", reason))
            found = holders.get(asked[row], [])
            # An id stands in one row only, so that these rows can be given again.
            self.work.identity.ids[row] = found[0] if len(found) == 1 and row not in again else None
        return set(reasons)


def _tell_of_twins(work: Work, project_id: str) -> None:
    """Warn where another process appended the same external ids at the same time, on a server that takes both."""
    rows = work.account.having("applied").nonzero()[0].tolist()
    twins: list[str] = []
    for part in chunked([str(work.identity.external_ids[row]) for row in rows], IN_LIMIT):
        where = {"project": {"id": project_id}, "externalIdStrictlyIn": list(part)}
        if counted(work.client, where) > len(part):
            found = find_external_ids(work.client, project_id, part)
            twins += [name for name in part if len(found.get(name, ())) > 1]
    if twins:
        warn(
            f"{work.name}: {len(twins):,} external ids belong to several assets now, as somebody else appended them at"
            f" the same time: {listed([repr(name) for name in twins])}.",
            KiliConsistencyWarning,
        )


def _taken(client: Client, project_id: str, external_ids: Iterable[str]) -> set[str]:
    """Return which external ids the project has."""
    names = list(external_ids)
    if "filterExistingAssets" not in client.names("Query"):
        return set(find_external_ids(client, project_id, names)) & set(names)

    def taken_of(part: Sequence[str]) -> list[str]:
        variables = {"projectID": project_id, "externalIDs": list(part)}
        data = client.execute(FILTER_EXISTING, variables)
        with promised("filterExistingAssets"):
            return list(dict.fromkeys(data["external_ids"]))

    answers = in_order(taken_of, chunked(names, IN_LIMIT), workers=client.max_workers)
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
    """Refuse ids of another project, or of another server, unless the caller names their column."""
    if named.get("id") is not None or "id" not in labels:
        return
    if work.columns.has("assetId"):
        raise KiliValidationError(
            "The column 'id' holds ids of labels, as the frame has a column 'assetId' too: .drop(columns='id')."
        )
    origin = work.origin.get("project_id")
    if origin not in {None, project_id} or work.origin.get("api_endpoint") not in {None, work.client.api_endpoint}:
        raise KiliValidationError(
            f"The column 'id' holds ids of project {origin!r}; assets of project {project_id!r} need ids of their"
            " own: .drop(columns='id') has them made."
        )


def _warn_of_losses(rows: _Rows, media: Sequence[Medium], *, is_current: bool) -> None:
    """Say what the server cannot be told, rather than drop it."""
    if is_current and any(status not in {None, "TODO"} for status in rows.statuses):
        warn("This server computes the status of assets itself: the column for 'status' is not sent.")
    if any(medium.upload_type and honeypot for medium, honeypot in zip(media, rows.honeypots, strict=True)):
        warn("Assets that are imported later are no honeypots at first: update 'isHoneypot' when they are there.")


def _chance(count: int, digits: int) -> list[str]:
    """Return texts of hexadecimal digits that nobody else will have; asked of the system at once."""
    text = os.urandom(count * digits // 2).hex()
    return [text[start : start + digits] for start in range(0, len(text), digits)]


def _with_entries(metadata: str, entries: Mapping[str, Any] | None) -> str:
    return metadata if not entries else json.dumps({**json.loads(metadata), **entries}, ensure_ascii=False)
