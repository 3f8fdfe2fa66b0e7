"""Documents to answers: each distinct document is parsed and validated once, whatever sandbox is asked it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    OperationDefinitionNode,
    execute_sync,
    parse,
    validate,
)

from pandas_kili.sandbox.absent import absent
from pandas_kili.sandbox.asked_fields import AskedField, AskedFields
from pandas_kili.sandbox.coercion import argument_values, variable_values
from pandas_kili.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphql import DocumentNode, GraphQLSchema

__all__ = ["Executor", "Prepared", "error_entry"]

_LOG = logging.getLogger(__name__)

if TYPE_CHECKING:
    Resolver = Callable[[dict[str, Any], AskedFields | None], Any]


@dataclass(frozen=True)
class Prepared:
    """A document that the schema allows, or the errors that forbid it."""

    document: DocumentNode | None
    operation: OperationDefinitionNode | None
    errors: tuple[dict[str, Any], ...] = ()

    @property
    def roots(self) -> tuple[str, ...]:
        """The names of the fields asked of Query or Mutation."""
        return () if self.operation is None else _roots(self.operation)

    @property
    def is_introspection(self) -> bool:
        """Whether the document asks about the schema itself."""
        return any(name in {"__schema", "__type"} for name in self.roots)

    @property
    def is_key_check(self) -> bool:
        """Whether this only asks who the user is, as clients do before anything else."""
        if self.operation is None or self.operation.name or len(self.roots) != 1:
            return False
        return self.roots[0] in {"me", "viewer"} and not self.operation.selection_set.selections[0].alias  # type: ignore[attr-defined]  # a field, as it is among the roots


def error_entry(message: str, code: str, **more: Any) -> dict[str, Any]:
    """Return an error as the wire has it; `extensions` is always an object."""
    reason = more.pop("reason", None)
    context = {"context": {"reason": reason}} if reason else {"context": {}}
    return {"message": message, "extensions": {"code": code, **context}, **more}


class Executor:
    """Answers documents on one schema.

    Parameters
    ----------
    schema : GraphQLSchema
        What may be asked.
    resolvers : Mapping
        A function for each root field, given the arguments and what is asked of the result.
    """

    def __init__(self, schema: GraphQLSchema, resolvers: Mapping[str, Resolver]) -> None:
        self._schema = schema
        self._resolvers = resolvers

    def prepare(self, text: str) -> Prepared:
        """Return a document as the schema sees it."""
        return _prepared(self._schema, text)

    def answer(self, text: str, variables: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return the HTTP status and the body of the answer to a document."""
        prepared = self.prepare(text)
        if prepared.operation is None or prepared.document is None:
            return HTTPStatus.BAD_REQUEST, {"errors": list(prepared.errors)}
        if prepared.is_introspection:
            return HTTPStatus.OK, _introspection(self._schema, text)
        try:
            values = variable_values(self._schema, prepared.operation, variables)
        except Refusal as refusal:
            return HTTPStatus.BAD_REQUEST, {"errors": [error_entry(str(refusal), refusal.code)]}
        return HTTPStatus.OK, self._run(prepared.document, prepared.operation, values)

    def _run(
        self, document: DocumentNode, operation: OperationDefinitionNode, values: dict[str, Any]
    ) -> dict[str, Any]:
        root = self._schema.get_root_type(operation.operation)
        if not isinstance(root, GraphQLObjectType):
            raise TypeError(f"The schema has no {operation.operation.value}")
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        data: dict[str, Any] = {}
        for asked in AskedFields(self._schema, root, [operation.selection_set], fragments, values).asked:
            try:
                data[asked.key] = self._resolved(root, asked, values)
            except Refusal as refusal:
                return {"data": None, "errors": [_at(asked, str(refusal), refusal.code, refusal.reason)]}
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer of the API's form
                _LOG.exception("The sandbox failed at %s", asked.name)
                return {
                    "data": None,
                    "errors": [_at(asked, f"{type(error).__name__}: {error}", "INTERNAL_SERVER_ERROR")],
                }
        return {"data": data}

    def _resolved(self, root: GraphQLObjectType, asked: AskedField, values: dict[str, Any]) -> Any:
        if asked.name == "__typename":
            return root.name
        arguments = argument_values(root.fields[asked.name], asked.node, values)
        source = self._resolvers[asked.name](arguments, asked.fields)
        return source if asked.fields is None else asked.fields.cut(source)


@lru_cache(maxsize=512)
def _prepared(schema: GraphQLSchema, text: str) -> Prepared:
    try:
        document = parse(text)
    except GraphQLError as error:
        return Prepared(None, None, (_of_graphql(error, "GRAPHQL_PARSE_FAILED"),))
    errors = validate(schema, document)
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if not errors and len(operations) != 1:
        errors = [GraphQLError("Must provide one operation.")]
    refusals = [why for one in operations for name in _roots(one) if (why := absent(name))] if errors else []
    if refusals:
        return Prepared(document, None, (error_entry(refusals[0], "OPERATION_RESOLUTION_FAILURE"),))
    if errors:
        return Prepared(document, None, tuple(_of_graphql(error, "GRAPHQL_VALIDATION_FAILED") for error in errors))
    return Prepared(document, operations[0])


@lru_cache(maxsize=16)
def _introspection(schema: GraphQLSchema, text: str) -> dict[str, Any]:
    result = execute_sync(schema, _prepared(schema, text).document)  # type: ignore[arg-type]  # asked of documents that are valid
    if result.errors:
        return {"data": None, "errors": [error.formatted for error in result.errors]}
    return {"data": result.data}


def _roots(operation: OperationDefinitionNode) -> tuple[str, ...]:
    return tuple(node.name.value for node in operation.selection_set.selections if isinstance(node, FieldNode))


def _of_graphql(error: GraphQLError, code: str) -> dict[str, Any]:
    return error_entry(
        error.message, code, locations=[{"line": p.line, "column": p.column} for p in error.locations or ()]
    )


def _at(asked: AskedField, message: str, code: str, reason: str | None = None) -> dict[str, Any]:
    start = asked.node.loc.start_token if asked.node.loc else None
    locations = [{"line": start.line, "column": start.column}] if start else []
    return error_entry(message, code, reason=reason, locations=locations, path=[asked.key])
