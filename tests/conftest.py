"""Every test starts without configuration, caches and clients of others."""

import gc
import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from pandas_kili.connection import client as session
from pandas_kili.connection import rate_limit, server_schema, settings
from pandas_kili.connection.client import Client

KEY = "key-8b1f-secret"

# How long an example takes says how busy the machine is, not what the code is worth. CI takes the same examples each
# time (derandomize); where FUZZ says how many, they are others, by --hypothesis-seed.
hypothesis_settings.register_profile(
    "patient",
    deadline=None,
    derandomize=hypothesis_settings.default.derandomize and "FUZZ" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("patient")


def _beside(name):
    # Tests are files, not a package, so a module beside them is loaded by its path.
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


scripted = _beside("scripted")
_beside("writing")
_beside("moving")
_beside("shifting")
_beside("copying")
_beside("answering")
_beside("fuzzing")
_beside("waiting")
_beside("object_store")
official_sdk = _beside("official_sdk")
sdk, script_of_sdk, run = official_sdk.sdk, official_sdk.script_of_sdk, official_sdk.run


@pytest.hookimpl(tryfirst=True)
def pytest_xdist_auto_num_workers(config):
    """A few files are over before workers have started; the whole suite goes to the cores that this process may use."""
    whole = all(Path(str(each).partition("::")[0]).is_dir() for each in config.args)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores + cores // 2, 8) if whole else 0  # tests wait, too


def pytest_collection_finish():
    """What was imported and collected stays to the end: without this, the garbage collector walks it for a second."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """Workers send their reports as UTF-8, in which half of a surrogate pair has no place."""
    return _sendable((yield))


def _sendable(value):
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_sendable(key): _sendable(each) for key, each in value.items()}
    return type(value)(map(_sendable, value)) if isinstance(value, list | tuple) else value


class FakeClock(rate_limit.Clock):
    """Time that passes only by waiting."""

    def __init__(self):
        self.time = 1000.0
        self.waits = []

    def now(self):
        return self.time

    def wait(self, seconds, stop=None):
        self.waits.append(seconds)
        self.time += seconds


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    for name in ("API_KEY", "API_ENDPOINT", "VERIFY", "DISABLE_TQDM"):
        monkeypatch.delenv(f"KILI_{name}", raising=False)
    for name in ("NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for store in (session._DEFAULT, server_schema._SCHEMAS, rate_limit._LIMITS, settings._SAID):
        store.clear()
    return home


@pytest.fixture
def scripted_server():
    server = scripted.ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def client(scripted_server, clock):
    """A client of the scripted server, for which time passes only by waiting."""
    with Client(KEY, scripted_server.endpoint, timeout=(20, 20)) as client:
        client._use_clock(clock)
        client._retry.jitter = lambda _, most: most
        yield client
