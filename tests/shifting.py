"""A model of the server: a list of assets that others change before each request, with habits that servers have."""

import itertools
import random
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from pandas_kili.errors import KiliGraphQLError
from pandas_kili.reading.tally import Consistency
from pandas_kili.reading.walk import ListWalk
from pandas_kili.reading.windows import WHOLE, Page, Window

DAY = 86_400_000
SPAN = 1_700_000_000_000  # milliseconds since 1970 of the first asset


@dataclass(frozen=True)
class Habits:
    """What a server does otherwise than the best one.

    Attributes
    ----------
    ties : int
        Assets created in one instant.
    is_stable : bool
        Whether assets of one instant come in the same order in all answers.
    most : int
        Rows that it gives at most, whatever is asked for.
    ids_first : bool
        Whether others may write between its choice of the rows of a page and its look at them.
    bounds : str
        How it filters by creation: exactly, not at all ("ignored"), by "days", or with an error ("unknown").
    clock : tuple of int
        The row before which its clock is put back, and by how many milliseconds.
    farthest : int or None
        The largest offset that it takes; larger ones are taken for this one.
    """

    ties: int = 1
    is_stable: bool = True
    most: int = 100
    ids_first: bool = False
    bounds: str = "exact"
    clock: tuple = (0, 0)
    farthest: int | None = None


class Project:
    """Assets in the order of the list, each matching or not, and those that matched all along."""

    def __init__(self, rows, chance, habits=None, *, activity=0, entering=0.2, share=0.9, start=SPAN):
        self.chance, self.habits = chance, habits or Habits()
        self.activity, self.entering, self.start = activity, entering, start
        self.calls = self.made = 0
        self.matching, self.created = {}, {}
        for _ in range(rows):
            self.append(matching=chance.random() < share)
        self.throughout = {name for name, matches in self.matching.items() if matches}
        self.names = list(self.matching)

    def append(self, *, matching=True):
        row, step = self.habits.clock
        name = f"a{self.made}"
        self.created[name] = (
            self.start + 2 * (self.made // self.habits.ties) - (step if row and self.made >= row else 0)
        )
        self.matching[name] = matching
        self.made += 1
        return name

    def set(self, name, matching):
        if name in self.matching:
            self.matching[name] = matching
            if not matching:
                self.throughout.discard(name)

    def move(self):
        """Let others write: assets leave the filter, enter it, are deleted, are added."""
        for _ in range(int(self.chance.expovariate(1 / self.activity)) if self.activity else 0):
            name = self.chance.choice(self.names)
            kind = self.chance.random()
            if kind < 0.9:
                self.set(name, kind < self.entering)
            elif kind < 0.95:
                self.set(name, matching=False)
                self.matching.pop(name, None)
            else:
                self.names.append(self.append())

    def shown(self, within):
        since, until = within.since, within.until
        bounds = self.habits.bounds
        if bounds == "unknown" and (since is not None or until is not None):
            raise KiliGraphQLError("Field createdAtGte is not defined by type AssetWhere.")
        low, high = -np.inf, np.inf
        if bounds in {"exact", "days"}:
            low = -np.inf if since is None else since - 1
            high = np.inf if until is None else until + 1
        if bounds == "days":
            low, high = (bound if np.isinf(bound) else bound // DAY * DAY for bound in (low, high))
        names = [name for name, matches in self.matching.items() if matches and low <= self.created[name] <= high]
        if self.habits.is_stable:
            return names
        groups = [list(tied) for _, tied in itertools.groupby(names, self.created.get)]
        return [name for tied in groups for name in self.chance.sample(tied, len(tied))]

    # -- what a walk asks ---------------------------------------------------------------------------------------------

    def page(self, window):
        self.calls += 1
        self.move()
        window = replace(window, first=min(window.first, self.size))
        skip = window.skip if self.habits.farthest is None else min(window.skip, self.habits.farthest)
        names = self.shown(window.within)[skip:][: min(window.first, self.habits.most)]
        if self.habits.ids_first:
            self.move()
            names = [name for name in names if self.matching.get(name)]
        return Page(window, names, self.created_of(names), pa.table({"id": pa.array(names, pa.string())}))

    def created_of(self, names):
        return np.array([self.created[name] for name in names], np.int64)

    def pages(self, planned):
        planned = iter(planned)
        while flight := list(itertools.islice(planned, 16)):
            answered = {window: self.page(window) for window in self.chance.sample(flight, len(flight))}
            yield from (answered[window] for window in flight)

    def count(self, within=WHOLE):
        self.calls += 1
        self.move()
        return len(self.shown(within))

    size = 100

    def shorten_pages(self, rows):
        self.size = min(self.size, max(4, rows))


def read(project, *, skip=0, first=None, consume=None):
    """ListWalk through a project; `consume` is given the ids of each table before the next one is asked for."""
    project.calls = 0
    found = Consistency()
    ids = []
    for table in ListWalk(project, project.count, found, skip, first).tables():
        part = table["id"].to_pylist()
        ids += part
        if consume is not None:
            consume(part)
    return ids, found


def read_naively(project):
    """Read as clients do that trust offsets: page after page, until one is short."""
    ids, skip = [], 0
    while True:
        page = project.page(Window(skip))
        ids += page.ids
        skip += 100
        if page.is_short:
            return ids


def schedules(number):
    """Yield projects that move, on servers of all habits."""
    for seed in range(number):
        chance = random.Random(seed)
        entering, share = chance.choice([(0.2, 0.9), (0.6, 0.5)])  # rows shift to the left, or to the right
        habits = Habits(
            ties=chance.choice([1, 3, 10, 100, 1000]),
            is_stable=chance.random() < 0.7,
            most=chance.choice([100, 100, 100, 50]),
            ids_first=chance.random() < 0.3,
        )
        yield Project(
            chance.randrange(1, 450),
            chance,
            habits,
            activity=chance.choice([0.5, 3, 20]),
            entering=entering,
            share=share,
        )
