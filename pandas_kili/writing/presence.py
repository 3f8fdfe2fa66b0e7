"""Which new assets the project has already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pandas_kili.catalog import BATCH_SIZE, FILTER_EXISTING, IN_LIMIT
from pandas_kili.connection import Client, counted, promised, read_back
from pandas_kili.errors import KiliConsistencyWarning
from pandas_kili.messages import listed, plural, warn
from pandas_kili.parallel import chunked, in_order
from pandas_kili.writing.account import Result
from pandas_kili.writing.identity import Identity, existing, find_external_ids, repeated_values
from pandas_kili.writing.new_assets import IfExists, NewAssets
from pandas_kili.writing.work import Work

TAKEN = "the project has an asset of this external id"


class Presence:
    """Which rows the project has already."""

    def __init__(self, work: Work, project_id: str, rows: NewAssets, if_exists: IfExists) -> None:
        self.work, self.project_id, self.rows, self.if_exists = work, project_id, rows, if_exists

    def settle(self) -> list[int]:
        """Give rows that are there their result, refuse those that must not be, and return the others."""
        self.work.identity = Identity(list(self.rows.ids), list(self.rows.external_ids))
        there = self._by_id()
        there |= self._by_external_id(there)
        self.work.columns.check()
        return [row for row in range(len(self.rows.ids)) if row not in there]

    def _by_id(self) -> set[int]:
        """Find the rows that an earlier call has made: assets of their id and external id."""
        client = self.work.client
        known = existing(client, None, [asset_id for asset_id in self.rows.ids if asset_id is not None])
        there = [row for row, asset_id in enumerate(self.rows.ids) if asset_id in known]
        others = []
        for part in chunked(there, BATCH_SIZE):
            found = read_back(client, [str(self.rows.ids[row]) for row in part], "id externalId", self.project_id)
            made = [row for row in part if self._is_made(row, found.get(str(self.rows.ids[row])))]
            self.work.account.note(made, Result("unchanged", "it was there already"))
            others += sorted(set(part) - set(made))
        expected = "another asset has this id; without a column of ids new ones are made"
        self.work.columns.problem(others, self.rows.labels.get("id"), [self.rows.ids[row] for row in others], expected)
        return set(there)

    def _is_made(self, row: int, asset: Mapping[str, Any] | None) -> bool:
        return asset is not None and self.rows.external_ids[row] in {None, asset["externalId"]}

    def _by_external_id(self, there: set[int]) -> set[int]:
        """Find the rows that repeat an external id of the project, or of an earlier row."""
        asked = {row: name for row, name in enumerate(self.rows.external_ids) if name is not None and row not in there}
        taken = _taken(self.work.client, self.project_id, dict.fromkeys(asked.values()))
        reasons = {row: TAKEN for row, name in asked.items() if name in taken}
        if self.if_exists == "fail":
            cells = [asked[row] for row in reasons]
            expected = f"{TAKEN}; if_exists='skip' leaves such rows out"
            self.work.columns.problem(list(reasons), self.rows.labels.get("externalId"), cells, expected)
            return set(reasons)
        again = [row for row in repeated_values(self.rows.external_ids, None)[0] if row in asked]
        reasons |= dict.fromkeys(again, "an earlier row has this external id")
        holders = find_external_ids(self.work.client, self.project_id, sorted({asked[row] for row in reasons} & taken))
        for row, reason in reasons.items():
            self.work.account.note([row], Result("unchanged", reason))
            found = holders.get(asked[row], [])
            # Each id is in one row only, so that these rows can be given again.
            self.work.identity.ids[row] = found[0] if len(found) == 1 and row not in again else None
        return set(reasons)


def tell_of_twins(work: Work, project_id: str) -> None:
    """Warn where another process appended the same external ids at the same time, on a server that takes both."""
    rows = work.account.having("applied").nonzero()[0].tolist()
    twins: list[str] = []
    for part in chunked([str(work.identity.external_ids[row]) for row in rows], IN_LIMIT):
        where = {"project": {"id": project_id}, "externalIdStrictlyIn": list(part)}
        if counted(work.client, where) > len(part):
            found = find_external_ids(work.client, project_id, part)
            twins += [name for name in part if len(found.get(name, ())) > 1]
    if twins:
        warn(
            f"{work.name}: {plural(len(twins), 'external id belongs', 'external ids belong')} to several assets now, as"
            f" another process appended them at the same time: {listed([repr(name) for name in twins])}.",
            KiliConsistencyWarning,
        )


def _taken(client: Client, project_id: str, external_ids: Iterable[str]) -> set[str]:
    """Return which external ids the project has."""
    names = list(external_ids)
    if "filterExistingAssets" not in client.names("Query"):
        return set(find_external_ids(client, project_id, names)) & set(names)

    def taken_of(part: Sequence[str]) -> list[str]:
        variables = {"projectID": project_id, "externalIDs": list(part)}
        data = client.execute(FILTER_EXISTING, variables)
        with promised("filterExistingAssets"):
            return list(dict.fromkeys(data["external_ids"]))

    answers = in_order(taken_of, chunked(names, IN_LIMIT), workers=client.max_workers)
    return {name for _, found in answers for name in found} & set(names)
