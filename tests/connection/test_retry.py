"""Each fault, for a query and for a mutation, against a real server."""

import socket
import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from scripted import Reply

from pandas_kili.connection.client import Client
from pandas_kili.connection.verdict import retry_after
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliGraphQLError

QUERY, MUTATION = "query assets { a }", "mutation change { a }"
HTML = b"<html><head><title>Sign in</title>\nmore</html>"
GOOD = {"ok": True}


def status(code, **headers):
    return Reply(HTML, code, headers={name.replace("_", "-"): value for name, value in headers.items()})


NOT_PROCESSED = {"429": status(429), "521": status(521)}
UNKNOWN = {
    "408": status(408),
    "500": status(500),
    "500 with errors": Reply.errors("INTERNAL_SERVER_ERROR", status=500),
    "502": status(502),
    "503": status(503),
    "503 with Retry-After": status(503, Retry_After="1"),
    "reset": Reply(how="reset"),
    "cut": Reply(how="cut"),
    "cut chunks": Reply(how="cut chunks"),
    "half a body": Reply(b'{"data":{"ok":', how="unframed"),
    "no body": Reply(b""),
}
TIMEOUT = {"504": status(504), "524": status(524)}


@pytest.mark.parametrize("document", [QUERY, MUTATION])
@pytest.mark.parametrize("reply", NOT_PROCESSED.values(), ids=NOT_PROCESSED)
def test_what_was_not_processed_is_sent_again(client, scripted_server, document, reply):
    scripted_server.script = [reply] * 3
    assert client.execute(document) == GOOD
    assert len(scripted_server.asked) == 4


@pytest.mark.parametrize("document", [QUERY, MUTATION])
def test_what_is_never_processed_ends_at_the_deadline(client, scripted_server, document):
    scripted_server.otherwise = status(429)
    start = client._clock.now()
    with pytest.raises(KiliConnectionError, match=r"429.*times") as caught:
        client.execute(document)
    assert client._clock.now() - start <= 120
    assert (caught.value.status, caught.value.outcome_unknown) == (429, False)
    assert caught.value.attempts == len(scripted_server.asked) > 5


@pytest.mark.parametrize("execute", ["execute", "execute_bytes"])
@pytest.mark.parametrize("reply", [*UNKNOWN.values(), *TIMEOUT.values()], ids=[*UNKNOWN, *TIMEOUT])
def test_a_query_is_sent_again_where_its_fate_is_unknown(client, scripted_server, reply, execute):
    scripted_server.script = [reply]
    assert getattr(client, execute)(QUERY) in (GOOD, b'{"data":{"ok":true}}')
    assert len(scripted_server.asked) == 2


@pytest.mark.parametrize(
    ("reply", "attempts"), [(UNKNOWN["502"], 5), (UNKNOWN["reset"], 5), (TIMEOUT["504"], 2), (TIMEOUT["524"], 2)]
)
def test_a_query_is_given_up_after_some_attempts(client, scripted_server, reply, attempts):
    scripted_server.otherwise = reply
    with pytest.raises(KiliConnectionError) as caught:
        client.execute(QUERY)
    assert caught.value.attempts == len(scripted_server.asked) == attempts
    assert caught.value.outcome_unknown


@pytest.mark.parametrize("execute", ["execute", "execute_bytes"])
@pytest.mark.parametrize("reply", [*UNKNOWN.values(), *TIMEOUT.values()], ids=[*UNKNOWN, *TIMEOUT])
def test_a_mutation_is_never_sent_again_where_its_fate_is_unknown(client, scripted_server, reply, execute):
    scripted_server.otherwise = reply
    with pytest.raises(KiliConnectionError, match="may have done") as caught:
        getattr(client, execute)(MUTATION)
    assert len(scripted_server.asked) == 1
    assert caught.value.outcome_unknown
    assert caught.value.status == (None if "cut" in reply.how or reply.how == "reset" else reply.status)


@pytest.mark.parametrize(("document", "attempts"), [(QUERY, 2), (MUTATION, 1)])
def test_an_answer_that_takes_too_long(scripted_server, clock, document, attempts):
    scripted_server.otherwise = Reply(delay=1)
    client = Client("k", scripted_server.endpoint, timeout=(1, 0.1))
    client._use_clock(clock)
    with pytest.raises(KiliConnectionError, match="no response in time") as caught:
        client.execute(document)
    assert len(scripted_server.asked) == attempts
    assert caught.value.outcome_unknown


