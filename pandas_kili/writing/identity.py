"""Which asset each row of a frame means: settled before the first mutation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from pandas_kili.arrow import python_cells
from pandas_kili.catalog import BATCH_SIZE, IN_LIMIT
from pandas_kili.connection import Client, counted, find_project, read_back, where_ids
from pandas_kili.errors import KiliValidationError
from pandas_kili.parallel import in_order
from pandas_kili.reading import read_kili
from pandas_kili.writing.cells import Columns
from pandas_kili.writing.delivery import Target, looks


@dataclass(slots=True)
class Identity:
    """What identifies each row: by position, None where a row has none."""

    ids: list[str | None]
    external_ids: list[str | None]

    def targets(self) -> list[Target]:
        """Return one target per asset, with all its rows, in the order of the frame."""
        found: dict[str, list[int]] = defaultdict(list)
        for row, asset_id in enumerate(self.ids):
            if asset_id is not None:
                found[asset_id].append(row)
        return [Target(asset_id, rows) for asset_id, rows in found.items()]


def read_identity(columns: Columns) -> Identity:
    """Read the columns that identify rows: `id`, and `externalId` for rows without one.

    Raises
    ------
    KiliValidationError
        Where the frame has neither column. Rows with neither value are noted in `columns`.
    """
    rows = len(columns.frame)
    if not (columns.has("id") or columns.has("externalId")):
        raise KiliValidationError(
            "The frame has neither a column 'id' nor 'externalId' to say which assets its rows are;"
            " rename the one that holds them."
        )
    ids = columns.read("id", "id") if columns.has("id") else [None] * rows
    without = [row for row, asset_id in enumerate(ids) if asset_id is None]
    if not columns.has("externalId"):
        external_ids: list[str | None] = [None] * rows
    elif without:
        external_ids = columns.read("externalId", "externalId")
    else:  # only for the report: what it holds is nobody's error
        series = columns.frame.loc[:, columns.frame.columns == "externalId"].iloc[:, 0]
        external_ids = [value if isinstance(value, str) else None for value in python_cells(series)]
    label = "id" if columns.has("id") else "externalId"
    nameless = [
        row
        for row in without
        if external_ids[row] is None and columns.fits("id", row) and columns.fits("externalId", row)
    ]
    columns.problem(nameless, label, [None] * len(nameless), "expected an id or an external id")
    return Identity(ids, external_ids)


def repeated_values(values: Sequence[str | None], label: Hashable) -> tuple[list[int], Hashable, list[str | None]]:
    """Return the rows whose value an earlier row has, with the label and the values: what `Columns.problem` takes."""
    seen: set[str] = set()
    rows = []
    for row, value in enumerate(values):
        if value in seen:
            rows.append(row)
        elif value is not None:
            seen.add(value)
    return rows, label, [values[row] for row in rows]


def refuse_repeated(columns: Columns, identity: Identity) -> None:
    """Note rows that mean an asset which an earlier row means already."""
    for name, values in (("id", identity.ids), ("externalId", identity.external_ids)):
        first: dict[str, int] = {}
        rows = []
        for row, value in enumerate(values):
            if value is None or (name == "externalId" and identity.ids[row] is not None):
                continue
            if first.setdefault(value, row) != row:
                rows.append(row)
        columns.problem(rows, name, [values[row] for row in rows], "the asset is in the frame twice")


def resolve(
    columns: Columns,
    identity: Identity,
    client: Client,
    project_id: str | None,
    *,
    must_exist: bool = True,
    repeated: bool = False,
) -> None:
    """Find the ids of rows that have an external id only, and see that all assets exist.

    Parameters
    ----------
    must_exist : bool
        Whether ids that the project does not have are an error; for a deletion they are not.
    repeated : bool
        Whether two rows may mean the same asset.

    Raises
    ------
    KiliValidationError
        With all rows whose asset is unknown, or not the only one of its external id.
    """
    named = [row for row, asset_id in enumerate(identity.ids) if asset_id is None]
    _find_external(columns, identity, client, project_id, named)
    if must_exist:
        given = [row for row, asset_id in enumerate(identity.ids) if asset_id is not None]
        gone = _missing(identity, client, project_id, given)
        where = f"project {project_id!r} has no such asset" if project_id else "there is no such asset"
        columns.problem(gone, "id", [identity.ids[row] for row in gone], where)
    if named and not repeated:
        _refuse_repeated_ids(columns, identity, named)
    columns.check()


def _missing(identity: Identity, client: Client, project_id: str | None, rows: Sequence[int]) -> Sequence[int]:
    """Return the rows whose asset the server does not show, also after some seconds: it may have come just now."""
    for _ in looks() if rows else ():
        known = existing(client, project_id, [str(identity.ids[row]) for row in rows])
        rows = [row for row in rows if identity.ids[row] not in known]
        if not rows:
            break
    return rows


def _refuse_repeated_ids(columns: Columns, identity: Identity, named: Sequence[int]) -> None:
    """Note rows whose external id means an asset that another row means by its id."""
    others = set(named)
    given = {asset_id for row, asset_id in enumerate(identity.ids) if asset_id is not None and row not in others}
    rows = [row for row in named if identity.ids[row] in given]
    cells = [identity.external_ids[row] for row in rows]
    columns.problem(rows, "externalId", cells, "the asset is in the frame twice: another row gives its id")


def _find_external(
    columns: Columns, identity: Identity, client: Client, project_id: str | None, rows: Sequence[int]
) -> None:
    if not rows:
        return
    if project_id is None:
        raise KiliValidationError("Rows that have an external id only need project_id=, to say whose it is.")
    wanted = [str(identity.external_ids[row]) for row in rows]
    found: dict[str, list[str]] = {}
    for _ in looks():  # what was appended just now may show a little later
        found |= find_external_ids(client, project_id, [name for name in wanted if name not in found])
        if all(name in found for name in wanted):
            break
    problems: dict[str, list[int]] = defaultdict(list)
    for row, external_id in zip(rows, wanted, strict=True):
        matches = found.get(external_id, [])
        if len(matches) == 1:
            identity.ids[row] = matches[0]
        elif matches:
            problems[f"{len(matches)} assets have this external id: {', '.join(matches[:3])}; give the id"].append(row)
        else:
            problems[f"project {project_id!r} has no asset of this external id"].append(row)
    for problem, where in problems.items():
        columns.problem(where, "externalId", [identity.external_ids[row] for row in where], problem)


def find_external_ids(client: Client, project_id: str, external_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return the ids of the assets that have exactly these external ids."""
    unique = _present_parts(client, project_id, list(dict.fromkeys(external_ids)))
    if not unique:
        return {}
    frame = read_kili(
        project_id,
        fields=("id", "externalId"),
        external_id_strictly_in=unique,
        validate=False,
        client=client,
        disable_tqdm=True,
    )
    found: dict[str, list[str]] = defaultdict(list)
    for asset_id, external_id in zip(frame["id"].tolist(), frame["externalId"].tolist(), strict=True):
        found[external_id].append(asset_id)
    return found  # keyed exactly: a server that ignores case gives more, under other keys


