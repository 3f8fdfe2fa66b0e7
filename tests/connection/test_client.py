"""The client against a real server, and its wire form to the letter."""

import copy
import functools
import gzip
import io
import json
import logging
import os
import pickle
import random
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pandas as pd
import pytest
from scripted import Asked, Reply, ScriptedServer

import pandas_kili as pk
from pandas_kili.connection import client as session
from pandas_kili.connection import server_schema, transport
from pandas_kili.connection.client import Client, client_or_default
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliGraphQLError, KiliValidationError

KEY = "key-8b1f-secret"
QUERY = "query assets { a }"


def test_a_request_is_what_the_server_expects(client, scripted_server):
    assert client.execute(QUERY, {"first": 1}) == {"ok": True}
    (request,) = scripted_server.asked
    assert (request.method, request.path) == ("POST", "/api/label/v2/graphql")
    assert request.json == {"query": QUERY, "variables": {"first": 1}}
    assert request.headers["User-Agent"].startswith("pandas-kili/")
    assert "gzip" in request.headers["Accept-Encoding"]
    assert request.headers["Authorization"] == f"X-API-Key: {KEY}"
    assert request.headers["Accept"] == request.headers["Content-Type"] == "application/json"
    assert request.headers["apollographql-client-name"] == "pandas-kili"
    assert request.headers["apollographql-client-version"] == request.headers["kili-client-version"]


def test_nothing_is_sent_by_the_constructor(scripted_server):
    Client(KEY, scripted_server.endpoint)
    assert scripted_server.asked == []


def test_variables_are_left_out_where_there_are_none(client, scripted_server):
    client.execute(QUERY)
    assert scripted_server.asked[0].json == {"query": QUERY}


def test_bytes_come_as_they_were_served(client, scripted_server):
    scripted_server.otherwise = Reply(b' {"data":\n{"a":[1, 2]}}\n')
    assert client.execute_bytes(QUERY) == scripted_server.otherwise.body


@pytest.mark.parametrize("how", ["whole", "chunked", "unframed"])
@pytest.mark.parametrize("packed", [True, False])
def test_answers_are_read_to_the_end(client, scripted_server, how, packed):
    body = json.dumps({"data": {"a": random.Random(1).randbytes(300_000).hex() + "x" * 1_000_000}}).encode()
    headers = {"Content-Encoding": "gzip"} if packed else {}
    scripted_server.otherwise = Reply(gzip.compress(body) if packed else body, headers=headers, how=how)
    assert client.execute_bytes(QUERY) == body


def test_packed_parts_that_follow_each_other_are_one_body(client, scripted_server):
    body = b'{"data":{"a":"' + b"x" * 31_984 + b'"}}'
    parts = gzip.compress(body[:16_000]) + gzip.compress(body[16_000:])  # of one length, as their ends say
    scripted_server.otherwise = Reply(parts, headers={"Content-Encoding": "gzip"})
    assert client.execute_bytes(QUERY) == body


@pytest.mark.parametrize("end", [b"\0\0\0\0", b"\xff\xff\xff\xff"], ids=["shorter", "longer"])
def test_a_package_that_tells_another_length_is_no_answer(client, scripted_server, end):
    packed = gzip.compress(b'{"data":{"ok":false}}')[:-4] + end
    scripted_server.script = [Reply(packed, headers={"Content-Encoding": "gzip"})]
    assert client.execute(QUERY) == {"ok": True}


@pytest.mark.parametrize(
    "packed", [b"no gzip", gzip.compress(b'{"data":{"ok":false}}', mtime=0)[:-9]], ids=["none", "cut"]
)
def test_a_broken_package_is_a_cut_answer(client, scripted_server, packed):
    scripted_server.script = [Reply(packed, headers={"Content-Encoding": "gzip"})]
    assert client.execute(QUERY) == {"ok": True}


def test_large_requests_are_packed(client, scripted_server):
    client.execute("mutation m { a }", {"text": "x" * 1_000_000})
    client.execute("mutation m { a }", {"text": "x" * 900_000})
    large, small = scripted_server.asked
    assert large.headers["Content-Encoding"] == "gzip"
    assert len(large.body) < 10_000
    assert large.json["variables"] == {"text": "x" * 1_000_000}
    assert "Content-Encoding" not in small.headers


@pytest.mark.parametrize("reply", [Reply(b"no", 415), Reply(b"<html>bad request</html>", 400)])
def test_a_server_that_takes_no_packed_requests_gets_plain_ones(client, scripted_server, reply):
    scripted_server.script = [reply]
    for _ in range(2):
        assert client.execute("mutation m { a }", {"text": "x" * 1_000_000}) == {"ok": True}
    assert [asked.headers.get("Content-Encoding") for asked in scripted_server.asked] == ["gzip", None, None]


