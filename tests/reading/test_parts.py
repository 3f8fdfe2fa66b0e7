"""Parts share no asset and leave none out: on the model of servers of all habits; over HTTP in dask/test_dask.py."""

import itertools
import random
from collections import Counter

import pytest
from shifting import Habits, Project, read, schedules

from pandas_kili.reading.parts import stretches
from pandas_kili.reading.windows import WHOLE, Stretch


class Inside:
    """A project of which only a stretch is asked for; what it counts and matches is the project's."""

    def __init__(self, project, stretch):
        self.project, self.stretch = project, stretch

    def __getattr__(self, name):
        return getattr(self.project, name)

    def shown(self, within):
        """Ask for both stretches, as a crawl does; the model knows one of them."""
        inside = set(self.project.shown(self.stretch))
        return [name for name in self.project.shown(within) if name in inside]

    page, pages, count = Project.page, Project.pages, Project.count


def read_in_parts(project, rows):
    """Return the ids that all parts give, how many are in doubt, and how many parts there are."""
    planned = stretches(project, rows, project.count()) or [WHOLE]
    ids, in_doubt = [], 0
    for stretch in random.Random(0).sample(planned, len(planned)):
        part, found = read(Inside(project, stretch))
        inside = stretch.holds(project.created_of(part))
        ids += [name for name, is_inside in zip(part, inside, strict=True) if is_inside]
        in_doubt += found.in_doubt
    return ids, in_doubt, len(planned)


@pytest.mark.once
@pytest.mark.parametrize("number", [150, pytest.param(2_000, marks=pytest.mark.campaign)])
def test_random_schedules_hide_no_row_from_parts_that_are_read_in_any_order(number):
    found = Counter()
    for seed, project in enumerate(schedules(number)):
        ids, in_doubt, parts = read_in_parts(project, 60)
        assert len(ids) == len(set(ids)), seed
        assert project.throughout <= set(ids) or in_doubt, seed
        doubted = in_doubt > 0 and project.habits.is_stable and not project.habits.ids_first
        found.update(parted=parts > 1, doubted=doubted)
    assert found["parted"] > number // 3
    assert found["doubted"] < number // 50


@pytest.mark.parametrize(("habit", "parts"), [({}, 5), ({"clock": (150, 100)}, 6), ({"most": 20}, 5)])
def test_parts_follow_the_time_of_creation(habit, parts):
    project = Project(500, random.Random(0), Habits(**habit), share=1)
    ids, in_doubt, number = read_in_parts(project, 100)
    assert (set(ids), len(ids), in_doubt) == (set(project.matching), 500, 0)
    assert abs(number - parts) <= 1


@pytest.mark.parametrize(
    "habit", [{"bounds": "ignored"}, {"bounds": "unknown"}, {"bounds": "days"}, {"ties": 250}, {"farthest": 0}]
)
def test_no_stretches_are_made_where_time_does_not_tell_rows_apart(habit):
    project = Project(500, random.Random(0), Habits(**habit), share=1)
    assert stretches(project, 100, 500) == []


def test_stretches_cover_all_time_and_share_no_instant():
    project = Project(500, random.Random(0), share=1)
    found = stretches(project, 100, 500)
    assert (found[0].since, found[-1].until) == (None, None)
    assert all(before.until + 1 == after.since for before, after in itertools.pairwise(found))
    assert [int(stretch.holds(project.created_of(project.matching)).sum()) for stretch in found] == [100] * 5


@pytest.mark.parametrize("stretch", [Stretch(5, 5), WHOLE])
def test_one_instant_and_a_stretch_without_rows_or_ends_cannot_be_split(stretch):
    assert stretch.split(Project(0, random.Random(0)).created_of([]), 1 / 2) is None
