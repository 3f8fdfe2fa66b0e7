"""From field paths to what is asked of the server, and to the Arrow schemas of its answer and of the frame."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow as pa

from pandas_kili.catalog import ANNOTATION_VALUE, ENTITIES, Entity, Field, leaves
from pandas_kili.errors import KiliFieldError
from pandas_kili.messages import did_you_mean, kind_of, nearest, shown

Fields: TypeAlias = Iterable[str] | Mapping[str, pa.DataType]

_PATH = re.compile(r"[_A-Za-z]\w*(\.[_A-Za-z]\w*)*", re.ASCII)  # names as GraphQL has them


@dataclass(slots=True)
class Branch:
    """A node of the selection: an entity, reached by one name."""

    many: bool = False
    nodes: dict[str, Branch | pa.DataType] = field(default_factory=dict)

    def arrow(self) -> pa.DataType:
        """Return the Arrow type of what the server serves here."""
        struct = pa.struct([(name, _arrow(node)) for name, node in self.nodes.items()])
        return pa.list_(struct) if self.many else struct

    def text(self) -> str:
        """Return the GraphQL selection of this node."""
        return " ".join(
            ANNOTATION_VALUE if name == "annotationValue" else f"{name}{_text(node)}"
            for name, node in self.nodes.items()
        )


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the frame: its dotted name is the way to it in the served asset."""

    name: str
    type: pa.DataType
    many: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked of each asset, and what becomes of it.

    Attributes
    ----------
    text : str
        The GraphQL selection, without its outer braces.
    wire : pyarrow.StructType
        Type of one served asset.
    columns : tuple of Column
        Columns of the frame that the user asked for, in order.
    """

    text: str
    wire: pa.StructType
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the frame."""
        return pa.schema([(column.name, column.type) for column in self.columns])


def select(fields: Fields, *, also: Iterable[str] = (), root: Entity | None = None) -> Selection:
    """Turn field paths into a selection.

    Parameters
    ----------
    fields : iterable of str, or mapping of str to pyarrow.DataType
        Dotted paths; a mapping gives the type of paths that the catalog does not know (None for those that it does).
    also : iterable of str
        Paths that are asked for, without becoming columns of their own.
    root : Entity, optional
        Where paths begin; the asset by default.

    Raises
    ------
    KiliFieldError
        For a path that leads nowhere, with the nearest known ones.
    """
    if isinstance(fields, str):
        raise KiliFieldError(
            f"fields is a list of paths, such as [{fields!r}]; got the string {fields!r}.", field=fields
        )
    types = fields if isinstance(fields, Mapping) else dict.fromkeys(_paths(fields))
    if not types:
        raise KiliFieldError("fields is empty; name at least one, such as ['id'].")
    for path, given in types.items():
        if not (given is None or isinstance(given, pa.DataType)):
            raise KiliFieldError(
                f"the type of {path!r} must be a pyarrow type such as pa.string(); got {shown(given)}.", field=path
            )
    return _selected(tuple(types.items()), tuple(also), root or ENTITIES["Asset"])


@functools.lru_cache(maxsize=32)  # a read asks for the same several times, a partition of a cluster once more
def _selected(types: tuple[tuple[str, pa.DataType | None], ...], also: tuple[str, ...], root: Entity) -> Selection:
    wanted, asked = Branch(), Branch()
    for path, given in types:
        _grow(wanted, root, path, given)
        _grow(asked, root, path, given)
    for path in also:
        _grow(asked, root, path, None)
        _keep_type(asked, root, path)
    return Selection(asked.text(), asked.arrow(), tuple(_columns(wanted, [path for path, _ in types])))


def known_fields(path: str, *, root: Entity | None = None) -> list[Field]:
    """Return the catalog's fields along a dotted path, as far as it is known."""
    entity: Entity | None = root or ENTITIES["Asset"]
    found = []
    for name in path.split("."):
        known = entity.field(name) if entity else None
        if known is None:
            break
        found.append(known)
        entity = ENTITIES.get(known.to)
    return found


def _paths(fields: Any) -> list[str]:
    if not isinstance(fields, Iterable) or isinstance(fields, bytes):
        raise KiliFieldError(f"fields is a list of paths, such as ['id']; got {shown(fields)}.")
    paths = list(fields)
    for path in paths:
        _check_path(path)
    return paths