@pytest.mark.parametrize(("call", "attempts"), [("execute", 2), ("get", 5)])  # a file costs a bucket no work
def test_a_head_must_be_complete_within_the_time_of_one_read(scripted_server, clock, call, attempts):
    scripted_server.otherwise = Reply(how="dripping head")
    client = Client("k", scripted_server.endpoint, timeout=(1, 0.1))
    client._use_clock(clock)
    with pytest.raises(KiliConnectionError, match="no response in time"):
        client.execute("{ a }") if call == "execute" else client.get(scripted_server.origin)
    assert len(scripted_server.asked) == attempts


def test_a_body_that_drips_ends_at_the_deadline(scripted_server):
    scripted_server.otherwise = Reply(b'{"data":{"ok":' + b" " * 2000 + b"true}}", how="drip")
    client = Client("k", scripted_server.endpoint)
    client._retry.deadline = 0.2
    with pytest.raises(KiliConnectionError, match="did not end in time"):
        client.execute(QUERY)


@pytest.fixture
def closed_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.mark.parametrize("document", [QUERY, MUTATION])
def test_an_endpoint_never_reached_is_given_up_soon(closed_port, clock, document):
    client = Client("k", f"http://127.0.0.1:{closed_port}/graphql")
    client._use_clock(clock)
    with pytest.raises(KiliConnectionError, match=r"127\.0\.0\.1.*could not connect.*refused") as caught:
        client.execute(document)
    assert sum(clock.waits) <= 10
    assert caught.value.attempts > 1
    assert not caught.value.outcome_unknown


def test_an_unknown_host_is_named(clock):
    client = Client("k", "https://kili.invalid/graphql")
    client._use_clock(clock)
    with pytest.raises(KiliConnectionError, match=r"kili\.invalid.*could not connect"):
        client.execute(QUERY)


@pytest.mark.parametrize("document", [QUERY, MUTATION])
def test_an_endpoint_that_was_reached_is_waited_for_until_the_deadline(client, scripted_server, document):
    client.execute(QUERY)
    scripted_server.close()
    client._transport.close()
    with pytest.raises(KiliConnectionError) as caught:
        client.execute(document)
    assert 60 < sum(client._clock.waits) <= 120
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("code", ["INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"])
def test_internal_errors_may_pass_for_a_query(client, scripted_server, code):
    scripted_server.script = [Reply.errors(code)]
    assert client.execute(QUERY) == GOOD
    scripted_server.otherwise = Reply.errors(code, code)
    scripted_server.asked.clear()
    with pytest.raises(KiliGraphQLError):
        client.execute(QUERY)
    assert len(scripted_server.asked) == 3
    with pytest.raises(KiliGraphQLError):
        client.execute(MUTATION)
    assert len(scripted_server.asked) == 4


@pytest.mark.parametrize("execute", ["execute", "execute_bytes"])
@pytest.mark.parametrize("http", [200, 400])
def test_errors_of_the_server_are_raised_at_once(client, scripted_server, execute, http):
    codes = ["OPERATION_RESOLUTION_FAILURE", "INTERNAL_SERVER_ERROR", "A", "B"]
    scripted_server.otherwise = Reply.errors(*codes, status=http)
    with pytest.raises(KiliGraphQLError, match=r"said OPERATION.*said INTERNAL.*said A \(and 1 more\)") as caught:
        getattr(client, execute)(QUERY)
    assert caught.value.codes == set(codes)
    assert caught.value.operation == "assets"
    assert len(scripted_server.asked) == 1


@pytest.mark.parametrize("execute", ["execute", "execute_bytes"])
def test_data_beside_errors_is_an_error(client, scripted_server, execute):
    for content in ({"data": {"a": 1}, "errors": [{"message": "m"}]}, {"errors": [{"message": "m"}], "data": {"a": 1}}):
        scripted_server.script = [Reply.of(content)]
        with pytest.raises(KiliGraphQLError, match="m"):
            getattr(client, execute)(QUERY)


@pytest.mark.parametrize("errors", [[{"message": "m"}], [{}], ["m"], [{"message": "m", "extensions": None}]])
def test_errors_of_any_shape_are_errors(client, scripted_server, errors):
    scripted_server.otherwise = Reply.of({"errors": errors})
    with pytest.raises(KiliGraphQLError):
        client.execute(QUERY)


@pytest.mark.parametrize("execute", ["execute", "execute_bytes"])
@pytest.mark.parametrize(
    "content",
    [{"data": None}, {}, [], "text", {"message": "no Route matched"}, {"data": []}, {"data": None, "errors": []}],
)
def test_an_answer_without_data_and_errors_is_no_answer(client, scripted_server, execute, content):
    scripted_server.otherwise = Reply.of(content)
    with pytest.raises(KiliConnectionError, match="not a GraphQL response"):
        getattr(client, execute)(QUERY)
    with pytest.raises(KiliConnectionError) as caught:
        getattr(client, execute)(MUTATION)
    assert caught.value.outcome_unknown
    assert len(scripted_server.asked) == 2


