"""Identifiers and instants as Kili writes them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from pandas_kili.sandbox.refusals import Refusal

__all__ = ["as_instant", "day_of", "instant_of", "new_id", "now"]

_MILLISECOND = timedelta(milliseconds=1)


def new_id() -> str:
    """Return an identifier of the same length and alphabet as Kili's."""
    return "c" + secrets.token_hex(12)


def instant_of(moment: datetime) -> str:
    """Return `moment` in UTC with milliseconds; without an offset it is taken to be UTC already."""
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return aware.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def now() -> str:
    """Return the present instant."""
    return instant_of(datetime.now(UTC))


def as_instant(text: str, *, round_up: bool = False) -> str:
    """Return the date or date-time `text` as an instant; a date is its first instant."""
    moment = _parsed(text)
    if round_up and moment.microsecond % 1000:
        moment += _MILLISECOND
    return instant_of(moment)


def day_of(text: str) -> tuple[str, str]:
    """Return the first instant of the day of `text`, and that of the next day."""
    first = _parsed(text).replace(hour=0, minute=0, second=0, microsecond=0)
    return instant_of(first), instant_of(first + timedelta(days=1))


def _parsed(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refusal(f"Invalid date: {text!r}") from error
