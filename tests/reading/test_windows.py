"""Reads are exact: seams between windows hold however the list moves under them."""

import random
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from pandas_kili.reading import windows as exact
from pandas_kili.reading.windows import Page, Seams, Window, windows

ROOT = Path(__file__).parents[2]


def campaign(value):
    """Return a value of a parameter that is for campaigns only."""
    return pytest.param(value, marks=pytest.mark.campaign)


class Project:
    """A model of the server: assets in the order of creation, each matching or not, and a past that tests can ask."""

    def __init__(self, rows, chance, *, ties=1, entering=0.2, share=0.9):
        self.chance = chance
        self.created = 0
        self.ties = ties
        self.entering = entering
        self.matching = {}
        self.creation = {}
        for _ in range(rows):
            self.append(matching=chance.random() < share)
        self.throughout = {name for name, matching in self.matching.items() if matching}

    def append(self, *, matching=True):
        name = f"a{self.created}"
        self.creation[name] = self.created // self.ties
        self.matching[name] = matching
        self.created += 1

    def move(self, activity):
        """Let others write: assets leave the filter, enter it, are deleted, are added."""
        for _ in range(int(self.chance.expovariate(1 / activity)) if activity else 0):
            name = self.chance.choice(list(self.matching))
            kind = self.chance.random()
            if kind < self.entering:
                self.matching[name] = True
            elif kind < 0.8:
                self.matching[name] = False
            elif kind < 0.9 and len(self.matching) > 1:
                del self.matching[name]
            else:
                self.append()
            self.throughout -= {name} if not self.matching.get(name) else set()

    def fetch(self, window):
        shown = [name for name, matching in self.matching.items() if matching][window.skip :][: window.first]
        return Page(
            window, shown, [self.creation[name] for name in shown], pa.table({"id": pa.array(shown, pa.string())})
        )


def read(project, activity, *, ahead=16):
    """Read as the engine does: windows in flight together, answered in any order, joined in theirs."""

    def fetch(window):
        project.move(activity)
        return project.fetch(window)

    seams = Seams(fetch, 0)
    count = sum(project.matching.values())
    planned = list(windows(0, max(count, 1)))
    ids = []
    for start in range(0, len(planned), ahead):
        flight = planned[start : start + ahead]
        answered = {window: fetch(window) for window in project.chance.sample(flight, len(flight))}
        for window in flight:
            ids += [name for table in seams.join(answered[window]) for name in table["id"].to_pylist()]
    ids += [name for table in seams.extend() for name in table["id"].to_pylist()]
    return ids, seams


@pytest.mark.parametrize("seeds", [range(2), campaign(range(2, 30))], ids=["few seeds", "many seeds"])
@pytest.mark.parametrize("ties", [1, 7, 100, 1000])
@pytest.mark.parametrize("activity", [0, 0.5, 5, 40, 150])
def test_what_matched_throughout_is_read_exactly_once(activity, ties, seeds):
    for seed in seeds:
        chance = random.Random(f"{seed} {activity} {ties}")
        project = Project(chance.choice([0, 1, 99, 100, 101, 199, 700, 3000]) or 1, chance, ties=ties)
        ids, seams = read(project, activity)
        assert len(ids) == len(set(ids)), seed
        if not seams.found.in_doubt:
            assert project.throughout <= set(ids), (seed, sorted(project.throughout - set(ids)))


def read_naively(project, activity):
    """Read as clients do that trust offsets: page after page, until one is short."""
    ids, skip = [], 0
    while True:
        project.move(activity)
        page = project.fetch(Window(skip, 100))
        ids += page.ids
        skip += 100
        if page.is_last:
            return ids


def schedules(number):
    for seed in range(number):
        chance = random.Random(seed)
        entering, share = chance.choice([(0.2, 0.9), (0.6, 0.5)])  # rows shift to the left, or to the right
        project = Project(
            chance.randrange(1, 450), chance, ties=chance.choice([1, 3, 100]), entering=entering, share=share
        )
        yield project, chance.choice([0.5, 3, 20])


@pytest.mark.parametrize("number", [1_000, campaign(10_000)])
def test_random_schedules_of_other_peoples_writes_hide_no_row(number):
    in_doubt = recovered = duplicates = 0
    for seed, (project, activity) in enumerate(schedules(number)):
        ids, seams = read(project, activity)
        assert len(ids) == len(set(ids)), seed
        assert seams.found.in_doubt or project.throughout <= set(ids), seed
        in_doubt += bool(seams.found.in_doubt)
        recovered += bool(seams.found.recovered)
        duplicates += bool(seams.found.duplicates)
    assert in_doubt == 0
    assert recovered > number // 20  # without these, the schedules were too tame to show anything
    assert duplicates > number // 20


def test_the_same_schedules_hide_rows_from_who_trusts_offsets_and_show_some_twice():
    missed = twice = 0
    for project, activity in schedules(300):
        ids = read_naively(project, activity)
        missed += not project.throughout <= set(ids)
        twice += len(ids) != len(set(ids))
    assert missed > 50
    assert twice > 10


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
    for schedules, missing, repeating, in_doubt, quiet, moving in found.values():
        assert (schedules, missing, repeating, in_doubt) == (number, 0, 0, 0)
        assert number < 24 or moving > quiet  # there was something to repair


@pytest.mark.conformance
def test_the_same_schedules_hide_rows_from_the_official_sdk(sdk):
    found = over_http(24, "--only", "sdk", "--sdk-python", str(sdk))
    assert [missing > 0 for _, missing, *_ in found.values()] == [True, True]


def test_a_quiet_list_costs_one_row_in_a_hundred_and_no_repair():
    chance = random.Random(0)
    project = Project(5000, chance)
    ids, seams = read(project, 0)
    assert ids == [name for name, matching in project.matching.items() if matching]
    assert seams.found == exact.Consistency()


@pytest.mark.parametrize("ties", [1, 7, 100])
def test_rows_of_long_ago_are_known_by_their_time_alone(monkeypatch, ties):
    """With few ids remembered, every read forgets many times."""
    monkeypatch.setattr(exact, "_REMEMBERED", 300)
    for seed in range(60):
        chance = random.Random(f"{seed} {ties}")
        project = Project(3000, chance, ties=ties)
        ids, seams = read(project, chance.choice([0, 0.5, 5]))
        assert seams._forgotten >= 0
        assert len(seams._recent) <= 1000
        assert len(ids) == len(set(ids)), seed
        assert seams.found.in_doubt or project.throughout <= set(ids), seed


def test_a_row_that_a_page_says_twice_is_given_once():
    ids = ["a", "b", "b", "c", "a"]
    page = Page(Window(0, 100), ids, [1, 2, 2, 3, 1], pa.table({"id": pa.array(ids)}))
    seams = Seams(lambda _: page, 0)
    assert [table["id"].to_pylist() for table in seams.join(page)] == [["a", "b", "c"]]
    assert seams.found.duplicates == 2


def main():
    """Print the figures of the ten thousand schedules, which CONTRIBUTING.md states."""
    found = [read(project, activity)[1].found for project, activity in schedules(10_000)]
    for name in ("recovered", "duplicates", "in_doubt"):
        counts = [getattr(each, name) for each in found]
        sys.stdout.write(f"{name}: {sum(counts):,} rows, in {sum(map(bool, counts)):,} schedules\n")
    wrong = 0
    for project, activity in schedules(10_000):
        ids = read_naively(project, activity)
        wrong += len(ids) != len(set(ids)) or not project.throughout <= set(ids)
    sys.stdout.write(f"wrong where offsets are trusted: {wrong:,} schedules\n")


if __name__ == "__main__":
    main()
