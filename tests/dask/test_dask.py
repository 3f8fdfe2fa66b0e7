"""Dask frames read and write what pandas frames do, on any number of workers, within one budget of calls."""

import doctest
import inspect
import json
import os
import random
import signal
import threading

import cloudpickle
import dask
import dask.dataframe as dd
import distributed
import pandas as pd
import pytest

import pandas_kili as pk
from pandas_kili import dask as kili_dask
from pandas_kili.connection import rate_limit
from pandas_kili.dask import cluster as calls_of_all
from pandas_kili.sandbox import Fault, Sandbox, routes

ROWS = 550
PER_PARTITION = 200
FREE = 100_000


def names(numbers):
    return [f"{number:05}" for number in numbers]


def fill(sandbox, count=ROWS):
    """Add a project of so many assets, a millisecond apart, every third with a label."""
    project = sandbox.create_project("Texts", "TEXT")
    rows = pd.DataFrame({"externalId": names(range(count)), "content": "x"})
    instants = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(range(count), "ms")
    sandbox.add_assets(project, rows.assign(createdAt=instants.strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3] + "Z"))
    labels = rows[::3].assign(jsonResponse='{"JOB": {}}', author="ann@example.com").drop(columns="content")
    sandbox.add_labels(labels, project_id=project)
    return project


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def cluster(sandbox):
    environment = {"KILI_API_KEY": sandbox.api_key, "KILI_API_ENDPOINT": "http://127.0.0.1:9/nobody"}
    with (
        dask.config.set({"distributed.worker.daemon": True}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", env=environment, silence_logs=False
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def workers(cluster):
    with distributed.Client(cluster) as workers:
        workers.wait_for_workers(2)
        yield workers


@pytest.fixture(params=["threads", "workers"])
def scheduler(request):
    """Both places where graphs are computed."""
    return request.getfixturevalue("workers") if request.param == "workers" else None


@pytest.fixture
def client(sandbox):
    sandbox.clear_requests()
    with pk.Client(sandbox.api_key, sandbox.api_endpoint, max_calls_per_minute=FREE) as client:
        yield client
    sandbox.clear_hooks()
    sandbox.clear_faults()


@pytest.fixture(scope="module")
def project(sandbox):
    """A project that no test changes."""
    return fill(sandbox)


def read(project, client, **options):
    return kili_dask.read_kili(project, client=client, rows_per_partition=PER_PARTITION, **options)


def computed(ddf):
    return ddf.compute().reset_index(drop=True)


def asked_of(sandbox, operation="assets"):
    return [request for request in sandbox.requests if request.operation == operation]


def outcomes(reports):
    return reports["outcome"].value_counts().to_dict()


def kill_once(sandbox, workers, operation, nth, part_of=None):
    """Kill a worker that is at work when the server has done so many operations.

    With `part_of`, which gives the number of the part that a request is of, it is the worker that sent it.
    """
    pids = workers.run(os.getpid)
    seen, killed = [], []

    def kill(request):
        if request.operation == operation:
            seen.append(request)
            if len(seen) == nth:
                part = None if part_of is None else part_of(request)
                busy = [
                    address
                    for address, keys in workers.processing().items()
                    if (keys if part is None else any(key[-1] == part for key in keys))
                ]
                killed.append(pids[busy[0]])
                os.kill(killed[0], signal.SIGKILL)

    sandbox.after_request(kill)
    return killed


def test_the_rows_and_types_are_those_of_the_pandas_read(project, client, scheduler):
    ddf = read(project, client)
    expected = pk.read_kili(project, client=client)
    assert ddf.npartitions == 3
    assert ddf.dtypes.equals(expected.dtypes)
    pd.testing.assert_frame_equal(computed(ddf), expected)
    assert [len(part) for part in dask.compute(*ddf.to_delayed())] == [200, 200, 150]


@pytest.mark.parametrize(
    "options",
    [
        {"first": 1},
        {"first": 450},
        {"skip": 30},
        {"skip": 30, "first": 300},
        {"skip": ROWS},
        {"status_in": ["LABELED"]},
        {"asset_id_in": []},
        {"created_at_gte": "2024-01-01T00:00:00.100Z", "created_at_lte": "2024-01-01T00:00:00.400Z"},
    ],
)
def test_places_and_filters_are_those_of_the_pandas_read(project, client, options):
    fields = ["externalId", "labels.author.email", "labels.id"]
    ddf = read(project, client, fields=fields, **options)
    pd.testing.assert_frame_equal(computed(ddf), pk.read_kili(project, fields=fields, client=client, **options))


def test_a_list_longer_than_the_server_takes_is_read_in_parts(sandbox, client):
    project = fill(sandbox, 1250)
    expected = pk.read_kili(project, fields=["externalId", "id"], skip=20, client=client)
    for options in (
        {"asset_id_in": expected["id"]},
        {"external_id_strictly_in": iter(expected["externalId"].tolist())},
    ):
        ddf = read(project, client, fields=["externalId", "id"], **options)
        assert ddf.npartitions == 7
        pd.testing.assert_frame_equal(computed(ddf), expected)


def test_servers_that_do_not_filter_by_creation_are_read_by_ids():
    with Sandbox(max_calls_per_minute=None, generation="legacy") as sandbox:
        project = fill(sandbox)
        ddf = read(project, sandbox.client, fields=["externalId"])
        assert ddf.npartitions == 3
        assert computed(ddf)["externalId"].tolist() == names(range(ROWS))


def test_assets_of_one_instant_stay_together(sandbox, client):
    project = sandbox.create_project("Texts", "TEXT")
    instant = [f"2024-01-01T00:00:00.{max(0, number - 250):03}Z" for number in range(450)]
    sandbox.add_assets(project, pd.DataFrame({"externalId": names(range(450)), "content": "x", "createdAt": instant}))
    ddf = read(project, client, fields=["externalId"])
    assert [len(part) for part in dask.compute(*ddf.to_delayed())] == [0, 400, 50]
    assert ddf.compute()["externalId"].tolist() == names(range(450))


def test_many_assets_of_one_instant_are_parted_by_their_ids(sandbox, client):
    project = sandbox.create_project("Texts", "TEXT")
    rows = pd.DataFrame({"externalId": names(range(450)), "content": "x", "createdAt": "2024-01-01T00:00:00.000Z"})
    sandbox.add_assets(project, rows)
    ddf = read(project, client, fields=["externalId"])
    assert [len(part) for part in dask.compute(*ddf.to_delayed())] == [200, 200, 50]
    assert ddf.compute()["externalId"].tolist() == names(range(450))


def test_no_row_is_lost_or_twice_where_the_project_moves_after_the_plan(sandbox, client):
    project = fill(sandbox)
    ids = pk.read_kili(project, fields=["id"], client=client)["id"].tolist()
    ddf = read(project, client, fields=["id"])
    come = sandbox.add_assets(project, pd.DataFrame({"externalId": ["new"], "content": "x"}))
    gone = set(ids[50:450:7])
    sandbox.delete_assets(gone)
    assert ddf.compute()["id"].tolist() == [name for name in [*ids, *come] if name not in gone]


@pytest.mark.parametrize("seed", range(3))
def test_no_row_is_lost_or_twice_where_the_project_moves_under_plan_and_read(sandbox, client, scheduler, seed):
    """Before each request for a page, others take assets out of the filter, bring some into it, delete and add some."""
    project = fill(sandbox)
    ids = [row["id"] for row in sandbox.assets(project)]
    throughout = {row["id"] for row in sandbox.assets(project) if row["status"] == "TODO"}
    chance, lock = random.Random(seed), threading.Lock()
    come = []

    def move(request):
        if request.operation == "assets":
            with lock:
                gone, *left = chance.sample(ids, 8)
                for asset_id in left[:5]:
                    sandbox.set_asset(asset_id, status="LABELED")
                for asset_id in left[5:]:
                    sandbox.set_asset(asset_id, status="TODO")
                sandbox.delete_assets([gone])
                throughout.difference_update([gone, *left[:5]])
                come.extend(sandbox.add_assets(project, [{"externalId": f"new {len(come)}", "content": "x"}]))

    sandbox.before_request(move)
    frame = read(project, client, fields=["id"], status_in=["TODO"]).compute()
    assert len(come) >= 5
    assert frame["id"].is_unique
    assert throughout <= set(frame["id"]) <= {*ids, *come}


def test_columns_narrow_what_is_asked(project, sandbox, client, scheduler):
    ddf = read(project, client)
    sandbox.clear_requests()
    assert ddf["status"].value_counts().compute().to_dict() == {"TODO": 366, "LABELED": 184}
    selected = {request.document.partition("first: $first) ")[2].split("\n")[0] for request in asked_of(sandbox)}
    assert selected == {"{ status id createdAt }"}
    frame = ddf[["labels", "externalId"]].compute()
    assert frame.columns.tolist() == ["labels", "externalId"]
    assert frame.dtypes.equals(ddf.dtypes[["labels", "externalId"]])


def test_an_empty_project_is_one_partition_without_rows(sandbox, client):
    ddf = read(sandbox.create_project("Texts", "TEXT"), client)
    assert ddf.npartitions == 1
    pd.testing.assert_series_equal(ddf.compute().dtypes, ddf.dtypes)


def test_the_plan_costs_a_call_for_each_boundary_a_count_and_two_checks(project, sandbox, client):
    read(project, client)
    boundaries, checks = 2, 2
    assert len(sandbox.requests) == 1 + boundaries + checks


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (pk.KiliFilterError, {"skiped": True}),
        (pk.KiliFilterError, {"status_in": ["DONE"]}),
        (pk.KiliFilterError, {"first": 0}),
        (pk.KiliFilterError, {"validate": "no"}),
        (pk.KiliFilterError, {"rows_per_partition": 0}),
        (pk.KiliFieldError, {"fields": ["nmae"]}),
    ],
)
def test_what_is_wrong_is_said_before_any_request(project, sandbox, client, error, options):
    with pytest.raises(error):
        kili_dask.read_kili(project, client=client, **options)
    assert sandbox.requests == []


