"""Bytes of the server to Arrow: pages of JSON, and the columns that they become."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pandas_kili.errors import KiliGraphQLError, KiliValidationError
from pandas_kili.messages import FailureCase, validation_error, warn
from pandas_kili.parallel import imported
from pandas_kili.query import Column, Selection


def _memory_pool() -> pa.MemoryPool:
    """Return a pool that gives back at once what was freed: half the memory of a read, and no growth from read to read.

    The system's `malloc` gives back large blocks until some were freed, and from then on keeps them, in each thread. So
    a process that reads every hour grows by 100 MB. Pools of Arrow's that keep blocks for the next use double the peak.
    """
    if "jemalloc" not in pa.supported_memory_backends() or pa.default_memory_pool().backend_name == "jemalloc":
        return pa.system_memory_pool()
    pa.jemalloc_set_decay_ms(0)
    return pa.jemalloc_memory_pool()


POOL = _memory_pool()
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def read_pages(bodies: Sequence[bytes], wire: pa.StructType) -> tuple[pa.StructArray, list[int]]:
    """Read answers of the form ``{"data": {"data": [...]}}`` into one array of structs.

    Parameters
    ----------
    bodies : sequence of bytes
        Whole answers, known to carry no errors.
    wire : pyarrow.StructType
        Type of one served object; fields that it does not name are ignored, missing ones are null.

    Returns
    -------
    pyarrow.StructArray
        The objects of all pages.
    list of int
        How many there are on each page.

    Raises
    ------
    KiliValidationError
        For a value that its type cannot hold, naming object, field and value.
    KiliGraphQLError
        For an answer without a list, or with null in place of an object.
    """
    lists = None
    # Left before anything else is tried: an error that is being handled keeps a copy of all pages.
    with contextlib.suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError):
        lists = _read_json(bodies, wire)
    if lists is None and len(bodies) > 1:  # one odd page must not slow the others down
        pages = [read_pages([body], wire)[0] for body in bodies]
        return pa.concat_arrays(pages, memory_pool=POOL), list(map(len, pages))
    if lists is None:
        lists = _read_leniently(bodies[0], wire)
    objects = lists.values
    if lists.null_count or objects.null_count:
        raise KiliGraphQLError("The server answered null where it promises a list of objects.")
    return objects, np.diff(lists.offsets.to_numpy()).tolist()


def _read_json(bodies: Sequence[bytes], wire: pa.StructType) -> pa.ListArray:
    pj = imported("pyarrow.json")  # late: a fifth of what importing this package costs beyond pandas
    if not all(map(_is_object, bodies)):
        raise pa.ArrowInvalid("an answer is no object")  # a bare null crashes the parser
    text = b"\n".join(bodies)
    table = pj.read_json(
        pa.BufferReader(text),
        # One block, parsed here: the other cores fetch the next pages.
        read_options=pj.ReadOptions(use_threads=False, block_size=len(text) + 1),
        parse_options=pj.ParseOptions(
            explicit_schema=pa.schema([("data", pa.struct([("data", pa.list_(wire))]))]),
            unexpected_field_behavior="ignore",
            # Seen in the first alone: what another with breaks is cut into is no JSON, and it is then read by itself.
            newlines_in_values=_has_line_breaks(bodies[0]),
        ),
        memory_pool=POOL,
    )
    table.validate(full=True)  # invalid UTF-8 is taken in silence otherwise
    if len(table) != len(bodies):
        raise pa.ArrowInvalid("an answer holds other than one document")
    (answers,) = table["data"].chunks  # one block; `combine_chunks` would copy it
    return _child(answers, "data")


def _is_object(body: bytes) -> bool:
    return body[:64].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" and body[-64:].rstrip()[-1:] == b"}"


def _has_line_breaks(body: bytes) -> bool:
    return (b"\n" in body or b"\r" in body) and re.search(rb"[\r\n]", body.strip()) is not None


def _read_leniently(body: bytes, wire: pa.StructType) -> pa.ListArray:
    """Read one page value by value, where its JSON is odd but its meaning is plain."""
    text = body.decode("utf-8-sig", errors="replace")
    if _REPLACEMENT in text and _REPLACEMENT.encode() not in body:
        warn("The server sent bytes that are not UTF-8; they were replaced by U+FFFD.")
    try:
        objects = json.loads(text, strict=False)["data"]["data"]
    except (ValueError, TypeError, LookupError, RecursionError):
        raise KiliGraphQLError(f"The server answered with what is no list of objects: {text[:200]!r}.") from None
    if objects is None:
        return pa.array([None], pa.list_(wire))
    if not isinstance(objects, list):
        raise KiliGraphQLError(f"The server answered {repr(objects)[:200]} where it promises a list of objects.")
    values = [_struct(item, wire, _Place(position, item)) for position, item in enumerate(objects)]
    return pa.array([values], pa.list_(wire), memory_pool=POOL)


class _Place:
    """Where a value stands, for the sentence of an error."""

    def __init__(self, position: int, item: Any, path: str = "") -> None:
        self.asset = item.get("id") if isinstance(item, dict) else None
        self.position, self.path = position, path

    def of(self, name: str) -> _Place:
        place = _Place(self.position, None, f"{self.path}.{name}" if self.path else name)
        place.asset = self.asset
        return place

    def __str__(self) -> str:
        return (
            f"{self.path!r} of {self.asset!r}" if self.asset else f"{self.path!r} at position {self.position} of a page"
        )


def _struct(value: Any, type_: pa.StructType, place: _Place) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _unfit(value, type_, place)
    return {child.name: _value(value.get(child.name), child.type, place.of(child.name)) for child in type_}


def _value(value: Any, type_: pa.DataType, place: _Place) -> Any:  # noqa: PLR0911 - one line a type
    if value is None:
        return None
    if pa.types.is_struct(type_):
        return _struct(value, type_, place)
    if pa.types.is_list(type_):
        if not isinstance(value, list):
            raise _unfit(value, type_, place)
        return [_value(item, type_.value_type, place) for item in value]
    if pa.types.is_string(type_):
        return _text(value, place)
    if pa.types.is_timestamp(type_):
        return _moment(value, type_, place)
    if pa.types.is_boolean(type_):
        if not isinstance(value, bool):
            raise _unfit(value, type_, place)
        return value
    return _number(value, type_, place)


def _text(value: Any, place: _Place) -> str:
    """Return text; a JSON value in place of text is kept as JSON text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    warn(f"{place} holds half a surrogate pair, which no Unicode text can; it was replaced by U+FFFD.")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(value: Any, type_: pa.DataType, place: _Place) -> int | float:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
        if pa.types.is_floating(type_):
            return number
        whole = int(value) if isinstance(value, (int, str)) else int(number)
        if whole != number and abs(number) < 2**53:  # beyond, a double is no witness
            raise ValueError
        if not -(2**63) <= whole < 2**63:
            raise OverflowError
    except (TypeError, ValueError, OverflowError):
        raise _unfit(value, type_, place) from None
    return whole


