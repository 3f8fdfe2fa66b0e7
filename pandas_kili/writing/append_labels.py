"""New labels from the rows of a frame: ground truth, predictions, reviews."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pandas_kili import scalars
from pandas_kili.catalog import APPEND_LABELS, BATCH_SIZE, LABEL_TYPES
from pandas_kili.connection import Client, current_user, find_project, promised, read_back
from pandas_kili.errors import KiliValidationError
from pandas_kili.frames import KiliFrame
from pandas_kili.messages import shown
from pandas_kili.parallel import chunked, in_order
from pandas_kili.tidy import SUBMITTED, answer_misfits, jobs_of
from pandas_kili.writing.account import Result
from pandas_kili.writing.cells import require_column
from pandas_kili.writing.delivery import Target
from pandas_kili.writing.mutations import APPLIED, spelling
from pandas_kili.writing.work import Effect, Options, Work

_THERE = Result("unchanged", "the asset has this very label already")
_TWICE = "a request that was given up came through later, so the label is there %d times"


@dataclass(frozen=True, slots=True)
class LabelKind:
    """What all labels of one call have in common."""

    label_type: str
    model_name: str | None

    def __post_init__(self) -> None:
        if not isinstance(self.label_type, str) or self.label_type not in LABEL_TYPES:
            raise KiliValidationError(f"label_type is one of {', '.join(LABEL_TYPES)}; got {shown(self.label_type)}.")
        if self.model_name is not None:
            try:
                scalars.text(self.model_name)
            except (TypeError, ValueError) as error:
                raise KiliValidationError(f"model_name: {error}.") from None
        if self.label_type in {"PREDICTION", "INFERENCE"} and not self.model_name:
            raise KiliValidationError(f"A {self.label_type} needs model_name=, the model that made it.")


AnswerCheck = Literal["interface", "shape", False]
_URL = re.compile(r"[a-z]+://\S+$")
_CHECKS = ("interface", "shape", False)


def append_labels(
    frame: pd.DataFrame,
    answers: Hashable,
    seconds: Hashable | None,
    kind: LabelKind,
    options: Options,
    check: AnswerCheck = "interface",
) -> KiliFrame:
    """Give the asset of each row a label."""
    if not isinstance(check, str | bool) or check not in _CHECKS:
        raise KiliValidationError(f"check is 'interface', 'shape' or False; got {shown(check)}.")
    for label in (answers, seconds):
        if label is not None:
            require_column(frame, label)
    with Work(frame, options, LabelAppend.name) as work:
        if not len(frame):
            return work.rendered()
        texts = work.columns.read("jsonResponse", answers)
        times = work.columns.read("secondsToLabel", seconds) if seconds is not None else [None] * len(frame)
        missing = [row for row, text in enumerate(texts) if text is None and work.columns.fits("jsonResponse", row)]
        work.columns.problem(missing, answers, [None] * len(missing), "expected an answer")
        assets = work.targets(repeated=True)
        targets = sorted(
            (
                Target(asset.asset_id, (row,), _payload(asset.asset_id, texts[row], times[row]), len(texts[row]))
                for asset in assets
                for row in asset.rows
            ),
            key=lambda target: target.rows[0],
        )
        _refuse_equal(work, targets, answers)
        if check:
            _check_answers(work, texts, answers, kind, check)
        change = LabelAppend(work.client, kind)
        there = change.look_before(targets)
        work.account.note([target.rows[0] for target in there], _THERE)
        return work.deliver(change, [target for target in targets if target not in there], Effect())


class LabelAppend:
    """Labels appended.

    The server makes their ids, so a new label is recognized by two facts: its id was not there when the write began,
    and it has the asset, type, model, author and answer that were sent. Servers may complete answers, for instance with
    ``"confidence": 100``.
    """

    in_order = False
    repeatable = False
    name = "append_labels"

    def __init__(self, client: Client, kind: LabelKind) -> None:
        self.client, self.kind = client, kind
        self.mutation = spelling(client, (APPEND_LABELS,))
        self.author_id = current_user(client, "id")
        self.url = " jsonResponseUrl" if "jsonResponseUrl" in client.names("Label") else ""
        self._known: set[str] = set()  # ids of labels that are not of this write

    def look_before(self, targets: Sequence[Target]) -> set[Target]:
        """Remember which labels there are, and return the targets that have their label already."""
        there: set[Target] = set()
        parts = in_order(self._shown, chunked(targets, BATCH_SIZE), workers=self.client.max_workers)
        for part, labels in parts:
            self._known |= {label_id for known in labels.values() for label_id, _ in known}
            there |= self._matched(part, labels).keys()
        return there

    def send(self, targets: Sequence[Target], stop: threading.Event) -> Iterator[Mapping[Target, Result]]:
        """Send one batch."""
        common = {"modelName": self.kind.model_name} if self.kind.model_name else {}
        data = {"labelType": self.kind.label_type, "labelsData": [target.payload | common for target in targets]}
        ids = list(dict.fromkeys(target.asset_id for target in targets))
        variables = {"data": data, "where": {"idIn": ids}}
        answer = self.client.execute(self.mutation.document, variables, stop=stop)
        with promised(self.mutation.name):
            made = len([label["id"] for label in answer["data"] or ()])
        if made == len(targets):
            yield dict.fromkeys(targets, APPLIED)

    def look(self, targets: Sequence[Target]) -> Mapping[Target, Result]:
        """Return the targets that have a new label with their answer."""
        labels = {
            asset_id: [label for label in known if label[0] not in self._known]
            for asset_id, known in self._shown(targets).items()
        }
        return {
            target: APPLIED if len(ids) == 1 else Result("applied", _TWICE % len(ids))
            for target, ids in self._matched(targets, labels).items()
        }

    def proves(self, _: Target) -> bool:
        """Return True: the label was not there before."""
        return True

    def explain(self, _: Sequence[Target]) -> Mapping[Target, Result]:
        """Return nothing: why the server refuses labels can only be found by trying."""
        return {}

    def _matched(
        self, targets: Sequence[Target], labels: Mapping[str, Sequence[tuple[str, Any]]]
    ) -> dict[Target, list[str]]:
        """Return the ids of the labels that hold the answer of each target, where there are any.

        An answer that holds another one is matched first, and no label counts for two targets.
        """
        found: dict[Target, list[str]] = {}
        taken: set[str] = set()
        for target in sorted(targets, key=lambda target: -target.weight):
            answer = json.loads(target.payload["jsonResponse"])
            ids = [
                label_id
                for label_id, known in labels.get(target.asset_id, ())
                if label_id not in taken and _holds(known, answer)
            ]
            if ids:
                found[target] = ids
                taken.update(ids)
        return found

    def _shown(self, targets: Sequence[Target]) -> dict[str, list[tuple[str, Any]]]:
        """Return id and answer of the labels of our kind, by asset."""
        ids = list(dict.fromkeys(target.asset_id for target in targets))
        fields = f"id labels {{ id labelType modelName jsonResponse{self.url} author {{ id }} }}"
        assets = read_back(self.client, ids, fields)
        with promised("assets"):
            return {asset_id: list(self._answers(asset["labels"])) for asset_id, asset in assets.items()}

    def _answers(self, labels: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
        for label in labels:
            model = label.get("modelName") or None
            kind = label["labelType"], model, label["author"]["id"]
            if kind != (self.kind.label_type, self.kind.model_name, self.author_id):
                continue
            url = label.get("jsonResponseUrl")
            text = self.client.get(url) if url else label["jsonResponse"]
            try:
                yield str(label["id"]), json.loads(text)
            except (RecursionError, TypeError, ValueError):
                yield str(label["id"]), None  # an answer that is no JSON is not one of ours


def _holds(known: Any, sent: Any) -> bool:
    """Whether an answer as shown is the one that was sent; servers complete objects with plain or empty values."""
    if isinstance(sent, dict):
        if not isinstance(known, dict) or not sent.keys() <= known.keys():
            return False
        added = [known[name] for name in known.keys() - sent.keys()]
        is_completed = not any(isinstance(value, (dict, list)) and value for value in added)
        return is_completed and all(_holds(known[name], sent[name]) for name in sent)
    if isinstance(sent, list):
        pairs = isinstance(known, list) and len(known) == len(sent)
        return pairs and all(_holds(one, other) for one, other in zip(known, sent, strict=True))
    return bool(known == sent) and isinstance(known, bool) == isinstance(sent, bool)


def _payload(asset_id: str, text: str, seconds: float | None) -> dict[str, Any]:
    payload: dict[str, Any] = {"assetID": asset_id, "jsonResponse": text}
    return payload if seconds is None else payload | {"secondsToLabel": seconds}


def _check_answers(
    work: Work, texts: Sequence[str], answers: Hashable, kind: LabelKind, check: Literal["interface", "shape"]
) -> None:
    """Hold answers to the project's interface, or where that is not to be read, to what every answer must be."""
    project: Mapping[str, Any] = {}
    if check == "interface" and work.project_id is not None:
        project = find_project(work.client, work.project_id, "inputType jsonInterface")
    contents: list[Any] | None = None
    if project.get("inputType") == "TEXT" and "content" in work.frame:
        contents = [cell if _is_text(cell) else None for cell in work.columns.cells("content")]
    misfits = answer_misfits(
        texts,
        jobs_of(project.get("jsonInterface") or "{}") or None,
        is_whole=kind.label_type in SUBMITTED,
        coordinates="degrees" if project.get("inputType") == "GEOSPATIAL" else "shares",
        texts=contents,
    )
    for misfit in misfits:
        at = f" ({misfit.path})" if misfit.path else ""
        work.columns.problem([misfit.answer], answers, [misfit.value], f"{misfit.check}{at}")
    work.columns.check()


def _is_text(content: Any) -> bool:
    """Whether a cell holds the text of an asset, and not its URL or the file that `download_media` wrote."""
    if not isinstance(content, str) or _URL.match(content):
        return False
    try:
        return not Path(content).is_file()
    except OSError:  # longer than the name of any file
        return True


def _refuse_equal(work: Work, targets: Sequence[Target], answers: Hashable) -> None:
    """Refuse a label that an earlier row gives already: nothing would tell the two apart."""
    seen: set[tuple[str, str]] = set()
    rows: list[int] = []
    for target in targets:
        answer = json.dumps(json.loads(target.payload["jsonResponse"]), sort_keys=True)
        if (target.asset_id, answer) in seen:
            rows += target.rows
        seen.add((target.asset_id, answer))
    cells = [work.frame[answers].iloc[row] for row in rows]
    work.columns.problem(rows, answers, cells, "an earlier row gives this asset the same label")
    work.columns.check()