def test_an_unknown_project_is_said_when_planning(client):
    with pytest.raises(pk.KiliNotFoundError):
        read("nowhere", client)


def test_each_read_is_a_read_of_its_own(project, client):
    first, second = read(project, client), read(project, client)
    assert first.expr._name != second.expr._name  # a cluster that holds the first must not give it for the second


def test_the_data_are_validated_where_they_are_read(sandbox, client):
    project = fill(sandbox, 3)
    sandbox.set_asset(sandbox.assets(project)[1]["id"], consensusMark=2)
    with pytest.raises(pk.KiliValidationError, match="consensusMark"):
        read(project, client, fields=["consensusMark"]).compute()
    frame = read(project, client, fields=["consensusMark"], validate=False).compute()
    assert frame["consensusMark"].tolist()[1] == 2


@pytest.mark.parametrize("verb", ["read", "update", "append"])
def test_the_key_is_nowhere_in_the_graph(project, client, verb):
    ddf = read(project, client, fields=["id", "externalId", "content", "priority"])
    if verb == "update":
        ddf = ddf.kili.update_properties_in_assets("priority", project_id=project, client=client)
    if verb == "append":
        ddf = ddf.kili.append_many_to_dataset(project, client=client)
    key = client._api_key.encode()
    for thing in (ddf, dict(ddf.dask), ddf.optimize()):
        assert key not in cloudpickle.dumps(thing)
        assert key not in repr(thing).encode()