def _present_parts(client: Client, project_id: str, external_ids: list[str]) -> list[str]:
    """Return what a read has to look for: long lists are read part by part, and counted side by side before."""
    if len(external_ids) <= IN_LIMIT:
        return external_ids
    parts = [external_ids[start : start + IN_LIMIT] for start in range(0, len(external_ids), IN_LIMIT)]

    def count(part: list[str]) -> int:
        if not part:  # that nothing is in a project which is not there would be no answer
            return len(find_project(client, project_id, "id"))
        where = {"project": {"id": project_id}, "externalIdStrictlyIn": part}
        return counted(client, where)

    counts = in_order(count, [[], *parts], workers=client.max_workers)
    return [external_id for part, found in counts if found for external_id in part]


def existing(client: Client, project_id: str | None, ids: Sequence[str]) -> set[str]:
    """Return which of these assets exist: counted a thousand at a time, and looked at only where some are missing."""
    unique = list(dict.fromkeys(ids))
    parts = [unique[start : start + IN_LIMIT] for start in range(0, len(unique), IN_LIMIT)]
    found: set[str] = set()
    for part, count in in_order(
        lambda part: counted(client, where_ids(project_id, part)), parts, workers=client.max_workers
    ):
        found.update(part if count == len(part) else ())
    doubtful = [asset_id for asset_id in unique if asset_id not in found]
    pieces = [doubtful[start : start + BATCH_SIZE] for start in range(0, len(doubtful), BATCH_SIZE)]
    looked_up = in_order(lambda piece: read_back(client, piece, "id", project_id), pieces, workers=client.max_workers)
    for _, assets in looked_up:
        found.update(assets)
    return found
