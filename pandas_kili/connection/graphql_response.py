"""What the body of a GraphQL response says, decided without parsing it where possible."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from pandas_kili.connection.settings import origin
from pandas_kili.connection.verdict import Verdict, judge_status
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliError, KiliGraphQLError
from pandas_kili.messages import listed

if TYPE_CHECKING:
    from pandas_kili.connection.document import Operation
    from pandas_kili.connection.transport import HttpResponse

__all__ = ["REFUSAL_STATUSES", "judge_response", "promised", "refuses_compression"]

REFUSAL_STATUSES = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
# The codes that Apollo, the server's library, gives to refusals and to what went wrong inside.
_REFUSAL_CODES = frozenset({"UNAUTHENTICATED", "FORBIDDEN"})
_TRANSIENT_CODES = frozenset({"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"})
_PLAIN_START = re.compile(rb'\s*\{\s*"data"\s*:\s*\{')
_MOST_MESSAGES = 3
_NO_JSON = object()


@contextmanager
def promised(what: str) -> Iterator[None]:
    """Raise one clear error where reading a response shows that it does not have the shape that was asked for."""
    try:
        yield
    except KiliError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # Of the error only its kind: its text may hold what the server said.
        text = f"The server's answer to {what} does not have the shape that was asked for ({type(error).__name__})."
        raise KiliConnectionError(text, outcome_unknown=True) from None


def judge_response(response: HttpResponse, operation: Operation, *, build: bool) -> Verdict:
    """Decide what a response means, and parse its data if `build` is set."""
    if response.status in REFUSAL_STATUSES:
        return Verdict.refused(_refusal(response, _messages(_errors(_parsed(response.body))) or [response.first_line]))
    if (verdict := judge_status(response)) is not None:
        return verdict
    if response.is_redirect:
        return Verdict.failed(response, f"HTTP status {response.status}: redirected to {_target(response)}")
    if not build and response.status == HTTPStatus.OK and response.framed and _is_plain(response.body):
        return Verdict.done(response)
    return _judge_content(response, _parsed(response.body), operation)


def refuses_compression(response: HttpResponse) -> bool:
    """Whether a compressed request was not understood: 415, or a 400 from something in front of the GraphQL server."""
    if response.status == HTTPStatus.BAD_REQUEST:
        content = _parsed(response.body)
        return not (isinstance(content, dict) and ("data" in content or "errors" in content))
    return response.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


def _is_plain(body: bytes) -> bool:
    """Whether a body holds data and cannot hold errors.

    Text inside of the data never reads `"errors"`: its quotes are escaped. A field of that name does, and
    costs a closer look.
    """
    if _PLAIN_START.match(body) is None or not body[-64:].rstrip().endswith(b"}"):
        return False
    return body.rfind(b'"errors"') < 0  # backwards, CPython searches such texts twice as fast as forwards


def _judge_content(response: HttpResponse, content: Any, operation: Operation) -> Verdict:
    if errors := _errors(content):
        return _judge_errors(response, errors, operation)
    if isinstance(content, dict) and isinstance(content.get("data"), dict) and response.status == HTTPStatus.OK:
        return Verdict.done(response, content["data"])
    start = response.body.lstrip()[:1]
    is_taken = response.status < HTTPStatus.BAD_REQUEST
    if is_taken and content is _NO_JSON and start in {b"", b"{"}:
        return Verdict.cut(response)
    problem = f"HTTP status {response.status} with a body that is not a GraphQL response: {response.first_line!r}"
    if response.is_success and start == b"<":
        return Verdict.misled(response, problem)
    return Verdict.failed(response, problem, doubtful=is_taken)


def _judge_errors(response: HttpResponse, errors: list[dict[str, Any]], operation: Operation) -> Verdict:
    messages = _messages(errors)
    text = f"Kili refused the {operation}: {listed(messages, _MOST_MESSAGES)}"
    error = KiliGraphQLError(text, errors=errors, operation=operation.name or operation.kind)
    if error.codes & _REFUSAL_CODES:
        return Verdict.refused(_refusal(response, messages))
    if all(_code(each) in _TRANSIENT_CODES for each in errors):
        return Verdict.transient(error)
    return Verdict.refused(error)


def _refusal(response: HttpResponse, messages: list[str]) -> KiliAuthenticationError:
    reason = f": {listed(messages, _MOST_MESSAGES)}" if any(messages) else "."
    text = f"Kili refused the API key (HTTP status {response.status}){reason}"
    return KiliAuthenticationError(text, status=response.status)


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


def _target(response: HttpResponse) -> str:
    """Name the host that a redirect leads to: the rest of the URL may be a secret."""
    try:
        scheme, host, port = origin(urljoin(response.url, response.headers.get("Location", "")))
    except ValueError:
        return "a place that is no URL"
    return f"{scheme}://{host}:{port}"