def test_nor_in_what_workers_log(project, client, workers, capfd):
    assert len(read(project, client, fields=["id"]).compute()) == ROWS
    logs = str([*workers.get_worker_logs().values(), *workers.get_scheduler_logs(), *capfd.readouterr()])
    assert client._api_key.encode().decode() not in logs


def test_a_worker_without_a_key_says_what_to_do(workers, project, client, sandbox):
    def tell(key):
        os.environ.pop("KILI_API_KEY", None) if key is None else os.environ.update(KILI_API_KEY=key)

    ddf = read(project, client, fields=["id"])
    workers.run(tell, None)
    try:
        with pytest.raises(pk.KiliAuthenticationError, match="KILI_API_KEY in the environment of each"):
            ddf.compute()
    finally:
        workers.run(tell, sandbox.api_key)
    assert len(ddf.compute()) == ROWS


def test_the_workers_of_a_cluster_share_one_budget_of_calls(workers, sandbox):
    def calls(endpoint):
        limit = calls_of_all.Connection(pk.Client(None, endpoint)).open()._limit
        return sum(limit._cluster.run_on_scheduler(calls_of_all._claim, limit._budget, 30) == 0 for _ in range(20))

    places = workers.scheduler_info()["workers"]
    passed = [workers.submit(calls, sandbox.api_endpoint, workers=[place], pure=False) for place in places]
    assert len(passed) == 2
    assert sum(workers.gather(passed)) == 30