def test_a_packed_request_that_the_server_refuses_for_its_content_is_refused(client, scripted_server):
    scripted_server.script = [Reply.errors("GRAPHQL_VALIDATION_FAILED", status=400)]
    with pytest.raises(KiliGraphQLError):
        client.execute("mutation m { a }", {"text": "x" * 1_000_000})
    assert len(scripted_server.asked) == 1


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_an_answer_without_end_is_given_up(scripted_server, monkeypatch, headers):
    monkeypatch.setattr(session, "HttpRequest", functools.partial(transport.HttpRequest, max_bytes=1_000_000))
    body = b'{"data":{"a":"' + b"x" * 50_000_000 + b'"}}'
    packed = gzip.compress(body, 1)
    scripted_server.otherwise = Reply(packed if headers else body, headers=headers)
    client = Client(KEY, scripted_server.endpoint)
    tracemalloc.start()
    with pytest.raises(KiliConnectionError, match="larger than 1000000 bytes") as caught:
        client.execute("mutation m { a }")
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()
    assert caught.value.outcome_unknown
    assert len(scripted_server.asked) == 1


def test_names_are_asked_for_once_per_endpoint(client, scripted_server):
    types = [
        {"name": "Mutation", "fields": [{"name": "addAssetsToReview"}], "inputFields": None},
        {"name": "AssetWhere", "fields": None, "inputFields": [{"name": "idIn"}]},
        {"name": "JSON", "fields": None, "inputFields": None},
    ]
    scripted_server.otherwise = Reply.of({"data": {"__schema": {"types": types}}}, delay=0.05)
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(client.names, ["Mutation", "AssetWhere", "JSON", "Unknown"] * 4))
    assert found[:4] == [{"addAssetsToReview"}, {"idIn"}, set(), set()]
    assert Client("another", scripted_server.endpoint).names("Mutation") == {"addAssetsToReview"}
    assert len(scripted_server.asked) == 1


def test_servers_that_know_no_deprecated_input_fields_give_names(client, scripted_server):
    scripted_server.script = [Reply.errors("GRAPHQL_VALIDATION_FAILED", status=400)]
    scripted_server.otherwise = Reply.of({"data": {"__schema": {"types": []}}})
    assert client.names("Mutation") == frozenset()
    assert "inputFields { name }" in scripted_server.asked[1].json["query"]


def test_one_client_serves_many_threads(client, scripted_server):
    def answer(asked: Asked):
        return Reply.of({"data": asked.json["variables"]}, delay=0.002)

    scripted_server.take = answer
    with ThreadPoolExecutor(16) as pool:
        numbers = list(pool.map(lambda number: client.execute(QUERY, {"n": number})["n"], range(400)))
    assert numbers == list(range(400))
    assert 1 <= len(client._transport._idle) <= 16


def test_connections_outlive_the_threads_that_used_them(client, scripted_server):
    used = set()
    for _ in range(5):
        with ThreadPoolExecutor() as pool:
            pool.submit(client.execute, QUERY).result()
        used |= {id(each) for each, _ in client._transport._idle}
    assert len(used) == 1


def test_idle_connections_are_not_used_again(client, clock):
    client.execute(QUERY)
    [(before, _)] = client._transport._idle
    clock.time += 31
    client.execute(QUERY)
    assert client._transport._idle[0][0] is not before


def test_a_closed_client_opens_again(scripted_server):
    with Client(KEY, scripted_server.endpoint) as client:
        client.execute(QUERY)
    assert not client._transport._idle
    assert client.execute(QUERY) == {"ok": True}


def test_a_line_is_logged_per_call(client, caplog):
    with caplog.at_level(logging.DEBUG, "pandas_kili"):
        client.execute(QUERY, {"secret": "data"})
    [line] = caplog.messages
    assert line.startswith("query assets: 200, 20 bytes, ")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_goes_its_own_way(client, scripted_server, monkeypatch):
    monkeypatch.setenv("KILI_API_KEY", KEY)
    client.execute(QUERY)
    server_schema._LOCKS[client.api_endpoint] = threading.Lock()
    for lock in (client._limit._lock, session._DEFAULT_LOCK, server_schema._LOCKS[client.api_endpoint]):
        lock.acquire()
    scripted_server.otherwise = Reply.of({"data": {"__schema": {"types": []}}})
    child = os.fork()
    if child == 0:
        client_or_default(None)
        ok = client.execute(QUERY) and client.names("x") == frozenset() and len(client._transport._idle) == 1
        os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for lock in (client._limit._lock, session._DEFAULT_LOCK):
        lock.release()
    assert client.execute(QUERY)


