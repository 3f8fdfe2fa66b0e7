"""Everything that can go wrong, as one tree.

Each class is also the builtin that a user would catch, carries its facts as attributes, and pickles::

    KiliError
    ├── KiliAuthenticationError (PermissionError)   the key is missing, wrong, or has no right to this
    ├── KiliConnectionError     (ConnectionError)   the server cannot be reached, or something else responds
    ├── KiliGraphQLError        (RuntimeError)      the server refused an operation
    ├── KiliNotFoundError       (LookupError)       no such project or asset
    ├── KiliFieldError          (ValueError)        no such field
    ├── KiliFilterError         (ValueError)        no such filter, or a value that it cannot take
    ├── KiliValidationError     (ValueError)        data that does not fit its schema
    ├── KiliDownloadError       (OSError)           a file or an answer that could not be fetched
    ├── KiliCopyError           (RuntimeError)      a local copy that cannot be read or refreshed
    └── KiliMutationError       (RuntimeError)      rows that could not be written

    KiliConsistencyWarning      (UserWarning)       the project changed during a read, and some rows are in doubt
    KiliDeclinedWarning         (UserWarning)       the server declined rows, for a reason in the data
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

__all__ = [
    "KiliAuthenticationError",
    "KiliConnectionError",
    "KiliConsistencyWarning",
    "KiliCopyError",
    "KiliDeclinedWarning",
    "KiliDownloadError",
    "KiliError",
    "KiliFieldError",
    "KiliFilterError",
    "KiliGraphQLError",
    "KiliMutationError",
    "KiliNotFoundError",
    "KiliValidationError",
]


class KiliError(Exception):
    """Root of all errors that `pandas_kili` raises on purpose."""

    # Facts are keyword arguments with defaults: an exception pickles as `cls(*args)` followed by its `__dict__`.


class KiliAuthenticationError(KiliError, PermissionError):
    """The API key is missing, wrong, or lacks the right for this operation.

    Attributes
    ----------
    status : int or None
        HTTP status of the refusal, where there was one.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class KiliConnectionError(KiliError, ConnectionError):
    """The server could not be reached, or the response did not come from Kili.

    Attributes
    ----------
    status : int or None
        HTTP status of the last response; None where there was none.
    attempts : int
        How often the request was sent.
    outcome_unknown : bool
        True where the server may have worked on the request, query or mutation, although no whole response came back.
    timed_out : bool
        True where no answer came in time, so that the server may still be at work on the request.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        attempts: int = 0,
        outcome_unknown: bool = False,
        timed_out: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.attempts = attempts
        self.outcome_unknown = outcome_unknown
        self.timed_out = timed_out


class KiliGraphQLError(KiliError, RuntimeError):
    """The server understood the request and returned errors.

    Attributes
    ----------
    errors : list of dict
        The ``errors`` of the response as served: ``message``, ``path``, ``extensions``.
    operation : str or None
        Name of the operation that was refused.
    codes : frozenset of str
        The ``extensions.code`` values of all errors.
    """

    def __init__(self, message: str, *, errors: Sequence[Mapping[str, Any]] = (), operation: str | None = None) -> None:
        super().__init__(message)
        self.errors = [dict(error) for error in errors]
        self.operation = operation

    @property
    def codes(self) -> frozenset[str]:
        """The ``extensions.code`` values of all errors."""
        return frozenset(
            str(extensions["code"])
            for error in self.errors
            if isinstance(extensions := error.get("extensions"), dict) and extensions.get("code")
        )


class KiliNotFoundError(KiliError, LookupError):
    """A project or an asset that does not exist, or that this key may not see."""


class KiliFieldError(KiliError, ValueError):
    """A field path that Kili's schema does not have.

    Attributes
    ----------
    field : str or None
        The path that was asked for.
    suggestions : tuple of str
        The nearest known paths.
    """

    def __init__(self, message: str, *, field: str | None = None, suggestions: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.field = field
        self.suggestions = tuple(suggestions)


class KiliFilterError(KiliError, ValueError):
    """A filter that does not exist, or a value that it cannot take.

    Attributes
    ----------
    problems : dict of str to str
        What is wrong, by filter name; all problems of a call at once.
    """

    def __init__(self, message: str, *, problems: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.problems = dict(problems or {})


class KiliValidationError(KiliError, ValueError):
    """Data that does not fit its schema, with all failures at once.

    Attributes
    ----------
    failure_cases : pandas.DataFrame or None
        One row per failure: ``index`` (label of the row), ``row`` (its position), ``column``, ``check`` (what was
        expected), ``failure_case`` (the value).
    """

    def __init__(self, message: str, *, failure_cases: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.failure_cases = failure_cases


class KiliDownloadError(KiliError, OSError):
    """A file, or a label's answer, that could not be fetched.

    Attributes
    ----------
    failures : list of dict
        What could not be fetched: ``asset_id``, ``label_id`` (None for media) and ``reason``.
    frame : pandas.DataFrame or None
        For media: the frame with the paths of all that was fetched.
    """

    def __init__(
        self, message: str, *, failures: Sequence[Mapping[str, Any]] = (), frame: pd.DataFrame | None = None
    ) -> None:
        super().__init__(message)
        self.failures = [dict(failure) for failure in failures]
        self.frame = frame


class KiliCopyError(KiliError, RuntimeError):
    """A local copy that cannot be read or refreshed: it is damaged, unfinished, of other fields, or not ours.

    Attributes
    ----------
    copy : str or None
        Where the copy is.
    """

    def __init__(self, message: str, *, copy: str | None = None) -> None:
        super().__init__(message)
        self.copy = copy


class KiliMutationError(KiliError, RuntimeError):
    """Rows that could not be written, raised once every row has its outcome.

    Attributes
    ----------
    report : pandas.DataFrame or None
        Row-aligned ``id``, ``externalId``, ``outcome``, ``message``.
    frame : pandas.DataFrame or None
        The frame as the method would have returned it, on the same index as the report.
    """

    def __init__(self, message: str, *, report: pd.DataFrame | None = None, frame: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.report = report
        self.frame = frame


class KiliConsistencyWarning(UserWarning):
    """The project changed during a read, and some rows are in doubt."""


class KiliDeclinedWarning(UserWarning):
    """The server declined some rows, such as a review of an asset without labels.

    Attributes
    ----------
    report, frame : pandas.DataFrame or None
        As of a `KiliMutationError`, for callers that turn warnings into errors.
    """

    def __init__(self, message: str, *, report: pd.DataFrame | None = None, frame: pd.DataFrame | None = None) -> None:
        super().__init__(message)
        self.report = report
        self.frame = frame
