"""Answers taken apart: which of their values become rows, in which order, and where each of them stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pandas_kili.tidy.answers.json_values import (
    are_objects,
    decode,
    first_category,
    holds_objects,
    is_frame,
    is_said,
    kind_of,
)
from pandas_kili.tidy.answers.schema import ANNOTATION, CATEGORY, CHOICE, JOB, LABEL, RANK, TEXT, UNREADABLE

ASSET_LEVEL = "assetLevel"  # where an answer about a video keeps what is said of all of it
EMPTY_FRAMES = "emptyFrames"
ROTATION_JOB = "ROTATION_JOB"  # says by how much the picture was turned when people drew on it

_PAYLOADS = ("annotations", "categories", "orders", "choice", "text")
_TURNS = (90, 180, 270)
_CLASSES = frozenset({dict, str})


class Place(NamedTuple):
    """Where jobs stand within an answer."""

    frame: int | None = None
    level: str | None = None
    parent: int | None = None
    point: int | None = None
    mid: str | None = None
    job: str | None = None
    categories: tuple[str, ...] | None = None


class Slot(NamedTuple):
    """What rows have in common that one job of one place gives."""

    kind: str
    job: str | None
    place: Place


TOP = Place()


class Walk:
    """Rows of answers, one after another.

    Parameters
    ----------
    jobs : mapping or None
        The jobs of the project's interface, by their names, where it is known.

    Attributes
    ----------
    nodes : list
        The JSON value of each row.
    slots : list of Slot
        What rows have in common.
    slot_of : list of int
        Position of the slot of each row.
    counts : list of int
        Number of rows of each answer.
    key_frames : list of tuple
        Rows of which their job says whether they were drawn, and what it says.
    turns : list of int or None
        By how many degrees the picture of each answer was turned.
    problems : dict of int to str
        What could not be understood, by row.
    """

    def __init__(self, jobs: Mapping[str, Any] | None = None) -> None:
        self.nodes: list[Any] = []
        self.slots: list[Slot] = []
        self.slot_of: list[int] = []
        self.counts: list[int] = []
        self.key_frames: list[tuple[int, bool]] = []
        self.turns: list[int | None] = []
        self.problems: dict[int, str] = {}
        self._jobs_known = jobs
        self._first = 0
        self._at_top: dict[tuple[str, str | None], int] = {}

    def read(self, text: str | None) -> None:
        """Read one answer; at least one row comes of it."""
        first = self._first = len(self.nodes)
        turn = None
        try:
            answer = decode(text)
            self._answer(answer)
            turn = _turn(answer)
        except (ValueError, RecursionError) as error:
            del self.nodes[first:], self.slot_of[first:]
            self.key_frames = [each for each in self.key_frames if each[0] < first]
            self.problems = {row: problem for row, problem in self.problems.items() if row < first}
            self.problems[self._add(UNREADABLE, None, TOP)] = f"the answer cannot be read: {error}"
        self.turns.append(turn)
        self.counts.append(len(self.nodes) - first)

    def _answer(self, answer: dict[str, Any]) -> None:
        empty: list[list[int]] = []
        for key, value in answer.items():
            if is_frame(key, value):
                frame = int(key)
                if value:
                    self._jobs(value, Place(frame=frame))
                elif empty and empty[-1][1] == frame - 1:
                    empty[-1][1] = frame
                else:
                    empty.append([frame, frame])
            elif key == ASSET_LEVEL and value and holds_objects(value):
                self._jobs(value, Place(level=key))
            else:
                self._job(key, value, TOP)
        if empty:
            self._add(LABEL, {EMPTY_FRAMES: empty}, TOP)
        elif not answer:
            self._add(LABEL, {}, TOP)

    def _jobs(self, jobs: dict[str, Any], place: Place) -> None:
        for job, body in jobs.items():
            self._job(job, body, place)

    def _job(self, job: str, body: Any, place: Place) -> None:
        begin = len(self.nodes)
        if type(body) is dict:
            self._payloads(job, body, place)
        else:
            row = self._add(JOB, body, place, job)
            self.problems[row] = f"job {job!r} holds {kind_of(body)} where an object is expected"
        known = self._jobs_known
        if known is not None and job not in known and job != ROTATION_JOB:
            self.problems[begin] = f"the interface of the project has no job {job!r}"

    def _payloads(self, job: str, body: dict[str, Any], place: Place) -> None:
        begin = len(self.nodes)
        rest = {key: value for key, value in body.items() if not self._answered(key, value, job, place)}
        if type(rest.get("isKeyFrame")) is bool:
            slots = [self.slots[slot] for slot in self.slot_of[begin:]]
            own = [
                begin + at
                for at, slot in enumerate(slots)
                if slot.job == job and slot.place is place and slot.kind != ANNOTATION
            ]
            if own:
                flag = rest.pop("isKeyFrame")
                self.key_frames += [(row, flag) for row in own]
        if rest or len(self.nodes) == begin:
            self._rest_of_job(job, rest, body, place)

    def _answered(self, key: str, value: Any, job: str, place: Place) -> bool:
        """Add the rows of what a job holds under a key, and return whether that is an answer."""
        if key == "categories":
            if type(value) is not list or not value or not _CLASSES.issuperset(map(type, value)):
                return False
            self._categories(value, job, place)
        elif key == "annotations":
            if not are_objects(value):
                return False
            self._annotations(value, job, place)
        elif key == "text" and type(value) is str:
            self._add(TEXT, value, place, job)
        elif key == "choice" and type(value) is dict:
            self._add(CHOICE, value, place, job)
        elif key == "orders" and are_objects(value):
            for item in value:
                self._add(RANK, item, place, job)
        else:
            return False
        return True

    def _annotations(self, items: Sequence[dict[str, Any]], job: str, place: Place) -> None:
        slot = self._slot(ANNOTATION, job, place)
        if not any(item.get("children") or "points" in item for item in items):
            self.nodes += items
            self.slot_of += [slot] * len(items)
            return
        for item in items:
            row = len(self.nodes)
            self.nodes.append(item)
            self.slot_of.append(slot)
            if item.get("children") or "points" in item:
                mid, category = item.get("mid"), first_category(item.get("categories"))
                below = self._below(row, job, place, mid if type(mid) is str else None, category)
                if are_objects(item.get("points")):
                    for number, point in enumerate(item["points"]):
                        self._children(point, below._replace(point=number))
                self._children(item, below)

    def _categories(self, items: Sequence[Any], job: str, place: Place) -> None:
        slot = self._slot(CATEGORY, job, place)
        for item in items:
            row = len(self.nodes)
            self.nodes.append(item)
            self.slot_of.append(slot)
            if type(item) is dict and item.get("children"):
                name = item.get("name")
                self._children(item, self._below(row, job, place, None, name if type(name) is str else None))

    def _rest_of_job(self, job: str, rest: dict[str, Any], body: dict[str, Any], place: Place) -> None:
        row = self._add(JOB, rest, place, job)
        odd = [key for key in _PAYLOADS if is_said(rest.get(key))]
        if odd:
            self.problems[row] = f"{odd[0]!r} of job {job!r} holds {kind_of(rest[odd[0]])}"
        if rest.get("children"):
            categories = body.get("categories")
            only = first_category(categories) if type(categories) is list and len(categories) == 1 else None
            self._children(rest, self._below(row, job, place, None, only))

    def _children(self, node: dict[str, Any], below: Place) -> None:
        children = node.get("children")
        if type(children) is dict:
            self._jobs(children, below)

    def _below(self, row: int, job: str, place: Place, mid: str | None, category: str | None) -> Place:
        """Return the place of a row's children."""
        above = place.categories or ()
        categories = (above if category is None else (*above, category)) or None
        return Place(place.frame, place.level, row - self._first, None, mid or place.mid, job, categories)

    def _add(self, kind: str, node: Any, place: Place, job: str | None = None) -> int:
        row = len(self.nodes)
        self.nodes.append(node)
        self.slot_of.append(self._slot(kind, job, place))
        return row

    def _slot(self, kind: str, job: str | None, place: Place) -> int:
        if place is TOP and (kind, job) in self._at_top:
            return self._at_top[kind, job]
        slots = self.slots
        if slots and slots[-1][2] is place and slots[-1][:2] == (kind, job):
            return len(slots) - 1
        slots.append(Slot(kind, job, place))
        if place is TOP:
            self._at_top[kind, job] = len(slots) - 1
        return len(slots) - 1


def _turn(answer: Mapping[str, Any]) -> int | None:
    job = answer.get(ROTATION_JOB)
    turn = job.get("rotation") if type(job) is dict else None
    return turn if turn in _TURNS and type(turn) is int else None