def test_the_default_client_is_one_for_all_and_follows_the_environment(monkeypatch):
    with pytest.raises(KiliAuthenticationError):
        client_or_default(None)
    monkeypatch.setenv("KILI_API_KEY", "first")
    with ThreadPoolExecutor(8) as pool:
        clients = set(pool.map(lambda _: client_or_default(None), range(50)))
    assert clients == {client_or_default(None)}
    monkeypatch.setenv("KILI_API_ENDPOINT", "https://other.example/graphql")
    assert client_or_default(None).api_endpoint == "https://other.example/graphql"


def test_a_pickle_is_a_client_again(monkeypatch, scripted_server):
    monkeypatch.setenv("KILI_API_KEY", "from the environment".replace(" ", "-"))
    client = Client(api_endpoint=scripted_server.endpoint, timeout=7, max_workers=3, max_calls_per_minute=250)
    again = pickle.loads(pickle.dumps(client))
    assert (again.api_endpoint, again.timeout) == (client.api_endpoint, (7, 7))
    assert (again.max_workers, again.max_calls_per_minute) == (3, 250)
    again.execute(QUERY)
    assert scripted_server.asked[0].headers["Authorization"] == "X-API-Key: from-the-environment"


def test_a_key_given_as_argument_is_not_in_the_pickle(monkeypatch):
    stored = pickle.dumps(Client(KEY))
    assert KEY.encode() not in stored
    with pytest.raises(KiliAuthenticationError, match="KILI_API_KEY"):
        pickle.loads(stored)
    monkeypatch.setenv("KILI_API_KEY", "other")
    assert pickle.loads(stored)._api_key == "other"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_within_the_process_keeps_the_key(scripted_server, duplicate):
    duplicate(Client(KEY, scripted_server.endpoint, max_workers=3)).execute(QUERY)
    frame = pd.DataFrame({"a": [1]})
    frame.attrs["client"] = Client(KEY, scripted_server.endpoint)
    frame.copy().attrs["client"].execute(QUERY)
    assert [asked.headers["Authorization"] for asked in scripted_server.asked] == [f"X-API-Key: {KEY}"] * 2


@pytest.mark.parametrize("wrong", [KEY, "https://cloud.example/graphql", object(), Client])
def test_what_is_no_client_is_refused_without_being_shown(wrong):
    with pytest.raises(KiliValidationError, match="client must be a pandas_kili") as caught:
        pk.count_assets("p1", client=wrong)
    assert KEY not in str(caught.value)


# Files


@pytest.fixture
def bucket():
    server = ScriptedServer()
    yield server
    server.close()


def test_small_files_are_fetched_whole(client, bucket):
    bucket.otherwise = Reply(b"\x00\x01")
    assert client.get(f"{bucket.origin}/file?sig=s", headers={"Range": "bytes=0-1"}) == b"\x00\x01"
    assert bucket.asked[0].headers["Range"] == "bytes=0-1"
    with pytest.raises(KiliConnectionError, match="larger than 1 bytes"):
        client.get(f"{bucket.origin}/file", max_bytes=1)


@pytest.mark.parametrize("reply", [Reply(status=503), Reply(status=429), Reply(how="reset"), Reply(how="cut")])
def test_files_are_asked_for_again(client, bucket, reply):
    bucket.script = [reply]
    assert client.get(bucket.origin) == Reply().body
    bucket.script = [reply]
    client.put(bucket.origin, b"content")
    assert [asked.body for asked in bucket.asked[2:]] == [b"content"] * 2


def test_a_page_instead_of_an_empty_response_is_not_taken_for_a_stored_file(client, bucket):
    page = Reply(b"<html>Please log in", headers={"Content-Type": "text/html; charset=utf-8"})
    bucket.script = [page]
    client.put(bucket.origin, b"content")
    assert [asked.body for asked in bucket.asked] == [b"content"] * 2
    bucket.otherwise = page
    with pytest.raises(KiliConnectionError, match="page of something in between") as caught:
        client.put(f"{bucket.origin}/file", b"content")
    assert caught.value.outcome_unknown
    assert client.get(bucket.origin) == page.body  # pages may be files, too


