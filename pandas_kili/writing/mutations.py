"""The changes that rows can become, in both generations of the API: how each is sent, and how it is looked at."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pandas_kili.catalog import APPEND, BATCH_SIZE, DELETE, QUEUE, REVIEW, UPDATE, Mutation
from pandas_kili.connection import Client, find_project, promised, read_back
from pandas_kili.errors import KiliGraphQLError
from pandas_kili.parallel import chunked, in_order
from pandas_kili.writing.account import Result
from pandas_kili.writing.delivery import Target, after_the_work, looks
from pandas_kili.writing.recent import remember

if TYPE_CHECKING:
    from pandas_kili.media import Generation

APPLIED = Result("applied")
_RESET = "shouldResetToBeLabeledBy"


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


def input_type_and_generation(client: Client, project_id: str) -> tuple[str, Generation]:
    """Return what assets of a project are, and the generation of the API: together they say how media are sent."""
    with promised("projects"):
        input_type = str(find_project(client, project_id, "inputType")["inputType"])
    return input_type, "current" if spelling(client, APPEND) == APPEND[0] else "legacy"


class Update:
    """Properties set to values: `payload` is what the server calls AssetData."""

    repeatable = True

    def __init__(self, client: Client, name: str, *, in_order: bool = False) -> None:
        self.client, self.name, self.in_order = client, name, in_order
        self.mutation = spelling(client, UPDATE)

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[Target, Result]]:
        """Send one batch."""
        variables = {
            "whereArray": [{"id": target.asset_id} for target in targets],
            "dataArray": [target.payload for target in targets],
        }
        remember(
            self.client.api_endpoint,
            (target.payload["externalId"] for target in targets if "externalId" in target.payload),
        )
        data = self.client.execute(self.mutation.document, variables, stop=stop)
        with promised(self.mutation.name):
            changed = {asset["id"] for asset in data["data"] or ()}
        yield {target: APPLIED for target in targets if target.asset_id in changed}

    def look(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Return the assets that have the values asked for."""
        names = dict.fromkeys(name for target in targets for name in target.payload if name != _RESET)
        fields = " ".join("toBeLabeledBy { user { email } }" if name == "toBeLabeledBy" else name for name in names)
        shown = read_back(self.client, [target.asset_id for target in targets], f"id {fields}")
        with promised("assets"):
            return {
                target: APPLIED
                for target in targets
                if target.asset_id in shown and _holds(shown[target.asset_id], target.payload)
            }

    def proves(self, _: Target) -> bool:
        """Return False: an asset may have had these values before."""
        return False

    def explain(self, _: Sequence[Target]) -> Mapping[Target, Result]:
        """Return nothing: why the server refuses an update can only be found by trying."""
        return {}


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
    status: str | None  # of an asset that is there; None where there is no asset any more
    unlabeled: Result  # of an asset without a label, which the server leaves where it is
    stayed: Result  # of another asset that a legacy server left where it was


_STAYED = Result("declined", "the server left it where it was")
_GONE = Result("failed", "the asset is not there any more")
AWAY = Destination(
    "delete_many_from_dataset",
    DELETE,
    "id",
    None,
    _GONE,
    Result("failed", "the server took the request, and still shows the asset"),
)
TO_REVIEW = Destination(
    "add_to_review",
    REVIEW,
    "id status latestLabel { id }",
    "TO_REVIEW",
    Result("declined", "it has no label to review"),
    _STAYED,
)
TO_QUEUE = Destination(
    "send_back_to_queue",
    QUEUE,
    "id status latestLabel { id }",
    "ONGOING",
    Result("unchanged", "it has no label, so it is in the queue already"),
    _STAYED,
)


