"""Which asset each row of a frame means: settled before the first mutation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from pandas_kili.arrow import python_cells
from pandas_kili.catalog import BATCH_SIZE, IN_LIMIT, LIST_ASSETS
from pandas_kili.connection import Client, counted, find_project, known_project, promised, read_back, where_ids
from pandas_kili.errors import KiliValidationError
from pandas_kili.parallel import chunked, in_order
from pandas_kili.query import Where
from pandas_kili.writing.cells import Columns
from pandas_kili.writing.delivery import Target
from pandas_kili.writing.recent import looks_for


@dataclass(slots=True)
class Identity:
    """What identifies each row: by position, None where a row has none."""

    ids: list[str | None]
    external_ids: list[str | None]
    is_by_name: bool = False  # whether some rows came without an id

    @classmethod
    def of_none(cls, rows: int) -> Identity:
        """Return the identity of rows that nothing is known of."""
        return cls([None] * rows, [None] * rows)

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
        Where the frame has neither column, or is a table of labels or annotations. Rows with neither value are noted
        in `columns`.
    """
    _refuse_other_tables(columns)
    ids = _texts(columns, "id", needed=True)
    without = [row for row, asset_id in enumerate(ids) if asset_id is None]
    external_ids = _texts(columns, "externalId", needed=bool(without))
    nameless = [
        row
        for row in without
        if external_ids[row] is None and columns.fits("id", row) and columns.fits("externalId", row)
    ]
    label = "id" if columns.has("id") else "externalId"
    columns.problem(nameless, label, [None] * len(nameless), "expected an id or an external id")
    return Identity(list(ids), list(external_ids), is_by_name=bool(without))


def _texts(columns: Columns, name: str, *, needed: bool) -> list[str | None]:
    """Return the texts of a column; a cell that is no text is an error only where the column is needed."""
    if not columns.has(name):
        return [None] * len(columns.frame)
    if needed:
        return columns.read(name, name)
    first = columns.frame.loc[:, columns.frame.columns == name].iloc[:, 0]
    return [value if isinstance(value, str) else None for value in python_cells(first)]


def _refuse_other_tables(columns: Columns) -> None:
    """Refuse a frame that does not say which assets its rows are."""
    if columns.has("assetId") and not (columns.has("id") and columns.frame["id"].equals(columns.frame["assetId"])):
        raise KiliValidationError(
            "The rows of this table are labels or annotations, as it has a column 'assetId'. For their assets take"
            " .drop(columns='id', errors='ignore').rename(columns={'assetId': 'id'}), and for each asset once"
            " .drop_duplicates('id') after it."
        )
    if not (columns.has("id") or columns.has("externalId")):
        names = [name for name in columns.frame.index.names if name in {"id", "externalId"}]
        hint = f"{names[0]!r} is its index: .reset_index()" if names else "rename the one that holds them"
        raise KiliValidationError(
            f"The frame has neither a column 'id' nor 'externalId' to say which assets its rows are; {hint}."
        )


def repeated_values(values: Sequence[str | None], label: Hashable) -> tuple[list[int], Hashable, list[str | None]]:
    """Return the rows that repeat an earlier value, the label, and the values: what `Columns.problem` takes."""
    present = [value for value in values if value is not None]
    if len(set(present)) == len(present):
        return [], label, []
    seen: set[str] = set()
    rows = []
    for row, value in enumerate(values):
        if value in seen:
            rows.append(row)
        elif value is not None:
            seen.add(value)
    return rows, label, [values[row] for row in rows]


def refuse_repeated(columns: Columns, identity: Identity) -> set[int]:
    """Note rows that mean an asset which an earlier row means already, and return them."""
    pairs = zip(identity.ids, identity.external_ids, strict=True)
    names = [name if asset_id is None else None for asset_id, name in pairs]
    repeated: set[int] = set()
    for label, values in (("id", identity.ids), ("externalId", names)):
        rows, _, cells = repeated_values(values, label)
        columns.problem(rows, label, cells, "the asset is in the frame twice")
        repeated.update(rows)
    return repeated


def resolve(
    columns: Columns,
    identity: Identity,
    client: Client,
    project_id: str | None,
    *,
    may_be_gone: bool = False,
    repeated: bool = False,
) -> list[int]:
    """Find the ids of rows that have an external id only, hold all rows to the project, and return those that are gone.

    Parameters
    ----------
    may_be_gone : bool
        Whether an asset that does not exist any more is no error, as for a deletion.
    repeated : bool
        Whether two rows may mean the same asset.

    Raises
    ------
    KiliValidationError
        With all rows of an asset that is unknown, of another project, or not the only one of its external id.
    """
    named = [row for row, asset_id in enumerate(identity.ids) if asset_id is None]
    given = [row for row, asset_id in enumerate(identity.ids) if asset_id is not None]
    nameless = _find_named(columns, identity, client, project_id, named)
    absent = _absent(identity, client, project_id, given)
    elsewhere = set[str]()
    if project_id is not None and absent:
        elsewhere = existing(client, None, [str(identity.ids[row]) for row in absent])
    foreign = [row for row in absent if identity.ids[row] in elsewhere]
    gone = [row for row in absent if identity.ids[row] not in elsewhere]
    columns.problem(
        foreign, "id", [identity.ids[row] for row in foreign], f"the asset is not of project {project_id!r}"
    )
    if not may_be_gone:
        where = f"project {project_id!r} has no such asset" if project_id else "there is no such asset"
        columns.problem(gone, "id", [identity.ids[row] for row in gone], where)
        cells = [identity.external_ids[row] for row in nameless]
        columns.problem(nameless, "externalId", cells, f"project {project_id!r} has no asset of this external id")
    if named and not repeated:
        _refuse_repeated_ids(columns, identity, named)
    columns.check()
    return sorted(gone + nameless)


