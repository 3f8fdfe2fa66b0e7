"""New assets from the rows of a frame."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError as Cancelled
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from pandas_kili.catalog import APPEND, APPEND_LATER
from pandas_kili.connection import promised, read_back
from pandas_kili.errors import KiliError, KiliGraphQLError, KiliValidationError
from pandas_kili.frames import KiliFrame
from pandas_kili.media import ContentIs, Generation, Medium, Stored, Uploads, check_license, wait_for_import
from pandas_kili.messages import shown, warn
from pandas_kili.progress import progress_bar
from pandas_kili.writing.account import Result
from pandas_kili.writing.cells import Columns, require_column, require_property
from pandas_kili.writing.delivery import Target, after_the_work, looks
from pandas_kili.writing.identity import find_external_ids
from pandas_kili.writing.mutations import APPLIED, input_type_and_generation, spelling
from pandas_kili.writing.new_assets import IfExists, NewAssets
from pandas_kili.writing.presence import TAKEN, Presence, tell_of_twins
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
            return work.rendered(Effect(identified=identified))
        if "id" in labels:
            identified[labels["id"]] = "id"
        project_id = work.need_project_id("to say where the assets are to go")
        _refuse_foreign_ids(work, named, labels, project_id)
        rows = NewAssets(work.columns, labels)
        input_type, generation = input_type_and_generation(work.client, project_id)
        media = rows.media(input_type, content_is, generation)
        rows.check(if_exists)
        open_rows = Presence(work, project_id, rows, if_exists).settle()
        if any(media[row].is_local for row in open_rows):
            check_license(work.client)
        _warn_of_losses(rows, media, generation)
        targets = [] if options.dry_run else rows.targets(open_rows, media, work.identity)
        size = sum(media[row].size for row in open_rows)
        disable = options.disable_tqdm if size and not options.dry_run else True
        with progress_bar("upload", total=size, unit="B", disable=disable) as bar:
            change = Append(work, project_id, media, targets, bar, if_exists)
            out = work.deliver(change, targets, Effect({}, identified, project_id))
        if if_exists == "skip":
            tell_of_twins(work, project_id)
        return out


class Append:
    """New assets, under ids that this package makes. The project keeps them in the order in which they are sent."""

    in_order = True
    repeatable = True
    name = "append_many_to_dataset"

    def __init__(
        self,
        work: Work,
        project_id: str,
        media: Sequence[Medium],
        targets: Sequence[Target],
        bar: tqdm[Any],
        if_exists: IfExists,
    ) -> None:
        self.client, self.identity, self.project_id, self.if_exists = work.client, work.identity, project_id, if_exists
        # Of all rows. Payloads hold plain values only, so that the garbage collector does not walk them.
        self.media, self.targets, self.bar = media, targets, bar
        self.mutation = spelling(self.client, APPEND)
        self.is_current = self.mutation == APPEND[0]
        self._is_patient = True  # whether names taken a moment ago may explain a refusal, though no replica shows them
        # Files of later batches are stored while one is registered; but an import that ends after its response may take
        # longer than the signatures of URLs last.
        self._stores_ahead = not any(medium.upload_type for medium in media)
        self._uploads: Uploads | None = None
        self._stored: dict[Target, Stored] = {}  # files of the batch that is under way, so that none is stored twice

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[Target, Result]]:
        """Store the files of one batch, then register what was stored, by the mutations that take it."""
        fresh = [target for target in targets if target not in self._stored]
        if fresh:  # else these are parts of the last batch
            self._stored = {target: self._stored[target] for target in targets if target in self._stored}
        if self._uploads is None or (fresh and not self._stores_ahead):
            coming = self.targets if self._stores_ahead else fresh
            media = {target.asset_id: self.media[target.rows[0]] for target in coming}
            self._uploads = Uploads(self.client, self.project_id, media, bar=self.bar, stop=stop)
        results = self._uploads.results([target.asset_id for target in fresh])
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
        """Return True: this package made the id, so no other asset has it."""
        return True

    def explain(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Return the rows with an external id that another process took in the meantime."""
        names = [target.payload["externalId"] for target in targets]
        result = Result("unchanged" if self.if_exists == "skip" else "failed", TAKEN)
        taken: list[Target] = []
        for _ in looks() if self._is_patient else looks(pauses=(0.0,)):
            holders = find_external_ids(self.client, self.project_id, names)
            taken = [one for one in targets if {*holders.get(one.payload["externalId"], ())} - {one.asset_id}]
            if taken:
                break
        self._is_patient = bool(taken)
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
        response = self.client.execute(mutation.document, variables, stop=stop)
        if self.is_current and upload_type is None:
            with promised(mutation.name):
                made = {asset["id"] for asset in response["data"] or ()}
            return {target: APPLIED for target in targets if target.asset_id in made}
        if self.is_current:
            with promised(mutation.name):
                notification_id = response["data"]["id"]
            self._wait(notification_id, stop)
        is_told_at_once = self.is_current or upload_type is None
        with after_the_work():
            return self._seen(targets, stop, () if is_told_at_once else _LATER)

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
        return data if self.is_current else data | {"statusArray": [target.payload["status"] for target, _ in assets]}

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


def _labels(columns: Columns, named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the column of each property: the one named, else the one with the property's name."""
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


def _warn_of_losses(rows: NewAssets, media: Sequence[Medium], generation: Generation) -> None:
    """Warn of what this server does not take."""
    if generation == "current" and any(status not in {None, "TODO"} for status in rows.statuses):
        warn("This server computes the status of assets itself: the column for 'status' is not sent.")
    if any(medium.upload_type and honeypot for medium, honeypot in zip(media, rows.honeypots, strict=True)):
        warn("Assets that are imported later are no honeypots at first: update 'isHoneypot' when they are there.")
