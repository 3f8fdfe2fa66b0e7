"""Certificates are checked, against one's own authorities too, unless one says otherwise."""

import re
import shutil
import ssl
import subprocess

import pytest
from scripted import Reply, ScriptedServer

from pandas_kili.connection.client import Client
from pandas_kili.errors import KiliConnectionError

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="certificates are made with openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=kili -addext subjectAltName=IP:127.0.0.1"
    where = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(["openssl", *made.split(), *where], check=True, capture_output=True)
    return folder


@pytest.fixture
def tls_server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    server = ScriptedServer(tls=context)
    yield server
    server.close()


@pytest.mark.parametrize("document", ["query q { a }", "mutation m { a }"])
def test_a_certificate_that_no_authority_signed_is_refused_at_once(tls_server, document, clock):
    client = Client("k", tls_server.endpoint)
    client._use_clock(clock)
    with pytest.raises(KiliConnectionError, match="certificate verify failed") as caught:
        client.execute(document)
    assert tls_server.asked == clock.waits == []
    assert not caught.value.outcome_unknown


def test_a_bundle_of_authorities_is_honored(tls_server, certificate):
    bundle = certificate / "certificate.pem"
    assert Client("k", tls_server.endpoint, verify=bundle).execute("{ a }") == {"ok": True}
    assert Client("k", tls_server.endpoint, verify=str(bundle)).get(tls_server.origin)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_bundle_of_the_environment_is_honored(tls_server, certificate, monkeypatch, name):
    monkeypatch.setenv(name, str(certificate / "certificate.pem"))
    assert Client("k", tls_server.endpoint).execute("{ a }") == {"ok": True}


def test_a_bundle_that_is_given_comes_before_that_of_the_environment(tls_server, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "missing.pem")
    assert Client("k", tls_server.endpoint, verify=certificate / "certificate.pem").execute("{ a }") == {"ok": True}


def test_no_key_goes_down_from_tls(tls_server, certificate, scripted_server):
    """The same host without TLS is another origin, and so is another port."""
    client = Client("k", tls_server.endpoint, verify=certificate / "certificate.pem")
    tls_server.otherwise = Reply(status=302, headers={"Location": f"{scripted_server.origin}/file"})
    client.get(f"{tls_server.origin}/file")
    assert "Authorization" in tls_server.asked[0].headers
    assert ["Authorization" in asked.headers for asked in scripted_server.asked] == [False]


def test_without_verification_urllib3_keeps_silent(tls_server, monkeypatch):
    # The bundle of the environment must not switch verification on again.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "missing.pem")
    with pytest.warns(UserWarning, match="verify=False"):
        client = Client("k", tls_server.endpoint, verify=False)
    assert client.execute("{ a }") == {"ok": True}


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_cannot_be_read_is_named_at_once(tls_server, monkeypatch, tmp_path, clock, name, content):
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv(name, str(path))
    client = Client("k", tls_server.endpoint)
    client._use_clock(clock)
    for call in (lambda: client.execute("{ a }"), lambda: client.get(tls_server.origin)):
        with pytest.raises(KiliConnectionError, match=f"{name} names a .*{re.escape(str(path))}"):
            call()
    assert tls_server.asked == clock.waits == []
