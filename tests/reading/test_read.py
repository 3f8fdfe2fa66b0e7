"""Projects are read whole, in order and each asset once, whatever befalls the reading."""

import io
import itertools
import json
import random
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scripted import Reply, ScriptedServer
from waiting import eventually, own_threads

import pandas_kili as pk
from pandas_kili import Client, KiliConsistencyWarning, KiliFilterError, count_assets, progress, read_kili
from pandas_kili.catalog import ENTITIES
from pandas_kili.query.fields import select
from pandas_kili.sandbox import Fault, Sandbox

ANSWER = json.dumps({"JOB": {"categories": [{"name": "CAT"}]}})
STATUSES = ["TODO", "LABELED", "REVIEWED"]
BIG = 1050


def fill(sandbox, count, *, labels=True, **options):
    """Add a project of so many assets, every third of each status, those that are not TODO with labels."""
    project = sandbox.create_project("Texts", "TEXT", **options)
    rows = [
        {
            "externalId": f"{number:05}",
            "content": "x",
            "jsonMetadata": {"place": number},
            "createdAt": f"2024-01-01T00:{number // 60000:02}:{number // 1000 % 60:02}.{number % 1000:03}Z",
            "status": STATUSES[number % 3],
        }
        for number in range(count)
    ]
    sandbox.add_assets(project, rows)
    for asset in sandbox.assets(project):
        sandbox.set_asset(asset["id"], status=STATUSES[int(asset["externalId"]) % 3])
    if labels and count:
        names = [row["externalId"] for row in rows if row["status"] != "TODO"]
        sandbox.add_labels(
            pd.DataFrame({"externalId": names, "jsonResponse": ANSWER, "author": "ann@example.com"}), project_id=project
        )
        for asset in sandbox.assets(project):
            sandbox.set_asset(asset["id"], status=STATUSES[int(asset["externalId"]) % 3])
    return project


@pytest.fixture(scope="module")
def shared():
    """A sandbox that no test changes, with a project of so many assets by their number."""
    with Sandbox(max_calls_per_minute=None) as sandbox:
        projects = {count: fill(sandbox, count) for count in (0, 1, 99, 100, 101, 250)}
        projects[BIG] = fill(sandbox, BIG, labels=False)
        yield sandbox, projects


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture
def reading(shared):
    sandbox, projects = shared
    sandbox.clear_requests()
    with Client(sandbox.api_key, sandbox.api_endpoint, max_calls_per_minute=100_000) as client:

        def read(count, **options):
            return read_kili(projects[count], client=client, **options)

        read.client, read.sandbox, read.projects = client, sandbox, projects
        yield read
    sandbox.clear_hooks()
    sandbox.clear_faults()


def external_ids(numbers):
    return [f"{number:05}" for number in numbers]


def asked_of(sandbox, operation="assets"):
    return [request.variables for request in sandbox.requests if request.operation == operation]


class Kili(ScriptedServer):
    """A server of one project that answers by a function of the window asked for."""

    def __init__(self, answer, count):
        self.answer, self.count = answer, count
        super().__init__()
        self.client = Client("key", self.endpoint, max_calls_per_minute=100_000)

    def take(self, asked):
        super().take(asked)
        document, variables = asked.json["query"], asked.json["variables"]
        if "countAssets" in document:
            return Reply.of({"data": {"data": self.count() if callable(self.count) else self.count}})
        if "projects" in document:
            return Reply.of({"data": {"data": [{"id": "p1"}]}})
        if named := variables["where"].get("idIn"):
            return served(int(name[1:]) for name in named)
        return self.answer(variables["skip"], variables["first"])


@pytest.fixture
def kili():
    servers = []

    def start(answer, count):
        servers.append(Kili(answer, count))
        return servers[-1]

    yield start
    for server in servers:
        server.client.close()
        server.close()


def served(numbers, **fields):
    rows = [
        {"id": f"a{number}", "createdAt": f"2024-01-01T00:00:{number // 1000:02}.{number % 1000:03}Z", **fields}
        for number in numbers
    ]
    return Reply.of({"data": {"data": rows}})


