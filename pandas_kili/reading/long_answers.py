"""Answers that the server keeps behind a URL, put in the place where a short one stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.errors import KiliDownloadError, KiliError

INLINE, BEHIND = "jsonResponse", "jsonResponseUrl"
_SHOWN = 5

Fetch = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class _Answer:
    """One answer that lies behind a URL."""

    asset_id: str
    label_id: str | None
    url: str


def complete_answers(assets: pa.StructArray, fetch: Fetch, executor: Executor) -> pa.StructArray:
    """Fetch the answers of labels that have a `jsonResponseUrl`, and put them into `jsonResponse`.

    Parameters
    ----------
    assets : pyarrow.StructArray
        Served assets, with their `id`.
    fetch : callable
        Gives the bytes behind a URL.
    executor : concurrent.futures.Executor
        Fetches them side by side.

    Returns
    -------
    pyarrow.StructArray
        Of the same type, each answer as it was served.

    Raises
    ------
    KiliDownloadError
        Where one could not be fetched, naming label and asset. It is never taken for an empty answer.
    """
    if not _lies_any_behind(assets):
        return assets
    ids = assets.field("id")
    return _with_children(
        assets,
        {child.name: _complete(pc.struct_field(assets, child.name), ids, fetch, executor) for child in assets.type},
    )


def wants_answers(type_: pa.DataType) -> bool:
    """Whether values of this type hold answers that may lie behind a URL."""
    if pa.types.is_list(type_):
        return wants_answers(type_.value_type)
    if not pa.types.is_struct(type_):
        return False
    names = {child.name for child in type_}
    return {INLINE, BEHIND} <= names or any(wants_answers(child.type) for child in type_)


def _lies_any_behind(array: pa.Array) -> bool:
    """Whether a label may have a URL; most projects have none, which is then seen without laying the labels out."""
    if pa.types.is_list(array.type):
        return _lies_any_behind(array.values)
    if not pa.types.is_struct(array.type):
        return False
    names = [child.name for child in array.type]
    if INLINE in names and BEHIND in names and array.field(BEHIND).null_count < len(array):
        return True
    return any(_lies_any_behind(array.field(name)) for name in names)


def _complete(array: pa.Array, asset_ids: pa.Array, fetch: Fetch, executor: Executor) -> pa.Array:
    """Complete the labels within a column; `asset_ids` says to which asset each value belongs."""
    if not wants_answers(array.type):
        return array
    if pa.types.is_list(array.type):
        parents = pc.take(asset_ids, pc.list_parent_indices(array))
        values = _complete(pc.list_flatten(array), parents, fetch, executor)
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
        return pa.ListArray.from_arrays(offsets, values, type=array.type, mask=array.is_null())
    children = {
        child.name: _complete(pc.struct_field(array, child.name), asset_ids, fetch, executor) for child in array.type
    }
    if {INLINE, BEHIND} <= set(children):
        children[INLINE] = _completed(children, asset_ids, fetch, executor)
    return _with_children(array, children)


def _completed(label: dict[str, pa.Array], asset_ids: pa.Array, fetch: Fetch, executor: Executor) -> pa.Array:
    """Return the answers of labels, given as their columns, with those behind URLs filled in."""
    is_behind = pc.fill_null(pc.match_substring_regex(label[BEHIND], "^https?://"), fill_value=False)
    rows = pc.indices_nonzero(is_behind)
    if not len(rows):
        return label[INLINE]
    label_ids = pc.take(label["id"], rows).to_pylist() if "id" in label else [None] * len(rows)
    asked = [
        _Answer(*answer)
        for answer in zip(
            pc.take(asset_ids, rows).to_pylist(), label_ids, pc.take(label[BEHIND], rows).to_pylist(), strict=True
        )
    ]
    return pc.replace_with_mask(label[INLINE], is_behind, pa.array(_fetch_all(asked, fetch, executor), pa.string()))


def _fetch_all(asked: Sequence[_Answer], fetch: Fetch, executor: Executor) -> list[str]:
    failures: list[dict[str, str | None]] = []

    def answer_text(answer: _Answer) -> str:
        try:
            text = fetch(answer.url).decode("utf-8-sig")
            if text.lstrip()[:1] not in {"{", "["}:
                raise ValueError("what is there is not JSON")
        except (KiliError, OSError, ValueError) as error:
            failures.append({"asset_id": answer.asset_id, "label_id": answer.label_id, "reason": str(error)})
            return ""
        return text

    texts = list(executor.map(answer_text, asked))
    if failures:
        listed = [
            f"label {one['label_id']!r} of asset {one['asset_id']!r}: {one['reason']}" for one in failures[:_SHOWN]
        ]
        more = f" (and {len(failures) - _SHOWN} more)" if len(failures) > _SHOWN else ""
        raise KiliDownloadError(
            f"{len(failures)} answers could not be fetched: {'; '.join(listed)}{more}.", failures=failures
        )
    return texts


def _with_children(array: pa.StructArray, children: dict[str, pa.Array]) -> pa.StructArray:
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(
        [children[child.name] for child in array.type], fields=list(array.type), mask=mask
    )
