"""The fields that a document asks for, and answers cut to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphql import FieldNode, FragmentSpreadNode, get_named_type, is_abstract_type, value_from_ast_untyped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphql import DirectiveNode, FragmentDefinitionNode, GraphQLSchema, SelectionSetNode

__all__ = ["AskedField", "AskedFields"]


class AskedField:
    """One field that a document asks for: the key of the answer, the node, and the fields asked below it."""

    def __init__(self, key: str, node: FieldNode, fields: AskedFields | None) -> None:
        self.key = key
        self.node = node
        self.name = node.name.value
        self.fields = fields


class AskedFields:
    """The fields that a document asks of one type.

    Parameters
    ----------
    schema : GraphQLSchema
        The schema of the type.
    kind : GraphQLObjectType or GraphQLInterfaceType
        The type.
    sets : list of SelectionSetNode
        Where the document names its fields; several where it names one field several times.
    fragments : Mapping
        The fragments of the document by name.
    variables : Mapping
        The variables, which ``@skip`` and ``@include`` look at.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        kind: Any,
        sets: list[SelectionSetNode],
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
    ) -> None:
        self.kind = kind
        self._schema = schema
        self._fragments = fragments
        self._variables = variables
        possible = schema.get_possible_types(kind) if is_abstract_type(kind) else ()
        #: The fields asked of each type that an interface stands for.
        self._by_type = {one.name: AskedFields(schema, one, sets, fragments, variables) for one in possible}
        grouped: dict[str, list[FieldNode]] = {}
        for node in () if self._by_type else self._nodes(sets):
            grouped.setdefault(node.alias.value if node.alias else node.name.value, []).append(node)
        self.asked = [self._ask(key, nodes) for key, nodes in grouped.items()]
        self.asked += [field for fields in self._by_type.values() for field in fields.asked]
        self.names = {field.name for field in self.asked}

    def _nodes(self, sets: list[SelectionSetNode]) -> Iterator[FieldNode]:
        for node in (node for one in sets for node in one.selections):
            if not all(self._wants(directive) for directive in node.directives or ()):
                continue
            if isinstance(node, FieldNode):
                yield node
                continue
            fragment: Any = self._fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
            if self._fits(fragment.type_condition):
                yield from self._nodes([fragment.selection_set])

    def _fits(self, condition: Any) -> bool:
        own = {self.kind.name, *(interface.name for interface in self.kind.interfaces)}
        return condition is None or condition.name.value in own

    def _wants(self, directive: DirectiveNode) -> bool:
        condition = (directive.arguments or ())[0].value
        given = value_from_ast_untyped(condition, dict(self._variables))
        return bool(given) == (directive.name.value == "include")

    def _ask(self, key: str, nodes: list[FieldNode]) -> AskedField:
        sets = [node.selection_set for node in nodes if node.selection_set]
        if not sets:
            return AskedField(key, nodes[0], None)
        kind = get_named_type(self.kind.fields[nodes[0].name.value].type)
        return AskedField(key, nodes[0], AskedFields(self._schema, kind, sets, self._fragments, self._variables))

    def of(self, name: str) -> AskedFields:
        """Return the fields asked below the field `name`."""
        return next(field.fields for field in self.asked if field.name == name and field.fields)

    def cut(self, source: Any) -> Any:
        """Return `source` (a dict, a list of dicts, or None) with the asked fields only."""
        if isinstance(source, list):
            return [self.cut(item) for item in source]
        if source is None:
            return None
        if self._by_type:
            return self._by_type[source["__typename"]].cut(source)
        answer = {}
        for field in self.asked:
            value = source.get(field.name)
            answer[field.key] = value if field.fields is None else field.fields.cut(value)
            if field.name == "__typename":
                answer[field.key] = self.kind.name
        return answer