def test_the_default_columns_have_the_types_that_are_promised(reading):
    frame = reading(250)
    text, date, flag = pa.string(), pa.timestamp("ms", tz="UTC"), pa.bool_()
    author = pa.struct([("id", text), ("email", text)])
    label = pa.struct(
        [("author", author), ("createdAt", date), ("id", text), ("jsonResponse", text), ("labelType", text)]
    )
    types = {
        "content": text,
        "createdAt": date,
        "externalId": text,
        "id": text,
        "isHoneypot": flag,
        "jsonMetadata": text,
        "labels": pa.list_(label),
        "skipped": flag,
        "status": text,
    }
    assert frame.dtypes.to_dict() == {name: pd.ArrowDtype(type_) for name, type_ in types.items()}
    assert isinstance(frame.index, pd.RangeIndex)
    assert frame["externalId"].tolist() == external_ids(range(250))
    assert frame["createdAt"].is_monotonic_increasing
    assert frame["jsonMetadata"][3] == '{"place": 3}'
    assert frame["labels"][1][0]["jsonResponse"] == ANSWER
    assert frame["labels"][1][0]["author"]["email"] == "ann@example.com"
    assert len(frame["labels"][0]) == 0
    assert frame["id"].is_unique


def test_columns_come_in_the_order_of_the_fields_and_no_others(reading):
    fields = ["status", "latestLabel.author.email", "labels.id", "externalId", "latestLabel.createdAt"]
    frame = reading(99, fields=fields)
    assert list(frame.columns) == [
        "status",
        "latestLabel.author.email",
        "labels",
        "externalId",
        "latestLabel.createdAt",
    ]
    assert frame["latestLabel.author.email"].isna().tolist() == [place % 3 == 0 for place in range(99)]


def test_a_field_that_the_catalogue_lacks_is_read_by_its_type(reading):
    frame = reading(1, fields={"externalId": None, "_": pa.bool_()})
    assert frame.dtypes.to_dict() == {"externalId": pd.ArrowDtype(pa.string()), "_": pd.ArrowDtype(pa.bool_())}


@pytest.mark.parametrize("count", [0, 250])
@pytest.mark.parametrize("fields", [pk.DEFAULT_FIELDS, ["priority"], ["id", "latestLabel.id", "labels.author.email"]])
def test_an_empty_result_has_the_same_columns_and_types(reading, count, fields):
    full = reading(250, fields=fields)
    for options in ({"asset_id_in": []}, {"asset_id": "none"}, {"skip": 300}, {"step_name_in": []}):
        empty = reading(count, fields=fields, **options)
        assert len(empty) == 0
        assert empty.dtypes.equals(full.dtypes)
        assert isinstance(empty.index, pd.RangeIndex)
        assert list(empty.attrs) == ["kili"]


def test_attrs_say_where_a_frame_comes_from(reading):
    expected = {"project_id": reading.projects[250], "api_endpoint": reading.client.api_endpoint}
    counts = {"expected": 250, "duplicates": 0, "recovered": 0, "in_doubt": 0}
    assert reading(250).attrs == {"kili": {**expected, "consistency": {**counts, "read": 250}}}
    assert pd.concat(reading(250, chunksize=100)).attrs == {"kili": expected}
    for chunk in reading(250, chunksize=100):
        assert chunk.attrs["kili"] == expected
        assert reading.client._api_key not in str(chunk.attrs)


def test_the_same_function_is_in_pandas():
    assert pd.read_kili is pk.read_kili


def test_pandas_keeps_a_function_of_that_name_that_it_has_already():
    program = "import pandas as pd; pd.read_kili = 'taken'; import pandas_kili; print(pd.read_kili)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "taken"


@pytest.mark.once
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
@pytest.mark.parametrize("first", [None, 1, 50, 99, 100, 101, 250, 1000])
@pytest.mark.parametrize("skip", [0, 1, 60, 100, 249, 1000])
def test_first_and_skip_cut_the_rows_as_a_slice_does(reading, count, first, skip):
    frame = reading(count, fields=["externalId"], first=first, skip=skip)
    assert frame["externalId"].tolist() == external_ids(range(count))[skip : None if first is None else skip + first]