@pytest.mark.parametrize(
    "content", [{"data": {"errors": [1]}}, {"data": {"a": 'say "errors"'}}, {"extensions": {"errors": [1]}, "data": {}}]
)
def test_data_that_speaks_of_errors_is_data(client, scripted_server, content):
    scripted_server.otherwise = Reply.of(content)
    assert client.execute(QUERY) == content["data"]
    assert client.execute_bytes(QUERY) == scripted_server.otherwise.body


@pytest.mark.parametrize("execute", ["execute", "execute_bytes"])
@pytest.mark.parametrize("http", [200, 400, 404, 407, 413])
def test_a_page_for_people_is_an_error_with_its_first_line(client, scripted_server, execute, http):
    scripted_server.otherwise = Reply(b"\n  " + HTML, http)
    with pytest.raises(KiliConnectionError, match=rf"{http}.*<title>Sign in</title>'\.") as caught:
        getattr(client, execute)(QUERY)
    assert caught.value.status == http
    assert len(scripted_server.asked) == (3 if http == 200 else 1)


def test_a_page_that_a_proxy_shows_in_passing_costs_a_query_nothing_and_a_mutation_its_outcome(client, scripted_server):
    scripted_server.script = [Reply(HTML)] * 2
    assert client.execute(QUERY) == {"ok": True}
    assert len(scripted_server.asked) == 3
    scripted_server.script = [Reply(HTML)]
    with pytest.raises(KiliConnectionError, match="done the work all the same") as caught:
        client.execute(MUTATION)
    assert caught.value.outcome_unknown
    assert len(scripted_server.asked) == 4


@pytest.mark.parametrize("document", [QUERY, MUTATION])
@pytest.mark.parametrize(
    "reply",
    [status(401), status(403), Reply.errors("UNAUTHENTICATED"), Reply.errors("OTHER", "FORBIDDEN", status=400)],
)
def test_a_refused_key_is_told_at_once(client, scripted_server, document, reply):
    scripted_server.otherwise = reply
    with pytest.raises(KiliAuthenticationError) as caught:
        client.execute(document)
    assert caught.value.status == reply.status
    assert len(scripted_server.asked) == 1


@pytest.mark.parametrize("http", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(client, scripted_server, http):
    scripted_server.otherwise = Reply(b"", http, headers={"Location": "https://other.example/login?token=t"})
    with pytest.raises(KiliConnectionError, match=r"https://other\.example:443\.$"):
        client.execute(QUERY)
    assert len(scripted_server.asked) == 1


def test_the_server_says_how_long_to_wait(client, scripted_server):
    client._retry.jitter = lambda least, _: least
    scripted_server.script = [status(429, Retry_After="7"), status(503, Retry_After="11")]
    client.execute(QUERY)
    assert client._clock.waits == [7, 11]


def test_one_refusal_pauses_all_clients_of_the_key(client, scripted_server, clock):
    other = Client("key-8b1f-secret", scripted_server.endpoint)
    other._use_clock(clock)
    scripted_server.script = [status(429, Retry_After="20")]
    client._retry.deadline = 1
    with pytest.raises(KiliConnectionError):
        client.execute(MUTATION)
    before = clock.now()
    other.execute(QUERY)
    assert clock.now() - before == 20


@pytest.mark.parametrize(
    ("text", "seconds"), [("5", 5), ("0", 0), ("600", 60), ("", None), ("soon", None), ("-1", None), ("1.5", None)]
)
def test_seconds_to_wait_are_read(text, seconds):
    assert retry_after({"Retry-After": text} if text else {}) == seconds


def test_a_date_to_wait_for_is_read():
    in_half_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 25 < retry_after({"Retry-After": in_half_a_minute}) <= 30
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0


def test_waiting_grows_to_half_a_minute_and_is_spread(client, scripted_server):
    bounds = []
    client._retry.jitter = lambda least, most: bounds.append((least, most)) or 1.0
    scripted_server.script = [status(429)] * 9
    client.execute(QUERY)
    assert bounds == [(0, min(30, 0.25 * 2**n)) for n in range(1, 10)]


def test_waiting_ends_when_told_to(scripted_server):
    scripted_server.otherwise = status(429, Retry_After="60")
    client, stop = Client("k", scripted_server.endpoint), threading.Event()
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.execute_bytes, QUERY, stop=stop)
        while not scripted_server.asked:
            pass
        stop.set()
        with pytest.raises(CancelledError):
            waiting.result(10)


def test_a_call_that_waited_for_its_turn_still_has_its_time(client, scripted_server):
    client.max_calls_per_minute = 1
    client._retry.deadline = 30
    client.execute(QUERY)
    scripted_server.script = [status(502)]
    assert client.execute(QUERY) == GOOD
