"""Pages under way: how many, how large, and what happens where the project moves in ways that seams do not show."""

import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili.parallel import in_order
from pandas_kili.reading import crawl
from pandas_kili.sandbox import Fault, Habits, Sandbox


@pytest.fixture
def box():
    with Sandbox(max_calls_per_minute=None) as box:
        yield box


def project_of(box, rows, **columns):
    project = box.create_project("a project", "TEXT")
    box.add_assets(
        project, [{"externalId": f"e{row}", "content": "https://example.com/x", **columns} for row in range(rows)]
    )
    return project


def windows_asked(box):
    return [
        (request.variables["skip"], request.variables["first"])
        for request in box.requests
        if request.operation == "assets"
    ]


@pytest.mark.parametrize("status", [413, 500, 504])
def test_pages_that_are_too_heavy_are_asked_for_in_halves_and_no_row_is_lost(box, status):
    project = project_of(box, 450)
    client = pk.Client(box.api_key, box.api_endpoint, max_workers=1)
    client._retry.jitter = lambda _low, _high: 0.0
    box.inject(Fault("status", operation="assets", status=status, times=None, nth=2))
    sizes = []

    def lift(request):
        if request.operation == "assets":
            sizes.append(request.variables["first"])
            if sizes[-1] <= 25:
                box.clear_faults()

    box.before_request(lift)
    frame = pk.read_kili(project, fields=["externalId"], client=client)
    assert frame["externalId"].tolist() == [f"e{row}" for row in range(450)]
    assert {100, 50, 25} <= set(sizes)


def test_larger_pages_are_tried_again_after_a_while_without_trouble(box, monkeypatch):
    monkeypatch.setattr(crawl, "_CALM_PAGES", 3)
    project = project_of(box, 900)
    client = pk.Client(box.api_key, box.api_endpoint, max_workers=1)
    box.inject(Fault("status", operation="assets", status=413, nth=2, times=1))
    frame = pk.read_kili(project, fields=["externalId"], client=client)
    assert frame["externalId"].tolist() == [f"e{row}" for row in range(900)]
    firsts = [first for _, first in windows_asked(box)]
    assert 50 in firsts
    assert firsts[firsts.index(50) :].count(100) >= 2


def test_a_window_of_the_least_size_that_fails_is_an_error(box):
    project = project_of(box, 150)
    client = pk.Client(box.api_key, box.api_endpoint, max_workers=1)
    box.inject(Fault("status", operation="assets", status=413, times=None))
    with pytest.raises(pk.KiliConnectionError) as caught:
        pk.read_kili(project, fields=["id"], client=client)
    assert caught.value.status == 413
    assert min(first for _, first in windows_asked(box)) == 4


def _in_frames(project, client):
    return pk.read_kili(project, fields=["id"], client=client)


def _in_chunks(project, client):
    return pd.concat(list(pk.read_kili(project, fields=["id"], chunksize=70, client=client)))


def _in_batches(project, client):
    return pk.scan_batches(project, fields=["id"], batch_size=70, client=client).read_all()