@given(
    count=st.sampled_from([0, 1, 99, 100, 101, 250]),
    first=st.none() | st.integers(1, 400),
    skip=st.integers(0, 300),
    chunksize=st.integers(1, 300),
)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunks_are_the_whole_cut_into_so_many_rows(reading, count, first, skip, chunksize):
    whole = reading(count, fields=["externalId", "labels.id"], first=first, skip=skip)
    chunks = list(reading(count, fields=["externalId", "labels.id"], first=first, skip=skip, chunksize=chunksize))
    assert [len(chunk) for chunk in chunks[:-1]] == [chunksize] * (len(chunks) - 1)
    assert 0 < len(chunks[-1]) <= chunksize or (len(whole) == 0 and len(chunks) == 1)
    assert all(chunk.dtypes.equals(whole.dtypes) for chunk in chunks)
    assert all(isinstance(chunk.index, pd.RangeIndex) for chunk in chunks)
    pd.testing.assert_frame_equal(pd.concat(chunks), whole, check_index_type=False)


def test_numbers_of_numpy_are_numbers(reading):
    frame = reading(250, fields=["externalId"], first=np.int64(120), skip=np.int32(3))
    assert frame["externalId"].tolist() == external_ids(range(3, 123))
    chunks = reading(250, fields=["id"], chunksize=np.int64(100), first=np.uint8(150))
    assert [len(chunk) for chunk in chunks] == [100, 50]


def test_no_more_is_asked_for_than_first(reading):
    reading(250, fields=["id"], first=3)
    assert asked_of(reading.sandbox) == [{"where": {"project": {"id": reading.projects[250]}}, "first": 3, "skip": 0}]


def test_no_page_is_larger_than_the_server_gives(reading):
    reading(BIG, fields=["id"])
    assert {asked["first"] for asked in asked_of(reading.sandbox)} == {100}
    assert len(asked_of(reading.sandbox)) <= BIG / 99 + 2


def test_pages_are_under_way_together(reading):
    """No page beyond the first is answered before four are asked for."""
    arrived, together = [], threading.Event()

    def wait(request):
        if request.variables.get("skip"):
            arrived.append(request)
            if len(arrived) == 4:
                together.set()
            together.wait(10)

    reading.sandbox.before_request(wait)
    assert len(reading(BIG, fields=["id"])) == BIG
    assert together.is_set()


def test_a_frame_is_in_few_chunks(reading):
    frame = reading(BIG)
    assert {len(frame[name].array._pa_array.chunks) for name in frame} == {1}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"first": 0}, {"first"}),
        ({"first": -1, "skip": -1, "chunksize": 0}, {"first", "skip", "chunksize"}),
        ({"first": 1.5, "skip": True, "chunksize": "10"}, {"first", "skip", "chunksize"}),
        ({"skip": None}, {"skip"}),
        ({"validate": "no"}, {"validate"}),
        ({"validate": None, "first": 0}, {"validate", "first"}),
    ],
)
def test_a_wrong_range_is_told_before_any_request(reading, options, names):
    with pytest.raises(KiliFilterError) as caught:
        reading(250, **options)
    assert set(caught.value.problems) == names
    assert not reading.sandbox.requests


@pytest.mark.parametrize("chunksize", [None, 10])
def test_what_is_wrong_in_a_call_is_told_by_the_call_before_any_request(reading, chunksize):
    with pytest.raises(pk.KiliFieldError, match="no field 'externalID'"):
        reading(250, fields=["externalID"], chunksize=chunksize)
    with pytest.raises(KiliFilterError, match="no such value: 'DONE'"):
        reading(250, status_in=["DONE"], chunksize=chunksize)
    with pytest.raises(KiliFilterError, match="statuses: no such filter"):
        reading(250, chunksize=chunksize, statuses=["TODO"])
    assert not reading.sandbox.requests


def test_an_iterator_asks_for_nothing_before_its_first_chunk(reading):
    chunks = reading(BIG, fields=["id"], chunksize=10)
    assert not reading.sandbox.requests
    assert len(next(chunks)) == 10
    chunks.close()


def test_closing_an_iterator_early_stops_the_requests(reading):
    chunks = reading(BIG, fields=["id"], chunksize=10)
    next(chunks)
    chunks.close()
    assert eventually(lambda: not own_threads())
    asked = len(reading.sandbox.requests)
    time.sleep(0.05)
    assert len(reading.sandbox.requests) == asked
    with pytest.raises(StopIteration):
        next(chunks)


def test_closing_an_iterator_waits_for_no_request_that_is_to_be_sent_again(kili):
    def answer(skip, first):
        far = skip > 99 * 70
        return Reply(b"busy", 503, {"Retry-After": "30"}) if far else served(range(skip, skip + first))

    server = kili(answer, 50_000)
    chunks = read_kili("p1", fields=["id"], chunksize=10, client=server.client)
    next(chunks)
    chunks.close()
    assert eventually(lambda: not own_threads())


