"""The schema that a server of one generation, or of both, answers to."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from graphql import REMOVE, GraphQLSchema, Visitor, build_ast_schema, parse, visit

if TYPE_CHECKING:
    from graphql import DocumentNode

__all__ = ["Generation", "schema_of"]

Generation = Literal["both", "legacy", "current"]


@cache  # it is never changed, and takes longer to build than all else that a sandbox starts with
def schema_of(generation: Generation, *, events: bool = True) -> GraphQLSchema:
    """Return the schema without what `generation` does not know, and without the log where there is none."""
    text = resources.files("pandas_kili.sandbox").joinpath("schema.graphql").read_text(encoding="utf-8")
    document: DocumentNode = visit(parse(text, no_location=True), _Pruning(generation, events=events))
    schema = build_ast_schema(document)
    # Of the directives that newer versions of graphql-core add, older clients know neither names nor locations.
    schema.directives = tuple(one for one in schema.directives if one.name in {"include", "skip"})
    return schema


class _Pruning(Visitor):
    def __init__(self, generation: Generation, *, events: bool) -> None:
        super().__init__()
        self.generation = generation
        self.without = {"generation", "Generation"} if events else {"generation", "Generation", "events"}

    def enter(self, node: Any, *_: Any) -> Any:
        kinds = {"directive_definition", "enum_type_definition", "field_definition", "directive"}
        if node.kind in kinds and node.name.value in self.without:
            return REMOVE
        marks = [mark for mark in getattr(node, "directives", None) or () if mark.name.value == "generation"]
        known = {mark.arguments[0].value.value for mark in marks} or {self.generation.upper()}
        return None if self.generation == "both" or self.generation.upper() in known else REMOVE
