"""The schema that a server of one generation, or of both, answers to."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from graphql import REMOVE, GraphQLSchema, Visitor, build_ast_schema, parse, visit

if TYPE_CHECKING:
    from graphql import DocumentNode

__all__ = ["Generation", "schema_of"]

Generation = Literal["both", "legacy", "current"]


def schema_of(generation: Generation) -> GraphQLSchema:
    """Return the schema without what `generation` does not know, and without the marks."""
    text = resources.files("pandas_kili.sandbox").joinpath("schema.graphql").read_text(encoding="utf-8")
    document: DocumentNode = visit(parse(text, no_location=True), _Pruning(generation))
    schema = build_ast_schema(document)
    # Of the directives that newer versions of graphql-core add, older clients know neither names nor locations.
    schema.directives = tuple(one for one in schema.directives if one.name in {"include", "skip"})
    return schema


class _Pruning(Visitor):
    def __init__(self, generation: Generation) -> None:
        super().__init__()
        self.generation = generation

    def enter(self, node: Any, *_: Any) -> Any:
        if node.kind in {"directive_definition", "enum_type_definition"} and node.name.value in {
            "generation",
            "Generation",
        }:
            return REMOVE
        if node.kind == "directive" and node.name.value == "generation":
            return REMOVE
        return REMOVE if self._is_foreign(node) else None

    def _is_foreign(self, node: Any) -> bool:
        marks = [mark for mark in getattr(node, "directives", None) or () if mark.name.value == "generation"]
        return self.generation != "both" and any(
            mark.arguments[0].value.value != self.generation.upper() for mark in marks
        )
