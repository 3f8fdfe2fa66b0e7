"""Faults befall the requests that they name, before or after the work, as often as they say."""

import threading
import time

import pytest
import requests

from pandas_kili.sandbox import Fault, Sandbox

COUNT = "query countAssets($where: AssetWhere!) { data: countAssets(where: $where) }"
APPEND = (
    "mutation($data: AppendManyAssetsData!, $where: ProjectWhere!) "
    "{ data: appendManyAssets(data: $data, where: $where) { id } }"
)


@pytest.fixture
def sandbox():
    with Sandbox(max_calls_per_minute=None) as sandbox:
        yield sandbox


@pytest.fixture
def project(sandbox):
    return sandbox.create_project("Trouble", "IMAGE")


def post(sandbox, document, variables=None, timeout=10):
    headers = {"Authorization": f"X-API-Key: {sandbox.api_key}", "Connection": "close"}
    body = {"query": document, "variables": variables}
    return requests.post(sandbox.api_endpoint, json=body, headers=headers, timeout=timeout)


def append(sandbox, project, name="a", timeout=10):
    return post(sandbox, APPEND, {"data": {"externalIDArray": [name]}, "where": {"id": project}}, timeout)


@pytest.mark.parametrize(
    ("fault", "is_done"),
    [
        (Fault("refuse"), False),
        (Fault("reset_before"), False),
        (Fault("reset_after"), True),
        (Fault("cut"), True),
        (Fault("timeout_after", seconds=0.05), True),
    ],
)
def test_a_connection_breaks_before_or_after_the_work(sandbox, project, fault, is_done):
    sandbox.inject(fault)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        append(sandbox, project)
    assert len(sandbox.assets(project)) == is_done
    assert append(sandbox, project, "b").status_code == 200


@pytest.mark.parametrize("after_work", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ({"kind": "status", "status": 502}, 502, "text/html"),
        ({"kind": "status", "status": 429, "retry_after": 2}, 429, "text/html"),
        ({"kind": "html"}, 200, "text/html"),
        ({"kind": "graphql_error", "code": "TRANSIENT", "message": "once more"}, 200, "application/json"),
    ],
)
def test_an_answer_is_replaced_before_or_after_the_work(sandbox, project, fault, status, kind, after_work):
    sandbox.inject(Fault(**fault, after_work=after_work))
    answer = append(sandbox, project)
    assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (status, kind)
    assert answer.headers.get("Retry-After") == ("2" if status == 429 else None)
    assert len(sandbox.assets(project)) == after_work
    if kind == "application/json":
        error = answer.json()["errors"][0]
        assert (error["message"], error["extensions"]["code"]) == ("once more", "TRANSIENT")


def test_an_error_can_stand_beside_the_data(sandbox, project):
    sandbox.inject(Fault("partial_data", "countAssets", message="half of it"))
    answer = post(sandbox, COUNT, {"where": {}}).json()
    assert answer["data"] == {"data": 0}
    assert answer["errors"][0]["message"] == "half of it"


def test_delays_and_slow_answers_come_whole(sandbox):
    sandbox.inject(Fault("latency", seconds=(0.05, 0.06)), Fault("drip", seconds=0.2))
    started = time.perf_counter()
    assert post(sandbox, COUNT, {"where": {}}).json() == {"data": {"data": 0}}
    assert time.perf_counter() - started > 0.2


def test_a_fault_befalls_the_nth_matching_request_and_the_next_ones(sandbox, project):
    sandbox.inject(Fault("status", "countAssets", nth=2, times=2, status=500))
    append(sandbox, project)
    assert [post(sandbox, COUNT, {"where": {}}).status_code for _ in range(4)] == [200, 500, 500, 200]


def test_faults_come_one_after_the_other(sandbox):
    sandbox.inject(Fault("status", status=500), Fault("status", status=503))
    assert [post(sandbox, COUNT, {"where": {}}).status_code for _ in range(3)] == [500, 503, 200]


def test_faults_by_chance_are_the_same_for_the_same_seed():
    def codes(seed):
        with Sandbox(faults=[Fault("status", times=None, probability=0.5, status=503)], seed=seed) as sandbox:
            return [post(sandbox, COUNT, {"where": {}}).status_code for _ in range(12)]

    assert codes(1) == codes(1)
    assert set(codes(1)) == {200, 503}


def test_a_lagging_replica_shows_what_was_before(sandbox, project):
    sandbox.inject(Fault("replica_lag", "countAssets", seconds=0.4, times=None))
    where = {"where": {"project": {"id": project}}}
    append(sandbox, project)
    assert post(sandbox, COUNT, where).json()["data"]["data"] == 0
    append(sandbox, project, "b")
    assert len(sandbox.assets(project)) == 2
    time.sleep(0.5)
    assert post(sandbox, COUNT, where).json()["data"]["data"] == 2
    append(sandbox, project, "c")
    sandbox.clear_faults()
    assert post(sandbox, COUNT, where).json()["data"]["data"] == 3


@pytest.mark.parametrize("fault", [{"kind": "explode"}, {"kind": "cut", "nth": 0}])
def test_a_fault_that_cannot_be_is_refused(fault):
    with pytest.raises(ValueError, match=r"kind|counted"):
        Fault(**fault)


def test_a_sandbox_stops_at_once_while_a_request_hangs():
    def fail(sandbox):
        with pytest.raises(requests.ConnectionError):
            post(sandbox, "{ me { id } }")

    with Sandbox(faults=[Fault("latency", seconds=60)]) as sandbox:
        thread = threading.Thread(target=fail, args=(sandbox,))
        thread.start()
        while not sandbox.requests:
            time.sleep(0.01)
        started = time.perf_counter()
    thread.join()
    assert time.perf_counter() - started < 5
