"""What tells that an asset changed, without its long texts: the fields of the light look, and a number made of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

FINGERPRINT = "_fingerprint"
"""The column of a copy that holds the number."""

# Moves with the asset's own properties, and so speaks for all of them; what labels, the workflow, marks and issues
# change is looked at by itself.
_ASSET = ("id", "updatedAt")
_LABEL = ("id", "version", "numberOfAnnotations")
_LONG = {"annotations", "chatItems", "jsonResponse", "jsonResponseUrl", "response", "search"}
_OWN = {"content", "contentJson", "externalId", "jsonContent", "jsonMetadata", "metadata", "ocrMetadata", "thumbnail"}
_OWN |= {"createdAt", "updatedAt", "projectId", "dynamicTilerTokens"}
_FIXED_OF_LABELS = ("assetId", "author", "authorId", "createdAt", "labelType", "projectId", "referencedLabel")
_ROWS_AT_ONCE = 10_000  # their texts are objects of Python for a moment
_LABELS = ("labels", "latestLabel", "latestLabels")


def telling_fields(paths: Iterable[str]) -> list[str]:
    """Return the fields of the light look for a copy of the fields `paths`."""
    wanted = list(_ASSET)
    for path in paths:
        root, _, rest = path.partition(".")
        leaf = path.rpartition(".")[2]
        if root in _LABELS:
            wanted += [f"labels.{name}" for name in _LABEL]
            if rest.partition(".")[0] not in _FIXED_OF_LABELS and leaf not in _LONG:
                wanted.append(path)
        elif not (path in _OWN or leaf in _LONG):
            wanted.append(path)
    return list(dict.fromkeys(wanted))


def fingerprints(table: pa.Table) -> pa.Array:
    """Return a number for each row, made of the values of all its columns in the order of their names."""
    numbers = [np.empty(0, np.uint64)]
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        parts = [_texts(batch.column(name)) for name in sorted(table.column_names)]
        joined = pc.binary_join_element_wise(*parts, "\x1e")
        numbers.append(pd.util.hash_array(joined.to_numpy(zero_copy_only=False), categorize=False))
    return pa.array(np.concatenate(numbers).view(np.int64))


class Places:
    """Where names stand in an array, in 16 bytes each."""

    def __init__(self, names: pa.Array) -> None:
        numbers = fingerprints(pa.table({"": names})).to_numpy()
        self._order = np.argsort(numbers)
        self._numbers = numbers[self._order]

    def of(self, names: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """Return the place of each name, and -1 for one that is not there."""
        numbers = fingerprints(pa.table({"": names})).to_numpy()
        nearest = np.searchsorted(self._numbers, numbers)
        nearest[nearest == len(self._numbers)] = 0
        places = np.full(len(numbers), -1)
        if len(self._numbers):
            is_there = self._numbers[nearest] == numbers
            places[is_there] = self._order[nearest[is_there]]
        return places


def _texts(array: pa.Array) -> pa.Array:
    """Return each value as text; null is a sign of its own, apart from every text."""
    if pa.types.is_struct(array.type):
        children = array.flatten()
        fields = sorted(range(array.type.num_fields), key=lambda place: array.type.field(place).name)
        texts = pc.binary_join_element_wise(*(_texts(children[place]) for place in fields), "\x1f")
    elif pa.types.is_list(array.type):
        values = _texts(array.flatten())
        lengths = pc.fill_null(pc.list_value_length(array), 0)
        offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))]).astype(np.int32)
        joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), values), "\x1d")
        texts = pc.binary_join_element_wise(pc.cast(lengths, pa.string()), joined, "\x1c")
    else:
        texts = pc.cast(array, pa.string())
    return pc.if_else(pc.is_null(array), "\x00", pc.fill_null(texts, "\x00"))


def in_microseconds(type_: pa.DataType) -> pa.DataType:
    """Return a type with the instants that Delta tables hold: in microseconds, where ours are in milliseconds."""
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us", tz=type_.tz)
    if pa.types.is_list(type_):
        return pa.list_(type_.value_field.with_type(in_microseconds(type_.value_type)))
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(in_microseconds(field.type)) for field in type_])
    return type_


def narrowed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the columns of `schema`, with the nested fields that it has."""
    columns = [
        pa.chunked_array([_narrowed(chunk, field.type) for chunk in table.column(field.name).chunks], field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _narrowed(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if array.type == wanted:
        return array
    if pa.types.is_struct(wanted) and pa.types.is_struct(array.type):
        children = [_narrowed(pc.struct_field(array, field.name), field.type) for field in wanted]
        return pa.StructArray.from_arrays(children, fields=list(wanted), mask=pc.is_null(array))
    if pa.types.is_list(wanted) and pa.types.is_list(array.type):
        values = _narrowed(array.flatten(), wanted.value_type)
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, values, type=wanted, mask=pc.is_null(array))
    return array.cast(wanted)
