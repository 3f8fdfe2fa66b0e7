"""What of a type a document asks for, and the answer cut to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import FieldNode, FragmentSpreadNode, get_named_type, value_from_ast_untyped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import DirectiveNode, FragmentDefinitionNode, SelectionSetNode

__all__ = ["Picked", "Selection"]


class Picked:
    """One field of a selection: under which key, by which node, and what of it."""

    def __init__(self, key: str, node: FieldNode, selection: Selection | None) -> None:
        self.key = key
        self.node = node
        self.name = node.name.value
        self.selection = selection


class Selection:
    """The fields that a document asks of one type.

    Parameters
    ----------
    kind : GraphQLObjectType
        The type.
    sets : list of SelectionSetNode
        Where the document names its fields; several where it names one field several times.
    fragments : Mapping
        The fragments of the document by name.
    variables : Mapping
        The variables, which decide over ``@skip`` and ``@include``.
    """

    def __init__(
        self,
        kind: Any,
        sets: list[SelectionSetNode],
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
    ) -> None:
        self.kind = kind
        self._fragments = fragments
        self._variables = variables
        grouped: dict[str, list[FieldNode]] = {}
        for node in self._fields(sets):
            grouped.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
        self.picked = [self._pick(key, nodes) for key, nodes in grouped.items()]
        self.names = {picked.name for picked in self.picked}

    def _fields(self, sets: list[SelectionSetNode]) -> Iterator[FieldNode]:
        for node in (node for one in sets for node in one.selections):
            if not all(self._wants(directive) for directive in node.directives or ()):
                continue
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, FragmentSpreadNode):
                yield from self._fields([self._fragments[node.name.value].selection_set])
            else:
                yield from self._fields([node.selection_set])  # type: ignore[attr-defined]

    def _wants(self, directive: DirectiveNode) -> bool:
        condition = (directive.arguments or ())[0].value
        given = value_from_ast_untyped(condition, dict(self._variables))
        return bool(given) == (directive.name.value == "include")

    def _pick(self, key: str, nodes: list[FieldNode]) -> Picked:
        sets = [node.selection_set for node in nodes if node.selection_set]
        if not sets:
            return Picked(key, nodes[0], None)
        kind = get_named_type(self.kind.fields[nodes[0].name.value].type)
        return Picked(key, nodes[0], Selection(kind, sets, self._fragments, self._variables))

    def of(self, name: str) -> Selection:
        """Return what is asked of the nested field `name`."""
        return next(picked.selection for picked in self.picked if picked.name == name and picked.selection)

    def cut(self, source: Any) -> Any:
        """Return `source` (a dict, a list of such, or None) cut to the selection."""
        if isinstance(source, list):
            return [self.cut(item) for item in source]
        if source is None:
            return None
        answer = {}
        for picked in self.picked:
            value = source.get(picked.name)
            answer[picked.key] = value if picked.selection is None else picked.selection.cut(value)
            if picked.name == "__typename":
                answer[picked.key] = self.kind.name
        return answer
