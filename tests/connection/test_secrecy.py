"""The key goes to the endpoint's own origin, and nowhere else."""

import gzip
import io
import json
import logging
import pickle
import traceback
import tracemalloc
import zlib

import pandas as pd
import pyarrow as pa
import pytest
import requests
from scripted import Reply, ScriptedServer

import pandas_kili as pk
from pandas_kili.connection.client import Client
from pandas_kili.errors import KiliConnectionError, KiliError
from pandas_kili.sandbox import Fault, Sandbox, files, workspace

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
    "echoed with escapes": Reply(
        json.dumps({"errors": [{"message": f"bad {KEY}"}]}).replace("b1f", r"\u00621f").encode()
    ),
    "echoed by a page with escapes": Reply(f"<html>{KEY}".replace("-", "&#45;").encode(), 500),
    "redirect to its namesake": Reply(status=302, headers={"Location": f"https://{KEY.upper()}.invalid/"}),
    "redirect to nowhere": Reply(status=302, headers={"Location": f"http://[{KEY}"}),
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
        return list(iter(lambda: response.read1(100), b""))


def test_no_text_of_a_client_shows_the_key(client):
    shown = [repr(client), str(client), f"{client}", repr(vars(client)), repr(vars(client._transport))]
    shown += [repr(vars(vars(client._transport)["_credential"])), repr(pickle.dumps(client))]
    client.execute("{ a }")
    shown += [repr(vars(each)) for each, _ in client._transport._idle]
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


def test_cookies_go_nowhere(client, scripted_server, stranger):
    scripted_server.otherwise = Reply(headers={"Set-Cookie": "session=secret; Path=/"})
    client.execute("{ a }")
    client.get(f"{scripted_server.origin}/file")
    client.get(f"{stranger.origin}/file")
    assert not any("Cookie" in asked.headers for asked in [*scripted_server.asked, *stranger.asked])


def test_proxies_of_the_environment_are_used(client, scripted_server, stranger, monkeypatch):
    monkeypatch.setenv("http_proxy", stranger.origin)
    monkeypatch.setenv("no_proxy", "")
    client.get("http://bucket.example/file?signature=s")
    assert stranger.asked[0].path == "http://bucket.example/file?signature=s"


ZEROS = bytes(2**20)
BOMBS = {
    "gzip": lambda: gzip.compress(ZEROS) * 300,  # one member after the other, 300 MiB of zeros
    "deflate": lambda: zlib.compress(ZEROS * 100),
    "gzip, gzip": lambda: gzip.compress(gzip.compress(ZEROS) * 300),
    "gzip, deflate, gzip": lambda: gzip.compress(zlib.compress(gzip.compress(ZEROS) * 300)),
    "br": lambda: pytest.importorskip("brotli").compress(ZEROS * 100, quality=4),
    "zstd": lambda: pytest.importorskip("backports.zstd").compress(ZEROS * 100),
}