def test_an_error_stops_the_requests_too(reading):
    reading.sandbox.inject(Fault("graphql_error", "assets", nth=3, times=None, code="BAD_USER_INPUT"))
    with pytest.raises(pk.KiliGraphQLError):
        reading(BIG, fields=["id"])
    assert eventually(lambda: not own_threads())


def test_an_iterator_asks_no_further_ahead_than_it_must(kili):
    server = kili(lambda skip, first: served(range(skip, min(skip + first, 50_000))), 50_000)
    chunks = read_kili("p1", fields=["id"], chunksize=100, client=server.client)
    for _ in range(3):
        next(chunks)
    time.sleep(0.3)
    assert len(server.asked) < 50_000 / 99 / 2
    chunks.close()


def test_a_page_of_the_most_that_is_asked_for_is_the_last_of_its_own(reading):
    reading(100, fields=["id"])
    assert len(asked_of(reading.sandbox)) <= 2


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({"external_id_strictly_in": ["00003", "00001", "none"]}, [1, 3]),
        ({"external_id_contains": ["0000"]}, []),
        ({"external_id_in": ["0024", "0010"]}, [10, 24, *range(100, 110), *range(240, 250)]),
        ({"status_in": ["LABELED"]}, range(1, 250, 3)),
        ({"status_in": {"REVIEWED", "TODO"}, "external_id_in": ["0001"]}, [11, 12, 14, 15, 17, 18]),
        ({"skipped": True}, []),
        ({"metadata_where": {"place": [5, 8]}}, [5, 6, 7, 8]),
        ({"metadata_where": {"place": 5}}, [5]),
        ({"created_at_gte": "2024-01-01T00:00:00.245Z"}, range(245, 250)),
        ({"created_at_lte": pd.Timestamp("2024-01-01T01:00:00.002", tz="Europe/Paris")}, [0, 1, 2]),
        ({"created_at_gte": "2024-01-02"}, []),
        ({"label_type_in": ["DEFAULT"], "created_at_lte": "2024-01-01T00:00:00.005Z"}, [1, 2, 4, 5]),
        ({"label_type_in": ["REVIEW"]}, []),
        ({"label_category_search": "JOB.CAT.count >= 1", "external_id_in": ["0000"]}, [1, 2, 4, 5, 7, 8]),
        ({"label_category_search": "JOB.CAT.count > 1 OR JOB.OTHER.count == 1"}, []),
        ({"asset_id_in": []}, []),
        ({"status_in": [], "skipped": None}, []),
        ({"asset_id_not_in": [], "external_id_in": ["00001"]}, [1]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_filters_narrow_reads_and_counts_alike(reading, filters, numbers):
    frame = reading(250, fields=["externalId"], **filters)
    assert frame["externalId"].tolist() == external_ids(numbers)
    assert count_assets(reading.projects[250], client=reading.client, **filters) == len(numbers)


def test_a_filter_is_the_work_of_the_server(reading):
    reading(250, fields=["externalId"], status_in=["TODO"], skipped=False)
    where = {"project": {"id": reading.projects[250]}, "statusIn": ["TODO"], "skipped": False}
    assert all(asked["where"] == where for asked in asked_of(reading.sandbox))


def test_nothing_is_asked_for_where_nothing_can_match(reading):
    reading(250, asset_id_in=[])
    list(reading(250, asset_id_in=[], chunksize=5))
    assert count_assets(reading.projects[250], asset_id_in=[], client=reading.client) == 0
    assert count_assets(reading.projects[250], step_name_in=[], client=reading.client) == 0
    assert not reading.sandbox.requests


@pytest.mark.once
@pytest.mark.parametrize("keyword", ["asset_id_in", "external_id_strictly_in", "external_id_in"])
@pytest.mark.parametrize(("first", "skip"), [(None, 0), (200, 950), (5, 0), (None, 1049)])
def test_a_list_longer_than_the_server_takes_gives_each_asset_once_in_order(reading, keyword, first, skip):
    wanted = [row["id" if "asset_id" in keyword else "externalId"] for row in stored(reading)]
    random.Random(0).shuffle(wanted)
    frame = reading(BIG, fields=["externalId"], first=first, skip=skip, **{keyword: [*wanted, *wanted, "none"]})
    whole = external_ids(range(BIG))
    assert frame["externalId"].tolist() == whole[skip : None if first is None else skip + first]
    assert max(len(next(iter(lists(asked)))) for asked in asked_of(reading.sandbox)) <= 1000


def test_parts_of_a_long_list_that_share_assets_give_them_once(reading):
    """Every part of this list matches every asset."""
    parts = ["0", *(f"none {number}" for number in range(1200)), "00"]
    frame = reading(BIG, fields=["externalId", "status"], external_id_in=parts)
    assert frame["externalId"].tolist() == external_ids(range(BIG))
    assert count_assets(reading.projects[BIG], external_id_in=parts, client=reading.client) == BIG
    chunks = list(reading(BIG, fields=["externalId"], external_id_in=parts, chunksize=500))
    assert [len(chunk) for chunk in chunks] == [500, 500, 50]
    assert pd.concat(chunks)["externalId"].tolist() == external_ids(range(BIG))


def test_a_long_list_that_matches_nothing_is_an_empty_frame(reading):
    many = [f"none {number}" for number in range(1200)]
    frame = reading(BIG, fields=["externalId", "labels.id"], asset_id_in=many)
    assert len(frame) == 0
    assert frame.dtypes.equals(reading(1, fields=["externalId", "labels.id"]).dtypes)
    assert count_assets(reading.projects[BIG], asset_id_in=many, client=reading.client) == 0


def test_a_count_of_a_long_list_adds_up(reading):
    ids = [row["id"] for row in stored(reading)]
    assert count_assets(reading.projects[BIG], asset_id_in=ids, client=reading.client) == BIG
    assert not asked_of(reading.sandbox), "parts that share no asset are counted, not read"


def stored(reading):
    return reading.sandbox.assets(reading.projects[BIG])


def lists(asked):
    return [value for value in asked["where"].values() if isinstance(value, list)]


@pytest.fixture
def workflow(sandbox):
    steps = [{"name": "Label"}, {"name": "Check"}]
    return sandbox, fill(sandbox, 9, workflow_version="V2", steps=steps)


def test_steps_are_asked_for_by_name(workflow):
    sandbox, project = workflow
    labeled = external_ids(number for number in range(9) if number % 3)
    fields = ["externalId", "currentStep.name", "currentStep.status"]
    frame = read_kili(project, fields=fields, step_name_in=["Check"], client=sandbox.client)
    assert frame["externalId"].tolist() == labeled
    assert set(frame["currentStep.name"]) == {"Check"}
    frame = read_kili(project, fields=fields, step_name_not_in=["Check"], client=sandbox.client)
    assert frame["externalId"].tolist() == external_ids([0, 3, 6])
    frame = read_kili(
        project, fields=fields, step_name_in=["Check", "Label"], step_status_in=["TO_DO"], client=sandbox.client
    )
    assert len(frame) == 9
    assert count_assets(project, step_name_in=["Label"], client=sandbox.client) == 3
    assert count_assets(project, step_name_not_in=[], client=sandbox.client) == 9


def test_an_unknown_step_is_refused_with_the_steps_that_there_are(workflow):
    sandbox, project = workflow
    for ask in (read_kili, count_assets):
        with pytest.raises(KiliFilterError, match="'Label', 'Check'") as caught:
            ask(project, step_name_in=["Label", "Ship"], client=sandbox.client)
        assert "'Ship'" in str(caught.value)
        assert caught.value.problems


def test_a_project_without_steps_says_so(reading):
    with pytest.raises(KiliFilterError, match="it has no steps"):
        reading(1, step_name_in=["Label"])
    with pytest.raises(pk.KiliNotFoundError):
        read_kili("none", step_name_in=["Label"], client=reading.client)


def test_an_old_server_is_read_alike():
    with Sandbox(generation="legacy", max_calls_per_minute=None) as sandbox:
        project = fill(sandbox, 120)
        frame = read_kili(project, client=sandbox.client)
        assert frame["externalId"].tolist() == external_ids(range(120))
        assert frame["labels"][1][0]["jsonResponse"] == ANSWER
        assert count_assets(project, status_in=["LABELED"], client=sandbox.client) == 40
        with pytest.raises(pk.KiliGraphQLError):
            read_kili(project, external_id_in=["0"], client=sandbox.client)


@pytest.mark.parametrize("chunksize", [None, 10])
def test_a_project_that_is_not_there_is_not_found(reading, chunksize):
    with pytest.raises(pk.KiliNotFoundError, match="'none'") as caught:
        list(read_kili("none", chunksize=chunksize, client=reading.client))
    assert isinstance(caught.value, LookupError)
    with pytest.raises(pk.KiliNotFoundError):
        count_assets("none", client=reading.client)


def test_an_empty_project_is_not_a_missing_one(reading):
    assert count_assets(reading.projects[0], client=reading.client) == 0
    assert len(reading(0)) == 0
    assert [len(chunk) for chunk in reading(0, chunksize=10)] == [0]


@pytest.mark.parametrize("ask", [read_kili, count_assets])
def test_a_wrong_key_is_refused(shared, ask):
    sandbox, projects = shared
    with Client("wrong", sandbox.api_endpoint) as client, pytest.raises(pk.KiliAuthenticationError):
        ask(projects[250], client=client)


@pytest.mark.parametrize("ask", [read_kili, count_assets])
def test_an_endpoint_that_is_not_there_is_a_connection_error(ask, client, scripted_server):
    scripted_server.close()
    with pytest.raises(pk.KiliConnectionError) as caught:
        ask("p1", client=client)
    assert isinstance(caught.value, ConnectionError)


@pytest.mark.parametrize("ask", [read_kili, count_assets])
def test_an_endpoint_that_is_a_web_page_is_a_connection_error_that_shows_it(ask, client, scripted_server):
    scripted_server.otherwise = Reply(b"<html>Please log in</html>")
    with pytest.raises(pk.KiliConnectionError, match="Please log in"):
        ask("p1", client=client)


def test_the_environment_names_the_client_that_is_used(shared, monkeypatch):
    sandbox, projects = shared
    monkeypatch.setenv("KILI_API_KEY", sandbox.api_key)
    monkeypatch.setenv("KILI_API_ENDPOINT", sandbox.api_endpoint)
    assert len(pd.read_kili(projects[250], fields=["id"])) == 250
    assert count_assets(projects[250]) == 250


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", "assets", nth=2, times=2, status=500),
        Fault("status", "assets", nth=1, times=1, status=502),
        Fault("status", "assets", nth=3, times=2, status=429, retry_after=0.01),
        Fault("reset_before", "assets", nth=2, times=2),
        Fault("reset_after", "assets", nth=4),
        Fault("cut", "assets", nth=2, times=3),
        Fault("refuse", "assets", nth=3),
        Fault("graphql_error", "assets", nth=2),
        Fault("partial_data", "assets", nth=2, times=2),
        Fault("status", "countAssets", status=503),
        Fault("latency", "assets", times=None, probability=0.5, seconds=(0, 0.02)),
    ],
    ids=lambda fault: f"{fault.kind} {fault.operation} {fault.status}",
)
def test_what_passes_costs_no_row(reading, fault):
    reading.sandbox.inject(fault)
    frame = reading(BIG, fields=["externalId"])
    assert frame["externalId"].tolist() == external_ids(range(BIG))


