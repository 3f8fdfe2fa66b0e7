"""Variables and arguments, checked against their types.

graphql-core does this too, but the signatures of its functions differ between 3.2 and 3.3.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    Undefined,
    type_from_ast,
    value_from_ast_untyped,
)

from pandas_kili.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphql import FieldNode, GraphQLField, GraphQLSchema, OperationDefinitionNode

__all__ = ["argument_values", "variable_values"]

_BAD_INPUT = "BAD_USER_INPUT"
_INT_LIMIT = 2**31


def variable_values(
    schema: GraphQLSchema, operation: OperationDefinitionNode, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the variables of `operation`, those that were neither given nor have a default left out."""
    values = {}
    for definition in operation.variable_definitions or ():
        name, kind = definition.variable.name.value, type_from_ast(schema, definition.type)
        if name in given:
            values[name] = _coerced(given[name], kind, f'Variable "${name}" got invalid value')
        elif definition.default_value is not None:
            values[name] = value_from_ast_untyped(definition.default_value)
        elif isinstance(kind, GraphQLNonNull):
            raise Refusal(f'Variable "${name}" of required type "{kind}" was not provided.', code=_BAD_INPUT)
    return values


def argument_values(field: GraphQLField, node: FieldNode, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that `node` gives to `field`."""
    values = {}
    for argument in node.arguments or ():
        name = argument.name.value
        value = value_from_ast_untyped(argument.value, dict(variables))
        if value is not Undefined:
            values[name] = _coerced(value, field.args[name].type, f'Argument "{name}" has invalid value')
    return values


def _coerced(value: Any, kind: Any, where: str) -> Any:
    if isinstance(kind, GraphQLNonNull):
        if value is None:
            raise _misfit(where, f'Expected non-nullable type "{kind}" not to be null.')
        return _coerced(value, kind.of_type, where)
    if value is None:
        return None
    if isinstance(kind, GraphQLList):
        items = value if isinstance(value, list) else [value]
        return [_coerced(item, kind.of_type, f"{where} at [{place}]") for place, item in enumerate(items)]
    if isinstance(kind, GraphQLInputObjectType):
        return _coerced_object(value, kind, where)
    if isinstance(kind, GraphQLEnumType):
        if value not in kind.values:
            raise _misfit(where, f'Value {value!r} does not exist in "{kind}" enum.')
        return value
    return _SCALARS[kind.name](value, where)


def _coerced_object(value: Any, kind: GraphQLInputObjectType, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misfit(where, f'Expected type "{kind}" to be an object.')
    value = {name: item for name, item in value.items() if item is not Undefined}  # of variables that were not given
    for name in value:
        if name not in kind.fields:
            raise _misfit(where, f'Field "{name}" is not defined by type "{kind}".')
    for name, field in kind.fields.items():
        if isinstance(field.type, GraphQLNonNull) and name not in value:
            raise _misfit(where, f'Field "{name}" of required type "{field.type}" was not provided.')
    return {name: _coerced(item, kind.fields[name].type, f"{where} at .{name}") for name, item in value.items()}


def _misfit(where: str, why: str) -> Refusal:
    return Refusal(f"{where}; {why}", code=_BAD_INPUT)


def _identifier(value: Any, where: str) -> str:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise _misfit(where, f"ID cannot represent value: {value!r}")


def _text(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    raise _misfit(where, f"String cannot represent a non string value: {value!r}")


def _integer(value: Any, where: str) -> int:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == math.floor(value)
    if whole and -_INT_LIMIT <= value < _INT_LIMIT:
        return int(value)
    raise _misfit(where, f"Int cannot represent value: {value!r}")


def _number(value: Any, where: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise _misfit(where, f"Float cannot represent value: {value!r}")


def _flag(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    raise _misfit(where, f"Boolean cannot represent a non boolean value: {value!r}")


_SCALARS: dict[str, Callable[[Any, str], Any]] = {
    "ID": _identifier,
    "String": _text,
    "Int": _integer,
    "PageSize": _integer,
    "Float": _number,
    "Boolean": _flag,
    "DateTime": _text,
    "JSON": lambda value, _: value,
}
