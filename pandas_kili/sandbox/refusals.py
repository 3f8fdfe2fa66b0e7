"""What the sandbox refuses, in the form of an error of Kili's API."""

from __future__ import annotations

__all__ = ["Refusal"]


class Refusal(Exception):  # noqa: N818 - an answer to the caller, not a failure of the server
    """An operation that the server declines to carry out.

    Parameters
    ----------
    message : str
        What the caller reads.
    code : str
        The ``extensions.code`` of the answer.
    reason : str, optional
        The ``extensions.context.reason`` of the answer.
    """

    def __init__(self, message: str, *, code: str = "OPERATION_RESOLUTION_FAILURE", reason: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