def test_assets_that_leave_the_filter_while_it_is_read_take_no_others_along(sandbox):
    """Every page asked for moves assets of the pages before it out of the filter."""
    project = fill(sandbox, 900, labels=False)
    todo = [row["id"] for row in sandbox.assets(project) if row["status"] == "TODO"]
    moved, lock = [], threading.Lock()

    def relabel(request):
        if request.operation == "assets":
            with lock:
                for asset_id in todo[len(moved) * 7 :][:5]:
                    sandbox.set_asset(asset_id, status="LABELED")
                    moved.append(asset_id)

    sandbox.before_request(relabel)
    with warnings.catch_warnings():
        warnings.simplefilter("error", KiliConsistencyWarning)
        frame = read_kili(project, fields=["id", "status"], status_in=["TODO"], client=sandbox.client)
    assert frame["id"].is_unique
    assert moved
    assert set(todo) - set(moved) <= set(frame["id"]) <= set(todo)
    stayed = frame["id"][~frame["id"].isin(moved)]
    assert stayed.tolist() == [asset_id for asset_id in todo if asset_id not in set(moved)]


@pytest.mark.parametrize("chunksize", [None, 40])
def test_assets_that_are_deleted_and_added_while_the_project_is_read_leave_it_exact(sandbox, chunksize):
    project = fill(sandbox, 700, labels=False)
    ids = [row["id"] for row in sandbox.assets(project)]
    chance, lock = random.Random(7), threading.Lock()
    left, gone, come = list(ids), set(), []

    def move(request):
        if request.operation == "assets":
            with lock:
                victims = [left.pop(chance.randrange(len(left))) for _ in range(6 if len(left) > 200 else 0)]
                sandbox.delete_assets(victims)
                gone.update(victims)
                come.extend(sandbox.add_assets(project, [{"externalId": f"new {len(come)}", "content": "x"}]))

    sandbox.before_request(move)
    got = read_kili(project, fields=["id"], chunksize=chunksize, client=sandbox.client)
    frame = got if chunksize is None else pd.concat(list(got))
    assert frame["id"].is_unique
    assert set(ids) - gone <= set(frame["id"]) <= {*ids, *come}


