"""What a project holds of the assets that a plan compares: a list per property."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pandas_kili.arrow import python_cells
from pandas_kili.catalog import BATCH_SIZE, LIST_ASSETS
from pandas_kili.connection import Client, promised
from pandas_kili.parallel import chunked, in_order
from pandas_kili.reading import read_kili
from pandas_kili.writing.edits import selection
from pandas_kili.writing.recent import looks_for


class Holdings:
    """Assets of a project, a list per property: most are as the rows want them, and are never looked at one by one.

    Parameters
    ----------
    client : Client
    project_id : str
    properties : sequence of str
        What to ask for beside ``id`` and ``externalId``.

    Attributes
    ----------
    columns : dict of str to list
        Values as the server shows them.
    places : dict of str to int
        The place of each asset, by id, in the columns.
    """

    def __init__(self, client: Client, project_id: str, properties: Sequence[str]) -> None:
        self.client, self.project_id, self.properties = client, project_id, list(properties)
        self.columns: dict[str, list[Any]] = {name: [] for name in dict.fromkeys(["id", "externalId", *properties])}
        self.places: dict[str, int] = {}

    def read(self, within: Mapping[str, Any] | None) -> None:
        """Add the assets of the project, or those that match filters."""
        paths = ["toBeLabeledBy.user.email" if name == "toBeLabeledBy" else name for name in self.columns]
        frame = read_kili(
            self.project_id,
            fields=paths,
            validate=False,
            client=self.client,
            disable_tqdm=True,
            **(within or {}),
        )
        self._add({name: python_cells(frame[name]) for name in self.columns})

    def look_up(self, condition: str, texts: Sequence[str]) -> None:
        """Add the assets that have one of these ids or external ids; those made just now may show a little later."""
        fields = selection(self.properties)
        of = "id" if condition == "idIn" else "externalId"
        left = list(texts)
        for _ in looks_for(self.client.api_endpoint, left) if left else ():
            wanted = set(left)
            pages = in_order(
                lambda part: self._page(condition, part, fields),
                chunked(left, BATCH_SIZE),
                workers=self.client.max_workers,
            )
            # A server that ignores case shows more than it is asked for.
            assets = [asset for _, page in pages for asset in page if asset[of] in wanted]
            fresh = [asset for asset in assets if asset["id"] not in self.places]
            with promised("assets"):
                self._add({name: [asset[name] for asset in fresh] for name in self.columns})
            seen = {asset[of] for asset in assets}
            left = [text for text in left if text not in seen]
            if not left:
                return

    def by_name(self) -> dict[str, int]:
        """Return the place of an asset of each external id, the last one where several share it."""
        names = self.columns["externalId"]
        return dict(zip(names, range(len(names)), strict=True))

    def shared(self, names: Collection[str]) -> dict[str, list[str]]:
        """Return the ids of the assets that share one of these external ids."""
        found: dict[str, list[str]] = {}
        for asset_id, name in zip(self.columns["id"], self.columns["externalId"], strict=True):
            if name in names:
                found.setdefault(name, []).append(asset_id)
        return {name: ids for name, ids in found.items() if len(ids) > 1}

    def asset(self, place: int) -> dict[str, Any]:
        """Return one asset, as the server shows it."""
        return {name: cells[place] for name, cells in self.columns.items()}

    def _add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        start = len(self.columns["id"])
        self.places.update(zip(columns["id"], range(start, start + len(columns["id"])), strict=True))
        for name, cells in columns.items():
            self.columns[name] += cells

    def _page(self, condition: str, texts: Sequence[str], fields: str) -> list[dict[str, Any]]:
        where = {"project": {"id": self.project_id}, condition: list(texts)}
        assets: list[dict[str, Any]] = []
        while True:
            variables = {"where": where, "first": BATCH_SIZE, "skip": len(assets)}
            data = self.client.execute(LIST_ASSETS % fields, variables)
            with promised("assets"):
                page = list(data["data"])
            assets += page
            if condition == "idIn" or len(page) < BATCH_SIZE or len(assets) == len(texts):
                return list({asset["id"]: asset for asset in assets}.values())
