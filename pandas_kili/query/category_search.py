"""The grammar of `label_category_search`, checked before anything is sent.

::

    search     = all ("OR" all)*
    all        = term ("AND" term)*
    term       = comparison | "(" search ")"
    comparison = job "." category "." "count" operator number

`AND` binds tighter than `OR`, both are upper case, operators are ``>= <= > < ==``. The official
SDK checks the same grammar. The text is sent as it was written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z][A-Za-z0-9_\-*]*)
      | (?P<operator>>=|<=|==|>|<)
      | (?P<mark>[().])
    )""",
    re.VERBOSE,
)
_DEEPEST = 100  # parentheses within parentheses; no person asks for more


class CategorySearchError(ValueError):
    """What is wrong with a search, and where."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def check_category_search(text: str) -> None:
    """Raise `CategorySearchError` where the text is not a category search."""
    tokens = _tokens(text)
    rest = _search(tokens, 0)
    if rest < len(tokens) - 1:
        raise _expected("AND, OR or the end", tokens[rest])


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise CategorySearchError(f"unexpected {text[at:].split(maxsplit=1)[0]!r} at character {at + 1}")
        tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return [*tokens, _Token("end", "the end", end)]


def _search(tokens: list[_Token], at: int, depth: int = 0) -> int:
    at = _all(tokens, at, depth)
    while tokens[at].text == "OR":
        at = _all(tokens, at + 1, depth)
    return at


def _all(tokens: list[_Token], at: int, depth: int) -> int:
    at = _term(tokens, at, depth)
    while tokens[at].text == "AND":
        at = _term(tokens, at + 1, depth)
    return at


def _term(tokens: list[_Token], at: int, depth: int) -> int:
    if tokens[at].text != "(":
        return _comparison(tokens, at)
    if depth >= _DEEPEST:
        raise CategorySearchError(f"parentheses nest deeper than {_DEEPEST}")
    at = _search(tokens, at + 1, depth + 1)
    return _take(tokens, at, "mark", ")", "a closing parenthesis")


def _comparison(tokens: list[_Token], at: int) -> int:
    at = _take(tokens, at, "word", None, "the name of a job")
    at = _take(tokens, at, "mark", ".", "a dot")
    at = _take(tokens, at, "word", None, "the name of a category")
    at = _take(tokens, at, "mark", ".", "a dot")
    at = _take(tokens, at, "word", "count", "the word count")
    at = _take(tokens, at, "operator", None, "one of >= <= > < ==")
    return _take(tokens, at, "number", None, "a number")


def _take(tokens: list[_Token], at: int, kind: str, text: str | None, wanted: str) -> int:
    token = tokens[at]
    if token.kind != kind or (text is not None and token.text != text):
        raise _expected(wanted, token)
    return at + 1


def _expected(wanted: str, token: _Token) -> CategorySearchError:
    found = token.text if token.kind == "end" else repr(token.text)
    return CategorySearchError(f"expected {wanted} at character {token.at + 1}, found {found}")