def _check_path(path: Any) -> None:
    if not isinstance(path, str):
        raise KiliFieldError(f"a field is a string such as 'externalId'; got {kind_of(path)}.")
    if not _PATH.fullmatch(path):
        raise KiliFieldError(f"{path!r} is no path: write names with dots between, 'labels.author.email'.", field=path)


def _keep_type(tree: Branch, root: Entity, path: str) -> None:
    """Refuse another type for what the package itself has to read."""
    node: Branch | pa.DataType = tree
    for name in path.split("."):
        node = node.nodes[name] if isinstance(node, Branch) else node
    known = known_fields(path, root=root)[-1].type
    if node != known:
        raise KiliFieldError(f"{path!r} is always read as {known}; got the type {node}.", field=path)


def _grow(tree: Branch, root: Entity, path: str, given: pa.DataType | None) -> None:
    _check_path(path)
    *way, leaf = path.split(".")
    known = known_fields(path, root=root)
    type_ = _leaf_type(path, known, given, root)
    for position, name in enumerate(way):
        many = position < len(known) and known[position].many
        node = tree.nodes.setdefault(name, Branch(many))
        if not isinstance(node, Branch):
            raise KiliFieldError(f"{path!r} leads through {name!r}, which is asked for as a value.", field=path)
        tree = node
    if isinstance(tree.nodes.setdefault(leaf, type_), Branch):
        raise KiliFieldError(f"{path!r} is asked for as a value, and another field leads through it.", field=path)


def _leaf_type(path: str, known: list[Field], given: pa.DataType | None, root: Entity) -> pa.DataType:
    complete = len(known) == path.count(".") + 1
    if complete and known[-1].type is not None:
        return known[-1].type if given is None else _readable(path, given)
    if complete and known[-1].to in ENTITIES:
        inner = [f"{path}.{item.name}" for item in ENTITIES[known[-1].to].fields if item.type is not None]
        raise KiliFieldError(
            f"{path!r} is not a value: name what is wanted of it, such as {inner[0]!r}.",
            field=path,
            suggestions=inner,
        )
    if given is not None:
        return _readable(path, given)
    raise _unknown(path, root)


def _readable(path: str, given: pa.DataType) -> pa.DataType:
    """Check that a type given by the user is one that JSON pages can be read into."""
    if pa.types.is_list(given):
        _readable(path, given.value_type)
    elif pa.types.is_struct(given):
        for child in given:
            _readable(f"{path}.{child.name}", child.type)
    elif given not in {pa.string(), pa.int64(), pa.float64(), pa.bool_()} and not pa.types.is_timestamp(given):
        raise KiliFieldError(
            f"{path!r} cannot be read as {given}: use string, int64, double, bool, timestamp, or lists or structs.",
            field=path,
        )
    return given


def _unknown(path: str, root: Entity) -> KiliFieldError:
    paths = [path for path, _ in leaves(root)]
    suggestions = nearest(path, reversed(paths))
    tail = path.rpartition(".")[2].lower()
    same = [known for known in reversed(paths) if known.lower().rpartition(".")[2] == tail and known not in suggestions]
    suggestions += same[: 3 - len(suggestions)]
    return KiliFieldError(
        f"Kili's {root.name} has no field {path!r}.{did_you_mean(suggestions)}"
        " A field newer than this package can be read by giving its type: fields={" + repr(path) + ": pa.string()}.",
        field=path,
        suggestions=suggestions,
    )


def _columns(tree: Branch, paths: Iterable[str]) -> Iterable[Column]:
    """Yield a column for each leaf, and one for each list of entities at the place of its first leaf."""
    seen = set()
    for path in paths:
        column = _column(tree, path)
        if column.name not in seen:
            seen.add(column.name)
            yield column


def _column(tree: Branch, path: str) -> Column:
    node: Branch | pa.DataType = tree
    way: list[str] = []
    for name in path.split("."):
        if not isinstance(node, Branch) or node.many:
            break
        way.append(name)
        node = node.nodes[name]
    return Column(".".join(way), _arrow(node), isinstance(node, Branch))


def _arrow(node: Branch | pa.DataType) -> pa.DataType:
    return node.arrow() if isinstance(node, Branch) else node


def _text(node: Branch | pa.DataType) -> str:
    if isinstance(node, Branch):
        return f" {{ {node.text()} }}"
    if pa.types.is_list(node):
        return _text(node.value_type)
    if pa.types.is_struct(node):
        return f" {{ {' '.join(child.name + _text(child.type) for child in node)} }}"
    return ""
