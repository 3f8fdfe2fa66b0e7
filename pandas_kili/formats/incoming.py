"""Pictures and objects that come from elsewhere, as a frame of assets with answers."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from pandas_kili.tidy import to_json_response

Floats = npt.NDArray[np.float64]


class Incoming:
    """Pictures and their objects, as a reader finds them.

    Attributes
    ----------
    jobs : list of str
        The jobs that every picture answers, with or without objects.
    """

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self._pictures: dict[Hashable, tuple[str, str, tuple[int, int] | None]] = {}
        self._objects: list[dict[str, Any]] = []

    def add_picture(
        self, key: Hashable, external_id: str, content: str | Path, size: tuple[int, int] | None = None
    ) -> None:
        """Add a picture, known by its key."""
        self._pictures[key] = (external_id, str(content), size)

    def add_object(
        self,
        key: Hashable,
        job: str,
        category: str,
        *,
        tool: str,
        rings: Sequence[Floats] | None = None,
        points: Sequence[tuple[str, float, float]] | None = None,
        confidence: float | None = None,
    ) -> None:
        """Add an object of a picture; coordinates are shares of it."""
        found: dict[str, Any] = {"key": key, "job": job, "category": category, "tool": tool, "confidence": confidence}
        if rings is not None:
            found["rings"] = [[{"x": x, "y": y} for x, y in np.clip(ring, 0, 1).tolist()] for ring in rings]
        if points is not None:
            found["points"] = [{"code": code, "x": x, "y": y} for code, x, y in points]
        self._objects.append(found)

    def frame(self) -> pd.DataFrame:
        """Return a row per picture."""
        keys = list(self._pictures)
        numbers = {key: number for number, key in enumerate(keys)}
        empty = json.dumps({job: {"annotations": []} for job in self.jobs})
        answers = [empty] * len(keys)
        if self._objects:
            rows = pd.DataFrame([{**each, "key": numbers[each["key"]]} for each in self._objects])
            texts = to_json_response(rows, by="key")
            for number, text in zip(texts.index.tolist(), texts.tolist(), strict=True):
                answers[number] = text
        sizes = [size or (None, None) for _, _, size in self._pictures.values()]
        columns: dict[str, pa.Array] = {
            "externalId": pa.array([name for name, _, _ in self._pictures.values()], pa.string()),
            "content": pa.array([content for _, content, _ in self._pictures.values()], pa.string()),
            "resolution.width": pa.array([width for width, _ in sizes], pa.int64()),
            "resolution.height": pa.array([height for _, height in sizes], pa.int64()),
            "jsonResponse": pa.array(answers, pa.string()),
        }
        frame: pd.DataFrame = pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
        return frame
