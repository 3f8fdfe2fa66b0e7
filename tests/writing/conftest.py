"""Fixtures of tests that write: a server of each generation, without the traces of other tests."""

import pytest
from writing import hurry

from pandas_kili.sandbox import Sandbox


@pytest.fixture(scope="module")
def servers():
    with (
        Sandbox(generation="current", max_calls_per_minute=None) as today,
        Sandbox(generation="legacy", max_calls_per_minute=None) as seed,
    ):
        yield {"current": today, "legacy": seed}


def renewed(sandbox, monkeypatch):
    hurry(monkeypatch)
    sandbox.clear_hooks()
    sandbox.clear_faults()
    sandbox.clear_requests()
    return sandbox


@pytest.fixture(params=["current", "legacy"])
def sandbox(request, servers, monkeypatch):
    server = renewed(servers[request.param], monkeypatch)
    server.generation = request.param
    return server


@pytest.fixture
def today(servers, monkeypatch):
    return renewed(servers["current"], monkeypatch)