def _moment(value: Any, type_: pa.TimestampType, place: _Place) -> dt.datetime | None:
    if value == "":
        return None
    try:
        moment = dt.datetime.fromisoformat(value)
        utc = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        raise _unfit(value, type_, place) from None
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000) if type_.unit == "ms" else utc


def _unfit(value: Any, type_: pa.DataType, place: _Place) -> KiliValidationError:
    text = repr(value)[:200]
    case = FailureCase(place.position, place.position, place.path, str(type_), text)
    return validation_error(f"{place} cannot be read as {type_}: the server sent {text}.", [case])


def columns(assets: pa.StructArray, selection: Selection) -> pa.Table:
    """Lay served objects out as the columns of a selection, each with its frame type."""
    arrays = [_fit(_dig(assets, column), column.type) for column in selection.columns]
    return pa.Table.from_arrays(arrays, schema=selection.schema)


def _dig(array: pa.Array, column: Column) -> pa.Array:
    for name in column.name.split("."):
        array = _child(array, name)
    return array


def _child(array: pa.StructArray, name: str) -> pa.Array:
    """Return a child, null where its parent is null.

    Only the kernel sees to that; but each call of it lets the interpreter go, which other threads are slow to return.
    """
    return pc.struct_field(array, name) if array.null_count else array.field(name)


def _fit(array: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Leave out what was asked for and not wanted."""
    if array.type == wanted:
        return array
    if pa.types.is_struct(wanted):
        children = [_fit(pc.struct_field(array, child.name), child.type) for child in wanted]
        return pa.StructArray.from_arrays(children, fields=list(wanted), mask=array.is_null())
    values = _fit(array.values, wanted.value_type)
    # By buffers, since `from_arrays` takes no mask beside the offsets of a slice.
    return pa.Array.from_buffers(wanted, len(array), array.buffers()[:2], offset=array.offset, children=[values])
