"""Reads are exact: whatever others do, and whatever habits a server has, no row is hidden and none comes twice."""

import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from shifting import Habits, Project, read, read_naively, schedules

from pandas_kili.errors import KiliGraphQLError
from pandas_kili.reading.tally import Consistency
from pandas_kili.reading.walk import ListWalk
from pandas_kili.reading.windows import Page, Window, windows

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]


def campaign(value):
    """Return a value of a parameter that is for campaigns only."""
    return pytest.param(value, marks=pytest.mark.campaign)


def project_of(rows, seed="0", **habits):
    return Project(rows, random.Random(seed), Habits(**habits), share=1)


def is_exact(project, ids, found):
    assert len(ids) == len(set(ids))
    return project.throughout <= set(ids) or found.in_doubt > 0


@pytest.mark.parametrize("seeds", [range(5), campaign(range(5, 30))], ids=["few seeds", "many seeds"])
@pytest.mark.parametrize("ties", [1, 7, 100, 1000])
@pytest.mark.parametrize("activity", [0, 0.5, 5, 40, 150])
def test_what_matched_throughout_is_read_exactly_once(activity, ties, seeds):
    for seed in seeds:
        chance = random.Random(f"{seed} {activity} {ties}")
        rows = chance.choice([1, 99, 100, 101, 199, 700, 3000])
        project = Project(rows, chance, Habits(ties), activity=activity)
        ids, found = read(project)
        assert is_exact(project, ids, found), seed


@pytest.mark.parametrize("number", [600, campaign(10_000)])
def test_random_schedules_on_servers_of_all_habits_hide_no_row(number):
    found = Counter()
    for seed, project in enumerate(schedules(number)):
        ids, kept = read(project)
        assert is_exact(project, ids, kept), seed
        found.update(
            recovered=kept.recovered > 0,
            duplicates=kept.duplicates > 0,
            doubted=kept.in_doubt > 0 and project.habits.is_stable and not project.habits.ids_first,
        )
    assert found["doubted"] < number // 50
    assert found["recovered"] > number // 10  # without these, the schedules were too tame to show anything
    assert found["duplicates"] > number // 10


def test_the_same_schedules_hide_rows_from_who_trusts_offsets_and_show_some_twice():
    missed = twice = 0
    for project in schedules(300):
        ids = read_naively(project)
        missed += not project.throughout <= set(ids)
        twice += len(ids) != len(set(ids))
    assert missed > 50
    assert twice > 10


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 50, 99, 100, 101, 196, 197, 198, 5000])
@pytest.mark.parametrize("ties", [1, 100, 100_000])
@pytest.mark.parametrize("start", [1_700_000_000_000, -5_000_000, -1])
def test_a_quiet_list_costs_two_rows_in_a_hundred_and_no_repair(rows, ties, start):
    project = Project(rows, random.Random(0), Habits(ties), share=1, start=start)
    ids, found = read(project)
    assert ids == list(project.matching)
    assert found == Consistency(expected=rows)
    may_be_cut = 0 < rows < 100 and rows % 5 == 0  # as many as a server may give at most
    assert project.calls == max(0, rows - 2) // 98 + 1 + 1 + may_be_cut


@pytest.mark.parametrize("ties", [1, 100, 20_000])
@pytest.mark.parametrize("chunk", [100, 1_000, 5_000])
def test_who_moves_the_rows_of_each_chunk_out_of_the_filter_misses_none(ties, chunk):
    project = project_of(20_000, ties=ties)
    everything, waiting = set(project.matching), []

    def work(ids):
        waiting.extend(ids)
        while len(waiting) >= chunk:
            for name in waiting[:chunk]:
                project.set(name, matching=False)
            del waiting[:chunk]

    ids, found = read(project, consume=work)
    assert len(ids) == len(set(ids))
    assert set(ids) == everything
    assert found.in_doubt == 0
    assert project.calls < 3 * 20_000 / 98 + 100


@pytest.mark.parametrize("most", [20, 50, 99])
@pytest.mark.parametrize("ties", [1, 100])
def test_a_server_that_gives_fewer_rows_than_asked_for_hides_none(most, ties):
    project = project_of(1_000, most=most, ties=ties)
    ids, found = read(project)
    assert ids == list(project.matching)
    assert found.in_doubt == 0
    assert project.calls < 10 * 1_000 / (most - 2)


@pytest.mark.parametrize("most", [10, 25, 50, 95])
@pytest.mark.parametrize("ties", [1, 100])
def test_a_row_that_comes_between_the_count_and_the_only_page_is_not_cut_off(most, ties):
    project = project_of(most + 1, most=most, ties=ties)
    found = Consistency()
    tables = ListWalk(project, lambda: most, found).tables()
    assert [name for table in tables for name in table["id"].to_pylist()] == list(project.matching)
    assert found.in_doubt == 0


def test_rows_that_leave_between_the_choice_of_a_page_and_its_reading_end_no_read():
    for seed in range(60):
        chance = random.Random(seed)
        project = Project(400, chance, Habits(ids_first=True), activity=3, entering=0.4)
        ids, found = read(project)
        assert project.throughout <= set(ids), seed
        assert found.in_doubt == 0


@pytest.mark.parametrize("ties", [10, 100, 1_000])
@pytest.mark.parametrize("rows", [3_000, 2_950])
def test_assets_of_one_instant_in_another_order_in_each_answer_are_all_read(ties, rows):
    project = project_of(rows, ties=ties, is_stable=False)
    ids, found = read(project)
    assert len(ids) == len(set(ids))
    assert found.in_doubt or set(ids) == set(project.matching)
    if ties <= 100:
        assert set(ids) == set(project.matching)


