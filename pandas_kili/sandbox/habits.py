"""Habits that a server may have beside the documented ones, so that readers can be tried against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["Habits"]

SkipHabit = Literal["honored", "clamped", "ignored"]


@dataclass(frozen=True)
class Habits:
    """How a sandbox serves its pages. The defaults are Kili's documented ways.

    Parameters
    ----------
    longest_page : int
        The most rows of a page, also where a request asks for more.
    stable_ties : bool
        Whether rows of one `createdAt` come in the same order in each request. If not, their order is drawn anew.
    ids_first : bool
        Whether a page is made in two looks: first the ids that match, then the rows that match still. What the hooks of
        `Sandbox.between_looks` change in between makes the page shorter.
    skip : {"honored", "clamped", "ignored"}
        What becomes of `skip`: ``"clamped"`` never skips more than `longest_skip` rows.
    longest_skip : int
        The limit of ``skip="clamped"``.
    created_at_filters : bool
        Whether `createdAtGte` and `createdAtLte` are looked at. If not, they are ignored.
    by_creation : bool
        Whether lists are in the order of `createdAt`. If not, they are in that of insertion, which is another where a
        clock was put back.
    """

    longest_page: int = 100
    stable_ties: bool = True
    ids_first: bool = False
    skip: SkipHabit = "honored"
    longest_skip: int = 10_000
    created_at_filters: bool = True
    by_creation: bool = True

    def __post_init__(self) -> None:
        if self.skip not in get_args(SkipHabit):
            raise ValueError(f"Unknown habit {self.skip!r}: one of {', '.join(get_args(SkipHabit))}")
        if self.longest_page < 1:
            raise ValueError("A page holds one row at least")

    @property
    def order(self) -> str:
        """The order of lists, in SQL."""
        if not self.by_creation:
            return "rank"
        return "createdAt, rank" if self.stable_ties else "createdAt, random()"

    def skipped(self, skip: int) -> int:
        """Return how many rows are skipped where a request says `skip`."""
        if self.skip == "ignored":
            return 0
        return min(skip, self.longest_skip) if self.skip == "clamped" else skip
