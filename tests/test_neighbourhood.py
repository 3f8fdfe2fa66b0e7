"""URLs that others wrote do not lead into a private network."""

import pytest
from scripted import Reply

from pandas_kili import Client, KiliConnectionError
from pandas_kili.neighbourhood import leads_inside

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
        "http://[::ffff:127.0.0.1]/x",
    ],
)
def test_private_addresses_are_refused_to_a_public_endpoint_and_open_to_a_private_one(url):
    assert leads_inside(url, PUBLIC)
    assert not leads_inside(url, "http://127.0.0.1:4000/graphql")
    assert not leads_inside(url, "http://10.0.0.5/graphql")


@pytest.mark.parametrize(
    "url", ["https://1.1.1.1/x", "https://8.8.8.8/files", "https://nobody.invalid/x", "https:///x"]
)
def test_other_addresses_are_open(url):
    assert not leads_inside(url, PUBLIC)


def test_nothing_is_sent_to_a_refused_address(scripted_server):
    scripted_server.otherwise = Reply(b"secret of this machine")
    client = Client("k", PUBLIC)
    with pytest.raises(KiliConnectionError, match="private network"):
        client.get(f"{scripted_server.origin}/planted")
    assert scripted_server.asked == []