@pytest.mark.parametrize("bounds", ["exact", "ignored"])
@pytest.mark.parametrize("row", [1, 98, 100, 4_000])
@pytest.mark.parametrize("step", [50, 12_000_000])
def test_a_clock_that_is_put_back_loses_no_row(bounds, row, step):
    project = project_of(8_000, clock=(row, step), bounds=bounds)
    ids, found = read(project)
    assert len(ids) == len(set(ids))
    assert set(ids) == set(project.matching)
    assert found.in_doubt == 0


@pytest.mark.parametrize("farthest", [0, 500])
def test_a_server_that_limits_the_offset_is_read_by_time(farthest):
    project = project_of(2_000, farthest=farthest)
    ids, found = read(project)
    assert ids == list(project.matching)
    assert found.in_doubt == 0


@pytest.mark.parametrize(("farthest", "bounds", "ties"), [(0, "unknown", 1), (500, "ignored", 1), (0, "exact", 1_000)])
def test_a_server_that_leads_nowhere_is_an_error_that_says_so(farthest, bounds, ties):
    project = project_of(2_000, farthest=farthest, bounds=bounds, ties=ties)
    with pytest.raises(KiliGraphQLError, match=r"ignores `skip`, or limits it"):
        read(project)
    assert project.calls < 300


@pytest.mark.parametrize("bounds", ["ignored", "unknown", "days"])
@pytest.mark.parametrize("ties", [1, 7, 100])
def test_servers_that_do_not_filter_by_creation_are_read_by_offsets(bounds, ties):
    for seed in range(25):
        chance = random.Random(f"{seed} {ties}")
        project = Project(600, chance, Habits(ties, bounds=bounds), activity=chance.choice([0, 0.5, 5]))
        ids, found = read(project)
        assert is_exact(project, ids, found), seed


@pytest.mark.parametrize("skip", [0, 30, 250])
@pytest.mark.parametrize("first", [None, 1, 90, 400])
def test_a_part_of_the_list_is_a_slice_of_it(skip, first):
    project = project_of(600, ties=3)
    ids, _ = read(project, skip=skip, first=first)
    assert ids[: first or len(ids)] == list(project.matching)[skip : skip + first if first else None]


def test_a_row_that_a_page_says_twice_is_given_once():
    class Twice(Project):
        def page(self, window):
            page = super().page(window)
            ids = [name for name in page.ids for _ in range(2)]
            return Page(window, ids, page.created.repeat(2), pa.table({"id": ids}))

    project = Twice(40, random.Random(0), share=1)
    ids, _ = read(project)
    assert ids == list(project.matching)


def test_joining_is_quick_where_all_assets_have_one_instant():
    """Each page is looked at once, however many ids of the instant are kept."""
    project = project_of(30_000, ties=10**9)
    names = list(project.matching)
    looked = 0

    def page(window):
        nonlocal looked
        looked += 1
        ids = names[window.skip : window.skip + window.first]
        return Page(window, ids, project.created_of(ids), pa.table({"id": ids}))

    project.page = page
    walk = ListWalk(project, lambda: len(names), Consistency())
    assert sum(len(table) for table in walk.tables()) == len(names)
    assert looked == (len(names) - 2) // 98 + 1


def test_windows_overlap_by_two_rows_and_end_with_the_last():
    assert list(windows(10, 250)) == [Window(10, 100), Window(108, 100), Window(206, 54)]


def over_http(number, *options):
    """Return, for each reader of benchmarks/exactness.py, its numbers as the table has them."""
    command = [sys.executable, "-m", "benchmarks.exactness", "--schedules", str(number), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split("|")[1:-1] for line in done.stdout.splitlines()[2:]]
    return {name.strip(): [float(number.split()[0]) for number in numbers] for name, *numbers in lines}


@pytest.mark.parametrize("number", [3, campaign(24)])
def test_frames_chunks_batches_and_partitions_are_exact_over_http(number):
    found = over_http(number, "--only", "ours")
    assert list(found) == ["`read_kili`", "`read_kili`, in chunks", "`scan_batches`", "`dask.read_kili`"]
    for played, missing, repeating, in_doubt, quiet, moving in found.values():
        assert (played, missing, repeating, in_doubt) == (number, 0, 0, 0)
        assert number < 24 or moving > quiet  # there was something to repair


@pytest.mark.campaign
def test_reads_are_exact_over_http_on_servers_of_other_habits():
    command = [sys.executable, "-m", "benchmarks.exactness", "--habits", "--schedules", "6", "--only", "ours"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 2 + 1 + 8 * 2


@pytest.mark.conformance
def test_the_same_schedules_hide_rows_from_the_official_sdk(sdk):
    found = over_http(24, "--only", "sdk", "--sdk-python", str(sdk))
    assert [missing > 0 for _, missing, *_ in found.values()] == [True, True]


def main():
    """Print the figures of ten thousand schedules, which CONTRIBUTING.md states."""
    found = Counter()
    for project in schedules(10_000):
        ids, kept = read(project)
        order = "stable" if project.habits.is_stable else "unstable"
        hidden, twice = project.throughout - set(ids), len(ids) - len(set(ids))
        found.update({f"{order} order": 1, f"{order} order, in doubt": kept.in_doubt > 0, "rows twice": twice})
        found.update({f"{order} order, rows hidden and none in doubt": bool(hidden) and not kept.in_doubt})
        found.update({"rows read again": kept.recovered, "rows left out as known": kept.duplicates})
    for project in schedules(10_000):
        ids = read_naively(project)
        found["wrong where offsets are trusted"] += len(ids) != len(set(ids)) or not project.throughout <= set(ids)
    sys.stdout.writelines(f"{name}: {number:,}\n" for name, number in sorted(found.items()))


if __name__ == "__main__":
    main()
