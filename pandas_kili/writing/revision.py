"""Changes that are compared with what the plan saw, batch by batch, just before they are sent."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pandas_kili.catalog import BATCH_SIZE, LIST_ASSETS
from pandas_kili.connection import Client, promised, read_back
from pandas_kili.json_text import NotJsonError
from pandas_kili.messages import listed, shown
from pandas_kili.writing.account import Result
from pandas_kili.writing.delivery import Target
from pandas_kili.writing.edits import KEPT, KEY, Edit, is_same, metadata_of, payload_of, selection, value_of
from pandas_kili.writing.mutations import APPLIED, AWAY, Move, Update
from pandas_kili.writing.recent import looks_for

HELD_BY_ANOTHER = "another asset of the project has the external id"
_DONE = Result("unchanged", "it is so already")
_GONE = Result("declined", "the asset is not there any more")
_AWAY = Result("unchanged", "it is gone already")


class Revision(Update):
    """Properties set to their new values, where they still are what the plan saw.

    Parameters
    ----------
    freed : set of str
        Assets that gave up their name just now, as a replica may still show it; this change adds its own.
    metadata : dict of str to str
        Where to put, by asset, the metadata that are sent where single keys change.
    """

    def __init__(
        self,
        client: Client,
        project_id: str,
        edits: Mapping[str, Sequence[Edit]],
        plan_id: str,
        *,
        force: bool,
        in_order: bool,
        freed: set[str],
        metadata: dict[str, str],
    ) -> None:
        super().__init__(client, "apply", in_order=in_order)
        self.project_id, self.edits, self.plan_id, self.force = project_id, edits, plan_id, force
        self._sent: set[str] = set()
        self._freed, self._metadata = freed, metadata

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[Target, Result]]:
        """Look at one batch, and send what is still to be done."""
        assets = self._assets(targets)
        results = {target: self._prepared(target, assets.get(target.asset_id)) for target in targets}
        going = [target for target, result in results.items() if result is None]
        results |= self._collisions(going)
        yield {target: result for target, result in results.items() if result is not None}
        going = [target for target in going if results[target] is None]
        if going:
            self._sent.update(target.asset_id for target in going)
            for sent in super().send(going, stop):
                self._freed.update(target.asset_id for target in sent if "externalId" in target.payload)
                yield sent

    def look(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Return the assets that have the new values."""
        assets = self._assets(targets)
        return {
            target: APPLIED
            for target in targets
            if target.asset_id in assets and not self._open(target, assets[target.asset_id])
        }

    def _assets(self, targets: Sequence[Target]) -> dict[str, dict[str, Any]]:
        """Return the assets as they are; those that were made a moment ago may show a little later."""
        fields = selection(str(edit.property) for target in targets for edit in self.edits[target.asset_id])
        ids = [target.asset_id for target in targets]
        assets: dict[str, dict[str, Any]] = {}
        for _ in looks_for(self.client.api_endpoint, ids):
            assets = read_back(self.client, ids, fields, self.project_id)
            if len(assets) == len(ids):
                break
        return assets

    def _open(self, target: Target, asset: Mapping[str, Any]) -> list[Edit]:
        """Return the edits that are still to be made."""
        with promised("assets"):
            return [
                edit
                for edit in self.edits[target.asset_id]
                if not is_same(str(edit.property), value_of(asset, str(edit.property)), edit.after)
            ]

    def _prepared(self, target: Target, asset: Mapping[str, Any] | None) -> Result | None:
        """Load a target with what to send; return the result where that is nothing."""
        if asset is None:
            return _GONE
        edits = self._open(target, asset)
        if not edits:
            return APPLIED if target.asset_id in self._sent else _DONE
        conflicts = [] if self.force else self._conflicts(target, edits, asset)
        if conflicts:
            return Result("declined", f"changed by others since the plan: {listed(conflicts)}")
        try:
            target.payload = payload_of(edits, asset)
        except NotJsonError as error:
            return Result("failed", f"its metadata cannot be merged with: {error}")
        if any(str(edit.property).startswith(KEY) for edit in edits):
            self._metadata[target.asset_id] = target.payload["jsonMetadata"]
        return None

    def _conflicts(self, target: Target, edits: Sequence[Edit], asset: Mapping[str, Any]) -> list[str]:
        """Say which properties are neither what the plan saw nor what it wants, with both values."""
        told = []
        for edit in edits:
            name = str(edit.property)
            now = value_of(asset, name)
            is_ours = name == "externalId" and now == alias(self.plan_id, target.asset_id)
            if not is_ours and not is_same(name, now, edit.before):
                told.append(f"{name} was {shown(edit.before)}, is {shown(now)}, was to become {shown(edit.after)}")
        return told

    def _collisions(self, going: Sequence[Target]) -> dict[Target, Result]:
        """Return the targets with a new external id that another asset keeps."""
        wanted = {target.payload["externalId"]: target for target in going if "externalId" in target.payload}
        if not wanted:
            return {}
        holders = holders_of(self.client, self.project_id, list(wanted))
        refused: dict[Target, Result] = {}
        while True:
            position = {target.asset_id: place for place, target in enumerate(going) if target not in refused}
            frees = {target.asset_id for target in going if target not in refused and "externalId" in target.payload}
            found = [
                (target, holder)
                for name, target in wanted.items()
                if target not in refused
                for holder in holders.get(name, ())
                if holder not in {target.asset_id, *self._freed}
                and not (holder in frees and position[holder] < position[target.asset_id])
            ]
            if not found:
                return refused
            for target, holder in found:
                name = target.payload["externalId"]
                refused[target] = Result("declined", f"{HELD_BY_ANOTHER} {shown(name)} now: {holder}")