@pytest.mark.parametrize("how", ["whole", "chunked"])
@pytest.mark.parametrize("packing", BOMBS)
def test_a_bomb_is_given_up_before_it_fills_the_memory(client, scripted_server, how, packing):
    scripted_server.otherwise = Reply(BOMBS[packing](), headers={"Content-Encoding": packing}, how=how)
    tracemalloc.start()
    try:
        with pytest.raises(KiliConnectionError, match="larger than 1000000 bytes"):
            client.get(f"{scripted_server.origin}/file", max_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    finally:
        tracemalloc.stop()
    assert len(scripted_server.asked) == 1


def test_a_file_that_is_held_in_memory_has_a_bound_of_its_own(client, scripted_server):
    scripted_server.otherwise = Reply(gzip.compress(ZEROS, 1) * 300, headers={"Content-Encoding": "gzip"})
    with pytest.raises(KiliConnectionError, match="larger than 268435456 bytes"):
        client.get(f"{scripted_server.origin}/answer")


def test_a_body_without_end_is_given_up(client, scripted_server):
    scripted_server.otherwise = Reply(b"x" * 5_000_000, how="unframed")
    with pytest.raises(KiliConnectionError, match="larger than 100000 bytes"):
        client.get(f"{scripted_server.origin}/file", max_bytes=100_000)


@pytest.fixture
def sandbox():
    with Sandbox(api_key=KEY, max_calls_per_minute=None) as sandbox:
        sandbox.project = sandbox.create_project("Secret", "TEXT")
        yield sandbox


def test_frames_and_what_is_made_of_them_hold_no_key(sandbox, tmp_path):
    """In no attribute, pickle, parquet file or Arrow schema; also not of what came back from a mutation."""
    (tmp_path / "a.txt").write_text("text")
    frame = pd.DataFrame({"externalId": ["a"], "content": [str(tmp_path / "a.txt")]})
    written = frame.kili.append_many_to_dataset(sandbox.project, client=sandbox.client)
    read = pk.read_kili(sandbox.project, client=sandbox.client)
    for each in (written, read):
        each.to_parquet(tmp_path / "frame.parquet")
        seen = [pickle.dumps(each), (tmp_path / "frame.parquet").read_bytes(), repr(each.attrs).encode()]
        seen += [repr(vars(each)).encode(), repr(pa.Table.from_pandas(each).schema.metadata).encode()]
        assert not any(KEY.encode() in text for text in seen)
    # The bucket was asked by its signatures alone, and no URL holds the key.
    files = [request for request in sandbox.requests if request.method == "PUT"]
    assert len(files) == 1
    assert KEY not in "".join(request.path for request in sandbox.requests)
    assert KEY not in "".join(pk.read_kili(sandbox.project, fields=["content"], client=sandbox.client)["content"])


def test_errors_of_mutations_hold_no_key(sandbox):
    sandbox.add_assets(sandbox.project, [{"externalId": "a"}])
    frame = pk.read_kili(sandbox.project, fields=["id", "priority"], client=sandbox.client).assign(priority=3)
    sandbox.inject(Fault("status", "updatePropertiesInAssets", status=401, times=None))
    with pytest.raises(pk.KiliMutationError) as caught:
        frame.kili.update_properties_in_assets("priority", client=sandbox.client)
    assert not any(KEY in text for text in everything(caught.value))
    assert KEY.encode() not in pickle.dumps(caught.value)
    assert KEY not in repr(caught.value.report.to_dict()) + repr(caught.value.frame.attrs)


def test_a_sandbox_does_not_show_its_key(sandbox):
    assert KEY not in repr(sandbox) + str(sandbox)
    for headers in ({}, {"Authorization": "X-API-Key: wrong"}):
        refused = requests.post(sandbox.api_endpoint, json={"query": "{ me { id } }"}, headers=headers, timeout=10)
        assert refused.status_code == 401 or "errors" in refused.json()
        assert KEY not in refused.text + repr(refused.headers)


def test_a_sandbox_compares_keys_and_signatures_in_constant_time(sandbox, monkeypatch):
    judged = []

    def compare(given, right):
        judged.append((given, right))
        return True

    monkeypatch.setattr(workspace.secrets, "compare_digest", compare)
    monkeypatch.setattr(files.hmac, "compare_digest", compare)
    headers = {"Authorization": "X-API-Key: guessed"}
    answer = requests.post(sandbox.api_endpoint, json={"query": "{ me { id } }"}, headers=headers, timeout=10)
    assert "errors" not in answer.json()
    assert judged.pop() == (b"guessed", KEY.encode())
    requests.get(f"{sandbox._running().origin}{files.BUCKET_ROUTE}x?expires=9e9&signature=guessed", timeout=10)
    assert b"guessed" in judged.pop()


def test_a_sandbox_listens_on_loopback_only(sandbox):
    assert sandbox._running().server_address[0] == "127.0.0.1"