def test_a_count_that_does_not_fit_is_settled_by_looking_again(kili):
    """A replica that lags counts more than there is."""
    counts = itertools.chain([260], itertools.repeat(250))
    server = kili(lambda skip, first: served(range(skip, min(skip + first, 250))), lambda: next(counts))
    assert len(read_kili("p1", fields=["id"], client=server.client)) == 250


def test_a_count_that_is_too_small_ends_no_read(kili):
    server = kili(lambda skip, first: served(range(skip, min(skip + first, 450))), 120)
    assert len(read_kili("p1", fields=["id"], client=server.client)) == 450


def test_a_count_that_stays_unsettled_is_warned_of_with_the_number_of_rows(kili):
    server = kili(lambda skip, first: served(range(skip, min(skip + first, 250))), 257)
    with pytest.warns(KiliConsistencyWarning, match="7 of 257 rows"):
        frame = read_kili("p1", fields=["id"], client=server.client)
    assert len(frame) == 250


@pytest.mark.parametrize("most", [4, 7, 30, 99])
def test_pages_shorter_than_asked_lose_no_rows(kili, most):
    """A server with pages that hold fewer assets than they should."""
    server = kili(lambda skip, first: served(range(skip, min(skip + min(first, most), 250))), 250)
    frame = read_kili("p1", fields=["id"], client=server.client)
    assert frame["id"].tolist() == [f"a{number}" for number in range(250)]
    frame = read_kili("p1", fields=["id"], first=120, skip=20, client=server.client)
    assert frame["id"].tolist() == [f"a{number}" for number in range(20, 140)]


