"""Pictures and objects that come from elsewhere, as a frame of assets with answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pandas_kili.errors import KiliValidationError
from pandas_kili.media import image_size
from pandas_kili.messages import FailureCase, listed, plural, shown, validation_error, warn
from pandas_kili.tidy import Job, answer_misfits, jobs_of, to_json_response

Floats = npt.NDArray[np.float64]
Jobs = str | Mapping[str, Any] | pd.DataFrame

UNNAMED = ""  # the job of objects that name none
_OBJECTS = "OBJECTS"  # what it is called in the end
_WHOLE = 100  # percent
_CORNERS = 4
_OUTSIDE = 1e-6  # share of a side; what lies farther beyond the edge was cut, not rounded


class _Picture(NamedTuple):
    external_id: str
    longer: str
    content: str
    size: tuple[int, int] | None
    split: str | None


class Incoming:
    """Pictures and their objects, as a reader finds them.

    Attributes
    ----------
    jobs : list of str
        The jobs that every picture answers, with or without objects.
    """

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self._pictures: dict[Hashable, _Picture] = {}
        self._objects: list[dict[str, Any]] = []
        self._cut = 0
        self._left_out: list[str] = []

    def add_picture(
        self,
        key: Hashable,
        external_id: str,
        content: str | Path,
        *,
        longer: str,
        size: tuple[int, int] | None = None,
        split: str | None = None,
    ) -> tuple[int, int] | None:
        """Add a picture, known by its key; return its size, which is measured if only the file tells it.

        Of pictures with the same external id, each has its `longer` one.
        """
        if size is None and isinstance(content, Path):
            size = image_size(content)
        size = size if size and min(size) > 0 else None
        self._pictures[key] = _Picture(external_id, longer, str(content), size, split)
        return size

    def add_object(
        self,
        key: Hashable,
        job: str,
        category: str,
        *,
        tool: str,
        where: str,
        rings: Sequence[Floats] | None = None,
        points: Sequence[tuple[str, float, float]] | None = None,
        confidence: float | None = None,
    ) -> None:
        """Add an object of a picture; coordinates are shares of it, and `where` is its place in the source."""
        if confidence is not None and not 0 <= confidence <= _WHOLE:
            raise ValueError(f"a score of {confidence / _WHOLE:g}, which is not from 0 to 1")
        found: dict[str, Any] = {"key": key, "job": job, "category": category, "tool": tool, "confidence": confidence}
        if rings is not None:
            xy = np.concatenate(rings)
            if not np.isfinite(xy).all():
                raise ValueError("a number that is not finite")
            inside = xy.clip(0, 1)
            if np.ptp(inside[: len(rings[0])], axis=0).min() <= 0:
                self._left_out.append(where)
                return
            self._cut += bool(np.abs(xy - inside).max() > _OUTSIDE)
            found["rings"] = [[{"x": x, "y": y} for x, y in ring.clip(0, 1).tolist()] for ring in rings]
        if points is not None:
            found["points"] = [{"code": code, "x": x, "y": y} for code, x, y in points]
        self._objects.append(found)

    def frame(self, jobs: Jobs | None) -> pd.DataFrame:
        """Return a row per picture.

        Raises
        ------
        KiliValidationError
            If answers do not fit `jobs`, or names are no Unicode text; all of them at once.
        """
        self._check_names()
        asked = None if jobs is None else jobs_of(jobs)
        self._name_job(asked)
        pictures = list(self._pictures.values())
        equal = Counter(each.external_id for each in pictures)
        names = [each.external_id if equal[each.external_id] == 1 else each.longer for each in pictures]
        empty = json.dumps({job: {"annotations": []} for job in self.jobs})
        answers = [empty] * len(pictures)
        if self._objects:
            numbers = {key: number for number, key in enumerate(self._pictures)}
            rows = pd.DataFrame(
                [{**each, "key": numbers[each["key"]], "tool": _tool(each, asked)} for each in self._objects]
            )
            texts = to_json_response(rows, by="key")
            for number, text in zip(texts.index.tolist(), texts.tolist(), strict=True):
                answers[number] = text
        if asked is not None:
            _check(answers, names, asked, self.jobs)
        self._warn()
        width, height = ([each.size and each.size[axis] for each in pictures] for axis in (0, 1))
        columns: dict[str, pa.Array] = {
            "externalId": pa.array(names, pa.string()),
            "content": pa.array([each.content for each in pictures], pa.string()),
            "resolution.width": pa.array(width, pa.int64()),
            "resolution.height": pa.array(height, pa.int64()),
            "split": pa.array([each.split for each in pictures], pa.string()),
            "jsonResponse": pa.array(answers, pa.string()),
        }
        frame: pd.DataFrame = pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def _check_names(self) -> None:
        """Refuse names with half a surrogate pair, which names of files in old encodings have too."""
        names = dict.fromkeys(part for each in self._pictures.values() for part in each if isinstance(part, str))
        names |= dict.fromkeys([*self.jobs, *(each[part] for each in self._objects for part in ("job", "category"))])
        told = [repr(name) for name in names if name != name.encode("utf-8", "replace").decode()]
        if told:
            raise KiliValidationError(f"{plural(len(told), 'name is', 'names are')} no Unicode text: {listed(told)}.")

    def _name_job(self, asked: Mapping[str, Job] | None) -> None:
        """Have objects that name no job answer the only one of the project that draws objects."""
        drawing = [name for name, job in (asked or {}).items() if job.task == "OBJECT_DETECTION"]
        job = drawing[0] if len(drawing) == 1 else _OBJECTS
        self.jobs = [name or job for name in self.jobs]
        for each in self._objects:
            each["job"] = each["job"] or job

    def _warn(self) -> None:
        if self._left_out:
            count = plural(len(self._left_out), "object", "objects")
            warn(f"Not read: {count} without an area on the picture: {listed(self._left_out)}.")
        if self._cut:
            warn(f"Cut at the edge of the picture: {plural(self._cut, 'object', 'objects')}.")


def _tool(found: Mapping[str, Any], asked: Mapping[str, Job] | None) -> str:
    """Return the tool of an object; where its job has another one for the same outline, that."""
    tool: str = found["tool"]
    job = None if asked is None else asked.get(found["job"])
    rings = found.get("rings")
    if job is None or rings is None or not job.tools or tool in job.tools:
        return tool
    if tool == "polygon" and "rectangle" in job.tools and _is_upright(rings[0]):
        return "rectangle"
    other = {"polygon": "semantic", "semantic": "polygon"}.get(tool)
    return other if other in job.tools and len(rings) == 1 else tool


def _is_upright(ring: Sequence[Mapping[str, float]]) -> bool:
    return len(ring) == _CORNERS and len({at["x"] for at in ring}) == len({at["y"] for at in ring}) == 2  # noqa: PLR2004 - sides


def _check(answers: Sequence[str], names: Sequence[str], asked: Mapping[str, Job], found: Sequence[str]) -> None:
    """Hold answers to the questions of a project; models answer what they can, so jobs may be missing."""
    cases = [
        FailureCase(row, row, "jsonResponse", f"{check} ({path})", value)
        for row, path, check, value in answer_misfits(answers, asked, is_whole=False)
    ]
    if cases:
        told = [f"{names[row]!r}: {check}; got {shown(value)}" for row, _, _, check, value in cases]
        count = plural(len(cases), "value does", "values do")
        hint = (
            ""
            if set(found).issubset(asked)
            else f" Give the job of all objects as job=…; there are {listed([*asked])}."
        )
        where = " in .failure_cases"
        raise validation_error(f"{count} not fit the jobs: {listed(told, where=where)}.{hint}", cases)
