"""Reads GraphQL documents: a query may be sent twice, a mutation may not."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pandas_kili.errors import KiliGraphQLError, KiliValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Operation", "encoded", "read_operation"]

# The lexical tokens of the GraphQL specification, section 2.1, that tell brackets and names from text.
_TOKEN = re.compile(
    r"""\#[^\n\r]*  |  @[\s,]*\w+  |  \"""(?:\\\"""|(?!\""").)*\"""  |  "(?:\\.|[^"\\\n\r])*"
      | (?P<bracket>[{}()\[\]])  |  (?P<name>[_A-Za-z][_0-9A-Za-z]*)  |  .""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Operation:
    """Kind and name of the operation in a document."""

    kind: str
    name: str | None = None

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does the same as sending it once."""
        return self.kind == "query"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else self.kind


@lru_cache(maxsize=256)
def read_operation(document: str) -> Operation:
    """Return the operation that a document executes.

    Raises
    ------
    KiliGraphQLError
        Where the document holds no operation, or one that a request cannot carry.
    """
    found = [Operation(kind, name) for kind, name in _definitions(document) if kind != "fragment"]
    refused = next((each for each in found if each.kind not in {"query", "mutation"}), None)
    if refused is not None:
        raise KiliGraphQLError(f"Only queries and mutations can be executed, not {refused.kind!r}.")
    if not found:
        raise KiliGraphQLError("The GraphQL document holds no operation.")
    return next((each for each in found if each.kind == "mutation"), found[0])


def _definitions(document: str) -> Iterator[tuple[str, str | None]]:
    """Yield keyword and name of each top-level definition."""
    depth = 0
    head: list[str] = []
    for token in _TOKEN.finditer(document.lstrip("\ufeff")):
        if token["bracket"] is not None:
            depth += 1 if token["bracket"] in "{([" else -1
            if token["bracket"] == "{" and depth == 1:
                yield (head[0] if head else "query"), (head[1] if len(head) > 1 else None)
                head = []
        elif token["name"] is not None and depth == 0:
            head.append(token["name"])


def encoded(document: str, variables: Mapping[str, Any] | None = None) -> bytes:
    """Write the body of a request.

    Raises
    ------
    KiliValidationError
        Where the variables hold what JSON cannot express, such as NaN, or half a surrogate pair, which servers replace.
    """
    # Without variables the key is left out, as in the official SDK's requests.
    content = {"query": document, "variables": dict(variables)} if variables else {"query": document}
    try:
        return json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise KiliValidationError(f"The variables hold {half!r}, half a surrogate pair: no Unicode text.") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise KiliValidationError(f"The variables cannot be written as JSON: {error}.") from None
