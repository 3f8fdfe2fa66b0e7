"""New external ids for assets."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

import pandas as pd

from pandas_kili.frames import KiliFrame
from pandas_kili.writing.cells import Columns, require_column
from pandas_kili.writing.identity import find_external_ids, repeated_values
from pandas_kili.writing.mutations import Update
from pandas_kili.writing.update import fill_payload
from pandas_kili.writing.work import Effect, Options, Work


def change_external_ids(frame: pd.DataFrame, label: Hashable, options: Options) -> KiliFrame:
    """Give assets new external ids."""
    require_column(frame, label)
    with Work(frame, options, "change_asset_external_ids") as work:
        if not len(frame):
            return work.rendered()
        project_id = work.need_project_id("to see that the new external ids are free")
        fresh = _new_names(work.columns, label)
        targets = work.targets(repeated=False)
        holders = find_external_ids(work.client, project_id, [name for name in fresh if name is not None])
        _refuse_taken(work, fresh, holders, label)
        for target in targets:
            fill_payload(target, {"externalId": fresh})
        by_id = {target.asset_id: target for target in targets}
        waits: dict[str, str] = {}
        for target in targets:
            others = [one for one in holders.get(target.payload["externalId"], ()) if one in by_id]
            if others and others[0] != target.asset_id:
                waits[target.asset_id] = others[0]
        ordered = [by_id[asset_id] for asset_id in freed_first(by_id, waits)[0]]
        change = Update(work.client, work.name, in_order=ordered != targets)
        return work.deliver(change, ordered, Effect({} if label == "externalId" else {"externalId": fresh}))


def _new_names(columns: Columns, label: Hashable) -> list[str | None]:
    """Read the column of new external ids; none may be missing or appear twice."""
    fresh: list[str | None] = columns.read("newExternalId", label)
    missing = [row for row, name in enumerate(fresh) if name is None and columns.fits("newExternalId", row)]
    columns.problem(missing, label, [None] * len(missing), "expected a new external id")
    columns.problem(*repeated_values(fresh, label), "appears twice among the new external ids")
    return fresh


def _refuse_taken(
    work: Work, fresh: Sequence[str | None], holders: Mapping[str, Sequence[str]], label: Hashable
) -> None:
    """Refuse new external ids that belong to assets which keep them."""
    ids = work.identity.ids
    renamed = dict(zip(ids, fresh, strict=True))
    taken = [
        row
        for row, name in enumerate(fresh)
        if any(holder != ids[row] and renamed.get(holder, name) == name for holder in holders.get(str(name), ()))
    ]
    work.columns.problem(taken, label, [fresh[row] for row in taken], "another asset of the project has it")
    work.columns.check()


def freed_first(ids: Iterable[str], waits: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Order assets so that each gives its name up before another takes it; return also one asset of each ring.

    In a ring of names nothing can come first: a server that wants them unique at any time refuses those renames.

    Parameters
    ----------
    ids : iterable of str
        The assets to rename.
    waits : mapping of str to str
        By asset: the other asset that has the name which it takes.
    """
    waiting = dict.fromkeys(ids)
    ordered: list[str] = []
    rings: list[str] = []
    while waiting:
        chain = [next(iter(waiting))]
        del waiting[chain[0]]
        while (needed := waits.get(chain[-1])) in waiting:
            chain.append(str(needed))
            del waiting[str(needed)]
        if needed == chain[0]:
            rings.append(chain[0])
        ordered += reversed(chain)
    return ordered, rings