class Move:
    """Assets sent somewhere else: to review, back to the queue, or away."""

    in_order = False
    repeatable = True

    def __init__(self, client: Client, destination: Destination) -> None:
        self.client, self.destination, self.name = client, destination, destination.name
        self.mutation = spelling(client, destination.mutations)
        self.tells_outcomes = self.mutation == destination.mutations[0]

    def look_before(self, targets: Sequence[Target]) -> None:
        """Read where the assets are before they move, so that a later move by a colleague is not undone."""
        if self.destination is AWAY:
            return
        parts = in_order(self._shown, chunked(targets, BATCH_SIZE), workers=self.client.max_workers)
        for part, shown in parts:
            for target in part:
                target.before = shown.get(target.asset_id)

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[Target, Result]]:
        """Send one batch; legacy servers say nothing of single assets, so there it is looked at."""
        variables = {"where": {"idIn": [target.asset_id for target in targets]}}
        data = self.client.execute(self.mutation.document, variables, stop=stop)
        if not self.tells_outcomes:
            with after_the_work():
                seen = self._seen(targets, stop)
            yield seen
            return
        by_id = {target.asset_id: target for target in targets}
        with promised(self.mutation.name):
            response = data["data"] or {}
            moved = {asset["assetId"] for asset in response.get("succeeded") or ()}
        yield {by_id[asset_id]: APPLIED for asset_id in moved & by_id.keys()}
        with after_the_work(), promised(self.mutation.name):
            refused = self._refused(by_id, response, stop)
        yield refused

    def look(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Return the assets that arrived, that cannot go there, or that a colleague moved in the meantime."""
        return self._judged(targets, self._shown(targets), self._fate)

    def proves(self, target: Target) -> bool:
        """Whether the asset was seen elsewhere before."""
        return target.before is not None and self._arrived(target, target.before) is None

    def explain(self, _: Sequence[Target]) -> Mapping[Target, Result]:
        """Return nothing: why the server refuses a move can only be found by trying."""
        return {}

    def _shown(self, targets: Sequence[Target]) -> dict[str, dict[str, Any]]:
        return read_back(self.client, [target.asset_id for target in targets], self.destination.fields)

    def _judged(
        self,
        targets: Sequence[Target],
        shown: Mapping[str, Mapping[str, Any]],
        judge: Callable[[Target, Mapping[str, Any] | None], Result | None],
    ) -> dict[Target, Result]:
        with promised("assets"):
            results = {target: judge(target, shown.get(target.asset_id)) for target in targets}
        return {target: result for target, result in results.items() if result is not None}

    def _arrived(self, _: Target, asset: Mapping[str, Any] | None) -> Result | None:
        """Return the result of an asset that arrived or cannot go there; None where that is open."""
        if asset is None or self.destination.status is None:
            return APPLIED if asset is None and self.destination.status is None else None
        if asset["status"] == self.destination.status:
            return APPLIED
        return None if asset["latestLabel"] else self.destination.unlabeled

    def _fate(self, target: Target, asset: Mapping[str, Any] | None) -> Result | None:
        """Return the result of an asset after a response was lost."""
        arrived = self._arrived(target, asset)
        if arrived is not None or asset is None or target.before in (None, asset):
            return arrived
        return Result(
            "failed", f"outcome unknown: its status is {asset['status']} now, so a colleague moved it in the meantime"
        )

    def _refused(
        self, by_id: Mapping[str, Target], response: Mapping[str, Any], stop: threading.Event
    ) -> dict[Target, Result]:
        """Return what a current server refuses. Such an asset may have arrived, and may show it later."""
        declined = [by_id[asset["assetId"]] for asset in response.get("declined") or () if asset["assetId"] in by_id]
        failed = {
            by_id[asset["assetId"]]: Result("failed", str(asset.get("details") or "the server gave no reason"))
            for asset in response.get("failed") or ()
            if asset["assetId"] in by_id
        }
        refused = [*declined, *failed]
        if not refused:
            return {}
        shown: Mapping[str, Mapping[str, Any]] = {}
        arrived: Mapping[Target, Result] = {}
        for _ in looks(stop, () if failed else (0.0,)):
            shown = self._shown(refused)
            arrived = self._judged(refused, shown, self._arrived)
            if failed.keys() <= arrived.keys():
                break
        reasons = {
            target: Result("declined", f"the server declined it, as its status is {shown[target.asset_id]['status']}")
            if "status" in shown.get(target.asset_id, {})
            else Result("declined", "the server declined it")
            for target in declined
        }
        return {**reasons, **failed, **arrived}

    def _seen(self, targets: Sequence[Target], stop: threading.Event) -> dict[Target, Result]:
        """Look until every asset is accounted for, or patience ends."""
        results: dict[Target, Result] = {}
        waiting, there = list(targets), set[str]()
        for _ in looks(stop):
            shown = self._shown(waiting)
            results |= self._judged(waiting, shown, self._arrived)
            there.update(shown)
            waiting = [target for target in waiting if target not in results]
            if not waiting:
                break
        stayed = self.destination.stayed
        return results | {target: stayed if target.asset_id in there else _GONE for target in waiting}
