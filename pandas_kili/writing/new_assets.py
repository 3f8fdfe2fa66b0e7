"""What the columns of a frame say of new assets."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pandas_kili.media import ContentIs, Generation, Medium, media_of_rows
from pandas_kili.writing.cells import Columns
from pandas_kili.writing.delivery import Target
from pandas_kili.writing.identity import Identity, repeated_values

IfExists = Literal["fail", "skip"]


class NewAssets:
    """What the columns of a frame say of new assets, by position."""

    def __init__(self, columns: Columns, labels: Mapping[str, Any]) -> None:
        self.columns, self.labels = columns, labels
        self.ids: list[str | None] = self._read("id")
        self.external_ids: list[str | None] = self._read("externalId")
        self.metadata: list[str | None] = self._read("jsonMetadata")
        self.honeypots: list[bool | None] = self._read("isHoneypot")
        self.statuses: list[str | None] = self._read("status")

    def media(self, input_type: str, content_is: ContentIs | None, generation: Generation) -> list[Medium]:
        """Decide what each row's content becomes; what cannot be sent is noted."""
        media, problems = media_of_rows(
            input_type,
            self._cells("content"),
            self._cells("jsonContent"),
            self.metadata,
            generation=generation,
            content_is=content_is,
        )
        for problem in problems:
            label = self.labels.get(problem.column, problem.column)
            self.columns.problem([problem.row], label, [problem.value], problem.message)
        return [medium or Medium() for medium in media]

    def check(self, if_exists: IfExists) -> None:
        """Refuse ids that appear twice; and external ids that do, or with ``"skip"`` rows without one."""
        self.columns.problem(*repeated_values(self.ids, self.labels.get("id")), "appears twice in the frame")
        label = self.labels.get("externalId", "externalId")
        if if_exists == "fail":
            self.columns.problem(*repeated_values(self.external_ids, label), "appears twice in the frame")
        else:
            missing = [
                row
                for row, name in enumerate(self.external_ids)
                if name is None and self.ids[row] is None and self.columns.fits("externalId", row)
            ]
            expected = "expected an external id: with if_exists='skip' it tells which assets exist already"
            self.columns.problem(missing, label, [None] * len(missing), expected)
        self.columns.check()

    def targets(self, rows: Sequence[int], media: Sequence[Medium], identity: Identity) -> list[Target]:
        """Return the new assets of some rows, under the ids that they were given or new ones."""
        fresh = zip(rows, _chance(len(rows), 24), _chance(len(rows), 32), strict=True)
        for row, new_id, new_name in fresh:
            identity.ids[row] = self.ids[row] or f"c{new_id}"  # the length of Kili's own
            identity.external_ids[row] = self.external_ids[row] or new_name
        return [self._target(row, media[row], identity) for row in rows]

    def _target(self, row: int, medium: Medium, identity: Identity) -> Target:
        metadata = _with_entries(self.metadata[row] or "{}", medium.metadata)
        payload = {
            "externalId": identity.external_ids[row],
            "jsonMetadata": metadata,
            "isHoneypot": bool(self.honeypots[row]),
            "status": self.statuses[row] or "TODO",
        }
        weight = len(metadata) + len(medium.content) + len(medium.json_content) + 100
        return Target(str(identity.ids[row]), (row,), payload, weight)

    def _read(self, name: str) -> list[Any]:
        label = self.labels.get(name)
        return [None] * len(self.columns.frame) if label is None else self.columns.read(name, label)

    def _cells(self, name: str) -> list[Any]:
        if name not in self.labels:
            return [None] * len(self.columns.frame)
        return self.columns.cells(self.labels[name])


def _chance(count: int, digits: int) -> list[str]:
    """Return random hexadecimal texts, long enough to be unique; one call to the system makes all of them."""
    text = os.urandom(count * digits // 2).hex()
    return [text[start : start + digits] for start in range(0, len(text), digits)]


def _with_entries(metadata: str, entries: Mapping[str, Any] | None) -> str:
    return metadata if not entries else json.dumps({**json.loads(metadata), **entries}, ensure_ascii=False)
