"""What the body of a GraphQL answer says, decided without building it where that is not needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from pandas_kili.connection.retry import Verdict, judge_status
from pandas_kili.connection.settings import origin
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliError, KiliGraphQLError

if TYPE_CHECKING:
    from pandas_kili.connection.document import Operation
    from pandas_kili.connection.transport import Answer

__all__ = ["judge_answer", "promised", "refuses_compression"]

_REFUSAL_STATUSES = frozenset({401, 403})
# The codes that Apollo, the server's library, gives to refusals and to what went wrong inside.
_REFUSAL_CODES = frozenset({"UNAUTHENTICATED", "FORBIDDEN"})
_TRANSIENT_CODES = frozenset({"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"})
_PLAIN_START = re.compile(rb'\s*\{\s*"data"\s*:\s*\{')
_SHOWN_MESSAGES = 3
_NO_JSON = object()


@contextmanager
def promised(what: str) -> Iterator[None]:
    """Say so where reading an answer shows that it does not have the shape that was asked for."""
    try:
        yield
    except KiliError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # Of the error only its kind: its text may hold what the server said.
        text = f"The server's answer to {what} does not have the shape that was asked for ({type(error).__name__})."
        raise KiliConnectionError(text, outcome_unknown=True) from None


def judge_answer(answer: Answer, operation: Operation, *, build: bool) -> Verdict:
    """Decide what an answer means, and `build` its data where that is asked for."""
    if answer.status in _REFUSAL_STATUSES:
        return Verdict.refused(_refusal(answer, _messages(_errors(_parsed(answer.body))) or [answer.first_line]))
    if (verdict := judge_status(answer)) is not None:
        return verdict
    if 300 <= answer.status < 400:  # noqa: PLR2004
        return Verdict.failed(answer, f"HTTP status {answer.status}: redirected to {_target(answer)}")
    if not build and answer.status == 200 and answer.framed and _is_plain(answer.body):  # noqa: PLR2004
        return Verdict.done(answer)
    return _judge_content(answer, _parsed(answer.body), operation)


def refuses_compression(answer: Answer) -> bool:
    """Whether a compressed request was not understood: 415, or a 400 from something before the GraphQL server."""
    if answer.status == 400:  # noqa: PLR2004
        content = _parsed(answer.body)
        return not (isinstance(content, dict) and ("data" in content or "errors" in content))
    return answer.status == 415  # noqa: PLR2004


def _is_plain(body: bytes) -> bool:
    """Whether a body holds data and cannot hold errors.

    Text inside of the data never reads `"errors"`: its quotes are escaped. A field of that name does, and
    costs a closer look.
    """
    if _PLAIN_START.match(body) is None or not body[-64:].rstrip().endswith(b"}"):
        return False
    return body.rfind(b'"errors"') < 0  # backwards, CPython searches such texts twice as fast as forwards


def _judge_content(answer: Answer, content: Any, operation: Operation) -> Verdict:
    if errors := _errors(content):
        return _judge_errors(answer, errors, operation)
    if isinstance(content, dict) and isinstance(content.get("data"), dict) and answer.status == 200:  # noqa: PLR2004
        return Verdict.done(answer, content["data"])
    if answer.status < 400 and content is _NO_JSON and answer.body.lstrip()[:1] in {b"", b"{"}:  # noqa: PLR2004
        return Verdict.cut(answer)
    problem = f"HTTP status {answer.status} with a body that is no GraphQL answer: {answer.first_line!r}"
    if answer.status < 300 and answer.body.lstrip()[:1] == b"<":  # noqa: PLR2004
        return Verdict.misled(answer, problem)
    return Verdict.failed(answer, problem, doubtful=answer.status < 400)  # noqa: PLR2004


def _judge_errors(answer: Answer, errors: list[dict[str, Any]], operation: Operation) -> Verdict:
    messages = _messages(errors)
    rest = f" (and {len(messages) - _SHOWN_MESSAGES} more)" if len(messages) > _SHOWN_MESSAGES else ""
    text = "; ".join(messages[:_SHOWN_MESSAGES]) + rest
    error = KiliGraphQLError(
        f"Kili refused the {operation}: {text}", errors=errors, operation=operation.name or operation.kind
    )
    if error.codes & _REFUSAL_CODES:
        return Verdict.refused(_refusal(answer, messages))
    if all(_code(each) in _TRANSIENT_CODES for each in errors):
        return Verdict.transient(error)
    return Verdict.refused(error)


def _refusal(answer: Answer, messages: list[str]) -> KiliAuthenticationError:
    reason = "; ".join(messages[:_SHOWN_MESSAGES])
    return KiliAuthenticationError(
        f"Kili refused the API key (HTTP status {answer.status})" + (f": {reason}" if reason else "."),
        status=answer.status,
    )


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return _NO_JSON


def _errors(content: Any) -> list[dict[str, Any]]:
    errors = content.get("errors") if isinstance(content, dict) else None
    if not isinstance(errors, list):
        return []
    return [each if isinstance(each, dict) else {"message": str(each)} for each in errors]


def _messages(errors: list[dict[str, Any]]) -> list[str]:
    return [str(each.get("message", "no message")) for each in errors]


def _code(error: dict[str, Any]) -> Any:
    extensions = error.get("extensions")
    return extensions.get("code") if isinstance(extensions, dict) else None


def _target(answer: Answer) -> str:
    """Name where a redirect leads, as far as it is no secret."""
    try:
        scheme, host, port = origin(urljoin(answer.url, answer.headers.get("Location", "")))
    except ValueError:
        return "a place that is no URL"
    return f"{scheme}://{host}:{port}"
