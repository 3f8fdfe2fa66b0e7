"""Arguments, environment, the official SDK's file, defaults: in this order."""

import json
import pickle
import warnings
from pathlib import Path

import pytest

from pandas_kili.connection.client import Client
from pandas_kili.connection.settings import (
    CONFIG_FILE,
    DEFAULT_ENDPOINT,
    Secret,
    blotted,
    progress_disabled,
    read_settings,
)
from pandas_kili.errors import KiliAuthenticationError, KiliConnectionError, KiliError, KiliValidationError

HOME, FILE = "https://home.example/graphql", "kili-sdk-config.json"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_the_endpoint_is_the_european_cloud_by_default():
    assert read_settings("k").api_endpoint == "https://cloud.kili-technology.com/api/label/v2/graphql"


def test_arguments_come_before_environment_before_working_directory_before_home(
    monkeypatch, elsewhere, clean_environment
):
    (clean_environment / FILE).write_text(json.dumps({"api_key": "home", "api_endpoint": HOME, "verify_ssl": False}))
    with pytest.warns(UserWarning, match="verify=False"):
        assert (read_settings().api_key, read_settings().api_endpoint) == ("home", HOME)
    (elsewhere / FILE).write_text(json.dumps({"api_key": "here", "verify_ssl": True}))
    assert read_settings().api_key == "here"
    assert read_settings().verify is True
    monkeypatch.setenv("KILI_API_ENDPOINT", "https://environment.example/graphql")
    monkeypatch.setenv("KILI_API_KEY", "environment")
    assert read_settings().api_key == "environment"
    assert read_settings().api_endpoint == "https://environment.example/graphql"
    assert read_settings("argument").api_key == "argument"
    assert read_settings("k", "https://argument.example/").api_endpoint == "https://argument.example/"


STRANGER = "https://stranger.example/graphql"


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_a_file_in_the_working_directory_that_sends_the_users_key_elsewhere_warns(monkeypatch, elsewhere, way):
    (elsewhere / FILE).write_text(json.dumps({"api_endpoint": STRANGER}))
    if way == "environment":
        monkeypatch.setenv("KILI_API_KEY", "hidden")
    with pytest.warns(UserWarning, match=rf"{FILE} sends the API key.* to stranger\.example:") as caught:
        Client(None if way == "environment" else "hidden")
    assert caught[0].filename == __file__
    assert "hidden" not in str(caught[0].message)


@pytest.mark.parametrize(
    ("file", "environment"),
    [
        ({"api_endpoint": STRANGER, "api_key": "of-the-file"}, {}),
        ({"api_endpoint": STRANGER}, {"KILI_API_KEY": "k", "KILI_API_ENDPOINT": "https://own.example/graphql"}),
        ({"api_endpoint": "https://cloud.kili-technology.com/api/label/v2/graphql"}, {"KILI_API_KEY": "k"}),
        ({"verify_ssl": True}, {"KILI_API_KEY": "k"}),
    ],
)
def test_a_file_that_sends_no_key_of_the_user_elsewhere_does_not_warn(monkeypatch, elsewhere, file, environment):
    (elsewhere / FILE).write_text(json.dumps(file))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    Client()  # a warning would fail the test


def test_a_file_at_home_does_not_warn(monkeypatch, clean_environment):
    (clean_environment / FILE).write_text(json.dumps({"api_endpoint": STRANGER}))
    assert Client("k").api_endpoint == STRANGER


def test_an_empty_variable_counts_as_absent(monkeypatch):
    monkeypatch.setenv("KILI_API_KEY", "")
    with pytest.raises(KiliAuthenticationError):
        read_settings()


@pytest.mark.parametrize("key", [None, "", "  "])
def test_a_missing_key_says_where_keys_are_looked_for(key):
    with pytest.raises(KiliAuthenticationError, match=r"api_key=.*KILI_API_KEY.*kili-sdk-config\.json"):
        Client(key)


@pytest.mark.parametrize("key", ["sec\nret", "sec\x00ret", "sec ret", "secrét\u20ac", "sec\rret", "sec\x7fret"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key):
    with pytest.raises(KiliAuthenticationError) as caught:
        Client(key)
    assert "sec" not in str(caught.value)


def test_space_around_a_key_is_dropped():
    assert read_settings(" key\n").api_key == "key"


@pytest.mark.parametrize(
    "endpoint", ["", "cloud.example", "ftp://a.example/x", "https://", "https:///x", "http://[::1", "https://a b/x"]
)
def test_an_endpoint_that_is_no_url_is_refused(endpoint):
    with pytest.raises(KiliConnectionError, match="endpoint"):
        Client("k", endpoint)


@pytest.mark.parametrize("endpoint", ["https://u:pass@a.example/x", "https://a.example/x#pass"])
def test_an_endpoint_holds_no_password(endpoint):
    with pytest.raises(KiliConnectionError) as caught:
        Client("k", endpoint)
    assert "pass@" not in str(caught.value)


@pytest.mark.parametrize("host", ["kili.example", "10.0.0.3", "[2001:db8::1]"])
def test_an_unencrypted_endpoint_warns(host):
    with pytest.warns(UserWarning, match="in clear") as caught:
        Client("k", f"http://{host}/graphql")
    assert caught[0].filename == __file__


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "[::1]:8000", "kili.localhost"])
def test_loopback_needs_no_encryption(host):
    assert Client("k", f"http://{host}/graphql").api_endpoint == f"http://{host}/graphql"  # and no warning