def test_a_read_and_its_plan_keep_to_the_budget(workers, sandbox, monkeypatch):
    monkeypatch.setattr(rate_limit.RateLimit, "WINDOW", 1.5)  # the scheduler and the server are in this process
    monkeypatch.setattr(routes, "_MINUTE", 1.0)
    with Sandbox(api_key=sandbox.api_key, max_calls_per_minute=8) as limited:
        project = fill(limited)
        client = pk.Client(limited.api_key, limited.api_endpoint, max_calls_per_minute=8)
        assert len(read(project, client, fields=["status"]).compute()) == ROWS
        asked = [json.dumps([request.document, request.variables]) for request in asked_of(limited)]
    assert len(asked) > 8
    assert len(set(asked)) == len(asked)  # what is refused for want of budget is asked again


def test_a_worker_lost_in_the_middle_of_a_read_costs_no_row(workers, project, sandbox, client):
    ddf = read(project, client)
    expected = pk.read_kili(project, client=client)
    killed = kill_once(sandbox, workers, "assets", 3)
    pd.testing.assert_frame_equal(computed(ddf), expected)
    assert len(killed) == 1


def test_a_worker_lost_in_the_middle_of_an_update_leaves_it_done_once(workers, sandbox, client):
    project = fill(sandbox)
    ddf = read(project, client, fields=["id", "priority"]).assign(priority=7)
    reports = ddf.kili.update_properties_in_assets("priority", project_id=project, client=client)
    killed = kill_once(sandbox, workers, "updatePropertiesInAssets", 2)
    assert outcomes(reports.compute()) == {"applied": ROWS}
    assert {asset["priority"] for asset in sandbox.assets(project)} == {7}
    assert len(killed) == 1


