"""Answers, read: from the JSON text of a label to rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pandas_kili.tidy.answers.geometry import is_number
from pandas_kili.tidy.answers.json_values import (
    are_objects,
    decode,
    first_category,
    holds_objects,
    is_frame,
    is_said,
    is_whole,
    kind_of,
)
from pandas_kili.tidy.answers.rows import Place, Rows
from pandas_kili.tidy.answers.schema import ANNOTATION, CATEGORY, CHOICE, JOB, LABEL, RANK, TEXT, UNREADABLE
from pandas_kili.tidy.answers.shapes import READERS, RELATIONS, task_of

ASSET_LEVEL = "assetLevel"  # where an answer about a video keeps what is said of all of it
EMPTY_FRAMES = "emptyFrames"

_RELATION_TASKS = {task for _, task in RELATIONS.values()}
_PAYLOADS = ("annotations", "categories", "orders", "choice", "text")


class AnswerReader:
    """Reads answers one after another, and holds their rows as columns.

    Parameters
    ----------
    tasks : mapping of str to str
        ML task by job, where the interface of the project is known.
    """

    def __init__(self, tasks: Mapping[str, str] | None = None) -> None:
        self.tasks = tasks
        self.rows = Rows()
        self.counts: list[int] = []

    def read(self, text: str | None) -> None:
        """Read one answer; whatever it holds, at least one row comes of it."""
        rows = self.rows
        rows.first = rows.length
        try:
            self._answer(decode(text))
        except (ValueError, RecursionError) as error:
            if rows.length == rows.first:
                rows.add(UNREADABLE, None, rows.top)
            rows.kinds[rows.first] = UNREADABLE
            rows.put("problem", rows.first, f"the answer cannot be read: {error}")
        self.counts.append(rows.length - rows.first)

    def arrays(self) -> dict[str, pa.Array]:
        """Return the columns that have values."""
        return self.rows.arrays()

    def _answer(self, answer: dict[str, Any]) -> None:
        rows = self.rows
        empty: list[list[int]] = []
        for key, value in answer.items():
            if is_frame(key, value):
                if value:
                    self._jobs(value, rows.new_place(frame=int(key)))
                else:
                    _note_frame(empty, int(key))
            elif key == ASSET_LEVEL and value and holds_objects(value):
                self._jobs(value, rows.new_place(level=key))
            else:
                self._job(key, value, rows.top)
        if empty:
            rows.keep(rows.add(LABEL, None, rows.top), {EMPTY_FRAMES: empty})
        elif not answer:
            rows.add(LABEL, None, rows.top)

    def _jobs(self, jobs: dict[str, Any], place: Place) -> None:
        for job, body in jobs.items():
            self._job(job, body, place)

    def _job(self, job: str, body: Any, place: Place) -> None:
        rows = self.rows
        begin = rows.length
        if type(body) is dict:
            self._payloads(job, body, place)
        else:
            reason = f"job {job!r} holds {kind_of(body)} where an object is expected"
            rows.keep(rows.add(JOB, job, place), body, reason)
        if self.tasks is not None and job not in self.tasks:
            rows.put("problem", begin, f"the interface of the project has no job {job!r}")

    def _payloads(self, job: str, body: dict[str, Any], place: Place) -> None:
        rest: dict[str, Any] = {}
        begin = self.rows.length
        chosen: list[int] = []
        for key, value in body.items():
            if key == "annotations" and are_objects(value):
                for item in value:
                    self._annotation(item, job, place)
            elif (found := self._chosen(key, value, job, place)) is not None:
                chosen += found
            else:
                rest[key] = value
        if chosen and type(rest.get("isKeyFrame")) is bool:
            flag = rest.pop("isKeyFrame")
            for row in chosen:
                self.rows.put("isKeyFrame", row, flag)
        if rest or self.rows.length == begin:
            self._rest_of_job(job, rest, body, place)

    def _chosen(self, key: str, value: Any, job: str, place: Place) -> list[int] | None:
        """Read what a job holds other than annotations, as rows; None for what is nothing of the kind."""
        if key == "categories" and are_objects(value):
            return [self._category(item, job, place) for item in value]
        if key == "orders" and are_objects(value):
            return [self._order(item, job, place) for item in value]
        if key == "choice" and type(value) is dict:
            return [self._choice(value, job, place)]
        if key == "text" and type(value) is str:
            return [self._transcription(value, job, place)]
        return None

    def _rest_of_job(self, job: str, rest: dict[str, Any], body: dict[str, Any], place: Place) -> None:
        rows = self.rows
        row = rows.add(JOB, job, place)
        self._task(row, job, None)
        children = self._children(row, rest)
        odd = [key for key in _PAYLOADS if is_said(rest.get(key))]
        if rest:
            rows.keep(row, rest, f"{odd[0]!r} of job {job!r} holds {kind_of(rest[odd[0]])}" if odd else None)
        if children:
            categories = body.get("categories")
            only = first_category(categories) if type(categories) is list and len(categories) == 1 else None
            self._jobs(children, rows.below(row, place, category=only))

    def _task(self, row: int, job: str, found: str | None) -> None:
        task = found if self.tasks is None or found in _RELATION_TASKS else self.tasks.get(job, found)
        if task is not None:
            self.rows.put("mlTask", row, task)

    def _children(self, row: int, rest: dict[str, Any]) -> dict[str, Any] | None:
        """Take the children out of what is left of an object, where they are jobs."""
        children = rest.get("children")
        if type(children) is not dict:
            if is_said(children):
                self.rows.put("problem", row, f"'children' holds {kind_of(children)} where an object is expected")
            return None
        del rest["children"]
        self.rows.put("hasChildren", row, bool(children))
        return children

    def _annotation(self, item: dict[str, Any], job: str, place: Place) -> None:
        rows = self.rows
        row, task = rows.add(ANNOTATION, job, place), task_of(item)
        rest: dict[str, Any] = {}
        for key, value in item.items():
            reader = READERS.get(key)
            foreign = key in RELATIONS and RELATIONS[key][1] != task
            if reader is None or foreign or not reader(rows, row, value):
                rest[key] = value
        self._task(row, job, task)
        children = self._children(row, rest)
        if rest:
            odd = [key for key in rest if key in READERS and is_said(rest[key]) and not self._shows(key, row)]
            problem = f"{odd[0]!r} of an annotation of job {job!r} is of an unknown structure" if odd else None
            rows.keep(row, rest, problem)
        if children:
            mid = item.get("mid")
            below = rows.below(
                row, place, mid=mid if type(mid) is str else None, category=first_category(item.get("categories"))
            )
            self._jobs(children, below)

    def _shows(self, key: str, row: int) -> bool:
        """Return whether columns show what a key holds, although they do not hold all of it."""
        if key in {"boundingPoly", "annotations"}:
            return self.rows.rings.rows[-1:] == [row]
        column = {"categories": "category", "points": "points"}.get(key)
        return column is not None and self.rows.is_latest(column, row)

    def _category(self, item: dict[str, Any], job: str, place: Place) -> int:
        rows = self.rows
        row, rest, name = rows.add(CATEGORY, job, place), dict(item), item.get("name")
        self._task(row, job, "CLASSIFICATION")
        if type(name) is str:
            rows.put("category", row, rest.pop("name"))
        else:
            rows.put("problem", row, f"a category of job {job!r} has no name")
        if "confidence" in item and is_number(item["confidence"]):
            rows.put("confidence", row, rest.pop("confidence"))
        children = self._children(row, rest)
        if rest:
            rows.keep(row, rest)
        if children:
            self._jobs(children, rows.below(row, place, category=name if type(name) is str else None))
        return row

    def _transcription(self, value: str, job: str, place: Place) -> int:
        row = self.rows.add(TEXT, job, place)
        self._task(row, job, "TRANSCRIPTION")
        self.rows.put("text", row, value)
        return row

    def _choice(self, value: dict[str, Any], job: str, place: Place) -> int:
        row, rest = self.rows.add(CHOICE, job, place), dict(value)
        self._task(row, job, "COMPARISON")
        for key, column in (("code", "category"), ("firstId", "firstId"), ("secondId", "secondId")):
            if type(rest.get(key)) is str:
                self.rows.put(column, row, rest.pop(key))
        if rest:
            self.rows.keep(row, rest)
        return row

    def _order(self, value: dict[str, Any], job: str, place: Place) -> int:
        row, rest = self.rows.add(RANK, job, place), dict(value)
        self._task(row, job, "RANKING")
        elements = rest.get("elements")
        if is_whole(rest.get("rank")):
            self.rows.put("rank", row, rest.pop("rank"))
        if type(elements) is list and all(type(element) is str for element in elements):
            self.rows.put("elements", row, rest.pop("elements"))
        if rest:
            self.rows.keep(row, rest)
        return row


def _note_frame(runs: list[list[int]], frame: int) -> None:
    """Note a frame without jobs, as part of a run of them where it follows one."""
    if runs and runs[-1][1] == frame - 1:
        runs[-1][1] = frame
    else:
        runs.append([frame, frame])