@pytest.mark.parametrize("read", [_in_frames, _in_chunks, _in_batches])
@pytest.mark.parametrize(("rows", "least"), [(1, 1), (99, 1), (100, 1), (101, 2), (298, 3), (1000, 10)])
def test_where_nothing_moves_a_read_costs_one_count_and_two_rows_in_a_hundred(box, read, rows, least):
    project = project_of(box, rows)
    client = pk.Client(box.api_key, box.api_endpoint)
    _in_frames(project, client)  # the schema is asked for once
    box.clear_requests()
    assert len(read(project, client)) == rows
    calls = Counter(request.operation for request in box.requests)
    assert calls == {"assets": max(0, rows - 2) // 98 + 1, "countAssets": 1}
    assert calls["assets"] - least <= 1


def test_that_a_full_page_is_the_last_one_is_asked_beside_it(box):
    """And not after it, which would cost the latency of one more call."""
    project = project_of(box, 198)
    beside, came = threading.Event(), []

    def wait_for_the_next(request):
        if request.operation == "assets" and request.variables["skip"] == 196:
            beside.set()
        elif request.operation == "assets" and request.variables["skip"] == 98:
            came.append(beside.wait(10))

    box.before_request(wait_for_the_next)
    assert len(pk.read_kili(project, fields=["id"], client=pk.Client(box.api_key, box.api_endpoint))) == 198
    assert came == [True]


def test_rows_that_slipped_away_behind_a_count_that_stayed_are_found_by_a_second_look(box):
    project = project_of(box, 300, status="LABELED")
    ids = [asset["id"] for asset in box.assets(project)]
    spare = box.add_assets(project, [{"externalId": f"s{row}", "status": "TODO"} for row in range(3)])
    box.set_asset(spare[0], createdAt="2001-01-01T00:00:00.000Z")
    seen = []

    def others_write(request):
        if request.operation == "assets":
            seen.append(request)
            if len(seen) == 3:  # a row leaves before it was read, another comes in where reading has been
                box.set_asset(ids[-1], status="TODO")
                box.set_asset(spare[0], status="LABELED")

    box.before_request(others_write)
    client = pk.Client(box.api_key, box.api_endpoint, max_workers=1)
    frame = pk.read_kili(project, fields=["id"], status_in=["LABELED"], client=client)
    assert frame["id"].is_unique
    assert set(ids[:-1]) <= set(frame["id"])
    assert set(frame["id"]) <= {*ids, spare[0]}


@pytest.mark.parametrize("options", [{}, {"chunksize": 60}, {"chunksize": 1000}])
def test_rows_in_doubt_are_warned_of_however_the_read_ends(box, options):
    """Here the server counts more than it shows."""
    project = project_of(box, 450)
    client = pk.Client(box.api_key, box.api_endpoint)
    client.execute = lambda document, *args, **given: {"data": 451}
    with pytest.warns(pk.KiliConsistencyWarning, match="1 of 451 rows") as caught:
        list(pk.read_kili(project, fields=["id"], client=client, **options))
    assert caught[0].filename == __file__


def test_results_come_in_the_order_of_the_tasks_and_the_heavier_the_fewer_ahead():
    under_way, most = set(), []
    lock = threading.Lock()

    def work(task):
        with lock:
            under_way.add(task)
        time.sleep(0.001 * (task % 3))
        return bytes(10)

    def tasks():
        for task in range(60):
            most.append(len(under_way))
            yield task

    results = []
    for task, result in in_order(work, tasks(), workers=4, weigh=len, budget=20):
        under_way.discard(task)
        results.append((task, result))
    assert [task for task, _ in results] == list(range(60))
    assert max(most[:8]) > 2
    assert max(most[20:]) <= 2


def test_an_error_in_a_task_ends_the_iteration_and_starts_nothing_more():
    begun = []

    def work(task):
        begun.append(task)
        if task == 5:
            raise ValueError("the sixth")
        return task

    with pytest.raises(ValueError, match="the sixth"):
        list(in_order(work, range(1000), workers=2))
    assert len(begun) < 50


def test_empty_lists_of_rows_make_frames_of_the_same_columns(box):
    project = project_of(box, 5)
    client = pk.Client(box.api_key, box.api_endpoint)
    full = pk.read_kili(project, client=client)
    none = pk.read_kili(project, client=client, status_in=["REVIEWED"])
    pd.testing.assert_series_equal(full.dtypes, none.dtypes)


_READ = """
import sys
import pandas_kili as pk
from pathlib import Path

PAGE = {page!r}


class Canned(pk.Client):
    def execute_bytes(self, document, variables=None, *, stop=None):
        skip, first = variables["skip"], variables["first"]
        assets = [PAGE % (row, row // 3600, row // 60 % 60, row % 60) for row in range(skip, min(skip + first, {rows}))]
        return ('{{"data":{{"data":[' + ",".join(assets) + "]}}}}").encode()

    def execute(self, document, variables=None, *, stop=None):
        return {{"data": {rows}}}

    def names(self, type_name):
        return frozenset()


def resident(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


client = Canned("key", "http://localhost/graphql")
pk.read_kili("project", client=client, first=100, disable_tqdm=True)
Path("/proc/self/clear_refs").write_text("5")
start = resident("VmRSS")
assert len(pk.read_kili("project", client=client, disable_tqdm=True)) == {rows}
print(resident("VmHWM") - start)
"""


@pytest.mark.once
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no way to learn the peak of memory here")
def test_odd_pages_take_hardly_more_memory_than_plain_ones():
    label = '{"id":"l","jsonResponse":"%s"}' % ("x" * 1_000)
    plain = '{"id":"a%05d","createdAt":"2024-01-01T%02d:%02d:%02d.000Z","labels":[LABELS],"status":"TODO"}'
    plain = plain.replace("LABELS", label)
    odd = plain.replace('"status"', '"status":"TODO","status"')  # a name twice is read value by value

    def peak(page):
        script = _READ.format(page=page, rows=16_000)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
        return int(done.stdout)

    assert peak(odd) < 1.5 * peak(plain)


def in_ties(rows, ties, **columns):
    """Return rows that were created so many at a time, a second apart."""
    instants = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta([row // ties for row in range(rows)], "s")
    return pd.DataFrame({"externalId": [f"e{row}" for row in range(rows)], "createdAt": instants, **columns})


@pytest.mark.parametrize("ties", [1, 100, 1_000])
@pytest.mark.parametrize("workers", [1, 8])
def test_who_works_on_each_chunk_and_moves_it_out_of_the_filter_misses_no_row(box, ties, workers):
    project = box.create_project("a project", "TEXT")
    box.add_assets(project, in_ties(1_000, ties, status="TODO"))
    client = pk.Client(box.api_key, box.api_endpoint, max_workers=workers)
    names = []
    for chunk in pk.read_kili(project, fields=["id", "externalId"], status_in=["TODO"], chunksize=250, client=client):
        names += chunk["externalId"].tolist()
        for name in chunk["id"]:
            box.set_asset(name, status="LABELED")
    assert len(names) == 1_000
    assert set(names) == {f"e{row}" for row in range(1_000)}


@pytest.mark.parametrize(
    "habits",
    [
        {"longest_page": 50},
        {"stable_ties": False},
        {"created_at_filters": False},
        {"skip": "clamped", "longest_skip": 200},
        {"skip": "ignored"},
        {"by_creation": False},
    ],
    ids=str,
)
def test_servers_of_other_habits_are_read_whole(habits):
    with Sandbox(max_calls_per_minute=None, habits=Habits(**habits)) as box:
        project = box.create_project("a project", "TEXT")
        rows = in_ties(600, 40)
        rows.loc[350:, "createdAt"] -= pd.Timedelta(5, "s")  # the clock was put back
        box.add_assets(project, rows)
        frame = pk.read_kili(project, fields=["externalId"], client=box.client)
    assert sorted(frame["externalId"]) == sorted(f"e{row}" for row in range(600))


def test_a_server_that_ignores_skip_and_the_time_is_an_error_that_says_what_it_does():
    with Sandbox(max_calls_per_minute=None, habits=Habits(skip="ignored", created_at_filters=False)) as box:
        project = box.create_project("a project", "TEXT")
        box.add_assets(project, in_ties(600, 1))
        with pytest.raises(pk.KiliGraphQLError, match="it ignores `skip`, or limits it"):
            pk.read_kili(project, fields=["externalId"], client=box.client)


def test_assets_from_before_1970_are_read(box):
    project = box.create_project("a project", "TEXT")
    rows = in_ties(250, 3)
    box.add_assets(project, rows.assign(createdAt=rows["createdAt"] - pd.Timedelta(days=60 * 365)))
    frame = pk.read_kili(project, fields=["externalId", "createdAt"], client=box.client)
    assert frame["externalId"].tolist() == rows["externalId"].tolist()
    assert frame["createdAt"].dt.year.max() < 1970