def test_a_worker_lost_in_the_middle_of_an_append_leaves_each_row_once(workers, sandbox, client):
    project = sandbox.create_project("Texts", "TEXT")
    texts = pd.DataFrame({"externalId": names(range(ROWS)), "content": "x"})
    reports = dd.from_pandas(texts, npartitions=2).kili.append_many_to_dataset(project, client=client)
    killed = kill_once(
        sandbox,
        workers,
        "appendManyAssets",
        2,
        part_of=lambda request: int(request.variables["data"]["externalIDArray"][0] >= names([ROWS // 2])[0]),
    )
    frame = reports.compute()
    assert set(outcomes(frame)) == {"applied", "unchanged"}  # what the lost worker had done is unchanged
    assert outcomes(frame)["unchanged"] >= 100
    stored = {asset["externalId"]: asset["id"] for asset in sandbox.assets(project)}
    assert len(sandbox.assets(project)) == ROWS
    assert dict(zip(frame["externalId"], frame["id"], strict=True)) == stored
    assert len(killed) == 1


def test_reports_are_lazy_and_computed_again_they_append_nothing_twice(sandbox, client):
    project = sandbox.create_project("Texts", "TEXT")
    texts = pd.DataFrame({"externalId": names(range(150)), "content": "x"})
    reports = dd.from_pandas(texts, npartitions=3).kili.append_many_to_dataset(project, client=client)
    assert sandbox.requests == []
    first, second = reports.compute(), reports.compute()
    assert first.dtypes.equals(reports.dtypes)
    assert (outcomes(first), outcomes(second)) == ({"applied": 150}, {"unchanged": 150})
    assert first["id"].tolist() == second["id"].tolist()
    assert len(sandbox.assets(project)) == 150


def test_external_ids_that_are_there_are_refused_or_skipped(sandbox, client):
    project = sandbox.create_project("Texts", "TEXT")
    sandbox.add_assets(project, [{"externalId": "00003", "content": "x"}])
    ddf = dd.from_pandas(pd.DataFrame({"externalId": names(range(6)), "content": "x"}), npartitions=2)
    with pytest.raises(pk.KiliValidationError, match="00003"):
        ddf.kili.append_many_to_dataset(project, client=client).compute()
    frame = ddf.kili.append_many_to_dataset(project, if_exists="skip", client=client).compute()
    assert len(sandbox.assets(project)) == 6
    assert "00003" in set(frame["externalId"][frame["outcome"] == "unchanged"])


def test_ids_that_are_given_are_kept(sandbox, client):
    project = sandbox.create_project("Texts", "TEXT")
    ids = pd.array(["c" + "a" * 24, None], "string[pyarrow]")
    texts = pd.DataFrame({"externalId": ["a", "b"], "content": "x", "id": ids})
    frame = dd.from_pandas(texts, npartitions=1).kili.append_many_to_dataset(project, client=client).compute()
    assert frame["id"].tolist()[0] == ids[0]
    assert {asset["id"] for asset in sandbox.assets(project)} == set(frame["id"])


def test_each_verb_is_brought_to_every_partition(sandbox, client, scheduler):
    project = fill(sandbox)
    options = {"project_id": project, "client": client}
    labeled = read(project, client, fields=["id", "status"], status_in=["LABELED"])
    assert outcomes(labeled.kili.add_to_review(**options).compute()) == {"applied": 184}
    reviewed = read(project, client, fields=["id", "status"], status_in=["TO_REVIEW"])
    assert outcomes(reviewed.kili.send_back_to_queue(**options).compute()) == {"applied": 184}
    ddf = read(project, client, fields=["id", "externalId"])
    renamed = ddf._meta.assign(new=ddf._meta["externalId"])
    ddf = ddf.map_partitions(lambda frame: frame.assign(new="new-" + frame["externalId"]), meta=renamed)
    assert outcomes(ddf.kili.change_asset_external_ids("new", **options).compute()) == {"applied": ROWS}
    assert {asset["externalId"] for asset in sandbox.assets(project)} == {f"new-{name}" for name in names(range(ROWS))}
    assert outcomes(ddf.kili.delete_many_from_dataset(**options).compute()) == {"applied": ROWS}
    assert sandbox.assets(project) == []


def test_rows_that_fail_are_told_by_the_report_unless_they_are_to_raise(sandbox, client):
    project = fill(sandbox, 3)
    ddf = read(project, client, fields=["id", "priority"]).assign(priority=1)
    sandbox.inject(Fault("graphql_error", operation="updatePropertiesInAssets", times=None, code="BAD_USER_INPUT"))
    reports = ddf.kili.update_properties_in_assets("priority", project_id=project, client=client)
    assert outcomes(reports.compute()) == {"failed": 3}
    raising = ddf.kili.update_properties_in_assets("priority", project_id=project, client=client, errors="raise")
    with pytest.raises(pk.KiliMutationError):
        raising.compute()


def test_what_can_be_known_without_rows_is_said_at_once(project, sandbox, client):
    ddf = read(project, client, fields=["id", "externalId", "priority"])
    sandbox.clear_requests()
    options = {"project_id": project, "client": client}
    with pytest.raises(pk.KiliValidationError, match="priorty"):
        ddf.kili.update_properties_in_assets("priorty", **options)
    with pytest.raises(TypeError, match="erors"):
        ddf.kili.add_to_review(erors="raise", **options)
    with pytest.raises(pk.KiliValidationError, match="errors is"):
        ddf.kili.add_to_review(errors="no", **options)
    with pytest.raises(pk.KiliValidationError, match="needs a column 'id'"):
        ddf[["externalId"]].kili.delete_many_from_dataset(**options)
    with pytest.raises(pk.KiliValidationError, match="'id' or 'externalId'"):
        ddf[["priority"]].kili.add_to_review(**options)
    with pytest.raises(pk.KiliValidationError, match="no column 'new'"):
        ddf.kili.change_asset_external_ids("new", **options)
    with pytest.raises(pk.KiliValidationError, match="no column 'name'"):
        ddf.kili.append_many_to_dataset(project, external_id="name", client=client)
    with pytest.raises(pk.KiliFilterError, match="project_id"):
        ddf.kili.add_to_review(project_id=None, client=client)
    assert sandbox.requests == []


def test_rows_that_could_not_be_told_again_are_refused(sandbox, client):
    nameless = dd.from_pandas(pd.DataFrame({"externalId": ["a", None], "content": "x"}), npartitions=1)
    with pytest.raises(pk.KiliValidationError, match="external id"):
        nameless.kili.append_many_to_dataset("p", client=client).compute()
    without = dd.from_pandas(pd.DataFrame({"id": ["a", None], "externalId": ["a", "b"]}), npartitions=1)
    with pytest.raises(pk.KiliValidationError, match="id in every row"):
        without.kili.delete_many_from_dataset(project_id="p", client=client).compute()
    assert sandbox.requests == []


@pytest.mark.filterwarnings("ignore:The inplace keyword:Warning")  # dask's own, while it writes
def test_parquet_gives_back_rows_and_types(project, client, tmp_path):
    folder = str(tmp_path / "assets")
    expected = pk.read_kili(project, client=client)
    kili_dask.read_kili(project, rows_per_partition=50, client=client).to_parquet(
        folder, name_function="{:06}.parquet".format, write_index=False
    )
    pd.testing.assert_frame_equal(pd.read_parquet(folder, dtype_backend="pyarrow"), expected)
    ddf = dd.from_map(pd.read_parquet, sorted(map(str, tmp_path.glob("assets/*.parquet"))), dtype_backend="pyarrow")
    assert ddf.npartitions == 11
    pd.testing.assert_frame_equal(computed(ddf), expected)


EXAMPLES = {
    name: example
    for place in (kili_dask.read_kili, *vars(kili_dask.DaskKiliAccessor).values())
    if inspect.isfunction(place) and ">>>" in (place.__doc__ or "")
    for name, example in [(place.__name__, place)]
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_run(sandbox, monkeypatch, name):
    monkeypatch.setenv("KILI_API_KEY", sandbox.api_key)
    monkeypatch.setenv("KILI_API_ENDPOINT", sandbox.api_endpoint)
    project = sandbox.create_project("Texts", "TEXT")
    texts = pd.DataFrame({"externalId": names(range(250)), "content": "x"})
    sandbox.add_assets(project, texts)
    sandbox.add_labels(texts[:100].assign(jsonResponse="{}", author="ann@example.com"), project_id=project)
    globs = {"project_id": project, "pandas_kili": pk}
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name].__doc__, globs, name, None, None)
    printed = []
    assert doctest.DocTestRunner().run(example, out=printed.append).failed == 0, "".join(printed)


def test_upsert_by_partition_appends_updates_and_then_finds_nothing(sandbox):
    client = sandbox.client
    project = sandbox.create_project("Upsert", "IMAGE")
    sandbox.add_assets(project, [{"externalId": f"n{n}", "content": f"https://x.org/{n}.png"} for n in range(6)])
    rows = pd.DataFrame({"externalId": [f"n{n}" for n in range(10)], "priority": [0, 1] * 5, "site": "Lyon"})
    ddf = dd.from_pandas(rows.assign(content="https://x.org/new.png"), npartitions=3)
    options = {"project_id": project, "metadata": ["site"], "client": client}
    assert ddf.kili.upsert(**options).compute()["outcome"].tolist() == ["applied"] * 10
    held = {row["externalId"]: (row["priority"], row["jsonMetadata"]) for row in sandbox.assets(project)}
    assert held == {f"n{n}": (n % 2, '{"site": "Lyon"}') for n in range(10)}
    assert ddf.kili.upsert(**options).compute()["outcome"].tolist() == ["unchanged"] * 10
    with pytest.raises(pk.KiliValidationError, match="missing= is for whole frames"):
        ddf.kili.upsert(missing="delete", **options)
