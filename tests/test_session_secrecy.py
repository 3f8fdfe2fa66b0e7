"""The key goes to the endpoint's own origin, and nowhere else."""

import io
import logging
import pickle
import traceback

import pytest
from scripted import Reply, ScriptedServer

from pandas_kili.errors import KiliError
from pandas_kili.session import Client

KEY = "key-8b1f-secret"


@pytest.fixture
def stranger():
    server = ScriptedServer()
    yield server
    server.close()


def everything(error):
    """What can be seen of an exception: texts, attributes, pickles, locals, and the same of those that led to it."""
    seen, waiting = [], [error]
    while waiting:
        current = waiting.pop()
        if current is None or current in seen:
            continue
        seen.append(current)
        waiting += [current.__cause__, current.__context__]
        # The replies say the key too: the frames of this file hold them.
        frames = [
            frame for frame in traceback.walk_tb(current.__traceback__) if frame[0].f_code.co_filename != __file__
        ]
        yield str(current) + "".join(traceback.StackSummary.extract(frames, capture_locals=True).format())
        yield repr(current.__dict__)
        for value in current.__dict__.values():
            yield repr(getattr(value, "headers", "")) + repr(getattr(value, "__dict__", ""))
        yield repr(pickle.dumps(current))


FAULTS = {
    "echoed": Reply.of({"errors": [{"message": f"Could not find api key {KEY}", "key": KEY}]}),
    "echoed as a page": Reply(f"<html>{KEY}".encode(), 500),
    "echoed by a refusal": Reply(KEY.encode(), 401),
    "reset": Reply(how="reset"),
    "cut": Reply(how="cut"),
    "late": Reply(delay=1),
    "page": Reply(b"<html>", 404),
    "redirect": Reply(status=302, headers={"Location": "https://other.example/"}),
}


@pytest.mark.parametrize("call", ["execute", "execute_bytes", "get", "put", "stream"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_no_error_leads_to_the_key(scripted_server, clock, fault, call):
    scripted_server.otherwise = fault
    client = Client(KEY, scripted_server.endpoint, timeout=0.2)
    client._use_clock(clock)
    url = scripted_server.endpoint
    calls = {
        "execute": lambda: client.execute("{ a }"),
        "execute_bytes": lambda: client.execute_bytes("{ a }"),
        "get": lambda: client.get(url, max_bytes=10),
        "put": lambda: client.put(url, b""),
        "stream": lambda: read(client.stream(url)),
    }
    try:
        calls[call]()
    except KiliError as error:
        shown = [text for text in everything(error) if KEY in text]
        assert shown == []
    else:
        assert call in {"put", "stream"} or fault.how == "whole"


def read(stream):
    with stream as response:
        return list(response.iter_content(100))


def test_no_text_of_a_client_shows_the_key(client):
    shown = [repr(client), str(client), f"{client}", repr(vars(client)), repr(vars(client._transport))]
    shown += [repr(vars(vars(client._transport)["_credential"])), repr(pickle.dumps(client))]
    client.execute("{ a }")
    shown += [repr(vars(session)) for session, _ in client._transport._idle]
    assert not any(KEY in text for text in shown)


def test_no_log_shows_the_key(client, scripted_server):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root, level = logging.getLogger(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        scripted_server.script = [Reply(status=429), Reply(how="reset"), Reply(status=500)]
        client.execute("{ a }")
        client.get(scripted_server.origin)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert "query: 500" in stream.getvalue()
    assert KEY not in stream.getvalue()


def test_the_key_goes_to_the_own_origin_only(client, scripted_server, stranger):
    client.get(f"{scripted_server.origin}/api/label/v2/files?id=1")
    client.get(f"{stranger.origin}/file")
    client.put(f"{stranger.origin}/file", b"")
    with client.stream(f"{stranger.origin}/file"):
        pass
    # The same machine by another name is another origin: who listens there is anyone's guess.
    client.get(scripted_server.origin.replace("127.0.0.1", "localhost"))
    assert scripted_server.asked[0].headers["Authorization"] == f"X-API-Key: {KEY}"
    assert not any("Authorization" in asked.headers for asked in [*stranger.asked, *scripted_server.asked[1:]])
    assert KEY not in repr(stranger.asked)


@pytest.mark.parametrize("http", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_origin_drops_the_key(client, scripted_server, stranger, http):
    scripted_server.script = [Reply(status=http, headers={"Location": f"{stranger.origin}/file"})]
    assert client.get(f"{scripted_server.origin}/file") == Reply().body
    assert "Authorization" in scripted_server.asked[0].headers
    assert KEY not in repr(stranger.asked)


@pytest.mark.parametrize("http", [301, 302, 303, 307, 308])
def test_neither_calls_nor_uploads_follow_a_redirect(client, scripted_server, stranger, http):
    scripted_server.otherwise = Reply(status=http, headers={"Location": f"{stranger.origin}/file"})
    with pytest.raises(KiliError):
        client.execute("{ a }")
    with pytest.raises(KiliError):
        client.put(f"{scripted_server.origin}/file", b"")
    assert stranger.asked == []


def test_netrc_neither_replaces_the_key_nor_speaks_to_buckets(client, scripted_server, stranger, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    client.execute("{ a }")
    client.get(stranger.origin)
    assert scripted_server.asked[0].headers["Authorization"] == f"X-API-Key: {KEY}"
    assert "Authorization" not in stranger.asked[0].headers


def test_proxies_of_the_environment_are_used(client, scripted_server, stranger, monkeypatch):
    monkeypatch.setenv("http_proxy", stranger.origin)
    monkeypatch.setenv("no_proxy", "")
    client.get("http://bucket.example/file?signature=s")
    assert stranger.asked[0].path == "http://bucket.example/file?signature=s"
