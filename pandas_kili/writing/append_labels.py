"""New labels from the rows of a frame: ground truth, predictions, reviews."""

from __future__ import annotations

import json
import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from pandas_kili.catalog import APPEND_LABELS, BATCH_SIZE, LABEL_TYPES
from pandas_kili.connection import Client, current_user, promised, read_back
from pandas_kili.errors import KiliValidationError
from pandas_kili.parallel import in_order
from pandas_kili.writing.cells import require_column
from pandas_kili.writing.delivery import Account, Target, Verdict, looks, rows_of
from pandas_kili.writing.identity import Identity, resolve
from pandas_kili.writing.mutations import APPLIED, spelling
from pandas_kili.writing.work import Options, Work

_THERE = Verdict("declined", "the asset has this very label already")


@dataclass(frozen=True, slots=True)
class Kind:
    """What all labels of one call have in common."""

    label_type: str
    model_name: str | None


def append_labels(
    frame: pd.DataFrame, answers: Hashable, seconds: Hashable | None, kind: Kind, options: Options
) -> pd.DataFrame:
    """Give the asset of each row a label."""
    _check(kind)
    work = Work(frame, options)
    for label in (answers, seconds):
        if label is not None:
            require_column(frame, label)
    if not len(frame):
        return work.unchanged()
    texts = work.columns.read("jsonResponse", answers)
    times = work.columns.read("secondsToLabel", seconds) if seconds is not None else [None] * len(frame)
    missing = [row for row, text in enumerate(texts) if text is None and work.columns.fits("jsonResponse", row)]
    work.columns.problem(missing, answers, [None] * len(missing), "expected an answer")
    identity = work.identify(repeated=True)
    work.columns.check()
    resolve(work.columns, identity, work.client, work.project_id, repeated=True)
    targets = [_target(row, identity, texts[row], times[row]) for row in range(len(frame))]
    _refuse_equal(work, targets, answers)
    account = Account(len(frame))
    change = Labelling(work.client, kind)
    there = change.present(targets)
    account.note(rows_of(target for target in targets if target.asset_id in there), _THERE)
    open_targets = [target for target in targets if target.asset_id not in there]
    return work.deliver(change, identity, open_targets, {}, account=account)


class Labelling:
    """Labels appended. They have no id of our making: one is known by its asset, type, model, author and answer."""

    in_order = False
    name = "append_labels"

    def __init__(self, client: Client, kind: Kind) -> None:
        self.client, self.kind = client, kind
        self.mutation = spelling(client, (APPEND_LABELS,))
        self.author_id = current_user(client, "id")
        self.url = " jsonResponseUrl" if "jsonResponseUrl" in client.names("Label") else ""

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[str, Verdict]]:
        """Send one batch."""
        data = {"labelType": self.kind.label_type, "labelsData": [self._item(target) for target in targets]}
        ids = list(dict.fromkeys(target.payload["assetID"] for target in targets))
        variables = {"data": data, "where": {"idIn": ids}}
        answer = self.client.execute(self.mutation.document, variables, stop=stop)
        with promised(self.mutation.name):
            is_complete = len([label["id"] for label in answer["data"] or ()]) == len(targets)
        if is_complete:
            yield {target.asset_id: APPLIED for target in targets}
        else:
            yield self.settle(targets)

    def settle(self, targets: Sequence[Target]) -> Mapping[str, Verdict]:
        """Return the labels that are there; those that are not may show after some seconds, so look again."""
        found: set[str] = set()
        for _ in looks():
            found |= self.present([target for target in targets if target.asset_id not in found])
            if len(found) == len(targets):
                break
        return dict.fromkeys(found, APPLIED)

    def present(self, targets: Sequence[Target]) -> set[str]:
        """Return the keys of the targets whose asset has their label."""
        parts = [targets[start : start + BATCH_SIZE] for start in range(0, len(targets), BATCH_SIZE)]
        results = in_order(self._present, parts, workers=self.client.max_workers)
        return {key for _, keys in results for key in keys}

    def _present(self, targets: Sequence[Target]) -> list[str]:
        ids = list(dict.fromkeys(target.payload["assetID"] for target in targets))
        fields = f"id labels {{ labelType modelName jsonResponse{self.url} author {{ id }} }}"
        shown = read_back(self.client, ids, fields)
        with promised("assets"):
            answers = {asset_id: list(self._answers(asset["labels"])) for asset_id, asset in shown.items()}
        return [
            target.asset_id
            for target in targets
            if json.loads(target.payload["jsonResponse"]) in answers.get(target.payload["assetID"], [])
        ]

    def _answers(self, labels: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
        """Yield the answers of the labels of our kind."""
        for label in labels:
            model = label.get("modelName") or None
            if (label["labelType"], model, label["author"]["id"]) != (*self._kind(), self.author_id):
                continue
            url = label.get("jsonResponseUrl")
            text = self.client.get(url) if url else label["jsonResponse"]
            try:
                yield json.loads(text)
            except (RecursionError, TypeError, ValueError):
                continue  # an answer that is no JSON is not one of ours

    def _kind(self) -> tuple[str, str | None]:
        return self.kind.label_type, self.kind.model_name

    def _item(self, target: Target) -> dict[str, Any]:
        return target.payload | ({"modelName": self.kind.model_name} if self.kind.model_name else {})


def _check(kind: Kind) -> None:
    if not isinstance(kind.label_type, str) or kind.label_type not in LABEL_TYPES:
        raise KiliValidationError(f"label_type is one of {', '.join(LABEL_TYPES)}; got {kind.label_type!r}.")
    if kind.model_name is not None and not isinstance(kind.model_name, str):
        raise KiliValidationError(f"model_name is text; got a {type(kind.model_name).__name__}.")
    if kind.label_type in {"PREDICTION", "INFERENCE"} and not kind.model_name:
        raise KiliValidationError(f"A {kind.label_type} needs model_name=, to say whose it is.")


def _target(row: int, identity: Identity, text: str, seconds: float | None) -> Target:
    """Return the label of a row, under a key of its own: an asset may get several."""
    payload: dict[str, Any] = {"assetID": identity.ids[row], "jsonResponse": text}
    if seconds is not None:
        payload["secondsToLabel"] = seconds
    return Target(f"{identity.ids[row]} {row}", [row], payload, len(text))


def _refuse_equal(work: Work, targets: Sequence[Target], answers: Hashable) -> None:
    """Refuse a label that an earlier row gives already: nothing would tell the two apart."""
    seen: set[tuple[str, str]] = set()
    rows: list[int] = []
    for target in targets:
        answer = json.dumps(json.loads(target.payload["jsonResponse"]), sort_keys=True)
        if (target.payload["assetID"], answer) in seen:
            rows += target.rows
        seen.add((target.payload["assetID"], answer))
    cells = [work.frame[answers].iloc[row] for row in rows]
    work.columns.problem(rows, answers, cells, "an earlier row gives this asset the same label")
    work.columns.check()