class Withdrawal(Move):
    """Assets deleted, where they still are what the plan saw."""

    def __init__(
        self,
        client: Client,
        project_id: str,
        edits: Mapping[str, Sequence[Edit]],
        plan_id: str,
        *,
        force: bool,
    ) -> None:
        super().__init__(client, AWAY)
        self.project_id, self.edits, self.plan_id, self.force = project_id, edits, plan_id, force
        self._sent: set[str] = set()

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[Target, Result]]:
        """Look at one batch, and delete what is as it was planned."""
        ids = [target.asset_id for target in targets]
        assets = read_back(self.client, ids, selection(KEPT), self.project_id)
        with promised("assets"):
            results = {target: self._refused_now(target, assets.get(target.asset_id)) for target in targets}
        yield {target: result for target, result in results.items() if result is not None}
        going = [target for target, result in results.items() if result is None]
        if going:
            self._sent.update(target.asset_id for target in going)
            yield from super().send(going, stop)

    def _refused_now(self, target: Target, asset: Mapping[str, Any] | None) -> Result | None:
        if asset is None:
            return APPLIED if target.asset_id in self._sent else _AWAY
        (edit,) = self.edits[target.asset_id]
        told = []
        for name in () if self.force else KEPT:
            now, before = value_of(asset, name), edit.before.get(name)
            is_ours = name == "externalId" and now == alias(self.plan_id, target.asset_id)
            if name == "jsonMetadata":  # Kili adds how it imported a video
                now, before = ({**metadata_of(one), "processingParameters": None} for one in (now, before))
            if name in edit.before and not is_ours and not is_same(name, now, before):
                told.append(f"{name} was {shown(before)}, is {shown(now)}")
        return Result("declined", f"changed by others since the plan: {listed(told)}") if told else None


def alias(plan_id: str, asset_id: str) -> str:
    """Return the temporary external id of an asset while a plan is applied: the same each time."""
    return f"pandas_kili-{plan_id}-{asset_id}"


def holders_of(client: Client, project_id: str, external_ids: Sequence[str]) -> dict[str, list[str]]:
    """Return the ids of the assets that have these external ids, at most a batch of them."""
    where = {"project": {"id": project_id}, "externalIdStrictlyIn": list(external_ids)}
    data = client.execute(LIST_ASSETS % "id externalId", {"where": where, "first": BATCH_SIZE, "skip": 0})
    found: dict[str, list[str]] = defaultdict(list)
    with promised("assets"):
        for asset in data["data"]:
            found[asset["externalId"]].append(asset["id"])
    return found
