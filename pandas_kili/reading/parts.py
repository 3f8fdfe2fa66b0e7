"""What is read, cut into parts that share no asset: each can be read by itself, anywhere and again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from pandas_kili.connection import Client, resolved
from pandas_kili.parallel import chunked
from pandas_kili.query import Fields, asset_query, select
from pandas_kili.reading.crawl import Crawl
from pandas_kili.reading.finish import Finish
from pandas_kili.reading.looks import filters_by_time
from pandas_kili.reading.read import count_assets, read_kili
from pandas_kili.reading.reader import Read
from pandas_kili.reading.windows import WHOLE, Listing, Stretch, Window


@dataclass(frozen=True)
class Part:
    """What matches the filters and was created in a stretch of time, or some rows of that list."""

    filters: Mapping[str, Any]
    skip: int = 0
    first: int | None = None
    within: Stretch = WHOLE

    def read(self, project_id: str, fields: Fields, validate: bool | Literal["warn"], client: Client) -> pd.DataFrame:
        """Read the part into a frame, as `read_kili` does."""
        query = asset_query(project_id, self.filters)
        read = Read(
            client,
            query,
            fields,
            select(fields),
            skip=self.skip,
            first=self.first,
            within=self.within,
            disable_tqdm=True,
        )
        return read.frame(Finish(validate, fields))


def parts(client: Client, project_id: str, whole: Part, rows: int) -> list[Part]:
    """Cut a part of all time into parts of so many rows, in the order of creation."""
    count = count_assets(project_id, client=client, **whole.filters)
    if min(count - whole.skip, count if whole.first is None else whole.first) <= rows:
        return [whole]
    query = asset_query(project_id, whole.filters)
    if not (whole.skip or whole.first is not None or query.long_lists):
        (where,) = resolved(client, query).wheres()
        listing = Crawl(client, project_id, where, select(["id", "createdAt"]))
        if found := stretches(listing, rows, count):
            return [Part(whole.filters, within=stretch) for stretch in found]
    return _named(client, project_id, whole, rows)


def stretches(listing: Listing, rows: int, count: int) -> list[Stretch]:
    """Cut a list into stretches of about so many rows; none where its time of creation does not allow that."""
    marks = [
        int(page.created[0]) for page in listing.pages(Window(at, 1) for at in range(rows, count, rows)) if page.ids
    ]
    begins = sorted(set(marks))
    is_crowded = len(begins) < len(marks)  # so many assets of one instant that a stretch would be twice as long
    if not begins or is_crowded or not filters_by_time(listing, begins[len(begins) // 2]):
        return []
    ends = [begin - 1 for begin in begins]
    return list(itertools.starmap(Stretch, zip([None, *begins], [*ends, None], strict=True)))


def _named(client: Client, project_id: str, whole: Part, rows: int) -> list[Part]:
    """Look through all ids, and name those of each part: a list that found them need not be gone through again."""
    found: pd.DataFrame = read_kili(
        project_id,
        fields=["id", "externalId"],
        first=whole.first,
        skip=whole.skip,
        validate=False,
        disable_tqdm=True,
        client=client,
        **whole.filters,
    )
    filters = {name: value for name, value in whole.filters.items() if name not in {"asset_id", "asset_id_in"}}
    names = [
        name for name in ("external_id_strictly_in", "external_id_contains") if whole.filters.get(name) is not None
    ]
    return [
        Part({**filters, "asset_id_in": ids, **dict.fromkeys(names, external_ids)})
        for ids, external_ids in zip(
            chunked(found["id"].tolist(), rows), chunked(found["externalId"].tolist(), rows), strict=True
        )
    ] or [Part({**filters, "asset_id_in": []})]