def test_a_file_that_is_not_there_is_named_without_its_signature(client, bucket):
    bucket.otherwise = Reply(b"<Error>expired</Error>", 403)
    for send in (client.get, lambda url: client.put(url, b"x"), lambda url: client.stream(url).__enter__()):
        with pytest.raises(KiliConnectionError, match=rf"{bucket.origin}/file: HTTP status 403.*expired") as caught:
            send(f"{bucket.origin}/file?signature=hidden")
        assert caught.value.status == 403
        assert "hidden" not in str(caught.value)
    assert len(bucket.asked) == 3


def test_an_unreachable_bucket_is_named_without_its_signature(client, bucket):
    bucket.close()
    with pytest.raises(KiliConnectionError, match="could not connect") as caught:
        client.get(f"{bucket.origin}/file?signature=hidden")
    assert "hidden" not in str(caught.value)


def test_large_files_are_streamed(client, bucket):
    bucket.script = [Reply(status=500), Reply(b"x" * 1_000_000, headers={"Content-Type": "image/png"})]
    with client.stream(f"{bucket.origin}/file") as response:
        assert response.headers["Content-Type"] == "image/png"
        assert sum(map(len, iter(lambda: response.read1(65536), b""))) == 1_000_000


def test_a_stream_that_breaks_is_an_error_of_ours(client, bucket):
    bucket.otherwise = Reply(b"x" * 1000, how="cut")
    with pytest.raises(KiliConnectionError, match="broke"), client.stream(bucket.origin) as response:
        list(iter(lambda: response.read1(10), b""))


def test_errors_of_the_reader_of_a_stream_stay_his_own(client, bucket):
    with pytest.raises(ZeroDivisionError), client.stream(bucket.origin):
        _ = 1 / 0


def test_a_stream_gives_its_place_back_however_it_ends(bucket, monkeypatch):
    monkeypatch.setattr(random, "uniform", lambda *_: 0.0)
    client = Client("key", f"{bucket.origin}/graphql", max_downloads=1)
    bucket.script = [
        Reply(b"x" * 1000, how="cut"),
        Reply(b"whole"),
        Reply(b"unread"),
        Reply(status=404),
        Reply(b"last"),
    ]
    with suppress(KiliConnectionError), client.stream(f"{bucket.origin}/file") as response:
        response.read1(10_000)
        response.read1(10_000)
    with client.stream(f"{bucket.origin}/file") as response:
        assert response.read1(100) == b"whole"
    with suppress(ZeroDivisionError), client.stream(f"{bucket.origin}/file"):
        _ = 1 / 0
    with suppress(KiliConnectionError), client.stream(f"{bucket.origin}/file"):
        pass
    assert client.get(f"{bucket.origin}/file") == b"last"


def test_files_are_stored_from_their_current_position(client, bucket):
    bucket.script = [Reply(status=503)]
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    client.put(f"{bucket.origin}/file", file, {"x-ms-blob-type": "BlockBlob", "Content-Type": "image/png"})
    assert [asked.body for asked in bucket.asked] == [b"456789"] * 2
    assert bucket.asked[0].headers["x-ms-blob-type"] == "BlockBlob"
    assert bucket.asked[0].headers["Content-Length"] == "6"


@pytest.mark.parametrize("empty", [b"", io.BytesIO()])
def test_an_empty_file_has_a_length(client, bucket, empty):
    client.put(bucket.origin, empty)
    assert bucket.asked[0].headers["Content-Length"] == "0"
    assert "Transfer-Encoding" not in bucket.asked[0].headers


def test_files_do_not_count_as_calls(client, bucket):
    client.max_calls_per_minute = 1
    before = client._clock.now()
    for _ in range(5):
        client.get(bucket.origin)
    client.execute(QUERY)
    assert client._clock.now() == before


def test_redirects_of_files_are_followed_and_end(client, bucket):
    bucket.script = [Reply(status=302, headers={"Location": "/there"})]
    assert client.get(f"{bucket.origin}/here") == Reply().body
    assert bucket.asked[1].path == "/there"
    bucket.otherwise = Reply(status=302, headers={"Location": "/there"})
    with pytest.raises(KiliConnectionError, match="10 redirects"):
        client.get(f"{bucket.origin}/here")


def test_a_redirect_to_what_is_no_url_is_said_clearly(client, bucket):
    bucket.otherwise = Reply(status=302, headers={"Location": "http://["})
    with pytest.raises(KiliConnectionError, match="redirected to a place that is no URL"):
        client.get(f"{bucket.origin}/a")
    assert len(bucket.asked) == 1


def test_what_is_no_url_is_refused_at_once(client):
    for url in ("file:///etc/passwd", "no url", "http://", "http://[::1"):
        with pytest.raises(KiliConnectionError, match="not sent"):
            client.get(url)
    assert client._clock.waits == []
