"""Fixtures for tests of your own pipelines; pytest finds them once the package is installed.

This module lies outside the package in an installation: pytest imports it at every start, and it must not bring pandas.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pandas_kili.sandbox import Sandbox


@pytest.fixture
def kili_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Run a local Kili for one test, and set the environment so that every client finds it."""
    from pandas_kili.sandbox import Sandbox  # noqa: PLC0415 - only tests that use the fixture pay for the import

    with Sandbox(max_calls_per_minute=None) as sandbox:
        for name, value in sandbox.environ.items():
            monkeypatch.setenv(name, value)
        yield sandbox


@pytest.fixture
def kili_project(kili_sandbox: Sandbox) -> str:
    """Return the id of an empty TEXT project in `kili_sandbox`."""
    return kili_sandbox.create_project("A project for one test", "TEXT")
