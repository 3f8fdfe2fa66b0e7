"""A frame compared with its project: what would have to change. Nothing that changes the server is sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pandas_kili.arrow import python_cells
from pandas_kili.catalog import APPEND, BATCH_SIZE, IN_LIMIT, LIST_ASSETS, PROPERTIES
from pandas_kili.connection import Client, counted, find_project, promised, read_back
from pandas_kili.errors import KiliValidationError
from pandas_kili.json_text import NotJsonError
from pandas_kili.messages import label_at, nearest, shown
from pandas_kili.parallel import chunked, in_order
from pandas_kili.reading import read_kili
from pandas_kili.writing.cells import REMOVE, metadata_keys, require_column
from pandas_kili.writing.edits import (
    APPENDED,
    DEFAULTS,
    KEPT,
    KEY,
    RESTORED,
    Edit,
    is_same,
    metadata_of,
    selection,
    value_of,
)
from pandas_kili.writing.identity import (
    Identity,
    existing,
    find_external_ids,
    read_identity,
    refuse_repeated,
    repeated_values,
)
from pandas_kili.writing.merge_metadata import entry_for, merged
from pandas_kili.writing.mutations import spelling
from pandas_kili.writing.recent import looks_for
from pandas_kili.writing.work import Work

New = Literal["append", "refuse", "skip"]
Missing = Literal["keep", "delete"]
_MOST = 1.25  # of the rows: up to here, reading all of a project in pages costs less than looking assets up by name
_MEDIA = ("content", "jsonContent")
_COMPARED = ("externalId", *(name for name in PROPERTIES.values() if name not in {*_MEDIA, "status"}))


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared, and what becomes of rows and assets that are alone."""

    properties: Sequence[str] | None = None
    metadata: Sequence[Hashable] | None = None
    new: New = "append"
    missing: Missing = "keep"
    within: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("new", self.new, ("append", "refuse", "skip")),
            ("missing", self.missing, ("keep", "delete")),
        ):
            if value not in known:
                raise KiliValidationError(f"{name} is one of {', '.join(map(repr, known))}; got {shown(value)}.")
        for name, listed in (("properties", self.properties), ("metadata", self.metadata)):
            if isinstance(listed, str):
                raise KiliValidationError(f"{name} is a list of columns, such as [{listed!r}].")
        if self.within is not None and self.missing == "keep":
            raise KiliValidationError("within= narrows missing='delete': without it, no asset is deleted.")