@pytest.mark.parametrize(("told", "verify"), [("true", True), ("1", True), ("YES", True), ("0", False), ("no", False)])
def test_verify_is_read_from_the_environment(monkeypatch, told, verify):
    monkeypatch.setenv("KILI_VERIFY", told)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_settings("k").verify is verify


def test_verify_takes_the_path_of_a_ca_bundle(monkeypatch, elsewhere):
    bundle = elsewhere / "bundle.pem"
    bundle.write_text("")
    monkeypatch.setenv("KILI_VERIFY", str(bundle))
    assert read_settings("k").verify == str(bundle)
    assert read_settings("k", verify=Path(bundle)).verify == str(bundle)
    with pytest.raises(KiliConnectionError, match="CA bundle"):
        Client("k", verify="missing.pem")


def test_verify_false_warns_once_in_a_process():
    with pytest.warns(UserWarning, match="verify=False") as caught:
        Client("k", verify=False)
    assert caught[0].filename == __file__
    Client("k", verify=False)  # a second warning would fail the test


@pytest.mark.parametrize("content", ['{"api_key": "hidden"', "[]", '"hidden"', '{"api_key": ["hidden"]}', "\x00"])
def test_a_malformed_file_is_named_and_not_shown(elsewhere, content):
    (elsewhere / FILE).write_text(content)
    with pytest.raises(KiliValidationError, match=FILE) as caught:
        read_settings()
    assert "hidden" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize(
    "wrong",
    [{"timeout": 0}, {"timeout": (1,)}, {"timeout": "1"}, {"max_workers": 0}, {"max_calls_per_minute": 1.5}],
)
def test_arguments_are_checked(wrong):
    with pytest.raises(KiliError, match=next(iter(wrong))):
        Client("k", **wrong)


@pytest.mark.parametrize(("told", "disabled"), [("1", True), ("true", True), ("0", False), ("", None), ("maybe", None)])
def test_progress_is_switched_by_the_environment(monkeypatch, told, disabled):
    monkeypatch.setenv("KILI_DISABLE_TQDM", told)
    assert progress_disabled() is disabled


def test_progress_is_switched_by_the_file(elsewhere):
    (elsewhere / FILE).write_text('{"disable_tqdm": true}')
    assert progress_disabled() is True


def test_a_secret_is_itself_and_does_not_show():
    secret = Secret("hidden")
    assert secret == "hidden"
    assert secret.encode() == b"hidden"
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r}", "%s" % secret, repr([secret])]  # noqa: UP031 - a way to show it
    assert not any("hidden" in text for text in shown)
    assert all(b"hidden" not in pickle.dumps(secret, protocol) for protocol in range(6))


def test_a_byte_order_mark_does_no_harm(elsewhere):
    (elsewhere / CONFIG_FILE).write_text(json.dumps({"api_key": "from-file"}), encoding="utf-8-sig")
    assert read_settings().api_key == "from-file"


@pytest.mark.parametrize("folder", [Path.cwd, Path.home])
@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError, RuntimeError("no home")])
def test_key_and_endpoint_suffice_where_folders_cannot_be_read(monkeypatch, folder, error):
    def fail():
        raise error

    monkeypatch.setattr(Path, folder.__name__, fail)
    assert read_settings("k", "https://kili.example/graphql").api_endpoint == "https://kili.example/graphql"
    assert progress_disabled() is None


def test_a_deleted_working_directory_has_no_file(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert Client("k").api_endpoint == DEFAULT_ENDPOINT


@pytest.mark.parametrize(
    "echo",
    [
        "S3CRET/KEY",
        "s3cret/key",
        "S3CRET\\/KEY",
        "\\u0053\\u0033\\u0043\\u0052ET/KEY",
        "S3CRET\\\\/K\\\\u0045Y",
        "S3CRET%2FKEY",
        "S3CRET&#47;K&#x45;Y",
    ],
)
def test_a_secret_is_blotted_out_in_all_its_spellings(echo):
    assert blotted(f"the key {echo} is wrong", "S3CRET/KEY") == "the key *** is wrong"


def test_a_secret_beyond_ascii_is_blotted_out_of_text_and_of_bytes():
    for body in ("clé-secrète", "clé-secrète".encode().decode("latin-1"), r"cl\u00e9-secr\u00E8te"):
        assert blotted(body, "clé-secrète") == "***"
