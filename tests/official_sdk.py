"""The official SDK in an environment of its own, for the tests in which it is the judge."""

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

VERSION = os.environ.get("PANDAS_KILI_SDK_VERSION", "26.2.4")  # CONTRIBUTING.md lists those that are tried
# Up to 26.1 the SDK calls operations that the newest servers have given up: the server at the turn knows both.
IS_NEWEST = tuple(map(int, VERSION.split(".")[:2])) >= (26, 2)
GENERATION = "current" if IS_NEWEST else "both"
newest = pytest.mark.skipif(not IS_NEWEST, reason="up to 26.1 the SDK has not these arguments, or another report")
PREAMBLE = """
    import inspect, json, sys, warnings
    warnings.simplefilter("ignore")
    from kili.client import Kili
    given = json.load(sys.stdin)
    options = {"disable_tqdm": True} if "disable_tqdm" in inspect.signature(Kili).parameters else {}  # not in 2.x
    kili = Kili(given["key"], given["endpoint"], **options)
"""


@pytest.fixture(scope="session")
def sdk(request):
    """Return the interpreter of an environment that holds the official SDK, made on first use."""
    folder = os.environ.get("PANDAS_KILI_SDK_ENV")
    if folder:
        return made(Path(folder))
    cache = request.config.cache.mkdir("sdk")
    with alone(cache / "lock"):
        return made(cache / VERSION)


@contextlib.contextmanager
def alone(lock):
    """Let one process pass after the other: those of a parallel run share the environment."""
    import fcntl  # noqa: PLC0415 - not on Windows

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def made(folder):
    """Return the interpreter of the environment in this folder, which is made unless it is there and whole."""
    python = folder / "bin" / "python"
    installed = f"import importlib.metadata as m; assert m.version('kili') == '{VERSION}'; import cv2, imagesize"
    if not python.exists() or subprocess.run([python, "-c", installed], capture_output=True, check=False).returncode:
        for command in (
            [sys.executable, "-m", "venv", folder],
            [python, "-m", "pip", "install", "--quiet", f"kili[coco,image]=={VERSION}"],
        ):
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.fail(f"The environment of the official SDK cannot be made: {made.stderr[-2000:]}")
    return python


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def run(sdk, sandbox, home):
    """Run a script in which `kili` is a client of the sandbox, and return the value that it leaves in `result`."""

    def run(script, **given):
        source = textwrap.dedent(PREAMBLE) + textwrap.dedent(script) + "\nprint(json.dumps(result))"
        given |= {"key": sandbox.api_key, "endpoint": sandbox.api_endpoint}
        done = subprocess.run(
            [sdk, "-c", source],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "HOME": str(home)},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run
