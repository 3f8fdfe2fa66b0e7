"""Answers that the server keeps behind a URL, put in the place where a short one stands."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.catalog import LIST_ASSETS, PAGE_SIZE
from pandas_kili.connection import Client, where_ids
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliDownloadError, KiliError
from pandas_kili.messages import listed, plural
from pandas_kili.parallel import chunked
from pandas_kili.query import Selection
from pandas_kili.reading.wire import read_pages

INLINE, BEHIND = "jsonResponse", "jsonResponseUrl"
# What buckets respond to a URL with a signature that has expired: Amazon and Azure 403, Google 400.
_EXPIRED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Source:
    """Where answers come from: the files behind URLs, and assets that are read again for URLs signed anew."""

    client: Client
    project_id: str
    selection: Selection
    stop: threading.Event

    def files(self, urls: Iterable[tuple[int, str]]) -> Iterator[tuple[int, bytes | KiliError]]:
        """Yield the files behind URLs, each with its number, as they come."""
        return self.client.get_all(urls, stop=self.stop)

    def assets(self, ids: Sequence[str]) -> Iterator[pa.StructArray]:
        """Yield assets by their ids as they are served now."""
        for part in chunked(ids, PAGE_SIZE):
            variables = {"where": where_ids(self.project_id, part), "first": PAGE_SIZE, "skip": 0}
            body = self.client.execute_bytes(LIST_ASSETS % self.selection.text, variables, stop=self.stop)
            yield read_pages([body], self.selection.wire)[0]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One answer behind a URL."""

    asset_id: str
    label_id: str | None
    url: str


def complete_answers(assets: pa.StructArray, source: Source) -> pa.StructArray:
    """Fetch the answers of labels that have a `jsonResponseUrl`, and put them into `jsonResponse`.

    Parameters
    ----------
    assets : pyarrow.StructArray
        Served assets, with their `id`.
    source : Source
        Where the answers come from.

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
        assets, {child.name: _complete(pc.struct_field(assets, child.name), ids, source) for child in assets.type}
    )


def wants_answers(type_: pa.DataType) -> bool:
    """Whether values of this type hold answers that may be behind a URL."""
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


def _complete(array: pa.Array, asset_ids: pa.Array, source: Source) -> pa.Array:
    """Complete the labels within a column; `asset_ids` says to which asset each value belongs."""
    if not wants_answers(array.type):
        return array
    if pa.types.is_list(array.type):
        parents = pc.take(asset_ids, pc.list_parent_indices(array))
        values = _complete(pc.list_flatten(array), parents, source)
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
        return pa.ListArray.from_arrays(offsets, values, type=array.type, mask=array.is_null())
    children = {child.name: _complete(pc.struct_field(array, child.name), asset_ids, source) for child in array.type}
    if {INLINE, BEHIND} <= set(children):
        children[INLINE] = _completed(children, asset_ids, source)
    return _with_children(array, children)


def _completed(label: dict[str, pa.Array], asset_ids: pa.Array, source: Source) -> pa.Array:
    """Return the answers of labels, given as their columns, with those behind URLs filled in."""
    is_behind = pc.fill_null(pc.match_substring_regex(label[BEHIND], "^https?://"), fill_value=False)
    rows = pc.indices_nonzero(is_behind)
    if not len(rows):
        return label[INLINE]
    label_ids = pc.take(label["id"], rows).to_pylist() if "id" in label else [None] * len(rows)
    asset_ids, urls = pc.take(asset_ids, rows).to_pylist(), pc.take(label[BEHIND], rows).to_pylist()
    wanted = [_Wanted(*each) for each in zip(asset_ids, label_ids, urls, strict=True)]
    return pc.replace_with_mask(label[INLINE], is_behind, pa.array(_fetched(wanted, source), pa.string()))


def _fetched(wanted: Sequence[_Wanted], source: Source) -> list[str]:
    """Return the answers in their order; a URL that has expired is asked for anew, once."""
    texts = [""] * len(wanted)
    errors: dict[int, Exception] = {}

    def fetch(urls: Iterable[tuple[int, str]]) -> None:
        for number, result in source.files(urls):
            try:
                texts[number] = _answer_text(result)
                errors.pop(number, None)
            except (KiliError, ValueError) as error:
                errors[number] = error

    fetch((number, each.url) for number, each in enumerate(wanted))
    expired = [number for number, error in errors.items() if _is_expired(error) and wanted[number].label_id]
    if expired:
        asset_ids = list(dict.fromkeys(wanted[number].asset_id for number in expired))
        urls = dict(each for assets in source.assets(asset_ids) for each in _urls(assets))
        fetch([(number, urls[name]) for number in expired if (name := wanted[number].label_id) in urls])
    if errors:
        raise _failed([(wanted[number], error) for number, error in sorted(errors.items())])
    return texts


def _answer_text(result: bytes | KiliError) -> str:
    if isinstance(result, KiliError):
        raise result
    text = result.decode("utf-8-sig")
    if text.lstrip()[:1] not in {"{", "["}:
        raise ValueError("what is there is not JSON")
    return text


def _is_expired(error: Exception) -> bool:
    return isinstance(error, KiliConnectionError | KiliAuthenticationError) and error.status in _EXPIRED


def _urls(array: pa.Array) -> Iterator[tuple[str, str]]:
    """Yield the labels' ids with the URLs of their answers, wherever labels are."""
    if pa.types.is_list(array.type):
        yield from _urls(pc.list_flatten(array))
    elif pa.types.is_struct(array.type):
        children = {child.name: pc.struct_field(array, child.name) for child in array.type}
        if {"id", BEHIND} <= set(children):
            pairs = zip(children["id"].to_pylist(), children[BEHIND].to_pylist(), strict=True)
            yield from ((name, url) for name, url in pairs if name and url)
        for child in children.values():
            yield from _urls(child)


def _failed(failed: Sequence[tuple[_Wanted, Exception]]) -> KiliDownloadError:
    failures = [
        {"asset_id": each.asset_id, "label_id": each.label_id, "reason": str(error).rstrip(".")}
        for each, error in failed
    ]
    shown = [f"label {each['label_id']!r} of asset {each['asset_id']!r}: {each['reason']}" for each in failures]
    return KiliDownloadError(
        f"{plural(len(failed), 'answer', 'answers')} could not be fetched: {listed(shown)}.", failures=failures
    )


def _with_children(array: pa.StructArray, children: dict[str, pa.Array]) -> pa.StructArray:
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(
        [children[child.name] for child in array.type], fields=list(array.type), mask=mask
    )