class Comparison:
    """The edits that make a project what a frame says.

    Parameters
    ----------
    work : Work
        Of the frame.
    question : Question
    """

    def __init__(self, work: Work, question: Question) -> None:
        self.work, self.question, self.columns = work, question, work.columns
        self.project_id = work.need_project_id("to say which project the rows describe")
        self.skipped: list[int] = []  # rows that the project does not have, and is not to have
        self.rows: dict[str, int] = {}  # of each asset that a row names
        self.names = self._compared()
        self.keys = metadata_keys(work.frame, self.question.metadata or ())
        self.entries: dict[str, list[Any]] = {}  # what the cells of each key say
        self.identity = Identity.of_none(0)

    @property
    def client(self) -> Client:
        """The connection to use."""
        return self.work.client

    def edits(self) -> list[Edit]:
        """Compare, and return what would have to change.

        Raises
        ------
        KiliValidationError
            With all rows that do not fit.
        """
        if not len(self.work.frame):
            return self._deletions(self._read(self.question.within))
        self.identity = self.work.identity = read_identity(self.columns)
        refuse_repeated(self.columns, self.identity)
        given = {one for one in self.identity.ids if one is not None}
        values = {name: self.columns.read(name, name) for name in self.names if name != "externalId"}
        values |= {KEY + key: self.columns.read("metadataEntry", key) for key in self.keys}
        self.entries = {KEY + key: _parsed(values[KEY + key]) for key in self.keys}
        if "externalId" in self.names:
            values["externalId"] = self._names_wanted()
        self.columns.check()
        is_whole = self._is_whole()
        known = self._read(self.question.within) if is_whole or self.question.missing == "delete" else {}
        found = self._found(known, is_whole=is_whole)
        self.columns.check()
        self.rows = {str(asset["id"]): row for row, asset in found.items()}
        fresh = [row for row in range(len(self.work.frame)) if row not in found]
        left = [asset_id for asset_id in known if asset_id not in self.rows]
        deletions = self._deletions(left if self.question.missing == "delete" else [])
        edits = [edit for row, asset in found.items() for edit in self._changed(row, asset, values)]
        made = self._new(fresh, values)
        named = [edit for edit in made if edit.asset_id in given]
        self._refuse_taken(edits, named, {edit.asset_id for edit in deletions})
        self.columns.check()
        return [*made, *edits, *deletions]

    # --- what is compared

    def _compared(self) -> list[str]:
        has, question = self.columns.has, self.question
        if question.properties is None:
            names = [name for name in _COMPARED if has(name)]
            if question.metadata is not None:
                names = [name for name in names if name != "jsonMetadata"]
            return names
        known = ("externalId", *PROPERTIES.values())
        for label in question.properties:
            if label not in known:
                near = nearest(str(label), known)
                hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are {', '.join(known)}."
                raise KiliValidationError(f"{shown(label)} is no property that can be set; {hint}")
            require_column(self.work.frame, label)
        names = [str(label) for label in question.properties]
        if "jsonMetadata" in names and question.metadata is not None:
            raise KiliValidationError("properties= names all of 'jsonMetadata', metadata= single keys; give one.")
        if "status" in names:
            raise KiliValidationError("Servers compute the status themselves: leave 'status' out of properties=.")
        return names

    def _names_wanted(self) -> list[str | None]:
        """Return the external ids that rows with an id are to have."""
        names = self.columns.read("externalId", "externalId")
        self.columns.problem(*repeated_values(names, "externalId"), "stands twice among the external ids")
        return [name if self.identity.ids[row] is not None else None for row, name in enumerate(names)]

    # --- what is there

    def _fields(self) -> list[str]:
        return [*(name for name in self.names if name != "externalId"), *(["jsonMetadata"] if self.keys else [])]

    def _is_whole(self) -> bool:
        """Return whether all of the project is read: where all may be deleted, or rows are most of it anyway."""
        if self.question.missing == "delete":
            return not self.question.within
        rows = len(self.work.frame)
        return rows >= IN_LIMIT and counted(self.client, {"project": {"id": self.project_id}}) <= rows * _MOST

    def _read(self, within: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
        """Return the assets of the project, or those that match filters, by id."""
        paths = ["toBeLabeledBy.user.email" if name == "toBeLabeledBy" else name for name in self._fields()]
        frame = read_kili(
            self.project_id,
            fields=dict.fromkeys(["id", "externalId", *paths]),
            validate=False,
            client=self.client,
            disable_tqdm=True,
            **(within or {}),
        )
        columns = {str(name): python_cells(frame[name]) for name in frame.columns}
        rows = (dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))
        return {asset["id"]: asset for asset in rows}

    def _found(self, known: Mapping[str, dict[str, Any]], *, is_whole: bool) -> dict[int, dict[str, Any]]:
        """Return the asset of each row that has one, of those known and those that are still to be looked up."""
        by_name: dict[str, list[dict[str, Any]]] = {}
        for asset in known.values():
            by_name.setdefault(asset["externalId"], []).append(asset)
        ids = {str(one): row for row, one in enumerate(self.identity.ids) if one is not None}
        names = {str(self.identity.external_ids[row]): row for row, one in enumerate(self.identity.ids) if one is None}
        found = {row: known[one] for one, row in ids.items() if one in known}
        found |= {ids[asset["id"]]: asset for asset in self._shown("idIn", [one for one in ids if one not in known])}
        # Of one name there may be several assets, of which those that match filters are only some.
        asked = [name for name in names if not (is_whole and name in by_name)]
        for asset in self._shown("externalIdStrictlyIn", asked):
            if asset["id"] not in known:
                by_name.setdefault(asset["externalId"], []).append(asset)
        for name, row in names.items():
            assets = by_name.get(name, [])
            if len(assets) > 1:
                ids_ = ", ".join(asset["id"] for asset in assets[:3])
                told = f"{len(assets)} assets have this external id: {ids_}; give the id"
                self.columns.problem([row], "externalId", [name], told)
            elif assets:
                found[row] = assets[0]
        if ids and names:
            self._refuse_twins(found)
        return {row: found[row] for row in sorted(found)}

    def _refuse_twins(self, found: Mapping[int, Mapping[str, Any]]) -> None:
        """Note rows whose asset another row means by its id."""
        first: dict[str, int] = {}
        for row, asset in sorted(found.items()):
            if first.setdefault(asset["id"], row) != row:
                cell = self.identity.ids[row] or self.identity.external_ids[row]
                self.columns.problem([row], "id", [cell], "the asset is in the frame twice")

    def _shown(self, condition: str, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the assets that have one of these ids or external ids; those made just now may show a little later."""
        fields = selection(self._fields())
        left = list(texts)
        of = "id" if condition == "idIn" else "externalId"
        for _ in looks_for(self.client.api_endpoint, left) if left else ():
            seen = set()
            parts = chunked(left, BATCH_SIZE)
            for part, assets in in_order(
                lambda part: self._page(condition, part, fields), parts, workers=self.client.max_workers
            ):
                wanted = set(part)
                for asset in assets:
                    if asset[of] in wanted:  # a server that ignores case gives more
                        seen.add(asset[of])
                        yield asset
            left = [text for text in left if text not in seen]
            if not left:
                return

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

    # --- what differs

    def _changed(self, row: int, asset: Mapping[str, Any], values: Mapping[str, Sequence[Any]]) -> Iterator[Edit]:
        """Yield what differs; most values are the very same, so those come first."""
        metadata = metadata_of(asset["jsonMetadata"]) if self.keys else {}
        into = {}  # metadata
        for name, cells in values.items():
            wanted = cells[row]
            if wanted is None:
                continue
            if name in self.entries:
                key = name.removeprefix(KEY)
                before = metadata.get(key)
                entry = self.entries[name][row]
                if type(entry) is type(before) and entry == before and not isinstance(before, (dict, list)):
                    continue
                after = None if wanted is REMOVE else entry_for(entry, before)
            else:
                there = asset.get(name)
                if type(there) is type(wanted) and there == wanted:
                    continue
                before, after = value_of(asset, name), wanted
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
        if self.question.new == "skip":
            self.skipped = list(rows)
            return []
        if self.question.new == "refuse":
            for row in rows:
                name = "id" if self.identity.ids[row] is not None else "externalId"
                cell = self.identity.ids[row] or self.identity.external_ids[row]
                self.columns.problem([row], name, [cell], f"project {self.project_id!r} has no such asset")
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
        columns |= {name: self.columns.cells(name) for name in _MEDIA if self.columns.has(name) and name not in values}
        if self.keys and self.columns.has("jsonMetadata") and self.question.properties is None:
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
        from pandas_kili.media import plan_media  # noqa: PLC0415 - brings media/, as `append_rows` does

        with promised("projects"):
            input_type = str(find_project(self.client, self.project_id, "inputType")["inputType"])
        columns = [[part.get(name) for part in parts] for name in ("content", "jsonContent", "jsonMetadata")]
        is_current = spelling(self.client, APPEND) == APPEND[0]
        _, problems = plan_media(input_type, *columns, generation="current" if is_current else "legacy")
        for problem in problems:
            self.columns.problem([rows[problem.row]], problem.column, [problem.value], problem.message)

    def _refuse_foreign(self, rows: Sequence[int]) -> None:
        """Note rows whose asset is one of another project."""
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
    """Return what the JSON texts of a column hold, read at once; None for a cell that is null or removes its key."""
    values: list[Any] = json.loads(f"[{','.join(text if isinstance(text, str) else 'null' for text in texts)}]")
    return values