def _absent(identity: Identity, client: Client, project_id: str | None, rows: Sequence[int]) -> Sequence[int]:
    """Return the rows of assets that the server does not show in the project."""
    ids = [str(identity.ids[row]) for row in rows]
    for _ in looks_for(client.api_endpoint, ids) if rows else ():
        known = existing(client, project_id, [str(identity.ids[row]) for row in rows])
        rows = [row for row in rows if identity.ids[row] not in known]
        if not rows:
            break
    return rows


def _refuse_repeated_ids(columns: Columns, identity: Identity, named: Sequence[int]) -> None:
    """Note rows that name an asset by its external id where another row gives its id."""
    others = set(named)
    given = {asset_id for row, asset_id in enumerate(identity.ids) if asset_id is not None and row not in others}
    rows = [row for row in named if identity.ids[row] in given]
    cells = [identity.external_ids[row] for row in rows]
    columns.problem(rows, "externalId", cells, "the asset is in the frame twice: another row gives its id")


def _find_named(
    columns: Columns, identity: Identity, client: Client, project_id: str | None, rows: Sequence[int]
) -> list[int]:
    """Give rows the id of the only asset of their external id, and return those without such an asset."""
    if not rows:
        return []
    if project_id is None:
        raise KiliValidationError(
            "Rows that have an external id only need project_id=: external ids are unique within a project only."
        )
    wanted = [str(identity.external_ids[row]) for row in rows]
    found: dict[str, list[str]] = {}
    for _ in looks_for(client.api_endpoint, wanted):
        found |= find_external_ids(client, project_id, [name for name in wanted if name not in found])
        if all(name in found for name in wanted):
            break
    for row, name in zip(rows, wanted, strict=True):
        matches = found.get(name, [])
        if len(matches) == 1:
            identity.ids[row] = matches[0]
        elif matches:
            problem = f"{len(matches)} assets have this external id: {', '.join(matches[:3])}; give the id"
            columns.problem([row], "externalId", [name], problem)
    return [row for row, name in zip(rows, wanted, strict=True) if name not in found]


def find_external_ids(client: Client, project_id: str, external_ids: Iterable[str]) -> dict[str, list[str]]:
    """Return the ids of the assets that have exactly these external ids.

    Raises
    ------
    KiliNotFoundError
        Where there is no such project.
    """
    names = list(dict.fromkeys(external_ids))
    found: dict[str, list[str]] = defaultdict(list)
    with known_project(client, project_id):
        # One less than a page, so that a page which is not full has shown all.
        parts = chunked(_present_parts(client, project_id, names), BATCH_SIZE - 1)
        for _, shown in in_order(lambda part: _names_of(client, project_id, part), parts, workers=client.max_workers):
            for asset_id, name in shown.items():
                found[name].append(asset_id)
    if names and not found:  # an unknown project must not look like an empty one
        find_project(client, project_id, "id")
    return found  # keyed exactly: a server that ignores case gives more, under other keys


def _names_of(client: Client, project_id: str, external_ids: Sequence[str]) -> dict[str, str]:
    """Return the external ids of the assets that have one of these, by asset id.

    One page shows them as they are at one moment, whatever others write. More pages are read only where the server
    counts more assets: several share a name, or the server gives fewer than a full page.
    """

    def page(wanted: Sequence[str], skip: int) -> dict[str, str]:
        variables = {"where": _where_names(project_id, wanted), "first": BATCH_SIZE, "skip": skip}
        data = client.execute(LIST_ASSETS % "id externalId", variables)
        with promised("assets"):
            shown = {asset["id"]: asset["externalId"] for asset in data["data"]}
            if not all(isinstance(name, str) for name in shown.values()):
                raise TypeError
            return shown

    def missing() -> list[str]:
        return sorted({*external_ids}.difference(names.values()))

    names = page(external_ids, 0)
    if not names or (len(names) < BATCH_SIZE and not missing()):
        return names
    if counted(client, _where_names(project_id, external_ids)) <= len(names):
        return names
    while (more := page(external_ids, len(names))).keys() - names.keys():
        names |= more
    while (left := missing()) and (
        more := page(left, 0)
    ).keys() - names.keys():  # others moved assets, or skip is ignored
        names |= more
    return names


def _present_parts(client: Client, project_id: str, external_ids: list[str]) -> list[str]:
    """Return what has to be looked for: of long lists, the parts that the server counts assets of."""
    if len(external_ids) <= IN_LIMIT:
        return external_ids
    counts = in_order(
        lambda part: counted(client, _where_names(project_id, part)),
        chunked(external_ids, IN_LIMIT),
        workers=client.max_workers,
    )
    return [external_id for part, found in counts if found for external_id in part]


def _where_names(project_id: str, external_ids: Sequence[str]) -> Where:
    return {"project": {"id": project_id}, "externalIdStrictlyIn": list(external_ids)}


def existing(client: Client, project_id: str | None, ids: Sequence[str]) -> set[str]:
    """Return which of these assets exist: counted a thousand at a time, and looked at only where some are missing."""
    unique = list(dict.fromkeys(ids))
    found: set[str] = set()
    counts = in_order(
        lambda part: counted(client, where_ids(project_id, part)), chunked(unique, IN_LIMIT), workers=client.max_workers
    )
    for part, count in counts:
        found.update(part if count == len(part) else ())
    doubtful = [asset_id for asset_id in unique if asset_id not in found]
    shown = in_order(
        lambda part: read_back(client, part, "id", project_id),
        chunked(doubtful, BATCH_SIZE),
        workers=client.max_workers,
    )
    for _, assets in shown:
        found.update(assets)
    return found
