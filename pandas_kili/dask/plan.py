"""What is read, cut into parts that share no asset."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from pandas_kili.connection import Client
from pandas_kili.errors import KiliGraphQLError
from pandas_kili.parallel import in_order
from pandas_kili.query import asset_query
from pandas_kili.reading import count_assets
from pandas_kili.reading import read_kili as read_frame

_INSTANT = pd.Timedelta(1, "ms")  # the grain of dates on the wire


@dataclass(frozen=True)
class Part:
    """What one partition reads: what matches the filters, and was created from `since` until before `until`."""

    filters: Mapping[str, Any]
    skip: int = 0
    first: int | None = None
    since: pd.Timestamp | None = None
    until: pd.Timestamp | None = None

    @property
    def wanted(self) -> dict[str, Any]:
        """The filters with those of time, an instant wider: a server may keep times more finely than it shows them."""
        wanted = dict(self.filters)
        if self.since is not None:
            wanted["created_at_gte"] = self.since - _INSTANT
        if self.until is not None:
            wanted["created_at_lte"] = self.until + _INSTANT
        return wanted

    def cut(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Leave out the rows of its neighbors."""
        inside = pd.Series(data=True, index=frame.index)
        if self.since is not None:
            inside &= frame["createdAt"] >= self.since
        if self.until is not None:
            inside &= frame["createdAt"] < self.until
        return frame if inside.all() else frame[inside].reset_index(drop=True)


class Partitioning:
    """Cuts what is to be read into parts."""

    def __init__(self, client: Client, project_id: str, rows: int) -> None:
        self.client, self.project_id, self.rows = client, project_id, int(rows)

    def parts(self, whole: Part) -> list[Part]:
        """Return parts of so many rows, which share no asset, in the order of creation."""
        count = count_assets(self.project_id, client=self.client, **whole.filters)
        if min(count - whole.skip, count if whole.first is None else whole.first) <= self.rows:
            return [whole]
        times = [] if self._is_cut(whole) else self._times(whole, count)
        return self._stretches(whole, times) if times else self._named(whole)

    def _is_cut(self, whole: Part) -> bool:
        """Whether rows are left out by their place, or asked for in several queries: then their ids must be known."""
        query = asset_query(self.project_id, whole.filters)
        return bool(whole.skip or whole.first is not None or query.long_lists)

    def _times(self, whole: Part, count: int) -> list[pd.Timestamp]:
        """Return the times of creation at which partitions begin; none where they cannot be cut there."""
        places = range(self.rows, count, self.rows)
        found = in_order(lambda place: self._created(whole, place), places, workers=self.client.max_workers)
        times = [(place, time) for place, time in found if time is not None]
        begins = sorted({time for _, time in times})
        crowded = len(begins) < len(times)  # so many assets of one instant that a stretch would be twice as long
        if not times or crowded or not self._is_known(whole, *times[len(times) // 2], count):
            return []
        return begins

    def _created(self, whole: Part, place: int) -> pd.Timestamp | None:
        frame = self._light(replace(whole, skip=place, first=1), ["createdAt"])
        return None if frame.empty else frame["createdAt"].iloc[0]

    def _is_known(self, whole: Part, place: int, time: pd.Timestamp, count: int) -> bool:
        """Whether the server can tell what lies on each side of a time: some know no such filter, or days only."""
        before, after = replace(whole, until=time), replace(whole, since=time)
        try:
            left, right = (count_assets(self.project_id, client=self.client, **side.wanted) for side in (before, after))
        except KiliGraphQLError:
            return False
        return left > place and right >= count - place

    def _stretches(self, whole: Part, times: list[pd.Timestamp]) -> list[Part]:
        bounds = [None, *times, None]
        return [replace(whole, since=since, until=until) for since, until in itertools.pairwise(bounds)]

    def _named(self, whole: Part) -> list[Part]:
        frame = self._light(whole, ["id", "externalId"])
        starts = range(0, max(1, len(frame)), self.rows)
        return [_part_of(whole.filters, frame.iloc[start : start + self.rows]) for start in starts]

    def _light(self, part: Part, fields: list[str]) -> pd.DataFrame:
        frame: pd.DataFrame = read_frame(
            self.project_id,
            fields=fields,
            first=part.first,
            skip=part.skip,
            validate=False,
            disable_tqdm=True,
            client=self.client,
            **part.wanted,
        )
        return frame


def _part_of(filters: Mapping[str, Any], frame: pd.DataFrame) -> Part:
    """Name the assets of a part; a list that they were found by need not be gone through again for each part."""
    named = {name: value for name, value in filters.items() if name not in {"asset_id", "asset_id_in"}}
    for name in ("external_id_strictly_in", "external_id_contains"):
        if named.get(name) is not None:
            named[name] = frame["externalId"].tolist()
    return Part({**named, "asset_id_in": frame["id"].tolist()})
