"""The changes that rows can become, in both generations of the API: how each is sent, and how it is read back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pandas_kili.catalog import DELETE, QUEUE, REVIEW, UPDATE, Mutation
from pandas_kili.connection import Client, promised, read_back
from pandas_kili.errors import KiliGraphQLError
from pandas_kili.writing.delivery import Target, Verdict, after_the_work, looks

APPLIED = Verdict("applied")


def spelling(client: Client, mutations: Sequence[Mutation]) -> Mutation:
    """Return the first of several spellings of a mutation that the server knows.

    Raises
    ------
    KiliGraphQLError
        Where it knows none.
    """
    known = client.names("Mutation")
    for mutation in mutations:
        if mutation.name in known:
            return mutation
    names = " nor ".join(mutation.name for mutation in mutations)
    raise KiliGraphQLError(f"The server at {client.api_endpoint} has no mutation {names}.", operation=mutations[0].name)


class Update:
    """Properties set to values: `payload` is what the server calls AssetData."""

    def __init__(self, client: Client, name: str = "update_properties_in_assets", *, in_order: bool = False) -> None:
        self.client, self.name, self.in_order = client, name, in_order
        self.mutation = spelling(client, UPDATE)

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[str, Verdict]]:
        """Send one batch."""
        variables = {
            "whereArray": [{"id": target.asset_id} for target in targets],
            "dataArray": [target.payload for target in targets],
        }
        data = self.client.execute(self.mutation.document, variables, stop=stop)
        with promised(self.mutation.name):
            applied = {asset["id"]: APPLIED for asset in data["data"] or ()}
        yield applied

    def settle(self, targets: Sequence[Target]) -> Mapping[str, Verdict]:
        """Return the assets whose properties have the values asked for."""
        names = dict.fromkeys(name for target in targets for name in target.payload if name != _RESET)
        fields = " ".join("toBeLabeledBy { user { email } }" if name == "toBeLabeledBy" else name for name in names)
        shown = read_back(self.client, [target.asset_id for target in targets], f"id {fields}")
        with promised("assets"):
            return {
                target.asset_id: APPLIED
                for target in targets
                if target.asset_id in shown and _holds(shown[target.asset_id], target.payload)
            }


_RESET = "shouldResetToBeLabeledBy"


def _holds(asset: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    return all(_equal(name, asset.get(name), value) for name, value in payload.items() if name != _RESET)


def _equal(name: str, shown: Any, wanted: Any) -> bool:
    if name == "toBeLabeledBy":
        return {user["user"]["email"] for user in shown or ()} == set(wanted)
    if name in {"jsonMetadata", "jsonContent"}:
        return bool(_parsed(shown) == _parsed(wanted))
    return bool(shown == wanted)


def _parsed(text: Any) -> Any:
    try:
        return json.loads(text)
    except (RecursionError, TypeError, ValueError):
        return text


@dataclass(frozen=True, slots=True)
class Destination:
    """Where assets can be sent, and how one tells that they are there."""

    name: str
    mutations: tuple[Mutation, ...]
    fields: str
    judge: Callable[[Mapping[str, Any] | None], Verdict | None]  # of an asset as shown; None where that does not tell
    stayed: Verdict  # of an asset that the seed's servers left where it was


def _judge_deleted(asset: Mapping[str, Any] | None) -> Verdict | None:
    return APPLIED if asset is None else None


def _judge_reviewed(asset: Mapping[str, Any] | None) -> Verdict | None:
    if asset is not None and asset["status"] == "TO_REVIEW":
        return APPLIED
    return None if asset is None or asset["latestLabel"] else Verdict("declined", "it has no label to review")


def _judge_queued(asset: Mapping[str, Any] | None) -> Verdict | None:
    if asset is not None and asset["status"] == "ONGOING":
        return APPLIED
    if asset is None or asset["latestLabel"]:
        return None
    return Verdict("declined", "it has no label, so it is in the queue already")


_KEPT = Verdict("failed", "the server took the request, and still shows the asset")
_LEFT = Verdict("declined", "the server left it where it was")
_GONE = Verdict("failed", "the asset is not there any more")
AWAY = Destination("delete_many_from_dataset", DELETE, "id", _judge_deleted, _KEPT)
TO_REVIEW = Destination("add_to_review", REVIEW, "id status latestLabel { id }", _judge_reviewed, _LEFT)
TO_QUEUE = Destination("send_back_to_queue", QUEUE, "id status latestLabel { id }", _judge_queued, _LEFT)


class Move:
    """Assets sent somewhere else: to review, back to the queue, or away."""

    in_order = False

    def __init__(self, client: Client, destination: Destination) -> None:
        self.client, self.destination, self.name = client, destination, destination.name
        self.mutation = spelling(client, destination.mutations)
        self.tells_outcomes = self.mutation == destination.mutations[0]

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[str, Verdict]]:
        """Send one batch; the seed's servers say nothing of single assets, so there it is read back."""
        variables = {"where": {"idIn": [target.asset_id for target in targets]}}
        data = self.client.execute(self.mutation.document, variables, stop=stop)
        if not self.tells_outcomes:
            with after_the_work():
                seen = self._seen(targets, stop)
            yield seen
            return
        with promised(self.mutation.name):
            answer = data["data"] or {}
            applied = {asset["assetId"]: APPLIED for asset in answer.get("succeeded") or ()}
        yield applied
        with after_the_work(), promised(self.mutation.name):
            refused = self._refused(targets, answer)
        yield refused

    def settle(self, targets: Sequence[Target]) -> Mapping[str, Verdict]:
        """Return the assets that are where they were to go, or that cannot go there."""
        verdicts, _ = self._look(targets)
        return verdicts

    def _look(self, targets: Sequence[Target]) -> tuple[dict[str, Verdict], Collection[str]]:
        """Return the assets whose fate is plain, and which assets there are."""
        shown = read_back(self.client, [target.asset_id for target in targets], self.destination.fields)
        with promised("assets"):
            verdicts = {target.asset_id: self.destination.judge(shown.get(target.asset_id)) for target in targets}
        return {asset_id: verdict for asset_id, verdict in verdicts.items() if verdict is not None}, shown

    def _refused(self, targets: Sequence[Target], answer: Mapping[str, Any]) -> dict[str, Verdict]:
        """Take what today's servers refuse; it may be where it was to go already."""
        refused: dict[str, Verdict] = {}
        for asset in answer.get("declined") or ():
            refused[asset["assetId"]] = Verdict("declined", "the server declined it")
        for asset in answer.get("failed") or ():
            refused[asset["assetId"]] = Verdict("failed", str(asset.get("details") or "the server gave no reason"))
        if refused:
            refused |= self.settle([target for target in targets if target.asset_id in refused])
        return refused

    def _seen(self, targets: Sequence[Target], stop: threading.Event) -> dict[str, Verdict]:
        """Look until every asset is accounted for, or patience ends."""
        verdicts: dict[str, Verdict] = {}
        waiting, there = list(targets), set[str]()
        for _ in looks(stop):
            found, shown = self._look(waiting)
            verdicts |= found
            there.update(shown)
            waiting = [target for target in waiting if target.asset_id not in verdicts]
            if not waiting:
                break
        stayed = self.destination.stayed
        return verdicts | {target.asset_id: stayed if target.asset_id in there else _GONE for target in waiting}
