"""A frame compared with its project: what would have to change. Nothing that changes the server is sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

from pandas_kili.catalog import BATCH_SIZE, IN_LIMIT
from pandas_kili.connection import Client, counted, promised, read_back
from pandas_kili.json_text import NotJsonError, json_text, stored
from pandas_kili.messages import label_at
from pandas_kili.parallel import chunked, in_order
from pandas_kili.writing.cells import REMOVE, metadata_keys
from pandas_kili.writing.edits import (
    APPENDED,
    DEFAULTS,
    KEPT,
    KEY,
    MEDIA,
    RESTORED,
    Edit,
    differing,
    is_address,
    is_same,
    metadata_of,
    selection,
    value_of,
)
from pandas_kili.writing.holdings import Holdings
from pandas_kili.writing.identity import (
    Identity,
    existing,
    find_external_ids,
    read_identity,
    refuse_repeated,
    repeated_values,
)
from pandas_kili.writing.merge_metadata import entry_for, merged
from pandas_kili.writing.mutations import input_type_and_generation
from pandas_kili.writing.scope import Scope
from pandas_kili.writing.work import Work

_MOST = 1.25  # of the rows: up to here, reading all of a project in pages costs less than looking assets up by name
_UNREADABLE = (
    "Kili shows the content of the asset as a file, which a plan does not read, so that it cannot tell whether this is"
    " the same: leave the column out of properties="
)
_IMPORT = "processingParameters"  # the key of the metadata where Kili keeps how it imported a video


class Comparison:
    """The edits that make a project what a frame says.

    Parameters
    ----------
    work : Work
        Of the frame.
    scope : Scope
    """

    def __init__(self, work: Work, scope: Scope) -> None:
        self.work, self.scope, self.columns = work, scope, work.columns
        self.project_id = work.need_project_id("to say which project the rows describe")
        self.skipped: list[int] = []  # rows that the project does not have, and is not to have
        self.rows: dict[str, int] = {}  # of each asset that a row names
        self.existing = 0  # of the rows, how many have an asset
        self.names = scope.compared(work.columns)
        self.keys = metadata_keys(work.frame, scope.metadata or ())
        self.entries: dict[str, list[Any]] = {}  # what the cells of each key say
        self.identity = Identity.of_none(0)

    @property
    def client(self) -> Client:
        """The connection to use."""
        return self.work.client

    @cached_property
    def held(self) -> Holdings:
        """What the project holds."""
        fields = [name for name in self.names if name != "externalId"]
        return Holdings(self.client, self.project_id, [*fields, *(["jsonMetadata"] if self.keys else [])])

    def edits(self) -> list[Edit]:
        """Compare, and return what would have to change.

        Raises
        ------
        KiliValidationError
            With all rows that do not fit.
        """
        if not len(self.work.frame):
            self.held.read(self.scope.within)
            return self._deletions(self.held.places)
        self.identity = self.work.identity = read_identity(self.columns)
        repeated = refuse_repeated(self.columns, self.identity)
        given = {one for one in self.identity.ids if one is not None}
        values = {name: self.columns.read(name, name) for name in self.names if name != "externalId"}
        values |= {KEY + key: self.columns.read("metadataEntry", key) for key in self.keys}
        self.entries = {KEY + key: _parsed(values[KEY + key]) for key in self.keys}
        if "externalId" in self.names and given:
            values["externalId"] = self._names_wanted(repeated)
        self.columns.check()
        is_whole = self._is_whole()
        if is_whole or self.scope.missing == "delete":
            self.held.read(self.scope.within)
        matching = list(self.held.places) if self.scope.missing == "delete" else []
        found = self._found(is_whole=is_whole)
        self.columns.check()
        ids, self.existing = self.held.columns["id"], len(found)
        self.rows = {ids[place]: row for row, place in found.items()}
        fresh = [row for row in range(len(self.work.frame)) if row not in found]
        deletions = self._deletions([asset_id for asset_id in matching if asset_id not in self.rows])
        suspects = self._suspects(found, values)
        edits = [edit for row in suspects for edit in self._changed(row, self.held.asset(found[row]), values)]
        made = self._new(fresh, values)
        named = [edit for edit in made if edit.asset_id in given]
        self._refuse_taken(edits, named, {edit.asset_id for edit in deletions})
        self.columns.check()
        return [*made, *edits, *deletions]

    # --- what is compared

    def _names_wanted(self, repeated: set[int]) -> list[str | None]:
        """Return the external ids that rows with an id are to have; `repeated` are rows that are wrong anyway."""
        names = self.columns.read("externalId", "externalId")
        once = [None if row in repeated else name for row, name in enumerate(names)]
        self.columns.problem(*repeated_values(once, "externalId"), "appears twice among the external ids")
        return [name if self.identity.ids[row] is not None else None for row, name in enumerate(names)]

    # --- what is there

    def _is_whole(self) -> bool:
        """Return whether all of the project is read: where all may be deleted, or rows are most of it anyway."""
        if self.scope.missing == "delete":
            return not self.scope.within
        rows = len(self.work.frame)
        return rows >= IN_LIMIT and counted(self.client, {"project": {"id": self.project_id}}) <= rows * _MOST

    def _found(self, *, is_whole: bool) -> dict[int, int]:
        """Return the place of the asset of each row that has one; those that are not held yet are looked up."""
        held, ids = self.held, self.identity.ids
        held.look_up("idIn", [one for one in ids if one is not None and one not in held.places])
        found = {row: held.places[one] for row, one in enumerate(ids) if one in held.places}
        pairs = enumerate(zip(ids, self.identity.external_ids, strict=True))
        names = {str(name): row for row, (asset_id, name) in pairs if asset_id is None}
        if not names:
            return found
        # Several assets may have one name, and only some of them match the filters.
        by_name = held.by_name() if is_whole else {}
        asked = [name for name in names if name not in by_name]
        if asked:
            held.look_up("externalIdStrictlyIn", asked)
            by_name = held.by_name()
        found |= {row: by_name[name] for name, row in names.items() if name in by_name}
        for name, holders in (held.shared(names) if len(by_name) < len(held.places) else {}).items():
            problem = f"{len(holders)} assets have this external id: {', '.join(holders[:3])}; give the id"
            self.columns.problem([names[name]], "externalId", [name], problem)
        if len(names) == len(ids):
            return found
        self._refuse_twins(found)
        return {row: found[row] for row in sorted(found)}

    def _refuse_twins(self, found: Mapping[int, int]) -> None:
        """Note rows that mean, by name, an asset that another row means by its id."""
        first: dict[int, int] = {}
        for row, place in sorted(found.items()):
            if first.setdefault(place, row) != row:
                name = "id" if self.identity.ids[row] is not None else "externalId"
                cell = self.identity.ids[row] or self.identity.external_ids[row]
                self.columns.problem([row], name, [cell], "the asset is in the frame twice")

    # --- what differs

    def _suspects(self, found: Mapping[int, int], values: Mapping[str, Sequence[Any]]) -> list[int]:
        """Return the rows that may differ from their assets; all others need no look of their own."""
        rows, places = list(found), list(found.values())
        held = {name: self.held.columns[name] for name in [*self.names, *(["jsonMetadata"] if self.keys else [])]}
        there = {name: [cells[place] for place in places] for name, cells in held.items()}
        if self.keys:
            metadata = [metadata_of(text) for text in there["jsonMetadata"]]
            there |= {KEY + key: [one.get(key) for one in metadata] for key in self.keys}
        suspects: set[int] = set()
        for name, cells in {**values, **self.entries}.items():
            wanted = cells if len(rows) == len(cells) else [cells[row] for row in rows]
            suspects.update(rows[place] for place in differing(name, wanted, there[name]))
        return sorted(suspects)

    def _changed(self, row: int, asset: Mapping[str, Any], values: Mapping[str, Sequence[Any]]) -> Iterator[Edit]:
        """Yield what differs between a row and its asset."""
        metadata = metadata_of(asset["jsonMetadata"]) if "jsonMetadata" in asset else {}
        into = {}  # metadata
        for name, cells in values.items():
            wanted = cells[row]
            if wanted is None:
                continue
            if name in self.entries:
                key = name.removeprefix(KEY)
                before = metadata.get(key)
                after = None if wanted is REMOVE else entry_for(self.entries[name][row], before)
            else:
                before, after = value_of(asset, name), wanted
                if name == "jsonMetadata" and _IMPORT in metadata:  # a video's: only who names it changes it
                    after = json_text({_IMPORT: metadata[_IMPORT]} | metadata_of(after))
                if name in MEDIA and before and is_address(before) and not is_address(after):
                    self.columns.problem([row], name, [after], _UNREADABLE)
                    continue
            if not is_same(name, before, after):
                if name in self.entries:
                    into[key] = after
                label = label_at(self.work.frame.index, row)
                operation: Literal["rename", "update"] = "rename" if name == "externalId" else "update"
                yield Edit(operation, asset["id"], asset["externalId"], name, before, after, label)
        if into:
            self._check_metadata(row, asset, into)

    def _check_metadata(self, row: int, asset: Mapping[str, Any], entries: Mapping[str, Any]) -> None:
        """Note metadata that no key can be put into."""
        try:
            merged(asset["jsonMetadata"], entries)
        except NotJsonError as error:
            problem = f"the metadata of asset {asset['id']!r} cannot be merged with: {error}"
            self.columns.problem([row], next(iter(entries)), [asset["jsonMetadata"]], problem)

    def _new(self, rows: Sequence[int], values: Mapping[str, Sequence[Any]]) -> list[Edit]:
        """Return the edits that append the rows that the project does not have."""
        if not rows:
            return []
        self._refuse_foreign(rows)
        if self.scope.new == "skip":
            self.skipped = list(rows)
            return []
        if self.scope.new == "refuse":
            self._refuse_unknown(rows, "")
            return []
        parts = self._parts(rows, values)
        self._check_media(rows, parts)
        edits = []
        for row, part in zip(rows, parts, strict=True):
            asset_id = self.identity.ids[row] or f"c{secrets.token_hex(12)}"  # the length of Kili's own
            name = self.identity.external_ids[row] or secrets.token_hex(16)
            self.identity.ids[row], self.identity.external_ids[row] = asset_id, name
            self.rows[asset_id] = row
            label = label_at(self.work.frame.index, row)
            edits.append(Edit("append", asset_id, name, None, None, part, label))
            for name_, cells in values.items():
                is_set = cells[row] is not None and not name_.startswith((KEY, "externalId")) and name_ not in APPENDED
                if is_set and not is_same(name_, DEFAULTS.get(name_), cells[row]):
                    edits.append(Edit("update", asset_id, name, name_, DEFAULTS.get(name_), cells[row], label))
        return edits

    def _parts(self, rows: Sequence[int], values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
        """Return what new assets are made with: what is compared, and their media."""
        columns: dict[str, Sequence[Any]] = {name: values[name] for name in APPENDED if name in values}
        columns |= {name: self.columns.cells(name) for name in MEDIA if self.columns.has(name) and name not in values}
        if self.keys and self.columns.has("jsonMetadata") and self.scope.properties is None:
            columns["jsonMetadata"] = self.columns.read("jsonMetadata", "jsonMetadata")
        parts = []
        for row in rows:
            part = {name: cells[row] for name, cells in columns.items() if cells[row] is not None}
            entries = {key: self.entries[KEY + key][row] for key in self.keys}
            said = {key: entry for key, entry in entries.items() if entry is not None}
            if said:
                part["jsonMetadata"] = merged(part.get("jsonMetadata"), said)
            parts.append(part)
        return parts

    def _check_media(self, rows: Sequence[int], parts: Sequence[Mapping[str, Any]]) -> None:
        from pandas_kili.media import media_of_rows  # noqa: PLC0415 - brings media/, as `append_rows` does

        bare = [not any(part.get(name) for name in MEDIA) for part in parts]
        self._refuse_unknown(
            [row for row, is_bare in zip(rows, bare, strict=True) if is_bare],
            ", and the row has no content to append it with; new='skip' leaves such rows out",
        )
        input_type, generation = input_type_and_generation(self.client, self.project_id)
        columns = [[part.get(name) for part in parts] for name in (*MEDIA, "jsonMetadata")]
        _, problems = media_of_rows(input_type, *columns, generation=generation)
        for problem in problems:
            if not bare[problem.row]:
                first = "; append such rows first, by append_many_to_dataset" if "content_is" in problem.message else ""
                self.columns.problem([rows[problem.row]], problem.column, [problem.value], problem.message + first)

    def _refuse_unknown(self, rows: Sequence[int], more: str) -> None:
        """Note rows that the project does not have."""
        for row in rows:
            name = "id" if self.identity.ids[row] is not None else "externalId"
            cell = self.identity.ids[row] or self.identity.external_ids[row]
            self.columns.problem([row], name, [cell], f"project {self.project_id!r} has no such asset{more}")

    def _refuse_foreign(self, rows: Sequence[int]) -> None:
        """Note rows that mean an asset of another project."""
        named = [row for row in rows if self.identity.ids[row] is not None]
        there = existing(self.client, None, [str(self.identity.ids[row]) for row in named])
        foreign = [row for row in named if self.identity.ids[row] in there]
        cells = [self.identity.ids[row] for row in foreign]
        self.columns.problem(foreign, "id", cells, f"the asset is not of project {self.project_id!r}")

    def _refuse_taken(self, edits: Iterable[Edit], made: Iterable[Edit], deleted: set[str]) -> None:
        """Note external ids that assets have which keep them."""
        renames = {edit.asset_id: edit for edit in edits if edit.operation == "rename"}
        wanted = {edit.after: edit.asset_id for edit in renames.values()}
        wanted |= {str(one.external_id): one.asset_id for one in made if one.operation == "append"}
        for part in chunked(list(wanted), IN_LIMIT):
            for name, holders in find_external_ids(self.client, self.project_id, part).items():
                kept = [one for one in holders if one not in deleted and one not in renames]
                if kept and name in wanted:
                    row = self.rows[wanted[name]]
                    told = f"another asset of the project has it: {kept[0]}"
                    self.columns.problem([row], "externalId", [name], told)

    def _deletions(self, ids: Iterable[str]) -> list[Edit]:
        """Return the edits that delete assets, with all that can be given back."""
        fields = selection([*RESTORED, *KEPT])
        parts = in_order(
            lambda part: read_back(self.client, part, fields, self.project_id),
            chunked(list(ids), BATCH_SIZE),
            workers=self.client.max_workers,
        )
        with promised("assets"):
            return [
                Edit(
                    "delete",
                    asset["id"],
                    asset["externalId"],
                    None,
                    {name: value_of(asset, name) for name in dict.fromkeys((*KEPT, *RESTORED))},
                    None,
                )
                for _, shown_ in parts
                for asset in shown_.values()
            ]


def _parsed(texts: Sequence[Any]) -> list[Any]:
    """Return what the cells of a key say, given as JSON texts; null and `REMOVE` stay what they are."""
    if set(map(type, texts)) == {str}:
        values: list[Any] = json.loads(f"[{','.join(texts)}]")
        return values
    return [stored(text) if isinstance(text, str) else text for text in texts]
