"""The names that a server's schema knows, asked for once per endpoint in a process."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from pandas_kili.connection.graphql_response import promised
from pandas_kili.errors import KiliGraphQLError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["schema_names"]

_QUERY = "query schema { __schema { types { name fields(includeDeprecated: true) { name } inputFields%s { name } } } }"
_SCHEMAS: dict[str, dict[str, frozenset[str]]] = {}
_LOCKS: dict[str, threading.Lock] = {}


def schema_names(api_endpoint: str, execute: Callable[[str], dict[str, Any]]) -> dict[str, frozenset[str]]:
    """Return the names of the fields, or input fields, of each type of an endpoint's schema."""
    if api_endpoint not in _SCHEMAS:
        with _LOCKS.setdefault(api_endpoint, threading.Lock()):
            if api_endpoint not in _SCHEMAS:
                _SCHEMAS[api_endpoint] = _asked(execute)
    return _SCHEMAS[api_endpoint]


def _asked(execute: Callable[[str], dict[str, Any]]) -> dict[str, frozenset[str]]:
    # The specification has had deprecated input fields since 2025 only; older servers may refuse the question.
    try:
        data = execute(_QUERY % "(includeDeprecated: true)")
    except KiliGraphQLError:
        data = execute(_QUERY % "")
    with promised("the question for its schema"):
        return {
            each["name"]: frozenset(field["name"] for field in (each.get("fields") or each.get("inputFields") or ()))
            for each in data["__schema"]["types"]
        }


if hasattr(os, "register_at_fork"):
    # A lock may be held by a thread that the fork leaves behind.
    os.register_at_fork(after_in_child=_LOCKS.clear)
