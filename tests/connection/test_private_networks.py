"""URLs that others wrote do not lead into a private network."""

import socket

import pytest
from scripted import Reply

from pandas_kili import Client, KiliConnectionError
from pandas_kili.connection import adapter, private_networks
from pandas_kili.connection.private_networks import leads_inside

PUBLIC = "https://8.8.8.8/api/label/v2/graphql"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://localhost:8080/x",
        "http://[::1]/x",
        "http://10.1.2.3/x",
        "http://192.168.0.1/x",
        "http://172.20.0.1/x",
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/x",
        "http://[fd00::1]/x",
        "http://0.0.0.0/x",
        "http://2130706433/x",
        "http://0177.0.0.1/x",
        "http://0x7f000001/x",
        "http://127.1/x",
        "http://LOCALHOST/x",
        "http://user@127.0.0.1/x",
        "http://[::ffff:7f00:1]/x",
        "http://[64:ff9b::10.0.0.1]/x",
        "http://[2002:7f00:1::]/x",
        "http://[::ffff:127.0.0.1]/x",
    ],
)
def test_private_addresses_are_refused_to_a_public_endpoint_and_open_to_a_private_one(url):
    assert leads_inside(url, PUBLIC)
    assert not leads_inside(url, "http://127.0.0.1:4000/graphql")
    assert not leads_inside(url, "http://10.0.0.5/graphql")


@pytest.mark.parametrize(
    "url",
    [
        "https://1.1.1.1/x",
        "https://8.8.8.8/files",
        "https://[::ffff:8.8.8.8]/x",
        "https://nobody.invalid/x",
        "https:///x",
    ],
)
def test_other_addresses_are_open(url):
    assert not leads_inside(url, PUBLIC)


def test_nothing_is_sent_to_a_refused_address(scripted_server):
    scripted_server.otherwise = Reply(b"secret of this machine")
    client = Client("k", PUBLIC)
    with pytest.raises(KiliConnectionError, match="private network"):
        client.get(f"{scripted_server.origin}/planted")
    assert scripted_server.asked == []


@pytest.fixture
def names(monkeypatch):
    """Addresses that the names of hosts lead to, one at each time that they are looked up, the last for ever."""
    places, known = {}, socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        left = places.get(host, [host])
        return known(left[0] if len(left) == 1 else left.pop(0), *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    private_networks._is_private.cache_clear()
    return places


@pytest.mark.parametrize("places", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"]], ids=["at once", "after the first look"])
@pytest.mark.parametrize("how", ["get", "stream"])
def test_a_name_that_leads_inside_is_refused_whenever_it_does(scripted_server, names, clock, places, how):
    names["planted.example"] = places
    client = Client("k", PUBLIC)
    client._use_clock(clock)
    url = scripted_server.origin.replace("127.0.0.1", "planted.example")
    call = client.get if how == "get" else lambda url: client.stream(url).__enter__()
    with pytest.raises(KiliConnectionError, match="private network") as caught:
        call(url)
    assert scripted_server.asked == clock.waits == []
    assert caught.value.attempts <= 1


def test_a_redirect_does_not_lead_inside(scripted_server, monkeypatch):
    private_networks._is_private.cache_clear()
    for module in (private_networks, adapter):
        monkeypatch.setattr(module, "is_inside", lambda address: address == "127.0.0.2")
    scripted_server.otherwise = Reply(status=302, headers={"Location": "http://127.0.0.2/planted"})
    with pytest.raises(KiliConnectionError, match="private network"):
        Client("k", PUBLIC).get(f"{scripted_server.origin}/file")
    private_networks._is_private.cache_clear()
    assert [asked.path for asked in scripted_server.asked] == ["/file"]


def test_a_proxy_may_be_inside(scripted_server, monkeypatch):
    monkeypatch.setenv("http_proxy", scripted_server.origin)
    monkeypatch.setenv("no_proxy", "")
    Client("k", PUBLIC).get("http://bucket.invalid/file")
    assert [asked.path for asked in scripted_server.asked] == ["http://bucket.invalid/file"]


def test_one_may_store_inside_what_the_server_signed(scripted_server):
    Client("k", PUBLIC).put(f"{scripted_server.origin}/bucket", b"x")
    assert [asked.method for asked in scripted_server.asked] == ["PUT"]