@pytest.mark.parametrize("short", [0, 99, 198, 594])
def test_one_page_shorter_than_asked_loses_no_rows(kili, short):
    once = {short}

    def answer(skip, first):
        end = skip + (first // 2 if skip in once else first)
        once.discard(skip)
        return served(range(skip, min(end, 650)))

    server = kili(answer, 650)
    frame = read_kili("p1", fields=["id"], client=server.client)
    assert frame["id"].tolist() == [f"a{number}" for number in range(650)]


@pytest.mark.parametrize("ties", [1, 10])
def test_assets_of_a_project_whose_ids_are_not_all_remembered_are_each_read_once(kili, ties):
    def answer(skip, first):
        numbers = range(skip, min(skip + first, 9_000))
        stamps = (pd.Timestamp("2024-01-01", tz="UTC") + pd.Timedelta(number // ties, "s") for number in numbers)
        return Reply.of(
            {
                "data": {
                    "data": [
                        {"id": f"a{n}", "createdAt": f"{s:%FT%T}.000Z"} for n, s in zip(numbers, stamps, strict=True)
                    ]
                }
            }
        )

    server = kili(answer, 9_000)
    frame = read_kili("p1", fields=["id"], client=server.client)
    assert frame["id"].tolist() == [f"a{number}" for number in range(9_000)]


def test_fields_that_are_no_paths_are_refused_before_any_request(reading):
    for fields in (5, None, b"id", "id", [], [5]):
        with pytest.raises(pk.KiliFieldError, match=r"fields is|a field is"):
            reading(1, fields=fields)
    assert not reading.sandbox.requests


@pytest.mark.parametrize(
    "fields", [iter(["id", "status"]), {"id": None, "status": None}.keys(), pd.Index(["id", "status"])]
)
def test_fields_may_be_any_list_like(reading, fields):
    assert list(reading(99, fields=fields).columns) == ["id", "status"]


def test_assets_of_one_instant_are_each_read_once(kili):
    instant = {"createdAt": "2024-01-01T00:00:00.000Z"}
    server = kili(lambda skip, first: served(range(skip, min(skip + first, 650)), **instant), 650)
    frame = read_kili("p1", fields=["id"], client=server.client)
    assert frame["id"].tolist() == [f"a{number}" for number in range(650)]


def test_an_asset_without_id_is_an_error(kili):
    server = kili(lambda skip, first: served(range(3), id=None), 3)
    with pytest.raises(pk.KiliValidationError, match="without an id"):
        read_kili("p1", fields=["id"], client=server.client)


@pytest.mark.parametrize("body", [{"data": {"data": None}}, {"data": {"data": [None]}}, {"data": {"data": {}}}])
def test_an_answer_that_is_no_list_is_an_error_and_no_empty_frame(kili, body):
    server = kili(lambda skip, first: Reply.of(body), 1)
    with pytest.raises(pk.KiliGraphQLError):
        read_kili("p1", fields=["id"], client=server.client)


def test_validation_tells_all_failures_or_warns_or_keeps_silent(sandbox):
    project = fill(sandbox, 10, labels=False)
    ids = [row["id"] for row in sandbox.assets(project)]
    for place in (2, 5):
        sandbox.set_asset(ids[place], consensusMark=1.5 + place)
    fields = ["externalId", "consensusMark"]
    with pytest.raises(pk.KiliValidationError, match="2 values") as caught:
        read_kili(project, fields=fields, client=sandbox.client)
    assert caught.value.failure_cases["index"].tolist() == [2, 5]
    with pytest.raises(pk.KiliValidationError):
        list(read_kili(project, fields=fields, chunksize=3, client=sandbox.client))
    with pytest.warns(UserWarning, match="2 values"):
        frame = read_kili(project, fields=fields, validate="warn", client=sandbox.client)
    assert frame["consensusMark"][2] == 3.5
    pd.testing.assert_frame_equal(read_kili(project, fields=fields, validate=False, client=sandbox.client), frame)


def test_the_rows_of_a_failure_in_a_chunk_are_those_of_the_whole(sandbox):
    project = fill(sandbox, 10, labels=False)
    sandbox.set_asset(sandbox.assets(project)[7]["id"], consensusMark=2)
    with pytest.raises(pk.KiliValidationError) as caught:
        list(read_kili(project, fields=["consensusMark"], chunksize=4, client=sandbox.client))
    assert caught.value.failure_cases["index"].tolist() == [7]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("terminal", "told", "disable", "shown"),
    [
        (False, None, None, False),
        (True, None, None, True),
        (False, None, False, True),
        (True, None, True, False),
        (True, "true", None, False),
        (False, "false", None, True),
        (True, "true", False, True),
        (False, "false", True, False),
    ],
)
@pytest.mark.parametrize("chunksize", [None, 100])
def test_a_progress_bar_is_shown_where_a_person_looks(reading, monkeypatch, terminal, told, disable, shown, chunksize):
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    if told is not None:
        monkeypatch.setenv("KILI_DISABLE_TQDM", told)
    got = reading(250, fields=["id"], disable_tqdm=disable, chunksize=chunksize)
    assert sum(len(chunk) for chunk in ([got] if chunksize is None else got)) == 250
    assert ("assets" in screen.getvalue()) is shown
    assert ("/250" in screen.getvalue()) is shown


@pytest.fixture
def notebook(monkeypatch):
    class Shell:
        def __init__(self):
            self.config = {"IPKernelApp": {}}

    shell = type(sys)("IPython")
    shell.get_ipython = Shell
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as if it were not installed


@pytest.mark.usefixtures("notebook")
def test_a_progress_bar_is_shown_in_a_notebook(reading, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_PATIENCE", 0)
    reading(250, fields=["id"])
    assert "250" in capsys.readouterr().err


@pytest.mark.usefixtures("notebook")
def test_what_is_soon_over_leaves_nothing_in_a_notebook(reading, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_PATIENCE", 3600)
    reading(250, fields=["id"])
    assert capsys.readouterr().err == ""


def test_a_selection_of_every_field_of_an_asset_can_be_read(shared):
    sandbox, projects = shared
    fields = [field.name for field in ENTITIES["Asset"].fields if field.type is not None]
    frame = read_kili(projects[101], fields=fields, client=sandbox.client)
    assert len(frame) == 101
    assert frame.dtypes.equals(pd.Series({name: pd.ArrowDtype(select([name]).schema.field(0).type) for name in fields}))
